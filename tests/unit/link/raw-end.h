/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <glib.h>
#include <poll.h>

#include "link-end.h"
#include "link/tls.h"

/* A link, and at the other end of its descriptor the test itself, which does what no link would. */
typedef struct {
  HyphaWorker *workers[2];
  HyphaIdentity *identity, *raw_identity;
  HyphaNonceClock clock;
  HyphaLinkParameters parameters;
  End end;

  int fd;
  HyphaTls *tls;
  HyphaHandshake *handshake;
  GByteArray *got; /* read and not yet looked at */
} Fixture;

typedef enum { PLAIN, TLS } Way;

static inline void
setup (Fixture *self, gconstpointer data)
{
  for (guint i = 0; i < 2; i++)
    self->workers[i] = new_worker ("test");
  self->identity = new_identity ();
  self->raw_identity = new_identity ();
  self->parameters = end_parameters (self->identity, FALSE, FALSE, &self->clock);
  self->got = g_byte_array_new ();
}

static inline void
hang_up (Fixture *self)
{
  g_clear_pointer (&self->tls, hypha_tls_free);
  if (self->fd > 0)
    close (self->fd);
  self->fd = -1;
}

static inline void
teardown (Fixture *self, gconstpointer data)
{
  end_clear (&self->end);
  hang_up (self);
  g_clear_pointer (&self->handshake, hypha_handshake_free);
  hypha_identity_unref (self->identity);
  hypha_identity_unref (self->raw_identity);
  g_byte_array_unref (self->got);
  for (guint i = 0; i < 2; i++)
    free_worker (self->workers[i]);
}

static inline void
start_end (Fixture *self)
{
  int fds[2];

  make_pair (fds);
  self->fd = fds[0];
  end_init (&self->end, self->workers[0], fds[1], &self->parameters, NULL);
  end_go (&self->end);
}

/* The raw end */

static inline void
wait_fd (Fixture *self, short events)
{
  struct pollfd fd = { .fd = self->fd, .events = events };

  g_assert_cmpint (poll (&fd, 1, 20000), >, 0);
}

static inline void
raw_write (Fixture *self, const void *data, gsize length)
{
  const guint8 *from = data;

  while (length > 0) {
    gssize n;

    if (self->tls != NULL) {
      gsize taken;

      if (hypha_tls_write (self->tls, from, MIN (length, 16384), &taken, NULL) != HYPHA_TLS_DONE)
        taken = 0;
      n = (gssize) taken;
    } else {
      n = send (self->fd, from, length, MSG_NOSIGNAL);
    }
    if (n <= 0) {
      wait_fd (self, POLLOUT);
      continue;
    }
    from += n;
    length -= (gsize) n;
  }
  while (self->tls != NULL && hypha_tls_flush (self->tls, NULL) == HYPHA_TLS_AGAIN_WRITE)
    wait_fd (self, POLLOUT);
}

/* At least a byte more; FALSE at the end. */
static inline gboolean
raw_read (Fixture *self)
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
      if (n < 0 && errno == ECONNRESET)
        n = 0;
    }
    if (n == 0)
      return FALSE;
    if (n > 0) {
      g_byte_array_append (self->got, buffer, (guint) n);
      return TRUE;
    }
    wait_fd (self, POLLIN);
  }
}

static inline void
raw_start_tls (Fixture *self)
{
  g_autoptr (GError) error = NULL;
  HyphaTlsResult result;

  self->tls = hypha_tls_new (self->fd, TRUE, &error);
  g_assert_no_error (error);
  while ((result = hypha_tls_handshake (self->tls, &error)) != HYPHA_TLS_DONE) {
    g_assert_no_error (error);
    wait_fd (self, result == HYPHA_TLS_AGAIN_READ ? POLLIN : POLLOUT);
  }
}

static inline void
raw_begin (Fixture *self, gboolean initiator)
{
  g_autoptr (GError) error = NULL;
  HyphaHandshakeParameters parameters = { .identity = self->raw_identity };

  memset (parameters.instance.bytes, 9, sizeof parameters.instance.bytes);
  memset (parameters.nonce, 8, sizeof parameters.nonce);
  if (self->tls != NULL) {
    parameters.link_class = HYPHA_LINK_TLS;
    hypha_tls_get_binding (self->tls, parameters.binding);
  }
  self->handshake = hypha_handshake_new (initiator, &parameters, &error);
  g_assert_no_error (error);
}

static inline GBytes *
raw_output (Fixture *self)
{
  GBytes *bytes = hypha_handshake_take_output (self->handshake);

  g_assert_nonnull (bytes);
  return bytes;
}

static inline void
raw_send_output (Fixture *self)
{
  g_autoptr (GBytes) bytes = raw_output (self);

  raw_write (self, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

static inline void
raw_read_until (Fixture *self, HyphaHandshakeState state)
{
  while (hypha_handshake_get_state (self->handshake) != state) {
    gsize taken;

    g_assert_no_error (hypha_handshake_get_error (self->handshake));
    if (self->got->len == 0)
      g_assert_true (raw_read (self));
    taken = hypha_handshake_receive (self->handshake, self->got->data, self->got->len);
    g_byte_array_remove_range (self->got, 0, (guint) taken);
  }
}

/* Up to where AUTH is ready to be sent. */
static inline void
raw_until_auth (Fixture *self, Way way)
{
  HyphaHandshakeNumbers numbers = { .session_number = 1, .link_number = 1, .name = "raw" };

  if (way == TLS)
    raw_start_tls (self);
  raw_begin (self, TRUE);
  raw_send_output (self);
  raw_read_until (self, HYPHA_HANDSHAKE_DECIDE);
  hypha_handshake_proceed (self->handshake, &numbers);
}

static inline void
raw_establish (Fixture *self, Way way)
{
  raw_until_auth (self, way);
  raw_send_output (self);
  raw_read_until (self, HYPHA_HANDSHAKE_DONE);
  gate_wait (&self->end.established, 1);
}

static inline void
add_frame (GByteArray *bytes, HyphaFrameType type, guint64 value, gsize length)
{
  g_autofree guint8 *data = g_malloc (length + 1);
  HyphaFrame frame = { .type = type, .value = value, .data = data, .length = length };
  HyphaFrameOut out;

  for (gsize i = 0; i < length; i++)
    data[i] = byte_at (value + i);
  hypha_frame_write (&frame, NULL, &out);
  g_byte_array_append (bytes, out.head, out.head_length);
  if (out.length > 0)
    g_byte_array_append (bytes, out.data, (guint) out.length);
  hypha_frame_out_clear (&out);
}

/* The next frame; its payload stays in GOT until the next call. */
static inline void
raw_read_frame (Fixture *self, HyphaFrame *frame, gsize *before)
{
  gssize size;

  g_byte_array_remove_range (self->got, 0, (guint) *before);
  while ((size = hypha_frame_parse (self->got->data, self->got->len, frame, NULL)) == 0)
    g_assert_true (raw_read (self));
  g_assert_cmpint (size, >, 0);
  *before = (gsize) size;
}

#define ADD(NAME, FUNC, DATA) \
  g_test_add ("/link-hostile/" NAME, Fixture, DATA, setup, FUNC, teardown)
#define ADD_BOTH(NAME, FUNC)                          \
  ADD (NAME "/plain", FUNC, GINT_TO_POINTER (PLAIN)); \
  ADD (NAME "/tls", FUNC, GINT_TO_POINTER (TLS))
