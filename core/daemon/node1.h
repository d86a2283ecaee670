/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/settings.h"
#include "dbus/interfaces.h"
#include "node/node.h"

G_BEGIN_DECLS

/* org.hypha.Node1 upon the node. */
#define HYPHA_TYPE_NODE1 (hypha_node1_get_type ())
G_DECLARE_FINAL_TYPE (HyphaNode1, hypha_node1, HYPHA, NODE1, HyphaDBusNode1Skeleton)

HyphaNode1 *hypha_node1_new (HyphaNode *node, HyphaSettings *settings, HyphaServices *services,
                             HyphaForwards *forwards);

G_END_DECLS
