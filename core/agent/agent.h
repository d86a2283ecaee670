/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/client.h"

G_BEGIN_DECLS

/* What this process does for a node: services, each while the node's settings name it and its
 * peers. */
typedef struct _HyphaAgent HyphaAgent;

HyphaAgent *hypha_agent_new (HyphaClient *client, GError **error);
void hypha_agent_free (HyphaAgent *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaAgent, hypha_agent_free)

G_END_DECLS
