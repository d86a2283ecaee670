/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hvsock-address.h"

G_BEGIN_DECLS

/* A connected socket of the machine at REMOTE, or of the VMM that speaks for it; FD is taken. */
HyphaChannel *hvsock_channel_new (int fd, HyphaEndpoint *local, HyphaEndpoint *remote);

/* Listens where the machine's VMM comes when its guest calls the port. ENDPOINT says the same as
 * ADDRESS, which is no pattern. Errors: those of hypha_unix_listen_finish(). */
void hvsock_listen_async (const HvsockAddress *address, HyphaEndpoint *endpoint,
                          GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data);
HyphaListener *hvsock_listen_finish (GAsyncResult *result, GError **error);

G_END_DECLS
