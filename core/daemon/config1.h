/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/settings.h"
#include "dbus/interfaces.h"

G_BEGIN_DECLS

/* org.hypha.Config1: the settings, on the root object. */
#define HYPHA_TYPE_CONFIG1 (hypha_config1_get_type ())
G_DECLARE_FINAL_TYPE (HyphaConfig1, hypha_config1, HYPHA, CONFIG1, HyphaDBusConfig1Skeleton)

HyphaConfig1 *hypha_config1_new (HyphaSettings *settings);

G_END_DECLS
