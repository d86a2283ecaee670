/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-pipe.h"

typedef struct {
  guint64 end; /* absolute offset behind its last byte */
  gint64 arrival;
} Batch;

void
sim_pipe_init (SimPipe *self, gint64 delay, guint64 bandwidth, gsize capacity)
{
  *self = (SimPipe){
    .delay = delay,
    .bandwidth = bandwidth,
    .capacity = capacity,
    .bytes = g_byte_array_new (),
    .batches = g_array_new (FALSE, FALSE, sizeof (Batch)),
    .cut_at = G_MAXUINT64,
    .end_at = G_MAXINT64,
  };
}

void
sim_pipe_clear (SimPipe *self)
{
  g_clear_pointer (&self->bytes, g_byte_array_unref);
  g_clear_pointer (&self->batches, g_array_unref);
}

gsize
sim_pipe_length (const SimPipe *self)
{
  return self->bytes->len - self->head;
}

gboolean
sim_pipe_has_room (const SimPipe *self)
{
  return sim_pipe_length (self) + self->jammed < self->capacity;
}

static void
compact (SimPipe *self)
{
  if (self->head == self->bytes->len) {
    g_byte_array_set_size (self->bytes, 0);
    self->head = 0;
  } else if (self->head > 16384) {
    g_byte_array_remove_range (self->bytes, 0, (guint) self->head);
    self->head = 0;
  }
  if (self->first_batch == self->batches->len) {
    g_array_set_size (self->batches, 0);
    self->first_batch = 0;
  } else if (self->first_batch > 256) {
    g_array_remove_range (self->batches, 0, self->first_batch);
    self->first_batch = 0;
  }
}

void
sim_pipe_write (SimPipe *self, const void *data, gsize length, gint64 now)
{
  gsize kept = length;

  if (self->mode == SIM_PIPE_CARRIES && self->cut_at - self->written < length) {
    kept = (gsize) (self->cut_at - self->written);
    self->was_cut = TRUE;
    self->mode = SIM_PIPE_SWALLOWS;
  } else if (self->mode != SIM_PIPE_CARRIES) {
    kept = 0;
  }
  if (self->mode == SIM_PIPE_JAMS)
    self->jammed += length - kept;
  if (kept == 0)
    return;

  self->last_arrival =
      MAX (now + self->delay, self->last_arrival) + (gint64) (kept * 1000000 / self->bandwidth);
  g_byte_array_append (self->bytes, data, (guint) kept);
  self->written += kept;
  g_array_append_val (self->batches,
                      ((Batch){ .end = self->written, .arrival = self->last_arrival }));
}

gint64
sim_pipe_next (const SimPipe *self)
{
  if (sim_pipe_length (self) > 0)
    return MAX (g_array_index (self->batches, Batch, self->first_batch).arrival,
                self->stalled_until);
  if (self->end_at == G_MAXINT64 || self->ended)
    return G_MAXINT64;
  return MAX (self->end_at, self->stalled_until);
}

gsize
sim_pipe_peek (SimPipe *self, gint64 now, const guint8 **data)
{
  guint64 until = self->taken;

  if (now < self->stalled_until)
    return 0;
  for (guint i = self->first_batch; i < self->batches->len; i++) {
    Batch *batch = &g_array_index (self->batches, Batch, i);
    if (batch->arrival > now)
      break;
    until = batch->end;
  }
  *data = self->bytes->data != NULL ? self->bytes->data + self->head : NULL;
  return (gsize) (until - self->taken);
}

void
sim_pipe_take (SimPipe *self, gsize length)
{
  self->head += length;
  self->taken += length;
  while (self->first_batch < self->batches->len &&
         g_array_index (self->batches, Batch, self->first_batch).end <= self->taken)
    self->first_batch++;
  compact (self);
}

gboolean
sim_pipe_at_end (const SimPipe *self, gint64 now)
{
  return sim_pipe_length (self) == 0 && !self->ended && self->end_at <= now &&
         self->stalled_until <= now;
}

void
sim_pipe_cut (SimPipe *self, gsize keep, SimPipeMode mode)
{
  keep = MIN (keep, sim_pipe_length (self));
  g_byte_array_set_size (self->bytes, (guint) (self->head + keep));
  self->written = self->taken + keep;
  while (self->batches->len > self->first_batch) {
    guint last = self->batches->len - 1;
    guint64 start =
        last > self->first_batch ? g_array_index (self->batches, Batch, last - 1).end : self->taken;
    if (start < self->written) {
      Batch *batch = &g_array_index (self->batches, Batch, last);
      batch->end = MIN (batch->end, self->written);
      break;
    }
    g_array_set_size (self->batches, last);
  }
  compact (self);
  self->jammed = 0;
  self->was_cut = TRUE;
  self->mode = mode;
}

void
sim_pipe_end (SimPipe *self, gint64 at)
{
  self->end_at = MIN (self->end_at, at);
}
