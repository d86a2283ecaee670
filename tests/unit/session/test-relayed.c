/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What carries a link of other nodes never goes over a link that is itself carried. */

#include "pair.h"

#define KIB 1024

static Wire *
relayed_link (Pair *p, guint32 cost)
{
  Wire *wire = pair_link (p, cost);

  for (guint side = 0; side < 2; side++)
    hypha_session_link_set_relayed (wire->link[side]);
  return wire;
}

/* A stream that carries at both ends, with data that is not acknowledged yet, and one that does not
 * carry. */
static void
begin (Pair *p, HyphaSessionStream **carries, HyphaSessionStream **plain)
{
  *carries = pair_open (p, 0, "relay");
  *plain = pair_open (p, 0, "echo");
  pair_run (p);
  g_assert_true (hypha_session_stream_carry (p->session[0], *carries));
  g_assert_true (hypha_session_stream_carry (p->session[1], pair_other (p, 0, *carries)));
  pair_write (p, 0, *carries, 4 * KIB);
  pair_write (p, 0, *plain, 4 * KIB);
}

/* Only the plain one has said anything since. */
static void
assert_cut (Pair *p, guint32 carries, guint32 plain, guint64 data_before)
{
  const Happened *end;

  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_DATA] - data_before, ==, 1);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_CUT, carries));
  end = pair_find (p, 0, HYPHA_SESSION_ENDED, carries);
  g_assert_nonnull (end);
  g_assert_cmpint (end->error, ==, HYPHA_ERROR_RESET);
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_ENDED, carries));
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ENDED, plain));
  pair_assert_received (p, 1, plain, 4 * KIB);
}

static void
test_cut_when_the_direct_link_goes (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *carries, *plain;
  guint32 carries_id, plain_id;
  guint64 before;
  Wire *direct = pair_link (p, 5);

  relayed_link (p, 20);
  pair_run (p);
  begin (p, &carries, &plain);
  carries_id = hypha_session_stream_get_id (carries);
  plain_id = hypha_session_stream_get_id (plain);
  before = p->frames_sent[0][HYPHA_FRAME_DATA];
  g_assert_true (hypha_session_is_grounded (p->session[0]));
  pair_cut (p, direct);
  pair_pass (p, 50000);
  g_assert_false (hypha_session_is_grounded (p->session[0]));
  assert_cut (p, carries_id, plain_id, before);
}

static void
test_cut_before_a_planned_change (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *carries, *plain;
  guint32 carries_id;

  pair_link (p, 50);
  pair_run (p);
  begin (p, &carries, &plain);
  carries_id = hypha_session_stream_get_id (carries);
  pair_pass (p, 50000);
  pair_assert_received (p, 1, carries_id, 4 * KIB);
  relayed_link (p, 5);
  pair_pass (p, 500000);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_CUT, carries_id)); /* it is not in use yet */
  pair_pass (p, 2 * G_TIME_SPAN_SECOND);
  g_assert_false (hypha_session_is_grounded (p->session[0]));
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ENDED, carries_id));
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_ENDED, carries_id));
}

/* Each side sees to its own sending, and the other has to hear of it. */
static void
test_one_side_is_enough (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *carries, *plain;
  guint32 id;
  Wire *direct = pair_link (p, 5), *other = pair_link (p, 20);

  hypha_session_link_set_relayed (other->link[1]);
  pair_run (p);
  begin (p, &carries, &plain);
  id = hypha_session_stream_get_id (carries);
  pair_cut (p, direct);
  pair_pass (p, 50000);
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_CUT, id));
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_CUT, id));
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ENDED, id));
}

static void
test_carries_nothing_where_there_is_no_direct_link (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *stream;
  guint64 before;

  relayed_link (p, 20);
  pair_run (p);
  stream = pair_open (p, 0, "relay");
  pair_run (p);
  before = p->frames_sent[0][HYPHA_FRAME_DATA];
  g_assert_false (hypha_session_stream_carry (p->session[0], stream));
  g_assert_cmpuint (hypha_session_stream_room (p->session[0], stream), ==, 0);
  pair_pass (p, 50000);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_DATA], ==, before);
}

static void
test_waits_where_there_is_no_link_at_all (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *carries, *plain;
  Wire *direct = pair_link (p, 5);
  guint32 id;

  pair_run (p);
  begin (p, &carries, &plain);
  pair_cut (p, direct);
  id = hypha_session_stream_get_id (carries);
  pair_pass (p, 50000);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_CUT, id));
  pair_link (p, 5);
  pair_pass (p, 50000);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ENDED, id));
}

#define ADD(name, func) g_test_add_func ("/session/relayed/" name, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("cut-when-the-direct-link-goes", test_cut_when_the_direct_link_goes);
  ADD ("cut-before-a-planned-change", test_cut_before_a_planned_change);
  ADD ("one-side-is-enough", test_one_side_is_enough);
  ADD ("carries-nothing-where-there-is-no-direct-link",
       test_carries_nothing_where_there_is_no_direct_link);
  ADD ("waits-where-there-is-no-link-at-all", test_waits_where_there_is_no_link_at_all);
  return g_test_run ();
}
