/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/heartbeat.h"

#include <string.h>

#define WINDOW \
  (10 * G_USEC_PER_SEC) /* samples older than this, seen from the newest, do not count */
#define SLOT (WINDOW / HYPHA_HEARTBEAT_SAMPLES) /* one sample each, the least: they span it all */
#define PENALTY 50
/* What TCP takes at least to send again what was lost (Linux), and a little for both ends to see
 * it: a packet that was lost is no reason to leave the link. */
#define RETRANSMISSION (200 * G_TIME_SPAN_MILLISECOND)
#define SLACK (25 * G_TIME_SPAN_MILLISECOND)
#define BUSY_PINGS 8 /* until the first of them is overdue; leaves room for as many, rare ones */
#define COST_MAX (G_MAXUINT32 - 1) /* G_MAXUINT32 means "no link" elsewhere */

/* As TCP does it (RFC 6298). */
static void
smooth (HyphaHeartbeat *self, gint64 rtt)
{
  self->deviation += (ABS (rtt - self->srtt) - self->deviation) / 4;
  self->srtt += (rtt - self->srtt) / 8;
}

static void
add_sample (HyphaHeartbeat *self, gint64 now, gint64 rtt)
{
  guint newest = (self->next_sample + HYPHA_HEARTBEAT_SAMPLES - 1) % HYPHA_HEARTBEAT_SAMPLES;

  if (self->n_samples > 0 && now - self->samples[newest].at < SLOT) {
    self->samples[newest].rtt = MIN (self->samples[newest].rtt, rtt);
    return;
  }
  self->samples[self->next_sample].at = now;
  self->samples[self->next_sample].rtt = rtt;
  self->next_sample = (self->next_sample + 1) % HYPHA_HEARTBEAT_SAMPLES;
  self->n_samples = MIN (self->n_samples + 1, HYPHA_HEARTBEAT_SAMPLES);
}

/**
 * hypha_heartbeat_init:
 * @self: (out caller-allocates): a heartbeat
 * @now: the time, in microseconds of a monotonic clock
 * @interval: microseconds between two pings
 * @timeout: microseconds without an answer after which the link is dead
 * @first_rtt: the round trip that the handshake took, in microseconds
 *
 * Starts. The first ping goes out after one @interval: the handshake has just shown that both ends
 * hear.
 */
void
hypha_heartbeat_init (HyphaHeartbeat *self, gint64 now, gint64 interval, gint64 timeout,
                      gint64 first_rtt)
{
  const gint64 rtt = CLAMP (first_rtt, 0, G_TIME_SPAN_DAY);

  *self = (HyphaHeartbeat){
    .heard = now,
    .confirmed = now,
    .received = now,
    .last_ping = now,
    .looked = now,
    .next_token = 1,
    .stuck = -1,
    .srtt = rtt,
    .deviation = rtt / 2,
  };
  hypha_heartbeat_configure (self, interval, timeout);
  add_sample (self, now, MAX (first_rtt, 0));
}

/**
 * hypha_heartbeat_configure:
 * @self: a heartbeat
 * @interval: microseconds between two pings
 * @timeout: microseconds without an answer after which the link is dead
 *
 * Changes the times while it runs: ask hypha_heartbeat_next() anew.
 */
void
hypha_heartbeat_configure (HyphaHeartbeat *self, gint64 interval, gint64 timeout)
{
  /* A day is for ever, and sums of times do not overflow. */
  self->interval = CLAMP (interval, 1, G_TIME_SPAN_DAY);
  self->timeout = CLAMP (timeout, 1, G_TIME_SPAN_DAY);
}

/**
 * hypha_heartbeat_heard:
 * @self: a heartbeat
 * @now: the time
 *
 * A byte came, of whatever kind.
 */
void
hypha_heartbeat_heard (HyphaHeartbeat *self, gint64 now)
{
  self->heard = MAX (self->heard, now);
}

/**
 * hypha_heartbeat_confirmed:
 * @self: a heartbeat
 * @now: the time
 *
 * The peer acknowledged data that went over this link: it hears. Pings that wait for an answer go
 * on waiting, for the round trip they will tell, but are as good as sent just now.
 */
void
hypha_heartbeat_confirmed (HyphaHeartbeat *self, gint64 now)
{
  self->confirmed = MAX (self->confirmed, now);
  hypha_heartbeat_heard (self, now);
}

/**
 * hypha_heartbeat_all_heard:
 * @self: a heartbeat
 *
 * The peer acknowledged the very last of what was sent over this link: until more is sent, no ping
 * has to ask.
 */
void
hypha_heartbeat_all_heard (HyphaHeartbeat *self)
{
  self->proven = self->sent;
}

/**
 * hypha_heartbeat_received:
 * @self: a heartbeat
 * @now: the time
 *
 * Something came that was no ping and no pong. It does not show that the peer hears, but that the
 * link has not gone silent: an answer may be behind more of the same.
 */
void
hypha_heartbeat_received (HyphaHeartbeat *self, gint64 now)
{
  self->received = MAX (self->received, now);
}

static gboolean
is_busy (const HyphaHeartbeat *self)
{
  return self->sent != self->proven;
}

/**
 * hypha_heartbeat_sent:
 * @self: a heartbeat
 * @now: the time
 *
 * Something was sent that is no ping and no pong. Until the answer to a ping shows that it was
 * read, pings are frequent.
 *
 * Returns: whether the link was idle: hypha_heartbeat_next() may be sooner than it was
 */
gboolean
hypha_heartbeat_sent (HyphaHeartbeat *self, gint64 now)
{
  gboolean was_busy = is_busy (self);

  self->sent++;
  if (!was_busy)
    self->busy_since = now;
  return !was_busy;
}

/**
 * hypha_heartbeat_ping_received:
 * @self: a heartbeat
 * @token: of the peer's ping
 *
 * The peer asks. Only the latest ping is answered, so that a flood of them costs no memory.
 */
void
hypha_heartbeat_ping_received (HyphaHeartbeat *self, guint64 token)
{
  self->owed = token;
  self->owes = TRUE;
}

/**
 * hypha_heartbeat_output:
 * @self: a heartbeat
 * @waiting: whether something that was written waits because the peer takes no more
 * @moved: whether the peer has taken some since this was last called
 * @now: the time
 *
 * Tells how the output goes. A peer that takes nothing for the timeout is dead, whatever it sends.
 */
void
hypha_heartbeat_output (HyphaHeartbeat *self, gboolean waiting, gboolean moved, gint64 now)
{
  if (!waiting)
    self->stuck = -1;
  else if (moved || self->stuck < 0)
    self->stuck = now;
}

/**
 * hypha_heartbeat_pong_received:
 * @self: a heartbeat
 * @token: of the ping that is answered
 * @now: the time
 *
 * The peer answers this ping and with it all before. A token that was never sent counts for
 * nothing.
 */
void
hypha_heartbeat_pong_received (HyphaHeartbeat *self, guint64 token, gint64 now)
{
  guint answered = 0;
  gint64 rtt;

  while (answered < self->n_pending && self->pending[answered].token != token)
    answered++;
  if (answered == self->n_pending)
    return;
  rtt = CLAMP (now - self->pending[answered].at, 0, G_TIME_SPAN_DAY);
  add_sample (self, now, rtt);
  smooth (self, rtt);
  self->proven = MAX (self->proven, self->pending[answered].sent);
  answered++;
  self->n_pending -= answered;
  memmove (self->pending, self->pending + answered, self->n_pending * sizeof self->pending[0]);
  hypha_heartbeat_heard (self, now);
}

/**
 * hypha_heartbeat_set_token:
 * @self: a heartbeat
 * @token: of the next ping
 *
 * Chooses a token; those after it count up. Where the peer is not to be believed it is a random
 * number for each ping, so that only who has read the ping can answer it.
 */
void
hypha_heartbeat_set_token (HyphaHeartbeat *self, guint64 token)
{
  self->next_token = token;
}

/* Since when a ping has been waiting in vain. */
static gint64
waiting_since (const HyphaHeartbeat *self, guint i)
{
  return MAX (self->pending[i].at, self->confirmed);
}

static gint64
overdue_at (const HyphaHeartbeat *self, guint i)
{
  return waiting_since (self, i) + self->interval * 5 / 2;
}

/* How long an answer may take while something that was sent depends on it: as long as TCP would
 * wait before it sends again, by how long answers have been taking of late, and a little more. */
static gint64
patience (const HyphaHeartbeat *self)
{
  return self->srtt + MAX (4 * self->deviation, RETRANSMISSION) + SLACK;
}

/* An ACK counts here by where it came: one that came over another link may be of data that went
 * long before. */
static gint64
suspect_at (const HyphaHeartbeat *self)
{
  gint64 late;

  if (self->n_pending == 0)
    return G_MAXINT64;
  late = overdue_at (self, 0);
  if (is_busy (self))
    late = MIN (late, MAX (self->pending[0].at, self->received) + patience (self));
  return late;
}

/* Between two pings while something depends on their answers. */
static gint64
often (const HyphaHeartbeat *self)
{
  return patience (self) / BUSY_PINGS;
}

/* Often while it matters, but not while one is still to be answered: it is by the oldest that the
 * link becomes suspect, and many peers that are slow only because they are many would get slower by
 * more of them. */
static gint64
next_ping (const HyphaHeartbeat *self)
{
  if (!is_busy (self) || often (self) >= self->interval || self->n_pending > 0)
    return self->last_ping + self->interval;
  return MIN (self->last_ping + self->interval,
              MAX (self->last_ping, self->busy_since) + often (self));
}

static gboolean
take (HyphaHeartbeat *self, gint64 now, guint64 *token)
{
  self->last_ping = now;
  /* None is ever lost, it may only be late: that many without an answer are enough. */
  if (self->n_pending == HYPHA_HEARTBEAT_PENDING)
    return FALSE;
  *token = self->next_token++;
  self->pending[self->n_pending].token = *token;
  self->pending[self->n_pending].at = now;
  self->pending[self->n_pending].sent = self->sent;
  self->n_pending++;
  return TRUE;
}

/**
 * hypha_heartbeat_take_ping:
 * @self: a heartbeat
 * @now: the time
 * @token: (out): what to send
 *
 * Asks whether a ping is to be sent now; it counts as sent. To be called at every time that
 * hypha_heartbeat_next() named.
 *
 * Returns: %TRUE with @token
 */
gboolean
hypha_heartbeat_take_ping (HyphaHeartbeat *self, gint64 now, guint64 *token)
{
  self->looked = MAX (self->looked, now);
  return now >= next_ping (self) && take (self, now, token);
}

/**
 * hypha_heartbeat_wants_ping_along:
 * @self: a heartbeat
 * @now: the time
 *
 * Something is about to be written that nobody acknowledges, so a ping would have to follow. Tells
 * whether one is to go along: not while another waits for its answer, nor too short a while after
 * the last one.
 *
 * Returns: whether hypha_heartbeat_take_ping_along() has one
 */
gboolean
hypha_heartbeat_wants_ping_along (const HyphaHeartbeat *self, gint64 now)
{
  return is_busy (self) && self->n_pending == 0 && often (self) < self->interval &&
         now >= self->last_ping + often (self);
}

/**
 * hypha_heartbeat_take_ping_along:
 * @self: a heartbeat
 * @now: the time
 * @token: (out): what to send
 *
 * Asks for the ping that is to go along; it counts as sent.
 *
 * Returns: %TRUE with @token
 */
gboolean
hypha_heartbeat_take_ping_along (HyphaHeartbeat *self, gint64 now, guint64 *token)
{
  return hypha_heartbeat_wants_ping_along (self, now) && take (self, now, token);
}

/**
 * hypha_heartbeat_take_pong:
 * @self: a heartbeat
 * @token: (out): what to send
 *
 * Asks whether a ping is to be answered.
 *
 * Returns: %TRUE with @token, once for the latest ping
 */
gboolean
hypha_heartbeat_take_pong (HyphaHeartbeat *self, guint64 *token)
{
  if (!self->owes)
    return FALSE;
  self->owes = FALSE;
  *token = self->owed;
  return TRUE;
}

static gint64
stuck_at (const HyphaHeartbeat *self)
{
  return self->stuck < 0 ? G_MAXINT64 : self->stuck + self->timeout;
}

/* Silence alone is no proof: this process may have slept, and the peer need not talk. A ping must
 * have been overdue as well. A peer that sends but never answers, or takes nothing, does not hear.
 */
static gint64
dead_at (const HyphaHeartbeat *self)
{
  gint64 unanswered, silent;

  if (self->n_pending == 0)
    return stuck_at (self);
  unanswered = waiting_since (self, 0) + self->timeout;
  silent = MAX (self->heard + self->timeout, overdue_at (self, 0));
  return MIN (MIN (unanswered, silent), stuck_at (self));
}

static guint
count_overdue (const HyphaHeartbeat *self, gint64 now)
{
  guint n = now >= suspect_at (self);

  while (n < self->n_pending && now >= overdue_at (self, n))
    n++;
  return n;
}

/**
 * hypha_heartbeat_next:
 * @self: a heartbeat
 *
 * When something is to be done or changes by itself: a ping is due, one becomes overdue, the link
 * dies. Never a time at which hypha_heartbeat_take_ping() has been called already.
 *
 * Returns: a time in microseconds
 */
gint64
hypha_heartbeat_next (const HyphaHeartbeat *self)
{
  gint64 next = MAX (next_ping (self), self->looked);
  gint64 dead = dead_at (self), suspect = suspect_at (self);

  if (dead > self->looked)
    next = MIN (next, dead);
  if (suspect > self->looked)
    next = MIN (next, suspect);
  for (guint i = 0; i < self->n_pending; i++)
    if (overdue_at (self, i) > self->looked)
      next = MIN (next, overdue_at (self, i));
  return next;
}

/**
 * hypha_heartbeat_is_suspect:
 * @self: a heartbeat
 * @now: the time
 *
 * Returns: whether the oldest ping has been waiting for two and a half intervals; or, if something
 * was sent of which it is not known whether it was read, for as long as TCP would wait before it
 * sends again, and nothing but pings came meanwhile: traffic should go elsewhere
 */
gboolean
hypha_heartbeat_is_suspect (const HyphaHeartbeat *self, gint64 now)
{
  return now >= suspect_at (self);
}

/**
 * hypha_heartbeat_is_dead:
 * @self: a heartbeat
 * @now: the time
 *
 * Returns: whether there has been no sign of life, or no answer, for the timeout: the link is to be
 * closed
 */
gboolean
hypha_heartbeat_is_dead (const HyphaHeartbeat *self, gint64 now)
{
  return now >= dead_at (self);
}

/**
 * hypha_heartbeat_is_stuck:
 * @self: a heartbeat
 * @now: the time
 *
 * Returns: whether the peer has taken nothing of what waits for it for the timeout: then it is dead
 */
gboolean
hypha_heartbeat_is_stuck (const HyphaHeartbeat *self, gint64 now)
{
  return now >= stuck_at (self);
}

/**
 * hypha_heartbeat_rtt:
 * @self: a heartbeat
 *
 * The least of the round trips of the last ten seconds: a busy link does not look far away.
 *
 * Returns: microseconds
 */
gint64
hypha_heartbeat_rtt (const HyphaHeartbeat *self)
{
  guint newest = (self->next_sample + HYPHA_HEARTBEAT_SAMPLES - 1) % HYPHA_HEARTBEAT_SAMPLES;
  gint64 least = self->samples[newest].rtt;

  for (guint i = 0; i < self->n_samples; i++)
    if (self->samples[newest].at - self->samples[i].at < WINDOW)
      least = MIN (least, self->samples[i].rtt);
  return least;
}

/**
 * hypha_heartbeat_cost:
 * @self: a heartbeat
 * @static_cost: what transport or user say the link costs
 * @now: the time
 *
 * Returns: @static_cost, the round trip in milliseconds and 50 for each ping that is overdue; never
 * %G_MAXUINT32
 */
guint32
hypha_heartbeat_cost (const HyphaHeartbeat *self, guint32 static_cost, gint64 now)
{
  guint64 rtt = (guint64) hypha_heartbeat_rtt (self) / 1000;
  guint64 penalty = (guint64) count_overdue (self, now) * PENALTY;

  return (guint32) MIN (static_cost + MIN (rtt, COST_MAX) + penalty, (guint64) COST_MAX);
}
