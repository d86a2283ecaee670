/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Joins two descriptors and a socket: what comes from IN goes to SOCKET, what comes from SOCKET
 * goes to OUT, each on a thread of its own, for IN and OUT may block. End-of-file goes through
 * either way. */
typedef struct _HyphaRelay HyphaRelay;

/* Once a process. The socket is non-blocking. The main context is woken whenever a direction has
 * ended. */
HyphaRelay *hypha_relay_start (int in, int out, int socket);
/* The direction to OUT has ended: everything that came is written, or ERROR says why not. */
gboolean hypha_relay_is_drained (HyphaRelay *self, GError **error);
/* IN could not be read to its end. */
gboolean hypha_relay_has_failed (HyphaRelay *self, GError **error);

/* For a socket of which nobody else tells how it ended. */
/* Both directions have ended, whichever way. */
gboolean hypha_relay_has_ended (HyphaRelay *self);
/* SOCKET itself broke; told once everything that came from it is written. */
gboolean hypha_relay_is_broken (HyphaRelay *self, GError **error);

G_END_DECLS
