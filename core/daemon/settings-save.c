/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* Somebody else may write the file just then, but not for ever. */
#define ATTEMPTS 4

/* ---- where the keys are kept ---- */

/* VALUE NULL: as if nobody had set it. */
typedef struct {
  const char *key;
  GVariant *value;
  GVariant *holds; /* where that is done already: what holds meanwhile */
} Change;

/* The file as it is now, whether or not it has been taken. */
static HyphaConfigFile *
load (HyphaSettings *self, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  HyphaConfigFile *file =
      hypha_config_file_load (self->path, HYPHA_SETTINGS_GROUP, self->schema, &local_error);

  if (file == NULL && g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return hypha_config_file_parse ("", 0, HYPHA_SETTINGS_GROUP, self->schema);
  if (file == NULL)
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, local_error->message);
  return file;
}

/* What was in the file when it was read, BEFORE, was edited and saved. If it had not been taken, it
 * still is to be. */
static void
adopt (HyphaSettings *self, HyphaConfigFile *before)
{
  g_autoptr (HyphaConfigFile) empty = NULL;
  HyphaConfigFile *after;

  if (self->file == NULL)
    empty = hypha_config_file_parse ("", 0, HYPHA_SETTINGS_GROUP, self->schema);
  if (!hypha_config_file_equal (before, self->file ? self->file : empty))
    return;
  after = load (self, NULL);
  if (after == NULL)
    return;
  g_clear_pointer (&self->file, hypha_config_file_free);
  self->file = after;
}

/* The text of FILE with the changes, and in WANTED what that says. */
static char *
edit (HyphaSettings *self, HyphaConfigFile *file, const Change *changes, guint n,
      HyphaConfigFile **wanted, GError **error)
{
  g_autofree char *text = NULL;

  for (guint i = 0; i < n; i++) {
    g_free (text);
    text = hypha_config_file_edit (i > 0 ? *wanted : file, self->path, changes[i].key,
                                   changes[i].value, error);
    g_clear_pointer (wanted, hypha_config_file_free);
    if (text == NULL)
      return NULL;
    *wanted = hypha_config_file_parse (text, strlen (text), HYPHA_SETTINGS_GROUP, self->schema);
  }
  return g_steal_pointer (&text);
}

static gboolean
store_in_file (HyphaSettings *self, const Change *changes, guint n, GError **error)
{
  for (guint attempt = 1;; attempt++) {
    g_autoptr (HyphaConfigFile) file = load (self, error);
    g_autoptr (HyphaConfigFile) wanted = NULL;
    g_autofree char *text = file ? edit (self, file, changes, n, &wanted, error) : NULL;
    g_autoptr (GError) local_error = NULL;

    if (text == NULL)
      return FALSE;
    if (hypha_config_file_equal (wanted, file))
      return TRUE;
    if (hypha_config_file_save (file, self->path, text, &local_error)) {
      adopt (self, file);
      return TRUE;
    }
    if (attempt == ATTEMPTS || !g_error_matches (local_error, HYPHA_ERROR, HYPHA_ERROR_BUSY)) {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  }
}

static gboolean
set_locked (const char *key, GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("%s cannot be saved: the administrator has locked the key"), key);
  return FALSE;
}

/* What is set on settings that are delayed goes to the back-end in one piece. */
static gboolean
store_in_gsettings (HyphaSettings *self, const Change *changes, guint n, GError **error)
{
  g_autoptr (GSettings) gsettings = g_settings_new_full (self->schema, NULL, NULL);

  g_settings_delay (gsettings);
  for (guint i = 0; i < n; i++) {
    if (!g_settings_is_writable (gsettings, changes[i].key))
      return set_locked (changes[i].key, error);
    if (changes[i].value == NULL)
      g_settings_reset (gsettings, changes[i].key);
    else if (!g_settings_set_value (gsettings, changes[i].key, changes[i].value))
      return set_locked (changes[i].key, error);
  }
  g_settings_apply (gsettings);
  g_settings_sync ();
  return TRUE;
}

/* All of them or none, also if this process ends meanwhile. */
static gboolean
store (HyphaSettings *self, const Change *changes, guint n, GError **error)
{
  return self->path ? store_in_file (self, changes, n, error)
                    : store_in_gsettings (self, changes, n, error);
}

/**
 * hypha_settings_check_store: (skip)
 * @self: settings
 * @key: of the schema
 * @value: (nullable): what is to be stored
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Returns: %TRUE if hypha_settings_store() is about to succeed, as far as can be seen
 */
gboolean
hypha_settings_check_store (HyphaSettings *self, const char *key, GVariant *value, GError **error)
{
  g_autoptr (HyphaConfigFile) file = NULL;
  g_autofree char *text = NULL;

  if (self->path == NULL)
    return g_settings_is_writable (self->gsettings, key) || set_locked (key, error);
  file = load (self, error);
  text = file ? hypha_config_file_edit (file, self->path, key, value, error) : NULL;
  return text != NULL;
}

/**
 * hypha_settings_store: (skip)
 * @self: settings
 * @key: of the schema
 * @value: (nullable): what is to be stored; %NULL: as if nobody had set it
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING, %HYPHA_ERROR_BUSY
 *
 * Makes @value last beyond this process; whether it holds is another matter.
 *
 * Returns: %TRUE if it is stored
 */
gboolean
hypha_settings_store (HyphaSettings *self, const char *key, GVariant *value, GError **error)
{
  const Change change = { key, value, NULL };

  return store (self, &change, 1, error);
}

/* ---- what was done already, and is to last ---- */

/* They hold from now on, whether or not they last. */
static gboolean
save_all (HyphaSettings *self, const Change *changes, guint n, GError **error)
{
  g_autoptr (GPtrArray) changed = g_ptr_array_new ();
  gboolean stored;

  for (guint i = 0; i < n; i++) {
    g_autoptr (GVariant) before =
        hypha_settings_replace (self, changes[i].key, g_variant_ref (changes[i].holds));

    if (before)
      g_ptr_array_add (changed, (gpointer) changes[i].key);
  }
  stored = store (self, changes, n, error);
  for (guint i = 0; i < changed->len; i++)
    hypha_settings_tell_changed (self, changed->pdata[i]);
  if (!stored)
    g_prefix_error (error, _ ("this holds until hyphad ends, and does not last: "));
  return stored;
}

/* HOLDS does from now on, whether or not it lasts. What MERGED, which is to last, has beyond that
 * was written by somebody else: it is taken when the word of that comes. */
static gboolean
save_merged (HyphaSettings *self, const char *key, GVariant *holds, GVariant *merged,
             GError **error)
{
  const Change change = { key, merged, holds };

  return save_all (self, &change, 1, error);
}

static gboolean
save (HyphaSettings *self, const char *key, GVariant *value, GError **error)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (value);

  return save_merged (self, key, owned, owned, error);
}

/* The entry KEY of DICT, or NULL. */
static GVariant *
entry_of (GVariant *dict, const char *key)
{
  return dict ? g_variant_lookup_value (dict, key, NULL) : NULL;
}

static gboolean
same_entry (GVariant *a, GVariant *b)
{
  return a == NULL || b == NULL ? a == b : g_variant_equal (a, b);
}

static void
add_entry (GVariantBuilder *builder, const char *key, GVariant *value)
{
  g_variant_builder_add_value (builder,
                               g_variant_new_dict_entry (g_variant_new_string (key), value));
}

/* What somebody has written into a dictionary since it was last taken, and what the node has done
 * since: an entry that the node has not touched is as it is written. */
static GVariant *
merge (GVariant *written, GVariant *before, GVariant *now)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, g_variant_get_type (now));
  for (gsize i = 0; i < g_variant_n_children (written); i++) {
    g_autoptr (GVariant) entry = g_variant_get_child_value (written, i);
    g_autoptr (GVariant) key = g_variant_get_child_value (entry, 0);
    g_autoptr (GVariant) theirs = g_variant_get_child_value (entry, 1);
    g_autoptr (GVariant) ours = entry_of (now, g_variant_get_string (key, NULL));
    g_autoptr (GVariant) past = entry_of (before, g_variant_get_string (key, NULL));

    if (same_entry (ours, past))
      add_entry (&builder, g_variant_get_string (key, NULL), theirs);
    else if (ours)
      add_entry (&builder, g_variant_get_string (key, NULL), ours);
  }
  for (gsize i = 0; i < g_variant_n_children (now); i++) {
    g_autoptr (GVariant) entry = g_variant_get_child_value (now, i);
    g_autoptr (GVariant) key = g_variant_get_child_value (entry, 0);
    g_autoptr (GVariant) ours = g_variant_get_child_value (entry, 1);
    g_autoptr (GVariant) theirs = entry_of (written, g_variant_get_string (key, NULL));
    g_autoptr (GVariant) past = entry_of (before, g_variant_get_string (key, NULL));

    if (theirs == NULL && !same_entry (ours, past))
      add_entry (&builder, g_variant_get_string (key, NULL), ours);
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

static gboolean
same_forward (GVariant *a, GVariant *b)
{
  static const char *const parts[] = { "local", "peer", "target" };
  gboolean one = FALSE, other = FALSE;

  g_variant_lookup (a, "reverse", "b", &one);
  g_variant_lookup (b, "reverse", "b", &other);

  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++) {
    const char *x = "", *y = "";

    g_variant_lookup (a, parts[i], "&s", &x);
    g_variant_lookup (b, parts[i], "&s", &y);
    if (!g_str_equal (x, y))
      return FALSE;
  }
  return one == other;
}

static gboolean
has_forward (GVariant *forwards, GVariant *forward)
{
  for (gsize i = 0; i < g_variant_n_children (forwards); i++) {
    g_autoptr (GVariant) other = g_variant_get_child_value (forwards, i);

    if (same_forward (other, forward))
      return TRUE;
  }
  return FALSE;
}

/* The same for the list of forwards, whose entries are never changed, only added and removed. */
static GVariant *
merge_forwards (GVariant *written, GVariant *before, GVariant *now)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aa{sv}"));
  for (gsize i = 0; i < g_variant_n_children (written); i++) {
    g_autoptr (GVariant) theirs = g_variant_get_child_value (written, i);

    if (has_forward (now, theirs) || !has_forward (before, theirs))
      g_variant_builder_add_value (&builder, theirs);
  }
  for (gsize i = 0; i < g_variant_n_children (now); i++) {
    g_autoptr (GVariant) ours = g_variant_get_child_value (now, i);

    if (!has_forward (written, ours) && !has_forward (before, ours))
      g_variant_builder_add_value (&builder, ours);
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

/* What is written now where the key is kept, or else what holds. */
static GVariant *
dup_written (HyphaSettings *self, const char *key)
{
  g_autoptr (HyphaConfigFile) file = self->path ? load (self, NULL) : NULL;
  GVariant *value = file ? hypha_config_file_lookup (file, key) : NULL;

  if (value)
    return g_variant_ref (value);
  if (self->path == NULL)
    return hypha_settings_read (self, key);
  return file && !hypha_config_file_is_wrong (file, key)
             ? hypha_settings_get_default (self, key)
             : g_variant_ref (g_hash_table_lookup (self->good, key));
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
  g_autoptr (GVariant) rules = hypha_node_dup_trust_rules (self->node);
  g_autoptr (GVariant) now = hypha_node_dup_trusted (self->node);
  g_autoptr (GVariant) written = dup_written (self, "trusted-peers");
  g_autoptr (GVariant) theirs = dup_written (self, "trust-rules");
  GVariant *past = g_hash_table_lookup (self->good, "trust-rules");
  g_autoptr (GVariant) merged = merge (written, self->trusted, now);
  g_autoptr (GVariant) both = merge (theirs, past, rules);
  const Change changes[] = { { "trusted-peers", merged, merged }, { "trust-rules", both, rules } };
  gboolean same = g_variant_equal (rules, past);

  g_clear_pointer (&self->trusted, g_variant_unref);
  self->trusted = g_steal_pointer (&now);
  /* At once: a rule whose mark is gone, while who came by it is not trusted yet, would let anybody
   * in. */
  return save_all (self, changes, same ? 1 : G_N_ELEMENTS (changes), error);
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
  g_autoptr (GVariant) now = hypha_forwards_dup (self->forwards);
  g_autoptr (GVariant) written = dup_written (self, "forwards");
  g_autoptr (GVariant) merged =
      merge_forwards (written, g_hash_table_lookup (self->good, "forwards"), now);

  return save_merged (self, "forwards", now, merged, error);
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
  GVariant *value;
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree const char **all = NULL;
  g_auto (GStrv) longer = NULL;

  if (!hypha_settings_catch_up (self, error))
    return FALSE;
  value = g_hash_table_lookup (self->good, key);
  if (find_endpoint (self, value, endpoint) >= 0)
    return TRUE;
  all = g_variant_get_strv (value, NULL);
  g_strv_builder_addv (builder, all);
  g_strv_builder_add (builder, endpoint);
  longer = g_strv_builder_end (builder);
  return save (self, key, g_variant_new_strv ((const char *const *) longer, -1), error) &&
         hypha_settings_apply (self, hypha_settings_find_rule (key), error);
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

/* What the command line says would come back with the next change of the key. */
static void
drop_extra (char **extra, const char *endpoint)
{
  for (char **e = extra; e && *e; e++) {
    if (!g_str_equal (*e, endpoint))
      continue;
    g_free (*e);
    for (; *e; e++)
      e[0] = e[1];
    return;
  }
}

/**
 * hypha_settings_drop_listen:
 * @self: settings
 * @endpoint: where the node does not listen any more, as it was asked to
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Takes @endpoint out of the key `listen` and out of what the command line says, if it is there.
 *
 * Returns: %TRUE if the key has it no more
 */
gboolean
hypha_settings_drop_listen (HyphaSettings *self, const char *endpoint, GError **error)
{
  GVariant *value;
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree const char **all = NULL;
  g_auto (GStrv) shorter = NULL;
  int found;

  drop_extra (self->extra_listen, endpoint);
  if (!hypha_settings_catch_up (self, error))
    return FALSE;
  value = g_hash_table_lookup (self->good, "listen");
  found = find_endpoint (self, value, endpoint);
  if (found < 0)
    return TRUE;
  all = g_variant_get_strv (value, NULL);
  for (int i = 0; all[i]; i++) {
    if (i != found)
      g_strv_builder_add (builder, all[i]);
  }
  shorter = g_strv_builder_end (builder);
  /* Catching up may have opened it anew. */
  return save (self, "listen", g_variant_new_strv ((const char *const *) shorter, -1), error) &&
         hypha_settings_apply (self, hypha_settings_find_rule ("listen"), error);
}
