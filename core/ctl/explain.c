/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include "ctl/table.h"
#include "ctl/verb.h"

/* What the node tells of one way; what it does not tell is as of a way that was not tried. */
typedef struct {
  char *endpoint, *link, *transport, *state, *reason;
  guint cost, static_cost, penalty;
  guint64 rtt; /* us */
  gboolean chosen;
} Candidate;

static void
candidate_clear (Candidate *self)
{
  g_free (self->endpoint);
  g_free (self->link);
  g_free (self->transport);
  g_free (self->state);
  g_free (self->reason);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Candidate, candidate_clear)

static char *
get_text (GVariantDict *dict, const char *key)
{
  char *text = NULL;

  g_variant_dict_lookup (dict, key, "s", &text);
  return text ? text : g_strdup ("");
}

static void
candidate_read (Candidate *self, GVariant *value)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (value);

  self->endpoint = get_text (&dict, "endpoint");
  self->link = get_text (&dict, "link");
  self->transport = get_text (&dict, "transport");
  self->state = get_text (&dict, "state");
  self->reason = get_text (&dict, "reason");
  self->cost = self->static_cost = G_MAXUINT;
  g_variant_dict_lookup (&dict, "cost", "u", &self->cost);
  g_variant_dict_lookup (&dict, "static-cost", "u", &self->static_cost);
  g_variant_dict_lookup (&dict, "penalty", "u", &self->penalty);
  g_variant_dict_lookup (&dict, "rtt-us", "t", &self->rtt);
  g_variant_dict_lookup (&dict, "chosen", "b", &self->chosen);
}

static GVariant *
describe (const Candidate *way)
{
  return g_variant_new_parsed (
      "{'endpoint': <%s>, 'link': <%s>, 'transport': <%s>, 'state': <%s>, 'chosen': <%b>,"
      " 'cost': <%@mu>, 'static-cost': <%@mu>, 'rtt-us': <%t>, 'penalty': <%u>, 'reason': <%s>}",
      way->endpoint, way->link, way->transport, way->state, way->chosen,
      hypha_ctl_json_cost (way->cost), hypha_ctl_json_cost (way->static_cost), way->rtt,
      way->penalty, way->reason);
}

static void
add_row (HyphaTable *table, const Candidate *way)
{
  gboolean is_link = *way->link != '\0';

  hypha_table_add (
      table, g_strdup (way->chosen ? "*" : ""), g_strdup (way->endpoint), g_strdup (way->transport),
      g_strdup (way->state), is_link ? hypha_ctl_format_cost (way->cost) : g_strdup ("-"),
      hypha_ctl_format_cost (way->static_cost),
      is_link ? hypha_ctl_format_ms (way->rtt) : g_strdup ("-"),
      is_link ? hypha_ctl_format_cost (way->penalty) : g_strdup ("-"), g_strdup (way->reason));
}

gboolean
hypha_verb_explain (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (HyphaClientPeer) peer = words ? hypha_ctl_find_peer (ctl, words[0], error) : NULL;
  g_autoptr (GVariant) candidates = NULL;
  g_autoptr (HyphaTable) table =
      hypha_table_new ("", _ ("ENDPOINT"), _ ("-TRANSPORT"), _ ("=STATE"), _ (">COST"),
                       _ (">STATIC"), _ (">ROUND TRIP"), _ (">-PENALTY"), _ ("+REASON"), NULL);
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));
  g_autofree char *id = NULL;

  if (peer == NULL)
    return FALSE;
  id = hypha_peer_dup_id (HYPHA_PEER (peer));
  if (!hypha_dbus_node1_call_explain_sync (hypha_client_get_node (ctl->client), id,
                                           G_DBUS_CALL_FLAGS_NONE, -1, &candidates, NULL, error)) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  for (gsize i = 0; i < g_variant_n_children (candidates); i++) {
    g_autoptr (GVariant) value = g_variant_get_child_value (candidates, i);
    g_auto (Candidate) way = { 0 };

    candidate_read (&way, value);
    add_row (table, &way);
    g_variant_builder_add_value (all, describe (&way));
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}
