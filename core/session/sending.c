/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>

/* The sending half of a stream. What was written lies in its queue, by reference in every frame
 * that carries it, until the peer has acknowledged it. */

/* May the program still write? */
gboolean
hypha_sending_is_open (const HyphaSessionStream *stream)
{
  return stream->answered && !stream->ended && !stream->finishing && !stream->resetting &&
         stream->send_end == HYPHA_END_NONE;
}

/* How much may be written; *BY_POOL: the pool alone is what leaves nothing. */
gsize
hypha_sending_room (HyphaSession *self, HyphaSessionStream *stream, gboolean *by_pool)
{
  guint64 top, room, own, pool = hypha_credit_pool (self);

  *by_pool = FALSE;
  if (!hypha_sending_is_open (stream))
    return 0;
  top = MIN (stream->limit, stream->acked + self->limits.send_max);
  if (stream->written >= top)
    return 0;
  room = top - stream->written;
  own = stream->reserve > stream->unacknowledged ? stream->reserve - stream->unacknowledged : 0;
  own += pool > self->out_lent ? pool - self->out_lent : 0;
  *by_pool = own == 0;
  return (gsize) MIN (room, own);
}

/* To a program that was told that there is none. */
void
hypha_sending_tell_room (HyphaSession *self, HyphaSessionStream *stream)
{
  gboolean by_pool;

  if (!stream->wants_room)
    return;
  if (hypha_sending_room (self, stream, &by_pool) > 0) {
    stream->wants_room = FALSE;
    hypha_place_leave (&self->starved, &stream->in_starved);
    hypha_session_event_stream (self, HYPHA_SESSION_WRITABLE, stream, -1, NULL);
  } else if (by_pool) {
    hypha_place_take (&self->starved, &stream->in_starved, stream);
  }
}

/**
 * hypha_session_stream_room: (skip)
 * @self: a session
 * @stream: one of its streams
 *
 * Returns: how many bytes may be written now. After 0, %HYPHA_SESSION_WRITABLE comes as soon as
 * there is room, unless writing is over
 */
gsize
hypha_session_stream_room (HyphaSession *self, HyphaSessionStream *stream)
{
  gboolean by_pool;
  gsize room = hypha_sending_room (self, stream, &by_pool);

  if (room == 0 && !stream->ended && !stream->finishing && !stream->resetting &&
      stream->send_end == HYPHA_END_NONE) {
    stream->wants_room = TRUE;
    if (by_pool)
      hypha_place_take (&self->starved, &stream->in_starved, stream);
  }
  return room;
}

/**
 * hypha_session_stream_reserve: (skip)
 * @self: a session
 * @stream: one of its streams
 * @want: how many bytes are to be written
 * @pieces: (array length=n) (out caller-allocates): where to put them
 * @n: at most so many pieces
 *
 * Returns: how many pieces there are, 0 if there is no room
 */
guint
hypha_session_stream_reserve (HyphaSession *self, HyphaSessionStream *stream, gsize want,
                              struct iovec *pieces, guint n)
{
  gsize room = hypha_session_stream_room (self, stream);

  if (room == 0 || want == 0 || n == 0)
    return 0;
  return hypha_queue_reserve (&stream->out, MIN (want, room), pieces, n);
}

/**
 * hypha_session_stream_commit: (skip)
 * @self: a session
 * @stream: one of its streams
 * @filled: how many bytes were put where hypha_session_stream_reserve() said; 0: none, and a stream
 *   on which nothing happens need not hold what was reserved
 *
 * The bytes are written: they are sent as the peer's window allows.
 */
void
hypha_session_stream_commit (HyphaSession *self, HyphaSessionStream *stream, gsize filled)
{
  if (stream->ended || stream->resetting || stream->send_end != HYPHA_END_NONE)
    return;
  hypha_queue_commit (&stream->out, filled);
  if (filled == 0)
    return;
  stream->written += filled;
  hypha_credit_account (self, stream);
  hypha_sending_activate (self, stream);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_stream_finish: (skip)
 * @self: a session
 * @stream: one of its streams
 *
 * Nothing more will be written. The other direction stays open.
 */
void
hypha_session_stream_finish (HyphaSession *self, HyphaSessionStream *stream)
{
  if (stream->ended || stream->resetting || stream->send_end != HYPHA_END_NONE)
    return;
  stream->finishing = TRUE;
  hypha_sending_activate (self, stream);
  HYPHA_SESSION_CHECK (self);
}

static void
discard (HyphaSession *self, HyphaSessionStream *stream)
{
  hypha_queue_clear (&stream->out);
  hypha_queue_init (&stream->out);
  hypha_place_leave (&self->active, &stream->in_active);
  hypha_place_leave (&self->starved, &stream->in_starved);
  hypha_credit_account (self, stream);
}

/* What the peer never heard of, and nobody here wants any more, need not be told. */
static void
forget_unsent (HyphaSession *self, HyphaSessionStream *stream)
{
  if (!stream->ended && stream->mine && !stream->open_sent && stream->resetting && stream->stopping)
    hypha_session_end_stream (self, stream, HYPHA_ERROR_RESET, _ ("it was reset here"));
}

static void
start_reset (HyphaSession *self, HyphaSessionStream *stream)
{
  stream->resetting = TRUE;
  discard (self, stream);
  hypha_session_owe (self, stream, HYPHA_OWES_RESET);
  forget_unsent (self, stream);
}

/**
 * hypha_session_stream_reset: (skip)
 * @self: a session
 * @stream: one of its streams
 * @code: why; one that ends both directions is for hypha_session_refuse() alone and counts as
 * %HYPHA_CODE_APPLICATION here
 *
 * Ends our sending direction early: what was not sent yet never will be. The other direction stays
 * as it is.
 */
void
hypha_session_stream_reset (HyphaSession *self, HyphaSessionStream *stream, HyphaCode code)
{
  if (stream->ended || stream->resetting || stream->send_end != HYPHA_END_NONE)
    return;
  start_reset (self, stream);
  HYPHA_SESSION_CHECK (self);
}

/* The peer reads no more: what is on its way is of no use to anybody. */
void
hypha_sending_stopped (HyphaSession *self, HyphaSessionStream *stream)
{
  if (stream->ended || stream->resetting || stream->send_end != HYPHA_END_NONE)
    return;
  stream->stopped = TRUE;
  start_reset (self, stream);
  if (!stream->ended)
    hypha_session_event_stream (self, HYPHA_SESSION_STOPPED, stream, -1, NULL);
}

void
hypha_sending_ends (HyphaSession *self, HyphaSessionStream *stream, HyphaEnd how)
{
  stream->send_end = how;
  stream->owes &= ~HYPHA_OWES_RESET;
  if (stream->owes == 0)
    hypha_place_leave (&self->control, &stream->in_control);
  if (how == HYPHA_END_FIN)
    stream->acked = stream->position = stream->written;
  discard (self, stream);
  hypha_session_stream_raise (self, stream);
  hypha_session_settle (self, stream);
}

static gboolean
has_to_send (const HyphaSessionStream *stream)
{
  if (!stream->answered || stream->ended || stream->resetting || stream->send_end != HYPHA_END_NONE)
    return FALSE;
  if (stream->position < MIN (stream->written, stream->limit))
    return TRUE;
  return stream->finishing && !stream->fin_in_epoch && stream->position == stream->written;
}

/* Puts STREAM into the round of those that have data to send, if it has. */
void
hypha_sending_activate (HyphaSession *self, HyphaSessionStream *stream)
{
  if (has_to_send (stream))
    hypha_place_take (&self->active, &stream->in_active, stream);
}

/* Another link carries on: from the last byte that the peer is known to hold. */
void
hypha_sending_rewind (HyphaSession *self, HyphaSessionStream *stream)
{
  stream->position = stream->acked;
  stream->fresh = stream->sent;
  stream->fin_in_epoch = FALSE;
  hypha_place_leave (&self->active, &stream->in_active);
  hypha_sending_activate (self, stream);
  if (stream->resetting && stream->send_end == HYPHA_END_NONE)
    hypha_session_owe (self, stream, HYPHA_OWES_RESET);
}

/* The peer holds everything below NEXT, and took the end that it names. */
gboolean
hypha_sending_acked (HyphaSession *self, HyphaSessionStream *stream, guint64 next, gboolean fin,
                     gboolean reset)
{
  if (next > stream->sent)
    return hypha_session_rolled_back (self,
                                      _ ("the peer holds more of a stream than was ever sent: "
                                         "this node's state went backwards"));
  if ((fin && !stream->fin_sent) || (reset && !stream->reset_sent))
    return hypha_session_rolled_back (self,
                                      _ ("the peer took the end of a stream that was not sent: "
                                         "this node's state went backwards"));
  if (fin && next != stream->written)
    return hypha_session_broken (self, _ ("the peer took FIN, but not all that was before it"));

  if (next > stream->acked) {
    if (next > stream->fresh && self->chosen != NULL) {
      if (self->chosen->last_data == stream->id && next == stream->sent &&
          fin == (stream->fin_in_epoch != 0))
        self->chosen->all_heard = TRUE;
      hypha_session_event_link (self, HYPHA_SESSION_CONFIRMED, self->chosen, 0);
    }
    stream->acked = next;
    stream->position = MAX (stream->position, next);
    if (!stream->resetting && stream->send_end == HYPHA_END_NONE) {
      hypha_queue_drop (&stream->out, next);
      hypha_credit_account (self, stream);
    }
    hypha_session_stream_raise (self, stream);
  }
  if ((fin || reset) && stream->send_end == HYPHA_END_NONE)
    hypha_sending_ends (self, stream, fin ? HYPHA_END_FIN : HYPHA_END_RESET);
  hypha_sending_tell_room (self, stream);
  return TRUE;
}

void
hypha_sending_limit (HyphaSession *self, HyphaSessionStream *stream, guint64 limit)
{
  if (limit <= stream->limit || stream->ended)
    return;
  stream->limit = limit;
  hypha_sending_activate (self, stream);
  hypha_sending_tell_room (self, stream);
}

/* Up to so many bytes are copied into their frame: a frame that waits on its link would otherwise
 * keep all of the chunk they lie in, though the peer may have acknowledged it unseen. */
#define COPY_MAX 1024

/* Full chunks leave in full frames. */
G_STATIC_ASSERT (HYPHA_CHUNK_LARGE % HYPHA_FRAME_DATA_MAX == 0);

static void
write_data (HyphaSession *self, HyphaSessionStream *stream, HyphaFrameOut *out)
{
  guint64 end = MIN (stream->written, stream->limit);
  HyphaFrame frame = { .type = HYPHA_FRAME_DATA, .stream = stream->id, .value = stream->position };
  HyphaChunk *chunk = NULL;

  if (stream->position < end)
    frame.length =
        hypha_queue_peek (&stream->out, stream->position,
                          MIN (end - stream->position, HYPHA_FRAME_DATA_MAX), &frame.data, &chunk);
  stream->position += frame.length;
  stream->sent = MAX (stream->sent, stream->position);
  if (stream->finishing && stream->position == stream->written) {
    frame.flags = HYPHA_FRAME_FIN;
    stream->fin_sent = stream->fin_in_epoch = TRUE;
    hypha_session_say_end (self, stream);
  }
  hypha_frame_write (&frame, frame.length > COPY_MAX ? chunk : NULL, out);
}

/* The next DATA of the stream whose turn it is. */
gboolean
hypha_sending_frame (HyphaSession *self, HyphaFrameOut *out)
{
  HyphaSessionStream *stream;

  while ((stream = g_queue_peek_head (&self->active)) != NULL) {
    gboolean wanted = has_to_send (stream);

    hypha_place_leave (&self->active, &stream->in_active);
    if (!wanted)
      continue;
    write_data (self, stream, out);
    self->chosen->last_data = stream->id;
    hypha_sending_activate (self, stream);
    return TRUE;
  }
  return FALSE;
}
