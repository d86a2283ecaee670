/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dbus/interfaces.h"
#include "node/node-link.h"

G_BEGIN_DECLS

/* org.hypha.Link1 upon a link of the node. */
#define HYPHA_TYPE_LINK1 (hypha_link1_get_type ())
G_DECLARE_FINAL_TYPE (HyphaLink1, hypha_link1, HYPHA, LINK1, HyphaDBusLink1Skeleton)

HyphaLink1 *hypha_link1_new (HyphaNodeLink *link);

G_END_DECLS
