/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who floods, lies or falls silent once the link is there, or TLS at least. */

#include <gnutls/gnutls.h>

#include "raw-end.h"

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
acknowledge (gpointer data)
{
  Fixture *self = data;
  const HyphaFrame frame = { .type = HYPHA_FRAME_ACK, .stream = 2, .value = 7 };
  HyphaFrameOut out;

  hypha_frame_write (&frame, NULL, &out);
  hypha_link_send (self->end.link, &out);
  hypha_link_flush (self->end.link);
}

/* One of them, when there was no ping for a while, has one right behind it. */
static void
test_ping_goes_along (Fixture *self, gconstpointer data)
{
  gint64 end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  gboolean along = FALSE;
  gsize before = 0;
  HyphaFrame frame = { 0 };

  start_end (self);
  raw_establish (self, GPOINTER_TO_INT (data));
  while (!along && g_get_monotonic_time () < end) {
    gboolean both;

    hypha_worker_post (self->workers[0], acknowledge, self);
    do {
      g_autoptr (GByteArray) answer = g_byte_array_new ();

      raw_read_frame (self, &frame, &before);
      both = frame.type == HYPHA_FRAME_ACK && self->got->len > before;
      if (frame.type != HYPHA_FRAME_PING)
        continue;
      add_frame (answer, HYPHA_FRAME_PONG, frame.value, 0);
      raw_write (self, answer->data, answer->len);
    } while (frame.type != HYPHA_FRAME_ACK);
    if (both) {
      raw_read_frame (self, &frame, &before);
      along = frame.type == HYPHA_FRAME_PING;
    }
    g_usleep (1000);
  }
  g_assert_true (along);
}

static void
confirm (gpointer data)
{
  Fixture *self = data;

  hypha_link_confirmed (self->end.link, FALSE);
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
  ADD_BOTH ("cut/established", test_cut);
  ADD ("cut/in-frame", test_cut_in_frame, NULL);
  ADD_BOTH ("frames/oversized", test_bad_frame);
  ADD_BOTH ("frames/byte-by-byte", test_byte_by_byte);
  ADD ("frames/unknown-goaway", test_unknown_away, NULL);
  ADD ("flood/empty-tls-records", test_empty_records, NULL);
  ADD_BOTH ("acknowledgement-has-a-ping-behind-it", test_ping_goes_along);
  ADD_BOTH ("flood/pings-without-reading", test_pings_without_reading);
  ADD ("flood/small-frames-while-others-keep-what-they-read", test_many_small_frames, NULL);
  ADD_BOTH ("frames/pong-before-data", test_pong_before_data);
  ADD_BOTH ("life/suspect-and-back", test_suspect);
  ADD_BOTH ("life/silent-with-data-in-flight", test_silent_with_data_in_flight);
  ADD_BOTH ("life/deaf", test_deaf);
  ADD ("life/deaf-but-talking", test_deaf_talker, NULL);
  ADD ("life/deaf-but-forging-answers", test_forged_pongs, NULL);
  ADD_BOTH ("life/takes-nothing-but-acknowledges", test_takes_nothing);
  return g_test_run ();
}
