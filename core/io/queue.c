/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/queue.h"

#include <string.h>

static const guint32 sizes[] = { HYPHA_CHUNK_SMALL, 16 * 1024, HYPHA_CHUNK_MIDDLE,
                                 HYPHA_CHUNK_LARGE };

static inline HyphaChunk *
chunk_at (HyphaQueue *self, guint index)
{
  return g_ptr_array_index (self->chunks, index);
}

static inline guint64
offset_at (HyphaQueue *self, guint index)
{
  return g_array_index (self->offsets, guint64, index);
}

void
hypha_queue_init (HyphaQueue *self)
{
  *self = (HyphaQueue){
    .chunks = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_chunk_unref),
    .offsets = g_array_new (FALSE, FALSE, sizeof (guint64)),
  };
}

void
hypha_queue_clear (HyphaQueue *self)
{
  g_clear_pointer (&self->chunks, g_ptr_array_unref);
  g_clear_pointer (&self->offsets, g_array_unref);
  self->start = self->end = 0;
}

/* No larger than for LENGTH bytes, if these are all there will be, and than demand has it. */
static guint32
size_for (HyphaQueue *self, gsize length)
{
  guint index = self->demand;

  while (index > 0 && length <= sizes[index - 1])
    index--;
  return sizes[index];
}

static void
add_chunk (HyphaQueue *self, gsize length)
{
  guint n = self->chunks->len;
  guint64 offset = n > 0 ? offset_at (self, n - 1) + chunk_at (self, n - 1)->size : self->end;

  g_ptr_array_add (self->chunks, hypha_chunk_new_some (size_for (self, length)));
  g_array_append_val (self->offsets, offset);
}

/* The chunk in which the byte at OFFSET lies: the last one that begins at or before it. */
static guint
find (HyphaQueue *self, guint64 offset)
{
  guint low = 0, high = self->chunks->len;

  while (high - low > 1) {
    guint middle = low + (high - low) / 2;

    if (offset_at (self, middle) <= offset)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* Chunks from here on have room; those after it are empty. */
static guint
first_with_room (HyphaQueue *self)
{
  guint index = self->chunks->len;

  while (index > 0 && chunk_at (self, index - 1)->used < chunk_at (self, index - 1)->size)
    index--;
  return index;
}

/**
 * hypha_queue_reserve: (skip)
 * @self: a queue
 * @want: how many bytes may come
 * @pieces: (array length=n): where they go
 * @n: how many pieces at most, 1 or more
 *
 * There is always room for at least a byte, if @want is more than 0: where there is no memory for a
 * large chunk, in a small one. How much there is in @n pieces
 * grows with what went before. What was reserved and not committed is taken back by the next call.
 *
 * Returns: how many of @pieces were set
 */
guint
hypha_queue_reserve (HyphaQueue *self, gsize want, struct iovec *pieces, guint n)
{
  guint index = first_with_room (self), count = 0;

  /* Where little comes at a time, most of the pieces would only be made and dropped again. */
  if (self->demand == 0)
    n = MIN (n, 2);
  for (; want > 0 && count < n; index++, count++) {
    HyphaChunk *chunk;
    gsize room;

    if (index == self->chunks->len)
      add_chunk (self, want);
    chunk = chunk_at (self, index);
    room = MIN (want, chunk->size - chunk->used);
    pieces[count] = (struct iovec){ .iov_base = chunk->data + chunk->used, .iov_len = room };
    want -= room;
  }
  return count;
}

/* What was reserved and stayed empty: only chunks with bytes say where the queue ends. */
static void
drop_empty (HyphaQueue *self)
{
  while (self->chunks->len > 0 && chunk_at (self, self->chunks->len - 1)->used == 0) {
    g_array_set_size (self->offsets, self->chunks->len - 1);
    g_ptr_array_set_size (self->chunks, (gint) self->chunks->len - 1);
  }
}

/* More was reserved than came, and it may stay for as long as somebody does not read it. */
static void
shrink_last (HyphaQueue *self)
{
  guint last = self->chunks->len - 1;
  HyphaChunk *large = chunk_at (self, last), *small;
  guint32 size = size_for (self, large->used);

  if (size >= large->size || size < large->used || large->ref_count > 1)
    return;
  small = hypha_chunk_new (size);
  if (small == NULL)
    return;
  memcpy (small->data, large->data, large->used);
  small->used = large->used;
  g_ptr_array_index (self->chunks, last) = small;
  hypha_chunk_unref (large);
}

/* The next chunk is about as large as two of what comes at a time: so memory follows demand both
 * ways. */
static void
adapt (HyphaQueue *self, gsize filled)
{
  if (self->demand + 1 < G_N_ELEMENTS (sizes) && filled >= sizes[self->demand] / 2) {
    self->demand++;
  } else if (self->demand > 0 && filled < sizes[self->demand - 1] / 2) {
    self->demand--;
    if (self->chunks->len > 0)
      shrink_last (self);
  }
}

/**
 * hypha_queue_commit: (skip)
 * @self: a queue
 * @filled: how many bytes were put where hypha_queue_reserve() said last; 0: none, and it is not
 * held
 *
 * Those bytes are the queue's now and never change any more.
 */
void
hypha_queue_commit (HyphaQueue *self, gsize filled)
{
  gsize left = filled;

  for (guint i = first_with_room (self); left > 0; i++) {
    HyphaChunk *chunk = chunk_at (self, i);
    gsize here = MIN (left, chunk->size - chunk->used);

    chunk->used += (guint32) here;
    left -= here;
  }
  self->end += filled;
  drop_empty (self);
  if (filled > 0)
    adapt (self, filled);
}

/**
 * hypha_queue_expect: (skip)
 * @self: a queue
 * @length: how many bytes come next
 *
 * Has the next chunk made as large as @length would have it, whatever came before.
 */
void
hypha_queue_expect (HyphaQueue *self, gsize length)
{
  self->demand = 0;
  while (self->demand + 1 < G_N_ELEMENTS (sizes) && length > sizes[self->demand])
    self->demand++;
}

/**
 * hypha_queue_append: (skip)
 * @self: a queue
 * @data: (array length=length): bytes, copied
 * @length: how many
 */
void
hypha_queue_append (HyphaQueue *self, const void *data, gsize length)
{
  const guint8 *from = data;

  while (length > 0) {
    struct iovec pieces[8];
    guint n = hypha_queue_reserve (self, length, pieces, G_N_ELEMENTS (pieces));
    gsize filled = 0;

    for (guint i = 0; i < n; i++) {
      memcpy (pieces[i].iov_base, from + filled, pieces[i].iov_len);
      filled += pieces[i].iov_len;
    }
    hypha_queue_commit (self, filled);
    from += filled;
    length -= filled;
  }
}

/**
 * hypha_queue_peek: (skip)
 * @self: a queue
 * @offset: from where, at least the queue's start and below its end
 * @max: how many bytes at most
 * @data: (out): the bytes
 * @chunk: (out) (transfer none) (optional): what they lie in; reference it to keep them beyond
 * hypha_queue_drop()
 *
 * Returns: how many bytes lie at @data
 */
gsize
hypha_queue_peek (HyphaQueue *self, guint64 offset, gsize max, const guint8 **data,
                  HyphaChunk **chunk)
{
  guint index;
  HyphaChunk *found;
  guint64 inside;

  g_assert (offset >= self->start && offset < self->end);
  index = find (self, offset);
  found = chunk_at (self, index);
  inside = offset - offset_at (self, index);
  *data = found->data + inside;
  if (chunk != NULL)
    *chunk = found;
  return MIN (max, found->used - (gsize) inside);
}

guint
hypha_queue_pieces (HyphaQueue *self, struct iovec *pieces, guint n)
{
  guint64 offset = self->start;
  guint count = 0;

  if (offset == self->end)
    return 0;
  for (guint i = find (self, offset); offset < self->end && count < n; i++, count++) {
    HyphaChunk *chunk = chunk_at (self, i);
    gsize inside = (gsize) (offset - offset_at (self, i));

    pieces[count] =
        (struct iovec){ .iov_base = chunk->data + inside, .iov_len = chunk->used - inside };
    offset += chunk->used - inside;
  }
  return count;
}

/**
 * hypha_queue_drop: (skip)
 * @self: a queue
 * @offset: the new start; what is below has no effect
 *
 * Forgets the bytes below @offset.
 */
void
hypha_queue_drop (HyphaQueue *self, guint64 offset)
{
  guint gone = 0;

  g_assert (offset <= self->end);
  if (offset <= self->start)
    return;
  self->start = offset;
  drop_empty (self);
  while (gone < self->chunks->len) {
    if (offset_at (self, gone) + chunk_at (self, gone)->used > offset)
      break;
    gone++;
  }
  if (gone > 0) {
    g_ptr_array_remove_range (self->chunks, 0, gone);
    g_array_remove_range (self->offsets, 0, gone);
  }
}
