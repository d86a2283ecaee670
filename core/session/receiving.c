/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>

/* The receiving half of a stream. Bytes go straight to whoever takes them; what is not taken at
 * once is held in the stream's queue. */

static void
owe_ack_now (HyphaSession *self, HyphaSessionStream *stream)
{
  hypha_place_leave (&self->acks, &stream->in_acks);
  hypha_session_owe (self, stream, HYPHA_OWES_ACK);
}

/* At once when a quarter of the window is unacknowledged, otherwise a little later, so that small
 * messages share an answer. */
static void
owe_ack (HyphaSession *self, HyphaSessionStream *stream)
{
  if (stream->receive_end != HYPHA_END_NONE ||
      stream->next - stream->acknowledged >= stream->granted / 4) {
    owe_ack_now (self, stream);
    return;
  }
  if (stream->in_acks.taken || (stream->owes & HYPHA_OWES_ACK))
    return;
  stream->ack_at = self->now + self->limits.ack_delay;
  hypha_place_take (&self->acks, &stream->in_acks, stream);
}

void
hypha_receiving_acks_due (HyphaSession *self)
{
  HyphaSessionStream *stream;

  while ((stream = g_queue_peek_head (&self->acks)) != NULL && stream->ack_at <= self->now)
    owe_ack_now (self, stream);
}

/* Bytes that are new, and in order. */
static void
take (HyphaSession *self, HyphaSessionStream *stream, const guint8 *data, gsize length)
{
  gsize taken = 0;

  if (stream->stopping)
    taken = length;
  else if (stream->outside)
    self->deliver (self, stream, data, length, self->user_data);
  else if (stream->held == 0 && self->deliver != NULL)
    taken = self->deliver (self, stream, data, length, self->user_data);
  g_assert (taken <= length);
  if (taken < length && !stream->outside) {
    hypha_queue_append (&stream->in, data + taken, length - taken);
    hypha_session_event_stream (self, HYPHA_SESSION_READABLE, stream, -1, NULL);
  }
  stream->next += length;
  stream->read += taken;
  hypha_credit_account (self, stream);
}

void
hypha_receiving_ends (HyphaSession *self, HyphaSessionStream *stream, HyphaEnd how, guint64 final)
{
  stream->receive_end = how;
  stream->final = final;
  stream->owes &= ~HYPHA_OWES_STOP;
  if (how == HYPHA_END_RESET) {
    hypha_queue_clear (&stream->in);
    hypha_queue_init (&stream->in);
    stream->read = stream->next;
  }
  hypha_credit_account (self, stream);
  if (how == HYPHA_END_FIN)
    hypha_session_event_stream (self, HYPHA_SESSION_FINISHED, stream, -1, NULL);
  else if (!stream->stopping)
    hypha_session_event_stream (self, HYPHA_SESSION_PEER_RESET, stream, HYPHA_ERROR_RESET, NULL);
  owe_ack_now (self, stream);
}

gboolean
hypha_receiving_data (HyphaSession *self, HyphaSessionStream *stream, const HyphaFrame *frame)
{
  guint64 end;

  if (!stream->answered)
    return hypha_session_broken (self,
                                 _ ("the peer sent data on a stream that was not accepted yet"));
  if (frame->value > stream->promised || frame->length > stream->promised - frame->value)
    return hypha_session_broken (self, _ ("the peer sent data beyond the window of a stream"));
  end = frame->value + frame->length;
  if (stream->receive_end != HYPHA_END_NONE) {
    if (end > stream->final)
      return hypha_session_broken (self, _ ("the peer sent data beyond the end of a stream"));
    owe_ack_now (self, stream);
    return TRUE;
  }
  if (frame->value > stream->next)
    return hypha_session_broken (self, _ ("the peer left a gap in the data of a stream"));
  if ((frame->flags & HYPHA_FRAME_FIN) && end < stream->next)
    return hypha_session_broken (self, _ ("the peer ended a stream before what it had sent"));

  if (end > stream->next)
    take (self, stream, frame->data + (stream->next - frame->value), (gsize) (end - stream->next));
  if (frame->flags & HYPHA_FRAME_FIN)
    hypha_receiving_ends (self, stream, HYPHA_END_FIN, end);
  else
    owe_ack (self, stream);
  hypha_credit_grant (self, stream);
  return TRUE;
}

/* RESET of the peer's sending direction; FINAL is how much it ever sent. */
gboolean
hypha_receiving_reset (HyphaSession *self, HyphaSessionStream *stream, guint64 final)
{
  if (final > stream->promised)
    return hypha_session_broken (self, _ ("the peer reset a stream beyond its window"));
  if (stream->receive_end != HYPHA_END_NONE) {
    owe_ack_now (self, stream);
    return TRUE;
  }
  if (final < stream->next)
    return hypha_session_broken (self, _ ("the peer reset a stream before what it had sent"));
  hypha_receiving_ends (self, stream, HYPHA_END_RESET, final);
  return TRUE;
}

/**
 * hypha_session_stream_pieces: (skip)
 * @self: a session
 * @stream: one of its streams
 * @pieces: (array length=n) (out caller-allocates): held bytes, in place
 * @n: at most so many pieces
 *
 * Returns: how many pieces there are
 */
guint
hypha_session_stream_pieces (HyphaSession *self, HyphaSessionStream *stream, struct iovec *pieces,
                             guint n)
{
  if (stream->ended || stream->held == 0 || stream->outside)
    return 0;
  return hypha_queue_pieces (&stream->in, pieces, n);
}

/**
 * hypha_session_stream_read: (skip)
 * @self: a session
 * @stream: one of its streams
 * @taken: how many of the held bytes were taken
 * @now: the time, in microseconds
 *
 * Lets go of them, and gives the peer room for new ones.
 */
void
hypha_session_stream_read (HyphaSession *self, HyphaSessionStream *stream, gsize taken, gint64 now)
{
  self->now = now;
  if (stream->ended)
    return;
  g_return_if_fail (taken <= stream->held);
  if (!stream->outside)
    hypha_queue_drop (&stream->in, stream->in.start + taken);
  stream->read += taken;
  hypha_credit_account (self, stream);
  hypha_credit_grant (self, stream);
  hypha_session_settle (self, stream);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_stream_hold_outside: (skip)
 * @self: a session
 * @stream: one of its streams
 *
 * From now on the owner holds what comes, and is given what was held: the function that delivers
 * takes all of it, and nothing counts as read before hypha_session_stream_read(). So windows and
 * memory are bounded as ever. A reset or the end of the session takes back the promise to hold:
 * what the owner keeps then is its own affair.
 */
void
hypha_session_stream_hold_outside (HyphaSession *self, HyphaSessionStream *stream)
{
  if (stream->ended || stream->outside)
    return;
  stream->outside = TRUE;
  for (guint64 at = stream->in.start; at < stream->in.end;) {
    const guint8 *data;
    gsize length = hypha_queue_peek (&stream->in, at, G_MAXSIZE, &data, NULL);

    self->deliver (self, stream, data, length, self->user_data);
    at += length;
  }
  hypha_queue_clear (&stream->in);
  hypha_queue_init (&stream->in);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_stream_give_back: (skip)
 * @self: a session
 * @stream: one of its streams, held outside
 * @data: (array length=length): held bytes, the first ones first; copied
 * @length: how many
 *
 * Then hypha_session_stream_hold_inside().
 */
void
hypha_session_stream_give_back (HyphaSession *self, HyphaSessionStream *stream, const guint8 *data,
                                gsize length)
{
  g_return_if_fail (stream->outside);
  if (!stream->ended && stream->held > 0)
    hypha_queue_append (&stream->in, data, length);
}

/**
 * hypha_session_stream_hold_inside: (skip)
 * @self: a session
 * @stream: one of its streams
 *
 * The session holds what comes again. All that was not read has been given back.
 */
void
hypha_session_stream_hold_inside (HyphaSession *self, HyphaSessionStream *stream)
{
  if (stream->ended)
    return;
  stream->outside = FALSE;
  g_return_if_fail (hypha_queue_length (&stream->in) == stream->held);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_stream_stop: (skip)
 * @self: a session
 * @stream: one of its streams
 * @code: why
 *
 * We read no more. What is held is dropped, what comes is not held, and the peer is asked to reset
 * its direction.
 */
void
hypha_session_stream_stop (HyphaSession *self, HyphaSessionStream *stream, HyphaCode code)
{
  if (stream->ended || stream->stopping)
    return;
  stream->stopping = TRUE;
  stream->stop_code = code;
  hypha_queue_clear (&stream->in);
  hypha_queue_init (&stream->in);
  stream->read = stream->next;
  hypha_credit_account (self, stream);
  if (stream->receive_end == HYPHA_END_NONE)
    hypha_session_owe (self, stream, HYPHA_OWES_STOP);
  if (stream->mine && !stream->open_sent && stream->resetting)
    hypha_session_end_stream (self, stream, HYPHA_ERROR_RESET, _ ("it was reset here"));
  hypha_session_settle (self, stream);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_stream_is_complete: (skip)
 * @stream: a stream
 *
 * Returns: whether the peer's FIN came, whatever is still to be read
 */
gboolean
hypha_session_stream_is_complete (HyphaSessionStream *stream)
{
  return stream->receive_end == HYPHA_END_FIN;
}

/**
 * hypha_session_stream_at_end: (skip)
 * @stream: a stream
 *
 * Returns: whether the peer's FIN came and everything before it was read
 */
gboolean
hypha_session_stream_at_end (HyphaSessionStream *stream)
{
  return stream->receive_end == HYPHA_END_FIN && stream->held == 0;
}
