/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quic-connection.h"
#include "quic.h"
#include "test-transport.h"

/* What happens to packets on the way: somebody in between passes them on, and is not to be relied
 * upon. */

#define CONNECT_MS 10000
#define PATIENCE_MS 20000
#define TOTAL (1024 * 1024)

typedef struct {
  pthread_t thread;
  struct sockaddr_in server;
  int front, back;
  guint16 port;
  _Atomic gboolean over;
  _Atomic gboolean forget; /* from where packets went to the server, as NATs do */
  _Atomic gboolean silent; /* nothing passes */
  _Atomic guint spoil;     /* every so manyth goes twice, and once with a bit that is another */
  _Atomic guint passed;
  _Atomic guint lose; /* every so manyth is lost */
} Way;

static int
open_socket (void)
{
  const struct sockaddr_in loopback = { .sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (const struct sockaddr *) &loopback, sizeof loopback), ==, 0);
  return fd;
}

static void
pass (Way *self, guint number, int fd, guint8 *packet, gsize size, const struct sockaddr_in *to)
{
  guint spoil = atomic_load (&self->spoil), lose = atomic_load (&self->lose);

  if (atomic_load (&self->silent) || (lose > 0 && number % lose == 0))
    return;
  atomic_fetch_add (&self->passed, 1);
  sendto (fd, packet, size, 0, (const struct sockaddr *) to, sizeof *to);
  if (spoil == 0 || number % spoil != 0)
    return;
  sendto (fd, packet, size, 0, (const struct sockaddr *) to, sizeof *to);
  packet[number % size] ^= 0x10;
  sendto (fd, packet, size, 0, (const struct sockaddr *) to, sizeof *to);
}

static void *
run (void *data)
{
  Way *self = data;
  struct sockaddr_in client = { 0 };
  guint8 packet[2048];
  guint number = 0;

  while (!atomic_load (&self->over)) {
    struct pollfd fds[] = { { self->front, POLLIN, 0 }, { self->back, POLLIN, 0 } };
    socklen_t length = sizeof client;
    gssize n;

    if (atomic_exchange (&self->forget, FALSE)) {
      close (self->back);
      self->back = open_socket ();
      continue;
    }
    if (poll (fds, 2, 10) <= 0)
      continue;
    if ((fds[0].revents & POLLIN) != 0) {
      n = recvfrom (self->front, packet, sizeof packet, 0, (struct sockaddr *) &client, &length);
      if (n > 0)
        pass (self, ++number, self->back, packet, (gsize) n, &self->server);
    }
    if ((fds[1].revents & POLLIN) != 0) {
      n = recv (self->back, packet, sizeof packet, 0);
      if (n > 0)
        pass (self, ++number, self->front, packet, (gsize) n, &client);
    }
  }
  return NULL;
}

static void
way_open (Way *self, guint16 server)
{
  struct sockaddr_in bound;
  socklen_t length = sizeof bound;

  self->server = (struct sockaddr_in){ .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
                                       .sin_port = htons (server) };
  self->front = open_socket ();
  self->back = open_socket ();
  g_assert_cmpint (getsockname (self->front, (struct sockaddr *) &bound, &length), ==, 0);
  self->port = ntohs (bound.sin_port);
  g_assert_cmpint (pthread_create (&self->thread, NULL, run, self), ==, 0);
}

static void
way_close (Way *self)
{
  atomic_store (&self->over, TRUE);
  pthread_join (self->thread, NULL);
  close (self->front);
  close (self->back);
}

/* ---- both ends, and the way in between ---- */

typedef struct {
  HyphaTransport *transport;
  HyphaListener *listener;
  HyphaChannel *ends[2];
  Way way;
} Fixture;

static HyphaEndpoint *
parse (Fixture *f, guint port)
{
  g_autofree char *uri = g_strdup_printf ("quic://127.0.0.1:%u", port);

  return transport_parse (f->transport, uri);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_set_object ((HyphaChannel **) user_data, channel);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *host = NULL;
  guint32 port;

  f->transport = hypha_plugin_quic.create (NULL);
  {
    g_autoptr (HyphaEndpoint) any = parse (f, 0);

    f->listener = transport_listen (f->transport, any, NULL);
  }
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), &f->ends[1]);
  hypha_endpoint_split_host_port (hypha_listener_get_bound (f->listener), G_MAXUINT16, &host, &port,
                                  NULL);
  way_open (&f->way, (guint16) port);
}

static void
join (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, f->way.port);
  g_autoptr (GError) error = NULL;

  f->ends[0] = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_no_error (error);
  while (f->ends[1] == NULL)
    g_main_context_iteration (NULL, TRUE);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  quic_connection_set_idle (0);
  g_clear_object (&f->ends[0]);
  g_clear_object (&f->ends[1]);
  hypha_listener_close (f->listener);
  g_clear_object (&f->listener);
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
  way_close (&f->way);
}

static guint8
get_byte (gsize at)
{
  return (guint8) (at * 31 + at / 255);
}

/* SIZE bytes from one end to the other. */
static void
carry (HyphaChannel *from, HyphaChannel *to, gsize size)
{
  guint8 piece[32 * 1024];
  gsize sent = 0, got = 0;

  while (got < size) {
    struct pollfd fds[] = { { hypha_channel_get_fd (from), sent < size ? POLLOUT : 0, 0 },
                            { hypha_channel_get_fd (to), POLLIN, 0 } };
    gssize n;

    g_assert_cmpint (poll (fds, 2, PATIENCE_MS), >, 0);
    if ((fds[0].revents & POLLOUT) != 0) {
      gsize length = MIN (sizeof piece, size - sent);

      for (gsize i = 0; i < length; i++)
        piece[i] = get_byte (sent + i);
      n = send (fds[0].fd, piece, length, MSG_NOSIGNAL);
      g_assert_cmpint (n, >, 0);
      sent += (gsize) n;
    }
    if ((fds[1].revents & (POLLIN | POLLHUP)) != 0) {
      n = recv (fds[1].fd, piece, sizeof piece, 0);
      g_assert_cmpint (n, >, 0);
      for (gssize i = 0; i < n; i++)
        g_assert_cmpuint (piece[i], ==, get_byte (got + (gsize) i));
      got += (gsize) n;
    }
  }
}

static void
test_nat (Fixture *f, gconstpointer data)
{
  join (f);
  carry (f->ends[0], f->ends[1], 1000);
  for (guint i = 0; i < 3; i++) {
    atomic_store (&f->way.forget, TRUE);
    while (atomic_load (&f->way.forget))
      g_usleep (1000);
    /* Only who is behind it can be heard until he has said something. */
    carry (f->ends[0], f->ends[1], TOTAL);
    carry (f->ends[1], f->ends[0], TOTAL);
  }
}

static void
test_spoilt (Fixture *f, gconstpointer data)
{
  atomic_store (&f->way.spoil, 3);
  join (f);
  carry (f->ends[0], f->ends[1], TOTAL);
  carry (f->ends[1], f->ends[0], TOTAL);
}

static void
test_lossy (Fixture *f, gconstpointer data)
{
  join (f);
  atomic_store (&f->way.lose, 11);
  carry (f->ends[0], f->ends[1], TOTAL / 4);
  carry (f->ends[1], f->ends[0], TOTAL / 4);
}

/* Whoever closes while nobody hears him is gone all the same, soon. */
static void
test_silent (Fixture *f, gconstpointer data)
{
  char got;

  join (f);
  carry (f->ends[0], f->ends[1], 1000);
  atomic_store (&f->way.silent, TRUE);
  g_assert_cmpint (send (hypha_channel_get_fd (f->ends[0]), "?", 1, MSG_NOSIGNAL), ==, 1);
  g_assert_cmpint (shutdown (hypha_channel_get_fd (f->ends[0]), SHUT_WR), ==, 0);
  g_clear_object (&f->ends[0]);
  atomic_store (&f->way.silent, FALSE);
  /* The other end hears of it when the way is there again. */
  {
    struct pollfd fd = { hypha_channel_get_fd (f->ends[1]), POLLIN, 0 };

    g_assert_cmpint (poll (&fd, 1, PATIENCE_MS), >, 0);
    g_assert_cmpint (recv (fd.fd, &got, 1, 0), ==, 1);
    g_assert_cmpint (poll (&fd, 1, PATIENCE_MS), >, 0);
    g_assert_cmpint (recv (fd.fd, &got, 1, 0), <=, 0);
  }
}

static void
test_kept_alive (Fixture *f, gconstpointer data)
{
  struct pollfd fds[2];
  guint before;

  quic_connection_set_idle (600 * NGTCP2_MILLISECONDS);
  join (f);
  before = atomic_load (&f->way.passed);
  for (guint i = 0; i < 2; i++)
    fds[i] = (struct pollfd){ hypha_channel_get_fd (f->ends[i]), POLLIN, 0 };
  /* Three times as long as who is silent may be. */
  g_assert_cmpint (poll (fds, 2, 1800), ==, 0);
  g_assert_cmpuint (atomic_load (&f->way.passed), >, before + 4);
  carry (f->ends[1], f->ends[0], 1000);
}

static void
test_gone (Fixture *f, gconstpointer data)
{
  quic_connection_set_idle (300 * NGTCP2_MILLISECONDS);
  join (f);
  carry (f->ends[0], f->ends[1], 1000);
  atomic_store (&f->way.silent, TRUE);
  for (guint i = 0; i < 2; i++) {
    struct pollfd fd = { hypha_channel_get_fd (f->ends[i]), POLLIN, 0 };
    g_autoptr (GError) error = NULL;
    char got;

    g_assert_cmpint (poll (&fd, 1, PATIENCE_MS), >, 0);
    g_assert_cmpint (recv (fd.fd, &got, 1, 0), ==, 0);
    error = hypha_channel_dup_error (f->ends[i]);
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) \
  g_test_add ("/quic-way/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("a-nat-that-forgets-is-followed", test_nat);
  ADD ("what-comes-twice-or-spoilt-harms-nobody", test_spoilt);
  ADD ("what-is-lost-comes-again", test_lossy);
  ADD ("silence-is-broken-in-time", test_kept_alive);
  ADD ("who-is-silent-for-too-long-is-gone", test_gone);
  ADD ("an-end-is-heard-when-the-way-is-there-again", test_silent);
#undef ADD
  return g_test_run ();
}
