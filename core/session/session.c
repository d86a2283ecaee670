/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

typedef struct {
  guint32 id;
  HyphaCode code;
} Refusal;

/**
 * hypha_session_limits_init: (skip)
 * @limits: (out caller-allocates): where to put the defaults
 */
void
hypha_session_limits_init (HyphaSessionLimits *limits)
{
  *limits = (HyphaSessionLimits){
    .streams = 512,
    .window_total = 16 * 1024 * 1024,
    .window_max = 4 * 1024 * 1024,
    .window_min = HYPHA_SESSION_WINDOW_MIN,
    .send_max = 4 * 1024 * 1024,
    .session_timeout = 60 * G_TIME_SPAN_SECOND,
    .ack_delay = 5 * G_TIME_SPAN_MILLISECOND,
    .switch_margin = 1,
  };
}

static void
reset_bounds (HyphaSession *self)
{
  self->promise_bound = self->limits.window_total;
  self->window_bound = self->limits.window_max;
  self->streams_bound = self->limits.streams;
}

/**
 * hypha_session_new: (skip)
 * @lower_id: whether our node id is lower than the peer's
 * @numbers: the counter of our node; outlives the session
 * @clock: the nonce clock of our node; outlives the session
 * @limits: copied
 * @now: the time, in microseconds
 * @deliver: (nullable) (scope notified): takes bytes as they come
 * @user_data: for @deliver
 *
 * Returns: (transfer full): an empty session without links
 */
HyphaSession *
hypha_session_new (gboolean lower_id, HyphaSessionNumbers *numbers, const HyphaNonceClock *clock,
                   const HyphaSessionLimits *limits, gint64 now, HyphaSessionDeliver deliver,
                   gpointer user_data)
{
  HyphaSession *self = g_new0 (HyphaSession, 1);

  self->lower = lower_id;
  self->numbers = numbers;
  self->clock = clock;
  self->limits = *limits;
  hypha_credit_sanitise (&self->limits);
  reset_bounds (self);
  self->deliver = deliver;
  self->user_data = user_data;
  self->now = now;
  self->offline_since = now;
  self->number = hypha_session_draw_number (self);
  hypha_watermark_init (&self->peer);
  hypha_watermark_init (&self->ids);
  self->opened = self->seen = self->known = -1;
  self->next_id = self->lower ? 0 : 1;
  self->streams = g_hash_table_new (NULL, NULL);
  self->links = g_ptr_array_new_with_free_func (g_free);
  self->leaving = g_ptr_array_new_with_free_func (g_free);
  self->candidates = g_array_new (FALSE, FALSE, sizeof (HyphaCandidate));
  hypha_choice_init (&self->choice, self->limits.switch_margin);
  self->choose_at = G_MAXINT64;
  self->refused = g_hash_table_new (NULL, NULL);
  self->scratch = g_array_new (FALSE, FALSE, sizeof (HyphaResumeEntry));
  self->events = g_array_new (FALSE, FALSE, sizeof (HyphaSessionEvent));
  self->texts = g_string_chunk_new (64);
  self->graves = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_session_stream_free);
  return self;
}

static void
forget_refusals (HyphaSession *self)
{
  g_queue_clear_full (&self->refusals, g_free);
  g_hash_table_remove_all (self->refused);
}

/**
 * hypha_session_free: (skip)
 * @self: (transfer full): a session
 *
 * Frees the session with its streams and links; nobody is told.
 */
void
hypha_session_free (HyphaSession *self)
{
  GHashTableIter iter;
  gpointer stream;

  g_hash_table_iter_init (&iter, self->streams);
  while (g_hash_table_iter_next (&iter, NULL, &stream))
    hypha_session_stream_free (stream);
  g_hash_table_unref (self->streams);
  forget_refusals (self);
  g_hash_table_unref (self->refused);
  g_ptr_array_unref (self->graves);
  g_ptr_array_unref (self->links);
  g_ptr_array_unref (self->leaving);
  g_array_unref (self->candidates);
  g_array_unref (self->scratch);
  g_array_unref (self->events);
  g_string_chunk_free (self->texts);
  hypha_watermark_clear (&self->peer);
  hypha_watermark_clear (&self->ids);
  g_free (self);
}

/**
 * hypha_session_set_limits: (skip)
 * @self: a session
 * @limits: copied
 *
 * The margin and the times count from now on, the rest for what is opened and granted from now on:
 * a promise cannot be taken back.
 */
void
hypha_session_set_limits (HyphaSession *self, const HyphaSessionLimits *limits)
{
  self->limits = *limits;
  hypha_credit_sanitise (&self->limits);
  if (g_hash_table_size (self->streams) == 0) {
    reset_bounds (self);
  } else {
    self->promise_bound += self->limits.window_total;
    self->window_bound = MAX (self->window_bound, self->limits.window_max);
    self->streams_bound = MAX (self->streams_bound, self->limits.streams);
  }
  self->choice.margin = self->limits.switch_margin;
  HYPHA_SESSION_CHECK (self);
}

static HyphaSessionStream *
after (HyphaSessionStream *stream)
{
  return stream->in_all.node.next != NULL ? stream->in_all.node.next->data : NULL;
}

/* All streams in rising order. They may end while the caller walks: `ended` tells. */
GPtrArray *
hypha_session_list_streams (HyphaSession *self)
{
  HyphaSessionStream *mine = g_queue_peek_head (&self->mine);
  HyphaSessionStream *theirs = g_queue_peek_head (&self->theirs);
  GPtrArray *all = g_ptr_array_sized_new (g_hash_table_size (self->streams));

  while (mine != NULL || theirs != NULL) {
    if (theirs == NULL || (mine != NULL && mine->id < theirs->id)) {
      g_ptr_array_add (all, mine);
      mine = after (mine);
    } else {
      g_ptr_array_add (all, theirs);
      theirs = after (theirs);
    }
  }
  return all;
}

/**
 * hypha_session_foreach_stream: (skip)
 * @self: a session
 * @func: (scope call): called for every stream, in rising order of their ids
 * @user_data: for @func
 */
void
hypha_session_foreach_stream (HyphaSession *self, HyphaSessionStreamFunc func, gpointer user_data)
{
  g_autoptr (GPtrArray) all = hypha_session_list_streams (self);

  for (guint i = 0; i < all->len; i++)
    func (g_ptr_array_index (all, i), user_data);
}

HyphaSessionStream *
hypha_session_find (HyphaSession *self, guint32 id)
{
  return g_hash_table_lookup (self->streams, GUINT_TO_POINTER (id));
}

guint
hypha_session_n_streams (HyphaSession *self)
{
  return g_hash_table_size (self->streams);
}

guint
hypha_session_n_links (HyphaSession *self)
{
  return self->links->len;
}

HyphaSessionLink *
hypha_session_get_chosen (HyphaSession *self)
{
  return self->chosen;
}

guint64
hypha_session_get_number (HyphaSession *self)
{
  return self->number;
}

gsize
hypha_session_get_memory (HyphaSession *self)
{
  return self->held + self->unacknowledged;
}

/* --- The end of a session --- */

/* Everything of the present pair of numbers ends here; our own number stays. */
void
hypha_session_empty (HyphaSession *self, HyphaError error, const char *text, gboolean say_close,
                     HyphaAway away)
{
  g_autoptr (GPtrArray) all = hypha_session_list_streams (self);

  for (guint i = 0; i < all->len; i++) {
    HyphaSessionStream *stream = g_ptr_array_index (all, i);

    /* One that had ended and was read, and only owed its last acknowledgement, ended well. */
    if (stream->send_end != HYPHA_END_NONE && stream->receive_end != HYPHA_END_NONE &&
        stream->held == 0)
      stream->owes = 0;
    hypha_session_settle (self, stream);
    if (!stream->ended)
      hypha_session_end_stream (self, stream, (int) error, text);
  }
  forget_refusals (self);
  self->opened = self->seen = self->known = -1;
  self->next_id = self->lower ? 0 : 1;
  self->renew = FALSE;
  hypha_watermark_clear (&self->ids);
  reset_bounds (self);

  hypha_session_event_over (self, error, text);
  while (self->links->len > 0) {
    HyphaSessionLink *link = g_ptr_array_index (self->links, self->links->len - 1);

    hypha_session_retire_link (self, link, say_close && link == self->chosen, away);
  }
  self->choose_at = G_MAXINT64;
}

void
hypha_session_over (HyphaSession *self, HyphaError error, const char *text, gboolean say_close,
                    HyphaAway away)
{
  hypha_session_empty (self, error, text, say_close, away);
  self->number = hypha_session_draw_number (self);
  self->paired = FALSE;
}

gboolean
hypha_session_broken (HyphaSession *self, const char *text)
{
  hypha_session_over (self, HYPHA_ERROR_PROTOCOL, text, TRUE, HYPHA_AWAY_PROTOCOL);
  return FALSE;
}

gboolean
hypha_session_rolled_back (HyphaSession *self, const char *text)
{
  hypha_session_over (self, HYPHA_ERROR_ROLLED_BACK, text, TRUE, HYPHA_AWAY_ROLLED_BACK);
  return FALSE;
}

static gboolean
closed_by_peer (HyphaSession *self, guint32 code)
{
  static const struct {
    HyphaAway away;
    HyphaError error;
    const char *text;
  } ends[] = {
    { HYPHA_AWAY_SHUTDOWN, HYPHA_ERROR_RESTARTED, N_ ("the peer is shutting down") },
    { HYPHA_AWAY_ROLLED_BACK, HYPHA_ERROR_ROLLED_BACK,
      N_ ("the peer found that the state of one side had gone backwards") },
    { HYPHA_AWAY_PROTOCOL, HYPHA_ERROR_PROTOCOL,
      N_ ("the peer says that this node broke the session protocol") },
    { HYPHA_AWAY_NOT_TRUSTED, HYPHA_ERROR_NOT_TRUSTED, N_ ("the peer no longer trusts this node") },
  };

  for (guint i = 0; i < G_N_ELEMENTS (ends); i++)
    if (ends[i].away == code) {
      hypha_session_over (self, ends[i].error, _ (ends[i].text), FALSE, HYPHA_AWAY_REQUESTED);
      return FALSE;
    }
  hypha_session_over (self, HYPHA_ERROR_DISCONNECTED, _ ("the peer ended the session"), FALSE,
                      HYPHA_AWAY_REQUESTED);
  return FALSE;
}

/**
 * hypha_session_drop: (skip)
 * @self: a session
 * @away: what the peer is told
 * @error: with what its streams end
 * @reason: (nullable): the same as a text
 * @now: the time, in microseconds
 *
 * Ends the session: its streams, then its links. The chosen link still hands out a CLOSE, so that
 * the peer need not find out by itself, and is done then. It goes on empty under a new number.
 */
void
hypha_session_drop (HyphaSession *self, HyphaAway away, HyphaError error, const char *reason,
                    gint64 now)
{
  self->now = now;
  hypha_session_over (self, error, hypha_session_keep_text (self, reason), TRUE, away);
  HYPHA_SESSION_CHECK (self);
}

/* --- What streams owe --- */

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

/* --- Frames in --- */

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
  if (stream->mine && stream->open_sent)
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
    closed_by_peer (self, frame->code);
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
    if (!link->up)
      hypha_session_broken (self, _ ("the peer used a link before its RESUME"));
    else if (frame->type != HYPHA_FRAME_EPOCH)
      receive_for_stream (self, frame);
    break;
  case HYPHA_FRAME_PING:
  case HYPHA_FRAME_PONG:
  case HYPHA_FRAME_GOAWAY:
    break;
  }
  HYPHA_SESSION_CHECK (self);
}

/* --- Frames out --- */

static void
write_simple (const HyphaFrame *frame, HyphaFrameOut *out)
{
  hypha_frame_write (frame, NULL, out);
}

/* What a link owes by itself, whether it is chosen or not. Its first frame is RESUME. */
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
    write_simple (&(HyphaFrame){ .type = HYPHA_FRAME_EPOCH, .value = self->epoch }, out);
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
  found = link_frame (self, link, out) ||
          (link == self->chosen && (refusal_frame (self, out) || open_frame (self, out) ||
                                    control_frame (self, out) || hypha_sending_frame (self, out)));
  HYPHA_SESSION_CHECK (self);
  return found;
}

/**
 * hypha_session_has_frames: (skip)
 * @self: a session
 * @link: one of its links
 *
 * Returns: %FALSE if hypha_session_next_frame() has nothing for @link; %TRUE if it probably has
 */
gboolean
hypha_session_has_frames (HyphaSession *self, HyphaSessionLink *link)
{
  if (link->done)
    return link->owes_close;
  if (link->owes_resume || link->owes_ask || link->owes_epoch)
    return TRUE;
  return link == self->chosen &&
         (!g_queue_is_empty (&self->refusals) || !g_queue_is_empty (&self->opens) ||
          !g_queue_is_empty (&self->control) || !g_queue_is_empty (&self->active));
}

/* --- Time --- */

static gboolean
may_expire (HyphaSession *self)
{
  return self->links->len == 0 &&
         (g_hash_table_size (self->streams) > 0 || self->opened >= 0 || self->seen >= 0);
}

static gint64
expires_at (HyphaSession *self)
{
  if (self->offline_since == G_MININT64)
    return self->now;
  return self->offline_since + self->limits.session_timeout;
}

/**
 * hypha_session_tick: (skip)
 * @self: a session
 * @now: the time, in microseconds
 *
 * Does what is due: acknowledgements that were held back, the choice of link, the end of a session
 * that has been without a link for too long.
 */
void
hypha_session_tick (HyphaSession *self, gint64 now)
{
  self->now = now;
  hypha_receiving_acks_due (self);
  if (self->renew)
    hypha_session_over (self, HYPHA_ERROR_DISCONNECTED,
                        _ ("stream ids ran out; the session was renewed"), TRUE,
                        HYPHA_AWAY_DISCONNECTED);
  if (now >= self->choose_at)
    hypha_session_choose (self, NULL);
  if (may_expire (self)) {
    if (self->offline_since == G_MININT64)
      self->offline_since = now;
    else if (now >= expires_at (self))
      hypha_session_over (self, HYPHA_ERROR_EXPIRED,
                          _ ("there was no link to the peer for longer than session-timeout"),
                          FALSE, HYPHA_AWAY_DISCONNECTED);
  }
  HYPHA_SESSION_CHECK (self);
}

/**
 * hypha_session_next_tick: (skip)
 * @self: a session
 *
 * Returns: when hypha_session_tick() wants to be called next, in microseconds, possibly in the
 * past; %G_MAXINT64 for not at all
 */
gint64
hypha_session_next_tick (HyphaSession *self)
{
  HyphaSessionStream *first = g_queue_peek_head (&self->acks);
  gint64 next = self->choose_at;

  if (self->renew)
    return self->now;
  if (first != NULL)
    next = MIN (next, first->ack_at);
  if (may_expire (self))
    next = MIN (next, expires_at (self));
  return next;
}
