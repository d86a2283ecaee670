/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/client-peer.h"
#include "client/hypha-client.h"
#include "dbus/bus.h"
#include "dbus/interfaces.h"
#include "dbus/paths.h"

G_BEGIN_DECLS

/* What our own programs use beside hypha-client.h: the node as it is on the bus. */

HyphaClient *hypha_client_new_on_bus (const HyphaBus *bus, GCancellable *cancellable,
                                      GError **error);
void hypha_client_allow_interaction (HyphaClient *self);
void hypha_client_new_on_bus_async (const HyphaBus *bus, GCancellable *cancellable,
                                    GAsyncReadyCallback callback, gpointer user_data);
HyphaDBusNode1 *hypha_client_get_node (HyphaClient *self);
/* Everything else as it is on the bus: HyphaDBusObject. */
GDBusObjectManager *hypha_client_get_objects (HyphaClient *self);

/* By name, id, or a unique beginning of an id: NO_SUCH_PEER, AMBIGUOUS_PEER. */
HyphaClientPeer *hypha_client_find_peer (HyphaClient *self, const char *text, GError **error);
HyphaClientPeer *hypha_client_find_peer_at (HyphaClient *self, const char *path); /* NULL: none */

/* Makes an error of a call on a proxy what the node meant: HYPHA_ERROR where it is one, without
 * D-Bus's decoration. */
void hypha_client_clean_error (GError **error);

G_END_DECLS
