/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One direction of a simulated channel: bytes in order, with delay, bandwidth, a bounded buffer and
 * an end. Times in microseconds. */
typedef enum {
  SIM_PIPE_CARRIES,
  SIM_PIPE_SWALLOWS, /* what is written from here on vanishes, and the writer does not notice */
  SIM_PIPE_JAMS,     /* it stays in the buffer for ever: sooner or later there is no room */
} SimPipeMode;

typedef struct {
  gint64 delay;
  guint64 bandwidth; /* bytes a second */
  gsize capacity;
  SimPipeMode mode;
  GByteArray *bytes; /* from HEAD on: written and not yet taken */
  gsize head;
  GArray *batches; /* when each write has arrived, from FIRST_BATCH on */
  guint first_batch;
  guint64 written, taken; /* absolute */
  guint64 cut_at;         /* nothing from this offset on arrives */
  gboolean was_cut;       /* a write ran into it, or it was cut by hand */
  gsize jammed;
  gint64 last_arrival;
  gint64 stalled_until;
  gint64 end_at; /* G_MAXINT64: no end in sight */
  gboolean ended;
} SimPipe;

void sim_pipe_init (SimPipe *self, gint64 delay, guint64 bandwidth, gsize capacity);
void sim_pipe_clear (SimPipe *self);
gsize sim_pipe_length (const SimPipe *self);
gboolean sim_pipe_has_room (const SimPipe *self);
void sim_pipe_write (SimPipe *self, const void *data, gsize length, gint64 now);
/* When bytes, or the end, reach the reader; G_MAXINT64: never. */
gint64 sim_pipe_next (const SimPipe *self);
gsize sim_pipe_peek (SimPipe *self, gint64 now, const guint8 **data);
void sim_pipe_take (SimPipe *self, gsize length);
gboolean sim_pipe_at_end (const SimPipe *self, gint64 now);
/* Of what is under way only the first KEEP bytes arrive, and nothing after them. */
void sim_pipe_cut (SimPipe *self, gsize keep, SimPipeMode mode);
/* The reader sees the end at AT, or after the bytes that are under way. */
void sim_pipe_end (SimPipe *self, gint64 at);

G_END_DECLS
