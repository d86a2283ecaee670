/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/worker.h"
#include "node/node.h"

G_BEGIN_DECLS

/* The services that need no program: echo sends back what comes, discard throws it away. Their
 * bytes move on a worker of their own, so that they outlive the node's: when a node stops, its
 * streams have to end before the programs at their ends do, or they would look finished. */
typedef struct _HyphaBuiltins HyphaBuiltins;

HyphaBuiltins *hypha_builtins_new (void);
void hypha_builtins_free (HyphaBuiltins *self); /* ends what goes on */
void hypha_builtins_echo (HyphaBuiltins *self, HyphaIncoming *incoming);
void hypha_builtins_discard (HyphaBuiltins *self, HyphaIncoming *incoming);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaBuiltins, hypha_builtins_free)

G_END_DECLS
