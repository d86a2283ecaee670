/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-peer.h"

G_BEGIN_DECLS

/**
 * HyphaNodeClass:
 *
 * The class of [class@Hypha.Node], from which nothing derives.
 */
#define HYPHA_TYPE_NODE (hypha_node_get_type ())
HYPHA_EXTERN
G_DECLARE_FINAL_TYPE (HyphaNode, hypha_node, HYPHA, NODE, GObject)

/* A node in this process: without a daemon, a bus or settings. */
HYPHA_EXTERN
HyphaNode *hypha_node_new_for_file (const char *path, GError **error);
HYPHA_EXTERN
HyphaNode *hypha_node_new_ephemeral (GError **error);
/* Says good-bye on every link and ends everything; before the last reference goes. */
HYPHA_EXTERN
void hypha_node_stop (HyphaNode *self);

/* The same as of HyphaClient, as far as both have it. */
HYPHA_EXTERN
char *hypha_node_dup_id (HyphaNode *self);
HYPHA_EXTERN
char *hypha_node_dup_name (HyphaNode *self);
HYPHA_EXTERN
char **hypha_node_dup_listening (HyphaNode *self);
HYPHA_EXTERN
GListModel *hypha_node_get_peers (HyphaNode *self); /* HyphaPeer, pending ones too */
/* By name, id, or a unique beginning of an id: NO_SUCH_PEER, AMBIGUOUS_PEER. */
HYPHA_EXTERN
HyphaPeer *hypha_node_lookup_peer (HyphaNode *self, const char *text, GError **error);

/* Each is checked whole; when one is wrong the error names it and nothing changes. */
HYPHA_EXTERN
gboolean hypha_node_set_name (HyphaNode *self, const char *name, GError **error);
HYPHA_EXTERN
gboolean hypha_node_set_listen (HyphaNode *self, const char *const *endpoints, GError **error);
HYPHA_EXTERN
gboolean hypha_node_set_peers (HyphaNode *self, const char *const *endpoints, GError **error);
HYPHA_EXTERN
gboolean hypha_node_trust (HyphaNode *self, const char *id, const char *name, GError **error);
HYPHA_EXTERN
gboolean hypha_node_forget (HyphaNode *self, const char *id, GError **error);

/* For how long workers stay awake after each message, in us, at most 100; 0: not at all. */
HYPHA_EXTERN
void hypha_node_set_spin (HyphaNode *self, guint spin);

/* OPTIONS (a{sv}, nullable): timeout u (ms), expect-id s. The peer, when the link is up. */
HYPHA_EXTERN
void hypha_node_connect_async (HyphaNode *self, const char *endpoint, GVariant *options,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data);
HYPHA_EXTERN
HyphaPeer *hypha_node_connect_finish (HyphaNode *self, GAsyncResult *result, GError **error);
/* OPTIONS (a{sv}, nullable): none so far. Gives the endpoint that is bound. */
HYPHA_EXTERN
void hypha_node_listen_async (HyphaNode *self, const char *endpoint, GVariant *options,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer user_data);
HYPHA_EXTERN
char *hypha_node_listen_finish (HyphaNode *self, GAsyncResult *result, GError **error);
HYPHA_EXTERN
gboolean hypha_node_unlisten (HyphaNode *self, const char *endpoint, GError **error);
/* Opens a window for SECONDS (at most 120; 0 closes it): the first stranger who shakes hands with
 * one open yields digits: pairing-code. */
HYPHA_EXTERN
gboolean hypha_node_pair (HyphaNode *self, guint seconds, GError **error);
HYPHA_EXTERN
gboolean hypha_node_confirm_pairing (HyphaNode *self, const char *id, gboolean same,
                                     GError **error);

G_END_DECLS
