/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha.h>

G_BEGIN_DECLS

/* How the streams that clients opened to one peer ended: kept for the client that opened the stream
 * until it asks, or leaves the bus. Bounded. Main thread. */
typedef struct _HyphaStreamResults HyphaStreamResults;

HyphaStreamResults *hypha_stream_results_new (void);
void hypha_stream_results_free (HyphaStreamResults *self);
/* INVOCATION is the call that opened STREAM. */
void hypha_stream_results_add (HyphaStreamResults *self, GDBusMethodInvocation *invocation,
                               HyphaStream *stream);
/* Answers INVOCATION (taken) when the stream has ended; at once where that is so, or where it is
 * not the caller's stream. */
void hypha_stream_results_ask (HyphaStreamResults *self, GDBusMethodInvocation *invocation,
                               guint64 id);
/* How many streams, of whatever peer, have ended and whoever opened them is there and has not asked
 * yet. */
guint hypha_stream_results_count_unasked (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaStreamResults, hypha_stream_results_free)

G_END_DECLS
