/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <hypha.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gate.h"

/* Longer than anything takes, even under sanitizers. */
#define PATIENCE_MS 30000

static void
make_pair (int fds[2])
{
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
}

static gboolean
is_open (int fd)
{
  return fcntl (fd, F_GETFD) >= 0;
}

/* Traits */

static void
test_owns_its_descriptor (void)
{
  int fds[2];
  HyphaChannel *channel;

  make_pair (fds);
  channel = hypha_channel_new (fds[0], NULL, NULL, HYPHA_CHANNEL_NONE);
  g_assert_cmpint (hypha_channel_get_fd (channel), ==, fds[0]);
  g_assert_finalize_object (channel);
  g_assert_false (is_open (fds[0]));
  close (fds[1]);
}

static void
test_lets_its_descriptor_go (void)
{
  int fds[2];
  HyphaChannel *channel;

  make_pair (fds);
  channel = hypha_channel_new (fds[0], NULL, NULL, HYPHA_CHANNEL_NONE);
  g_assert_cmpint (hypha_channel_steal_fd (channel), ==, fds[0]);
  g_assert_cmpint (hypha_channel_get_fd (channel), ==, -1);
  g_assert_cmpint (hypha_channel_steal_fd (channel), ==, -1);
  g_assert_finalize_object (channel);
  g_assert_true (is_open (fds[0]));
  close (fds[0]);
  close (fds[1]);
}

static void
test_descriptor_is_safe (void)
{
  int fds[2];
  g_autoptr (HyphaChannel) channel = NULL;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  channel = hypha_channel_new (fds[0], NULL, NULL, HYPHA_CHANNEL_NONE);
  g_assert_cmpint (fcntl (fds[0], F_GETFL) & O_NONBLOCK, !=, 0);
  g_assert_cmpint (fcntl (fds[0], F_GETFD) & FD_CLOEXEC, !=, 0);
  close (fds[1]);
}

static void
test_keeps_its_traits (void)
{
  g_autoptr (HyphaEndpoint) local = hypha_endpoint_parse ("unix:@a", NULL);
  g_autoptr (HyphaEndpoint) remote = hypha_endpoint_parse ("unix:@b", NULL);
  g_autoptr (GBytes) binding = g_bytes_new ("0123456789abcdef0123456789abcdef", 32);
  g_autoptr (HyphaChannel) channel = NULL;
  guint32 value = 1234;
  int fds[2];

  make_pair (fds);
  channel =
      hypha_channel_new (fds[0], local, remote, HYPHA_CHANNEL_KERNEL | HYPHA_CHANNEL_PEER_IS_NODE);
  g_assert_true (hypha_channel_get_local (channel) == local);
  g_assert_true (hypha_channel_get_remote (channel) == remote);
  g_assert_cmpint (hypha_channel_get_flags (channel), ==,
                   HYPHA_CHANNEL_KERNEL | HYPHA_CHANNEL_PEER_IS_NODE);
  g_assert_null (hypha_channel_get_host (channel));
  g_assert_null (hypha_channel_get_binding (channel));
  g_assert_false (hypha_channel_get_uid (channel, &value));
  g_assert_false (hypha_channel_get_cid (channel, &value));
  g_assert_cmpuint (value, ==, 1234);
  g_assert_null (hypha_channel_dup_error (channel));

  hypha_channel_set_host (channel, "local");
  hypha_channel_set_uid (channel, 0);
  hypha_channel_set_cid (channel, 3);
  hypha_channel_set_binding (channel, binding);
  g_assert_cmpstr (hypha_channel_get_host (channel), ==, "local");
  g_assert_true (hypha_channel_get_uid (channel, &value));
  g_assert_cmpuint (value, ==, 0);
  g_assert_true (hypha_channel_get_cid (channel, &value));
  g_assert_cmpuint (value, ==, 3);
  g_assert_true (hypha_channel_get_binding (channel) == binding);
  close (fds[1]);
}

static void
test_binding_has_32_bytes (void)
{
  g_autoptr (GBytes) binding = g_bytes_new ("short", 5);
  g_autoptr (HyphaChannel) channel = NULL;
  int fds[2];

  make_pair (fds);
  channel = hypha_channel_new (fds[0], NULL, NULL, HYPHA_CHANNEL_NONE);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*g_bytes_get_size*");
  hypha_channel_set_binding (channel, binding);
  g_test_assert_expected_messages ();
  g_assert_null (hypha_channel_get_binding (channel));
  close (fds[1]);
}

/* Pumped: the engine has the channel's descriptor, FAR is behind the stream. */

typedef struct {
  HyphaChannel *channel;
  GIOStream *stream;
  int engine;
  int far;
} Pumped;

static void
start_pump (Pumped *p, GIOStream *stream)
{
  g_autoptr (GError) error = NULL;

  p->stream = stream;
  p->channel = hypha_channel_new_pumped (stream, NULL, NULL, &error);
  g_assert_no_error (error);
  p->engine = hypha_channel_get_fd (p->channel);
  g_assert_cmpint (hypha_channel_get_flags (p->channel), ==, HYPHA_CHANNEL_NONE);
}

static void
set_up_socket (Pumped *p, gconstpointer data)
{
  g_autoptr (GSocket) socket = NULL;
  int fds[2];

  make_pair (fds);
  socket = g_socket_new_from_fd (fds[0], NULL);
  p->far = fds[1];
  start_pump (p, G_IO_STREAM (g_socket_connection_factory_create_connection (socket)));
}

static void
on_stream_gone (gpointer data, GObject *stream)
{
  gate_open (data);
}

/* The pump's thread ends, and with it goes the stream. */
static void
tear_down (Pumped *p, gconstpointer data)
{
  static Gate gone = GATE_INIT; /* which no thread had to write: the last one may be GLib's */
  guint before = gate_count (&gone);

  g_object_weak_ref (G_OBJECT (p->stream), on_stream_gone, &gone);
  g_clear_object (&p->channel);
  if (p->far >= 0)
    close (p->far);
  g_object_unref (p->stream);
  gate_wait (&gone, before + 1);
}

static void
wait_ready (int fd, short events)
{
  struct pollfd poller = { fd, events, 0 };

  g_assert_cmpint (poll (&poller, 1, PATIENCE_MS), ==, 1);
}

static void
write_all (int fd, const void *data, gsize count)
{
  const guint8 *bytes = data;

  while (count > 0) {
    gssize written;

    wait_ready (fd, POLLOUT);
    written = send (fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EAGAIN)
      continue;
    g_assert_cmpint (written, >, 0);
    bytes += written;
    count -= (gsize) written;
  }
}

/* Reads until COUNT bytes or the end; returns how many. */
static gsize
read_all (int fd, void *data, gsize count)
{
  guint8 *bytes = data;
  gsize filled = 0;

  while (filled < count) {
    gssize got;

    wait_ready (fd, POLLIN);
    got = recv (fd, bytes + filled, count - filled, 0);
    g_assert_cmpint (got, >=, 0);
    if (got == 0)
      break;
    filled += (gsize) got;
  }
  return filled;
}

static void
assert_end (int fd)
{
  char byte;

  g_assert_cmpuint (read_all (fd, &byte, 1), ==, 0);
}

static void
assert_brings (int fd, const char *text)
{
  char buffer[64];

  g_assert_cmpuint (strlen (text), <=, sizeof buffer);
  g_assert_cmpuint (read_all (fd, buffer, strlen (text)), ==, strlen (text));
  g_assert_cmpmem (buffer, strlen (text), text, strlen (text));
}

static void
test_pumps_both_ways (Pumped *p, gconstpointer data)
{
  write_all (p->engine, "ping", 4);
  assert_brings (p->far, "ping");
  write_all (p->far, "pong", 4);
  assert_brings (p->engine, "pong");
  g_assert_null (hypha_channel_dup_error (p->channel));
}

static void
test_half_closes_up (Pumped *p, gconstpointer data)
{
  write_all (p->engine, "question", 8);
  g_assert_cmpint (shutdown (p->engine, SHUT_WR), ==, 0);
  assert_brings (p->far, "question");
  assert_end (p->far);
  write_all (p->far, "answer", 6);
  assert_brings (p->engine, "answer");
  close (g_steal_fd (&p->far));
  assert_end (p->engine);
  g_assert_null (hypha_channel_dup_error (p->channel));
}

static void
test_half_closes_down (Pumped *p, gconstpointer data)
{
  write_all (p->far, "all", 3);
  g_assert_cmpint (shutdown (p->far, SHUT_WR), ==, 0);
  assert_brings (p->engine, "all");
  assert_end (p->engine);
  write_all (p->engine, "thanks", 6);
  assert_brings (p->far, "thanks");
  g_assert_cmpint (shutdown (p->engine, SHUT_WR), ==, 0);
  assert_end (p->far);
  g_assert_null (hypha_channel_dup_error (p->channel));
}

typedef struct {
  int fd;
  guint8 seed;
  gsize count;
} Job;

static guint8
byte_at (guint8 seed, gsize i)
{
  return (guint8) (seed + i * 131 + (i >> 8) * 17);
}

static gpointer
send_much (gpointer data)
{
  Job *job = data;
  g_autofree guint8 *bytes = g_malloc (job->count);

  for (gsize i = 0; i < job->count; i++)
    bytes[i] = byte_at (job->seed, i);
  write_all (job->fd, bytes, job->count);
  shutdown (job->fd, SHUT_WR);
  return NULL;
}

static gpointer
receive_much (gpointer data)
{
  Job *job = data;
  g_autofree guint8 *bytes = g_malloc (job->count + 1);
  gsize got = read_all (job->fd, bytes, job->count + 1);

  g_assert_cmpuint (got, ==, job->count);
  for (gsize i = 0; i < got; i++)
    if (bytes[i] != byte_at (job->seed, i))
      g_error ("byte %" G_GSIZE_FORMAT " is wrong", i);
  return NULL;
}

static void
test_pumps_much_both_ways_at_once (Pumped *p, gconstpointer data)
{
  gsize count = 8 * 1024 * 1024 + 12345;
  Job jobs[4] = {
    { p->engine, 1, count }, { p->far, 1, count }, { p->far, 2, count }, { p->engine, 2, count }
  };
  GThread *threads[4];

  for (guint i = 0; i < 4; i++)
    threads[i] = g_thread_new ("job", i % 2 == 0 ? send_much : receive_much, &jobs[i]);
  for (guint i = 0; i < 4; i++)
    g_thread_join (threads[i]);
  g_assert_null (hypha_channel_dup_error (p->channel));
}

/* What was written before the engine hung up still arrives. */
static void
test_drains_after_the_engine_has_gone (Pumped *p, gconstpointer data)
{
  static const guint8 bytes[100000] = { 1, 2, 3 };
  g_autofree guint8 *got = g_malloc (sizeof bytes);

  write_all (p->engine, bytes, sizeof bytes);
  g_clear_object (&p->channel);
  g_assert_cmpuint (read_all (p->far, got, sizeof bytes), ==, sizeof bytes);
  g_assert_cmpmem (got, sizeof bytes, bytes, sizeof bytes);
  assert_end (p->far);
}

/* FAR takes nothing: the rest is given up after 2 s, not before. So it is when FAR has ended its
 * own direction (DATA) and the pump has nothing to read any more. */
static void
test_drains_for_two_seconds_only (Pumped *p, gconstpointer data)
{
  GSocket *outer = g_socket_connection_get_socket (G_SOCKET_CONNECTION (p->stream));
  g_autofree guint8 *bytes = g_malloc0 (1024 * 1024);
  struct pollfd poller = { p->far, POLLRDHUP, 0 };
  g_autoptr (GError) error = NULL;
  int small = 4096;
  gint64 before;

  /* More than the pump and the socket behind it can hold. */
  g_assert_cmpint (
      setsockopt (g_socket_get_fd (outer), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), ==, 0);
  if (data != NULL) {
    g_assert_cmpint (shutdown (p->far, SHUT_WR), ==, 0);
    assert_end (p->engine);
  }
  g_assert_cmpint (send (p->engine, bytes, 1024 * 1024, MSG_NOSIGNAL | MSG_DONTWAIT), >,
                   128 * 1024);
  before = g_get_monotonic_time ();
  close (hypha_channel_steal_fd (p->channel));
  g_assert_cmpint (poll (&poller, 1, PATIENCE_MS), ==, 1);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 1900 * 1000);
  error = hypha_channel_dup_error (p->channel);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
}

static void
test_engine_that_goes_is_no_error (Pumped *p, gconstpointer data)
{
  write_all (p->far, "unread", 6);
  wait_ready (p->engine, POLLIN);
  close (hypha_channel_steal_fd (p->channel));
  assert_end (p->far);
  g_assert_null (hypha_channel_dup_error (p->channel));
}

/* A stream that fails */

#define TEST_TYPE_FAILING_INPUT (test_failing_input_get_type ())
G_DECLARE_FINAL_TYPE (TestFailingInput, test_failing_input, TEST, FAILING_INPUT, GInputStream)

struct _TestFailingInput {
  GInputStream parent_instance;
  _Atomic gboolean brought; /* GIO reads on any thread of its pool */
};

G_DEFINE_FINAL_TYPE (TestFailingInput, test_failing_input, G_TYPE_INPUT_STREAM)

static gssize
test_failing_input_read (GInputStream *stream, void *buffer, gsize count, GCancellable *cancellable,
                         GError **error)
{
  TestFailingInput *self = TEST_FAILING_INPUT (stream);

  if (!self->brought) {
    self->brought = TRUE;
    memcpy (buffer, "some", 4);
    return 4;
  }
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL, "the wire is cut");
  return -1;
}

static void
test_failing_input_class_init (TestFailingInputClass *klass)
{
  G_INPUT_STREAM_CLASS (klass)->read_fn = test_failing_input_read;
}

static void
test_failing_input_init (TestFailingInput *self)
{
}

static void
set_up_failing (Pumped *p, gconstpointer data)
{
  g_autoptr (GInputStream) input = g_object_new (TEST_TYPE_FAILING_INPUT, NULL);
  g_autoptr (GOutputStream) output = g_memory_output_stream_new_resizable ();

  p->far = -1;
  start_pump (p, g_simple_io_stream_new (input, output));
}

static void
test_keeps_the_error (Pumped *p, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  assert_brings (p->engine, "some");
  assert_end (p->engine);
  error = hypha_channel_dup_error (p->channel);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  g_assert_cmpstr (error->message, ==, "the wire is cut");
}

/* A child process, say: two pipes, of which one can be closed without the other. */
static void
set_up_pipes (Pumped *p, gconstpointer data)
{
  g_autoptr (GInputStream) input = NULL;
  g_autoptr (GOutputStream) output = NULL;
  int up[2], down[2];

  g_assert_cmpint (pipe (up), ==, 0);
  g_assert_cmpint (pipe (down), ==, 0);
  input = g_unix_input_stream_new (down[0], TRUE);
  output = g_unix_output_stream_new (up[1], TRUE);
  p->far = up[0];
  start_pump (p, g_simple_io_stream_new (input, output));
  g_object_set_data (G_OBJECT (p->channel), "down", GINT_TO_POINTER (down[1]));
}

static void
test_half_closes_pipes (Pumped *p, gconstpointer data)
{
  int down = GPOINTER_TO_INT (g_object_get_data (G_OBJECT (p->channel), "down"));
  char buffer[8];

  write_all (p->engine, "in", 2);
  g_assert_cmpint (shutdown (p->engine, SHUT_WR), ==, 0);
  g_assert_cmpint (read (p->far, buffer, 2), ==, 2);
  wait_ready (p->far, POLLIN);
  g_assert_cmpint (read (p->far, buffer, sizeof buffer), ==, 0);
  g_assert_cmpint (write (down, "out", 3), ==, 3);
  assert_brings (p->engine, "out");
  close (down);
  assert_end (p->engine);
  g_assert_null (hypha_channel_dup_error (p->channel));
}

/* One that pumps by itself */

static GError *
dup_what_happened (gpointer data)
{
  const char *what = *(const char **) data;

  return what != NULL ? g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_RESET, what) : NULL;
}

static void
mark_released (gpointer data)
{
  *(const char **) data = "released";
}

static void
test_tells_what_its_own_pump_tells (void)
{
  const char *what = NULL;
  int fds[2];
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  channel = hypha_channel_new (fds[0], NULL, NULL, HYPHA_CHANNEL_NONE);
  g_assert_null (hypha_channel_dup_error (channel));
  hypha_channel_set_dup_error (channel, dup_what_happened, &what, mark_released);
  g_assert_null (hypha_channel_dup_error (channel));
  what = "cut";
  error = hypha_channel_dup_error (channel);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
  g_assert_cmpstr (error->message, ==, "cut");
  g_object_unref (channel);
  g_assert_cmpstr (what, ==, "released");
  close (fds[1]);
}

#define ADD(PATH, SET_UP, FUNC) g_test_add (PATH, Pumped, NULL, SET_UP, FUNC, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/channel/owns-its-descriptor", test_owns_its_descriptor);
  g_test_add_func ("/channel/lets-its-descriptor-go", test_lets_its_descriptor_go);
  g_test_add_func ("/channel/descriptor-is-safe", test_descriptor_is_safe);
  g_test_add_func ("/channel/keeps-its-traits", test_keeps_its_traits);
  g_test_add_func ("/channel/binding-has-32-bytes", test_binding_has_32_bytes);
  g_test_add_func ("/channel/tells-what-its-own-pump-tells", test_tells_what_its_own_pump_tells);
  ADD ("/channel/pumped/both-ways", set_up_socket, test_pumps_both_ways);
  ADD ("/channel/pumped/half-closes-up", set_up_socket, test_half_closes_up);
  ADD ("/channel/pumped/half-closes-down", set_up_socket, test_half_closes_down);
  ADD ("/channel/pumped/half-closes-pipes", set_up_pipes, test_half_closes_pipes);
  ADD ("/channel/pumped/much-both-ways-at-once", set_up_socket, test_pumps_much_both_ways_at_once);
  ADD ("/channel/pumped/drains-after-the-engine-has-gone", set_up_socket,
       test_drains_after_the_engine_has_gone);
  ADD ("/channel/pumped/drains-for-two-seconds-only", set_up_socket,
       test_drains_for_two_seconds_only);
  g_test_add ("/channel/pumped/drains-for-two-seconds-only/after-the-other-direction", Pumped, "",
              set_up_socket, test_drains_for_two_seconds_only, tear_down);
  ADD ("/channel/pumped/engine-that-goes-is-no-error", set_up_socket,
       test_engine_that_goes_is_no_error);
  ADD ("/channel/pumped/keeps-the-error", set_up_failing, test_keeps_the_error);
  return g_test_run ();
}
