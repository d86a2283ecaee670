/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/settings.h"
#include "dbus/interfaces.h"

G_BEGIN_DECLS

/* org.hypha.Forward1 upon a forward of the node. */
#define HYPHA_TYPE_FORWARD1 (hypha_forward1_get_type ())
G_DECLARE_FINAL_TYPE (HyphaForward1, hypha_forward1, HYPHA, FORWARD1, HyphaDBusForward1Skeleton)

HyphaForward1 *hypha_forward1_new (HyphaForward *forward, HyphaForwards *forwards,
                                   HyphaSettings *settings);
char *hypha_forward1_dup_path (HyphaForward *forward);

G_END_DECLS
