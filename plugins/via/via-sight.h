/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "via-hub.h"

G_BEGIN_DECLS

/* Whom this node may see through others, and who may see others through this one. What is seen and
 * trusted is suggested to the node. */
ViaSight *via_sight_new (ViaHub *hub); /* HUB outlives it */
void via_sight_free (ViaSight *self);
/* Who listens, whom the settings let pass, or who is there, may be others now. */
void via_sight_update (ViaSight *self);
/* PEER, who may pass, is told over STREAM. LISTENING: others may be told of it. */
void via_sight_tell (ViaSight *self, HyphaPeer *peer, HyphaStream *stream, gboolean listening);
/* PEER tells now, if asked. */
void via_sight_offered (ViaSight *self, HyphaPeer *peer);
/* The cost of what is suggested; FALSE: ENDPOINT is not. */
gboolean via_sight_get_cost (ViaSight *self, HyphaEndpoint *endpoint, guint *cost);

G_END_DECLS
