/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "liar.h"

#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_MS 20000

Liar *
liar_new (HyphaIdentity *identity)
{
  Liar *self = g_new0 (Liar, 1);

  self->identity = identity;
  for (guint i = 0; i < sizeof self->instance.bytes; i++)
    self->instance.bytes[i] = (guint8) g_random_int ();
  self->session_number = 1;
  self->fd = -1;
  self->got = g_byte_array_new ();
  return self;
}

void
liar_hang_up (Liar *self)
{
  g_clear_pointer (&self->tls, hypha_tls_free);
  g_clear_pointer (&self->handshake, hypha_handshake_free);
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  g_byte_array_set_size (self->got, 0);
  self->seen = 0;
  self->cut = FALSE;
  self->closed = self->away = 0;
}

void
liar_free (Liar *self)
{
  liar_hang_up (self);
  hypha_identity_unref (self->identity);
  g_byte_array_unref (self->got);
  g_free (self);
}

/* ---- waiting ---- */

static gboolean
woken (gint fd, GIOCondition condition, gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

static gboolean
too_long (gpointer data)
{
  g_error ("what had to come has not come within %d ms", PATIENCE_MS);
  return G_SOURCE_REMOVE;
}

/* From now on: pings that come in between are no excuse. */
static void
begin_to_wait (Liar *self)
{
  self->until = g_get_monotonic_time () + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
}

static void
wait_fd (Liar *self, GIOCondition condition)
{
  const gint64 left = MAX (self->until - g_get_monotonic_time (), 0) / 1000;
  gboolean ready = FALSE;
  guint patience;

  if (self->frozen) {
    struct pollfd fd = { .fd = self->fd, .events = condition == G_IO_IN ? POLLIN : POLLOUT };

    g_assert_cmpint (poll (&fd, 1, (int) left), >, 0);
    return;
  }
  patience = g_timeout_add ((guint) left, too_long, NULL);
  g_unix_fd_add (self->fd, condition, woken, &ready);
  while (!ready)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (patience);
}

/* ---- channels ---- */

void
liar_take (Liar *self, int fd)
{
  liar_hang_up (self);
  self->fd = fd;
  g_assert_true (g_unix_set_fd_nonblocking (fd, TRUE, NULL));
}

static int
connect_to (const void *address, socklen_t length)
{
  const struct sockaddr *to = address;
  int fd = socket (to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), result;

  result = connect (fd, to, length);
  if (result < 0)
    g_error ("cannot connect: %s", g_strerror (errno));
  return fd;
}

void
liar_dial (Liar *self, const char *endpoint)
{
  if (g_str_has_prefix (endpoint, "unix://")) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_strlcpy (address.sun_path, endpoint + 7, sizeof address.sun_path);
    liar_take (self, connect_to (&address, sizeof address));
  } else {
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = g_htonl (INADDR_LOOPBACK) };

    address.sin_port = g_htons ((guint16) g_ascii_strtoull (strrchr (endpoint, ':') + 1, NULL, 10));
    liar_take (self, connect_to (&address, sizeof address));
  }
}

/* ---- bytes ---- */

static gssize
write_some (Liar *self, const guint8 *data, gsize length)
{
  HyphaTlsResult result;
  gssize n;
  gsize taken = 0;

  if (self->tls != NULL) {
    result = hypha_tls_write (self->tls, data, MIN (length, 16384), &taken, NULL);
    if (result == HYPHA_TLS_DONE)
      result = hypha_tls_flush (self->tls, NULL);
    self->cut = result == HYPHA_TLS_ERROR;
    return (gssize) taken;
  }
  n = send (self->fd, data, length, MSG_NOSIGNAL);
  self->cut = n < 0 && errno != EAGAIN && errno != EINTR;
  return MAX (n, 0);
}

void
liar_write (Liar *self, const void *data, gsize length)
{
  const guint8 *from = data;

  begin_to_wait (self);
  while (length > 0 && !self->cut) {
    gssize n = write_some (self, from, length);

    from += n;
    length -= (gsize) n;
    if (length > 0 && !self->cut)
      wait_fd (self, G_IO_OUT);
  }
  while (self->tls != NULL && !self->cut &&
         hypha_tls_flush (self->tls, NULL) == HYPHA_TLS_AGAIN_WRITE)
    wait_fd (self, G_IO_OUT);
}

/* At least a byte more; FALSE at the end. */
static gboolean
read_some (Liar *self)
{
  guint8 buffer[65536];

  for (;;) {
    gssize n;

    if (self->tls != NULL) {
      gsize got;
      HyphaTlsResult result = hypha_tls_read (self->tls, buffer, sizeof buffer, &got, NULL);

      n = result == HYPHA_TLS_DONE ? (gssize) got : result == HYPHA_TLS_AGAIN_READ ? -1 : 0;
    } else {
      n = recv (self->fd, buffer, sizeof buffer, 0);
      if (n < 0 && errno != EAGAIN && errno != EINTR)
        n = 0;
    }
    if (n == 0)
      return FALSE;
    if (n > 0) {
      g_byte_array_append (self->got, buffer, (guint) n);
      return TRUE;
    }
    wait_fd (self, G_IO_IN);
  }
}

/* ---- the handshake ---- */

void
liar_start_tls (Liar *self)
{
  g_autoptr (GError) error = NULL;
  HyphaTlsResult result;

  begin_to_wait (self);
  self->tls = hypha_tls_new (self->fd, TRUE, &error);
  g_assert_no_error (error);
  while ((result = hypha_tls_handshake (self->tls, &error)) != HYPHA_TLS_DONE) {
    g_assert_no_error (error);
    wait_fd (self, result == HYPHA_TLS_AGAIN_READ ? G_IO_IN : G_IO_OUT);
  }
}

static void
begin (Liar *self, gboolean initiator)
{
  HyphaHandshakeParameters parameters = { .identity = self->identity, .instance = self->instance };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < sizeof parameters.nonce; i++)
    parameters.nonce[i] = (guint8) g_random_int ();
  if (self->tls != NULL) {
    parameters.link_class = HYPHA_LINK_TLS;
    hypha_tls_get_binding (self->tls, parameters.binding);
  }
  g_clear_pointer (&self->handshake, hypha_handshake_free);
  self->handshake = hypha_handshake_new (initiator, &parameters, &error);
  g_assert_no_error (error);
}

static void
say_output (Liar *self)
{
  g_autoptr (GBytes) bytes = hypha_handshake_take_output (self->handshake);

  if (bytes != NULL)
    liar_write (self, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

gboolean
liar_meet (Liar *self, gboolean initiator)
{
  HyphaHandshakeState state;

  begin (self, initiator);
  begin_to_wait (self);
  for (;;) {
    state = hypha_handshake_get_state (self->handshake);
    if (state == HYPHA_HANDSHAKE_DECIDE) {
      HyphaHandshakeNumbers numbers = { .session_number = self->session_number,
                                        .link_number = ++self->link_number,
                                        .name = "liar" };

      hypha_handshake_proceed (self->handshake, &numbers);
    }
    say_output (self);
    state = hypha_handshake_get_state (self->handshake);
    if (state == HYPHA_HANDSHAKE_DONE || state == HYPHA_HANDSHAKE_FAILED)
      break;
    if (state == HYPHA_HANDSHAKE_READING) {
      if (self->got->len == 0 && !read_some (self))
        return FALSE;
      g_byte_array_remove_range (
          self->got, 0,
          (guint) hypha_handshake_receive (self->handshake, self->got->data, self->got->len));
    }
  }
  if (state == HYPHA_HANDSHAKE_DONE)
    self->other_session = hypha_handshake_get_peer_numbers (self->handshake)->session_number;
  return state == HYPHA_HANDSHAKE_DONE;
}

void
liar_join (Liar *self, const char *endpoint)
{
  HyphaFrame frame;

  liar_dial (self, endpoint);
  if (!g_str_has_prefix (endpoint, "unix:"))
    liar_start_tls (self);
  if (!liar_meet (self, TRUE))
    g_error ("not let in: %s", hypha_handshake_get_error (self->handshake)->message);
  liar_resume (self, -1, -1, NULL, 0);
  liar_expect (self, HYPHA_FRAME_RESUME, -1, &frame);
  liar_settle (self);
}

/* ---- frames ---- */

void
liar_spell (const HyphaFrame *frame, GByteArray *bytes)
{
  HyphaFrameOut out;

  hypha_frame_write (frame, NULL, &out);
  g_byte_array_append (bytes, out.head, out.head_length);
  if (out.length > 0)
    g_byte_array_append (bytes, out.data, (guint) out.length);
  hypha_frame_out_clear (&out);
}

void
liar_send (Liar *self, const HyphaFrame *frame)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  liar_spell (frame, bytes);
  liar_write (self, bytes->data, bytes->len);
}

void
liar_resume (Liar *self, gint64 opened, gint64 seen, const HyphaResumeEntry *entries, guint n)
{
  HyphaFrameOut out;

  hypha_resume_write (opened, seen, entries, n, &out);
  liar_write (self, out.head, out.head_length);
  liar_write (self, out.data, out.length);
  hypha_frame_out_clear (&out);
}

static gboolean
read_frame (Liar *self, HyphaFrame *frame)
{
  gssize size;

  g_byte_array_remove_range (self->got, 0, (guint) self->seen);
  self->seen = 0;
  while ((size = hypha_frame_parse (self->got->data, self->got->len, frame, NULL)) == 0)
    if (!read_some (self))
      return FALSE;
  g_assert_cmpint (size, >, 0);
  self->seen = (gsize) size;
  return TRUE;
}

/* The next that is no PING. */
static gboolean
next_frame (Liar *self, HyphaFrame *frame)
{
  while (read_frame (self, frame)) {
    if (frame->type == HYPHA_FRAME_CLOSE)
      self->closed = (HyphaAway) frame->code;
    if (frame->type == HYPHA_FRAME_GOAWAY)
      self->away = (HyphaAway) frame->code;
    if (frame->type != HYPHA_FRAME_PING)
      return TRUE;
    if (!self->deaf) {
      gint64 until = self->until;

      liar_send (self, &(HyphaFrame){ .type = HYPHA_FRAME_PONG, .value = frame->value });
      self->until = until;
    }
  }
  return FALSE;
}

gboolean
liar_next (Liar *self, HyphaFrame *frame)
{
  begin_to_wait (self);
  return next_frame (self, frame);
}

void
liar_expect (Liar *self, HyphaFrameType type, gint64 stream, HyphaFrame *frame)
{
  begin_to_wait (self);
  do {
    if (!next_frame (self, frame))
      g_error ("it was closed (%d, %d) before frame %d of stream %d", (int) self->closed,
               (int) self->away, (int) type, (int) stream);
  } while (frame->type != type || (stream >= 0 && frame->stream != (guint32) stream));
}

void
liar_read_to_end (Liar *self)
{
  HyphaFrame frame;

  begin_to_wait (self);
  while (next_frame (self, &frame))
    continue;
}

void
liar_settle (Liar *self)
{
  guint64 token = (guint64) g_random_int () << 8;
  HyphaFrame frame;

  liar_send (self, &(HyphaFrame){ .type = HYPHA_FRAME_PING, .value = token });
  do
    liar_expect (self, HYPHA_FRAME_PONG, -1, &frame);
  while (frame.value != token);
}
