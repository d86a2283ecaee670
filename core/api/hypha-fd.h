/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <unistd.h>
#include <glib.h>

G_BEGIN_DECLS

/* A descriptor that is closed with its scope: g_auto (HyphaFd). */
typedef int HyphaFd;

static inline void
hypha_fd_clear (HyphaFd *fd)
{
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaFd, hypha_fd_clear)

G_END_DECLS
