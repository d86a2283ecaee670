/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings-private.h"

#include <glib/gi18n-lib.h>

#include "dbus/values.h"

#define SCHEMA "org.hypha.node"

G_DEFINE_FINAL_TYPE (HyphaSettings, hypha_settings, G_TYPE_OBJECT)

static guint signal_changed;

/* ---- taking values ---- */

/* The system's administrator may have set another one than the schema's in dconf. */
GVariant *
hypha_settings_get_default (HyphaSettings *self, const char *key)
{
  g_autoptr (GSettingsSchemaKey) schema_key = g_settings_schema_get_key (self->schema, key);
  g_autoptr (GVariant) administrators =
      self->gsettings ? g_settings_get_default_value (self->gsettings, key) : NULL;

  if (administrators && hypha_dbus_value_check (administrators, NULL))
    return g_steal_pointer (&administrators);
  return g_settings_schema_key_get_default_value (schema_key);
}

static GVariant *
read_gsettings (HyphaSettings *self, const char *key)
{
  g_autoptr (GVariant) value = g_settings_get_value (self->gsettings, key);
  GVariant *good = g_hash_table_lookup (self->good, key);
  g_autoptr (GError) error = NULL;

  if (hypha_dbus_value_check (value, &error))
    return g_steal_pointer (&value);
  g_warning ("setting %s: %s; the last good value stays", key, error->message);
  return good ? g_variant_ref (good) : hypha_settings_get_default (self, key);
}

GVariant *
hypha_settings_read (HyphaSettings *self, const char *key)
{
  GVariant *value;

  if (self->gsettings)
    return read_gsettings (self, key);
  if (self->file == NULL)
    return hypha_settings_get_default (self, key);
  if (hypha_config_file_is_wrong (self->file, key))
    return NULL;
  value = hypha_config_file_lookup (self->file, key);
  return value ? g_variant_ref (value) : hypha_settings_get_default (self, key);
}

static void
tell_wrong (HyphaSettings *self, const char *key, GVariant *value, const GError *error)
{
  g_autofree char *printed = g_variant_print (value, FALSE);
  guint line = self->file ? hypha_config_file_get_line (self->file, key) : 0;

  if (line > 0)
    g_warning ("%s, line %u: %s = %s: %s; the last good value stays", self->path, line, key,
               printed, error->message);
  else
    g_warning ("setting %s = %s: %s; the last good value stays", key, printed, error->message);
}

GVariant *
hypha_settings_replace (HyphaSettings *self, const char *key, GVariant *value)
{
  GVariant *before = g_hash_table_lookup (self->good, key);

  if (before && g_variant_equal (before, value)) {
    g_variant_unref (value);
    return NULL;
  }
  if (before)
    g_variant_ref (before);
  g_hash_table_insert (self->good, g_strdup (key), value);
  return before;
}

void
hypha_settings_tell_changed (HyphaSettings *self, const char *key)
{
  g_signal_emit (self, signal_changed, 0, key);
}

gboolean
hypha_settings_apply (HyphaSettings *self, const HyphaSettingsRule *rule, GError **error)
{
  GVariant *value = g_hash_table_lookup (self->good, rule->keys[0]);

  if (rule->stage == HYPHA_SETTINGS_LOADER ? self->loader == NULL : self->node == NULL)
    return TRUE;
  if (!rule->apply (self, value, error))
    return FALSE;
  if (g_str_equal (rule->keys[0], "trusted-peers")) {
    g_clear_pointer (&self->trusted, g_variant_unref);
    self->trusted = hypha_node_dup_trusted (self->node);
  }
  return TRUE;
}

void
hypha_settings_take (HyphaSettings *self, const HyphaSettingsRule *rule)
{
  GVariant *before[HYPHA_SETTINGS_MAX_KEYS] = { NULL };
  gboolean changed = FALSE;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < HYPHA_SETTINGS_MAX_KEYS && rule->keys[i]; i++) {
    GVariant *value = hypha_settings_read (self, rule->keys[i]);

    before[i] = value ? hypha_settings_replace (self, rule->keys[i], value) : NULL;
    changed = changed || before[i];
  }
  if (changed && !hypha_settings_apply (self, rule, &error)) {
    for (guint i = 0; i < HYPHA_SETTINGS_MAX_KEYS; i++) {
      if (before[i]) {
        tell_wrong (self, rule->keys[i], g_hash_table_lookup (self->good, rule->keys[i]), error);
        g_hash_table_insert (self->good, g_strdup (rule->keys[i]), g_steal_pointer (&before[i]));
      }
    }
    /* A part of it may have been done. */
    hypha_settings_apply (self, rule, NULL);
  }
  for (guint i = 0; i < HYPHA_SETTINGS_MAX_KEYS; i++) {
    if (before[i])
      hypha_settings_tell_changed (self, rule->keys[i]);
    g_clear_pointer (&before[i], g_variant_unref);
  }
}

static void
on_changed (GSettings *gsettings, const char *key, gpointer user_data)
{
  HyphaSettings *self = user_data;

  const HyphaSettingsRule *rule = hypha_settings_find_rule (key);

  if (rule)
    hypha_settings_take (self, rule);
}

/* For the first time: there is no last good value but the default. */
static void
feed_rule (HyphaSettings *self, const HyphaSettingsRule *rule)
{
  g_autoptr (GError) error = NULL;

  if (hypha_settings_apply (self, rule, &error))
    return;
  for (guint i = 0; i < HYPHA_SETTINGS_MAX_KEYS && rule->keys[i]; i++) {
    g_autoptr (GVariant) before = hypha_settings_replace (
        self, rule->keys[i], hypha_settings_get_default (self, rule->keys[i]));

    if (before)
      tell_wrong (self, rule->keys[i], before, error);
  }
  g_clear_error (&error);
  if (!hypha_settings_apply (self, rule, &error))
    g_warning ("the default of %s does not hold: %s", rule->keys[0], error->message);
}

static void
feed (HyphaSettings *self, HyphaSettingsStage stage)
{
  for (const HyphaSettingsRule *rule = hypha_settings_rules; rule->keys[0]; rule++) {
    if (rule->stage == stage)
      feed_rule (self, rule);
  }
}

/**
 * hypha_settings_feed_loader:
 * @self: settings
 * @loader: a loader that was not started
 *
 * Starts @loader, with what the settings say of transports now and from now on.
 */
void
hypha_settings_feed_loader (HyphaSettings *self, HyphaLoader *loader)
{
  g_autofree const char **disabled =
      g_variant_get_strv (g_hash_table_lookup (self->good, "disabled-transports"), NULL);

  self->loader = g_object_ref (loader);
  hypha_loader_set_disabled (loader, disabled);
  hypha_loader_start (loader);
  feed (self, HYPHA_SETTINGS_LOADER);
}

/**
 * hypha_settings_feed:
 * @self: settings
 * @node: a node
 * @services: of the node
 * @forwards: of the node
 *
 * Gives @node, @services and @forwards what the settings say, now and from now on.
 */
void
hypha_settings_feed (HyphaSettings *self, HyphaNode *node, HyphaServices *services,
                     HyphaForwards *forwards)
{
  self->node = g_object_ref (node);
  self->services = g_object_ref (services);
  self->forwards = g_object_ref (forwards);
  feed (self, HYPHA_SETTINGS_NODE);
}

/* ---- where values come from ---- */

static gboolean
find_schema (HyphaSettings *self, GError **error)
{
  GSettingsSchemaSource *source = g_settings_schema_source_get_default ();

  if (source)
    self->schema = g_settings_schema_source_lookup (source, SCHEMA, TRUE);
  if (self->schema == NULL) {
    const char *folder = g_getenv ("GSETTINGS_SCHEMA_DIR");

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("the settings schema org.hypha.node is not installed: it was sought in "
                    "%s%sglib-2.0/schemas "
                    "below each of $XDG_DATA_DIRS; install it and run "
                    "glib-compile-schemas there, or name its "
                    "folder in GSETTINGS_SCHEMA_DIR"),
                 folder ? folder : "", folder ? _ (" and ") : "");
    return FALSE;
  }
  for (const HyphaSettingsRule *rule = hypha_settings_rules; rule->keys[0]; rule++) {
    for (guint i = 0; i < HYPHA_SETTINGS_MAX_KEYS && rule->keys[i]; i++) {
      if (!g_settings_schema_has_key (self->schema, rule->keys[i])) {
        g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                     _ ("the settings schema org.hypha.node that is installed has no key %s: it is "
                        "of another "
                        "version of Hypha; install the one that belongs to this hyphad"),
                     rule->keys[i]);
        return FALSE;
      }
    }
  }
  return TRUE;
}

/**
 * hypha_settings_new:
 * @path: (nullable): a key file; %NULL: GSettings
 * @must_exist: whether it is an error that there is no such file; else the defaults hold until
 * there is
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Reads the settings and watches them. A key file in which a line is wrong is refused; the message
 * has a line for each of them.
 *
 * Returns: (transfer full): the settings, or %NULL
 */
HyphaSettings *
hypha_settings_new (const char *path, gboolean must_exist, GError **error)
{
  g_autoptr (HyphaSettings) self = g_object_new (HYPHA_TYPE_SETTINGS, NULL);

  if (!find_schema (self, error))
    return NULL;
  if (path) {
    self->path = g_canonicalize_filename (path, NULL);
    if (!hypha_settings_open_file (self, must_exist, error))
      return NULL;
  } else {
    self->gsettings = g_settings_new_full (self->schema, NULL, NULL);
    g_signal_connect (self->gsettings, "changed", G_CALLBACK (on_changed), self);
  }
  for (const HyphaSettingsRule *rule = hypha_settings_rules; rule->keys[0]; rule++)
    hypha_settings_take (self, rule);
  return g_steal_pointer (&self);
}

/**
 * hypha_settings_add:
 * @self: settings that were not fed yet
 * @listen: (nullable): endpoints to listen on
 * @peers: (nullable): endpoints to dial
 *
 * Adds what the command line says to what the settings say. It is never saved.
 */
void
hypha_settings_add (HyphaSettings *self, const char *const *listen, const char *const *peers)
{
  g_strfreev (self->extra_listen);
  g_strfreev (self->extra_peers);
  self->extra_listen = g_strdupv ((char **) listen);
  self->extra_peers = g_strdupv ((char **) peers);
}

/**
 * hypha_settings_print:
 * @self: settings
 *
 * Returns: (transfer full): what holds now, as a key file, with what each key is for
 */
char *
hypha_settings_print (HyphaSettings *self)
{
  g_auto (GStrv) keys = g_settings_schema_list_keys (self->schema);
  GString *text = g_string_new ("[" HYPHA_SETTINGS_GROUP "]\n");

  for (char **key = keys; *key; key++) {
    g_autoptr (GSettingsSchemaKey) schema_key = g_settings_schema_get_key (self->schema, *key);
    g_autoptr (GVariant) value = g_variant_ref (g_hash_table_lookup (self->good, *key));
    g_autofree char *printed = NULL;
    const char *summary;
    char **extra = NULL;

    if (g_str_equal (*key, "listen"))
      extra = self->extra_listen;
    else if (g_str_equal (*key, "peers"))
      extra = self->extra_peers;
    if (extra) {
      g_auto (GStrv) all = hypha_settings_join (value, extra);

      g_clear_pointer (&value, g_variant_unref);
      value = g_variant_ref_sink (g_variant_new_strv ((const char *const *) all, -1));
    }
    printed = g_variant_print (value, FALSE);
    /* What a key is for is in the schema's XML, which need not be there. */
    summary = g_settings_schema_key_get_summary (schema_key);
    if (summary)
      g_string_append_printf (text, "# %s\n", summary);
    g_string_append_printf (text, "%s=%s\n", *key, printed);
  }
  return g_string_free (text, FALSE);
}

static void
hypha_settings_dispose (GObject *object)
{
  HyphaSettings *self = HYPHA_SETTINGS (object);

  if (self->monitor)
    g_signal_handlers_disconnect_by_data (self->monitor, self);
  if (self->gsettings)
    g_signal_handlers_disconnect_by_data (self->gsettings, self);
  g_clear_object (&self->monitor);
  g_clear_object (&self->gsettings);
  g_clear_object (&self->forwards);
  g_clear_object (&self->services);
  g_clear_object (&self->node);
  g_clear_object (&self->loader);
  G_OBJECT_CLASS (hypha_settings_parent_class)->dispose (object);
}

static void
hypha_settings_finalize (GObject *object)
{
  HyphaSettings *self = HYPHA_SETTINGS (object);

  g_clear_pointer (&self->schema, g_settings_schema_unref);
  g_clear_pointer (&self->file, hypha_config_file_free);
  g_clear_pointer (&self->trusted, g_variant_unref);
  g_hash_table_unref (self->good);
  g_strfreev (self->extra_listen);
  g_strfreev (self->extra_peers);
  g_free (self->path);
  G_OBJECT_CLASS (hypha_settings_parent_class)->finalize (object);
}

static void
hypha_settings_class_init (HyphaSettingsClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = hypha_settings_dispose;
  object_class->finalize = hypha_settings_finalize;
  /* (key): what holds is another value now. */
  signal_changed = g_signal_new ("changed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL,
                                 NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void
hypha_settings_init (HyphaSettings *self)
{
  self->good =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_variant_unref);
}
