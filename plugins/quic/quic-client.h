/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "quic-connection.h"

G_BEGIN_DECLS

/* Connects by a socket of its own to ADDRESS, and carries the connection, wherever this machine's
 * address moves, for as long as it lasts. ATTEMPT is taken, and returns the channel, which says
 * that it leads to REMOTE; DISPLAY is for its errors. */
void quic_client_connect (GTask *attempt, const HyphaInetSockaddr *address, HyphaEndpoint *remote,
                          const char *display, GCancellable *cancellable);

G_END_DECLS
