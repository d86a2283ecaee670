/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>
#include "link/link.h"

G_BEGIN_DECLS

/* A link as the main thread sees it; the link itself lives on a worker. Properties that are
 * notified: state, active, cost. */
#define HYPHA_TYPE_NODE_LINK (hypha_node_link_get_type ())
G_DECLARE_FINAL_TYPE (HyphaNodeLink, hypha_node_link, HYPHA, NODE_LINK, GObject)

guint64 hypha_node_link_get_serial (HyphaNodeLink *self); /* names its D-Bus object: link/SERIAL */
const HyphaNodeId *hypha_node_link_get_peer_id (HyphaNodeLink *self);
const char *hypha_node_link_get_transport (HyphaNodeLink *self); /* the scheme */
const char *hypha_node_link_get_local (HyphaNodeLink *self);     /* "" where not known */
const char *hypha_node_link_get_remote (HyphaNodeLink *self);
guint hypha_node_link_get_cost (HyphaNodeLink *self);
guint hypha_node_link_get_static_cost (HyphaNodeLink *self);
guint64 hypha_node_link_get_rtt (HyphaNodeLink *self); /* us */
const char *hypha_node_link_get_state (
    HyphaNodeLink *self); /* "resuming", "up", "suspect", "closed" */
gboolean hypha_node_link_get_encrypted (HyphaNodeLink *self);
gboolean hypha_node_link_get_active (HyphaNodeLink *self); /* our sending goes over it */
guint64 hypha_node_link_get_rx_bytes (HyphaNodeLink *self);
guint64 hypha_node_link_get_tx_bytes (HyphaNodeLink *self);
void hypha_node_link_close (HyphaNodeLink *self);

G_END_DECLS
