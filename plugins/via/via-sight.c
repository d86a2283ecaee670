/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-sight.h"

#include "via-hearer.h"
#include "via-line.h"
#include "via-route.h"
#include "via-source.h"
#include "via-talk.h"

struct _ViaSight {
  ViaHub *hub;
  HyphaPeers *peers;
  GHashTable *sources;   /* id, of ViaSource */
  GHashTable *hearers;   /* id, of ViaHearer */
  GHashTable *offered;   /* ids that may pass and were told so */
  GHashTable *suggested; /* endpoint, to its cost */
  gulong changed;
  gboolean updating;
  GSource *telling; /* for a while after all were told, or until they are */
  gboolean untold;
};

/* What many peers bring about is worked out together, no more often than this. */
#define PACE_MS 250

/* ---- what is told ---- */

static void
add_seen (GHashTable *best, guint cost, const char *through, char **route)
{
  g_autoptr (GPtrArray) nodes = g_ptr_array_new ();
  ViaSeen *seen = g_new (ViaSeen, 1), *known;

  if (through != NULL)
    g_ptr_array_add (nodes, g_strdup (through));
  for (char **node = route; *node != NULL; node++)
    g_ptr_array_add (nodes, g_strdup (*node));
  g_ptr_array_add (nodes, NULL);
  *seen = (ViaSeen){ MIN (cost, VIA_MAX_COST),
                     (char **) g_ptr_array_free (g_steal_pointer (&nodes), FALSE) };
  known = g_hash_table_lookup (best, via_seen_get_target (seen));
  /* What this node knows by itself goes before what others say, who may lie. */
  if (known != NULL && (via_seen_n_middles (known) == 0 || known->cost <= seen->cost))
    via_seen_free (seen);
  else
    g_hash_table_replace (best, (gpointer) via_seen_get_target (seen), seen);
}

static void
add_direct (ViaSight *self, const char *hearer, GHashTable *best)
{
  GHashTableIter iter;
  const char *id;
  ViaHearer *other;

  g_hash_table_iter_init (&iter, self->hearers);
  while (g_hash_table_iter_next (&iter, (gpointer *) &id, (gpointer *) &other)) {
    char *route[] = { (char *) id, NULL };
    guint cost;

    if (!g_str_equal (id, hearer) && via_hearer_is_listening (other) &&
        via_hub_get_link_cost (self->peers, via_hearer_get_peer (other), &cost))
      add_seen (best, cost, NULL, route);
  }
}

/* What others told this node, as long as not too many are in the middle, and nobody comes back. */
static void
add_further (ViaSight *self, const char *hearer, GHashTable *best)
{
  GHashTableIter iter;
  const char *id;
  ViaSource *source;
  guint cost;

  g_hash_table_iter_init (&iter, self->sources);
  while (g_hash_table_iter_next (&iter, (gpointer *) &id, (gpointer *) &source)) {
    HyphaPeer *peer = via_source_get_peer (source);
    GPtrArray *list = via_source_get_list (source);

    if (g_str_equal (id, hearer) || !hypha_peers_may_pass (self->peers, VIA_SERVICE, peer) ||
        !via_hub_get_link_cost (self->peers, peer, &cost))
      continue;
    for (guint i = 0; i < list->len; i++) {
      ViaSeen *seen = list->pdata[i];

      if (!via_seen_has (seen, hearer) && via_seen_n_middles (seen) + 2 <= VIA_MAX_MIDDLES)
        add_seen (best, cost + VIA_MIDDLE_COST + seen->cost, id, seen->route);
    }
  }
}

static int
compare_seen (gconstpointer a, gconstpointer b)
{
  const ViaSeen *one = *(ViaSeen *const *) a, *other = *(ViaSeen *const *) b;

  return one->cost != other->cost
             ? (one->cost < other->cost ? -1 : 1)
             : g_strcmp0 (via_seen_get_target (one), via_seen_get_target (other));
}

static void
tell (ViaSight *self, const char *id, ViaHearer *hearer)
{
  g_autoptr (GHashTable) best =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) via_seen_free);
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  g_autofree char *line = NULL;
  GHashTableIter iter;
  ViaSeen *seen;

  add_direct (self, id, best);
  add_further (self, id, best);
  g_hash_table_iter_init (&iter, best);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &seen))
    g_ptr_array_add (list, seen);
  g_ptr_array_sort (list, compare_seen);
  line = via_list_print (list);
  via_hearer_tell (hearer, line);
}

static gboolean on_pace (gpointer user_data);

static void
tell_all (ViaSight *self)
{
  GHashTableIter iter;
  const char *id;
  ViaHearer *hearer;

  g_hash_table_iter_init (&iter, self->hearers);
  while (g_hash_table_iter_next (&iter, (gpointer *) &id, (gpointer *) &hearer))
    tell (self, id, hearer);
  self->untold = FALSE;
  if (g_hash_table_size (self->hearers) == 0)
    return;
  self->telling = g_timeout_source_new (PACE_MS);
  g_source_set_callback (self->telling, on_pace, self, NULL);
  g_source_attach (self->telling, g_main_context_get_thread_default ());
}

static gboolean
on_pace (gpointer user_data)
{
  ViaSight *self = user_data;

  g_clear_pointer (&self->telling, g_source_unref);
  if (self->untold)
    tell_all (self);
  return G_SOURCE_REMOVE;
}

static void
tell_soon (ViaSight *self)
{
  self->untold = TRUE;
  if (self->telling == NULL)
    tell_all (self);
}

/* ---- what is suggested ---- */

static HyphaEndpoint *
endpoint_of (ViaSource *source, ViaSeen *seen)
{
  g_autofree char *first = via_hub_dup_word (via_source_get_peer (source));
  g_autoptr (GPtrArray) route = g_ptr_array_new ();

  g_ptr_array_add (route, first);
  for (char **node = seen->route; *node != NULL; node++)
    g_ptr_array_add (route, *node);
  g_ptr_array_add (route, NULL);
  return via_route_to_endpoint ((const char *const *) route->pdata, NULL);
}

static void
suggest_of (ViaSight *self, ViaSource *source, GHashTable *wanted)
{
  GPtrArray *list = via_source_get_list (source);
  guint first;

  if (!via_hub_get_link_cost (self->peers, via_source_get_peer (source), &first))
    return;
  for (guint i = 0; i < list->len; i++) {
    ViaSeen *seen = list->pdata[i];
    g_autoptr (HyphaPeer) target = via_hub_find_peer (self->hub, via_seen_get_target (seen));
    HyphaEndpoint *endpoint;

    if (target == NULL || via_seen_n_middles (seen) + 1 > VIA_MAX_MIDDLES)
      continue;
    endpoint = endpoint_of (source, seen);
    /* Also what was suggested before: the node may have had no room for it then. */
    hypha_peers_suggest (self->peers, via_seen_get_target (seen), endpoint);
    g_hash_table_insert (wanted, endpoint, GUINT_TO_POINTER (first + VIA_MIDDLE_COST + seen->cost));
  }
}

static void
suggest_all (ViaSight *self)
{
  g_autoptr (GHashTable) before = self->suggested;
  GHashTable *wanted = g_hash_table_new_full (hypha_endpoint_hash, hypha_endpoint_equal,
                                              (GDestroyNotify) hypha_endpoint_unref, NULL);
  GHashTableIter iter;
  gpointer item;

  g_hash_table_iter_init (&iter, self->sources);
  while (g_hash_table_iter_next (&iter, NULL, &item))
    suggest_of (self, item, wanted);
  self->suggested = wanted;
  g_hash_table_iter_init (&iter, before);
  while (g_hash_table_iter_next (&iter, &item, NULL))
    if (!g_hash_table_contains (wanted, item))
      hypha_peers_withdraw (self->peers, item);
}

gboolean
via_sight_get_cost (ViaSight *self, HyphaEndpoint *endpoint, guint *cost)
{
  gpointer value;

  if (!g_hash_table_lookup_extended (self->suggested, endpoint, NULL, &value))
    return FALSE;
  *cost = GPOINTER_TO_UINT (value);
  return TRUE;
}

/* ---- who is asked, and who may be told ---- */

static void
on_list (gpointer user_data)
{
  ViaSight *self = user_data;

  if (self->updating)
    return; /* all is looked at behind that */
  suggest_all (self);
  tell_soon (self);
}

static void
on_offer_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (HyphaStream) stream = hypha_peers_open_finish (HYPHA_PEERS (source), result, NULL);
  g_autofree char *line = via_head_print (&(ViaHead){ .type = VIA_HEAD_OFFER });

  if (stream != NULL)
    via_line_write (stream, line, NULL, NULL);
}

/* Whoever asked before it may pass was turned away, and does not ask again by itself. */
static void
offer (ViaSight *self, HyphaPeer *peer, const char *id)
{
  if (!g_hash_table_add (self->offered, g_strdup (id)) || g_hash_table_contains (self->hearers, id))
    return;
  hypha_peers_open_async (self->peers, peer, VIA_SERVICE, 10000, NULL, on_offer_opened, NULL);
}

static void
look_at (ViaSight *self, HyphaPeer *peer, gboolean takes_part, GHashTable *present)
{
  g_autofree char *id = hypha_peer_dup_id (peer);
  gboolean listening = via_hub_find_listener (self->hub, peer) != NULL;
  gboolean may_pass = hypha_peers_may_pass (self->peers, VIA_SERVICE, peer);
  ViaSource *source = g_hash_table_lookup (self->sources, id);

  if (!via_hub_get_link_cost (self->peers, peer, NULL))
    return;
  if (may_pass)
    offer (self, peer, id);
  else
    g_hash_table_remove (self->offered, id);
  if (takes_part && source != NULL)
    via_source_set_listening (source, listening);
  else if (takes_part)
    g_hash_table_insert (self->sources, g_strdup (id),
                         via_source_new (self->peers, peer, listening, on_list, self));
  g_hash_table_insert (present, g_steal_pointer (&id), GINT_TO_POINTER (may_pass + 1));
}

static gboolean
is_gone (gpointer id, gpointer value, gpointer present)
{
  return !g_hash_table_contains (present, id);
}

static gboolean
may_not_hear (gpointer id, gpointer value, gpointer present)
{
  return GPOINTER_TO_INT (g_hash_table_lookup (present, id)) != TRUE + 1;
}

void
via_sight_update (ViaSight *self)
{
  GListModel *list = hypha_peers_get_list (self->peers);
  g_autoptr (GHashTable) present = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  gboolean takes_part = via_hub_takes_part (self->hub);

  if (list == NULL || self->updating)
    return;
  self->updating = TRUE;
  for (guint i = 0; i < g_list_model_get_n_items (list); i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (list, i);

    look_at (self, peer, takes_part, present);
  }
  if (takes_part)
    g_hash_table_foreach_remove (self->sources, is_gone, present);
  else
    g_hash_table_remove_all (self->sources);
  g_hash_table_foreach_remove (self->hearers, may_not_hear, present);
  g_hash_table_foreach_remove (self->offered, is_gone, present);
  self->updating = FALSE;
  on_list (self);
}

static void
on_hearer_gone (ViaHearer *hearer, gpointer user_data)
{
  ViaSight *self = user_data;
  g_autofree char *id = hypha_peer_dup_id (via_hearer_get_peer (hearer));

  if (g_hash_table_lookup (self->hearers, id) != hearer)
    return;
  g_hash_table_remove (self->hearers, id);
  tell_soon (self);
}

void
via_sight_tell (ViaSight *self, HyphaPeer *peer, HyphaStream *stream, gboolean listening)
{
  /* The last one that it opened counts: so a peer has one. */
  g_hash_table_replace (
      self->hearers, hypha_peer_dup_id (peer),
      via_hearer_new (self->peers, peer, stream, listening, on_hearer_gone, self));
  tell_soon (self);
}

void
via_sight_offered (ViaSight *self, HyphaPeer *peer)
{
  g_autofree char *id = hypha_peer_dup_id (peer);
  ViaSource *source = g_hash_table_lookup (self->sources, id);

  if (source != NULL)
    via_source_ask_again (source);
}

/* ---- life ---- */

ViaSight *
via_sight_new (ViaHub *hub)
{
  ViaSight *self = g_new0 (ViaSight, 1);

  self->hub = hub;
  self->peers = g_object_ref (hub->peers);
  self->sources =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) via_source_stop);
  self->hearers =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) via_hearer_stop);
  self->offered = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->suggested = g_hash_table_new_full (hypha_endpoint_hash, hypha_endpoint_equal,
                                           (GDestroyNotify) hypha_endpoint_unref, NULL);
  self->changed =
      g_signal_connect_swapped (self->peers, "changed", G_CALLBACK (via_sight_update), self);
  return self;
}

void
via_sight_free (ViaSight *self)
{
  GHashTableIter iter;
  gpointer endpoint;

  g_signal_handler_disconnect (self->peers, self->changed);
  if (self->telling != NULL)
    g_source_destroy (self->telling);
  g_clear_pointer (&self->telling, g_source_unref);
  self->updating = TRUE;
  g_hash_table_iter_init (&iter, self->suggested);
  while (g_hash_table_iter_next (&iter, &endpoint, NULL))
    hypha_peers_withdraw (self->peers, endpoint);
  g_hash_table_unref (self->sources);
  g_hash_table_unref (self->hearers);
  g_hash_table_unref (self->offered);
  g_hash_table_unref (self->suggested);
  g_object_unref (self->peers);
  g_free (self);
}
