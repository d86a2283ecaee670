/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pair.h"

#include <string.h>

/* One instance that lives twice: side 0 is copied with its memory, and both lives go on. Not a byte
 * of the one may come behind a byte of the other. */

typedef struct {
  Pair *p;
  Wire *old, *new; /* of the first life, of the second one */
  HyphaSession *first, *second;
  guint32 id;
} Lives;

#define COMMON 100

/* The pair's side 0 is this life from now on. */
static void
be (Lives *self, HyphaSession *life)
{
  self->p->session[0] = life;
}

static void
say (Lives *self, char byte, gsize length)
{
  HyphaSession *life = self->p->session[0];
  HyphaSessionStream *stream = hypha_session_find (life, self->id);
  struct iovec pieces[2];

  g_assert_cmpuint (hypha_session_stream_reserve (life, stream, length, pieces, 2), ==, 1);
  memset (pieces[0].iov_base, byte, length);
  hypha_session_stream_commit (life, stream, length);
}

static void
send_all (Lives *self, Wire *wire, int side)
{
  while (pair_send_one (self->p, wire, side))
    ;
}

/* TAKEN and RESUME, the first frames of a link. */
static void
send_first (Pair *p, Wire *wire, int side)
{
  for (guint i = 0; i < 2; i++)
    g_assert_true (pair_send_one (p, wire, side));
}

static void
take_from (Pair *p, Wire *wire, int side)
{
  while (pair_take_one (p, wire, side))
    ;
  pair_drain (p);
}

static void
take_all (Lives *self, Wire *wire, int side)
{
  take_from (self->p, wire, side);
}

/* Both know of a stream with COMMON bytes, acknowledged or not; the first life has said more, which
 * is on its way. */
static void
lives_begin (Lives *self, gboolean acknowledged)
{
  HyphaSessionStream *stream;

  self->p = pair_new ();
  self->old = pair_link (self->p, 50);
  pair_run (self->p);
  stream = pair_open (self->p, 0, "echo");
  self->id = stream->id;
  pair_run (self->p);
  self->first = self->p->session[0];
  say (self, 'c', COMMON);
  send_all (self, self->old, 0);
  if (acknowledged)
    pair_pass (self->p, 20000);
  self->second = hypha_session_copy_for_test (self->first);
  say (self, '1', 50);
  send_all (self, self->old, 0);

  be (self, self->second);
  self->new = pair_link (self->p, 5);
  pair_forget (self->p);
}

static void
lives_clear (Lives *self)
{
  HyphaSession *other = self->p->session[0] == self->first ? self->second : self->first;

  hypha_session_free (other);
  pair_free (self->p);
}

static const Happened *
over (Lives *self, int side)
{
  pair_drain (self->p);
  return pair_find (self->p, side, HYPHA_SESSION_OVER, -1);
}

static void
assert_rolled_back (Lives *self, int side, const char *why)
{
  const Happened *happened = over (self, side);

  g_assert_nonnull (happened);
  g_assert_cmpint (happened->error, ==, HYPHA_ERROR_ROLLED_BACK);
  g_assert_nonnull (strstr (happened->text, why));
}

/* What came behind the common part is of one life. */
static void
assert_received (Lives *self, char byte, gsize length)
{
  GByteArray *received = pair_received (self->p, 1, self->id);

  g_assert_cmpuint (received->len, ==, COMMON + length);
  for (guint i = 0; i < received->len; i++)
    g_assert_cmpint (received->data[i], ==, i < COMMON ? 'c' : byte);
}

static void
test_last_words_come_late (gconstpointer acknowledged)
{
  Lives f;

  lives_begin (&f, acknowledged != NULL);
  say (&f, '2', 80);
  hypha_session_stream_finish (f.second, hypha_session_find (f.second, f.id));
  pair_run_over (f.p, f.new);
  /* What is common came over the old link, or comes again. */
  assert_received (&f, '2', 80);
  g_assert_nonnull (pair_find (f.p, 1, HYPHA_SESSION_FINISHED, f.id));
  take_all (&f, f.old, 0);
  assert_received (&f, '2', 80);
  g_assert_null (over (&f, 0));
  g_assert_null (over (&f, 1));
  lives_clear (&f);
}

/* After RESUME went to the second life, which so knows nothing of them. */
static void
test_last_words_come_between (gconstpointer acknowledged)
{
  Lives f;

  lives_begin (&f, acknowledged != NULL);
  send_all (&f, f.new, 1);
  take_all (&f, f.new, 1);
  say (&f, '2', 80);
  hypha_session_stream_finish (f.second, hypha_session_find (f.second, f.id));
  take_all (&f, f.old, 0);
  assert_received (&f, '1', 50);
  send_all (&f, f.new, 0);
  take_all (&f, f.new, 0);
  assert_received (&f, '1', 50);
  assert_rolled_back (&f, 1, "has not said what was heard of it last");
  g_assert_null (pair_find (f.p, 1, HYPHA_SESSION_FINISHED, f.id));
  lives_clear (&f);
}

/* The one that is not heard is not left standing: it is told whom the peer hears. */
static void
test_other_life_is_told (void)
{
  Lives f;

  lives_begin (&f, TRUE);
  say (&f, '2', 80);
  pair_run_over (f.p, f.new);
  assert_received (&f, '2', 80);
  send_all (&f, f.old, 1);
  be (&f, f.first);
  take_all (&f, f.old, 1);
  assert_rolled_back (&f, 0, "another life of this node");
  /* And says so to the peer, whose session ends with it. */
  f.new->link[0] = NULL;
  take_all (&f, f.old, 0);
  send_all (&f, f.old, 0);
  take_all (&f, f.old, 0);
  assert_rolled_back (&f, 1, "state of one side had gone backwards");
  assert_received (&f, '2', 80);
  lives_clear (&f);
}

/* The peer answers over the second life's link what the first one says over the old one. */
static void
test_answer_to_the_other_life (void)
{
  HyphaSession *peer;
  Lives f;

  lives_begin (&f, TRUE);
  peer = f.p->session[1];
  send_first (f.p, f.new, 0);
  take_all (&f, f.new, 0);
  hypha_session_link_update (peer, f.old->link[1], 50, TRUE, f.p->now);
  g_assert_true (hypha_session_get_chosen (peer) == f.new->link[1]);
  send_all (&f, f.new, 1);
  take_all (&f, f.new, 1);
  g_assert_null (over (&f, 0));
  take_all (&f, f.old, 0);
  assert_received (&f, '1', 50);
  pair_write (f.p, 1, hypha_session_find (peer, f.id), 10);
  send_all (&f, f.new, 1);
  take_all (&f, f.new, 1);
  assert_rolled_back (&f, 0, "another life of this node");
  g_assert_cmpuint (pair_received (f.p, 0, f.id)->len, ==, 0);
  lives_clear (&f);
}

/* The peer has taken the other life's words, down to the end. That acknowledges nothing of what
 * this life said, though it was as much. */
static void
test_words_of_the_other_life_are_no_acknowledgement (void)
{
  Lives f = { .p = pair_new () };
  HyphaSessionStream *stream;
  Wire *lost, *third;

  f.old = pair_link (f.p, 50);
  pair_run (f.p);
  stream = pair_open (f.p, 0, "echo");
  f.id = stream->id;
  pair_run (f.p);
  f.first = f.p->session[0];
  say (&f, 'c', COMMON);
  hypha_session_stream_finish (f.p->session[1], pair_other (f.p, 0, stream));
  pair_pass (f.p, 20000);
  f.second = hypha_session_copy_for_test (f.first);
  say (&f, '1', 50);
  hypha_session_stream_finish (f.first, stream);
  send_all (&f, f.old, 0);

  be (&f, f.second);
  lost = pair_link (f.p, 5);
  pair_forget (f.p);
  send_all (&f, lost, 1);
  take_all (&f, lost, 1);
  say (&f, '2', 50);
  hypha_session_stream_finish (f.second, hypha_session_find (f.second, f.id));
  send_all (&f, lost, 0);
  take_all (&f, f.old, 0);
  assert_received (&f, '1', 50);
  pair_cut (f.p, lost);
  third = pair_link (f.p, 5);
  send_all (&f, third, 1);
  take_all (&f, third, 1);
  assert_rolled_back (&f, 0, "another life of this node");
  g_assert_cmpint (pair_find (f.p, 0, HYPHA_SESSION_ENDED, f.id)->error, ==,
                   HYPHA_ERROR_ROLLED_BACK);
  f.old->link[0] = NULL;
  lives_clear (&f);
}

/* Two lives that drew the same number: what was said before this pair of numbers was another one's.
 */
static void
test_lower_than_the_first_is_of_another_life (void)
{
  g_autoptr (Pair) p = pair_new ();
  const guint8 entry[16] = { 0 };
  const HyphaFrame taken = { .type = HYPHA_FRAME_EPOCH,
                             .flags = HYPHA_FRAME_TAKEN,
                             .value = 3,
                             .data = entry,
                             .length = sizeof entry };
  const Happened *over;
  Wire *wire;

  p->session[0]->epoch = 5;
  wire = pair_link (p, 5);
  pair_run (p);
  pair_inject (p, wire, 0, &taken);
  pair_drain (p);
  over = pair_find (p, 0, HYPHA_SESSION_OVER, -1);
  g_assert_nonnull (over);
  g_assert_cmpint (over->error, ==, HYPHA_ERROR_ROLLED_BACK);
}

/* Nor does the first one come back with a higher number, without having seen the second. */
static void
test_other_life_carries_on (void)
{
  Lives f;
  Wire *third;

  lives_begin (&f, TRUE);
  say (&f, '2', 80);
  pair_run_over (f.p, f.new);
  be (&f, f.first);
  hypha_session_detach (f.first, g_steal_pointer (&f.old->link[0]), f.p->now);
  /* The peer drops what is on its way over there. */
  hypha_session_detach (f.p->session[1], g_steal_pointer (&f.old->link[1]), f.p->now);
  f.new->link[0] = NULL;
  f.first->link_number += 5;
  f.first->epoch += 5;
  third = pair_link (f.p, 5);
  /* Whatever order the words of both sides come in. */
  send_all (&f, third, 1);
  take_all (&f, third, 1);
  send_all (&f, third, 0);
  take_all (&f, third, 0);
  g_assert_true (over (&f, 0) != NULL || over (&f, 1) != NULL);
  assert_received (&f, '2', 80);
  lives_clear (&f);
}

/* One life that changes its link to and fro, while word of what was taken is late or lost. */
static void
test_one_life_is_believed (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wires[2] = { pair_link (p, 5), pair_link (p, 50) };
  HyphaSessionStream *a;
  gsize written = 0;

  pair_run (p);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  for (guint i = 0; i < 100; i++) {
    written += pair_write (p, 0, a, 100);
    if (i % 3 != 0)
      pair_send_one (p, wires[i % 2], 0);
    for (guint j = 0; j < 2; j++)
      hypha_session_link_update (p->session[0], wires[j]->link[0], 5, j == i % 2, p->now);
    for (guint j = 0; j < i % 5; j++)
      pair_send_one (p, wires[(i + 1) % 2], 0);
    /* The faster link overtakes the other one by much. */
    if (i % 7 == 0)
      while (pair_take_one (p, wires[1], 0))
        ;
    if (i % 31 == 0)
      while (pair_take_one (p, wires[0], 0))
        ;
  }
  pair_pass (p, 20000);
  pair_assert_received (p, 1, a->id, written);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_OVER, -1));
  g_assert_null (pair_find (p, 1, HYPHA_SESSION_OVER, -1));
  g_assert_cmpuint (p->session[0]->said->len, ==, 1);
}

/* Each side speaks over the link that the other one does not speak over: what was taken is told
 * along with what is said, once for a frame at most, and nothing is said for its sake. */
static void
test_word_of_what_was_taken_has_an_end (void)
{
  g_autoptr (Pair) p = pair_new ();
  Wire *wires[2] = { pair_link (p, 5), pair_link (p, 50) };
  HyphaSessionStream *a, *b;
  gsize written[2] = { 0 };
  guint n = 0, n_taken = 0;

  pair_run (p);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  hypha_session_link_update (p->session[1], wires[0]->link[1], 5, TRUE, p->now);
  pair_pass (p, 20000);
  g_assert_true (hypha_session_get_chosen (p->session[0]) == wires[0]->link[0]);
  g_assert_true (hypha_session_get_chosen (p->session[1]) == wires[1]->link[1]);
  for (guint i = 0; i < 200; i++) {
    written[0] += pair_write (p, 0, a, 3000);
    written[1] += pair_write (p, 1, b, 3000);
    for (gboolean moved = TRUE; moved;) {
      moved = FALSE;
      for (int side = 0; side < 2; side++)
        while (pair_send_one (p, wires[side], side)) {
          GBytes *last = g_queue_peek_tail (&wires[side]->frames[side]);
          const guint8 *head = g_bytes_get_data (last, NULL);
          gboolean taken = head[0] == HYPHA_FRAME_EPOCH && (head[1] & HYPHA_FRAME_TAKEN) != 0;

          n_taken += taken;
          n += !taken;
          moved = TRUE;
        }
      for (int side = 0; side < 2; side++)
        take_from (p, wires[side], side);
    }
  }
  pair_pass (p, 20000);
  pair_assert_received (p, 1, a->id, written[0]);
  pair_assert_received (p, 0, a->id, written[1]);
  g_assert_cmpuint (n_taken, <=, n);
  g_assert_cmpuint (n_taken, >, 0);
  for (guint i = 0; i < 4; i++)
    g_assert_false (pair_send_one (p, wires[i % 2], (int) i / 2));
}

/* Only RESUME gets through over so many links, one after the other: what the peer goes by is known
 * to whoever speaks, and none of these EPOCHs is. */
static void
flap (Pair *p, guint times)
{
  for (guint i = 0; i < times; i++) {
    Wire *wire = pair_link (p, 5);

    /* The first frames of each side, TAKEN among them. */
    for (int side = 0; side < 2; side++)
      send_first (p, wire, side);
    for (int side = 0; side < 2; side++)
      take_from (p, wire, side);
    while (pair_send_one (p, wire, 0))
      ;
    pair_cut (p, wire);
  }
}

/* A network that dies each time when it was just chosen makes two lives of none. */
static void
test_one_life_is_believed_after_any_loss (gconstpointer heard_before)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  gsize written;
  Wire *wire;

  if (heard_before != NULL) {
    wire = pair_link (p, 5);
    pair_run (p);
    pair_cut (p, wire);
  }
  a = pair_open (p, 0, "echo");
  flap (p, 3 * HYPHA_EPOCH_MAX_ENTRIES);
  pair_link (p, 5);
  pair_run (p);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_OVER, -1));
  g_assert_null (pair_find (p, 1, HYPHA_SESSION_OVER, -1));
  written = pair_write (p, 0, a, 100);
  g_assert_cmpuint (written, ==, 100);
  pair_pass (p, 20000);
  pair_assert_received (p, 1, a->id, written);
  g_assert_cmpuint (p->session[0]->said->len, ==, 1);
}

#define ADD(path, test) g_test_add_func ("/session/lives/" path, test)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/session/lives/last-words-that-come-late-are-not-heard", "acknowledged",
                        test_last_words_come_late);
  g_test_add_data_func ("/session/lives/last-words-that-come-late-and-what-was-before-them", NULL,
                        test_last_words_come_late);
  g_test_add_data_func ("/session/lives/last-words-that-come-between-end-the-session",
                        "acknowledged", test_last_words_come_between);
  g_test_add_data_func ("/session/lives/last-words-between-and-what-was-before-them", NULL,
                        test_last_words_come_between);
  ADD ("the-one-that-is-not-heard-is-told", test_other_life_is_told);
  ADD ("an-answer-to-the-other-one-is-not-taken", test_answer_to_the_other_life);
  ADD ("words-of-the-other-one-are-no-acknowledgement",
       test_words_of_the_other_life_are_no_acknowledgement);
  ADD ("lower-than-the-first-is-of-another-one", test_lower_than_the_first_is_of_another_life);
  ADD ("the-other-one-cannot-carry-on", test_other_life_carries_on);
  ADD ("one-life-is-believed-however-often-it-changes", test_one_life_is_believed);
  ADD ("word-of-what-was-taken-has-an-end", test_word_of_what_was_taken_has_an_end);
  g_test_add_data_func ("/session/lives/one-life-is-believed-however-many-links-it-loses", "heard",
                        test_one_life_is_believed_after_any_loss);
  g_test_add_data_func ("/session/lives/one-life-is-believed-that-was-never-heard", NULL,
                        test_one_life_is_believed_after_any_loss);
  return g_test_run ();
}
