/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings-private.h"

/* The key file back-end is public, but its header wants to be asked. */
#define G_SETTINGS_ENABLE_BACKEND
#include <glib/gi18n-lib.h>
#include <gio/gsettingsbackend.h>

/* The back-end would write a warning, not an error, and it holds a copy of the file that may be
 * older than the file: hence one of its own for every write, and a look at what came of it. */
static gboolean
write_key_file (HyphaSettings *self, const char *key, GVariant *value, GError **error)
{
  g_autoptr (GKeyFile) parsed = g_key_file_new ();
  g_autoptr (GSettingsBackend) backend = NULL;
  g_autoptr (GSettings) gsettings = NULL;
  g_autoptr (HyphaConfigFile) after = NULL;
  g_autoptr (GError) local_error = NULL;
  GVariant *written;

  if (!g_key_file_load_from_file (parsed, self->path, G_KEY_FILE_NONE, &local_error) &&
      !g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
        _ ("%s cannot be saved to %s before that file is mended, and holds until hyphad ends: %s"),
        key, self->path, local_error->message);
    return FALSE;
  }
  backend = g_keyfile_settings_backend_new (self->path, "/", NULL);
  gsettings = g_settings_new_full (self->schema, backend, NULL);
  if (g_settings_is_writable (gsettings, key))
    g_settings_set_value (gsettings, key, value);
  after = hypha_config_file_load (self->path, HYPHA_SETTINGS_GROUP, self->schema, NULL);
  written = after ? hypha_config_file_lookup (after, key) : NULL;
  if (written == NULL || !g_variant_equal (written, value)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("%s cannot be saved to %s and holds until hyphad ends: make the file and its "
                    "folder writable for this user"),
                 key, self->path);
    return FALSE;
  }
  return TRUE;
}

/* It holds from now on, whether or not it lasts. */
static gboolean
save (HyphaSettings *self, const char *key, GVariant *value, GError **error)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (value);

  g_hash_table_insert (self->good, g_strdup (key), g_variant_ref (owned));
  if (self->path)
    return write_key_file (self, key, owned, error);
  if (!g_settings_set_value (self->gsettings, key, owned)) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
        _ ("%s cannot be saved and holds until hyphad ends: the administrator has locked the key"),
        key);
    return FALSE;
  }
  g_settings_sync ();
  return TRUE;
}

/**
 * hypha_settings_save_trusted:
 * @self: settings
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Makes whom the node trusts, and which rules are suspended, last beyond this process.
 *
 * Returns: %TRUE if it is saved
 */
gboolean
hypha_settings_save_trusted (HyphaSettings *self, GError **error)
{
  g_autoptr (GVariant) trusted = hypha_node_dup_trusted (self->node);
  g_autoptr (GVariant) rules = hypha_node_dup_trust_rules (self->node);

  /* First that a rule lets nobody in any more, then that who came by it has gone. */
  if (!g_variant_equal (rules, g_hash_table_lookup (self->good, "trust-rules")) &&
      !save (self, "trust-rules", rules, error))
    return FALSE;
  return save (self, "trusted-peers", trusted, error);
}

/**
 * hypha_settings_save_forwards:
 * @self: settings
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Makes the forwards that are permanent now, and no others, last beyond this process.
 *
 * Returns: %TRUE if they are saved
 */
gboolean
hypha_settings_save_forwards (HyphaSettings *self, GError **error)
{
  g_autoptr (GVariant) forwards = hypha_forwards_dup (self->forwards);

  return save (self, "forwards", forwards, error);
}

/* Where ENDPOINT is in VALUE, however it is spelled; -1: it is not. */
static int
find_endpoint (HyphaSettings *self, GVariant *value, const char *endpoint)
{
  g_autofree const char **all = g_variant_get_strv (value, NULL);
  g_autoptr (HyphaEndpoint) wanted =
      hypha_loader_parse_endpoint (self->loader, endpoint, NULL, NULL);

  for (int i = 0; all[i]; i++) {
    g_autoptr (HyphaEndpoint) other = NULL;

    if (g_str_equal (all[i], endpoint))
      return i;
    other = wanted ? hypha_loader_parse_endpoint (self->loader, all[i], NULL, NULL) : NULL;
    if (other && hypha_endpoint_equal (other, wanted))
      return i;
  }
  return -1;
}

static gboolean
save_endpoint (HyphaSettings *self, const char *key, const char *endpoint, GError **error)
{
  GVariant *value = g_hash_table_lookup (self->good, key);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree const char **all = g_variant_get_strv (value, NULL);
  g_auto (GStrv) longer = NULL;

  if (find_endpoint (self, value, endpoint) >= 0)
    return TRUE;
  g_strv_builder_addv (builder, all);
  g_strv_builder_add (builder, endpoint);
  longer = g_strv_builder_end (builder);
  return save (self, key, g_variant_new_strv ((const char *const *) longer, -1), error) &&
         hypha_settings_find_rule (key)->apply (self, g_hash_table_lookup (self->good, key), error);
}

/**
 * hypha_settings_save_listen:
 * @self: settings
 * @endpoint: where the node listens
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Adds @endpoint to the key `listen`, unless it is there.
 *
 * Returns: %TRUE if it is saved
 */
gboolean
hypha_settings_save_listen (HyphaSettings *self, const char *endpoint, GError **error)
{
  return save_endpoint (self, "listen", endpoint, error);
}

/**
 * hypha_settings_save_peer:
 * @self: settings
 * @endpoint: what the node dials
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Adds @endpoint to the key `peers`, unless it is there.
 *
 * Returns: %TRUE if it is saved
 */
gboolean
hypha_settings_save_peer (HyphaSettings *self, const char *endpoint, GError **error)
{
  return save_endpoint (self, "peers", endpoint, error);
}

/**
 * hypha_settings_drop_listen:
 * @self: settings
 * @endpoint: where the node does not listen any more
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Takes @endpoint out of the key `listen`, if it is there.
 *
 * Returns: %TRUE if the key has it no more
 */
gboolean
hypha_settings_drop_listen (HyphaSettings *self, const char *endpoint, GError **error)
{
  GVariant *value = g_hash_table_lookup (self->good, "listen");
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree const char **all = g_variant_get_strv (value, NULL);
  g_auto (GStrv) shorter = NULL;
  int found = find_endpoint (self, value, endpoint);

  if (found < 0)
    return TRUE;
  for (int i = 0; all[i]; i++) {
    if (i != found)
      g_strv_builder_add (builder, all[i]);
  }
  shorter = g_strv_builder_end (builder);
  return save (self, "listen", g_variant_new_strv ((const char *const *) shorter, -1), error);
}
