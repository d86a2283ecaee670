/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "websocket-frame.h"
#include "websocket-http.h"

static const guint8 mask[4] = { 1, 2, 3, 0xff };

/* Puts together what the decoder gives of BYTES, fed in pieces of STEP bytes: of messages "t" or
 * "b", what they hold, and "." at their end; of control frames their opcode. */
static WebsocketVerdict
decode (const guint8 *bytes, gsize size, gsize step, gboolean masked, GString *text)
{
  WebsocketDecoder decoder;
  WebsocketVerdict verdict = WEBSOCKET_MORE;

  websocket_decoder_init (&decoder, masked);
  for (gsize at = 0; at < size && verdict != WEBSOCKET_BROKEN; at += step) {
    gsize left = MIN (step, size - at);
    g_autofree guint8 *copy = g_memdup2 (bytes + at, left);
    guint8 *data = copy;
    WebsocketPiece piece;

    while ((verdict = websocket_decoder_next (&decoder, &data, &left, &piece)) == WEBSOCKET_PIECE) {
      if (piece.opcode >= WEBSOCKET_CLOSE)
        g_string_append_printf (text, "(%d)", piece.opcode);
      if (piece.size > 0)
        g_string_append_len (text, (const char *) piece.data, (gssize) piece.size);
      if (piece.last && piece.opcode < WEBSOCKET_CLOSE)
        g_string_append (text, piece.opcode == WEBSOCKET_TEXT ? "t." : "b.");
    }
    if (verdict == WEBSOCKET_MORE)
      g_assert_cmpuint (left, ==, 0);
  }
  return verdict;
}

static void
test_frames_come_through_in_any_pieces (void)
{
  static const gsize sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, 70000 };
  g_autofree char *filler = g_strnfill (70000, 'x');

  for (guint side = 0; side < 2; side++)
    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
      g_autoptr (GByteArray) out = g_byte_array_new ();
      g_autoptr (GString) wanted = g_string_new ("(9)ping");

      websocket_append_frame (out, WEBSOCKET_PING, side == 0 ? mask : NULL, "ping", 4);
      websocket_append_frame (out, WEBSOCKET_BINARY, side == 0 ? mask : NULL, filler, sizes[i]);
      websocket_append_frame (out, WEBSOCKET_TEXT, side == 0 ? mask : NULL, "end", 3);
      websocket_append_frame (out, WEBSOCKET_CLOSE, side == 0 ? mask : NULL, NULL, 0);
      g_string_append_len (wanted, filler, (gssize) sizes[i]);
      g_string_append (wanted, "b.endt.(8)");
      for (gsize step = 1; step < 2 * out->len; step = step * 3 + 1) {
        g_autoptr (GString) text = g_string_new (NULL);

        g_assert_cmpint (decode (out->data, out->len, step, side == 0, text), ==, WEBSOCKET_MORE);
        g_assert_true (g_string_equal (text, wanted));
      }
    }
}

static void
test_control_frames_come_within_a_message (void)
{
  static const guint8 bytes[] = { 0x01, 2, 'a', 'b', 0x89, 1, '!', 0x00, 0, 0x80, 1, 'c' };

  for (gsize step = 1; step <= sizeof bytes; step++) {
    g_autoptr (GString) text = g_string_new (NULL);

    g_assert_cmpint (decode (bytes, sizeof bytes, step, FALSE, text), ==, WEBSOCKET_MORE);
    g_assert_cmpstr (text->str, ==, "ab(9)!ct.");
  }
}

static void
test_broken_frames_are_refused (void)
{
  static const struct {
    guint8 bytes[12];
    gsize size;
    gboolean masked;
  } broken[] = {
    { { 0xc2, 0 }, 2, FALSE },           /* a reserved bit */
    { { 0x83, 0 }, 2, FALSE },           /* an opcode that there is not */
    { { 0x8b, 0 }, 2, FALSE },           /* and one of a control frame */
    { { 0x80, 0 }, 2, FALSE },           /* nothing to continue */
    { { 0x02, 0, 0x82, 0 }, 4, FALSE },  /* a message within a message */
    { { 0x09, 0 }, 2, FALSE },           /* a ping in parts */
    { { 0x89, 126, 0, 126 }, 4, FALSE }, /* a long ping */
    { { 0x82, 126, 0, 125 }, 4, FALSE }, /* a length too long for its value */
    { { 0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 10, FALSE }, /* likewise */
    { { 0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0 }, 10, FALSE },    /* more than there can be */
    { { 0x82, 0x80, 1, 2, 3, 4 }, 6, FALSE },                   /* a server that masks */
    { { 0x82, 0 }, 2, TRUE },                                   /* a client that does not */
  };

  for (guint i = 0; i < G_N_ELEMENTS (broken); i++)
    for (gsize step = 1; step <= broken[i].size; step += broken[i].size - 1) {
      g_autoptr (GString) text = g_string_new (NULL);

      g_assert_cmpint (decode (broken[i].bytes, broken[i].size, step, broken[i].masked, text), ==,
                       WEBSOCKET_BROKEN);
    }
}

/* As GLib has it, which wants a text as a whole; NUL aside, which it does not take for a character.
 */
static void
test_texts_are_utf_8 (void)
{
  static const guint8 bytes[] = { 'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2,
                                  0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff };

  /* All there are of four of these. */
  for (guint i = 0, n = G_N_ELEMENTS (bytes); i < n * n * n * n; i++) {
    const guint8 text[] = { bytes[i % n], bytes[i / n % n], bytes[i / n / n % n],
                            bytes[i / n / n / n] };
    gboolean good = g_utf8_validate_len ((const char *) text, sizeof text, NULL);
    guint8 frames[] = { 0x01, 2, text[0], text[1], 0x89, 0, 0x80, 2, text[2], text[3] };
    WebsocketVerdict verdict = WEBSOCKET_PIECE;
    WebsocketDecoder decoder;
    WebsocketPiece piece;
    guint8 *data = frames;
    gsize size = sizeof frames;

    websocket_decoder_init (&decoder, FALSE);
    while (verdict == WEBSOCKET_PIECE)
      verdict = websocket_decoder_next (&decoder, &data, &size, &piece);
    g_assert_cmpint (verdict, ==, good ? WEBSOCKET_MORE : WEBSOCKET_BROKEN);
    g_assert_cmpuint (decoder.code, ==, good ? 0 : WEBSOCKET_CLOSE_INVALID);
  }
}

/* Whatever comes: it ends, and nothing is read that is not there. */
static void
test_noise_does_no_harm (void)
{
  for (guint i = 0; i < 20000; i++) {
    guint8 bytes[64];
    gsize size = (gsize) g_test_rand_int_range (1, sizeof bytes);
    g_autoptr (GString) text = g_string_new (NULL);

    for (gsize j = 0; j < size; j++)
      bytes[j] = (guint8) g_test_rand_int ();
    if (g_test_rand_bit ())
      bytes[0] = (guint8) (bytes[0] & 0x8f);
    decode (bytes, size, (gsize) g_test_rand_int_range (1, 65), g_test_rand_bit (), text);
    g_assert_cmpuint (text->len, <=, 6 * size);
  }
}

static void
test_close_codes_are_checked (void)
{
  static const struct {
    const char *bytes;
    gsize size;
    guint code;
    const char *reason;
  } table[] = {
    { "", 0, WEBSOCKET_CLOSE_NONE, NULL },
    { "\3\350", 2, 1000, NULL },
    { "\3\351gone\n", 7, 1001, "gone\\n" },
    { "\17\240", 2, 4000, NULL },
    { "\3", 1, 0, NULL },
    { "\3\355", 2, 0, NULL },     /* 1005 */
    { "\3\356", 2, 0, NULL },     /* 1006 */
    { "\3\347", 2, 0, NULL },     /* 999 */
    { "\3\350\377", 3, 0, NULL }, /* not UTF-8 */
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree char *reason = NULL;

    g_assert_cmpuint (
        websocket_close_parse ((const guint8 *) table[i].bytes, table[i].size, &reason), ==,
        table[i].code);
    g_assert_cmpstr (reason, ==, table[i].reason);
  }
}

/* ---- heads ---- */

#define REQUEST(METHOD, TARGET, MORE)                                                         \
  METHOD " " TARGET " HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Version: 13\r\n"                   \
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: keep-alive, Upgrade\r\n" \
         "Upgrade: websocket\r\n" MORE "\r\n"

static void
test_requests_are_answered_by_the_rules (void)
{
  static const struct {
    const char *request;
    const char *status;
    gboolean hypha;
  } table[] = {
    { REQUEST ("GET", "/x", ""), "101", FALSE },
    { REQUEST ("GET", "/%78", ""), "101", FALSE },
    { REQUEST ("GET", "/x", "Sec-WebSocket-Protocol: chat, hypha.1\r\n"), "101", TRUE },
    { REQUEST ("GET", "/x", "Sec-WebSocket-Protocol: hypha.2\r\n"), "101", FALSE },
    { REQUEST ("GET", "/x", "Origin: https://good.example\r\n"), "101", FALSE },
    { REQUEST ("GET", "/x", "Origin: https://evil.example\r\n"), "403", FALSE },
    { REQUEST ("GET", "/x", "Origin: null\r\n"), "403", FALSE },
    { REQUEST ("GET", "/x", "Origin: https://evil.example\r\nOrigin: https://good.example\r\n"),
      "403", FALSE },
    { REQUEST ("GET", "/x", "Host: other\r\n"), "400", FALSE },
    { REQUEST ("GET", "/x", "Content-Length: 0\r\n"), "101", FALSE },
    { REQUEST ("GET", "/x", "Content-Length: 6\r\n"), "400", FALSE },
    { REQUEST ("GET", "/x", "Transfer-Encoding: chunked\r\n"), "400", FALSE },
    { REQUEST ("GET", "/x", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), "400", FALSE },
    { REQUEST ("GET", "/x", "Sec-WebSocket-Version: 13\r\n"), "426", FALSE },
    { REQUEST ("POST", "/x", ""), "426", FALSE },
    { REQUEST ("GET", "/", ""), "404", FALSE },
    { REQUEST ("GET", "/x/", ""), "404", FALSE },
    { REQUEST ("GET", "/x?y", ""), "404", FALSE },
    { "GET /x HTTP/1.1\r\nHost: h\r\n\r\n", "426", FALSE },
    { "GET /x HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", "505", FALSE },
    { "GET /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 8\r\n\r\n",
      "426", FALSE },
    { "GET /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Host: h\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
      "400", FALSE },
    { "GET /x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      "400", FALSE },
    { "\r\n\r\n", "400", FALSE },
    { "\026\003\001\r\n\r\n", "400", FALSE },
  };
  static const char *const origins[] = { "https://good.example", NULL };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    gboolean good = TRUE, hypha = TRUE;
    g_autofree char *answer = websocket_http_answer (table[i].request, strlen (table[i].request),
                                                     "/x", origins, &good, &hypha);
    g_autofree char *wanted = g_strconcat ("HTTP/1.1 ", table[i].status, " ", NULL);

    g_assert_true (g_str_has_prefix (answer, wanted));
    g_assert_true (strstr (answer, "\r\n\r\n") != NULL);
    g_assert_cmpint (good, ==, g_str_equal (table[i].status, "101"));
    g_assert_cmpint (hypha, ==, table[i].hypha);
    g_assert_cmpint (strstr (answer, "Sec-WebSocket-Protocol: hypha.1") != NULL, ==, hypha);
    /* The example of RFC 6455. */
    g_assert_cmpint (strstr (answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL, ==, good);
  }
}

/* Every other byte of good heads, and noise: there is an answer, or an error, and nothing else. */
static void
test_noise_in_heads_does_no_harm (void)
{
  static const char *const heads[] = {
    REQUEST ("GET", "/x", "Sec-WebSocket-Protocol: hypha.1\r\n"),
    ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Accept: x\r\n\r\n"),
    "HTTP/1.1 302 Found\r\nLocation: /y\r\n\r\n",
  };
  static const char *const origins[] = { NULL };

  for (guint i = 0; i < 20000; i++) {
    g_autofree char *head = g_strdup (heads[i % G_N_ELEMENTS (heads)]);
    gsize size = strlen (head);
    g_autofree char *answer = NULL;
    g_autoptr (GError) error = NULL;
    gboolean good, hypha;

    for (int n = g_test_rand_int_range (1, 6); n > 0; n--)
      head[g_test_rand_int_range (0, (gint32) size - 4)] =
          g_test_rand_bit () ? (char) g_test_rand_int ()
                             : " \t\r\n:,;"[g_test_rand_int_range (0, 7)];
    answer = websocket_http_answer (head, size, "/x", origins, &good, &hypha);
    g_assert_true (g_str_has_prefix (answer, "HTTP/1.1 "));
    if (!websocket_http_check_answer (head, size, "key", "ws://h/x", &hypha, &error))
      g_assert_true (g_str_has_prefix (error->message, "ws://h/x: "));
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/websocket/frame/comes-through-in-any-pieces",
                   test_frames_come_through_in_any_pieces);
  g_test_add_func ("/websocket/frame/control-comes-within-a-message",
                   test_control_frames_come_within_a_message);
  g_test_add_func ("/websocket/frame/broken-is-refused", test_broken_frames_are_refused);
  g_test_add_func ("/websocket/frame/texts-are-utf-8", test_texts_are_utf_8);
  g_test_add_func ("/websocket/frame/noise-does-no-harm", test_noise_does_no_harm);
  g_test_add_func ("/websocket/frame/close-codes-are-checked", test_close_codes_are_checked);
  g_test_add_func ("/websocket/http/requests-are-answered-by-the-rules",
                   test_requests_are_answered_by_the_rules);
  g_test_add_func ("/websocket/http/noise-does-no-harm", test_noise_in_heads_does_no_harm);
  return g_test_run ();
}
