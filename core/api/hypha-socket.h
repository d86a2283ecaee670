/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For transports upon kernel sockets: the parts that all of them share. Only hypha-plugin.h
 * includes it. */

#include <gio/gunixsocketaddress.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "hypha-listener.h"

G_BEGIN_DECLS

/**
 * HyphaSocketAdopt:
 * @fd: a connected socket; taken, also on failure
 * @remote: the address of the other end, as accept(2) said
 * @length: the length of @remote in bytes
 * @user_data: what hypha_socket_listener_new() was given
 * @error: return location for an error
 *
 * Makes a channel of a connected socket.
 *
 * Returns: (transfer full): the channel, or %NULL with @error set
 */
typedef HyphaChannel *(*HyphaSocketAdopt) (int fd, const struct sockaddr *remote, socklen_t length,
                                           gpointer user_data, GError **error);

/* Non-blocking connect with a deadline. The message says what was connected to and why it failed;
 * code CONNECT or TIMED_OUT, or G_IO_ERROR_CANCELLED. Returns the descriptor. TIMEOUT_MS 0: none
 * but the kernel's. */
HYPHA_EXTERN
void hypha_socket_connect_async (const struct sockaddr *address, socklen_t length,
                                 const char *display, guint timeout_ms, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data);
/* The same with a socket that the caller has made, and perhaps bound; FD is taken. */
HYPHA_EXTERN
void hypha_socket_connect_fd_async (int fd, const struct sockaddr *address, socklen_t length,
                                    const char *display, guint timeout_ms,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
HYPHA_EXTERN
int hypha_socket_connect_finish (GAsyncResult *result, GError **error);

/* A listener upon the listening socket FD (owned). It accepts in batches, rests when descriptors
 * run out, and closes the socket with itself. CLOSED (nullable) runs once at the end, e.g. to
 * unlink a socket file. */
HYPHA_EXTERN
HyphaListener *hypha_socket_listener_new (int fd, HyphaEndpoint *bound, HyphaSocketAdopt adopt_func,
                                          gpointer user_data, GDestroyNotify closed);

/* A listener on a Unix socket: a stale file is replaced, and it takes its own away when it closes.
 */
HYPHA_EXTERN
void hypha_unix_listen_async (GUnixSocketAddress *address, HyphaEndpoint *bound, mode_t mode,
                              HyphaSocketAdopt adopt_func, gpointer user_data,
                              GDestroyNotify closed, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer callback_data);
HYPHA_EXTERN
HyphaListener *hypha_unix_listen_finish (GAsyncResult *result, GError **error);

/* For adopt: the address that the listening stream socket FD is bound to, whatever its family.
 * INVALID_ARGUMENT: FD is something else. */
HYPHA_EXTERN
gboolean hypha_socket_get_listening (int fd, struct sockaddr_storage *address, socklen_t *length,
                                     GError **error);

G_END_DECLS
