/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <sys/socket.h>

#include "contract-fixture.h"

/* How channels end. */

#define LAST (1024 * 1024)
#define AFTER_HALF (1024 * 1024)

/* ---- one direction ---- */

static gboolean
has_half_close (Fixture *f)
{
  if (f->contract->half_close)
    return TRUE;
  g_test_skip (f->contract->unpromised ? "nobody promised that the end of one direction is carried"
                                       : "this transport does not carry the end of one direction");
  return FALSE;
}

/* Reads until the end, and tells how much there was. */
static gsize
read_to_end (int fd)
{
  static char buffer[64 * 1024];
  gsize got = 0;
  gssize n;

  while ((n = harness_read (fd, buffer, sizeof buffer)) > 0)
    got += (gsize) n;
  g_assert_cmpint (n, ==, 0);
  return got;
}

/* Who dialled first, then who was dialled. */
static void
test_half_close (Fixture *f)
{
  char buffer[64];

  for (guint first = 0; has_half_close (f) && first < 2; first++) {
    Pair pair = pair_new (f);
    int a = pair_get_fd (&pair, first);
    int b = pair_get_fd (&pair, 1 - first);

    g_assert_true (harness_write_all (a, "question", 8));
    g_assert_cmpint (shutdown (a, SHUT_WR), ==, 0);
    g_assert_cmpint (harness_read (b, buffer, sizeof buffer), ==, 8);
    g_assert_cmpint (harness_read (b, buffer, sizeof buffer), ==, 0);
    g_assert_true (harness_write_all (b, "answer", 6));
    g_assert_cmpint (harness_read (a, buffer, sizeof buffer), ==, 6);
    g_assert_cmpint (shutdown (b, SHUT_WR), ==, 0);
    g_assert_cmpint (harness_read (a, buffer, sizeof buffer), ==, 0);
    pair_clear (&pair);
  }
}

/* What one thread writes while another reads. */
typedef struct {
  int fd;
  gsize size;
  gboolean written;
} Writer;

static gpointer
write_and_end (gpointer data)
{
  Writer *writer = data;
  g_autofree guint8 *bytes = g_malloc0 (writer->size);

  writer->written =
      harness_write_all (writer->fd, bytes, writer->size) && shutdown (writer->fd, SHUT_WR) == 0;
  return NULL;
}

/* The direction that goes on carries as much as any. */
static void
test_much_after_half_close (Fixture *f)
{
  for (guint first = 0; has_half_close (f) && first < 2; first++) {
    Pair pair = pair_new (f);
    Writer writer = { pair_get_fd (&pair, 1 - first), AFTER_HALF, FALSE };
    GThread *thread;

    g_assert_cmpint (shutdown (pair_get_fd (&pair, first), SHUT_WR), ==, 0);
    g_assert_cmpuint (read_to_end (writer.fd), ==, 0);
    thread = g_thread_new ("writer", write_and_end, &writer);
    g_assert_cmpuint (read_to_end (pair_get_fd (&pair, first)), ==, AFTER_HALF);
    g_thread_join (thread);
    g_assert_true (writer.written);
    pair_clear (&pair);
  }
}

static void
test_good_end (Fixture *f)
{
  Pair pair;

  if (!has_half_close (f))
    return;
  pair = pair_new (f);
  for (guint end = 0; end < 2; end++) {
    g_assert_true (harness_write_all (pair_get_fd (&pair, end), "last", 4));
    g_assert_cmpint (shutdown (pair_get_fd (&pair, end), SHUT_WR), ==, 0);
    g_assert_cmpuint (read_to_end (pair_get_fd (&pair, 1 - end)), ==, 4);
  }
  for (guint end = 0; end < 2; end++) {
    g_autoptr (GError) error = hypha_channel_dup_error (end == 0 ? pair.dialled : pair.accepted);

    g_assert_no_error (error);
  }
  pair_clear (&pair);
}

/* ---- both directions ---- */

/* Whatever is read from FD, it ends. */
static gboolean
ends (int fd)
{
  char buffer[4096];
  gssize n;

  while ((n = harness_read (fd, buffer, sizeof buffer)) > 0)
    continue;
  return n == 0 || errno != ETIMEDOUT;
}

static void
test_close_is_seen (Fixture *f)
{
  for (guint end = 0; end < 2; end++) {
    Pair pair = pair_new (f);
    char buffer[64];

    g_assert_true (harness_write_all (pair_get_fd (&pair, end), "last", 4));
    pair_close_end (&pair, end);
    g_assert_cmpint (harness_read (pair_get_fd (&pair, 1 - end), buffer, sizeof buffer), ==, 4);
    g_assert_true (ends (pair_get_fd (&pair, 1 - end)));
    pair_clear (&pair);
  }
}

/* As much as goes at once, so that some of it is still under way. */
static gsize
write_what_goes (int fd)
{
  static char piece[16 * 1024];
  gsize written = 0;
  gssize n;

  while (written < LAST && (n = send (fd, piece, sizeof piece, MSG_NOSIGNAL)) > 0)
    written += (gsize) n;
  return written;
}

static void
test_last_bytes (Fixture *f)
{
  for (guint end = 0; end < 2; end++) {
    Pair pair = pair_new (f);
    gsize written = write_what_goes (pair_get_fd (&pair, end));
    static char buffer[64 * 1024];
    gsize got = 0;
    gssize n;

    pair_close_end (&pair, end);
    while ((n = harness_read (pair_get_fd (&pair, 1 - end), buffer, sizeof buffer)) > 0)
      got += (gsize) n;
    g_test_message ("%zu KiB", written / 1024);
    g_assert_cmpuint (got, ==, written);
    g_assert_false (n < 0 && errno == ETIMEDOUT);
    pair_clear (&pair);
  }
}

/* Writes to FD until that fails; what is under way goes first. */
static gboolean
breaks (int fd)
{
  static char piece[64 * 1024];

  for (guint i = 0; i < 2048; i++)
    if (!harness_write_all (fd, piece, sizeof piece))
      return errno != ETIMEDOUT;
  return FALSE;
}

static void
test_close_with_unread (Fixture *f)
{
  guint before = fixture_count_at_rest (f);

  for (guint end = 0; end < 2; end++) {
    Pair pair = pair_new (f);
    char byte;

    g_assert_true (harness_write_all (pair_get_fd (&pair, 1 - end), "never read", 10));
    /* One byte shows that the others are there. */
    g_assert_cmpint (harness_read (pair_get_fd (&pair, end), &byte, 1), ==, 1);
    pair_close_end (&pair, end);
    g_assert_true (ends (pair_get_fd (&pair, 1 - end)));
    g_assert_true (breaks (pair_get_fd (&pair, 1 - end)));
    pair_clear (&pair);
  }
  g_assert_true (harness_wait_descriptors (before));
}

static void
test_cut_is_told (Fixture *f)
{
  if (!f->contract->tells_cut) {
    g_test_skip ("nobody promised that this transport tells it");
    return;
  }
  for (guint end = 0; end < 2; end++) {
    Pair pair = pair_new (f);
    HyphaChannel *other = end == 0 ? pair.accepted : pair.dialled;
    g_autoptr (GError) error = NULL;
    char byte;
    gssize n;

    g_assert_true (harness_write_all (pair_get_fd (&pair, 1 - end), "never read", 10));
    g_assert_cmpint (harness_read (pair_get_fd (&pair, end), &byte, 1), ==, 1);
    pair_close_end (&pair, end);
    n = harness_read (hypha_channel_get_fd (other), &byte, 1);
    g_assert_cmpint (n, <=, 0);
    error = hypha_channel_dup_error (other);
    g_test_message ("%s", n < 0 ? g_strerror (errno) : error != NULL ? error->message : "-");
    g_assert_true (n < 0 || error != NULL);
    pair_clear (&pair);
  }
}

/* ---- at once ---- */

static void
on_close_at_once (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  guint *accepted = user_data;
  int fd = hypha_channel_steal_fd (channel);

  g_assert_cmpint (fd, >=, 0);
  g_assert_true (g_close (fd, NULL));
  (*accepted)++;
}

static gboolean
has_one (gpointer data)
{
  return *(guint *) data >= 1;
}

static void
test_closed_by_who_accepts (Fixture *f)
{
  guint before = fixture_count_at_rest (f);
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  g_autoptr (HyphaListener) listener = fixture_listen (f, endpoint);
  guint accepted = 0;

  g_signal_connect (listener, "accepted", G_CALLBACK (on_close_at_once), &accepted);
  for (guint i = 0; i < 10; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaChannel) channel = NULL;

    accepted = 0;
    channel =
        harness_connect (f->transport, hypha_listener_get_bound (listener), CONNECT_MS, &error);
    if (channel == NULL) {
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
      continue;
    }
    g_assert_true (harness_wait (has_one, &accepted));
    g_assert_true (ends (hypha_channel_get_fd (channel)));
  }
  hypha_listener_close (listener);
  g_assert_true (harness_wait_descriptors (before));
}

static void
test_closed_by_who_dials (Fixture *f)
{
  guint before = fixture_count_at_rest (f);
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  g_autoptr (HyphaListener) listener = fixture_listen (f, endpoint);
  g_autoptr (HarnessSink) sink = harness_sink_new (listener);
  g_autoptr (HyphaChannel) last = NULL;

  for (guint i = 0; i < 10; i++)
    g_object_unref (fixture_connect (f, hypha_listener_get_bound (listener)));
  /* Whether those were accepted or not: one that stays is. */
  last = fixture_connect (f, hypha_listener_get_bound (listener));
  g_assert_true (harness_write_all (hypha_channel_get_fd (last), "x", 1));
  for (guint i = 0;; i++) {
    char byte;

    g_assert_true (harness_wait_accepted (sink, i + 1));
    if (harness_read (hypha_channel_get_fd (sink->channels->pdata[i]), &byte, 1) == 1)
      break;
  }
  hypha_listener_close (listener);
  g_clear_object (&last);
  g_ptr_array_set_size (sink->channels, 0);
  g_assert_true (harness_wait_descriptors (before));
}

const ContractTest contract_close_tests[] = {
  { "channel/half-close-arrives", test_half_close, NEEDS_CHANNEL | NEEDS_STREAM,
    "the end of one direction arrives and the other goes on, whichever side begins" },
  { "channel/half-close-leaves-the-other-way-whole", test_much_after_half_close,
    NEEDS_CHANNEL | NEEDS_STREAM,
    "the direction that goes on carries as much as any, and its end arrives" },
  { "channel/good-end-is-no-error", test_good_end, NEEDS_CHANNEL | NEEDS_STREAM,
    "a channel whose directions have both ended as they should has no error" },
  { "channel/close-is-seen-after-the-last-byte", test_close_is_seen, NEEDS_CHANNEL | NEEDS_STREAM,
    "who closes a channel is gone for the other end, after what was written last" },
  { "channel/what-was-written-before-the-close-arrives", test_last_bytes,
    NEEDS_CHANNEL | NEEDS_STREAM, "all that was written before a close arrives, either way" },
  { "channel/close-with-unread-ends-it", test_close_with_unread, NEEDS_CHANNEL | NEEDS_STREAM,
    "a channel closed with bytes unread ends at the other end, for reading and for writing" },
  { "channel/cut-is-told", test_cut_is_told, NEEDS_CHANNEL | NEEDS_STREAM,
    "what was cut off never looks as if it had ended well" },
  { "channel/closed-at-once-by-who-accepts", test_closed_by_who_accepts,
    NEEDS_CHANNEL | NEEDS_STREAM, "a channel closed as it is accepted ends for who dialled" },
  { "channel/closed-at-once-by-who-dials", test_closed_by_who_dials, NEEDS_CHANNEL | NEEDS_STREAM,
    "channels closed as soon as they are there do not disturb those that stay" },
  { NULL, NULL, 0, NULL },
};
