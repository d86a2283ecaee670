/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/sender.h"
#include "node/node.h"

G_BEGIN_DECLS

/* How the streams between clients and one peer ended: kept for the client that opened the stream,
 * or that was given it to serve, until it asks or leaves the bus. Bounded. Main thread. */
typedef struct _HyphaStreamResults HyphaStreamResults;

HyphaStreamResults *hypha_stream_results_new (void);
void hypha_stream_results_free (HyphaStreamResults *self);
/* Those of the streams of PEER, for as long as it lives. Not owned. */
HyphaStreamResults *hypha_stream_results_of (HyphaNodePeer *peer);
/* OWNER has not left. */
void hypha_stream_results_add (HyphaStreamResults *self, HyphaSender *owner, HyphaStream *stream);
/* Nobody is going to ask: the client did not take the stream. */
void hypha_stream_results_drop (HyphaStreamResults *self, guint64 id);
/* Answers INVOCATION (taken) when the stream has ended; at once where that is so, or where it is
 * not the caller's stream. */
void hypha_stream_results_ask (HyphaStreamResults *self, GDBusMethodInvocation *invocation,
                               guint64 id);
/* How many streams, of whatever peer of NODE, have ended and whoever opened them is there and has
 * not asked yet. */
guint hypha_stream_results_count_unasked (HyphaNode *node);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaStreamResults, hypha_stream_results_free)

G_END_DECLS
