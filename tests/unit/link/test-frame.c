/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/frame.h"

#include <string.h>

/* The bytes of a frame as they would go over the wire. */
static GByteArray *
flatten (const HyphaFrameOut *out)
{
  GByteArray *bytes = g_byte_array_new ();

  g_byte_array_append (bytes, out->head, out->head_length);
  if (out->length > 0)
    g_byte_array_append (bytes, out->data, (guint) out->length);
  return bytes;
}

static GByteArray *
write_frame (const HyphaFrame *frame)
{
  HyphaFrameOut out;
  GByteArray *bytes;

  hypha_frame_write (frame, NULL, &out);
  bytes = flatten (&out);
  hypha_frame_out_clear (&out);
  return bytes;
}

static const guint8 resume_body[] = {
  0,   0,   0,   6,   0,   0,   0,   4,                           /* opened 5, seen 3 */
  0,   0,   0,   3,   1,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 9, /* stream 3, accepted, next 9 */
  0,   0,   0,   0,   0,   0,   32,  0,   0, 0, 0, 0, 0, 0, 0, 0, /* limit 8192 */
  0,   0,   0,   5,   3,   0,   0,   0,   1, 2, 3, 4, 5, 6, 7, 8, /* stream 5, accepted, FIN */
  255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4, 5, 6, 7, 8,
};

#define TICKET "\1abcdefghijklmnopqrstuvwxyz012345"

static const HyphaFrame samples[] = {
  { HYPHA_FRAME_OPEN, 0, 7, 0, 0,
    (const guint8 *) "\xc3\xa9"
                     "cho",
    5 },
  { HYPHA_FRAME_DATA, 0, 0, G_MAXUINT64 - 5, 0, (const guint8 *) "bytes", 5 },
  { HYPHA_FRAME_DATA, HYPHA_FRAME_FIN, 9, 12, 0, (const guint8 *) "last", 4 },
  { HYPHA_FRAME_DATA, HYPHA_FRAME_FIN, 9, 12, 0, NULL, 0 },
  { HYPHA_FRAME_ACK, 0, 1, G_MAXUINT64, 0, NULL, 0 },
  { HYPHA_FRAME_ACK, HYPHA_FRAME_FIN, 1, 2, 0, NULL, 0 },
  { HYPHA_FRAME_ACK, HYPHA_FRAME_RESET_TAKEN, 1, 2, 0, NULL, 0 },
  { HYPHA_FRAME_WINDOW, 0, G_MAXUINT32 - 1, 0x0102030405060708, 0, NULL, 0 },
  { HYPHA_FRAME_RESET, 0, 4, 99, HYPHA_CODE_GONE, NULL, 0 },
  { HYPHA_FRAME_STOP, 0, 4, 0, HYPHA_CODE_APPLICATION, NULL, 0 },
  { HYPHA_FRAME_PING, 0, 0, 77, 0, NULL, 0 },
  { HYPHA_FRAME_PONG, 0, 0, 77, 0, NULL, 0 },
  { HYPHA_FRAME_EPOCH, 0, 0, 3, 0, NULL, 0 },
  { HYPHA_FRAME_EPOCH, 0, 0, 3, 0, (const guint8 *) "one number, one link, 24", 24 },
  { HYPHA_FRAME_EPOCH, HYPHA_FRAME_TAKEN, 0, 3, 0, (const guint8 *) "link and frames.", 16 },
  { HYPHA_FRAME_RESUME, HYPHA_FRAME_ASK, 0, 0, 0, NULL, 0 },
  { HYPHA_FRAME_RESUME, 0, 0, 0, 0, resume_body, sizeof resume_body },
  { HYPHA_FRAME_GOAWAY, 0, 0, 0, HYPHA_AWAY_TWIN, NULL, 0 },
  { HYPHA_FRAME_CLOSE, 0, 0, 0, HYPHA_AWAY_SHUTDOWN, NULL, 0 },
  { HYPHA_FRAME_OPEN, HYPHA_FRAME_DIRECT, 7, 0, 0, (const guint8 *) TICKET "echo",
    HYPHA_TICKET_BYTES + 4 },
};

static void
assert_same (const HyphaFrame *a, const HyphaFrame *b)
{
  g_assert_cmpuint (a->type, ==, b->type);
  g_assert_cmpuint (a->flags, ==, b->flags);
  g_assert_cmpuint (a->stream, ==, b->stream);
  g_assert_cmpuint (a->value, ==, b->value);
  g_assert_cmpuint (a->code, ==, b->code);
  g_assert_cmpmem (a->data, a->length, b->data, b->length);
}

static void
test_round_trip (void)
{
  guint types = 0;

  for (guint i = 0; i < G_N_ELEMENTS (samples); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GByteArray) bytes = write_frame (&samples[i]);
    HyphaFrame frame;
    gssize size;

    types |= 1u << samples[i].type;
    g_byte_array_append (bytes, (const guint8 *) "next", 4);
    size = hypha_frame_parse (bytes->data, bytes->len, &frame, &error);
    g_assert_no_error (error);
    g_assert_cmpint (size, ==, bytes->len - 4);
    assert_same (&frame, &samples[i]);
  }
  g_assert_cmphex (types, ==, (2u << HYPHA_FRAME_CLOSE) - 2);
}

/* Each beginning lies in memory of its own, so that the address sanitizer sees a read beyond it. */
static void
test_split_anywhere (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (samples); i++) {
    g_autoptr (GByteArray) bytes = write_frame (&samples[i]);

    for (guint n = 0; n < bytes->len; n++) {
      g_autoptr (GError) error = NULL;
      g_autofree guint8 *part = g_memdup2 (bytes->data, n);
      HyphaFrame frame;

      g_assert_cmpint (hypha_frame_parse (part, n, &frame, &error), ==, 0);
      g_assert_no_error (error);
    }
  }
}

static void
test_layout (void)
{
  g_autoptr (GByteArray) data = write_frame (&samples[2]);
  g_autoptr (GByteArray) reset = write_frame (&samples[8]);
  static const guint8 data_bytes[] = { 2, 1, 0, 0, 0, 0, 0, 9,  0,   0,   0,   12,
                                       0, 0, 0, 0, 0, 0, 0, 12, 'l', 'a', 's', 't' };
  static const guint8 reset_bytes[] = { 5, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 12,
                                        0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 99 };

  g_assert_cmpmem (data->data, data->len, data_bytes, sizeof data_bytes);
  g_assert_cmpmem (reset->data, reset->len, reset_bytes, sizeof reset_bytes);
}

static void
test_write_keeps_reference (void)
{
  HyphaChunk *chunk = hypha_chunk_new (64);
  HyphaFrame frame = {
    .type = HYPHA_FRAME_DATA, .stream = 1, .data = chunk->data + 8, .length = 3
  };
  HyphaFrameOut out;

  memcpy (chunk->data, "........abc", 11);
  chunk->used = 11;
  hypha_frame_write (&frame, chunk, &out);
  g_assert_true (out.chunk == chunk);
  g_assert_true (out.data == frame.data);
  g_assert_cmpuint (chunk->ref_count, ==, 2);
  hypha_frame_out_clear (&out);
  hypha_frame_out_clear (&out);
  g_assert_cmpuint (chunk->ref_count, ==, 1);
  hypha_chunk_unref (chunk);
}

static void
test_largest (void)
{
  g_autofree guint8 *data = g_malloc0 (HYPHA_FRAME_DATA_MAX);
  HyphaFrame frame = { .type = HYPHA_FRAME_DATA, .data = data, .length = HYPHA_FRAME_DATA_MAX };
  g_autoptr (GByteArray) bytes = write_frame (&frame);
  HyphaFrame read;

  g_assert_cmpuint (bytes->len, ==, HYPHA_FRAME_HEADER + HYPHA_FRAME_MAX);
  g_assert_cmpint (hypha_frame_parse (bytes->data, bytes->len, &read, NULL), ==, bytes->len);
  assert_same (&frame, &read);
}

typedef struct {
  const char *name;
  guint8 header[HYPHA_FRAME_HEADER];
  const char *message;
} BadHeader;

static const BadHeader bad_headers[] = {
  { "type-zero", { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "unknown type 0" },
  { "type-unknown", { 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "unknown type 13" },
  { "type-highest", { 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "unknown type 255" },
  { "flag-of-another-type",
    { 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 },
    "ACK with the unknown flags 0x04" },
  { "flag-unknown", { 2, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9 }, "DATA with the unknown flags 0x80" },
  { "reserved-first", { 7, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "reserved bits are 0x0100" },
  { "reserved-second", { 7, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8 }, "reserved bits are 0x0001" },
  { "ping-of-a-stream", { 7, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 8 }, "PING for stream 2" },
  { "goaway-of-a-stream", { 11, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4 }, "GOAWAY for stream 1" },
  { "stream-untellable", { 4, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 8 }, "stream 4294967295" },
  { "open-empty", { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "OPEN of 0 bytes" },
  { "direct-without-a-service",
    { 1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 33 },
    "OPEN of 33 bytes; it has 34 to 288" },
  { "direct-too-long", { 1, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 33 }, "OPEN of 289 bytes" },
  { "direct-data", { 2, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9 }, "DATA with the unknown flags 0x08" },
  { "open-too-long", { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0 }, "OPEN of 256 bytes; it has 1 to 255" },
  { "data-too-short", { 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7 }, "DATA of 7 bytes" },
  { "data-too-long", { 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1 }, "DATA of 65537 bytes" },
  { "data-longest", { 2, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255 }, "DATA of 4294967295 bytes" },
  { "data-of-nothing", { 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "neither bytes nor FIN" },
  { "ack-too-short", { 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4 }, "ACK of 4 bytes" },
  { "ack-too-long", { 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9 }, "ACK of 9 bytes" },
  { "ack-of-both-ends", { 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "both FIN and RESET" },
  { "window-too-short", { 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7 }, "WINDOW of 7 bytes" },
  { "reset-too-short", { 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "RESET of 8 bytes" },
  { "stop-too-long", { 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "STOP of 8 bytes" },
  { "ping-too-long", { 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9 }, "PING of 9 bytes" },
  { "pong-too-short", { 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "PONG of 0 bytes" },
  { "epoch-with-half-an-entry", { 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20 }, "EPOCH with 12 bytes" },
  { "epoch-taken-over-no-link", { 9, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "EPOCH with 0 bytes" },
  { "epoch-too-long", { 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 32 }, "EPOCH of 1568 bytes" },
  { "epoch-too-short", { 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4 }, "EPOCH of 4 bytes" },
  { "resume-asks-with-body", { 10, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, "asks and has a body" },
  { "resume-empty", { 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "RESUME of 0 bytes" },
  { "resume-half-entry", { 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24 }, "no whole number of entries" },
  { "resume-too-long", { 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 8 }, "RESUME of 65544 bytes" },
  { "goaway-empty", { 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "GOAWAY of 0 bytes" },
  { "close-too-long", { 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5 }, "CLOSE of 5 bytes" },
};

/* Nothing but the header is there: it alone must be enough to refuse it. */
static void
test_bad_header (gconstpointer data)
{
  const BadHeader *bad = data;
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *header = g_memdup2 (bad->header, sizeof bad->header);
  HyphaFrame frame;

  g_assert_cmpint (hypha_frame_parse (header, sizeof bad->header, &frame, &error), ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, bad->message));
  g_assert_cmpint (hypha_frame_parse (header, sizeof bad->header - 1, &frame, NULL), ==, 0);
}

static void
assert_refused (guint8 type, guint8 flags, const void *body, guint8 length, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  const guint8 header[] = { type, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, length };
  HyphaFrame frame;

  g_byte_array_append (bytes, header, sizeof header);
  g_byte_array_append (bytes, body, length);
  g_assert_cmpint (hypha_frame_parse (bytes->data, bytes->len, &frame, &error), ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, message));
}

static void
assert_body_refused (guint8 type, const void *body, guint8 length, const char *message)
{
  assert_refused (type, 0, body, length, message);
}

static void
test_bad_service (void)
{
  assert_refused (HYPHA_FRAME_OPEN, HYPHA_FRAME_DIRECT, TICKET "a\n", HYPHA_TICKET_BYTES + 2,
                  "control character");
  assert_body_refused (HYPHA_FRAME_OPEN, "\xff", 1, "not UTF-8");
  assert_body_refused (HYPHA_FRAME_OPEN, "e\xc3", 2, "not UTF-8");
  assert_body_refused (HYPHA_FRAME_OPEN, "\xc0\x80", 2, "not UTF-8");
  assert_body_refused (HYPHA_FRAME_OPEN, "a\0b", 3, "not UTF-8");
  assert_body_refused (HYPHA_FRAME_OPEN, "a\nb", 3, "control character");
  assert_body_refused (HYPHA_FRAME_OPEN, "\x1b[m", 3, "control character");
  assert_body_refused (HYPHA_FRAME_OPEN, "a\x7f", 2, "control character");
  assert_body_refused (HYPHA_FRAME_OPEN, "\xc2\x85", 2, "control character");
  assert_body_refused (HYPHA_FRAME_OPEN, "a b", 3, "space");
  assert_body_refused (HYPHA_FRAME_OPEN, "a\u2028", 4, "cannot be seen");
  assert_body_refused (HYPHA_FRAME_OPEN, "\u202egpj", 6, "cannot be seen");
  assert_body_refused (HYPHA_FRAME_OPEN, "a\u200d", 4, "cannot be seen");
}

static void
test_bad_offset (void)
{
  assert_body_refused (HYPHA_FRAME_DATA, "\xff\xff\xff\xff\xff\xff\xff\xff!", 9, "last offset");
  assert_body_refused (HYPHA_FRAME_DATA, "\xff\xff\xff\xff\xff\xff\xff\xfe!!", 10, "last offset");
}

static void
test_resume_round_trip (void)
{
  static const HyphaResumeEntry entries[] = {
    { 0, 0, 0, 0, 0 },
    { 1, HYPHA_RESUME_ACCEPTED, 10, 8192, 0 },
    { 6, HYPHA_RESUME_ACCEPTED | HYPHA_RESUME_FIN, 11, 8192, 11 },
    { 9, HYPHA_RESUME_RESET, 5, 8192, G_MAXUINT64 },
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) bytes = NULL;
  HyphaFrameOut out;
  HyphaFrame frame;
  HyphaResume resume;

  hypha_resume_write (9, 6, entries, G_N_ELEMENTS (entries), &out);
  bytes = flatten (&out);
  hypha_frame_out_clear (&out);
  g_assert_cmpint (hypha_frame_parse (bytes->data, bytes->len, &frame, &error), ==, bytes->len);
  g_assert_no_error (error);
  g_assert_true (hypha_resume_parse (&frame, &resume, &error));
  g_assert_no_error (error);
  g_assert_cmpint (resume.opened, ==, 9);
  g_assert_cmpint (resume.seen, ==, 6);
  g_assert_cmpuint (resume.n_entries, ==, G_N_ELEMENTS (entries));
  for (guint i = 0; i < G_N_ELEMENTS (entries); i++) {
    HyphaResumeEntry entry;

    hypha_resume_get (&resume, i, &entry);
    g_assert_cmpuint (entry.stream, ==, entries[i].stream);
    g_assert_cmpuint (entry.flags, ==, entries[i].flags);
    g_assert_cmpuint (entry.next, ==, entries[i].next);
    g_assert_cmpuint (entry.limit, ==, entries[i].limit);
    g_assert_cmpuint (entry.final_size, ==, entries[i].final_size);
  }
}

static void
test_resume_extremes (void)
{
  g_autofree HyphaResumeEntry *entries = g_new0 (HyphaResumeEntry, HYPHA_RESUME_MAX_ENTRIES);
  const gint64 highest[] = { -1, (gint64) G_MAXUINT32 - 1 };

  for (guint i = 0; i < HYPHA_RESUME_MAX_ENTRIES; i++)
    entries[i].stream = G_MAXUINT32 - HYPHA_RESUME_MAX_ENTRIES + i;
  for (guint i = 0; i < G_N_ELEMENTS (highest); i++) {
    g_autoptr (GByteArray) bytes = NULL;
    guint n = i == 0 ? 0 : HYPHA_RESUME_MAX_ENTRIES;
    HyphaFrameOut out;
    HyphaFrame frame;
    HyphaResume resume;

    hypha_resume_write (highest[i], highest[i], entries, n, &out);
    bytes = flatten (&out);
    hypha_frame_out_clear (&out);
    g_assert_cmpint (hypha_frame_parse (bytes->data, bytes->len, &frame, NULL), ==, bytes->len);
    g_assert_true (hypha_resume_parse (&frame, &resume, NULL));
    g_assert_cmpint (resume.opened, ==, highest[i]);
    g_assert_cmpint (resume.seen, ==, highest[i]);
    g_assert_cmpuint (resume.n_entries, ==, n);
  }
}

/* One byte of the sample changed, and what is wrong then. */
static void
test_resume_bad (void)
{
  static const struct {
    guint at;
    guint8 value;
    const char *message;
  } changes[] = {
    { 3, 4, "stream 5 is above the highest id" },
    { 8 + 3, 5, "stream 5 is out of order" },
    { 8 + 32 + 3, 3, "stream 3 is out of order" },
    { 8 + 32 + 3, 2, "stream 2 is out of order" },
    { 8 + 4, 9, "stream 3 has unknown flags" },
    { 8 + 5, 1, "stream 3 has reserved bits" },
    { 8 + 6, 1, "stream 3 has reserved bits" },
    { 8 + 7, 1, "stream 3 has reserved bits" },
    { 8 + 31, 1, "stream 3 has a final size, but no end" },
    { 8 + 32 + 4, 7, "stream 5 took both" },
    { 8 + 32 + 15, 7, "stream 5 took FIN, but not all" },
    { 8 + 32 + 31, 7, "stream 5 took FIN, but not all" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    g_autoptr (GError) error = NULL;
    guint8 body[sizeof resume_body];
    HyphaFrame frame = { .type = HYPHA_FRAME_RESUME, .data = body, .length = sizeof body };
    HyphaResume resume;

    memcpy (body, resume_body, sizeof body);
    g_assert_true (hypha_resume_parse (&frame, &resume, NULL));
    body[changes[i].at] = changes[i].value;
    g_assert_false (hypha_resume_parse (&frame, &resume, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
    g_assert_nonnull (strstr (error->message, changes[i].message));
  }
}

static void
test_resume_reset_beyond_final (void)
{
  g_autoptr (GError) error = NULL;
  guint8 body[sizeof resume_body];
  HyphaFrame frame = { .type = HYPHA_FRAME_RESUME, .data = body, .length = sizeof body };
  HyphaResume resume;

  memcpy (body, resume_body, sizeof body);
  body[8 + 32 + 4] = HYPHA_RESUME_RESET;
  body[8 + 32 + 15]++;
  g_assert_false (hypha_resume_parse (&frame, &resume, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  g_assert_nonnull (strstr (error->message, "stream 5 took more than its final size"));
}

static void
test_resume_ask_is_none (void)
{
  g_autoptr (GError) error = NULL;
  HyphaFrame frame = { .type = HYPHA_FRAME_RESUME, .flags = HYPHA_FRAME_ASK };
  HyphaResume resume;

  g_assert_false (hypha_resume_parse (&frame, &resume, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/frame/every-type-survives-the-round-trip", test_round_trip);
  g_test_add_func ("/frame/part-of-a-frame-waits-for-more", test_split_anywhere);
  g_test_add_func ("/frame/layout-on-the-wire", test_layout);
  g_test_add_func ("/frame/write-keeps-the-chunk-by-reference", test_write_keeps_reference);
  g_test_add_func ("/frame/largest-data", test_largest);
  for (guint i = 0; i < G_N_ELEMENTS (bad_headers); i++) {
    g_autofree char *path = g_strdup_printf ("/frame/refuses/%s", bad_headers[i].name);

    g_test_add_data_func (path, &bad_headers[i], test_bad_header);
  }
  g_test_add_func ("/frame/refuses/bad-service-name", test_bad_service);
  g_test_add_func ("/frame/refuses/data-beyond-the-last-offset", test_bad_offset);
  g_test_add_func ("/frame/resume/round-trip", test_resume_round_trip);
  g_test_add_func ("/frame/resume/empty-and-fullest", test_resume_extremes);
  g_test_add_func ("/frame/resume/refuses-each-contradiction", test_resume_bad);
  g_test_add_func ("/frame/resume/refuses-reset-beyond-final-size", test_resume_reset_beyond_final);
  g_test_add_func ("/frame/resume/asking-is-not-telling", test_resume_ask_is_none);
  return g_test_run ();
}
