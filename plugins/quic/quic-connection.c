/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-connection-private.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <sys/socket.h>
#include <unistd.h>

/* For so long the network has to say that nobody is there, and nobody to be heard. */
#define BELIEVED (1 * NGTCP2_SECONDS)
/* How long packets wait that the kernel has not taken, unless it tells before. */
#define BLOCKED (20 * NGTCP2_MILLISECONDS)
/* Of whoever has not shown who he is, nobody reads so much: a handshake of Hypha has 4 KiB. */
#define READ_BYTES (32 * 1024)

void
quic_connection_hurry (QuicConnection *self)
{
  if (self->timer.place == 0 || self->timer.due > 0)
    hypha_loop_set_timer (self->loop, &self->timer, 0);
}

guint64
quic_connection_touch (QuicConnection *self, guint64 now)
{
  self->last = MAX (self->last, now);
  return self->last;
}

static void
stirred (gpointer connection)
{
  quic_connection_hurry (connection);
}

/* ---- the channel ---- */

static HyphaChannel *
make_channel (QuicConnection *self, int fd, GBytes *binding)
{
  g_autofree char *host = quic_address_to_host (&self->path.remote);
  g_autoptr (HyphaEndpoint) local = quic_address_to_endpoint (&self->path.local);
  g_autoptr (HyphaEndpoint) remote = self->remote != NULL
                                         ? hypha_endpoint_ref (self->remote)
                                         : quic_address_to_endpoint (&self->path.remote);
  HyphaChannel *channel = hypha_channel_new (fd, local, remote, HYPHA_CHANNEL_NONE);

  hypha_channel_set_host (channel, host);
  hypha_channel_set_binding (channel, binding);
  hypha_channel_set_dup_error (channel, quic_fate_dup, quic_fate_ref (self->fate), quic_fate_unref);
  return channel;
}

static void
open_channel (QuicConnection *self, guint64 now)
{
  g_autoptr (GBytes) binding = quic_tls_get_binding (self->session);
  int fds[2];

  if (binding == NULL ||
      socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
    quic_connection_conclude_failed (self, NGTCP2_ERR_INTERNAL, now);
    return;
  }
  self->opened = TRUE;
  self->deadline = HYPHA_LOOP_NEVER;
  if (self->client)
    ngtcp2_conn_set_keep_alive_timeout (self->conn, self->idle / 3);
  quic_pipe_open (&self->pipe, self->loop, fds[1], stirred, self);
  self->events->opened (self->port, self, make_channel (self, fds[0], binding));
}

/* The one who connects opens the stream, and says so at once: so there is a channel at both ends
 * before anybody has written anything. */
static void
begin (QuicConnection *self, guint64 now)
{
  int64_t stream;

  if (!self->completed)
    return;
  if (self->client && self->writer.stream < 0 &&
      ngtcp2_conn_open_bidi_stream (self->conn, &stream, NULL) == 0)
    self->writer.stream = stream;
  if (self->writer.stream >= 0)
    open_channel (self, now);
}

/* ---- moving on ---- */

/* The window has its whole size at once. One that grows while it holds the other end back is taken
 * for a slow line there: congestion control by rates remembers that for seconds. */
static gsize
widen (QuicConnection *self)
{
  if (self->wide || quic_pipe_get_read (&self->pipe) < READ_BYTES)
    return 0;
  self->wide = TRUE;
  return QUIC_WINDOW - QUIC_FIRST_WINDOW;
}

static void
take (QuicConnection *self)
{
  /* Before there is more that nobody can have read yet. */
  gsize more = widen (self), taken = more + quic_pipe_push (&self->pipe);

  if (taken == 0)
    return;
  ngtcp2_conn_extend_max_stream_offset (self->conn, self->writer.stream, taken);
  ngtcp2_conn_extend_max_offset (self->conn, taken);
}

/* Whether it is at its end. */
static gboolean
check_end (QuicConnection *self, guint64 now)
{
  GError *error = NULL;
  gboolean heard = quic_pipe_is_heard (&self->pipe);

  if (self->reset || self->writer.stopped) {
    error = g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_RESET,
                                 _ ("the other end has reset the stream"));
    quic_connection_conclude_well (self, error, now);
  } else if (quic_pipe_is_cut (&self->pipe) && quic_buffer_get_size (&self->pipe.up) == 0) {
    error = g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_RESET, g_strerror (ECONNRESET));
    quic_connection_conclude_well (self, error, now);
  } else if (heard && (self->pipe.hung_up || quic_pipe_is_said (&self->pipe))) {
    quic_connection_conclude_well (self, NULL, now);
  } else if (self->pipe.hung_up && self->linger_until == 0) {
    self->linger_until = now + QUIC_LINGER;
  } else if (self->linger_until > 0 && now >= self->linger_until) {
    error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                         _ ("the other end of the channel did not take the rest within %d ms of "
                            "its end"),
                         (int) (QUIC_LINGER / NGTCP2_MILLISECONDS));
    quic_connection_conclude_well (self, error, now);
  }
  return self->over;
}

static void
set_timer (QuicConnection *self, guint64 now)
{
  guint64 due = MIN (ngtcp2_conn_get_expiry (self->conn), self->deadline);

  if (self->linger_until > 0)
    due = MIN (due, self->linger_until);
  /* The kernel tells when it takes more: until then, what should go goes nowhere. */
  if (self->writer.blocked != NULL)
    due = now + BLOCKED;
  /* Whatever is due already has had its turn: time has to pass. */
  hypha_loop_set_timer (self->loop, &self->timer, MAX (due, now + 1));
}

static void
move_on (QuicConnection *self, guint64 now)
{
  int result;

  if (self->failure == 0 && ngtcp2_conn_get_expiry (self->conn) <= now)
    self->failure = ngtcp2_conn_handle_expiry (self->conn, now);
  if (self->failure == 0 && !self->opened)
    begin (self, now);
  if (self->failure == 0 && !self->over && self->opened) {
    take (self);
    quic_pipe_pull (&self->pipe);
    if (check_end (self, now))
      return;
  }
  if (self->failure == 0 && !self->over) {
    result = quic_writer_flush (&self->writer, quic_state_get (self->loop)->output, now,
                                self->events->send, self->port);
    self->failure = result;
  }
  if (self->refused != 0)
    quic_connection_conclude (
        self,
        g_error_new_literal (HYPHA_ERROR, self->opened ? HYPHA_ERROR_RESET : HYPHA_ERROR_CONNECT,
                             g_strerror (self->refused)),
        NULL, now);
  else if (self->failure != 0)
    quic_connection_conclude_failed (self, self->failure, now);
  else if (now >= self->deadline)
    quic_connection_conclude (self, NULL, NULL, now);
  if (self->over)
    return;
  /* What has gone has made room: what comes now is told by the kernel, and has its turn then. */
  if (self->opened)
    quic_pipe_watch (&self->pipe);
  set_timer (self, now);
}

/* What has come is still taken, for a while. */
static void
say_farewell (QuicConnection *self, guint64 now)
{
  quic_pipe_push (&self->pipe);
  if (quic_pipe_is_said (&self->pipe) || self->pipe.hung_up || now >= self->linger_until)
    quic_pipe_close (&self->pipe);
  if (self->pipe.watch.fd < 0 && now >= self->over_until) {
    self->events->ended (self->port, self);
    return;
  }
  quic_pipe_watch (&self->pipe);
  hypha_loop_set_timer (self->loop, &self->timer,
                        self->pipe.watch.fd < 0 ? self->over_until : self->linger_until);
}

void
quic_connection_fire (gpointer connection, guint64 now)
{
  QuicConnection *self = connection;

  if (!self->over)
    move_on (self, quic_connection_touch (self, now));
  else
    say_farewell (self, quic_connection_touch (self, now));
}

/* ---- from the port ---- */

void
quic_connection_receive (QuicConnection *self, const QuicPath *path, const guint8 *data, gsize size,
                         guint64 now)
{
  ngtcp2_path way = quic_path_get (path);
  ngtcp2_pkt_info info = { 0 };

  if (self->over) {
    /* More and more seldom, RFC 9000, 10.2.1. */
    self->unheard++;
    if ((self->unheard & (self->unheard - 1)) == 0)
      quic_connection_send_farewell (self);
    return;
  }
  self->refused_since = 0;
  if (self->failure == 0)
    self->failure = ngtcp2_conn_read_pkt (self->conn, &way, &info, data, size,
                                          quic_connection_touch (self, now));
  quic_connection_hurry (self);
}

void
quic_connection_unblock (QuicConnection *self)
{
  if (self->writer.blocked != NULL)
    quic_connection_hurry (self);
}

void
quic_connection_refuse (QuicConnection *self, int reason)
{
  guint64 now = hypha_loop_now ();

  if (self->completed && reason != ECONNREFUSED)
    return;
  /* Whoever is there is heard all the same, whatever strangers make the network say. */
  if (self->completed && self->refused_since == 0)
    self->refused_since = now;
  if (self->completed && now < self->refused_since + BELIEVED)
    return;
  self->refused = reason;
  quic_connection_hurry (self);
}

void
quic_connection_move (QuicConnection *self, const QuicPath *path)
{
  ngtcp2_path way = quic_path_get (path);

  self->path = *path;
  if (self->over)
    return;
  /* Where no other connection id is known yet, the server has to find out by itself. */
  if (ngtcp2_conn_initiate_immediate_migration (
          self->conn, &way, quic_connection_touch (self, hypha_loop_now ())) != 0)
    ngtcp2_conn_set_local_addr (self->conn, &way.local);
  quic_connection_hurry (self);
}

void
quic_connection_abort (QuicConnection *self, guint64 code)
{
  ngtcp2_ccerr close;

  ngtcp2_ccerr_default (&close);
  ngtcp2_ccerr_set_transport_error (&close, code, NULL, 0);
  quic_connection_conclude (self, NULL, &close, quic_connection_touch (self, hypha_loop_now ()));
}

const QuicPath *
quic_connection_get_path (QuicConnection *self)
{
  return &self->path;
}

gboolean
quic_connection_is_beginning (QuicConnection *self)
{
  return !self->opened && !self->over;
}

GPtrArray *
quic_connection_get_ids (QuicConnection *self)
{
  return self->ids;
}
