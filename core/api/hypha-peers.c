/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-peers.h"

#include "hypha-error.h"

/**
 * HyphaPeers:
 *
 * What a transport may have of the node that it serves: for transports whose channels go through
 * other nodes.
 *
 * A transport is given it by its node, and has it until that stops. It lives on the main thread.
 * Every stream that is opened or taken by it carries a link, or what is said about such: nothing of
 * it ever goes over a link that is itself relayed (%HYPHA_CHANNEL_RELAYED), and it is reset before
 * anything would. So links cannot carry each other in a circle, whatever the transport does.
 *
 * Since ABI 1.2.
 */
G_DEFINE_INTERFACE (HyphaPeers, hypha_peers, G_TYPE_OBJECT)

static void
hypha_peers_default_init (HyphaPeersInterface *iface)
{
  /**
   * HyphaPeers::changed:
   * @self: what a node has for transports
   *
   * Another answer may be given now, of whatever is asked here: a peer has come, gone, or is called
   * otherwise, another link to it is in use, or the settings say something else.
   */
  g_signal_new ("changed", HYPHA_TYPE_PEERS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                0);
  /**
   * HyphaPeers::incoming:
   * @self: what a node has for transports
   * @peer: who opens it; trusted
   * @stream: the stream
   *
   * A peer opens a stream to the service that the detail names, and the settings leave it to
   * transports: they do not mention it, or give it the target `transport`. Whether the peer may
   * pass through this node is to be asked by [method@Hypha.Peers.may_pass]; a transport need not
   * ask where nothing but itself is reached.
   *
   * Returns: %TRUE to take the stream, of which the handler keeps a reference
   */
  g_signal_new ("incoming", HYPHA_TYPE_PEERS, G_SIGNAL_RUN_LAST | G_SIGNAL_DETAILED, 0,
                g_signal_accumulator_true_handled, NULL, NULL, G_TYPE_BOOLEAN, 2, HYPHA_TYPE_PEER,
                HYPHA_TYPE_STREAM);
}

/**
 * hypha_peers_dup_id:
 * @self: what a node has for transports
 *
 * Gives the id of the node itself.
 *
 * Returns: (transfer full): the id, as text
 *
 * Since: ABI 1.2
 */
char *
hypha_peers_dup_id (HyphaPeers *self)
{
  g_return_val_if_fail (HYPHA_IS_PEERS (self), NULL);

  return HYPHA_PEERS_GET_IFACE (self)->dup_id (self);
}

/**
 * hypha_peers_get_list:
 * @self: what a node has for transports
 *
 * Gives the peers that the node knows, also those that are not trusted. The list changes with them.
 *
 * Returns: (transfer none): a list of [iface@Hypha.Peer]
 *
 * Since: ABI 1.2
 */
GListModel *
hypha_peers_get_list (HyphaPeers *self)
{
  g_return_val_if_fail (HYPHA_IS_PEERS (self), NULL);

  return HYPHA_PEERS_GET_IFACE (self)->get_list (self);
}

/**
 * hypha_peers_get_link_cost:
 * @self: what a node has for transports
 * @peer: one of its peers
 * @cost: (out) (optional): the static cost of the link in use
 *
 * Tells whether a stream that carries a link can be opened to @peer now, and what the link costs
 * over which it would go.
 *
 * Returns: %FALSE if no link is in use, or one that is relayed, or the peer is not trusted
 *
 * Since: ABI 1.2
 */
gboolean
hypha_peers_get_link_cost (HyphaPeers *self, HyphaPeer *peer, guint *cost)
{
  guint answer = 0;
  gboolean direct;

  g_return_val_if_fail (HYPHA_IS_PEERS (self), FALSE);
  g_return_val_if_fail (HYPHA_IS_PEER (peer), FALSE);

  direct = HYPHA_PEERS_GET_IFACE (self)->get_link_cost (self, peer, &answer);
  if (direct && cost != NULL)
    *cost = answer;
  return direct;
}

/**
 * hypha_peers_may_pass:
 * @self: what a node has for transports
 * @service: a service
 * @peer: one of its peers
 *
 * Asks whoever made the settings whether streams of @peer may be led through this node by @service,
 * and such of others to @peer. The default is that nobody's are.
 *
 * Returns: whether they may
 *
 * Since: ABI 1.2
 */
gboolean
hypha_peers_may_pass (HyphaPeers *self, const char *service, HyphaPeer *peer)
{
  g_return_val_if_fail (HYPHA_IS_PEERS (self), FALSE);
  g_return_val_if_fail (service != NULL, FALSE);
  g_return_val_if_fail (HYPHA_IS_PEER (peer), FALSE);

  return HYPHA_PEERS_GET_IFACE (self)->may_pass (self, service, peer);
}

/**
 * hypha_peers_open_async:
 * @self: what a node has for transports
 * @peer: one of its peers
 * @service: of the peer
 * @timeout_ms: for how long to wait for the peer's answer, in milliseconds; 0: as long as it takes
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when the peer has answered
 * @user_data: for @callback
 *
 * Opens a stream that may carry a link.
 *
 * Since: ABI 1.2
 */
void
hypha_peers_open_async (HyphaPeers *self, HyphaPeer *peer, const char *service, guint timeout_ms,
                        GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_PEERS (self));
  g_return_if_fail (HYPHA_IS_PEER (peer));
  g_return_if_fail (service != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  HYPHA_PEERS_GET_IFACE (self)->open_async (self, peer, service, timeout_ms, cancellable, callback,
                                            user_data);
}

/**
 * hypha_peers_open_finish:
 * @self: what a node has for transports
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_peers_open_async() began.
 *
 * The errors are those of hypha_peer_open_stream_finish(); `HYPHA_ERROR_OFFLINE` also stands for a
 * peer that can only be reached by a relayed link.
 *
 * Returns: (transfer full): the stream, or %NULL with @error set
 *
 * Since: ABI 1.2
 */
HyphaStream *
hypha_peers_open_finish (HyphaPeers *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_PEERS (self), NULL);
  g_return_val_if_fail (G_IS_ASYNC_RESULT (result), NULL);

  return HYPHA_PEERS_GET_IFACE (self)->open_finish (self, result, error);
}

/**
 * hypha_peers_reset:
 * @self: what a node has for transports
 * @stream: one that was opened or taken by it, wherever its bytes go
 *
 * Ends both directions of a stream early. Nothing happens if it has ended.
 *
 * Since: ABI 1.2
 */
void
hypha_peers_reset (HyphaPeers *self, HyphaStream *stream)
{
  g_return_if_fail (HYPHA_IS_PEERS (self));
  g_return_if_fail (HYPHA_IS_STREAM (stream));

  HYPHA_PEERS_GET_IFACE (self)->reset (self, stream);
}

/**
 * hypha_peers_suggest:
 * @self: what a node has for transports
 * @id: the id of a peer
 * @endpoint: where it may be found, in canonical form
 *
 * Has the node dial @endpoint, as it does the endpoints of its settings, until
 * hypha_peers_withdraw(). Whoever else answers there is turned away; a node that does not trust
 * @id does nothing. A node takes 256 at most.
 *
 * Since: ABI 1.2
 */
void
hypha_peers_suggest (HyphaPeers *self, const char *id, HyphaEndpoint *endpoint)
{
  g_return_if_fail (HYPHA_IS_PEERS (self));
  g_return_if_fail (id != NULL);
  g_return_if_fail (endpoint != NULL);

  HYPHA_PEERS_GET_IFACE (self)->suggest (self, id, endpoint);
}

/**
 * hypha_peers_withdraw:
 * @self: what a node has for transports
 * @endpoint: one that was suggested
 *
 * The node dials @endpoint no more, unless somebody else wants it. A link over it stays.
 *
 * Since: ABI 1.2
 */
void
hypha_peers_withdraw (HyphaPeers *self, HyphaEndpoint *endpoint)
{
  g_return_if_fail (HYPHA_IS_PEERS (self));
  g_return_if_fail (endpoint != NULL);

  HYPHA_PEERS_GET_IFACE (self)->withdraw (self, endpoint);
}
