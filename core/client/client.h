/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha.h>
#include "client/client-peer.h"
#include "dbus/bus.h"
#include "dbus/interfaces.h"
#include "dbus/paths.h"

G_BEGIN_DECLS

/* A node in another process, over D-Bus. Lives on the main thread. */
#define HYPHA_TYPE_CLIENT (hypha_client_get_type ())
G_DECLARE_FINAL_TYPE (HyphaClient, hypha_client, HYPHA, CLIENT, GObject)

HyphaClient *hypha_client_new (const HyphaBus *bus, GCancellable *cancellable, GError **error);
void hypha_client_new_async (const HyphaBus *bus, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data);
HyphaClient *hypha_client_new_finish (GAsyncResult *result, GError **error);

void hypha_client_allow_interaction (HyphaClient *self);
HyphaDBusNode1 *hypha_client_get_node (HyphaClient *self);
GListModel *hypha_client_get_peers (HyphaClient *self); /* HyphaClientPeer */
/* Everything else as it is on the bus: HyphaDBusObject. */
GDBusObjectManager *hypha_client_get_objects (HyphaClient *self);

/* By name, id, or a unique beginning of an id: NO_SUCH_PEER, AMBIGUOUS_PEER. */
HyphaClientPeer *hypha_client_find_peer (HyphaClient *self, const char *text, GError **error);

/* Makes an error of a call on a proxy what the node meant: HYPHA_ERROR where it is one, without
 * D-Bus's decoration. */
void hypha_client_clean_error (GError **error);

G_END_DECLS
