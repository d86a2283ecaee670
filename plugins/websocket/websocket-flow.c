/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-flow-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER WEBSOCKET_BUFFER
#define TURNS 4           /* buffers a turn, so that nobody waits long */
#define MAX_WAITING 65536 /* what goes out waits for this much, control frames aside */
#define END_MS 2000
#define MS 1000000 /* in nanoseconds */

static void update (WebsocketFlow *self);

/* ---- the end ---- */

void
websocket_flow_keep_error (WebsocketFlow *self, GError *error)
{
  pthread_mutex_lock (&self->mutex);
  if (self->error == NULL)
    self->error = g_steal_pointer (&error);
  pthread_mutex_unlock (&self->mutex);
  g_clear_error (&error);
}

static void
finish_if_over (WebsocketFlow *self)
{
  if (!self->stream_over || !self->in_shut || self->fd < 0)
    return;
  hypha_loop_unwatch (self->loop, &self->pair);
  hypha_loop_set_timer (self->loop, &self->deadline, HYPHA_LOOP_NEVER);
  close (g_steal_fd (&self->fd));
  if (self->over != NULL)
    self->over (self->over_data);
  /* Who is ready in this turn may be this one. */
  hypha_loop_call (self->loop, websocket_flow_unref, self);
  hypha_loop_release (self->loop);
}

/* No byte comes from the stream, or goes there, from here on. What has come is still delivered. */
static void
end_stream (WebsocketFlow *self)
{
  if (self->stream_over)
    return;
  self->stream_over = TRUE;
  self->in_ended = TRUE;
  websocket_clear_source (&self->readable);
  websocket_clear_source (&self->writable);
  hypha_loop_unwatch (self->loop, &self->wire);
  hypha_loop_set_timer (self->loop, &self->ticker, HYPHA_LOOP_NEVER);
  if (!self->out_ended)
    shutdown (self->fd, SHUT_RD);
  self->out_ended = TRUE;
  /* Not the stream: TLS would wait for a place to say good-bye, on a thread that all share. The
   * WebSocket has said it. */
  g_socket_close (self->socket, NULL);
}

void
websocket_flow_append (WebsocketFlow *self, WebsocketOpcode opcode, gconstpointer data, gsize size)
{
  guint8 mask[4];

  if (self->client && getrandom (mask, sizeof mask, 0) != sizeof mask)
    memcpy (mask, &(guint32){ g_random_int () }, sizeof mask);
  websocket_append_frame (self->out.bytes, opcode, self->client ? mask : NULL, data, size);
}

/* Writes what it can; gives the error of the stream, or NULL. */
static GError *
flush (WebsocketFlow *self)
{
  GPollableOutputStream *out =
      G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (self->stream));

  while (websocket_queue_left (&self->out) > 0) {
    g_autoptr (GError) error = NULL;
    gssize n = g_pollable_output_stream_write_nonblocking (
        out, self->out.bytes->data + self->out.done, websocket_queue_left (&self->out), NULL,
        &error);

    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
      return NULL;
    if (n < 0)
      return g_steal_pointer (&error);
    websocket_queue_take (&self->out, (gsize) n);
  }
  return NULL;
}

/* Ends it with an error, and says the CODE to the other end if that can hear it. Takes ERROR. */
static void
fail (WebsocketFlow *self, guint code, GError *error)
{
  const guint8 payload[] = { (guint8) (code >> 8), (guint8) code };

  websocket_flow_keep_error (self, error);
  if (self->stream_over)
    return;
  if (code != 0 && !self->close_sent) {
    self->close_sent = TRUE;
    websocket_flow_append (self, WEBSOCKET_CLOSE, payload, sizeof payload);
    error = flush (self);
    g_clear_error (&error);
  }
  end_stream (self);
}

void
websocket_flow_fail_by_code (WebsocketFlow *self, guint code, const char *why)
{
  fail (self, code,
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                     _ ("%s broke the protocol of WebSockets, and was cut off: %s"), self->name,
                     why));
}

void
websocket_flow_fail_by_protocol (WebsocketFlow *self, const char *why)
{
  websocket_flow_fail_by_code (self, WEBSOCKET_CLOSE_PROTOCOL, why);
}

static gboolean wants_more (WebsocketFlow *self);

static void
on_deadline (gpointer data, guint64 now)
{
  WebsocketFlow *self = data;

  if (websocket_queue_left (&self->out) > 0 || !self->out_ended)
    fail (self, 0,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                       _ ("%s did not take the rest within %d ms of the end"), self->name, END_MS));
  else if (!self->in_ended && !self->reader_gone) {
    /* The program has ended and still reads: what was on its way comes first, before the answer. */
    if (self->moved || !wants_more (self)) {
      self->moved = FALSE;
      hypha_loop_set_timer (self->loop, &self->deadline, now + END_MS * MS);
      return;
    }
    fail (self, 0,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                       _ ("%s did not answer the end within %d ms, and may have had more to say"),
                       self->name, END_MS));
  }
  end_stream (self);
  update (self);
}

static void
begin_end (WebsocketFlow *self)
{
  if (self->deadline.place > 0 || self->stream_over)
    return;
  self->moved = FALSE;
  hypha_loop_set_timer (self->loop, &self->deadline, hypha_loop_now () + END_MS * MS);
}

void
websocket_flow_send_close (WebsocketFlow *self, guint code)
{
  const guint8 payload[] = { (guint8) (code >> 8), (guint8) code };

  if (self->close_sent || self->stream_over)
    return;
  websocket_flow_append (self, WEBSOCKET_CLOSE, payload, sizeof payload);
  self->close_sent = TRUE;
  begin_end (self);
}

/* The stream ended, or broke, without a close frame. */
static void
take_cut (WebsocketFlow *self, const GError *error)
{
  /* Whoever has said all may go as he likes. */
  if (self->close_sent && self->in_ended && websocket_queue_left (&self->out) == 0)
    end_stream (self);
  else
    fail (self, 0,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET,
                       _ ("the connection with %s was cut without a word (code %d)%s%s"),
                       self->name, WEBSOCKET_CLOSE_CUT, error != NULL ? ": " : "",
                       error != NULL ? error->message : ""));
}

static gboolean
wants_more (WebsocketFlow *self)
{
  /* Between two nodes there is credit, and pings are always heard; elsewhere the network has to
   * hold back whoever sends faster than is read. */
  return !self->stream_over && !self->close_received &&
         (self->hypha || self->reader_gone || websocket_queue_left (&self->in) == 0);
}

static void
take_stream (WebsocketFlow *self)
{
  GInputStream *in = g_io_stream_get_input_stream (self->stream);
  guint8 *buffer = websocket_state_get (self->loop)->buffer;

  for (guint i = 0; i < TURNS && wants_more (self); i++) {
    g_autoptr (GError) error = NULL;
    gssize n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (in), buffer,
                                                         BUFFER, NULL, &error);

    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
      break;
    if (n <= 0) {
      take_cut (self, error);
      break;
    }
    self->heard = TRUE;
    websocket_flow_feed (self, buffer, (gsize) n);
  }
}

static gboolean
on_readable (GObject *source, gpointer data)
{
  take_stream (data);
  update (data);
  return G_SOURCE_CONTINUE;
}

/* ---- what goes ---- */

static gboolean
may_take (WebsocketFlow *self)
{
  return !self->out_ended && !self->close_sent && websocket_queue_left (&self->out) < MAX_WAITING &&
         (!self->hypha || self->credit > 0);
}

static void
take_end (WebsocketFlow *self)
{
  self->out_ended = TRUE;
  if (self->cut)
    websocket_flow_send_close (self, WEBSOCKET_CLOSE_GOING_AWAY);
  else if (self->hypha)
    websocket_flow_append (self, WEBSOCKET_TEXT, "end", 3);
  else
    websocket_flow_send_close (self, WEBSOCKET_CLOSE_NORMAL);
}

static void
take_descriptor (WebsocketFlow *self)
{
  guint8 *buffer = websocket_state_get (self->loop)->buffer;
  GError *error = NULL;

  for (guint i = 0; i < TURNS && may_take (self) && error == NULL; i++) {
    gsize room = self->hypha ? (gsize) MIN (self->credit, BUFFER) : BUFFER;
    gssize n = recv (self->fd, buffer, room, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      break;
    if (n <= 0) {
      /* The kernel tells that way of bytes that the program has not read. */
      self->cut = self->cut || n < 0;
      take_end (self);
      break;
    }
    if (self->hypha)
      self->credit -= (guint64) n;
    websocket_flow_append (self, WEBSOCKET_BINARY, buffer, (gsize) n);
    self->out.data_end = self->out.bytes->len;
    error = flush (self);
  }
  if (error != NULL)
    take_cut (self, error);
  g_clear_error (&error);
}

/* ---- who is ready ---- */

static gboolean
on_writable (GObject *source, gpointer data)
{
  update (data);
  return G_SOURCE_CONTINUE;
}

/* The socket, without any TLS; what waits to go there, update() sends. */
static void
on_wire (gpointer data, guint32 events)
{
  WebsocketFlow *self = data;

  if ((events & ~(guint32) EPOLLOUT) != 0)
    take_stream (self);
  update (self);
}

/* The program has closed its end, or shut both directions. */
static void
hang_up (WebsocketFlow *self)
{
  self->hung_up = TRUE;
  self->reader_gone = TRUE;
  self->cut = self->cut || websocket_queue_left (&self->in) > 0;
  begin_end (self);
}

static void
on_pair (gpointer data, guint32 events)
{
  WebsocketFlow *self = data;

  if ((events & EPOLLHUP) != 0 && !self->hung_up)
    hang_up (self);
  if ((events & ~(guint32) EPOLLOUT) != 0)
    take_descriptor (self);
  if (websocket_queue_left (&self->in) > 0)
    websocket_queue_take (&self->in,
                          websocket_flow_send_down (self, self->in.bytes->data + self->in.done,
                                                    websocket_queue_left (&self->in)));
  update (self);
}

static void
on_tick (gpointer data, guint64 now)
{
  WebsocketFlow *self = data;
  GInputStream *in = g_io_stream_get_input_stream (self->stream);

  hypha_loop_set_timer (self->loop, &self->ticker, now + (guint64) self->ping_ms * MS);
  /* After a while in which this process was held up, the answer may be there and not read. */
  if (self->asked && !self->heard && wants_more (self) &&
      !g_pollable_input_stream_is_readable (G_POLLABLE_INPUT_STREAM (in)))
    fail (self, WEBSOCKET_CLOSE_GOING_AWAY,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                       _ ("%s did not answer a ping: it has gone, or the network between has"),
                       self->name));
  else if (!self->close_sent) {
    /* Whoever need not read may leave a ping unread as well. */
    gboolean ask = self->hypha || (websocket_queue_left (&self->out) == 0 && wants_more (self));

    if (ask && (!self->asked || self->heard))
      websocket_flow_append (self, WEBSOCKET_PING, NULL, 0);
    self->asked = ask;
    self->heard = FALSE;
  }
  update (self);
}

static void
set_stream_sources (WebsocketFlow *self, gboolean read, gboolean write)
{
  if (!read)
    websocket_clear_source (&self->readable);
  else if (self->readable == NULL)
    self->readable = websocket_attach (
        g_pollable_input_stream_create_source (
            G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (self->stream)), NULL),
        G_SOURCE_FUNC (on_readable), self);
  if (!write)
    websocket_clear_source (&self->writable);
  else if (self->writable == NULL)
    self->writable = websocket_attach (
        g_pollable_output_stream_create_source (
            G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (self->stream)), NULL),
        G_SOURCE_FUNC (on_writable), self);
}

/* FALSE: the kernel does not watch. */
static gboolean
watch (WebsocketFlow *self)
{
  gboolean read = wants_more (self);
  gboolean write = !self->stream_over && websocket_queue_left (&self->out) > 0;
  guint32 wire = (read ? EPOLLIN : 0) | (write ? EPOLLOUT : 0);
  guint32 pair =
      (may_take (self) ? EPOLLIN : 0) | (websocket_queue_left (&self->in) > 0 ? EPOLLOUT : 0);

  if (!self->plain)
    set_stream_sources (self, read, write);
  else if (wire == 0)
    hypha_loop_unwatch (self->loop, &self->wire);
  else if (!hypha_loop_watch (self->loop, &self->wire, wire))
    return FALSE;
  /* Whoever has hung up is told so for ever; before, nothing else may be wanted of him. */
  if (pair != 0 || !self->hung_up)
    return hypha_loop_watch (self->loop, &self->pair, pair);
  hypha_loop_unwatch (self->loop, &self->pair);
  return TRUE;
}

/* No more of it moves. */
static void
give_up (WebsocketFlow *self)
{
  fail (self, WEBSOCKET_CLOSE_GOING_AWAY,
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED,
                     _ ("the kernel does not watch the connection with %s"), self->name));
  self->in_shut = TRUE;
  shutdown (self->fd, SHUT_RDWR);
}

/* Whatever follows from what has happened; and waits for what may happen next. The flow may be gone
 * after it. */
static void
update (WebsocketFlow *self)
{
  g_autoptr (GError) error = NULL;

  if (self->fd < 0)
    return;
  if (self->reader_gone && websocket_queue_left (&self->in) > 0)
    websocket_queue_take (&self->in, websocket_queue_left (&self->in));
  if (self->in_ended && !self->in_shut && websocket_queue_left (&self->in) == 0) {
    self->in_shut = TRUE;
    shutdown (self->fd, SHUT_WR);
  }
  if (self->out_ended && (self->in_shut || self->reader_gone))
    websocket_flow_send_close (self, WEBSOCKET_CLOSE_NORMAL);
  error = self->stream_over ? NULL : flush (self);
  if (error != NULL)
    take_cut (self, error);
  if (self->close_sent && self->close_received && websocket_queue_left (&self->out) == 0)
    end_stream (self);
  if (self->stream_over && !self->in_shut && websocket_queue_left (&self->in) == 0) {
    self->in_shut = TRUE;
    shutdown (self->fd, SHUT_WR);
  }
  /* An answer that is not read is no silence. */
  self->heard = self->heard || !wants_more (self);
  if (!watch (self))
    give_up (self);
  finish_if_over (self);
}

/* ---- life ---- */

WebsocketFlow *
websocket_flow_new (HyphaLoop *loop, GSocket *socket, GIOStream *stream, int fd,
                    const WebsocketTerms *terms, guint8 *early, gsize size, HyphaLoopFunc over,
                    gpointer data)
{
  WebsocketFlow *self = g_new0 (WebsocketFlow, 1);

  atomic_init (&self->ref_count, 1); /* the loop's */
  pthread_mutex_init (&self->mutex, NULL);
  self->loop = hypha_loop_ref (loop);
  self->socket = g_object_ref (socket);
  self->stream = g_object_ref (stream);
  self->fd = fd;
  self->name = g_strdup (terms->name);
  self->client = terms->client;
  self->hypha = terms->hypha;
  self->over = over;
  self->over_data = data;
  websocket_decoder_init (&self->decoder, !terms->client);
  self->in.bytes = g_byte_array_new ();
  self->out.bytes = g_byte_array_new ();
  self->credit = self->allowance = WEBSOCKET_WINDOW;
  /* The way to a proxy by TLS looks like one. */
  self->plain = G_IS_SOCKET_CONNECTION (stream) && !G_IS_TCP_WRAPPER_CONNECTION (stream);
  self->wire = (HyphaLoopWatch){ .fd = g_socket_get_fd (socket), .ready = on_wire, .owner = self };
  self->pair = (HyphaLoopWatch){ .fd = fd, .ready = on_pair, .owner = self };
  self->deadline = (HyphaLoopTimer){ .fire = on_deadline, .owner = self };
  self->ticker = (HyphaLoopTimer){ .fire = on_tick, .owner = self };
  self->ping_ms = terms->ping_ms;
  hypha_loop_set_timer (loop, &self->ticker, hypha_loop_now () + (guint64) self->ping_ms * MS);
  websocket_flow_ref (self); /* the caller's */
  websocket_flow_feed (self, early, size);
  /* Of a record that was read in part, nothing tells any more. From here on there is room for whole
   * ones. */
  if (!self->plain)
    take_stream (self);
  update (self);
  return self;
}

WebsocketFlow *
websocket_flow_ref (WebsocketFlow *self)
{
  atomic_fetch_add (&self->ref_count, 1);
  return self;
}

void
websocket_flow_unref (gpointer flow)
{
  WebsocketFlow *self = flow;

  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  g_object_unref (self->stream);
  g_object_unref (self->socket);
  g_byte_array_unref (self->in.bytes);
  g_byte_array_unref (self->out.bytes);
  g_clear_error (&self->error);
  pthread_mutex_destroy (&self->mutex);
  g_free (self->name);
  g_free (self);
}

GError *
websocket_flow_dup_error (gpointer flow)
{
  WebsocketFlow *self = flow;
  GError *copy;

  pthread_mutex_lock (&self->mutex);
  copy = self->error != NULL ? g_error_copy (self->error) : NULL;
  pthread_mutex_unlock (&self->mutex);
  return copy;
}
