/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "service/forwards.h"
#include "service/services.h"

G_BEGIN_DECLS

/* What the user wants of this node: the only place that knows GSettings. It feeds loader, node,
 * services and forwards, at the start and whenever a key changes. A key that is wrong is told, and
 * its last good value stays. Main thread. Signal: changed (s key): what holds is another value
 * now. */
#define HYPHA_TYPE_SETTINGS (hypha_settings_get_type ())
G_DECLARE_FINAL_TYPE (HyphaSettings, hypha_settings, HYPHA, SETTINGS, GObject)

HyphaSettings *hypha_settings_new (const char *path, gboolean must_exist, GError **error);
/* From the command line, beside what the settings say. Before feeding. */
void hypha_settings_add (HyphaSettings *self, const char *const *listen, const char *const *peers);
char *hypha_settings_print (HyphaSettings *self);

void hypha_settings_feed_loader (HyphaSettings *self, HyphaLoader *loader);
void hypha_settings_feed (HyphaSettings *self, HyphaNode *node, HyphaServices *services,
                          HyphaForwards *forwards);
void hypha_settings_reload (HyphaSettings *self);

/* For Config1, in settings-set.c. What the command line adds is no part of a value. */
char **hypha_settings_list_keys (HyphaSettings *self); /* sorted */
char *hypha_settings_dup_summary (HyphaSettings *self, const char *key);
GVariant *hypha_settings_get (HyphaSettings *self, const char *key, GError **error);
GVariant *hypha_settings_dup_default (HyphaSettings *self, const char *key);
gboolean hypha_settings_is_writable (HyphaSettings *self, const char *key);
gboolean hypha_settings_set (HyphaSettings *self, const char *key, GVariant *value, GError **error);
gboolean hypha_settings_reset (HyphaSettings *self, const char *key, GError **error);

/* What D-Bus callers want to last. */
gboolean hypha_settings_save_trusted (HyphaSettings *self, GError **error);
gboolean hypha_settings_save_forwards (HyphaSettings *self, GError **error);
gboolean hypha_settings_save_listen (HyphaSettings *self, const char *endpoint, GError **error);
gboolean hypha_settings_save_peer (HyphaSettings *self, const char *endpoint, GError **error);
gboolean hypha_settings_drop_listen (HyphaSettings *self, const char *endpoint, GError **error);

G_END_DECLS
