/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>
#include <sys/uio.h>

G_BEGIN_DECLS

/* Bytes that wait, first in, first out, and lie where they are until they are dropped. One that is
 * empty holds no memory. All offsets count from the first byte ever. */
typedef struct _QuicChunk QuicChunk;

typedef struct {
  QuicChunk *first, *last;
  QuicChunk *cursor; /* where somebody reads ahead; NULL: at the first */
  guint64 begin, end;
} QuicBuffer;

void quic_buffer_clear (QuicBuffer *self);
gsize quic_buffer_get_size (const QuicBuffer *self);
/* Where the next bytes belong, SIZE of them at least one; then how many came. */
guint8 *quic_buffer_get_room (QuicBuffer *self, gsize *size);
void quic_buffer_add (QuicBuffer *self, gsize size);
void quic_buffer_append (QuicBuffer *self, const guint8 *data, gsize size);
/* What lies there from OFFSET on, in at most MAX pieces; offsets rise from call to call. */
guint quic_buffer_peek (QuicBuffer *self, guint64 offset, struct iovec *pieces, guint max);
void quic_buffer_drop (QuicBuffer *self, guint64 offset); /* what lies before it */

G_END_DECLS
