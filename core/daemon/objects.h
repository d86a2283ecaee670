/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/settings.h"
#include "node/node.h"

G_BEGIN_DECLS

/* The node's face: one object for everything there is, coming and going with it; on one bus, or on
 * any number of private connections. */
#define HYPHA_TYPE_OBJECTS (hypha_objects_get_type ())
G_DECLARE_FINAL_TYPE (HyphaObjects, hypha_objects, HYPHA, OBJECTS, GObject)

HyphaObjects *hypha_objects_new (HyphaNode *node, HyphaSettings *settings, HyphaServices *services,
                                 HyphaForwards *forwards);
gboolean hypha_objects_export (HyphaObjects *self, GDBusConnection *connection, GError **error);
void hypha_objects_unexport (HyphaObjects *self, GDBusConnection *connection);

G_END_DECLS
