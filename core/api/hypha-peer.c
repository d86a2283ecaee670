/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-peer.h"

/**
 * HyphaPeer:
 *
 * Another node as this one sees it: its identity, its session and its links.
 *
 * There are two implementations, the node's own and the client library's over D-Bus. Both live on
 * the main thread, and both open the same [class@Hypha.Stream].
 */
G_DEFINE_INTERFACE (HyphaPeer, hypha_peer, G_TYPE_OBJECT)

static const GEnumValue states[] = {
  { HYPHA_PEER_PENDING, "HYPHA_PEER_PENDING", "pending" },
  { HYPHA_PEER_OFFLINE, "HYPHA_PEER_OFFLINE", "offline" },
  { HYPHA_PEER_CONNECTING, "HYPHA_PEER_CONNECTING", "connecting" },
  { HYPHA_PEER_ONLINE, "HYPHA_PEER_ONLINE", "online" },
  { HYPHA_PEER_SUSPECT, "HYPHA_PEER_SUSPECT", "suspect" },
  { 0, NULL, NULL },
};

/**
 * hypha_peer_state_get_type:
 *
 * The enumeration type of #HyphaPeerState.
 *
 * Returns: the type
 */
GType
hypha_peer_state_get_type (void)
{
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("HyphaPeerState", states));
  return type;
}

/**
 * hypha_peer_state_to_string:
 * @state: a state
 *
 * Gives the word for @state that D-Bus and hyphactl use.
 *
 * Returns: `pending`, `offline`, `connecting`, `online` or `suspect`
 */
const char *
hypha_peer_state_to_string (HyphaPeerState state)
{
  for (const GEnumValue *value = states; value->value_name != NULL; value++)
    if (value->value == (gint) state)
      return value->value_nick;
  g_return_val_if_reached (NULL);
}

static void
hypha_peer_default_init (HyphaPeerInterface *iface)
{
  GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

  /**
   * HyphaPeer:id:
   *
   * The node id, as text.
   */
  g_object_interface_install_property (iface, g_param_spec_string ("id", NULL, NULL, NULL, flags));
  /**
   * HyphaPeer:name:
   *
   * The name under which it is trusted, or else the beginning of its id.
   */
  g_object_interface_install_property (iface,
                                       g_param_spec_string ("name", NULL, NULL, NULL, flags));
  /**
   * HyphaPeer:trusted:
   *
   * Whether this node talks to it.
   */
  g_object_interface_install_property (iface,
                                       g_param_spec_boolean ("trusted", NULL, NULL, FALSE, flags));
  /**
   * HyphaPeer:state:
   *
   * How it can be reached now.
   */
  g_object_interface_install_property (
      iface,
      g_param_spec_enum ("state", NULL, NULL, HYPHA_TYPE_PEER_STATE, HYPHA_PEER_OFFLINE, flags));
  /**
   * HyphaPeer:link-cost:
   *
   * The cost of the link in use; %G_MAXUINT: there is none.
   */
  g_object_interface_install_property (
      iface, g_param_spec_uint ("link-cost", NULL, NULL, 0, G_MAXUINT, G_MAXUINT, flags));

  /**
   * HyphaPeer::link-changed:
   * @self: the peer
   * @from: the object name of the link that was left, or the empty string
   * @to: the object name of the link now in use, or the empty string
   * @reason: why, for people
   *
   * Its streams have moved to another link.
   */
  g_signal_new ("link-changed", HYPHA_TYPE_PEER, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                G_TYPE_NONE, 3, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING);
}

/**
 * hypha_peer_dup_id:
 * @self: a peer
 *
 * Gives the node id.
 *
 * Returns: (transfer full): the id, as text
 */
char *
hypha_peer_dup_id (HyphaPeer *self)
{
  char *id = NULL;

  g_return_val_if_fail (HYPHA_IS_PEER (self), NULL);

  g_object_get (self, "id", &id, NULL);
  return id;
}

/**
 * hypha_peer_dup_name:
 * @self: a peer
 *
 * Gives the name under which it is trusted, or else the beginning of its id.
 *
 * Returns: (transfer full) (nullable): the name
 */
char *
hypha_peer_dup_name (HyphaPeer *self)
{
  char *name = NULL;

  g_return_val_if_fail (HYPHA_IS_PEER (self), NULL);

  g_object_get (self, "name", &name, NULL);
  return name;
}

/**
 * hypha_peer_get_trusted:
 * @self: a peer
 *
 * Tells whether this node talks to it.
 *
 * Returns: whether it is trusted
 */
gboolean
hypha_peer_get_trusted (HyphaPeer *self)
{
  gboolean trusted = FALSE;

  g_return_val_if_fail (HYPHA_IS_PEER (self), FALSE);

  g_object_get (self, "trusted", &trusted, NULL);
  return trusted;
}

/**
 * hypha_peer_get_state:
 * @self: a peer
 *
 * Tells how it can be reached now.
 *
 * Returns: the state
 */
HyphaPeerState
hypha_peer_get_state (HyphaPeer *self)
{
  HyphaPeerState state = HYPHA_PEER_OFFLINE;

  g_return_val_if_fail (HYPHA_IS_PEER (self), HYPHA_PEER_OFFLINE);

  g_object_get (self, "state", &state, NULL);
  return state;
}

/**
 * hypha_peer_get_link_cost:
 * @self: a peer
 *
 * Gives the cost of the link in use.
 *
 * Returns: the cost; %G_MAXUINT: there is no link
 */
guint
hypha_peer_get_link_cost (HyphaPeer *self)
{
  guint cost = G_MAXUINT;

  g_return_val_if_fail (HYPHA_IS_PEER (self), G_MAXUINT);

  g_object_get (self, "link-cost", &cost, NULL);
  return cost;
}

/**
 * hypha_peer_open_stream_async:
 * @self: a peer
 * @service: the name of a service of the peer
 * @timeout_ms: how long to wait for the peer's answer, in milliseconds; 0: for ever
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when the peer has taken the stream or refused it
 * @user_data: for @callback
 *
 * Opens a stream to a service of the peer. Many may be opened at once; where a bus or the node
 * takes no more of them, it is `HYPHA_ERROR_BUSY`.
 */
void
hypha_peer_open_stream_async (HyphaPeer *self, const char *service, guint timeout_ms,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_PEER (self));
  g_return_if_fail (service != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  HYPHA_PEER_GET_IFACE (self)->open_stream_async (self, service, timeout_ms, cancellable, callback,
                                                  user_data);
}

/**
 * hypha_peer_open_stream_finish:
 * @self: a peer
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_peer_open_stream_async() began.
 *
 * The error is `HYPHA_ERROR_REFUSED` or `HYPHA_ERROR_NO_SUCH_SERVICE` where the peer said no,
 * `HYPHA_ERROR_NOT_TRUSTED` where this node does, `HYPHA_ERROR_OFFLINE` where there is no link,
 * `HYPHA_ERROR_BUSY`, `HYPHA_ERROR_TIMED_OUT`, or `G_IO_ERROR_CANCELLED`; over a bus also
 * `HYPHA_ERROR_PERMISSION_DENIED`, `HYPHA_ERROR_PROTOCOL` where the answer is none, and
 * `HYPHA_ERROR_RESTARTED` where the node has ended.
 *
 * Returns: (transfer full): the stream, or %NULL with @error set
 */
HyphaStream *
hypha_peer_open_stream_finish (HyphaPeer *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_PEER (self), NULL);
  g_return_val_if_fail (G_IS_ASYNC_RESULT (result), NULL);

  return HYPHA_PEER_GET_IFACE (self)->open_stream_finish (self, result, error);
}

/**
 * hypha_peer_open_direct_async:
 * @self: a peer
 * @service: the name of a service of the peer
 * @timeout_ms: how long to wait for the peer's answer, in milliseconds; 0: for ever
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when the peer has taken the stream or refused it
 * @user_data: for @callback
 *
 * Opens a direct stream to a service of the peer: one socket of the kernel's between the two
 * programs, which no node carries anything over. It is fast, and it is what it is: it does not move
 * to another link, nobody can take it back, and how it ended is what the socket says.
 * [method@Hypha.Stream.wait_end_async] is done at once, without an error, and has counted nothing.
 */
void
hypha_peer_open_direct_async (HyphaPeer *self, const char *service, guint timeout_ms,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_PEER (self));
  g_return_if_fail (service != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  HYPHA_PEER_GET_IFACE (self)->open_direct_async (self, service, timeout_ms, cancellable, callback,
                                                  user_data);
}

/**
 * hypha_peer_open_direct_finish:
 * @self: a peer
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_peer_open_direct_async() began.
 *
 * The error is `HYPHA_ERROR_NOT_SUPPORTED` where the link in use is encrypted, or not one socket of
 * the kernel's, or leads to a node that knows no direct streams; and those of
 * hypha_peer_open_stream_finish().
 *
 * Returns: (transfer full): the stream, or %NULL with @error set
 */
HyphaStream *
hypha_peer_open_direct_finish (HyphaPeer *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_PEER (self), NULL);
  g_return_val_if_fail (G_IS_ASYNC_RESULT (result), NULL);

  return HYPHA_PEER_GET_IFACE (self)->open_direct_finish (self, result, error);
}

/**
 * hypha_peer_disconnect_async:
 * @self: a peer
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when the session has ended
 * @user_data: for @callback
 *
 * Ends the session with the peer, and every stream of it with `HYPHA_ERROR_DISCONNECTED`.
 */
void
hypha_peer_disconnect_async (HyphaPeer *self, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_PEER (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  HYPHA_PEER_GET_IFACE (self)->disconnect_async (self, cancellable, callback, user_data);
}

/**
 * hypha_peer_disconnect_finish:
 * @self: a peer
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_peer_disconnect_async() began.
 *
 * Returns: whether the session has ended; if not, @error is set
 */
gboolean
hypha_peer_disconnect_finish (HyphaPeer *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_PEER (self), FALSE);
  g_return_val_if_fail (G_IS_ASYNC_RESULT (result), FALSE);

  return HYPHA_PEER_GET_IFACE (self)->disconnect_finish (self, result, error);
}
