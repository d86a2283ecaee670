/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loader/loader.h"
#include "node/node.h"

G_BEGIN_DECLS

/* What transports have of the node that they serve: its HyphaPeers. Main thread. */
#define HYPHA_TYPE_NODE_PEERS (hypha_node_peers_get_type ())
G_DECLARE_FINAL_TYPE (HyphaNodePeers, hypha_node_peers, HYPHA, NODE_PEERS, GObject)

/* NODE outlives it, until stop. */
HyphaNodePeers *hypha_node_peers_new (HyphaNode *node);
/* The transport of MODULE has come to serve the node, if it cares; or goes. */
void hypha_node_peers_take (HyphaNodePeers *self, HyphaModule *module);
void hypha_node_peers_leave (HyphaNodePeers *self, HyphaModule *module);
void hypha_node_peers_stop (HyphaNodePeers *self);
/* FALSE: its channels go through the streams of a node, and that is another of this process. */
gboolean hypha_node_peers_may_use (HyphaNodePeers *self, HyphaTransport *transport);
/* What a transport was told may be wrong now: it is told so, soon. */
void hypha_node_peers_changed (HyphaNodePeers *self);
/* FALSE: no transport takes it, and it is still to be answered, or refused. */
gboolean hypha_node_peers_offer (HyphaNodePeers *self, HyphaIncoming *incoming);

G_END_DECLS
