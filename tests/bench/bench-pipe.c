/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program at both ends of one stream; see README.md. */

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

/* What the near end wants, sent first: then it writes BYTES and gets an answer once, after the far
 * end has compared all with the pattern, if VERIFY is not 0; or, if BYTES is 0, every PING comes
 * back. */
typedef struct {
  guint64 bytes, ping, verify;
} Wish;

typedef enum {
  ANSWER_HERE,
  ANSWER_DONE,
  ANSWER_WRONG, /* what came is not what was sent */
} Answer;

static gboolean
answer (int fd, Answer what)
{
  const guint8 byte = (guint8) what;

  return write_all (fd, &byte, 1);
}

/* ---- the far end ---- */

static void
take_bytes (int fd, const Wish *wish)
{
  g_autofree guint8 *block = g_malloc (BLOCK);
  gboolean right = TRUE;

  for (guint64 at = 0; at < wish->bytes;) {
    ssize_t n = read (fd, block, MIN (wish->bytes - at, BLOCK));

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return;
    right = right && (!wish->verify || memcmp (block, pattern_at (at), (gsize) n) == 0);
    at += (guint64) n;
  }
  answer (fd, right ? ANSWER_DONE : ANSWER_WRONG);
}

static void *
serve_one (void *data)
{
  int fd = GPOINTER_TO_INT (data);
  guint8 ping[BLOCK];
  Wish wish;

  if (read_all (fd, &wish, sizeof wish) && wish.ping <= sizeof ping && answer (fd, ANSWER_HERE)) {
    if (wish.bytes > 0)
      take_bytes (fd, &wish);
    else
      while (read_all (fd, ping, wish.ping) && write_all (fd, ping, wish.ping))
        continue;
  }
  /* The near end closes first, so that no port of ours waits for packets that wander. */
  while (read (fd, ping, sizeof ping) > 0)
    continue;
  close (fd);
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

/* ---- the near end ---- */

static int
begin (const char *where, const Wish *wish)
{
  int fd = end_open (where);
  guint8 here;

  if (!write_all (fd, wish, sizeof *wish) || !read_all (fd, &here, 1))
    die ("%s: it ended before it began", where);
  return fd;
}

static void
send_bytes (const char *where, const Wish *wish, gsize block)
{
  gint64 start;
  guint8 done;
  int fd = begin (where, wish);

  pattern_at (0);
  end_say ("ready");
  start = g_get_monotonic_time ();
  for (guint64 at = 0; at < wish->bytes; at += block)
    if (!write_all (fd, pattern_at (at), MIN (wish->bytes - at, block)))
      die ("%s: it ended before all was sent: %s", where, g_strerror (errno));
  if (!read_all (fd, &done, 1))
    die ("%s: it ended before all had come", where);
  if (done != ANSWER_DONE)
    die ("%s: what came is not what was sent", where);
  end_report ((double) (g_get_monotonic_time () - start) / G_TIME_SPAN_SECOND);
  close (fd);
}

static int
compare (const void *a, const void *b)
{
  const double *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

static double
one_ping (const char *where, int fd, guint8 *ping, gsize size)
{
  struct timespec a, b;

  clock_gettime (CLOCK_MONOTONIC, &a);
  if (!write_all (fd, ping, size) || !read_all (fd, ping, size))
    die ("%s: it ended between two round trips", where);
  clock_gettime (CLOCK_MONOTONIC, &b);
  return (double) (b.tv_sec - a.tv_sec) + (double) (b.tv_nsec - a.tv_nsec) / 1e9;
}

/* The median, in seconds. */
static void
ping_pong (const char *where, guint64 size, guint64 times)
{
  const Wish wish = { .ping = size };
  g_autofree guint8 *ping = g_malloc0 (size);
  g_autofree double *trips = g_new (double, times);
  int fd = begin (where, &wish);

  end_say ("ready");
  for (guint64 i = 0; i < times; i++)
    trips[i] = one_ping (where, fd, ping, size);
  qsort (trips, times, sizeof *trips, compare);
  end_report (trips[times / 2]);
  close (fd);
}

int
main (int argc, char **argv)
{
  g_set_prgname ("bench-pipe");
  signal (SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp (argv[1], "serve") == 0) {
    serve (argv[2]);
  } else if (argc == 4 && strcmp (argv[1], "relay") == 0) {
    relay (argv[2], argv[3]);
  } else if (argc >= 4 && argc <= 6 && strcmp (argv[1], "send") == 0) {
    const Wish wish = { .bytes = end_number (argv[3]), .verify = argc == 6 };
    gsize block = argc > 4 ? MIN (end_number (argv[4]), BLOCK) : BLOCK;

    if (argc == 6 && strcmp (argv[5], "verified") != 0)
      die ("what is '%s'?", argv[5]);
    send_bytes (argv[2], &wish, block);
  } else if (argc == 5 && strcmp (argv[1], "ping") == 0) {
    ping_pong (argv[2], MIN (end_number (argv[3]), BLOCK), end_number (argv[4]));
  } else {
    die ("usage: bench-pipe serve WHERE | relay FROM TO | send WHERE BYTES [BLOCK [verified]] | "
         "ping WHERE SIZE TIMES");
  }
  return EXIT_SUCCESS;
}
