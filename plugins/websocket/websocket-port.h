/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "websocket-address.h"
#include "websocket-flow.h"

G_BEGIN_DECLS

/* A listening socket, and those who have come to it: on the loop. */
typedef struct _WebsocketPort WebsocketPort;

/* How to serve, as the options of the transport say. */
typedef struct {
  GTlsCertificate *certificate; /* of wss */
  const char *const *origins;   /* web pages that may come */
  guint connections;            /* at once */
  guint ping_ms;
} WebsocketHouse;

/* Somebody has come: called on the loop. FD is taken; of FLOW, one reference is. */
typedef void (*WebsocketKnockFunc) (int fd, WebsocketFlow *flow, const struct sockaddr *remote,
                                    const struct sockaddr *local, gpointer data);

/* FD, which listens, is taken. DESTROY of DATA is called on the loop when nobody will come any
 * more; or before this returns NULL. */
WebsocketPort *websocket_port_new (int fd, const char *display, gboolean secure, const char *path,
                                   const WebsocketHouse *house, WebsocketKnockFunc knock,
                                   gpointer data, GDestroyNotify destroy, GError **error);
/* From any thread: nobody comes in from here on. Who is in stays. Takes SELF. */
void websocket_port_close (WebsocketPort *self);

G_END_DECLS
