/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who lies, falls silent or hangs up before the link is there. */

#include "raw-end.h"

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

typedef struct {
  Fixture *fixture;
  guint decided, closed; /* when hypha_link_start() had returned */
  Gate started;
} Start;

static void
start_and_look (gpointer data)
{
  Start *start = data;
  End *end = &start->fixture->end;

  hypha_link_start (end->link, end->worker);
  start->decided = gate_count (&end->decided);
  start->closed = gate_count (&end->closed);
  gate_open (&start->started);
}

/* The link starts when the other end has sent BYTES already. */
static Start
start_upon (Fixture *self, gconstpointer bytes, gsize length)
{
  Start start = { .fixture = self, .started = GATE_INIT };
  int fds[2];

  make_pair (fds);
  self->fd = fds[0];
  raw_write (self, bytes, length);
  self->end.hold = TRUE;
  end_init (&self->end, self->workers[0], fds[1], &self->parameters, NULL);
  hypha_worker_post (self->workers[0], start_and_look, &start);
  gate_wait (&start.started, 1);
  return start;
}

static void
test_preamble_before_the_start (Fixture *self, gconstpointer data)
{
  const guint8 token[HYPHA_TOKEN_BYTES] = { 'D', 22, 'H' };
  guint8 bytes[HYPHA_PREAMBLE_BYTES];
  Start start;

  hypha_preamble_write (token, bytes);
  start = start_upon (self, bytes, sizeof bytes);
  g_assert_cmpuint (start.decided, ==, 1);
  g_assert_cmpmem (hypha_link_get_token (self->end.link), HYPHA_TOKEN_BYTES, token, sizeof token);
  close (hypha_link_steal_fd (self->end.link));
}

static void
test_half_a_preamble_before_the_start (Fixture *self, gconstpointer data)
{
  guint8 bytes[HYPHA_PREAMBLE_BYTES];
  Start start;

  hypha_preamble_write ((const guint8[HYPHA_TOKEN_BYTES]){ 0 }, bytes);
  start = start_upon (self, bytes, 17);
  g_assert_cmpuint (start.decided, ==, 0);
  raw_write (self, bytes + 17, sizeof bytes - 17);
  gate_wait (&self->end.decided, 1);
}

static void
test_almost_a_preamble_before_the_start (Fixture *self, gconstpointer data)
{
  Start start = start_upon (self, "DELETE / HTTP/1.1\r\n", 19);

  g_assert_cmpuint (start.closed, ==, 1);
  end_expect_closed (&self->end, HYPHA_ERROR_HANDSHAKE, "is no handshake");
}

/* What costs signatures is left to the loop of the worker. */
static void
test_hello_before_the_start (Fixture *self, gconstpointer data)
{
  g_autoptr (GBytes) hello = NULL;
  Start start;

  raw_begin (self, TRUE);
  hello = raw_output (self);
  start = start_upon (self, g_bytes_get_data (hello, NULL), g_bytes_get_size (hello));
  g_assert_cmpuint (start.decided + start.closed, ==, 0);
  raw_read_until (self, HYPHA_HANDSHAKE_DECIDE);
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
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
  ADD ("preamble/whole", test_preamble, GSIZE_TO_POINTER (HYPHA_PREAMBLE_BYTES + 5));
  ADD ("preamble/byte-by-byte", test_preamble, GSIZE_TO_POINTER (1));
  ADD ("preamble/before-the-start", test_preamble_before_the_start, NULL);
  ADD ("preamble/half-before-the-start", test_half_a_preamble_before_the_start, NULL);
  ADD ("preamble/of-http-before-the-start", test_almost_a_preamble_before_the_start, NULL);
  ADD ("preamble/none-before-the-start", test_hello_before_the_start, NULL);
  ADD ("preamble/half", test_half_a_preamble, NULL);
  ADD ("preamble/broken-off", test_preamble_broken_off, NULL);
  ADD ("preamble/of-another-version", test_almost_a_preamble, "DIRECT/2");
  ADD ("preamble/of-http", test_almost_a_preamble, "DELETE / HTTP/1.1\r\n");
  return g_test_run ();
}
