/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-socket.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* Enough to keep a fast path busy, little enough that a ping does not wait long behind it. */
#define NOTSENT_LOWAT (128 * 1024)

void
websocket_socket_tune (GSocket *socket)
{
  /* What fails here costs speed, never a byte. */
  g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT, NULL);
}

WebsocketFlow *
websocket_socket_join (HyphaLoop *loop, GSocketConnection *connection, GIOStream *stream,
                       const WebsocketTerms *terms, guint8 *early, gsize size, HyphaLoopFunc over,
                       gpointer data, int *fd, GError **error)
{
  int fds[2];

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("cannot make a channel to %s: %s"),
                 terms->name, g_strerror (errno));
    return NULL;
  }
  *fd = fds[0];
  return websocket_flow_new (loop, g_socket_connection_get_socket (connection), stream, fds[1],
                             terms, early, size, over, data);
}

HyphaChannel *
websocket_socket_make_channel (int fd, WebsocketFlow *flow, HyphaEndpoint *local,
                               HyphaEndpoint *remote, const char *host)
{
  HyphaChannel *channel = hypha_channel_new (fd, local, remote, HYPHA_CHANNEL_NONE);

  hypha_channel_set_host (channel, host);
  hypha_channel_set_dup_error (channel, websocket_flow_dup_error, websocket_flow_ref (flow),
                               websocket_flow_unref);
  return channel;
}
