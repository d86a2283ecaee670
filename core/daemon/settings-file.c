/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings-private.h"

#include <glib/gi18n-lib.h>

/* A key file: read at the start, and again whenever it is another one. */

static void
take_file (HyphaSettings *self, HyphaConfigFile *file)
{
  const GPtrArray *faults = hypha_config_file_get_faults (file);

  for (guint i = 0; i < faults->len; i++) {
    g_autofree char *sentence = hypha_config_file_fault_describe (faults->pdata[i], self->path);

    g_warning ("%s; the last good value stays", sentence);
  }
  g_clear_pointer (&self->file, hypha_config_file_free);
  self->file = file;
  for (const HyphaSettingsRule *rule = hypha_settings_rules; rule->keys[0]; rule++)
    hypha_settings_take (self, rule);
  g_message ("%s: read anew", self->path);
}

/**
 * hypha_settings_reload:
 * @self: settings
 *
 * Reads the key file anew; without one, nothing is to be done. Every line that is wrong is told,
 * and the keys of those lines keep their last good value.
 */
void
hypha_settings_reload (HyphaSettings *self)
{
  g_autoptr (GError) error = NULL;
  HyphaConfigFile *file;

  if (self->path == NULL)
    return;
  file = hypha_config_file_load (self->path, HYPHA_SETTINGS_GROUP, self->schema, &error);
  if (file)
    take_file (self, file);
  else
    g_warning ("%s; the last good values stay", error->message);
}

/**
 * hypha_settings_catch_up: (skip)
 * @self: settings
 * @error: return location for an error: the file cannot be read
 *
 * Takes what is in the key file, unless that has been taken already: between an edit and the word
 * of it there is time for a call.
 *
 * Returns: %TRUE if there is nothing that was not taken
 */
gboolean
hypha_settings_catch_up (HyphaSettings *self, GError **error)
{
  g_autoptr (HyphaConfigFile) file = NULL;
  g_autoptr (GError) local_error = NULL;

  if (self->path == NULL)
    return TRUE;
  file = hypha_config_file_load (self->path, HYPHA_SETTINGS_GROUP, self->schema, &local_error);
  if (file) {
    if (self->file == NULL || !hypha_config_file_equal (file, self->file))
      take_file (self, g_steal_pointer (&file));
    return TRUE;
  }
  /* A file that is gone has not said that everything is to go back to the defaults. */
  if (g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return TRUE;
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, local_error->message);
  return FALSE;
}

/* Only once the file is whole: a file that is being written in place is empty for a moment, and
 * would close every listener. */
static void
on_file_event (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event,
               gpointer user_data)
{
  HyphaSettings *self = user_data;

  if (event == G_FILE_MONITOR_EVENT_CHANGES_DONE_HINT || event == G_FILE_MONITOR_EVENT_RENAMED ||
      event == G_FILE_MONITOR_EVENT_MOVED_IN) {
    g_autoptr (GError) error = NULL;

    if (!hypha_settings_catch_up (self, &error))
      g_warning ("%s; the last good values stay", error->message);
  }
}

gboolean
hypha_settings_open_file (HyphaSettings *self, gboolean must_exist, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GFile) file = g_file_new_for_path (self->path);
  const GPtrArray *faults;

  self->file =
      hypha_config_file_load (self->path, HYPHA_SETTINGS_GROUP, self->schema, &local_error);
  if (must_exist && g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
    g_autofree char *quoted = g_shell_quote (self->path);

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("there is no key file %s: hyphad --print-config > %s makes one, and without "
                    "--config hyphad takes its usual settings"),
                 self->path, quoted);
    return FALSE;
  }
  if (self->file == NULL &&
      (must_exist || !g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, local_error->message);
    return FALSE;
  }
  faults = self->file ? hypha_config_file_get_faults (self->file) : NULL;
  if (faults && faults->len > 0) {
    g_autoptr (GString) sentences = g_string_new (NULL);

    for (guint i = 0; i < faults->len; i++) {
      g_autofree char *sentence = hypha_config_file_fault_describe (faults->pdata[i], self->path);

      g_string_append_printf (sentences, "%s%s", i > 0 ? "\n" : "", sentence);
    }
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, sentences->str);
    return FALSE;
  }
  self->monitor = g_file_monitor_file (file, G_FILE_MONITOR_WATCH_MOVES, NULL, &local_error);
  if (self->monitor)
    g_signal_connect (self->monitor, "changed", G_CALLBACK (on_file_event), self);
  else
    g_warning ("changes of %s will be taken up on SIGHUP only: %s", self->path,
               local_error->message);
  return TRUE;
}
