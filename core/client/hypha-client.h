/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-peer.h"

G_BEGIN_DECLS

/**
 * HyphaClientClass:
 *
 * The class of [class@Hypha.Client], from which nothing derives.
 */
#define HYPHA_TYPE_CLIENT (hypha_client_get_type ())
HYPHA_EXTERN
G_DECLARE_FINAL_TYPE (HyphaClient, hypha_client, HYPHA, CLIENT, GObject)

/* BUS: "system", "user", an address, or NULL, as hyphactl without options. */
HYPHA_EXTERN
HyphaClient *hypha_client_new (const char *bus, GCancellable *cancellable, GError **error);
HYPHA_EXTERN
void hypha_client_new_async (const char *bus, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
HyphaClient *hypha_client_new_finish (GAsyncResult *result, GError **error);

HYPHA_EXTERN
gboolean hypha_client_get_running (HyphaClient *self);
HYPHA_EXTERN
char *hypha_client_dup_id (HyphaClient *self);
HYPHA_EXTERN
char *hypha_client_dup_name (HyphaClient *self);
HYPHA_EXTERN
char **hypha_client_dup_listening (HyphaClient *self);
HYPHA_EXTERN
GListModel *hypha_client_get_peers (HyphaClient *self); /* HyphaPeer */
/* By name, id, or a unique beginning of an id: NO_SUCH_PEER, AMBIGUOUS_PEER. */
HYPHA_EXTERN
HyphaPeer *hypha_client_lookup_peer (HyphaClient *self, const char *text, GError **error);

/* What is like a method of HyphaNode has its name, and waits for the other process.
 * OPTIONS (a{sv}, nullable): timeout u (ms), expect-id s, persist b. */
HYPHA_EXTERN
void hypha_client_connect_async (HyphaClient *self, const char *endpoint, GVariant *options,
                                 GCancellable *cancellable, GAsyncReadyCallback callback,
                                 gpointer user_data);
HYPHA_EXTERN
HyphaPeer *hypha_client_connect_finish (HyphaClient *self, GAsyncResult *result, GError **error);
/* OPTIONS (a{sv}, nullable): persist b. Gives the endpoint that is bound. */
HYPHA_EXTERN
void hypha_client_listen_async (HyphaClient *self, const char *endpoint, GVariant *options,
                                GCancellable *cancellable, GAsyncReadyCallback callback,
                                gpointer user_data);
HYPHA_EXTERN
char *hypha_client_listen_finish (HyphaClient *self, GAsyncResult *result, GError **error);
HYPHA_EXTERN
void hypha_client_unlisten_async (HyphaClient *self, const char *endpoint,
                                  GCancellable *cancellable, GAsyncReadyCallback callback,
                                  gpointer user_data);
HYPHA_EXTERN
gboolean hypha_client_unlisten_finish (HyphaClient *self, GAsyncResult *result, GError **error);
HYPHA_EXTERN
void hypha_client_trust_async (HyphaClient *self, const char *id, const char *name,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data);
HYPHA_EXTERN
gboolean hypha_client_trust_finish (HyphaClient *self, GAsyncResult *result, GError **error);
HYPHA_EXTERN
void hypha_client_forget_async (HyphaClient *self, const char *id, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
gboolean hypha_client_forget_finish (HyphaClient *self, GAsyncResult *result, GError **error);
/* Opens a window for SECONDS (at most 120; 0 closes it): pairing-code tells what comes of it. */
HYPHA_EXTERN
void hypha_client_pair_async (HyphaClient *self, guint seconds, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
gboolean hypha_client_pair_finish (HyphaClient *self, GAsyncResult *result, GError **error);
HYPHA_EXTERN
void hypha_client_confirm_pairing_async (HyphaClient *self, const char *id, gboolean same,
                                         GCancellable *cancellable, GAsyncReadyCallback callback,
                                         gpointer user_data);
HYPHA_EXTERN
gboolean hypha_client_confirm_pairing_finish (HyphaClient *self, GAsyncResult *result,
                                              GError **error);

G_END_DECLS
