/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A program that holds a node, at both ends of a link; or, to compare, of a socket of its own. See
 * README.md. */

#include "bench-end.h"

#include <errno.h>
#include <hypha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVICE "bench"

/* ---- a socket: unix:PATH ---- */

static gboolean
socket_write_all (gpointer data, const void *bytes, gsize length)
{
  const guint8 *at = bytes;

  while (length > 0) {
    ssize_t n = write (GPOINTER_TO_INT (data), at, length);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return FALSE;
    at += n;
    length -= (gsize) n;
  }
  return TRUE;
}

static gssize
socket_read_some (gpointer data, void *bytes, gsize size)
{
  ssize_t n;

  do
    n = read (GPOINTER_TO_INT (data), bytes, size);
  while (n < 0 && errno == EINTR);
  return n;
}

static BenchEnd
socket_end (int fd)
{
  return (BenchEnd){ socket_write_all, socket_read_some, GINT_TO_POINTER (fd) };
}

static int
make_socket (const char *path, struct sockaddr_un *address)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
  if (fd < 0 ||
      g_strlcpy (address->sun_path, path, sizeof address->sun_path) >= sizeof address->sun_path)
    bench_die ("cannot make a socket for %s", path);
  return fd;
}

static void
serve_socket (const char *path)
{
  struct sockaddr_un address;
  int fd = make_socket (path, &address);

  if (bind (fd, (struct sockaddr *) &address, sizeof address) < 0 || listen (fd, 16) < 0)
    bench_die ("cannot listen on %s: %s", path, g_strerror (errno));
  puts ("serving");
  fflush (stdout);
  for (;;) {
    int one = accept4 (fd, NULL, NULL, SOCK_CLOEXEC);
    BenchEnd end = socket_end (one);

    if (one < 0)
      bench_die ("accept: %s", g_strerror (errno));
    bench_answer (&end);
    close (one);
  }
}

static BenchEnd
connect_socket (const char *path)
{
  struct sockaddr_un address;
  int fd = make_socket (path, &address);

  if (connect (fd, (struct sockaddr *) &address, sizeof address) < 0)
    bench_die ("cannot connect to %s: %s", path, g_strerror (errno));
  return socket_end (fd);
}

/* ---- a node: hypha:KEY-FILE;ENDPOINT;ID of the other one ---- */

static gboolean
stream_write_all (gpointer data, const void *bytes, gsize length)
{
  return g_output_stream_write_all (g_io_stream_get_output_stream (data), bytes, length, NULL, NULL,
                                    NULL);
}

static gssize
stream_read_some (gpointer data, void *bytes, gsize size)
{
  return g_input_stream_read (g_io_stream_get_input_stream (data), bytes, size, NULL, NULL);
}

static BenchEnd
stream_end (HyphaStream *stream)
{
  return (BenchEnd){ stream_write_all, stream_read_some, stream };
}

static HyphaNode *
make_node (char **parts)
{
  g_autoptr (GError) error = NULL;
  HyphaNode *node = hypha_node_new_for_file (parts[0], &error);

  if (node == NULL || !hypha_node_trust (node, parts[2], "other", &error))
    bench_die ("%s", error->message);
  return node;
}

static gpointer
serve_stream (gpointer data)
{
  g_autoptr (HyphaStream) stream = data;
  BenchEnd end = stream_end (stream);

  bench_answer (&end);
  return NULL;
}

static gboolean
on_stream (HyphaNode *node, HyphaPeer *peer, HyphaStream *stream, gpointer user_data)
{
  g_thread_unref (g_thread_new ("stream", serve_stream, g_object_ref (stream)));
  return TRUE;
}

static void
serve_node (char **parts)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (HyphaNode) node = make_node (parts);
  g_autoptr (GError) error = NULL;
  const char *listen[] = { parts[1], NULL };

  if (!hypha_node_set_listen (node, listen, &error))
    bench_die ("%s", error->message);
  g_signal_connect (node, "incoming-stream::" SERVICE, G_CALLBACK (on_stream), NULL);
  puts ("serving");
  fflush (stdout);
  g_main_loop_run (loop);
}

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static GAsyncResult *
wait_for (GAsyncResult **place)
{
  while (*place == NULL)
    g_main_context_iteration (NULL, TRUE);
  return *place;
}

static HyphaPeer *
connect_node (HyphaNode *node, const char *endpoint)
{
  for (guint tries = 0;; tries++) {
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (GError) error = NULL;
    HyphaPeer *peer;

    hypha_node_connect_async (node, endpoint, NULL, NULL, keep_result, &result);
    peer = hypha_node_connect_finish (node, wait_for (&result), &error);
    if (peer != NULL)
      return peer;
    if (tries == 100) /* it listens a moment after it says so */
      bench_die ("%s", error->message);
    g_usleep (G_TIME_SPAN_MILLISECOND * 10);
  }
}

/* The node and the stream last until the process ends. */
static BenchEnd
connect_stream (char **parts)
{
  HyphaNode *node = make_node (parts);
  HyphaPeer *peer = connect_node (node, parts[1]);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  HyphaStream *stream;

  hypha_peer_open_stream_async (peer, SERVICE, 5000, NULL, keep_result, &result);
  stream = hypha_peer_open_stream_finish (peer, wait_for (&result), &error);
  if (stream == NULL)
    bench_die ("%s", error->message);
  return stream_end (stream);
}

/* ---- which of them ---- */

static void
print_id (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNode) node = hypha_node_new_for_file (path, &error);
  g_autofree char *id = node != NULL ? hypha_node_dup_id (node) : NULL;

  if (id == NULL)
    bench_die ("%s", error->message);
  puts (id);
  hypha_node_stop (node);
}

static char **
node_parts (const char *where)
{
  char **parts = g_strsplit (where + strlen ("hypha:"), ";", 3);

  if (g_strv_length (parts) != 3)
    bench_die ("%s: not hypha:KEY-FILE;ENDPOINT;ID", where);
  return parts;
}

static BenchEnd
reach (const char *where)
{
  g_auto (GStrv) parts = NULL;

  if (g_str_has_prefix (where, "unix:"))
    return connect_socket (where + strlen ("unix:"));
  if (!g_str_has_prefix (where, "hypha:"))
    bench_die ("%s: neither unix:PATH nor hypha:...", where);
  parts = node_parts (where);
  return connect_stream (parts);
}

static void
serve (const char *where)
{
  if (g_str_has_prefix (where, "hypha:"))
    serve_node (node_parts (where));
  else if (g_str_has_prefix (where, "unix:"))
    serve_socket (where + strlen ("unix:"));
  else
    bench_die ("%s: neither unix:PATH nor hypha:...", where);
}

int
main (int argc, char **argv)
{
  BenchEnd end;

  g_set_prgname ("bench-embedded");
  signal (SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp (argv[1], "id") == 0) {
    print_id (argv[2]);
  } else if (argc == 3 && strcmp (argv[1], "serve") == 0) {
    serve (argv[2]);
  } else if (argc == 4 && strcmp (argv[1], "send") == 0) {
    end = reach (argv[2]);
    bench_send (&end, bench_number (argv[3]));
  } else if (argc == 5 && strcmp (argv[1], "ping") == 0) {
    end = reach (argv[2]);
    bench_ping (&end, MIN (bench_number (argv[3]), 65536), bench_number (argv[4]));
  } else {
    bench_die ("usage: id KEY-FILE | serve WHERE | send WHERE BYTES | ping WHERE SIZE TIMES");
  }
  return EXIT_SUCCESS;
}
