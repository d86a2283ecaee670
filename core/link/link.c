/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/link-private.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <sys/epoll.h>

#include "link/farewell.h"

static void kicked (HyphaTimer *timer);

/* Runs again without waiting for the descriptor. */
void
hypha_link_kick (HyphaLink *self)
{
  hypha_timer_set (&self->kick, self->worker, 0, kicked, self);
}

gint64
hypha_link_now (HyphaLink *self)
{
  return hypha_worker_now (self->worker);
}

/* Life */

static gboolean
adopt_channel (HyphaLink *self, HyphaChannel *channel, GError **error)
{
  self->line.fd = hypha_channel_steal_fd (channel);
  if (self->line.fd < 0) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                         _ ("The channel has no descriptor (any more)"));
    return FALSE;
  }
  self->channel = g_object_ref (channel);
  return TRUE;
}

/**
 * hypha_link_new: (skip)
 * @channel: what the transport gave; its descriptor is the link's from now on
 * @parameters: copied
 * @error: return location for a #GError
 *
 * Returns: (transfer full) (nullable): a link that waits for hypha_link_start(), or %NULL with
 * %HYPHA_ERROR_FAILED if
 *   @channel has no descriptor any more
 */
HyphaLink *
hypha_link_new (HyphaChannel *channel, const HyphaLinkParameters *parameters, GError **error)
{
  HyphaLink *self = g_new0 (HyphaLink, 1);

  self->line.fd = -1;
  if (!adopt_channel (self, channel, error)) {
    g_free (self);
    return NULL;
  }
  self->refs = 1;
  self->parameters = *parameters;
  hypha_identity_ref (self->parameters.identity);
  if (parameters->wanted != NULL) {
    self->wanted = *parameters->wanted;
    self->parameters.wanted = &self->wanted;
  }
  hypha_output_init (&self->output);
  atomic_init (&self->static_cost, parameters->static_cost);
  atomic_init (&self->status.cost, parameters->static_cost);
  return self;
}

static void
link_unref (HyphaLink *self)
{
  if (--self->refs > 0)
    return;
  g_assert (self->stage == HYPHA_STAGE_CLOSED);
  hypha_output_clear (&self->output);
  g_free (self->tail);
  g_clear_pointer (&self->handshake, hypha_handshake_free);
  g_clear_error (&self->broken);
  g_clear_error (&self->ending);
  hypha_identity_unref (self->parameters.identity);
  g_object_unref (self->channel);
  g_free (self);
}

/* Every way in that may call back, and be answered by a free. */
static void
enter (HyphaLink *self)
{
  self->refs++;
}

static void
leave (HyphaLink *self)
{
  HyphaLinkEvents events = self->events;
  gpointer user_data = self->user_data;
  gboolean deciding = self->deciding;

  self->deciding = FALSE;
  /* From decide on, another thread may have the link: it is the last thing that is done here. */
  if (deciding)
    self->refs--;
  else
    link_unref (self);
  if (deciding && events.decide != NULL)
    events.decide (self, user_data);
}

static void
detach (HyphaLink *self)
{
  hypha_watch_stop (&self->watch);
  hypha_timer_cancel (&self->kick);
  hypha_timer_cancel (&self->timer);
  self->worker = NULL;
}

static void
shut (HyphaLink *self)
{
  detach (self);
  self->deciding = FALSE;
  self->stage = HYPHA_STAGE_CLOSED;
  hypha_line_close (&self->line, self->broken == NULL);
  /* Now, on its thread: what was not sent shares chunks with the session there, and the owner may
   * free the link elsewhere. */
  hypha_output_clear (&self->output);
  hypha_output_init (&self->output);
}

static void
finish (HyphaLink *self, const GError *error)
{
  if (self->stage == HYPHA_STAGE_CLOSED)
    return;
  shut (self);
  if (self->events.closed != NULL)
    self->events.closed (self, error, self->user_data);
}

static char *
describe_other_end (HyphaLink *self)
{
  HyphaEndpoint *remote = hypha_channel_get_remote (self->channel);
  HyphaEndpoint *local = hypha_channel_get_local (self->channel);

  if (remote != NULL)
    return g_strdup (hypha_endpoint_to_string (remote));
  if (local != NULL)
    return g_strdup_printf (_ ("a caller of %s"), hypha_endpoint_to_string (local));
  return g_strdup (_ ("an unknown caller"));
}

static void
add_context (HyphaLink *self, GError *error)
{
  g_autofree char *other_end = describe_other_end (self);

  g_prefix_error (
      &error, self->stage == HYPHA_STAGE_FRAMES ? _ ("Link with %s: ") : _ ("Handshake with %s: "),
      other_end);
}

void
hypha_link_fail (HyphaLink *self, GError *error)
{
  g_autoptr (GError) owned = error;

  add_context (self, owned);
  finish (self, owned);
}

void
hypha_link_fail_later (HyphaLink *self, GError *error)
{
  add_context (self, error);
  self->ending = error;
  self->stage = HYPHA_STAGE_CLOSING;
}

void
hypha_link_part (HyphaLink *self, HyphaAway away)
{
  HyphaWorker *worker = self->worker;

  if (self->stage != HYPHA_STAGE_FRAMES || self->broken != NULL)
    return;
  hypha_link_send_goaway (self, away);
  detach (self);
  hypha_farewell_start (worker, &self->line, &self->output);
}

/**
 * hypha_link_close: (skip)
 * @self: a link, on its worker or on none
 * @away: what the peer of an established link is told
 * @code: of the error that the owner is told
 * @reason: likewise
 *
 * Closes at once; closed is called from within. The peer is told what the session had to say (but
 * for DATA that waits), then @away, while nobody waits here: see hypha_farewell_finish().
 */
void
hypha_link_close (HyphaLink *self, HyphaAway away, HyphaError code, const char *reason)
{
  g_autoptr (GError) error = g_error_new_literal (HYPHA_ERROR, (int) code, reason);

  enter (self);
  hypha_link_part (self, away);
  finish (self, error);
  leave (self);
}

/**
 * hypha_link_free: (skip)
 * @self: (transfer full): a link that is on the current worker, or on none
 *
 * Closes it in silence, if it is not closed: nothing is called any more.
 */
void
hypha_link_free (HyphaLink *self)
{
  if (self->stage != HYPHA_STAGE_CLOSED)
    shut (self);
  self->events = (HyphaLinkEvents){ 0 };
  link_unref (self);
}

/* Running */

static guint32
wanted_events (HyphaLink *self)
{
  switch (self->stage) {
  case HYPHA_STAGE_TLS:
    return self->tls_waits_to_write ? EPOLLOUT : EPOLLIN;
  case HYPHA_STAGE_CLOSING:
    return EPOLLOUT;
  case HYPHA_STAGE_FRAMES:
  case HYPHA_STAGE_HANDSHAKE:
    return EPOLLIN | (self->blocked || self->room_asked ? EPOLLOUT : 0);
  default:
    return EPOLLIN;
  }
}

void
hypha_link_update_events (HyphaLink *self)
{
  if (self->watch.worker != NULL)
    hypha_watch_set_events (&self->watch, wanted_events (self));
}

static void
finish_closing (HyphaLink *self)
{
  g_autoptr (GError) error = NULL;

  if (self->blocked)
    return;
  error = g_steal_pointer (&self->ending);
  finish (self, error);
}

/* Whatever can be done now: for the stages in their order, since one leads to the next. */
static void
run (HyphaLink *self, gboolean readable)
{
  gboolean broken = self->broken != NULL;

  if (self->watch.worker == NULL) {
    hypha_link_fail (self, g_steal_pointer (&self->broken));
    return;
  }
  if (self->stage == HYPHA_STAGE_NEW)
    hypha_link_begin (self);
  if (self->stage == HYPHA_STAGE_FIRST_BYTE)
    hypha_link_look_at_first_byte (self);
  if (self->stage == HYPHA_STAGE_PREAMBLE)
    hypha_link_read_preamble (self);
  if (self->stage == HYPHA_STAGE_TLS)
    hypha_link_go_on_with_tls (self);
  if (self->stage == HYPHA_STAGE_HANDSHAKE)
    hypha_link_go_on_with_handshake (self);
  if (hypha_link_is_reading (self) && readable)
    hypha_link_read (self);
  if (broken && hypha_link_is_reading (self))
    hypha_link_line_failed (self, g_steal_pointer (&self->broken));
  if (hypha_link_is_reading (self) || self->stage == HYPHA_STAGE_CLOSING)
    hypha_link_write_out (self);
  if (self->stage == HYPHA_STAGE_FRAMES)
    hypha_link_offer_room (self);
  if (self->stage == HYPHA_STAGE_CLOSING)
    finish_closing (self);
  hypha_link_update_events (self);
}

static void
ready (HyphaWatch *watch, guint32 events)
{
  HyphaLink *self = watch->user_data;

  enter (self);
  run (self, events != EPOLLOUT);
  leave (self);
}

static void
kicked (HyphaTimer *timer)
{
  HyphaLink *self = timer->user_data;

  enter (self);
  run (self, TRUE);
  leave (self);
}

static void
deadline_passed (HyphaLink *self)
{
  const HyphaLinkLimits *limits = &self->parameters.limits;
  gboolean silent = self->stage == HYPHA_STAGE_FIRST_BYTE;

  if (self->stage == HYPHA_STAGE_CLOSING) {
    self->blocked = FALSE; /* it does not listen: then without a farewell */
    finish_closing (self);
    return;
  }
  hypha_link_fail (
      self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                         silent ? _ ("The other end said nothing for %" PRId64 " ms")
                                : _ ("It was not done after %" PRId64 " ms"),
                         (silent ? limits->first_byte_timeout : limits->handshake_timeout) / 1000));
}

static void
timer_fired (HyphaTimer *timer)
{
  HyphaLink *self = timer->user_data;

  enter (self);
  if (self->stage == HYPHA_STAGE_FRAMES)
    hypha_link_beat (self);
  else
    deadline_passed (self);
  hypha_link_update_events (self);
  leave (self);
}

void
hypha_link_set_deadline (HyphaLink *self, gint64 due)
{
  hypha_timer_set (&self->timer, self->worker, due, timer_fired, self);
}

/* All that happens, happens from the worker's loop: nothing is called back from here. */
static void
attach (HyphaLink *self, HyphaWorker *worker)
{
  self->worker = worker;
  hypha_watch_start (&self->watch, worker, self->line.fd, wanted_events (self), ready, self,
                     &self->broken);
  hypha_link_kick (self);
}

/* A token comes with the connection, mostly, and costs nothing to read: no thread need wake for it.
 * Nor need one before the other end speaks, so whoever is the worker's guest here leaves it asleep.
 */
static void
start_to_listen (HyphaLink *self)
{
  enter (self);
  hypha_link_begin (self);
  if (hypha_link_begins_with_preamble (self))
    hypha_link_look_at_first_byte (self);
  if (self->stage == HYPHA_STAGE_PREAMBLE)
    hypha_link_read_preamble (self);
  if (self->worker != NULL) {
    attach (self, self->worker);
    if (self->broken == NULL)
      hypha_timer_cancel (&self->kick);
  }
  leave (self);
}

/**
 * hypha_link_start: (skip)
 * @self: a new link
 * @worker: the current worker, on which it lives
 *
 * Begins; every event comes later, from the loop of @worker, but for decide where a token has been
 * shown already, and closed where that is none.
 */
void
hypha_link_start (HyphaLink *self, HyphaWorker *worker)
{
  gint64 now = hypha_worker_now (worker);
  const HyphaLinkLimits *limits = &self->parameters.limits;

  g_assert (self->stage == HYPHA_STAGE_NEW && self->worker == NULL);
  self->worker = worker;
  self->deadline = now + limits->handshake_timeout;
  hypha_link_set_deadline (self, self->parameters.initiator
                                     ? self->deadline
                                     : MIN (self->deadline, now + limits->first_byte_timeout));
  if (self->parameters.initiator)
    attach (self, worker);
  else
    start_to_listen (self);
}

void
hypha_link_park (HyphaLink *self)
{
  detach (self);
  self->stage = HYPHA_STAGE_PARKED;
  self->deciding = TRUE;
}

void
hypha_link_unpark (HyphaLink *self, HyphaWorker *worker)
{
  g_assert (self->stage == HYPHA_STAGE_PARKED);
  self->stage = HYPHA_STAGE_HANDSHAKE;
  attach (self, worker);
  hypha_link_set_deadline (self, self->deadline);
}

/* Asking */

void
hypha_link_set_events (HyphaLink *self, const HyphaLinkEvents *events, gpointer user_data)
{
  self->events = *events;
  self->user_data = user_data;
}

gboolean
hypha_link_has_heard (HyphaLink *self)
{
  return atomic_load (&self->heard);
}

gboolean
hypha_link_has_been_spoken_to (HyphaLink *self)
{
  return atomic_load (&self->spoken_to);
}

HyphaChannel *
hypha_link_get_channel (HyphaLink *self)
{
  return self->channel;
}

gboolean
hypha_link_is_initiator (HyphaLink *self)
{
  return self->parameters.initiator;
}

HyphaLinkClass
hypha_link_get_class (HyphaLink *self)
{
  return self->link_class;
}

const guint8 *
hypha_link_get_token (HyphaLink *self)
{
  return self->preamble_length == sizeof self->preamble ? hypha_preamble_get_token (self->preamble)
                                                        : NULL;
}

int
hypha_link_steal_fd (HyphaLink *self)
{
  g_assert (self->stage == HYPHA_STAGE_PARKED && self->line.tls == NULL);
  return g_steal_fd (&self->line.fd);
}

gboolean
hypha_link_knows_direct (HyphaLink *self)
{
  return self->knows_direct;
}

const HyphaNodeId *
hypha_link_get_peer (HyphaLink *self)
{
  return &self->peer;
}

const HyphaInstance *
hypha_link_get_peer_instance (HyphaLink *self)
{
  return &self->peer_instance;
}

const HyphaHandshakeNumbers *
hypha_link_get_peer_numbers (HyphaLink *self)
{
  return &self->peer_numbers;
}

guint64
hypha_link_get_fingerprint (HyphaLink *self)
{
  return self->fingerprint;
}

guint
hypha_link_get_pairing (HyphaLink *self)
{
  return self->pairing;
}

guint
hypha_link_get_digits (HyphaLink *self)
{
  return self->digits;
}

guint64
hypha_link_get_nonce_tick (HyphaLink *self)
{
  return self->nonce_tick;
}

HyphaRejectCode
hypha_link_get_rejected (HyphaLink *self, guint64 *highest)
{
  if (highest != NULL)
    *highest = self->rejected_highest;
  return self->rejected;
}

HyphaAway
hypha_link_get_away (HyphaLink *self)
{
  return self->away;
}

guint32
hypha_link_get_static_cost (HyphaLink *self)
{
  return atomic_load (&self->static_cost);
}

const HyphaLinkStatus *
hypha_link_get_status (HyphaLink *self)
{
  return &self->status;
}
