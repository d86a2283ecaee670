/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader-fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define DEADLINE_MS 20000

void
loader_fixture_set_up (LoaderFixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->root = g_dir_make_tmp ("hypha-loader-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->plugins = g_build_filename (fixture->root, "plugins", NULL);
  g_assert_cmpint (g_mkdir (fixture->plugins, 0755), ==, 0);
  fixture->told = g_string_new (NULL);
}

static int
remove_entry (const char *path, const struct stat *status, int type, struct FTW *walk)
{
  return remove (path);
}

void
loader_fixture_tear_down (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_stop (fixture);
  nftw (fixture->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  g_free (fixture->root);
  g_free (fixture->plugins);
  g_string_free (fixture->told, TRUE);
}

static void
on_added (HyphaLoader *loader, HyphaModule *module, LoaderFixture *fixture)
{
  g_assert_true (HYPHA_IS_TRANSPORT (hypha_module_get_transport (module)));
  g_string_append_printf (fixture->told, "+%s", hypha_module_get_name (module));
}

static void
on_removed (HyphaLoader *loader, HyphaModule *module, LoaderFixture *fixture)
{
  HyphaTransport *transport = hypha_module_get_transport (module);

  /* Who has listeners of it can still tell which, but does not find it any more. */
  g_assert_true (HYPHA_IS_TRANSPORT (transport));
  g_assert_true (hypha_loader_lookup (loader, hypha_transport_get_schemes (transport)[0], NULL) !=
                 transport);
  g_string_append_printf (fixture->told, "-%s", hypha_module_get_name (module));
}

void
loader_fixture_start (LoaderFixture *fixture, const char *const *directories)
{
  const char *const own[] = { fixture->plugins, NULL };

  if (fixture->loader == NULL) {
    fixture->loader = hypha_loader_new (directories != NULL ? directories : own);
    g_signal_connect (fixture->loader, "transport-added", G_CALLBACK (on_added), fixture);
    g_signal_connect (fixture->loader, "transport-removed", G_CALLBACK (on_removed), fixture);
  }
  hypha_loader_start (fixture->loader);
}

void
loader_fixture_stop (LoaderFixture *fixture)
{
  if (fixture->loader != NULL)
    g_assert_finalize_object (g_steal_pointer (&fixture->loader));
}

char *
loader_fixture_source (const char *plugin)
{
  g_autofree char *name = g_strconcat (plugin, ".so", NULL);
  const char *directory = g_getenv ("HYPHA_TEST_PLUGINS");

  g_assert_nonnull (directory);
  return g_build_filename (directory, name, NULL);
}

GBytes *
loader_fixture_read (const char *plugin)
{
  g_autofree char *source = loader_fixture_source (plugin);
  g_autoptr (GError) error = NULL;
  char *data = NULL;
  gsize size = 0;

  g_file_get_contents (source, &data, &size, &error);
  g_assert_no_error (error);
  return g_bytes_new_take (data, size);
}

char *
loader_fixture_path (LoaderFixture *fixture, const char *name)
{
  return g_build_filename (fixture->plugins, name, NULL);
}

void
loader_fixture_write (const char *path, gconstpointer data, gsize size)
{
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, data, size), ==, (gssize) size);
  close (fd);
  g_assert_cmpint (chmod (path, 0755), ==, 0);
}

void
loader_fixture_replace (const char *path, gconstpointer data, gsize size)
{
  g_autofree char *beside = g_strconcat (path, ".new", NULL);

  loader_fixture_write (beside, data, size);
  g_assert_cmpint (g_rename (beside, path), ==, 0);
}

void
loader_fixture_put (LoaderFixture *fixture, const char *plugin, const char *name)
{
  g_free (loader_fixture_copy (fixture, plugin, name));
}

char *
loader_fixture_copy (LoaderFixture *fixture, const char *plugin, const char *name)
{
  g_autofree char *path = loader_fixture_path (fixture, name);
  g_autoptr (GBytes) bytes = loader_fixture_read (plugin);

  loader_fixture_replace (path, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  return g_steal_pointer (&path);
}

HyphaModule *
loader_fixture_find (LoaderFixture *fixture, const char *name)
{
  g_autofree char *path = loader_fixture_path (fixture, name);
  GListModel *model = G_LIST_MODEL (fixture->loader);

  for (guint i = 0; i < g_list_model_get_n_items (model); i++) {
    g_autoptr (HyphaModule) module = g_list_model_get_item (model, i);

    if (g_str_equal (hypha_module_get_path (module), path))
      return module;
  }
  return NULL;
}

static gboolean
on_tick (gpointer user_data)
{
  return G_SOURCE_CONTINUE;
}

typedef gboolean (*Condition) (LoaderFixture *fixture, const char *name, int argument);

static void
wait_until (Condition condition, LoaderFixture *fixture, const char *name, int argument)
{
  gint64 deadline = g_get_monotonic_time () + DEADLINE_MS * 1000;
  guint tick = g_timeout_add (50, on_tick, NULL);

  while (!condition (fixture, name, argument) && g_get_monotonic_time () < deadline)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
}

static gboolean
has_state (LoaderFixture *fixture, const char *name, int state)
{
  HyphaModule *module = loader_fixture_find (fixture, name);

  return module != NULL && (int) hypha_module_get_state (module) == state;
}

static gboolean
is_gone (LoaderFixture *fixture, const char *name, int unused)
{
  return loader_fixture_find (fixture, name) == NULL;
}

static gboolean
has_told (LoaderFixture *fixture, const char *told, int unused)
{
  return g_str_equal (fixture->told->str, told);
}

HyphaModule *
loader_fixture_wait (LoaderFixture *fixture, const char *name, HyphaModuleState state)
{
  wait_until (has_state, fixture, name, (int) state);
  loader_fixture_assert_state (fixture, name, state);
  return loader_fixture_find (fixture, name);
}

void
loader_fixture_wait_gone (LoaderFixture *fixture, const char *name)
{
  wait_until (is_gone, fixture, name, 0);
  g_assert_null (loader_fixture_find (fixture, name));
}

void
loader_fixture_wait_told (LoaderFixture *fixture, const char *told)
{
  wait_until (has_told, fixture, told, 0);
  g_assert_cmpstr (fixture->told->str, ==, told);
}

static gboolean
on_time_over (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

void
loader_fixture_iterate (guint milliseconds)
{
  gboolean over = FALSE;

  g_timeout_add (milliseconds, on_time_over, &over);
  while (!over)
    g_main_context_iteration (NULL, TRUE);
}

void
loader_fixture_assert_state (LoaderFixture *fixture, const char *name, HyphaModuleState state)
{
  HyphaModule *module = loader_fixture_find (fixture, name);

  g_assert_nonnull (module);
  if (hypha_module_get_state (module) != state)
    g_test_message ("%s: %s", name, hypha_module_get_reason (module));
  g_assert_cmpstr (hypha_module_state_to_string (hypha_module_get_state (module)), ==,
                   hypha_module_state_to_string (state));
}

void
loader_fixture_assert_reason (LoaderFixture *fixture, const char *name, ...)
{
  HyphaModule *module = loader_fixture_find (fixture, name);
  const char *reason, *word;
  va_list words;

  g_assert_nonnull (module);
  reason = hypha_module_get_reason (module);
  g_test_message ("%s", reason);
  va_start (words, name);
  while ((word = va_arg (words, const char *)) != NULL)
    if (strstr (reason, word) == NULL)
      g_error ("\"%s\" does not say \"%s\"", reason, word);
  va_end (words);
}

void
loader_fixture_assert_serves (LoaderFixture *fixture, const char *scheme)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *uri = g_strconcat (scheme, "://somewhere", NULL);
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  HyphaTransport *transport = NULL;

  g_assert_true (HYPHA_IS_TRANSPORT (hypha_loader_lookup (fixture->loader, scheme, &error)));
  g_assert_no_error (error);
  /* Runs code of the plug-in. */
  endpoint = hypha_loader_parse_endpoint (fixture->loader, uri, &transport, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==, uri);
  g_assert_true (transport == hypha_loader_lookup (fixture->loader, scheme, NULL));
}

void
loader_fixture_assert_serves_not (LoaderFixture *fixture, const char *scheme)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_loader_lookup (fixture->loader, scheme, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT);
}
