/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A trusted peer whose lies take more than a frame: bytes that it sends twice and otherwise,
 * streams that it opens again, numbers that cannot be, links that drip or break. */

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "lies.h"
#include "node/node-private.h"

static void
say_data (Lies *f, guint64 offset, const char *text, HyphaFrameFlags flags)
{
  liar_send (f->liar, &(HyphaFrame){ .type = HYPHA_FRAME_DATA,
                                     .flags = flags,
                                     .stream = lies_liars (f, 0),
                                     .value = offset,
                                     .data = (const guint8 *) text,
                                     .length = strlen (text) });
}

static void
say_open (Lies *f, guint n)
{
  liar_send (f->liar, &(HyphaFrame){ .type = HYPHA_FRAME_OPEN,
                                     .stream = lies_liars (f, n),
                                     .data = (const guint8 *) "echo",
                                     .length = 4 });
}

/* What comes back from echo, from OFFSET on, is this and nothing else. */
static void
expect_echo (Lies *f, guint64 offset, const char *text)
{
  const guint64 end = offset + strlen (text);
  HyphaFrame frame;

  while (offset < end) {
    liar_expect (f->liar, HYPHA_FRAME_DATA, lies_liars (f, 0), &frame);
    g_assert_cmpuint (frame.value, ==, offset);
    g_assert_cmpuint (frame.length, <=, end - offset);
    g_assert_cmpmem (frame.data, frame.length, text, frame.length);
    text += frame.length;
    offset += frame.length;
  }
  liar_send (f->liar,
             &(HyphaFrame){ .type = HYPHA_FRAME_ACK, .stream = lies_liars (f, 0), .value = end });
}

/* Comes again over another link, with what is true. ECHOED: what it has of its own stream. */
static void
resume (Lies *f, guint64 echoed)
{
  HyphaResumeEntry entries[2];
  const guint own = f->parity == 0 ? 0 : 1;

  entries[own] = (HyphaResumeEntry){
    .stream = lies_liars (f, 0), .flags = HYPHA_RESUME_ACCEPTED, .next = echoed, .limit = 1000
  };
  entries[!own] = (HyphaResumeEntry){
    .stream = lies_betas (f, 0), .flags = HYPHA_RESUME_ACCEPTED, .next = 10, .limit = 1000
  };
  liar_dial (f->liar, f->on_unix);
  g_assert_true (liar_meet (f->liar, TRUE));
  liar_resume (f->liar, lies_liars (f, 0), lies_betas (f, 0), entries, 2);
}

/* The first byte that was taken is the one that counts. */
static void
test_overlaps_with_other_bytes (Lies *f, gconstpointer data)
{
  HyphaFrame frame;

  lies_open (f);
  say_data (f, 0, "ABCDEFGHIJ", 0);
  say_data (f, 5, "abcdefghij", 0);
  expect_echo (f, 10, "fghij");
  for (guint i = 0; i < 3; i++) /* byte by byte, each time other ones */
    for (guint64 at = 0; at < 15; at++)
      say_data (f, at, i == 0 ? "x" : i == 1 ? "y" : "z", 0);
  /* over another link, from the beginning, as after a change */
  resume (f, 15);
  liar_send (f->liar, &(HyphaFrame){ .type = HYPHA_FRAME_EPOCH, .value = 2 });
  say_data (f, 0, "the quick brown fox", HYPHA_FRAME_FIN);
  expect_echo (f, 15, " fox");
  /* what was finished stays as it was */
  say_data (f, 10, "what else", HYPHA_FRAME_FIN);
  liar_expect (f->liar, HYPHA_FRAME_DATA, lies_liars (f, 0), &frame);
  g_assert_cmpuint (frame.flags, ==, HYPHA_FRAME_FIN);
  g_assert_cmpuint (frame.value + frame.length, ==, 19);
  g_assert_cmpint (f->liar->away, ==, 0);
  g_assert_null (f->probe_ended);
  lies_expect_honest (f);
}

/* Beta has finished, and the liar says that it took the end, but not what was before it. */
static void
test_takes_an_end_without_what_was_before_it (Lies *f, gconstpointer data)
{
  HyphaFrame frame;

  lies_open (f);
  g_assert_true (hypha_stream_close_write (f->probe, NULL));
  do
    liar_expect (f->liar, HYPHA_FRAME_DATA, lies_betas (f, 0), &frame);
  while (!(frame.flags & HYPHA_FRAME_FIN));
  liar_send (f->liar, &(HyphaFrame){ .type = HYPHA_FRAME_ACK,
                                     .flags = HYPHA_FRAME_FIN,
                                     .stream = lies_betas (f, 0),
                                     .value = 9 });
  liar_read_to_end (f->liar);
  g_assert_cmpint (f->liar->away, ==, HYPHA_AWAY_PROTOCOL);
  lies_expect_probe_ended (f, HYPHA_ERROR_PROTOCOL, "took FIN, but not all");
  lies_expect_honest (f);
}

/* It has finished, and goes on. */
static void
test_sends_beyond_its_end (Lies *f, gconstpointer data)
{
  lies_open (f);
  say_data (f, 10, "", HYPHA_FRAME_FIN);
  say_data (f, 10, "more", 0);
  liar_read_to_end (f->liar);
  g_assert_cmpint (f->liar->away, ==, HYPHA_AWAY_PROTOCOL);
  lies_expect_probe_ended (f, HYPHA_ERROR_PROTOCOL, "beyond the end of a stream");
  lies_expect_honest (f);
}

static void
test_replays_open (Lies *f, gconstpointer data)
{
  const guint32 id = lies_liars (f, 0);
  HyphaFrame frame;

  lies_open (f);
  say_open (f, 0); /* it is open: the answer may have been lost */
  liar_expect (f->liar, HYPHA_FRAME_WINDOW, id, &frame);
  g_assert_cmpuint (n_streams (f->suspect), ==, 2);
  say_data (f, 10, "", HYPHA_FRAME_FIN);
  do
    liar_expect (f->liar, HYPHA_FRAME_DATA, id, &frame);
  while (!(frame.flags & HYPHA_FRAME_FIN));
  liar_send (f->liar,
             &(HyphaFrame){
                 .type = HYPHA_FRAME_ACK, .flags = HYPHA_FRAME_FIN, .stream = id, .value = 10 });
  wait_until (n_streams (f->suspect) == 1);
  for (guint i = 0; i < 100; i++) { /* it was: never again */
    say_open (f, 0);
    liar_expect (f->liar, HYPHA_FRAME_RESET, id, &frame);
    g_assert_cmpuint (frame.code, ==, HYPHA_CODE_GONE);
  }
  say_open (f, 5); /* what is above is taken, and what was left out is not */
  liar_expect (f->liar, HYPHA_FRAME_WINDOW, lies_liars (f, 5), &frame);
  say_open (f, 3);
  liar_expect (f->liar, HYPHA_FRAME_RESET, lies_liars (f, 3), &frame);
  g_assert_cmpuint (frame.code, ==, HYPHA_CODE_GONE);
  g_assert_cmpuint (n_streams (f->suspect), ==, 2);
  g_assert_null (f->probe_ended);
  lies_expect_honest (f);
}

/* ---- what it says before its stream is taken ---- */

static void
hold (HyphaNode *node, HyphaIncoming *incoming, gpointer user_data)
{
  *(HyphaIncoming **) user_data = incoming;
}

typedef enum {
  BY_MEMORY,
  BY_DESCRIPTOR,
  BY_TARGET,
} Way;

/* The N-th stream of the liar, once it has said FRAME of it as well. */
static HyphaIncoming *
say_early (Lies *f, guint n, const HyphaFrame *frame)
{
  HyphaFrame said = *frame;
  HyphaIncoming *incoming = NULL;

  hypha_node_set_accept_func (f->pair.b.node, hold, &incoming);
  said.stream = lies_liars (f, n);
  say_open (f, n);
  liar_send (f->liar, &said);
  liar_settle (f->liar);
  wait_until (incoming != NULL);
  hypha_node_set_accept_func (f->pair.b.node, NULL, NULL);
  return incoming;
}

/* Takes it, and gives what a program of beta has of it; FULL: which has written all that a
 * descriptor takes. */
static HyphaStream *
take_in (HyphaIncoming *incoming, Way way, gboolean full)
{
  g_autoptr (GObject) keep = way == BY_TARGET ? g_object_new (G_TYPE_OBJECT, NULL) : NULL;
  HyphaStream *stream;
  int fds[2];

  if (way == BY_MEMORY) {
    stream = hypha_incoming_make_stream (incoming, NULL);
    g_assert_nonnull (stream);
    hypha_incoming_accept_made (incoming);
    return stream;
  }
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), ==, 0);
  while (full && send (fds[0], "x", 1, MSG_NOSIGNAL) == 1)
    continue;
  hypha_incoming_accept (incoming, fds[1], keep);
  return hypha_stream_new (fds[0], 0, "echo");
}

/* A peer may well be through with one direction before anybody here has answered. */
static void
test_resets_before_it_is_taken (Lies *f, gconstpointer data)
{
  static const HyphaFrame reset = { .type = HYPHA_FRAME_RESET, .code = HYPHA_CODE_APPLICATION };

  liar_join (f->liar, f->on_unix);
  for (Way way = BY_MEMORY; way <= BY_TARGET; way++) {
    g_autoptr (HyphaStream) stream = take_in (say_early (f, way, &reset), way, FALSE);
    GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (stream));
    g_autoptr (GError) error = NULL;
    HyphaFrame frame;
    char byte;
    gssize n;

    if (way == BY_TARGET) { /* there a reset is one of both directions */
      liar_expect (f->liar, HYPHA_FRAME_RESET, lies_liars (f, way), &frame);
      liar_send (f->liar, &(HyphaFrame){ .type = HYPHA_FRAME_ACK,
                                         .flags = HYPHA_FRAME_RESET_TAKEN,
                                         .stream = lies_liars (f, way) });
    }
    hypha_stream_set_timeout (stream, 10000);
    n = g_input_stream_read (input, &byte, 1, NULL, &error);
    if (way == BY_MEMORY)
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
    else
      g_assert_no_error (error);
    g_assert_cmpint (n, <=, 0);
  }
  lies_expect_honest (f);
}

static void
test_stops_before_it_is_taken (Lies *f, gconstpointer data)
{
  static const HyphaFrame stop = { .type = HYPHA_FRAME_STOP, .code = HYPHA_CODE_APPLICATION };

  liar_join (f->liar, f->on_unix);
  for (Way way = BY_MEMORY; way <= BY_TARGET; way++) {
    g_autoptr (HyphaStream) stream = take_in (say_early (f, way, &stop), way, TRUE);
    GOutputStream *output = g_io_stream_get_output_stream (G_IO_STREAM (stream));
    g_autoptr (GError) error = NULL;

    hypha_stream_set_timeout (stream, 10000);
    while (g_output_stream_write (output, "x", 1, NULL, &error) == 1)
      continue;
    if (way == BY_MEMORY)
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
    else
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  }
  lies_expect_honest (f);
}

static void
test_speaks_before_its_resume (Lies *f, gconstpointer data)
{
  static const HyphaFrame frames[] = {
    { .type = HYPHA_FRAME_OPEN, .data = (const guint8 *) "echo", .length = 4 },
    { .type = HYPHA_FRAME_DATA, .data = (const guint8 *) "x", .length = 1 },
    { .type = HYPHA_FRAME_ACK },
    { .type = HYPHA_FRAME_WINDOW, .value = 1 },
    { .type = HYPHA_FRAME_RESET, .code = 1 },
    { .type = HYPHA_FRAME_STOP, .code = 1 },
    { .type = HYPHA_FRAME_EPOCH, .value = 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (frames); i++) {
    lies_open (f);
    liar_dial (f->liar, f->on_unix);
    g_assert_true (liar_meet (f->liar, TRUE));
    liar_send (f->liar, &frames[i]);
    liar_read_to_end (f->liar);
    g_assert_cmpint (f->liar->away, ==, HYPHA_AWAY_PROTOCOL);
    lies_expect_probe_ended (f, HYPHA_ERROR_PROTOCOL, "used a link before its RESUME");
    g_clear_object (&f->probe_ended);
    g_clear_object (&f->probe);
    f->liar->session_number++;
    wait_until (hypha_node_peer_n_links (f->suspect) == 0);
  }
  lies_expect_honest (f);
}

/* ---- numbers and lives ---- */

static void
expect_rejected (Lies *f, guint64 session, guint64 link, HyphaRejectCode code, guint64 highest)
{
  guint64 told = 0;

  f->liar->session_number = session;
  f->liar->link_number = link - 1;
  liar_dial (f->liar, f->on_unix);
  g_assert_false (liar_meet (f->liar, TRUE));
  g_test_message ("%s", hypha_handshake_get_error (f->liar->handshake)->message);
  g_assert_cmpint (hypha_handshake_get_rejected (f->liar->handshake, &told), ==, code);
  g_assert_cmpuint (told, ==, highest);
}

static void
test_numbers_that_cannot_be (Lies *f, gconstpointer data)
{
  f->liar->session_number = 7;
  f->liar->link_number = 40;
  liar_join (f->liar, f->on_unix);
  lies_open_probe (f);
  liar_settle (f->liar);

  expect_rejected (f, 0, 50, HYPHA_REJECT_STALE, 0);
  expect_rejected (f, 7, 41, HYPHA_REJECT_ROLLED_BACK, 7);
  expect_rejected (f, 7, 0, HYPHA_REJECT_ROLLED_BACK, 7);
  expect_rejected (f, 6, 99, HYPHA_REJECT_ROLLED_BACK, 7);
  g_assert_null (f->probe_ended);
  /* The highest numbers there are: its own session can have no successor, which is its own doing.
   */
  f->liar->session_number = G_MAXUINT64;
  f->liar->link_number = G_MAXUINT64 - 1;
  liar_join (f->liar, f->on_unix);
  lies_expect_probe_ended (f, HYPHA_ERROR_RESTARTED, "the peer lost the session");
  expect_rejected (f, G_MAXUINT64, G_MAXUINT64, HYPHA_REJECT_ROLLED_BACK, G_MAXUINT64);
  expect_rejected (f, 8, 1, HYPHA_REJECT_ROLLED_BACK, G_MAXUINT64);
  lies_expect_honest (f);
  f->liar->instance.bytes[0] ^= 1; /* another life of it can */
  lies_expect_liar_back (f);
}

static void
test_lives_without_end (Lies *f, gconstpointer data)
{
  enum { LIVES = 4, MORE = 30 };
  Liar *lives[LIVES];

  for (guint i = 0; i < LIVES; i++) {
    lives[i] = liar_new (hypha_identity_ref (f->liar->identity));
    liar_join (lives[i], f->on_unix);
  }
  for (guint i = 0; i < MORE; i++) {
    liar_dial (f->liar, f->on_unix);
    f->liar->instance.bytes[0]++;
    g_assert_false (liar_meet (f->liar, TRUE));
    g_assert_cmpint (hypha_handshake_get_rejected (f->liar->handshake, NULL), ==,
                     HYPHA_REJECT_BUSY);
  }
  lies_expect_honest (f);
  for (guint i = 0; i < LIVES; i++)
    liar_free (lives[i]);
  wait_until (hypha_node_peer_n_links (f->suspect) == 0);
  lies_expect_liar_back (f);
}

/* ---- links that drip or break ---- */

static const guint8 no_frames[][HYPHA_FRAME_HEADER] = {
  { 0 },
  { 99 },
  { HYPHA_FRAME_DATA, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 1 },    /* longer than any */
  { HYPHA_FRAME_ACK, 0x80, 0, 0, 0, 0, 0, 2, 0, 0, 0, 8 },  /* a flag that is none */
  { HYPHA_FRAME_ACK, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 8 },     /* reserved bits */
  { HYPHA_FRAME_EPOCH, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 8 },   /* of a stream */
  { HYPHA_FRAME_WINDOW, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9 },  /* of a wrong length */
  { HYPHA_FRAME_RESUME, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 39 }, /* of part of an entry */
};

/* It costs the link, and not even the session: another link carries on. */
static void
test_no_frames (Lies *f, gconstpointer data)
{
  lies_open (f);
  liar_send (f->liar,
             &(HyphaFrame){ .type = HYPHA_FRAME_ACK, .stream = lies_betas (f, 0), .value = 10 });
  liar_settle (f->liar);
  for (guint i = 0; i < G_N_ELEMENTS (no_frames); i++) {
    liar_write (f->liar, no_frames[i], sizeof no_frames[i]);
    liar_read_to_end (f->liar);
    g_assert_cmpint (f->liar->away, ==, HYPHA_AWAY_PROTOCOL);
    resume (f, 10);
    liar_settle (f->liar);
  }
  lies_expect_told (f, "The peer sent a frame");
  g_assert_cmpuint (f->told->len, <=, 5); /* then they are only counted */
  g_assert_null (f->probe_ended);
  lies_expect_honest (f);
}

/* DATA: how much of a frame of 64 KiB comes at once, before it drips. Before that, everybody has
 * the time that it takes; then alpha has to answer as well, which it can do in this time on any
 * machine.
 */
static void
test_drips (Lies *f, gconstpointer data)
{
  HyphaNodeLimits limits = lies_limits ();
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  static const guint8 zeros[HYPHA_FRAME_DATA_MAX];
  gsize at = GPOINTER_TO_SIZE (data);

  limits.ping_interval = 50;
  limits.link_timeout = 2000;
  lies_open (f);
  lies_measure (f);
  liar_spell (&(HyphaFrame){ .type = HYPHA_FRAME_DATA,
                             .stream = lies_liars (f, 0),
                             .value = 10,
                             .data = zeros,
                             .length = sizeof zeros },
              bytes);
  liar_write (f->liar, bytes->data, at);
  hypha_node_set_limits (f->pair.b.node, &limits);
  while (!f->liar->cut && at < bytes->len && hypha_node_peer_n_links (f->suspect) > 0) {
    liar_write (f->liar, bytes->data + at++, 1);
    g_main_context_iteration (NULL, TRUE); /* pings come, and alpha is busy */
  }
  g_test_message ("%zu bytes in drips", at);
  g_assert_cmpuint (at, <, bytes->len);
  lies_expect_told (f, "The peer has not answered for 2000 ms");
  lies_expect_probe_ended (f, HYPHA_ERROR_EXPIRED, "no link to the peer");
  g_assert_cmpuint (lies_grown (f), <=, LIES_CAP);
  lies_expect_honest (f);
}

/* ---- one that is dialled ---- */

static gboolean
take_call (gint fd, GIOCondition condition, gpointer data)
{
  Lies *f = data;

  /* It lets beta in, and breaks off. */
  liar_take (f->liar, accept (fd, NULL, NULL));
  f->calls++;
  if (liar_meet (f->liar, FALSE)) {
    liar_resume (f->liar, -1, -1, NULL, 0);
    liar_settle (f->liar);
  }
  liar_hang_up (f->liar);
  return G_SOURCE_CONTINUE;
}

/* A link that came up is no reason to come again at once, unless it lives for a minute: 1 s, 2 s,
 * and so on, of which a half at least. */
static void
test_dialled_and_hangs_up (Lies *f, gconstpointer data)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = g_htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_autofree char *endpoint = NULL;
  const char *peers[] = { NULL, NULL };
  gint64 began;
  guint source;

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, length), ==, 0);
  g_assert_cmpint (listen (fd, 10), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  endpoint = g_strdup_printf ("tcp://127.0.0.1:%u?tls=never", g_ntohs (address.sin_port));
  peers[0] = endpoint;
  source = g_unix_fd_add (fd, G_IO_IN, take_call, f);
  began = g_get_monotonic_time ();
  g_assert_true (hypha_node_set_peers (f->pair.b.node, peers, NULL));
  wait_until (f->calls >= 4);
  g_assert_cmpint (g_get_monotonic_time () - began, >=, 3450 * G_TIME_SPAN_MILLISECOND);
  g_assert_true (hypha_node_set_peers (f->pair.b.node, peers + 1, NULL));
  g_source_remove (source);
  close (fd);
  lies_expect_honest (f);
}

#define ADD(path, func, data) \
  g_test_add ("/liar/" path, Lies, data, lies_set_up, func, lies_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  ADD ("overlaps/with-other-bytes", test_overlaps_with_other_bytes, NULL);
  ADD ("acknowledges/an-end-without-what-was-before-it",
       test_takes_an_end_without_what_was_before_it, NULL);
  ADD ("sends/beyond-its-end", test_sends_beyond_its_end, NULL);
  ADD ("replays/open", test_replays_open, NULL);
  ADD ("resets/before-it-is-taken", test_resets_before_it_is_taken, NULL);
  ADD ("stops/before-it-is-taken", test_stops_before_it_is_taken, NULL);
  ADD ("speaks/before-its-resume", test_speaks_before_its_resume, NULL);
  ADD ("numbers/that-cannot-be", test_numbers_that_cannot_be, NULL);
  ADD ("lives/without-end", test_lives_without_end, NULL);
  ADD ("breaks/frames-that-are-none", test_no_frames, NULL);
  ADD ("drips/header", test_drips, GSIZE_TO_POINTER (3));
  ADD ("drips/body", test_drips, GSIZE_TO_POINTER (1000));
  ADD ("dialled/and-hangs-up", test_dialled_and_hangs_up, NULL);
  return g_test_run ();
}
