/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-private.h"

#include <glib/gi18n-lib.h>

/* A little more than hyphad gives a person. */
#define INTERACTIVE_TIMEOUT_MS 125000

/**
 * HyphaClient:
 *
 * A node in another process, as it is on the bus.
 *
 * Its peers are a [iface@Gio.ListModel] of [iface@Hypha.Peer] that follows the node's: streams are
 * opened as in a node of the own process. When the node goes, [property@Hypha.Client:running] is
 * false, the list is empty and every stream has ended; when it comes back, the client has it again.
 *
 * Lives on the main thread, and tells everything there.
 */
struct _HyphaClient {
  GObject parent_instance;
  GDBusObjectManager *objects;
  HyphaDBusNode1 *node;
  GListStore *peers; /* HyphaClientPeer */
  guint interactive; /* filter */
};

enum { PROP_0, PROP_PEERS, PROP_RUNNING, PROP_ID, PROP_NAME, PROP_LISTENING, N_PROPS };
enum { PEER_PENDING, PAIRING_CODE, N_SIGNALS };
static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (HyphaClient, hypha_client, G_TYPE_OBJECT)

/* ---- peers ---- */

static void
on_object_added (GDBusObjectManager *objects, GDBusObject *object, HyphaClient *self)
{
  HyphaDBusPeer1 *proxy = hypha_dbus_object_peek_peer1 (HYPHA_DBUS_OBJECT (object));
  g_autoptr (HyphaClientPeer) peer = NULL;

  if (proxy == NULL)
    return;
  peer = hypha_client_peer_new (objects, proxy);
  g_list_store_append (self->peers, peer);
}

static void
on_object_removed (GDBusObjectManager *objects, GDBusObject *object, HyphaClient *self)
{
  g_autoptr (HyphaClientPeer) peer =
      hypha_client_find_peer_at (self, g_dbus_object_get_object_path (object));
  guint position;

  if (peer != NULL && g_list_store_find (self->peers, peer, &position))
    g_list_store_remove (self->peers, position);
}

/**
 * hypha_client_find_peer_at:
 * @self: a client
 * @path: of an object on the bus
 *
 * Returns: (transfer full) (nullable): the peer, or %NULL
 */
HyphaClientPeer *
hypha_client_find_peer_at (HyphaClient *self, const char *path)
{
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaClientPeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);
    GDBusProxy *proxy = G_DBUS_PROXY (hypha_client_peer_get_proxy (peer));

    if (g_str_equal (g_dbus_proxy_get_object_path (proxy), path))
      return g_steal_pointer (&peer);
  }
  return NULL;
}

/* While there is a bus, that tells when the node has gone, and the manager takes its objects away.
 */
static void
on_closed (GDBusConnection *connection, gboolean remote_vanished, GError *reason, HyphaClient *self)
{
  g_list_store_remove_all (self->peers);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_RUNNING]);
}

/**
 * hypha_client_find_peer:
 * @self: a client
 * @text: a trusted peer's name, an id, or a unique beginning of an id
 * @error: return location for an error: %HYPHA_ERROR_NO_SUCH_PEER or %HYPHA_ERROR_AMBIGUOUS_PEER
 *
 * A name goes before a beginning. What a peer that is not trusted calls itself finds nobody, or it
 * could take a trusted peer's name.
 *
 * Returns: (transfer full): the peer, or %NULL
 */
HyphaClientPeer *
hypha_client_find_peer (HyphaClient *self, const char *text, GError **error)
{
  g_autoptr (HyphaClientPeer) found = NULL;
  gboolean several = FALSE;

  for (guint i = 0; *text && i < g_list_model_get_n_items (G_LIST_MODEL (self->peers)); i++) {
    g_autoptr (HyphaClientPeer) peer = g_list_model_get_item (G_LIST_MODEL (self->peers), i);
    g_autofree char *id = hypha_peer_dup_id (HYPHA_PEER (peer));
    g_autofree char *name = hypha_peer_dup_name (HYPHA_PEER (peer));

    if (g_str_equal (id, text) ||
        (hypha_peer_get_trusted (HYPHA_PEER (peer)) && g_strcmp0 (name, text) == 0))
      return g_steal_pointer (&peer);
    if (g_str_has_prefix (id, text)) {
      several = found != NULL;
      g_set_object (&found, peer);
    }
  }
  if (several)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_AMBIGUOUS_PEER,
                 _ ("several peers have an id that begins with '%s': give more of it"), text);
  else if (found == NULL)
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_PEER,
        _ ("no peer is called '%s' or has an id that begins so: hyphactl peers shows them all"),
        text);
  return several ? NULL : g_steal_pointer (&found);
}

/**
 * hypha_client_lookup_peer:
 * @self: a client
 * @text: a trusted peer's name, an id, or a unique beginning of an id
 * @error: return location for an error
 *
 * Finds a peer. A name goes before a beginning; what a peer that is not trusted calls itself finds
 * nobody.
 *
 * Returns: (transfer full): the peer, or %NULL with `HYPHA_ERROR_NO_SUCH_PEER` or
 * `HYPHA_ERROR_AMBIGUOUS_PEER`
 */
HyphaPeer *
hypha_client_lookup_peer (HyphaClient *self, const char *text, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), NULL);
  g_return_val_if_fail (text != NULL, NULL);

  return (HyphaPeer *) hypha_client_find_peer (self, text, error);
}

/* ---- the node ---- */

/**
 * hypha_client_new_for_node: (skip)
 * @objects: (transfer full): what the node has
 * @node: (transfer full): itself
 *
 * Returns: (transfer full): a client, which is told nothing before hypha_client_follow()
 */
HyphaClient *
hypha_client_new_for_node (GDBusObjectManager *objects, HyphaDBusNode1 *node)
{
  HyphaClient *self = g_object_new (HYPHA_TYPE_CLIENT, NULL);

  self->objects = objects;
  self->node = node;
  return self;
}

static void
on_owner_changed (HyphaClient *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_RUNNING]);
}

static void
on_node_changed (HyphaClient *self, GParamSpec *property)
{
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (self), property->name))
    g_object_notify (G_OBJECT (self), property->name);
}

static void
on_pairing_code (HyphaClient *self, const char *id, const char *code)
{
  g_signal_emit (self, signals[PAIRING_CODE], 0, id, code);
}

static void
on_pending (HyphaClient *self, const char *id, const char *from)
{
  g_signal_emit (self, signals[PEER_PENDING], 0, id, from);
}

/**
 * hypha_client_follow: (skip)
 * @self: a client that is new
 *
 * Takes what has come so far, and all that changes. In one go where signals are told, or something
 * would be lost in between.
 */
void
hypha_client_follow (HyphaClient *self)
{
  GDBusConnection *connection = g_dbus_proxy_get_connection (G_DBUS_PROXY (self->node));
  g_autolist (GDBusObject) objects = g_dbus_object_manager_get_objects (self->objects);

  g_signal_connect_object (connection, "closed", G_CALLBACK (on_closed), self, 0);
  g_signal_connect_object (self->objects, "object-added", G_CALLBACK (on_object_added), self, 0);
  g_signal_connect_object (self->objects, "object-removed", G_CALLBACK (on_object_removed), self,
                           0);
  g_signal_connect_object (self->objects, "notify::name-owner", G_CALLBACK (on_owner_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->node, "notify", G_CALLBACK (on_node_changed), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->node, "peer-pending", G_CALLBACK (on_pending), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->node, "pairing-code", G_CALLBACK (on_pairing_code), self,
                           G_CONNECT_SWAPPED);
  for (GList *o = g_dbus_connection_is_closed (connection) ? NULL : objects; o; o = o->next)
    on_object_added (self->objects, o->data, self);
}

/**
 * hypha_client_get_node:
 * @self: a client
 *
 * Returns: (transfer none): org.hypha.Node1
 */
HyphaDBusNode1 *
hypha_client_get_node (HyphaClient *self)
{
  return self->node;
}

/**
 * hypha_client_get_peers:
 * @self: a client
 *
 * Gives the node's peers, also those that are not trusted. The list follows the node's.
 *
 * Returns: (transfer none): a list of [iface@Hypha.Peer]
 */
GListModel *
hypha_client_get_peers (HyphaClient *self)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), NULL);

  return G_LIST_MODEL (self->peers);
}

/**
 * hypha_client_get_running:
 * @self: a client
 *
 * Tells whether the node is on the bus.
 *
 * Returns: whether it runs
 */
gboolean
hypha_client_get_running (HyphaClient *self)
{
  GDBusConnection *connection;
  g_autofree char *owner = NULL;

  g_return_val_if_fail (HYPHA_IS_CLIENT (self), FALSE);

  connection = g_dbus_proxy_get_connection (G_DBUS_PROXY (self->node));
  if (g_dbus_connection_is_closed (connection) || hypha_bus_is_private (connection))
    return !g_dbus_connection_is_closed (connection);
  owner =
      g_dbus_object_manager_client_get_name_owner (G_DBUS_OBJECT_MANAGER_CLIENT (self->objects));
  return owner != NULL;
}

/**
 * hypha_client_dup_id:
 * @self: a client
 *
 * Gives the node's id.
 *
 * Returns: (transfer full) (nullable): the id, as text; %NULL while the node does not run
 */
char *
hypha_client_dup_id (HyphaClient *self)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), NULL);

  return hypha_dbus_node1_dup_id (self->node);
}

/**
 * hypha_client_dup_name:
 * @self: a client
 *
 * Gives what the node calls itself.
 *
 * Returns: (transfer full) (nullable): the name; %NULL while the node does not run
 */
char *
hypha_client_dup_name (HyphaClient *self)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), NULL);

  return hypha_dbus_node1_dup_name (self->node);
}

/**
 * hypha_client_dup_listening:
 * @self: a client
 *
 * Gives the endpoints that the node has bound, with their real ports.
 *
 * Returns: (transfer full) (nullable) (array zero-terminated=1): the endpoints; %NULL while the
 * node does not run
 */
char **
hypha_client_dup_listening (HyphaClient *self)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), NULL);

  return hypha_dbus_node1_dup_listening (self->node);
}

static void
hypha_client_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaClient *self = HYPHA_CLIENT (object);

  switch (id) {
  case PROP_PEERS:
    g_value_set_object (value, self->peers);
    break;
  case PROP_RUNNING:
    g_value_set_boolean (value, hypha_client_get_running (self));
    break;
  case PROP_ID:
    g_value_take_string (value, hypha_client_dup_id (self));
    break;
  case PROP_NAME:
    g_value_take_string (value, hypha_client_dup_name (self));
    break;
  case PROP_LISTENING:
    g_value_take_boxed (value, hypha_client_dup_listening (self));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

/**
 * hypha_client_get_objects:
 * @self: a client
 *
 * Returns: (transfer none): everything the node has on the bus; its objects are HyphaDBusObject
 */
GDBusObjectManager *
hypha_client_get_objects (HyphaClient *self)
{
  return self->objects;
}

/* In GDBus's thread. */
static GDBusMessage *
mark_interactive (GDBusConnection *connection, GDBusMessage *message, gboolean incoming,
                  gpointer user_data)
{
  GDBusMessage *copy;

  if (incoming || g_dbus_message_get_message_type (message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
    return message;
  copy = g_dbus_message_copy (message, NULL);
  if (copy == NULL)
    return message;
  g_dbus_message_set_flags (copy, g_dbus_message_get_flags (message) |
                                      G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION);
  g_object_unref (message);
  return copy;
}

static void
wait_for_people (GDBusObjectManager *objects, GDBusObject *object, HyphaClient *self)
{
  g_autolist (GDBusInterface) interfaces = g_dbus_object_get_interfaces (object);

  for (GList *i = interfaces; i; i = i->next)
    g_dbus_proxy_set_default_timeout (G_DBUS_PROXY (i->data), INTERACTIVE_TIMEOUT_MS);
}

/**
 * hypha_client_allow_interaction:
 * @self: a client
 *
 * From now on, the user may be asked for a password before the node does what it is told: for
 * programs that act for somebody who sits there. Calls then may take two minutes.
 */
void
hypha_client_allow_interaction (HyphaClient *self)
{
  GDBusProxy *node = G_DBUS_PROXY (self->node);
  g_autolist (GDBusObject) objects = NULL;

  if (self->interactive)
    return;
  objects = g_dbus_object_manager_get_objects (self->objects);
  g_dbus_proxy_set_default_timeout (node, INTERACTIVE_TIMEOUT_MS);
  for (GList *o = objects; o; o = o->next)
    wait_for_people (self->objects, o->data, self);
  g_signal_connect_object (self->objects, "object-added", G_CALLBACK (wait_for_people), self, 0);
  self->interactive = g_dbus_connection_add_filter (g_dbus_proxy_get_connection (node),
                                                    mark_interactive, NULL, NULL);
}

static void
hypha_client_dispose (GObject *object)
{
  HyphaClient *self = HYPHA_CLIENT (object);
  GDBusConnection *connection =
      self->node ? g_dbus_proxy_get_connection (G_DBUS_PROXY (self->node)) : NULL;

  if (self->interactive)
    g_dbus_connection_remove_filter (connection, self->interactive);
  self->interactive = 0;
  /* While it is certain to live: GDBus's thread may be the last to let go of it, at the same time
   * as this one would take the handlers away. */
  if (connection)
    g_signal_handlers_disconnect_by_data (connection, self);
  g_clear_object (&self->node);
  g_clear_object (&self->objects);
  g_clear_object (&self->peers);
  G_OBJECT_CLASS (hypha_client_parent_class)->dispose (object);
}

static void
hypha_client_class_init (HyphaClientClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = hypha_client_get_property;
  object_class->dispose = hypha_client_dispose;

  /**
   * HyphaClient:peers:
   *
   * The node's peers: a list of [iface@Hypha.Peer]. It is the same list for as long as the client
   * lives.
   */
  props[PROP_PEERS] = g_param_spec_object ("peers", NULL, NULL, G_TYPE_LIST_MODEL, flags);
  /**
   * HyphaClient:running:
   *
   * Whether the node is on the bus.
   */
  props[PROP_RUNNING] = g_param_spec_boolean ("running", NULL, NULL, FALSE, flags);
  /**
   * HyphaClient:id:
   *
   * The node's id.
   */
  props[PROP_ID] = g_param_spec_string ("id", NULL, NULL, NULL, flags);
  /**
   * HyphaClient:name:
   *
   * What the node calls itself.
   */
  props[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);
  /**
   * HyphaClient:listening:
   *
   * The endpoints that the node has bound.
   */
  props[PROP_LISTENING] = g_param_spec_boxed ("listening", NULL, NULL, G_TYPE_STRV, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);

  /**
   * HyphaClient::peer-pending:
   * @self: the client
   * @id: the id of the one who knocked
   * @from: the endpoint it came from
   *
   * Somebody proved this id to the node, and is not trusted.
   */
  signals[PEER_PENDING] =
      g_signal_new ("peer-pending", HYPHA_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
  /**
   * HyphaClient::pairing-code:
   * @self: the client
   * @id: the id of the one who shook hands
   * @code: six digits, the same on both sides if nobody sits in between
   *
   * Somebody came while a window for pairing was open. Once the people have compared:
   * [method@Hypha.Client.confirm_pairing_async].
   */
  signals[PAIRING_CODE] =
      g_signal_new ("pairing-code", HYPHA_TYPE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_STRING);
}

static void
hypha_client_init (HyphaClient *self)
{
  self->peers = g_list_store_new (HYPHA_TYPE_CLIENT_PEER);
}
