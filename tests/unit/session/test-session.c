/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pair.h"

#include <string.h>

#define KIB 1024
#define MIB (1024 * 1024)

static void
assert_empty (Pair *p)
{
  for (int side = 0; side < 2; side++) {
    g_assert_cmpuint (hypha_session_n_streams (p->session[side]), ==, 0);
    g_assert_cmpuint (hypha_session_get_memory (p->session[side]), ==, 0);
    g_assert_cmpuint (p->session[side]->lent, ==, 0);
  }
}

static void
assert_ended (Pair *p, int side, guint32 id, int error)
{
  const Happened *ended = pair_find (p, side, HYPHA_SESSION_ENDED, id);

  g_assert_nonnull (ended);
  g_assert_cmpint (ended->error, ==, error);
}

static void
assert_over (Pair *p, int side, HyphaError error)
{
  const Happened *over = pair_find (p, side, HYPHA_SESSION_OVER, -1);

  g_assert_nonnull (over);
  g_assert_cmpint (over->error, ==, (int) error);
  g_assert_cmpuint (strlen (over->text), >, 0);
}

static void
test_open_write_finish (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  g_assert_cmpuint (hypha_session_stream_room (p->session[0], a), ==, 0);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_WRITABLE, 0));
  b = pair_other (p, 0, a);
  g_assert_cmpstr (hypha_session_stream_get_service (b), ==, "echo");
  g_assert_true (hypha_session_stream_is_mine (a));
  g_assert_false (hypha_session_stream_is_mine (b));
  g_assert_cmpuint (pair_write (p, 0, a, 3000), ==, 3000);
  g_assert_cmpuint (pair_write (p, 1, b, 5000), ==, 5000);
  hypha_session_stream_finish (p->session[0], a);
  g_assert_cmpuint (pair_write (p, 0, a, 1), ==, 0);
  pair_pass (p, 20000);
  pair_assert_received (p, 1, 0, 3000);
  pair_assert_received (p, 0, 0, 5000);
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_FINISHED, 0));
  g_assert_true (hypha_session_stream_at_end (b));

  /* Half-closed: the other direction goes on. */
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ENDED, 0));
  g_assert_cmpuint (pair_write (p, 1, b, 1000), ==, 1000);
  pair_pass (p, 20000);
  pair_assert_received (p, 0, 0, 6000);
  hypha_session_stream_finish (p->session[1], b);
  pair_pass (p, 20000);
  assert_ended (p, 0, 0, -1);
  assert_ended (p, 1, 0, -1);
  assert_empty (p);
}

static void
test_ticket_comes_with_its_stream (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (GError) error = NULL;
  guint8 ticket[HYPHA_TICKET_BYTES];
  HyphaSessionStream *a, *b, *plain;
  Wire *wire = pair_link (p, 5);

  memset (ticket, 0xa5, sizeof ticket);
  a = hypha_session_open_direct (p->session[0], "echo", ticket, &error);
  g_assert_no_error (error);
  plain = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  g_assert_cmpmem (hypha_session_stream_get_ticket (b), HYPHA_TICKET_BYTES, ticket, sizeof ticket);
  g_assert_cmpstr (hypha_session_stream_get_service (b), ==, "echo");
  g_assert_null (hypha_session_stream_get_ticket (pair_other (p, 0, plain)));

  pair_inject (
      p, wire, 1,
      &(HyphaFrame){ .type = HYPHA_FRAME_OPEN, .data = (const guint8 *) "echo", .length = 4 });
  pair_drain (p);
  assert_over (p, 1, HYPHA_ERROR_PROTOCOL);
}

/* The OPEN is lost with its link, and sent again over the next. */
static void
test_ticket_survives_its_link (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (GError) error = NULL;
  const guint8 ticket[HYPHA_TICKET_BYTES] = { 1, 2, 3 };
  HyphaSessionStream *a;
  Wire *wire = pair_link (p, 5);

  pair_run (p);
  a = hypha_session_open_direct (p->session[0], "echo", ticket, &error);
  g_assert_no_error (error);
  g_assert_true (pair_send_one (p, wire, 0));
  pair_cut (p, wire);
  pair_link (p, 5);
  pair_run (p);
  g_assert_cmpmem (hypha_session_stream_get_ticket (pair_other (p, 0, a)), HYPHA_TICKET_BYTES,
                   ticket, sizeof ticket);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
}

static void
test_ids_by_parity (void)
{
  g_autoptr (Pair) p = pair_new ();

  pair_link (p, 5);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 0, "a")), ==, 0);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 0, "a")), ==, 2);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 1, "a")), ==, 1);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 1, "a")), ==, 3);
  pair_run (p);
  g_assert_cmpuint (hypha_session_n_streams (p->session[0]), ==, 4);
  g_assert_cmpuint (hypha_session_n_streams (p->session[1]), ==, 4);
}

static void
test_empty_stream (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;

  pair_link (p, 5);
  a = pair_open (p, 1, "echo");
  hypha_session_stream_finish (p->session[1], a);
  pair_run (p);
  hypha_session_stream_finish (p->session[0], pair_other (p, 1, a));
  pair_run (p);
  assert_ended (p, 0, 1, -1);
  assert_ended (p, 1, 1, -1);
  assert_empty (p);
}

static void
test_acceptance_later (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;
  Wire *first;

  p->holding = TRUE;
  first = pair_link (p, 5);
  a = pair_open (p, 0, "exec");
  pair_pass (p, 100000);
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_OPENED, 0));
  g_assert_cmpstr (pair_find (p, 1, HYPHA_SESSION_OPENED, 0)->text, ==, "exec");

  /* Neither a change of link nor a second OPEN counts as an answer, or opens it twice. */
  pair_link (p, 20);
  pair_run (p);
  pair_cut (p, first);
  pair_pass (p, 100000);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_OPEN], ==, 2);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OPENED), ==, 1);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
  b = pair_other (p, 0, a);
  g_assert_cmpuint (pair_write (p, 1, b, 10), ==, 0);
  hypha_session_accept (p->session[1], b);
  hypha_session_accept (p->session[1], b);
  pair_run (p);
  g_assert_cmpuint (pair_count (p, 0, HYPHA_SESSION_ACCEPTED), ==, 1);
  g_assert_cmpuint (pair_write (p, 0, a, 10), ==, 10);
}

static void
test_refusal (void)
{
  static const struct {
    HyphaCode code;
    HyphaError error;
  } table[] = {
    { HYPHA_CODE_REFUSED, HYPHA_ERROR_REFUSED },
    { HYPHA_CODE_NO_SUCH_SERVICE, HYPHA_ERROR_NO_SUCH_SERVICE },
    { HYPHA_CODE_NOT_ALLOWED, HYPHA_ERROR_PERMISSION_DENIED },
    { HYPHA_CODE_BUSY, HYPHA_ERROR_BUSY },
    { HYPHA_CODE_GONE, HYPHA_ERROR_GONE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (Pair) p = pair_new ();
    HyphaSessionStream *a;

    p->holding = TRUE;
    pair_link (p, 5);
    a = pair_open (p, 0, "nothing");
    pair_run (p);
    hypha_session_refuse (p->session[1], pair_other (p, 0, a), table[i].code);
    g_assert_cmpuint (hypha_session_n_streams (p->session[1]), ==, 0);
    pair_run (p);
    pair_drain (p);
    assert_ended (p, 0, 0, (int) table[i].error);
    assert_ended (p, 1, 0, HYPHA_ERROR_REFUSED);
    assert_empty (p);
  }
}

/* The refusal dies with its link: the second OPEN finds nothing, and must not open anything. */
static void
test_refusal_lost (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  Wire *first;

  p->holding = TRUE;
  first = pair_link (p, 5);
  a = pair_open (p, 0, "nothing");
  pair_run (p);
  hypha_session_refuse (p->session[1], pair_other (p, 0, a), HYPHA_CODE_REFUSED);
  while (pair_send_one (p, first, 1))
    ;
  pair_cut (p, first);
  pair_link (p, 5);
  pair_run (p);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OPENED), ==, 1);
  assert_ended (p, 0, 0, HYPHA_ERROR_GONE);
  assert_empty (p);
}

static void
test_reset_ends_one_direction (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  p->reading[1] = FALSE;
  g_assert_cmpuint (pair_write (p, 0, a, 4000), ==, 4000);
  pair_run (p);
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, 4000);
  hypha_session_stream_reset (p->session[0], a, HYPHA_CODE_APPLICATION);
  pair_run (p);
  /* Held bytes are gone, and so is what was promised for them. */
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_PEER_RESET, 0));
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, 0);
  g_assert_false (hypha_session_stream_at_end (b));
  g_assert_cmpuint (pair_write (p, 1, b, 100), ==, 100);
  pair_run (p);
  pair_assert_received (p, 0, 0, 100);
  hypha_session_stream_finish (p->session[1], b);
  pair_pass (p, 20000);
  assert_ended (p, 0, 0, HYPHA_ERROR_RESET);
  assert_ended (p, 1, 0, HYPHA_ERROR_RESET);
  assert_empty (p);
}

static void
test_stop (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  p->reading[1] = FALSE;
  g_assert_cmpuint (pair_write (p, 0, a, 100000), ==, 8 * KIB);
  pair_run (p);
  hypha_session_stream_stop (p->session[1], b, HYPHA_CODE_APPLICATION);
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, 0);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_STOPPED, 0));
  g_assert_cmpuint (hypha_session_stream_room (p->session[0], a), ==, 0);
  g_assert_cmpuint (hypha_session_get_memory (p->session[0]), ==, 0);
  hypha_session_stream_finish (p->session[1], b);
  pair_pass (p, 20000);
  assert_ended (p, 0, 0, HYPHA_ERROR_RESET);
  assert_ended (p, 1, 0, -1); /* it wanted no more, and all that it wrote arrived */
  assert_empty (p);
}

static void
test_reset_before_the_answer (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;

  p->holding = TRUE;
  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  hypha_session_stream_reset (p->session[0], a, HYPHA_CODE_APPLICATION);
  hypha_session_stream_stop (p->session[0], a, HYPHA_CODE_APPLICATION);
  pair_pass (p, 20000);
  assert_ended (p, 0, 0, HYPHA_ERROR_RESET);
  assert_ended (p, 1, 0, HYPHA_ERROR_RESET);
  assert_empty (p);
}

static void
test_taken_back_offline (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a = pair_open (p, 0, "echo");

  hypha_session_stream_stop (p->session[0], a, HYPHA_CODE_APPLICATION);
  hypha_session_stream_reset (p->session[0], a, HYPHA_CODE_APPLICATION);
  pair_drain (p);
  assert_ended (p, 0, 0, HYPHA_ERROR_RESET);
  pair_link (p, 5);
  pair_open (p, 0, "echo");
  pair_run (p);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_OPEN], ==, 1);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 2));
}

/* --- Links --- */

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
  assert_ended (p, 0, 0, -1);
  assert_ended (p, 1, 0, -1);
  g_assert_cmpuint (pair_count (p, 0, HYPHA_SESSION_OVER), ==, 0);
  assert_empty (p);
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
  assert_ended (p, 0, 0, -1);
  g_assert_null (pair_find (p, 1, HYPHA_SESSION_ENDED, 0));
  pair_cut (p, wire);
  pair_link (p, 5);
  pair_run (p);
  assert_ended (p, 1, 0, -1);
  assert_empty (p);
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

/* --- The end of a session --- */

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
  assert_ended (p, 0, 0, HYPHA_ERROR_DISCONNECTED);
  assert_ended (p, 1, 0, HYPHA_ERROR_DISCONNECTED);
  assert_over (p, 0, HYPHA_ERROR_DISCONNECTED);
  assert_over (p, 1, HYPHA_ERROR_DISCONNECTED);
  g_assert_cmpstr (pair_find (p, 0, HYPHA_SESSION_OVER, -1)->text, ==, "hyphactl disconnect");
  g_assert_cmpuint (pair_count (p, 0, HYPHA_SESSION_LINK_DONE), ==, 2);
  g_assert_cmpint (pair_find (p, 0, HYPHA_SESSION_LINK_DONE, -1)->away, ==,
                   HYPHA_AWAY_DISCONNECTED);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_CLOSE], ==, 1);
  g_assert_cmpuint (p->frames_sent[1][HYPHA_FRAME_CLOSE], ==, 0);
  g_assert_cmpuint (hypha_session_get_number (p->session[0]), >, number[0]);
  g_assert_cmpuint (hypha_session_get_number (p->session[1]), >, number[1]);
  assert_empty (p);
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
  assert_over (p, 0, HYPHA_ERROR_DISCONNECTED);
  g_assert_cmpint (pair_find (p, 0, HYPHA_SESSION_LINK_DONE, -1)->away, ==, HYPHA_AWAY_SHUTDOWN);
  assert_over (p, 1, HYPHA_ERROR_RESTARTED);
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
  assert_ended (p, 1, 0, HYPHA_ERROR_RESTARTED);
  assert_over (p, 1, HYPHA_ERROR_RESTARTED);
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
  assert_ended (p, 0, 0, HYPHA_ERROR_EXPIRED);
  assert_over (p, 0, HYPHA_ERROR_EXPIRED);
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
  assert_ended (p, 0, 0, HYPHA_ERROR_EXPIRED);
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
test_limits (void)
{
  HyphaSessionLimits few, many;
  g_autoptr (Pair) p = NULL;
  g_autoptr (GError) error = NULL;

  hypha_session_limits_init (&few);
  hypha_session_limits_init (&many);
  few.streams = 2;
  many.streams = 3;
  p = pair_new_with (&many, &few);
  pair_link (p, 5);
  for (guint i = 0; i < 3; i++)
    pair_open (p, 0, "echo");
  g_assert_null (hypha_session_open (p->session[0], "echo", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 2));
  assert_ended (p, 0, 4, HYPHA_ERROR_BUSY);
  g_assert_cmpuint (hypha_session_n_streams (p->session[1]), ==, 2);
}

static void
test_names_of_services (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autofree char *longest = g_strnfill (HYPHA_SERVICE_MAX, 'x');
  g_autofree char *too_long = g_strnfill (HYPHA_SERVICE_MAX + 1, 'x');
  const char *bad[] = { "", "a\nb", "\xff", too_long };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (hypha_session_open (p->session[0], bad[i], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  }
  pair_open (p, 0, longest);
  pair_link (p, 5);
  pair_run (p);
  g_assert_cmpstr (pair_find (p, 1, HYPHA_SESSION_OPENED, 0)->text, ==, longest);
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
  assert_ended (p, 0, HYPHA_SESSION_ID_LAST, -1);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 0, "next")), ==, 0);
}

static void
test_counts (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;
  guint64 received, sent;
  Wire *wire = pair_link (p, 5);

  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  pair_write (p, 0, a, 5000);
  pair_send_one (p, wire, 0);
  pair_cut (p, wire); /* sent twice, counted once */
  pair_link (p, 5);
  pair_write (p, 1, b, 77);
  pair_pass (p, 20000);
  hypha_session_stream_counts (a, &received, &sent);
  g_assert_cmpuint (received, ==, 77);
  g_assert_cmpuint (sent, ==, 5000);
  hypha_session_stream_counts (b, &received, &sent);
  g_assert_cmpuint (received, ==, 5000);
  g_assert_cmpuint (sent, ==, 77);
}

static void
note (HyphaSessionStream *stream, gpointer user_data)
{
  g_array_append_vals (user_data, &stream->id, 1);
}

static void
test_foreach_rises (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  const guint32 expected[] = { 0, 1, 2, 3, 4, 5, 7 };

  pair_link (p, 5);
  for (guint i = 0; i < 3; i++)
    pair_open (p, 0, "a");
  for (guint i = 0; i < 4; i++)
    pair_open (p, 1, "b");
  pair_run (p);
  hypha_session_foreach_stream (p->session[1], note, ids);
  g_assert_cmpmem (ids->data, ids->len * sizeof (guint32), expected, sizeof expected);
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
  ADD ("stream/open-write-finish-by-halves", test_open_write_finish);
  ADD ("stream/ticket-comes-with-it", test_ticket_comes_with_its_stream);
  ADD ("stream/ticket-survives-its-link", test_ticket_survives_its_link);
  ADD ("stream/ids-by-parity", test_ids_by_parity);
  ADD ("stream/finished-without-a-byte", test_empty_stream);
  ADD ("stream/accepted-later-and-once", test_acceptance_later);
  ADD ("stream/refused-with-its-reason", test_refusal);
  ADD ("stream/lost-refusal-is-found-out", test_refusal_lost);
  ADD ("stream/reset-ends-one-direction", test_reset_ends_one_direction);
  ADD ("stream/stop-makes-the-peer-reset", test_stop);
  ADD ("stream/reset-before-the-answer", test_reset_before_the_answer);
  ADD ("stream/taken-back-before-it-was-sent", test_taken_back_offline);
  ADD ("stream/counts-bytes-once", test_counts);
  ADD ("stream/foreach-rises", test_foreach_rises);
  ADD ("stream/limit-of-each-side", test_limits);
  ADD ("stream/names-of-services", test_names_of_services);
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
