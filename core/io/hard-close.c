/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/hard-close.h"

#include <sys/socket.h>
#include <unistd.h>

static void
set_hard (int fd, gboolean hard)
{
  struct linger linger = { .l_onoff = hard, .l_linger = 0 };

  setsockopt (fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/**
 * hypha_hard_close_later: (skip)
 * @fd: a descriptor
 *
 * From now on, closing @fd is a reset for whoever is at the other end, if it is a socket of a kind
 * that knows one. The kernel does so, too, when the process is killed.
 */
void
hypha_hard_close_later (int fd)
{
  set_hard (fd, TRUE);
}

/**
 * hypha_hard_close: (skip)
 * @fd: (transfer full): a descriptor
 *
 * Closes @fd as hypha_hard_close_later() says.
 */
void
hypha_hard_close (int fd)
{
  hypha_hard_close_later (fd);
  close (fd);
}

/**
 * hypha_soft_close: (skip)
 * @fd: (transfer full): a descriptor
 *
 * Closes @fd; what was written to it still arrives, whether hypha_hard_close_later() was called or
 * not.
 */
void
hypha_soft_close (int fd)
{
  set_hard (fd, FALSE);
  close (fd);
}
