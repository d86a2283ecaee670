/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test-transport.h"
#include "websocket-flow.h"
#include "websocket-frame.h"
#include "websocket-http.h"
#include "websocket.h"

#define PATIENCE_MS 20000

/* ---- helpers ---- */

typedef struct {
  HyphaTransport *transport;
  HyphaListener *listener; /* nullable */
  GPtrArray *accepted;     /* of HyphaChannel */
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->transport = hypha_plugin_websocket.create (NULL);
  f->accepted = g_ptr_array_new_with_free_func (g_object_unref);
  transport_must_configure (f->transport, data != NULL ? data : "{'proxy': <''>}");
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_ptr_array_unref (f->accepted);
  g_clear_object (&f->listener);
  g_assert_finalize_object (f->transport);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, Fixture *f)
{
  g_ptr_array_add (f->accepted, g_object_ref (channel));
}

static guint16
get_port (Fixture *f)
{
  const char *rest = hypha_endpoint_get_rest (hypha_listener_get_bound (f->listener));

  return (guint16) g_ascii_strtoull (strrchr (rest, ':') + 1, NULL, 10);
}

static guint16
start_listening (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, "ws://127.0.0.1:0/x");
  g_autoptr (GError) error = NULL;

  f->listener = transport_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
  return get_port (f);
}

static HyphaChannel *
wait_accepted (Fixture *f)
{
  while (f->accepted->len == 0)
    g_main_context_iteration (NULL, TRUE);
  return f->accepted->pdata[0];
}

/* ---- the other end, which says what a test wants ---- */

typedef struct {
  int fd;
  gboolean masks;
  WebsocketDecoder decoder;
  guint8 buffer[65536];
  guint8 *data;
  gsize size;
} Raw;

static void
raw_init (Raw *raw, int fd, gboolean masks)
{
  *raw = (Raw){ .fd = fd, .masks = masks };
  raw->data = raw->buffer;
  websocket_decoder_init (&raw->decoder, !masks);
}

/* FALSE: the other end has gone. */
static gboolean
try_write (int fd, const void *data, gsize size)
{
  for (gsize done = 0; done < size;) {
    gssize n = send (fd, (const char *) data + done, size - done, MSG_NOSIGNAL);
    struct pollfd pollfd = { .fd = fd, .events = POLLOUT };

    if (n < 0 && errno == EAGAIN) {
      g_assert_cmpint (poll (&pollfd, 1, PATIENCE_MS), ==, 1);
      continue;
    }
    if (n < 0)
      return FALSE;
    done += (gsize) n;
  }
  return TRUE;
}

static void
write_all (int fd, const void *data, gsize size)
{
  g_assert_true (try_write (fd, data, size));
}

/* 0: the end, in whatever way. */
static gsize
read_some (int fd, void *data, gsize size)
{
  struct pollfd pollfd = { .fd = fd, .events = POLLIN };
  gssize n;

  do {
    g_assert_cmpint (poll (&pollfd, 1, PATIENCE_MS), ==, 1);
    n = recv (fd, data, size, 0);
  } while (n < 0 && errno == EAGAIN);
  return (gsize) MAX (n, 0);
}

/* Byte by byte, for frames may follow; to free. */
static char *
read_head (int fd)
{
  g_autoptr (GString) head = g_string_new (NULL);
  char byte;

  while (!g_str_has_suffix (head->str, "\r\n\r\n") && read_some (fd, &byte, 1) == 1)
    g_string_append_c (head, byte);
  return g_string_free (g_steal_pointer (&head), FALSE);
}

static int
raw_connect (guint16 port)
{
  const struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons (port),
                                       .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (connect (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  return fd;
}

static char *
make_request (const char *more)
{
  return g_strconcat (
      "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
      more, "\r\n", NULL);
}

/* A client of the listener that starts here. */
static void
raw_come (Fixture *f, Raw *raw, gboolean hypha)
{
  g_autofree char *request = make_request (hypha ? "Sec-WebSocket-Protocol: hypha.1\r\n" : "");
  g_autofree char *answer = NULL;
  int fd = raw_connect (start_listening (f));

  write_all (fd, request, strlen (request));
  answer = read_head (fd);
  g_assert_true (g_str_has_prefix (answer, "HTTP/1.1 101 "));
  g_assert_cmpint (strstr (answer, "hypha.1") != NULL, ==, hypha);
  raw_init (raw, fd, TRUE);
  wait_accepted (f);
}

static gboolean
raw_try_send (Raw *raw, WebsocketOpcode opcode, const void *data, gsize size)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();

  websocket_append_frame (out, opcode, raw->masks ? (const guint8 *) "mask" : NULL, data, size);
  return try_write (raw->fd, out->data, out->len);
}

static void
raw_send (Raw *raw, WebsocketOpcode opcode, const void *data, gsize size)
{
  g_assert_true (raw_try_send (raw, opcode, data, size));
}

static void
raw_order (Raw *raw, const char *order)
{
  raw_send (raw, WEBSOCKET_TEXT, order, strlen (order));
}

/* The next piece; FALSE: the connection ended. */
static gboolean
raw_next (Raw *raw, WebsocketPiece *piece)
{
  WebsocketVerdict verdict;

  while ((verdict = websocket_decoder_next (&raw->decoder, &raw->data, &raw->size, piece)) ==
         WEBSOCKET_MORE) {
    raw->data = raw->buffer;
    raw->size = read_some (raw->fd, raw->buffer, sizeof raw->buffer);
    if (raw->size == 0)
      return FALSE;
  }
  g_assert_cmpint (verdict, ==, WEBSOCKET_PIECE);
  return TRUE;
}

/* Passes over what is not OPCODE; what it holds, to free. NULL: the connection ended. */
static char *
raw_wait (Raw *raw, WebsocketOpcode opcode)
{
  WebsocketPiece piece;

  while (raw_next (raw, &piece))
    if (piece.opcode == opcode)
      return piece.size > 0 ? g_strndup ((const char *) piece.data, piece.size) : g_strdup ("");
  return NULL;
}

/* The code with which this end was cut off. */
static guint
raw_wait_code (Raw *raw)
{
  g_autofree char *reason = NULL;
  WebsocketPiece piece;

  while (raw_next (raw, &piece))
    if (piece.opcode == WEBSOCKET_CLOSE)
      return websocket_close_parse (piece.data, piece.size, &reason);
  return WEBSOCKET_CLOSE_CUT;
}

/* What is left of a channel, up to its end. */
static gsize
drain (HyphaChannel *channel)
{
  guint8 buffer[65536];
  gsize total = 0, n;

  while ((n = read_some (hypha_channel_get_fd (channel), buffer, sizeof buffer)) > 0)
    total += n;
  return total;
}

static void
assert_error (HyphaChannel *channel, int code, const char *part)
{
  g_autoptr (GError) error = hypha_channel_dup_error (channel);

  g_assert_error (error, HYPHA_ERROR, code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, part));
}

/* ---- between nodes ---- */

static void
test_more_than_the_credit_is_cut_off (Fixture *f, gconstpointer data)
{
  g_autofree guint8 *bytes = g_malloc0 (WEBSOCKET_WINDOW);
  HyphaChannel *channel;
  Raw raw;

  raw_come (f, &raw, TRUE);
  channel = wait_accepted (f);
  raw_send (&raw, WEBSOCKET_BINARY, bytes, WEBSOCKET_WINDOW);
  /* Nobody reads: there is credit for what the socket took, and that is less than as much again.
   * It may be cut off in the middle of this. */
  raw_try_send (&raw, WEBSOCKET_BINARY, bytes, WEBSOCKET_WINDOW);
  g_assert_cmpuint (raw_wait_code (&raw), ==, WEBSOCKET_CLOSE_PROTOCOL);
  g_assert_cmpuint (drain (channel), <=, 2 * WEBSOCKET_WINDOW);
  assert_error (channel, HYPHA_ERROR_PROTOCOL, "credit");
  close (raw.fd);
}

static void
test_credit_is_given_back (Fixture *f, gconstpointer data)
{
  g_autofree guint8 *bytes = g_malloc0 (WEBSOCKET_WINDOW);
  g_autofree char *order = NULL;
  Raw raw;

  raw_come (f, &raw, TRUE);
  raw_send (&raw, WEBSOCKET_BINARY, bytes, WEBSOCKET_WINDOW / 2);
  for (gsize n = 0; n < WEBSOCKET_WINDOW / 2;)
    n += read_some (hypha_channel_get_fd (wait_accepted (f)), bytes, WEBSOCKET_WINDOW);
  order = raw_wait (&raw, WEBSOCKET_TEXT);
  g_assert_true (g_str_has_prefix (order, "credit "));
  close (raw.fd);
}

/* Writes whatever the channel takes, and reads until WANTED bytes have come. */
static void
assert_brings (HyphaChannel *channel, Raw *raw, gsize wanted)
{
  static const guint8 bytes[65536];
  gsize got = 0;

  while (got < wanted) {
    WebsocketPiece piece;

    while (send (hypha_channel_get_fd (channel), bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
      ;
    g_assert_true (raw_next (raw, &piece));
    g_assert_cmpint (piece.opcode, ==, WEBSOCKET_BINARY);
    got += piece.size;
  }
  g_assert_cmpuint (got, ==, wanted);
}

static void
test_credit_is_kept_to (Fixture *f, gconstpointer data)
{
  Raw raw;

  raw_come (f, &raw, TRUE);
  assert_brings (wait_accepted (f), &raw, WEBSOCKET_WINDOW);
  /* There is more to send, and nothing comes but the answer to a ping. */
  for (guint i = 0; i < 2; i++) {
    WebsocketPiece piece;

    raw_send (&raw, WEBSOCKET_PING, NULL, 0);
    g_assert_true (raw_next (&raw, &piece));
    g_assert_cmpint (piece.opcode, ==, WEBSOCKET_PONG);
    raw_order (&raw, "credit 1");
    assert_brings (wait_accepted (f), &raw, 1);
  }
  close (raw.fd);
}

static void
test_pings_are_answered_while_nobody_reads (Fixture *f, gconstpointer data)
{
  g_autofree guint8 *bytes = g_malloc0 (WEBSOCKET_WINDOW);
  g_autofree char *pong = NULL;
  Raw raw;

  raw_come (f, &raw, TRUE);
  raw_send (&raw, WEBSOCKET_BINARY, bytes, WEBSOCKET_WINDOW);
  raw_send (&raw, WEBSOCKET_PING, "there?", 6);
  pong = raw_wait (&raw, WEBSOCKET_PONG);
  g_assert_cmpstr (pong, ==, "there?");
  close (raw.fd);
}

static void
test_wrong_orders_are_cut_off (Fixture *f, gconstpointer data)
{
  static const char *const orders[] = {
    "",          "credit",    "credit 0",
    "credit -1", "credit 1x", "credit 99999999999999999999",
    "credit 1", /* nothing was sent */
    "End",       "end\nend",  "what an order this is, of more than there may be",
  };

  for (guint i = 0; i < G_N_ELEMENTS (orders); i++) {
    Raw raw;

    raw_come (f, &raw, TRUE);
    raw_order (&raw, orders[i]);
    g_assert_cmpuint (raw_wait_code (&raw), ==, WEBSOCKET_CLOSE_PROTOCOL);
    g_assert_cmpuint (drain (wait_accepted (f)), ==, 0);
    assert_error (wait_accepted (f), HYPHA_ERROR_PROTOCOL, "order");
    close (raw.fd);
    g_ptr_array_set_size (f->accepted, 0);
    g_clear_object (&f->listener);
  }
}

static void
test_bytes_behind_the_end_are_cut_off (Fixture *f, gconstpointer data)
{
  Raw raw;

  raw_come (f, &raw, TRUE);
  raw_order (&raw, "end");
  raw_send (&raw, WEBSOCKET_BINARY, "x", 1);
  g_assert_cmpuint (raw_wait_code (&raw), ==, WEBSOCKET_CLOSE_PROTOCOL);
  g_assert_cmpuint (drain (wait_accepted (f)), ==, 0);
  assert_error (wait_accepted (f), HYPHA_ERROR_PROTOCOL, "behind the end");
  close (raw.fd);
}

static void
test_both_ends_are_an_end_without_error (Fixture *f, gconstpointer data)
{
  g_autofree char *bytes = NULL;
  g_autofree char *order = NULL;
  Raw raw;

  raw_come (f, &raw, TRUE);
  raw_send (&raw, WEBSOCKET_BINARY, "question", 8);
  raw_order (&raw, "end");
  g_assert_cmpuint (drain (wait_accepted (f)), ==, 8);
  write_all (hypha_channel_get_fd (wait_accepted (f)), "answer", 6);
  shutdown (hypha_channel_get_fd (wait_accepted (f)), SHUT_WR);
  bytes = raw_wait (&raw, WEBSOCKET_BINARY);
  order = raw_wait (&raw, WEBSOCKET_TEXT);
  g_assert_cmpstr (bytes, ==, "answer");
  g_assert_cmpstr (order, ==, "end");
  g_assert_cmpuint (raw_wait_code (&raw), ==, WEBSOCKET_CLOSE_NORMAL);
  raw_send (&raw, WEBSOCKET_CLOSE, "\3\350", 2);
  g_assert_null (hypha_channel_dup_error (wait_accepted (f)));
  close (raw.fd);
}

/* How the connection ends, and what the channel tells. */
static void
test_every_other_end_is_an_error (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *close; /* NULL: none */
    int error;
    const char *part;
  } table[] = {
    { "\3\351bye", HYPHA_ERROR_RESET, "1001: bye" },
    { "\3\350", HYPHA_ERROR_RESET, "before its end" },
    { NULL, HYPHA_ERROR_RESET, "1006" },
    { "\3\355", HYPHA_ERROR_PROTOCOL, "close frame" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    Raw raw;

    raw_come (f, &raw, TRUE);
    raw_send (&raw, WEBSOCKET_BINARY, "last", 4);
    if (table[i].close != NULL)
      raw_send (&raw, WEBSOCKET_CLOSE, table[i].close, strlen (table[i].close));
    else
      close (raw.fd);
    g_assert_cmpuint (drain (wait_accepted (f)), ==, 4);
    assert_error (wait_accepted (f), table[i].error, table[i].part);
    if (table[i].close != NULL)
      close (raw.fd);
    g_ptr_array_set_size (f->accepted, 0);
    g_clear_object (&f->listener);
  }
}

static void
test_silence_is_no_life (Fixture *f, gconstpointer data)
{
  g_autofree char *ping = NULL;
  Raw raw;

  raw_come (f, &raw, TRUE);
  ping = raw_wait (&raw, WEBSOCKET_PING);
  g_assert_nonnull (ping);
  /* Whoever says anything lives. */
  raw_send (&raw, WEBSOCKET_PONG, NULL, 0);
  g_free (g_steal_pointer (&ping));
  ping = raw_wait (&raw, WEBSOCKET_PING);
  g_assert_nonnull (ping);
  g_assert_cmpuint (raw_wait_code (&raw), ==, WEBSOCKET_CLOSE_GOING_AWAY);
  g_assert_cmpuint (drain (wait_accepted (f)), ==, 0);
  assert_error (wait_accepted (f), HYPHA_ERROR_TIMED_OUT, "ping");
  close (raw.fd);
}

/* ---- with others ---- */

static void
test_messages_of_others_are_the_stream (Fixture *f, gconstpointer data)
{
  static const guint8 parts[] = { 0x01, 0x82, 'm', 'a', 's', 'k', 'a' ^ 'm', 'b' ^ 'a',
                                  0x80, 0x81, 'm', 'a', 's', 'k', 'c' ^ 'm' };
  g_autofree char *bytes = NULL;
  char buffer[16];
  HyphaChannel *channel;
  Raw raw;

  raw_come (f, &raw, FALSE);
  channel = wait_accepted (f);
  write_all (raw.fd, parts, sizeof parts);
  raw_send (&raw, WEBSOCKET_BINARY, "def", 3);
  raw_order (&raw, "end");
  for (gsize n = 0; n < 9;)
    n += read_some (hypha_channel_get_fd (channel), buffer + n, sizeof buffer - n);
  g_assert_cmpmem (buffer, 9, "abcdefend", 9);
  write_all (hypha_channel_get_fd (channel), "answer", 6);
  bytes = raw_wait (&raw, WEBSOCKET_BINARY);
  g_assert_cmpstr (bytes, ==, "answer");
  raw_send (&raw, WEBSOCKET_CLOSE, "\3\350", 2);
  g_assert_cmpuint (raw_wait_code (&raw), ==, WEBSOCKET_CLOSE_NORMAL);
  g_assert_cmpuint (drain (channel), ==, 0);
  g_assert_null (hypha_channel_dup_error (channel));
  close (raw.fd);
}

/* The program ends first, and reads on: what was on its way comes, and a cut behind it is told. */
static void
test_silence_behind_the_end_is_no_end (Fixture *f, gconstpointer data)
{
  static const char bytes[1000];
  HyphaChannel *channel;
  Raw raw;

  raw_come (f, &raw, FALSE);
  channel = wait_accepted (f);
  shutdown (hypha_channel_get_fd (channel), SHUT_WR);
  g_assert_cmpuint (raw_wait_code (&raw), ==, WEBSOCKET_CLOSE_NORMAL);
  raw_send (&raw, WEBSOCKET_BINARY, bytes, sizeof bytes);
  g_assert_cmpuint (drain (channel), ==, sizeof bytes);
  assert_error (channel, HYPHA_ERROR_TIMED_OUT, "did not answer the end");
  close (raw.fd);
}

static void
test_close_within_a_message_is_no_end (Fixture *f, gconstpointer data)
{
  static const guint8 part[] = { 0x02, 0x81, 'm', 'a', 's', 'k', 'x' ^ 'm' };
  Raw raw;

  raw_come (f, &raw, FALSE);
  write_all (raw.fd, part, sizeof part);
  raw_send (&raw, WEBSOCKET_CLOSE, "\3\350", 2);
  g_assert_cmpuint (drain (wait_accepted (f)), ==, 1);
  assert_error (wait_accepted (f), HYPHA_ERROR_RESET, "before its end");
  close (raw.fd);
}

static void
test_broken_frame_is_cut_off (Fixture *f, gconstpointer data)
{
  Raw raw;

  raw_come (f, &raw, FALSE);
  write_all (raw.fd, "\x82\x01x", 3);
  g_assert_cmpuint (raw_wait_code (&raw), ==, WEBSOCKET_CLOSE_PROTOCOL);
  g_assert_cmpuint (drain (wait_accepted (f)), ==, 0);
  assert_error (wait_accepted (f), HYPHA_ERROR_PROTOCOL, "not masked");
  close (raw.fd);
}

/* ---- listening ---- */

/* Whoever is being let in counts as one who is in. */
static void
test_house_is_full_for_many_at_once (Fixture *f, gconstpointer data)
{
  g_autofree char *request = make_request ("");
  guint16 port = start_listening (f);
  guint let_in = 0;
  int fds[32];

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    fds[i] = raw_connect (port);
    write_all (fds[i], request, strlen (request) - 1);
  }
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    write_all (fds[i], "\n", 1);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    g_autofree char *answer = read_head (fds[i]);

    let_in += g_str_has_prefix (answer, "HTTP/1.1 101 ") ? 1 : 0;
  }
  g_assert_cmpuint (let_in, ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

static void
test_full_house_says_so (Fixture *f, gconstpointer data)
{
  g_autofree char *request = make_request ("");
  g_autofree char *answer = NULL;
  Raw raw;
  int fd;

  raw_come (f, &raw, FALSE);
  fd = raw_connect (get_port (f));
  write_all (fd, request, strlen (request));
  answer = read_head (fd);
  g_assert_true (g_str_has_prefix (answer, "HTTP/1.1 503 "));
  close (fd);
  close (raw.fd);
}

/* Whose word for the path a request may have. */
static void
test_targets_are_told_apart (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *target, *path;
    gboolean good;
  } table[] = {
    { "/x", "/x", TRUE },
    { "/%78", "/x", TRUE },
    { "http://h/x", "/x", TRUE },
    { "http://other:8080/x", "/x", TRUE },
    { "HTTPS://h/%78", "/x", TRUE },
    { "ws://[::1]:1/x", "/x", TRUE },
    { "wss://h", "/", TRUE },
    { "http://h/", "/", TRUE },
    { "http://h", "/x", FALSE },
    { "http://h/y", "/x", FALSE },
    { "http://h/x?a", "/x", FALSE },
    { "http://h?/x", "/x", FALSE },
    { "http:///x", "/x", FALSE },
    { "http://me@h/x", "/x", FALSE },
    { "ftp://h/x", "/x", FALSE },
    { "http:/x", "/x", FALSE },
    { "//h/x", "/x", FALSE },
    { "h:80", "/x", FALSE },
    { "*", "/x", FALSE },
  };
  static const char *const origins[] = { NULL };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree char *request = make_request ("");
    g_autofree char *whole =
        g_strconcat ("GET ", table[i].target, request + strlen ("GET /x"), NULL);
    gboolean good, hypha;
    g_autofree char *answer =
        websocket_http_answer (whole, strlen (whole), table[i].path, origins, &good, &hypha);

    g_test_message ("%s: %.12s", table[i].target, answer);
    g_assert_cmpint (good, ==, table[i].good);
    g_assert_true (good || g_str_has_prefix (answer, "HTTP/1.1 404 "));
  }
}

static void
test_endless_head_is_cut_off (Fixture *f, gconstpointer data)
{
  g_autofree char *line = g_strnfill (2 * WEBSOCKET_MAX_HEAD, 'x');
  int fd = raw_connect (start_listening (f));
  char byte;

  send (fd, line, strlen (line), MSG_NOSIGNAL);
  g_assert_cmpuint (read_some (fd, &byte, 1), ==, 0);
  g_assert_cmpuint (f->accepted->len, ==, 0);
  close (fd);
}

static void
test_silent_guest_is_shown_out (Fixture *f, gconstpointer data)
{
  int fd = raw_connect (start_listening (f));
  char byte;

  g_assert_cmpuint (read_some (fd, &byte, 1), ==, 0);
  close (fd);
}

static gboolean
has_thread (const char *wanted)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/task", 0, NULL);
  gboolean found = FALSE;
  const char *name;

  while (!found && dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_strdup_printf ("/proc/self/task/%s/comm", name);
    g_autofree char *comm = NULL;

    found =
        g_file_get_contents (path, &comm, NULL, NULL) && g_str_equal (g_strchomp (comm), wanted);
  }
  return found;
}

/* Of those that it takes, the socket has the last; nothing is left of it. */
static void
test_no_descriptors_to_listen (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, "ws://127.0.0.1:0/x");
  gint64 end = g_get_monotonic_time () + PATIENCE_MS * 1000;
  struct rlimit before, now;
  int next;

  /* That of the test before may still have to close what it had. */
  while (has_thread ("hypha-websocket") && g_get_monotonic_time () < end)
    g_thread_yield ();
  /* What GLib cannot do without it has from here on. */
  g_main_context_iteration (NULL, FALSE);
  g_type_ensure (G_TYPE_TASK);
  next = dup (STDIN_FILENO);
  g_assert_cmpint (next, >=, 0);
  close (next);
  g_assert_cmpint (getrlimit (RLIMIT_NOFILE, &before), ==, 0);
  now = before;
  for (guint more = 0; more < 3; more++) {
    g_autoptr (GError) error = NULL;

    now.rlim_cur = (rlim_t) next + more;
    g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &now), ==, 0);
    g_assert_null (transport_listen (f->transport, endpoint, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED);
    g_assert_cmpint (dup (next), ==, -1);
  }
  g_assert_cmpint (setrlimit (RLIMIT_NOFILE, &before), ==, 0);
}

/* ---- connecting ---- */

/* A server of this test. */
static int
serve (char **uri)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 4), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  *uri = g_strdup_printf ("ws://127.0.0.1:%u/x", ntohs (address.sin_port));
  return fd;
}

/* Connects to a server that answers every request with ANSWER, in which KEY stands for what answers
 * its key; NULL: with nothing. */
static void
assert_answer (Fixture *f, const char *answer, int code, const char *part)
{
  g_autofree char *uri = NULL;
  int server = serve (&uri);
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autofree char *request = NULL;
  int fd;

  hypha_transport_connect_async (f->transport, endpoint, answer != NULL ? PATIENCE_MS : 300, NULL,
                                 keep_result, &result);
  fd = accept (server, NULL, NULL);
  request = read_head (fd);
  g_assert_true (g_str_has_prefix (request, "GET /x HTTP/1.1\r\nHost: 127.0.0.1:"));
  if (answer != NULL) {
    const char *key = strstr (request, "Sec-WebSocket-Key: ") + strlen ("Sec-WebSocket-Key: ");
    g_autofree char *bare = g_strndup (key, strcspn (key, "\r"));
    g_autofree char *accept_key = websocket_http_accept_key (bare);
    g_auto (GStrv) parts = g_strsplit (answer, "KEY", -1);
    g_autofree char *text = g_strjoinv (accept_key, parts);

    write_all (fd, text, strlen (text));
    shutdown (fd, SHUT_WR);
  }
  wait_result (&result);
  channel = hypha_transport_connect_finish (f->transport, result, &error);
  if (code < 0) {
    g_assert_no_error (error);
    g_assert_cmpuint (drain (channel), ==, strlen (part));
  } else {
    g_test_message ("%s", error->message);
    g_assert_error (error, HYPHA_ERROR, code);
    g_assert_nonnull (strstr (error->message, part));
    g_assert_nonnull (strstr (error->message, uri));
  }
  close (fd);
  close (server);
}

#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"

static void
test_answers_of_servers_are_told (Fixture *f, gconstpointer data)
{
  const int failed = HYPHA_ERROR_CONNECT;

  assert_answer (f, SWITCHED "Sec-WebSocket-Accept: KEY\r\n\r\n", -1, "");
  /* Frames may follow at once. */
  assert_answer (f, SWITCHED "Sec-WebSocket-Accept: KEY\r\n\r\n\x82\x05hello", -1, "hello");
  assert_answer (f, "HTTP/1.1 404 Not Found\r\n\r\n", failed, "404 Not Found");
  assert_answer (f, "HTTP/1.1 403 No\033[2J\r\n\r\n", failed, "403 No\\033[2J");
  assert_answer (f, "HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n", failed, "302 Found /there");
  assert_answer (f, "HTTP/1.1 502 Bad Gateway\r\n\r\n", failed, "does the node behind it listen?");
  assert_answer (f, "SSH-2.0-x\r\n\r\n", failed, "does not speak HTTP");
  assert_answer (f, "", failed, "hung up");
  assert_answer (f, SWITCHED "\r\n", failed, "not asked for");
  assert_answer (f,
                 "HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n",
                 failed, "not asked for");
  assert_answer (f, SWITCHED "Sec-WebSocket-Accept: other\r\n\r\n", failed, "not asked for");
  assert_answer (f, SWITCHED "Sec-WebSocket-Accept: KEY\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
                 failed, "not asked for");
  assert_answer (f, SWITCHED "Sec-WebSocket-Accept: KEY\r\nSec-WebSocket-Extensions: zip\r\n\r\n",
                 failed, "not asked for");
  assert_answer (f, NULL, HYPHA_ERROR_TIMED_OUT, "300 ms");
}

static void
test_endless_answer_is_cut_off (Fixture *f, gconstpointer data)
{
  g_autofree char *line = g_strnfill (WEBSOCKET_MAX_HEAD + 1, 'x');

  assert_answer (f, line, HYPHA_ERROR_PROTOCOL, "16384");
}

/* ---- options ---- */

static void
test_options_are_checked (Fixture *f, gconstpointer data)
{
  static const char *const table[][2] = {
    { "{'proxy': <'example.org'>}", "http://HOST:PORT" },
    { "{'proxy': <'ftp://example.org:1'>}", "http://HOST:PORT" },
    { "{'proxy': <'http://'>}", "http://HOST:PORT" },
    { "{'proxy': <'http://me:secret@example.org:1'>}", "no password" },
    { "{'ping-interval': <uint32 0>}", "1 to 3600" },
    { "{'ping-interval': <uint32 3601>}", "1 to 3600" },
    { "{'ping-interval': <'1'>}", "ping-interval" },
    { "{'connections': <uint32 0>}", "1 to 65536" },
    { "{'ca-file': <'here.pem'>}", "absolute" },
    { "{'certificate': <'/c.pem'>}", "'certificate' and 'key'" },
    { "{'key': <'/k.pem'>}", "'certificate' and 'key'" },
    { "{'origins': <'*'>}", "origins" },
  };

  transport_assert_refuses (f->transport, table, G_N_ELEMENTS (table));
}

static void
test_wss_needs_a_certificate (Fixture *f, gconstpointer data)
{
  static const char *const options[] = {
    "{'proxy': <''>}", "{'certificate': <'/nowhere/c.pem'>, 'key': <'/nowhere/k.pem'>}"
  };
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, "wss://127.0.0.1:0/x");

  if (!g_tls_backend_supports_tls (g_tls_backend_get_default ())) {
    g_test_skip ("GIO has no TLS here: glib-networking is not installed");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (options); i++) {
    g_autoptr (GError) error = NULL;

    transport_must_configure (f->transport, options[i]);
    g_assert_null (transport_listen (f->transport, endpoint, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
    g_assert_nonnull (strstr (error->message, "'certificate' and 'key'"));
  }
}

int
main (int argc, char *argv[])
{
  const char *impatient = "{'ping-interval': <uint32 1>, 'proxy': <''>}";
  const char *small = "{'connections': <uint32 1>}";

  g_test_init (&argc, &argv, NULL);
#define ADD(PATH, OPTIONS, FUNC) g_test_add (PATH, Fixture, OPTIONS, set_up, FUNC, tear_down)
  ADD ("/websocket/node/more-than-the-credit-is-cut-off", NULL,
       test_more_than_the_credit_is_cut_off);
  ADD ("/websocket/node/credit-is-given-back", NULL, test_credit_is_given_back);
  ADD ("/websocket/node/credit-is-kept-to", NULL, test_credit_is_kept_to);
  ADD ("/websocket/node/pings-are-answered-while-nobody-reads", NULL,
       test_pings_are_answered_while_nobody_reads);
  ADD ("/websocket/node/wrong-orders-are-cut-off", NULL, test_wrong_orders_are_cut_off);
  ADD ("/websocket/node/bytes-behind-the-end-are-cut-off", NULL,
       test_bytes_behind_the_end_are_cut_off);
  ADD ("/websocket/node/both-ends-are-an-end-without-error", NULL,
       test_both_ends_are_an_end_without_error);
  ADD ("/websocket/node/every-other-end-is-an-error", NULL, test_every_other_end_is_an_error);
  ADD ("/websocket/node/silence-is-no-life", impatient, test_silence_is_no_life);
  ADD ("/websocket/other/messages-are-the-stream", NULL, test_messages_of_others_are_the_stream);
  ADD ("/websocket/other/silence-behind-the-end-is-no-end", NULL,
       test_silence_behind_the_end_is_no_end);
  ADD ("/websocket/other/close-within-a-message-is-no-end", NULL,
       test_close_within_a_message_is_no_end);
  ADD ("/websocket/other/broken-frame-is-cut-off", NULL, test_broken_frame_is_cut_off);
  ADD ("/websocket/listen/full-house-says-so", small, test_full_house_says_so);
  ADD ("/websocket/listen/house-is-full-for-many-at-once", small,
       test_house_is_full_for_many_at_once);
  ADD ("/websocket/listen/targets-are-told-apart", NULL, test_targets_are_told_apart);
  ADD ("/websocket/listen/endless-head-is-cut-off", NULL, test_endless_head_is_cut_off);
  ADD ("/websocket/listen/silent-guest-is-shown-out", NULL, test_silent_guest_is_shown_out);
  ADD ("/websocket/listen/no-descriptors", NULL, test_no_descriptors_to_listen);
  ADD ("/websocket/connect/answers-of-servers-are-told", NULL, test_answers_of_servers_are_told);
  ADD ("/websocket/connect/endless-answer-is-cut-off", NULL, test_endless_answer_is_cut_off);
  ADD ("/websocket/options/are-checked", NULL, test_options_are_checked);
  ADD ("/websocket/options/wss-needs-a-certificate", NULL, test_wss_needs_a_certificate);
  return g_test_run ();
}
