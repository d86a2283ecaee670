/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-end.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITE (16 * 1024) /* a program's, at a time */
#define READ (64 * 1024)
#define PERIOD 65521 /* of what is sent: a prime, so that no block that strays looks right */

/* What the near end wants, said first: BYTES and one ANSWER to the last of them, or every PING back
 * if BYTES is 0. Either is preceded by an ANSWER, so that nothing has to come up later. */
typedef struct {
  guint64 bytes, ping;
} Wish;

#define ANSWER 1

void
bench_die (const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  fprintf (stderr, "%s: ", g_get_prgname ());
  vfprintf (stderr, format, arguments);
  fputc ('\n', stderr);
  va_end (arguments);
  exit (EXIT_FAILURE);
}

guint64
bench_number (const char *text)
{
  guint64 value;

  if (!g_ascii_string_to_unsigned (text, 10, 1, G_MAXINT64, &value, NULL))
    bench_die ("%s: not a number above 0", text);
  return value;
}

/* A period, and as much of the next that a piece may begin anywhere. */
static guint8 *
make_pattern (void)
{
  guint8 *pattern = g_malloc (PERIOD + READ);
  guint32 state = 1;

  for (guint i = 0; i < PERIOD; i++) {
    state = state * 1664525 + 1013904223;
    pattern[i] = (guint8) (state >> 24);
  }
  for (guint i = PERIOD; i < PERIOD + READ; i++)
    pattern[i] = pattern[i - PERIOD];
  return pattern;
}

static gboolean
read_all (const BenchEnd *end, void *bytes, gsize length)
{
  for (guint8 *at = bytes; length > 0;) {
    gssize n = end->read_some (end->data, at, length);

    if (n <= 0)
      return FALSE;
    at += n;
    length -= (gsize) n;
  }
  return TRUE;
}

/* ---- the near end ---- */

/* Whoever started this looks at the processes meanwhile. */
static void
wait_for_line (const char *say)
{
  char line[16];

  puts (say);
  fflush (stdout);
  if (fgets (line, sizeof line, stdin) == NULL)
    exit (EXIT_FAILURE);
}

static void
report (double seconds)
{
  g_autofree char *line = g_strdup_printf ("%.9f", seconds);

  wait_for_line (line);
}

static double
now (void)
{
  struct timespec at;

  clock_gettime (CLOCK_MONOTONIC, &at);
  return (double) at.tv_sec + (double) at.tv_nsec / 1e9;
}

static void
begin (const BenchEnd *end, const Wish *wish)
{
  guint8 answer[ANSWER];

  if (!end->write_all (end->data, wish, sizeof *wish) || !read_all (end, answer, sizeof answer))
    bench_die ("it ended before it began");
  wait_for_line ("ready");
}

void
bench_send (const BenchEnd *end, guint64 bytes)
{
  g_autofree guint8 *pattern = make_pattern ();
  guint8 answer[ANSWER];
  double start;

  begin (end, &(Wish){ .bytes = bytes });
  start = now ();
  for (guint64 done = 0; done < bytes;) {
    gsize length = MIN (bytes - done, WRITE);

    if (!end->write_all (end->data, pattern + done % PERIOD, length))
      bench_die ("it ended before all was sent");
    done += length;
  }
  if (!read_all (end, answer, sizeof answer))
    bench_die ("it ended before all had come, or something else came");
  report (now () - start);
}

static int
compare (const void *a, const void *b)
{
  const double *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

/* Reports the median. */
static void
time_trips (void (*one) (gpointer data), gpointer data, guint64 times)
{
  g_autofree double *trips = g_new (double, times);

  for (guint64 i = 0; i < times; i++) {
    double start = now ();

    one (data);
    trips[i] = now () - start;
  }
  qsort (trips, times, sizeof *trips, compare);
  report (trips[times / 2]);
}

void
bench_time_trips (void (*one) (gpointer data), gpointer data, guint64 times)
{
  one (data);
  wait_for_line ("ready");
  time_trips (one, data, times);
}

typedef struct {
  const BenchEnd *end;
  guint8 *bytes, *back;
  gsize size;
} Ping;

static void
one_ping (gpointer data)
{
  Ping *ping = data;
  const BenchEnd *end = ping->end;

  ping->bytes[0]++;
  if (!end->write_all (end->data, ping->bytes, ping->size) ||
      !read_all (end, ping->back, ping->size))
    bench_die ("it ended between two round trips");
  if (memcmp (ping->bytes, ping->back, ping->size) != 0)
    bench_die ("something else came back");
}

void
bench_ping (const BenchEnd *end, gsize size, guint64 times)
{
  g_autofree guint8 *bytes = g_malloc0 (size), *back = g_malloc (size);
  Ping ping = { end, bytes, back, size };

  begin (end, &(Wish){ .ping = size });
  time_trips (one_ping, &ping, times);
}

/* ---- the far end ---- */

static gboolean
take_bytes (const BenchEnd *end, guint64 bytes)
{
  g_autofree guint8 *pattern = make_pattern (), *block = g_malloc (READ);

  for (guint64 done = 0; done < bytes;) {
    gssize n = end->read_some (end->data, block, MIN (bytes - done, READ));

    if (n <= 0)
      return FALSE;
    if (memcmp (block, pattern + done % PERIOD, (gsize) n) != 0) {
      g_printerr ("%s: something else came at byte %" G_GUINT64_FORMAT "\n", g_get_prgname (),
                  done);
      return FALSE;
    }
    done += (guint64) n;
  }
  return TRUE;
}

void
bench_answer (const BenchEnd *end)
{
  const guint8 answer[ANSWER] = { 0 };
  g_autofree guint8 *ping = g_malloc (READ);
  Wish wish;

  if (!read_all (end, &wish, sizeof wish) || wish.ping > READ ||
      !end->write_all (end->data, answer, sizeof answer))
    return;
  if (wish.bytes == 0)
    while (read_all (end, ping, wish.ping) && end->write_all (end->data, ping, wish.ping))
      continue;
  else if (!take_bytes (end, wish.bytes) || !end->write_all (end->data, answer, sizeof answer))
    return;
  /* The near end closes first. */
  while (end->read_some (end->data, ping, READ) > 0)
    continue;
}
