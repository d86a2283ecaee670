/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib.h>
#include <gnutls/gnutls.h>
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

static void
setup (Fixture *self, gconstpointer data)
{
  for (guint i = 0; i < 2; i++)
    self->workers[i] = new_worker ("test");
  self->identity = new_identity ();
  self->raw_identity = new_identity ();
  self->parameters = end_parameters (self->identity, FALSE, FALSE, &self->clock);
  self->got = g_byte_array_new ();
}

static void
hang_up (Fixture *self)
{
  g_clear_pointer (&self->tls, hypha_tls_free);
  if (self->fd > 0)
    close (self->fd);
  self->fd = -1;
}

static void
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

static void
start_end (Fixture *self)
{
  int fds[2];

  make_pair (fds);
  self->fd = fds[0];
  end_init (&self->end, self->workers[0], fds[1], &self->parameters, NULL);
  end_go (&self->end);
}

/* The raw end */

static void
wait_fd (Fixture *self, short events)
{
  struct pollfd fd = { .fd = self->fd, .events = events };

  g_assert_cmpint (poll (&fd, 1, 20000), >, 0);
}

static void
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
static gboolean
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

static void
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

static void
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

static GBytes *
raw_output (Fixture *self)
{
  GBytes *bytes = hypha_handshake_take_output (self->handshake);

  g_assert_nonnull (bytes);
  return bytes;
}

static void
raw_send_output (Fixture *self)
{
  g_autoptr (GBytes) bytes = raw_output (self);

  raw_write (self, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

static void
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
static void
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

static void
raw_establish (Fixture *self, Way way)
{
  raw_until_auth (self, way);
  raw_send_output (self);
  raw_read_until (self, HYPHA_HANDSHAKE_DONE);
  gate_wait (&self->end.established, 1);
}

static void
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
static void
raw_read_frame (Fixture *self, HyphaFrame *frame, gsize *before)
{
  gssize size;

  g_byte_array_remove_range (self->got, 0, (guint) *before);
  while ((size = hypha_frame_parse (self->got->data, self->got->len, frame, NULL)) == 0)
    g_assert_true (raw_read (self));
  g_assert_cmpint (size, >, 0);
  *before = (gsize) size;
}

/* Bytes behind AUTH */

static void
test_bytes_behind (Fixture *self, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GBytes) auth = NULL;
  gsize before = 0;
  HyphaFrame frame;

  self->end.hold = TRUE;
  self->end.next = self->workers[1];
  start_end (self);
  raw_until_auth (self, GPOINTER_TO_INT (data));
  auth = raw_output (self);
  g_byte_array_append (bytes, g_bytes_get_data (auth, NULL), (guint) g_bytes_get_size (auth));
  add_frame (bytes, HYPHA_FRAME_DATA, 0, 700);
  add_frame (bytes, HYPHA_FRAME_DATA, 700, 60000);
  raw_write (self, bytes->data,
             bytes->len - 100); /* these are read with AUTH, or stay in the kernel */
  gate_wait (&self->end.decided, 1);
  raw_write (self, bytes->data + bytes->len - 100, 100);
  g_byte_array_set_size (bytes, 0);
  add_frame (bytes, HYPHA_FRAME_PING, 4711, 0);
  raw_write (self, bytes->data, bytes->len);

  g_assert_cmpuint (gate_count (&self->end.established), ==, 0);
  hypha_worker_post (self->workers[1], end_proceed, &self->end);
  raw_read_until (self, HYPHA_HANDSHAKE_DONE);
  raw_read_frame (self, &frame, &before);
  g_assert_cmpint (frame.type, ==, HYPHA_FRAME_PONG);
  g_assert_cmpuint (frame.value, ==, 4711);
  g_assert_cmpuint (self->end.received, ==, 60700); /* before the PING */
  g_assert_cmpuint (gate_count (&self->end.closed), ==, 0);
}

/* Deadlines */

static void
test_silent_caller (Fixture *self, gconstpointer data)
{
  self->parameters.limits.first_byte_timeout = 30000;
  start_end (self);
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "said nothing for 30 ms");
}

static void
test_silent_listener (Fixture *self, gconstpointer data)
{
  self->parameters =
      end_parameters (self->identity, TRUE, GPOINTER_TO_INT (data) == TLS, &self->clock);
  self->parameters.limits.handshake_timeout = 30000;
  start_end (self);
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "not done after 30 ms");
}

/* DATA: how many bytes come before the silence. */
static void
test_slow_caller (Fixture *self, gconstpointer data)
{
  g_autoptr (GBytes) hello = NULL;

  self->parameters.limits.handshake_timeout = 50000;
  start_end (self);
  raw_begin (self, TRUE);
  hello = raw_output (self);
  raw_write (self, g_bytes_get_data (hello, NULL),
             MIN (GPOINTER_TO_SIZE (data), g_bytes_get_size (hello)));
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "not done after 50 ms");
}

static void
test_slow_tls (Fixture *self, gconstpointer data)
{
  self->parameters.limits.handshake_timeout = 50000;
  start_end (self);
  raw_write (self, "\x16\x03\x01", 3);
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "not done after 50 ms");
}

/* Preambles */

/* In one piece, or byte by byte; what is behind it is not touched. */
static void
test_preamble (Fixture *self, gconstpointer data)
{
  const guint8 token[HYPHA_TOKEN_BYTES] = { 'D', 22, 'H' };
  const gsize piece = GPOINTER_TO_SIZE (data);
  guint8 bytes[HYPHA_PREAMBLE_BYTES + 5];
  char buffer[8] = "";
  int fd;

  hypha_preamble_write (token, bytes);
  memcpy (bytes + HYPHA_PREAMBLE_BYTES, "bytes", 5);
  self->end.hold = TRUE;
  start_end (self);
  for (gsize at = 0; at < sizeof bytes; at += piece)
    raw_write (self, bytes + at, MIN (piece, sizeof bytes - at));
  gate_wait (&self->end.decided, 1);
  g_assert_cmpmem (hypha_link_get_token (self->end.link), HYPHA_TOKEN_BYTES, token, sizeof token);
  g_assert_false (hypha_link_has_heard (self->end.link));
  fd = hypha_link_steal_fd (self->end.link);
  g_assert_cmpint (recv (fd, buffer, sizeof buffer, 0), ==, 5);
  g_assert_cmpstr (buffer, ==, "bytes");
  close (fd);
}

static void
test_half_a_preamble (Fixture *self, gconstpointer data)
{
  self->parameters.limits.handshake_timeout = 50000;
  start_end (self);
  raw_write (self, "DIRECT/1 and a part of a token", 30);
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "not done after 50 ms");
}

static void
test_preamble_broken_off (Fixture *self, gconstpointer data)
{
  start_end (self);
  raw_write (self, "DIRECT/1", 8);
  hang_up (self);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "in the midst of a preamble");
}

static void
test_almost_a_preamble (Fixture *self, gconstpointer data)
{
  start_end (self);
  raw_write (self, data, strlen (data));
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "is no handshake");
}

/* Floods */

static gnutls_session_t
raw_foreign_tls (Fixture *self, gnutls_certificate_credentials_t credentials)
{
  static const gnutls_datum_t alpn = { (unsigned char *) "hypha/1", 7 };
  gnutls_session_t session;
  int result;

  gnutls_init (&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
  gnutls_priority_set_direct (session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
  gnutls_credentials_set (session, GNUTLS_CRD_CERTIFICATE, credentials);
  gnutls_alpn_set_protocols (session, &alpn, 1, 0);
  gnutls_transport_set_int (session, self->fd);
  while ((result = gnutls_handshake (session)) == GNUTLS_E_AGAIN)
    wait_fd (self, gnutls_record_get_direction (session) ? POLLOUT : POLLIN);
  g_assert_cmpint (result, ==, GNUTLS_E_SUCCESS);
  return session;
}

/* Records without a byte, as fast as it goes: the thread has other things to do. */
static void
test_empty_records (Fixture *self, gconstpointer data)
{
  gint64 end = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;
  gnutls_certificate_credentials_t credentials;
  gnutls_session_t session;
  gssize result;

  start_end (self);
  gnutls_certificate_allocate_credentials (&credentials);
  session = raw_foreign_tls (self, credentials);
  do {
    result = gnutls_record_send2 (session, "", 0, 1000, 0);
    if (result == GNUTLS_E_AGAIN)
      g_thread_yield ();
  } while ((result >= 0 || result == GNUTLS_E_AGAIN) && g_get_monotonic_time () < end);
  g_assert_cmpint (result, <, 0);
  g_assert_cmpint (result, !=, GNUTLS_E_AGAIN);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "empty record");
  gnutls_deinit (session);
  gnutls_certificate_free_credentials (credentials);
}

static void
raw_ping (Fixture *self, guint64 token)
{
  HyphaLinkStatus *status = (HyphaLinkStatus *) hypha_link_get_status (self->end.link);
  guint64 heard = atomic_load (&status->rx_bytes);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  add_frame (bytes, HYPHA_FRAME_PING, token, 0);
  raw_write (self, bytes->data, bytes->len);
  while (atomic_load (&status->rx_bytes) < heard + bytes->len)
    g_thread_yield ();
}

/* Each ping is read alone, and no answer. */
static void
test_pings_without_reading (Fixture *self, gconstpointer data)
{
  const guint64 quiet = 2000; /* pings without an answer: the kernel takes no more */
  guint64 answers = 0, token = 0, blocked_at, tx = 0, last;
  HyphaLinkStatus *status;
  gsize before = 0;
  HyphaFrame frame;

  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  status = (HyphaLinkStatus *) hypha_link_get_status (self->end.link);
  for (guint64 since = 0; since < quiet; token++) {
    raw_ping (self, token);
    since = atomic_load (&status->tx_bytes) == tx ? since + 1 : 0;
    tx = atomic_load (&status->tx_bytes);
  }
  blocked_at = token - quiet;
  last = token - 1;
  do {
    raw_read_frame (self, &frame, &before);
    g_assert_cmpint (frame.type, ==, HYPHA_FRAME_PONG);
    answers++;
  } while (frame.value < last);
  g_assert_cmpuint (frame.value, ==, last);
  g_assert_cmpuint (answers, <=, blocked_at + 3);
  g_assert_cmpuint (gate_count (&self->end.closed), ==, 0);
}

/* What lies in the worker's buffer is kept by others while a link waits for its next turn. */
typedef struct {
  HyphaWorker *worker;
  HyphaLinkStatus *status;
  guint64 rx;
  Gate begun, written, kept;
  HyphaChunk *chunk;
} Neighbour;

static void
neighbour_keeps (gpointer data)
{
  Neighbour *self = data;
  guint8 *buffer;
  gsize size;

  if (atomic_load (&self->status->rx_bytes) < self->rx) {
    hypha_worker_post (self->worker, neighbour_keeps, self);
    return;
  }
  buffer = hypha_worker_scratch (self->worker, 0, &size);
  self->chunk = hypha_worker_keep (self->worker, buffer, 120 * 1024);
  gate_open (&self->kept);
}

static void
neighbour_begins (gpointer data)
{
  Neighbour *self = data;

  gate_open (&self->begun);
  gate_wait (&self->written, 1);
  neighbour_keeps (self);
}

static void
test_many_small_frames (Fixture *self, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  Neighbour neighbour = { .worker = self->workers[0] };
  const int size = 1024 * 1024;
  guint64 token = 0;
  gsize before = 0;
  HyphaFrame frame;

  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  setsockopt (self->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  neighbour.status = (HyphaLinkStatus *) hypha_link_get_status (self->end.link);
  neighbour.rx = atomic_load (&neighbour.status->rx_bytes) + 190 * 1024;
  while (bytes->len < 200 * 1024)
    add_frame (bytes, HYPHA_FRAME_PING, ++token, 0);

  hypha_worker_post (self->workers[0], neighbour_begins, &neighbour);
  gate_wait (&neighbour.begun, 1);
  raw_write (self, bytes->data, bytes->len);
  gate_open (&neighbour.written);
  gate_wait (&neighbour.kept, 1);
  do {
    raw_read_frame (self, &frame, &before);
    g_assert_cmpint (frame.type, ==, HYPHA_FRAME_PONG);
  } while (frame.value < token);
  g_assert_cmpuint (gate_count (&self->end.closed), ==, 0);
  hypha_chunk_unref (neighbour.chunk);
}

/* Garbage and cuts in the handshake */

static void
test_garbage (Fixture *self, gconstpointer data)
{
  start_end (self);
  raw_write (self, data, strlen (data));
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "Handshake with unix:@other-end");
}

static void
test_garbage_to_initiator (Fixture *self, gconstpointer data)
{
  self->parameters =
      end_parameters (self->identity, TRUE, GPOINTER_TO_INT (data) == TLS, &self->clock);
  start_end (self);
  raw_write (self, "SSH-2.0-OpenSSH_9.2p1\r\n", 23);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "Handshake with unix:@other-end");
}

static void
test_random_bytes (Fixture *self, gconstpointer data)
{
  for (guint i = 0; i < 40; i++) {
    guint8 bytes[5000];
    gsize length = (gsize) g_test_rand_int_range (1, sizeof bytes);
    Fixture one = { 0 };

    for (gsize j = 0; j < length; j++)
      bytes[j] = (guint8) g_test_rand_int ();
    if (i % 3 == 0)
      bytes[0] = 0x16;
    setup (&one, NULL);
    start_end (&one);
    send (one.fd, bytes, length, MSG_NOSIGNAL); /* it may be refused at the first of them */
    shutdown (one.fd, SHUT_WR);
    gate_wait (&one.end.closed, 1);
    g_assert_error (one.end.error, HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE);
    teardown (&one, NULL);
  }
}

static void
test_garbage_after_tls (Fixture *self, gconstpointer data)
{
  start_end (self);
  raw_start_tls (self);
  raw_write (self, "GET / HTTP/1.1\r\n\r\n", 18);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "Handshake with unix:@other-end");
}

static void
test_garbage_instead_of_auth (Fixture *self, gconstpointer data)
{
  start_end (self);
  raw_until_auth (self, GPOINTER_TO_INT (data));
  raw_write (self, "HYPHA/1 is what I say", 21);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "Handshake with unix:@other-end");
}

static void
test_cut_in_hello (Fixture *self, gconstpointer data)
{
  g_autoptr (GBytes) hello = NULL;

  start_end (self);
  raw_begin (self, TRUE);
  hello = raw_output (self);
  raw_write (self, g_bytes_get_data (hello, NULL),
             MIN (GPOINTER_TO_SIZE (data), g_bytes_get_size (hello)));
  hang_up (self);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "Handshake with unix:@other-end");
}

static void
test_cut_in_auth (Fixture *self, gconstpointer data)
{
  g_autoptr (GBytes) auth = NULL;

  start_end (self);
  raw_until_auth (self, PLAIN);
  auth = raw_output (self);
  raw_write (self, g_bytes_get_data (auth, NULL), g_bytes_get_size (auth) - 1);
  hang_up (self);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "Handshake with unix:@other-end");
}

/* The one who was parked finds out when it goes on. */
static void
test_cut_while_parked (Fixture *self, gconstpointer data)
{
  self->end.hold = TRUE;
  start_end (self);
  raw_until_auth (self, GPOINTER_TO_INT (data));
  raw_send_output (self);
  gate_wait (&self->end.decided, 1);
  hang_up (self);
  hypha_worker_post (self->end.worker, end_proceed, &self->end);
  gate_wait (&self->end.closed, 1);
  g_assert_error (self->end.error, HYPHA_ERROR, HYPHA_ERROR_FAILED);
}

static void
test_cut_in_accept (Fixture *self, gconstpointer data)
{
  HyphaHandshakeNumbers numbers = { .session_number = 1 };
  g_autoptr (GBytes) accept = NULL;

  self->parameters = end_parameters (self->identity, TRUE, FALSE, &self->clock);
  start_end (self);
  raw_begin (self, FALSE);
  while (self->got->len < 12)
    raw_read (self);
  hypha_handshake_receive (self->handshake, self->got->data, self->got->len);
  g_byte_array_set_size (self->got, 0);
  raw_send_output (self);
  raw_read_until (self, HYPHA_HANDSHAKE_DECIDE);
  hypha_handshake_proceed (self->handshake, &numbers);
  accept = raw_output (self);
  raw_write (self, g_bytes_get_data (accept, NULL), g_bytes_get_size (accept) - 1);
  hang_up (self);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "Handshake with unix:@other-end");
  g_assert_cmpuint (gate_count (&self->end.established), ==, 0);
}

/* Frames */

static void
test_bad_frame (Fixture *self, gconstpointer data)
{
  static const guint8 oversized[12] = { HYPHA_FRAME_DATA, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 1 };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gsize before = 0;
  HyphaFrame frame;

  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  add_frame (bytes, HYPHA_FRAME_DATA, 0, 1000);
  g_byte_array_append (bytes, oversized, sizeof oversized);
  raw_write (self, bytes->data, bytes->len);
  end_expect_closed (&self->end, HYPHA_ERROR_PROTOCOL, "Link with unix:@other-end");
  g_assert_cmpuint (self->end.received, ==, 1000); /* what was good before it counts */
  raw_read_frame (self, &frame, &before);
  g_assert_cmpint (frame.type, ==, HYPHA_FRAME_GOAWAY);
  g_assert_cmpuint (frame.code, ==, HYPHA_AWAY_PROTOCOL);
}

static void
test_cut (Fixture *self, gconstpointer data)
{
  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  hang_up (self);
  end_expect_closed (&self->end, HYPHA_ERROR_FAILED, "Link with unix:@other-end");
}

static void
test_cut_in_frame (Fixture *self, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  start_end (self);
  raw_establish (self, PLAIN);
  add_frame (bytes, HYPHA_FRAME_DATA, 0, 1000);
  raw_write (self, bytes->data, bytes->len - 1);
  hang_up (self);
  end_expect_closed (&self->end, HYPHA_ERROR_FAILED, "in the middle of a frame");
  g_assert_cmpuint (self->end.frames, ==, 0);
}

static void
test_byte_by_byte (Fixture *self, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gsize before = 0;
  HyphaFrame frame;

  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  for (guint i = 0; i < 10; i++)
    add_frame (bytes, HYPHA_FRAME_DATA, i * 40, 40);
  add_frame (bytes, HYPHA_FRAME_PING, 1, 0);
  for (guint i = 0; i < bytes->len; i++)
    raw_write (self, bytes->data + i, 1);
  raw_read_frame (self, &frame, &before);
  g_assert_cmpint (frame.type, ==, HYPHA_FRAME_PONG);
  g_assert_cmpuint (self->end.frames, ==, 10);
}

static void
test_unknown_away (Fixture *self, gconstpointer data)
{
  const HyphaFrame frame = { .type = HYPHA_FRAME_GOAWAY, .code = 4000 };
  HyphaFrameOut out;

  start_end (self);
  raw_establish (self, PLAIN);
  hypha_frame_write (&frame, NULL, &out);
  raw_write (self, out.head, out.head_length);
  end_expect_closed (&self->end, HYPHA_ERROR_DISCONNECTED, "4000");
}

/* It reads, and never answers a ping. */
static void
test_deaf (Fixture *self, gconstpointer data)
{
  self->parameters.limits.ping_interval = 20000;
  self->parameters.limits.link_timeout = 150000;
  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "not answered for 150 ms");
}

/* Answers that come late make it suspect; once they come again, it is as good as before. */
static void
test_suspect (Fixture *self, gconstpointer data)
{
  HyphaLinkStatus *status;
  gsize before = 0;

  self->parameters.limits.ping_interval = 20000;
  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  status = (HyphaLinkStatus *) hypha_link_get_status (self->end.link);
  gate_wait (&self->end.suspected, 1);
  g_assert_cmpuint (atomic_load (&status->cost), >=, 60);
  while (atomic_load (&status->suspect)) {
    g_autoptr (GByteArray) pong = g_byte_array_new ();
    HyphaFrame frame;

    raw_read_frame (self, &frame, &before);
    g_assert_cmpint (frame.type, ==, HYPHA_FRAME_PING);
    add_frame (pong, HYPHA_FRAME_PONG, frame.value, 0);
    raw_write (self, pong->data, pong->len);
  }
  g_assert_cmpuint (gate_count (&self->end.closed), ==, 0);
}

/* An idle link would be asked in an hour; what was sent has to be answered for. */
static void
test_silent_with_data_in_flight (Fixture *self, gconstpointer data)
{
  self->parameters.limits.ping_interval = self->parameters.limits.link_timeout = G_TIME_SPAN_HOUR;
  self->end.to_send = 100;
  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  gate_wait (&self->end.suspected, 1);
  g_assert_cmpuint (gate_count (&self->end.closed), ==, 0);
}

/* It sends all the time, but never answers a ping: it does not hear. */
static void
test_deaf_talker (Fixture *self, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint64 offset = 0;

  self->parameters.limits.ping_interval = 20000;
  self->parameters.limits.link_timeout = 150000;
  start_end (self);
  raw_establish (self, PLAIN);
  for (;;) {
    g_byte_array_set_size (bytes, 0);
    add_frame (bytes, HYPHA_FRAME_DATA, offset, 10);
    offset += 10;
    if (send (self->fd, bytes->data, bytes->len, MSG_NOSIGNAL) < 0 && errno == EPIPE)
      break;
    g_usleep (1000);
  }
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "not answered for 150 ms");
}

/* It reads nothing, but answers what a ping might have been. */
static void
test_forged_pongs (Fixture *self, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  self->parameters.limits.ping_interval = 20000;
  self->parameters.limits.link_timeout = 150000;
  start_end (self);
  raw_establish (self, PLAIN);
  for (guint64 token = 0; token < 300; token++)
    add_frame (bytes, HYPHA_FRAME_PONG, token, 0);
  while (gate_count (&self->end.closed) == 0) {
    if (send (self->fd, bytes->data, bytes->len, MSG_NOSIGNAL) < 0 && errno == EPIPE)
      break;
    g_usleep (1000);
  }
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "not answered for 150 ms");
}

static void
confirm (gpointer data)
{
  Fixture *self = data;

  hypha_link_confirmed (self->end.link);
}

/* It acknowledges, and takes nothing. */
static void
test_takes_nothing (Fixture *self, gconstpointer data)
{
  gint64 end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;

  self->parameters.limits.ping_interval = 20000;
  self->parameters.limits.link_timeout = 150000;
  self->end.to_send = 8 * 1024 * 1024;
  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  while (gate_count (&self->end.closed) == 0 && g_get_monotonic_time () < end) {
    hypha_worker_post (self->workers[0], confirm, self);
    g_usleep (1000);
  }
  end_expect_closed (&self->end, HYPHA_ERROR_TIMED_OUT, "taken nothing for 150 ms");
}

/* A pong waits for what the kernel has and for the frame that was begun, not for what is queued. */
static void
test_pong_before_data (Fixture *self, gconstpointer data)
{
  const guint64 total = 8 * 1024 * 1024;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  HyphaLinkStatus *status;
  gsize before = 0;
  guint64 heard, given, received = 0;
  HyphaFrame frame = { 0 };

  self->end.to_send = total;
  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  status = (HyphaLinkStatus *) hypha_link_get_status (self->end.link);
  heard = atomic_load (&status->rx_bytes);
  add_frame (bytes, HYPHA_FRAME_PING, 5, 0);
  raw_write (self, bytes->data, bytes->len);
  while (atomic_load (&status->rx_bytes) == heard)
    g_thread_yield ();
  given = atomic_load (&status->tx_bytes);
  while (received < total && frame.type != HYPHA_FRAME_PONG) {
    raw_read_frame (self, &frame, &before);
    received += frame.type == HYPHA_FRAME_DATA ? frame.length : 0;
  }
  g_assert_cmpint (frame.type, ==, HYPHA_FRAME_PONG);
  g_assert_cmpuint (received, <, given + HYPHA_FRAME_HEADER + HYPHA_FRAME_MAX);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC, DATA) \
  g_test_add ("/link-hostile/" NAME, Fixture, DATA, setup, FUNC, teardown)
#define ADD_BOTH(NAME, FUNC)                          \
  ADD (NAME "/plain", FUNC, GINT_TO_POINTER (PLAIN)); \
  ADD (NAME "/tls", FUNC, GINT_TO_POINTER (TLS))
  ADD_BOTH ("parked/bytes-behind-auth-are-kept", test_bytes_behind);
  ADD_BOTH ("parked/cut", test_cut_while_parked);
  ADD ("deadline/silent-caller", test_silent_caller, NULL);
  ADD_BOTH ("deadline/silent-listener", test_silent_listener);
  ADD ("deadline/one-byte", test_slow_caller, GSIZE_TO_POINTER (1));
  ADD ("deadline/hello-and-nothing-more", test_slow_caller, GSIZE_TO_POINTER (G_MAXSIZE));
  ADD ("deadline/beginning-of-tls", test_slow_tls, NULL);
  ADD ("garbage/text", test_garbage, "GET / HTTP/1.1\r\n\r\n");
  ADD ("garbage/like-tls", test_garbage, "\x16 garbage that is no record of TLS at all");
  ADD ("garbage/like-hello", test_garbage, "HYPHA/1\x7f garbage that is no message at all");
  ADD ("garbage/random", test_random_bytes, NULL);
  ADD_BOTH ("garbage/to-initiator", test_garbage_to_initiator);
  ADD ("garbage/after-tls", test_garbage_after_tls, NULL);
  ADD_BOTH ("garbage/instead-of-auth", test_garbage_instead_of_auth);
  ADD ("cut/at-once", test_cut_in_hello, GSIZE_TO_POINTER (0));
  ADD ("cut/in-hello", test_cut_in_hello, GSIZE_TO_POINTER (30));
  ADD ("cut/behind-hello", test_cut_in_hello, GSIZE_TO_POINTER (G_MAXSIZE));
  ADD ("cut/in-auth", test_cut_in_auth, NULL);
  ADD ("cut/in-accept", test_cut_in_accept, NULL);
  ADD_BOTH ("cut/established", test_cut);
  ADD ("cut/in-frame", test_cut_in_frame, NULL);
  ADD_BOTH ("frames/oversized", test_bad_frame);
  ADD_BOTH ("frames/byte-by-byte", test_byte_by_byte);
  ADD ("frames/unknown-goaway", test_unknown_away, NULL);
  ADD ("flood/empty-tls-records", test_empty_records, NULL);
  ADD_BOTH ("flood/pings-without-reading", test_pings_without_reading);
  ADD ("flood/small-frames-while-others-keep-what-they-read", test_many_small_frames, NULL);
  ADD ("preamble/whole", test_preamble, GSIZE_TO_POINTER (HYPHA_PREAMBLE_BYTES + 5));
  ADD ("preamble/byte-by-byte", test_preamble, GSIZE_TO_POINTER (1));
  ADD ("preamble/half", test_half_a_preamble, NULL);
  ADD ("preamble/broken-off", test_preamble_broken_off, NULL);
  ADD ("preamble/of-another-version", test_almost_a_preamble, "DIRECT/2");
  ADD ("preamble/of-http", test_almost_a_preamble, "DELETE / HTTP/1.1\r\n");
  ADD_BOTH ("frames/pong-before-data", test_pong_before_data);
  ADD_BOTH ("life/suspect-and-back", test_suspect);
  ADD_BOTH ("life/silent-with-data-in-flight", test_silent_with_data_in_flight);
  ADD_BOTH ("life/deaf", test_deaf);
  ADD ("life/deaf-but-talking", test_deaf_talker, NULL);
  ADD ("life/deaf-but-forging-answers", test_forged_pongs, NULL);
  ADD_BOTH ("life/takes-nothing-but-acknowledges", test_takes_nothing);
#undef ADD
#undef ADD_BOTH
  return g_test_run ();
}
