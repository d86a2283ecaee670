/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/node-private.h"

#include <glib/gi18n-lib.h>

#define STAGGER_MS 250 /* between the endpoints that are dialled at once */

/**
 * hypha_node_set_name:
 * @self: a node
 * @name: 1 to 64 bytes without white space, or empty
 * @error: return location for an error
 *
 * Sets what the node calls itself to others. They know it by its id.
 *
 * Returns: whether it is a name; if not, @error is set
 */
gboolean
hypha_node_set_name (HyphaNode *self, const char *name, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_NODE (self), FALSE);
  g_return_val_if_fail (name != NULL, FALSE);

  if (*name != '\0' && !hypha_trust_check_name (name, error))
    return FALSE;
  if (g_str_equal (self->name, name))
    return TRUE;
  g_free (self->name);
  self->name = g_strdup (name);
  g_object_notify (G_OBJECT (self), "name");
  return TRUE;
}

/**
 * hypha_node_set_spin:
 * @self: a node
 * @spin: microseconds, at most 100; 0, as at the beginning: not at all
 *
 * For how long the node's threads look for more to do before they sleep, each time they had
 * something to do. What comes within that time is carried on without waking anybody, so round trips
 * get several times shorter where there are idle CPUs; a CPU is busy meanwhile. Without effect
 * where the process may use one CPU only.
 */
void
hypha_node_set_spin (HyphaNode *self, guint spin)
{
  g_return_if_fail (HYPHA_IS_NODE (self));

  self->limits.spin = spin;
  for (guint i = 0; i < self->workers->len; i++)
    hypha_worker_set_spin (self->workers->pdata[i], spin);
}

void
hypha_node_set_limits (HyphaNode *self, const HyphaNodeLimits *limits)
{
  HyphaSessionLimits session;
  const HyphaAdmissionLimits admission = { .max_handshakes = limits->max_handshakes,
                                           .max_per_source = limits->max_handshakes_per_source };

  self->limits = *limits;
  session = hypha_node_session_limits (self);
  hypha_admission_set_limits (self->admission, &admission);
  hypha_node_limit_pending (self, limits->max_pending_peers);
  hypha_node_set_spin (self, limits->spin);
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);

    hypha_node_peer_set_limits (peer, &session, (gint64) limits->ping_interval * 1000,
                                (gint64) limits->link_timeout * 1000);
  }
}

static gboolean
same_door (gconstpointer a, gconstpointer b)
{
  return g_str_equal (hypha_door_get_uri ((HyphaDoor *) a), hypha_door_get_uri ((HyphaDoor *) b));
}

static gboolean
same_dialler (gconstpointer a, gconstpointer b)
{
  return g_str_equal (hypha_dialler_get_uri ((HyphaDialler *) a),
                      hypha_dialler_get_uri ((HyphaDialler *) b));
}

/**
 * hypha_node_set_listen:
 * @self: a node
 * @endpoints: (array zero-terminated=1): where to listen
 * @error: return location for an error
 *
 * Listens on these endpoints from now on, and on no others that this function was given before.
 * Where that does not work now, it is tried again.
 *
 * Returns: whether all of them parse; if not, @error names the one that does not, and nothing has
 * changed
 */
gboolean
hypha_node_set_listen (HyphaNode *self, const char *const *endpoints, GError **error)
{
  g_autoptr (GPtrArray) wanted = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_door_unref);

  g_return_val_if_fail (HYPHA_IS_NODE (self), FALSE);
  g_return_val_if_fail (endpoints != NULL, FALSE);

  if (self->drain != NULL)
    return TRUE; /* it stops */
  for (guint i = 0; endpoints[i] != NULL; i++) {
    HyphaDoor *door = NULL;

    for (guint j = 0; j < self->doors->len && door == NULL; j++)
      if (!hypha_door_is_adopted (self->doors->pdata[j]) &&
          g_str_equal (hypha_door_get_uri (self->doors->pdata[j]), endpoints[i]))
        door = hypha_door_ref (self->doors->pdata[j]);
    if (door == NULL)
      door =
          hypha_door_new (self->loader, endpoints[i], TRUE, &hypha_node_door_events, self, error);
    if (door == NULL) {
      g_prefix_error (error, _ ("listen, entry '%s': "), endpoints[i]);
      return FALSE;
    }
    if (g_ptr_array_find_with_equal_func (wanted, door, same_door, NULL))
      hypha_door_unref (door);
    else
      g_ptr_array_add (wanted, door);
  }
  for (guint i = self->doors->len; i > 0; i--) {
    HyphaDoor *door = self->doors->pdata[i - 1];

    if (hypha_door_is_permanent (door) && !g_ptr_array_find (wanted, door, NULL)) {
      hypha_door_close (door);
      g_ptr_array_remove_index (self->doors, i - 1);
    }
  }
  for (guint i = 0; i < wanted->len; i++) {
    hypha_door_set_permanent (wanted->pdata[i], TRUE);
    if (!g_ptr_array_find (self->doors, wanted->pdata[i], NULL))
      g_ptr_array_add (self->doors, hypha_door_ref (wanted->pdata[i]));
    hypha_door_open (wanted->pdata[i]);
  }
  g_object_notify (G_OBJECT (self), "listening");
  g_object_notify (G_OBJECT (self), "troubles");
  return TRUE;
}

/**
 * hypha_node_set_peers:
 * @self: a node
 * @endpoints: (array zero-terminated=1): where to dial
 * @error: return location for an error
 *
 * Dials these endpoints from now on and for ever, and no others that this function was given
 * before.
 *
 * Returns: whether all of them parse; if not, @error names the one that does not, and nothing has
 * changed
 */
gboolean
hypha_node_set_peers (HyphaNode *self, const char *const *endpoints, GError **error)
{
  g_autoptr (GPtrArray) wanted =
      g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_dialler_unref);
  guint delay = 0;

  g_return_val_if_fail (HYPHA_IS_NODE (self), FALSE);
  g_return_val_if_fail (endpoints != NULL, FALSE);

  for (guint i = 0; endpoints[i] != NULL; i++) {
    HyphaDialler *dialler = NULL;

    for (guint j = 0; j < self->diallers->len && dialler == NULL; j++)
      if (g_str_equal (hypha_dialler_get_uri (self->diallers->pdata[j]), endpoints[i]))
        dialler = hypha_dialler_ref (self->diallers->pdata[j]);
    if (dialler == NULL)
      dialler = hypha_dialler_new (self->loader, endpoints[i], TRUE, &hypha_node_dialler_events,
                                   self, error);
    if (dialler == NULL) {
      g_prefix_error (error, _ ("peers, entry '%s': "), endpoints[i]);
      return FALSE;
    }
    if (g_ptr_array_find_with_equal_func (wanted, dialler, same_dialler, NULL))
      hypha_dialler_unref (dialler);
    else
      g_ptr_array_add (wanted, dialler);
  }
  /* An endpoint that is no longer wanted is dialled no more; a link over it stays. */
  for (guint i = self->diallers->len; i > 0; i--)
    if (hypha_dialler_is_permanent (self->diallers->pdata[i - 1]) &&
        !g_ptr_array_find (wanted, self->diallers->pdata[i - 1], NULL)) {
      hypha_dialler_set_permanent (self->diallers->pdata[i - 1], FALSE);
      if (!hypha_dialler_is_suggested (self->diallers->pdata[i - 1]))
        hypha_node_drop_dialler (self, i - 1);
    }
  for (guint i = 0; i < wanted->len; i++) {
    hypha_dialler_set_permanent (wanted->pdata[i], TRUE);
    if (g_ptr_array_find (self->diallers, wanted->pdata[i], NULL))
      continue;
    g_ptr_array_add (self->diallers, hypha_dialler_ref (wanted->pdata[i]));
    hypha_dialler_start (wanted->pdata[i], delay);
    delay += STAGGER_MS;
  }
  return TRUE;
}

gboolean
hypha_node_set_link_costs (HyphaNode *self, GVariant *costs, GError **error)
{
  if (!g_variant_is_of_type (costs, G_VARIANT_TYPE ("a{su}"))) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("link-costs has to be of type a{su}, not %s"),
                 g_variant_get_type_string (costs));
    return FALSE;
  }
  g_clear_pointer (&self->link_costs, g_variant_unref);
  self->link_costs = g_variant_ref_sink (costs);
  if (g_variant_n_children (costs) == 0)
    g_clear_pointer (&self->link_costs, g_variant_unref); /* every link that comes is priced */
  hypha_node_apply_link_costs (self);
  hypha_node_peers_changed (self->for_transports);
  return TRUE;
}

/**
 * hypha_node_dup_listening:
 * @self: a node
 *
 * Gives the endpoints that are bound, with their real ports.
 *
 * Returns: (transfer full) (array zero-terminated=1): the endpoints
 */
char **
hypha_node_dup_listening (HyphaNode *self)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  g_return_val_if_fail (HYPHA_IS_NODE (self), NULL);

  for (guint i = 0; i < self->doors->len; i++)
    if (hypha_door_get_bound (self->doors->pdata[i]) != NULL)
      g_strv_builder_add (builder, hypha_door_get_bound (self->doors->pdata[i]));
  return g_strv_builder_end (builder);
}

gboolean
hypha_node_is_settled (HyphaNode *self)
{
  for (guint i = 0; i < self->doors->len; i++)
    if (hypha_door_is_opening (self->doors->pdata[i]))
      return FALSE;
  return TRUE;
}

GVariant *
hypha_node_dup_troubles (HyphaNode *self)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{ss}"));
  for (guint i = 0; i < self->doors->len; i++)
    if (hypha_door_get_trouble (self->doors->pdata[i]) != NULL)
      g_variant_builder_add (&builder, "{ss}", hypha_door_get_uri (self->doors->pdata[i]),
                             hypha_door_get_trouble (self->doors->pdata[i]));
  for (guint i = 0; i < self->diallers->len; i++)
    if (hypha_dialler_get_trouble (self->diallers->pdata[i]) != NULL &&
        !hypha_dialler_is_suggested (self->diallers->pdata[i]))
      g_variant_builder_add (&builder, "{ss}", hypha_dialler_get_uri (self->diallers->pdata[i]),
                             hypha_dialler_get_trouble (self->diallers->pdata[i]));
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}
