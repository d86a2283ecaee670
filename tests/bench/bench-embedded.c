/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A program that holds a node, at both ends of a link: hypha:KEY-FILE;ENDPOINT;ID of the other one,
 * or direct:..., for a direct stream. See README.md. */

#include "conversation.h"
#include "end.h"

#include <glib-unix.h>
#include <hypha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 5000
#define SERVICE "bench"
#define DIRECT "direct" /* the service whose streams are but descriptors */

/* ---- streams ---- */

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

/* A direct one is a socket, and used as one. */
static Carrier
carrier_for_stream (HyphaStream *stream, gboolean direct)
{
  g_autoptr (GError) error = NULL;
  int fd;

  if (!direct)
    return (Carrier){ stream_write_all, stream_read_some, stream };
  fd = hypha_stream_steal_fd (stream);
  if (fd < 0 || !g_unix_set_fd_nonblocking (fd, FALSE, &error))
    die ("no descriptor: %s", error != NULL ? error->message : "the stream has none");
  return carrier_for_fd (fd);
}

/* ---- the far node ---- */

static HyphaNode *
make_node (char **parts)
{
  g_autoptr (GError) error = NULL;
  HyphaNode *node = hypha_node_new_for_file (parts[0], &error);

  if (node == NULL || !hypha_node_trust (node, parts[2], "other", &error))
    die ("%s", error->message);
  return node;
}

static gpointer
serve_stream (gpointer data)
{
  g_autoptr (HyphaStream) stream = data;
  gboolean direct = g_strcmp0 (hypha_stream_get_service (stream), DIRECT) == 0;
  Carrier carrier = carrier_for_stream (stream, direct);

  conversation_answer (&carrier);
  if (direct)
    close (GPOINTER_TO_INT (carrier.data));
  return NULL;
}

static gboolean
on_stream (HyphaNode *node, HyphaPeer *peer, HyphaStream *stream, gpointer user_data)
{
  g_thread_unref (g_thread_new ("stream", serve_stream, g_object_ref (stream)));
  return TRUE;
}

static void
serve (char **parts)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autoptr (HyphaNode) node = make_node (parts);
  g_autoptr (GError) error = NULL;
  const char *listen[] = { parts[1], NULL };

  if (!hypha_node_set_listen (node, listen, &error))
    die ("%s", error->message);
  g_signal_connect (node, "incoming-stream::" SERVICE, G_CALLBACK (on_stream), NULL);
  g_signal_connect (node, "incoming-stream::" DIRECT, G_CALLBACK (on_stream), NULL);
  puts ("serving");
  fflush (stdout);
  g_main_loop_run (loop);
}

/* ---- the near node ---- */

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
      die ("%s", error->message);
    g_usleep (G_TIME_SPAN_MILLISECOND * 10);
  }
}

static HyphaStream *
open_stream (HyphaPeer *peer, gboolean direct)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  HyphaStream *stream;

  if (direct) {
    hypha_peer_open_direct_async (peer, DIRECT, PATIENCE_MS, NULL, keep_result, &result);
    stream = hypha_peer_open_direct_finish (peer, wait_for (&result), &error);
  } else {
    hypha_peer_open_stream_async (peer, SERVICE, PATIENCE_MS, NULL, keep_result, &result);
    stream = hypha_peer_open_stream_finish (peer, wait_for (&result), &error);
  }
  if (stream == NULL)
    die ("%s", error->message);
  return stream;
}

/* ---- which of them ---- */

static char **
node_parts (const char *where)
{
  const char *colon = strchr (where, ':');
  char **parts = g_strsplit (colon != NULL ? colon + 1 : "", ";", 3);

  if (g_strv_length (parts) != 3)
    die ("%s: not hypha:KEY-FILE;ENDPOINT;ID, with direct: for a direct stream", where);
  return parts;
}

/* The node and the stream last until the process ends. */
static Carrier
reach (const char *where)
{
  g_auto (GStrv) parts = node_parts (where);
  gboolean direct = g_str_has_prefix (where, "direct:");

  return carrier_for_stream (open_stream (connect_node (make_node (parts), parts[1]), direct),
                             direct);
}

static void
print_id (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNode) node = hypha_node_new_for_file (path, &error);
  g_autofree char *id = node != NULL ? hypha_node_dup_id (node) : NULL;

  if (id == NULL)
    die ("%s", error->message);
  puts (id);
  hypha_node_stop (node);
}

int
main (int argc, char **argv)
{
  g_set_prgname ("bench-embedded");
  signal (SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp (argv[1], "id") == 0)
    print_id (argv[2]);
  else if (argc == 3 && strcmp (argv[1], "serve") == 0)
    serve (node_parts (argv[2]));
  else if (!conversation_run (argc, argv, reach))
    die ("usage: id KEY-FILE | serve WHERE | " CONVERSATION_VERBS);
  return EXIT_SUCCESS;
}
