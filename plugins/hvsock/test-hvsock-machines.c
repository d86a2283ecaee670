/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Listening for all machines that a pattern names. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hvsock.h"
#include "test-transport.h"

#define PATIENCE_MS 20000

typedef struct {
  HyphaTransport *transport;
  char *directory; /* in which machines have theirs */
  HyphaListener *listener;
  GPtrArray *accepted; /* of what their channels call the other end */
} Fixture;

static char *
in_directory (Fixture *f, const char *name)
{
  return g_build_filename (f->directory, name, NULL);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  f->directory = g_dir_make_tmp ("hypha-hvsock-XXXXXX", NULL);
  g_assert_nonnull (f->directory);
  f->transport = hypha_plugin_hvsock.create (NULL);
  f->accepted = g_ptr_array_new_with_free_func (g_free);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_clear_object (&f->listener);
  g_assert_finalize_object (f->transport);
  g_ptr_array_unref (f->accepted);
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->directory);
}

static gboolean
on_too_late (gpointer what)
{
  g_error ("waited %d ms for %s", PATIENCE_MS, (const char *) what);
  return G_SOURCE_REMOVE;
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_ptr_array_add (user_data,
                   g_strdup (hypha_endpoint_to_string (hypha_channel_get_remote (channel))));
}

static HyphaEndpoint *
parse (Fixture *f, const char *pattern)
{
  g_autofree char *uri = g_strdup_printf ("hvsock://%s/%s:4974", f->directory, pattern);

  return transport_parse (f->transport, uri);
}

/* PATTERN: of paths in the directory. */
static void
listen_for (Fixture *f, const char *pattern)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, pattern);
  g_autoptr (GError) error = NULL;

  f->listener = transport_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_endpoint_equal (hypha_listener_get_bound (f->listener), endpoint));
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f->accepted);
}

static void
make_directory (Fixture *f, const char *name)
{
  g_autofree char *path = in_directory (f, name);

  g_assert_cmpint (g_mkdir (path, 0700), ==, 0);
}

static void
remove_directory (Fixture *f, const char *name)
{
  g_autofree char *path = in_directory (f, name);

  g_assert_cmpint (g_rmdir (path), ==, 0);
}

static gboolean
exists (Fixture *f, const char *name)
{
  g_autofree char *path = in_directory (f, name);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static void
wait_until (Fixture *f, const char *name, gboolean wanted)
{
  guint timer = g_timeout_add (PATIENCE_MS, on_too_late, (gpointer) name);

  while (exists (f, name) != wanted)
    g_main_context_iteration (NULL, FALSE);
  g_source_remove (timer);
}

static int
unix_socket (Fixture *f, const char *name, struct sockaddr_un *address)
{
  g_autofree char *path = in_directory (f, name);

  memset (address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  g_assert_cmpuint (g_strlcpy (address->sun_path, path, sizeof address->sun_path), <,
                    sizeof address->sun_path);
  return socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int
listen_as_another (Fixture *f, const char *name)
{
  struct sockaddr_un address;
  int fd = unix_socket (f, name, &address);

  g_assert_cmpint (bind (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  return fd;
}

/* As the VMM does when the guest calls. */
static gboolean
try_call (Fixture *f, const char *name)
{
  struct sockaddr_un address;
  int fd = unix_socket (f, name, &address);
  int result = connect (fd, (const struct sockaddr *) &address, sizeof address);

  close (fd);
  return result == 0;
}

static void
assert_last_is (Fixture *f, const char *machine)
{
  g_autofree char *expected = g_strdup_printf ("hvsock://%s/%s:4974", f->directory, machine);

  g_assert_cmpstr (f->accepted->pdata[f->accepted->len - 1], ==, expected);
}

static void
call_from (Fixture *f, const char *machine)
{
  g_autofree char *socket = g_strconcat (machine, "_4974", NULL);
  guint timer = g_timeout_add (PATIENCE_MS, on_too_late, (gpointer) machine);
  guint n = f->accepted->len;

  while (!try_call (f, socket))
    g_main_context_iteration (NULL, FALSE);
  while (f->accepted->len == n)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (timer);
  assert_last_is (f, machine);
}

static void
end (Fixture *f)
{
  hypha_listener_close (f->listener);
}

/* ---- tests ---- */

static void
test_there_already (Fixture *f, gconstpointer data)
{
  make_directory (f, "web1");
  make_directory (f, "web2");
  make_directory (f, ".hidden");
  make_directory (f, "a:b");
  listen_for (f, "*/v.sock");
  call_from (f, "web1/v.sock");
  call_from (f, "web2/v.sock");
  g_assert_false (exists (f, ".hidden/v.sock_4974"));
  g_assert_false (exists (f, "a:b/v.sock_4974"));
  end (f);
  remove_directory (f, "web1");
  remove_directory (f, "web2");
  remove_directory (f, ".hidden");
  remove_directory (f, "a:b");
}

/* Their owners choose them. What no endpoint can name is nobody that a rule could let in. */
static void
test_strange_names (Fixture *f, gconstpointer data)
{
  static const char *const names[] = { "vm:*", "vm:a\nb", "vm:a\xff", "vm:a:b", "vm:\xe2\x80\xae" };

  make_directory (f, "vm:web1");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    make_directory (f, names[i]);
  listen_for (f, "vm:*/v.sock");
  call_from (f, "vm:web1/v.sock");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *port_socket = g_strconcat (names[i], "/v.sock_4974", NULL);

    g_assert_false (exists (f, port_socket));
  }
  end (f);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    remove_directory (f, names[i]);
  remove_directory (f, "vm:web1");
}

static void
test_come_and_go (Fixture *f, gconstpointer data)
{
  g_autofree char *port_socket = in_directory (f, "web1/v.sock_4974");

  listen_for (f, "w*/v.sock");
  for (guint i = 0; i < 3; i++) {
    make_directory (f, "web1");
    make_directory (f, "db1");
    call_from (f, "web1/v.sock");
    /* As whoever clears a machine away does, and begins it anew before anybody has looked. */
    g_assert_cmpint (g_unlink (port_socket), ==, 0);
    remove_directory (f, "web1");
    remove_directory (f, "db1");
  }
  end (f);
}

static void
test_parents_come_late (Fixture *f, gconstpointer data)
{
  listen_for (f, "run/vm/*/sock/v.sock");
  make_directory (f, "run");
  make_directory (f, "run/vm");
  make_directory (f, "run/vm/web1");
  make_directory (f, "run/vm/web1/sock");
  call_from (f, "run/vm/web1/sock/v.sock");
  end (f);
  remove_directory (f, "run/vm/web1/sock");
  remove_directory (f, "run/vm/web1");
  remove_directory (f, "run/vm");
  remove_directory (f, "run");
}

/* The file of a listener that is told nothing of it. */
static void
remove_stale (Fixture *f, const char *name)
{
  g_autofree char *path = in_directory (f, name);

  g_assert_cmpint (g_unlink (path), ==, 0);
}

static void
move_directory (Fixture *f, const char *from, const char *to)
{
  g_autofree char *old = in_directory (f, from);
  g_autofree char *new = in_directory (f, to);

  g_assert_cmpint (g_rename (old, new), ==, 0);
}

/* Inotify goes by the directory, not by its path: whoever watches the former one, or one in it,
 * sees nothing of this one. */
static void
test_parents_are_replaced (Fixture *f, gconstpointer data)
{
  static const char *const moved[] = { "run/vm", "run" };

  listen_for (f, "run/vm/*/v.sock");
  make_directory (f, "run");
  make_directory (f, "run/vm");
  make_directory (f, "run/vm/web1");
  call_from (f, "run/vm/web1/v.sock");
  for (guint i = 0; i < G_N_ELEMENTS (moved); i++) {
    gboolean all = g_str_equal (moved[i], "run");

    move_directory (f, moved[i], "old");
    make_directory (f, moved[i]);
    if (all)
      make_directory (f, "run/vm");
    make_directory (f, "run/vm/web1");
    call_from (f, "run/vm/web1/v.sock");
    /* By its new path the listener did not know its file any more. */
    remove_stale (f, all ? "old/vm/web1/v.sock_4974" : "old/web1/v.sock_4974");
    remove_directory (f, all ? "old/vm/web1" : "old/web1");
    if (all)
      remove_directory (f, "old/vm");
    remove_directory (f, "old");
  }
  end (f);
  remove_directory (f, "run/vm/web1");
  remove_directory (f, "run/vm");
  remove_directory (f, "run");
}

static gboolean
allow_descriptors (rlim_t n)
{
  struct rlimit limit;

  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  limit.rlim_cur = limit.rlim_max;
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &limit), ==, 0);
  return limit.rlim_max >= n;
}

static guint
count_listened_for (Fixture *f, guint n)
{
  guint count = 0;

  g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  for (guint i = 0; i < n; i++) {
    g_autofree char *name = g_strdup_printf ("vm%u/v.sock_4974", i);

    count += exists (f, name);
  }
  return count;
}

static void
wait_listened_for (Fixture *f, guint wanted, guint n)
{
  guint timer = g_timeout_add (PATIENCE_MS, on_too_late, (gpointer) "so many machines");

  while (count_listened_for (f, n) < wanted)
    ;
  g_source_remove (timer);
}

/* As many as there may be and two; the first of the others gets the place of one that goes. */
static void
test_too_many (Fixture *f, gconstpointer data)
{
  enum { MAX = 1024, N = MAX + 2 };
  g_autofree char *gone = NULL;

  if (!allow_descriptors (2 * N + 100)) {
    g_test_skip ("needs more descriptors than are allowed (ulimit -Hn)");
    return;
  }
  for (guint i = 0; i < N; i++) {
    g_autofree char *name = g_strdup_printf ("vm%u", i);

    make_directory (f, name);
  }
  g_test_expect_message ("hypha", G_LOG_LEVEL_MESSAGE, "*of more than 1024 machines*left out*");
  listen_for (f, "*/v.sock");
  wait_listened_for (f, MAX, N);
  g_test_assert_expected_messages ();
  for (guint i = 0; gone == NULL; i++) {
    g_autofree char *name = g_strdup_printf ("vm%u", i);
    g_autofree char *socket = g_strdup_printf ("vm%u/v.sock_4974", i);

    if (exists (f, socket)) {
      remove_stale (f, socket);
      remove_directory (f, name);
      gone = g_steal_pointer (&name);
    }
  }
  wait_listened_for (f, MAX, N);
  end (f);
  for (guint i = 0; i < N; i++) {
    g_autofree char *name = g_strdup_printf ("vm%u", i);

    if (!g_str_equal (name, gone))
      remove_directory (f, name);
  }
}

static void
test_unreadable (Fixture *f, gconstpointer data)
{
  if (geteuid () == 0) {
    g_test_skip ("root can read everything");
    return;
  }
  make_directory (f, "vm");
  g_assert_cmpint (g_chmod (f->directory, 0300), ==, 0);
  g_test_expect_message ("hypha", G_LOG_LEVEL_MESSAGE, "*machines may be missed*denied*");
  listen_for (f, "*/v.sock");
  g_main_context_iteration (NULL, TRUE);
  g_test_assert_expected_messages ();
  g_assert_cmpint (g_chmod (f->directory, 0700), ==, 0);
  call_from (f, "vm/v.sock");
  end (f);
  remove_directory (f, "vm");
}

/* There a machine is there when its VMM's socket is. */
static void
test_sockets_side_by_side (Fixture *f, gconstpointer data)
{
  g_autofree char *file = in_directory (f, "no-socket");
  g_autofree char *own = in_directory (f, "web1");
  int vmm = listen_as_another (f, "web1");

  g_assert_true (g_file_set_contents (file, "", 0, NULL));
  listen_for (f, "*");
  call_from (f, "web1");
  g_assert_false (exists (f, "no-socket_4974"));
  g_assert_false (exists (f, "web1_4974_4974"));
  close (vmm);
  g_assert_cmpint (g_unlink (own), ==, 0);
  wait_until (f, "web1_4974", FALSE);
  end (f);
  g_assert_cmpint (g_unlink (file), ==, 0);
}

/* It is asked for again, and said once. */
static void
test_taken_is_tried_again (Fixture *f, gconstpointer data)
{
  g_autofree char *port_socket = NULL;
  int other;

  make_directory (f, "web1");
  port_socket = in_directory (f, "web1/v.sock_4974");
  other = listen_as_another (f, "web1/v.sock_4974");
  g_test_expect_message ("hypha", G_LOG_LEVEL_MESSAGE, "*v.sock:4974*listens there already*");
  listen_for (f, "*/v.sock");
  make_directory (f, "web2");
  call_from (f, "web2/v.sock");
  g_test_assert_expected_messages ();
  close (other);
  call_from (f, "web1/v.sock");
  end (f);
  remove_directory (f, "web1");
  remove_directory (f, "web2");
}

static void
test_end_takes_all_away (Fixture *f, gconstpointer data)
{
  make_directory (f, "web1");
  make_directory (f, "web2");
  listen_for (f, "*/v.sock");
  wait_until (f, "web1/v.sock_4974", TRUE);
  wait_until (f, "web2/v.sock_4974", TRUE);
  hypha_transport_stop (f->transport);
  g_assert_true (hypha_listener_is_closed (f->listener));
  wait_until (f, "web1/v.sock_4974", FALSE);
  wait_until (f, "web2/v.sock_4974", FALSE);
  remove_directory (f, "web1");
  remove_directory (f, "web2");
}

/* Also while one of them is still waiting for its directory. */
static void
test_last_reference (Fixture *f, gconstpointer data)
{
  g_autofree char *locked = in_directory (f, "web1");
  int fd;

  make_directory (f, "web1");
  make_directory (f, "web2");
  fd = open (locked, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  g_assert_cmpint (flock (fd, LOCK_EX | LOCK_NB), ==, 0);
  listen_for (f, "*/v.sock");
  call_from (f, "web2/v.sock");
  g_assert_finalize_object (g_steal_pointer (&f->listener));
  g_assert_false (exists (f, "web2/v.sock_4974"));
  close (fd);
  remove_directory (f, "web1");
  remove_directory (f, "web2");
}

static void
test_cannot_be_dialled (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "*/v.sock");
  g_autoptr (GError) error = NULL;

  g_assert_null (transport_connect (f->transport, endpoint, 1000, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  g_assert_nonnull (strstr (error->message, "for listening only"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC) \
  g_test_add ("/hvsock/machines/" NAME, Fixture, NULL, set_up, FUNC, tear_down)
  ADD ("that-are-there-are-listened-for", test_there_already);
  ADD ("have-names-that-endpoints-can-have", test_strange_names);
  ADD ("are-followed-as-they-come-and-go", test_come_and_go);
  ADD ("come-in-directories-that-come-late", test_parents_come_late);
  ADD ("come-in-directories-that-are-replaced", test_parents_are_replaced);
  ADD ("are-not-too-many", test_too_many);
  ADD ("are-missed-only-with-a-word", test_unreadable);
  ADD ("are-known-by-their-sockets", test_sockets_side_by_side);
  ADD ("whose-port-is-taken-are-tried-again", test_taken_is_tried_again);
  ADD ("lose-their-sockets-at-the-end", test_end_takes_all_away);
  ADD ("end-with-the-last-reference", test_last_reference);
  ADD ("cannot-be-dialled-by-a-pattern", test_cannot_be_dialled);
#undef ADD
  return g_test_run ();
}
