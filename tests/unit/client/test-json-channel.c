/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../memory.h"

/* A channel upon one end of a socketpair; the test has the other end. */
typedef struct {
  HyphaJsonChannel *channel;
  GIOStream *stream;
  int fd;
} Fixture;

typedef struct {
  HyphaJsonFraming framing;
  gboolean is_socket; /* a GSocketConnection instead of a HyphaStream */
  gboolean is_blind;  /* what cannot be polled */
} Kind;

static const Kind length_kind = { HYPHA_JSON_FRAMING_LENGTH, FALSE, FALSE };
static const Kind lines_kind = { HYPHA_JSON_FRAMING_LINES, FALSE, FALSE };
static const Kind length_socket_kind = { HYPHA_JSON_FRAMING_LENGTH, TRUE, FALSE };
static const Kind lines_socket_kind = { HYPHA_JSON_FRAMING_LINES, TRUE, FALSE };
static const Kind length_blind_kind = { HYPHA_JSON_FRAMING_LENGTH, TRUE, TRUE };
static const Kind lines_blind_kind = { HYPHA_JSON_FRAMING_LINES, TRUE, TRUE };

static GIOStream *
make_stream (int fd, const Kind *kind)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GIOStream) connection = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GInputStream) source = NULL;
  GIOStream *blind;

  if (!kind->is_socket)
    return G_IO_STREAM (hypha_stream_new (fd, 1, "test"));
  socket = g_socket_new_from_fd (fd, &error);
  g_assert_no_error (error);
  connection = G_IO_STREAM (g_socket_connection_factory_create_connection (socket));
  if (!kind->is_blind)
    return g_steal_pointer (&connection);
  source = g_buffered_input_stream_new (g_io_stream_get_input_stream (connection));
  g_assert_false (G_IS_POLLABLE_INPUT_STREAM (source));
  blind = g_simple_io_stream_new (source, g_io_stream_get_output_stream (connection));
  /* It closes what it owns when it goes. */
  g_object_set_data_full (G_OBJECT (blind), "owner", g_steal_pointer (&connection), g_object_unref);
  return blind;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  const Kind *kind = data;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  f->fd = fds[1];
  f->stream = make_stream (fds[0], kind);
  f->channel = hypha_json_channel_new (f->stream, kind->framing);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_clear_object (&f->channel);
  g_clear_object (&f->stream);
  if (f->fd >= 0)
    close (f->fd);
}

/* ---- the other end ---- */

static void
put (Fixture *f, const void *data, gsize size)
{
  g_assert_cmpint (write (f->fd, data, size), ==, (gssize) size);
}

static void
put_text (Fixture *f, const char *text)
{
  put (f, text, strlen (text));
}

/* TEXT as a message, framed. */
static GByteArray *
frame (Fixture *f, const char *text)
{
  GByteArray *bytes = g_byte_array_new ();
  guint32 length = GUINT32_TO_BE ((guint32) strlen (text));
  gboolean lines = hypha_json_channel_get_framing (f->channel) == HYPHA_JSON_FRAMING_LINES;

  if (!lines)
    g_byte_array_append (bytes, (guint8 *) &length, sizeof length);
  g_byte_array_append (bytes, (const guint8 *) text, (guint) strlen (text));
  if (lines)
    g_byte_array_append (bytes, (const guint8 *) "\n", 1);
  return bytes;
}

static void
put_message (Fixture *f, const char *text)
{
  g_autoptr (GByteArray) bytes = frame (f, text);

  put (f, bytes->data, bytes->len);
}

/* The next bytes are TEXT as a message. */
static void
assert_message (Fixture *f, const char *text)
{
  g_autoptr (GByteArray) wanted = frame (f, text);
  g_autofree guint8 *came = g_malloc (wanted->len);

  g_assert_cmpint (recv (f->fd, came, wanted->len, MSG_WAITALL), ==, (gssize) wanted->len);
  g_assert_cmpmem (came, wanted->len, wanted->data, wanted->len);
}

static void
assert_nothing_came (Fixture *f)
{
  char byte;

  g_assert_cmpint (recv (f->fd, &byte, 1, MSG_DONTWAIT), ==, -1);
  g_assert_cmpint (errno, ==, EAGAIN);
}

/* ---- this end ---- */

static void
on_result (GObject *source, GAsyncResult *result, gpointer data)
{
  GAsyncResult **place = data;

  g_assert_null (*place);
  *place = g_object_ref (result);
}

static GAsyncResult *
wait_for (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return *result;
}

/* What can happen at once has happened. */
static void
settle (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static JsonNode *
node (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonNode *made = json_from_string (text, &error);

  g_assert_no_error (error);
  return made;
}

static void
assert_node (JsonNode *found, const char *text)
{
  g_autofree char *printed = NULL;

  g_assert_nonnull (found);
  printed = json_to_string (found, FALSE);
  g_assert_cmpstr (printed, ==, text);
}

static void
receive (Fixture *f, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) found = hypha_json_channel_receive (f->channel, NULL, &error);

  g_assert_no_error (error);
  assert_node (found, text);
}

#define assert_fails(ERROR, DOMAIN, CODE, WHY)              \
  G_STMT_START                                              \
  {                                                         \
    g_assert_error (ERROR, DOMAIN, CODE);                   \
    if (strstr ((ERROR)->message, WHY) == NULL)             \
      g_error ("not '%s' but '%s'", WHY, (ERROR)->message); \
    g_clear_error (&(ERROR));                               \
  }                                                         \
  G_STMT_END

#define receive_fails(F, DOMAIN, CODE, WHY)                                    \
  G_STMT_START                                                                 \
  {                                                                            \
    GError *failure = NULL;                                                    \
                                                                               \
    g_assert_null (hypha_json_channel_receive ((F)->channel, NULL, &failure)); \
    assert_fails (failure, DOMAIN, CODE, WHY);                                 \
  }                                                                            \
  G_STMT_END

static void
assert_ended (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_json_channel_receive (f->channel, NULL, &error));
  g_assert_no_error (error);
}

static gboolean
send_text (Fixture *f, const char *text, GError **error)
{
  g_autoptr (JsonNode) message = node (text);

  return hypha_json_channel_send (f->channel, message, NULL, error);
}

/* ---- messages ---- */

static void
test_sends_and_receives (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (send_text (f, "{\"a\":[1,2.5,null,\"é\\n\"]}", &error));
  g_assert_no_error (error);
  assert_message (f, "{\"a\":[1,2.5,null,\"é\\n\"]}");
  put_message (f, " {\"b\" : true}\r");
  receive (f, "{\"b\":true}");
  put_message (f, "null");
  receive (f, "null");
  close (g_steal_fd (&f->fd));
  assert_ended (f);
  assert_ended (f);
}

static void
test_receives_byte_by_byte (Fixture *f, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = frame (f, "{\"first\":1}");
  g_autoptr (GByteArray) second = frame (f, "[\"second\"]");
  GAsyncResult *results[2] = { NULL };
  const char *const texts[] = { "{\"first\":1}", "[\"second\"]" };

  g_byte_array_append (bytes, second->data, second->len);
  for (guint i = 0; i < 2; i++)
    hypha_json_channel_receive_async (f->channel, NULL, on_result, &results[i]);
  for (guint i = 0; i < bytes->len; i++) {
    settle ();
    g_assert_null (results[1]);
    put (f, bytes->data + i, 1);
  }
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GAsyncResult) result = wait_for (&results[i]);
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) found = hypha_json_channel_receive_finish (f->channel, result, &error);

    g_assert_no_error (error);
    assert_node (found, texts[i]);
  }
}

static void
test_receives_many_that_come_at_once (Fixture *f, gconstpointer data)
{
  g_autoptr (GByteArray) all = g_byte_array_new ();

  for (guint i = 0; i < 5000; i++) {
    g_autofree char *text = g_strdup_printf ("[%u]", i);
    g_autoptr (GByteArray) bytes = frame (f, text);

    g_byte_array_append (all, bytes->data, bytes->len);
  }
  put (f, all->data, all->len);
  for (guint i = 0; i < 5000; i++) {
    g_autofree char *text = g_strdup_printf ("[%u]", i);

    receive (f, text);
  }
}

/* Larger than what any socket holds. */
#define LARGE 3000000

static gpointer
echo_large (gpointer data)
{
  Fixture *f = data;
  gsize size =
      LARGE + 2 + (hypha_json_channel_get_framing (f->channel) == HYPHA_JSON_FRAMING_LINES ? 1 : 4);
  g_autofree guint8 *bytes = g_malloc (size);

  g_assert_cmpint (recv (f->fd, bytes, size, MSG_WAITALL), ==, (gssize) size);
  for (gsize done = 0; done < size;) {
    gssize count = write (f->fd, bytes + done, MIN (size - done, 100003));

    g_assert_cmpint (count, >, 0);
    done += (gsize) count;
  }
  return NULL;
}

static void
test_calls_with_a_large_message (Fixture *f, gconstpointer data)
{
  g_autofree char *text = g_strnfill (LARGE, 'x');
  g_autoptr (JsonNode) request = json_node_init_string (json_node_alloc (), text);
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("other end", echo_large, f);
  g_autoptr (JsonNode) reply = hypha_json_channel_call (f->channel, request, NULL, &error);

  g_thread_join (thread);
  g_assert_no_error (error);
  g_assert_cmpstr (json_node_get_string (reply), ==, text);
}

/* So that the stream can be used for something else between two messages. */
static void
test_lengths_leave_what_follows (Fixture *f, gconstpointer data)
{
  char rest[8];

  put_message (f, "[1]");
  put_text (f, "other");
  receive (f, "[1]");
  g_assert_cmpint (
      g_input_stream_read (g_io_stream_get_input_stream (f->stream), rest, sizeof rest, NULL, NULL),
      ==, 5);
  g_assert_cmpmem (rest, 5, "other", 5);
}

/* ---- bad input ---- */

static void
test_goes_on_after_what_is_not_json (Fixture *f, gconstpointer data)
{
  const char *const bad[] = { "", "nonsense", "[1,", "\"\\ud800\"", "1e999", "\"\xff\"" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    put_message (f, bad[i]);
  put_message (f, "[\"good\"]");
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    receive_fails (f, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL, "is not taken for JSON");
  receive (f, "[\"good\"]");
}

static void
test_length_beyond_the_limit_costs_nothing (Fixture *f, gconstpointer data)
{
  gsize before = memory_in_use ();

  put (f, "\xff\xff\xff\xff{}", 6);
  receive_fails (f, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 "announces a message of 4294967295 bytes, and at most 16777216 are taken");
  g_assert_cmpuint (memory_in_use (), <, before + 100000);
  put_message (f, "[]");
  receive_fails (f, G_IO_ERROR, G_IO_ERROR_CLOSED, "nothing more can be received");
  receive_fails (f, G_IO_ERROR, G_IO_ERROR_CLOSED, "4294967295");
  /* The other direction is as it was. */
  g_assert_true (send_text (f, "[]", NULL));
  assert_message (f, "[]");
}

/* Who announces much and sends nothing gets no memory. */
static void
test_announced_length_costs_nothing (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  gsize before;

  hypha_json_channel_set_max_size (f->channel, G_MAXINT32);
  before = memory_in_use ();
  put (f, "\x7f\xff\xff\xff[", 5);
  hypha_json_channel_receive_async (f->channel, NULL, on_result, &result);
  settle ();
  g_assert_null (result);
  g_assert_cmpuint (memory_in_use (), <, before + 100000);
  close (g_steal_fd (&f->fd));
  wait_for (&result);
}

static void
test_message_of_the_limit_is_taken (Fixture *f, gconstpointer data)
{
  hypha_json_channel_set_max_size (f->channel, 8);
  put_message (f, "[123456]");
  receive (f, "[123456]");
  g_assert_true (send_text (f, "[123456]", NULL));
  assert_message (f, "[123456]");
  put_message (f, "[1234567]");
  receive_fails (f, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL, "of 9 bytes, and at most 8 are taken");
}

static void
test_line_without_end_is_cut_off (Fixture *f, gconstpointer data)
{
  g_autofree char *text = g_strnfill (5000, ' ');

  hypha_json_channel_set_max_size (f->channel, 4000);
  put_text (f, text);
  receive_fails (f, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 "bytes without an end of line, and at most 4000 are taken");
  receive_fails (f, G_IO_ERROR, G_IO_ERROR_CLOSED, "nothing more can be received");
}

static void
test_sends_nothing_that_is_too_long (Fixture *f, gconstpointer data)
{
  GError *error = NULL;
  g_autoptr (JsonNode) number = json_node_init_double (json_node_alloc (), 1e308 * 10);

  hypha_json_channel_set_max_size (f->channel, 8);
  g_assert_false (send_text (f, "[1234567]", &error));
  assert_fails (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                "has 9 bytes, and at most 8 are sent");
  g_assert_false (hypha_json_channel_send (f->channel, number, NULL, &error));
  assert_fails (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT, "infinite");
  assert_nothing_came (f);
  g_assert_true (send_text (f, "[]", NULL));
  assert_message (f, "[]");
}

static void
test_values_take_bounded_memory (Fixture *f, gconstpointer data)
{
  GString *text = g_string_new ("[0");

  while (text->len < 40000)
    g_string_append (text, ",{}");
  g_string_append_c (text, ']');
  put_message (f, text->str);
  put_message (f, text->str);
  hypha_json_channel_set_max_size (f->channel, 50000);
  receive_fails (f, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 "its values take more memory than the 465536");
  hypha_json_channel_set_max_size (f->channel, 5000000);
  receive (f, text->str);
  g_string_free (text, TRUE);
}

static void
test_end_within_a_message_is_an_error (Fixture *f, gconstpointer data)
{
  g_autoptr (GByteArray) bytes = frame (f, "[1]");

  put (f, bytes->data, bytes->len - 1);
  shutdown (f->fd, SHUT_WR);
  receive_fails (f, HYPHA_ERROR, HYPHA_ERROR_RESET, "within a message, after ");
  receive_fails (f, G_IO_ERROR, G_IO_ERROR_CLOSED, "has ended the stream within a message");
}

/* ---- deadlines ---- */

static void
test_nothing_in_time_breaks_nothing (Fixture *f, gconstpointer data)
{
  hypha_json_channel_set_timeout (f->channel, 20);
  receive_fails (f, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT, "no message has come within 20 ms");
  put_message (f, "[1]");
  receive (f, "[1]");
}

/* What the error tells is what it waited for. */
static void
test_deadline_that_changes_holds_for_the_next (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  GError *error = NULL;

  hypha_json_channel_set_timeout (f->channel, 20);
  hypha_json_channel_receive_async (f->channel, NULL, on_result, &result);
  hypha_json_channel_set_timeout (f->channel, 0);
  wait_for (&result);
  g_assert_null (hypha_json_channel_receive_finish (f->channel, result, &error));
  assert_fails (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT, "no message has come within 20 ms");
}

static gboolean
drip (gpointer data)
{
  Fixture *f = data;

  put_text (f, " ");
  return G_SOURCE_CONTINUE;
}

/* The deadline is that of the message, not that of a byte. */
static void
test_dripping_message_is_given_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  GError *error = NULL;
  guint id = g_timeout_add (2, drip, f);

  if (hypha_json_channel_get_framing (f->channel) == HYPHA_JSON_FRAMING_LENGTH)
    put (f, "\0\1\0\0", 4);
  hypha_json_channel_set_timeout (f->channel, 100);
  hypha_json_channel_receive_async (f->channel, NULL, on_result, &result);
  wait_for (&result);
  g_source_remove (id);
  g_assert_null (hypha_json_channel_receive_finish (f->channel, result, &error));
  assert_fails (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                "no whole message has come within 100 ms");
  receive_fails (f, G_IO_ERROR, G_IO_ERROR_CLOSED, "no whole message has come within 100 ms");
}

/* How many bytes it took until the stream took no more. */
static gsize
fill (Fixture *f)
{
  g_autofree char *bytes = g_strnfill (65536, ' ');
  gsize total = 0;

  for (;;) {
    gssize count = g_pollable_output_stream_write_nonblocking (
        G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (f->stream)), bytes, 65536, NULL,
        NULL);

    if (count < 0)
      return total;
    total += (gsize) count;
  }
}

static void
drain (Fixture *f, gsize size)
{
  g_autofree char *bytes = g_malloc (size);

  g_assert_cmpint (recv (f->fd, bytes, size, MSG_WAITALL), ==, (gssize) size);
}

static void
test_unsent_in_time_breaks_nothing_before_its_first_byte (Fixture *f, gconstpointer data)
{
  GError *error = NULL;
  gsize size = fill (f);

  hypha_json_channel_set_timeout (f->channel, 20);
  g_assert_false (send_text (f, "[1]", &error));
  assert_fails (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT, "taken 0 of its ");
  drain (f, size);
  g_assert_true (send_text (f, "[2]", &error));
  assert_message (f, "[2]");
}

static void
test_half_sent_in_time_breaks_sending (Fixture *f, gconstpointer data)
{
  g_autofree char *text = g_strnfill (LARGE, 'x');
  g_autoptr (JsonNode) message = json_node_init_string (json_node_alloc (), text);
  g_autoptr (JsonNode) request = node ("[1]");
  GError *error = NULL;

  hypha_json_channel_set_timeout (f->channel, 20);
  g_assert_false (hypha_json_channel_send (f->channel, message, NULL, &error));
  assert_fails (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT, "could not be sent within 20 ms");
  g_assert_false (send_text (f, "[1]", &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "nothing more can be sent");
  g_assert_null (hypha_json_channel_call (f->channel, request, NULL, &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "nothing more can be sent");
  put_message (f, "[2]");
  receive (f, "[2]");
}

static void
test_stream_that_is_gone_is_its_own_error (Fixture *f, gconstpointer data)
{
  GError *error = NULL;

  close (g_steal_fd (&f->fd));
  g_assert_false (send_text (f, "[1]", &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE, "the message could not be sent: ");
}

/* ---- several at once ---- */

static void
test_sends_in_order (Fixture *f, gconstpointer data)
{
  GAsyncResult *results[3] = { NULL };
  gsize size = fill (f);

  for (guint i = 0; i < 3; i++) {
    g_autofree char *text = g_strdup_printf ("[%u]", i);
    g_autoptr (JsonNode) message = node (text);

    hypha_json_channel_send_async (f->channel, message, NULL, on_result, &results[i]);
  }
  settle ();
  g_assert_null (results[0]);
  drain (f, size);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GAsyncResult) result = wait_for (&results[i]);
    g_autofree char *text = g_strdup_printf ("[%u]", i);
    g_autoptr (GError) error = NULL;

    g_assert_true (hypha_json_channel_send_finish (f->channel, result, &error));
    g_assert_no_error (error);
    assert_message (f, text);
  }
}

static void
test_calls_are_answered_in_order (Fixture *f, gconstpointer data)
{
  GAsyncResult *results[3] = { NULL };

  for (guint i = 0; i < 3; i++) {
    g_autofree char *text = g_strdup_printf ("[%u]", i);
    g_autoptr (JsonNode) request = node (text);

    hypha_json_channel_call_async (f->channel, request, NULL, on_result, &results[i]);
  }
  for (guint i = 0; i < 3; i++) {
    g_autofree char *text = g_strdup_printf ("[%u]", i);

    assert_message (f, text);
  }
  settle ();
  g_assert_null (results[0]);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *text = g_strdup_printf ("{\"reply\":%u}", i);

    put_message (f, text);
  }
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GAsyncResult) result = wait_for (&results[i]);
    g_autofree char *text = g_strdup_printf ("{\"reply\":%u}", i);
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) reply = hypha_json_channel_call_finish (f->channel, result, &error);

    g_assert_no_error (error);
    assert_node (reply, text);
  }
}

static void
test_call_without_a_reply_is_an_error (Fixture *f, gconstpointer data)
{
  g_autoptr (JsonNode) request = node ("[1]");
  GError *error = NULL;

  shutdown (f->fd, SHUT_WR);
  g_assert_null (hypha_json_channel_call (f->channel, request, NULL, &error));
  assert_fails (error, HYPHA_ERROR, HYPHA_ERROR_RESET, "did not reply");
}

/* A reply that comes late would be taken for that of the next call. */
static void
test_call_that_timed_out_ends_receiving (Fixture *f, gconstpointer data)
{
  g_autoptr (JsonNode) request = node ("[1]");
  GError *error = NULL;

  hypha_json_channel_set_timeout (f->channel, 20);
  g_assert_null (hypha_json_channel_call (f->channel, request, NULL, &error));
  assert_fails (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT, "no reply has come within 20 ms");
  put_message (f, "\"late\"");
  g_assert_null (hypha_json_channel_call (f->channel, request, NULL, &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "no reply has come within 20 ms");
  /* The second request was not even sent. */
  assert_message (f, "[1]");
  assert_nothing_came (f);
}

static void
test_sync_is_refused_while_async_is_under_way (Fixture *f, gconstpointer data)
{
  g_autoptr (JsonNode) request = node ("[1]");
  g_autoptr (GAsyncResult) result = NULL;
  GError *error = NULL;

  hypha_json_channel_receive_async (f->channel, NULL, on_result, &result);
  g_assert_null (hypha_json_channel_call (f->channel, request, NULL, &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_PENDING, "something asynchronous");
  g_assert_true (hypha_json_channel_send (f->channel, request, NULL, &error));
  assert_message (f, "[1]");
  put_message (f, "[2]");
  wait_for (&result);
}

/* ---- cancelling ---- */

static void
assert_cancelled (Fixture *f, GAsyncResult **result)
{
  g_autoptr (GAsyncResult) owned = wait_for (result);
  GError *error = NULL;
  gpointer value = g_task_propagate_pointer (G_TASK (owned), &error);

  *result = NULL;
  g_assert_null (value);
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
}

static void
test_receive_is_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  GAsyncResult *first = NULL, *second = NULL;

  hypha_json_channel_receive_async (f->channel, cancellable, on_result, &first);
  settle ();
  g_cancellable_cancel (cancellable);
  assert_cancelled (f, &first);
  hypha_json_channel_receive_async (f->channel, cancellable, on_result, &first);
  assert_cancelled (f, &first);

  /* One that has to wait for its turn. */
  g_cancellable_reset (cancellable);
  hypha_json_channel_receive_async (f->channel, NULL, on_result, &first);
  hypha_json_channel_receive_async (f->channel, cancellable, on_result, &second);
  g_cancellable_cancel (cancellable);
  assert_cancelled (f, &second);
  put_message (f, "[1]");
  wait_for (&first);
  g_clear_object (&first);
  put_message (f, "[2]");
  receive (f, "[2]");

  /* Within a message. */
  g_cancellable_reset (cancellable);
  if (hypha_json_channel_get_framing (f->channel) == HYPHA_JSON_FRAMING_LENGTH)
    put (f, "\0\0", 2);
  put (f, "[", 1);
  hypha_json_channel_receive_async (f->channel, cancellable, on_result, &first);
  settle ();
  g_cancellable_cancel (cancellable);
  assert_cancelled (f, &first);
  receive_fails (f, G_IO_ERROR, G_IO_ERROR_CLOSED, "nothing more can be received");
}

/* Whoever resets what he has cancelled may be wrong, and is not told that all went well. */
static void
test_cancelled_and_reset_is_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (JsonNode) message = node ("[1]");
  GAsyncResult *received = NULL, *sent = NULL;
  gsize size = fill (f);

  hypha_json_channel_receive_async (f->channel, cancellable, on_result, &received);
  hypha_json_channel_send_async (f->channel, message, cancellable, on_result, &sent);
  settle ();
  g_cancellable_cancel (cancellable);
  g_cancellable_reset (cancellable);
  assert_cancelled (f, &received);
  assert_cancelled (f, &sent);
  drain (f, size);
  assert_nothing_came (f);
}

static void
test_send_is_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autofree char *text = g_strnfill (LARGE, 'x');
  g_autoptr (JsonNode) large = json_node_init_string (json_node_alloc (), text);
  g_autoptr (JsonNode) small = node ("[1]");
  GAsyncResult *first = NULL, *second = NULL, *third = NULL;
  gsize size = fill (f);
  GError *error = NULL;

  hypha_json_channel_send_async (f->channel, small, cancellable, on_result, &first);
  hypha_json_channel_call_async (f->channel, small, cancellable, on_result, &second);
  hypha_json_channel_send_async (f->channel, small, NULL, on_result, &third);
  settle ();
  g_cancellable_cancel (cancellable);
  g_assert_false (hypha_json_channel_send_finish (f->channel, wait_for (&first), &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
  g_assert_null (hypha_json_channel_call_finish (f->channel, wait_for (&second), &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
  drain (f, size);
  g_assert_true (hypha_json_channel_send_finish (f->channel, wait_for (&third), &error));
  assert_message (f, "[1]");
  assert_nothing_came (f);
  g_clear_object (&first);
  g_clear_object (&second);
  g_clear_object (&third);

  g_cancellable_reset (cancellable);
  hypha_json_channel_send_async (f->channel, large, cancellable, on_result, &first);
  settle ();
  g_cancellable_cancel (cancellable);
  g_assert_false (hypha_json_channel_send_finish (f->channel, wait_for (&first), &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
  g_clear_object (&first);
  g_assert_false (send_text (f, "[1]", &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "nothing more can be sent");
  put_message (f, "[2]");
  receive (f, "[2]");
}

/* Its reply comes after that of the call before it, and before that of the next. */
static void
test_call_is_cancelled_behind_another (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (JsonNode) request = node ("[1]");
  g_autoptr (JsonNode) reply = NULL;
  GAsyncResult *results[3] = { NULL };
  GError *error = NULL;

  for (guint i = 0; i < 3; i++)
    hypha_json_channel_call_async (f->channel, request, i == 1 ? cancellable : NULL, on_result,
                                   &results[i]);
  settle ();
  g_cancellable_cancel (cancellable);
  g_assert_null (hypha_json_channel_call_finish (f->channel, wait_for (&results[1]), &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
  put_message (f, "[2]");
  reply = hypha_json_channel_call_finish (f->channel, wait_for (&results[0]), &error);
  g_assert_no_error (error);
  assert_node (reply, "[2]");
  g_assert_null (hypha_json_channel_call_finish (f->channel, wait_for (&results[2]), &error));
  assert_fails (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "the reply to a request");
  for (guint i = 0; i < 3; i++)
    g_clear_object (&results[i]);
}

/* Nobody waits for the reply any more: the channel goes with its last owner. */
static void
test_ends_with_a_reply_outstanding (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (JsonNode) request = node ("[1]");
  GAsyncResult *first = NULL, *second = NULL;
  gpointer watched = f->channel;

  hypha_json_channel_call_async (f->channel, request, cancellable, on_result, &first);
  hypha_json_channel_call_async (f->channel, request, cancellable, on_result, &second);
  settle ();
  g_cancellable_cancel (cancellable);
  wait_for (&first);
  wait_for (&second);
  g_clear_object (&first);
  g_clear_object (&second);
  g_object_add_weak_pointer (G_OBJECT (f->channel), &watched);
  g_clear_object (&f->channel);
  settle ();
  g_assert_null (watched);
}

static void
on_echo (GObject *source, GAsyncResult *result, gpointer data)
{
  HyphaJsonChannel *channel = HYPHA_JSON_CHANNEL (source);
  guint *left = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) message = hypha_json_channel_receive_finish (channel, result, &error);

  g_assert_no_error (error);
  if (message == NULL) {
    *left = 0;
    return;
  }
  (*left)--;
  hypha_json_channel_send_async (channel, message, NULL, NULL, NULL);
  hypha_json_channel_receive_async (channel, NULL, on_echo, data);
}

/* What is answered in the callback may begin the next, and let go of the channel. */
static void
test_serves_from_its_callbacks (Fixture *f, gconstpointer data)
{
  gpointer watched = f->channel;
  guint left = 101;

  for (guint i = 0; i < 100; i++)
    put_message (f, "[\"again\"]");
  shutdown (f->fd, SHUT_WR);
  g_object_add_weak_pointer (G_OBJECT (f->channel), &watched);
  hypha_json_channel_receive_async (f->channel, NULL, on_echo, &left);
  while (left != 0)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < 100; i++)
    assert_message (f, "[\"again\"]");
  g_clear_object (&f->channel);
  settle ();
  g_assert_null (watched);
}

static void
test_tells_what_it_is (Fixture *f, gconstpointer data)
{
  g_autoptr (GIOStream) stream = NULL;
  HyphaJsonFraming framing;
  guint max_size, timeout;

  g_object_set (f->channel, "max-size", 5, "timeout", 7, NULL);
  g_object_get (f->channel, "stream", &stream, "framing", &framing, "max-size", &max_size,
                "timeout", &timeout, NULL);
  g_assert_true (stream == f->stream);
  g_assert_true (hypha_json_channel_get_stream (f->channel) == f->stream);
  g_assert_cmpint (framing, ==, ((const Kind *) data)->framing);
  g_assert_cmpuint (max_size, ==, 5);
  g_assert_cmpuint (hypha_json_channel_get_max_size (f->channel), ==, 5);
  g_assert_cmpuint (timeout, ==, 7);
  g_assert_cmpuint (hypha_json_channel_get_timeout (f->channel), ==, 7);
}

static void
test_needs_a_stream (Fixture *f, gconstpointer data)
{
  g_clear_object (&f->channel);
  f->channel = g_object_new (HYPHA_TYPE_JSON_CHANNEL, NULL);
  receive_fails (f, G_IO_ERROR, G_IO_ERROR_CLOSED, "nothing more can be received");
}

static void
add (const char *name, const char *how, const Kind *kind, void (*func) (Fixture *, gconstpointer))
{
  g_autofree char *path = g_strdup_printf ("/json-channel/%s/%s", name, how);

  g_test_add (path, Fixture, kind, set_up, func, tear_down);
}

/* Over everything there is. */
static void
add_all (const char *name, void (*func) (Fixture *, gconstpointer))
{
  add (name, "length", &length_kind, func);
  add (name, "lines", &lines_kind, func);
  add (name, "length-socket", &length_socket_kind, func);
  add (name, "lines-socket", &lines_socket_kind, func);
}

static void
add_blind (const char *name, void (*func) (Fixture *, gconstpointer))
{
  add (name, "length-pumped", &length_blind_kind, func);
  add (name, "lines-pumped", &lines_blind_kind, func);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_all ("tells-what-it-is", test_tells_what_it_is);
  add ("needs-a-stream", "length", &length_kind, test_needs_a_stream);
  add_all ("sends-and-receives", test_sends_and_receives);
  add_blind ("sends-and-receives", test_sends_and_receives);
  add_all ("receives-byte-by-byte", test_receives_byte_by_byte);
  add_all ("receives-many-that-come-at-once", test_receives_many_that_come_at_once);
  add_all ("calls-with-a-large-message", test_calls_with_a_large_message);
  add_blind ("calls-with-a-large-message", test_calls_with_a_large_message);
  add ("leaves-what-follows", "length", &length_kind, test_lengths_leave_what_follows);
  add_all ("goes-on-after-what-is-not-json", test_goes_on_after_what_is_not_json);
  add ("length-beyond-the-limit-costs-nothing", "length", &length_kind,
       test_length_beyond_the_limit_costs_nothing);
  add ("announced-length-costs-nothing", "length", &length_kind,
       test_announced_length_costs_nothing);
  add_all ("message-of-the-limit-is-taken", test_message_of_the_limit_is_taken);
  add ("line-without-end-is-cut-off", "lines", &lines_kind, test_line_without_end_is_cut_off);
  add_all ("sends-nothing-that-is-too-long", test_sends_nothing_that_is_too_long);
  add_all ("values-take-bounded-memory", test_values_take_bounded_memory);
  add_all ("end-within-a-message-is-an-error", test_end_within_a_message_is_an_error);
  add_blind ("end-within-a-message-is-an-error", test_end_within_a_message_is_an_error);
  add_all ("deadlines/nothing-in-time-breaks-nothing", test_nothing_in_time_breaks_nothing);
  add_all ("deadlines/one-that-changes-holds-for-the-next",
           test_deadline_that_changes_holds_for_the_next);
  add_all ("deadlines/dripping-message-is-given-up", test_dripping_message_is_given_up);
  add_all ("deadlines/unsent-in-time-breaks-nothing-before-its-first-byte",
           test_unsent_in_time_breaks_nothing_before_its_first_byte);
  add_all ("deadlines/half-sent-in-time-breaks-sending", test_half_sent_in_time_breaks_sending);
  add_all ("stream-that-is-gone-is-its-own-error", test_stream_that_is_gone_is_its_own_error);
  add_all ("several/sends-in-order", test_sends_in_order);
  add_all ("several/calls-are-answered-in-order", test_calls_are_answered_in_order);
  add_all ("several/call-without-a-reply-is-an-error", test_call_without_a_reply_is_an_error);
  add_all ("several/call-that-timed-out-ends-receiving", test_call_that_timed_out_ends_receiving);
  add_all ("several/sync-is-refused-while-async-is-under-way",
           test_sync_is_refused_while_async_is_under_way);
  add_all ("cancel/receive", test_receive_is_cancelled);
  add_all ("cancel/and-reset", test_cancelled_and_reset_is_cancelled);
  add_all ("cancel/send", test_send_is_cancelled);
  add_all ("cancel/call-behind-another", test_call_is_cancelled_behind_another);
  add_all ("cancel/ends-with-a-reply-outstanding", test_ends_with_a_reply_outstanding);
  add_all ("serves-from-its-callbacks", test_serves_from_its_callbacks);
  return g_test_run ();
}
