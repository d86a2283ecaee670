/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"

G_BEGIN_DECLS

/* What the service manager is told while a node runs: that it is ready, how it is, and that it is
 * alive. Main thread. */
typedef struct _HyphaManager HyphaManager;

HyphaManager *hypha_manager_new (HyphaNode *node);
void hypha_manager_free (HyphaManager *self); /* before NODE stops */
void hypha_manager_reloading (HyphaManager *self);
void hypha_manager_reloaded (HyphaManager *self);
void hypha_manager_stopping (HyphaManager *self);

G_END_DECLS
