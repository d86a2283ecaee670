/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define WEBSOCKET_TYPE_TRANSPORT (websocket_transport_get_type ())
G_DECLARE_FINAL_TYPE (WebsocketTransport, websocket_transport, WEBSOCKET, TRANSPORT,
                      HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_websocket;

G_END_DECLS
