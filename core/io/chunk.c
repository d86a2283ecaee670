/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/chunk.h"

#include <pthread.h>

/* Large chunks come and go with every piece of a bulk stream. malloc would give the memory of each
 * back to the system and have it faulted in again, 64 pages at a time: a quarter of what a busy
 * worker does. So some are kept, and the one that was freed last is taken first: that is still in
 * the cache. They are kept for all threads, since a chunk may be filled by a program's thread and
 * be let go by a worker; a lock for each 256 KiB is nothing. */
#if HYPHA_CHUNK_SPARE_MAX > 0
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  const guint32 size;
  guint n;
  HyphaChunk *chunks[HYPHA_CHUNK_SPARE_MAX];
} spare[] = { { .size = HYPHA_CHUNK_LARGE }, { .size = HYPHA_CHUNK_MIDDLE } };

/* The index among SPARE of chunks of SIZE; their number: these are not kept. */
static guint
find_spare (guint32 size)
{
  guint i = size >= HYPHA_CHUNK_MIDDLE ? 0 : G_N_ELEMENTS (spare);

  while (i < G_N_ELEMENTS (spare) && spare[i].size != size)
    i++;
  return i;
}

static HyphaChunk *
take_spare (guint32 size)
{
  const guint i = find_spare (size);
  HyphaChunk *chunk;

  if (i == G_N_ELEMENTS (spare))
    return NULL;
  pthread_mutex_lock (&lock);
  chunk = spare[i].n > 0 ? spare[i].chunks[--spare[i].n] : NULL;
  pthread_mutex_unlock (&lock);
  return chunk;
}

/* CHUNK may be somebody else's as soon as the lock is let go. */
static gboolean
keep (HyphaChunk *chunk)
{
  const guint i = find_spare (chunk->size);
  gboolean kept;

  if (i == G_N_ELEMENTS (spare))
    return FALSE;
  pthread_mutex_lock (&lock);
  kept = spare[i].n < HYPHA_CHUNK_SPARE_MAX;
  if (kept)
    spare[i].chunks[spare[i].n++] = chunk;
  pthread_mutex_unlock (&lock);
  return kept;
}

static guint
count_spare (void)
{
  guint n;

  pthread_mutex_lock (&lock);
  n = spare[0].n;
  pthread_mutex_unlock (&lock);
  return n;
}
#else
static HyphaChunk *
take_spare (guint32 size)
{
  return NULL;
}

static gboolean
keep (HyphaChunk *chunk)
{
  return FALSE;
}

static guint
count_spare (void)
{
  return 0;
}
#endif

/**
 * hypha_chunk_new: (skip)
 * @size: how much room, in bytes
 *
 * Returns: (transfer full) (nullable): an empty chunk; %NULL if there is no memory for it, which is
 * never so up to %HYPHA_CHUNK_SMALL
 */
HyphaChunk *
hypha_chunk_new (guint32 size)
{
  HyphaChunk *self = take_spare (size);

  if (self == NULL)
    self = size > HYPHA_CHUNK_SMALL ? g_try_malloc (sizeof (HyphaChunk) + size)
                                    : g_malloc (sizeof (HyphaChunk) + size);
  if (self == NULL)
    return NULL;
  atomic_init (&self->ref_count, 1);
  self->size = size;
  self->used = 0;
  return self;
}

/**
 * hypha_chunk_new_some: (skip)
 * @size: how much room, in bytes
 *
 * For bytes that may lie in several pieces.
 *
 * Returns: (transfer full): an empty chunk, of %HYPHA_CHUNK_SMALL if there is no memory for @size
 */
HyphaChunk *
hypha_chunk_new_some (guint32 size)
{
  HyphaChunk *self = hypha_chunk_new (size);

  return self != NULL ? self : hypha_chunk_new (HYPHA_CHUNK_SMALL);
}

HyphaChunk *
hypha_chunk_ref (HyphaChunk *self)
{
  atomic_fetch_add_explicit (&self->ref_count, 1, memory_order_relaxed);
  return self;
}

void
hypha_chunk_unref (HyphaChunk *self)
{
  guint before = atomic_fetch_sub_explicit (&self->ref_count, 1, memory_order_acq_rel);

  g_assert (before > 0);
  if (before > 1)
    return;
  if (!keep (self))
    g_free (self);
}

/**
 * hypha_chunk_n_spare: (skip)
 *
 * Returns: how many free chunks of %HYPHA_CHUNK_LARGE are kept for those to come
 */
guint
hypha_chunk_n_spare (void)
{
  return count_spare ();
}
