/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What whoever connects to a mux says first. */

#include "service/request.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  int ours, theirs;
  HyphaRequest request;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  f->ours = fds[0];
  f->theirs = fds[1];
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  close (f->ours);
  if (f->theirs >= 0)
    close (f->theirs);
}

static void
say (Fixture *f, const void *bytes, gsize length)
{
  g_assert_cmpint (write (f->theirs, bytes, length), ==, (gssize) length);
}

static void
assert_state (Fixture *f, HyphaRequestState state)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (hypha_request_read (&f->request, f->ours, &error), ==, state);
  g_assert_cmpint (error != NULL, ==, state == HYPHA_REQUEST_FAILED);
}

static void
assert_service (Fixture *f, const char *service)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *found = hypha_request_dup_service (&f->request, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (found, ==, service);
}

static void
test_names_a_service (Fixture *f, gconstpointer data)
{
  say (f, "CONNECT echo\n", 13);
  assert_state (f, HYPHA_REQUEST_DONE);
  assert_service (f, "echo");
}

static void
test_number_is_a_port (Fixture *f, gconstpointer data)
{
  say (f, "CONNECT 1024\n", 13);
  assert_state (f, HYPHA_REQUEST_DONE);
  assert_service (f, "port:1024");
}

static void
test_comes_byte_by_byte (Fixture *f, gconstpointer data)
{
  const char *line = "CONNECT a\n";

  for (const char *c = line; *c != '\0'; c++) {
    assert_state (f, HYPHA_REQUEST_MORE);
    say (f, c, 1);
  }
  assert_state (f, HYPHA_REQUEST_DONE);
  assert_service (f, "a");
}

static void
test_what_follows_stays (Fixture *f, gconstpointer data)
{
  char rest[8] = "";

  say (f, "CONNECT echo\nhello\n", 19);
  assert_state (f, HYPHA_REQUEST_DONE);
  assert_service (f, "echo");
  g_assert_cmpint (read (f->ours, rest, sizeof rest), ==, 6);
  g_assert_cmpstr (rest, ==, "hello\n");
}

static void
test_longest_name (Fixture *f, gconstpointer data)
{
  g_autofree char *name = g_strnfill (HYPHA_SERVICE_MAX, 'x');
  g_autofree char *line = g_strdup_printf ("CONNECT %s\n", name);

  say (f, line, strlen (line));
  assert_state (f, HYPHA_REQUEST_DONE);
  assert_service (f, name);
}

static void
test_endless_line_is_not_kept (Fixture *f, gconstpointer data)
{
  g_autofree char *line = g_strnfill (4096, 'x');

  say (f, line, 4096);
  assert_state (f, HYPHA_REQUEST_FAILED);
}

static void
test_end_before_the_line (Fixture *f, gconstpointer data)
{
  say (f, "CONNECT ec", 10);
  assert_state (f, HYPHA_REQUEST_MORE);
  close (f->theirs);
  f->theirs = -1;
  assert_state (f, HYPHA_REQUEST_FAILED);
}

static void
test_others_are_refused (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *line;
    gsize length;
  } lines[] = {
    { "\n", 1 },
    { "GET / HTTP/1.1\r\n", 16 },
    { "connect echo\n", 13 },
    { "CONNECT\n", 8 },
    { "CONNECT \n", 9 },
    { "CONNECT a b\n", 12 },
    { "CONNECT echo\r\n", 14 },
    { "CONNECT a\0b\n", 12 },
    { "CONNECT \xff\n", 10 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autoptr (GError) error = NULL;

    memset (&f->request, 0, sizeof f->request);
    say (f, lines[i].line, lines[i].length);
    assert_state (f, HYPHA_REQUEST_DONE);
    g_assert_null (hypha_request_dup_service (&f->request, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
    g_assert_nonnull (strstr (error->message, "has to begin with CONNECT"));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC) g_test_add ("/request/" NAME, Fixture, NULL, set_up, FUNC, tear_down)
  ADD ("names-a-service", test_names_a_service);
  ADD ("number-is-a-port-of-vsock", test_number_is_a_port);
  ADD ("comes-byte-by-byte", test_comes_byte_by_byte);
  ADD ("leaves-what-follows", test_what_follows_stays);
  ADD ("longest-name", test_longest_name);
  ADD ("endless-line-is-not-kept", test_endless_line_is_not_kept);
  ADD ("end-before-the-line", test_end_before_the_line);
  ADD ("others-are-refused", test_others_are_refused);
#undef ADD
  return g_test_run ();
}
