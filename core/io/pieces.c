/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/pieces.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#define KEEP_MIN (4 * 1024) /* what is smaller is copied rather than kept where it lies */
/* Of buffers of workers that all of this process together keep, in bytes and so many. */
#define KEEP_BYTES (16 * 1024 * 1024)
#define KEEP_MAX (KEEP_BYTES / HYPHA_CHUNK_LARGE)
#define COPY_MIN 512 /* room for small messages that come one by one */

struct _HyphaPiece {
  HyphaPiece *next;
  HyphaChunk *chunk; /* owned */
  const guint8 *data;
  gsize length;
  gboolean kept; /* counts as one of KEEP_MAX */
};

/* A piece that is kept holds the whole buffer, of which it may be a small part: so the buffers are
 * counted, one that several keep for each of them, and beyond KEEP_MAX bytes are copied. */
static _Atomic guint n_kept;

static void
drop_first (HyphaPieces *self)
{
  g_autofree HyphaPiece *piece = self->first;

  if (piece->kept && piece->next != NULL && piece->next->chunk == piece->chunk)
    piece->next->kept = TRUE;
  else if (piece->kept)
    atomic_fetch_sub (&n_kept, 1);
  hypha_chunk_unref (piece->chunk);
  self->first = piece->next;
  if (self->first == NULL)
    self->last = NULL;
}

void
hypha_pieces_clear (HyphaPieces *self)
{
  while (self->first != NULL)
    drop_first (self);
  self->length = 0;
}

/* In place, if the bytes lie in the worker's buffer and are worth to keep it; else in a copy.
 * Returns how many of them: a copy is smaller where there is no memory for a large one. */
static gsize
add_piece (HyphaPieces *self, HyphaWorker *worker, const guint8 *data, gsize length)
{
  HyphaPiece *piece = g_new0 (HyphaPiece, 1);

  if (length >= KEEP_MIN && atomic_load (&n_kept) < KEEP_MAX)
    piece->chunk = hypha_worker_keep (worker, data, length);
  if (piece->chunk != NULL) {
    piece->data = data;
    piece->kept = self->last == NULL || self->last->chunk != piece->chunk;
    if (piece->kept)
      atomic_fetch_add (&n_kept, 1);
  } else {
    piece->chunk = hypha_chunk_new_some ((guint32) MAX (length, COPY_MIN));
    length = MIN (length, piece->chunk->size);
    memcpy (piece->chunk->data, data, length);
    piece->chunk->used = (guint32) length;
    piece->data = piece->chunk->data;
  }
  piece->length = length;
  if (self->last != NULL)
    self->last->next = piece;
  else
    self->first = piece;
  self->last = piece;
  return length;
}

/* Behind the last piece, if that is a copy with room. */
static gboolean
append_to_last (HyphaPieces *self, const guint8 *data, gsize length)
{
  HyphaPiece *last = self->last;
  HyphaChunk *chunk = last != NULL ? last->chunk : NULL;

  if (chunk == NULL || last->kept || chunk->size == HYPHA_CHUNK_LARGE ||
      chunk->size - chunk->used < length)
    return FALSE;
  memcpy (chunk->data + chunk->used, data, length);
  chunk->used += (guint32) length;
  last->length += length;
  return TRUE;
}

void
hypha_pieces_add (HyphaPieces *self, HyphaWorker *worker, const guint8 *data, gsize length)
{
  self->length += length;
  if (append_to_last (self, data, length))
    return;
  for (gsize added; length > 0; data += added, length -= added)
    added = add_piece (self, worker, data, length);
}

gsize
hypha_pieces_read (HyphaPieces *self, guint8 *buffer, gsize size)
{
  gsize done = 0;

  while (done < size && self->length > 0) {
    HyphaPiece *piece = self->first;
    gsize n = MIN (piece->length, size - done);

    memcpy (buffer + done, piece->data, n);
    piece->data += n;
    piece->length -= n;
    self->length -= n;
    done += n;
    if (piece->length == 0)
      drop_first (self);
  }
  return done;
}

gsize
hypha_pieces_take (HyphaPieces *self, const guint8 **data, HyphaChunk **chunk)
{
  HyphaPiece *piece = self->first;
  gsize length;

  if (piece == NULL)
    return 0;
  *data = piece->data;
  *chunk = hypha_chunk_ref (piece->chunk);
  length = piece->length;
  self->length -= length;
  drop_first (self);
  return length;
}

gboolean
hypha_pieces_send (const HyphaPieces *self, int fd)
{
  for (const HyphaPiece *piece = self->first; piece != NULL; piece = piece->next) {
    gsize at = 0;

    while (at < piece->length) {
      gssize n = send (fd, piece->data + at, piece->length - at, MSG_NOSIGNAL | MSG_DONTWAIT);

      if (n < 0 && errno != EINTR)
        return FALSE;
      at += n > 0 ? (gsize) n : 0;
    }
  }
  return TRUE;
}
