/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-listener.h"
#include "hypha-stream.h"

G_BEGIN_DECLS

/* Bare channels, in this process, by the plug-ins that it finds: for whatever is not Hypha at the
 * other end. */
HYPHA_EXTERN
void hypha_dial_async (const char *endpoint, guint timeout_ms, GCancellable *cancellable,
                       GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
HyphaStream *hypha_dial_finish (GAsyncResult *result, GError **error);
HYPHA_EXTERN
void hypha_listen_async (const char *endpoint, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
HyphaListener *hypha_listen_finish (GAsyncResult *result, GError **error);

G_END_DECLS
