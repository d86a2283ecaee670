/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* Frames in: whatever the peer says, judged and handed to the stream it is about. */

static gboolean
has_ticket (HyphaSessionStream *stream, const guint8 *ticket)
{
  if (!stream->direct || ticket == NULL)
    return !stream->direct && ticket == NULL;
  return memcmp (stream->ticket, ticket, HYPHA_TICKET_BYTES) == 0;
}

static gboolean
receive_open (HyphaSession *self, const HyphaFrame *frame)
{
  HyphaSessionStream *stream = hypha_session_find (self, frame->stream);
  const guint8 *ticket = frame->flags & HYPHA_FRAME_DIRECT ? frame->data : NULL;
  gsize skip = ticket != NULL ? HYPHA_TICKET_BYTES : 0;
  g_autofree char *service = NULL;

  if (hypha_session_id_is_mine (self, frame->stream))
    return hypha_session_broken (self, _ ("the peer opened a stream whose id is ours to open"));
  service = g_strndup ((const char *) frame->data + skip, frame->length - skip);
  if (stream != NULL) {
    if (strcmp (stream->service, service) != 0 || !has_ticket (stream, ticket))
      return hypha_session_broken (self, _ ("the peer opened a stream again for another service"));
    /* Sent again over another link: so the answer may have been lost with the first one. */
    if (stream->answered)
      hypha_session_owe (self, stream, HYPHA_OWES_WINDOW);
    return TRUE;
  }
  if (frame->stream <= self->seen)
    return hypha_session_refusal (self, frame->stream, HYPHA_CODE_GONE);

  self->seen = frame->stream;
  hypha_watermark_raise (&self->ids, (guint64) (self->seen + 1), 0, hypha_session_ticks (self));
  if (g_queue_get_length (&self->theirs) >= self->limits.streams)
    return hypha_session_refusal (self, frame->stream, HYPHA_CODE_BUSY);
  stream = hypha_session_add_stream (self, frame->stream, service, ticket);
  hypha_session_event_stream (self, HYPHA_SESSION_OPENED, stream, -1, stream->service);
  return TRUE;
}

/* A frame for a stream that is not there: forgotten, or never opened. */
static gboolean
receive_for_none (HyphaSession *self, const HyphaFrame *frame)
{
  gboolean mine = hypha_session_id_is_mine (self, frame->stream);
  gboolean reset = frame->type == HYPHA_FRAME_RESET;

  if (reset && frame->code != HYPHA_CODE_APPLICATION)
    return TRUE;
  if ((gint64) frame->stream > (mine ? self->opened : self->seen)) {
    if (mine || !reset)
      return hypha_session_broken (self, _ ("the peer used a stream that was never opened"));
    self->seen = frame->stream;
    hypha_watermark_raise (&self->ids, (guint64) (self->seen + 1), 0, hypha_session_ticks (self));
    return hypha_session_refusal (self, frame->stream, HYPHA_CODE_GONE);
  }
  if (reset || frame->type == HYPHA_FRAME_DATA)
    return hypha_session_refusal (self, frame->stream, HYPHA_CODE_GONE);
  return TRUE;
}

static gboolean
receive_for_stream (HyphaSession *self, const HyphaFrame *frame)
{
  HyphaSessionStream *stream;

  if (frame->stream > HYPHA_SESSION_ID_LAST)
    return hypha_session_broken (self, _ ("the peer used a stream id that cannot be"));
  if (frame->type == HYPHA_FRAME_OPEN)
    return receive_open (self, frame);
  stream = hypha_session_find (self, frame->stream);
  if (stream == NULL)
    return receive_for_none (self, frame);
  if (stream->mine && !stream->open_sent)
    return hypha_session_rolled_back (self, _ ("the peer answers a stream that was not opened yet: "
                                               "this node's state went backwards"));
  if (stream->mine)
    hypha_session_seen_by_peer (self, stream->id);

  switch (frame->type) {
  case HYPHA_FRAME_DATA:
    return hypha_receiving_data (self, stream, frame);
  case HYPHA_FRAME_ACK:
    return hypha_sending_acked (self, stream, frame->value, (frame->flags & HYPHA_FRAME_FIN) != 0,
                                (frame->flags & HYPHA_FRAME_RESET_TAKEN) != 0);
  case HYPHA_FRAME_WINDOW:
    hypha_session_stream_answered (self, stream);
    hypha_sending_limit (self, stream, frame->value);
    return TRUE;
  case HYPHA_FRAME_STOP:
    hypha_sending_stopped (self, stream);
    return TRUE;
  default:
    if (frame->code == HYPHA_CODE_APPLICATION)
      return hypha_receiving_reset (self, stream, frame->value);
    return hypha_session_stream_gone (self, stream, (HyphaCode) frame->code);
  }
}

/* What still comes over another link than that of the last EPOCH is said again after it. */
static gboolean
is_heard (HyphaSession *self, HyphaSessionLink *link)
{
  if (self->peer_epoch == 0)
    return TRUE;
  if (link->fingerprint != self->heard)
    return FALSE;
  self->heard_frames++;
  return TRUE;
}

/**
 * hypha_session_receive: (skip)
 * @self: a session
 * @link: the link it came over
 * @frame: a frame, its data good for the time of the call
 * @now: the time, in microseconds
 *
 * Takes a frame of the peer, whatever it says. A peer that breaks the rules, or whose state went
 * backwards, ends the session: %HYPHA_SESSION_OVER says why. Frames of a link that the session has
 * left are ignored.
 */
void
hypha_session_receive (HyphaSession *self, HyphaSessionLink *link, const HyphaFrame *frame,
                       gint64 now)
{
  self->now = now;
  if (link->done)
    return;

  switch (frame->type) {
  case HYPHA_FRAME_CLOSE:
    hypha_session_closed_by_peer (self, frame->code);
    break;
  case HYPHA_FRAME_RESUME:
    if (frame->flags & HYPHA_FRAME_ASK)
      link->owes_resume = TRUE;
    else
      hypha_session_read_resume (self, link, frame);
    break;
  case HYPHA_FRAME_EPOCH:
  case HYPHA_FRAME_OPEN:
  case HYPHA_FRAME_DATA:
  case HYPHA_FRAME_ACK:
  case HYPHA_FRAME_WINDOW:
  case HYPHA_FRAME_RESET:
  case HYPHA_FRAME_STOP:
    if (!link->up && !(frame->type == HYPHA_FRAME_EPOCH && frame->flags & HYPHA_FRAME_TAKEN))
      hypha_session_broken (self, _ ("the peer used a link before its RESUME"));
    else if (frame->type == HYPHA_FRAME_EPOCH)
      hypha_session_read_epoch (self, link, frame);
    else if (is_heard (self, link))
      receive_for_stream (self, frame);
    break;
  case HYPHA_FRAME_PING:
  case HYPHA_FRAME_PONG:
  case HYPHA_FRAME_GOAWAY:
    break;
  }
  HYPHA_SESSION_CHECK (self);
}
