/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program at both ends of a bare channel of any transport: WHERE is an endpoint. See README.md.
 */

#include "conversation.h"
#include "end.h"

#include <glib-unix.h>
#include <hypha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define SKIP 77 /* this machine or this build lacks what it takes */

G_NORETURN static void
give_up (const GError *error)
{
  gboolean lacking = g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE) ||
                     g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT);

  fprintf (stderr, "%s\n", error->message);
  exit (lacking ? SKIP : EXIT_FAILURE);
}

static Carrier
carrier_for_channel (int fd)
{
  g_autoptr (GError) error = NULL;

  if (fd < 0 || !g_unix_set_fd_nonblocking (fd, FALSE, &error))
    die ("no descriptor: %s", error != NULL ? error->message : "the channel has none");
  return carrier_for_fd (fd);
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

static void
run_for_ever (void)
{
  for (;;)
    g_main_context_iteration (NULL, TRUE);
}

/* ---- the far end ---- */

static gpointer
serve_channel (gpointer data)
{
  g_autoptr (HyphaChannel) channel = data;
  int fd = hypha_channel_steal_fd (channel);
  const Carrier carrier = carrier_for_channel (fd);

  conversation_answer (&carrier);
  close (fd);
  return NULL;
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_thread_unref (g_thread_new ("channel", serve_channel, g_object_ref (channel)));
}

static void
serve (const char *endpoint)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaListener) listener = NULL;

  hypha_listen_async (endpoint, NULL, keep_result, &result);
  listener = hypha_listen_finish (wait_for (&result), &error);
  if (listener == NULL)
    give_up (error);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), NULL);
  puts (hypha_endpoint_to_string (hypha_listener_get_bound (listener)));
  fflush (stdout);
  run_for_ever ();
}

/* ---- the near end: on a thread, so that a transport that needs the main one has it ---- */

typedef struct {
  int argc;
  char **argv;
} Words;

typedef struct {
  const char *endpoint;
  GAsyncQueue *done; /* of HyphaStream */
} Dial;

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = hypha_dial_finish (result, &error);

  if (stream == NULL)
    give_up (error);
  g_async_queue_push (((Dial *) user_data)->done, stream);
}

static gboolean
start_to_dial (gpointer user_data)
{
  Dial *dial = user_data;

  hypha_dial_async (dial->endpoint, PATIENCE_MS, NULL, on_dialled, dial);
  return G_SOURCE_REMOVE;
}

static Carrier
reach (const char *where)
{
  g_autoptr (GAsyncQueue) done = g_async_queue_new ();
  Dial dial = { where, done };
  g_autoptr (HyphaStream) stream = NULL;

  g_main_context_invoke (NULL, start_to_dial, &dial);
  stream = g_async_queue_pop (done);
  return carrier_for_channel (hypha_stream_steal_fd (stream));
}

static gpointer
converse (gpointer data)
{
  const Words *words = data;

  if (!conversation_run (words->argc, words->argv, reach))
    die ("usage: bench-channel serve WHERE | " CONVERSATION_VERBS);
  exit (EXIT_SUCCESS);
}

int
main (int argc, char **argv)
{
  Words words = { argc, argv };

  g_set_prgname ("bench-channel");
  signal (SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp (argv[1], "serve") == 0)
    serve (argv[2]);
  g_main_context_acquire (NULL);
  g_thread_unref (g_thread_new ("conversation", converse, &words));
  run_for_ever ();
  return EXIT_SUCCESS;
}
