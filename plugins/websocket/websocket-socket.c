/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-socket.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* Enough to keep a fast path busy, little enough that a ping does not wait long behind it. */
#define NOTSENT_LOWAT (128 * 1024)

/* 0, or errno. */
static int
bind_and_listen (int fd, HyphaInetSockaddr *address, gboolean dual_stack)
{
  const struct sockaddr *generic = (const struct sockaddr *) &address->storage;
  const int on = 1, v6only = !dual_stack;

  /* What is left of earlier connections must not keep a restarted daemon from its port. */
  if (setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
    return errno;
  if (generic->sa_family == AF_INET6 &&
      setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) < 0)
    return errno;
  if (bind (fd, generic, address->length) < 0 || listen (fd, SOMAXCONN) < 0)
    return errno;
  address->length = sizeof address->storage;
  return getsockname (fd, (struct sockaddr *) &address->storage, &address->length) < 0 ? errno : 0;
}

int
websocket_socket_listen (const HyphaInetAddress *address, GInetAddress *numeric,
                         const char *display, HyphaInetSockaddr *bound, GError **error)
{
  gboolean any = g_inet_address_get_is_any (numeric);
  g_autoptr (GError) local = NULL;
  int fd, reason;

  if (!hypha_inet_address_to_sockaddr (address, numeric, bound, &local)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("cannot listen on %s: %s"),
                 display, local->message);
    return -1;
  }
  fd = socket (bound->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 && errno == EAFNOSUPPORT && any && bound->storage.ss_family == AF_INET6) {
    /* All addresses, on a machine that has IPv6 switched off. */
    g_autoptr (GInetAddress) any4 = g_inet_address_new_any (G_SOCKET_FAMILY_IPV4);

    return websocket_socket_listen (address, any4, display, bound, error);
  }
  reason = fd < 0 ? errno : bind_and_listen (fd, bound, any);
  if (reason == 0)
    return fd;
  hypha_inet_set_bind_error (display, NULL, reason, error);
  if (fd >= 0)
    close (fd);
  return -1;
}

void
websocket_socket_tune (GSocket *socket)
{
  /* What fails here costs speed, never a byte. */
  g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT, NULL);
}

WebsocketFlow *
websocket_socket_join (WebsocketLoop *loop, GSocketConnection *connection, GIOStream *stream,
                       const WebsocketTerms *terms, guint8 *early, gsize size,
                       WebsocketLoopFunc over, gpointer data, int *fd, GError **error)
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
