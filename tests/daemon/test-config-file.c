/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#define G_SETTINGS_ENABLE_BACKEND
#include <gio/gsettingsbackend.h>
#include <glib/gstdio.h>
#include <fcntl.h>
#include <unistd.h>

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

/* A file may go from one to the other: what this reader takes, GSettings' back-end takes alike. */
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

/* ---- changing one key ---- */

static void
assert_edit (const char *text, const char *key, const char *value, const char *expected)
{
  g_autoptr (HyphaConfigFile) file = parse (text);
  g_autoptr (GVariant) variant = value ? g_variant_ref_sink (g_variant_new_string (value)) : NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *edited = hypha_config_file_edit (file, "/etc/node.conf", key, variant, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (edited, ==, expected);
}

static void
test_edit_leaves_every_other_line (void)
{
  assert_edit ("# one\n[" GROUP "]\n\n# two\n name = a\n# three\n", "name", "b",
               "# one\n[" GROUP "]\n\n# two\nname='b'\n# three\n");
  assert_edit ("[" GROUP "]\npeers=[]\n\n# end\n", "name", "b",
               "[" GROUP "]\npeers=[]\nname='b'\n\n# end\n");
  assert_edit ("[" GROUP "]\nname=a\npeers=[]", "name", NULL, "[" GROUP "]\npeers=[]\n");
  assert_edit ("[" GROUP "]\npeers=[]\n", "name", NULL, "[" GROUP "]\npeers=[]\n");
  assert_edit ("", "name", "b", "[" GROUP "]\nname='b'\n");
  assert_edit ("# only", "name", "b", "# only\n[" GROUP "]\nname='b'\n");
  assert_edit ("[" GROUP "]", "name", "two\nlines\n[x]", "[" GROUP "]\nname='two\\nlines\\n[x]'\n");
}

/* A line that is wrong would be lost from sight, or keep the next start from succeeding. */
static void
test_edit_mends_its_own_line_and_no_other (void)
{
  g_autoptr (HyphaConfigFile) file = parse ("[" GROUP "]\nname='a\n");
  g_autoptr (HyphaConfigFile) other = parse ("[" GROUP "]\nlisten=5\nname=a\n");
  g_autoptr (HyphaConfigFile) twice = parse ("[" GROUP "]\nname=a\nname=b\n");
  g_autoptr (GVariant) value = g_variant_ref_sink (g_variant_new_string ("b"));
  g_autoptr (GError) error = NULL;
  g_autofree char *edited = hypha_config_file_edit (file, "/x", "name", value, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (edited, ==, "[" GROUP "]\nname='b'\n");
  g_assert_null (hypha_config_file_edit (other, "/x", "name", value, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  g_assert_nonnull (strstr (error->message, "line 2: listen"));
  g_clear_error (&error);
  g_assert_null (hypha_config_file_edit (twice, "/x", "name", value, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
}

static void
test_edit_never_makes_a_file_that_is_too_large (void)
{
  g_autoptr (HyphaConfigFile) file = parse ("");
  g_autofree char *much = g_strnfill (HYPHA_CONFIG_FILE_MAX_SIZE, 'x');
  g_autoptr (GVariant) value = g_variant_ref_sink (g_variant_new_string (much));
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_config_file_edit (file, "/x", "name", value, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
}

typedef struct {
  char *folder, *path;
  HyphaConfigFile *file; /* as it was read first */
} Saved;

static void
setup (Saved *saved, gconstpointer user_data)
{
  g_autoptr (GError) error = NULL;

  saved->folder = g_dir_make_tmp ("hypha-XXXXXX", &error);
  saved->path = g_build_filename (saved->folder, "node.conf", NULL);
  g_assert_true (g_file_set_contents (saved->path, "first", -1, &error));
  g_assert_cmpint (g_chmod (saved->path, 0640), ==, 0);
  saved->file = hypha_config_file_load (saved->path, GROUP, schema, &error);
  g_assert_no_error (error);
}

static void
teardown (Saved *saved, gconstpointer user_data)
{
  g_autoptr (GDir) folder = g_dir_open (saved->folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (folder))) {
    g_autofree char *path = g_build_filename (saved->folder, name, NULL);

    /* Nothing that was in between is left. */
    g_assert_true (g_str_equal (name, "node.conf") || g_str_equal (name, "link"));
    g_assert_cmpint (g_unlink (path), ==, 0);
  }
  g_assert_cmpint (g_rmdir (saved->folder), ==, 0);
  hypha_config_file_free (saved->file);
  g_free (saved->folder);
  g_free (saved->path);
}

static void
assert_contents (const char *path, const char *expected)
{
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, expected);
}

static void
assert_busy (Saved *saved)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (hypha_config_file_save (saved->file, saved->path, "ours", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
}

static void
test_save_keeps_mode_and_symbolic_link (Saved *saved, gconstpointer user_data)
{
  g_autofree char *link = g_build_filename (saved->folder, "link", NULL);
  g_autoptr (HyphaConfigFile) file = NULL;
  g_autoptr (GError) error = NULL;
  GStatBuf status;

  g_assert_cmpint (symlink ("node.conf", link), ==, 0);
  file = hypha_config_file_load (link, GROUP, schema, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_config_file_save (file, link, "ours", &error));
  g_assert_no_error (error);
  g_assert_true (g_file_test (link, G_FILE_TEST_IS_SYMLINK));
  assert_contents (saved->path, "ours");
  g_assert_cmpint (g_stat (saved->path, &status), ==, 0);
  g_assert_cmpint (status.st_mode & 07777, ==, 0640);
}

static void
test_save_never_replaces_what_it_has_not_seen (Saved *saved, gconstpointer user_data)
{
  g_autoptr (HyphaConfigFile) none = parse ("");
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (saved->path, "other", -1, NULL));
  assert_busy (saved);
  assert_contents (saved->path, "other");
  /* Nor one where there was none. */
  g_assert_false (hypha_config_file_save (none, saved->path, "ours", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  assert_contents (saved->path, "other");
}

static void
test_save_waits_for_whoever_writes (Saved *saved, gconstpointer user_data)
{
  int fd = open (saved->path, O_WRONLY | O_APPEND | O_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  if (fcntl (fd, F_GETLEASE) < 0) {
    g_test_skip ("this file system has no leases");
    close (fd);
    return;
  }
  assert_busy (saved);
  g_assert_cmpint (write (fd, " edit", 5), ==, 5);
  close (fd);
  assert_busy (saved);
  assert_contents (saved->path, "first edit");
}

static void
test_load_refuses_what_others_could_write (Saved *saved, gconstpointer user_data)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_chmod (saved->path, 0666), ==, 0);
  g_assert_null (hypha_config_file_load (saved->path, GROUP, schema, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  g_assert_nonnull (strstr (error->message, "chmod o-w"));
  g_clear_error (&error);
  g_assert_null (hypha_config_file_load (saved->folder, GROUP, schema, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  g_assert_cmpint (g_chmod (saved->path, 0644), ==, 0);
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
  g_test_add_func ("/config-file/edit-leaves-every-other-line", test_edit_leaves_every_other_line);
  g_test_add_func ("/config-file/edit-mends-its-own-line-and-no-other",
                   test_edit_mends_its_own_line_and_no_other);
  g_test_add_func ("/config-file/edit-never-makes-a-file-that-is-too-large",
                   test_edit_never_makes_a_file_that_is_too_large);
  g_test_add ("/config-file/save-keeps-mode-and-symbolic-link", Saved, NULL, setup,
              test_save_keeps_mode_and_symbolic_link, teardown);
  g_test_add ("/config-file/save-never-replaces-what-it-has-not-seen", Saved, NULL, setup,
              test_save_never_replaces_what_it_has_not_seen, teardown);
  g_test_add ("/config-file/save-waits-for-whoever-writes", Saved, NULL, setup,
              test_save_waits_for_whoever_writes, teardown);
  g_test_add ("/config-file/load-refuses-what-others-could-write", Saved, NULL, setup,
              test_load_refuses_what_others_could_write, teardown);
  g_test_add_func ("/settings/every-key-of-the-schema-does-something",
                   test_every_key_of_the_schema_does_something);
  status = g_test_run ();
  g_settings_schema_unref (schema);
  return status;
}
