/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/link-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define OUTPUT_MAX (256 * 1024)  /* queued above the kernel: what a ping may have to wait for */
#define OUTPUT_LOW (128 * 1024)  /* below which the owner is asked for more */
#define READ_BUDGET (512 * 1024) /* a wake-up, then other links have their turn */
#define READ_COST (16 * 1024)    /* at least, of a read: a small one takes its time too */
#define PATIENCE 1024            /* likewise, for frames */

/* Writing */

static void
write_failed (HyphaLink *self, GError *error)
{
  /* It may have said why before it went: that is still to be read. */
  self->broken = error;
  hypha_output_clear (&self->output);
  hypha_output_init (&self->output);
  hypha_link_kick (self);
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
  self->unacknowledged = out->head[0] != HYPHA_FRAME_DATA;
  hypha_output_append (&self->output, out, FALSE);
  note_sent (self);
}

void
hypha_link_flush (HyphaLink *self)
{
  /* While the kernel takes no more, epoll tells when it does again. */
  if (self->stage != HYPHA_STAGE_FRAMES || (self->blocked && self->watch.worker != NULL))
    return;
  hypha_link_ask_along (self);
  hypha_link_write_out (self);
  hypha_link_update_events (self);
}

void
hypha_link_offer_room (HyphaLink *self)
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
void
hypha_link_line_failed (HyphaLink *self, GError *error)
{
  g_autoptr (GError) reason = hypha_channel_dup_error (self->channel);

  if (reason != NULL) {
    char *message = g_strconcat (error->message, ": ", reason->message, NULL);

    g_free (error->message);
    error->message = message;
  }
  if (self->stage == HYPHA_STAGE_HANDSHAKE)
    error->code = HYPHA_ERROR_HANDSHAKE;
  hypha_link_fail (self, error);
}

gboolean
hypha_link_is_reading (HyphaLink *self)
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
    hypha_link_line_failed (self,
                            g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED,
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
    if (!hypha_link_is_reading (self) || budget == 0 || self->patience == 0 || self->line.drained)
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
    hypha_link_line_failed (self, error);
  else if (result == HYPHA_LINE_EOF)
    ended (self, length > 0);
  else
    keep_tail (self, buffer, length);
  /* What TLS holds, or lies in the tail, epoll does not know of. */
  if (hypha_link_is_reading (self) &&
      (self->patience == 0 || (budget == 0 && self->line.tls != NULL)))
    hypha_link_kick (self);
}
