/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pair.h"

#include <string.h>

/* State that went backwards, and peers that break the rules. */

/* What was taken of one side: its memory, and the counters of its node. */
typedef struct {
  HyphaSession *session;
  guint64 last;
} Snapshot;

static Snapshot
take (Pair *p, int side)
{
  return (Snapshot){ .session = hypha_session_copy_for_test (p->session[side]),
                     .last = atomic_load (&p->numbers[side].last) };
}

static void
restore (Pair *p, int side, Snapshot snapshot)
{
  while (p->wires->len > 0) {
    Wire *wire = g_ptr_array_index (p->wires, 0);

    if (wire->link[!side] != NULL)
      hypha_session_detach (p->session[!side], g_steal_pointer (&wire->link[!side]), p->now);
    g_ptr_array_remove_index (p->wires, 0);
  }
  hypha_session_free (p->session[side]);
  p->session[side] = snapshot.session;
  atomic_store (&p->numbers[side].last, snapshot.last);
  pair_drain (p);
  pair_forget (p);
}

/* --- Numbers --- */

static void
test_numbers_rise (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionOffer first, second;
  guint64 number = hypha_session_get_number (p->session[0]);

  g_assert_cmpuint (number, >, 0);
  hypha_session_offer (p->session[0], 1, &first);
  hypha_session_offer (p->session[0], 2, &second);
  g_assert_cmpuint (first.session_number, ==, number);
  g_assert_cmpuint (second.link_number, >, first.link_number);
  hypha_session_drop (p->session[0], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED, "test",
                      p->now);
  g_assert_cmpuint (hypha_session_get_number (p->session[0]), >, number);
  hypha_session_offer (p->session[0], 3, &first);
  g_assert_cmpuint (first.link_number, >, second.link_number);
}

/* An offer that was overtaken by the end of the session closes that link only. */
static void
test_stale_offer (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionOffer offer;
  HyphaSessionLink *link;
  guint64 highest;

  hypha_session_offer (p->session[0], 1, &offer);
  hypha_session_drop (p->session[0], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED, "test",
                      p->now);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &offer, 1, 1, 101, 5, p->now, NULL, &link, &highest), ==,
      HYPHA_ATTACH_STALE);
  g_assert_null (link);
}

static void
test_number_zero (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionOffer offer;
  HyphaSessionLink *link;
  guint64 highest;

  hypha_session_offer (p->session[0], 1, &offer);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &offer, 0, 0, 102, 5, p->now, NULL, &link, &highest), ==,
      HYPHA_ATTACH_STALE);
}

/* Two handshakes at once finish in the other order: nobody went backwards. */
static void
test_handshakes_that_overtake (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionOffer slow, fast;
  HyphaSessionLink *link;
  guint64 highest;

  hypha_session_offer (p->session[0], hypha_nonce_clock_tick (&p->clock[0]), &slow);
  hypha_session_offer (p->session[0], hypha_nonce_clock_tick (&p->clock[0]), &fast);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &fast, 7, 2, 103, 5, p->now, NULL, &link, &highest), ==,
      HYPHA_ATTACH_DONE);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &slow, 7, 1, 104, 5, p->now, NULL, &link, &highest), ==,
      HYPHA_ATTACH_DONE);
  /* A third one, begun now, must know better. */
  hypha_session_offer (p->session[0], hypha_nonce_clock_tick (&p->clock[0]), &slow);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &slow, 7, 2, 105, 5, p->now, NULL, &link, &highest), ==,
      HYPHA_ATTACH_ROLLED_BACK);
  g_assert_cmpuint (highest, ==, 7);
  hypha_session_offer (p->session[0], hypha_nonce_clock_tick (&p->clock[0]), &slow);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &slow, 6, 9, 106, 5, p->now, NULL, &link, &highest), ==,
      HYPHA_ATTACH_ROLLED_BACK);
}

/* A link number says nothing about another session: that one may begin anew. */
static void
test_link_numbers_begin_anew (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionOffer offer;
  HyphaSessionLink *link;
  guint64 highest;

  hypha_session_offer (p->session[0], hypha_nonce_clock_tick (&p->clock[0]), &offer);
  hypha_session_attach (p->session[0], &offer, 7, 20, 107, 5, p->now, NULL, &link, &highest);
  hypha_session_offer (p->session[0], hypha_nonce_clock_tick (&p->clock[0]), &offer);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &offer, 8, 1, 108, 5, p->now, NULL, &link, &highest), ==,
      HYPHA_ATTACH_DONE);
  hypha_session_offer (p->session[0], hypha_nonce_clock_tick (&p->clock[0]), &offer);
  g_assert_cmpint (
      hypha_session_attach (p->session[0], &offer, 8, 2, 109, 5, p->now, NULL, &link, &highest), ==,
      HYPHA_ATTACH_DONE);
}

static void
test_accused (void)
{
  g_autoptr (Pair) p = pair_new ();
  guint64 number;

  hypha_session_accused (p->session[0], 1000, p->now);
  g_assert_cmpuint (hypha_session_get_number (p->session[0]), ==, 1001);
  pair_drain (p);
  pair_assert_over (p, 0, HYPHA_ERROR_ROLLED_BACK);
  pair_forget (p);

  /* The accusation is about a session that is over by now. */
  hypha_session_accused (p->session[0], 1000, p->now);
  pair_drain (p);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_OVER, -1));

  /* No peer can use up the numbers. */
  number = hypha_session_get_number (p->session[0]);
  hypha_session_accused (p->session[0], G_MAXUINT64, p->now);
  g_assert_cmpuint (hypha_session_get_number (p->session[0]), ==, number + 1);
  pair_drain (p);
  pair_assert_over (p, 0, HYPHA_ERROR_PROTOCOL);
}

/* --- Rollback --- */

static void
test_rolled_back_by_link_number (void)
{
  g_autoptr (Pair) p = pair_new ();
  Snapshot snapshot;
  Wire *wire;

  pair_link (p, 5);
  pair_open (p, 0, "echo");
  pair_run (p);
  snapshot = take (p, 0);
  pair_link (p, 6);
  pair_run (p);
  restore (p, 0, snapshot);
  g_assert_cmpint (pair_try_link (p, 5, &wire), ==, HYPHA_ATTACH_ROLLED_BACK);
  pair_drain (p);
  g_assert_cmpint (pair_find (p, 0, HYPHA_SESSION_ENDED, 0)->error, ==, HYPHA_ERROR_ROLLED_BACK);
  g_assert_null (pair_find (p, 1, HYPHA_SESSION_ENDED, 0));
  wire = pair_link (p, 5);
  pair_run (p);
  g_assert_cmpint (pair_find (p, 1, HYPHA_SESSION_ENDED, 0)->error, ==, HYPHA_ERROR_RESTARTED);
  pair_assert_goes_on (p);
}

/* Only the other side dials: no message tells the responder, and still they meet again. */
static void
test_responder_rolled_back_by_number (void)
{
  g_autoptr (Pair) p = pair_new ();
  Snapshot snapshot;
  Wire *wire;

  pair_link (p, 5);
  pair_open (p, 0, "echo");
  pair_run (p);
  snapshot = take (p, 1);
  pair_link (p, 6);
  pair_run (p);
  restore (p, 1, snapshot);
  g_assert_cmpint (pair_try_link (p, 5, &wire), ==, HYPHA_ATTACH_ROLLED_BACK);
  pair_drain (p);
  pair_assert_over (p, 0, HYPHA_ERROR_ROLLED_BACK);
  g_assert_cmpint (pair_find (p, 0, HYPHA_SESSION_ENDED, 0)->error, ==, HYPHA_ERROR_ROLLED_BACK);
  pair_link (p, 5);
  pair_run (p);
  g_assert_cmpint (pair_find (p, 1, HYPHA_SESSION_ENDED, 0)->error, ==, HYPHA_ERROR_RESTARTED);
  pair_assert_goes_on (p);
}

static void
test_receiver_rolled_back (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  Snapshot snapshot;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, a, 100);
  pair_pass (p, 20000);
  snapshot = take (p, 1);
  pair_write (p, 0, a, 100);
  pair_pass (p, 20000);
  restore (p, 1, snapshot);
  pair_link (p, 5);
  pair_run (p);
  pair_assert_over (p, 0, HYPHA_ERROR_ROLLED_BACK);
  pair_assert_goes_on (p);
}

static void
test_sender_rolled_back (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  Snapshot snapshot;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, a, 100);
  pair_pass (p, 20000);
  snapshot = take (p, 0);
  pair_write (p, 0, a, 100);
  pair_pass (p, 20000);
  restore (p, 0, snapshot);
  pair_link (p, 5);
  pair_run (p);
  pair_assert_over (p, 0, HYPHA_ERROR_ROLLED_BACK);
  pair_assert_goes_on (p);
}

/* The other program's answer to OPEN is forgotten with the snapshot: it must not be asked again. */
static void
test_accepter_rolled_back (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  Snapshot snapshot;

  p->holding = TRUE;
  pair_link (p, 5);
  a = pair_open (p, 0, "exec");
  pair_run (p);
  snapshot = take (p, 1);
  hypha_session_accept (p->session[1], pair_other (p, 0, a));
  pair_run (p);
  restore (p, 1, snapshot);
  pair_link (p, 5);
  pair_run (p);
  pair_assert_over (p, 0, HYPHA_ERROR_ROLLED_BACK);
  pair_assert_goes_on (p);
}

/* That a stream was reset before it was taken shows that it was seen: whoever has not seen it later
 * went back. */
static void
test_refuser_rolled_back (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  Snapshot snapshot;

  p->holding = TRUE;
  pair_link (p, 5);
  pair_run (p);
  snapshot = take (p, 1);
  a = pair_open (p, 0, "exec");
  pair_run (p);
  hypha_session_stream_reset (p->session[1], pair_other (p, 0, a), HYPHA_CODE_APPLICATION);
  pair_run (p);
  restore (p, 1, snapshot);
  pair_link (p, 5);
  pair_run (p);
  pair_assert_over (p, 0, HYPHA_ERROR_ROLLED_BACK);
  pair_assert_goes_on (p);
}

/* So does a RESUME that listed it. */
static void
test_lister_rolled_back (void)
{
  g_autoptr (Pair) p = pair_new ();
  Snapshot snapshot;

  p->holding = TRUE;
  pair_link (p, 5);
  pair_run (p);
  snapshot = take (p, 1);
  pair_open (p, 0, "exec");
  pair_run (p);
  pair_link (p, 9);
  pair_run (p);
  restore (p, 1, snapshot);
  /* Its link numbers have gone on: only what it has seen tells. */
  p->session[1]->link_number += 4;
  pair_link (p, 5);
  pair_run (p);
  pair_assert_over (p, 0, HYPHA_ERROR_ROLLED_BACK);
  pair_assert_goes_on (p);
}

static void
test_opener_rolled_back (void)
{
  g_autoptr (Pair) p = pair_new ();
  Snapshot snapshot;

  pair_link (p, 5);
  pair_run (p);
  snapshot = take (p, 0);
  pair_open (p, 0, "exec");
  pair_run (p);
  restore (p, 0, snapshot);
  pair_open (p, 0, "echo"); /* under the same id */
  pair_link (p, 5);
  pair_run (p);
  g_assert_true (pair_find (p, 0, HYPHA_SESSION_OVER, -1) != NULL ||
                 pair_find (p, 1, HYPHA_SESSION_OVER, -1) != NULL);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
  pair_assert_goes_on (p);
}

/* An acknowledgement that came after our nonce went out may be younger than the peer's RESUME. */
static void
test_no_false_verdict (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  Wire *first = pair_link (p, 5), *second;

  a = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, a, 100);
  pair_pass (p, 20000);
  second = pair_link (p, 50);
  g_assert_true (pair_send_one (p, second, 1));
  pair_write (p, 0, a, 100);
  pair_open (p, 0, "another");
  for (guint i = 0; i < 50; i++) {
    for (int side = 0; side < 2; side++) {
      pair_send_one (p, first, side);
      pair_take_one (p, first, side);
    }
    pair_drain (p);
    p->now += 1000;
    hypha_session_tick (p->session[0], p->now);
    hypha_session_tick (p->session[1], p->now);
  }
  g_assert_cmpuint (hypha_session_get_memory (p->session[0]), ==, 0);
  g_assert_true (pair_take_one (p, second, 1));
  pair_run (p);
  g_assert_cmpuint (pair_count (p, 0, HYPHA_SESSION_OVER), ==, 0);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OVER), ==, 0);
  g_assert_true (hypha_session_link_is_up (second->link[0]));
}

/* --- Peers that break the rules --- */

typedef struct {
  const char *name;
  HyphaFrame frame;
  HyphaError error;
} Breach;

static const guint8 bytes[16];

#define FRAME(kind, id, ...)                              \
  {                                                       \
    .type = HYPHA_FRAME_##kind, .stream = id, __VA_ARGS__ \
  }
#define BYTES(n) .data = bytes, .length = n
#define SERVICE(s) .data = (const guint8 *) s, .length = sizeof s - 1

/* To side 1. Stream 0: opened by side 0, taken, 10 bytes came, none went. Stream 1: opened by side
 * 1, taken. Stream 2: opened by side 0, not answered. Stream 4: finished by side 0 after 10 bytes.
 */
static const Breach breaches[] = {
  { "beyond-the-window", FRAME (DATA, 0, .value = 8190, BYTES (16)), HYPHA_ERROR_PROTOCOL },
  { "beyond-all-windows", FRAME (DATA, 0, .value = G_MAXUINT64 - 16, BYTES (16)),
    HYPHA_ERROR_PROTOCOL },
  { "gap", FRAME (DATA, 0, .value = 11, BYTES (5)), HYPHA_ERROR_PROTOCOL },
  { "fin-before-what-came", FRAME (DATA, 0, .value = 3, .flags = HYPHA_FRAME_FIN, BYTES (5)),
    HYPHA_ERROR_PROTOCOL },
  { "data-after-fin", FRAME (DATA, 4, .value = 10, BYTES (5)), HYPHA_ERROR_PROTOCOL },
  { "data-before-the-answer", FRAME (DATA, 2, .flags = HYPHA_FRAME_FIN), HYPHA_ERROR_PROTOCOL },
  { "data-on-what-was-never-opened", FRAME (DATA, 6, BYTES (5)), HYPHA_ERROR_PROTOCOL },
  { "data-on-what-we-never-opened", FRAME (DATA, 3, BYTES (5)), HYPHA_ERROR_PROTOCOL },
  { "ack-on-what-was-never-opened", FRAME (ACK, 6), HYPHA_ERROR_PROTOCOL },
  { "window-on-what-was-never-opened", FRAME (WINDOW, 3, .value = 1), HYPHA_ERROR_PROTOCOL },
  { "stop-on-what-was-never-opened", FRAME (STOP, 6, .code = 1), HYPHA_ERROR_PROTOCOL },
  { "reset-on-what-we-never-opened", FRAME (RESET, 3, .code = 1), HYPHA_ERROR_PROTOCOL },
  { "impossible-id", FRAME (RESET, G_MAXUINT32, .code = 1), HYPHA_ERROR_PROTOCOL },
  { "open-with-our-id", FRAME (OPEN, 3, SERVICE ("x")), HYPHA_ERROR_PROTOCOL },
  { "open-again-for-another-service", FRAME (OPEN, 0, SERVICE ("ech")), HYPHA_ERROR_PROTOCOL },
  { "ack-of-what-was-not-sent", FRAME (ACK, 0, .value = 1), HYPHA_ERROR_ROLLED_BACK },
  { "ack-of-a-fin-not-sent", FRAME (ACK, 0, .flags = HYPHA_FRAME_FIN), HYPHA_ERROR_ROLLED_BACK },
  { "ack-of-a-reset-not-sent", FRAME (ACK, 1, .flags = HYPHA_FRAME_RESET_TAKEN),
    HYPHA_ERROR_ROLLED_BACK },
  { "reset-beyond-the-window", FRAME (RESET, 0, .code = 1, .value = 1 << 20),
    HYPHA_ERROR_PROTOCOL },
  { "reset-before-what-came", FRAME (RESET, 0, .code = 1, .value = 9), HYPHA_ERROR_PROTOCOL },
  { "refused-after-it-was-taken", FRAME (RESET, 1, .code = HYPHA_CODE_REFUSED),
    HYPHA_ERROR_PROTOCOL },
  { "refused-by-its-opener", FRAME (RESET, 2, .code = HYPHA_CODE_REFUSED), HYPHA_ERROR_PROTOCOL },
  { "gone-while-it-is-open", FRAME (RESET, 0, .code = HYPHA_CODE_GONE), HYPHA_ERROR_ROLLED_BACK },
  { "resume-without-a-body", FRAME (RESUME, 0, BYTES (0)), HYPHA_ERROR_PROTOCOL },
  { "resume-of-part-of-an-entry", FRAME (RESUME, 0, BYTES (12)), HYPHA_ERROR_PROTOCOL },
  { "resume-of-nothing", FRAME (RESUME, 0, BYTES (8)), -1 },
  { "reset-of-an-end-that-was-taken", FRAME (RESET, 4, .code = 1, .value = 10), -1 },
  { "data-that-came-already", FRAME (DATA, 0, .value = 2, BYTES (5)), -1 },
  { "data-that-overlaps", FRAME (DATA, 0, .value = 2, BYTES (16)), -1 },
  { "lower-window", FRAME (WINDOW, 0, .value = 1), -1 },
  { "highest-window", FRAME (WINDOW, 1, .value = G_MAXUINT64), -1 },
  { "old-ack", FRAME (ACK, 0), -1 },
  { "epoch-again", FRAME (EPOCH, 0, .value = 0), -1 },
  { "gone-for-what-was-never-opened", FRAME (RESET, 3, .code = HYPHA_CODE_GONE), -1 },
};

static Pair *
breach_pair (Wire **wire)
{
  Pair *p = pair_new ();
  HyphaSessionStream *zero, *four;

  *wire = pair_link (p, 5);
  zero = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, zero, 10);
  pair_open (p, 1, "echo");
  pair_run (p);
  p->holding = TRUE;
  pair_open (p, 0, "slow");
  pair_run (p);
  p->holding = FALSE;
  four = pair_open (p, 0, "echo");
  pair_run (p);
  pair_write (p, 0, four, 10);
  hypha_session_stream_finish (p->session[0], four);
  pair_pass (p, 20000);
  pair_forget (p);
  return p;
}

static void
test_breach (gconstpointer data)
{
  const Breach *breach = data;
  Wire *wire;
  g_autoptr (Pair) p = breach_pair (&wire);

  pair_inject (p, wire, 1, &breach->frame);
  pair_drain (p);
  if ((int) breach->error == -1)
    g_assert_null (pair_find (p, 1, HYPHA_SESSION_OVER, -1));
  else
    pair_assert_over (p, 1, breach->error);
  if ((int) breach->error == -1)
    return;
  for (guint32 id = 0; id < 5; id += id < 2 ? 1 : 2)
    g_assert_cmpint (pair_find (p, 1, HYPHA_SESSION_ENDED, id)->error, ==, (int) breach->error);
  /* The link says why, and ignores what still comes. */
  pair_inject (p, wire, 1, &breach->frame);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_OVER, -1));
  pair_assert_goes_on (p);
}

typedef struct {
  const char *name;
  gint64 opened, seen;
  HyphaResumeEntry entries[3];
  guint n;
  int error;
} Resume;

/* Likewise to side 1; what is true: opened 4, seen 1, streams 0, 1, 2 and 4. */
static const Resume resumes[] = {
  { "seen-more-than-opened", 4, 3, { { 0 } }, 0, HYPHA_ERROR_ROLLED_BACK },
  { "ids-of-the-wrong-side", 3, 1, { { 0 } }, 0, HYPHA_ERROR_PROTOCOL },
  { "seen-of-the-wrong-side", 4, 0, { { 0 } }, 0, HYPHA_ERROR_PROTOCOL },
  { "lists-what-it-did-not-see", 4, -1, { { .stream = 1 } }, 1, HYPHA_ERROR_PROTOCOL },
  { "lists-what-it-did-not-open", 0, 3, { { .stream = 2 } }, 1, HYPHA_ERROR_ROLLED_BACK },
  { "lists-above-its-own-highest",
    0,
    1,
    { { .stream = 1 }, { .stream = 2 } },
    2,
    HYPHA_ERROR_PROTOCOL },
  { "holds-what-was-not-sent",
    4,
    1,
    { { .stream = 0, .next = 5, .flags = 1 } },
    1,
    HYPHA_ERROR_ROLLED_BACK },
  { "took-a-fin-that-was-not-sent",
    4,
    1,
    { { .stream = 0, .flags = 1 | HYPHA_RESUME_FIN } },
    1,
    HYPHA_ERROR_ROLLED_BACK },
  { "took-a-reset-that-was-not-sent",
    4,
    1,
    { { .stream = 0, .flags = 1 | HYPHA_RESUME_RESET } },
    1,
    HYPHA_ERROR_ROLLED_BACK },
  { "forgot-open-streams", 4, 1, { { 0 } }, 0, HYPHA_ERROR_ROLLED_BACK },
  { "highest-limits",
    -1,
    1,
    { { .stream = 1, .flags = HYPHA_RESUME_ACCEPTED, .limit = G_MAXUINT64 } },
    1,
    -1 },
};

static void
test_resume (gconstpointer data)
{
  const Resume *resume = data;
  Wire *wire;
  g_autoptr (Pair) p = breach_pair (&wire);

  pair_inject_resume (p, wire, 1, resume->opened, resume->seen, resume->entries, resume->n);
  pair_drain (p);
  if (resume->error == -1)
    g_assert_null (pair_find (p, 1, HYPHA_SESSION_OVER, -1));
  else
    pair_assert_over (p, 1, (HyphaError) resume->error);
  if (resume->error != -1)
    pair_assert_goes_on (p);
}

/* Of a stream whose OPEN has yet to go out nobody can know. */
static void
test_answer_before_open (void)
{
  const HyphaFrame answers[] = {
    { .type = HYPHA_FRAME_WINDOW, .stream = 1, .value = 100 },
    { .type = HYPHA_FRAME_ACK, .stream = 1 },
    { .type = HYPHA_FRAME_STOP, .stream = 1, .code = HYPHA_CODE_APPLICATION },
    { .type = HYPHA_FRAME_RESET, .stream = 1, .code = HYPHA_CODE_APPLICATION },
    { .type = HYPHA_FRAME_RESET, .stream = 1, .code = HYPHA_CODE_REFUSED },
    { .type = HYPHA_FRAME_DATA, .stream = 1, .flags = HYPHA_FRAME_FIN },
  };

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++) {
    g_autoptr (Pair) p = pair_new ();
    Wire *wire = pair_link (p, 5);

    pair_run (p);
    pair_forget (p);
    pair_open (p, 1, "echo");
    pair_inject (p, wire, 1, &answers[i]);
    hypha_session_check (p->session[1]);
    pair_drain (p);
    pair_assert_over (p, 1, HYPHA_ERROR_ROLLED_BACK);
    pair_assert_goes_on (p);
  }
}

static void
test_before_resume (void)
{
  static const HyphaFrame frames[] = {
    FRAME (OPEN, 0, SERVICE ("x")),
    FRAME (DATA, 0, BYTES (3)),
    FRAME (ACK, 0),
    FRAME (WINDOW, 0),
    FRAME (RESET, 0),
    FRAME (STOP, 0),
    FRAME (EPOCH, 0),
  };

  for (guint i = 0; i < G_N_ELEMENTS (frames); i++) {
    g_autoptr (Pair) p = pair_new ();
    Wire *wire = pair_link (p, 5);

    pair_inject (p, wire, 1, &frames[i]);
    pair_drain (p);
    pair_assert_over (p, 1, HYPHA_ERROR_PROTOCOL);
  }
}

/* The highest window there is does not make this side hold more than it may. */
static void
test_memory_of_sending (void)
{
  Wire *wire;
  g_autoptr (Pair) p = breach_pair (&wire);
  HyphaSessionStream *one = hypha_session_find (p->session[1], 1);

  pair_inject (p, wire, 1, &(HyphaFrame) FRAME (WINDOW, 1, .value = G_MAXUINT64));
  g_assert_cmpuint (pair_write (p, 1, one, 64 * 1024 * 1024), ==, p->limits[1].send_max);
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, p->limits[1].send_max);
}

static void
test_too_many_refusals (void)
{
  Wire *wire;
  g_autoptr (Pair) p = breach_pair (&wire);
  guint n = 0;

  pair_inject (p, wire, 1, &(HyphaFrame) FRAME (RESET, 1000000, .code = 1));
  while (n < 10000 && wire->link[1] != NULL) {
    HyphaFrame frame = FRAME (DATA, 6 + 2 * n, BYTES (1));

    pair_inject (p, wire, 1, &frame);
    /* The same id again costs nothing. */
    pair_inject (p, wire, 1, &frame);
    if (wire->link[1]->done)
      break;
    n++;
  }
  g_assert_cmpuint (n, ==, HYPHA_SESSION_REFUSALS_MAX - 1);
  pair_drain (p);
  pair_assert_over (p, 1, HYPHA_ERROR_PROTOCOL);
}

static guint32
random_of (const guint32 *values, guint n)
{
  return values[g_test_rand_int_range (0, (gint32) n)];
}

static void
random_frame (HyphaFrame *frame)
{
  static const guint32 types[] = { HYPHA_FRAME_OPEN, HYPHA_FRAME_DATA,   HYPHA_FRAME_DATA,
                                   HYPHA_FRAME_ACK,  HYPHA_FRAME_WINDOW, HYPHA_FRAME_RESET,
                                   HYPHA_FRAME_STOP, HYPHA_FRAME_EPOCH,  HYPHA_FRAME_RESUME };
  static const guint32 values[] = { 0, 0, 0, 1, 5, 8, 16, 100, 8191, 8192, 8193, G_MAXUINT32 };

  *frame = (HyphaFrame){ .type = random_of (types, G_N_ELEMENTS (types)),
                         .stream = (guint32) g_test_rand_int_range (0, 12),
                         .value = random_of (values, G_N_ELEMENTS (values)),
                         .code = (guint32) g_test_rand_int_range (0, 9) };
  switch (frame->type) {
  case HYPHA_FRAME_OPEN:
    frame->data = (const guint8 *) (g_test_rand_bit () ? "echo" : "x");
    frame->length = strlen ((const char *) frame->data);
    break;
  case HYPHA_FRAME_DATA:
    frame->flags = g_test_rand_int_range (0, 8) == 0 ? HYPHA_FRAME_FIN : 0;
    frame->data = bytes;
    frame->length = (gsize) g_test_rand_int_range (0, sizeof bytes);
    break;
  case HYPHA_FRAME_ACK:
    frame->flags = random_of ((guint32[]){ 0, 0, 0, HYPHA_FRAME_FIN, HYPHA_FRAME_RESET_TAKEN }, 5);
    break;
  case HYPHA_FRAME_RESUME:
    frame->flags = HYPHA_FRAME_ASK;
    break;
  default:
    break;
  }
}

/* Whatever comes: invariants hold, and the session can be had again. */
static void
test_random_frames (void)
{
  g_autoptr (Pair) p = pair_new ();

  for (guint round = 0; round < 400; round++) {
    Wire *wire = pair_link (p, 5);

    pair_run (p);
    for (guint i = 0; i < 60 && wire->link[1] != NULL && !wire->link[1]->done; i++) {
      g_autoptr (GPtrArray) all = hypha_session_list_streams (p->session[1]);
      HyphaFrame frame;

      random_frame (&frame);
      pair_inject (p, wire, 1, &frame);
      if (all->len > 0) {
        HyphaSessionStream *stream =
            g_ptr_array_index (all, g_test_rand_int_range (0, (gint32) all->len));

        switch (g_test_rand_int_range (0, 8)) {
        case 0:
          hypha_session_stream_finish (p->session[1], stream);
          break;
        case 1:
          hypha_session_stream_reset (p->session[1], stream, HYPHA_CODE_APPLICATION);
          break;
        case 2:
          hypha_session_stream_stop (p->session[1], stream, HYPHA_CODE_APPLICATION);
          break;
        default:
          pair_write (p, 1, stream, 20);
        }
      } else {
        pair_open (p, 1, "echo");
      }
      for (guint k = 0; k < 3; k++)
        pair_send_one (p, wire, 1);
      pair_drain (p);
      p->now += 3000;
      hypha_session_tick (p->session[1], p->now);
    }
    pair_cut (p, wire);
    hypha_session_drop (p->session[0], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED, "test",
                        p->now);
    hypha_session_drop (p->session[1], HYPHA_AWAY_DISCONNECTED, HYPHA_ERROR_DISCONNECTED, "test",
                        p->now);
    pair_drain (p);
    pair_forget (p);
  }
}

#define ADD(name, func) g_test_add_func ("/session/" name, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("numbers/rise", test_numbers_rise);
  ADD ("numbers/overtaken-offer-is-stale", test_stale_offer);
  ADD ("numbers/zero-is-none", test_number_zero);
  ADD ("numbers/handshakes-may-overtake", test_handshakes_that_overtake);
  ADD ("numbers/link-numbers-begin-anew-with-a-session", test_link_numbers_begin_anew);
  ADD ("numbers/accused-goes-on-above", test_accused);
  ADD ("rollback/found-by-link-number", test_rolled_back_by_link_number);
  ADD ("rollback/of-the-responder-by-number", test_responder_rolled_back_by_number);
  ADD ("rollback/of-the-receiver", test_receiver_rolled_back);
  ADD ("rollback/of-the-sender", test_sender_rolled_back);
  ADD ("rollback/of-the-accepter", test_accepter_rolled_back);
  ADD ("rollback/of-one-that-had-reset-before-taking", test_refuser_rolled_back);
  ADD ("rollback/of-one-that-had-listed-what-it-did-not-take", test_lister_rolled_back);
  ADD ("rollback/of-the-opener", test_opener_rolled_back);
  ADD ("rollback/late-resume-is-none", test_no_false_verdict);
  for (guint i = 0; i < G_N_ELEMENTS (breaches); i++) {
    g_autofree char *path = g_strdup_printf ("/session/hostile/%s", breaches[i].name);

    g_test_add_data_func (path, &breaches[i], test_breach);
  }
  for (guint i = 0; i < G_N_ELEMENTS (resumes); i++) {
    g_autofree char *path = g_strdup_printf ("/session/hostile/resume-%s", resumes[i].name);

    g_test_add_data_func (path, &resumes[i], test_resume);
  }
  ADD ("hostile/answer-before-open", test_answer_before_open);
  ADD ("hostile/anything-before-resume", test_before_resume);
  ADD ("hostile/window-does-not-fill-memory", test_memory_of_sending);
  ADD ("hostile/refusals-are-bounded", test_too_many_refusals);
  ADD ("hostile/random-frames", test_random_frames);
  return g_test_run ();
}
