/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <string.h>

#include "io/queue.h"

static gboolean no_memory;

/* Comes before GLib's. */
__attribute__ ((visibility ("default"))) gpointer
g_try_malloc (gsize size)
{
  return no_memory ? NULL : g_malloc (size);
}

static guint8
byte_at (guint64 offset)
{
  return (guint8) (offset * 131 + (offset >> 8) * 7 + (offset >> 16));
}

static void
fill (guint64 offset, guint8 *data, gsize length)
{
  for (gsize i = 0; i < length; i++)
    data[i] = byte_at (offset + i);
}

static void
verify (guint64 offset, const guint8 *data, gsize length)
{
  for (gsize i = 0; i < length; i++)
    if (data[i] != byte_at (offset + i))
      g_error ("byte %" G_GUINT64_FORMAT " is %u", offset + i, data[i]);
}

static void
verify_whole (HyphaQueue *queue)
{
  struct iovec pieces[512];
  guint n = hypha_queue_pieces (queue, pieces, G_N_ELEMENTS (pieces));
  guint64 offset = queue->start;

  for (guint i = 0; i < n; i++) {
    g_assert_cmpuint (pieces[i].iov_len, >, 0);
    verify (offset, pieces[i].iov_base, pieces[i].iov_len);
    offset += pieces[i].iov_len;
  }
  if (n < G_N_ELEMENTS (pieces))
    g_assert_cmpuint (offset, ==, queue->end);
}

typedef struct {
  HyphaChunk *chunk;
  const guint8 *data;
  guint64 offset;
  gsize length;
} Kept;

static void
kept_free (gpointer data)
{
  Kept *kept = data;

  verify (kept->offset, kept->data, kept->length); /* still there, still the same */
  hypha_chunk_unref (kept->chunk);
  g_free (kept);
}

static void
random_append (HyphaQueue *queue)
{
  gsize length = (gsize) g_test_rand_int_range (0, g_test_rand_bit () ? 200 : 300000);
  g_autofree guint8 *data = g_malloc (length + 1);

  fill (queue->end, data, length);
  hypha_queue_append (queue, data, length);
}

static void
random_reserve (HyphaQueue *queue)
{
  struct iovec pieces[4];
  gsize want = (gsize) g_test_rand_int_range (1, 300000), room = 0, filled, left;
  guint n = (guint) g_test_rand_int_range (1, 5);
  guint64 offset = queue->end;

  n = hypha_queue_reserve (queue, want, pieces, n);
  g_assert_cmpuint (n, >, 0);
  for (guint i = 0; i < n; i++) {
    g_assert_cmpuint (pieces[i].iov_len, >, 0);
    room += pieces[i].iov_len;
  }
  g_assert_cmpuint (room, <=, want);
  if (g_test_rand_int_range (0, 10) == 0)
    return; /* reserved and never used */
  filled = left = g_test_rand_bit () ? room : (gsize) g_test_rand_int_range (0, (gint32) room);
  for (guint i = 0; i < n && left > 0; i++) {
    gsize here = MIN (left, pieces[i].iov_len);

    fill (offset, pieces[i].iov_base, here);
    offset += here;
    left -= here;
  }
  hypha_queue_commit (queue, filled);
}

static void
random_peek (HyphaQueue *queue, GPtrArray *kept)
{
  gsize length = hypha_queue_length (queue), max, got;
  const guint8 *data;
  HyphaChunk *chunk;
  guint64 offset;

  if (length == 0)
    return;
  offset = queue->start + (guint64) g_test_rand_int_range (0, (gint32) length);
  max = (gsize) g_test_rand_int_range (1, 70000);
  got = hypha_queue_peek (queue, offset, max, &data, &chunk);
  g_assert_cmpuint (got, >, 0);
  g_assert_cmpuint (got, <=, max);
  g_assert_cmpuint (offset + got, <=, queue->end);
  verify (offset, data, got);
  if (kept->len < 20) {
    Kept *one = g_new (Kept, 1);

    *one = (Kept){ hypha_chunk_ref (chunk), data, offset, got };
    g_ptr_array_add (kept, one);
  } else {
    g_ptr_array_remove_index_fast (kept, (guint) g_test_rand_int_range (0, (gint32) kept->len));
  }
}

static void
random_drop (HyphaQueue *queue)
{
  gsize length = hypha_queue_length (queue);
  guint64 offset = queue->start;

  if (g_test_rand_int_range (0, 4) == 0)
    offset = queue->end;
  else if (length > 0)
    offset += (guint64) g_test_rand_int_range (0, (gint32) length);
  hypha_queue_drop (queue, offset);
  g_assert_cmpuint (queue->start, ==, offset);
}

static void
test_model (void)
{
  HyphaQueue queue;
  g_autoptr (GPtrArray) kept = g_ptr_array_new_with_free_func (kept_free);
  guint64 start = 0, end = 0;

  hypha_queue_init (&queue);
  for (guint i = 0; i < 4000; i++) {
    switch (g_test_rand_int_range (0, 6)) {
    case 0:
      random_append (&queue);
      break;
    case 1:
      random_reserve (&queue);
      break;
    case 2:
    case 3:
      random_peek (&queue, kept);
      break;
    default:
      random_drop (&queue);
    }
    g_assert_cmpuint (queue.start, >=, start);
    g_assert_cmpuint (queue.end, >=, end);
    g_assert_cmpuint (queue.start, <=, queue.end);
    start = queue.start;
    end = queue.end;
    if (i % 16 == 0)
      verify_whole (&queue);
  }
  g_assert_cmpuint (end, >, 1000000);
  hypha_queue_clear (&queue);
}

static gsize
memory (HyphaQueue *queue)
{
  gsize sum = 0;

  for (guint i = 0; i < queue->chunks->len; i++)
    sum += ((HyphaChunk *) g_ptr_array_index (queue->chunks, i))->size;
  return sum;
}

/* What a socket brings: reads of up to WANT, of which GOT come. */
static void
bring (HyphaQueue *queue, gsize want, gsize got)
{
  struct iovec pieces[2];
  guint n = hypha_queue_reserve (queue, want, pieces, 2);
  gsize room = 0;

  for (guint i = 0; i < n; i++)
    room += pieces[i].iov_len;
  hypha_queue_commit (queue, MIN (room, got));
}

static void
test_sizes (void)
{
  HyphaQueue queue;

  hypha_queue_init (&queue);
  g_assert_cmpuint (memory (&queue), ==, 0);
  bring (&queue, 65536, 100);
  g_assert_cmpuint (memory (&queue), ==, 4096);
  for (guint i = 0; i < 12; i++)
    bring (&queue, 1 << 20, 1 << 20);
  g_assert_cmpuint (((HyphaChunk *) g_ptr_array_index (queue.chunks, queue.chunks->len - 1))->size,
                    ==, HYPHA_CHUNK_LARGE);
  hypha_queue_drop (&queue, queue.end);
  g_assert_cmpuint (memory (&queue), ==, 0); /* whoever is idle holds nothing */
  for (guint i = 0; i < 4; i++) {
    bring (&queue, 65536, 100);
    hypha_queue_drop (&queue, queue.end);
  }
  bring (&queue, 65536, 100);
  g_assert_cmpuint (memory (&queue), ==, 4096);
  bring (&queue, 65536, 0); /* nothing came */
  g_assert_cmpuint (memory (&queue), ==, 4096);
  hypha_queue_clear (&queue);
}

/* What nobody reads may lie there for long: it must not lie in what a busy stream would need. */
static void
test_little_after_much (void)
{
  HyphaQueue queue;
  guint8 byte = 0;

  for (guint appended = 0; appended < 2; appended++) {
    hypha_queue_init (&queue);
    for (guint i = 0; i < 12; i++)
      bring (&queue, 1 << 20, 1 << 20);
    hypha_queue_drop (&queue, queue.end);
    if (appended)
      hypha_queue_append (&queue, &byte, 1);
    else
      bring (&queue, 1 << 20, 1);
    g_assert_cmpuint (memory (&queue), ==, 4096);
    hypha_queue_clear (&queue);
  }
}

/* Chunks are small then, and what lies in a large one stays there. */
static void
test_no_memory (void)
{
  g_autofree guint8 *bytes = g_malloc (100000);
  struct iovec piece;
  HyphaQueue queue;

  fill (0, bytes, 100000);
  hypha_queue_init (&queue);
  no_memory = TRUE;
  hypha_queue_expect (&queue, 16 * 1024);
  g_assert_cmpuint (hypha_queue_reserve (&queue, 16 * 1024, &piece, 1), ==, 1);
  g_assert_cmpuint (piece.iov_len, ==, HYPHA_CHUNK_SMALL);
  hypha_queue_append (&queue, bytes, 100000);
  g_assert_cmpuint (hypha_queue_length (&queue), ==, 100000);
  verify_whole (&queue);
  hypha_queue_drop (&queue, 100000);

  no_memory = FALSE;
  hypha_queue_expect (&queue, HYPHA_CHUNK_MIDDLE);
  g_assert_cmpuint (hypha_queue_reserve (&queue, HYPHA_CHUNK_MIDDLE, &piece, 1), ==, 1);
  fill (100000, piece.iov_base, 6000);
  no_memory = TRUE;
  hypha_queue_commit (&queue, 6000); /* would move to a chunk that fits */
  g_assert_cmpuint (memory (&queue), ==, HYPHA_CHUNK_MIDDLE);
  verify_whole (&queue);
  no_memory = FALSE;
  hypha_queue_clear (&queue);
}

/* What somebody still holds is not written over. */
static void
test_held_bytes_stay (void)
{
  HyphaQueue queue;
  HyphaChunk *chunk;
  const guint8 *data;

  hypha_queue_init (&queue);
  hypha_queue_append (&queue, "abc", 3);
  g_assert_cmpuint (hypha_queue_peek (&queue, 0, 9, &data, &chunk), ==, 3);
  hypha_chunk_ref (chunk);
  hypha_queue_drop (&queue, 3);
  hypha_queue_append (&queue, "def", 3);
  g_assert_cmpmem (data, 3, "abc", 3);
  hypha_chunk_unref (chunk);
  g_assert_cmpuint (hypha_queue_peek (&queue, 3, 9, &data, &chunk), ==, 3);
  g_assert_cmpmem (data, 3, "def", 3);
  hypha_queue_clear (&queue);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/queue/random-operations-against-model", test_model);
  g_test_add_func ("/queue/chunks-follow-demand", test_sizes);
  g_test_add_func ("/queue/little-after-much-lies-in-little", test_little_after_much);
  g_test_add_func ("/queue/without-memory-for-large-chunks", test_no_memory);
  g_test_add_func ("/queue/held-bytes-stay", test_held_bytes_stay);
  return g_test_run ();
}
