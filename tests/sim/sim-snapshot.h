/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sim-world.h"

G_BEGIN_DECLS

/* What a snapshot of a node's memory holds, and the two things that are done with one: the node
 * goes back to it, or another node comes of it and goes on beside the first. */

SimSnapshot *sim_snapshot_take (SimNode *node);
gint64 sim_snapshot_get_due (SimSnapshot *self); /* when it is to be gone back to; world's time */
void sim_snapshot_free (SimSnapshot *self);
void sim_snapshot_restore (SimSnapshot *self); /* takes it */

/* A copy of NODE comes to life: with a new instance, as where the kernel tells of it or somebody
 * calls Renew, or as another one of the same instance, with all its sessions. */
void sim_node_clone (SimNode *node, gboolean same_instance);
/* That clone ends, and is a copy of what its original is now. */
void sim_node_double_again (SimNode *clone);

G_END_DECLS
