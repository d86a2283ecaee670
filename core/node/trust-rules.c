/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/trust-rules.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "node/trust.h"

/* Between the name and the id that was forgotten; no name holds a space. */
#define SUSPENDED " suspended "

struct _HyphaTrustRules {
  GPtrArray *rules; /* of HyphaTrustRule, in order of patterns */
};

static void
rule_free (gpointer data)
{
  HyphaTrustRule *rule = data;

  g_clear_pointer (&rule->place, hypha_place_free);
  g_free (rule->name);
  g_free (rule);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaTrustRule, rule_free)

HyphaTrustRules *
hypha_trust_rules_new (void)
{
  HyphaTrustRules *self = g_new0 (HyphaTrustRules, 1);

  self->rules = g_ptr_array_new_with_free_func (rule_free);
  return self;
}

void
hypha_trust_rules_free (HyphaTrustRules *self)
{
  g_ptr_array_unref (self->rules);
  g_free (self);
}

static gboolean
refuse (GError **error, const char *reason)
{
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, reason);
  return FALSE;
}

/* A transport that is not here may still come; its channels then say whether anything vouches. */
static gboolean
check_vouching (HyphaPlace *place, HyphaTransport *transport, GError **error)
{
  switch (transport != NULL ? hypha_transport_get_vouching (transport) : HYPHA_VOUCHING_ADDRESS) {
  case HYPHA_VOUCHING_NONE:
    return refuse (error, _ ("neither kernel nor hypervisor vouches for addresses of this "
                             "transport, so anybody could have this one: use hyphactl trust, or "
                             "hyphactl pair"));
  case HYPHA_VOUCHING_UID:
    if (!hypha_place_has_uid (place))
      return refuse (error, _ ("the kernel vouches for the user at the other end, and not for the "
                               "address: name the user id, as in ?uid=1000"));
    break;
  case HYPHA_VOUCHING_ADDRESS:
    if (transport != NULL && hypha_place_has_uid (place))
      return refuse (error, _ ("no user id is known of whoever is at the other end"));
    break;
  }
  return TRUE;
}

static gboolean
read_place (HyphaTrustRule *rule, HyphaLoader *loader, const char *text, GError **error)
{
  HyphaTransport *transport = NULL;

  rule->place = hypha_place_parse (text, error);
  if (rule->place == NULL)
    return FALSE;
  if (hypha_place_has_options (rule->place))
    return refuse (error, _ ("a rule has no other option than uid"));
  transport = hypha_loader_lookup (
      loader, hypha_endpoint_get_scheme (hypha_place_get_endpoint (rule->place)), NULL);
  if (!check_vouching (rule->place, transport, error))
    return FALSE;
  return transport == NULL || hypha_place_spell (rule->place, transport, error);
}

static gboolean
read_name (HyphaTrustRule *rule, const char *text, GError **error)
{
  const char *mark = strstr (text, SUSPENDED);

  rule->suspended = mark != NULL;
  rule->name = mark != NULL ? g_strndup (text, (gsize) (mark - text)) : g_strdup (text);
  return hypha_trust_check_name (rule->name, error) &&
         (mark == NULL || hypha_node_id_parse (mark + strlen (SUSPENDED), &rule->forgotten, error));
}

static int
compare (gconstpointer a, gconstpointer b)
{
  HyphaTrustRule *const *one = a, *const *other = b;

  return strcmp (hypha_place_to_string ((*one)->place), hypha_place_to_string ((*other)->place));
}

gboolean
hypha_trust_rules_set (HyphaTrustRules *self, HyphaLoader *loader, GVariant *rules, GError **error)
{
  g_autoptr (GPtrArray) read = g_ptr_array_new_with_free_func (rule_free);
  GVariantIter iter;
  const char *pattern, *name;

  if (!g_variant_is_of_type (rules, G_VARIANT_TYPE ("a{ss}"))) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("trust-rules has to be of type a{ss}, not %s"),
                 g_variant_get_type_string (rules));
    return FALSE;
  }
  g_variant_iter_init (&iter, rules);
  while (g_variant_iter_next (&iter, "{&s&s}", &pattern, &name)) {
    g_autoptr (HyphaTrustRule) rule = g_new0 (HyphaTrustRule, 1);
    g_autoptr (GError) reason = NULL;

    if (!read_place (rule, loader, pattern, &reason) || !read_name (rule, name, &reason)) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                   _ ("trust-rules, rule '%s': %s"), pattern, reason->message);
      return FALSE;
    }
    rule->index = read->len;
    g_ptr_array_add (read, g_steal_pointer (&rule));
  }
  g_ptr_array_sort (read, compare);
  for (guint i = 1; i < read->len; i++)
    if (compare (&read->pdata[i - 1], &read->pdata[i]) == 0) {
      /* One could be suspended, and the other still let in whom that was meant for. */
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                   _ ("trust-rules, rule '%s': it is there twice"),
                   hypha_place_to_string (((HyphaTrustRule *) read->pdata[i])->place));
      return FALSE;
    }
  g_ptr_array_unref (self->rules);
  self->rules = g_steal_pointer (&read);
  return TRUE;
}

static int
compare_indices (gconstpointer a, gconstpointer b)
{
  HyphaTrustRule *const *one = a, *const *other = b;

  return (*one)->index < (*other)->index ? -1 : (*one)->index > (*other)->index;
}

GVariant *
hypha_trust_rules_dup (HyphaTrustRules *self)
{
  g_autoptr (GPtrArray) as_set = g_ptr_array_new ();
  GVariantBuilder builder;

  g_ptr_array_extend (as_set, self->rules, NULL, NULL);
  g_ptr_array_sort (as_set, compare_indices);
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{ss}"));
  for (guint i = 0; i < as_set->len; i++) {
    const HyphaTrustRule *rule = as_set->pdata[i];
    g_autofree char *id = rule->suspended ? hypha_node_id_to_string (&rule->forgotten) : NULL;
    g_autofree char *value = g_strconcat (rule->name, id != NULL ? SUSPENDED : NULL, id, NULL);

    g_variant_builder_add (&builder, "{ss}", hypha_place_to_string (rule->place), value);
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

guint
hypha_trust_rules_n (HyphaTrustRules *self)
{
  return self->rules->len;
}

HyphaTrustRule *
hypha_trust_rules_get (HyphaTrustRules *self, guint index)
{
  return self->rules->pdata[index];
}

const HyphaTrustRule *
hypha_trust_rules_find_forgotten (HyphaTrustRules *self, const HyphaNodeId *id)
{
  for (guint i = 0; i < self->rules->len; i++) {
    const HyphaTrustRule *rule = self->rules->pdata[i];

    if (rule->suspended && hypha_node_id_equal (&rule->forgotten, id))
      return rule;
  }
  return NULL;
}

gboolean
hypha_trust_rules_give (HyphaTrustRules *self, const char *name, const HyphaNodeId *id)
{
  for (guint i = 0; i < self->rules->len; i++) {
    const HyphaTrustRule *rule = self->rules->pdata[i];

    if (g_str_equal (rule->name, name) &&
        !(rule->suspended && hypha_node_id_equal (&rule->forgotten, id)))
      return TRUE;
  }
  return FALSE;
}

HyphaTrustRule *
hypha_trust_rules_lookup (HyphaTrustRules *self, const char *pattern)
{
  for (guint i = 0; i < self->rules->len; i++)
    if (g_strcmp0 (hypha_place_to_string (((HyphaTrustRule *) self->rules->pdata[i])->place),
                   pattern) == 0)
      return self->rules->pdata[i];
  return NULL;
}
