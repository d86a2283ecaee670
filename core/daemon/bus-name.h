/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* One node a bus: whoever comes second is told who was first. */
gboolean hypha_bus_name_check (GDBusConnection *connection, GError **error);
gboolean hypha_bus_name_take (GDBusConnection *connection, GError **error);

G_END_DECLS
