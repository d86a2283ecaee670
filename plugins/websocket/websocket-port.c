/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-port.h"

#include <glib-unix.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "websocket-http.h"
#include "websocket-socket.h"
#include "websocket-tls.h"

#define BATCH 16
#define MAX_GUESTS 512       /* whose request is not done */
#define MAX_GUESTS_OF_ONE 16 /* from one address */
#define FIRST_BYTE_MS 5000
#define CROWDED_FIRST_BYTE_MS 1000 /* where there are many */
#define GUEST_MS 10000             /* from then on: for TLS, the request and the answer */
#define REST_MS 100                /* when there are no descriptors left */

struct _WebsocketPort {
  guint ref_count; /* on the loop: of the listener, guests and flows */
  HyphaLoop *loop;
  int fd; /* -1: closed */
  char *display, *path;
  gboolean secure;
  GTlsCertificate *certificate;
  char **origins;
  guint max_connections, connections;
  guint ping_ms;
  WebsocketKnockFunc knock;
  gpointer data;
  GDestroyNotify destroy;
  GQueue guests; /* of Guest, in the order in which they came */
  GSource *accepting, *resting;
};

/* One whose request is not done. */
typedef struct {
  WebsocketPort *port;
  GList link; /* in the queue of guests */
  struct sockaddr_storage remote, local;
  GSocketConnection *connection;
  GIOStream *stream; /* the connection, or TLS upon it */
  GCancellable *cancellable;
  GSource *waiting; /* for the first byte */
  GSource *deadline;
  GByteArray *bytes; /* the request, and what came behind it */
  gsize size;
  char *answer;
  gboolean good, hypha;
  gboolean counted; /* among the connections, which it is about to be */
} Guest;

static void set_accepting (WebsocketPort *self);

static void
port_unref (gpointer port)
{
  WebsocketPort *self = port;

  if (--self->ref_count > 0)
    return;
  g_clear_object (&self->certificate);
  g_strfreev (self->origins);
  g_free (self->display);
  g_free (self->path);
  hypha_loop_release (self->loop);
  g_free (self);
}

/* ---- guests ---- */

static void
guest_free (Guest *self)
{
  WebsocketPort *port = self->port;

  g_queue_unlink (&port->guests, &self->link);
  websocket_clear_source (&self->waiting);
  websocket_clear_source (&self->deadline);
  g_clear_object (&self->stream);
  g_clear_object (&self->connection);
  g_object_unref (self->cancellable);
  g_clear_pointer (&self->bytes, g_byte_array_unref);
  g_free (self->answer);
  port->connections -= self->counted ? 1 : 0;
  g_free (self);
  set_accepting (port);
  port_unref (port);
}

/* Why is nobody's business: whoever comes is told, as far as he can be, and is nobody yet. */
static void
turn_away (Guest *self, GError *reason)
{
  g_autoptr (GError) owned = reason;

  g_debug ("%s: %s", self->port->display, owned != NULL ? owned->message : "refused");
  g_socket_close (g_socket_connection_get_socket (self->connection), NULL);
  guest_free (self);
}

static void
on_flow_over (gpointer data)
{
  WebsocketPort *port = data;

  port->connections--;
  port_unref (port);
}

static void
let_in (Guest *self)
{
  WebsocketPort *port = self->port;
  g_autofree char *host = hypha_inet_sockaddr_to_host ((const struct sockaddr *) &self->remote);
  WebsocketTerms terms = { .hypha = self->hypha, .ping_ms = port->ping_ms, .name = host };
  GError *error = NULL;
  WebsocketFlow *flow;
  int fd = -1;

  /* From here on it is the flow that counts. */
  self->counted = FALSE;
  port->ref_count++;
  flow = websocket_socket_join (port->loop, self->connection, self->stream, &terms,
                                self->bytes->data + self->size, self->bytes->len - self->size,
                                on_flow_over, port, &fd, &error);
  if (flow == NULL) {
    on_flow_over (port);
    turn_away (self, error);
    return;
  }
  port->knock (fd, flow, (const struct sockaddr *) &self->remote,
               (const struct sockaddr *) &self->local, port->data);
  guest_free (self);
}

static void
on_answered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Guest *self = user_data;
  GError *error = NULL;

  if (!g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, &error) ||
      !self->good || self->port->fd < 0)
    turn_away (self, error);
  else
    let_in (self);
}

static void
on_request (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Guest *self = user_data;
  WebsocketPort *port = self->port;
  GError *error = NULL;

  self->bytes = websocket_http_read_finish (result, &self->size, &error);
  if (self->bytes == NULL) {
    turn_away (self, error);
    return;
  }
  self->answer =
      websocket_http_answer ((const char *) self->bytes->data, self->size, port->path,
                             (const char *const *) port->origins, &self->good, &self->hypha);
  if (self->good && port->connections >= port->max_connections) {
    g_free (self->answer);
    self->answer = websocket_http_answer_full ();
    self->good = FALSE;
  }
  self->counted = self->good;
  port->connections += self->counted ? 1 : 0;
  g_output_stream_write_all_async (g_io_stream_get_output_stream (self->stream), self->answer,
                                   strlen (self->answer), G_PRIORITY_DEFAULT, self->cancellable,
                                   on_answered, self);
}

static void
on_shaken (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Guest *self = user_data;
  GError *error = NULL;

  if (websocket_tls_handshake_finish (result, &error))
    websocket_http_read_async (self->stream, self->cancellable, on_request, self);
  else
    turn_away (self, error);
}

static gboolean
on_guest_overdue (gpointer data)
{
  Guest *self = data;

  /* Whatever it waits for calls back with an error. */
  g_cancellable_cancel (self->cancellable);
  return G_SOURCE_REMOVE;
}

static void
shake (Guest *self)
{
  static const char *const protocols[] = { "http/1.1", NULL };
  GError *error = NULL;

  self->stream = websocket_tls_new_server (self->connection, self->port->certificate, &error);
  if (self->stream == NULL) {
    turn_away (self, error);
    return;
  }
  g_tls_connection_set_advertised_protocols (G_TLS_CONNECTION (self->stream), protocols);
  g_tls_connection_set_require_close_notify (G_TLS_CONNECTION (self->stream), FALSE);
  websocket_tls_handshake_async (self->port->loop, G_TLS_CONNECTION (self->stream),
                                 self->cancellable, on_shaken, self);
}

/* Whoever says nothing at all takes up no thread. */
static gboolean
on_first_byte (GSocket *socket, GIOCondition condition, gpointer data)
{
  Guest *self = data;

  websocket_clear_source (&self->waiting);
  websocket_clear_source (&self->deadline);
  self->deadline = websocket_add_timeout (GUEST_MS, on_guest_overdue, self);
  if (g_cancellable_is_cancelled (self->cancellable))
    turn_away (self, NULL);
  else if (self->port->secure)
    shake (self);
  else {
    self->stream = G_IO_STREAM (g_object_ref (self->connection));
    websocket_http_read_async (self->stream, self->cancellable, on_request, self);
  }
  return G_SOURCE_REMOVE;
}

/* ---- the socket ---- */

/* This machine stands for everybody behind a reverse proxy on it. */
static gboolean
is_loopback (const struct sockaddr *address)
{
  const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) (const void *) address;
  const struct sockaddr_in *in = (const struct sockaddr_in *) (const void *) address;

  if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED (&in6->sin6_addr))
    return in6->sin6_addr.s6_addr[12] == 127;
  return address->sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK (&in6->sin6_addr)
                                        : (g_ntohl (in->sin_addr.s_addr) >> 24) == 127;
}

/* An IPv4 address, or an IPv6 network of 64 bits, which is as cheap to have. */
static gboolean
same_source (const struct sockaddr *a, const struct sockaddr *b)
{
  const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *) (const void *) a;
  const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *) (const void *) b;
  gboolean mapped = a->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED (&a6->sin6_addr);

  if (a->sa_family != b->sa_family)
    return FALSE;
  if (a->sa_family == AF_INET6)
    return memcmp (&a6->sin6_addr, &b6->sin6_addr, mapped ? 16 : 8) == 0;
  return ((const struct sockaddr_in *) (const void *) a)->sin_addr.s_addr ==
         ((const struct sockaddr_in *) (const void *) b)->sin_addr.s_addr;
}

static gboolean
has_enough (WebsocketPort *self, const struct sockaddr *remote)
{
  guint n = 0;

  if (is_loopback (remote))
    return FALSE;
  for (GList *l = self->guests.head; l != NULL; l = l->next)
    n += same_source ((const struct sockaddr *) &((Guest *) l->data)->remote, remote) ? 1 : 0;
  return n >= MAX_GUESTS_OF_ONE;
}

/* Takes FD. */
static void
welcome (WebsocketPort *self, int fd, const struct sockaddr_storage *remote)
{
  g_autoptr (GSocket) socket = NULL;
  socklen_t length = sizeof (struct sockaddr_storage);
  Guest *guest;

  if (has_enough (self, (const struct sockaddr *) remote)) {
    close (fd);
    return;
  }
  socket = g_socket_new_from_fd (fd, NULL);
  if (socket == NULL) {
    close (fd);
    return;
  }
  guest = g_new0 (Guest, 1);
  guest->port = self;
  self->ref_count++;
  guest->link.data = guest;
  guest->remote = *remote;
  if (getsockname (fd, (struct sockaddr *) &guest->local, &length) < 0)
    guest->local.ss_family = AF_UNSPEC;
  websocket_socket_tune (socket);
  guest->connection = g_socket_connection_factory_create_connection (socket);
  guest->cancellable = g_cancellable_new ();
  g_queue_push_tail_link (&self->guests, &guest->link);
  guest->deadline = websocket_add_timeout (
      self->guests.length > MAX_GUESTS / 2 ? CROWDED_FIRST_BYTE_MS : FIRST_BYTE_MS,
      on_guest_overdue, guest);
  guest->waiting = websocket_attach (g_socket_create_source (socket, G_IO_IN, guest->cancellable),
                                     G_SOURCE_FUNC (on_first_byte), guest);
}

static gboolean
on_rested (gpointer data)
{
  WebsocketPort *self = data;

  websocket_clear_source (&self->resting);
  set_accepting (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_connection (gint fd, GIOCondition condition, gpointer data)
{
  WebsocketPort *self = data;

  for (guint i = 0; i < BATCH && self->guests.length < MAX_GUESTS; i++) {
    struct sockaddr_storage remote = { .ss_family = AF_UNSPEC };
    socklen_t length = sizeof remote;
    int accepted =
        accept4 (self->fd, (struct sockaddr *) &remote, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (accepted >= 0)
      welcome (self, accepted, &remote);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM ||
             errno == EINVAL) {
      /* The last is a socket that was shut down, and is about to be closed. */
      self->resting = websocket_add_timeout (REST_MS, on_rested, self);
      break;
    } else
      break;
  }
  set_accepting (self);
  return G_SOURCE_CONTINUE;
}

/* Those for whom there is no place wait in the kernel. */
static void
set_accepting (WebsocketPort *self)
{
  gboolean wanted = self->fd >= 0 && self->resting == NULL && self->guests.length < MAX_GUESTS;

  if (!wanted)
    websocket_clear_source (&self->accepting);
  else if (self->accepting == NULL)
    self->accepting = websocket_attach (g_unix_fd_source_new (self->fd, G_IO_IN),
                                        G_SOURCE_FUNC (on_connection), self);
}

/* ---- life ---- */

static void
begin (gpointer data)
{
  set_accepting (data);
}

WebsocketPort *
websocket_port_new (int fd, const char *display, gboolean secure, const char *path,
                    const WebsocketHouse *house, WebsocketKnockFunc knock, gpointer data,
                    GDestroyNotify destroy, GError **error)
{
  HyphaLoop *loop = websocket_state_acquire_loop (error);
  WebsocketPort *self;

  if (loop == NULL) {
    close (fd);
    destroy (data);
    return NULL;
  }
  self = g_new0 (WebsocketPort, 1);
  self->ref_count = 1;
  self->loop = loop;
  self->fd = fd;
  self->display = g_strdup (display);
  self->secure = secure;
  self->path = g_strdup (path);
  self->certificate = house->certificate != NULL ? g_object_ref (house->certificate) : NULL;
  self->origins = g_strdupv ((char **) house->origins);
  self->max_connections = house->connections;
  self->ping_ms = house->ping_ms;
  self->knock = knock;
  self->data = data;
  self->destroy = destroy;
  g_queue_init (&self->guests);
  hypha_loop_call (loop, begin, self);
  return self;
}

static void
end (gpointer data)
{
  WebsocketPort *self = data;

  websocket_clear_source (&self->accepting);
  websocket_clear_source (&self->resting);
  close (g_steal_fd (&self->fd));
  for (GList *l = self->guests.head; l != NULL; l = l->next)
    g_cancellable_cancel (((Guest *) l->data)->cancellable);
  self->destroy (self->data);
  port_unref (self);
}

void
websocket_port_close (WebsocketPort *self)
{
  /* At once: the address is free when this returns. The descriptor is the loop's to close, for it
   * looks at it. */
  shutdown (self->fd, SHUT_RDWR);
  hypha_loop_call (self->loop, end, self);
}
