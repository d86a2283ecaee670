/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/objects.h"

G_BEGIN_DECLS

/* Where there is no message bus: a socket on which the same objects are served to root and to the
 * daemon's own user, to each over a connection of its own. */
typedef struct _HyphaPrivateBus HyphaPrivateBus;

HyphaPrivateBus *hypha_private_bus_new (const char *path, GError **error);
void hypha_private_bus_open (HyphaPrivateBus *self, HyphaObjects *objects);
void hypha_private_bus_close (HyphaPrivateBus *self);
void hypha_private_bus_free (HyphaPrivateBus *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaPrivateBus, hypha_private_bus_free)

G_END_DECLS
