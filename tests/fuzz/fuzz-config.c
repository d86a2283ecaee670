/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <string.h>

#include "daemon-world.h"
#include "session/session.h"

/* A key file. It is read, and what is found in it written again; then a node takes it, whatever is
 * wrong with it, and what holds afterwards keeps the rules, and can be written and read, too. */

#define PATH "/etc/hypha/node.conf"

static HyphaConfigFile *
parse (const char *text, gsize length)
{
  return hypha_config_file_parse (text, length, HYPHA_SETTINGS_GROUP, daemon_world_get_schema ());
}

static void
check_faults (HyphaConfigFile *file)
{
  const GPtrArray *faults = hypha_config_file_get_faults (file);
  guint last = 0;

  for (guint i = 0; i < faults->len; i++) {
    const HyphaConfigFileFault *fault = faults->pdata[i];
    g_autofree char *sentence = hypha_config_file_fault_describe (fault, PATH);

    g_assert_true (g_utf8_validate (sentence, -1, NULL));
    g_assert_cmpuint (fault->line, >=, last);
    last = fault->line;
  }
}

/* An edit changes one key and nothing else. */
static void
check_edit (HyphaConfigFile *file, const char *key, GVariant *value, char **keys)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = hypha_config_file_edit (file, PATH, key, value, &error);
  g_autoptr (HyphaConfigFile) again = NULL;

  if (text == NULL) {
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
    return;
  }
  again = parse (text, strlen (text));
  for (char **other = keys; *other != NULL; other++) {
    GVariant *before = g_str_equal (*other, key) ? value : hypha_config_file_lookup (file, *other);
    GVariant *after = hypha_config_file_lookup (again, *other);

    g_assert_true ((before == NULL) == (after == NULL));
    g_assert_true (before == NULL || g_variant_equal (before, after));
  }
}

static void
check_file (HyphaConfigFile *file)
{
  GSettingsSchema *schema = daemon_world_get_schema ();
  g_auto (GStrv) keys = g_settings_schema_list_keys (schema);

  check_faults (file);
  for (char **key = keys; *key != NULL; key++) {
    g_autoptr (GSettingsSchemaKey) schema_key = g_settings_schema_get_key (schema, *key);
    GVariant *value = hypha_config_file_lookup (file, *key);

    if (value == NULL)
      continue;
    g_assert_true (g_variant_is_of_type (value, g_settings_schema_key_get_value_type (schema_key)));
    g_assert_true (g_settings_schema_key_range_check (schema_key, value));
    g_assert_cmpuint (hypha_config_file_get_line (file, *key), >, 0);
    check_edit (file, *key, value, keys);
    check_edit (file, *key, NULL, keys);
  }
}

static guint
get_uint (DaemonWorld *world, const char *key)
{
  return g_variant_get_uint32 (hypha_settings_get (world->settings, key, NULL));
}

/* What holds is what would hold if it were read from what --print-config says. */
static void
check_settings (DaemonWorld *world)
{
  g_autofree char *text = hypha_settings_print (world->settings);
  g_autoptr (HyphaConfigFile) file = parse (text, strlen (text));
  g_auto (GStrv) keys = hypha_settings_list_keys (world->settings);

  g_assert_cmpuint (hypha_config_file_get_faults (file)->len, ==, 0);
  for (char **key = keys; *key != NULL; key++)
    g_assert_true (g_variant_equal (hypha_config_file_lookup (file, *key),
                                    hypha_settings_get (world->settings, *key, NULL)));
  g_assert_cmpuint (get_uint (world, "link-timeout"), >=, get_uint (world, "ping-interval"));
  g_assert_cmpuint (get_uint (world, "session-window"), >=,
                    2 * HYPHA_SESSION_WINDOW_MIN * get_uint (world, "max-streams"));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  DaemonWorld *world = daemon_world ();
  const char *text = size > 0 ? (const char *) data : "";
  g_autoptr (HyphaConfigFile) file = parse (text, size);

  check_file (file);
  daemon_world_write (world, text, size);
  daemon_world_turn ();
  check_settings (world);
  daemon_world_reset (world);
  check_settings (world);
  return 0;
}
