/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/scratch.h"

#include <stdatomic.h>

#define ROOM_MIN (128 * 1024) /* that whoever asks gets at least */

gboolean
hypha_scratch_init (HyphaScratch *self)
{
  *self = (HyphaScratch){
    .chunk = hypha_chunk_new (HYPHA_CHUNK_LARGE),
    .reserve = hypha_chunk_new (HYPHA_CHUNK_LARGE),
  };
  return self->chunk != NULL && self->reserve != NULL;
}

void
hypha_scratch_clear (HyphaScratch *self)
{
  g_clear_pointer (&self->chunk, hypha_chunk_unref);
  g_clear_pointer (&self->reserve, hypha_chunk_unref);
  g_clear_pointer (&self->past, hypha_chunk_unref);
}

guint8 *
hypha_scratch_get (HyphaScratch *self, gsize least, gsize *size)
{
  HyphaChunk *chunk = self->chunk;

  g_assert (least <= HYPHA_CHUNK_LARGE);
  if (atomic_load_explicit (&chunk->ref_count, memory_order_acquire) == 1)
    chunk->used = 0;
  if (chunk->size - chunk->used < MAX (least, ROOM_MIN)) {
    HyphaChunk *next;

    /* First, for it is the one that is had again: two that take turns stay in the cache. */
    g_clear_pointer (&self->past, hypha_chunk_unref);
    next = hypha_chunk_new (HYPHA_CHUNK_LARGE);
    if (next == NULL) {
      *size = self->reserve->size;
      return self->reserve->data;
    }
    self->past = chunk;
    self->chunk = chunk = next;
  }
  *size = chunk->size - chunk->used;
  return chunk->data + chunk->used;
}

HyphaChunk *
hypha_scratch_keep (HyphaScratch *self, const guint8 *data, gsize length)
{
  HyphaChunk *chunk = self->chunk;

  if (data < chunk->data || data >= chunk->data + chunk->size)
    return NULL;
  chunk->used = MAX (chunk->used, (guint32) (data + length - chunk->data));
  return hypha_chunk_ref (chunk);
}
