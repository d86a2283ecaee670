/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What transports have of the node that they serve. */

#include "node/node-private.h"

#include <string.h>

/* Each is dialled for as long as it is suggested. */
#define MAX_SUGGESTED 256
/* Many may be suggested at once, and their handshakes cost something. */
#define STAGGER_MS 250

struct _HyphaNodePeers {
  GObject parent_instance;
  HyphaNode *node;   /* NULL: it has stopped */
  GPtrArray *served; /* by: of HyphaTransport */
  guint telling;     /* idle source */
  guint refreshing;  /* another */
  guint taking;      /* and one more */
};

/* Those of the nodes of this process, the oldest first. */
static GPtrArray *all;

enum { CHANGED, INCOMING, N_SIGNALS };
static guint signals[N_SIGNALS];

static G_DEFINE_QUARK (hypha - peer - of - stream, peer_of_stream);

static void peers_iface_init (HyphaPeersInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaNodePeers, hypha_node_peers, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_PEERS, peers_iface_init))

/* ---- who serves it ---- */

/* Whatever serves nobody. */
static void
take_all (HyphaNodePeers *self)
{
  GListModel *modules = G_LIST_MODEL (hypha_node_get_loader (self->node));

  for (guint i = 0; i < g_list_model_get_n_items (modules); i++) {
    g_autoptr (HyphaModule) module = g_list_model_get_item (modules, i);

    hypha_node_peers_take (self, module);
  }
}

HyphaNodePeers *
hypha_node_peers_new (HyphaNode *node)
{
  HyphaNodePeers *self = g_object_new (HYPHA_TYPE_NODE_PEERS, NULL);

  self->node = node;
  take_all (self);
  if (all == NULL)
    all = g_ptr_array_new ();
  g_ptr_array_add (all, self);
  return self;
}

static gboolean
take_again (gpointer data)
{
  HyphaNodePeers *self = data;
  g_autoptr (HyphaNode) node = g_object_ref (self->node); /* whoever is told may drop the last */
  guint before = self->served->len;

  self->taking = 0;
  take_all (self);
  if (self->served->len > before)
    hypha_node_transport_came (node);
  return G_SOURCE_REMOVE;
}

/* What has served SELF may serve the next one; not from within whatever stops SELF. */
static void
make_way (HyphaNodePeers *self)
{
  g_ptr_array_remove (all, self);
  for (guint i = 0; i < all->len; i++) {
    HyphaNodePeers *other = all->pdata[i];

    if (other->taking == 0)
      other->taking = g_idle_add_full (G_PRIORITY_DEFAULT, take_again, other, NULL);
  }
  if (all->len == 0)
    g_clear_pointer (&all, g_ptr_array_unref);
}

void
hypha_node_peers_take (HyphaNodePeers *self, HyphaModule *module)
{
  HyphaTransport *transport = hypha_module_get_transport (module);

  if (transport != NULL && hypha_transport_serve (transport, HYPHA_PEERS (self)))
    g_ptr_array_add (self->served, g_object_ref (transport));
}

void
hypha_node_peers_leave (HyphaNodePeers *self, HyphaModule *module)
{
  HyphaTransport *transport = hypha_module_get_transport (module);
  guint i;

  if (transport == NULL || !g_ptr_array_find (self->served, transport, &i))
    return;
  hypha_transport_serve (transport, NULL);
  g_ptr_array_remove_index (self->served, i);
}

gboolean
hypha_node_peers_may_use (HyphaNodePeers *self, HyphaTransport *transport)
{
  return HYPHA_TRANSPORT_GET_IFACE (transport)->serve == NULL ||
         g_ptr_array_find (self->served, transport, NULL);
}

void
hypha_node_peers_stop (HyphaNodePeers *self)
{
  while (self->served->len > 0) {
    g_autoptr (HyphaTransport) transport =
        g_ptr_array_steal_index (self->served, self->served->len - 1);

    hypha_transport_serve (transport, NULL);
  }
  g_clear_handle_id (&self->telling, g_source_remove);
  g_clear_handle_id (&self->refreshing, g_source_remove);
  g_clear_handle_id (&self->taking, g_source_remove);
  if (self->node != NULL)
    make_way (self);
  self->node = NULL;
}

static gboolean
tell (gpointer data)
{
  HyphaNodePeers *self = data;

  self->telling = 0;
  g_signal_emit (self, signals[CHANGED], 0);
  return G_SOURCE_REMOVE;
}

/* Once for all that changes together, and not from within what changes. */
void
hypha_node_peers_changed (HyphaNodePeers *self)
{
  if (self->node != NULL && self->telling == 0 && self->served->len > 0)
    self->telling = g_idle_add_full (G_PRIORITY_DEFAULT, tell, self, NULL);
}

/* ---- streams ---- */

static void
mark (HyphaStream *stream, HyphaNodePeer *peer)
{
  g_object_set_qdata_full (G_OBJECT (stream), peer_of_stream_quark (), g_object_ref (peer),
                           g_object_unref);
}

void
hypha_node_passing_changed (HyphaNode *self)
{
  hypha_node_peers_changed (self->for_transports);
}

gboolean
hypha_node_offer_to_transports (HyphaNode *self, HyphaIncoming *incoming)
{
  return hypha_node_peers_offer (self->for_transports, incoming);
}

gboolean
hypha_node_peers_offer (HyphaNodePeers *self, HyphaIncoming *incoming)
{
  /* The name comes from outside: it must not become a quark, which stays for ever. */
  GQuark detail = g_quark_try_string (hypha_incoming_get_service (incoming));
  HyphaNodePeer *peer = hypha_incoming_get_peer (incoming);
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  gboolean taken = FALSE;

  if (detail == 0 || self->node == NULL || hypha_incoming_is_direct (incoming) ||
      !g_signal_has_handler_pending (self, signals[INCOMING], detail, FALSE))
    return FALSE;
  stream = hypha_incoming_make_carrying (incoming, &error);
  if (stream == NULL)
    return FALSE; /* it has ended meanwhile */
  mark (stream, peer);
  g_signal_emit (self, signals[INCOMING], detail, peer, stream, &taken);
  if (taken)
    hypha_incoming_accept_made (incoming);
  return taken;
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error);

  if (stream == NULL) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  mark (stream, HYPHA_NODE_PEER (source));
  g_task_return_pointer (task, stream, g_object_unref);
}

static void
open_async (HyphaPeers *peers, HyphaPeer *peer, const char *service, guint timeout_ms,
            GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (peers, cancellable, callback, user_data);

  g_task_set_source_tag (task, open_async);
  g_task_set_check_cancellable (task, FALSE);
  hypha_node_peer_open_carrying_async (HYPHA_NODE_PEER (peer), service, timeout_ms, cancellable,
                                       on_opened, task);
}

static HyphaStream *
open_finish (HyphaPeers *peers, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
reset (HyphaPeers *peers, HyphaStream *stream)
{
  HyphaNodePeer *peer = g_object_get_qdata (G_OBJECT (stream), peer_of_stream_quark ());

  if (peer != NULL)
    hypha_node_peer_close_stream (peer, hypha_stream_get_id (stream), NULL);
}

/* ---- what a transport asks ---- */

static char *
dup_id (HyphaPeers *peers)
{
  HyphaNode *node = HYPHA_NODE_PEERS (peers)->node;

  return node != NULL ? hypha_node_dup_id (node) : g_strdup ("");
}

static GListModel *
get_list (HyphaPeers *peers)
{
  HyphaNode *node = HYPHA_NODE_PEERS (peers)->node;

  return node != NULL ? hypha_node_get_peers (node) : NULL;
}

static gboolean
get_link_cost (HyphaPeers *peers, HyphaPeer *peer, guint *cost)
{
  HyphaNodeLink *best = hypha_node_peer_get_best_link (HYPHA_NODE_PEER (peer));

  if (best == NULL || !hypha_peer_get_trusted (peer) || hypha_node_link_is_relayed (best))
    return FALSE;
  *cost = hypha_node_link_get_static_cost (best);
  return TRUE;
}

static gboolean
may_pass (HyphaPeers *peers, const char *service, HyphaPeer *peer)
{
  HyphaNode *node = HYPHA_NODE_PEERS (peers)->node;
  gboolean may = FALSE;

  if (node != NULL && hypha_peer_get_trusted (peer))
    g_signal_emit_by_name (node, "may-pass", service, peer, &may);
  return may;
}

/* ---- what it suggests ---- */

static guint
count_suggested (HyphaNode *node)
{
  guint n = 0;

  for (guint i = 0; i < node->diallers->len; i++)
    n += hypha_dialler_is_suggested (node->diallers->pdata[i]);
  return n;
}

static HyphaDialler *
find_dialler (HyphaNode *node, HyphaEndpoint *endpoint)
{
  for (guint i = 0; i < node->diallers->len; i++)
    if (hypha_endpoint_equal (hypha_dialler_get_endpoint (node->diallers->pdata[i]), endpoint))
      return node->diallers->pdata[i];
  return NULL;
}

static void
suggest (HyphaPeers *peers, const char *text, HyphaEndpoint *endpoint)
{
  HyphaNode *node = HYPHA_NODE_PEERS (peers)->node;
  HyphaDialler *dialler;
  HyphaNodeId id;

  if (node == NULL || node->drain != NULL || !hypha_node_id_parse (text, &id, NULL) ||
      !hypha_trust_knows (node->trust, &id) || !hypha_trust_may_dial (node->trust, &id, endpoint) ||
      find_dialler (node, endpoint) != NULL || count_suggested (node) >= MAX_SUGGESTED)
    return;
  dialler = hypha_dialler_new (node->loader, hypha_endpoint_to_string (endpoint), FALSE,
                               &hypha_node_dialler_events, node, NULL);
  if (dialler == NULL)
    return;
  hypha_dialler_expect (dialler, &id);
  hypha_dialler_set_suggested (dialler, TRUE);
  g_ptr_array_add (node->diallers, dialler);
  hypha_dialler_start (dialler, (guint) g_random_int_range (0, STAGGER_MS));
}

static gboolean
refresh (gpointer data)
{
  HyphaNodePeers *self = data;

  self->refreshing = 0;
  hypha_node_refresh_dialling (self->node);
  return G_SOURCE_REMOVE;
}

static void
withdraw (HyphaPeers *peers, HyphaEndpoint *endpoint)
{
  HyphaNodePeers *self = HYPHA_NODE_PEERS (peers);
  HyphaNode *node = self->node;

  for (guint i = 0; node != NULL && i < node->diallers->len; i++) {
    HyphaDialler *dialler = node->diallers->pdata[i];
    /* Where the settings want it too, it is none of theirs alone, but was suggested all the same.
     */
    gboolean alone = hypha_dialler_is_suggested (dialler);

    if (!hypha_endpoint_equal (hypha_dialler_get_endpoint (dialler), endpoint))
      continue;
    hypha_dialler_set_suggested (dialler, FALSE);
    if (alone)
      hypha_node_drop_dialler (node, i);
    /* Not from here: a program that hears of it may stop the node, and with it who withdraws. */
    if (self->refreshing == 0)
      self->refreshing = g_idle_add_full (G_PRIORITY_DEFAULT, refresh, self, NULL);
    return;
  }
}

/* ---- life ---- */

static void
peers_iface_init (HyphaPeersInterface *iface)
{
  iface->dup_id = dup_id;
  iface->get_list = get_list;
  iface->get_link_cost = get_link_cost;
  iface->may_pass = may_pass;
  iface->open_async = open_async;
  iface->open_finish = open_finish;
  iface->reset = reset;
  iface->suggest = suggest;
  iface->withdraw = withdraw;
}

static void
hypha_node_peers_finalize (GObject *object)
{
  HyphaNodePeers *self = HYPHA_NODE_PEERS (object);

  g_clear_handle_id (&self->telling, g_source_remove);
  g_clear_handle_id (&self->refreshing, g_source_remove);
  g_ptr_array_unref (self->served);
  G_OBJECT_CLASS (hypha_node_peers_parent_class)->finalize (object);
}

static void
hypha_node_peers_class_init (HyphaNodePeersClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hypha_node_peers_finalize;
  signals[CHANGED] = g_signal_lookup ("changed", HYPHA_TYPE_NODE_PEERS);
  signals[INCOMING] = g_signal_lookup ("incoming", HYPHA_TYPE_NODE_PEERS);
}

static void
hypha_node_peers_init (HyphaNodePeers *self)
{
  self->served = g_ptr_array_new_with_free_func (g_object_unref);
}
