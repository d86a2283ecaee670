/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "contract-fixture.h"

/* What a channel is, and that it carries what it is given. */

#define LARGE (8 * 1024 * 1024)

/* What may be under way to a reader who does not read: all that kernels, pumps and windows hold. */
#define MOST_UNDER_WAY (64 * 1024 * 1024)

/* Who cannot write for so long is stopped. */
#define STOPPED_MS 200

/* An idle channel is watched until a thread that has enough to do had so much of the CPU, and may
 * cost so much meanwhile. */
#define BUSY_US (100 * G_TIME_SPAN_MILLISECOND)
#define IDLE_US (8 * G_TIME_SPAN_MILLISECOND)
#define IDLE_TIMES 10

static void
assert_host (Fixture *f, const char *host)
{
  const char *wanted = f->contract->host;
  g_autofree char *path = NULL;

  if (wanted != NULL && *wanted == '.')
    path = g_strconcat (f->directory, wanted + 1, NULL);
  g_assert_cmpstr (host, ==, path != NULL ? path : wanted);
}

/* What the transport promised, to this suite and to its host. */
static void
assert_promised (Fixture *f, HyphaChannel *channel)
{
  const Contract *contract = f->contract;
  guint32 uid = 0;

  g_assert_cmpuint (hypha_channel_get_flags (channel), ==, contract->flags);
  assert_host (f, hypha_channel_get_host (channel));
  g_assert_cmpint (hypha_channel_get_uid (channel, &uid), ==, contract->has_uid);
  if (contract->has_uid)
    g_assert_cmpuint (uid, ==, geteuid ());
  g_assert_cmpint (hypha_channel_get_cid (channel, NULL), ==, contract->has_cid);
  g_assert_cmpint (hypha_channel_get_binding (channel) != NULL, ==, contract->encrypted);
}

/* What may be said of any channel: trust goes by it. */
static void
assert_honest (Fixture *f, HyphaChannel *channel)
{
  HyphaChannelFlags flags = hypha_channel_get_flags (channel);
  HyphaVouching vouching = hypha_transport_get_vouching (f->transport);

  if (vouching != HYPHA_VOUCHING_ADDRESS)
    g_assert_cmpuint (flags & HYPHA_CHANNEL_VOUCHED_ADDRESS, ==, 0);
  if (vouching == HYPHA_VOUCHING_UID)
    g_assert_true (hypha_channel_get_uid (channel, NULL));
  /* Whoever pumps stands in between. */
  if (!(flags & HYPHA_CHANNEL_KERNEL))
    g_assert_cmpuint (flags & HYPHA_CHANNEL_PEER_IS_NODE, ==, 0);
  g_assert_cmpint ((flags & HYPHA_CHANNEL_LOSSY) != 0, ==, hypha_transport_is_lossy (f->transport));
}

static void
assert_traits (Fixture *f, HyphaChannel *channel)
{
  HyphaEndpoint *ends[] = { hypha_channel_get_local (channel), hypha_channel_get_remote (channel) };
  int fd = hypha_channel_get_fd (channel);

  g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
  g_assert_cmpint (fcntl (fd, F_GETFL) & O_NONBLOCK, ==, O_NONBLOCK);
  if (f->contract->unpromised)
    g_test_message ("flags %u, host '%s': nobody promised which", hypha_channel_get_flags (channel),
                    hypha_channel_get_host (channel));
  else
    assert_promised (f, channel);
  assert_honest (f, channel);
  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    g_autoptr (HyphaEndpoint) again = NULL;

    if (ends[i] == NULL)
      continue;
    again = fixture_parse (f, hypha_endpoint_to_string (ends[i]));
    g_assert_true (hypha_endpoint_equal (ends[i], again));
  }
}

/* It is the same at both ends, and no other channel has it. */
static void
assert_binding (Fixture *f, HyphaChannel *dialled, HarnessSink *sink)
{
  g_autoptr (HyphaChannel) other = fixture_connect (f, hypha_channel_get_remote (dialled));
  GBytes *binding = hypha_channel_get_binding (dialled);

  g_assert_nonnull (hypha_channel_get_binding (other));
  g_assert_false (g_bytes_equal (binding, hypha_channel_get_binding (other)));
  /* The far end of one that only connects is this suite's own. */
  if (f->contract->fresh != NULL)
    g_assert_true (g_bytes_equal (binding, hypha_channel_get_binding (sink->channels->pdata[0])));
}

static void
test_traits (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  g_autoptr (HyphaListener) listener = fixture_listen (f, endpoint);
  g_autoptr (HarnessSink) sink = harness_sink_new (listener);
  g_autoptr (HyphaEndpoint) with =
      hypha_endpoint_with_option (hypha_listener_get_bound (listener), "cost", "3", NULL);
  g_autoptr (HyphaChannel) dialled = fixture_connect (f, with);

  fixture_knock (f, dialled);
  g_assert_true (harness_wait_accepted (sink, 1));
  assert_traits (f, dialled);
  if (f->contract->fresh != NULL)
    assert_traits (f, sink->channels->pdata[0]);
  /* The other end is what was dialled; options are the caller's business. */
  g_assert_true (hypha_endpoint_equal (hypha_channel_get_remote (dialled),
                                       hypha_listener_get_bound (listener)));
  if (f->contract->encrypted)
    assert_binding (f, dialled, sink);
  hypha_listener_close (listener);
}

static void
test_large_exchange (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  guint64 size = harness_bytes (LARGE);
  Pair pair = pair_new (f);
  gint64 begin = g_get_monotonic_time ();

  harness_exchange (pair_get_fd (&pair, 0), pair_get_fd (&pair, 1), size, &error);
  g_assert_no_error (error);
  g_test_message ("%" G_GUINT64_FORMAT " MiB each way in %.2f s", size >> 20,
                  (double) (g_get_monotonic_time () - begin) / G_USEC_PER_SEC);
  pair_clear (&pair);
}

/* One at a time, back and forth: nothing has a reason to get lost. */
static void
test_datagrams (Fixture *f)
{
  static const guint16 sizes[] = { 0, 1, 2, 255, 256, 1472, 1473, 9000, 65507 };
  g_autofree guint8 *sent = g_malloc (2 + G_MAXUINT16);
  g_autofree guint8 *got = g_malloc (2 + G_MAXUINT16);
  Pair pair;

  pair = pair_new (f);
  for (guint i = 0; i < 2 * G_N_ELEMENTS (sizes); i++) {
    HyphaChannel *ends[] = { pair.dialled, pair.accepted };
    guint16 size = sizes[i / 2];
    gsize done = 0;

    sent[0] = (guint8) (size >> 8);
    sent[1] = (guint8) size;
    for (guint j = 0; j < size; j++)
      sent[2 + j] = (guint8) (i + j * 13 + j / 256);
    g_assert_true (harness_write_all (hypha_channel_get_fd (ends[i % 2]), sent, 2 + size));
    while (done < 2 + (gsize) size) {
      gssize n = harness_read (hypha_channel_get_fd (ends[1 - i % 2]), got + done, 2 + size - done);

      g_assert_cmpint (n, >, 0);
      done += (gsize) n;
    }
    g_assert_cmpmem (got, done, sent, 2 + size);
  }
  pair_clear (&pair);
}

static void
test_outlives_listener (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  Pair pair;

  pair = pair_new (f);
  hypha_listener_close (pair.listener);
  harness_exchange (hypha_channel_get_fd (pair.dialled), hypha_channel_get_fd (pair.accepted),
                    100000, &error);
  g_assert_no_error (error);
  pair_clear (&pair);
}

/* ---- a reader who does not read ---- */

/* Writes until nothing goes any more, and tells how much went. */
static gsize
write_until_stopped (int fd)
{
  static guint8 piece[64 * 1024];
  struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
  gsize written = 0;

  while (written <= MOST_UNDER_WAY && poll (&pollfd, 1, STOPPED_MS) > 0) {
    gssize n;

    for (gsize i = 0; i < sizeof piece; i += 64)
      piece[i] = (guint8) ((written + i) >> 6);
    n = send (fd, piece, sizeof piece, MSG_NOSIGNAL);
    g_assert_cmpint (n, >, 0);
    written += (gsize) n;
  }
  return written;
}

static void
read_exactly (int fd, gsize size)
{
  static guint8 piece[64 * 1024];

  for (gssize n; size > 0; size -= (gsize) n) {
    n = harness_read (fd, piece, MIN (size, sizeof piece));
    g_assert_cmpint (n, >, 0);
  }
}

static void
test_slow_reader (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  Pair pair = pair_new (f);

  for (guint writer = 0; writer < 2; writer++) {
    gsize written = write_until_stopped (pair_get_fd (&pair, writer));

    g_test_message ("%zu KiB were under way", written / 1024);
    g_assert_cmpuint (written, <=, MOST_UNDER_WAY);
    /* The other direction has nothing to do with it. */
    g_assert_true (harness_write_all (pair_get_fd (&pair, 1 - writer), "meanwhile", 9));
    read_exactly (pair_get_fd (&pair, writer), 9);
    read_exactly (pair_get_fd (&pair, 1 - writer), written);
  }
  /* All of it went through, and more does. */
  harness_exchange (pair_get_fd (&pair, 0), pair_get_fd (&pair, 1), 100000, &error);
  g_assert_no_error (error);
  pair_clear (&pair);
}

/* ---- nothing to do ---- */

static gint64
get_cpu_us (clockid_t clock)
{
  struct timespec time;

  g_assert_cmpint (clock_gettime (clock, &time), ==, 0);
  return time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

static gboolean
on_busy_end (gpointer ended)
{
  *(gboolean *) ended = TRUE;
  return G_SOURCE_REMOVE;
}

static gpointer
be_busy (gpointer ended)
{
  while (get_cpu_us (CLOCK_THREAD_CPUTIME_ID) < BUSY_US)
    continue;
  g_idle_add (on_busy_end, ended);
  return NULL;
}

/* What the process takes while nothing has to be done, besides what its busy thread does. That
 * thread is the clock: where others want the CPU, too, a window in time could go by without
 * anything that this process wants to do. */
static gint64
measure_idle_us (void)
{
  gint64 before = get_cpu_us (CLOCK_PROCESS_CPUTIME_ID);
  gboolean ended = FALSE;
  GThread *busy = g_thread_new ("busy", be_busy, &ended);

  while (!ended)
    g_main_context_iteration (NULL, TRUE);
  g_thread_join (busy);
  return get_cpu_us (CLOCK_PROCESS_CPUTIME_ID) - before - BUSY_US;
}

/* Whoever is at rest is so after a while, for what came before takes its time; whoever turns
 * without end never is. */
static void
assert_idle (const char *what)
{
  gint64 us = G_MAXINT64;

  for (guint i = 0; i < IDLE_TIMES && us >= IDLE_US; i++) {
    us = measure_idle_us ();
    g_test_message ("%s: %" G_GINT64_FORMAT " us of CPU", what, us);
  }
  g_assert_cmpint (us, <, IDLE_US);
}

static void
test_idle (Fixture *f)
{
  Pair pair = pair_new (f);
  char byte;

  assert_idle ("open");
  /* An end that has been told is told again by every poll. */
  if (f->contract->half_close) {
    g_assert_cmpint (shutdown (pair_get_fd (&pair, 0), SHUT_WR), ==, 0);
    g_assert_cmpint (harness_read (pair_get_fd (&pair, 1), &byte, 1), ==, 0);
    assert_idle ("half-closed");
  }
  pair_clear (&pair);
}

const ContractTest contract_channel_tests[] = {
  { "channel/has-its-traits", test_traits, NEEDS_CHANNEL,
    "flags, host, credentials, binding and endpoints of a channel are as they were promised" },
  { "channel/carries-a-lot-both-ways-at-once", test_large_exchange, NEEDS_CHANNEL | NEEDS_STREAM,
    "what arrives is what was sent, both ways at once" },
  { "channel/carries-datagrams-of-any-size", test_datagrams, NEEDS_CHANNEL | NEEDS_LOSSY,
    "datagrams of any size arrive whole" },
  { "channel/outlives-its-listener", test_outlives_listener, NEEDS_CHANNEL | NEEDS_STREAM,
    "a channel goes on when the listener that accepted it is closed" },
  { "channel/slow-reader-stops-the-writer", test_slow_reader, NEEDS_CHANNEL | NEEDS_STREAM,
    "who writes to a reader who does not read is stopped, and nothing of it is lost" },
  { "channel/idle-costs-nothing", test_idle, NEEDS_CHANNEL,
    "a channel on which nothing happens takes no processor time, half-closed neither" },
  { NULL, NULL, 0, NULL },
};
