/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define HYPHA_DBUS_NAME "org.hypha.Node1"
#define HYPHA_DBUS_ROOT "/org/hypha/Node1"

#define HYPHA_DBUS_PEER "peer"
#define HYPHA_DBUS_LINK "link"
#define HYPHA_DBUS_TRANSPORT "transport"
#define HYPHA_DBUS_PLUGIN "plugin"
#define HYPHA_DBUS_FORWARD "forward"

char *hypha_dbus_path_escape (const char *name);
char *hypha_dbus_path (const char *folder, const char *name);
char *hypha_dbus_link_path (guint64 serial);

G_END_DECLS
