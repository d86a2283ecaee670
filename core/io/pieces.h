/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/worker.h"

G_BEGIN_DECLS

/* Bytes that were delivered and not read yet: in place, where they were received, or copied. Each
 * piece by itself, for how many there are is the peer's choice, and a table of them would have to
 * be had in one piece. */
typedef struct _HyphaPiece HyphaPiece;
typedef struct {
  HyphaPiece *first, *last;
  gsize length; /* of all */
} HyphaPieces;

/* Nothing to begin with: all zero. */
void hypha_pieces_clear (HyphaPieces *self);
/* What lies in the buffer of WORKER, the current one, may stay there. */
void hypha_pieces_add (HyphaPieces *self, HyphaWorker *worker, const guint8 *data, gsize length);
/* Copies out; returns how many bytes. */
gsize hypha_pieces_read (HyphaPieces *self, guint8 *buffer, gsize size);
/* Takes the first out, with a reference to what holds it; returns its length, 0: there is none. */
gsize hypha_pieces_take (HyphaPieces *self, const guint8 **data, HyphaChunk **chunk);
/* Writes all of them to FD, a socket, and keeps them. FALSE: that is more than fits. */
gboolean hypha_pieces_send (const HyphaPieces *self, int fd);

G_END_DECLS
