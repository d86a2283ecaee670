/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "service/builtin.h"

G_BEGIN_DECLS

/* One connection that came to a forward: it waits until the peer can be reached, and is joined with
 * a stream then; or with what listens at an endpoint. Whatever goes wrong before or after is a
 * reset for who connected. Main thread. */
typedef struct _HyphaJoint HyphaJoint;

/* Once, at the end of both directions; the joint frees itself afterwards. ERROR NULL: both were
 * finished. RECEIVED: bytes from the peer. */
typedef void (*HyphaJointEnded) (HyphaJoint *self, guint64 received, guint64 sent,
                                 const GError *error, gpointer user_data);

HyphaJoint *hypha_joint_new (HyphaNode *node, const char *peer, const char *service,
                             HyphaChannel *channel, HyphaJointEnded ended, gpointer user_data);
/* The same for TARGET, an endpoint that this node connects to. BUILTINS: not owned; whatever of
 * them still goes on when they go is reset. */
HyphaJoint *hypha_joint_new_for_endpoint (HyphaLoader *loader, HyphaBuiltins *builtins,
                                          const char *target, HyphaChannel *channel,
                                          HyphaJointEnded ended, gpointer user_data);
void hypha_joint_start (HyphaJoint *self); /* may tell ENDED before it returns */
/* ENDED is not told any more. What still waits is reset; what is joined goes on. */
void hypha_joint_abandon (HyphaJoint *self);

G_END_DECLS
