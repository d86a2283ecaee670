/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "websocket-flow.h"

G_BEGIN_DECLS

/* What small frames, and pings behind large ones, ask of a connected socket. */
void websocket_socket_tune (GSocket *socket);

/* On the loop: joins STREAM, which is CONNECTION or TLS upon it, with one end of a new socketpair,
 * and gives the other in FD. The rest is as for websocket_flow_new(). NULL: there are no
 * descriptors left; OVER is not called. */
WebsocketFlow *websocket_socket_join (HyphaLoop *loop, GSocketConnection *connection,
                                      GIOStream *stream, const WebsocketTerms *terms, guint8 *early,
                                      gsize size, HyphaLoopFunc over, gpointer data, int *fd,
                                      GError **error);

/* A channel upon FD, which is taken, and FLOW, which is not. */
HyphaChannel *websocket_socket_make_channel (int fd, WebsocketFlow *flow, HyphaEndpoint *local,
                                             HyphaEndpoint *remote, const char *host);

G_END_DECLS
