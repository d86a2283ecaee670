/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "websocket-address.h"

G_BEGIN_DECLS

/* How to connect, as the options of the transport say. */
typedef struct {
  const char *proxy;   /* a URI; "" for none; NULL: as the system says */
  const char *ca_file; /* NULL: those that the system trusts */
  guint ping_ms;
} WebsocketRoute;

/* Connects, by way of a proxy if there is one, and takes up a WebSocket. CANCELLABLE is cancelled
 * by the deadline as well. ADDRESS and ENDPOINT last as long as this does. */
void websocket_dial_async (const WebsocketAddress *address, HyphaEndpoint *endpoint,
                           const WebsocketRoute *route, guint timeout_ms, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data);
HyphaChannel *websocket_dial_finish (GAsyncResult *result, GError **error);

G_END_DECLS
