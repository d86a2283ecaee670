/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A trusted peer that breaks no rule, but wants everything: streams, links and memory without end.
 * What it gets is bounded, which is measured; alpha goes on over the same worker. */

#include <string.h>

#include "../descriptors.h"
#include "lies.h"
#include "node/node-private.h"

static void
spell_open (GByteArray *bytes, guint32 id, const char *service)
{
  liar_spell (&(HyphaFrame){ .type = HYPHA_FRAME_OPEN,
                             .stream = id,
                             .data = (const guint8 *) service,
                             .length = strlen (service) },
              bytes);
}

/* ---- streams without end ---- */

static void
test_opens_without_end (Lies *f, gconstpointer data)
{
  enum { MANY = 20000 };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint busy = 0, taken = 0;
  gsize most = 0;

  lies_open (f);
  lies_measure (f);
  for (guint i = 1; i <= MANY; i++) {
    HyphaFrame frame;

    spell_open (bytes, lies_liars (f, i), "discard");
    if (i % 1000 != 0)
      continue;
    liar_write (f->liar, bytes->data, bytes->len);
    g_byte_array_set_size (bytes, 0);
    for (; busy + taken < i; most = MAX (most, lies_grown (f))) {
      g_assert_true (liar_next (f->liar, &frame));
      taken += frame.type == HYPHA_FRAME_WINDOW;
      busy += frame.type == HYPHA_FRAME_RESET && frame.code == HYPHA_CODE_BUSY;
    }
  }
  g_assert_cmpuint (taken, ==, LIES_STREAMS - 1);
  lies_expect_honest (f);
  g_test_message ("%" G_GSIZE_FORMAT " bytes more at most", most);
  g_assert_cmpuint (most, <=, LIES_CAP);
}

/* One round: as many streams as may be, each ended both ways as soon as it was opened. */
static guint
open_and_end (Liar *liar, guint32 first)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint busy = 0;

  for (guint32 i = 0, id = first; i < LIES_STREAMS; i++, id += 2) {
    spell_open (bytes, id, "discard");
    liar_spell (&(HyphaFrame){ .type = HYPHA_FRAME_STOP, .stream = id, .code = 1 }, bytes);
    liar_spell (&(HyphaFrame){ .type = HYPHA_FRAME_RESET, .stream = id, .code = 1 }, bytes);
  }
  liar_write (liar, bytes->data, bytes->len);
  for (guint i = 0; i < LIES_STREAMS;) {
    HyphaFrame frame;

    liar_expect (liar, HYPHA_FRAME_RESET, -1, &frame);
    if (frame.code == HYPHA_CODE_GONE)
      continue; /* STOP came for what was refused */
    i++;
    if (frame.code == HYPHA_CODE_APPLICATION)
      liar_send (liar, &(HyphaFrame){ .type = HYPHA_FRAME_ACK,
                                      .stream = frame.stream,
                                      .flags = HYPHA_FRAME_RESET_TAKEN });
    else
      busy += frame.code == HYPHA_CODE_BUSY;
  }
  liar_settle (liar);
  return busy;
}

/* The worker alone could go through streams faster than the main thread hears of them. */
static void
test_opens_and_ends_while_the_main_thread_is_busy (Lies *f, gconstpointer data)
{
  enum { ROUNDS = 1500 };
  guint busy = 0;
  gsize grown;

  liar_join (f->liar, f->on_unix);
  f->liar->frozen = TRUE;
  lies_measure (f);
  for (guint i = 0; i < ROUNDS; i++)
    busy += open_and_end (f->liar, lies_liars (f, i * LIES_STREAMS));
  grown = lies_grown (f);
  f->liar->frozen = FALSE;
  g_test_message ("%u streams, %u refused, %" G_GSIZE_FORMAT " bytes more", ROUNDS * LIES_STREAMS,
                  busy, grown);
  g_assert_cmpuint (grown, <=, LIES_CAP);
  g_assert_cmpuint (busy, >, 0);
  /* Once it has heard, the peer is served as before. */
  for (guint i = ROUNDS; busy > 0 && i < ROUNDS + 100; i++)
    busy = open_and_end (f->liar, lies_liars (f, i * LIES_STREAMS));
  g_assert_cmpuint (busy, ==, 0);
  lies_expect_honest (f);
}

/* Each RESUME has beta look at all streams there are, and costs the liar twenty bytes. */
static void
test_resumes_without_end (Lies *f, gconstpointer data)
{
  enum { STREAMS = 500, MANY = 100000 };
  HyphaNodeLimits limits = lies_limits ();
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint blocks;
  gint64 began;

  limits.max_streams = 512;
  limits.session_window = 16 * 1024 * 1024;
  hypha_node_set_limits (f->pair.b.node, &limits);
  liar_join (f->liar, f->on_unix);
  for (guint i = 0; i < STREAMS; i++)
    spell_open (bytes, lies_liars (f, i), "discard");
  liar_write (f->liar, bytes->data, bytes->len);
  wait_until (n_streams (f->suspect) == STREAMS);
  liar_settle (f->liar);
  g_byte_array_set_size (bytes, 0);
  for (guint i = 0; i < MANY; i++)
    liar_spell (&(HyphaFrame){ .type = HYPHA_FRAME_RESUME,
                               .data = (const guint8 *) "\0\0\0\0\0\0\0\0",
                               .length = 8 },
                bytes);
  blocks = atomic_load (&f->blocks);
  began = g_get_monotonic_time ();
  liar_write (f->liar, bytes->data, bytes->len);
  liar_settle (f->liar);
  g_test_message ("%d resumes took %d ms; meanwhile alpha had %u blocks", MANY,
                  (int) ((g_get_monotonic_time () - began) / 1000),
                  atomic_load (&f->blocks) - blocks);
  g_assert_cmpuint (atomic_load (&f->blocks) - blocks, >=, 40);
  lies_expect_honest (f);
}

/* ---- links without end ---- */

static void
test_links_without_end (Lies *f, gconstpointer data)
{
  enum { MANY = 200 };
  g_autoptr (GPtrArray) others = g_ptr_array_new_with_free_func ((GDestroyNotify) liar_free);
  guint before = count_descriptors (), refused = 0;

  liar_join (f->liar, f->on_unix);
  f->liar->deaf = TRUE;
  lies_measure (f);
  for (guint i = 0; i < MANY; i++) {
    Liar *other = liar_new (hypha_identity_ref (f->liar->identity));

    g_ptr_array_add (others, other);
    other->instance = f->liar->instance;
    other->link_number = 1 + i;
    liar_dial (other, f->on_unix);
    if (!liar_meet (other, TRUE)) {
      g_assert_cmpint (hypha_handshake_get_rejected (other->handshake, NULL), ==,
                       HYPHA_REJECT_BUSY);
      refused++;
      continue;
    }
    liar_resume (other, -1, -1, NULL, 0);
  }
  g_test_message ("%u links refused, %u left, %" G_GSIZE_FORMAT " bytes more", refused,
                  hypha_node_peer_n_links (f->suspect), lies_grown (f));
  g_assert_cmpuint (hypha_node_peer_n_links (f->suspect), ==, HYPHA_NODE_MAX_LINKS_PER_PEER);
  g_assert_cmpuint (lies_grown (f), <=, LIES_CAP);
  g_ptr_array_set_size (others, 0);
  liar_hang_up (f->liar);
  wait_until (hypha_node_peer_n_links (f->suspect) == 0);
  lies_expect_liar_back (f);
  lies_expect_honest (f);
  liar_hang_up (f->liar);
  wait_until (count_descriptors () <= before);
}

/* Comes up and dies, again and again; what was begun is carried on every time. */
static void
test_flaps (Lies *f, gconstpointer data)
{
  enum { TIMES = 850, WARM = 50 };
  const HyphaResumeEntry truth = { .stream = lies_betas (f, 0),
                                   .flags = HYPHA_RESUME_ACCEPTED,
                                   .limit = 1000 };
  /* It goes by none of beta's EPOCHs, of which the list is soon full. */
  static const guint8 none[16] = { 0 };
  const HyphaFrame taken = {
    .type = HYPHA_FRAME_EPOCH, .flags = HYPHA_FRAME_TAKEN, .data = none, .length = sizeof none
  };
  guint descriptors = 0;
  HyphaFrame frame;

  liar_join (f->liar, f->on_unix);
  lies_open_probe (f);
  for (guint i = 0; i < TIMES; i++) {
    if (i == WARM) {
      wait_until (hypha_node_peer_n_links (f->suspect) == 1);
      lies_let_honest_rest (f, TRUE);
      lies_measure (f);
      lies_let_honest_rest (f, FALSE);
      descriptors = count_descriptors ();
    }
    liar_dial (f->liar, f->on_unix);
    g_assert_true (liar_meet (f->liar, TRUE));
    liar_resume (f->liar, -1, truth.stream, &truth, 1);
    liar_send (f->liar, &taken);
    if (i % 3 == 1)
      liar_settle (f->liar);
    if (i % 3 == 2) { /* and what was not acknowledged comes once more */
      liar_expect (f->liar, HYPHA_FRAME_DATA, truth.stream, &frame);
      g_assert_cmpuint (frame.value, ==, 0);
      g_assert_cmpmem (frame.data, frame.length, "ten bytes.", 10);
    }
  }
  liar_settle (f->liar);
  wait_until (hypha_node_peer_n_links (f->suspect) == 1);
  lies_let_honest_rest (f, TRUE);
  g_test_message ("%" G_GSIZE_FORMAT " bytes more after %d links", lies_grown (f), TIMES - WARM);
  /* Where threads keep large chunks for themselves, some more of them may be kept now. */
  g_assert_cmpuint (lies_grown (f), <=,
                    HYPHA_CHUNK_SPARE_MAX > 0 ? LIES_CAP : 3 * HYPHA_CHUNK_LARGE);
  lies_let_honest_rest (f, FALSE);
  wait_until (count_descriptors () <= descriptors + 1);
  g_assert_null (f->probe_ended);
  lies_expect_honest (f);
}

/* ---- it never reads ---- */

static void
fill (HyphaStream *stream)
{
  static const guint8 bytes[16384];

  while (g_pollable_output_stream_write_nonblocking (
             G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (G_IO_STREAM (stream))), bytes,
             sizeof bytes, NULL, NULL) > 0)
    continue;
}

/* DATA: whether it says that it has room for everything. */
static void
test_never_reads (Lies *f, gconstpointer data)
{
  HyphaNodeLimits limits = lies_limits ();
  guint blocks = atomic_load (&f->blocks);
  gsize most = 0;

  limits.ping_interval = 50;
  limits.link_timeout = 500;
  hypha_node_set_limits (f->pair.b.node, &limits);
  liar_join (f->liar, f->on_unix);
  lies_open_probe (f);
  liar_send (f->liar, &(HyphaFrame){ .type = HYPHA_FRAME_WINDOW,
                                     .stream = lies_betas (f, 0),
                                     .value = data != NULL ? G_MAXUINT64 : 100000 });
  lies_measure (f);
  while (hypha_node_peer_n_links (f->suspect) > 0) {
    fill (f->probe);
    g_main_context_iteration (NULL, TRUE);
    most = MAX (most, lies_grown (f));
  }
  blocks = atomic_load (&f->blocks) - blocks;
  g_test_message ("%" G_GSIZE_FORMAT " bytes more at most; meanwhile alpha had %u blocks", most,
                  blocks);
  g_assert_cmpuint (most, <=, LIES_CAP);
  g_assert_cmpuint (blocks, >=, 20);
  lies_expect_probe_ended (f, HYPHA_ERROR_EXPIRED, "no link to the peer");
  lies_expect_honest (f);
}

/* It makes beta owe more answers than its streams account for, and takes none of them. */
static void
test_refusals_without_end (Lies *f, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gsize most = 0;

  lies_open (f);
  for (guint i = 1; i < 60000; i++)
    spell_open (bytes, lies_liars (f, i), "x");
  lies_measure (f);
  for (gsize at = 0; at < bytes->len && !f->liar->cut && f->probe_ended == NULL; at += 4096) {
    liar_write (f->liar, bytes->data + at, MIN (4096, bytes->len - at));
    most = MAX (most, lies_grown (f));
    g_main_context_iteration (NULL, FALSE);
  }
  lies_expect_probe_ended (f, HYPHA_ERROR_PROTOCOL, "too many streams that are not there");
  g_assert_cmpuint (most, <=, LIES_CAP);
  lies_expect_liar_back (f);
  lies_expect_honest (f);
}

#define ADD(path, func, data) \
  g_test_add ("/greed/" path, Lies, data, lies_set_up, func, lies_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  ADD ("opens/without-end", test_opens_without_end, NULL);
  ADD ("opens/and-ends-while-the-main-thread-is-busy",
       test_opens_and_ends_while_the_main_thread_is_busy, NULL);
  ADD ("opens/and-takes-no-answer", test_refusals_without_end, NULL);
  ADD ("resumes/without-end", test_resumes_without_end, NULL);
  ADD ("links/without-end", test_links_without_end, lies_lower);
  ADD ("links/flap", test_flaps, NULL);
  ADD ("reads/never", test_never_reads, NULL);
  ADD ("reads/never-but-promises-everything", test_never_reads, "everything");
  return g_test_run ();
}
