/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dbus/interfaces.h"
#include "node/node-peer.h"

G_BEGIN_DECLS

/* org.hypha.Peer1 upon a peer of the node. */
#define HYPHA_TYPE_PEER1 (hypha_peer1_get_type ())
G_DECLARE_FINAL_TYPE (HyphaPeer1, hypha_peer1, HYPHA, PEER1, HyphaDBusPeer1Skeleton)

HyphaPeer1 *hypha_peer1_new (HyphaNodePeer *peer);
/* The peer does not tell when a link comes or goes. */
void hypha_peer1_refresh (HyphaPeer1 *self);

G_END_DECLS
