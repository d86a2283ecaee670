/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/output.h"

#include <string.h>

#define COMPACT 64  /* frames that are gone before the array is moved up */
#define ROOM_MIN 16 /* frames */

static inline HyphaFrameOut *
frame_at (HyphaOutputLane *lane, guint index)
{
  return &lane->frames[index];
}

static inline gsize
frame_size (const HyphaFrameOut *out)
{
  return out->head_length + out->length;
}

static void
lane_clear (HyphaOutputLane *lane)
{
  for (guint i = lane->first; i < lane->n; i++)
    hypha_frame_out_clear (frame_at (lane, i));
  g_free (lane->frames);
}

static inline gboolean
lane_is_empty (HyphaOutputLane *lane)
{
  return lane->first == lane->n;
}

static void
lane_pop (HyphaOutputLane *lane)
{
  hypha_frame_out_clear (frame_at (lane, lane->first++));
  if (lane_is_empty (lane)) {
    lane->n = lane->first = 0;
  } else if (lane->first >= COMPACT && lane->first >= lane->n / 2) {
    lane->n -= lane->first;
    memmove (lane->frames, frame_at (lane, lane->first), lane->n * sizeof *lane->frames);
    lane->first = 0;
  }
}

/* How many wait is the peer's choice: it makes us answer. */
static gboolean
lane_push (HyphaOutputLane *lane, const HyphaFrameOut *out)
{
  if (lane->n == lane->room) {
    guint room = MAX (2 * lane->room, ROOM_MIN);
    HyphaFrameOut *frames = g_try_renew (HyphaFrameOut, lane->frames, room);

    if (frames == NULL)
      return FALSE;
    lane->frames = frames;
    lane->room = room;
  }
  lane->frames[lane->n++] = *out;
  return TRUE;
}

void
hypha_output_init (HyphaOutput *self)
{
  *self = (HyphaOutput){ 0 };
}

void
hypha_output_clear (HyphaOutput *self)
{
  lane_clear (&self->urgent);
  lane_clear (&self->others);
  *self = (HyphaOutput){ 0 };
}

void
hypha_output_append (HyphaOutput *self, HyphaFrameOut *out, gboolean urgent)
{
  gboolean whole = out->length == 0 || out->data != NULL;

  self->lost = self->lost || !whole || !lane_push (urgent ? &self->urgent : &self->others, out);
  if (self->lost) {
    hypha_frame_out_clear (out);
    return;
  }
  self->length += frame_size (out);
  *out = (HyphaFrameOut){ 0 };
}

void
hypha_output_append_latest (HyphaOutput *self, HyphaFrameOut *out)
{
  HyphaOutputLane *lane = &self->urgent;

  for (guint i = lane->first + (self->begun == lane); i < lane->n; i++) {
    HyphaFrameOut *waiting = frame_at (lane, i);

    if (waiting->head[0] != out->head[0])
      continue;
    self->length += frame_size (out) - frame_size (waiting);
    hypha_frame_out_clear (waiting);
    *waiting = *out;
    *out = (HyphaFrameOut){ 0 };
    return;
  }
  hypha_output_append (self, out, TRUE);
}

void
hypha_output_append_bytes (HyphaOutput *self, const guint8 *data, gsize length)
{
  HyphaFrameOut out = { .chunk = hypha_chunk_new ((guint32) length), .length = length };

  if (out.chunk != NULL) {
    memcpy (out.chunk->data, data, length);
    out.chunk->used = (guint32) length;
    out.data = out.chunk->data;
  }
  hypha_output_append (self, &out, TRUE);
}

/* The pieces of a frame of which SKIP bytes are gone. */
static guint
frame_pieces (const HyphaFrameOut *out, gsize skip, struct iovec *pieces, guint n)
{
  guint count = 0;

  if (skip < out->head_length && count < n)
    pieces[count++] = (struct iovec){ (void *) (out->head + skip), out->head_length - skip };
  skip = skip > out->head_length ? skip - out->head_length : 0;
  if (skip < out->length && count < n)
    pieces[count++] = (struct iovec){ (void *) (out->data + skip), out->length - skip };
  return count;
}

static guint
lane_pieces (HyphaOutput *self, HyphaOutputLane *lane, struct iovec *pieces, guint n)
{
  guint count = 0;

  /* The first frame of the lane that was begun comes before everything. */
  for (guint i = lane->first + (self->begun == lane); i < lane->n && count < n; i++)
    count += frame_pieces (frame_at (lane, i), 0, pieces + count, n - count);
  return count;
}

guint
hypha_output_pieces (HyphaOutput *self, struct iovec *pieces, guint n)
{
  guint count = 0;

  if (self->begun != NULL)
    count += frame_pieces (frame_at (self->begun, self->begun->first), self->begun_sent, pieces, n);
  count += lane_pieces (self, &self->urgent, pieces + count, n - count);
  count += lane_pieces (self, &self->others, pieces + count, n - count);
  return count;
}

void
hypha_output_consume (HyphaOutput *self, gsize written)
{
  g_assert (written <= self->length);
  self->length -= written;
  while (written > 0) {
    gsize left;

    if (self->begun == NULL) {
      self->begun = lane_is_empty (&self->urgent) ? &self->others : &self->urgent;
      self->begun_sent = 0;
    }
    left = frame_size (frame_at (self->begun, self->begun->first)) - self->begun_sent;
    if (written < left) {
      self->begun_sent += written;
      return;
    }
    written -= left;
    lane_pop (self->begun);
    self->begun = NULL;
  }
}

/* The frame that was begun has to be completed. */
static void
drop_data (HyphaOutput *self)
{
  HyphaOutputLane *lane = &self->others;
  guint kept = lane->first + (self->begun == lane);

  for (guint i = kept; i < lane->n; i++) {
    HyphaFrameOut *out = frame_at (lane, i);

    if (out->head[0] != HYPHA_FRAME_DATA) {
      *frame_at (lane, kept++) = *out;
      continue;
    }
    self->length -= frame_size (out);
    hypha_frame_out_clear (out);
  }
  lane->n = kept;
}

void
hypha_output_take_rest (HyphaOutput *self, HyphaOutput *from)
{
  *self = *from;
  if (from->begun != NULL)
    self->begun = from->begun == &from->urgent ? &self->urgent : &self->others;
  hypha_output_init (from);
  drop_data (self);
}
