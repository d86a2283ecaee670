/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "service/forwards.h"

G_BEGIN_DECLS

/* What this node offers: `echo` and `discard` unless switched off, the targets of the settings, and
 * what programs have registered. Answers the node's incoming streams for as long as it lives. Let
 * it go after the node was stopped: a stream has to end before the program at its end does, or it
 * would look finished. Signal: changed (): hypha_services_dup says something else now. Main thread.
 */
#define HYPHA_TYPE_SERVICES (hypha_services_get_type ())
G_DECLARE_FINAL_TYPE (HyphaServices, hypha_services, HYPHA, SERVICES, GObject)

HyphaServices *hypha_services_new (HyphaNode *node);
/* Where what peers ask for by the target "forward" goes; without, it is refused. Once. */
void hypha_services_set_forwards (HyphaServices *self, HyphaForwards *forwards);
/* Before the node is drained: what would never end by itself ends. */
void hypha_services_stop (HyphaServices *self);
/* a{sa{sv}}: name to target s ("tcp://...", "unix:...", "echo", "discard", "ports",
 * "forward", "transport", "off", "handler" or absent: whoever registers), peers as (names or ids;
 * absent: every trusted peer), listen as (of "forward": patterns of endpoints). "tcp:*" to
 * "tcp://host:*": one for each port that has no entry of its own. Checked whole: INVALID_SETTING
 * names the service, the entry and the reason, and nothing changes. Streams that are open stay. */
gboolean hypha_services_configure (HyphaServices *self, GVariant *services, GError **error);

/* All programs together may register this many services. */
#define HYPHA_SERVICES_MAX_REGISTERED 256

/* A stream to a registered service, of a peer that may use it: FUNC answers it. */
typedef void (*HyphaServicesFunc) (HyphaIncoming *incoming, gpointer user_data);

/* OWNER: whom to name as the one who serves. A name that the settings give a target, or that is
 * registered already, is BUSY; one with '*' is none. Should the settings take the name later, they
 * win for as long as they do. */
gboolean hypha_services_register (HyphaServices *self, const char *name, const char *owner,
                                  HyphaServicesFunc func, gpointer user_data, GError **error);
void hypha_services_unregister (HyphaServices *self, const char *name);

/* What peers may open streams to, a{sa{sv}}: name to target s, peers as (absent: every trusted
 * peer), owner s (of a registered one). */
GVariant *hypha_services_dup (HyphaServices *self);

G_END_DECLS
