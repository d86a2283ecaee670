/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <hypha.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A stream, and the other end of its socketpair, where the engine would be. */
typedef struct {
  HyphaStream *stream;
  GInputStream *input;
  GOutputStream *output;
  int engine;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  f->stream = hypha_stream_new (fds[0], 7, "echo");
  f->input = g_io_stream_get_input_stream (G_IO_STREAM (f->stream));
  f->output = g_io_stream_get_output_stream (G_IO_STREAM (f->stream));
  f->engine = fds[1];
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  if (f->engine >= 0)
    close (f->engine);
  g_assert_finalize_object (f->stream);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer data)
{
  g_set_object ((GAsyncResult **) data, result);
}

static void
wait_for (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
}

/* Fills the direction to the engine until it takes no more. */
static gsize
fill (Fixture *f)
{
  static const char zeros[4096];
  gsize total = 0;

  for (;;) {
    g_autoptr (GError) error = NULL;
    gssize count = g_pollable_output_stream_write_nonblocking (G_POLLABLE_OUTPUT_STREAM (f->output),
                                                               zeros, sizeof zeros, NULL, &error);

    if (count < 0) {
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
      return total;
    }
    total += (gsize) count;
  }
}

/* GSocket asks this of every descriptor that it is made of. */
static gboolean fail_getsockname;

G_MODULE_EXPORT int
getsockname (int fd, struct sockaddr *address, socklen_t *length)
{
  if (fail_getsockname) {
    errno = ENOBUFS;
    return -1;
  }
  return (int) syscall (SYS_getsockname, fd, address, length);
}

/* Traits */

static void
test_tells_what_it_is (Fixture *f, gconstpointer data)
{
  g_autofree char *service = NULL;
  guint64 id = 0;

  g_assert_cmpuint (hypha_stream_get_id (f->stream), ==, 7);
  g_assert_cmpstr (hypha_stream_get_service (f->stream), ==, "echo");
  g_object_get (f->stream, "id", &id, "service", &service, NULL);
  g_assert_cmpuint (id, ==, 7);
  g_assert_cmpstr (service, ==, "echo");
  g_assert_cmpint (fcntl (hypha_stream_get_fd (f->stream), F_GETFL) & O_NONBLOCK, !=, 0);
}

static void
test_refuses_what_is_no_socket (void)
{
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  g_assert_null (hypha_stream_new (fds[0], 1, "echo"));
  g_assert_cmpint (fcntl (fds[0], F_GETFD), ==, -1);
  close (fds[1]);
}

/* Its number may be somebody else's the moment after. */
static void
test_leaves_a_descriptor_that_is_gone_alone (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  int others[2];
  char buffer[4];

  fail_getsockname = TRUE;
  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, NULL, &error), ==, -1);
  fail_getsockname = FALSE;
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
  g_clear_error (&error);

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, others), ==, 0);
  g_assert_cmpint (write (others[0], "x", 1), ==, 1);
  g_assert_cmpint (write (others[1], "x", 1), ==, 1);
  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_assert_cmpint (hypha_stream_steal_fd (f->stream), ==, -1);
  g_io_stream_close (G_IO_STREAM (f->stream), NULL, NULL);
  for (guint i = 0; i < 2; i++) {
    g_assert_cmpint (read (others[i], buffer, sizeof buffer), ==, 1);
    close (others[i]);
  }
}

static void
test_lets_its_descriptor_go (Fixture *f, gconstpointer used)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GSource) source = NULL;
  char buffer[4];
  int fd;

  if (used != NULL)
    g_assert_cmpint (g_output_stream_write (f->output, "x", 1, NULL, &error), ==, 1);
  fd = hypha_stream_steal_fd (f->stream);
  g_assert_cmpint (fcntl (fd, F_GETFL) & O_NONBLOCK, !=, 0);
  g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, !=, 0);
  g_assert_cmpint (hypha_stream_get_fd (f->stream), ==, -1);
  g_assert_cmpint (hypha_stream_steal_fd (f->stream), ==, -1);
  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_false (hypha_stream_close_write (f->stream, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
  /* Whoever polls is not left waiting. */
  source = g_pollable_input_stream_create_source (G_POLLABLE_INPUT_STREAM (f->input), NULL);
  g_source_set_dummy_callback (source);
  g_source_attach (source, NULL);
  g_main_context_iteration (NULL, TRUE);
  g_source_destroy (source);

  /* Nothing was shut down, and the end is told as ever. */
  g_assert_cmpint (write (f->engine, "x", 1), ==, 1);
  g_assert_cmpint (read (fd, buffer, sizeof buffer), ==, 1);
  hypha_stream_wait_end_async (f->stream, NULL, on_result, &result);
  hypha_stream_ended (f->stream, 0, 0, NULL);
  wait_for (&result);
  g_assert_true (hypha_stream_wait_end_finish (f->stream, result, NULL, NULL, NULL));
  close (fd);
}

/* Bytes */

static void
test_sync_bytes (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  char buffer[16] = "";

  g_assert_cmpint (write (f->engine, "hello", 5), ==, 5);
  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, NULL, &error), ==, 5);
  g_assert_no_error (error);
  g_assert_cmpmem (buffer, 5, "hello", 5);

  g_assert_cmpint (g_output_stream_write (f->output, "world", 5, NULL, &error), ==, 5);
  g_assert_no_error (error);
  g_assert_cmpint (read (f->engine, buffer, sizeof buffer), ==, 5);
  g_assert_cmpmem (buffer, 5, "world", 5);
}

static gpointer
write_later (gpointer data)
{
  Fixture *f = data;

  g_assert_cmpint (write (f->engine, "late", 4), ==, 4);
  return NULL;
}

static void
test_sync_read_waits (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  char buffer[16];
  GThread *thread = g_thread_new ("writer", write_later, f);

  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, NULL, &error), ==, 4);
  g_assert_no_error (error);
  g_thread_join (thread);
}

static void
test_async_read_waits (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[16];

  g_input_stream_read_async (f->input, buffer, sizeof buffer, G_PRIORITY_DEFAULT, NULL, on_result,
                             &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  g_assert_cmpint (write (f->engine, "later", 5), ==, 5);
  wait_for (&result);
  g_assert_cmpint (g_input_stream_read_finish (f->input, result, &error), ==, 5);
  g_assert_no_error (error);
  g_assert_cmpmem (buffer, 5, "later", 5);
}

static void
test_async_write_waits (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  gsize filled = fill (f);
  g_autofree char *sink = g_malloc (filled);

  g_output_stream_write_async (f->output, "x", 1, G_PRIORITY_DEFAULT, NULL, on_result, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  for (gsize taken = 0; taken < filled;)
    taken += (gsize) read (f->engine, sink, filled);
  wait_for (&result);
  g_assert_cmpint (g_output_stream_write_finish (f->output, result, &error), ==, 1);
  g_assert_no_error (error);
}

static gboolean
on_pollable (GObject *stream, gpointer data)
{
  *(guint *) data += 1;
  return G_SOURCE_REMOVE;
}

static void
test_is_pollable (Fixture *f, gconstpointer data)
{
  GPollableInputStream *input = G_POLLABLE_INPUT_STREAM (f->input);
  g_autoptr (GSource) source = g_pollable_input_stream_create_source (input, NULL);
  g_autoptr (GError) error = NULL;
  char buffer[4];
  guint ready = 0;

  g_source_set_callback (source, G_SOURCE_FUNC (on_pollable), &ready, NULL);
  g_source_attach (source, NULL);
  g_assert_false (g_pollable_input_stream_is_readable (input));
  g_assert_cmpint (
      g_pollable_input_stream_read_nonblocking (input, buffer, sizeof buffer, NULL, &error), ==,
      -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (ready, ==, 0);

  g_assert_cmpint (write (f->engine, "x", 1), ==, 1);
  while (ready == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (g_pollable_input_stream_is_readable (input));
  g_assert_true (g_pollable_output_stream_is_writable (G_POLLABLE_OUTPUT_STREAM (f->output)));
  fill (f);
  g_assert_false (g_pollable_output_stream_is_writable (G_POLLABLE_OUTPUT_STREAM (f->output)));
}

/* Deadlines */

static void
test_sync_deadlines (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 before = g_get_monotonic_time ();
  char buffer[4];

  hypha_stream_set_timeout (f->stream, 30);
  g_assert_cmpuint (hypha_stream_get_timeout (f->stream), ==, 30);
  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 30000);
  g_clear_error (&error);

  fill (f);
  g_assert_cmpint (g_output_stream_write (f->output, "x", 1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);

  /* The stream has survived it. */
  g_assert_cmpint (write (f->engine, "x", 1), ==, 1);
  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, NULL, &error), ==, 1);
}

static void
test_async_deadlines (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) read_result = NULL;
  g_autoptr (GAsyncResult) write_result = NULL;
  g_autoptr (GError) error = NULL;
  gint64 before = g_get_monotonic_time ();
  char buffer[4];

  fill (f);
  hypha_stream_set_timeout (f->stream, 30);
  g_input_stream_read_async (f->input, buffer, sizeof buffer, G_PRIORITY_DEFAULT, NULL, on_result,
                             &read_result);
  g_output_stream_write_async (f->output, "x", 1, G_PRIORITY_DEFAULT, NULL, on_result,
                               &write_result);
  wait_for (&read_result);
  wait_for (&write_result);
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 29000);
  g_assert_cmpint (g_input_stream_read_finish (f->input, read_result, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_clear_error (&error);
  g_assert_cmpint (g_output_stream_write_finish (f->output, write_result, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static gboolean
on_flag (gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

/* A read that was served in time is not answered once more when its time is over. */
static void
test_served_read_forgets_its_deadline (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  gboolean over = FALSE;
  char buffer[4];

  hypha_stream_set_timeout (f->stream, 200);
  g_input_stream_read_async (f->input, buffer, sizeof buffer, G_PRIORITY_DEFAULT, NULL, on_result,
                             &result);
  g_timeout_add (250, on_flag, &over);
  g_assert_cmpint (write (f->engine, "x", 1), ==, 1);
  wait_for (&result);
  while (!over)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (g_input_stream_read_finish (f->input, result, &error), ==, 1);
  g_assert_no_error (error);
}

/* Cancellation */

static gpointer
cancel_later (gpointer data)
{
  g_cancellable_cancel (data);
  return NULL;
}

static void
test_sync_read_is_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  char buffer[4];
  GThread *thread = g_thread_new ("canceller", cancel_later, cancellable);

  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, cancellable, &error), ==,
                   -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_thread_join (thread);
}

static void
test_async_read_is_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[4];

  g_input_stream_read_async (f->input, buffer, sizeof buffer, G_PRIORITY_DEFAULT, cancellable,
                             on_result, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  g_cancellable_cancel (cancellable);
  wait_for (&result);
  g_assert_cmpint (g_input_stream_read_finish (f->input, result, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* Directions */

static void
test_write_closes_apart (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  char buffer[8];

  g_assert_cmpint (g_output_stream_write (f->output, "last", 4, NULL, NULL), ==, 4);
  g_assert_true (hypha_stream_close_write (f->stream, &error));
  g_assert_no_error (error);
  g_assert_cmpint (read (f->engine, buffer, sizeof buffer), ==, 4);
  g_assert_cmpint (read (f->engine, buffer, sizeof buffer), ==, 0);

  g_assert_cmpint (write (f->engine, "answer", 6), ==, 6);
  g_assert_cmpint (g_input_stream_read (f->input, buffer, sizeof buffer, NULL, &error), ==, 6);
  g_assert_no_error (error);
  g_assert_cmpint (g_output_stream_write (f->output, "x", 1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

static void
test_read_closes_apart (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  char buffer[8];

  g_assert_true (hypha_stream_close_read (f->stream, &error));
  g_assert_no_error (error);
  g_assert_cmpint (send (f->engine, "x", 1, MSG_NOSIGNAL), ==, -1);
  g_assert_cmpint (g_output_stream_write (f->output, "still", 5, NULL, &error), ==, 5);
  g_assert_no_error (error);
  g_assert_cmpint (read (f->engine, buffer, sizeof buffer), ==, 5);
}

static void
test_close_read_ends_a_read_under_way (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[4];

  g_input_stream_read_async (f->input, buffer, sizeof buffer, G_PRIORITY_DEFAULT, NULL, on_result,
                             &result);
  g_assert_true (hypha_stream_close_read (f->stream, &error));
  wait_for (&result);
  g_assert_cmpint (g_input_stream_read_finish (f->input, result, &error), ==, 0);
  g_assert_no_error (error);
}

static void
test_close_write_waits_for_the_write_under_way (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  fill (f);
  g_output_stream_write_async (f->output, "x", 1, G_PRIORITY_DEFAULT, cancellable, on_result,
                               &result);
  g_assert_false (hypha_stream_close_write (f->stream, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PENDING);
  g_cancellable_cancel (cancellable);
  wait_for (&result);
}

static void
test_close_closes_both (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[4];

  g_io_stream_close_async (G_IO_STREAM (f->stream), G_PRIORITY_DEFAULT, NULL, on_result, &result);
  wait_for (&result);
  g_assert_true (g_io_stream_close_finish (G_IO_STREAM (f->stream), result, &error));
  g_assert_no_error (error);
  g_assert_cmpint (read (f->engine, buffer, sizeof buffer), ==, 0);
  g_assert_cmpint (send (f->engine, "x", 1, MSG_NOSIGNAL), ==, -1);
  g_assert_cmpint (hypha_stream_get_fd (f->stream), ==, -1);
}

static void
test_write_to_a_gone_engine_fails (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  close (g_steal_fd (&f->engine));
  g_assert_cmpint (g_output_stream_write (f->output, "x", 1, NULL, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
}

/* The end */

static void
test_end_is_told_to_all (Fixture *f, gconstpointer data)
{
  GAsyncResult *results[3] = { NULL };

  hypha_stream_wait_end_async (f->stream, NULL, on_result, &results[0]);
  hypha_stream_wait_end_async (f->stream, NULL, on_result, &results[1]);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (results[0]);
  hypha_stream_ended (f->stream, 11, 22, NULL);
  hypha_stream_wait_end_async (f->stream, NULL, on_result, &results[2]);

  for (guint i = 0; i < G_N_ELEMENTS (results); i++) {
    g_autoptr (GError) error = NULL;
    guint64 received = 0, sent = 0;

    wait_for (&results[i]);
    g_assert_true (hypha_stream_wait_end_finish (f->stream, results[i], &received, &sent, &error));
    g_assert_no_error (error);
    g_assert_cmpuint (received, ==, 11);
    g_assert_cmpuint (sent, ==, 22);
    g_object_unref (results[i]);
  }
}

static void
test_end_tells_the_error_and_the_counts (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) reset = g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET, "it was reset");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint64 received = 0, sent = 0;

  hypha_stream_wait_end_async (f->stream, NULL, on_result, &result);
  hypha_stream_ended (f->stream, 1, 2, reset);
  /* Whoever comes second knows less. */
  hypha_stream_ended (f->stream, 3, 4, NULL);
  wait_for (&result);
  g_assert_false (hypha_stream_wait_end_finish (f->stream, result, &received, &sent, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
  g_assert_cmpstr (error->message, ==, "it was reset");
  g_assert_cmpuint (received, ==, 1);
  g_assert_cmpuint (sent, ==, 2);
}

static void
test_end_wait_is_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) cancelled = NULL;
  g_autoptr (GAsyncResult) patient = NULL;
  g_autoptr (GAsyncResult) late = NULL;
  g_autoptr (GError) error = NULL;

  hypha_stream_wait_end_async (f->stream, cancellable, on_result, &cancelled);
  hypha_stream_wait_end_async (f->stream, NULL, on_result, &patient);
  g_cancellable_cancel (cancellable);
  wait_for (&cancelled);
  g_assert_null (patient);
  g_assert_false (hypha_stream_wait_end_finish (f->stream, cancelled, NULL, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  hypha_stream_wait_end_async (f->stream, cancellable, on_result, &late);
  wait_for (&late);
  g_assert_false (hypha_stream_wait_end_finish (f->stream, late, NULL, NULL, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error (&error);

  hypha_stream_ended (f->stream, 0, 0, NULL);
  wait_for (&patient);
  g_assert_true (hypha_stream_wait_end_finish (f->stream, patient, NULL, NULL, &error));
}

#define ADD(PATH, FUNC) g_test_add (PATH, Fixture, NULL, set_up, FUNC, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/stream/tells-what-it-is", test_tells_what_it_is);
  ADD ("/stream/leaves-a-descriptor-that-is-gone-alone",
       test_leaves_a_descriptor_that_is_gone_alone);
  ADD ("/stream/lets-its-descriptor-go/unused", test_lets_its_descriptor_go);
  g_test_add ("/stream/lets-its-descriptor-go/used", Fixture, "used", set_up,
              test_lets_its_descriptor_go, tear_down);
  g_test_add_func ("/stream/refuses-what-is-no-socket", test_refuses_what_is_no_socket);
  ADD ("/stream/bytes/sync", test_sync_bytes);
  ADD ("/stream/bytes/sync-read-waits", test_sync_read_waits);
  ADD ("/stream/bytes/async-read-waits", test_async_read_waits);
  ADD ("/stream/bytes/async-write-waits", test_async_write_waits);
  ADD ("/stream/bytes/is-pollable", test_is_pollable);
  ADD ("/stream/deadlines/sync", test_sync_deadlines);
  ADD ("/stream/deadlines/async", test_async_deadlines);
  ADD ("/stream/deadlines/served-read-forgets-its-deadline", test_served_read_forgets_its_deadline);
  ADD ("/stream/cancel/sync-read", test_sync_read_is_cancelled);
  ADD ("/stream/cancel/async-read", test_async_read_is_cancelled);
  ADD ("/stream/close/write-apart", test_write_closes_apart);
  ADD ("/stream/close/read-apart", test_read_closes_apart);
  ADD ("/stream/close/read-ends-a-read-under-way", test_close_read_ends_a_read_under_way);
  ADD ("/stream/close/write-waits-for-the-write-under-way",
       test_close_write_waits_for_the_write_under_way);
  ADD ("/stream/close/closes-both", test_close_closes_both);
  ADD ("/stream/close/write-to-a-gone-engine-fails", test_write_to_a_gone_engine_fails);
  ADD ("/stream/end/is-told-to-all", test_end_is_told_to_all);
  ADD ("/stream/end/tells-the-error-and-the-counts", test_end_tells_the_error_and_the_counts);
  ADD ("/stream/end/wait-is-cancelled", test_end_wait_is_cancelled);
  return g_test_run ();
}
