/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

#include <glib/gi18n-lib.h>

/* A session that waits for a link is looked at so often; where it is not for so long, time has
 * stood still here. */
#define LOOK G_TIME_SPAN_SECOND
#define STANDSTILL (2 * LOOK)

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
  self->said = g_array_new (FALSE, FALSE, sizeof (HyphaEpochEntry));
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
  g_array_unref (self->said);
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

gboolean
hypha_session_is_grounded (HyphaSession *self)
{
  return self->chosen != NULL && !self->chosen->relayed;
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
  HyphaSessionLink *chosen = self->chosen;

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
  hypha_session_forget_epochs (self);
  reset_bounds (self);

  hypha_session_event_over (self, error, text);
  while (self->links->len > 0) {
    HyphaSessionLink *link = g_ptr_array_index (self->links, self->links->len - 1);

    /* Where none is up yet, whichever there is. */
    hypha_session_retire_link (self, link, say_close && (chosen == NULL || link == chosen), away);
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

gboolean
hypha_session_closed_by_peer (HyphaSession *self, guint32 code)
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
 * Ends the session: its streams, then its links. The chosen link still hands out a CLOSE, or all
 * where none is up yet, so that the peer need not find out by itself, and is done then. It goes on
 * empty under a new number.
 */
void
hypha_session_drop (HyphaSession *self, HyphaAway away, HyphaError error, const char *reason,
                    gint64 now)
{
  self->now = now;
  hypha_session_over (self, error, hypha_session_keep_text (self, reason), TRUE, away);
  HYPHA_SESSION_CHECK (self);
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

/* When somebody looked last, or the last link went. */
static gint64
looked_at (HyphaSession *self)
{
  return MAX (self->looked, self->offline_since);
}

/* Whoever was stopped, or saved with its machine and restored, has had no time in which to find its
 * peer: of a standstill, no more counts than of any other time between two looks. */
static void
pass_over_standstill (HyphaSession *self, gint64 now)
{
  const gint64 unseen = now - looked_at (self);

  if (unseen > STANDSTILL)
    self->offline_since += unseen - LOOK;
  self->looked = now;
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
    pass_over_standstill (self, now);
    if (now >= expires_at (self))
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
    next = MIN (next, MIN (expires_at (self), looked_at (self) + LOOK));
  return next;
}
