/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Internal: not installed, not exported. */

#include <gio/gio.h>

G_BEGIN_DECLS

/* Copies between a socket and any GIOStream, both ways, on a thread of its own. Any thread may use
 * it. */
typedef struct _HyphaPump HyphaPump;

/* FD is one end of a socketpair, and taken. The thread keeps the pump and STREAM until both
 * directions have ended. */
HyphaPump *hypha_pump_start (int fd, GIOStream *stream, GError **error);
HyphaPump *hypha_pump_ref (HyphaPump *self);
void hypha_pump_unref (HyphaPump *self);
/* The first error of STREAM, or that not everything could be delivered in time; NULL so far. Free
 * it. Whoever has seen the end at the other end of the socketpair also sees the error that caused
 * it. */
GError *hypha_pump_dup_error (HyphaPump *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaPump, hypha_pump_unref)

G_END_DECLS
