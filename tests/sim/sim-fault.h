/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sim-world.h"

G_BEGIN_DECLS

/* What befalls the world by chance: dials, streams, faults of links and of nodes. */

/* One draw of it, and when the next one is due. */
void sim_fault_act (SimWorld *self);
/* Does the peer know by now of the last disconnect? */
void sim_fault_check_farewell (SimWorld *self);

G_END_DECLS
