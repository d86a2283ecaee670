/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two heads of HTTP/1.1 that a WebSocket begins with. */

#include "websocket-address.h"

G_BEGIN_DECLS

#define WEBSOCKET_MAX_HEAD 16384

/* Reads up to the end of a head, and some bytes of what follows. More than WEBSOCKET_MAX_HEAD bytes
 * without an end is an error. */
void websocket_http_read_async (GIOStream *stream, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data);
/* SIZE is that of the head in what it returns; NULL also if the other end hung up. */
GByteArray *websocket_http_read_finish (GAsyncResult *result, gsize *size, GError **error);

/* A key of a request, to free; and what answers it. */
char *websocket_http_new_key (void);
char *websocket_http_accept_key (const char *key);

/* The request of a client; to free. */
char *websocket_http_make_request (const WebsocketAddress *address, const char *key);
/* Whether HEAD is the answer to KEY: HYPHA says whether the other end is a Hypha node. The error
 * says what the server said, and what to do. */
gboolean websocket_http_check_answer (const char *head, gsize size, const char *key,
                                      const char *display, gboolean *hypha, GError **error);

/* The answer to a request, to free. ORIGINS are the web pages that may come. GOOD: it is an
 * upgrade, and after it frames follow; HYPHA says whether with the subprotocol. */
char *websocket_http_answer (const char *head, gsize size, const char *path,
                             const char *const *origins, gboolean *good, gboolean *hypha);
/* The answer of a server that is full; to free. */
char *websocket_http_answer_full (void);

G_END_DECLS
