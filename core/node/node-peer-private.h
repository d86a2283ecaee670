/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/direct.h"
#include "node/engine.h"
#include "node/node-link-private.h"
#include "node/node-peer.h"
#include "node/node.h"

G_BEGIN_DECLS

/* Told to the node, beside the signals. */
typedef struct {
  void (*link_up) (HyphaNodePeer *peer, HyphaNodeLink *link, gpointer user_data);
  void (*link_closed) (HyphaNodePeer *peer, HyphaNodeLink *link, const GError *error,
                       gpointer user_data);
  void (*incoming) (HyphaNodePeer *peer, HyphaIncoming *incoming, gpointer user_data);
  void (*gone) (HyphaNodePeer *peer, gpointer user_data); /* its engine has ended */
} HyphaNodePeerEvents;

/* DIRECTS: the node's, which outlives the peer's streams. */
HyphaNodePeer *hypha_node_peer_new (const HyphaNodeId *id, HyphaDirects *directs,
                                    const HyphaNodePeerEvents *events, gpointer user_data);
/* ENGINE parameters but func and user_data; the peer makes its engine with its first link. */
void hypha_node_peer_adopt (HyphaNodePeer *self, HyphaNodeLink *link,
                            const HyphaEngineParameters *parameters, const char *our_name);
gboolean hypha_node_peer_has_engine (HyphaNodePeer *self);
void hypha_node_peer_set_limits (HyphaNodePeer *self, const HyphaSessionLimits *limits,
                                 gint64 ping_interval, gint64 link_timeout);
void hypha_node_peer_set_trusted (HyphaNodePeer *self, gboolean trusted);
void hypha_node_peer_set_name (HyphaNodePeer *self, const char *name);
void hypha_node_peer_set_from (HyphaNodePeer *self, const char *from); /* "": not pending */
void hypha_node_peer_set_dialling (HyphaNodePeer *self, gboolean dialling);
void hypha_node_peer_close_link (HyphaNodePeer *self, HyphaNodeLink *link, HyphaAway away,
                                 HyphaError code, const char *reason);
void hypha_node_peer_set_link_cost (HyphaNodePeer *self, HyphaNodeLink *link, guint32 static_cost);
void hypha_node_peer_drop (HyphaNodePeer *self, HyphaError error, const char *reason);
void hypha_node_peer_stop (HyphaNodePeer *self, HyphaAway away, HyphaError code,
                           const char *reason);
/* Opens no streams from now on. */
void hypha_node_peer_drain (HyphaNodePeer *self);
guint hypha_node_peer_n_streams (HyphaNodePeer *self); /* but for those that carry links */
/* As hypha_peer_open_stream_async(), which finishes it, of a stream that carries a link. */
void hypha_node_peer_open_carrying_async (HyphaNodePeer *self, const char *service,
                                          guint timeout_ms, GCancellable *cancellable,
                                          GAsyncReadyCallback callback, gpointer user_data);
guint hypha_node_peer_n_links (HyphaNodePeer *self);
HyphaNodeLink *hypha_node_peer_find_live (HyphaNodePeer *self); /* any; not owned */
/* A live link to the same scheme and host, other than LINK; not owned. */
HyphaNodeLink *hypha_node_peer_find_twin (HyphaNodePeer *self, HyphaNodeLink *link);

G_END_DECLS
