/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-flow-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MAX_PONGS (128 * 1024) /* bytes that wait to go out */

/* ---- to the descriptor ---- */

static void
count_delivered (WebsocketFlow *self, gsize n)
{
  char text[WEBSOCKET_MAX_ORDER];
  int length;

  self->delivered += n;
  if (!self->hypha || self->in_ended || self->close_sent || self->stream_over ||
      self->delivered < WEBSOCKET_WINDOW / 4)
    return;
  length = g_snprintf (text, sizeof text, "credit %" G_GUINT64_FORMAT, self->delivered);
  websocket_flow_append (self, WEBSOCKET_TEXT, text, (gsize) length);
  self->allowance += self->delivered;
  self->delivered = 0;
}

gsize
websocket_flow_send_down (WebsocketFlow *self, const guint8 *data, gsize size)
{
  gssize n = self->reader_gone ? (gssize) size : send (self->fd, data, size, MSG_NOSIGNAL);

  if (n < 0 && errno != EAGAIN && errno != EINTR) {
    self->reader_gone = TRUE;
    n = (gssize) size;
  }
  n = MAX (n, 0);
  count_delivered (self, (gsize) n);
  return (gsize) n;
}

static void
deliver (WebsocketFlow *self, const guint8 *data, gsize size)
{
  gsize n = websocket_queue_left (&self->in) == 0 ? websocket_flow_send_down (self, data, size) : 0;

  self->moved = TRUE;
  if (n < size)
    g_byte_array_append (self->in.bytes, data + n, (guint) (size - n));
}

/* ---- what comes ---- */

static void
take_order (WebsocketFlow *self)
{
  const char *number = self->order + strlen ("credit ");
  guint64 credit;

  if (g_str_equal (self->order, "end")) {
    if (self->in_ended)
      websocket_flow_fail_by_protocol (self, "two ends");
    self->in_ended = TRUE;
  } else if (g_str_has_prefix (self->order, "credit ") &&
             g_ascii_string_to_unsigned (number, 10, 1, WEBSOCKET_WINDOW, &credit, NULL)) {
    /* What was sent and not yet taken is all that there can be credit for. */
    if (credit > WEBSOCKET_WINDOW - self->credit)
      websocket_flow_fail_by_protocol (self, "an order of credit for what was never sent");
    else
      self->credit += credit;
  } else
    websocket_flow_fail_by_protocol (self, "an order that there is not");
}

static void
take_message (WebsocketFlow *self, const WebsocketPiece *piece)
{
  if (self->hypha && piece->opcode == WEBSOCKET_TEXT) {
    if (piece->size > WEBSOCKET_MAX_ORDER - self->order_size ||
        (piece->size > 0 && memchr (piece->data, '\0', piece->size) != NULL)) {
      websocket_flow_fail_by_protocol (self, "an order that there is not");
      return;
    }
    if (piece->size > 0)
      memcpy (self->order + self->order_size, piece->data, piece->size);
    self->order_size += (guint) piece->size;
    self->order[self->order_size] = '\0';
    if (!piece->last)
      return;
    self->order_size = 0;
    take_order (self);
    return;
  }
  if (piece->size == 0)
    return;
  if (self->in_ended)
    websocket_flow_fail_by_protocol (self, "bytes behind the end");
  else if (self->hypha && piece->size > self->allowance)
    websocket_flow_fail_by_protocol (self, "more bytes than there was credit for");
  else {
    if (self->hypha)
      self->allowance -= piece->size;
    deliver (self, piece->data, piece->size);
  }
}

/* Whether something that the program has written is still here. */
static gboolean
has_unsent (WebsocketFlow *self)
{
  int unread = 0;

  return self->out.data_end > self->out.done ||
         (!self->out_ended && ioctl (self->fd, FIONREAD, &unread) == 0 && unread > 0);
}

static void
take_close (WebsocketFlow *self, const WebsocketPiece *piece)
{
  g_autofree char *reason = NULL;
  guint code = websocket_close_parse (piece->data, piece->size, &reason);
  gboolean well = code == WEBSOCKET_CLOSE_NORMAL || code == WEBSOCKET_CLOSE_NONE;

  if (code == 0) {
    websocket_flow_fail_by_protocol (self, "a close frame that is none");
    return;
  }
  self->close_received = TRUE;
  if (!well)
    websocket_flow_keep_error (self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET,
                                                  _ ("%s closed the connection with code %u%s%s"),
                                                  self->name, code, reason != NULL ? ": " : "",
                                                  reason != NULL ? reason : ""));
  else if (self->hypha ? !self->in_ended : self->decoder.message != WEBSOCKET_CONTINUATION)
    websocket_flow_keep_error (self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET,
                                                  _ ("%s closed the connection before its end"),
                                                  self->name));
  else if (has_unsent (self) && !self->close_sent)
    websocket_flow_keep_error (
        self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET,
                           _ ("%s closed the connection without taking the rest"), self->name));
  self->in_ended = TRUE;
  if (!self->out_ended)
    shutdown (self->fd, SHUT_RD);
  self->out_ended = TRUE;
  /* The answer is the same code. */
  websocket_flow_send_close (self, code == WEBSOCKET_CLOSE_NONE ? WEBSOCKET_CLOSE_NORMAL : code);
}

static void
take_piece (WebsocketFlow *self, const WebsocketPiece *piece)
{
  switch (piece->opcode) {
  case WEBSOCKET_CLOSE:
    take_close (self, piece);
    break;
  case WEBSOCKET_PING:
    /* Who asks without reading the answers gets none. */
    if (!self->close_sent && websocket_queue_left (&self->out) < MAX_PONGS)
      websocket_flow_append (self, WEBSOCKET_PONG, piece->data, piece->size);
    break;
  case WEBSOCKET_PONG:
    break;
  default:
    take_message (self, piece);
  }
}

void
websocket_flow_feed (WebsocketFlow *self, guint8 *data, gsize size)
{
  WebsocketVerdict verdict = WEBSOCKET_PIECE;
  WebsocketPiece piece;

  while (verdict == WEBSOCKET_PIECE && !self->stream_over && !self->close_received) {
    verdict = websocket_decoder_next (&self->decoder, &data, &size, &piece);
    if (verdict == WEBSOCKET_PIECE)
      take_piece (self, &piece);
  }
  if (verdict == WEBSOCKET_BROKEN)
    websocket_flow_fail_by_code (self, self->decoder.code, self->decoder.broken);
}
