/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/worker.h"
#include "node/node.h"

G_BEGIN_DECLS

/* The services that need no program: echo sends back what comes, discard throws it away. And direct
 * streams to a target, which this node has to carry between two sockets. Their
 * bytes move on a worker of their own, so that they outlive the node's: when a node stops, its
 * streams have to end before the programs at their ends do, or they would look finished. */
typedef struct _HyphaBuiltins HyphaBuiltins;

HyphaBuiltins *hypha_builtins_new (void);
HyphaBuiltins *hypha_builtins_ref (HyphaBuiltins *self);
void hypha_builtins_unref (HyphaBuiltins *self); /* the last one ends what goes on */
void hypha_builtins_echo (HyphaBuiltins *self, HyphaIncoming *incoming);
void hypha_builtins_discard (HyphaBuiltins *self, HyphaIncoming *incoming);

/* A direct stream to a target: moves what comes on either of INCOMING's socket and TARGET (taken,
 * non-blocking) to the other, and answers. A reset of one is one of the other. */
void hypha_builtins_bridge (HyphaBuiltins *self, HyphaIncoming *incoming, int target);

/* Once, on the main thread, at the end of both directions: the bytes that went from the first to
 * the second, and back. ERROR NULL: both were finished. */
typedef void (*HyphaBuiltinsJoined) (guint64 there, guint64 back, const GError *error,
                                     gpointer user_data);
/* The same for two sockets of programs, A and B (taken, non-blocking). FALSE: nobody can serve
 * them, and both were reset; FUNC is not called. */
gboolean hypha_builtins_join (HyphaBuiltins *self, int a, int b, HyphaBuiltinsJoined func,
                              gpointer user_data, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaBuiltins, hypha_builtins_unref)

G_END_DECLS
