/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "websocket-port.h"

G_BEGIN_DECLS

#define WEBSOCKET_TYPE_LISTENER (websocket_listener_get_type ())
G_DECLARE_FINAL_TYPE (WebsocketListener, websocket_listener, WEBSOCKET, LISTENER, HyphaListener)

/* A channel for each WebSocket at FD, which is taken, listens on BOUND and is that of ADDRESS. */
HyphaListener *websocket_listener_new (int fd, HyphaEndpoint *bound,
                                       const WebsocketAddress *address, const WebsocketHouse *house,
                                       GError **error);

G_END_DECLS
