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
  HyphaConfigFile *file; /* as it was last taken; NULL: there was none */
  GHashTable *good;      /* key to GVariant: what holds now */
  char **extra_listen, **extra_peers;
  HyphaLoader *loader;
  HyphaNode *node;
  HyphaServices *services;
  HyphaForwards *forwards;
  /* The node's list when the key last held: what it has done since is not saved yet. */
  GVariant *trusted;
};

/* VALUE is in `good` already; on failure it is taken out again. */
typedef gboolean (*HyphaSettingsApply) (HyphaSettings *self, GVariant *value, GError **error);

/* In the order in which they are fed: nobody is let in before it is known who may come. Keys that
 * must agree with one another are one rule: they are taken together or not at all. */
#define HYPHA_SETTINGS_MAX_KEYS 4

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

/* In settings.c. */
GVariant *hypha_settings_get_default (HyphaSettings *self, const char *key); /* transfer full */
/* What the key says where it is kept, whether or not it holds; NULL: nothing that can be taken. */
GVariant *hypha_settings_read (HyphaSettings *self, const char *key);
/* Puts VALUE (taken) in place and returns what was there, or NULL if it is the same. */
GVariant *hypha_settings_replace (HyphaSettings *self, const char *key, GVariant *value);
/* Does what KEY says now, if it is time. */
gboolean hypha_settings_apply (HyphaSettings *self, const HyphaSettingsRule *rule, GError **error);
void hypha_settings_tell_changed (HyphaSettings *self, const char *key);
/* Takes what the keys of RULE say now; where they are wrong, they are told, and nothing changes. */
void hypha_settings_take (HyphaSettings *self, const HyphaSettingsRule *rule);

/* In settings-file.c. */
gboolean hypha_settings_open_file (HyphaSettings *self, gboolean must_exist, GError **error);
gboolean hypha_settings_catch_up (HyphaSettings *self, GError **error);

/* In settings-save.c: where the keys are kept, GSettings or the key file. VALUE NULL: as if nobody
 * had set it. */
gboolean hypha_settings_check_store (HyphaSettings *self, const char *key, GVariant *value,
                                     GError **error);
gboolean hypha_settings_store (HyphaSettings *self, const char *key, GVariant *value,
                               GError **error);

G_END_DECLS
