/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/link-private.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <unistd.h>

/* Turns of reading before a link is given up: what lies there may be its answer. */
#define LAST_LOOK 32
#define ALONG_MAX 1024 /* bytes that a ping may go behind */

static const struct {
  HyphaError error;
  const char *why;
} reasons[] = {
  [HYPHA_AWAY_TWIN] = { HYPHA_ERROR_DISCONNECTED, N_ ("The peer closed it: there is another link "
                                                      "of the same kind between the "
                                                      "two nodes") },
  [HYPHA_AWAY_SHUTDOWN] = { HYPHA_ERROR_OFFLINE, N_ ("The peer is shutting down") },
  [HYPHA_AWAY_DISCONNECTED] = { HYPHA_ERROR_DISCONNECTED,
                                N_ ("Somebody on the peer's side ended the session") },
  [HYPHA_AWAY_ROLLED_BACK] = { HYPHA_ERROR_ROLLED_BACK,
                               N_ ("The peer found that the session went backwards, as after the "
                                   "restoring of a snapshot") },
  [HYPHA_AWAY_PROTOCOL] = { HYPHA_ERROR_PROTOCOL, N_ ("The peer could make no sense of what this "
                                                      "node sent; do both run the "
                                                      "same version of Hypha?") },
  [HYPHA_AWAY_NOT_TRUSTED] = { HYPHA_ERROR_NOT_TRUSTED, NULL },
  [HYPHA_AWAY_REQUESTED] = { HYPHA_ERROR_DISCONNECTED,
                             N_ ("Somebody on the peer's side closed this link") },
};

static GError *
away_error (HyphaLink *self, guint32 code)
{
  if (code == 0 || code >= G_N_ELEMENTS (reasons))
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED,
                        _ ("The peer closed it for a reason (%u) that this version does not know"),
                        code);
  if (code == HYPHA_AWAY_NOT_TRUSTED) {
    g_autofree char *own =
        hypha_node_id_to_string (hypha_identity_get_id (self->parameters.identity));

    return g_error_new (
        HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED,
        _ ("The peer no longer trusts this node: hyphactl trust %s NAME, on that side"), own);
  }
  return g_error_new_literal (HYPHA_ERROR, (int) reasons[code].error, _ (reasons[code].why));
}

static void
send_ping (HyphaLink *self, guint64 token, gboolean urgent)
{
  const HyphaFrame frame = { .type = HYPHA_FRAME_PING, .value = token };
  HyphaFrameOut out;

  hypha_frame_write (&frame, NULL, &out);
  hypha_output_append (&self->output, &out, urgent);
}

/* A peer that asks and does not read gets one answer, to its latest ping. */
static void
send_pong (HyphaLink *self, guint64 token)
{
  const HyphaFrame frame = { .type = HYPHA_FRAME_PONG, .value = token };
  HyphaFrameOut out;

  hypha_frame_write (&frame, NULL, &out);
  hypha_output_append_latest (&self->output, &out);
}

void
hypha_link_send_goaway (HyphaLink *self, HyphaAway away)
{
  const HyphaFrame frame = { .type = HYPHA_FRAME_GOAWAY, .code = away };
  HyphaFrameOut out;

  /* Behind everything: a CLOSE of the session, for one, must not be overtaken. */
  hypha_frame_write (&frame, NULL, &out);
  hypha_output_append (&self->output, &out, FALSE);
}

/* Tells the owner if there is something to tell. */
static void
update_status (HyphaLink *self)
{
  gint64 now = hypha_link_now (self);
  guint32 static_cost = atomic_load (&self->static_cost);
  guint32 cost = hypha_heartbeat_cost (&self->heartbeat, static_cost, now);
  gint64 rtt = hypha_heartbeat_rtt (&self->heartbeat);
  gboolean suspect = hypha_heartbeat_is_suspect (&self->heartbeat, now);
  gint64 penalty = (gint64) cost - static_cost - rtt / 1000;
  gboolean same = cost == atomic_load (&self->status.cost) &&
                  rtt == atomic_load (&self->status.rtt) &&
                  suspect == atomic_load (&self->status.suspect);

  if (same)
    return;
  atomic_store (&self->status.cost, cost);
  atomic_store (&self->status.rtt, rtt);
  atomic_store (&self->status.suspect, suspect);
  atomic_store (&self->status.penalty, (guint32) MAX (penalty, 0));
  if (self->stage == HYPHA_STAGE_FRAMES && self->events.changed != NULL)
    self->events.changed (self, self->user_data);
}

void
hypha_link_establish (HyphaLink *self)
{
  const HyphaLinkLimits *limits = &self->parameters.limits;

  hypha_heartbeat_init (&self->heartbeat, hypha_link_now (self), limits->ping_interval,
                        limits->link_timeout, self->first_rtt);
  update_status (self); /* in silence */
  self->stage = HYPHA_STAGE_FRAMES;
  hypha_link_set_deadline (self, hypha_heartbeat_next (&self->heartbeat));
  if (self->events.established != NULL)
    self->events.established (self, self->user_data);
}

/* TRUE: it was one for the owner. */
static gboolean
take_frame (HyphaLink *self, const HyphaFrame *frame)
{
  switch (frame->type) {
  case HYPHA_FRAME_PING:
    hypha_heartbeat_ping_received (&self->heartbeat, frame->value);
    return FALSE;
  case HYPHA_FRAME_PONG:
    hypha_heartbeat_pong_received (&self->heartbeat, frame->value, hypha_link_now (self));
    /* The next ping may be due sooner now. */
    hypha_link_set_deadline (self, hypha_heartbeat_next (&self->heartbeat));
    update_status (self);
    return FALSE;
  case HYPHA_FRAME_GOAWAY:
    self->away = (HyphaAway) frame->code;
    hypha_link_fail (self, away_error (self, frame->code));
    return FALSE;
  default:
    if (self->events.frame != NULL)
      self->events.frame (self, frame, self->user_data);
    return TRUE;
  }
}

/* For a RESUME the session looks at all its streams. */
static guint
work_of (const HyphaFrame *frame)
{
  return frame->type == HYPHA_FRAME_RESUME ? 64 : 1;
}

/* Whole frames from DATA, for as long as there is patience; returns how many bytes they had.
 * Afterwards the link may be closed. */
gsize
hypha_link_take_frames (HyphaLink *self, const guint8 *data, gsize length)
{
  gboolean any = FALSE;
  gsize at = 0;
  guint64 token;

  hypha_heartbeat_heard (&self->heartbeat, hypha_link_now (self));
  while (self->stage == HYPHA_STAGE_FRAMES && self->patience > 0) {
    HyphaFrame frame;
    GError *error = NULL;
    gssize size = hypha_frame_parse (data + at, length - at, &frame, &error);

    if (size < 0) {
      hypha_link_part (self, HYPHA_AWAY_PROTOCOL);
      hypha_link_fail (self, error);
    }
    if (size <= 0)
      break;
    at += (gsize) size;
    self->patience -= MIN (self->patience, work_of (&frame));
    any = take_frame (self, &frame) || any;
  }
  if (self->stage != HYPHA_STAGE_FRAMES)
    return at;
  if (hypha_heartbeat_take_pong (&self->heartbeat, &token))
    send_pong (self, token);
  if (any)
    hypha_heartbeat_received (&self->heartbeat, hypha_link_now (self));
  if (any && self->events.batch != NULL)
    self->events.batch (self, self->user_data);
  return at;
}

/* That what nobody acknowledges was heard, only a ping can show. It goes behind it in the same
 * write: later it would be one of its own, and wake the peer once more. */
void
hypha_link_ask_along (HyphaLink *self)
{
  guint64 token;

  if (!self->unacknowledged || self->output.length > ALONG_MAX ||
      !hypha_heartbeat_wants_ping_along (&self->heartbeat, hypha_link_now (self)))
    return;
  /* Nothing is told from here: where there are no random numbers, the beat says so. */
  if (getentropy (&token, sizeof token) != 0)
    return;
  hypha_heartbeat_set_token (&self->heartbeat, token);
  if (hypha_heartbeat_take_ping_along (&self->heartbeat, hypha_link_now (self), &token))
    send_ping (self, token, FALSE);
  hypha_link_set_deadline (self, hypha_heartbeat_next (&self->heartbeat));
}

static void
timed_out (HyphaLink *self)
{
  gboolean stuck = hypha_heartbeat_is_stuck (&self->heartbeat, hypha_link_now (self));

  hypha_link_fail (self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                                      _ ("The peer has %s for %" PRId64 " ms"),
                                      stuck ? _ ("taken nothing") : _ ("not answered"),
                                      self->parameters.limits.link_timeout / 1000));
}

void
hypha_link_beat (HyphaLink *self)
{
  guint64 token;

  /* What came while this thread was busy, or the machine slept, may prove the contrary. */
  if (hypha_heartbeat_is_suspect (&self->heartbeat, hypha_link_now (self)) ||
      hypha_heartbeat_is_dead (&self->heartbeat, hypha_link_now (self))) {
    gboolean dead = hypha_heartbeat_is_dead (&self->heartbeat, hypha_link_now (self));
    guint turns = 0;

    hypha_link_write_out (self);
    do
      hypha_link_read (self);
    while (dead && self->stage == HYPHA_STAGE_FRAMES && self->patience == 0 && ++turns < LAST_LOOK);
  }
  if (self->stage != HYPHA_STAGE_FRAMES)
    return;
  if (hypha_heartbeat_is_dead (&self->heartbeat, hypha_link_now (self))) {
    timed_out (self);
    return;
  }
  if (!hypha_link_draw (self, &token, sizeof token))
    return;
  hypha_heartbeat_set_token (&self->heartbeat, token);
  if (hypha_heartbeat_take_ping (&self->heartbeat, hypha_link_now (self), &token))
    send_ping (self, token, TRUE);
  update_status (self);
  if (self->stage != HYPHA_STAGE_FRAMES)
    return;
  hypha_link_write_out (self);
  hypha_link_set_deadline (self, hypha_heartbeat_next (&self->heartbeat));
}

/**
 * hypha_link_confirmed: (skip)
 * @self: an established link
 * @all: whether nothing has gone over it since
 *
 * The peer has acknowledged data that went over this link and no other: it hears. With @all it has
 * heard everything, and need not be asked.
 */
void
hypha_link_confirmed (HyphaLink *self, gboolean all)
{
  if (self->stage != HYPHA_STAGE_FRAMES)
    return;
  hypha_heartbeat_confirmed (&self->heartbeat, hypha_link_now (self));
  if (!all)
    return;
  hypha_heartbeat_all_heard (&self->heartbeat);
  hypha_link_set_deadline (self, hypha_heartbeat_next (&self->heartbeat));
}

/**
 * hypha_link_configure: (skip)
 * @self: a link, on its worker
 * @ping_interval: microseconds between two pings
 * @link_timeout: microseconds without an answer after which the link is closed
 */
void
hypha_link_configure (HyphaLink *self, gint64 ping_interval, gint64 link_timeout)
{
  self->parameters.limits.ping_interval = ping_interval;
  self->parameters.limits.link_timeout = link_timeout;
  if (self->stage != HYPHA_STAGE_FRAMES)
    return;
  hypha_heartbeat_configure (&self->heartbeat, ping_interval, link_timeout);
  hypha_link_set_deadline (self, hypha_heartbeat_next (&self->heartbeat));
}

/**
 * hypha_link_set_static_cost: (skip)
 * @self: a link, on its worker
 * @static_cost: what this link costs before anything is measured
 *
 * Once established, changed is called from within.
 */
void
hypha_link_set_static_cost (HyphaLink *self, guint32 static_cost)
{
  atomic_store (&self->static_cost, static_cost);
  if (self->stage == HYPHA_STAGE_FRAMES)
    update_status (self);
}
