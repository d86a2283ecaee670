/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What tools expect of a message bus before they call anybody: to be greeted, and told who holds
 * the node's name. It makes no bus of a private connection. */
guint hypha_private_face_export (GDBusConnection *connection, GError **error);

G_END_DECLS
