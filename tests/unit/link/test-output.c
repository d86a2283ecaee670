/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <string.h>

#include "link/line.h"

static gboolean no_memory;

/* These come before GLib's. */
__attribute__ ((visibility ("default"))) gpointer
g_try_malloc (gsize size)
{
  return no_memory ? NULL : g_malloc (size);
}

__attribute__ ((visibility ("default"))) gpointer
g_try_realloc_n (gpointer memory, gsize n, gsize size)
{
  return no_memory ? NULL : g_realloc_n (memory, n, size);
}

static void
append (HyphaOutput *output, HyphaFrameType type, guint64 value, gsize length)
{
  g_autofree guint8 *data = g_malloc0 (length + 1);
  HyphaFrame frame = { .type = type, .value = value, .data = data, .length = length };
  HyphaFrameOut out;

  hypha_frame_write (&frame, NULL, &out);
  hypha_output_append (output, &out, type == HYPHA_FRAME_PING);
  g_assert_null (out.chunk);
}

/* What a descriptor would do that takes WANT bytes. */
static void
drain (HyphaOutput *output, gsize want, GByteArray *wire)
{
  struct iovec pieces[7];
  gsize written = 0;
  guint n = hypha_output_pieces (output, pieces, G_N_ELEMENTS (pieces));

  for (guint i = 0; i < n && written < want; i++) {
    gsize here = MIN (pieces[i].iov_len, want - written);

    g_assert_cmpuint (here, >, 0);
    g_byte_array_append (wire, pieces[i].iov_base, (guint) here);
    written += here;
  }
  hypha_output_consume (output, written);
}

static gsize
parse_all (GByteArray *wire, GArray *frames)
{
  gsize at = 0;
  gssize size;
  HyphaFrame frame;

  while ((size = hypha_frame_parse (wire->data + at, wire->len - at, &frame, NULL)) > 0) {
    g_array_append_val (frames, frame);
    at += (gsize) size;
  }
  g_assert_cmpint (size, ==, 0);
  return at;
}

static void
test_random (void)
{
  HyphaOutput output;
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  g_autoptr (GArray) frames = g_array_new (FALSE, FALSE, sizeof (HyphaFrame));
  guint64 pings = 0, data = 0;

  hypha_output_init (&output);
  for (guint i = 0; i < 20000; i++) {
    switch (g_test_rand_int_range (0, 4)) {
    case 0:
      append (&output, HYPHA_FRAME_PING, pings++, 0);
      break;
    case 1:
    case 2:
      append (&output, HYPHA_FRAME_DATA, data++, (gsize) g_test_rand_int_range (1, 50));
      break;
    default:
      drain (&output, (gsize) g_test_rand_int_range (1, 200), wire);
    }
  }
  while (output.length > 0)
    drain (&output, 1000, wire);
  hypha_output_clear (&output);

  g_assert_cmpuint (parse_all (wire, frames), ==, wire->len);
  g_assert_cmpuint (frames->len, ==, pings + data);
  pings = data = 0;
  for (guint i = 0; i < frames->len; i++) {
    HyphaFrame *frame = &g_array_index (frames, HyphaFrame, i);

    g_assert_cmpuint (frame->value, ==, frame->type == HYPHA_FRAME_PING ? pings++ : data++);
  }
}

static void
test_urgent (void)
{
  HyphaOutput output;
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  g_autoptr (GArray) frames = g_array_new (FALSE, FALSE, sizeof (HyphaFrame));

  hypha_output_init (&output);
  append (&output, HYPHA_FRAME_DATA, 1, 100);
  append (&output, HYPHA_FRAME_DATA, 2, 100);
  drain (&output, 50, wire);
  append (&output, HYPHA_FRAME_PING, 3, 0);
  drain (&output, 1000, wire);
  g_assert_cmpuint (output.length, ==, 0);
  parse_all (wire, frames);
  g_assert_cmpuint (frames->len, ==, 3);
  g_assert_cmpuint (g_array_index (frames, HyphaFrame, 0).value, ==, 1);
  g_assert_cmpuint (g_array_index (frames, HyphaFrame, 1).value, ==, 3);
  g_assert_cmpuint (g_array_index (frames, HyphaFrame, 2).value, ==, 2);
  hypha_output_clear (&output);
}

static void
test_references (void)
{
  HyphaOutput output;
  HyphaChunk *chunk = hypha_chunk_new (100);
  const HyphaFrame frame = { .type = HYPHA_FRAME_DATA, .data = chunk->data, .length = 100 };
  HyphaFrameOut out;

  memset (chunk->data, 7, 100);
  chunk->used = 100;
  hypha_output_init (&output);
  for (guint i = 0; i < 2; i++) {
    hypha_frame_write (&frame, chunk, &out);
    hypha_output_append (&output, &out, FALSE);
  }
  g_assert_cmpuint (chunk->ref_count, ==, 3);
  hypha_output_consume (&output, output.length / 2);
  g_assert_cmpuint (chunk->ref_count, ==, 2);
  hypha_output_clear (&output);
  g_assert_cmpuint (chunk->ref_count, ==, 1);
  hypha_chunk_unref (chunk);
}

static void
append_pong (HyphaOutput *output, guint64 token)
{
  const HyphaFrame frame = { .type = HYPHA_FRAME_PONG, .value = token };
  HyphaFrameOut out;

  hypha_frame_write (&frame, NULL, &out);
  hypha_output_append_latest (output, &out);
}

static void
test_latest (void)
{
  static const struct {
    HyphaFrameType type;
    guint64 value;
  } expected[] = { { HYPHA_FRAME_PONG, 0 }, { HYPHA_FRAME_PING, 7 }, { HYPHA_FRAME_PONG, 999 } };
  HyphaOutput output;
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  g_autoptr (GArray) frames = g_array_new (FALSE, FALSE, sizeof (HyphaFrame));

  hypha_output_init (&output);
  append_pong (&output, 0);
  drain (&output, 5, wire); /* begun: it goes on, whatever comes */
  append (&output, HYPHA_FRAME_PING, 7, 0);
  for (guint64 token = 1; token < 1000; token++)
    append_pong (&output, token);
  g_assert_cmpuint (output.length, ==, 3 * (HYPHA_FRAME_HEADER + 8) - 5);
  while (output.length > 0)
    drain (&output, G_MAXSIZE, wire);
  g_assert_cmpuint (parse_all (wire, frames), ==, wire->len);
  g_assert_cmpuint (frames->len, ==, G_N_ELEMENTS (expected));
  for (guint i = 0; i < frames->len; i++) {
    g_assert_cmpint (g_array_index (frames, HyphaFrame, i).type, ==, expected[i].type);
    g_assert_cmpuint (g_array_index (frames, HyphaFrame, i).value, ==, expected[i].value);
  }
  hypha_output_clear (&output);
}

/* DATA and ACKs behind one another; the first frame was begun if BEGUN. */
static void
test_rest (gconstpointer data)
{
  gboolean begun = GPOINTER_TO_INT (data);
  static const guint64 expected[] = { 9, 0, 1, 3, 5, 7 };
  HyphaOutput output, rest;
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  g_autoptr (GArray) frames = g_array_new (FALSE, FALSE, sizeof (HyphaFrame));
  guint n = 0;

  hypha_output_init (&output);
  for (guint i = 0; i < 8; i++)
    append (&output, i % 2 == 0 ? HYPHA_FRAME_DATA : HYPHA_FRAME_ACK, i, i % 2 == 0 ? 100 : 0);
  if (begun)
    drain (&output, 50, wire);
  append (&output, HYPHA_FRAME_PING, 9, 0);
  hypha_output_take_rest (&rest, &output);
  g_assert_cmpuint (output.length, ==, 0);
  g_assert_cmpuint (hypha_output_pieces (&output, &(struct iovec){ 0 }, 1), ==, 0);
  hypha_output_clear (&output);
  while (rest.length > 0)
    drain (&rest, 33, wire);
  hypha_output_clear (&rest);

  g_assert_cmpuint (parse_all (wire, frames), ==, wire->len);
  g_assert_cmpuint (frames->len, ==, begun ? 6 : 5);
  if (begun) /* the begun one goes before what is urgent */
    g_assert_cmpuint (g_array_index (frames, HyphaFrame, n++).value, ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    if (expected[i] != 0)
      g_assert_cmpuint (g_array_index (frames, HyphaFrame, n++).value, ==, expected[i]);
}

/* Whoever writes is told, and nothing goes out that would look whole. */
static void
check_lost (HyphaOutput *output)
{
  g_autoptr (GError) error = NULL;
  HyphaLine line = { .fd = -1 };
  gsize written = 1, before = output->length;

  g_assert_true (output->lost);
  append (output, HYPHA_FRAME_ACK, 1, 0);
  g_assert_cmpuint (output->length, ==, before);
  g_assert_cmpint (hypha_line_send (&line, output, &written, &error), ==, HYPHA_LINE_ERROR);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED);
  g_assert_nonnull (strstr (error->message, "memory"));
  g_assert_cmpuint (written, ==, 0);
  hypha_output_clear (output);
  g_assert_false (output->lost);
}

static void
test_no_memory_for_resume (void)
{
  g_autofree HyphaResumeEntry *entries = g_new0 (HyphaResumeEntry, 500);
  HyphaOutput output;
  HyphaFrameOut out;

  for (guint i = 0; i < 500; i++)
    entries[i].stream = i;
  hypha_output_init (&output);
  append (&output, HYPHA_FRAME_ACK, 0, 0);
  no_memory = TRUE;
  hypha_resume_write (499, 499, entries, 500, &out);
  g_assert_cmpuint (out.length, >, 0);
  g_assert_null (out.data);
  hypha_output_append (&output, &out, FALSE);
  no_memory = FALSE;
  check_lost (&output);
}

static void
test_no_memory_for_list (void)
{
  HyphaOutput output;
  gsize before = 0;

  hypha_output_init (&output);
  no_memory = FALSE;
  append (&output, HYPHA_FRAME_ACK, 0, 0);
  no_memory = TRUE;
  for (guint i = 0; i < 1000 && !output.lost; i++) {
    before = output.length;
    append (&output, HYPHA_FRAME_ACK, i, 0);
  }
  g_assert_cmpuint (output.length, ==, before);
  no_memory = FALSE;
  check_lost (&output);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/output/random-order-is-kept-within-each-lane", test_random);
  g_test_add_func ("/output/urgent-never-inside-a-frame", test_urgent);
  g_test_add_func ("/output/payload-by-reference", test_references);
  g_test_add_func ("/output/latest-replaces-what-waits", test_latest);
  g_test_add_data_func ("/output/rest-is-all-but-data", GINT_TO_POINTER (FALSE), test_rest);
  g_test_add_data_func ("/output/rest-completes-what-was-begun", GINT_TO_POINTER (TRUE), test_rest);
  g_test_add_func ("/output/without-memory-for-a-resume", test_no_memory_for_resume);
  g_test_add_func ("/output/without-memory-for-the-list", test_no_memory_for_list);
  return g_test_run ();
}
