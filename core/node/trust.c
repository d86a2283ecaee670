/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/trust.h"

#include <glib/gi18n-lib.h>

#include "link/handshake.h"
#include "link/identity.h"
#include "link/name.h"
#include "node/place.h"

typedef struct {
  HyphaNodeId id;
  char *name;
  GPtrArray *endpoints; /* of HyphaPlace; NULL: not bound */
  char *rule;           /* the trust rule that let it in; NULL: none */
  HyphaTrustTls tls;
} Entry;

struct _HyphaTrust {
  GHashTable *entries; /* HyphaNodeId (in the entry) to Entry */
};

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_free (entry->name);
  g_free (entry->rule);
  g_clear_pointer (&entry->endpoints, g_ptr_array_unref);
  g_free (entry);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Entry, entry_free)

static GHashTable *
table_new (void)
{
  return g_hash_table_new_full (hypha_node_id_hash, hypha_node_id_equal, NULL, entry_free);
}

HyphaTrust *
hypha_trust_new (void)
{
  HyphaTrust *self = g_new0 (HyphaTrust, 1);

  self->entries = table_new ();
  return self;
}

void
hypha_trust_free (HyphaTrust *self)
{
  g_hash_table_unref (self->entries);
  g_free (self);
}

gboolean
hypha_trust_check_name (const char *name, GError **error)
{
  const char *p = name;
  HyphaNodeId id;

  if (*name == '\0' || strlen (name) > HYPHA_NAME_MAX || !g_utf8_validate (name, -1, NULL)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("a name has 1 to %d bytes of UTF-8"), HYPHA_NAME_MAX);
    return FALSE;
  }
  for (; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (!hypha_name_may_hold (c)) {
      g_set_error (
          error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
          _ ("a name holds neither spaces nor control characters nor others that cannot be "
             "seen, and this one has U+%04X"),
          c);
      return FALSE;
    }
  }
  /* Settings and commands take these, and a peer that is called so would be taken for another. */
  if (g_str_equal (name, HYPHA_TRUST_SELF)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("'%s' is what a node calls itself: choose another name"), name);
    return FALSE;
  }
  if (hypha_node_id_parse (name, &id, NULL)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("a name is not the id of a node, and this one could be"));
    return FALSE;
  }
  return TRUE;
}

static gboolean
read_endpoints (Entry *entry, GVariant *value, GError **error)
{
  g_autofree const char **uris = NULL;

  if (!g_variant_is_of_type (value, G_VARIANT_TYPE_STRING_ARRAY)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("'endpoints' has to be a list of strings"));
    return FALSE;
  }
  uris = g_variant_get_strv (value, NULL);
  entry->endpoints = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_place_free);
  for (guint i = 0; uris[i] != NULL; i++) {
    HyphaPlace *place = hypha_place_parse (uris[i], error);

    if (place == NULL)
      return FALSE;
    g_ptr_array_add (entry->endpoints, place);
  }
  return TRUE;
}

static gboolean
read_tls (Entry *entry, GVariant *value, GError **error)
{
  const char *text =
      g_variant_is_of_type (value, G_VARIANT_TYPE_STRING) ? g_variant_get_string (value, NULL) : "";

  if (g_str_equal (text, "never"))
    entry->tls = HYPHA_TRUST_TLS_NEVER;
  else if (g_str_equal (text, "always"))
    entry->tls = HYPHA_TRUST_TLS_ALWAYS;
  else {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("'tls' has to be 'never' or 'always'"));
    return FALSE;
  }
  return TRUE;
}

static gboolean
read_item (Entry *entry, const char *key, GVariant *value, GError **error)
{
  if ((g_str_equal (key, "name") || g_str_equal (key, "rule")) &&
      !g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, _ ("'%s' has to be a string"),
                 key);
    return FALSE;
  }
  if (g_str_equal (key, "rule")) {
    entry->rule = g_variant_dup_string (value, NULL);
    return TRUE;
  }
  if (g_str_equal (key, "name")) {
    entry->name = g_variant_dup_string (value, NULL);
    return hypha_trust_check_name (entry->name, error);
  }
  if (g_str_equal (key, "endpoints"))
    return read_endpoints (entry, value, error);
  if (g_str_equal (key, "tls"))
    return read_tls (entry, value, error);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("'%s' is none of name, endpoints, tls, rule"), key);
  return FALSE;
}

static Entry *
read_entry (const char *text, GVariant *items, GError **error)
{
  g_autoptr (Entry) entry = g_new0 (Entry, 1);
  GVariantIter iter;
  const char *key;
  GVariant *value;
  gboolean good = TRUE;

  if (!hypha_node_id_parse (text, &entry->id, error))
    return NULL;
  if (!hypha_node_id_is_usable (&entry->id)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID,
                 _ ("this is the id of no key that anyone could hold"));
    return NULL;
  }
  g_variant_iter_init (&iter, items);
  while (good && g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    good = read_item (entry, key, value, error);
    g_variant_unref (value);
  }
  if (!good)
    return NULL;
  if (entry->name == NULL)
    entry->name = g_strndup (text, 8);
  return g_steal_pointer (&entry);
}

gboolean
hypha_trust_set (HyphaTrust *self, GVariant *trusted, GError **error)
{
  g_autoptr (GHashTable) entries = table_new ();
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);
  GVariantIter iter;
  const char *text;
  GVariant *items;

  if (!g_variant_is_of_type (trusted, G_VARIANT_TYPE ("a{sa{sv}}"))) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("trusted-peers has to be of type a{sa{sv}}, not %s"),
                 g_variant_get_type_string (trusted));
    return FALSE;
  }
  g_variant_iter_init (&iter, trusted);
  while (g_variant_iter_next (&iter, "{&s@a{sv}}", &text, &items)) {
    G_GNUC_UNUSED g_autoptr (GVariant) owned = items;
    g_autoptr (GError) reason = NULL;
    Entry *entry = read_entry (text, items, &reason);

    if (entry == NULL) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                   _ ("trusted-peers, entry '%s': %s"), text, reason->message);
      return FALSE;
    }
    g_hash_table_replace (entries, &entry->id, entry);
    if (!g_hash_table_add (names, entry->name)) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                   _ ("trusted-peers, entry '%s': the name '%s' belongs to another entry already"),
                   text, entry->name);
      return FALSE;
    }
  }
  g_hash_table_unref (self->entries);
  self->entries = g_steal_pointer (&entries);
  return TRUE;
}

static GVariant *
entry_to_variant (const Entry *entry)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&dict, "name", "s", entry->name);
  if (entry->endpoints != NULL) {
    g_autoptr (GStrvBuilder) uris = g_strv_builder_new ();
    g_auto (GStrv) strv = NULL;

    for (guint i = 0; i < entry->endpoints->len; i++)
      g_strv_builder_add (uris, hypha_place_to_string (entry->endpoints->pdata[i]));
    strv = g_strv_builder_end (uris);
    g_variant_dict_insert (&dict, "endpoints", "^as", strv);
  }
  if (entry->tls != HYPHA_TRUST_TLS_AUTO)
    g_variant_dict_insert (&dict, "tls", "s",
                           entry->tls == HYPHA_TRUST_TLS_NEVER ? "never" : "always");
  if (entry->rule != NULL)
    g_variant_dict_insert (&dict, "rule", "s", entry->rule);
  return g_variant_dict_end (&dict);
}

GVariant *
hypha_trust_dup (HyphaTrust *self)
{
  GVariantBuilder builder;
  g_autoptr (GList) ids = hypha_trust_list (self);

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{sa{sv}}"));
  for (GList *l = ids; l != NULL; l = l->next) {
    g_autofree char *text = hypha_node_id_to_string (l->data);

    g_variant_builder_add (&builder, "{s@a{sv}}", text,
                           entry_to_variant (g_hash_table_lookup (self->entries, l->data)));
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

gboolean
hypha_trust_add (HyphaTrust *self, const HyphaNodeId *id, const char *name, GError **error)
{
  const HyphaNodeId *holder = hypha_trust_find_by_name (self, name);
  Entry *entry;

  if (!hypha_trust_check_name (name, error))
    return FALSE;
  if (!hypha_node_id_is_usable (id)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID,
                 _ ("this is the id of no key that anyone could hold"));
    return FALSE;
  }
  if (holder != NULL && !hypha_node_id_equal (holder, id)) {
    g_autofree char *text = hypha_node_id_to_string (holder);

    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
        _ ("the name '%s' belongs to %s already: choose another, or hyphactl forget %.8s first"),
        name, text, text);
    return FALSE;
  }
  entry = g_hash_table_lookup (self->entries, id);
  if (entry == NULL) {
    entry = g_new0 (Entry, 1);
    entry->id = *id;
    g_hash_table_insert (self->entries, &entry->id, entry);
  }
  g_free (entry->name);
  entry->name = g_strdup (name);
  return TRUE;
}

gboolean
hypha_trust_add_by_rule (HyphaTrust *self, const HyphaNodeId *id, const char *name,
                         const char *rule, const char *endpoint, GError **error)
{
  g_autoptr (HyphaPlace) place = hypha_place_parse (endpoint, error);
  Entry *entry;

  if (place == NULL || !hypha_trust_add (self, id, name, error))
    return FALSE;
  entry = g_hash_table_lookup (self->entries, id);
  g_clear_pointer (&entry->endpoints, g_ptr_array_unref);
  entry->endpoints = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_place_free);
  g_ptr_array_add (entry->endpoints, g_steal_pointer (&place));
  hypha_trust_set_rule (self, id, rule);
  return TRUE;
}

void
hypha_trust_set_rule (HyphaTrust *self, const HyphaNodeId *id, const char *rule)
{
  Entry *entry = g_hash_table_lookup (self->entries, id);

  g_free (entry->rule);
  entry->rule = g_strdup (rule);
}

const char *
hypha_trust_get_rule (HyphaTrust *self, const HyphaNodeId *id)
{
  Entry *entry = g_hash_table_lookup (self->entries, id);

  return entry != NULL ? entry->rule : NULL;
}

const HyphaNodeId *
hypha_trust_find_by_rule (HyphaTrust *self, const char *rule)
{
  GHashTableIter iter;
  Entry *entry;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &entry))
    if (g_strcmp0 (entry->rule, rule) == 0)
      return &entry->id;
  return NULL;
}

const HyphaNodeId *
hypha_trust_find_by_name (HyphaTrust *self, const char *name)
{
  GHashTableIter iter;
  Entry *entry;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &entry))
    if (g_str_equal (entry->name, name))
      return &entry->id;
  return NULL;
}

gboolean
hypha_trust_remove (HyphaTrust *self, const HyphaNodeId *id)
{
  return g_hash_table_remove (self->entries, id);
}

gboolean
hypha_trust_knows (HyphaTrust *self, const HyphaNodeId *id)
{
  return g_hash_table_contains (self->entries, id);
}

const char *
hypha_trust_get_name (HyphaTrust *self, const HyphaNodeId *id)
{
  Entry *entry = g_hash_table_lookup (self->entries, id);

  return entry != NULL ? entry->name : NULL;
}

HyphaTrustTls
hypha_trust_get_tls (HyphaTrust *self, const HyphaNodeId *id)
{
  Entry *entry = g_hash_table_lookup (self->entries, id);

  return entry != NULL ? entry->tls : HYPHA_TRUST_TLS_AUTO;
}

gboolean
hypha_trust_any_plain (HyphaTrust *self)
{
  GHashTableIter iter;
  Entry *entry;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &entry))
    if (entry->tls == HYPHA_TRUST_TLS_NEVER)
      return TRUE;
  return FALSE;
}

gboolean
hypha_trust_admits (HyphaTrust *self, const HyphaNodeId *id, HyphaChannel *channel,
                    HyphaEndpoint *dialled)
{
  Entry *entry = g_hash_table_lookup (self->entries, id);

  if (entry == NULL)
    return FALSE;
  if (entry->endpoints == NULL || entry->endpoints->len == 0)
    return TRUE;
  for (guint i = 0; i < entry->endpoints->len; i++)
    if (hypha_place_holds (entry->endpoints->pdata[i], channel, dialled))
      return TRUE;
  return FALSE;
}

gboolean
hypha_trust_may_dial (HyphaTrust *self, const HyphaNodeId *id, HyphaEndpoint *endpoint)
{
  Entry *entry = g_hash_table_lookup (self->entries, id);

  if (entry == NULL)
    return FALSE;
  if (entry->endpoints == NULL || entry->endpoints->len == 0)
    return TRUE;
  for (guint i = 0; i < entry->endpoints->len; i++)
    if (hypha_place_covers (entry->endpoints->pdata[i], endpoint))
      return TRUE;
  return FALSE;
}

GList *
hypha_trust_list (HyphaTrust *self)
{
  return g_list_sort (g_hash_table_get_keys (self->entries), hypha_node_id_compare);
}
