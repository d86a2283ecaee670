/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/client.h"

G_BEGIN_DECLS

/* A service of the node that this process serves: asked by org.hypha.ServiceHandler1. Main thread.
 */
typedef struct _HyphaClientService HyphaClientService;

/* STREAM is taken over by whoever keeps a reference. FALSE with an error: it is refused. */
typedef gboolean (*HyphaClientAccept) (HyphaPeer *peer, HyphaStream *stream, gpointer user_data,
                                       GError **error);

HyphaClientService *hypha_client_service_new (HyphaClient *client, const char *name,
                                              HyphaClientAccept accept, gpointer user_data,
                                              GError **error);
void hypha_client_service_free (HyphaClientService *self); /* streams that are open go on */
void hypha_client_service_register_async (HyphaClientService *self, GCancellable *cancellable,
                                          GAsyncReadyCallback callback, gpointer user_data);
gboolean hypha_client_service_register_finish (GAsyncResult *result, GError **error);
void hypha_client_service_unregister (HyphaClientService *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaClientService, hypha_client_service_free)

G_END_DECLS
