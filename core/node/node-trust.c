/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whom the node trusts: by the settings, by hand, by a rule. */

#include "node/node-private.h"

#include <glib/gi18n-lib.h>

/* Makes the list of peers what the trust says. */
static void
apply_trust (HyphaNode *self)
{
  g_autoptr (GList) ids = hypha_trust_list (self->trust);

  for (guint i = g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i > 0; i--) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i - 1);

    if (hypha_peer_get_trusted (HYPHA_PEER (peer)) &&
        !hypha_trust_knows (self->trust, hypha_node_peer_get_id (peer)))
      hypha_node_remove_peer (self, peer);
  }
  for (GList *l = ids; l != NULL; l = l->next) {
    HyphaNodePeer *peer = hypha_node_find (self, l->data);

    if (peer == NULL)
      peer = hypha_node_add_peer (self, l->data);
    hypha_node_peer_set_name (peer, hypha_trust_get_name (self->trust, l->data));
    hypha_node_peer_set_trusted (peer, TRUE);
    hypha_node_peer_set_from (peer, "");
  }
  hypha_node_close_forbidden_links (self);
  hypha_node_hurry_diallers (self);
}

/* ---- trust rules ---- */

/* Whoever has no business here any more must not come back by the rule, nor by another key. */
static void
suspend_rule (HyphaNode *self, const HyphaNodeId *id)
{
  const char *pattern = hypha_trust_get_rule (self->trust, id);
  HyphaTrustRule *rule = pattern != NULL ? hypha_trust_rules_lookup (self->rules, pattern) : NULL;

  if (rule == NULL)
    return;
  rule->suspended = TRUE;
  rule->forgotten = *id;
  g_message ("the trust rule '%s' is suspended until it is written anew, or %s is trusted by hand",
             pattern, hypha_trust_get_name (self->trust, id));
}

/* One of them: an id uses up one rule, and any other would be open to whoever comes. */
static void
resume_rule (HyphaNode *self, const HyphaNodeId *id)
{
  for (guint i = 0; i < hypha_trust_rules_n (self->rules); i++) {
    HyphaTrustRule *rule = hypha_trust_rules_get (self->rules, i);

    if (!rule->suspended || !hypha_node_id_equal (&rule->forgotten, id))
      continue;
    rule->suspended = FALSE;
    hypha_trust_set_rule (self->trust, id, hypha_place_to_string (rule->place));
    return;
  }
}

/* Why RULE does not let WANTED in; NULL: it does. */
static char *
why_not (HyphaNode *self, const HyphaTrustRule *rule, const HyphaNodeId *wanted)
{
  const HyphaTrustRule *former = hypha_trust_rules_find_forgotten (self->rules, wanted);
  const HyphaNodeId *user =
      hypha_trust_find_by_rule (self->trust, hypha_place_to_string (rule->place));
  const HyphaNodeId *namesake = hypha_trust_find_by_name (self->trust, rule->name);
  g_autofree char *id = NULL;

  if (rule->suspended) {
    id = hypha_node_id_to_string (&rule->forgotten);
    return g_strdup_printf ("is suspended since %s (%s) was forgotten", rule->name, id);
  }
  if (user != NULL) {
    id = hypha_node_id_to_string (user);
    return g_strdup_printf ("was used up by %s (%s)", hypha_trust_get_name (self->trust, user), id);
  }
  if (namesake != NULL) {
    id = hypha_node_id_to_string (namesake);
    return g_strdup_printf ("gives a name that belongs to %s already (%s)", rule->name, id);
  }
  if (former != NULL)
    return g_strdup_printf ("does not bring back whom '%s' let in until it was forgotten",
                            hypha_place_to_string (former->place));
  return NULL;
}

static gboolean
use_rule (HyphaNode *self, const HyphaTrustRule *rule, const HyphaNodeId *id, HyphaChannel *channel)
{
  const char *pattern = hypha_place_to_string (rule->place);
  g_autofree char *text = hypha_node_id_to_string (id);
  g_autofree char *endpoint = hypha_place_bind (rule->place, channel);
  g_autoptr (GError) error = NULL;

  if (!hypha_trust_add_by_rule (self->trust, id, rule->name, pattern, endpoint, &error)) {
    g_warning ("the trust rule '%s' cannot let %s in: %s", pattern, text, error->message);
    return FALSE;
  }
  g_message ("%s is trusted as %s by the trust rule '%s', and bound to %s", text, rule->name,
             pattern, endpoint);
  apply_trust (self);
  g_signal_emit_by_name (self, "trust-changed");
  g_signal_emit_by_name (self, "trust-unsaved");
  return TRUE;
}

gboolean
hypha_node_trust_by_rule (HyphaNode *self, const HyphaNodeId *id, HyphaChannel *channel,
                          const char *from)
{
  for (guint i = 0; i < hypha_trust_rules_n (self->rules); i++) {
    const HyphaTrustRule *rule = hypha_trust_rules_get (self->rules, i);
    g_autofree char *refusal = NULL;

    if (!hypha_place_vouches (rule->place, channel))
      continue;
    refusal = why_not (self, rule, id);
    if (refusal == NULL)
      return use_rule (self, rule, id, channel);
    /* Once for each; the list of pending peers bounds how often a flood is told. */
    if (hypha_node_find (self, id) == NULL) {
      g_autofree char *text = hypha_node_id_to_string (id);

      g_log (G_LOG_DOMAIN,
             hypha_node_is_crowded_by_pending (self) ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_WARNING,
             "%s at %s is not let in by the trust rule '%s', which %s", text, from,
             hypha_place_to_string (rule->place), refusal);
    }
  }
  return FALSE;
}

gboolean
hypha_node_set_trust_rules (HyphaNode *self, GVariant *rules, GError **error)
{
  if (!hypha_trust_rules_set (self->rules, self->loader, rules, error))
    return FALSE;
  hypha_node_hurry_diallers (self);
  return TRUE;
}

GVariant *
hypha_node_dup_trust_rules (HyphaNode *self)
{
  return hypha_trust_rules_dup (self->rules);
}

/* ---- by the settings and by hand ---- */

gboolean
hypha_node_set_trusted (HyphaNode *self, GVariant *trusted, GError **error)
{
  if (!hypha_trust_set (self->trust, trusted, error))
    return FALSE;
  apply_trust (self);
  g_signal_emit_by_name (self, "trust-changed");
  return TRUE;
}

GVariant *
hypha_node_dup_trusted (HyphaNode *self)
{
  return hypha_trust_dup (self->trust);
}

/**
 * hypha_node_trust:
 * @self: a node
 * @id: the whole id of another node
 * @name: the name under which it is to be known: 1 to 64 bytes without white space
 * @error: return location for an error
 *
 * Talks to another node from now on. A node that a program holds keeps this in memory only.
 *
 * Returns: whether it worked; if not, @error is set
 */
gboolean
hypha_node_trust (HyphaNode *self, const char *id, const char *name, GError **error)
{
  HyphaNodeId parsed;

  g_return_val_if_fail (HYPHA_IS_NODE (self), FALSE);
  g_return_val_if_fail (id != NULL, FALSE);
  g_return_val_if_fail (name != NULL, FALSE);

  if (!hypha_node_id_parse (id, &parsed, error))
    return FALSE;
  if (hypha_node_id_equal (&parsed, hypha_node_get_id (self))) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                         _ ("this is the node's own id: trust the other node's"));
    return FALSE;
  }
  if (!hypha_trust_add (self->trust, &parsed, name, error))
    return FALSE;
  resume_rule (self, &parsed);
  apply_trust (self);
  g_signal_emit_by_name (self, "trust-changed");
  return TRUE;
}

/**
 * hypha_node_forget:
 * @self: a node
 * @id: a peer's name, id, or unique beginning of an id
 * @error: return location for an error
 *
 * Takes back the trust in a peer, and ends its links and streams.
 *
 * Returns: whether there was such a peer; if not, @error is set
 */
gboolean
hypha_node_forget (HyphaNode *self, const char *id, GError **error)
{
  HyphaNodePeer *peer;
  HyphaNodeId parsed;

  g_return_val_if_fail (HYPHA_IS_NODE (self), FALSE);
  g_return_val_if_fail (id != NULL, FALSE);

  peer = hypha_node_lookup (self, id, error);
  if (peer == NULL)
    return FALSE;
  parsed = *hypha_node_peer_get_id (peer);
  if (!hypha_peer_get_trusted (HYPHA_PEER (peer)))
    hypha_node_remove_peer (self, peer);
  suspend_rule (self, &parsed);
  if (hypha_trust_remove (self->trust, &parsed)) {
    apply_trust (self);
    g_signal_emit_by_name (self, "trust-changed");
  }
  return TRUE;
}
