/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A peer that is trusted, and lies. Each lie is a row: what it says, and by what error its session
 * ends, that alone: alpha's stream goes on over the same worker, and memory stays within what one
 * session may hold. */

#include <string.h>

#include "lies.h"
#include "link/wire.h"

/* Of a frame: which stream it is about. */
typedef enum { LIARS, BETAS, LIARS_NEXT, BETAS_NEXT } Whose;

typedef enum {
  IN_A_FRAME,   /* over the link that is there */
  AGAIN,        /* a RESUME over the link that is there */
  OVER_ANOTHER, /* the first RESUME of a second link */
} How;

/* The fields of an entry as they go over the wire. */
typedef struct {
  Whose stream;
  guint32 flags; /* with the reserved bits below */
  guint64 next, limit, final;
} Entry;

typedef struct {
  const char *name;
  HyphaError error; /* NONE: it is no breach */
  const char *text; /* in its message */
  How how;
  HyphaFrame frame;
  gint64 opened, seen; /* a Whose, or as below */
  Entry entries[3];
  guint n;
} Lie;

#define NONE ((HyphaError) 9999)
#define NOTHING (-1)
#define ALL 1000 /* the highest id there is */

#define FRAME(kind, whose, ...)                              \
  IN_A_FRAME,                                                \
  {                                                          \
    .type = HYPHA_FRAME_##kind, .stream = whose, __VA_ARGS__ \
  }
#define BYTES(s) .data = (const guint8 *) s, .length = sizeof s - 1
#define TOOK HYPHA_RESUME_ACCEPTED
#define FLAGS(f) ((guint32) (f) << 24)
/* What would be true. */
#define OF_LIARS                     \
  {                                  \
    LIARS, FLAGS (TOOK), 10, 1000, 0 \
  }
#define OF_BETAS                     \
  {                                  \
    BETAS, FLAGS (TOOK), 10, 1000, 0 \
  }
#define ENTRIES(...) \
  {                  \
    __VA_ARGS__      \
  }

#define BROKEN HYPHA_ERROR_PROTOCOL
#define BACK HYPHA_ERROR_ROLLED_BACK

/* clang-format off */
static const Lie lies[] = {
  /* acknowledges what was not sent */
  { "acks/byte-that-was-not-sent", BACK, "holds more of a stream than was ever sent", FRAME (ACK, BETAS, .value = 11) },
  { "acks/all-bytes-there-could-be", BACK, "holds more of a stream than was ever sent", FRAME (ACK, BETAS, .value = G_MAXUINT64) },
  { "acks/fin-that-was-not-sent", BACK, "took the end of a stream that was not sent", FRAME (ACK, BETAS, .value = 10, .flags = HYPHA_FRAME_FIN) },
  { "acks/reset-that-was-not-sent", BACK, "took the end of a stream that was not sent", FRAME (ACK, BETAS, .value = 10, .flags = HYPHA_FRAME_RESET_TAKEN) },
  { "acks/stream-that-was-never-opened", BROKEN, "a stream that was never opened", FRAME (ACK, BETAS_NEXT, .value = 0) },
  /* sends beyond its window */
  { "window/a-byte-beyond", BROKEN, "beyond the window", FRAME (DATA, LIARS, .value = HYPHA_SESSION_WINDOW_MIN, BYTES ("x")) },
  { "window/bytes-across", BROKEN, "beyond the window", FRAME (DATA, LIARS, .value = HYPHA_SESSION_WINDOW_MIN - 2, BYTES ("abc")) },
  { "window/far-beyond", BROKEN, "beyond the window", FRAME (DATA, LIARS, .value = G_MAXUINT64 - 3, BYTES ("abc")) },
  { "window/final-size-beyond", BROKEN, "beyond its window", FRAME (RESET, LIARS, .code = HYPHA_CODE_APPLICATION, .value = HYPHA_SESSION_WINDOW_MIN + 1) },
  { "window/lower-than-before", NONE, NULL, FRAME (WINDOW, BETAS, .value = 1) },
  { "window/highest-there-is", NONE, NULL, FRAME (WINDOW, BETAS, .value = G_MAXUINT64) },
  /* offsets that cannot be */
  { "offset/gap", BROKEN, "left a gap", FRAME (DATA, LIARS, .value = 11, BYTES ("abc")) },
  { "offset/fin-before-what-came", BROKEN, "before what it had sent", FRAME (DATA, LIARS, .value = 3, .flags = HYPHA_FRAME_FIN, BYTES ("abc")) },
  { "offset/reset-before-what-came", BROKEN, "before what it had sent", FRAME (RESET, LIARS, .code = HYPHA_CODE_APPLICATION, .value = 9) },
  /* streams that are not its own, or not there */
  { "open/with-our-id", BROKEN, "whose id is ours", FRAME (OPEN, BETAS_NEXT, BYTES ("echo")) },
  { "open/again-for-another-service", BROKEN, "again for another service", FRAME (OPEN, LIARS, BYTES ("discard")) },
  { "open/again", NONE, NULL, FRAME (OPEN, LIARS, BYTES ("echo")) },
  { "stream/data-on-what-we-never-opened", BROKEN, "a stream that was never opened", FRAME (DATA, BETAS_NEXT, BYTES ("abc")) },
  { "stream/data-on-what-it-never-opened", BROKEN, "a stream that was never opened", FRAME (DATA, LIARS_NEXT, BYTES ("abc")) },
  { "stream/window-for-what-we-never-opened", BROKEN, "a stream that was never opened", FRAME (WINDOW, BETAS_NEXT, .value = 1) },
  { "stream/stop-for-what-it-never-opened", BROKEN, "a stream that was never opened", FRAME (STOP, LIARS_NEXT, .code = 1) },
  { "stream/refused-after-it-was-taken", BROKEN, "refused a stream that it had taken", FRAME (RESET, BETAS, .code = HYPHA_CODE_REFUSED) },
  { "stream/gone-while-it-is-open", BACK, "has forgotten a stream that is open here", FRAME (RESET, BETAS, .code = HYPHA_CODE_GONE) },
  { "stream/gone-before-it-was-opened", NONE, NULL, FRAME (RESET, BETAS_NEXT, .code = HYPHA_CODE_GONE) },
  { "epoch/highest-there-is", NONE, NULL, FRAME (EPOCH, 0, .value = G_MAXUINT64) },
  /* resumes with absurd states, field by field */
  { "resume/true", NONE, NULL, OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, OF_BETAS), 2 },
  { "resume/opened-is-of-ours", BROKEN, "takes one side's ids", OVER_ANOTHER, { 0 }, BETAS, BETAS, ENTRIES (OF_BETAS), 1 },
  { "resume/seen-is-of-its-own", BROKEN, "takes one side's ids", OVER_ANOTHER, { 0 }, LIARS, LIARS, ENTRIES (OF_LIARS), 1 },
  { "resume/opened-nothing", BACK, "knows less", OVER_ANOTHER, { 0 }, NOTHING, BETAS, ENTRIES (OF_BETAS), 1 },
  { "resume/seen-nothing", BACK, "knows less", OVER_ANOTHER, { 0 }, LIARS, NOTHING, ENTRIES (OF_LIARS), 1 },
  { "resume/seen-what-was-never-opened", BACK, "has seen a stream that was never opened", OVER_ANOTHER, { 0 }, LIARS, BETAS_NEXT, ENTRIES (OF_LIARS, OF_BETAS), 2 },
  { "resume/seen-all-there-could-be", BACK, "has seen a stream that was never opened", OVER_ANOTHER, { 0 }, LIARS, ALL, ENTRIES (OF_LIARS, OF_BETAS), 2 },
  { "resume/opened-all-there-could-be", NONE, NULL, OVER_ANOTHER, { 0 }, ALL, BETAS, ENTRIES (OF_LIARS, OF_BETAS), 2 },
  { "resume/lists-above-its-highest", BROKEN, "is above the highest id", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, OF_BETAS, { LIARS_NEXT, FLAGS (TOOK), 0, 0, 0 }), 3 },
  { "resume/lists-one-twice", BROKEN, "is out of order", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, OF_BETAS, OF_BETAS), 3 },
  { "resume/leaves-one-out", BACK, "has forgotten a stream that is open here", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS), 1 },
  { "resume/unknown-flags", BROKEN, "has unknown flags", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK | 8), 10, 1000, 0 }), 2 },
  { "resume/reserved-bits", BROKEN, "has reserved bits set", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK) | 1, 10, 1000, 0 }), 2 },
  { "resume/both-ends", BROKEN, "took both FIN and RESET", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK | HYPHA_RESUME_FIN | HYPHA_RESUME_RESET), 10, 1000, 10 }), 2 },
  { "resume/took-back-that-it-took-it", BACK, "knows less", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, 0, 10, 1000, 0 }), 2 },
  { "resume/next-below-what-it-acknowledged", BACK, "knows less", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES ({ LIARS, FLAGS (TOOK), 9, 1000, 0 }, OF_BETAS), 2 },
  { "resume/next-above-what-was-sent", BACK, "holds more of a stream than was ever sent", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK), 11, 1000, 0 }), 2 },
  { "resume/next-is-the-highest", BACK, "holds more of a stream than was ever sent", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK), G_MAXUINT64, 1000, 0 }), 2 },
  { "resume/limit-is-zero", NONE, NULL, OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK), 10, 0, 0 }), 2 },
  { "resume/limit-is-the-highest", NONE, NULL, OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK), 10, G_MAXUINT64, 0 }), 2 },
  { "resume/final-size-without-an-end", BROKEN, "has a final size, but no end", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK), 10, 1000, 10 }), 2 },
  { "resume/fin-that-was-not-sent", BACK, "took the end of a stream that was not sent", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK | HYPHA_RESUME_FIN), 10, 1000, 10 }), 2 },
  { "resume/fin-but-not-all-before-it", BROKEN, "not all that was before it", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK | HYPHA_RESUME_FIN), 10, 1000, 11 }), 2 },
  { "resume/reset-that-was-not-sent", BACK, "took the end of a stream that was not sent", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK | HYPHA_RESUME_RESET), 10, 1000, 20 }), 2 },
  { "resume/reset-below-what-it-has", BROKEN, "took more than its final size", OVER_ANOTHER, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK | HYPHA_RESUME_RESET), 10, 1000, 9 }), 2 },
  /* and over a link that is up, where only what cannot be is judged */
  { "resume-again/true", NONE, NULL, AGAIN, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, OF_BETAS), 2 },
  { "resume-again/older", NONE, NULL, AGAIN, { 0 }, NOTHING, NOTHING, ENTRIES (OF_LIARS), 0 },
  { "resume-again/next-above-what-was-sent", BACK, "holds more of a stream than was ever sent", AGAIN, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS, { BETAS, FLAGS (TOOK), 11, 1000, 0 }), 2 },
  { "resume-again/leaves-one-out", BACK, "has forgotten a stream that is open here", AGAIN, { 0 }, LIARS, BETAS, ENTRIES (OF_LIARS), 1 },
  { "resume-again/out-of-order", BROKEN, "is out of order", AGAIN, { 0 }, LIARS, BETAS, ENTRIES (OF_BETAS, OF_BETAS), 2 },
};
/* clang-format on */

static guint32
id_of_stream (Lies *f, Whose whose)
{
  switch (whose) {
  case LIARS:
    return lies_liars (f, 0);
  case BETAS:
    return lies_betas (f, 0);
  case LIARS_NEXT:
    return lies_liars (f, 1);
  default:
    return lies_betas (f, 1);
  }
}

/* As RESUME has it: one more, 0 for none. OURS: it is said of an id of beta's. */
static guint32
highest (Lies *f, gint64 of, gboolean ours)
{
  if (of == NOTHING)
    return 0;
  if (of == ALL)
    return 0xfffffffdu + (ours ? lies_betas (f, 0) : lies_liars (f, 0));
  return id_of_stream (f, (Whose) of) + 1;
}

static int
by_id (gconstpointer a, gconstpointer b, gpointer f)
{
  guint32 x = id_of_stream (f, ((const Entry *) a)->stream);
  guint32 y = id_of_stream (f, ((const Entry *) b)->stream);

  return x < y ? -1 : x > y;
}

static void
say_resume (Lies *f, const Lie *lie)
{
  guint8 bytes[HYPHA_FRAME_HEADER + 8 + 3 * 32] = { HYPHA_FRAME_RESUME }, *p;
  Entry entries[3];

  memcpy (entries, lie->entries, sizeof entries);
  g_qsort_with_data (entries, (gint) lie->n, sizeof (Entry), by_id, f);
  hypha_wire_put_u32 (bytes + 8, 8 + lie->n * 32);
  p = hypha_wire_put_u32 (bytes + HYPHA_FRAME_HEADER, highest (f, lie->opened, FALSE));
  p = hypha_wire_put_u32 (p, highest (f, lie->seen, TRUE));
  for (guint i = 0; i < lie->n; i++) {
    p = hypha_wire_put_u32 (p, id_of_stream (f, entries[i].stream));
    p = hypha_wire_put_u32 (p, entries[i].flags);
    p = hypha_wire_put_u64 (p, entries[i].next);
    p = hypha_wire_put_u64 (p, entries[i].limit);
    p = hypha_wire_put_u64 (p, entries[i].final);
  }
  liar_write (f->liar, bytes, (gsize) (p - bytes));
}

static void
tell (Lies *f, const Lie *lie)
{
  HyphaFrame frame = lie->frame;

  switch (lie->how) {
  case IN_A_FRAME:
    if (frame.type != HYPHA_FRAME_EPOCH)
      frame.stream = id_of_stream (f, (Whose) frame.stream);
    liar_send (f->liar, &frame);
    break;
  case AGAIN:
    say_resume (f, lie);
    break;
  case OVER_ANOTHER:
    liar_settle (f->liar);
    liar_dial (f->liar, f->on_unix);
    g_assert_true (liar_meet (f->liar, TRUE));
    say_resume (f, lie);
    break;
  }
}

static void
test_lie (Lies *f, gconstpointer data)
{
  const Lie *lie = data;

  lies_open (f);
  lies_measure (f);
  tell (f, lie);
  if (lie->error == NONE) {
    liar_settle (f->liar);
    g_assert_null (f->probe_ended);
    g_assert_cmpint (f->liar->away, ==, 0);
  } else {
    liar_read_to_end (f->liar);
    g_assert_cmpint (f->liar->away, ==,
                     lie->error == BACK ? HYPHA_AWAY_ROLLED_BACK : HYPHA_AWAY_PROTOCOL);
    lies_expect_probe_ended (f, lie->error, lie->text);
    lies_expect_told (f, lie->text);
    lies_expect_liar_back (f);
  }
  lies_expect_honest (f);
  g_assert_cmpuint (lies_grown (f), <=, LIES_CAP);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  for (guint i = 0; i < G_N_ELEMENTS (lies); i++) {
    g_autofree char *path = g_strdup_printf ("/lies/%s", lies[i].name);

    g_test_add (path, Lies, &lies[i], lies_set_up, test_lie, lies_tear_down);
  }
  return g_test_run ();
}
