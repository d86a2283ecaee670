/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "io/chunk.h"

G_BEGIN_DECLS

/* The bytes [start, end) of a stream, by absolute offset, in chunks that grow with demand (4 KiB up
 * to 256 KiB). */
typedef struct {
  GPtrArray *chunks; /* of HyphaChunk, owned */
  GArray *offsets;   /* guint64: absolute offset of each chunk's first byte */
  guint64 start, end;
  guint demand; /* how large the next chunk will be */
} HyphaQueue;

void hypha_queue_init (HyphaQueue *self);
void hypha_queue_clear (HyphaQueue *self);
/* Room for up to WANT bytes at the end, in at most N pieces, for readv; returns how many pieces.
 * Then commit what came. */
guint hypha_queue_reserve (HyphaQueue *self, gsize want, struct iovec *pieces, guint n);
void hypha_queue_commit (HyphaQueue *self, gsize filled);
void hypha_queue_append (HyphaQueue *self, const void *data, gsize length); /* copies */
/* The next chunk is to hold LENGTH bytes, or as many of them as one may. */
void hypha_queue_expect (HyphaQueue *self, gsize length);
/* The longest contiguous piece from OFFSET (start <= OFFSET < end), at most MAX bytes. *CHUNK is
 * not referenced. */
gsize hypha_queue_peek (HyphaQueue *self, guint64 offset, gsize max, const guint8 **data,
                        HyphaChunk **chunk);
/* The pieces from START on, for writev; returns how many. */
guint hypha_queue_pieces (HyphaQueue *self, struct iovec *pieces, guint n);
/* Forgets what is below OFFSET (<= end). A chunk goes when nobody refers to it. */
void hypha_queue_drop (HyphaQueue *self, guint64 offset);
static inline gsize
hypha_queue_length (const HyphaQueue *self)
{
  return (gsize) (self->end - self->start);
}

G_END_DECLS
