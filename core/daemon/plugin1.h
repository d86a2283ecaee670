/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dbus/interfaces.h"
#include "loader/loader.h"

G_BEGIN_DECLS

/* org.hypha.Plugin1 upon a module. */
#define HYPHA_TYPE_PLUGIN1 (hypha_plugin1_get_type ())
G_DECLARE_FINAL_TYPE (HyphaPlugin1, hypha_plugin1, HYPHA, PLUGIN1, HyphaDBusPlugin1Skeleton)

HyphaPlugin1 *hypha_plugin1_new (HyphaModule *module);

G_END_DECLS
