/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/client.h"

G_BEGIN_DECLS

/* Both are taken. */
HyphaClient *hypha_client_new_for_node (GDBusObjectManager *objects, HyphaDBusNode1 *node);
/* From now on it changes as the node does: on the main thread. */
void hypha_client_follow (HyphaClient *self);

G_END_DECLS
