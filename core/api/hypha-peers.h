/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-endpoint.h"
#include "hypha-peer.h"

G_BEGIN_DECLS

#define HYPHA_TYPE_PEERS (hypha_peers_get_type ())
HYPHA_EXTERN
G_DECLARE_INTERFACE (HyphaPeers, hypha_peers, HYPHA, PEERS, GObject)

/**
 * HyphaPeersInterface:
 * @parent: the parent interface
 * @dup_id: implements [method@Hypha.Peers.dup_id]
 * @get_list: implements [method@Hypha.Peers.get_list]
 * @get_link_cost: implements [method@Hypha.Peers.get_link_cost]
 * @may_pass: implements [method@Hypha.Peers.may_pass]
 * @open_async: implements [method@Hypha.Peers.open_async]
 * @open_finish: implements [method@Hypha.Peers.open_finish]
 * @reset: implements [method@Hypha.Peers.reset]
 * @suggest: implements [method@Hypha.Peers.suggest]
 * @withdraw: implements [method@Hypha.Peers.withdraw]
 *
 * What a node fills in, all of it.
 */
struct _HyphaPeersInterface {
  GTypeInterface parent;

  char *(*dup_id) (HyphaPeers *self);
  GListModel *(*get_list) (HyphaPeers *self);
  gboolean (*get_link_cost) (HyphaPeers *self, HyphaPeer *peer, guint *cost);
  gboolean (*may_pass) (HyphaPeers *self, const char *service, HyphaPeer *peer);
  void (*open_async) (HyphaPeers *self, HyphaPeer *peer, const char *service, guint timeout_ms,
                      GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
  HyphaStream *(*open_finish) (HyphaPeers *self, GAsyncResult *result, GError **error);
  void (*reset) (HyphaPeers *self, HyphaStream *stream);
  void (*suggest) (HyphaPeers *self, const char *id, HyphaEndpoint *endpoint);
  void (*withdraw) (HyphaPeers *self, HyphaEndpoint *endpoint);

  /* <private> */
  gpointer padding[12];
};

HYPHA_EXTERN
char *hypha_peers_dup_id (HyphaPeers *self);
HYPHA_EXTERN
GListModel *hypha_peers_get_list (HyphaPeers *self); /* HyphaPeer, also such as are not trusted */
/* FALSE: no link to the peer is in use, or one that is itself relayed. */
HYPHA_EXTERN
gboolean hypha_peers_get_link_cost (HyphaPeers *self, HyphaPeer *peer, guint *cost);
/* Who made the settings lets PEER be carried for, and be reached, through SERVICE of this node. */
HYPHA_EXTERN
gboolean hypha_peers_may_pass (HyphaPeers *self, const char *service, HyphaPeer *peer);
/* A stream that may carry a link; it ends when it would have to go over a relayed one. */
HYPHA_EXTERN
void hypha_peers_open_async (HyphaPeers *self, HyphaPeer *peer, const char *service,
                             guint timeout_ms, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
HyphaStream *hypha_peers_open_finish (HyphaPeers *self, GAsyncResult *result, GError **error);
HYPHA_EXTERN
void hypha_peers_reset (HyphaPeers *self, HyphaStream *stream);
/* The peer ID, which the node trusts, may be found at ENDPOINT, until that is withdrawn. */
HYPHA_EXTERN
void hypha_peers_suggest (HyphaPeers *self, const char *id, HyphaEndpoint *endpoint);
HYPHA_EXTERN
void hypha_peers_withdraw (HyphaPeers *self, HyphaEndpoint *endpoint);

G_END_DECLS
