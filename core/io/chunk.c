/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/chunk.h"

/* Large chunks come and go with every piece of a bulk stream. malloc would give the memory of each
 * back to the system and have it faulted in again, 64 pages at a time: a quarter of what a busy
 * worker does. So each thread keeps some for itself, and takes the one that was freed last: that is
 * still in the cache. It is a matter of a thread's own, hence without a lock; a chunk that is freed
 * on another thread than it was made on is kept there. */
static GPrivate spare = G_PRIVATE_INIT ((GDestroyNotify) g_ptr_array_unref);

static GPtrArray *
own_spare (void)
{
  GPtrArray *own = g_private_get (&spare);

  if (own == NULL) {
    own = g_ptr_array_new_full (HYPHA_CHUNK_SPARE_MAX, g_free);
    g_private_set (&spare, own);
  }
  return own;
}

/**
 * hypha_chunk_new: (skip)
 * @size: how much room, in bytes
 *
 * Returns: (transfer full): an empty chunk
 */
HyphaChunk *
hypha_chunk_new (guint32 size)
{
  GPtrArray *own = size == HYPHA_CHUNK_LARGE ? own_spare () : NULL;
  HyphaChunk *self;

  if (own != NULL && own->len > 0)
    self = g_ptr_array_steal_index_fast (own, own->len - 1);
  else
    self = g_malloc (sizeof (HyphaChunk) + size);
  self->ref_count = 1;
  self->size = size;
  self->used = 0;
  return self;
}

HyphaChunk *
hypha_chunk_ref (HyphaChunk *self)
{
  self->ref_count++;
  return self;
}

void
hypha_chunk_unref (HyphaChunk *self)
{
  g_assert (self->ref_count > 0);
  if (--self->ref_count > 0)
    return;
  if (self->size != HYPHA_CHUNK_LARGE || hypha_chunk_n_spare () == HYPHA_CHUNK_SPARE_MAX)
    g_free (self);
  else
    g_ptr_array_add (own_spare (), self);
}

/**
 * hypha_chunk_n_spare: (skip)
 *
 * Returns: how many free chunks of %HYPHA_CHUNK_LARGE the calling thread keeps for those to come
 */
guint
hypha_chunk_n_spare (void)
{
  return own_spare ()->len;
}
