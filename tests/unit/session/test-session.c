/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How sessions end, and begin anew. */

#include "pair.h"

static void
test_drop (void)
{
  g_autoptr (Pair) p = pair_new ();
  guint64 number[2];
  Wire *wire;

  pair_link (p, 5);
  pair_link (p, 20);
  pair_open (p, 0, "echo");
  pair_run (p);
  number[0] = hypha_session_get_number (p->session[0]);
  number[1] = hypha_session_get_number (p->session[1]);
  hypha_session_drop (p->session[0], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED,
                      "hyphactl disconnect", p->now);
  g_assert_cmpuint (hypha_session_n_links (p->session[0]), ==, 0);
  pair_run (p);
  pair_assert_ended (p, 0, 0, HYPHA_ERROR_DISCONNECTED);
  pair_assert_ended (p, 1, 0, HYPHA_ERROR_DISCONNECTED);
  pair_assert_over (p, 0, HYPHA_ERROR_DISCONNECTED);
  pair_assert_over (p, 1, HYPHA_ERROR_DISCONNECTED);
  g_assert_cmpstr (pair_find (p, 0, HYPHA_SESSION_OVER, -1)->text, ==, "hyphactl disconnect");
  g_assert_cmpuint (pair_count (p, 0, HYPHA_SESSION_LINK_DONE), ==, 2);
  g_assert_cmpint (pair_find (p, 0, HYPHA_SESSION_LINK_DONE, -1)->away, ==,
                   HYPHA_AWAY_DISCONNECTED);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_CLOSE], ==, 1);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_CLOSE], ==, 0);
  g_assert_cmpuint (hypha_session_get_number (p->session[0]), >, number[0]);
  g_assert_cmpuint (hypha_session_get_number (p->session[1]), >, number[1]);
  pair_assert_empty (p);
  g_assert_cmpint (pair_try_link (p, 5, &wire), ==, HYPHA_ATTACH_DONE);
}

static void
test_drop_for_shutdown (void)
{
  g_autoptr (Pair) p = pair_new ();

  pair_link (p, 5);
  pair_open (p, 0, "echo");
  pair_run (p);
  hypha_session_drop (p->session[0], HYPHA_AWAY_SHUTDOWN, HYPHA_ERROR_DISCONNECTED, "stops",
                      p->now);
  pair_run (p);
  pair_assert_over (p, 0, HYPHA_ERROR_DISCONNECTED);
  g_assert_cmpint (pair_find (p, 0, HYPHA_SESSION_LINK_DONE, -1)->away, ==, HYPHA_AWAY_SHUTDOWN);
  pair_assert_over (p, 1, HYPHA_ERROR_RESTARTED);
  g_assert_cmpstr (pair_find (p, 1, HYPHA_SESSION_OVER, -1)->text, ==, "the peer is shutting down");
}

/* The CLOSE never gets away: the peer finds out by the numbers. */
static void
test_drop_unnoticed (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);
  HyphaSessionStream *a, *later;

  a = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, a, 100);
  hypha_session_drop (p->session[0], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED, "test",
                      p->now);
  pair_cut (p, wire);
  later = pair_open (p, 0, "later");
  pair_link (p, 5);
  pair_run (p);
  pair_assert_ended (p, 1, 0, HYPHA_ERROR_RESTARTED);
  pair_assert_over (p, 1, HYPHA_ERROR_RESTARTED);
  /* What was opened since belongs to the new session. */
  g_assert_cmpuint (pair_write (p, 0, later, 10), ==, 10);
}

/* Opened under a number that no peer has heard of yet: it outlives the peer's change of number. */
static void
test_opened_between (void)
{
  g_autoptr (Pair) p = pair_new ();

  pair_link (p, 5);
  pair_run (p);
  hypha_session_drop (p->session[0], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED, "test",
                      p->now);
  hypha_session_drop (p->session[1], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED, "test",
                      p->now);
  pair_run (p);
  pair_forget (p);
  pair_open (p, 0, "early");
  pair_open (p, 1, "early");
  pair_link (p, 5);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_ACCEPTED, 1));
}

static void
tick_until (Pair *p, gint64 end)
{
  gint64 next;

  while ((next = hypha_session_next_tick (p->session[0])) < end) {
    p->now = next;
    hypha_session_tick (p->session[0], p->now);
  }
  p->now = end;
  hypha_session_tick (p->session[0], p->now);
  pair_drain (p);
}

static void
test_timeout (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);
  gint64 end;

  pair_open (p, 0, "echo");
  pair_run (p);
  g_assert_cmpint (hypha_session_next_tick (p->session[0]), ==, G_MAXINT64);
  pair_cut (p, wire);
  end = p->now + 60 * G_TIME_SPAN_SECOND;
  tick_until (p, end - 1);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ENDED, 0));
  g_assert_cmpint (hypha_session_next_tick (p->session[0]), ==, end);
  tick_until (p, end);
  pair_assert_ended (p, 0, 0, HYPHA_ERROR_EXPIRED);
  pair_assert_over (p, 0, HYPHA_ERROR_EXPIRED);
  g_assert_cmpint (hypha_session_next_tick (p->session[0]), ==, G_MAXINT64);
}

/* A process that was stopped, or saved with its machine: it could not look for its peer. */
static void
test_timeout_does_not_count_while_time_stands_still (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);
  gint64 cut;

  pair_open (p, 0, "echo");
  pair_run (p);
  pair_cut (p, wire);
  cut = p->now;
  tick_until (p, cut + 40 * G_TIME_SPAN_SECOND);
  for (guint i = 0; i < 3; i++) {
    /* As long as a machine may be a file. */
    p->now += 10000 * G_TIME_SPAN_DAY;
    hypha_session_tick (p->session[0], p->now);
    pair_drain (p);
    g_assert_null (pair_find (p, 0, HYPHA_SESSION_ENDED, 0));
  }
  tick_until (p, p->now + 16 * G_TIME_SPAN_SECOND);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ENDED, 0));
  tick_until (p, p->now + 2 * G_TIME_SPAN_SECOND);
  pair_assert_ended (p, 0, 0, HYPHA_ERROR_EXPIRED);
}

/* The time without a link counts from when there was something to wait for. */
static void
test_timeout_begins_with_the_first_stream (void)
{
  g_autoptr (Pair) p = pair_new ();

  p->now += 3600 * G_TIME_SPAN_SECOND;
  pair_open (p, 0, "echo");
  g_assert_cmpint (hypha_session_next_tick (p->session[0]), <=, p->now);
  hypha_session_tick (p->session[0], p->now);
  tick_until (p, p->now + 60 * G_TIME_SPAN_SECOND - 1);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ENDED, 0));
  pair_link (p, 5);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
}

static void
test_ids_run_out (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (GError) error = NULL;
  HyphaSessionStream *last;
  guint64 number;

  pair_link (p, 5);
  p->session[0]->next_id = HYPHA_SESSION_ID_LAST;
  last = pair_open (p, 0, "last");
  pair_run (p);
  number = hypha_session_get_number (p->session[0]);
  g_assert_null (hypha_session_open (p->session[0], "none", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_OFFLINE);
  hypha_session_stream_finish (p->session[1], pair_other (p, 0, last));
  hypha_session_stream_finish (p->session[0], last);
  pair_pass (p, 20000);
  g_assert_cmpuint (hypha_session_get_number (p->session[0]), >, number);
  pair_assert_ended (p, 0, HYPHA_SESSION_ID_LAST, -1);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 0, "next")), ==, 0);
}

static void
test_copy (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (HyphaSession) copy = NULL;
  HyphaSessionStream *a, *twin;
  struct iovec piece;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  p->reading[1] = FALSE;
  pair_write (p, 0, a, 6000);
  pair_run (p);
  hypha_session_stream_set_data (pair_other (p, 0, a), p);
  copy = hypha_session_copy_for_test (p->session[1]);
  p->reading[1] = TRUE;
  pair_read_all (p, 1, pair_other (p, 0, a));
  twin = hypha_session_find (copy, 0);
  g_assert_true (hypha_session_stream_get_data (twin) == p);
  g_assert_cmpuint (hypha_session_n_links (copy), ==, 0);
  g_assert_cmpuint (hypha_session_get_memory (copy), ==, 6000);
  g_assert_cmpuint (hypha_session_stream_pieces (copy, twin, &piece, 1), ==, 1);
  g_assert_cmpmem (piece.iov_base, MIN (piece.iov_len, 100), pair_received (p, 1, 0)->data, 100);
}

#define ADD(name, func) g_test_add_func ("/session/" name, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("end/drop-tells-the-peer", test_drop);
  ADD ("end/drop-tells-the-peer-of-a-shutdown", test_drop_for_shutdown);
  ADD ("end/drop-is-found-out-by-the-number", test_drop_unnoticed);
  ADD ("end/opened-between-two-sessions", test_opened_between);
  ADD ("end/expires-without-a-link", test_timeout);
  ADD ("end/expiry-does-not-count-while-time-stands-still",
       test_timeout_does_not_count_while_time_stands_still);
  ADD ("end/expiry-begins-with-the-first-stream", test_timeout_begins_with_the_first_stream);
  ADD ("end/renewed-when-ids-ran-out", test_ids_run_out);
  ADD ("copy/is-deep", test_copy);
  return g_test_run ();
}
