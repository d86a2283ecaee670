/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* What stands in ws://HOST[:PORT]/PATH, or wss:. */
typedef struct {
  gboolean secure; /* wss */
  HyphaInetAddress *inet;
  char *path; /* decoded; begins with '/' */
} WebsocketAddress;

WebsocketAddress *websocket_address_parse (HyphaEndpoint *endpoint, GError **error);
void websocket_address_free (WebsocketAddress *self);
/* Canonical, with the options of OPTIONS_OF (nullable). The port of SOCKADDR (nullable) and its
 * host take the place of those of SELF. */
HyphaEndpoint *websocket_address_to_endpoint (const WebsocketAddress *self,
                                              const struct sockaddr *sockaddr,
                                              HyphaEndpoint *options_of);
/* The other end of a connection that came from SOCKADDR: its root. NULL: of another family. */
HyphaEndpoint *websocket_address_of_client (const WebsocketAddress *self,
                                            const struct sockaddr *sockaddr);
/* The path as it stands in a request; and HOST[:PORT], for the header of that name. To free. */
char *websocket_address_get_target (const WebsocketAddress *self);
char *websocket_address_get_authority (const WebsocketAddress *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (WebsocketAddress, websocket_address_free)

G_END_DECLS
