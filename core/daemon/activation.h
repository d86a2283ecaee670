/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"

G_BEGIN_DECLS

/* The sockets that whoever started this process has bound for it (sd_listen_fds). */
typedef struct _HyphaActivation HyphaActivation;

/* Takes them out of the environment: before any thread is there. Never fails: what is wrong is
 * told, and there are fewer sockets. */
HyphaActivation *hypha_activation_take (void);
void hypha_activation_free (HyphaActivation *self); /* closes what was not handed over */
/* Once, and before the settings say where NODE listens. */
void hypha_activation_hand_over (HyphaActivation *self, HyphaNode *node);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaActivation, hypha_activation_free)

G_END_DECLS
