/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unix-address.h"
#include "unix.h"
#include "test-transport.h"

#define CONNECT_MS 20000

/* ---- the fixture ---- */

typedef struct {
  HyphaTransport *transport;
  char *directory;
  char *path;          /* in it */
  UnixAddress address; /* of that */
  HyphaEndpoint *endpoint;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *uri = NULL;

  f->directory = g_dir_make_tmp ("hypha-unix-XXXXXX", NULL);
  g_assert_nonnull (f->directory);
  f->path = g_build_filename (f->directory, "socket", NULL);
  f->transport = hypha_plugin_unix.create (NULL);
  uri = g_strconcat ("unix://", f->path, NULL);
  f->endpoint = transport_parse (f->transport, uri);
  g_assert_true (unix_address_parse (f->endpoint, &f->address, NULL));
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
  hypha_endpoint_unref (f->endpoint);
  if (g_unlink (f->path) < 0 && errno == EISDIR)
    g_rmdir (f->path);
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->path);
  g_free (f->directory);
}

static HyphaListener *
must_listen (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  HyphaListener *listener = transport_listen (f->transport, f->endpoint, &error);

  g_assert_no_error (error);
  return listener;
}

static void
assert_not_listening (Fixture *f, int code, const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaListener) listener = transport_listen (f->transport, f->endpoint, &error);

  g_assert_error (error, HYPHA_ERROR, code);
  g_assert_null (listener);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, hypha_endpoint_to_string (f->endpoint)));
  g_assert_nonnull (strstr (error->message, part));
}

/* Whether somebody answers there. */
static gboolean
answers (Fixture *f)
{
  g_autoptr (HyphaChannel) channel =
      transport_connect (f->transport, f->endpoint, CONNECT_MS, NULL);

  return channel != NULL;
}

static int
bind_raw (Fixture *f, int type)
{
  struct sockaddr_un sockaddr;
  socklen_t length = unix_address_to_sockaddr (&f->address, &sockaddr);
  int fd = socket (AF_UNIX, type | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (const struct sockaddr *) &sockaddr, length), ==, 0);
  return fd;
}

static char *
own_name (void)
{
  return g_strdup_printf ("process %d (", (int) getpid ());
}

/* ---- what lies there already ---- */

static void
test_stale_is_replaced (Fixture *f, gconstpointer data)
{
  static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autoptr (HyphaListener) listener = NULL;

    close (bind_raw (f, types[i]));
    g_assert_true (g_file_test (f->path, G_FILE_TEST_EXISTS));
    listener = must_listen (f);
    g_assert_true (answers (f));
    hypha_listener_close (listener);
    g_assert_false (g_file_test (f->path, G_FILE_TEST_EXISTS));
  }
}

static void
test_live_is_left_alone (Fixture *f, gconstpointer data)
{
  g_autofree char *holder = own_name ();
  GStatBuf before, after;
  int fd = bind_raw (f, SOCK_STREAM);

  g_assert_cmpint (listen (fd, 5), ==, 0);
  g_assert_cmpint (g_lstat (f->path, &before), ==, 0);
  assert_not_listening (f, HYPHA_ERROR_ADDRESS_IN_USE, holder);
  g_assert_cmpint (g_lstat (f->path, &after), ==, 0);
  g_assert_cmpuint (before.st_ino, ==, after.st_ino);
  g_assert_true (answers (f));
  close (fd);
}

static void
test_full_queue_is_alive (Fixture *f, gconstpointer data)
{
  struct sockaddr_un sockaddr;
  socklen_t length = unix_address_to_sockaddr (&f->address, &sockaddr);
  int fd = bind_raw (f, SOCK_STREAM);
  int filling = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  GStatBuf after;

  g_assert_cmpint (listen (fd, 0), ==, 0);
  g_assert_cmpint (connect (filling, (const struct sockaddr *) &sockaddr, length), ==, 0);
  assert_not_listening (f, HYPHA_ERROR_ADDRESS_IN_USE, "somebody listens");
  g_assert_cmpint (g_lstat (f->path, &after), ==, 0);
  close (filling);
  close (fd);
}

static void
test_other_types_are_alive (Fixture *f, gconstpointer data)
{
  int fd = bind_raw (f, SOCK_DGRAM);

  assert_not_listening (f, HYPHA_ERROR_ADDRESS_IN_USE, "somebody listens");
  g_assert_true (g_file_test (f->path, G_FILE_TEST_EXISTS));
  close (fd);
}

static void
test_file_is_left_alone (Fixture *f, gconstpointer data)
{
  g_autofree char *contents = NULL;

  g_assert_true (g_file_set_contents (f->path, "precious", -1, NULL));
  assert_not_listening (f, HYPHA_ERROR_ADDRESS_IN_USE, "a file is there");
  g_assert_true (g_file_get_contents (f->path, &contents, NULL, NULL));
  g_assert_cmpstr (contents, ==, "precious");
}

static void
test_link_is_left_alone (Fixture *f, gconstpointer data)
{
  /* It leads to a stale socket, and still is no socket. */
  g_autofree char *target = g_strconcat (f->path, "-target", NULL);

  close (bind_raw (f, SOCK_STREAM));
  g_assert_cmpint (g_rename (f->path, target), ==, 0);
  g_assert_cmpint (symlink (target, f->path), ==, 0);
  assert_not_listening (f, HYPHA_ERROR_ADDRESS_IN_USE, "a symbolic link is there");
  g_assert_true (g_file_test (f->path, G_FILE_TEST_IS_SYMLINK));
  g_assert_cmpint (g_unlink (target), ==, 0);
}

static void
test_directory_is_left_alone (Fixture *f, gconstpointer data)
{
  g_assert_cmpint (g_mkdir (f->path, 0700), ==, 0);
  assert_not_listening (f, HYPHA_ERROR_ADDRESS_IN_USE, "a directory is there");
  g_assert_true (g_file_test (f->path, G_FILE_TEST_IS_DIR));
}

static void
test_no_directory (Fixture *f, gconstpointer data)
{
  g_autofree char *uri = g_strconcat ("unix://", f->directory, "/none/socket", NULL);
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  listener = transport_listen (f->transport, endpoint, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "mkdir -p"));
}

static void
test_abstract_names_the_holder (Fixture *f, gconstpointer data)
{
  g_autofree char *uri = g_strconcat ("unix:@", f->path, NULL);
  g_autofree char *holder = own_name ();
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);
  g_autoptr (HyphaListener) first = NULL;
  g_autoptr (HyphaListener) second = NULL;
  g_autoptr (GError) error = NULL;

  first = transport_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  second = transport_listen (f->transport, endpoint, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE);
  g_assert_nonnull (strstr (error->message, holder));
  hypha_listener_close (first);
}

/* ---- the end of a listener ---- */

static void
test_close_spares_a_successor (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaListener) listener = must_listen (f);
  int fd;

  /* Somebody swept the directory, and another took the place. */
  g_assert_cmpint (g_unlink (f->path), ==, 0);
  fd = bind_raw (f, SOCK_STREAM);
  g_assert_cmpint (listen (fd, 5), ==, 0);
  hypha_listener_close (listener);
  g_assert_true (g_file_test (f->path, G_FILE_TEST_EXISTS));
  g_assert_true (answers (f));
  close (fd);
}

static void
test_stop_removes_the_file (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaListener) listener = must_listen (f);

  hypha_transport_stop (f->transport);
  g_assert_true (hypha_listener_is_closed (listener));
  g_assert_false (g_file_test (f->path, G_FILE_TEST_EXISTS));
}

/* ---- several at once ---- */

#define RACERS 8
#define ROUNDS 60

typedef struct {
  GSocketAddress *address;
  HyphaEndpoint *endpoint;
  gint *at_the_line;
  HyphaListener *listener;
  GError *error;
} Racer;

static HyphaChannel *
adopt_nothing (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data,
               GError **error)
{
  g_assert_not_reached ();
}

static gpointer
race (gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  Racer *racer = data;

  g_main_context_push_thread_default (context);
  g_atomic_int_inc (racer->at_the_line);
  while (g_atomic_int_get (racer->at_the_line) < RACERS)
    g_thread_yield ();
  do {
    g_autoptr (GAsyncResult) result = NULL;

    g_clear_error (&racer->error);
    hypha_unix_listen_async (G_UNIX_SOCKET_ADDRESS (racer->address), racer->endpoint, 0600,
                             adopt_nothing, NULL, NULL, NULL, keep_result, &result);
    while (result == NULL)
      g_main_context_iteration (context, TRUE);
    racer->listener = hypha_unix_listen_finish (result, &racer->error);
  } while (g_error_matches (racer->error, HYPHA_ERROR, HYPHA_ERROR_BUSY));
  g_main_context_pop_thread_default (context);
  return NULL;
}

/* Each round begins with a stale file, so that every racer may take it away: the winner's, if they
 * did not take turns. */
static void
test_one_of_many_wins (Fixture *f, gconstpointer data)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (f->path);

  for (guint round = 0; round < ROUNDS; round++) {
    Racer racers[RACERS] = { 0 };
    GThread *threads[RACERS];
    gint at_the_line = 0;
    guint winners = 0;

    close (bind_raw (f, SOCK_STREAM));
    for (guint i = 0; i < RACERS; i++) {
      racers[i] =
          (Racer){ .address = address, .endpoint = f->endpoint, .at_the_line = &at_the_line };
      threads[i] = g_thread_new ("racer", race, &racers[i]);
    }
    for (guint i = 0; i < RACERS; i++)
      g_thread_join (threads[i]);
    g_assert_true (answers (f));
    for (guint i = 0; i < RACERS; i++) {
      if (racers[i].listener != NULL) {
        winners++;
        g_assert_finalize_object (racers[i].listener);
      } else
        g_assert_error (racers[i].error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE);
      g_clear_error (&racers[i].error);
    }
    g_assert_cmpuint (winners, ==, 1);
    g_assert_false (g_file_test (f->path, G_FILE_TEST_EXISTS));
  }
}

static int
hold_lock (Fixture *f)
{
  int fd = open (f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  g_assert_cmpint (flock (fd, LOCK_EX), ==, 0);
  return fd;
}

static gboolean
on_let_go (gpointer user_data)
{
  close (GPOINTER_TO_INT (user_data));
  return G_SOURCE_REMOVE;
}

static void
test_waits_for_the_lock (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaListener) listener = NULL;

  g_timeout_add (100, on_let_go, GINT_TO_POINTER (hold_lock (f)));
  listener = must_listen (f);
  g_assert_true (answers (f));
  hypha_listener_close (listener);
}

static void
test_does_not_wait_for_ever (Fixture *f, gconstpointer data)
{
  int lock = hold_lock (f);

  assert_not_listening (f, HYPHA_ERROR_BUSY, f->directory);
  close (lock);
}

static void
test_waiting_ends (Fixture *f, gconstpointer data)
{
  int lock = hold_lock (f);

  for (guint stopping = 0; stopping < 2; stopping++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (GError) error = NULL;

    hypha_transport_listen_async (f->transport, f->endpoint, cancellable, keep_result, &result);
    g_main_context_iteration (NULL, FALSE);
    g_assert_null (result);
    if (stopping)
      hypha_transport_stop (f->transport);
    else
      g_cancellable_cancel (cancellable);
    wait_result (&result);
    g_assert_null (hypha_transport_listen_finish (f->transport, result, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
  close (lock);
}

/* ---- modes and users ---- */

static guint
mode_of (const char *path)
{
  GStatBuf buf;

  g_assert_cmpint (g_lstat (path, &buf), ==, 0);
  return buf.st_mode & 07777;
}

static void
test_mode (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *options;
    guint mode;
  } cases[] = {
    { "@a{sv} {}", 0666 },         { "{'mode': <'600'>}", 0600 }, { "{'mode': <'0660'>}", 0660 },
    { "{'mode': <'777'>}", 0777 }, { "@a{sv} {}", 0666 },
  };
  mode_t before = umask (077);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaListener) listener = NULL;

    transport_must_configure (f->transport, cases[i].options);
    listener = must_listen (f);
    g_assert_cmpuint (mode_of (f->path), ==, cases[i].mode);
    hypha_listener_close (listener);
  }
  umask (before);
}

static void
test_wrong_options_are_named (Fixture *f, gconstpointer data)
{
  static const char *const cases[][2] = {
    { "{'mode': <uint32 384>}", "'mode' of the transport unix: it is of the type 'u'" },
    { "{'mode': <''>}", "is ''" },
    { "{'mode': <'rw'>}", "is 'rw'" },
    { "{'mode': <'668'>}", "is '668'" },
    { "{'mode': <'66'>}", "is '66'" },
    { "{'mode': <'4755'>}", "is '4755'" },
    { "{'mode': <'00600'>}", "is '00600'" },
    { "{'modes': <'600'>}", "'modes'" },
  };
  g_autoptr (HyphaListener) listener = NULL;

  transport_assert_refuses (f->transport, cases, G_N_ELEMENTS (cases));
  listener = must_listen (f);
  g_assert_cmpuint (mode_of (f->path), ==, 0666);
  hypha_listener_close (listener);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  *(HyphaChannel **) user_data = g_object_ref (channel);
}

static void
test_uid_is_the_peers (Fixture *f, gconstpointer data)
{
  const uid_t nobody = 65534;
  g_autofree char *uri = g_strconcat ("unix:@", f->path, NULL);
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  struct sockaddr_un sockaddr;
  UnixAddress address;
  socklen_t length;
  guint32 uid = 0;
  int status;
  pid_t child;

  if (geteuid () != 0) {
    g_test_skip ("only root can become another user");
    return;
  }
  listener = transport_listen (f->transport, endpoint, NULL);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), &channel);
  g_assert_true (unix_address_parse (endpoint, &address, NULL));
  length = unix_address_to_sockaddr (&address, &sockaddr);
  child = fork ();
  if (child == 0) {
    int fd = socket (AF_UNIX, SOCK_STREAM, 0);

    _exit (setresuid (nobody, nobody, nobody) < 0 ||
           connect (fd, (struct sockaddr *) &sockaddr, length) < 0);
  }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_cmpint (status, ==, 0);
  while (channel == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (hypha_channel_get_uid (channel, &uid));
  g_assert_cmpuint (uid, ==, nobody);
  hypha_listener_close (listener);
}

/* ---- sockets that somebody else has made ---- */

static void
assert_not_adopted (Fixture *f, int fd, GQuark domain, int code, const char *part)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_transport_adopt (f->transport, fd, &error));
  g_assert_error (error, domain, code);
  g_assert_nonnull (strstr (error->message, part));
  close (fd);
}

static void
test_adopted_file_stays (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  int fd = bind_raw (f, SOCK_STREAM);

  g_assert_cmpint (listen (fd, 1), ==, 0);
  listener = hypha_transport_adopt (f->transport, fd, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_endpoint_equal (hypha_listener_get_bound (listener), f->endpoint));
  hypha_listener_close (listener);
  g_assert_true (answers (f));
  close (fd);
}

/* What no endpoint can write could not be shown, nor dialled. */
static void
test_strange_names_are_not_adopted (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *name;
    gsize size;
  } table[] = {
    { "hypha-relative", 14 },
    { "\0hypha\nname", 11 },
    { "\0hypha\0name", 11 },
  };
  g_autofree char *before = g_get_current_dir ();

  g_assert_cmpint (g_chdir (f->directory), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    struct sockaddr_un sockaddr = { .sun_family = AF_UNIX };
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy (sockaddr.sun_path, table[i].name, table[i].size);
    g_assert_cmpint (bind (fd, (const struct sockaddr *) &sockaddr,
                           (socklen_t) (offsetof (struct sockaddr_un, sun_path) + table[i].size)),
                     ==, 0);
    g_assert_cmpint (listen (fd, 1), ==, 0);
    g_assert_null (hypha_transport_adopt (f->transport, fd, NULL));
    close (fd);
    if (*table[i].name != '\0')
      g_unlink (table[i].name);
  }
  g_assert_cmpint (g_chdir (before), ==, 0);
}

static void
test_other_kinds_are_not_adopted (Fixture *f, gconstpointer data)
{
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (listen (fd, 1), ==, 0);
  assert_not_adopted (f, fd, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "Unix");
  assert_not_adopted (f, bind_raw (f, SOCK_STREAM), HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                      "nobody has called listen");
  g_unlink (f->path);
  fd = bind_raw (f, SOCK_SEQPACKET);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  assert_not_adopted (f, fd, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT, "another type");
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add ("/unix/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("listen/stale-socket-is-replaced", test_stale_is_replaced);
  ADD ("listen/live-socket-is-left-alone", test_live_is_left_alone);
  ADD ("listen/socket-with-a-full-queue-is-alive", test_full_queue_is_alive);
  ADD ("listen/datagram-socket-is-alive", test_other_types_are_alive);
  ADD ("listen/file-is-left-alone", test_file_is_left_alone);
  ADD ("listen/symbolic-link-is-left-alone", test_link_is_left_alone);
  ADD ("listen/directory-is-left-alone", test_directory_is_left_alone);
  ADD ("listen/missing-directory-says-how-to-make-it", test_no_directory);
  ADD ("listen/abstract-name-in-use-names-the-holder", test_abstract_names_the_holder);
  ADD ("close/spares-a-successor", test_close_spares_a_successor);
  ADD ("close/stop-removes-the-file", test_stop_removes_the_file);
  ADD ("race/one-of-many-wins", test_one_of_many_wins);
  ADD ("race/waits-for-the-lock", test_waits_for_the_lock);
  ADD ("race/does-not-wait-for-ever", test_does_not_wait_for_ever);
  ADD ("race/waiting-is-cancelled-and-stopped", test_waiting_ends);
  ADD ("mode/is-as-configured-whatever-the-umask", test_mode);
  ADD ("configure/wrong-options-are-named", test_wrong_options_are_named);
  ADD ("channel/uid-is-the-peers", test_uid_is_the_peers);
  ADD ("adopt/leaves-the-file", test_adopted_file_stays);
  ADD ("adopt/not-under-a-name-that-cannot-be-written", test_strange_names_are_not_adopted);
  ADD ("adopt/not-another-kind", test_other_kinds_are_not_adopted);
#undef ADD
  return g_test_run ();
}
