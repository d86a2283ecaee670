/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>

#include "link/wire.h"

/* The life of a stream: opened, answered, ended, forgotten. */

void
hypha_session_stream_free (HyphaSessionStream *stream)
{
  hypha_queue_clear (&stream->out);
  hypha_queue_clear (&stream->in);
  hypha_watermark_clear (&stream->mark);
  g_free (stream->service);
  g_free (stream);
}

HyphaSessionStream *
hypha_session_add_stream (HyphaSession *self, guint32 id, const char *service, const guint8 *ticket)
{
  HyphaSessionStream *stream = g_new0 (HyphaSessionStream, 1);

  stream->id = id;
  stream->service = g_strdup (service);
  stream->mine = hypha_session_id_is_mine (self, id);
  stream->direct = ticket != NULL;
  if (ticket != NULL)
    memcpy (stream->ticket, ticket, HYPHA_TICKET_BYTES);
  stream->reserve = self->limits.window_min;
  hypha_queue_init (&stream->out);
  hypha_queue_init (&stream->in);
  hypha_watermark_init (&stream->mark);
  g_hash_table_insert (self->streams, GUINT_TO_POINTER (id), stream);
  hypha_place_take (stream->mine ? &self->mine : &self->theirs, &stream->in_all, stream);
  return stream;
}

static gboolean
is_service (const char *service, GError **error)
{
  gsize length = strlen (service);
  const char *wrong = NULL;

  if (length == 0)
    wrong = _ ("is empty");
  else if (length > HYPHA_SERVICE_MAX)
    wrong = _ ("is longer than 255 bytes");
  else
    wrong = hypha_wire_judge_name ((const guint8 *) service, length);
  if (wrong != NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("Cannot open a stream: the name of the service %s"), wrong);
  return wrong == NULL;
}

/**
 * hypha_session_open: (skip)
 * @self: a session
 * @service: the name of the peer's service, at most %HYPHA_SERVICE_MAX bytes
 * @error: return location for an error
 *
 * Opens a stream without a ticket: see hypha_session_open_direct().
 *
 * Returns: (transfer none): the stream, or %NULL
 */
HyphaSessionStream *
hypha_session_open (HyphaSession *self, const char *service, GError **error)
{
  return hypha_session_open_direct (self, service, NULL, error);
}

/**
 * hypha_session_open_direct: (skip)
 * @self: a session
 * @service: the name of the peer's service, at most %HYPHA_SERVICE_MAX bytes
 * @ticket: (nullable) (array fixed-size=33): what the peer is given with it
 * @error: return location for an error
 *
 * Opens a stream. Nothing can be written before the peer took it (%HYPHA_SESSION_ACCEPTED). If
 * there is no link now, the peer is asked when there is one.
 *
 * Returns: (transfer none): the stream, or %NULL with %HYPHA_ERROR_BUSY (as many as the limit
 * allows are open), %HYPHA_ERROR_OFFLINE (the ids of this session ran out) or
 * %HYPHA_ERROR_INVALID_ARGUMENT (no service can have this name)
 */
HyphaSessionStream *
hypha_session_open_direct (HyphaSession *self, const char *service, const guint8 *ticket,
                           GError **error)
{
  HyphaSessionStream *stream;

  if (!is_service (service, error))
    return NULL;
  if (g_queue_get_length (&self->mine) >= self->limits.streams) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("Cannot open a stream to “%s”: %u streams to this peer are open already, which "
                    "is the limit; close some of them first"),
                 service, self->limits.streams);
    return NULL;
  }
  if (self->next_id > HYPHA_SESSION_ID_LAST) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_OFFLINE,
                 _ ("Cannot open a stream to “%s”: this session has used up its stream ids; it is "
                    "renewed when its last stream has ended, try again then"),
                 service);
    self->renew = g_hash_table_size (self->streams) == 0;
    return NULL;
  }
  /* The time without a link counts from the first thing that waits for one. */
  if (self->links->len == 0 && self->opened < 0 && self->seen < 0)
    self->offline_since = G_MININT64;

  stream = hypha_session_add_stream (self, (guint32) self->next_id, service, ticket);
  self->opened = (gint64) self->next_id;
  self->next_id += 2;
  hypha_credit_open (self, stream);
  hypha_session_owe_open (self, stream);
  HYPHA_SESSION_CHECK (self);
  return stream;
}

/* Whatever the peer says of a stream of ours shows that it has seen it, taken or not: later it can
 * only have seen more. */
void
hypha_session_seen_by_peer (HyphaSession *self, gint64 id)
{
  if (id <= self->known)
    return;
  self->known = id;
  hypha_watermark_raise (&self->ids, 0, (guint64) (id + 1), hypha_session_ticks (self));
}

/* Whoever did not open STREAM took it. */
void
hypha_session_stream_answered (HyphaSession *self, HyphaSessionStream *stream)
{
  if (!stream->mine || stream->answered || stream->ended)
    return;
  stream->answered = TRUE;
  hypha_place_leave (&self->opens, &stream->in_opens);
  hypha_session_seen_by_peer (self, stream->id);
  hypha_session_stream_raise (self, stream);
  hypha_session_event_stream (self, HYPHA_SESSION_ACCEPTED, stream, -1, NULL);
  hypha_sending_activate (self, stream);
}

/**
 * hypha_session_accept: (skip)
 * @self: a session
 * @stream: a stream that the peer opened
 *
 * Takes the stream: the opener is told, and may send.
 */
void
hypha_session_accept (HyphaSession *self, HyphaSessionStream *stream)
{
  g_return_if_fail (!stream->mine);
  if (stream->ended || stream->answered)
    return;
  stream->answered = TRUE;
  hypha_credit_open (self, stream);
  hypha_session_owe (self, stream, HYPHA_OWES_WINDOW);
  hypha_sending_activate (self, stream);
  hypha_sending_tell_room (self, stream);
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_error_of_code: (skip)
 * @code: a refusal; one that is not known is taken for %HYPHA_CODE_REFUSED
 * @text: (out) (transfer none): what it means, for people
 *
 * Returns: the error that the opener of the stream gets
 */
HyphaError
hypha_session_error_of_code (HyphaCode code, const char **text)
{
  switch (code) {
  case HYPHA_CODE_NO_SUCH_SERVICE:
    *text = _ ("the peer has no such service");
    return HYPHA_ERROR_NO_SUCH_SERVICE;
  case HYPHA_CODE_NOT_ALLOWED:
    *text = _ ("the peer does not give this service to this node");
    return HYPHA_ERROR_PERMISSION_DENIED;
  case HYPHA_CODE_BUSY:
    *text = _ ("the peer has as many streams as it takes");
    return HYPHA_ERROR_BUSY;
  case HYPHA_CODE_GONE:
    *text = _ ("the peer no longer knows the stream");
    return HYPHA_ERROR_GONE;
  default:
    *text = _ ("the peer refused the stream; its log says why");
    return HYPHA_ERROR_REFUSED;
  }
}

/**
 * hypha_session_refuse: (skip)
 * @self: a session
 * @stream: a stream that the peer opened and that was not accepted
 * @code: why; not %HYPHA_CODE_APPLICATION
 *
 * Does not take the stream. It has ended and is forgotten with this.
 */
void
hypha_session_refuse (HyphaSession *self, HyphaSessionStream *stream, HyphaCode code)
{
  guint32 id = stream->id;

  g_return_if_fail (!stream->mine && code >= HYPHA_CODE_REFUSED);
  if (stream->ended)
    return;
  if (stream->answered) {
    hypha_session_stream_reset (self, stream, HYPHA_CODE_APPLICATION);
    hypha_session_stream_stop (self, stream, HYPHA_CODE_APPLICATION);
    return;
  }
  hypha_session_end_stream (self, stream, HYPHA_ERROR_REFUSED, _ ("refused here"));
  hypha_session_refusal (self, id, code);
  HYPHA_SESSION_CHECK (self);
}

/* The peer no longer knows STREAM, or never took it. */
gboolean
hypha_session_stream_gone (HyphaSession *self, HyphaSessionStream *stream, HyphaCode code)
{
  const char *text;
  HyphaError error = hypha_session_error_of_code (code, &text);

  if (stream->ended)
    return TRUE;
  if (stream->send_end != HYPHA_END_NONE && stream->receive_end != HYPHA_END_NONE) {
    stream->owes = 0;
    hypha_place_leave (&self->control, &stream->in_control);
    hypha_session_settle (self, stream);
    return TRUE;
  }
  if (stream->mine && !stream->answered) {
    if (!stream->open_sent)
      return hypha_session_rolled_back (self,
                                        _ ("the peer answers a stream that was not opened yet: "
                                           "this node's state went backwards"));
    hypha_session_seen_by_peer (self, stream->id);
    hypha_session_end_stream (self, stream, (int) error, text);
    return TRUE;
  }
  if (code != HYPHA_CODE_GONE)
    return hypha_session_broken (self, _ ("the peer refused a stream that it had taken or opened"));
  /* A side forgets a stream when both directions have ended, not before. */
  if (!(stream->fin_sent || stream->reset_sent) || stream->receive_end == HYPHA_END_NONE)
    return hypha_session_rolled_back (self,
                                      _ ("the peer has forgotten a stream that is open here: one "
                                         "side's state went backwards"));
  stream->owes = 0;
  hypha_place_leave (&self->control, &stream->in_control);
  hypha_sending_ends (self, stream, stream->reset_sent ? HYPHA_END_RESET : HYPHA_END_FIN);
  return TRUE;
}

void
hypha_session_end_stream (HyphaSession *self, HyphaSessionStream *stream, int error,
                          const char *text)
{
  g_assert (!stream->ended);
  stream->ended = TRUE;
  stream->owes = 0;
  hypha_place_leave (stream->mine ? &self->mine : &self->theirs, &stream->in_all);
  hypha_place_leave (&self->opens, &stream->in_opens);
  hypha_place_leave (&self->control, &stream->in_control);
  hypha_place_leave (&self->active, &stream->in_active);
  hypha_place_leave (&self->acks, &stream->in_acks);
  hypha_place_leave (&self->starved, &stream->in_starved);
  g_hash_table_remove (self->streams, GUINT_TO_POINTER (stream->id));
  hypha_queue_clear (&stream->out);
  hypha_queue_clear (&stream->in);
  hypha_credit_account (self, stream);
  g_ptr_array_add (self->graves, stream);
  hypha_session_event_stream (self, HYPHA_SESSION_ENDED, stream, error, text);
  if (self->next_id > HYPHA_SESSION_ID_LAST && g_hash_table_size (self->streams) == 0)
    self->renew = TRUE;
}

static int
result (HyphaSessionStream *stream, const char **text)
{
  *text = NULL;
  if (stream->send_end == HYPHA_END_RESET) {
    *text = stream->stopped ? _ ("the other program stopped reading") : _ ("it was reset here");
    return HYPHA_ERROR_RESET;
  }
  if (stream->receive_end == HYPHA_END_RESET && !stream->stopping) {
    *text = _ ("the other program ended the stream early");
    return HYPHA_ERROR_RESET;
  }
  return -1;
}

void
hypha_session_settle (HyphaSession *self, HyphaSessionStream *stream)
{
  const char *text;
  int error;

  if (stream->ended || stream->owes != 0 || stream->held > 0)
    return;
  if (stream->send_end == HYPHA_END_NONE || stream->receive_end == HYPHA_END_NONE)
    return;
  error = result (stream, &text);
  hypha_session_end_stream (self, stream, error, text);
}

/* The second value of a stream's watermark: 0, 1 once the peer took it, 2 once our direction's end
 * was acknowledged. */
guint64
hypha_session_stream_stage (HyphaSessionStream *stream)
{
  if (stream->send_end != HYPHA_END_NONE)
    return 2;
  return stream->mine && stream->answered ? 1 : 0;
}

void
hypha_session_stream_raise (HyphaSession *self, HyphaSessionStream *stream)
{
  hypha_watermark_raise (&stream->mark, stream->acked, hypha_session_stream_stage (stream),
                         hypha_session_ticks (self));
}

guint32
hypha_session_stream_get_id (HyphaSessionStream *stream)
{
  return stream->id;
}

const char *
hypha_session_stream_get_service (HyphaSessionStream *stream)
{
  return stream->service;
}

const guint8 *
hypha_session_stream_get_ticket (HyphaSessionStream *stream)
{
  return stream->direct ? stream->ticket : NULL;
}

gboolean
hypha_session_stream_is_mine (HyphaSessionStream *stream)
{
  return stream->mine;
}

void
hypha_session_stream_set_data (HyphaSessionStream *stream, gpointer data)
{
  stream->data = data;
}

gpointer
hypha_session_stream_get_data (HyphaSessionStream *stream)
{
  return stream->data;
}

/**
 * hypha_session_stream_counts: (skip)
 * @stream: a stream
 * @received: (out): how many bytes came
 * @sent: (out): how many were sent, each counted once
 */
void
hypha_session_stream_counts (HyphaSessionStream *stream, guint64 *received, guint64 *sent)
{
  *received = stream->next;
  *sent = stream->sent;
}
