/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "via-hub.h"

G_BEGIN_DECLS

/* Connects to what is at the end of ENDPOINT's route: TASK (taken), one of a base transport's,
 * returns the channel. */
void via_dial (ViaHub *hub, GTask *task, HyphaEndpoint *endpoint, guint timeout_ms,
               GCancellable *cancellable);

G_END_DECLS
