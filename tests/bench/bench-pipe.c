/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program at both ends of one stream; see README.md. */

#include "conversation.h"
#include "end.h"
#include "pattern.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK PATTERN_BLOCK

/* ---- the far end ---- */

static void *
serve_one (void *data)
{
  const Carrier carrier = carrier_for_fd (GPOINTER_TO_INT (data));

  conversation_answer (&carrier);
  close (GPOINTER_TO_INT (data));
  return NULL;
}

static void
serve (const char *where)
{
  int fd = end_listen (where);

  for (;;) {
    pthread_t thread;

    if (pthread_create (&thread, NULL, serve_one, GINT_TO_POINTER (end_accept (fd))) != 0)
      die ("cannot start a thread");
    pthread_detach (thread);
  }
}

/* ---- in between: as little as a process there can do ---- */

typedef struct {
  int from, to;
} Way;

static void *
copy (void *data)
{
  Way *way = data;
  g_autofree guint8 *block = g_malloc (BLOCK);

  for (;;) {
    ssize_t n = read (way->from, block, BLOCK);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0 || !write_all (way->to, block, (gsize) n))
      break;
  }
  shutdown (way->to, SHUT_WR);
  return NULL;
}

static void *
relay_one (void *data)
{
  Way *ways = data;
  pthread_t back;

  if (pthread_create (&back, NULL, copy, &ways[1]) != 0)
    die ("cannot start a thread");
  copy (&ways[0]);
  pthread_join (back, NULL);
  close (ways[0].from);
  close (ways[0].to);
  g_free (ways);
  return NULL;
}

static void
relay (const char *from, const char *to)
{
  int listener = end_listen (from);

  for (;;) {
    Way *ways = g_new (Way, 2);
    pthread_t thread;

    ways[0].from = ways[1].to = end_accept (listener);
    ways[0].to = ways[1].from = end_open (to);
    if (pthread_create (&thread, NULL, relay_one, ways) != 0)
      die ("cannot start a thread");
    pthread_detach (thread);
  }
}

/* ---- which of them ---- */

static Carrier
reach (const char *where)
{
  return carrier_for_fd (end_open (where));
}

int
main (int argc, char **argv)
{
  g_set_prgname ("bench-pipe");
  signal (SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp (argv[1], "serve") == 0)
    serve (argv[2]);
  else if (argc == 4 && strcmp (argv[1], "relay") == 0)
    relay (argv[2], argv[3]);
  else if (!conversation_run (argc, argv, reach))
    die ("usage: bench-pipe serve WHERE | relay FROM TO | " CONVERSATION_VERBS);
  return EXIT_SUCCESS;
}
