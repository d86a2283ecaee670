/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/config-file.h"
#include "daemon/settings.h"

G_BEGIN_DECLS

/* For the files named settings*.c alone. */

#define HYPHA_SETTINGS_GROUP "org/hypha/node"

struct _HyphaSettings {
  GObject parent_instance;
  GSettingsSchema *schema;
  GSettings *gsettings; /* NULL with a key file */
  char *path;           /* NULL without one */
  GFileMonitor *monitor;
  HyphaConfigFile *file; /* as it was last read: for the numbers of lines */
  GHashTable *good;      /* key to GVariant: what holds now */
  char **extra_listen, **extra_peers;
  HyphaLoader *loader;
  HyphaNode *node;
  HyphaServices *services;
  HyphaForwards *forwards;
};

/* VALUE is in `good` already; on failure it is taken out again. */
typedef gboolean (*HyphaSettingsApply) (HyphaSettings *self, GVariant *value, GError **error);

/* In the order in which they are fed: nobody is let in before it is known who may come. Keys that
 * must agree with one another are one rule: they are taken together or not at all. */
#define HYPHA_SETTINGS_MAX_KEYS 12

typedef enum { HYPHA_SETTINGS_LOADER, HYPHA_SETTINGS_NODE } HyphaSettingsStage;

typedef struct {
  HyphaSettingsStage stage; /* when it can be fed */
  HyphaSettingsApply apply;
  const char *keys[HYPHA_SETTINGS_MAX_KEYS]; /* the rest is NULL */
} HyphaSettingsRule;

extern const HyphaSettingsRule hypha_settings_rules[]; /* ends with a rule without keys */

const HyphaSettingsRule *hypha_settings_find_rule (const char *key);
/* What a list of the settings comes to with what the command line says beside it. */
char **hypha_settings_join (GVariant *value, char **extra);

G_END_DECLS
