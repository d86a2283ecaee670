/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What streams have of links that come, go and change. */

#include "pair.h"

#include <string.h>

#define KIB 1024
#define MIB (1024 * 1024)

static void
test_resume_after_cut (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;
  gsize written = 0, back = 0, total = 2 * MIB;
  guint cuts = 0;

  a = pair_open (p, 0, "echo");
  while (written < total || back < total) {
    Wire *wire = pair_link (p, 5);

    /* A few frames pass, others die on the way. */
    pair_run (p);
    b = pair_other (p, 0, a);
    written += pair_write (p, 0, a, MIN (total - written, 300000));
    back += pair_write (p, 1, b, MIN (total - back, 200000));
    for (guint i = 0; i < 2 + cuts % 5; i++) {
      pair_send_one (p, wire, 0);
      pair_send_one (p, wire, 1);
      if (i % 2 == 0) {
        pair_take_one (p, wire, 0);
        pair_take_one (p, wire, 1);
      }
    }
    if (cuts % 3 == 0)
      pair_pass (p, 10000);
    pair_cut (p, wire);
    cuts++;
  }
  pair_link (p, 5);
  b = pair_other (p, 0, a);
  hypha_session_stream_finish (p->session[0], a);
  hypha_session_stream_finish (p->session[1], b);
  pair_pass (p, 20000);
  pair_assert_received (p, 1, 0, total);
  pair_assert_received (p, 0, 0, total);
  pair_assert_ended (p, 0, 0, -1);
  pair_assert_ended (p, 1, 0, -1);
  g_assert_cmpuint (pair_count (p, 0, HYPHA_SESSION_OVER), ==, 0);
  pair_assert_empty (p);
}

static void
test_nothing_before_resume (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);

  pair_open (p, 0, "echo");
  while (pair_send_one (p, wire, 0))
    ;
  g_assert_cmpuint (g_queue_get_length (&wire->frames[0]), ==, 2); /* with TAKEN */
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_RESUME], ==, 1);
  g_assert_false (hypha_session_link_is_up (wire->link[0]));
  g_assert_null (hypha_session_get_chosen (p->session[0]));
  pair_run (p);
  g_assert_true (hypha_session_link_is_up (wire->link[0]));
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_LINK_UP, -1));
  g_assert_true (hypha_session_get_chosen (p->session[0]) == wire->link[0]);
  g_assert_true (hypha_session_link_get_data (wire->link[0]) == wire);
}

/* A cheaper link comes up while data is on its way over the dear one. */
static void
test_planned_switch (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *dear = pair_link (p, 20), *cheap;
  HyphaSessionStream *a;
  gsize written = 0;
  const Happened *switched;

  a = pair_open (p, 0, "echo");
  pair_run (p);
  written += pair_write (p, 0, a, 8 * KIB);
  pair_pass (p, 10000);
  written += pair_write (p, 0, a, 500000);
  for (guint i = 0; i < 3; i++)
    pair_send_one (p, dear, 0);
  cheap = pair_link (p, 5);
  for (guint i = 0; i < 4; i++)
    for (int side = 0; side < 2; side++) {
      pair_send_one (p, cheap, side);
      pair_take_one (p, cheap, side);
    }
  pair_drain (p);
  g_assert_true (hypha_session_get_chosen (p->session[0]) == dear->link[0]);
  p->now += G_TIME_SPAN_SECOND;
  hypha_session_tick (p->session[0], p->now);
  g_assert_true (hypha_session_get_chosen (p->session[0]) == dear->link[0]);
  /* It asks for fresh acknowledgements first. */
  pair_forget (p);
  pair_run (p);
  g_assert_true (hypha_session_get_chosen (p->session[0]) == cheap->link[0]);
  switched = pair_find (p, 0, HYPHA_SESSION_SWITCHED, -1);
  g_assert_cmpstr (switched->text, ==, "cheaper");
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_EPOCH], ==, 2);
  pair_pass (p, 20000);
  pair_assert_received (p, 1, 0, written);
  pair_cut (p, dear);
  written += pair_write (p, 0, a, 1000);
  pair_pass (p, 20000);
  pair_assert_received (p, 1, 0, written);
}

static void
test_suspect_is_left (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *first = pair_link (p, 5), *second;
  HyphaSessionStream *a;

  pair_run (p);
  second = pair_link (p, 20);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, a, 5000);
  pair_send_one (p, first, 0);
  hypha_session_link_update (p->session[0], first->link[0], 5, TRUE, p->now);
  g_assert_true (hypha_session_get_chosen (p->session[0]) == second->link[0]);
  pair_drain (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_SWITCHED, -1));
  /* The bytes come over both links, the late ones are dropped. */
  while (pair_send_one (p, second, 0))
    ;
  while (pair_take_one (p, second, 0))
    ;
  pair_pass (p, 20000);
  pair_assert_received (p, 1, 0, 5000);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OVER), ==, 0);
}

/* What a RESUME says over another link than the chosen one may be lost with it. */
static void
test_told_over_another_link (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *one = pair_link (p, 5), *other;
  HyphaSessionStream *a;

  pair_run (p);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  g_assert_cmpuint (pair_write (p, 0, a, 100), ==, 100);
  hypha_session_stream_finish (p->session[0], a);
  while (pair_send_one (p, one, 0))
    ;
  while (pair_take_one (p, one, 0))
    ;
  other = pair_link (p, 500);
  while (pair_send_one (p, other, 1))
    ;
  pair_cut (p, other);
  g_assert_cmpint (a->send_end, ==, HYPHA_END_NONE);
  pair_run (p);
  g_assert_cmpint (a->send_end, ==, HYPHA_END_FIN);
}

/* EPOCH, RESUME, the OPENs, then the rest. */
static void
test_order_after_a_change (void)
{
  static const HyphaFrameType expected[] = { HYPHA_FRAME_EPOCH,  HYPHA_FRAME_RESUME,
                                             HYPHA_FRAME_OPEN,   HYPHA_FRAME_OPEN,
                                             HYPHA_FRAME_RESET,  HYPHA_FRAME_WINDOW,
                                             HYPHA_FRAME_WINDOW, HYPHA_FRAME_DATA };
  g_autoptr (Pair) p = pair_new ();
  Wire *first = pair_link (p, 5), *second;
  HyphaSessionStream *a, *b, *c, *d;

  pair_run (p);
  second = pair_link (p, 20);
  a = pair_open (p, 0, "echo");
  b = pair_open (p, 0, "echo");
  pair_run (p);
  c = pair_open (p, 0, "echo");
  d = pair_open (p, 0, "echo");
  pair_write (p, 0, a, 100);
  hypha_session_stream_reset (p->session[0], b, HYPHA_CODE_APPLICATION);
  while (pair_send_one (p, first, 0))
    ;
  pair_cut (p, first);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    gsize size;

    g_assert_true (pair_send_one (p, second, 0));
    g_assert_cmpint (*(const guint8 *) g_bytes_get_data (second->frames[0].tail->data, &size), ==,
                     expected[i]);
  }
  g_assert_false (pair_send_one (p, second, 0));
  pair_pass (p, 20000);
  pair_assert_received (p, 1, a->id, 100);
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_PEER_RESET, b->id));
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, c->id));
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, d->id));
}

/* No event speaks of a link that its owner took away before it was told. */
static void
test_detached_is_not_spoken_of (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);
  HyphaSessionEvent event;

  for (int side = 0; side < 2; side++)
    while (pair_send_one (p, wire, side))
      pair_take_one (p, wire, side);
  hypha_session_detach (p->session[0], g_steal_pointer (&wire->link[0]), p->now);
  while (hypha_session_next_event (p->session[0], &event)) {
    g_assert_cmpint (event.type, ==, HYPHA_SESSION_SWITCHED);
    g_assert_null (event.link);
    g_assert_null (event.from);
  }
  hypha_session_drop (p->session[1], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED, "test",
                      p->now);
  hypha_session_detach (p->session[1], g_steal_pointer (&wire->link[1]), p->now);
  while (hypha_session_next_event (p->session[1], &event))
    g_assert_null (event.link);
}

static void
test_lost_link_is_told (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);
  HyphaSessionEvent event;

  pair_run (p);
  hypha_session_detach (p->session[0], g_steal_pointer (&wire->link[0]), p->now);
  g_assert_true (hypha_session_next_event (p->session[0], &event));
  g_assert_cmpint (event.type, ==, HYPHA_SESSION_SWITCHED);
  g_assert_null (event.link);
  g_assert_true (event.from_data == wire);
  g_assert_cmpstr (event.text, ==, "lost");
  g_assert_false (hypha_session_next_event (p->session[0], &event));
}

/* Both have ended, one forgot the stream, and its last acknowledgement was lost. */
static void
test_absent_streams (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;
  Wire *wire = pair_link (p, 5);

  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  pair_write (p, 0, a, 100);
  hypha_session_stream_finish (p->session[0], a);
  pair_pass (p, 10000);
  hypha_session_stream_finish (p->session[1], b);
  pair_send_one (p, wire, 1);
  pair_take_one (p, wire, 1);
  pair_send_one (p, wire, 0); /* its ACK of FIN is on its way, and dies */
  pair_drain (p);
  pair_assert_ended (p, 0, 0, -1);
  g_assert_null (pair_find (p, 1, HYPHA_SESSION_ENDED, 0));
  pair_cut (p, wire);
  pair_link (p, 5);
  pair_run (p);
  pair_assert_ended (p, 1, 0, -1);
  pair_assert_empty (p);
}

/* A frame for a stream that is forgotten is answered by RESET gone, which is never answered. */
static void
test_gone_is_not_answered (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  Wire *wire = pair_link (p, 5);

  p->holding = TRUE;
  a = pair_open (p, 0, "echo");
  pair_run (p);
  hypha_session_refuse (p->session[1], pair_other (p, 0, a), HYPHA_CODE_REFUSED);
  pair_run (p);
  memset (p->frames_sent, 0, sizeof p->frames_sent);
  for (guint i = 0; i < 3; i++) {
    pair_inject (p, wire, 1,
                 &(HyphaFrame){ .type = HYPHA_FRAME_RESET, .code = HYPHA_CODE_APPLICATION });
    pair_inject (p, wire, 1, &(HyphaFrame){ .type = HYPHA_FRAME_ACK });
    pair_inject (
        p, wire, 1,
        &(HyphaFrame){ .type = HYPHA_FRAME_OPEN, .data = (const guint8 *) "x", .length = 1 });
    pair_inject (p, wire, 1, &(HyphaFrame){ .type = HYPHA_FRAME_DATA, .flags = HYPHA_FRAME_FIN });
  }
  pair_run (p);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_RESET], ==, 1);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_RESET], ==, 0);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OPENED), ==, 1);
}

static void
test_reset_above_the_highest (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wire = pair_link (p, 5);

  pair_run (p);
  pair_inject (
      p, wire, 1,
      &(HyphaFrame){ .type = HYPHA_FRAME_RESET, .stream = 8, .code = HYPHA_CODE_APPLICATION });
  pair_inject (
      p, wire, 1,
      &(HyphaFrame){
          .type = HYPHA_FRAME_OPEN, .stream = 6, .data = (const guint8 *) "x", .length = 1 });
  pair_drain (p);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OPENED), ==, 0);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OVER), ==, 0);
  while (pair_send_one (p, wire, 1))
    ;
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_RESET], ==, 2);
}

#define ADD(name, func) g_test_add_func ("/session/" name, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("link/resumes-after-cuts", test_resume_after_cut);
  ADD ("link/carries-nothing-before-resume", test_nothing_before_resume);
  ADD ("link/planned-change-loses-nothing", test_planned_switch);
  ADD ("link/suspect-is-left-at-once", test_suspect_is_left);
  ADD ("link/told-over-another-is-not-told", test_told_over_another_link);
  ADD ("link/order-after-a-change", test_order_after_a_change);
  ADD ("link/detached-is-not-spoken-of", test_detached_is_not_spoken_of);
  ADD ("link/loss-is-told", test_lost_link_is_told);
  ADD ("link/absent-stream-has-ended", test_absent_streams);
  ADD ("link/gone-is-not-answered", test_gone_is_not_answered);
  ADD ("link/reset-above-the-highest-raises-it", test_reset_above_the_highest);
  return g_test_run ();
}
