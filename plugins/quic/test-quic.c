/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "quic-buffer.h"
#include "quic-datagram.h"
#include "quic-server.h"
#include "quic.h"
#include "test-transport.h"

#define CONNECT_MS 10000
#define PATIENCE_MS 20000
#define PACKET 1200
#define SLOW 6
#define UNFINISHED (QUIC_RETRY_ABOVE + 8)

typedef struct {
  HyphaTransport *transport;
  HyphaListener *listener; /* nullable */
  GPtrArray *accepted;     /* of HyphaChannel */
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->transport = hypha_plugin_quic.create (NULL);
  f->accepted = g_ptr_array_new_with_free_func (g_object_unref);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  if (f->listener != NULL)
    hypha_listener_close (f->listener);
  g_clear_object (&f->listener);
  g_ptr_array_unref (f->accepted);
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
}

/* ---- channels ---- */

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_ptr_array_add (user_data, g_object_ref (channel));
}

static void
listen_on (Fixture *f, const char *uri)
{
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);
  g_autoptr (GError) error = NULL;

  f->listener = transport_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f->accepted);
}

static guint16
get_port (Fixture *f)
{
  g_autofree char *host = NULL;
  guint32 port = 0;

  hypha_endpoint_split_host_port (hypha_listener_get_bound (f->listener), G_MAXUINT16, &host, &port,
                                  NULL);
  return (guint16) port;
}

static HyphaChannel *
try_to_connect_within (Fixture *f, const char *host, guint16 port, guint timeout_ms, GError **error)
{
  g_autofree char *uri = g_strdup_printf ("quic://%s:%u", host, port);
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);

  return transport_connect (f->transport, endpoint, timeout_ms, error);
}

static HyphaChannel *
try_to_connect (Fixture *f, const char *host, guint16 port, GError **error)
{
  return try_to_connect_within (f, host, port, CONNECT_MS, error);
}

static HyphaChannel *
connect_to (Fixture *f, const char *host)
{
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = try_to_connect (f, host, get_port (f), &error);

  g_assert_no_error (error);
  return channel;
}

static HyphaChannel *
wait_accepted (Fixture *f, guint n)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

  while (f->accepted->len < n && g_get_monotonic_time () < end)
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (1000);
  g_assert_cmpuint (f->accepted->len, >=, n);
  return f->accepted->pdata[n - 1];
}

static gboolean
wait_ready (int fd, short events, int timeout_ms)
{
  struct pollfd pollfd = { .fd = fd, .events = events };

  return poll (&pollfd, 1, timeout_ms) > 0;
}

static gssize
read_some (int fd, void *buffer, gsize size)
{
  g_assert_true (wait_ready (fd, POLLIN, PATIENCE_MS));
  return recv (fd, buffer, size, 0);
}

/* Writes until nothing has been taken for a while; LEAST is taken anyhow. */
static gsize
fill (int fd, gsize least)
{
  g_autofree guint8 *noise = g_malloc0 (64 * 1024);
  gsize done = 0;

  while (wait_ready (fd, POLLOUT, done > least ? 300 : PATIENCE_MS)) {
    gssize n = send (fd, noise, 64 * 1024, MSG_NOSIGNAL);

    if (n < 0)
      break;
    done += (gsize) n;
  }
  return done;
}

static void
drain (int fd, gsize size)
{
  g_autofree guint8 *buffer = g_malloc (256 * 1024);

  while (size > 0) {
    gssize n = read_some (fd, buffer, MIN (size, 256 * 1024));

    g_assert_cmpint (n, >, 0);
    size -= (gsize) n;
  }
}

static void
assert_joined (HyphaChannel *a, HyphaChannel *b)
{
  char got[8];

  g_assert_cmpint (send (hypha_channel_get_fd (a), "there", 5, MSG_NOSIGNAL), ==, 5);
  g_assert_cmpint (read_some (hypha_channel_get_fd (b), got, sizeof got), ==, 5);
  g_assert_cmpint (send (hypha_channel_get_fd (b), "back", 4, MSG_NOSIGNAL), ==, 4);
  g_assert_cmpint (read_some (hypha_channel_get_fd (a), got, sizeof got), ==, 4);
}

static void
assert_serves (Fixture *f)
{
  guint n = f->accepted->len + 1;
  g_autoptr (HyphaChannel) dialled = connect_to (f, "127.0.0.1");

  assert_joined (dialled, wait_accepted (f, n));
}

/* ---- bare datagrams ---- */

static int
open_datagrams_from (guint32 host, guint16 port)
{
  const struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (host) };
  const struct sockaddr_in to = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK),
                                  .sin_port = htons (port) };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (const struct sockaddr *) &from, sizeof from), ==, 0);
  g_assert_cmpint (connect (fd, (const struct sockaddr *) &to, sizeof to), ==, 0);
  return fd;
}

static int
open_datagrams (guint16 port)
{
  return open_datagrams_from (INADDR_LOOPBACK, port);
}

/* A long header of VERSION with ids of five bytes, and nothing sensible behind it. */
static void
make_long (guint8 *packet, guint32 version)
{
  const guint32 wire = htonl (version);

  memset (packet, 0x55, PACKET);
  packet[0] = 0xc0;
  memcpy (packet + 1, &wire, 4);
  packet[5] = 5;
  memcpy (packet + 6, "to me", 5);
  packet[11] = 5;
  memcpy (packet + 12, "of me", 5);
}

static void
test_versions (Fixture *f, gconstpointer data)
{
  guint8 packet[PACKET], answer[2048];
  gboolean found = FALSE;
  gssize n;
  int fd;

  listen_on (f, "quic://127.0.0.1:0");
  fd = open_datagrams (get_port (f));
  make_long (packet, 0x1a2a3a4a);
  /* One that is too short to begin a connection gets no answer. */
  g_assert_cmpint (send (fd, packet, PACKET - 1, 0), ==, PACKET - 1);
  g_assert_cmpint (send (fd, packet, PACKET, 0), ==, PACKET);
  n = read_some (fd, answer, sizeof answer);
  g_assert_cmpint (n, >=, 17 + 4);
  g_assert_cmpint (n, <=, PACKET);
  g_assert_cmpuint (answer[0] & 0x80, ==, 0x80);
  g_assert_cmpmem (answer + 1, 4, "\0\0\0\0", 4);
  g_assert_cmpmem (answer + 5, 12, "\5of me\5to me", 12);
  for (gssize at = 17; at + 4 <= n; at += 4)
    found = found || memcmp (answer + at, "\0\0\0\1", 4) == 0;
  g_assert_true (found);
  g_assert_false (wait_ready (fd, POLLIN, 50));
  close (fd);
}

static void
test_garbage (Fixture *f, gconstpointer data)
{
  GRand *random = g_rand_new_with_seed (1);
  guint8 packet[PACKET], answer[2048];
  guint answers = 0;
  int fd;

  listen_on (f, "quic://127.0.0.1:0");
  fd = open_datagrams (get_port (f));
  for (guint i = 0; i < 3000; i++) {
    gsize size = (gsize) g_rand_int_range (random, 0, PACKET + 1);

    for (gsize j = 0; j < sizeof packet; j++)
      packet[j] = (guint8) g_rand_int_range (random, 0, 256);
    /* Every other one says that it is of the version that is spoken here. */
    if (i % 2 == 0)
      make_long (packet, 1);
    if (i % 2 == 0)
      packet[5] = (guint8) g_rand_int_range (random, 0, 256);
    g_assert_cmpint (send (fd, packet, size, 0), >=, 0);
    while (recv (fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
      answers++;
  }
  g_test_message ("%u answers", answers);
  assert_serves (f);
  g_assert_cmpuint (f->accepted->len, ==, 1);
  close (fd);
  g_rand_free (random);
}

/* What is of no connection is answered, as often as is decent, by less than what came. */
static void
test_stateless_reset (Fixture *f, gconstpointer data)
{
  guint8 packet[PACKET], answer[2048];
  guint answers = 0;
  int fd;

  listen_on (f, "quic://127.0.0.1:0");
  fd = open_datagrams (get_port (f));
  memset (packet, 0x42, sizeof packet);
  g_assert_cmpint (send (fd, packet, 30, 0), ==, 30);
  g_assert_cmpint (read_some (fd, answer, sizeof answer), ==, 29);
  g_assert_cmpuint (answer[0] & 0xc0, ==, 0x40);
  g_assert_cmpint (send (fd, packet, 21, 0), ==, 21);
  g_assert_false (wait_ready (fd, POLLIN, 50));
  for (guint i = 0; i < 1000; i++)
    g_assert_cmpint (send (fd, packet, 60, 0), ==, 60);
  while (wait_ready (fd, POLLIN, 100) && recv (fd, answer, sizeof answer, 0) > 0)
    answers++;
  g_test_message ("%u answers", answers);
  g_assert_cmpuint (answers, >, 0);
  g_assert_cmpuint (answers, <=, 200); /* it may have been two seconds */
  close (fd);
}

/* First packets of real handshakes reach the listener by a socket each, and no answer comes back:
 * so they stay unfinished. */
typedef struct {
  GCancellable *cancellable;
  int relay;
  guint n, retries;
  GAsyncResult *results[UNFINISHED];
  int sockets[UNFINISHED];
} Unfinished;

/* From so many HOSTS of the loopback in turn, none of which is 127.0.0.1. */
static void
begin_many (Fixture *f, Unfinished *self, guint n, guint hosts)
{
  const struct sockaddr_in loopback = { .sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  struct sockaddr_in bound;
  socklen_t length = sizeof bound;
  g_autofree char *uri = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;

  self->n = n;
  self->cancellable = g_cancellable_new ();
  self->relay = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (self->relay, (const struct sockaddr *) &loopback, sizeof loopback), ==, 0);
  g_assert_cmpint (getsockname (self->relay, (struct sockaddr *) &bound, &length), ==, 0);
  uri = g_strdup_printf ("quic://127.0.0.1:%u", ntohs (bound.sin_port));
  endpoint = transport_parse (f->transport, uri);
  for (guint i = 0; i < n; i++)
    hypha_transport_connect_async (f->transport, endpoint, CONNECT_MS, self->cancellable,
                                   keep_result, &self->results[i]);
  for (guint i = 0; i < n; i++) {
    guint8 packet[2048];
    gssize size = read_some (self->relay, packet, sizeof packet);
    int fd = open_datagrams_from (INADDR_LOOPBACK + 1 + i % hosts, get_port (f));

    g_assert_cmpint (send (fd, packet, (gsize) size, 0), ==, size);
    g_assert_cmpint (read_some (fd, packet, sizeof packet), >, 0);
    /* RFC 9000, 17.2.5. */
    if ((packet[0] & 0xf0) == 0xf0)
      self->retries++;
    self->sockets[i] = fd;
  }
}

static void
end_many (Fixture *f, Unfinished *self)
{
  g_cancellable_cancel (self->cancellable);
  for (guint i = 0; i < self->n; i++) {
    wait_result (&self->results[i]);
    g_assert_null (hypha_transport_connect_finish (f->transport, self->results[i], NULL));
    g_object_unref (self->results[i]);
    close (self->sockets[i]);
  }
  g_object_unref (self->cancellable);
  close (self->relay);
}

static void
test_retry (Fixture *f, gconstpointer data)
{
  Unfinished unfinished = { NULL };
  guint retries;

  listen_on (f, "quic://127.0.0.1:0");
  begin_many (f, &unfinished, UNFINISHED, 1);
  retries = unfinished.retries;
  g_test_message ("%u of %u had to come again", retries, UNFINISHED);
  g_assert_cmpuint (retries, >=, UNFINISHED - QUIC_RETRY_ABOVE - 1);
  g_assert_cmpuint (retries, <, UNFINISHED);
  /* Who hears the answer gets in. */
  assert_serves (f);
  end_many (f, &unfinished);
}

/* Two who have taken all places between them do not keep out a third. */
static void
test_crowd (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) dialled = NULL;
  g_autoptr (GError) error = NULL;
  Unfinished unfinished = { NULL };

  quic_server_set_max_unfinished (8);
  listen_on (f, "quic://127.0.0.1:0");
  begin_many (f, &unfinished, 8, 2);
  /* Before the time of the first of them is up. */
  dialled = try_to_connect_within (f, "127.0.0.1", get_port (f), 3000, &error);
  g_assert_no_error (error);
  assert_joined (dialled, wait_accepted (f, 1));
  end_many (f, &unfinished);
  quic_server_set_max_unfinished (0);
}

static void
test_full (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) first = NULL;
  g_autoptr (HyphaChannel) second = NULL;
  g_autoptr (GError) error = NULL;

  transport_must_configure (f->transport, "{'connections': <uint32 4>}");
  listen_on (f, "quic://127.0.0.1:0");
  first = connect_to (f, "127.0.0.1");
  second = connect_to (f, "127.0.0.1");
  /* Half of them are for one source. */
  g_assert_null (try_to_connect (f, "127.0.0.1", get_port (f), &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_nonnull (strstr (error->message, "too many"));
  assert_joined (first, wait_accepted (f, 1));
}

/* ---- moving bytes ---- */

static void
test_flow_control (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) dialled = NULL;
  HyphaChannel *ends[2];

  listen_on (f, "quic://127.0.0.1:0");
  dialled = connect_to (f, "127.0.0.1");
  ends[0] = dialled;
  ends[1] = wait_accepted (f, 1);
  for (guint i = 0; i < 2; i++) {
    gsize size = fill (hypha_channel_get_fd (ends[i]), 64 * 1024);

    g_test_message ("%zu bytes are under way", size);
    g_assert_cmpuint (size, >, 64 * 1024);
    g_assert_cmpuint (size, <, 2 * 1024 * 1024);
    drain (hypha_channel_get_fd (ends[1 - i]), size);
    /* Who has read is worth more, */
    size = fill (hypha_channel_get_fd (ends[i]), 8 * 1024 * 1024);
    g_test_message ("%zu bytes are under way to who reads", size);
    g_assert_cmpuint (size, >, 8 * 1024 * 1024);
    /* but not without end. */
    g_assert_cmpuint (size, <, 10 * 1024 * 1024);
    drain (hypha_channel_get_fd (ends[1 - i]), size);
  }
}

static void
test_without_segments (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) dialled = NULL;
  HyphaChannel *accepted;

  quic_datagram_forbid_segments (TRUE);
  listen_on (f, "quic://127.0.0.1:0");
  dialled = connect_to (f, "127.0.0.1");
  accepted = wait_accepted (f, 1);
  for (guint i = 0; i < 20; i++) {
    gsize size = 64 * 1024;
    g_autofree guint8 *noise = g_malloc0 (size);

    g_assert_true (wait_ready (hypha_channel_get_fd (dialled), POLLOUT, PATIENCE_MS));
    size = (gsize) send (hypha_channel_get_fd (dialled), noise, size, MSG_NOSIGNAL);
    drain (hypha_channel_get_fd (accepted), size);
  }
  quic_datagram_forbid_segments (FALSE);
}

/* These come before the C library's, too: they look at what goes by them. */
static _Atomic guint n_cut, n_joined, n_received;

static const struct cmsghdr *
find_control (struct msghdr *message, int type)
{
  struct cmsghdr *found = CMSG_FIRSTHDR (message);

  while (found != NULL && (found->cmsg_level != SOL_UDP || found->cmsg_type != type))
    found = CMSG_NXTHDR (message, found);
  return found;
}

__attribute__ ((visibility ("default"))) ssize_t
sendmsg (int fd, const struct msghdr *message, int flags)
{
  ssize_t n = syscall (SYS_sendmsg, fd, message, flags);

  if (n > 0 && find_control ((struct msghdr *) message, UDP_SEGMENT) != NULL)
    atomic_fetch_add (&n_cut, 1);
  return n;
}

__attribute__ ((visibility ("default"))) int
recvmmsg (int fd, struct mmsghdr *messages, unsigned size, int flags, struct timespec *timeout)
{
  int n = (int) syscall (SYS_recvmmsg, fd, messages, size, flags, timeout);

  for (int i = 0; i < n; i++) {
    const struct cmsghdr *control = find_control (&messages[i].msg_hdr, UDP_GRO);
    int segment;

    atomic_fetch_add (&n_received, 1);
    if (control == NULL)
      continue;
    memcpy (&segment, CMSG_DATA (control), sizeof segment);
    if (segment > 0 && messages[i].msg_len > (guint) segment)
      atomic_fetch_add (&n_joined, 1);
  }
  return n;
}

static gboolean
kernel_has (int option, int value)
{
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  gboolean has = setsockopt (fd, SOL_UDP, option, &value, sizeof value) == 0;

  close (fd);
  return has;
}

/* Many packets in one call: the kernel cuts what goes, and joins what comes. */
static void
test_segments (Fixture *f, gconstpointer data)
{
  const gsize size = 256 * 1024;
  g_autofree guint8 *noise = g_malloc0 (size);
  g_autoptr (HyphaChannel) dialled = NULL;
  HyphaChannel *accepted;

  if (!kernel_has (UDP_SEGMENT, PACKET) || !kernel_has (UDP_GRO, 1)) {
    g_test_skip ("this kernel neither cuts nor joins datagrams (UDP_SEGMENT, UDP_GRO)");
    return;
  }
  listen_on (f, "quic://127.0.0.1:0");
  dialled = connect_to (f, "127.0.0.1");
  accepted = wait_accepted (f, 1);
  atomic_store (&n_cut, 0);
  atomic_store (&n_joined, 0);
  atomic_store (&n_received, 0);
  for (guint i = 0; i < 20; i++) {
    gssize n;

    g_assert_true (wait_ready (hypha_channel_get_fd (dialled), POLLOUT, PATIENCE_MS));
    n = send (hypha_channel_get_fd (dialled), noise, size, MSG_NOSIGNAL);
    g_assert_cmpint (n, >, 0);
    drain (hypha_channel_get_fd (accepted), (gsize) n);
  }
  g_test_message ("%u calls sent many, %u of %u that were received were many", n_cut, n_joined,
                  n_received);
  g_assert_cmpuint (n_received, >, 0);
  g_assert_cmpuint (n_cut, >, 0);
  g_assert_cmpuint (n_joined, >, 0);
}

/* A socket of IPv6 that takes both is one place, and says which. */
static void
test_both_families (Fixture *f, gconstpointer data)
{
  static const char *const hosts[] = { "127.0.0.1", "[::1]" };
  static const char *const plain[] = { "127.0.0.1", "::1" };
  int probe = socket (AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const struct sockaddr_in6 loopback = { .sin6_family = AF_INET6,
                                         .sin6_addr = IN6ADDR_LOOPBACK_INIT };
  gboolean ipv6 = bind (probe, (const struct sockaddr *) &loopback, sizeof loopback) == 0;

  close (probe);
  if (!ipv6) {
    g_test_skip ("this machine has no ::1");
    return;
  }
  listen_on (f, "quic://any:0");
  for (guint i = 0; i < 2; i++) {
    g_autofree char *local = g_strdup_printf ("quic://%s:%u", hosts[i], get_port (f));
    g_autoptr (HyphaChannel) dialled = connect_to (f, hosts[i]);
    HyphaChannel *accepted = wait_accepted (f, i + 1);

    assert_joined (dialled, accepted);
    g_assert_cmpstr (hypha_channel_get_host (accepted), ==, plain[i]);
    g_assert_cmpstr (hypha_endpoint_to_string (hypha_channel_get_local (accepted)), ==, local);
    g_assert_true (hypha_endpoint_equal (hypha_channel_get_remote (accepted),
                                         hypha_channel_get_local (dialled)));
  }
}

/* As on a machine that has IPv6 switched off, or in a sandbox; for this thread and those that it
 * makes. */
static gboolean
forbid_ipv6 (void)
{
  const guint32 family =
      offsetof (struct seccomp_data, args) + (G_BYTE_ORDER == G_BIG_ENDIAN ? 4 : 0);
  struct sock_filter steps[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, family),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = { G_N_ELEMENTS (steps), steps };

  /* Where sockets are made by another call (i386), it does nothing. */
  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
         syscall (SYS_socket, AF_INET6, SOCK_DGRAM, 0) < 0 && socket (AF_INET6, SOCK_DGRAM, 0) < 0;
}

/* Also when those who came before the listener was closed have its port still. */
static void
test_without_ipv6 (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) dialled = NULL;
  g_autofree char *bound = NULL;
  g_autofree char *again = NULL;

  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  if (!forbid_ipv6 ()) {
    g_test_skip ("no filter of system calls can be set here");
    return;
  }
  listen_on (f, "quic://any:0");
  bound = g_strdup_printf ("quic://0.0.0.0:%u", get_port (f));
  again = g_strdup_printf ("quic://any:%u", get_port (f));
  g_assert_cmpstr (hypha_endpoint_to_string (hypha_listener_get_bound (f->listener)), ==, bound);
  dialled = connect_to (f, "127.0.0.1");
  assert_joined (dialled, wait_accepted (f, 1));
  hypha_listener_close (f->listener);
  g_clear_object (&f->listener);
  listen_on (f, again);
  assert_serves (f);
  assert_joined (dialled, f->accepted->pdata[0]);
}

/* This comes before the C library's: for what happens right behind one that found the address
 * taken.
 */
static void (*when_taken) (const struct sockaddr *address, socklen_t length);

static int
call_bind (int fd, const struct sockaddr *address, socklen_t length)
{
  return (int) syscall (SYS_bind, fd, address, length);
}

__attribute__ ((visibility ("default"))) int
bind (int fd, const struct sockaddr *address, socklen_t length)
{
  int result = call_bind (fd, address, length);
  void (*then) (const struct sockaddr *address, socklen_t length) = when_taken;

  if (result < 0 && errno == EADDRINUSE && then != NULL) {
    when_taken = NULL;
    then (address, length);
    errno = EADDRINUSE;
  }
  return result;
}

static HyphaChannel *last_dialled;
static GPtrArray *last_accepted;

/* The last connection ends, and the address is free. */
static void
let_go (const struct sockaddr *address, socklen_t length)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
  gboolean taken = TRUE;

  g_clear_object (&last_dialled);
  g_ptr_array_set_size (last_accepted, 0);
  while (taken && g_get_monotonic_time () < end) {
    int fd = socket (address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    taken = call_bind (fd, address, length) < 0;
    close (fd);
    g_usleep (1000);
  }
  g_assert_false (taken);
}

/* The connections of one that was closed have its port, but no more when it is asked for them. */
static void
test_listens_again (Fixture *f, gconstpointer data)
{
  g_autofree char *again = NULL;

  listen_on (f, "quic://127.0.0.1:0");
  again = g_strdup (hypha_endpoint_to_string (hypha_listener_get_bound (f->listener)));
  last_dialled = connect_to (f, "127.0.0.1");
  wait_accepted (f, 1);
  last_accepted = f->accepted;
  hypha_listener_close (f->listener);
  g_clear_object (&f->listener);
  when_taken = let_go;
  listen_on (f, again);
  g_assert_null (when_taken);
  assert_serves (f);
}

/* All that was heard here waits for its reader, for as long as that takes: only what was cut off,
 * and is told so, may be lost. */
static void
test_slow_reader (Fixture *f, gconstpointer data)
{
  g_autofree guint8 *piece = g_malloc0 (16 * 1024);
  gsize sizes[SLOW];

  listen_on (f, "quic://127.0.0.1:0");
  /* A channel takes some, and the first window the rest: so much is heard, but for the last ones.
   */
  for (guint i = 0; i < SLOW; i++) {
    g_autoptr (HyphaChannel) dialled = connect_to (f, "127.0.0.1");
    gssize n;

    wait_accepted (f, i + 1);
    sizes[i] = (192 + 16 * i) * 1024;
    for (gsize sent = 0; sent < sizes[i]; sent += (gsize) n) {
      g_assert_true (wait_ready (hypha_channel_get_fd (dialled), POLLOUT, PATIENCE_MS));
      n = send (hypha_channel_get_fd (dialled), piece, MIN (16 * 1024, sizes[i] - sent),
                MSG_NOSIGNAL);
      g_assert_cmpint (n, >, 0);
    }
  }
  /* Whoever closes is waited for no longer than this. */
  g_usleep (2500 * 1000);
  for (guint i = 0; i < SLOW; i++) {
    HyphaChannel *accepted = f->accepted->pdata[i];
    gsize got = 0;
    gssize n;

    while ((n = read_some (hypha_channel_get_fd (accepted), piece, 16 * 1024)) > 0)
      got += (gsize) n;
    g_test_message ("%zu of %zu bytes", got, sizes[i]);
    if (got < sizes[i]) {
      g_autoptr (GError) error = hypha_channel_dup_error (accepted);

      g_assert_nonnull (error);
    }
  }
}

/* Whoever reads the end finds the reason. */
static void
test_error (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) dialled = NULL;
  g_autoptr (GError) error = NULL;
  char got;

  listen_on (f, "quic://127.0.0.1:0");
  dialled = connect_to (f, "127.0.0.1");
  wait_accepted (f, 1);
  g_assert_no_error (hypha_channel_dup_error (dialled));
  fill (hypha_channel_get_fd (dialled), 0);
  g_ptr_array_set_size (f->accepted, 0);
  g_assert_cmpint (read_some (hypha_channel_get_fd (dialled), &got, 1), <=, 0);
  /* An end of one direction is not the end of it all, which may take a while. */
  g_assert_true (wait_ready (hypha_channel_get_fd (dialled), POLLHUP, PATIENCE_MS));
  while (error == NULL) {
    struct pollfd hung_up = { .fd = hypha_channel_get_fd (dialled) };

    g_assert_cmpint (poll (&hung_up, 1, PATIENCE_MS), >, 0);
    error = hypha_channel_dup_error (dialled);
    g_assert_true (error != NULL || (hung_up.revents & POLLHUP) == 0);
  }
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
  g_test_message ("%s", error->message);
}

/* ---- while nothing happens ---- */

/* How often the thread of packets has been woken; -1: there is none. */
static gint64
count_wake_ups (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  gint64 found = -1;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_strdup_printf ("/proc/self/task/%s/status", name);
    g_autofree char *status = NULL;
    const char *count;

    if (!g_file_get_contents (path, &status, NULL, NULL) ||
        !g_str_has_prefix (status, "Name:\thypha-quic\n"))
      continue;
    count = strstr (status, "\nvoluntary_ctxt_switches:");
    if (count != NULL)
      found = g_ascii_strtoll (strchr (count, ':') + 1, NULL, 10);
  }
  return found;
}

static void
test_quiet (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) dialled = NULL;
  gint64 before, after = -1, end = g_get_monotonic_time () + PATIENCE_MS * 1000;

  listen_on (f, "quic://127.0.0.1:0");
  dialled = connect_to (f, "127.0.0.1");
  assert_joined (dialled, wait_accepted (f, 1));
  /* Acknowledgements and probes of the path come to their end. */
  do {
    before = count_wake_ups ();
    g_usleep (700 * 1000);
    after = count_wake_ups ();
  } while (after != before && g_get_monotonic_time () < end);
  g_assert_cmpint (before, >=, 0);
  g_assert_cmpint (after, ==, before);
  /* And there is no thread when there is nobody. */
  g_clear_object (&dialled);
  hypha_listener_close (f->listener);
  g_ptr_array_set_size (f->accepted, 0);
  end = g_get_monotonic_time () + PATIENCE_MS * 1000;
  while (count_wake_ups () >= 0 && g_get_monotonic_time () < end)
    g_usleep (10000);
  g_assert_cmpint (count_wake_ups (), ==, -1);
}

/* ---- what lies there until it is heard ---- */

static void
test_buffer (Fixture *f, gconstpointer data)
{
  const gsize total = 300 * 1000;
  g_autofree guint8 *bytes = g_malloc (total);
  QuicBuffer buffer = { NULL };
  guint64 ahead = 0;

  for (gsize i = 0; i < total; i++)
    bytes[i] = (guint8) (i * 7 + i / 251);
  for (gsize at = 0; at < total; at += 1000) {
    struct iovec pieces[4];
    guint n;

    quic_buffer_append (&buffer, bytes + at, 1000);
    n = quic_buffer_peek (&buffer, ahead, pieces, G_N_ELEMENTS (pieces));
    for (guint i = 0; i < n; i++) {
      g_assert_cmpmem (pieces[i].iov_base, pieces[i].iov_len, bytes + ahead, pieces[i].iov_len);
      ahead += pieces[i].iov_len;
    }
    g_assert_cmpuint (ahead, ==, at + 1000);
    /* What was heard is behind, by some. */
    if (at >= 150000)
      quic_buffer_drop (&buffer, at - 150000 + 333);
  }
  quic_buffer_drop (&buffer, total);
  g_assert_cmpuint (quic_buffer_get_size (&buffer), ==, 0);
  g_assert_null (buffer.first);
  quic_buffer_append (&buffer, bytes, 10);
  g_assert_cmpuint (buffer.end, ==, total + 10);
  quic_buffer_clear (&buffer);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add ("/quic/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("buffer/bytes-lie-still-until-they-are-dropped", test_buffer);
  ADD ("strangers/unknown-versions-are-told-the-known-one", test_versions);
  ADD ("strangers/garbage-is-dropped", test_garbage);
  ADD ("strangers/packets-of-no-connection-reset-it", test_stateless_reset);
  ADD ("strangers/under-load-they-have-to-come-again", test_retry);
  ADD ("strangers/a-few-keep-nobody-out", test_crowd);
  ADD ("strangers/one-source-gets-half-of-the-places", test_full);
  ADD ("channel/who-does-not-read-stops-who-writes", test_flow_control);
  ADD ("channel/the-kernel-cuts-and-joins-packets", test_segments);
  ADD ("channel/goes-without-segments-of-the-kernel", test_without_segments);
  ADD ("channel/both-families-on-one-socket", test_both_families);
  ADD ("channel/goes-where-there-is-no-ipv6", test_without_ipv6);
  ADD ("listener/takes-the-port-of-one-that-just-ended", test_listens_again);
  ADD ("channel/what-was-heard-waits-for-its-reader", test_slow_reader);
  ADD ("channel/tells-why-it-ended", test_error);
  ADD ("channel/is-quiet-while-nothing-happens", test_quiet);
#undef ADD
  return g_test_run ();
}
