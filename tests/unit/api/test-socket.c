/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <hypha-plugin.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
  char *directory;
  char *path;
  struct sockaddr_un address;
  HyphaEndpoint *bound;
  HyphaListener *listener;
  GPtrArray *accepted; /* of HyphaChannel */
  GError *failure;
  guint refused; /* refuse so many connections */
  guint closed;
  guint close_after; /* this many channels, close the listener */
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *rest = NULL;

  f->directory = g_dir_make_tmp ("hypha-socket-XXXXXX", NULL);
  g_assert_nonnull (f->directory);
  f->path = g_build_filename (f->directory, "s", NULL);
  f->address.sun_family = AF_UNIX;
  g_assert_cmpuint (g_strlcpy (f->address.sun_path, f->path, sizeof f->address.sun_path), <,
                    sizeof f->address.sun_path);
  rest = g_strconcat ("//", f->path, NULL);
  f->bound = hypha_endpoint_new ("unix", rest, NULL);
  f->accepted = g_ptr_array_new_with_free_func (g_object_unref);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_clear_pointer (&f->accepted, g_ptr_array_unref);
  if (f->listener != NULL)
    g_assert_finalize_object (g_steal_pointer (&f->listener));
  g_clear_error (&f->failure);
  g_unlink (f->path);
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->directory);
  g_free (f->path);
  hypha_endpoint_unref (f->bound);
}

static int
new_listening_socket (Fixture *f, int backlog)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *) &f->address, sizeof f->address), ==, 0);
  g_assert_cmpint (listen (fd, backlog), ==, 0);
  return fd;
}

static HyphaChannel *
adopt (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data, GError **error)
{
  Fixture *f = user_data;

  g_assert_cmpint (remote->sa_family, ==, AF_UNIX);
  g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, !=, 0);
  if (f->refused > 0) {
    f->refused--;
    close (fd);
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "not this one");
    return NULL;
  }
  return hypha_channel_new (fd, f->bound, NULL, HYPHA_CHANNEL_KERNEL);
}

static void
on_closed (gpointer user_data)
{
  ((Fixture *) user_data)->closed++;
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  Fixture *f = user_data;

  g_ptr_array_add (f->accepted, g_object_ref (channel));
  if (f->accepted->len == f->close_after)
    hypha_listener_close (listener);
}

static void
on_failed (HyphaListener *listener, GError *error, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (hypha_listener_is_closed (listener));
  g_assert_null (f->failure);
  f->failure = g_error_copy (error);
}

static void
start_unheard (Fixture *f)
{
  f->listener =
      hypha_socket_listener_new (new_listening_socket (f, 64), f->bound, adopt, f, on_closed);
}

static void
start_listening (Fixture *f)
{
  start_unheard (f);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
  g_signal_connect (f->listener, "failed", G_CALLBACK (on_failed), f);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer data)
{
  g_set_object ((GAsyncResult **) data, result);
}

static int
connect_now (Fixture *f, guint timeout_ms, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_socket_connect_async ((struct sockaddr *) &f->address, sizeof f->address,
                              "the test's socket", timeout_ms, NULL, on_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return hypha_socket_connect_finish (result, error);
}

/* Connecting without a main loop in between. */
static int
connect_raw (Fixture *f)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (connect (fd, (struct sockaddr *) &f->address, sizeof f->address) == 0)
    return fd;
  g_assert_cmpint (errno, ==, EAGAIN);
  close (fd);
  return -1;
}

static void
iterate_until_accepted (Fixture *f, guint count)
{
  while (f->accepted->len < count)
    g_main_context_iteration (NULL, TRUE);
}

/* Connecting */

static void
test_connects_and_accepts (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  char buffer[8];
  int fd, accepted;

  start_listening (f);
  fd = connect_now (f, 5000, &error);
  g_assert_no_error (error);
  g_assert_cmpint (fcntl (fd, F_GETFL) & O_NONBLOCK, !=, 0);
  g_assert_cmpint (fcntl (fd, F_GETFD) & FD_CLOEXEC, !=, 0);
  iterate_until_accepted (f, 1);
  accepted = hypha_channel_get_fd (g_ptr_array_index (f->accepted, 0));
  g_assert_cmpint (fcntl (accepted, F_GETFL) & O_NONBLOCK, !=, 0);
  g_assert_cmpint (write (fd, "hello", 5), ==, 5);
  g_assert_cmpint (read (accepted, buffer, sizeof buffer), ==, 5);
  g_assert_true (hypha_endpoint_equal (hypha_listener_get_bound (f->listener), f->bound));
  close (fd);
}

static void
test_connect_says_that_nothing_is_there (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (connect_now (f, 5000, &error), ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_true (
      g_str_has_prefix (error->message, "cannot connect to the test's socket: No such file"));
  g_assert_nonnull (strstr (error->message, "; there is no such socket"));
}

static void
test_connect_says_that_nobody_listens (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  close (new_listening_socket (f, 1));
  g_assert_cmpint (connect_now (f, 5000, &error), ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_nonnull (strstr (error->message, "Connection refused; nobody listens there"));
}

static void
test_connect_refuses_an_unknown_family (Fixture *f, gconstpointer data)
{
  struct sockaddr address = { .sa_family = AF_MAX };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  hypha_socket_connect_async (&address, sizeof address, "nowhere", 1000, NULL, on_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (hypha_socket_connect_finish (result, &error), ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
}

/* Fills the backlog of a socket on which nobody accepts. */
static GArray *
fill_backlog (Fixture *f)
{
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (int));

  for (int fd = connect_raw (f); fd >= 0; fd = connect_raw (f))
    g_array_append_val (fds, fd);
  g_assert_cmpuint (fds->len, >, 0);
  return fds;
}

static void
close_all (GArray *fds)
{
  for (guint i = 0; i < fds->len; i++)
    close (g_array_index (fds, int, i));
  g_array_unref (fds);
}

static void
test_connect_has_a_deadline (Fixture *f, gconstpointer data)
{
  int listening = new_listening_socket (f, 0);
  GArray *fds = fill_backlog (f);
  g_autoptr (GError) error = NULL;
  gint64 before = g_get_monotonic_time ();

  g_assert_cmpint (connect_now (f, 50, &error), ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, "the test's socket: no answer within 50 ms"));
  g_assert_cmpint (g_get_monotonic_time () - before, >=, 49000);
  close_all (fds);
  close (listening);
}

static void
test_connect_waits_for_room_in_the_queue (Fixture *f, gconstpointer data)
{
  int listening = new_listening_socket (f, 0);
  GArray *fds = fill_backlog (f);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  int fd;

  hypha_socket_connect_async ((struct sockaddr *) &f->address, sizeof f->address, "it", 0, NULL,
                              on_result, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  close (accept (listening, NULL, NULL));
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  fd = hypha_socket_connect_finish (result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (fd, >=, 0);
  close (fd);
  close_all (fds);
  close (listening);
}

static void
test_connect_is_cancelled (Fixture *f, gconstpointer data)
{
  int listening = new_listening_socket (f, 0);
  GArray *fds = fill_backlog (f);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  hypha_socket_connect_async ((struct sockaddr *) &f->address, sizeof f->address, "it", 0,
                              cancellable, on_result, &result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_null (result);
  g_cancellable_cancel (cancellable);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (hypha_socket_connect_finish (result, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  close_all (fds);
  close (listening);
}

/* The caller may bind first; a result that nobody fetches closes the descriptor. */
static void
test_connect_takes_a_socket (Fixture *f, gconstpointer data)
{
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);
  GAsyncResult *result = NULL;

  start_listening (f);
  hypha_socket_connect_fd_async (fd, (struct sockaddr *) &f->address, sizeof f->address, "it", 1000,
                                 NULL, on_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_object_unref (result);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpint (fcntl (fd, F_GETFD), ==, -1);
}

/* Listening */

static void
test_listener_accepts_many (Fixture *f, gconstpointer data)
{
  GArray *fds = g_array_new (FALSE, FALSE, sizeof (int));

  start_listening (f);
  for (guint i = 0; i < 50; i++) {
    int fd = connect_raw (f);

    g_array_append_val (fds, fd);
  }
  iterate_until_accepted (f, 50);
  g_assert_cmpuint (f->accepted->len, ==, 50);
  close_all (fds);
}

/* The listener sees the connection before whoever asked for it sees the listener. */
static void
test_listener_keeps_what_comes_before_anybody_listens (Fixture *f, gconstpointer data)
{
  int fd;

  start_unheard (f);
  fd = connect_raw (f);
  g_assert_cmpint (fd, >=, 0);
  g_assert_true (g_main_context_iteration (NULL, TRUE));
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
  iterate_until_accepted (f, 1);
  g_assert_cmpint (write (hypha_channel_get_fd (f->accepted->pdata[0]), "x", 1), ==, 1);
  g_assert_cmpint (read (fd, &(char){ 0 }, 1), ==, 1);
  close (fd);
}

static void
on_first_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  on_accepted (listener, channel, user_data);
  g_signal_handlers_disconnect_by_func (listener, on_first_accepted, user_data);
}

/* As a program that waits for one, and then for the next. */
static void
test_listener_keeps_what_comes_when_nobody_listens_any_more (Fixture *f, gconstpointer data)
{
  int fds[2];

  start_unheard (f);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = connect_raw (f);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    g_signal_connect (f->listener, "accepted", G_CALLBACK (on_first_accepted), f);
    iterate_until_accepted (f, i + 1);
    g_assert_cmpint (write (hypha_channel_get_fd (f->accepted->pdata[i]), "x", 1), ==, 1);
    g_assert_cmpint (read (fds[i], &(char){ 0 }, 1), ==, 1);
    g_assert_cmpuint (f->accepted->len, ==, i + 1);
  }
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

static void
test_listener_drops_what_is_refused (Fixture *f, gconstpointer data)
{
  int first, second;
  char byte;

  f->refused = 1;
  start_listening (f);
  first = connect_raw (f);
  second = connect_raw (f);
  iterate_until_accepted (f, 1);
  g_assert_cmpint (read (first, &byte, 1), ==, 0);
  g_assert_cmpint (read (second, &byte, 1), ==, -1);
  g_assert_false (hypha_listener_is_closed (f->listener));
  close (first);
  close (second);
}

static void
test_listener_closes_once (Fixture *f, gconstpointer data)
{
  start_listening (f);
  g_assert_false (hypha_listener_is_closed (f->listener));
  hypha_listener_close (f->listener);
  hypha_listener_close (f->listener);
  g_assert_true (hypha_listener_is_closed (f->listener));
  g_assert_cmpuint (f->closed, ==, 1);
  g_assert_finalize_object (g_steal_pointer (&f->listener));
  g_assert_cmpuint (f->closed, ==, 1);
}

static void
test_listener_closes_with_the_last_reference (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  start_listening (f);
  g_assert_finalize_object (g_steal_pointer (&f->listener));
  g_assert_cmpuint (f->closed, ==, 1);
  g_assert_cmpint (connect_now (f, 1000, &error), ==, -1);
}

static void
test_listener_may_be_closed_by_a_handler (Fixture *f, gconstpointer data)
{
  int first, second;

  f->close_after = 1;
  start_listening (f);
  first = connect_raw (f);
  second = connect_raw (f);
  iterate_until_accepted (f, 1);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (f->accepted->len, ==, 1);
  g_assert_cmpuint (f->closed, ==, 1);
  close (first);
  close (second);
}

typedef struct {
  Fixture *fixture;
  guint depth, deepest, idle;
} Nesting;

static gboolean
on_idle (gpointer data)
{
  ((Nesting *) data)->idle++;
  return G_SOURCE_REMOVE;
}

/* Runs the loop until that has nothing to do any more. */
static void
on_accepted_run_loop (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  Nesting *nesting = user_data;
  guint before = nesting->idle;

  g_ptr_array_add (nesting->fixture->accepted, g_object_ref (channel));
  nesting->depth++;
  nesting->deepest = MAX (nesting->deepest, nesting->depth);
  g_idle_add (on_idle, nesting);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (nesting->idle, ==, before + 1); /* it did not spin upon those who wait */
  nesting->depth--;
}

static void
test_listener_waits_for_a_handler_that_runs_the_loop (Fixture *f, gconstpointer data)
{
  Nesting nesting = { .fixture = f };
  int fds[20];

  start_unheard (f);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted_run_loop), &nesting);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    fds[i] = connect_raw (f);
  iterate_until_accepted (f, G_N_ELEMENTS (fds));
  g_assert_cmpuint (nesting.deepest, ==, 1);
  /* And it goes on afterwards. */
  close (fds[0]);
  fds[0] = connect_raw (f);
  iterate_until_accepted (f, G_N_ELEMENTS (fds) + 1);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

static void
test_listener_rests_without_descriptors (Fixture *f, gconstpointer data)
{
  struct rlimit limit, low;
  guint accepted;
  int fd;

  start_listening (f);
  fd = connect_raw (f);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  low = limit;
  low.rlim_cur = (rlim_t) fd + 1;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &low), ==, 0);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  accepted = f->accepted->len;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  g_assert_cmpuint (accepted, ==, 0);
  g_assert_null (f->failure);

  iterate_until_accepted (f, 1);
  close (fd);
}

static void
test_listener_tells_that_it_failed (Fixture *f, gconstpointer data)
{
  int fd = new_listening_socket (f, 1);
  int unconnected = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  f->listener = hypha_socket_listener_new (fd, f->bound, adopt, f, on_closed);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
  g_signal_connect (f->listener, "failed", G_CALLBACK (on_failed), f);
  /* Another socket, which does not listen, in its place. */
  g_assert_cmpint (dup2 (unconnected, fd), ==, fd);
  close (unconnected);
  while (f->failure == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_error (f->failure, HYPHA_ERROR, HYPHA_ERROR_FAILED);
  g_assert_nonnull (strstr (f->failure->message, f->path));
  g_assert_cmpuint (f->closed, ==, 1);
}

static void
test_listener_checks_channels (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) other = hypha_endpoint_parse ("other:x", NULL);
  g_autoptr (HyphaChannel) channel = NULL;
  int fds[2];

  start_listening (f);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  channel = hypha_channel_new (fds[0], other, NULL, HYPHA_CHANNEL_NONE);
  hypha_listener_accepted (f->listener, channel);
  g_assert_error (f->failure, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  g_assert_nonnull (strstr (f->failure->message, "'unix'"));
  g_assert_cmpuint (f->accepted->len, ==, 0);
  g_assert_cmpuint (f->closed, ==, 1);
  close (fds[1]);
}

#define ADD(PATH, FUNC) g_test_add (PATH, Fixture, NULL, set_up, FUNC, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/socket/connects-and-accepts", test_connects_and_accepts);
  ADD ("/socket/connect/says-that-nothing-is-there", test_connect_says_that_nothing_is_there);
  ADD ("/socket/connect/says-that-nobody-listens", test_connect_says_that_nobody_listens);
  ADD ("/socket/connect/refuses-an-unknown-family", test_connect_refuses_an_unknown_family);
  ADD ("/socket/connect/has-a-deadline", test_connect_has_a_deadline);
  ADD ("/socket/connect/waits-for-room-in-the-queue", test_connect_waits_for_room_in_the_queue);
  ADD ("/socket/connect/is-cancelled", test_connect_is_cancelled);
  ADD ("/socket/connect/takes-a-socket", test_connect_takes_a_socket);
  ADD ("/socket/listener/accepts-many", test_listener_accepts_many);
  ADD ("/socket/listener/keeps-what-comes-before-anybody-listens",
       test_listener_keeps_what_comes_before_anybody_listens);
  ADD ("/socket/listener/keeps-what-comes-when-nobody-listens-any-more",
       test_listener_keeps_what_comes_when_nobody_listens_any_more);
  ADD ("/socket/listener/drops-what-is-refused", test_listener_drops_what_is_refused);
  ADD ("/socket/listener/closes-once", test_listener_closes_once);
  ADD ("/socket/listener/closes-with-the-last-reference",
       test_listener_closes_with_the_last_reference);
  ADD ("/socket/listener/may-be-closed-by-a-handler", test_listener_may_be_closed_by_a_handler);
  ADD ("/socket/listener/waits-for-a-handler-that-runs-the-loop",
       test_listener_waits_for_a_handler_that_runs_the_loop);
  ADD ("/socket/listener/rests-without-descriptors", test_listener_rests_without_descriptors);
  ADD ("/socket/listener/tells-that-it-failed", test_listener_tells_that_it_failed);
  ADD ("/socket/listener/checks-channels", test_listener_checks_channels);
  return g_test_run ();
}
