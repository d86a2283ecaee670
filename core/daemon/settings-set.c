/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "dbus/values.h"

/* One key at a time, on behalf of somebody who wants to know whether it worked: all or nothing. */

/* A value may be as long as a file; a message need not. */
#define MAX_SHOWN 200

static gboolean
check_key (HyphaSettings *self, const char *key, GError **error)
{
  g_autofree char *safe = NULL;

  if (g_settings_schema_has_key (self->schema, key))
    return TRUE;
  safe = g_strescape (key, NULL);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("there is no key '%.*s': hyphactl config list shows those there are"), MAX_SHOWN,
               safe);
  return FALSE;
}

static char *
show (GVariant *value)
{
  char *printed = g_variant_print (value, FALSE);

  if (strlen (printed) > MAX_SHOWN) {
    /* Not within a character. */
    *g_utf8_find_prev_char (printed, printed + MAX_SHOWN - 3) = '\0';
    g_strlcat (printed, "...", MAX_SHOWN + 1);
  }
  return printed;
}

static gboolean G_GNUC_PRINTF (4, 5)
    refuse (GError **error, const char *key, GVariant *value, const char *format, ...)
{
  g_autofree char *shown = show (value);
  g_autofree char *reason = NULL;
  va_list arguments;

  va_start (arguments, format);
  reason = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, "%s = %s: %s", key, shown, reason);
  return FALSE;
}

/* What the schema alone can tell. */
static gboolean
check_value (HyphaSettings *self, const char *key, GVariant *value, GError **error)
{
  g_autoptr (GSettingsSchemaKey) schema_key = g_settings_schema_get_key (self->schema, key);
  const GVariantType *type = g_settings_schema_key_get_value_type (schema_key);
  g_autoptr (GVariant) range = NULL;
  g_autoptr (GVariant) limits = NULL;
  g_autofree char *printed = NULL;
  g_autoptr (GError) reason = NULL;

  if (!g_variant_is_of_type (value, type)) {
    g_autofree char *wanted = g_variant_type_dup_string (type);

    return refuse (error, key, value, _ ("it is of the type %s, and has to be of the type %s"),
                   g_variant_get_type_string (value), wanted);
  }
  if (!hypha_dbus_value_check (value, &reason))
    return refuse (error, key, value, "%s", reason->message);
  if (g_settings_schema_key_range_check (schema_key, value))
    return TRUE;
  range = g_settings_schema_key_get_range (schema_key);
  g_variant_get (range, "(&sv)", NULL, &limits);
  printed = g_variant_print (limits, FALSE);
  return refuse (error, key, value, _ ("it is not within %s"), printed);
}

static void
put_back (HyphaSettings *self, const HyphaSettingsRule *rule, const char *key, GVariant *before)
{
  g_hash_table_insert (self->good, g_strdup (key), g_variant_ref (before));
  /* A part of it may have been done. */
  hypha_settings_apply (self, rule, NULL);
}

/* STORED NULL: the key goes back to where nobody has set it, and VALUE is what that means. */
static gboolean
change (HyphaSettings *self, const char *key, GVariant *value, GVariant *stored, GError **error)
{
  const HyphaSettingsRule *rule = hypha_settings_find_rule (key);
  g_autoptr (GVariant) before = NULL;
  g_autoptr (GError) reason = NULL;

  if (!hypha_settings_catch_up (self, error) ||
      !hypha_settings_check_store (self, key, stored, error))
    return FALSE;
  before = hypha_settings_replace (self, key, g_variant_ref (value));
  if (before && !hypha_settings_apply (self, rule, &reason)) {
    put_back (self, rule, key, before);
    return refuse (error, key, value, "%s", reason->message);
  }
  if (!hypha_settings_store (self, key, stored, error)) {
    if (before)
      put_back (self, rule, key, before);
    return FALSE;
  }
  if (before)
    hypha_settings_tell_changed (self, key);
  return TRUE;
}

static int
compare_keys (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/**
 * hypha_settings_list_keys:
 * @self: settings
 *
 * Returns: (transfer full): the keys that there are, sorted
 */
char **
hypha_settings_list_keys (HyphaSettings *self)
{
  char **keys = g_settings_schema_list_keys (self->schema);

  qsort (keys, g_strv_length (keys), sizeof *keys, compare_keys);
  return keys;
}

/**
 * hypha_settings_dup_summary:
 * @self: settings
 * @key: of the schema
 *
 * Returns: (transfer full): what @key is for, in the language of this process; empty where the
 * schema is installed without its XML
 */
char *
hypha_settings_dup_summary (HyphaSettings *self, const char *key)
{
  g_autoptr (GSettingsSchemaKey) schema_key = g_settings_schema_get_key (self->schema, key);
  const char *summary = g_settings_schema_key_get_summary (schema_key);

  return g_strdup (summary ? summary : "");
}

/**
 * hypha_settings_get:
 * @self: settings
 * @key: a key
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Returns: (transfer none) (nullable): the value that holds
 */
GVariant *
hypha_settings_get (HyphaSettings *self, const char *key, GError **error)
{
  return check_key (self, key, error) ? g_hash_table_lookup (self->good, key) : NULL;
}

/**
 * hypha_settings_dup_default:
 * @self: settings
 * @key: of the schema
 *
 * Returns: (transfer full): what holds where nobody has set it
 */
GVariant *
hypha_settings_dup_default (HyphaSettings *self, const char *key)
{
  return hypha_settings_get_default (self, key);
}

/**
 * hypha_settings_is_writable:
 * @self: settings
 * @key: of the schema
 *
 * Returns: %TRUE if @key can be set, as far as can be seen
 */
gboolean
hypha_settings_is_writable (HyphaSettings *self, const char *key)
{
  if (self->path)
    return hypha_config_file_can_save (self->path);
  return g_settings_is_writable (self->gsettings, key);
}

/**
 * hypha_settings_set:
 * @self: settings
 * @key: a key
 * @value: what it is to be
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING, %HYPHA_ERROR_BUSY if somebody
 * keeps writing the key file
 *
 * Sets a key, so that it holds at once and lasts; on failure nothing has changed.
 *
 * Returns: %TRUE if it is set
 */
gboolean
hypha_settings_set (HyphaSettings *self, const char *key, GVariant *value, GError **error)
{
  return check_key (self, key, error) && check_value (self, key, value, error) &&
         change (self, key, value, value, error);
}

/**
 * hypha_settings_reset:
 * @self: settings
 * @key: a key
 * @error: return location for an error: as hypha_settings_set()
 *
 * Sets a key back to its default; on failure nothing has changed.
 *
 * Returns: %TRUE if it is set back
 */
gboolean
hypha_settings_reset (HyphaSettings *self, const char *key, GError **error)
{
  g_autoptr (GVariant) value = NULL;

  if (!check_key (self, key, error))
    return FALSE;
  value = hypha_settings_get_default (self, key);
  return change (self, key, value, NULL, error);
}
