/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

/* Windows and memory. Every stream has window_min for itself, in each direction; what window_total
 * leaves beyond that is a pool, one for what we promise to receive and one for what we hold until
 * it is acknowledged. */

/* What the pool holds, lent or not. */
guint64
hypha_credit_pool (HyphaSession *self)
{
  return self->limits.window_total - 2 * (guint64) self->limits.streams * self->limits.window_min;
}

/* Whatever was configured: what follows from these numbers is never negative, and a RESUME lists
 * every stream there can be. */
void
hypha_credit_sanitise (HyphaSessionLimits *limits)
{
  guint64 least;

  limits->streams = CLAMP (limits->streams, 1, HYPHA_RESUME_MAX_ENTRIES / 2);
  limits->window_min = MAX (limits->window_min, 1);
  least = 2 * (guint64) limits->streams * limits->window_min;
  limits->window_total = CLAMP (limits->window_total, least, G_MAXINT64 / 4);
  limits->window_max = CLAMP (limits->window_max, limits->window_min, limits->window_total);
  limits->send_max = CLAMP (limits->send_max, 1, G_MAXINT64 / 4);
  limits->session_timeout = CLAMP (limits->session_timeout, 0, G_MAXINT64 / 4);
  limits->ack_delay = CLAMP (limits->ack_delay, 0, G_TIME_SPAN_SECOND);
}

static guint64
beyond (guint64 amount, guint64 reserve)
{
  return amount > reserve ? amount - reserve : 0;
}

/* What STREAM holds or has promised to hold. */
static guint64
promise (HyphaSessionStream *stream)
{
  if (stream->ended)
    return 0;
  if (stream->receive_end != HYPHA_END_NONE)
    return stream->held;
  return stream->promised - stream->read;
}

/* Keeps the sums after anything about STREAM changed. */
void
hypha_credit_account (HyphaSession *self, HyphaSessionStream *stream)
{
  gsize held = stream->ended     ? 0
               : stream->outside ? (gsize) (stream->next - stream->read)
                                 : hypha_queue_length (&stream->in);
  gsize unacknowledged = stream->ended ? 0 : hypha_queue_length (&stream->out);
  guint64 out_lent = beyond (unacknowledged, stream->reserve);
  gboolean freed = out_lent < stream->out_lent;
  guint64 lent;

  self->held = self->held - stream->held + held;
  stream->held = held;
  self->unacknowledged = self->unacknowledged - stream->unacknowledged + unacknowledged;
  stream->unacknowledged = unacknowledged;
  lent = beyond (promise (stream), stream->reserve);
  self->lent = self->lent - stream->lent + lent;
  stream->lent = lent;
  self->out_lent = self->out_lent - stream->out_lent + out_lent;
  stream->out_lent = out_lent;

  while (freed && !g_queue_is_empty (&self->starved)) {
    HyphaSessionStream *first = g_queue_peek_head (&self->starved);
    gboolean by_pool;

    if (hypha_sending_room (self, first, &by_pool) == 0 && by_pool)
      break;
    hypha_place_leave (&self->starved, &first->in_starved);
    hypha_sending_tell_room (self, first);
  }
}

/* The first promise of a stream: its own part. */
void
hypha_credit_open (HyphaSession *self, HyphaSessionStream *stream)
{
  stream->promised = stream->read + stream->reserve;
  stream->granted = stream->reserve;
  hypha_credit_account (self, stream);
}

/* After reading: a new limit for STREAM, once a quarter of its window was used and enough can be
 * given to be worth a frame. Whoever reads gets more, up to a quarter of what the pool has left. */
void
hypha_credit_grant (HyphaSession *self, HyphaSessionStream *stream)
{
  guint64 window, floor = (stream->reserve + 1) / 2, pool = hypha_credit_pool (self), size;

  if (stream->ended || stream->receive_end != HYPHA_END_NONE || stream->stopping ||
      (!stream->mine && !stream->answered))
    return;
  window = stream->promised - stream->read;
  if (stream->granted - window < MAX (stream->granted / 4, floor))
    return;

  size = stream->reserve + stream->lent + beyond (pool, self->lent) / 4;
  size = MIN (size, MAX (self->limits.window_max, stream->reserve));
  if (size < window + floor)
    return;
  stream->promised = stream->read + size;
  stream->granted = size;
  hypha_credit_account (self, stream);
  hypha_session_owe (self, stream, HYPHA_OWES_WINDOW);
  /* Both go in one packet then. */
  if (stream->in_acks.taken)
    hypha_session_owe (self, stream, HYPHA_OWES_ACK);
}

/**
 * hypha_session_stream_get_step: (skip)
 * @stream: a stream
 *
 * Returns: how many bytes have to be read before the peer is given more room, so that whoever reads
 * less need not say so; no more than the peer may still send, or it would wait for ever. It may be
 * less after each hypha_session_stream_read()
 */
gsize
hypha_session_stream_get_step (HyphaSessionStream *stream)
{
  guint64 step = MAX (stream->granted / 4, (stream->reserve + 1) / 2);

  /* Limits that were lowered: of a large window, the last bytes may be used up before the next one
   * is given. */
  return (gsize) MIN (step, stream->promised - stream->read);
}
