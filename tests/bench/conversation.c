/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conversation.h"

#include "end.h"
#include "pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK PATTERN_BLOCK /* the most that is written or read at a time */
#define READ_AHEAD 4        /* who writes in small pieces reads in larger ones: so many */

/* What the near end wants, sent first: then it writes BYTES, in pieces of BLOCK, and gets an answer
 * once, after the far end has compared all with the pattern, if VERIFY is not 0; or, if BYTES is 0,
 * it writes until it hears after so many MILLISECONDS how much has come; or, if these are 0, too,
 * every PING comes back. */
typedef struct {
  guint64 bytes, block, verify, milliseconds, ping;
} Wish;

/* What has come, from the first byte on. */
typedef struct {
  guint64 bytes;
  double seconds;
} Flow;

typedef enum {
  ANSWER_HERE,
  ANSWER_DONE,
  ANSWER_WRONG, /* what came is not what was sent */
} Answer;

/* ---- carriers ---- */

static gboolean
fd_write_all (gpointer data, const void *bytes, gsize length)
{
  return write_all (GPOINTER_TO_INT (data), bytes, length);
}

static gssize
fd_read_some (gpointer data, void *bytes, gsize size)
{
  gssize n;

  do
    n = read (GPOINTER_TO_INT (data), bytes, size);
  while (n < 0 && errno == EINTR);
  return n;
}

/**
 * carrier_for_fd:
 * @fd: a blocking descriptor
 *
 * Returns: what carries over it; it is not owned
 */
Carrier
carrier_for_fd (int fd)
{
  return (Carrier){ fd_write_all, fd_read_some, GINT_TO_POINTER (fd) };
}

static gboolean
carry (const Carrier *to, const void *bytes, gsize length)
{
  return to->write_all (to->data, bytes, length);
}

static gboolean
fetch (const Carrier *from, void *bytes, gsize length)
{
  for (guint8 *at = bytes; length > 0;) {
    gssize n = from->read_some (from->data, at, length);

    if (n <= 0)
      return FALSE;
    at += n;
    length -= (gsize) n;
  }
  return TRUE;
}

static double
now (void)
{
  struct timespec at;

  clock_gettime (CLOCK_MONOTONIC, &at);
  return (double) at.tv_sec + (double) at.tv_nsec / 1e9;
}

/* ---- the far end ---- */

static gboolean
answer (const Carrier *to, Answer what)
{
  const guint8 byte = (guint8) what;

  return carry (to, &byte, 1);
}

static gboolean
take_bytes (const Carrier *from, const Wish *wish)
{
  gsize most = MIN (MIN (wish->block, BLOCK) * READ_AHEAD, BLOCK);
  g_autofree guint8 *block = g_malloc (most);
  gboolean right = TRUE;

  for (guint64 at = 0; at < wish->bytes;) {
    gssize n = from->read_some (from->data, block, MIN (wish->bytes - at, most));

    if (n <= 0)
      return FALSE;
    right = right && (!wish->verify || memcmp (block, pattern_at (at), (gsize) n) == 0);
    at += (guint64) n;
  }
  return answer (from, right ? ANSWER_DONE : ANSWER_WRONG);
}

/* No read waits for long: the near end writes until it is answered. */
static gboolean
take_flow (const Carrier *from, const Wish *wish)
{
  g_autofree guint8 *block = g_malloc (BLOCK);
  Flow flow = { 0 };
  double start = 0;

  while (flow.seconds * 1000 < (double) wish->milliseconds) {
    gssize n = from->read_some (from->data, block, BLOCK);

    if (n <= 0)
      return FALSE;
    if (flow.bytes == 0)
      start = now ();
    flow.bytes += (guint64) n;
    flow.seconds = now () - start;
  }
  return carry (from, &flow, sizeof flow);
}

/**
 * conversation_answer:
 * @carrier: what carries it
 *
 * Is the far end of one measurement, until the near one goes away.
 */
void
conversation_answer (const Carrier *carrier)
{
  g_autofree guint8 *ping = g_malloc (BLOCK);
  Wish wish;

  if (fetch (carrier, &wish, sizeof wish) && wish.ping <= BLOCK && wish.block > 0 &&
      answer (carrier, ANSWER_HERE)) {
    if (wish.bytes > 0)
      take_bytes (carrier, &wish);
    else if (wish.milliseconds > 0)
      take_flow (carrier, &wish);
    else
      while (fetch (carrier, ping, wish.ping) && carry (carrier, ping, wish.ping))
        continue;
  }
  /* The near end closes first, so that no port of ours waits for packets that wander. */
  while (carrier->read_some (carrier->data, ping, BLOCK) > 0)
    continue;
}

/* ---- the near end ---- */

/* One byte goes there and back before the clock runs: nothing has to come up later. */
static void
begin (const Carrier *carrier, const Wish *wish)
{
  guint8 here;

  if (!carry (carrier, wish, sizeof *wish) || !fetch (carrier, &here, 1))
    die ("it ended before it began");
}

static void
send_bytes (const Carrier *carrier, const Wish *wish)
{
  double start;
  guint8 done;

  begin (carrier, wish);
  pattern_at (0);
  end_say ("ready");
  start = now ();
  for (guint64 at = 0; at < wish->bytes; at += wish->block)
    if (!carry (carrier, pattern_at (at), MIN (wish->bytes - at, wish->block)))
      die ("it ended before all was sent");
  if (!fetch (carrier, &done, 1))
    die ("it ended before all had come");
  if (done != ANSWER_DONE)
    die ("what came is not what was sent");
  end_report (now () - start);
}

static gpointer
write_for_ever (gpointer data)
{
  for (guint64 at = 0; carry (data, pattern_at (at), BLOCK); at += BLOCK)
    continue;
  return NULL;
}

/* The writer ends with the process. */
static void
flow_bytes (Carrier *carrier, guint64 milliseconds)
{
  Flow flow;

  begin (carrier, &(Wish){ .milliseconds = milliseconds, .block = BLOCK });
  pattern_at (0);
  end_say ("ready");
  g_thread_unref (g_thread_new ("writer", write_for_ever, carrier));
  if (!fetch (carrier, &flow, sizeof flow))
    die ("it ended before it was told how much had come");
  end_report ((double) flow.bytes / flow.seconds);
}

static int
compare (const void *a, const void *b)
{
  const double *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

/**
 * conversation_time_trips:
 * @one: makes one round trip
 * @data: for @one
 * @times: how many
 *
 * Measures, and reports the median in seconds.
 */
void
conversation_time_trips (void (*one) (gpointer data), gpointer data, guint64 times)
{
  g_autofree double *trips = g_new (double, times);

  one (data);
  end_say ("ready");
  for (guint64 i = 0; i < times; i++) {
    double start = now ();

    one (data);
    trips[i] = now () - start;
  }
  qsort (trips, times, sizeof *trips, compare);
  end_report (trips[times / 2]);
}

typedef struct {
  const Carrier *carrier;
  guint8 *bytes, *back;
  gsize size;
} Ping;

static void
one_ping (gpointer data)
{
  Ping *ping = data;

  ping->bytes[0]++;
  if (!carry (ping->carrier, ping->bytes, ping->size) ||
      !fetch (ping->carrier, ping->back, ping->size))
    die ("it ended between two round trips");
  if (memcmp (ping->bytes, ping->back, ping->size) != 0)
    die ("something else came back");
}

static void
ping_pong (const Carrier *carrier, gsize size, guint64 times)
{
  g_autofree guint8 *bytes = g_malloc0 (size), *back = g_malloc (size);
  Ping ping = { carrier, bytes, back, size };

  begin (carrier, &(Wish){ .ping = size, .block = size });
  conversation_time_trips (one_ping, &ping, times);
}

/**
 * conversation_run:
 * @argc: how many words
 * @argv: those of main(): %CONVERSATION_VERBS
 * @reach: connects to the far end
 *
 * Is the near end of one measurement: says "ready", is told to go, measures, and reports how many
 * seconds it took; of round trips, the median; of a flow, how many bytes a second have come.
 *
 * Returns: whether the words were any of these
 */
gboolean
conversation_run (int argc, char **argv, Carrier (*reach) (const char *where))
{
  gboolean verify = argc == 6 && strcmp (argv[5], "verified") == 0;
  Carrier carrier;

  if (argc >= 4 && (argc <= 5 || verify) && strcmp (argv[1], "send") == 0) {
    const Wish wish = { .bytes = end_number (argv[3]),
                        .block = argc > 4 ? MIN (end_number (argv[4]), BLOCK) : BLOCK,
                        .verify = verify };

    carrier = reach (argv[2]);
    send_bytes (&carrier, &wish);
    return TRUE;
  }
  if (argc == 4 && strcmp (argv[1], "flow") == 0) {
    carrier = reach (argv[2]);
    flow_bytes (&carrier, end_number (argv[3]));
    return TRUE;
  }
  if (argc == 5 && strcmp (argv[1], "ping") == 0) {
    carrier = reach (argv[2]);
    ping_pong (&carrier, MIN (end_number (argv[3]), BLOCK), end_number (argv[4]));
    return TRUE;
  }
  return FALSE;
}
