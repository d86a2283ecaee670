/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define HYPHA_CONFIG_FILE_MAX_SIZE (1024 * 1024)

/* The text of a key file, held against a schema: what is right in it, and every line that is wrong.
 */
typedef struct _HyphaConfigFile HyphaConfigFile;

typedef struct {
  guint line;   /* from 1 */
  char *key;    /* NULL: the line has none */
  char *value;  /* as it is written; the whole line where KEY is NULL */
  char *reason; /* the end of a sentence */
} HyphaConfigFileFault;

HyphaConfigFile *hypha_config_file_parse (const char *text, gsize length, const char *group,
                                          GSettingsSchema *schema);
HyphaConfigFile *hypha_config_file_load (const char *path, const char *group,
                                         GSettingsSchema *schema, GError **error);
void hypha_config_file_free (HyphaConfigFile *self);

GVariant *hypha_config_file_lookup (HyphaConfigFile *self, const char *key);
guint hypha_config_file_get_line (HyphaConfigFile *self, const char *key);
gboolean hypha_config_file_is_wrong (HyphaConfigFile *self, const char *key);
const GPtrArray *hypha_config_file_get_faults (HyphaConfigFile *self);
char *hypha_config_file_fault_describe (const HyphaConfigFileFault *fault, const char *path);

/* Same bytes. */
gboolean hypha_config_file_equal (HyphaConfigFile *a, HyphaConfigFile *b);
/* The text with one key set (VALUE NULL: taken out), all else as it is. */
char *hypha_config_file_edit (HyphaConfigFile *self, const char *path, const char *key,
                              GVariant *value, GError **error);
/* In config-save.c. */
gboolean hypha_config_file_can_save (const char *path);
gboolean hypha_config_file_save (HyphaConfigFile *self, const char *path, const char *text,
                                 GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaConfigFile, hypha_config_file_free)

G_END_DECLS
