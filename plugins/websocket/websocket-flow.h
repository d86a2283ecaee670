/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "websocket-state.h"

G_BEGIN_DECLS

/* What two Hypha nodes agree on, beyond WebSocket itself: see README.md. */
#define WEBSOCKET_SUBPROTOCOL "hypha.1"
#define WEBSOCKET_WINDOW (1024 * 1024)

/* One connection after its upgrade, joined with a socketpair. It lives on the loop until it is
 * over. */
typedef struct _WebsocketFlow WebsocketFlow;

typedef struct {
  gboolean client;  /* this end has connected, and masks */
  gboolean hypha;   /* the subprotocol was agreed on */
  guint ping_ms;    /* between pings */
  const char *name; /* of the other end, for people; copied */
} WebsocketTerms;

/* On the loop. STREAM is SOCKET, or TLS upon it. FD, one end of a socketpair, is taken; EARLY (SIZE
 * bytes) came behind the answer. OVER (nullable) is called on the loop with DATA when nothing is
 * left of it. */
WebsocketFlow *websocket_flow_new (HyphaLoop *loop, GSocket *socket, GIOStream *stream, int fd,
                                   const WebsocketTerms *terms, guint8 *early, gsize size,
                                   HyphaLoopFunc over, gpointer data);
/* From any thread. */
WebsocketFlow *websocket_flow_ref (WebsocketFlow *self);
void websocket_flow_unref (gpointer self);
GError *websocket_flow_dup_error (gpointer self);

G_END_DECLS
