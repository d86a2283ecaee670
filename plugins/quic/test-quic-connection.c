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

ngtcp2_ssize __real_ngtcp2_conn_writev_stream_versioned (ngtcp2_conn *conn, ngtcp2_path *path,
                                                         int version, ngtcp2_pkt_info *info,
                                                         uint8_t *out, size_t size,
                                                         ngtcp2_ssize *taken, uint32_t flags,
                                                         int64_t stream, const ngtcp2_vec *vector,
                                                         size_t count, ngtcp2_tstamp now);
ngtcp2_ssize __wrap_ngtcp2_conn_writev_stream_versioned (ngtcp2_conn *conn, ngtcp2_path *path,
                                                         int version, ngtcp2_pkt_info *info,
                                                         uint8_t *out, size_t size,
                                                         ngtcp2_ssize *taken, uint32_t flags,
                                                         int64_t stream, const ngtcp2_vec *vector,
                                                         size_t count, ngtcp2_tstamp now);

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

int __real_quic_datagram_prepare (int fd, int family);
int __wrap_quic_datagram_prepare (int fd, int family);

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

gsize __real_quic_datagram_send (int fd, const QuicPath *path, const guint8 *data, gsize size,
                                 gsize segment, gboolean *segmented, int *reason);
gsize __wrap_quic_datagram_send (int fd, const QuicPath *path, const guint8 *data, gsize size,
                                 gsize segment, gboolean *segmented, int *reason);

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

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_set_object ((HyphaChannel **) user_data, channel);
}

static char
read_byte (int fd)
{
  struct pollfd ready = { fd, POLLIN, 0 };
  char byte;

  g_assert_cmpint (poll (&ready, 1, PATIENCE_MS), ==, 1);
  g_assert_cmpint (recv (fd, &byte, 1, 0), ==, 1);
  return byte;
}

/* What the client says is acknowledged, and to that he has nothing to say: nothing is on its way
 * then, and nothing but what is written would make him look again. */
static void
test_written_while_nothing_goes (void)
{
  g_autoptr (HyphaTransport) transport = hypha_plugin_quic.create (NULL);
  g_autoptr (HyphaEndpoint) any = transport_parse (transport, "quic://127.0.0.1:0");
  g_autoptr (HyphaListener) listener = transport_listen (transport, any, NULL);
  g_autoptr (HyphaChannel) client = NULL, server = NULL;
  g_autoptr (GError) error = NULL;
  int fds[2];

  quic_connection_set_idle (IDLE);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), &server);
  client = transport_connect (transport, hypha_listener_get_bound (listener), CONNECT_MS, &error);
  g_assert_no_error (error);
  while (server == NULL)
    g_main_context_iteration (NULL, TRUE);
  fds[0] = hypha_channel_get_fd (client);
  fds[1] = hypha_channel_get_fd (server);
  for (guint round = 0; round < ROUNDS; round++) {
    atomic_store (&speaker, fds[0]);
    g_assert_cmpint (send (fds[0], "?", 1, MSG_NOSIGNAL), ==, 1);
    /* In the first round, something of the beginning may have to go still, and "!" come first. */
    for (guint i = 0; i < 2; i++)
      g_assert_nonnull (strchr ("?!", read_byte (fds[1])));
  }
  hypha_listener_close (listener);
  hypha_transport_stop (transport);
  quic_connection_set_idle (0);
}

/* Whoever finds no way looks for another; where there is no descriptor for that, nobody tells him
 * when there is one again. */
static void
test_looks_again_without_a_descriptor (void)
{
  g_autoptr (HyphaTransport) transport = hypha_plugin_quic.create (NULL);
  g_autoptr (HyphaEndpoint) any = transport_parse (transport, "quic://127.0.0.1:0");
  g_autoptr (HyphaListener) listener = transport_listen (transport, any, NULL);
  g_autoptr (HyphaChannel) client = NULL, server = NULL;
  g_autoptr (GError) error = NULL;
  gint64 deadline = g_get_monotonic_time () + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

  quic_connection_set_idle (IDLE);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), &server);
  client = transport_connect (transport, hypha_listener_get_bound (listener), CONNECT_MS, &error);
  g_assert_no_error (error);
  while (server == NULL)
    g_main_context_iteration (NULL, TRUE);
  atomic_store (&starved, TRUE);
  atomic_store (&unreachable, TRUE);
  g_assert_cmpint (send (hypha_channel_get_fd (client), "?", 1, MSG_NOSIGNAL), ==, 1);
  g_assert_cmpint (read_byte (hypha_channel_get_fd (server)), ==, '?');
  while ((atomic_load (&starved) || atomic_load (&sockets) == 0) &&
         g_get_monotonic_time () < deadline)
    g_usleep (1000);
  g_assert_false (atomic_load (&starved));
  g_assert_cmpuint (atomic_load (&sockets), >, 0);
  hypha_listener_close (listener);
  hypha_transport_stop (transport);
  quic_connection_set_idle (0);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/quic-connection/what-is-written-while-nothing-goes-is-sent",
                   test_written_while_nothing_goes);
  g_test_add_func ("/quic-connection/looks-for-a-way-again-without-a-descriptor",
                   test_looks_again_without_a_descriptor);
  return g_test_run ();
}
