/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loader/loader.h"

G_BEGIN_DECLS

/* What a connection may take where nobody says otherwise. */
#define HYPHA_DIAL_TIMEOUT_MS 10000

/* From a URI to a channel, or to a listener, by whichever transport of the loader is for it: it is
 * looked up, probed anew if it could not work here, and asked. TIMEOUT_MS 0: as above. */
void hypha_loader_dial_async (HyphaLoader *self, const char *uri, guint timeout_ms,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer user_data);
/* By what the channel of a link calls its remote end: nothing has to be parsed. */
void hypha_loader_dial_again_async (HyphaLoader *self, HyphaEndpoint *endpoint, guint timeout_ms,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
HyphaChannel *hypha_loader_dial_finish (HyphaLoader *self, GAsyncResult *result, GError **error);
/* The listener fails when its plug-in is taken away. */
void hypha_loader_listen_async (HyphaLoader *self, const char *uri, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data);
HyphaListener *hypha_loader_listen_finish (HyphaLoader *self, GAsyncResult *result, GError **error);

/* Of a transport of SELF that was asked by itself: it fails likewise. */
void hypha_loader_follow_listener (HyphaLoader *self, HyphaListener *listener);

/* For programs that have no loader of their own: one with the plug-in directories, made when it is
 * first asked for, for as long as the process lives. Not owned. */
HyphaLoader *hypha_loader_get_default (void);

G_END_DECLS
