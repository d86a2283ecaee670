/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-buffer.h"

#include <string.h>

#define CHUNK_BYTES (64 * 1024)

struct _QuicChunk {
  QuicChunk *next;
  guint64 offset; /* of its first byte */
  gsize fill;
  guint8 data[CHUNK_BYTES - 32];
};

void
quic_buffer_clear (QuicBuffer *self)
{
  while (self->first != NULL) {
    QuicChunk *chunk = self->first;

    self->first = chunk->next;
    g_free (chunk);
  }
  self->last = self->cursor = NULL;
  self->begin = self->end;
}

gsize
quic_buffer_get_size (const QuicBuffer *self)
{
  return (gsize) (self->end - self->begin);
}

guint8 *
quic_buffer_get_room (QuicBuffer *self, gsize *size)
{
  if (self->last == NULL || self->last->fill == sizeof self->last->data) {
    QuicChunk *chunk = g_malloc (sizeof *chunk);

    chunk->next = NULL;
    chunk->offset = self->end;
    chunk->fill = 0;
    if (self->last != NULL)
      self->last->next = chunk;
    else
      self->first = chunk;
    self->last = chunk;
  }
  *size = sizeof self->last->data - self->last->fill;
  return self->last->data + self->last->fill;
}

void
quic_buffer_add (QuicBuffer *self, gsize size)
{
  self->last->fill += size;
  self->end += size;
  if (self->begin == self->end)
    quic_buffer_clear (self);
}

void
quic_buffer_append (QuicBuffer *self, const guint8 *data, gsize size)
{
  while (size > 0) {
    gsize room;
    guint8 *at = quic_buffer_get_room (self, &room);
    gsize n = MIN (room, size);

    memcpy (at, data, n);
    quic_buffer_add (self, n);
    data += n;
    size -= n;
  }
}

guint
quic_buffer_peek (QuicBuffer *self, guint64 offset, struct iovec *pieces, guint max)
{
  QuicChunk *chunk = self->cursor != NULL ? self->cursor : self->first;
  guint n = 0;

  while (chunk != NULL && chunk->offset + chunk->fill <= offset)
    chunk = chunk->next;
  if (chunk != NULL)
    self->cursor = chunk;
  for (; chunk != NULL && n < max; chunk = chunk->next) {
    gsize skip = offset > chunk->offset ? (gsize) (offset - chunk->offset) : 0;

    pieces[n++] = (struct iovec){ chunk->data + skip, chunk->fill - skip };
  }
  return n;
}

void
quic_buffer_drop (QuicBuffer *self, guint64 offset)
{
  self->begin = MAX (self->begin, MIN (offset, self->end));
  while (self->first != NULL && self->first->offset + self->first->fill <= self->begin) {
    QuicChunk *chunk = self->first;

    /* The last one has room still, unless nothing is left at all. */
    if (chunk == self->last && self->begin < self->end)
      break;
    if (self->cursor == chunk)
      self->cursor = NULL;
    self->first = chunk->next;
    if (self->first == NULL)
      self->last = NULL;
    g_free (chunk);
  }
}
