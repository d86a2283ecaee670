/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-client.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quic-datagram.h"
#include "quic-routes.h"

/* Of one wake-up: sockets are served by turns. */
#define BATCHES_AT_ONCE 4
/* Routes change one after the other; and those who cannot send ask again. */
#define SETTLE (30 * NGTCP2_MILLISECONDS)
#define ASK_AGAIN (250 * NGTCP2_MILLISECONDS)

/* A socket with the connection that goes out by it. */
typedef struct {
  _Atomic guint ref_count;
  HyphaLoop *loop;
  HyphaEndpoint *remote;
  char *display;

  /* On the thread that asked. */
  GTask *attempt; /* NULL: it has returned */
  GCancellable *cancellable;
  gulong cancelled;

  /* From one thread to the other, once: either. */
  HyphaChannel *channel;
  GError *error;

  /* The loop's alone. */
  gboolean told;
  QuicPath path;
  HyphaLoopWatch watch;
  gboolean segmented;
  gboolean dead;              /* somebody has ended the socket: nothing moves by it any more */
  QuicConnection *connection; /* NULL: over */
  QuicRoutesClient routes;
  HyphaLoopTimer look; /* whether packets leave from elsewhere now */
} QuicClient;

/* Orders what the two threads do for ThreadSanitizer's eyes, too: it sees nothing of the main
 * context that orders it already. */
static pthread_mutex_t handing_over = PTHREAD_MUTEX_INITIALIZER;

static QuicClient *
quic_client_ref (QuicClient *self)
{
  atomic_fetch_add (&self->ref_count, 1);
  return self;
}

static void
quic_client_unref (gpointer client)
{
  QuicClient *self = client;

  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  if (self->watch.fd >= 0)
    close (self->watch.fd);
  g_clear_pointer (&self->remote, hypha_endpoint_unref);
  g_clear_object (&self->channel);
  g_clear_error (&self->error);
  g_free (self->display);
  if (self->loop != NULL)
    hypha_loop_release (self->loop);
  g_free (self);
}

/* ---- what comes of it ---- */

/* On the thread that asked. */
static gboolean
on_told (gpointer client)
{
  QuicClient *self = client;
  g_autoptr (GTask) attempt = NULL;
  HyphaChannel *channel;
  GError *error;

  pthread_mutex_lock (&handing_over);
  attempt = g_steal_pointer (&self->attempt);
  channel = g_steal_pointer (&self->channel);
  error = g_steal_pointer (&self->error);
  pthread_mutex_unlock (&handing_over);
  g_cancellable_disconnect (self->cancellable, self->cancelled);
  g_clear_object (&self->cancellable);
  if (channel != NULL)
    g_task_return_pointer (attempt, channel, g_object_unref);
  else
    g_task_return_error (attempt, error);
  return G_SOURCE_REMOVE;
}

/* Takes CHANNEL. */
static void
tell (QuicClient *self, HyphaChannel *channel, const GError *error)
{
  g_autoptr (GSource) source = NULL;

  if (self->told) {
    g_clear_object (&channel);
    return;
  }
  self->told = TRUE;
  source = g_idle_source_new ();
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_told, quic_client_ref (self), quic_client_unref);
  pthread_mutex_lock (&handing_over);
  self->channel = channel;
  if (error != NULL)
    self->error = g_error_new (error->domain, error->code, _ ("cannot connect to %s: %s"),
                               self->display, error->message);
  g_source_attach (source, g_task_get_context (self->attempt));
  pthread_mutex_unlock (&handing_over);
}

/* ---- the socket ---- */

/* -1: errno. */
static int
open_socket (const QuicAddress *remote, QuicAddress *local)
{
  int family = remote->generic.sa_family;
  int fd = socket (family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  int reason;

  if (fd < 0)
    return -1;
  reason = quic_datagram_prepare (fd, family);
  if (reason == 0 && connect (fd, &remote->generic, quic_address_get_length (remote)) < 0)
    reason = errno;
  if (reason == 0 && (getsockname (fd, (struct sockaddr *) &name, &length) < 0 ||
                      !quic_address_set (local, (const struct sockaddr *) &name, length)))
    reason = errno;
  if (reason == 0)
    return fd;
  close (fd);
  errno = reason;
  return -1;
}

static void
look_within (QuicClient *self, guint64 delay)
{
  if (self->look.place == 0)
    hypha_loop_set_timer (self->loop, &self->look, hypha_loop_now () + delay);
}

/* Whoever may do so has shut it, or had the kernel abort it (`ss -K`): there has to be another. */
static void
bury (QuicClient *self)
{
  self->dead = TRUE;
  hypha_loop_unwatch (self->loop, &self->watch);
  look_within (self, 0);
}

static void
receive (QuicClient *self)
{
  QuicBurst bursts[QUIC_BATCH];
  int n = quic_datagram_receive (self->watch.fd, self->loop, &self->path.local, TRUE, bursts);
  guint64 now = hypha_loop_now ();

  if (n < 0 && errno == ECONNABORTED)
    bury (self);
  else if (n < 0 && errno != EAGAIN)
    quic_connection_refuse (self->connection, errno);
  for (int i = 0; i < n; i++)
    for (gsize at = 0; at < bursts[i].size; at += bursts[i].segment)
      quic_connection_receive (self->connection, &bursts[i].path, bursts[i].data + at,
                               MIN (bursts[i].segment, bursts[i].size - at), now);
}

static void
ready (gpointer client, guint32 events)
{
  QuicClient *self = client;

  if ((events & EPOLLHUP) != 0) {
    bury (self);
    return;
  }
  if ((events & EPOLLOUT) != 0) {
    hypha_loop_watch (self->loop, &self->watch, EPOLLIN);
    quic_connection_unblock (self->connection);
  }
  if ((events & (EPOLLIN | EPOLLERR)) == 0)
    return;
  receive (self);
}

static gboolean
start_watching (QuicClient *self, int fd)
{
  self->watch = (HyphaLoopWatch){ .fd = fd, .ready = ready, .owner = self };
  self->segmented = quic_datagram_can_segment (fd);
  return hypha_loop_watch (self->loop, &self->watch, EPOLLIN);
}

/* ---- moving ---- */

/* The kernel knows from where packets leave now. */
static void
look (gpointer client, guint64 now)
{
  QuicClient *self = client;
  QuicAddress local;
  int fd = open_socket (&self->path.remote, &local);

  /* No way at all: when there is one, that will be told. But nobody tells of a descriptor. */
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
      look_within (self, ASK_AGAIN);
    return;
  }
  if (!self->dead && quic_address_same_host (&local, &self->path.local)) {
    close (fd);
    return;
  }
  hypha_loop_unwatch (self->loop, &self->watch);
  close (self->watch.fd);
  self->path.local = local;
  self->dead = FALSE;
  if (!start_watching (self, fd))
    g_warning ("the kernel does not watch a socket of QUIC");
  quic_connection_move (self->connection, &self->path);
}

static void
on_routes_changed (gpointer client)
{
  look_within (client, SETTLE);
}

/* ---- what the connection wants ---- */

static gsize
on_send (gpointer client, const QuicPath *path, const guint8 *data, gsize size, gsize segment,
         int *reason)
{
  QuicClient *self = client;
  gsize done =
      quic_datagram_send (self->watch.fd, NULL, data, size, segment, &self->segmented, reason);

  switch (*reason) {
  case 0:
    break;
  case EAGAIN:
    hypha_loop_watch (self->loop, &self->watch, EPOLLIN | EPOLLOUT);
    break;
  case ECONNREFUSED:
    quic_connection_refuse (self->connection, *reason);
    break;
  case EPIPE:
  case EDESTADDRREQ:
    bury (self);
    break;
  case EINVAL:
  case EADDRNOTAVAIL:
  case ENETUNREACH:
  case EHOSTUNREACH:
  case ENETDOWN:
  case ENODEV:
    look_within (self, ASK_AGAIN);
    break;
  default:
    g_debug ("quic: sending: %s", g_strerror (*reason));
    break;
  }
  return done;
}

static void
on_id (gpointer client, QuicConnection *connection, const ngtcp2_cid *id)
{
}

static void
on_opened (gpointer client, QuicConnection *connection, HyphaChannel *channel)
{
  QuicClient *self = client;

  tell (self, channel, NULL);
  quic_routes_join (self->loop, &self->routes);
}

static void
on_failed (gpointer client, QuicConnection *connection, const GError *error)
{
  tell (client, NULL, error);
}

static void
on_ended (gpointer client, QuicConnection *connection)
{
  QuicClient *self = client;

  quic_routes_leave (self->loop, &self->routes);
  hypha_loop_set_timer (self->loop, &self->look, HYPHA_LOOP_NEVER);
  hypha_loop_unwatch (self->loop, &self->watch);
  close (self->watch.fd);
  self->watch.fd = -1;
  self->connection = NULL;
  hypha_loop_call (self->loop, quic_connection_free, connection);
  hypha_loop_call (self->loop, quic_client_unref, self);
}

static const QuicConnectionEvents events = {
  .send = on_send,
  .add_id = on_id,
  .remove_id = on_id,
  .opened = on_opened,
  .failed = on_failed,
  .ended = on_ended,
};

/* ---- its beginning, and a sudden end ---- */

static void
begin (gpointer client)
{
  QuicClient *self = client;
  g_autoptr (GError) error = NULL;

  self->connection =
      quic_connection_connect (self->loop, &self->path, self->remote, &events, self, &error);
  if (self->connection != NULL && start_watching (self, self->watch.fd))
    return;
  if (self->connection == NULL) {
    tell (self, NULL, error);
    quic_client_unref (self);
    return;
  }
  quic_connection_abort (self->connection, NGTCP2_INTERNAL_ERROR);
}

static void
give_up (gpointer client)
{
  QuicClient *self = client;

  if (self->connection != NULL && !self->told)
    quic_connection_abort (self->connection, NGTCP2_NO_ERROR);
  quic_client_unref (self);
}

static void
on_cancelled (GCancellable *cancellable, gpointer client)
{
  QuicClient *self = client;

  hypha_loop_call (self->loop, give_up, quic_client_ref (self));
}

static QuicClient *
quic_client_new (const HyphaInetSockaddr *address, HyphaEndpoint *remote, const char *display,
                 GError **error)
{
  QuicClient *self = g_new0 (QuicClient, 1);

  atomic_init (&self->ref_count, 1);
  self->remote = hypha_endpoint_ref (remote);
  self->display = g_strdup (display);
  self->look = (HyphaLoopTimer){ .fire = look, .owner = self };
  self->routes = (QuicRoutesClient){ on_routes_changed, self };
  self->watch.fd = -1;
  errno = EAFNOSUPPORT;
  if (quic_address_set (&self->path.remote, (const struct sockaddr *) &address->storage,
                        address->length))
    self->watch.fd = open_socket (&self->path.remote, &self->path.local);
  if (self->watch.fd < 0)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("cannot connect to %s: %s"), display,
                 g_strerror (errno));
  else
    self->loop = quic_state_acquire_loop (error);
  if (self->loop == NULL)
    g_clear_pointer (&self, quic_client_unref);
  return self;
}

void
quic_client_connect (GTask *attempt, const HyphaInetSockaddr *address, HyphaEndpoint *remote,
                     const char *display, GCancellable *cancellable)
{
  g_autoptr (GTask) owned = attempt;
  GError *error = NULL;
  QuicClient *self = quic_client_new (address, remote, display, &error);

  if (self == NULL) {
    g_task_return_error (owned, error);
    return;
  }
  self->attempt = g_steal_pointer (&owned);
  self->cancellable = g_object_ref (cancellable);
  hypha_loop_call (self->loop, begin, quic_client_ref (self));
  self->cancelled = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled),
                                           quic_client_ref (self), quic_client_unref);
  quic_client_unref (self);
}
