/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"

G_BEGIN_DECLS

/* What this node offers: `echo` and `discard` unless switched off, and the targets of the settings.
 * Answers the node's incoming streams for as long as it lives. Let it go after the node was
 * stopped: a stream has to end before the program at its end does, or it would look finished. Main
 * thread. */
#define HYPHA_TYPE_SERVICES (hypha_services_get_type ())
G_DECLARE_FINAL_TYPE (HyphaServices, hypha_services, HYPHA, SERVICES, GObject)

HyphaServices *hypha_services_new (HyphaNode *node);
/* a{sa{sv}}: name to target s ("tcp://...", "unix:...", "echo", "discard", "off"), peers as (names
 * or ids; absent: every trusted peer). Checked whole: INVALID_SETTING names the service, the entry
 * and the reason, and nothing changes. Streams that are open stay. */
gboolean hypha_services_configure (HyphaServices *self, GVariant *services, GError **error);

G_END_DECLS
