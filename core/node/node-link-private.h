/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node-link.h"

G_BEGIN_DECLS

/* What the room itself does with a link. The mirror owns LINK and frees it with itself, which is
 * after the link has closed. */
HyphaNodeLink *hypha_node_link_new (HyphaLink *link, guint64 serial, const char *scheme);
HyphaLink *hypha_node_link_get_link (HyphaNodeLink *self);
void hypha_node_link_set_up (HyphaNodeLink *self);
void hypha_node_link_set_active (HyphaNodeLink *self, gboolean active);
void hypha_node_link_set_closed (HyphaNodeLink *self);
void hypha_node_link_refresh (HyphaNodeLink *self);     /* cost or suspicion may have changed */
gboolean hypha_node_link_is_live (HyphaNodeLink *self); /* up, and answers */
gboolean hypha_node_link_is_up (HyphaNodeLink *self);
/* Its bytes go over streams to other nodes. */
gboolean hypha_node_link_is_relayed (HyphaNodeLink *self);
gint64 hypha_node_link_get_born (HyphaNodeLink *self); /* us, monotonic */
/* Links of one peer with the same scheme and host are twins, whoever dialled. */
gboolean hypha_node_link_is_twin (HyphaNodeLink *self, HyphaNodeLink *other);

/* Whoever carries out hypha_node_link_close. */
typedef void (*HyphaNodeLinkCloser) (HyphaNodeLink *link, gpointer user_data);
void hypha_node_link_set_closer (HyphaNodeLink *self, HyphaNodeLinkCloser closer,
                                 gpointer user_data);

G_END_DECLS
