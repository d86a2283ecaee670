/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>
#include "node/node-link.h"

G_BEGIN_DECLS

/* The node's own HyphaPeer. Beside the interface's properties: from (s). Beside its signals:
 * stream-closed (t id, s error ("" if finished), t received, t sent). */
#define HYPHA_TYPE_NODE_PEER (hypha_node_peer_get_type ())
G_DECLARE_FINAL_TYPE (HyphaNodePeer, hypha_node_peer, HYPHA, NODE_PEER, GObject)

const HyphaNodeId *hypha_node_peer_get_id (HyphaNodePeer *self);
const char *hypha_node_peer_get_id_text (HyphaNodePeer *self);
const char *hypha_node_peer_get_from (
    HyphaNodePeer *self); /* of a pending peer, where it knocked last; else "" */
HyphaNodeLink *hypha_node_peer_get_best_link (
    HyphaNodePeer *self); /* NULL: none; the one our sending goes over */
GPtrArray *hypha_node_peer_dup_links (HyphaNodePeer *self); /* HyphaNodeLink */
void hypha_node_peer_get_counters (HyphaNodePeer *self, guint64 *rx_bytes, guint64 *tx_bytes);

/* A stream by its id, as OpenStream and StreamResult need it. aa{sv}: id t, service s, mine b,
 * received t, sent t. */
GVariant *hypha_node_peer_dup_streams (HyphaNodePeer *self);
gboolean hypha_node_peer_close_stream (HyphaNodePeer *self, guint64 id, GError **error);

/* Opens a stream to SERVICE for a program that knows nothing of Hypha, at the other end of FD
 * (taken, non-blocking): if the stream is refused, not answered within TIMEOUT_MS (0: no end) or
 * reset, FD is reset. KEEP (nullable) is unreferenced when it has ended. Completes at the end of
 * both directions: TRUE if both were finished. RECEIVED and SENT (nullable) are set either way.
 * GREETING (nullable, short) is the first that the program reads, once the stream is accepted. */
void hypha_node_peer_join_async (HyphaNodePeer *self, const char *service, int fd, GObject *keep,
                                 const char *greeting, guint timeout_ms,
                                 GAsyncReadyCallback callback, gpointer user_data);
gboolean hypha_node_peer_join_finish (HyphaNodePeer *self, GAsyncResult *result, guint64 *received,
                                      guint64 *sent, GError **error);

G_END_DECLS
