/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/wire.h"
#include "pair.h"

#include <string.h>

/* One instance that lives twice, as its peer finds out: a number that comes twice, an EPOCH that
 * cannot be, a stream that is forgotten without its end. */

/* To side 1 over a link of which nothing else is known: so many frames were taken, and all streams
 * are forgotten. */
static void
inject_taken_and_nothing_left (Pair *p, Wire *wire, const HyphaEpochEntry *taken)
{
  guint8 body[16];
  const HyphaFrame frame = { .type = HYPHA_FRAME_EPOCH,
                             .flags = HYPHA_FRAME_TAKEN,
                             .value = taken->number,
                             .data = body,
                             .length = sizeof body };

  hypha_wire_put_u64 (hypha_wire_put_u64 (body, taken->link), taken->frames);
  pair_inject (p, wire, 1, &frame);
  pair_inject_resume (p, wire, 1, 0, -1, NULL, 0);
  pair_drain (p);
}

/* Nobody forgets a stream without its end: who has taken less than that had another one of the same
 * id, in another life. */
static void
test_forgets_what_it_took_only (void)
{
  for (guint i = 0; i < 3; i++) {
    g_autoptr (Pair) p = pair_new ();
    Wire *late = pair_link (p, 5); /* its RESUME is on its way for long */
    Wire *wire = pair_link (p, 5);
    HyphaSessionStream *stream;
    HyphaEpochEntry taken;

    pair_run_over (p, wire);
    stream = pair_open (p, 0, "echo");
    hypha_session_stream_finish (p->session[0], stream);
    pair_run_over (p, wire);
    hypha_session_stream_finish (p->session[1], hypha_session_find (p->session[1], stream->id));
    while (pair_send_one (p, wire, 1))
      ;
    pair_forget (p);
    taken = g_array_index (p->session[1]->said, HyphaEpochEntry, 0);
    taken.frames = hypha_session_find (p->session[1], stream->id)->end_at.frames;
    if (i == 0)
      taken = (HyphaEpochEntry){ 0 };
    else if (i == 1)
      taken.frames--;
    inject_taken_and_nothing_left (p, late, &taken);
    if (i < 2) {
      pair_assert_over (p, 1, HYPHA_ERROR_ROLLED_BACK);
      g_assert_nonnull (strstr (pair_find (p, 1, HYPHA_SESSION_OVER, -1)->text, "without an end"));
    } else {
      g_assert_null (pair_find (p, 1, HYPHA_SESSION_OVER, -1));
      g_assert_cmpint (pair_find (p, 1, HYPHA_SESSION_ENDED, 0)->error, ==, -1);
    }
  }
}

/* Both lives draw the same number for their next link. */
static void
test_link_number_twice (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionOffer offers[2];
  HyphaSessionLink *link;
  guint64 highest;

  for (guint i = 0; i < 2; i++)
    hypha_session_offer (p->session[0], hypha_nonce_clock_tick (&p->clock[0]), &offers[i]);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &offers[0], 7, 2, 110, 5, p->now, NULL, &link, &highest),
      ==, HYPHA_ATTACH_DONE);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &offers[1], 7, 2, 111, 5, p->now, NULL, &link, &highest),
      ==, HYPHA_ATTACH_ROLLED_BACK);
  g_assert_cmpuint (highest, ==, 7);
}

/* Both carry on over a link of their own, with the same number. */
static void
test_epoch_twice (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *one = pair_link (p, 5), *other = pair_link (p, 50);
  guint8 before[24] = { 0 };
  const HyphaFrame epochs[] = {
    { .type = HYPHA_FRAME_EPOCH, .value = 8 },
    { .type = HYPHA_FRAME_EPOCH, .value = 9, .data = before, .length = sizeof before },
  };

  pair_run (p);
  before[7] = (guint8) p->session[1]->peer_epoch;
  before[15] = (guint8) p->session[1]->heard;
  before[23] = (guint8) p->session[1]->heard_frames;
  pair_forget (p);
  pair_inject (p, one, 1, &epochs[1]);
  pair_inject (p, other, 1, &epochs[0]); /* overtaken */
  pair_inject (p, one, 1, &epochs[1]);
  pair_drain (p);
  g_assert_null (pair_find (p, 1, HYPHA_SESSION_OVER, -1));
  pair_inject (p, other, 1, &epochs[1]);
  pair_drain (p);
  pair_assert_over (p, 1, HYPHA_ERROR_ROLLED_BACK);
  pair_assert_goes_on (p);
}

static void
put_entry (guint8 *p, guint64 number, guint64 link, guint64 frames)
{
  const guint64 all[] = { GUINT64_TO_BE (number), GUINT64_TO_BE (link), GUINT64_TO_BE (frames) };

  memcpy (p, all, sizeof all);
}

/* Lists in no order, twice the same, or full of what cannot be; whoever names the truth somewhere
 * in there is believed, and nobody else. */
static void
test_absurd_epochs (void)
{
  const guint64 last = G_MAXUINT64;

  for (guint i = 0; i < 9; i++) {
    g_autoptr (Pair) p = pair_new ();
    Wire *one = pair_link (p, 5);
    guint8 list[HYPHA_EPOCH_MAX_ENTRIES * 24];
    HyphaFrame frame = {
      .type = HYPHA_FRAME_EPOCH, .value = 9, .data = list, .length = sizeof list
    };
    HyphaSession *judge = p->session[1];
    gboolean good = i < 3;

    pair_open (p, 0, "echo");
    pair_run (p);
    pair_forget (p);
    for (guint k = 0; k < HYPHA_EPOCH_MAX_ENTRIES; k++)
      put_entry (list + 24 * k, i % 2 == 0 ? last - k : last, last, k % 2 == 0 ? last : 0);
    if (i == 0)
      frame.value = last;
    if (good)
      put_entry (list + 24 * 40 * i / 2, judge->peer_epoch, judge->heard,
                 i == 1 ? last : judge->heard_frames);
    if (i == 3) /* the truth, but for one frame */
      put_entry (list, judge->peer_epoch, judge->heard, judge->heard_frames - 1);
    if (i == 4)
      put_entry (list, judge->peer_epoch, judge->heard + 1, last);
    if (i == 5)
      frame.length = 0;
    if (i > 5) { /* that this side's frames were taken, which were not sent */
      frame = (HyphaFrame){ .type = HYPHA_FRAME_EPOCH, .flags = HYPHA_FRAME_TAKEN };
      frame.value = i == 6 ? last : judge->epoch;
      put_entry (list, i == 7 ? last : one->link[1]->number, i == 8 ? last : 0, 0);
      frame.data = list;
      frame.length = 16;
    }
    pair_inject (p, one, 1, &frame);
    pair_drain (p);
    if (good)
      g_assert_null (pair_find (p, 1, HYPHA_SESSION_OVER, -1));
    else
      pair_assert_over (p, 1, HYPHA_ERROR_ROLLED_BACK);
    if (!good)
      pair_assert_goes_on (p);
  }
}

#define ADD(name, func) g_test_add_func ("/session/" name, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("rollback/link-number-twice", test_link_number_twice);
  ADD ("rollback/forgets-what-it-took-only", test_forgets_what_it_took_only);
  ADD ("rollback/epoch-twice", test_epoch_twice);
  ADD ("rollback/absurd-epochs", test_absurd_epochs);
  return g_test_run ();
}
