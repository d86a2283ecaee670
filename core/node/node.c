/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/node-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <sys/random.h>

#include "link/farewell.h"

#define MOST_WORKERS 4

/**
 * HyphaNode:
 *
 * One node: its identity, its peers, links and listeners.
 *
 * A program that holds one needs no daemon. Peers are a [iface@Gio.ListModel] of
 * [iface@Hypha.Peer], through which streams are opened; services are offered by
 * [signal@Hypha.Node::incoming-stream]. Everything that is set takes effect at once, without
 * dropping a link that it does not concern. Nobody is trusted who was not named by
 * [method@Hypha.Node.trust].
 *
 * Lives on the main thread, whose main context has to run; data moves on threads of its own.
 */

enum { PROP_0, PROP_ID, PROP_PEERS, PROP_NAME, PROP_LISTENING, PROP_TROUBLES, N_PROPS };
enum {
  PEER_PENDING,
  INCOMING_STREAM,
  SPOKEN_FOR,
  MAY_PASS,
  TRUST_CHANGED,
  TRUST_UNSAVED,
  PAIRING_CODE,
  N_SIGNALS
};
static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (HyphaNode, hypha_node, G_TYPE_OBJECT)

/* ---- peers ---- */

HyphaNodePeer *
hypha_node_find (HyphaNode *self, const HyphaNodeId *id)
{
  return g_hash_table_lookup (self->by_id, id);
}

HyphaNodePeer *
hypha_node_add_peer (HyphaNode *self, const HyphaNodeId *id)
{
  /* What transports are told of. */
  static const char *const matters[] = { "link-changed", "notify::trusted", "notify::name" };
  g_autoptr (HyphaNodePeer) peer =
      hypha_node_peer_new (id, self->directs, &hypha_node_peer_events, self);

  g_hash_table_insert (self->by_id, (gpointer) hypha_node_peer_get_id (peer), peer);
  g_list_store_append (self->peers, peer);
  for (guint i = 0; i < G_N_ELEMENTS (matters); i++)
    g_signal_connect_object (peer, matters[i], G_CALLBACK (hypha_node_peers_changed),
                             self->for_transports, G_CONNECT_SWAPPED);
  hypha_node_peers_changed (self->for_transports);
  if (self->drain != NULL)
    hypha_node_peer_drain (peer);
  return peer; /* the list's */
}

void
hypha_node_remove_peer (HyphaNode *self, HyphaNodePeer *peer)
{
  guint position;

  g_hash_table_remove (self->by_id, hypha_node_peer_get_id (peer));
  hypha_node_peer_stop (peer, HYPHA_AWAY_NOT_TRUSTED, HYPHA_ERROR_NOT_TRUSTED,
                        _ ("the peer is no longer trusted"));
  if (g_list_store_find (self->peers, peer, &position))
    g_list_store_remove (self->peers, position);
  hypha_node_peers_changed (self->for_transports);
}

static gboolean
is_pending (HyphaNodePeer *peer)
{
  return !hypha_peer_get_trusted (HYPHA_PEER (peer));
}

/* Whoever floods the door with fresh keys pushes out only others of that kind: the eldest goes. */
gboolean
hypha_node_limit_pending (HyphaNode *self, guint most)
{
  guint n = 0;

  for (guint i = g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i > 0; i--) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i - 1);

    if (is_pending (peer) && ++n > most)
      hypha_node_remove_peer (self, peer);
  }
  return n > most;
}

gboolean
hypha_node_is_crowded_by_pending (HyphaNode *self)
{
  guint n = 0;

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);

    n += is_pending (peer);
  }
  return n > 0 && n >= self->limits.max_pending_peers;
}

void
hypha_node_note_pending (HyphaNode *self, const HyphaNodeId *id, const char *from)
{
  HyphaNodePeer *peer = hypha_node_find (self, id);

  if (peer == NULL && self->limits.max_pending_peers == 0)
    return;
  if (peer == NULL) {
    /* A flood of fresh keys must not fill the log. */
    GLogLevelFlags level = hypha_node_limit_pending (self, self->limits.max_pending_peers - 1)
                               ? G_LOG_LEVEL_INFO
                               : G_LOG_LEVEL_MESSAGE;

    peer = hypha_node_add_peer (self, id);
    g_log (G_LOG_DOMAIN, level, "%s at %s is not trusted: hyphactl trust %s NAME lets it in",
           hypha_node_peer_get_id_text (peer), from, hypha_node_peer_get_id_text (peer));
  }
  hypha_node_peer_set_from (peer, from);
  g_signal_emit (self, signals[PEER_PENDING], 0, hypha_node_peer_get_id_text (peer), from);
}

/* The name of a stranger is the beginning of its id, which may be the name of a friend. */
static gboolean
is_called (HyphaNodePeer *peer, const char *text)
{
  g_autofree char *name = hypha_peer_dup_name (HYPHA_PEER (peer));

  return (!is_pending (peer) && g_str_equal (name, text)) ||
         g_str_equal (hypha_node_peer_get_id_text (peer), text);
}

HyphaNodePeer *
hypha_node_lookup (HyphaNode *self, const char *text, GError **error)
{
  HyphaNodePeer *found = NULL;
  guint n = 0;

  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);

    if (*text == '\0')
      break;
    if (is_called (peer, text))
      return peer; /* a name or a whole id goes before a beginning */
    if (!g_str_has_prefix (hypha_node_peer_get_id_text (peer), text))
      continue;
    found = peer;
    n++;
  }
  if (n > 1) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_AMBIGUOUS_PEER,
                 _ ("'%s' fits several peers: give more of the id"), text);
    return NULL;
  }
  if (found == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_PEER,
                 _ ("no peer is called '%s': hyphactl peers lists them"), text);
  return found;
}

/* ---- small things ---- */

void
hypha_node_limits_init (HyphaNodeLimits *limits)
{
  *limits = (HyphaNodeLimits){
    .ping_interval = 1000,
    .link_timeout = 10000,
    .session_timeout = 60000,
    .switch_margin = 1,
    .first_byte_timeout = 2000,
    .handshake_timeout = 5000,
    .max_handshakes = 64,
    .max_handshakes_per_source = 8,
    .max_pending_peers = 64,
    .max_streams = 512,
    .session_window = 16 * 1024 * 1024,
  };
}

const HyphaNodeId *
hypha_node_get_id (HyphaNode *self)
{
  return hypha_identity_get_id (self->identity);
}

/**
 * hypha_node_dup_id:
 * @self: a node
 *
 * Gives the node's id: its public key.
 *
 * Returns: (transfer full): the id, as text
 */
char *
hypha_node_dup_id (HyphaNode *self)
{
  g_return_val_if_fail (HYPHA_IS_NODE (self), NULL);

  return hypha_node_id_to_string (hypha_node_get_id (self));
}

const char *
hypha_node_get_name (HyphaNode *self)
{
  return self->name;
}

/**
 * hypha_node_dup_name:
 * @self: a node
 *
 * Gives what the node calls itself.
 *
 * Returns: (transfer full): the name; it may be empty
 */
char *
hypha_node_dup_name (HyphaNode *self)
{
  g_return_val_if_fail (HYPHA_IS_NODE (self), NULL);

  return g_strdup (self->name);
}

HyphaLoader *
hypha_node_get_loader (HyphaNode *self)
{
  return self->loader;
}

HyphaWorker *
hypha_node_pick_worker (HyphaNode *self)
{
  return self->workers->pdata[self->next_worker++ % self->workers->len];
}

/**
 * hypha_node_get_peers:
 * @self: a node
 *
 * Gives the peers that the node knows, also those that are not trusted. The list changes with them.
 *
 * Returns: (transfer none): a list of [iface@Hypha.Peer]
 */
GListModel *
hypha_node_get_peers (HyphaNode *self)
{
  g_return_val_if_fail (HYPHA_IS_NODE (self), NULL);

  return G_LIST_MODEL (self->peers);
}

GListModel *
hypha_node_get_links (HyphaNode *self)
{
  return G_LIST_MODEL (self->links);
}

void
hypha_node_set_accept_func (HyphaNode *self, HyphaNodeAcceptFunc func, gpointer user_data)
{
  self->accept = func;
  self->accept_data = user_data;
}

static gboolean
reap (gpointer data)
{
  HyphaNode *self = data;

  self->reaper = 0;
  for (guint i = self->diallers->len; i > 0; i--)
    if (hypha_dialler_is_spent (self->diallers->pdata[i - 1]) &&
        !hypha_node_pairing_needs (self, self->diallers->pdata[i - 1]))
      hypha_node_drop_dialler (self, i - 1);
  for (guint i = self->doors->len; i > 0; i--)
    if (hypha_door_is_spent (self->doors->pdata[i - 1])) {
      hypha_door_close (self->doors->pdata[i - 1]);
      g_ptr_array_remove_index (self->doors, i - 1);
    }
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_TROUBLES]);
  return G_SOURCE_REMOVE;
}

void
hypha_node_reap (HyphaNode *self)
{
  if (self->reaper == 0 && !self->stopped)
    self->reaper = g_idle_add_full (G_PRIORITY_DEFAULT, reap, self, NULL);
}

/* ---- plug-ins come and go ---- */

static void
on_transport_removed (HyphaLoader *loader, HyphaModule *module, HyphaNode *self)
{
  hypha_node_peers_leave (self->for_transports, module);
}

void
hypha_node_transport_came (HyphaNode *self)
{
  for (guint i = 0; i < self->doors->len; i++)
    hypha_door_open (self->doors->pdata[i]);
  hypha_node_hurry_diallers (self);
}

static void
on_transport_added (HyphaLoader *loader, HyphaModule *module, HyphaNode *self)
{
  hypha_node_peers_take (self->for_transports, module);
  hypha_node_transport_came (self);
}

/* ---- life ---- */

static gboolean
start_workers (HyphaNode *self, guint n, GError **error)
{
  if (n == 0)
    n = 1;
  for (guint i = 0; i < MIN (n, MOST_WORKERS); i++) {
    g_autofree char *name = g_strdup_printf ("hypha-%u", i);
    HyphaWorker *worker = hypha_worker_new (name, error);

    if (worker == NULL)
      return FALSE;
    g_ptr_array_add (self->workers, worker);
  }
  return TRUE;
}

static gboolean
draw_instance (HyphaNode *self, GError **error)
{
  HyphaInstance instance;

  if (getrandom (instance.bytes, sizeof instance.bytes, 0) != sizeof instance.bytes) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("the kernel gives no random bytes: %s"),
                 g_strerror (errno));
    return FALSE;
  }
  self->instance = instance;
  return TRUE;
}

HyphaNode *
hypha_node_new (HyphaIdentity *identity, HyphaLoader *loader, guint workers, GError **error)
{
  g_autoptr (HyphaNode) self = g_object_new (HYPHA_TYPE_NODE, NULL);

  self->identity = hypha_identity_ref (identity);
  self->loader = g_object_ref (loader);
  if (!draw_instance (self, error))
    return NULL;
  self->mailbox = hypha_mailbox_new (error);
  if (self->mailbox == NULL || !start_workers (self, workers, error))
    return NULL;
  self->admission = hypha_admission_new (self->mailbox, &hypha_node_admission_events, self);
  self->directs = hypha_directs_new (self->loader, hypha_node_direct_refused, self);
  hypha_node_set_limits (self, &self->limits);
  self->for_transports = hypha_node_peers_new (self);
  g_signal_connect (loader, "transport-added", G_CALLBACK (on_transport_added), self);
  g_signal_connect (loader, "transport-removed", G_CALLBACK (on_transport_removed), self);
  return g_steal_pointer (&self);
}

gboolean
hypha_node_renew (HyphaNode *self, GError **error)
{
  if (self->stopped) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, _ ("this node has stopped"));
    return FALSE;
  }
  if (!draw_instance (self, error))
    return FALSE;
  g_message ("a new life of this node begins");
  hypha_node_pairing_close (self);
  hypha_admission_clear (self->admission);
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);

    hypha_node_peer_stop (peer, HYPHA_AWAY_SHUTDOWN, HYPHA_ERROR_RESTARTED,
                          _ ("this node has started anew"));
  }
  hypha_node_hurry_diallers (self);
  return TRUE;
}

/**
 * hypha_node_stop:
 * @self: a node
 *
 * Says good-bye on every link, ends every stream and stops listening. Blocks until the last words
 * are out, but not for longer than a quarter of a second for each worker, the patience of
 * hypha_farewell_finish() with peers that do not read. To be called before the last reference goes;
 * a node that has stopped cannot be started again.
 */
void
hypha_node_stop (HyphaNode *self)
{
  g_return_if_fail (HYPHA_IS_NODE (self));

  if (self->stopped)
    return;
  self->stopped = TRUE;
  g_clear_handle_id (&self->reaper, g_source_remove);
  g_clear_pointer (&self->drain, hypha_node_drain_free);
  hypha_node_pairing_close (self);
  if (self->loader != NULL)
    g_signal_handlers_disconnect_by_data (self->loader, self);
  if (self->for_transports != NULL)
    hypha_node_peers_stop (self->for_transports);
  for (guint i = 0; i < self->doors->len; i++)
    hypha_door_close (self->doors->pdata[i]);
  g_ptr_array_set_size (self->doors, 0);
  while (self->diallers->len > 0)
    hypha_node_drop_dialler (self, self->diallers->len - 1);
  if (self->admission != NULL)
    hypha_admission_stop (self->admission);
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);

    hypha_node_peer_stop (peer, HYPHA_AWAY_SHUTDOWN, HYPHA_ERROR_DISCONNECTED,
                          _ ("this node stops"));
  }
  /* A worker carries out its orders before it ends, lets the last words of its links go out, and
   * what it tells then lies in the mailbox. */
  for (guint i = 0; i < self->workers->len; i++)
    hypha_farewell_finish (self->workers->pdata[i]);
  g_ptr_array_set_size (self->workers, 0);
  g_clear_pointer (&self->mailbox, hypha_mailbox_free);
  g_clear_pointer (&self->admission, hypha_admission_free);
  g_clear_pointer (&self->directs, hypha_directs_free);
  g_assert (self->engines == 0);
  g_hash_table_remove_all (self->by_id);
  g_list_store_remove_all (self->peers);
  g_list_store_remove_all (self->links);
}

static void
hypha_node_dispose (GObject *object)
{
  hypha_node_stop (HYPHA_NODE (object));
  G_OBJECT_CLASS (hypha_node_parent_class)->dispose (object);
}

static void
hypha_node_finalize (GObject *object)
{
  HyphaNode *self = HYPHA_NODE (object);

  g_clear_pointer (&self->identity, hypha_identity_unref);
  g_clear_object (&self->loader);
  g_clear_object (&self->for_transports);
  g_clear_pointer (&self->link_costs, g_variant_unref);
  hypha_trust_free (self->trust);
  hypha_trust_rules_free (self->rules);
  g_object_unref (self->peers);
  g_object_unref (self->links);
  g_hash_table_unref (self->by_id);
  g_ptr_array_unref (self->diallers);
  g_ptr_array_unref (self->doors);
  g_ptr_array_unref (self->workers);
  g_free (self->name);
  G_OBJECT_CLASS (hypha_node_parent_class)->finalize (object);
}

static void
hypha_node_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaNode *self = HYPHA_NODE (object);

  switch (id) {
  case PROP_ID:
    g_value_take_string (value, hypha_node_dup_id (self));
    break;
  case PROP_NAME:
    g_value_set_string (value, self->name);
    break;
  case PROP_PEERS:
    g_value_set_object (value, self->peers);
    break;
  case PROP_LISTENING:
    g_value_take_boxed (value, hypha_node_dup_listening (self));
    break;
  case PROP_TROUBLES:
    g_value_take_variant (value, hypha_node_dup_troubles (self));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
hypha_node_class_init (HyphaNodeClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = hypha_node_get_property;
  object_class->dispose = hypha_node_dispose;
  object_class->finalize = hypha_node_finalize;
  /**
   * HyphaNode:id:
   *
   * The node's id, as text. It never changes.
   */
  props[PROP_ID] = g_param_spec_string ("id", NULL, NULL, NULL, flags);
  /**
   * HyphaNode:peers:
   *
   * The peers that the node knows: a list of [iface@Hypha.Peer]. It is the same list for as long as
   * the node lives.
   */
  props[PROP_PEERS] = g_param_spec_object ("peers", NULL, NULL, G_TYPE_LIST_MODEL, flags);
  /**
   * HyphaNode:name:
   *
   * What the node calls itself.
   */
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);
  /**
   * HyphaNode:listening:
   *
   * The endpoints that are bound, with their real ports.
   */
  props[PROP_LISTENING] = g_param_spec_boxed ("listening", NULL, NULL, G_TYPE_STRV, flags);
  /**
   * HyphaNode:troubles:
   *
   * Why an endpoint that is to be listened on or dialled does not work now (`a{ss}`).
   */
  props[PROP_TROUBLES] =
      g_param_spec_variant ("troubles", NULL, NULL, G_VARIANT_TYPE ("a{ss}"), NULL, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
  /**
   * HyphaNode::incoming-stream:
   * @self: the node
   * @peer: who opens it; trusted
   * @stream: the stream, whose service says what the peer asked for
   *
   * A peer opens a stream. The detail is the name of the service: who connects to
   * `incoming-stream::echo` offers `echo`. A service that nobody offers is
   * `HYPHA_ERROR_NO_SUCH_SERVICE` to the peer.
   *
   * Returns: %TRUE to take the stream, of which the handler keeps a reference; %FALSE to leave it
   * to another handler, and in the end to refuse it
   */
  signals[INCOMING_STREAM] =
      g_signal_new ("incoming-stream", HYPHA_TYPE_NODE, G_SIGNAL_RUN_LAST | G_SIGNAL_DETAILED, 0,
                    g_signal_accumulator_true_handled, NULL, NULL, G_TYPE_BOOLEAN, 2,
                    HYPHA_TYPE_PEER, HYPHA_TYPE_STREAM);
  /**
   * HyphaNode::spoken-for:
   * @self: the node
   * @name: a name that no peer has
   *
   * A peer that pairs calls itself @name. Whoever gives something to the one of that name says so,
   * and the peer gets another: the name was meant for somebody else.
   *
   * Returns: %TRUE if it is
   */
  signals[SPOKEN_FOR] = g_signal_new ("spoken-for", HYPHA_TYPE_NODE, G_SIGNAL_RUN_LAST, 0,
                                      g_signal_accumulator_true_handled, NULL, NULL, G_TYPE_BOOLEAN,
                                      1, G_TYPE_STRING);
  /**
   * HyphaNode::may-pass:
   * @self: the node
   * @service: the service of this node by which it would be led on
   * @peer: a trusted peer
   *
   * A transport whose channels go through other nodes asks whether streams of @peer may
   * be led through this one, and those of others to @peer. Nobody's are unless a handler says so.
   *
   * Returns: %TRUE if they may
   */
  signals[MAY_PASS] = g_signal_new ("may-pass", HYPHA_TYPE_NODE, G_SIGNAL_RUN_LAST, 0,
                                    g_signal_accumulator_true_handled, NULL, NULL, G_TYPE_BOOLEAN,
                                    2, G_TYPE_STRING, HYPHA_TYPE_PEER);
  /**
   * HyphaNode::peer-pending:
   * @self: the node
   * @id: the id of the one who knocked
   * @from: the endpoint it came from
   *
   * Somebody proved this id, and is not trusted.
   */
  signals[PEER_PENDING] = g_signal_new ("peer-pending", HYPHA_TYPE_NODE, G_SIGNAL_RUN_LAST, 0, NULL,
                                        NULL, NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
  /**
   * HyphaNode::trust-changed:
   * @self: the node
   *
   * Whom the node trusts has changed.
   */
  signals[TRUST_CHANGED] = g_signal_new ("trust-changed", HYPHA_TYPE_NODE, G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 0);
  /**
   * HyphaNode::trust-unsaved:
   * @self: the node
   *
   * Whom the node trusts has changed without anybody having asked for it just now: by a rule, or by
   * a pairing whose other side has told its name. Whoever keeps it saves it.
   */
  signals[TRUST_UNSAVED] = g_signal_new ("trust-unsaved", HYPHA_TYPE_NODE, G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 0);
  /**
   * HyphaNode::pairing-code:
   * @self: the node
   * @id: the id of the one who shook hands
   * @code: six digits, the same on both sides if nobody sits in between
   *
   * Somebody came while a window for pairing was open. Once the people have compared:
   * [method@Hypha.Node.confirm_pairing].
   */
  signals[PAIRING_CODE] = g_signal_new ("pairing-code", HYPHA_TYPE_NODE, G_SIGNAL_RUN_LAST, 0, NULL,
                                        NULL, NULL, G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
}

static void
hypha_node_init (HyphaNode *self)
{
  hypha_node_limits_init (&self->limits);
  self->name = g_strdup ("");
  self->trust = hypha_trust_new ();
  self->rules = hypha_trust_rules_new ();
  self->peers = g_list_store_new (HYPHA_TYPE_NODE_PEER);
  self->links = g_list_store_new (HYPHA_TYPE_NODE_LINK);
  self->by_id = g_hash_table_new (hypha_node_id_hash, hypha_node_id_equal);
  self->diallers = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_dialler_unref);
  self->doors = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_door_unref);
  self->workers = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_worker_free);
}
