/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "websocket-state.h"

G_BEGIN_DECLS

/* On the loop. GIO makes handshakes on threads of a pool that the whole process shares, so that
 * many who are slow with theirs would hold up everybody: here a few are made at once, those of
 * strangers each within a deadline, and the rest wait for their turn. */
void websocket_tls_handshake_async (HyphaLoop *loop, GTlsConnection *connection,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
gboolean websocket_tls_handshake_finish (GAsyncResult *result, GError **error);

/* TLS upon a connection, each side. DATABASE (nullable: the system's) is what is trusted. The
 * functions of GIO read the system's certificates for every connection. */
GIOStream *websocket_tls_new_client (GSocketConnection *connection, GSocketConnectable *server,
                                     GTlsDatabase *database, GError **error);
GIOStream *websocket_tls_new_server (GSocketConnection *connection, GTlsCertificate *certificate,
                                     GError **error);
/* On the loop: the certificates of a file. Reading one takes its time, for GIO reads those of the
 * system as well, so it is read again only when it has changed. */
GTlsDatabase *websocket_tls_read_trusted (HyphaLoop *loop, const char *path, GError **error);

G_END_DECLS
