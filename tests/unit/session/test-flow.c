/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pair.h"

#include <string.h>

#define KIB 1024
#define MIB (1024 * 1024)

static void
test_reader_that_stops (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  p->reading[1] = FALSE;
  g_assert_cmpuint (pair_write (p, 0, a, MIB), ==, 8 * KIB);
  pair_pass (p, 50000);
  g_assert_cmpuint (pair_write (p, 0, a, MIB), ==, 0);
  pair_forget (p);
  pair_pass (p, 50000);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_WRITABLE, 0));

  p->reading[1] = TRUE;
  pair_read_all (p, 1, pair_other (p, 0, a));
  pair_pass (p, 50000);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_WRITABLE, 0));
  /* Whoever reads gets a larger window. */
  g_assert_cmpuint (hypha_session_stream_room (p->session[0], a), >, MIB);
  pair_assert_received (p, 1, 0, 8 * KIB);
}

static void
test_slow_reader (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  gsize total = 3 * MIB, written = 0;

  p->swallow[1] = 1000;
  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  while (written < total) {
    written += pair_write (p, 0, a, total - written);
    pair_pass (p, 1000);
  }
  pair_pass (p, 50000);
  pair_assert_received (p, 1, 0, total);
  /* No trickle of tiny grants. */
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_WINDOW], <, 40);
}

static void
test_send_max (void)
{
  HyphaSessionLimits limits;
  g_autoptr (Pair) p = NULL;
  HyphaSessionStream *a;
  Wire *wire;

  hypha_session_limits_init (&limits);
  limits.send_max = 3000;
  p = pair_new_with (&limits, &limits);
  wire = pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  g_assert_cmpuint (pair_write (p, 0, a, 8000), ==, 3000);
  while (pair_send_one (p, wire, 0))
    ;
  g_assert_cmpuint (pair_write (p, 0, a, 8000), ==, 0);
  pair_pass (p, 10000);
  g_assert_cmpuint (pair_write (p, 0, a, 8000), ==, 3000);
}

/* Readers that stopped hold most of the pool: everybody else still has a window of its own, and all
 * promises together stay below the total. */
static void
test_pool (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *streams[60], *late;
  guint64 promised = 0;

  pair_link (p, 5);
  for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
    streams[i] = pair_open (p, 0, "echo");
  pair_run (p);
  for (guint round = 0; round < 3; round++) {
    for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
      pair_write (p, 0, streams[i], 8 * KIB);
    pair_pass (p, 20000);
  }
  for (guint i = 0; i < G_N_ELEMENTS (streams); i++) {
    HyphaSessionStream *other = pair_other (p, 0, streams[i]);

    promised += other->promised - other->read;
    g_assert_cmpuint (other->promised - other->read, <=, p->limits[1].window_max);
  }
  g_assert_cmpuint (promised, <=, p->limits[1].window_total);
  g_assert_cmpuint (promised, >, 4 * MIB);

  p->reading[1] = FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
    pair_write (p, 0, streams[i], 16 * MIB);
  pair_pass (p, 20000);
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), <=, p->limits[1].window_total);
  g_assert_cmpuint (hypha_session_get_memory (p->session[0]), <=, p->limits[0].window_total);

  p->reading[1] = TRUE;
  late = pair_open (p, 0, "echo");
  pair_run (p);
  for (gsize total = 0; total < 200000;) {
    gsize n = pair_write (p, 0, late, 200000 - total);

    g_assert_cmpuint (n, >, 0);
    total += n;
    pair_pass (p, 10000);
  }
  pair_assert_received (p, 1, hypha_session_stream_get_id (late), 200000);
}

/* The peer promises more than this side will hold: the writers wait for each other, but all go on.
 */
static void
test_sending_pool (void)
{
  HyphaSessionLimits small, large;
  g_autoptr (Pair) p = NULL;
  HyphaSessionStream *streams[8];
  gsize written[8] = { 0 }, total = 600 * KIB;
  gboolean busy = TRUE;

  hypha_session_limits_init (&small);
  hypha_session_limits_init (&large);
  small.streams = 8;
  small.window_total = 16 * 8 * KIB + 64 * KIB;
  p = pair_new_with (&small, &large);
  pair_link (p, 5);
  for (guint i = 0; i < 8; i++)
    streams[i] = pair_open (p, 0, "echo");
  pair_run (p);
  while (busy) {
    busy = FALSE;
    for (guint i = 0; i < 8; i++) {
      gsize n = pair_write (p, 0, streams[i], total - written[i]);

      written[i] += n;
      g_assert_cmpuint (p->session[0]->unacknowledged, <=, small.window_total);
      if (n == 0 && written[i] < total)
        g_assert_true (streams[i]->wants_room);
      busy |= written[i] < total;
    }
    pair_forget (p);
    pair_pass (p, 10000);
    if (busy)
      g_assert_cmpuint (pair_count (p, 0, HYPHA_SESSION_WRITABLE), >, 0);
  }
  for (guint i = 0; i < 8; i++)
    pair_assert_received (p, 1, hypha_session_stream_get_id (streams[i]), total);
}

/* Of the stream A, the other end B gives a large window, and then no more than it must. How much
 * was written so far. */
static gsize
shrink_window (Pair *p, HyphaSessionStream **a, HyphaSessionStream **b)
{
  HyphaSessionLimits limits;
  gsize written;

  pair_link (p, 5);
  *a = pair_open (p, 0, "echo");
  pair_run (p);
  *b = pair_other (p, 0, *a);
  written = pair_write (p, 0, *a, 8 * KIB);
  pair_pass (p, 20000);
  g_assert_cmpuint ((*b)->promised - (*b)->read, >, MIB);
  limits = p->limits[1];
  limits.window_total = 0; /* the least there can be: no pool */
  hypha_session_set_limits (p->session[1], &limits);
  return written;
}

/* What was lent is not taken back, but comes back as it is used up, in pieces worth a frame. */
static void
test_shrinking_window (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;
  gsize written;

  written = shrink_window (p, &a, &b);
  memset (p->frames_sent, 0, sizeof p->frames_sent);
  while (b->promised - b->read > 9 * KIB) {
    written += pair_write (p, 0, a, 500);
    pair_run (p);
  }
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_WINDOW], ==, 0);
  for (guint i = 0; i < 64; i++) {
    written += pair_write (p, 0, a, KIB);
    pair_run (p);
    g_assert_cmpuint (b->promised - b->read, <=, 9 * KIB);
  }
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_WINDOW], >, 4);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_WINDOW], <=, 16);
  pair_assert_received (p, 1, 0, written);
}

/* Who reads tells of it in steps, as a program in memory does: the last bytes of a window that is
 * not given again as large are a step, too, or the peer would wait for room for ever. */
static void
test_shrinking_window_in_steps (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;
  gsize written, untold = 0, step;

  written = shrink_window (p, &a, &b);
  hypha_session_stream_hold_outside (p->session[1], b);
  step = hypha_session_stream_get_step (b);
  while (written < 4 * MIB) {
    gsize n = pair_write (p, 0, a, 60000);

    g_assert_cmpuint (n, >, 0);
    written += n;
    untold += n;
    pair_pass (p, 10000);
    if (untold < step)
      continue;
    hypha_session_stream_read (p->session[1], b, untold, p->now);
    step = hypha_session_stream_get_step (b);
    untold = 0;
    pair_pass (p, 10000);
  }
  pair_assert_received (p, 1, 0, written);
}

/* A fast reader gets all that one stream may have, and not a byte more, though the pool is large.
 */
static void
test_window_max (void)
{
  HyphaSessionLimits limits;
  g_autoptr (Pair) p = NULL;
  HyphaSessionStream *a, *b;
  gsize written = 0, total = 300 * KIB;
  guint64 largest = 0;

  hypha_session_limits_init (&limits);
  limits.window_max = 20 * KIB;
  p = pair_new_with (&limits, &limits);
  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  while (written < total) {
    gsize n = pair_write (p, 0, a, total - written);

    g_assert_cmpuint (n, >, 0);
    g_assert_cmpuint (n, <=, 20 * KIB);
    written += n;
    pair_pass (p, 10000);
    largest = MAX (largest, b->promised - b->read);
  }
  g_assert_cmpuint (largest, ==, 20 * KIB);
  pair_assert_received (p, 1, 0, total);
}

/* Limits that are lowered take nothing back: what was promised and what is open stays, but there
 * will be no more of it. */
static void
test_lowered_limits (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (GError) error = NULL;
  HyphaSessionLimits limits = p->limits[0];
  HyphaSessionStream *streams[3], *theirs;
  gsize written;

  pair_link (p, 5);
  for (guint i = 0; i < G_N_ELEMENTS (streams); i++)
    streams[i] = pair_open (p, 0, "echo");
  pair_run (p);
  theirs = pair_other (p, 0, streams[0]);
  written = pair_write (p, 0, streams[0], 8 * KIB);
  pair_pass (p, 20000);
  g_assert_cmpuint (theirs->promised - theirs->read, >, MIB);

  limits.streams = 2;
  limits.window_max = 20 * KIB;
  hypha_session_set_limits (p->session[0], &limits);
  hypha_session_set_limits (p->session[1], &limits);
  hypha_session_check (p->session[0]);
  hypha_session_check (p->session[1]);
  g_assert_null (hypha_session_open (p->session[0], "echo", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  g_assert_cmpuint (hypha_session_n_streams (p->session[1]), ==, 3);

  written += pair_write (p, 0, streams[0], 16 * MIB);
  g_assert_cmpuint (written, >, MIB);
  pair_pass (p, 20000);
  g_assert_cmpuint (theirs->promised - theirs->read, <=, 20 * KIB);
  written += pair_write (p, 0, streams[0], 16 * MIB);
  pair_pass (p, 20000);
  pair_assert_received (p, 1, 0, written);
}

/* First the window stood in its way, then the pool: it is told when the pool has room. */
static void
test_waits_for_window_then_pool (void)
{
  HyphaSessionLimits small, large;
  g_autoptr (Pair) p = NULL;
  HyphaSessionStream *x, *y;
  Wire *wire;

  hypha_session_limits_init (&small);
  hypha_session_limits_init (&large);
  small.streams = 8;
  small.window_total = 16 * 8 * KIB + 64 * KIB;
  p = pair_new_with (&small, &large);
  wire = pair_link (p, 5);
  x = pair_open (p, 0, "echo");
  y = pair_open (p, 0, "echo");
  pair_run (p);
  pair_inject (p, wire, 0,
               &(HyphaFrame){ .type = HYPHA_FRAME_WINDOW, .stream = y->id, .value = MIB });
  g_assert_cmpuint (pair_write (p, 0, y, MIB), ==, 72 * KIB);
  g_assert_cmpuint (pair_write (p, 0, x, MIB), ==, 8 * KIB);
  while (pair_send_one (p, wire, 0))
    ;
  pair_forget (p);
  pair_inject (p, wire, 0,
               &(HyphaFrame){ .type = HYPHA_FRAME_WINDOW, .stream = x->id, .value = MIB });
  pair_drain (p);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_WRITABLE, x->id));
  pair_inject (p, wire, 0,
               &(HyphaFrame){ .type = HYPHA_FRAME_ACK, .stream = y->id, .value = 40 * KIB });
  pair_drain (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_WRITABLE, x->id));
  g_assert_cmpuint (pair_write (p, 0, x, MIB), ==, 40 * KIB);
}

static void
test_fairness (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *bulk, *small;
  Wire *wire = pair_link (p, 5);
  guint before = 0;

  bulk = pair_open (p, 0, "bulk");
  small = pair_open (p, 0, "small");
  pair_run (p);
  pair_write (p, 0, bulk, 8 * KIB);
  pair_pass (p, 10000);
  g_assert_cmpuint (pair_write (p, 0, bulk, 2 * MIB), >, MIB);
  g_assert_true (pair_send_one (p, wire, 0));
  pair_write (p, 0, small, 10);
  /* Bulk of many frames waits: one of them at most goes before the small one. */
  while (pair_received (p, 1, small->id)->len == 0) {
    g_assert_true (pair_send_one (p, wire, 0));
    while (pair_take_one (p, wire, 0))
      ;
    before++;
  }
  g_assert_cmpuint (before, <=, 2);
}

static void
test_acks_are_few (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  gsize written = 0, total = 40 * MIB;

  pair_link (p, 5);
  a = pair_open (p, 0, "bulk");
  pair_run (p);
  while (written < total) {
    written += pair_write (p, 0, a, total - written);
    pair_run (p);
    p->now += 10;
  }
  pair_pass (p, 20000);
  g_assert_cmpuint (pair_received (p, 1, 0)->len, ==, total);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_ACK], <, 150);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_WINDOW], <, 150);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_DATA], <, 1000);
}

static void
test_ack_delay (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, a, 10);
  pair_run (p);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_ACK], ==, 0);
  g_assert_cmpint (hypha_session_next_tick (p->session[1]), ==, p->now + 5000);
  pair_pass (p, 4000);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_ACK], ==, 0);
  pair_pass (p, 1000);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_ACK], ==, 1);
  g_assert_cmpuint (hypha_session_get_memory (p->session[0]), ==, 0);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_CONFIRMED, -1));
}

/* Only the acknowledgement of the very last frame shows that there is nothing left to ask about. */
static void
test_ack_of_all (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  b = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, a, 10);
  pair_pass (p, 3000);
  pair_write (p, 0, b, 10);
  pair_pass (p, 2000);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_ACK], ==, 1);
  g_assert_false (pair_find (p, 0, HYPHA_SESSION_CONFIRMED, -1)->all);
  pair_forget (p);
  pair_pass (p, 3000);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_ACK], ==, 2);
  g_assert_true (pair_find (p, 0, HYPHA_SESSION_CONFIRMED, -1)->all);

  /* What we acknowledge ourselves is acknowledged by nobody. */
  pair_forget (p);
  pair_write (p, 1, pair_other (p, 0, a), 10);
  pair_pass (p, 3000);
  pair_write (p, 0, a, 10);
  pair_pass (p, 2000);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_ACK], ==, 1);
  pair_pass (p, 3000);
  g_assert_false (pair_find (p, 0, HYPHA_SESSION_CONFIRMED, -1)->all);
}

#define ADD(name, func) g_test_add_func ("/session/" name, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("flow/reader-that-stops-stops-the-writer", test_reader_that_stops);
  ADD ("flow/slow-reader-gets-everything", test_slow_reader);
  ADD ("flow/no-more-unacknowledged-than-send-max", test_send_max);
  ADD ("flow/pool-is-shared-and-bounded", test_pool);
  ADD ("flow/sending-pool-wakes-who-waits", test_sending_pool);
  ADD ("flow/shrinking-window-does-not-trickle", test_shrinking_window);
  ADD ("flow/shrinking-window-is-used-up-in-steps", test_shrinking_window_in_steps);
  ADD ("flow/one-window-is-at-most-window-max", test_window_max);
  ADD ("flow/lowered-limits-take-nothing-back", test_lowered_limits);
  ADD ("flow/waits-for-the-window-then-the-pool", test_waits_for_window_then_pool);
  ADD ("flow/small-messages-pass-bulk", test_fairness);
  ADD ("flow/acknowledgements-are-few", test_acks_are_few);
  ADD ("flow/acknowledgement-comes-after-its-delay", test_ack_delay);
  ADD ("flow/acknowledgement-of-the-last-frame-is-of-all", test_ack_of_all);
  return g_test_run ();
}
