/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/auxv.h>
#include "loader/loader.h"

/**
 * hypha_loader_default_directories:
 * @user_directory: search the user's own directory, too
 *
 * Where plug-ins are looked for: the directories of `HYPHA_PLUGIN_PATH` if that is set, the
 * system's and the user's otherwise. A process with raised privileges (set-user-id, file
 * capabilities) takes neither from its environment: whoever started it could make it run any code.
 *
 * Returns: (transfer full): absolute paths */
char **
hypha_loader_default_directories (gboolean user_directory)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  gboolean raised = getauxval (AT_SECURE) != 0;
  const char *override = raised ? NULL : g_getenv ("HYPHA_PLUGIN_PATH");

  if (override != NULL) {
    g_auto (GStrv) parts = g_strsplit (override, G_SEARCHPATH_SEPARATOR_S, -1);

    for (guint i = 0; parts[i] != NULL; i++) {
      g_autofree char *path = g_canonicalize_filename (parts[i], NULL);

      if (*parts[i] != '\0')
        g_strv_builder_add (builder, path);
    }
    return g_strv_builder_end (builder);
  }
  g_strv_builder_add (builder, HYPHA_TRANSPORT_DIR);
  if (user_directory && !raised) {
    g_autofree char *path =
        g_build_filename (g_get_user_data_dir (), "hypha-1", "transports", NULL);

    g_strv_builder_add (builder, path);
  }
  return g_strv_builder_end (builder);
}
