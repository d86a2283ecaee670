/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* Frames out: what is owed, and its turn. */

typedef struct {
  guint32 id;
  HyphaCode code;
} Refusal;

void
hypha_session_owe (HyphaSession *self, HyphaSessionStream *stream, HyphaOwes what)
{
  if (stream->ended)
    return;
  stream->owes |= what;
  hypha_place_take (&self->control, &stream->in_control, stream);
}

void
hypha_session_owe_open (HyphaSession *self, HyphaSessionStream *stream)
{
  hypha_place_take (&self->opens, &stream->in_opens, stream);
}

/* RESET for a stream that is not there, or not taken. A peer that makes us owe more of them than
 * its streams can account for has no good in mind. */
gboolean
hypha_session_refusal (HyphaSession *self, guint32 id, HyphaCode code)
{
  Refusal *refusal;

  if (!g_hash_table_add (self->refused, GUINT_TO_POINTER (id)))
    return TRUE;
  if (g_queue_get_length (&self->refusals) >= HYPHA_SESSION_REFUSALS_MAX) {
    g_hash_table_remove (self->refused, GUINT_TO_POINTER (id));
    return hypha_session_broken (self, _ ("the peer used too many streams that are not there"));
  }
  refusal = g_new (Refusal, 1);
  *refusal = (Refusal){ .id = id, .code = code };
  g_queue_push_tail (&self->refusals, refusal);
  return TRUE;
}

static void
write_simple (const HyphaFrame *frame, HyphaFrameOut *out)
{
  hypha_frame_write (frame, NULL, out);
}

/* What a link owes by itself, whether it is chosen or not. Its first frames are TAKEN and RESUME.
 */
static gboolean
link_frame (HyphaSession *self, HyphaSessionLink *link, HyphaFrameOut *out)
{
  if (link->owes_ask && link->resume_sent) {
    link->owes_ask = FALSE;
    write_simple (&(HyphaFrame){ .type = HYPHA_FRAME_RESUME, .flags = HYPHA_FRAME_ASK }, out);
    return TRUE;
  }
  if (link->owes_epoch && link->resume_sent) {
    link->owes_epoch = FALSE;
    hypha_session_say_epoch (self, link, out);
    return TRUE;
  }
  /* RESUME acknowledges: what goes before it says whose words, and up to where. */
  if (link->owes_taken || (link->owes_resume && link->told != self->heard_frames)) {
    hypha_session_say_taken (self, link, out);
    return TRUE;
  }
  if (link->owes_resume) {
    link->owes_resume = FALSE;
    link->resume_sent = TRUE;
    hypha_session_write_resume (self, link, out);
    return TRUE;
  }
  return FALSE;
}

static gboolean
refusal_frame (HyphaSession *self, HyphaFrameOut *out)
{
  g_autofree Refusal *refusal = g_queue_pop_head (&self->refusals);

  if (refusal == NULL)
    return FALSE;
  g_hash_table_remove (self->refused, GUINT_TO_POINTER (refusal->id));
  write_simple (
      &(HyphaFrame){ .type = HYPHA_FRAME_RESET, .stream = refusal->id, .code = refusal->code },
      out);
  return TRUE;
}

static gboolean
open_frame (HyphaSession *self, HyphaFrameOut *out)
{
  HyphaSessionStream *stream = g_queue_peek_head (&self->opens);
  const gsize skip = stream != NULL && stream->direct ? HYPHA_TICKET_BYTES : 0;
  guint8 payload[HYPHA_TICKET_BYTES + HYPHA_SERVICE_MAX];
  gsize length;

  if (stream == NULL)
    return FALSE;
  hypha_place_leave (&self->opens, &stream->in_opens);
  stream->open_sent = TRUE;
  /* OPEN carries no limit: what the peer may send is told right behind it. */
  hypha_session_owe (self, stream, HYPHA_OWES_WINDOW);
  length = strlen (stream->service);
  memcpy (payload, stream->ticket, skip);
  memcpy (payload + skip, stream->service, length);
  write_simple (&(HyphaFrame){ .type = HYPHA_FRAME_OPEN,
                               .flags = skip > 0 ? HYPHA_FRAME_DIRECT : 0,
                               .stream = stream->id,
                               .data = payload,
                               .length = skip + length },
                out);
  return TRUE;
}

static void
fill_control (HyphaSession *self, HyphaSessionStream *stream, HyphaFrame *frame)
{
  *frame = (HyphaFrame){ .stream = stream->id };
  if (stream->owes & HYPHA_OWES_RESET) {
    stream->owes &= ~HYPHA_OWES_RESET;
    stream->reset_sent = TRUE;
    hypha_session_say_end (self, stream);
    frame->type = HYPHA_FRAME_RESET;
    frame->code = HYPHA_CODE_APPLICATION;
    frame->value = stream->sent;
  } else if (stream->owes & HYPHA_OWES_ACK) {
    stream->owes &= ~HYPHA_OWES_ACK;
    stream->acknowledged = stream->next;
    hypha_place_leave (&self->acks, &stream->in_acks);
    frame->type = HYPHA_FRAME_ACK;
    frame->value = stream->next;
    if (stream->receive_end == HYPHA_END_FIN)
      frame->flags = HYPHA_FRAME_FIN;
    else if (stream->receive_end == HYPHA_END_RESET)
      frame->flags = HYPHA_FRAME_RESET_TAKEN;
  } else if (stream->owes & HYPHA_OWES_WINDOW) {
    stream->owes &= ~HYPHA_OWES_WINDOW;
    frame->type = HYPHA_FRAME_WINDOW;
    frame->value = stream->promised;
  } else {
    stream->owes &= ~HYPHA_OWES_STOP;
    frame->type = HYPHA_FRAME_STOP;
    frame->code = stream->stop_code;
  }
}

static gboolean
control_frame (HyphaSession *self, HyphaFrameOut *out)
{
  HyphaSessionStream *stream = g_queue_peek_head (&self->control);
  HyphaFrame frame;

  if (stream == NULL)
    return FALSE;
  fill_control (self, stream, &frame);
  if (stream->owes == 0)
    hypha_place_leave (&self->control, &stream->in_control);
  write_simple (&frame, out);
  hypha_session_settle (self, stream);
  return TRUE;
}

static gboolean
has_of_streams (HyphaSession *self)
{
  return !g_queue_is_empty (&self->refusals) || !g_queue_is_empty (&self->opens) ||
         !g_queue_is_empty (&self->control) || !g_queue_is_empty (&self->active);
}

/* What concerns streams goes over one link, behind its EPOCH, and counts there. */
static gboolean
frame_of_streams (HyphaSession *self, HyphaSessionLink *link, HyphaFrameOut *out)
{
  if (link != self->chosen || link->owes_epoch)
    return FALSE;
  if (has_of_streams (self) && hypha_session_owes_taken (self, link)) {
    hypha_session_say_taken (self, link, out);
    link->last_data = -1;
    return TRUE;
  }
  if (refusal_frame (self, out) || open_frame (self, out) || control_frame (self, out))
    link->last_data = -1;
  else if (!hypha_sending_frame (self, out))
    return FALSE;
  g_array_index (self->said, HyphaEpochEntry, self->said->len - 1).frames++;
  return TRUE;
}

/**
 * hypha_session_next_frame: (skip)
 * @self: a session
 * @link: one of its links
 * @now: the time, in microseconds
 * @out: (out caller-allocates): the frame; clear it with hypha_frame_out_clear()
 *
 * Takes the next frame to be sent over @link; what is taken counts as sent. Control comes before
 * data, data in turns. There may be new events afterwards.
 *
 * Returns: %FALSE if there is none now
 */
gboolean
hypha_session_next_frame (HyphaSession *self, HyphaSessionLink *link, gint64 now,
                          HyphaFrameOut *out)
{
  gboolean found;

  self->now = now;
  if (link->done) {
    if (!link->owes_close)
      return FALSE;
    link->owes_close = FALSE;
    write_simple (&(HyphaFrame){ .type = HYPHA_FRAME_CLOSE, .code = link->away }, out);
    hypha_session_event_link (self, HYPHA_SESSION_LINK_DONE, link, link->away);
    return TRUE;
  }
  found = link_frame (self, link, out);
  if (found)
    link->last_data = -1;
  else
    found = frame_of_streams (self, link, out);
  if (found)
    link->all_heard = FALSE;
  HYPHA_SESSION_CHECK (self);
  return found;
}
