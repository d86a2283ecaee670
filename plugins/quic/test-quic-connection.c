/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "quic-compat.h"
#include "quic-connection.h"
#include "quic-datagram.h"
#include "quic.h"
#include "test-transport.h"

/* What happens just while a connection looks whether it has packets to send, and what the kernel
 * tells it of its sockets: the linker leads its questions here. */

#define CONNECT_MS 10000
#define PATIENCE_MS 20000
/* Nobody says anything by himself as long as a test lasts. */
#define IDLE (1000 * NGTCP2_SECONDS)
#define ROUNDS 20

static _Atomic int speaker = -1; /* of the client's end: gets a byte when nothing has to go */

__typeof__ (ngtcp2_conn_writev_stream_versioned) __real_ngtcp2_conn_writev_stream_versioned,
    __wrap_ngtcp2_conn_writev_stream_versioned;

ngtcp2_ssize
__wrap_ngtcp2_conn_writev_stream_versioned (ngtcp2_conn *conn, ngtcp2_path *path, int version,
                                            ngtcp2_pkt_info *info, uint8_t *out, size_t size,
                                            ngtcp2_ssize *taken, uint32_t flags, int64_t stream,
                                            const ngtcp2_vec *vector, size_t count,
                                            ngtcp2_tstamp now)
{
  ngtcp2_ssize n = __real_ngtcp2_conn_writev_stream_versioned (
      conn, path, version, info, out, size, taken, flags, stream, vector, count, now);
  gboolean rests = n == 0 && !ngtcp2_conn_is_server (conn) &&
                   ngtcp2_conn_get_expiry (conn) > now + PATIENCE_MS * NGTCP2_MILLISECONDS;
  int fd = rests ? atomic_exchange (&speaker, -1) : -1;

  if (fd >= 0)
    g_assert_cmpint (send (fd, "!", 1, MSG_NOSIGNAL), ==, 1);
  return n;
}

static _Atomic gboolean unreachable; /* the client's next packet finds no way */
static _Atomic gboolean starved;     /* there is no descriptor for the next socket */
static _Atomic guint sockets;        /* made since then */

__typeof__ (quic_datagram_prepare) __real_quic_datagram_prepare, __wrap_quic_datagram_prepare;

int
__wrap_quic_datagram_prepare (int fd, int family)
{
  if (atomic_exchange (&starved, FALSE)) {
    atomic_store (&sockets, 0);
    return EMFILE;
  }
  atomic_fetch_add (&sockets, 1);
  return __real_quic_datagram_prepare (fd, family);
}

__typeof__ (quic_datagram_send) __real_quic_datagram_send, __wrap_quic_datagram_send;

gsize
__wrap_quic_datagram_send (int fd, const QuicPath *path, const guint8 *data, gsize size,
                           gsize segment, gboolean *segmented, int *reason)
{
  /* The server says where to. */
  if (path != NULL || !atomic_exchange (&unreachable, FALSE))
    return __real_quic_datagram_send (fd, path, data, size, segment, segmented, reason);
  *reason = ENETUNREACH;
  return 0;
}

/* ---- both ends ---- */

typedef struct {
  HyphaTransport *transport;
  HyphaListener *listener;
  HyphaChannel *client, *server;
} Fixture;

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_set_object ((HyphaChannel **) user_data, channel);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) any = NULL;
  g_autoptr (GError) error = NULL;

  quic_connection_set_idle (IDLE);
  f->transport = hypha_plugin_quic.create (NULL);
  any = transport_parse (f->transport, "quic://127.0.0.1:0");
  f->listener = transport_listen (f->transport, any, &error);
  g_assert_no_error (error);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), &f->server);
  f->client =
      transport_connect (f->transport, hypha_listener_get_bound (f->listener), CONNECT_MS, &error);
  g_assert_no_error (error);
  while (f->server == NULL)
    g_main_context_iteration (NULL, TRUE);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_clear_object (&f->client);
  g_clear_object (&f->server);
  hypha_listener_close (f->listener);
  g_clear_object (&f->listener);
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
  quic_connection_set_idle (0);
}

static void
say (HyphaChannel *channel)
{
  g_assert_cmpint (send (hypha_channel_get_fd (channel), "?", 1, MSG_NOSIGNAL), ==, 1);
}

static char
read_byte (HyphaChannel *channel)
{
  struct pollfd ready = { hypha_channel_get_fd (channel), POLLIN, 0 };
  char byte;

  g_assert_cmpint (poll (&ready, 1, PATIENCE_MS), ==, 1);
  g_assert_cmpint (recv (ready.fd, &byte, 1, 0), ==, 1);
  return byte;
}

/* What the client says is acknowledged, and to that he has nothing to say: nothing is on its way
 * then, and nothing but what is written would make him look again. */
static void
test_written_while_nothing_goes (Fixture *f, gconstpointer data)
{
  for (guint round = 0; round < ROUNDS; round++) {
    atomic_store (&speaker, hypha_channel_get_fd (f->client));
    say (f->client);
    /* In the first round, something of the beginning may have to go still, and "!" come first. */
    for (guint i = 0; i < 2; i++)
      g_assert_nonnull (strchr ("?!", read_byte (f->server)));
  }
}

/* Whoever finds no way looks for another; where there is no descriptor for that, nobody tells him
 * when there is one again. */
static void
test_looks_again_without_a_descriptor (Fixture *f, gconstpointer data)
{
  gint64 deadline = g_get_monotonic_time () + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

  atomic_store (&starved, TRUE);
  atomic_store (&unreachable, TRUE);
  say (f->client);
  g_assert_cmpint (read_byte (f->server), ==, '?');
  while ((atomic_load (&starved) || atomic_load (&sockets) == 0) &&
         g_get_monotonic_time () < deadline)
    g_usleep (1000);
  g_assert_false (atomic_load (&starved));
  g_assert_cmpuint (atomic_load (&sockets), >, 0);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) \
  g_test_add ("/quic-connection/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("what-is-written-while-nothing-goes-is-sent", test_written_while_nothing_goes);
  ADD ("looks-for-a-way-again-without-a-descriptor", test_looks_again_without_a_descriptor);
#undef ADD
  return g_test_run ();
}
