/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>
#include "link/frame.h"

G_BEGIN_DECLS

/* Frames on their way out, by reference. Urgent ones go before the others, but never into the
 * middle of a frame of which a part is gone. Pure. */
typedef struct {
  HyphaFrameOut *frames;
  guint first, n, room; /* those before FIRST are gone */
} HyphaOutputLane;

typedef struct {
  HyphaOutputLane urgent, others;
  HyphaOutputLane *begun; /* whose first frame is partly gone; NULL: none is */
  gsize begun_sent;       /* bytes of it */
  gsize length;           /* bytes that are left in all */
  gboolean lost;          /* there was no memory for a frame: what follows it makes no sense */
} HyphaOutput;

void hypha_output_init (HyphaOutput *self);
void hypha_output_clear (HyphaOutput *self);
void hypha_output_append (HyphaOutput *self, HyphaFrameOut *out,
                          gboolean urgent); /* takes what is in OUT */
/* Urgent; takes the place of one of its type that still waits: for what only counts at its latest.
 */
void hypha_output_append_latest (HyphaOutput *self, HyphaFrameOut *out);
/* Copies; urgent, for no frame overtakes a handshake. */
void hypha_output_append_bytes (HyphaOutput *self, const guint8 *data, gsize length);
/* What is to be written next; returns how many pieces. */
guint hypha_output_pieces (HyphaOutput *self, struct iovec *pieces, guint n);
void hypha_output_consume (HyphaOutput *self, gsize written);
/* Makes SELF of what in FROM is still to be said when a link ends: all but DATA, unless a part of
 * it is gone. FROM is left empty. */
void hypha_output_take_rest (HyphaOutput *self, HyphaOutput *from);

G_END_DECLS
