/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "test-transport.h"
#include "udp-drops.h"
#include "udp-port.h"
#include "udp.h"

#define PATIENCE_MS 20000
#define LARGEST 65507 /* that IPv4 carries */

/* ---- a resolver that knows one name, and never answers for others ---- */

#define TEST_TYPE_RESOLVER (test_resolver_get_type ())
G_DECLARE_FINAL_TYPE (TestResolver, test_resolver, TEST, RESOLVER, GResolver)

struct _TestResolver {
  GResolver parent_instance;
};

G_DEFINE_FINAL_TYPE (TestResolver, test_resolver, G_TYPE_RESOLVER)

static gboolean
on_lookup_cancelled (GCancellable *cancellable, gpointer user_data)
{
  g_task_return_error_if_cancelled (user_data);
  return G_SOURCE_REMOVE;
}

static void
lookup_async (GResolver *resolver, const char *name, GCancellable *cancellable,
              GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (resolver, cancellable, callback, user_data);
  g_autoptr (GSource) source = g_cancellable_source_new (cancellable);

  if (g_str_equal (name, "many.example")) {
    g_task_return_pointer (
        task, g_list_append (NULL, g_inet_address_new_from_string ("::ffff:224.0.0.251")), NULL);
    return;
  }
  g_task_attach_source (task, source, G_SOURCE_FUNC (on_lookup_cancelled));
}

static GList *
lookup_finish (GResolver *resolver, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
test_resolver_class_init (TestResolverClass *klass)
{
  G_RESOLVER_CLASS (klass)->lookup_by_name_async = lookup_async;
  G_RESOLVER_CLASS (klass)->lookup_by_name_finish = lookup_finish;
}

static void
test_resolver_init (TestResolver *self)
{
}

/* ---- helpers ---- */

typedef struct {
  HyphaTransport *transport;
  HyphaListener *listener; /* nullable */
  GPtrArray *accepted;     /* of HyphaChannel */
  HyphaEndpoint *bound;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->transport = hypha_plugin_udp.create (NULL);
  f->accepted = g_ptr_array_new_with_free_func (g_object_unref);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_ptr_array_unref (f->accepted);
  g_clear_pointer (&f->bound, hypha_endpoint_unref);
  g_clear_object (&f->listener);
  g_assert_finalize_object (f->transport);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, Fixture *f)
{
  g_ptr_array_add (f->accepted, g_object_ref (channel));
}

static HyphaListener *
try_listen (Fixture *f, const char *uri, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);

  return transport_listen (f->transport, endpoint, error);
}

static void
start_listening (Fixture *f, const char *uri)
{
  g_autoptr (GError) error = NULL;

  f->listener = try_listen (f, uri, &error);
  g_assert_no_error (error);
  f->bound = hypha_endpoint_ref (hypha_listener_get_bound (f->listener));
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
}

static HyphaChannel *
try_connect (Fixture *f, const char *uri, guint timeout_ms, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);

  return transport_connect (f->transport, endpoint, timeout_ms, error);
}

static HyphaChannel *
connect_to (Fixture *f, const char *uri)
{
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = try_connect (f, uri, PATIENCE_MS, &error);

  g_assert_no_error (error);
  return channel;
}

/* A peer of datagrams, by plain sockets. Its port goes into PORT. */
static int
open_peer (const char *host, guint16 *port)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);
  g_autoptr (GSocketAddress) name = g_inet_socket_address_new (address, *port);
  struct sockaddr_storage storage;
  socklen_t length = sizeof storage;
  int fd;

  g_assert_true (g_socket_address_to_native (name, &storage, sizeof storage, NULL));
  fd = socket (storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (
      bind (fd, (struct sockaddr *) &storage, (socklen_t) g_socket_address_get_native_size (name)),
      ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &storage, &length), ==, 0);
  *port = g_ntohs (((struct sockaddr_in *) (void *) &storage)->sin_port);
  return fd;
}

static int
client_at (const char *from, const char *host, HyphaEndpoint *bound)
{
  g_autofree char *ignored = NULL;
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);
  g_autoptr (GSocketAddress) name = NULL;
  struct sockaddr_storage storage;
  guint16 own = 0;
  guint32 port;
  int fd = open_peer (from, &own);

  g_assert_true (hypha_endpoint_split_host_port (bound, G_MAXUINT16, &ignored, &port, NULL));
  name = g_inet_socket_address_new (address, (guint16) port);
  g_assert_true (g_socket_address_to_native (name, &storage, sizeof storage, NULL));
  g_assert_cmpint (connect (fd, (struct sockaddr *) &storage,
                            (socklen_t) g_socket_address_get_native_size (name)),
                   ==, 0);
  return fd;
}

static int
client_of (Fixture *f)
{
  return client_at ("127.0.0.1", "127.0.0.1", f->bound);
}

static void
say (int fd, const void *data, gsize size)
{
  g_assert_cmpint (send (fd, data, size, 0), ==, (gssize) size);
}

static void
assert_readable (int fd)
{
  struct pollfd ready = { fd, POLLIN, 0 };

  while (poll (&ready, 1, 10) == 0)
    g_main_context_iteration (NULL, FALSE);
}

static void
assert_heard (int fd, const void *data, gsize size)
{
  static guint8 buffer[65536];

  assert_readable (fd);
  g_assert_cmpmem (buffer, recv (fd, buffer, sizeof buffer, 0), data, size);
}

static void
write_all (int fd, const void *data, gsize size)
{
  for (gsize done = 0; done < size;) {
    struct pollfd ready = { fd, POLLOUT, 0 };
    gssize n = send (fd, (const guint8 *) data + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0) {
      g_assert_cmpint (errno, ==, EAGAIN);
      g_assert_cmpint (poll (&ready, 1, PATIENCE_MS), ==, 1);
      continue;
    }
    done += (gsize) n;
  }
}

static void
write_frame (HyphaChannel *channel, const void *data, gsize size)
{
  const guint8 head[2] = { (guint8) (size >> 8), (guint8) size };

  write_all (hypha_channel_get_fd (channel), head, sizeof head);
  write_all (hypha_channel_get_fd (channel), data, size);
}

/* FALSE: the stream is at its end. */
static gboolean
read_all (HyphaChannel *channel, guint8 *data, gsize size)
{
  int fd = hypha_channel_get_fd (channel);

  for (gsize done = 0; done < size;) {
    gssize n;

    assert_readable (fd);
    n = recv (fd, data + done, size - done, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
      continue;
    if (n <= 0 && done == 0)
      return FALSE;
    g_assert_cmpint (n, >, 0);
    done += (gsize) n;
  }
  return TRUE;
}

static void
assert_frame (HyphaChannel *channel, const void *data, gsize size)
{
  static guint8 buffer[65536];
  guint8 head[2];

  g_assert_true (read_all (channel, head, sizeof head));
  g_assert_cmpuint ((gsize) head[0] << 8 | head[1], ==, size);
  if (size > 0)
    g_assert_true (read_all (channel, buffer, size));
  g_assert_cmpmem (buffer, size, data, size);
}

static void
assert_end (HyphaChannel *channel)
{
  guint8 byte;

  g_assert_false (read_all (channel, &byte, 1));
}

static HyphaChannel *
wait_accepted (Fixture *f, guint n)
{
  while (f->accepted->len < n)
    g_main_context_iteration (NULL, TRUE);
  return f->accepted->pdata[n - 1];
}

/* The thread of datagrams waits from then on, so that what comes meanwhile comes at once. */
static void
hold (gpointer gate)
{
  const int *fds = gate;
  char byte;

  g_assert_cmpint (write (fds[0], "", 1), ==, 1);
  g_assert_cmpint (read (fds[0], &byte, 1), ==, 1);
}

static void
hold_loop (HyphaLoop *loop, int *gate)
{
  char byte;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, gate), ==, 0);
  hypha_loop_call (loop, hold, gate);
  g_assert_cmpint (read (gate[1], &byte, 1), ==, 1);
}

static void
let_go (const int *gate)
{
  g_assert_cmpint (write (gate[1], "", 1), ==, 1);
}

static void
wait_drops (UdpDrop drop, guint64 n)
{
  while (udp_drops_get (drop) < n)
    g_main_context_iteration (NULL, FALSE);
}

/* ---- datagrams ---- */

static gboolean
has_address (const char *host)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (host);
  g_autoptr (GSocketAddress) name = g_inet_socket_address_new (address, 0);
  g_autoptr (GSocket) socket = g_socket_new (g_inet_address_get_family (address),
                                             G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_UDP, NULL);

  if (socket != NULL && g_socket_bind (socket, name, FALSE, NULL))
    return TRUE;
  g_test_skip ("this machine has no ::1");
  return FALSE;
}

static void
test_frames_both_ways (Fixture *f, gconstpointer data)
{
  guint64 before = udp_drops_get (UDP_DROP_NETWORK);
  g_autofree guint8 *large = g_malloc0 (65535);
  g_autoptr (HyphaChannel) channel = NULL;
  g_autofree char *uri = NULL;
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  guint16 port = 0;
  char buffer[16];
  int server;

  if (!has_address (data))
    return;
  server = open_peer (data, &port);
  uri = g_strdup_printf (strchr (data, ':') != NULL ? "udp://[%s]:%u" : "udp://%s:%u",
                         (const char *) data, port);
  channel = connect_to (f, uri);
  g_assert_cmpint (hypha_channel_get_flags (channel), ==, HYPHA_CHANNEL_LOSSY);
  g_assert_cmpstr (hypha_channel_get_host (channel), ==, data);
  for (guint i = 0; i < 65535; i++)
    large[i] = (guint8) (i * 7 + i / 256);
  write_frame (channel, "ask", 3);
  assert_readable (server);
  g_assert_cmpint (recvfrom (server, buffer, sizeof buffer, 0, (struct sockaddr *) &peer, &length),
                   ==, 3);
  g_assert_cmpint (connect (server, (struct sockaddr *) &peer, length), ==, 0);
  say (server, "answer", 6);
  assert_frame (channel, "answer", 6);

  /* Nothing is a datagram, too; and what no datagram can hold goes nowhere, and no further. */
  write_frame (channel, "", 0);
  assert_heard (server, "", 0);
  write_frame (channel, large, 65535);
  wait_drops (UDP_DROP_NETWORK, before + 1);
  write_frame (channel, large, LARGEST);
  assert_heard (server, large, LARGEST);
  say (server, "", 0);
  say (server, large, LARGEST);
  assert_frame (channel, "", 0);
  assert_frame (channel, large, LARGEST);
  close (server);
}

/* However the stream is cut. */
static void
test_frames_by_the_byte (Fixture *f, gconstpointer data)
{
  static const guint8 bytes[] = { 0, 3, 'o', 'n', 'e', 0, 0, 0, 1, 'x', 0, 3, 't', 'w', 'o' };
  guint16 port = 0;
  int server = open_peer ("127.0.0.1", &port);
  g_autofree char *uri = g_strdup_printf ("udp://127.0.0.1:%u", port);
  g_autoptr (HyphaChannel) channel = connect_to (f, uri);

  for (gsize step = 1; step <= sizeof bytes; step++) {
    for (gsize i = 0; i < sizeof bytes; i += step) {
      write_all (hypha_channel_get_fd (channel), bytes + i, MIN (step, sizeof bytes - i));
      g_usleep (step == 1 ? 1000 : 0); /* mostly, each byte comes by itself */
    }
    assert_heard (server, "one", 3);
    assert_heard (server, "", 0);
    assert_heard (server, "x", 1);
    assert_heard (server, "two", 3);
  }
  close (server);
}

static void
test_cut_frame_goes_nowhere (Fixture *f, gconstpointer data)
{
  guint64 before = udp_drops_get (UDP_DROP_CUT);
  guint16 port = 0;
  int server = open_peer ("127.0.0.1", &port);
  g_autofree char *uri = g_strdup_printf ("udp://127.0.0.1:%u", port);
  HyphaChannel *channel = connect_to (f, uri);

  write_frame (channel, "whole", 5);
  write_all (hypha_channel_get_fd (channel), "\0\7half", 6);
  g_object_unref (channel);
  wait_drops (UDP_DROP_CUT, before + 1);
  assert_heard (server, "whole", 5);
  g_assert_cmpint (recv (server, &before, sizeof before, MSG_DONTWAIT), ==, -1);
  close (server);
}

static void
test_nobody_there_ends_nothing (Fixture *f, gconstpointer data)
{
  guint64 before = udp_drops_get (UDP_DROP_NETWORK);
  guint16 port = 0;
  int server = open_peer ("127.0.0.1", &port);
  g_autofree char *uri = g_strdup_printf ("udp://127.0.0.1:%u", port);
  g_autoptr (HyphaChannel) channel = connect_to (f, uri);

  write_frame (channel, "before", 6);
  assert_heard (server, "before", 6);
  close (server);
  write_frame (channel, "lost", 4);
  wait_drops (UDP_DROP_NETWORK, before + 1);
  /* It is started anew, and the same flow goes on. */
  server = open_peer ("127.0.0.1", &port);
  write_frame (channel, "after", 5);
  assert_heard (server, "after", 5);
  close (server);
}

/* ---- flows ---- */

static void
test_each_source_is_a_flow (Fixture *f, gconstpointer data)
{
  int clients[20];

  start_listening (f, "udp://127.0.0.1:0");
  for (guint i = 0; i < G_N_ELEMENTS (clients); i++) {
    HyphaChannel *channel;

    clients[i] = client_of (f);
    say (clients[i], &i, sizeof i);
    channel = wait_accepted (f, i + 1);
    assert_frame (channel, &i, sizeof i);
    g_assert_cmpstr (hypha_channel_get_host (channel), ==, "127.0.0.1");
    g_assert_true (hypha_endpoint_equal (hypha_channel_get_local (channel), f->bound));
  }
  /* The same source is the same flow, and each answer finds its own. */
  for (guint i = 0; i < G_N_ELEMENTS (clients); i++) {
    say (clients[i], "again", 5);
    assert_frame (f->accepted->pdata[i], "again", 5);
    write_frame (f->accepted->pdata[i], &i, sizeof i);
    assert_heard (clients[i], &i, sizeof i);
    close (clients[i]);
  }
  g_assert_cmpuint (f->accepted->len, ==, G_N_ELEMENTS (clients));
}

/* Each of those who hear a broadcast would answer whoever is named as its source. */
static void
test_broadcast_makes_no_flow (Fixture *f, gconstpointer data)
{
  static const char *const many[] = { "127.255.255.255", "255.255.255.255" };
  guint64 before = udp_drops_get (UDP_DROP_NETWORK);
  guint16 own = 0;
  int client = open_peer ("127.0.0.1", &own), plain;
  const int yes = 1;

  if (strchr (data, '[') != NULL && !has_address ("::1"))
    return;
  start_listening (f, data);
  g_assert_cmpint (setsockopt (client, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (many); i++) {
    g_autofree char *text = NULL;
    struct sockaddr_in to = { .sin_family = AF_INET };
    guint32 port;

    g_assert_true (hypha_endpoint_split_host_port (f->bound, G_MAXUINT16, &text, &port, NULL));
    to.sin_port = g_htons ((guint16) port);
    g_assert_cmpint (inet_pton (AF_INET, many[i], &to.sin_addr), ==, 1);
    g_assert_cmpint (sendto (client, "all", 3, 0, (struct sockaddr *) &to, sizeof to), ==, 3);
  }
  plain = client_of (f);
  say (plain, "one", 3);
  assert_frame (wait_accepted (f, 1), "one", 3);
  wait_drops (UDP_DROP_NETWORK, before + G_N_ELEMENTS (many));
  close (client);
  close (plain);
}

/* Who asked one address takes no answer from another. */
static void
test_answers_come_from_where_was_asked (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *from, *to;
  } ways[] = { { "127.0.0.1", "127.0.0.1" },
               { "127.0.0.1", "127.0.0.2" },
               { "127.0.0.9", "127.0.0.3" },
               { "::1", "::1" } };
  guint n = 0;

  if (strchr (data, '[') != NULL && !has_address ("::1"))
    return;
  start_listening (f, data);
  for (guint i = 0; i < G_N_ELEMENTS (ways); i++) {
    g_autofree char *local = NULL;
    guint32 port;
    int client;

    if (strchr (ways[i].to, ':') != NULL && strchr (data, '[') == NULL)
      continue;
    client = client_at (ways[i].from, ways[i].to, f->bound);
    say (client, "ask", 3);
    assert_frame (wait_accepted (f, ++n), "ask", 3);
    g_assert_cmpstr (hypha_channel_get_host (f->accepted->pdata[n - 1]), ==, ways[i].from);
    g_assert_true (hypha_endpoint_split_host_port (
        hypha_channel_get_local (f->accepted->pdata[n - 1]), G_MAXUINT16, &local, &port, NULL));
    g_assert_cmpstr (local, ==, ways[i].to);
    write_frame (f->accepted->pdata[n - 1], "answer", 6);
    assert_heard (client, "answer", 6);
    close (client);
  }
}

static void
test_slow_reader_loses_the_newest (Fixture *f, gconstpointer data)
{
  const guint size = 1000;
  g_autofree guint8 *datagram = g_malloc0 (size);
  guint64 before = udp_drops_get (UDP_DROP_SLOW);
  guint next = 0;
  int slow, quick;

  start_listening (f, "udp://127.0.0.1:0");
  slow = client_of (f);
  quick = client_of (f);
  for (guint i = 0; udp_drops_get (UDP_DROP_SLOW) < before + 100; i++) {
    memcpy (datagram, &i, sizeof i);
    say (slow, datagram, size);
  }
  /* Nobody else waits for it; but what has just been sent may fill the socket itself. */
  while (f->accepted->len < 2) {
    say (quick, "now", 3);
    g_usleep (1000);
    g_main_context_iteration (NULL, FALSE);
  }
  assert_frame (f->accepted->pdata[1], "now", 3);
  /* What was taken is whole and in order, from the first on; and there is room again. */
  for (;;) {
    struct pollfd ready = { hypha_channel_get_fd (f->accepted->pdata[0]), POLLIN, 0 };
    guint8 head[2];
    guint number;

    if (poll (&ready, 1, 50) == 0)
      say (slow, "room", 4);
    g_assert_true (read_all (f->accepted->pdata[0], head, sizeof head));
    if (head[0] == 0 && head[1] == 4)
      break;
    g_assert_cmpuint ((guint) head[0] << 8 | head[1], ==, size);
    g_assert_true (read_all (f->accepted->pdata[0], datagram, size));
    memcpy (&number, datagram, sizeof number);
    g_assert_cmpuint (number, >=, next);
    g_assert_true (next > 0 || number == 0);
    next = number + 1;
  }
  close (slow);
  close (quick);
}

/* In two bytes there is a datagram. */
static void
test_flows_are_served_by_turns (Fixture *f, gconstpointer data)
{
  static const guint8 empty[300 * 2];
  HyphaLoop *loop = udp_port_acquire_loop (NULL);
  guint16 port = 0;
  int server = open_peer ("127.0.0.1", &port), gate[2];
  g_autofree char *uri = g_strdup_printf ("udp://127.0.0.1:%u", port);
  g_autoptr (HyphaChannel) many = connect_to (f, uri);
  g_autoptr (HyphaChannel) one = connect_to (f, uri);
  const int room = 1024 * 1024;
  guint before = 0, after = 0;
  char byte;

  g_assert_cmpint (setsockopt (server, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), ==, 0);
  write_frame (many, "a", 1);
  assert_heard (server, "a", 1);
  write_frame (one, "b", 1);
  assert_heard (server, "b", 1);
  hold_loop (loop, gate);
  write_all (hypha_channel_get_fd (many), empty, sizeof empty);
  write_frame (one, "x", 1);
  let_go (gate);
  for (assert_readable (server); recv (server, &byte, 1, 0) == 0; assert_readable (server))
    before++;
  g_assert_cmpint (byte, ==, 'x');
  g_assert_cmpuint (before, <=, 100);
  for (; before + after < sizeof empty / 2; after++) {
    assert_readable (server);
    g_assert_cmpint (recv (server, &byte, 1, 0), ==, 0);
  }
  /* Nothing of it is lost by an end of the stream that waits behind. */
  write_all (hypha_channel_get_fd (many), empty, sizeof empty);
  g_clear_object (&many);
  for (guint i = 0; i < sizeof empty / 2; i++) {
    assert_readable (server);
    g_assert_cmpint (recv (server, &byte, 1, 0), ==, 0);
  }
  close (server);
  close (gate[0]);
  close (gate[1]);
  hypha_loop_release (loop);
}

/* ---- ends ---- */

static void
test_idle_flow_ends (Fixture *f, gconstpointer data)
{
  int client;

  start_listening (f, "udp://127.0.0.1:0?idle=1");
  client = client_of (f);
  say (client, "one", 3);
  assert_frame (wait_accepted (f, 1), "one", 3);
  write_frame (f->accepted->pdata[0], "answer", 6);
  assert_heard (client, "answer", 6);
  assert_end (f->accepted->pdata[0]);
  /* A late answer still finds its way, and what is said now is for a new flow. */
  write_frame (f->accepted->pdata[0], "late", 4);
  assert_heard (client, "late", 4);
  say (client, "two", 3);
  assert_frame (wait_accepted (f, 2), "two", 3);
  close (client);
}

static void
test_idle_connection_ends (Fixture *f, gconstpointer data)
{
  guint16 port = 0;
  int server = open_peer ("127.0.0.1", &port);
  g_autofree char *uri = g_strdup_printf ("udp://127.0.0.1:%u?idle=1", port);
  g_autoptr (HyphaChannel) channel = connect_to (f, uri);

  write_frame (channel, "ask", 3);
  assert_end (channel);
  close (server);
}

/* Who has asked all still hears the answers. */
static void
test_half_close_waits_for_answers (Fixture *f, gconstpointer data)
{
  guint16 port = 0;
  int server = open_peer ("127.0.0.1", &port);
  g_autofree char *uri = g_strdup_printf ("udp://127.0.0.1:%u?idle=1", port);
  g_autoptr (HyphaChannel) channel = connect_to (f, uri);
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  char buffer[16];

  write_frame (channel, "ask", 3);
  g_assert_cmpint (shutdown (hypha_channel_get_fd (channel), SHUT_WR), ==, 0);
  assert_readable (server);
  g_assert_cmpint (recvfrom (server, buffer, sizeof buffer, 0, (struct sockaddr *) &peer, &length),
                   ==, 3);
  g_assert_cmpint (connect (server, (struct sockaddr *) &peer, length), ==, 0);
  say (server, "one", 3);
  say (server, "two", 3);
  assert_frame (channel, "one", 3);
  assert_frame (channel, "two", 3);
  assert_end (channel);
  close (server);
}

static void
test_end_of_the_stream_ends_the_flow (Fixture *f, gconstpointer data)
{
  int client;

  start_listening (f, "udp://127.0.0.1:0");
  client = client_of (f);
  for (guint i = 1; i <= 3; i++) {
    HyphaChannel *channel;

    say (client, "ask", 3);
    channel = wait_accepted (f, i);
    assert_frame (channel, "ask", 3);
    write_frame (channel, "answer", 6);
    g_assert_cmpint (shutdown (hypha_channel_get_fd (channel), SHUT_WR), ==, 0);
    assert_heard (client, "answer", 6);
    assert_end (channel);
  }
  close (client);
}

/* As a server does that closes after its answer, while the next question is under way. */
static void
test_question_does_not_push_out_the_last_answer (Fixture *f, gconstpointer data)
{
  HyphaLoop *loop = udp_port_acquire_loop (NULL);
  int client, gate[2];

  start_listening (f, "udp://127.0.0.1:0");
  client = client_of (f);
  say (client, "one", 3);
  assert_frame (wait_accepted (f, 1), "one", 3);
  hold_loop (loop, gate);
  say (client, "two", 3);
  write_frame (f->accepted->pdata[0], "answer", 6);
  close (hypha_channel_steal_fd (f->accepted->pdata[0]));
  let_go (gate);
  assert_heard (client, "answer", 6);
  close (client);
  close (gate[0]);
  close (gate[1]);
  hypha_loop_release (loop);
}

static void
test_closing_frees_the_port_and_ends_its_flows (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaListener) again = NULL;
  g_autoptr (GError) error = NULL;
  int client;

  start_listening (f, "udp://127.0.0.1:0");
  client = client_of (f);
  say (client, "ask", 3);
  assert_frame (wait_accepted (f, 1), "ask", 3);
  hypha_listener_close (f->listener);
  again = try_listen (f, hypha_endpoint_to_string (f->bound), &error);
  g_assert_no_error (error);
  assert_end (f->accepted->pdata[0]);
  hypha_listener_close (again);
  close (client);
}

/* A copy of the descriptor that listens here. */
static int
copy_listening (Fixture *f)
{
  const char *port = strrchr (hypha_endpoint_get_rest (f->bound), ':') + 1;

  for (int fd = 3; fd < 1024; fd++) {
    struct sockaddr_in address = { 0 };
    socklen_t length = sizeof address;

    if (getsockname (fd, (struct sockaddr *) &address, &length) == 0 &&
        address.sin_family == AF_INET && g_ntohs (address.sin_port) == atoi (port))
      return dup (fd);
  }
  g_assert_not_reached ();
}

static void
post (gpointer turn)
{
  sem_post (turn);
}

static void
wait_turn (HyphaLoop *loop)
{
  sem_t turn;

  sem_init (&turn, 0, 0);
  hypha_loop_call (loop, post, &turn);
  sem_wait (&turn);
  sem_destroy (&turn);
}

/* As a child has one that has not got as far as its program: what comes there finds nobody, and no
 * memory that was somebody's. */
static void
test_copy_of_a_closed_listener_says_nothing (Fixture *f, gconstpointer data)
{
  HyphaLoop *loop = udp_port_acquire_loop (NULL);
  int client, copy;

  start_listening (f, "udp://127.0.0.1:0");
  wait_turn (loop);
  client = client_of (f);
  copy = copy_listening (f);
  hypha_listener_close (f->listener);
  /* Its end, its freeing, and whoever comes then. */
  for (guint i = 0; i < 3; i++) {
    say (client, "ask", 3);
    wait_turn (loop);
  }
  g_assert_cmpuint (f->accepted->len, ==, 0);
  hypha_loop_release (loop);
  close (client);
  close (copy);
}

/* ---- bounds ---- */

static void
set_flows (Fixture *f, guint flows)
{
  g_autofree char *options = g_strdup_printf ("{'flows': <%u>}", flows);

  transport_must_configure (f->transport, options);
}

static void
test_flood_makes_no_more_flows_than_there_are_places (Fixture *f, gconstpointer data)
{
  guint64 before = udp_drops_get (UDP_DROP_FULL);
  int clients[50], settled, late;

  set_flows (f, 8);
  start_listening (f, "udp://127.0.0.1:0");
  settled = client_of (f);
  say (settled, "hello", 5);
  assert_frame (wait_accepted (f, 1), "hello", 5);
  write_frame (f->accepted->pdata[0], "hi", 2);
  assert_heard (settled, "hi", 2);
  for (guint i = 0; i < G_N_ELEMENTS (clients); i++) {
    clients[i] = client_of (f);
    say (clients[i], "x", 1);
  }
  wait_drops (UDP_DROP_FULL, before + G_N_ELEMENTS (clients) - 7);
  wait_accepted (f, 8);
  g_assert_cmpuint (f->accepted->len, ==, 8);

  /* Time has to pass: it goes on for long enough to be more than a question: it keeps its place for
   * good. */
  g_usleep (UDP_SETTLES_AFTER);
  say (settled, "still", 5);
  assert_frame (f->accepted->pdata[0], "still", 5);
  /* Though it is silent for longer than the others. */
  for (guint i = 0; i < G_N_ELEMENTS (clients); i++)
    say (clients[i], "x", 1);
  g_usleep (1100 * G_TIME_SPAN_MILLISECOND);
  /* One of the others goes, now that they were silent for a while. */
  late = client_of (f);
  say (late, "late", 4);
  assert_frame (wait_accepted (f, 9), "late", 4);
  for (guint i = 0; i < G_N_ELEMENTS (clients); i++)
    say (clients[i], "y", 1);
  say (settled, "there", 5);
  assert_frame (f->accepted->pdata[0], "there", 5);
  for (guint i = 0; i < G_N_ELEMENTS (clients); i++)
    close (clients[i]);
  close (settled);
  close (late);
}

/* A service that refuses is not asked anew with each datagram. */
static void
test_refused_flow_keeps_its_place (Fixture *f, gconstpointer data)
{
  guint64 before = udp_drops_get (UDP_DROP_ENDED);
  gint64 begin;
  int client;

  start_listening (f, "udp://127.0.0.1:0");
  client = client_of (f);
  begin = g_get_monotonic_time ();
  say (client, "ask", 3);
  wait_accepted (f, 1);
  close (hypha_channel_steal_fd (f->accepted->pdata[0]));
  while (f->accepted->len < 2) {
    say (client, "ask", 3);
    g_usleep (1000);
    g_main_context_iteration (NULL, FALSE);
  }
  g_assert_cmpint (g_get_monotonic_time () - begin, >, 900 * G_TIME_SPAN_MILLISECOND);
  g_assert_cmpuint (udp_drops_get (UDP_DROP_ENDED), >, before);
  close (client);
}

/* ---- what is refused ---- */

static void
assert_connect_fails (Fixture *f, const char *uri, guint timeout_ms, gint code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (try_connect (f, uri, timeout_ms, &error));
  g_assert_error (error, HYPHA_ERROR, code);
  g_test_message ("%s", error->message);
}

static void
test_refusals (Fixture *f, gconstpointer data)
{
  static const char *const wrong[][2] = { { "{'flows': <@u 0>}", "1 to 1024" },
                                          { "{'flows': <@u 1025>}", "1 to 1024" },
                                          { "{'flows': <'1'>}", "'flows'" },
                                          { "{'nodelay': <true>}", "'nodelay'" } };
  g_autoptr (GError) error = NULL;

  assert_connect_fails (f, "udp://any:53", PATIENCE_MS, HYPHA_ERROR_INVALID_ARGUMENT);
  assert_connect_fails (f, "udp://127.0.0.1:0", PATIENCE_MS, HYPHA_ERROR_INVALID_ARGUMENT);
  assert_connect_fails (f, "udp://224.0.0.251:5353", PATIENCE_MS, HYPHA_ERROR_INVALID_ARGUMENT);
  assert_connect_fails (f, "udp://[ff02::fb]:5353", PATIENCE_MS, HYPHA_ERROR_INVALID_ARGUMENT);
  assert_connect_fails (f, "udp://255.255.255.255:9", PATIENCE_MS, HYPHA_ERROR_CONNECT);
  assert_connect_fails (f, "udp://[fe80::1%25no-such-if]:9", PATIENCE_MS, HYPHA_ERROR_CONNECT);
  g_assert_null (try_listen (f, "udp://224.0.0.251:5353", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (try_listen (f, "udp://192.0.2.1:0", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  transport_assert_refuses (f->transport, wrong, G_N_ELEMENTS (wrong));
}

static void
test_names (Fixture *f, gconstpointer data)
{
  GResolver *before = g_resolver_get_default ();
  g_autoptr (GResolver) resolver = g_object_new (TEST_TYPE_RESOLVER, NULL);

  g_resolver_set_default (resolver);
  assert_connect_fails (f, "udp://silent.example:53", 100, HYPHA_ERROR_TIMED_OUT);
  assert_connect_fails (f, "udp://many.example:5353", PATIENCE_MS, HYPHA_ERROR_INVALID_ARGUMENT);
  g_resolver_set_default (before);
  g_object_unref (before);
}

static void
test_carries_no_links (Fixture *f, gconstpointer data)
{
  g_assert_true (hypha_transport_is_lossy (f->transport));
}

int
main (int argc, char *argv[])
{
  static const struct {
    const char *path;
    void (*run) (Fixture *f, gconstpointer data);
    const char *data;
  } tests[] = {
    { "/udp/frames/both-ways", test_frames_both_ways, "127.0.0.1" },
    { "/udp/frames/both-ways-ipv6", test_frames_both_ways, "::1" },
    { "/udp/frames/however-they-are-cut", test_frames_by_the_byte, NULL },
    { "/udp/frames/half-of-one-goes-nowhere", test_cut_frame_goes_nowhere, NULL },
    { "/udp/flow/nobody-there-ends-nothing", test_nobody_there_ends_nothing, NULL },
    { "/udp/flow/each-source-has-its-own", test_each_source_is_a_flow, NULL },
    { "/udp/flow/answers-come-from-where-was-asked", test_answers_come_from_where_was_asked,
      "udp://0.0.0.0:0" },
    { "/udp/flow/answers-come-from-where-was-asked-dual-stack",
      test_answers_come_from_where_was_asked, "udp://[::]:0" },
    { "/udp/flow/broadcast-makes-none", test_broadcast_makes_no_flow, "udp://0.0.0.0:0" },
    { "/udp/flow/broadcast-makes-none-dual-stack", test_broadcast_makes_no_flow, "udp://[::]:0" },
    { "/udp/flow/slow-reader-loses-the-newest", test_slow_reader_loses_the_newest, NULL },
    { "/udp/flow/each-is-served-by-turns", test_flows_are_served_by_turns, NULL },
    { "/udp/end/silence-ends-a-flow-that-came", test_idle_flow_ends, NULL },
    { "/udp/end/silence-ends-a-flow-that-was-made", test_idle_connection_ends, NULL },
    { "/udp/end/half-close-waits-for-answers", test_half_close_waits_for_answers, NULL },
    { "/udp/end/of-the-stream-ends-the-flow", test_end_of_the_stream_ends_the_flow, NULL },
    { "/udp/end/question-does-not-push-out-the-last-answer",
      test_question_does_not_push_out_the_last_answer, NULL },
    { "/udp/end/of-listening-ends-its-flows", test_closing_frees_the_port_and_ends_its_flows,
      NULL },
    { "/udp/end/copy-of-a-closed-listener-says-nothing",
      test_copy_of_a_closed_listener_says_nothing, NULL },
    { "/udp/bounds/flood-has-no-more-than-the-places",
      test_flood_makes_no_more_flows_than_there_are_places, NULL },
    { "/udp/bounds/refused-flow-keeps-its-place", test_refused_flow_keeps_its_place, NULL },
    { "/udp/refuses/with-a-reason", test_refusals, NULL },
    { "/udp/refuses/names-of-many-and-of-nobody", test_names, NULL },
    { "/udp/carries-no-links", test_carries_no_links, NULL },
  };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Fixture, tests[i].data, set_up, tests[i].run, tear_down);
  return g_test_run ();
}
