/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/link-private.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#include "link/farewell.h"

#define OUTPUT_MAX (256 * 1024)  /* queued above the kernel: what a ping may have to wait for */
#define OUTPUT_LOW (128 * 1024)  /* below which the owner is asked for more */
#define READ_BUDGET (512 * 1024) /* a wake-up, then other links have their turn */
#define READ_COST (16 * 1024)    /* at least, of a read: a small one takes its time too */
#define PATIENCE 1024            /* likewise, for frames */

static void kicked (HyphaTimer *timer);

/* Runs again without waiting for the descriptor. */
static void
kick (HyphaLink *self)
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

/* Writing */

static void
write_failed (HyphaLink *self, GError *error)
{
  /* It may have said why before it went: that is still to be read. */
  self->broken = error;
  hypha_output_clear (&self->output);
  hypha_output_init (&self->output);
  kick (self);
}

/* The heartbeat may be due sooner now. */
static void
note_sent (HyphaLink *self)
{
  if (hypha_heartbeat_sent (&self->heartbeat, hypha_link_now (self)))
    hypha_link_set_deadline (self, hypha_heartbeat_next (&self->heartbeat));
}

void
hypha_link_write_out (HyphaLink *self)
{
  guint64 sent = hypha_line_get_sent (&self->line);
  gboolean waited = self->blocked;
  HyphaLineResult result;
  GError *error = NULL;
  gsize written;

  if (self->broken != NULL)
    return;
  result = hypha_line_send (&self->line, &self->output, &written, &error);
  atomic_fetch_add (&self->status.tx_bytes, written);
  self->blocked = result == HYPHA_LINE_AGAIN;
  if (self->stage == HYPHA_STAGE_FRAMES) {
    gboolean moved = hypha_line_get_sent (&self->line) != sent;

    hypha_heartbeat_output (&self->heartbeat, self->blocked, moved, hypha_link_now (self));
    /* What had to wait was overtaken by pings, whose answers tell nothing of it. */
    if (waited && moved)
      note_sent (self);
  }
  if (result == HYPHA_LINE_ERROR)
    write_failed (self, error);
}

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

static void
update_events (HyphaLink *self)
{
  if (self->watch.worker != NULL)
    hypha_watch_set_events (&self->watch, wanted_events (self));
}

/**
 * hypha_link_has_room: (skip)
 * @self: a link
 *
 * Returns: whether a frame may be sent now; once it was %FALSE, writable is called when there is
 * room again
 */
gboolean
hypha_link_has_room (HyphaLink *self)
{
  /* What is sent after writing failed is thrown away, so there would be room for ever. */
  if (self->stage != HYPHA_STAGE_FRAMES || self->broken != NULL || self->output.lost)
    return FALSE;
  if (self->output.length < OUTPUT_MAX)
    return TRUE;
  self->room_asked = TRUE;
  return FALSE;
}

void
hypha_link_send (HyphaLink *self, HyphaFrameOut *out)
{
  if (self->stage != HYPHA_STAGE_FRAMES || self->broken != NULL) {
    hypha_frame_out_clear (out);
    return;
  }
  hypha_output_append (&self->output, out, FALSE);
  note_sent (self);
}

void
hypha_link_flush (HyphaLink *self)
{
  /* While the kernel takes no more, epoll tells when it does again. */
  if (self->stage != HYPHA_STAGE_FRAMES || (self->blocked && self->watch.worker != NULL))
    return;
  hypha_link_write_out (self);
  update_events (self);
}

static void
offer_room (HyphaLink *self)
{
  if (!self->room_asked || self->output.length > OUTPUT_LOW)
    return;
  self->room_asked = FALSE;
  if (self->events.writable != NULL)
    self->events.writable (self, self->user_data);
}

/* Reading */

static void
ended (HyphaLink *self, gboolean in_a_frame)
{
  gboolean frames = self->stage == HYPHA_STAGE_FRAMES;
  g_autoptr (GError) reason = hypha_channel_dup_error (self->channel);
  GError *error = g_error_new (HYPHA_ERROR, frames ? HYPHA_ERROR_FAILED : HYPHA_ERROR_HANDSHAKE,
                               _ ("The other end closed it%s%s%s"),
                               in_a_frame ? _ (" in the middle of a frame")
                               : frames   ? _ (" without a word")
                                          : "",
                               reason != NULL ? ": " : "", reason != NULL ? reason->message : "");

  hypha_link_fail (self, error);
}

/* The descriptor failed; during the handshake that is the handshake's failure. */
static void
line_failed (HyphaLink *self, GError *error)
{
  if (self->stage == HYPHA_STAGE_HANDSHAKE)
    error->code = HYPHA_ERROR_HANDSHAKE;
  hypha_link_fail (self, error);
}

static gboolean
is_reading (HyphaLink *self)
{
  return self->stage == HYPHA_STAGE_HANDSHAKE || self->stage == HYPHA_STAGE_FRAMES;
}

static gsize
take_bytes (HyphaLink *self, const guint8 *data, gsize length)
{
  gsize at = 0;

  /* The handshake stops where the frames begin. */
  while (self->stage == HYPHA_STAGE_HANDSHAKE && at < length)
    at += hypha_link_take_handshake (self, data + at, length - at);
  if (self->stage == HYPHA_STAGE_FRAMES && at < length)
    at += hypha_link_take_frames (self, data + at, length - at);
  return at;
}

/* Puts what was kept at the beginning of BUFFER. */
static gsize
restore_tail (HyphaLink *self, guint8 *buffer)
{
  g_autofree guint8 *tail = g_steal_pointer (&self->tail);

  if (tail == NULL)
    return 0;
  memcpy (buffer, tail, self->tail_length);
  return self->tail_length;
}

static void
keep_tail (HyphaLink *self, const guint8 *data, gsize length)
{
  if (length == 0)
    return;
  self->tail = g_try_malloc (length);
  if (self->tail == NULL) {
    line_failed (self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED,
                                    _ ("There is no memory for %zu bytes that came"), length));
    return;
  }
  memcpy (self->tail, data, length);
  self->tail_length = length;
}

void
hypha_link_read (HyphaLink *self)
{
  HyphaWorker *worker = self->worker;
  gsize size, length, budget = READ_BUDGET;
  /* The tail may be all that a read brought, and others have kept bytes in the buffer since. */
  guint8 *buffer = hypha_worker_scratch (worker, self->tail != NULL ? self->tail_length : 0, &size);
  guint8 *rest;
  HyphaLineResult result = HYPHA_LINE_DONE;
  GError *error = NULL;

  self->line.drained = FALSE;
  self->patience = PATIENCE;
  length = restore_tail (self, buffer);
  for (;;) {
    gsize taken = take_bytes (self, buffer, length), max, n;

    length -= taken;
    rest = buffer + taken;
    buffer = hypha_worker_scratch (worker, 0, &size);
    if (length > 0 && buffer != rest)
      memmove (buffer, rest, length);
    if (!is_reading (self) || budget == 0 || self->patience == 0 || self->line.drained)
      break;
    max = self->stage == HYPHA_STAGE_FRAMES ? size - length : HYPHA_HANDSHAKE_MAX;
    result = hypha_line_read (&self->line, buffer + length, max, &n, &error);
    if (result != HYPHA_LINE_DONE)
      break;
    length += n;
    budget -= MIN (budget, MAX (n, READ_COST));
    atomic_fetch_add (&self->status.rx_bytes, n);
  }
  if (self->stage == HYPHA_STAGE_CLOSED || self->stage == HYPHA_STAGE_CLOSING)
    return;
  if (result == HYPHA_LINE_ERROR)
    line_failed (self, error);
  else if (result == HYPHA_LINE_EOF)
    ended (self, length > 0);
  else
    keep_tail (self, buffer, length);
  /* What TLS holds, or lies in the tail, epoll does not know of. */
  if (is_reading (self) && (self->patience == 0 || (budget == 0 && self->line.tls != NULL)))
    kick (self);
}

/* Running */

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
  if (is_reading (self) && readable)
    hypha_link_read (self);
  if (broken && is_reading (self))
    line_failed (self, g_steal_pointer (&self->broken));
  if (is_reading (self) || self->stage == HYPHA_STAGE_CLOSING)
    hypha_link_write_out (self);
  if (self->stage == HYPHA_STAGE_FRAMES)
    offer_room (self);
  if (self->stage == HYPHA_STAGE_CLOSING)
    finish_closing (self);
  update_events (self);
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
  update_events (self);
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
  kick (self);
}

/**
 * hypha_link_start: (skip)
 * @self: a new link
 * @worker: the current worker, on which it lives
 *
 * Begins; every event comes later, from the loop of @worker.
 */
void
hypha_link_start (HyphaLink *self, HyphaWorker *worker)
{
  gint64 now = hypha_worker_now (worker);
  const HyphaLinkLimits *limits = &self->parameters.limits;

  g_assert (self->stage == HYPHA_STAGE_NEW && self->worker == NULL);
  if (!self->parameters.initiator)
    hypha_link_begin (self);
  attach (self, worker);
  /* There is nothing to do before the other end speaks: whoever is the worker's guest here need not
   * wake it. */
  if (!self->parameters.initiator && self->broken == NULL)
    hypha_timer_cancel (&self->kick);
  self->deadline = now + limits->handshake_timeout;
  hypha_link_set_deadline (self, self->parameters.initiator
                                     ? self->deadline
                                     : MIN (self->deadline, now + limits->first_byte_timeout));
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
