/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "fixture.h"
#include "loader-fixture.h"
#include "hypha-inspect.h"

#define NOBODY 65534

#define add(path, function) \
  g_test_add (path, LoaderFixture, NULL, loader_fixture_set_up, function, loader_fixture_tear_down)

HYPHA_DEFINE_PLUGIN (inside, "inside", "1.0", "Part of this program", "LGPL-2.1-or-later", 0,
                     fixture_create);
HYPHA_DEFINE_PLUGIN (beside, "beside", "1.0", "Claims its scheme", "LGPL-2.1-or-later", 0,
                     fixture_create);

/* The plug-in PLUGIN, put there as FILE, in STATE, with the other words in its reason; nothing of
 * it is served. */
static void
check_bad (LoaderFixture *fixture, const char *plugin, HyphaModuleState state, const char *first,
           const char *second)
{
  g_autofree char *file = g_strconcat (plugin, ".so", NULL);
  g_autofree char *path = loader_fixture_copy (fixture, plugin, file);
  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, file, state);
  loader_fixture_assert_reason (fixture, file, path, first, second, NULL);
  loader_fixture_assert_serves_not (fixture, plugin);
  g_assert_null (hypha_module_get_transport (loader_fixture_find (fixture, file)));
  /* One bad plug-in never hurts the rest. */
  loader_fixture_assert_serves (fixture, "good");
  g_assert_cmpstr (fixture->told->str, ==, "+good");
}

static void
test_good (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");
  g_autoptr (GVariant) details = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autofree char *name = NULL, *version = NULL, *found = NULL, *reason = NULL;
  HyphaModule *module;
  guint state;

  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
  module = loader_fixture_find (fixture, "good.so");
  g_object_get (module, "name", &name, "version", &version, "path", &found, "reason", &reason,
                "state", &state, NULL);
  g_assert_cmpstr (name, ==, "good");
  g_assert_cmpstr (version, ==, "1.0");
  g_assert_cmpstr (found, ==, path);
  g_assert_cmpstr (reason, ==, "");
  g_assert_cmpuint (state, ==, HYPHA_MODULE_READY);
  details = hypha_module_dup_details (module);
  g_assert_true (g_variant_lookup (details, "fixture", "s", NULL));
  loader_fixture_assert_serves (fixture, "good");
  g_assert_cmpstr (fixture->told->str, ==, "+good");
  /* Another spelling becomes the canonical one. */
  endpoint = hypha_loader_parse_endpoint (fixture->loader, "good-CONNECT://x", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==, "good://x");
}

/* With a loader that has two plug-ins built in, which claim one scheme. */
static void
start_with_built_in (LoaderFixture *fixture)
{
  const char *const directories[] = { fixture->plugins, NULL };

  fixture->loader = hypha_loader_new (directories);
  hypha_loader_add_built_in (fixture->loader, &hypha_plugin_inside);
  hypha_loader_add_built_in (fixture->loader, &hypha_plugin_beside);
  loader_fixture_start (fixture, NULL);
}

static void
assert_built_in (LoaderFixture *fixture, guint position, const char *path, HyphaModuleState state,
                 const char *reason)
{
  g_autoptr (HyphaModule) module = g_list_model_get_item (G_LIST_MODEL (fixture->loader), position);

  g_assert_cmpstr (hypha_module_get_path (module), ==, path);
  g_assert_cmpint (hypha_module_get_state (module), ==, state);
  if (reason == NULL)
    g_assert_cmpstr (hypha_module_get_reason (module), ==, "");
  else
    g_assert_nonnull (strstr (hypha_module_get_reason (module), reason));
}

static void
test_built_in (LoaderFixture *fixture, gconstpointer data)
{
  const char *const off[] = { "inside", NULL };
  const char *const none[] = { NULL };

  loader_fixture_put (fixture, "good", "good.so");
  start_with_built_in (fixture);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (fixture->loader)), ==, 3);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
  assert_built_in (fixture, 1, "beside (built in)", HYPHA_MODULE_REFUSED,
                   "inside (built in) (priority 0) has; to use this one instead, give it a higher");
  assert_built_in (fixture, 2, "inside (built in)", HYPHA_MODULE_READY, NULL);
  loader_fixture_assert_serves (fixture, "inside");
  loader_fixture_assert_serves (fixture, "good");
  hypha_loader_set_disabled (fixture->loader, off);
  assert_built_in (fixture, 2, "inside (built in)", HYPHA_MODULE_DISABLED, "\"inside\"");
  loader_fixture_assert_serves_not (fixture, "inside");
  hypha_loader_set_disabled (fixture->loader, none);
  loader_fixture_assert_serves (fixture, "inside");
}

static void
test_file_of_what_is_built_in (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_put (fixture, "inside", "inside.so");
  start_with_built_in (fixture);
  loader_fixture_assert_state (fixture, "inside.so", HYPHA_MODULE_REFUSED);
  loader_fixture_assert_reason (fixture, "inside.so", "the plug-in inside built in", NULL);
  loader_fixture_assert_serves (fixture, "inside");
}

static void
test_lookup_names_what_there_is (LoaderFixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  g_assert_null (hypha_loader_parse_endpoint (fixture->loader, "bad://x", NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT);
  g_assert_nonnull (strstr (error->message, "there are: good"));
  g_assert_nonnull (strstr (error->message, fixture->plugins));
}

static void
test_lookup_says_why_refused (LoaderFixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  loader_fixture_put (fixture, "wrong-magic", "wrong-magic.so");
  loader_fixture_start (fixture, NULL);
  g_assert_null (hypha_loader_lookup (fixture->loader, "wrong-magic", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT);
  g_assert_nonnull (strstr (error->message, "refused"));
  g_assert_nonnull (strstr (error->message, "magic"));
}

static void
test_ignores_other_files (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_put (fixture, "good", "README.md");
  loader_fixture_put (fixture, "good", ".good.so");
  loader_fixture_put (fixture, "good", "good.so.dpkg-new");
  loader_fixture_start (fixture, NULL);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (fixture->loader)), ==, 0);
}

static void
test_list_is_sorted (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *c = loader_fixture_copy (fixture, "wrong-magic", "c.so");
  g_autofree char *a = loader_fixture_copy (fixture, "wrong-magic", "a.so");
  g_autofree char *b = loader_fixture_copy (fixture, "wrong-magic", "b.so");
  const char *const paths[] = { a, b, c };

  loader_fixture_start (fixture, NULL);
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (fixture->loader)), ==, 3);
  g_assert_true (g_list_model_get_item_type (G_LIST_MODEL (fixture->loader)) == HYPHA_TYPE_MODULE);
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autoptr (HyphaModule) module = g_list_model_get_item (G_LIST_MODEL (fixture->loader), i);

    g_assert_cmpstr (hypha_module_get_path (module), ==, paths[i]);
  }
}

/* Checked once, it stays as it was checked. */
static void
test_copy_is_sealed (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");
  g_auto (HyphaFd) file = open (path, O_RDONLY | O_CLOEXEC);
  g_autoptr (GError) error = NULL;
  g_auto (HyphaFd) copy = hypha_inspect_copy (file, "good.so", path, &error);

  g_assert_no_error (error);
  g_assert_cmpint (pwrite (copy, "x", 1, 0), ==, -1);
  g_assert_cmpint (ftruncate (copy, 0), ==, -1);
  g_assert_cmpint (fcntl (copy, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
}

static void
test_no_symbol (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "no-symbol", HYPHA_MODULE_REFUSED, "does not export",
             "hypha_plugin_no_symbol");
}

static void
test_wrong_magic (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "wrong-magic", HYPHA_MODULE_REFUSED, "0xdeadbeef", "HYPHA_DEFINE_PLUGIN");
}

static void
test_other_major (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "other-major", HYPHA_MODULE_REFUSED, "ABI 2.0",
             "has 1." G_STRINGIFY (HYPHA_PLUGIN_ABI_MINOR));
}

static void
test_newer_minor (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "newer-minor", HYPHA_MODULE_REFUSED, "ABI 1.", "update hypha");
}

static void
test_short (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "short", HYPHA_MODULE_REFUSED, "broken hypha_plugin_short", "needs ");
}

static void
test_nameless (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "nameless", HYPHA_MODULE_REFUSED, "lacks a name", "HYPHA_DEFINE_PLUGIN");
}

static void
test_unresolved (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "unresolved", HYPHA_MODULE_REFUSED,
             "undefined symbol: hypha_fixture_nobody_has_this", "ldd -r ");
  g_assert_null (
      strstr (hypha_module_get_reason (loader_fixture_find (fixture, "unresolved.so")), "/proc"));
}

static void
test_create_fails (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "create-fails", HYPHA_MODULE_FAILED, "the moon is in the wrong phase",
             "touch ");
}

static void
test_create_silent (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "create-silent", HYPHA_MODULE_FAILED, "failed without saying why", "author");
}

static void
test_no_transport (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, "no-transport", HYPHA_MODULE_FAILED, "no HyphaTransport", "author");
}

/* good.so, made bad by the caller. */
static void
check_refused (LoaderFixture *fixture, const char *file, const char *first, const char *second)
{
  g_autofree char *path = loader_fixture_path (fixture, file);

  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, file, HYPHA_MODULE_REFUSED);
  loader_fixture_assert_reason (fixture, file, path, first, second, NULL);
  loader_fixture_assert_serves_not (fixture, "good");
  g_assert_cmpstr (fixture->told->str, ==, "");
}

static void
test_writable_by_others (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");
  g_autofree char *command = g_strconcat ("chmod o-w ", path, NULL);

  g_assert_cmpint (g_chmod (path, 0757), ==, 0);
  check_refused (fixture, "good.so", "written by others", command);
}

static void
test_writable_by_group (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");
  g_autofree char *command = g_strconcat ("chmod go-w ", path, NULL);

  if (geteuid () != 0 || chown (path, (uid_t) -1, NOBODY) < 0) {
    g_test_skip ("needs root, to give a file to another group");
    return;
  }
  g_assert_cmpint (g_chmod (path, 0777), ==, 0);
  check_refused (fixture, "good.so", "written by everybody", command);
}

static void
test_foreign_owner (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");
  g_autofree char *command = g_strconcat ("chown root: ", path, NULL);

  if (geteuid () != 0 || chown (path, NOBODY, (gid_t) -1) < 0) {
    g_test_skip ("needs root, to give a file away");
    return;
  }
  check_refused (fixture, "good.so", "belongs to uid 65534", command);
}

static void
test_symbolic_link (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");
  g_autofree char *source = loader_fixture_source ("good");

  g_assert_cmpint (symlink (source, path), ==, 0);
  check_refused (fixture, "good.so", "symbolic link", "cp --remove-destination");
}

static void
test_fifo (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");

  g_assert_cmpint (mkfifo (path, 0644), ==, 0);
  check_refused (fixture, "good.so", "not a regular file", "mv ");
}

static void
test_directory_as_file (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");

  g_assert_cmpint (g_mkdir (path, 0755), ==, 0);
  check_refused (fixture, "good.so", "not a regular file", "mv ");
}

static void
test_half_a_file (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");
  g_autoptr (GBytes) bytes = loader_fixture_read ("good");

  loader_fixture_write (path, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes) / 2);
  check_refused (fixture, "good.so", "not whole", "cp --remove-destination SOURCE");
}

static void
test_not_a_shared_object (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");

  loader_fixture_write (path, "int main;\n", 10);
  check_refused (fixture, "good.so", "no ELF file", "cc -shared");
}

static void
test_impossible_name (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_put (fixture, "good", "go od.so");
  check_refused (fixture, "go od.so", "cannot be a plug-in's name", "go od.so' NAME.so");
}

static void
test_other_name (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_put (fixture, "good", "better.so");
  check_refused (fixture, "better.so", "hypha_plugin_better", "give the file its plug-in's name");
}

static void
test_loose_directory (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *command = g_strconcat ("chmod o-w ", fixture->root, NULL);

  loader_fixture_put (fixture, "good", "good.so");
  g_assert_cmpint (g_chmod (fixture->root, 0707), ==, 0);
  check_refused (fixture, "good.so", fixture->root, command);
}

static void
test_foreign_directory (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *command = g_strconcat ("chown root: ", fixture->plugins, NULL);

  loader_fixture_put (fixture, "good", "good.so");
  if (geteuid () != 0 || chown (fixture->plugins, NOBODY, (gid_t) -1) < 0) {
    g_test_skip ("needs root, to give a directory away");
    return;
  }
  check_refused (fixture, "good.so", "belongs to uid 65534", command);
}

static void
test_sticky_directory (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_put (fixture, "good", "good.so");
  if (geteuid () != 0) {
    g_test_skip ("needs root, whose sticky directory it has to be");
    return;
  }
  g_assert_cmpint (g_chmod (fixture->plugins, 01777), ==, 0);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
}

static void
test_linked_directory (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *link = g_build_filename (fixture->root, "link", NULL);
  const char *const directories[] = { link, NULL };

  loader_fixture_put (fixture, "good", "good.so");
  g_assert_cmpint (symlink ("./plugins/../plugins", link), ==, 0);
  loader_fixture_start (fixture, directories);
  loader_fixture_assert_serves (fixture, "good");
}

static void
test_foreign_link (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *link = g_build_filename (fixture->root, "link", NULL);
  const char *const directories[] = { link, NULL };
  g_autoptr (HyphaModule) module = NULL;

  loader_fixture_put (fixture, "good", "good.so");
  g_assert_cmpint (symlink (fixture->plugins, link), ==, 0);
  if (geteuid () != 0 || lchown (link, NOBODY, (gid_t) -1) < 0) {
    g_test_skip ("needs root, to give a link away");
    return;
  }
  loader_fixture_start (fixture, directories);
  module = g_list_model_get_item (G_LIST_MODEL (fixture->loader), 0);
  g_assert_cmpint (hypha_module_get_state (module), ==, HYPHA_MODULE_REFUSED);
  g_assert_nonnull (strstr (hypha_module_get_reason (module), link));
  loader_fixture_assert_serves_not (fixture, "good");
}

static void
test_circular_link (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *link = g_build_filename (fixture->root, "link", NULL);
  const char *const directories[] = { link, fixture->plugins, NULL };

  loader_fixture_put (fixture, "good", "good.so");
  g_assert_cmpint (symlink ("link", link), ==, 0);
  loader_fixture_start (fixture, directories);
  loader_fixture_assert_serves (fixture, "good");
}

static void
count_message (const char *domain, GLogLevelFlags level, const char *message, gpointer count)
{
  ++*(guint *) count;
}

/* Gives how many sentences people read of it. */
static guint
start_and_listen (LoaderFixture *fixture)
{
  guint count = 0;
  guint handler = g_log_set_handler (G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, count_message, &count);

  loader_fixture_start (fixture, NULL);
  g_log_remove_handler (G_LOG_DOMAIN, handler);
  return count;
}

static void
test_higher_priority_wins (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *usurper = loader_fixture_copy (fixture, "usurper", "usurper.so");

  loader_fixture_put (fixture, "good", "good.so");
  /* One with a lower priority is meant to give way. */
  g_assert_cmpuint (start_and_listen (fixture), ==, 0);
  loader_fixture_assert_state (fixture, "usurper.so", HYPHA_MODULE_READY);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_REFUSED);
  loader_fixture_assert_reason (fixture, "good.so", "scheme good", usurper, "priority 10", NULL);
  g_assert_cmpstr (fixture->told->str, ==, "+usurper");
  g_assert_true (hypha_loader_lookup (fixture->loader, "good", NULL) ==
                 hypha_module_get_transport (loader_fixture_find (fixture, "usurper.so")));
  g_assert_null (hypha_module_get_transport (loader_fixture_find (fixture, "good.so")));
}

static void
test_equal_priority_goes_by_order (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *good = loader_fixture_copy (fixture, "good", "good.so");

  loader_fixture_put (fixture, "rival", "rival.so");
  g_assert_cmpuint (start_and_listen (fixture), ==, 1);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
  loader_fixture_assert_state (fixture, "rival.so", HYPHA_MODULE_REFUSED);
  loader_fixture_assert_reason (fixture, "rival.so", "scheme good", good, "mv ", NULL);
}

static void
test_same_plugin_twice (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *second = g_build_filename (fixture->root, "second", NULL);
  g_autofree char *copy = g_build_filename (second, "good.so", NULL);
  g_autoptr (GBytes) bytes = loader_fixture_read ("good");
  const char *const directories[] = { second, fixture->plugins, second, NULL };

  loader_fixture_put (fixture, "good", "good.so");
  g_assert_cmpint (g_mkdir (second, 0755), ==, 0);
  loader_fixture_write (copy, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  loader_fixture_start (fixture, directories);
  /* The first directory goes first. */
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_REFUSED);
  loader_fixture_assert_reason (fixture, "good.so", copy, NULL);
  loader_fixture_assert_serves (fixture, "good");
  g_assert_cmpuint (g_list_model_get_n_items (G_LIST_MODEL (fixture->loader)), ==, 2);
  g_assert_cmpint (g_unlink (copy), ==, 0);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_READY);
  g_assert_cmpstr (fixture->told->str, ==, "+good-good+good");
  loader_fixture_assert_serves (fixture, "good");
}

static void
test_two_loaders (LoaderFixture *fixture, gconstpointer data)
{
  const char *const directories[] = { fixture->plugins, NULL };
  g_autoptr (HyphaLoader) other = hypha_loader_new (directories);

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  hypha_loader_start (other);
  g_assert_true (hypha_loader_lookup (other, "good", NULL) !=
                 hypha_loader_lookup (fixture->loader, "good", NULL));
  g_clear_object (&other);
  loader_fixture_assert_serves (fixture, "good");
}

static void
test_other_build_in_the_process (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *second = g_build_filename (fixture->root, "second", NULL);
  g_autofree char *copy = g_build_filename (second, "good.so", NULL);
  g_autoptr (GBytes) bytes = loader_fixture_read ("good-2");
  const char *const directories[] = { fixture->plugins, second, NULL };
  g_autoptr (HyphaModule) module = NULL;

  loader_fixture_put (fixture, "good", "good.so");
  g_assert_cmpint (g_mkdir (second, 0755), ==, 0);
  loader_fixture_write (copy, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  loader_fixture_start (fixture, directories);
  loader_fixture_assert_serves (fixture, "good");
  module = g_list_model_get_item (G_LIST_MODEL (fixture->loader), 1);
  g_assert_cmpstr (hypha_module_get_path (module), ==, copy);
  g_assert_cmpint (hypha_module_get_state (module), ==, HYPHA_MODULE_REFUSED);
  g_assert_nonnull (strstr (hypha_module_get_reason (module), "another build of the plug-in good"));
  g_assert_nonnull (strstr (hypha_module_get_reason (module), "restart "));
}

static void
test_disabled_is_not_opened (LoaderFixture *fixture, gconstpointer data)
{
  const char *const disabled[] = { "usurper", NULL };
  const char *const none[] = { NULL };
  const char *const directories[] = { fixture->plugins, NULL };

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_put (fixture, "usurper", "usurper.so");
  fixture->loader = hypha_loader_new (directories);
  hypha_loader_set_disabled (fixture->loader, disabled);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "usurper.so", HYPHA_MODULE_DISABLED);
  loader_fixture_assert_reason (fixture, "usurper.so", "disabled-transports", "\"usurper\"", NULL);
  g_assert_cmpstr (hypha_module_get_version (loader_fixture_find (fixture, "usurper.so")), ==, "");
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
  hypha_loader_set_disabled (fixture->loader, none);
  loader_fixture_assert_state (fixture, "usurper.so", HYPHA_MODULE_READY);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_REFUSED);
}

static void
test_disabled_takes_effect_at_once (LoaderFixture *fixture, gconstpointer data)
{
  const char *const disabled[] = { "good-CONNECT", NULL };
  const char *const none[] = { NULL };
  g_autoptr (GError) error = NULL;

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  hypha_loader_set_disabled (fixture->loader, disabled);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_DISABLED);
  g_assert_cmpstr (fixture->told->str, ==, "+good-good");
  g_assert_null (hypha_loader_lookup (fixture->loader, "good", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT);
  g_assert_nonnull (strstr (error->message, "disabled-transports"));
  hypha_loader_set_disabled (fixture->loader, none);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
  g_assert_cmpstr (fixture->told->str, ==, "+good-good+good");
}

static void
test_unavailable (LoaderFixture *fixture, gconstpointer data)
{
  const char *const disabled[] = { "good", NULL };
  const char *const none[] = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  hypha_loader_set_disabled (fixture->loader, disabled);
  g_assert_true (hypha_loader_set_options (
      fixture->loader, g_variant_new_parsed ("{'good': {'broken': <'modprobe good'>}}"), NULL));
  hypha_loader_set_disabled (fixture->loader, none);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_UNAVAILABLE);
  loader_fixture_assert_reason (fixture, "good.so", "modprobe good", NULL);
  g_assert_null (hypha_loader_lookup (fixture->loader, "good", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, "modprobe good"));
  g_assert_nonnull (hypha_module_get_transport (loader_fixture_find (fixture, "good.so")));
  endpoint = hypha_loader_parse_endpoint (fixture->loader, "good://x", NULL, NULL);
  g_assert_nonnull (endpoint);
  /* Lookup asks again. */
  g_assert_true (
      hypha_loader_set_options (fixture->loader, g_variant_new ("a{sa{sv}}", NULL), NULL));
  loader_fixture_assert_serves (fixture, "good");
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
  loader_fixture_assert_reason (fixture, "good.so", NULL);
}

static void
test_options_wrong (LoaderFixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  g_assert_false (hypha_loader_set_options (
      fixture->loader, g_variant_new_parsed ("{'good': {'wrong': <1>}, 'later': {'x': <2>}}"),
      &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  g_assert_nonnull (strstr (error->message, "good: there is no option \"wrong\""));
  /* It works on, and says so. */
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
  loader_fixture_assert_reason (fixture, "good.so", "transport-options", "\"wrong\"", NULL);
  loader_fixture_assert_serves (fixture, "good");
  g_assert_true (
      hypha_loader_set_options (fixture->loader, g_variant_new ("a{sa{sv}}", NULL), NULL));
  g_assert_cmpstr (hypha_module_get_reason (loader_fixture_find (fixture, "good.so")), ==, "");
  g_clear_error (&error);
  g_assert_false (hypha_loader_set_options (fixture->loader, g_variant_new_string ("x"), &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
}

static void
test_options_before_the_plugin (LoaderFixture *fixture, gconstpointer data)
{
  const char *const directories[] = { fixture->plugins, NULL };

  loader_fixture_put (fixture, "good", "good.so");
  fixture->loader = hypha_loader_new (directories);
  g_assert_true (hypha_loader_set_options (
      fixture->loader, g_variant_new_parsed ("{'good': {'broken': <'not today'>}}"), NULL));
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_UNAVAILABLE);
  loader_fixture_assert_reason (fixture, "good.so", "not today", NULL);
}

static char *
print_directories (const char *program, const char *path, GError **error)
{
  const char *const argv[] = { program, NULL };
  g_auto (GStrv) environment = g_get_environ ();
  char *output = NULL;
  int status;

  if (path != NULL)
    environment = g_environ_setenv (environment, "HYPHA_PLUGIN_PATH", path, TRUE);
  else
    environment = g_environ_unsetenv (environment, "HYPHA_PLUGIN_PATH");
  environment = g_environ_setenv (environment, "XDG_DATA_HOME", "/data", TRUE);
  if (!g_spawn_sync (NULL, (char **) argv, environment, G_SPAWN_DEFAULT, NULL, NULL, &output, NULL,
                     &status, error))
    return NULL;
  g_assert_true (g_spawn_check_wait_status (status, NULL));
  return output;
}

static void
test_directories (LoaderFixture *fixture, gconstpointer data)
{
  const char *program = g_getenv ("HYPHA_TEST_PRINT_DIRECTORIES");
  g_autofree char *usual = print_directories (program, NULL, NULL);
  g_autofree char *other = print_directories (program, "/a::/b/../c", NULL);
  g_autofree char *none = print_directories (program, "", NULL);

  g_assert_cmpstr (usual, ==, HYPHA_TRANSPORT_DIR "\n/data/hypha-1/transports\n");
  g_assert_cmpstr (other, ==, "/a\n/c\n");
  g_assert_cmpstr (none, ==, "");
}

/* A program that is set-user-id takes no directory from who starts it. */
static void
test_directories_raised (LoaderFixture *fixture, gconstpointer data)
{
  const char *program = g_getenv ("HYPHA_TEST_PRINT_DIRECTORIES");
  g_autofree char *raised = g_build_filename (fixture->root, "raised", NULL);
  g_autofree char *contents = NULL;
  g_autofree char *output = NULL;
  g_autoptr (GError) error = NULL;
  gsize size = 0;

  g_assert_true (g_file_get_contents (program, &contents, &size, NULL));
  loader_fixture_write (raised, contents, size);
  g_assert_cmpint (g_chmod (fixture->root, 0711), ==, 0);
  if (geteuid () != 0 || chown (raised, NOBODY, (gid_t) -1) < 0 || g_chmod (raised, 04755) < 0) {
    g_test_skip ("needs root, to make a set-user-id program");
    return;
  }
  output = print_directories (raised, "/a", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (output, ==, HYPHA_TRANSPORT_DIR "\n");
}

static void
add_refusals (void)
{
  add ("/loader/refuses/no-symbol", test_no_symbol);
  add ("/loader/refuses/wrong-magic-before-it-runs", test_wrong_magic);
  add ("/loader/refuses/other-major-before-it-runs", test_other_major);
  add ("/loader/refuses/newer-minor-before-it-runs", test_newer_minor);
  add ("/loader/refuses/short-structure", test_short);
  add ("/loader/refuses/no-name", test_nameless);
  add ("/loader/refuses/unresolved-symbol-and-names-it", test_unresolved);
  add ("/loader/refuses/file-writable-by-others", test_writable_by_others);
  add ("/loader/refuses/file-writable-by-foreign-group", test_writable_by_group);
  add ("/loader/refuses/file-of-foreign-owner", test_foreign_owner);
  add ("/loader/refuses/symbolic-link", test_symbolic_link);
  add ("/loader/refuses/fifo", test_fifo);
  add ("/loader/refuses/directory-with-the-name-of-a-file", test_directory_as_file);
  add ("/loader/refuses/half-a-file", test_half_a_file);
  add ("/loader/refuses/not-a-shared-object", test_not_a_shared_object);
  add ("/loader/refuses/impossible-name", test_impossible_name);
  add ("/loader/refuses/name-of-another-plug-in", test_other_name);
  add ("/loader/refuses/directory-above-writable-by-others", test_loose_directory);
  add ("/loader/refuses/directory-of-foreign-owner", test_foreign_directory);
  add ("/loader/refuses/way-through-foreign-link", test_foreign_link);
  add ("/loader/refuses/other-build-of-what-is-in-use", test_other_build_in_the_process);
  add ("/loader/refuses/file-of-what-is-built-in", test_file_of_what_is_built_in);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("/loader/good/is-ready-and-served", test_good);
  add ("/loader/good/in-sticky-directory-of-root", test_sticky_directory);
  add ("/loader/good/through-linked-directory", test_linked_directory);
  add ("/loader/good/two-loaders-share-the-code", test_two_loaders);
  add ("/loader/good/built-in-is-listed-and-served", test_built_in);
  add ("/loader/list/ignores-other-files", test_ignores_other_files);
  add ("/loader/list/is-sorted-by-path", test_list_is_sorted);
  add ("/loader/lookup/names-what-there-is", test_lookup_names_what_there_is);
  add ("/loader/lookup/says-why-refused", test_lookup_says_why_refused);
  add ("/loader/copy-cannot-be-changed", test_copy_is_sealed);
  add ("/loader/circular-link-hurts-nobody", test_circular_link);
  add_refusals ();
  add ("/loader/fails/with-the-error-of-create", test_create_fails);
  add ("/loader/fails/without-an-error", test_create_silent);
  add ("/loader/fails/creates-no-transport", test_no_transport);
  add ("/loader/scheme/higher-priority-wins", test_higher_priority_wins);
  add ("/loader/scheme/equal-priority-goes-by-order", test_equal_priority_goes_by_order);
  add ("/loader/scheme/same-plug-in-twice-takes-over", test_same_plugin_twice);
  add ("/loader/disabled/by-name-is-not-opened", test_disabled_is_not_opened);
  add ("/loader/disabled/takes-effect-at-once", test_disabled_takes_effect_at_once);
  add ("/loader/probe/unavailable-and-back", test_unavailable);
  add ("/loader/options/wrong-ones-are-told", test_options_wrong);
  add ("/loader/options/wait-for-their-plug-in", test_options_before_the_plugin);
  add ("/loader/directories/from-environment", test_directories);
  add ("/loader/directories/raised-privileges-ignore-environment", test_directories_raised);
  return g_test_run ();
}
