/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#define G_SETTINGS_ENABLE_BACKEND
#include <gio/gsettingsbackend.h>
#include <glib/gstdio.h>

#include "daemon/config-file.h"
#include "daemon/settings-private.h"

#define GROUP "org/hypha/node"

static GSettingsSchema *schema;

static HyphaConfigFile *
parse (const char *text)
{
  return hypha_config_file_parse (text, strlen (text), GROUP, schema);
}

static void
assert_one_fault (const char *text, guint line, const char *key, const char *reason)
{
  g_autoptr (HyphaConfigFile) file = parse (text);
  const GPtrArray *faults = hypha_config_file_get_faults (file);
  const HyphaConfigFileFault *fault;

  g_assert_cmpuint (faults->len, ==, 1);
  fault = faults->pdata[0];
  g_assert_cmpuint (fault->line, ==, line);
  g_assert_cmpstr (fault->key, ==, key);
  g_assert_nonnull (strstr (fault->reason, reason));
}

static void
test_good_values (void)
{
  g_autoptr (HyphaConfigFile) file =
      parse ("# first\n[" GROUP "]\n name = 'a' \r\n\nswitch-margin=0x10\nlisten=[]\n"
             "trusted-peers={'x': {'name': <'y'>}}\n");

  g_assert_cmpuint (hypha_config_file_get_faults (file)->len, ==, 0);
  g_assert_cmpstr (g_variant_get_string (hypha_config_file_lookup (file, "name"), NULL), ==, "a");
  g_assert_cmpuint (hypha_config_file_get_line (file, "name"), ==, 3);
  g_assert_cmpuint (g_variant_get_uint32 (hypha_config_file_lookup (file, "switch-margin")), ==,
                    16);
  g_assert_cmpstr (g_variant_get_type_string (hypha_config_file_lookup (file, "listen")), ==, "as");
  g_assert_null (hypha_config_file_lookup (file, "peers"));
  g_assert_cmpuint (hypha_config_file_get_line (file, "peers"), ==, 0);
  g_assert_false (hypha_config_file_is_wrong (file, "peers"));
}

/* What this reader takes, the back-end that saves must take alike. */
static void
test_takes_what_the_backend_takes (void)
{
  const char *const values[] = { "plain", "'quoted'", "\"quoted\"", "two words", "'",
                                 "\"",    "a'b",      "",           "5",         "é" };
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("hypha-XXXXXX", &error);
  g_autofree char *path = g_build_filename (folder, "node.conf", NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (values); i++) {
    g_autofree char *text = g_strdup_printf ("[" GROUP "]\nname=%s\n", values[i]);
    g_autoptr (HyphaConfigFile) file = parse (text);
    g_autoptr (GSettingsBackend) backend = NULL;
    g_autoptr (GSettings) settings = NULL;
    g_autofree char *theirs = NULL;
    GVariant *ours = hypha_config_file_lookup (file, "name");

    g_assert_true (g_file_set_contents (path, text, -1, &error));
    backend = g_keyfile_settings_backend_new (path, "/", NULL);
    settings = g_settings_new_full (schema, backend, NULL);
    theirs = g_settings_get_string (settings, "name");
    if (ours)
      g_assert_cmpstr (g_variant_get_string (ours, NULL), ==, theirs);
    else /* a quote that is not closed is rather a mistake */
      g_assert_true (*values[i] == '\'' || *values[i] == '"');
  }
  g_assert_cmpint (g_remove (path), ==, 0);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

static void
test_faults (void)
{
  assert_one_fault ("[" GROUP "]\nlisten=5\n", 2, "listen", "type as");
  assert_one_fault ("[" GROUP "]\nlisten=\n", 2, "listen", "type as");
  assert_one_fault ("[" GROUP "]\n\n\nping-interval=1\n", 4, "ping-interval", "50");
  assert_one_fault ("[" GROUP "]\nnme=x\n", 2, "nme", "no such key");
  assert_one_fault ("[" GROUP "]\nname[de]=x\n", 2, "name[de]", "no such key");
  assert_one_fault ("[" GROUP "]\nname=x\n[" GROUP "]\nname=y\n", 4, "name", "line 2");
  assert_one_fault ("name=x\n", 1, "name", "group");
  assert_one_fault ("[" GROUP "]\n=x\n", 2, NULL, "KEY=VALUE");
  assert_one_fault ("[" GROUP "]\n[" GROUP "\n", 2, NULL, "group");
  assert_one_fault ("[]\n", 1, NULL, "group");
  assert_one_fault ("[\n", 1, NULL, "group");
  assert_one_fault ("[other]\n", 1, NULL, "group");
}

static void
test_wrong_key_has_no_value_and_is_known_to_be_wrong (void)
{
  g_autoptr (HyphaConfigFile) file = parse ("[" GROUP "]\nlisten=5\nname=x\n");

  g_assert_null (hypha_config_file_lookup (file, "listen"));
  g_assert_true (hypha_config_file_is_wrong (file, "listen"));
  g_assert_false (hypha_config_file_is_wrong (file, "name"));
}

/* Nobody knows which keys such a file has: none of them may fall back to its default. */
static void
test_not_utf8_makes_every_key_wrong (void)
{
  g_autoptr (HyphaConfigFile) file = parse ("[" GROUP "]\nname=x\nlisten=\xff\n");
  const GPtrArray *faults = hypha_config_file_get_faults (file);

  g_assert_cmpuint (faults->len, ==, 1);
  g_assert_cmpuint (((HyphaConfigFileFault *) faults->pdata[0])->line, ==, 3);
  g_assert_true (hypha_config_file_is_wrong (file, "name"));
  g_assert_true (hypha_config_file_is_wrong (file, "peers"));
}

static void
test_nul_is_not_text (void)
{
  const char text[] = "[" GROUP "]\nname=a\0b\nlisten=5\n";
  g_autoptr (HyphaConfigFile) file = hypha_config_file_parse (text, sizeof text - 1, GROUP, schema);

  g_assert_true (hypha_config_file_is_wrong (file, "name"));
}

static void
test_description_is_one_short_printable_line (void)
{
  g_autofree char *many = g_strnfill (500, '\x1b');
  g_autofree char *text = g_strdup_printf ("[" GROUP "]\nlisten=%s\nk\x07y=1\n", many);
  g_autoptr (HyphaConfigFile) file = parse (text);
  const GPtrArray *faults = hypha_config_file_get_faults (file);

  g_assert_cmpuint (faults->len, ==, 2);
  for (guint i = 0; i < faults->len; i++) {
    g_autofree char *sentence =
        hypha_config_file_fault_describe (faults->pdata[i], "/etc/node.conf");

    g_assert_true (g_str_has_prefix (sentence, "/etc/node.conf, line "));
    g_assert_cmpuint (strlen (sentence), <, 300);
    for (const char *c = sentence; *c; c++)
      g_assert_false (g_ascii_iscntrl (*c));
  }
}

/* A key that nobody takes up would be a promise that is not kept. */
static void
test_every_key_of_the_schema_does_something (void)
{
  g_auto (GStrv) keys = g_settings_schema_list_keys (schema);

  for (char **key = keys; *key; key++)
    g_assert_nonnull (hypha_settings_find_rule (*key));
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  schema = g_settings_schema_source_lookup (g_settings_schema_source_get_default (),
                                            "org.hypha.node", TRUE);
  g_assert_nonnull (schema);
  g_test_add_func ("/config-file/good-values", test_good_values);
  g_test_add_func ("/config-file/takes-what-the-backend-takes", test_takes_what_the_backend_takes);
  g_test_add_func ("/config-file/faults", test_faults);
  g_test_add_func ("/config-file/wrong-key-is-known-to-be-wrong",
                   test_wrong_key_has_no_value_and_is_known_to_be_wrong);
  g_test_add_func ("/config-file/not-utf8-makes-every-key-wrong",
                   test_not_utf8_makes_every_key_wrong);
  g_test_add_func ("/config-file/nul-is-not-text", test_nul_is_not_text);
  g_test_add_func ("/config-file/description-is-one-short-printable-line",
                   test_description_is_one_short_printable_line);
  g_test_add_func ("/settings/every-key-of-the-schema-does-something",
                   test_every_key_of_the_schema_does_something);
  status = g_test_run ();
  g_settings_schema_unref (schema);
  return status;
}
