/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service/forwards.h"

G_BEGIN_DECLS

/* What peers have this node listen on, for as long as they ask for it: forwards to services of
 * theirs, among the node's own. Main thread. */
typedef struct _HyphaForwardHost HyphaForwardHost;

/* At once, of one peer and of all; one more is busy. And of one peer, those with many ports. */
#define HYPHA_FORWARD_HOST_MAX_OF_PEER 32
#define HYPHA_FORWARD_HOST_MAX (HYPHA_FORWARDS_MAX / 2)
#define HYPHA_FORWARD_HOST_MAX_MIRRORS 4

/* To free: what is to be listened on where PEER, who has opened SERVICE, asks for LOCAL, of a
 * forward to TARGET. NULL: it may not. */
typedef char *(*HyphaForwardHostMay) (HyphaNodePeer *peer, const char *service, const char *local,
                                      const char *target, gpointer user_data, GError **error);

HyphaForwardHost *hypha_forward_host_new (HyphaNode *node, HyphaForwards *forwards,
                                          HyphaForwardHostMay may, gpointer user_data);
/* Answers INCOMING, and does what it asks for until it goes. */
void hypha_forward_host_serve (HyphaForwardHost *self, HyphaIncoming *incoming);
/* Another answer of MAY ends what was asked for: it may be asked for again. */
void hypha_forward_host_review (HyphaForwardHost *self);
void hypha_forward_host_stop (HyphaForwardHost *self); /* ends all */
void hypha_forward_host_free (HyphaForwardHost *self);

G_END_DECLS
