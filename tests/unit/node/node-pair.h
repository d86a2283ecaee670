/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "service/services.h"

/* Two real nodes in one process, alpha and beta, over the real plug-ins. Both live on the default
 * main context, which runs while a test waits. */

typedef struct {
  HyphaIdentity *identity; /* outlives the node: for its next life */
  HyphaLoader *loader;
  HyphaNode *node;
  HyphaServices *services;
} Side;

typedef struct {
  char *dir; /* of Unix sockets: b.sock is beta's, target a program's */
  Side a, b;
} NodePair;

/* A fixture for g_test_add(): with ids as they come, or so that alpha has the lower one and is the
 * one that closes twins. */
void node_pair_set_up (NodePair *self, gconstpointer data);
void node_pair_set_up_alpha_lower (NodePair *self, gconstpointer data);
void node_pair_tear_down (NodePair *self, gconstpointer data);

/* SIDE takes the identity, and keeps it when it goes down. */
void side_up (Side *side, HyphaIdentity *identity, const char *name);
void side_down (Side *side);

/* ---- waiting for what has to come ---- */

#define NODE_PAIR_DEADLINE (20 * G_TIME_SPAN_SECOND)

gboolean wake (gpointer data);

#define wait_until(condition)                                       \
  G_STMT_START                                                      \
  {                                                                 \
    gint64 give_up_ = g_get_monotonic_time () + NODE_PAIR_DEADLINE; \
    guint tick_ = g_timeout_add (5, wake, NULL);                    \
    while (!(condition) && g_get_monotonic_time () < give_up_)      \
      g_main_context_iteration (NULL, TRUE);                        \
    g_source_remove (tick_);                                        \
    g_assert_true (condition);                                      \
  }                                                                 \
  G_STMT_END

/* A callback that keeps a reference to the result in the GAsyncResult * at USER_DATA. */
void keep_result (GObject *source, GAsyncResult *result, gpointer user_data);

/* ---- what a test tells a node to do, waited for ---- */

char *listen_on (Side *side, const char *endpoint);
HyphaNodePeer *dial (Side *side, const char *endpoint, GVariant *options, GError **error);
HyphaStream *open_stream (HyphaNodePeer *peer, const char *service, GError **error);
void trust (Side *side, Side *other, const char *name);
void trust_each_other (NodePair *self);

/* The same where it has to work: alpha dials after both were told to trust each other. */
HyphaNodePeer *join (NodePair *self, const char *endpoint);
HyphaStream *must_open (HyphaNodePeer *peer, const char *service);

/* ---- a program behind a service of beta ---- */

/* Where it listens: in the directory of the pair. */
char *target_path (NodePair *self);
void offer (NodePair *self, const char *service, const char *target);
void offer_path (NodePair *self, const char *service, const char *path);
/* It listens there, is offered, and accepts once; program_accepted() waits for that. */
GSocketListener *program_new (NodePair *self, const char *service, GAsyncResult **result);
GSocketConnection *program_accepted (GSocketListener *program, GAsyncResult **result);

/* ---- what is there ---- */

char *unix_endpoint (NodePair *self); /* of b.sock */
char *id_of (Side *side);
HyphaNodePeer *peer_of (Side *side, const char *name);
guint n_links (Side *side);
gsize n_streams (HyphaNodePeer *peer);
