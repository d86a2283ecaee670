/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A plug-in is there when the loader starts; another is dropped in, and taken away. */

#include "scenario.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <hypha-api.h>
#include "loader/loader.h"

typedef struct {
  HyphaLoader *loader;
  const char *path;
} Wanted;

static HyphaModule *
find (const Wanted *wanted)
{
  GListModel *all = G_LIST_MODEL (wanted->loader);

  for (guint i = 0; i < g_list_model_get_n_items (all); i++) {
    g_autoptr (HyphaModule) module = g_list_model_get_item (all, i);

    if (g_str_equal (hypha_module_get_path (module), wanted->path))
      return module; /* the list's */
  }
  return NULL;
}

static gboolean
is_here (gpointer data)
{
  return find (data) != NULL;
}

/* Code that is loaded stays: what was taken away is told of. */
static gboolean
is_stale (gpointer data)
{
  return hypha_module_get_state (find (data)) == HYPHA_MODULE_STALE;
}

/* Every file is listed, with what it is or why it is not. */
static gboolean
is_ready (const Wanted *wanted, GError **error)
{
  HyphaModule *module = find (wanted);

  if (hypha_module_get_state (module) == HYPHA_MODULE_READY)
    return TRUE;
  g_assert_cmpstr (hypha_module_get_reason (module), !=, "");
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, hypha_module_get_reason (module));
  return FALSE;
}

static gboolean
put (const char *from, const char *folder, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *bytes = NULL;
  gsize length;

  return g_file_get_contents (from, &bytes, &length, error) &&
         g_file_set_contents_full (path, bytes, (gssize) length, G_FILE_SET_CONTENTS_CONSISTENT,
                                   0644, error);
}

static gboolean
come_and_go (HyphaLoader *loader, const char *folder, GError **error)
{
  g_autofree char *first = g_build_filename (folder, "unix.so", NULL);
  g_autofree char *second = g_build_filename (folder, "tcp.so", NULL);
  Wanted wanted = { loader, first };

  if (!scenario_wait (is_here, &wanted, "the plug-in that was there", error) ||
      !is_ready (&wanted, error))
    return FALSE;
  if (!put (HYPHA_TEST_TCP, folder, "tcp.so", error))
    return FALSE;
  wanted.path = second;
  if (!scenario_wait (is_here, &wanted, "the plug-in that was dropped in", error) ||
      !is_ready (&wanted, error))
    return FALSE;
  g_unlink (second);
  return scenario_wait (is_stale, &wanted, "the plug-in that was taken away", error);
}

gboolean
scenario_plug_ins (const char *folder, GError **error)
{
  g_autofree char *directory = g_build_filename (folder, "transports", NULL);
  g_autofree char *second = g_build_filename (directory, "tcp.so", NULL);
  const char *const directories[] = { directory, NULL };
  g_autoptr (HyphaLoader) loader = NULL;

  g_mkdir (directory, 0700);
  g_unlink (second);
  if (!put (HYPHA_TEST_UNIX, directory, "unix.so", error))
    return FALSE;
  loader = hypha_loader_new (directories);
  hypha_loader_start (loader);
  return come_and_go (loader, directory, error);
}
