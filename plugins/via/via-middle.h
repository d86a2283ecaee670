/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "via-hub.h"

G_BEGIN_DECLS

/* Hears what peers open to this node: leads it on, takes it, or tells whom they may see. */
ViaMiddle *via_middle_new (ViaHub *hub); /* HUB outlives it */
void via_middle_free (ViaMiddle *self);  /* what it leads is reset */

G_END_DECLS
