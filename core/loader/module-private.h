/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loader/loader.h"

G_BEGIN_DECLS

/* What the loader does with a module, and nobody else. */

HyphaModule *hypha_module_new (const char *path);
HyphaModule *hypha_module_new_built_in (const HyphaPlugin *plugin);
gboolean hypha_module_found (HyphaModule *self, int directory, const char *name,
                             const char *distrust, gboolean disabled);
void hypha_module_gone (HyphaModule *self);
void hypha_module_stop (HyphaModule *self);

/* Of a program: has its file changed, is there something to take up, take it up. */
gboolean hypha_module_has_changed (HyphaModule *self, gboolean *unsettled);
gboolean hypha_module_has_news (HyphaModule *self);
void hypha_module_renew (HyphaModule *self);

gboolean hypha_module_has_code (HyphaModule *self);
gboolean hypha_module_is_present (HyphaModule *self);
int hypha_module_get_priority (HyphaModule *self);
/* NULL without a transport. */
const char *const *hypha_module_get_schemes (HyphaModule *self);
gboolean hypha_module_is_called (HyphaModule *self, const char *const *names);

gboolean hypha_module_is_active (HyphaModule *self);
void hypha_module_set_active (HyphaModule *self, gboolean active);
gboolean hypha_module_is_lasting (HyphaModule *self);
gboolean hypha_module_is_available (HyphaModule *self);
gboolean hypha_module_configure (HyphaModule *self, GVariant *options, GError **error);
gboolean hypha_module_probe (HyphaModule *self, GError **error);
void hypha_module_settle (HyphaModule *self, gboolean disabled, HyphaModule *rival,
                          const char *scheme);

G_END_DECLS
