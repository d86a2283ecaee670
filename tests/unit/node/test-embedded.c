/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node-pair.h"

/* Programs that hold a node: alpha opens, beta offers by its signal, and no byte passes a
 * descriptor of either. */

static gboolean
on_stream (HyphaNode *node, HyphaPeer *peer, HyphaStream *stream, gpointer user_data)
{
  *(HyphaStream **) user_data = g_object_ref (stream);
  return TRUE;
}

typedef struct {
  HyphaStream *mine, *theirs;
} Ends;

static void
ends_clear (Ends *ends)
{
  g_clear_object (&ends->mine);
  g_clear_object (&ends->theirs);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Ends, ends_clear)

static Ends
open_ends (NodePair *f)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, unix_uri);
  g_autoptr (HyphaNodePeer) peer = join (f, on_unix);
  Ends ends = { NULL, NULL };

  /* As the services of the daemon are set aside. */
  hypha_node_set_accept_func (f->b.node, NULL, NULL);
  g_signal_connect (f->b.node, "incoming-stream::app", G_CALLBACK (on_stream), &ends.theirs);
  ends.mine = must_open (peer, "app");
  g_assert_nonnull (ends.theirs);
  g_signal_handlers_disconnect_by_data (f->b.node, &ends.theirs);
  return ends;
}

static GInputStream *
input_of (HyphaStream *stream)
{
  return g_io_stream_get_input_stream (G_IO_STREAM (stream));
}

static GOutputStream *
output_of (HyphaStream *stream)
{
  return g_io_stream_get_output_stream (G_IO_STREAM (stream));
}

static void
must_write (HyphaStream *stream, const void *data, gsize length)
{
  g_autoptr (GError) error = NULL;

  g_output_stream_write_all (output_of (stream), data, length, NULL, NULL, &error);
  g_assert_no_error (error);
}

static void
expect_bytes (HyphaStream *stream, const char *text)
{
  char got[64];
  gsize n = 0;

  g_assert_true (g_input_stream_read_all (input_of (stream), got, strlen (text), &n, NULL, NULL));
  g_assert_cmpmem (got, n, text, strlen (text));
}

static void
expect_end (HyphaStream *stream)
{
  g_autoptr (GError) error = NULL;
  char byte;

  g_assert_cmpint (g_input_stream_read (input_of (stream), &byte, 1, NULL, &error), ==, 0);
  g_assert_no_error (error);
}

static GError *
end_of (HyphaStream *stream)
{
  g_autoptr (GAsyncResult) result = NULL;
  GError *error = NULL;

  hypha_stream_wait_end_async (stream, NULL, keep_result, &result);
  wait_until (result != NULL);
  hypha_stream_wait_end_finish (stream, result, NULL, NULL, &error);
  return error;
}

static void
test_half_close (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GError) mine = NULL, theirs = NULL;

  must_write (ends.mine, "question", 8);
  g_assert_true (hypha_stream_close_write (ends.mine, NULL));
  expect_bytes (ends.theirs, "question");
  expect_end (ends.theirs);
  must_write (ends.theirs, "answer", 6);
  g_assert_true (hypha_stream_close_write (ends.theirs, NULL));
  expect_bytes (ends.mine, "answer");
  expect_end (ends.mine);
  mine = end_of (ends.mine);
  theirs = end_of (ends.theirs);
  g_assert_no_error (mine);
  g_assert_no_error (theirs);
}

/* Nobody has to read the end for a stream to have ended. */
static void
test_ends_unread (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GError) error = NULL;

  must_write (ends.mine, "all", 3);
  expect_bytes (ends.theirs, "all");
  g_assert_true (hypha_stream_close_write (ends.mine, NULL));
  g_assert_true (hypha_stream_close_write (ends.theirs, NULL));
  error = end_of (ends.theirs);
  g_assert_no_error (error);
}

static void
test_reset (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (HyphaNodePeer) peer = g_object_ref (peer_of (&f->a, "beta"));
  g_autoptr (GError) error = NULL, end = NULL;
  char byte;

  g_assert_true (hypha_node_peer_close_stream (peer, hypha_stream_get_id (ends.mine), &error));
  end = end_of (ends.theirs);
  g_assert_error (end, HYPHA_ERROR, HYPHA_ERROR_RESET);
  g_assert_cmpint (g_input_stream_read (input_of (ends.theirs), &byte, 1, NULL, &error), ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
  g_clear_error (&error);
  g_assert_cmpint (g_output_stream_write (output_of (ends.theirs), "x", 1, NULL, &error), ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
}

static void
test_deadline (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char byte;

  hypha_stream_set_timeout (ends.mine, 5);
  g_assert_cmpint (g_input_stream_read (input_of (ends.mine), &byte, 1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_input_stream_read_async (input_of (ends.mine), &byte, 1, 0, NULL, keep_result, &result);
  wait_until (result != NULL);
  g_assert_cmpint (g_input_stream_read_finish (input_of (ends.mine), result, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  /* It remains usable. */
  must_write (ends.theirs, "late", 4);
  hypha_stream_set_timeout (ends.mine, 20000);
  expect_bytes (ends.mine, "late");
}

static gpointer
cancel (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_cancelled (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GThread *other = g_thread_new ("other", cancel, cancellable);
  char byte;

  g_assert_cmpint (g_input_stream_read (input_of (ends.mine), &byte, 1, cancellable, &error), ==,
                   -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (other);
  g_clear_error (&error);
  g_cancellable_reset (cancellable);
  g_input_stream_read_async (input_of (ends.mine), &byte, 1, 0, cancellable, keep_result, &result);
  other = g_thread_new ("other", cancel, cancellable);
  wait_until (result != NULL);
  g_assert_cmpint (g_input_stream_read_finish (input_of (ends.mine), result, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (other);
}

static void
test_asynchronous (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GAsyncResult) result = NULL;
  char bytes[8];

  g_input_stream_read_async (input_of (ends.theirs), bytes, sizeof bytes, 0, NULL, keep_result,
                             &result);
  must_write (ends.mine, "hello", 5);
  wait_until (result != NULL);
  g_assert_cmpint (g_input_stream_read_finish (input_of (ends.theirs), result, NULL), ==, 5);
  g_assert_false (
      g_pollable_input_stream_is_readable (G_POLLABLE_INPUT_STREAM (input_of (ends.theirs))));
  g_assert_true (
      g_pollable_output_stream_is_writable (G_POLLABLE_OUTPUT_STREAM (output_of (ends.mine))));
}

static gboolean
on_readable (GObject *stream, gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static void
test_pollable (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GSource) source =
      g_pollable_input_stream_create_source (G_POLLABLE_INPUT_STREAM (input_of (ends.mine)), NULL);
  gboolean readable = FALSE;

  g_source_set_callback (source, G_SOURCE_FUNC (on_readable), &readable, NULL);
  g_source_attach (source, NULL);
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  g_assert_false (readable);
  must_write (ends.theirs, "x", 1);
  wait_until (readable);
  expect_bytes (ends.mine, "x");
}

#define BLOCK (64 * 1024)
#define BLOCKS 1024

static gpointer
write_blocks (gpointer data)
{
  g_autofree guint32 *block = g_malloc (BLOCK);

  for (guint i = 0; i < BLOCKS; i++) {
    for (guint j = 0; j < BLOCK / 4; j++)
      block[j] = i * (BLOCK / 4) + j;
    must_write (data, block, BLOCK);
  }
  g_assert_true (hypha_stream_close_write (data, NULL));
  return NULL;
}

static void
read_blocks (HyphaStream *stream)
{
  g_autofree guint32 *block = g_malloc (BLOCK);
  gsize n;

  for (guint i = 0; i < BLOCKS; i++) {
    g_assert_true (g_input_stream_read_all (input_of (stream), block, BLOCK, &n, NULL, NULL));
    g_assert_cmpuint (n, ==, BLOCK);
    for (guint j = 0; j < BLOCK / 4; j++)
      if (block[j] != i * (BLOCK / 4) + j)
        g_error ("another word at %u of block %u", j, i);
  }
  expect_end (stream);
}

static gpointer
read_in_thread (gpointer data)
{
  read_blocks (data);
  return NULL;
}

/* Four threads: each end writes while it reads. */
static void
test_both_ways (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GError) error = NULL;
  GThread *threads[] = {
    g_thread_new ("write", write_blocks, ends.mine),
    g_thread_new ("write", write_blocks, ends.theirs),
    g_thread_new ("read", read_in_thread, ends.theirs),
  };

  read_blocks (ends.mine);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  error = end_of (ends.mine);
  g_assert_no_error (error);
}

/* A peer that does not read holds its writer up, and costs no more than the windows. */
static void
test_back_pressure (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autofree guint8 *block = g_malloc0 (BLOCK);
  g_autoptr (GError) error = NULL;
  guint64 written = 0;
  gssize n;

  hypha_stream_set_timeout (ends.mine, 200);
  while ((n = g_output_stream_write (output_of (ends.mine), block, BLOCK, NULL, &error)) > 0)
    written += (guint64) n;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpuint (written, <, 10 * 1024 * 1024);
  for (guint64 got = 0; got < written; got += (guint64) n) {
    n = g_input_stream_read (input_of (ends.theirs), block, BLOCK, NULL, NULL);
    g_assert_cmpint (n, >, 0);
  }
  must_write (ends.mine, "on", 2);
  expect_bytes (ends.theirs, "on");
}

static gpointer
read_until_it_breaks (gpointer data)
{
  GError *error = NULL;
  char byte;

  g_assert_cmpint (g_input_stream_read (input_of (data), &byte, 1, NULL, &error), ==, -1);
  return error;
}

static void
test_node_stops (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  GThread *mine = g_thread_new ("mine", read_until_it_breaks, ends.mine);
  GThread *theirs = g_thread_new ("theirs", read_until_it_breaks, ends.theirs);
  g_autoptr (GError) error = NULL;

  hypha_node_stop (f->a.node);
  error = g_thread_join (mine);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
  g_clear_error (&error);
  error = g_thread_join (theirs);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED);
}

/* What was not read yet, and what was written already, goes over the descriptor, too. */
static void
test_descriptor (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  char bytes[16];
  int fd;

  must_write (ends.theirs, "onetwo", 6);
  expect_bytes (ends.mine, "one");
  must_write (ends.mine, "first", 5);
  fd = hypha_stream_get_fd (ends.mine);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (hypha_stream_get_fd (ends.mine), ==, fd);
  g_assert_cmpint (send (fd, "second", 6, MSG_NOSIGNAL), ==, 6);
  expect_bytes (ends.theirs, "firstsecond");
  must_write (ends.theirs, "three", 5);
  expect_bytes (ends.mine, "twothree");
  fd = hypha_stream_steal_fd (ends.mine);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (hypha_stream_steal_fd (ends.mine), ==, -1);
  must_write (ends.theirs, "four", 4);
  wait_until (recv (fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_PEEK) == 4);
  close (fd);
}

/* Nobody waits for ever, nor goes round and round, in what was handed to another program. */
static void
test_handed_on (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  GThread *reader = g_thread_new ("reader", read_until_it_breaks, ends.mine);
  g_autoptr (GError) error = NULL;
  int fd;

  fd = hypha_stream_steal_fd (ends.mine);
  g_assert_cmpint (fd, >=, 0);
  error = g_thread_join (reader);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_cmpint (g_output_stream_write (output_of (ends.mine), "x", 1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_cmpint (send (fd, "still", 5, MSG_NOSIGNAL), ==, 5);
  expect_bytes (ends.theirs, "still");
  close (fd);
}

/* A program that asks for the descriptor after the peer has closed its direction early learns that
 * from it. */
static void
test_descriptor_of_the_stopped (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GError) error = NULL;
  int fd;

  g_assert_true (hypha_stream_close_read (ends.theirs, NULL));
  while (g_output_stream_write (output_of (ends.mine), "x", 1, NULL, &error) == 1)
    continue;
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
  fd = hypha_stream_get_fd (ends.mine);
  g_assert_cmpint (fd, >=, 0);
  wait_until (send (fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
  must_write (ends.theirs, "yet", 3);
  expect_bytes (ends.mine, "yet");
}

/* What came whole comes out of a descriptor that is asked for when nobody is left to move it. */
static void
test_descriptor_of_the_ended (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  g_autoptr (GError) end = NULL;

  must_write (ends.theirs, "whole", 5);
  g_assert_true (hypha_stream_close_write (ends.theirs, NULL));
  wait_until (g_pollable_input_stream_is_readable (G_POLLABLE_INPUT_STREAM (input_of (ends.mine))));
  /* Its answer has gone the whole way behind all that. */
  must_write (ends.mine, "?", 1);
  expect_bytes (ends.theirs, "?");
  wait_until (n_streams (peer_of (&f->a, "beta")) == 1);
  hypha_node_stop (f->b.node);
  end = end_of (ends.mine);
  g_assert_nonnull (end);
  g_assert_cmpint (hypha_stream_get_fd (ends.mine), >=, 0);
  expect_bytes (ends.mine, "whole");
  expect_end (ends.mine);
}

/* No descriptor is to be had, and nothing has happened to the stream. */
static void
test_no_descriptors (NodePair *f, gconstpointer data)
{
  g_auto (Ends) ends = open_ends (f);
  struct rlimit limit, none;
  int fd, number;

  must_write (ends.theirs, "one", 3);
  must_write (ends.mine, "first", 5);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  none = limit;
  none.rlim_cur = 0;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &none), ==, 0);
  fd = hypha_stream_get_fd (ends.mine);
  number = errno;
  g_assert_cmpint (hypha_stream_steal_fd (ends.mine), ==, -1);
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  g_assert_cmpint (fd, ==, -1);
  g_assert_cmpint (number, ==, EMFILE);
  must_write (ends.mine, "second", 6);
  expect_bytes (ends.theirs, "firstsecond");
  must_write (ends.theirs, "two", 3);
  expect_bytes (ends.mine, "one");
  g_assert_cmpint (hypha_stream_get_fd (ends.mine), >=, 0);
  expect_bytes (ends.mine, "two");
  must_write (ends.mine, "third", 5);
  expect_bytes (ends.theirs, "third");
}

#define CROWD 12

/* Writes until it breaks, in pieces of all sizes; the sum of what it wrote is known to nobody. */
static gpointer
write_until_it_breaks (gpointer data)
{
  guint8 block[40000];
  guint64 at = 0;

  for (gsize size = 1;; size = size * 5 % 39989 + 1) {
    gssize n;

    for (gsize i = 0; i < size; i++)
      block[i] = (guint8) ((at + i) * 31 + ((at + i) >> 8));
    n = g_output_stream_write (output_of (data), block, size, NULL, NULL);
    if (n < 0)
      return NULL;
    at += (guint64) n;
  }
}

static _Atomic guint64 n_checked;

static gpointer
check_until_it_breaks (gpointer data)
{
  guint8 block[30000];
  guint64 at = 0;

  for (gsize size = 1;; size = size * 7 % 29989 + 1) {
    gssize n = g_input_stream_read (input_of (data), block, size, NULL, NULL);

    if (n <= 0)
      return NULL;
    for (gssize i = 0; i < n; i++, at++)
      if (block[i] != (guint8) (at * 31 + (at >> 8)))
        g_error ("another byte at %" G_GUINT64_FORMAT, at);
    atomic_fetch_add (&n_checked, (guint64) n);
  }
}

/* Many threads in the streams of one worker, while links come and go, some streams turn into
 * descriptors, and at last the node stops. */
static void
test_crowd (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, unix_uri);
  g_autoptr (HyphaNodePeer) peer = join (f, on_unix);
  const int numbers[] = { EAGAIN, EPIPE, ECONNRESET };
  Ends ends[CROWD] = { 0 };
  GPtrArray *threads = g_ptr_array_new ();

  /* GLib keeps these texts behind a lock that ThreadSanitizer does not see. */
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    g_assert_nonnull (g_strerror (numbers[i]));
  hypha_node_set_accept_func (f->b.node, NULL, NULL);
  for (guint i = 0; i < CROWD; i++) {
    g_signal_connect (f->b.node, "incoming-stream::app", G_CALLBACK (on_stream), &ends[i].theirs);
    ends[i].mine = must_open (peer, "app");
    g_signal_handlers_disconnect_by_data (f->b.node, &ends[i].theirs);
    g_ptr_array_add (threads, g_thread_new ("write", write_until_it_breaks, ends[i].mine));
    g_ptr_array_add (threads, g_thread_new ("check", check_until_it_breaks, ends[i].theirs));
    g_ptr_array_add (threads, g_thread_new ("write", write_until_it_breaks, ends[i].theirs));
    g_ptr_array_add (threads, g_thread_new ("check", check_until_it_breaks, ends[i].mine));
  }
  for (guint i = 0; i < CROWD; i++) {
    g_autoptr (HyphaNodeLink) old = g_list_model_get_item (hypha_node_get_links (f->a.node), 0);
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaNodePeer) again = NULL;

    atomic_store (&n_checked, 0);
    wait_until (atomic_load (&n_checked) > 1000000);
    hypha_node_link_close (old);
    wait_until (n_links (&f->a) == 0);
    again = dial (&f->a, on_unix, NULL, &error);
    g_assert_no_error (error);
    if (i % 3 == 0)
      g_assert_cmpint (hypha_stream_get_fd (i % 2 ? ends[i].mine : ends[i].theirs), >=, 0);
  }
  hypha_node_stop (f->a.node);
  for (guint i = 0; i < threads->len; i++)
    g_thread_join (threads->pdata[i]);
  g_ptr_array_unref (threads);
  for (guint i = 0; i < CROWD; i++)
    ends_clear (&ends[i]);
}

#define ADD(name, func) \
  g_test_add ("/embedded/" name, NodePair, NULL, node_pair_set_up, func, node_pair_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("directions-close-apart", test_half_close);
  ADD ("end-need-not-be-read", test_ends_unread);
  ADD ("reset-is-an-error", test_reset);
  ADD ("deadline", test_deadline);
  ADD ("cancelled", test_cancelled);
  ADD ("asynchronous", test_asynchronous);
  ADD ("pollable", test_pollable);
  ADD ("both-ends-write-while-they-read", test_both_ways);
  ADD ("peer-that-does-not-read", test_back_pressure);
  ADD ("node-stops-while-programs-read", test_node_stops);
  ADD ("turned-into-a-descriptor", test_descriptor);
  ADD ("crowd-while-links-come-and-go", test_crowd);
  ADD ("handed-on-while-somebody-reads", test_handed_on);
  ADD ("turned-into-a-descriptor-when-nobody-listens", test_descriptor_of_the_stopped);
  ADD ("turned-into-a-descriptor-when-the-session-has-ended", test_descriptor_of_the_ended);
  ADD ("no-descriptors", test_no_descriptors);
  return g_test_run ();
}
