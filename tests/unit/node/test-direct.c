/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Direct streams between two real nodes, and who tries to get in by them. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node-pair.h"
#include "node/node-peer-inner.h"
#include "node/node-private.h"

#define MANY (8 * 1024 * 1024)

static HyphaStream *
open_direct (HyphaNodePeer *peer, const char *service, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_peer_open_direct_async (HYPHA_PEER (peer), service, 10000, NULL, keep_result, &result);
  wait_until (result != NULL);
  return hypha_peer_open_direct_finish (HYPHA_PEER (peer), result, error);
}

static HyphaStream *
must_open_direct (HyphaNodePeer *peer, const char *service)
{
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = open_direct (peer, service, &error);

  g_assert_no_error (error);
  g_assert_nonnull (stream);
  return stream;
}

static void
assert_not_opened (HyphaNodePeer *peer, const char *service, HyphaError code, const char *words)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (open_direct (peer, service, &error));
  g_assert_error (error, HYPHA_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, words));
}

static HyphaNodePeer *
join_unix (NodePair *f)
{
  g_autofree char *endpoint = unix_endpoint (f);
  g_autofree char *bound = listen_on (&f->b, endpoint);

  return join (f, bound);
}

/* ---- bytes ---- */

static guint8
byte_at (gsize offset)
{
  return (guint8) (offset * 29 + (offset >> 9));
}

static gpointer
write_many (gpointer data)
{
  GOutputStream *output = data;
  g_autofree guint8 *bytes = g_malloc (MANY);

  for (gsize i = 0; i < MANY; i++)
    bytes[i] = byte_at (i);
  g_assert_true (g_output_stream_write_all (output, bytes, MANY, NULL, NULL, NULL));
  g_assert_true (g_output_stream_close (output, NULL, NULL));
  return NULL;
}

typedef struct {
  HyphaStream *stream;
  _Atomic gboolean done;
} Echo;

static gpointer
echo_many (gpointer data)
{
  Echo *echo = data;
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (echo->stream));
  GOutputStream *output = g_io_stream_get_output_stream (G_IO_STREAM (echo->stream));
  GThread *writer = g_thread_new ("writer", write_many, output);
  g_autofree guint8 *bytes = g_malloc (MANY);
  gsize got = 0;
  guint8 more;

  g_assert_true (g_input_stream_read_all (input, bytes, MANY, &got, NULL, NULL));
  g_assert_cmpuint (got, ==, MANY);
  for (gsize i = 0; i < MANY; i++)
    if (bytes[i] != byte_at (i))
      g_error ("byte %zu is wrong", i);
  g_assert_cmpint (g_input_stream_read (input, &more, 1, NULL, NULL), ==, 0);
  g_thread_join (writer);
  atomic_store (&echo->done, TRUE);
  return NULL;
}

static void
assert_echoes (HyphaStream *stream)
{
  Echo echo = { .stream = stream };
  GThread *thread = g_thread_new ("echo", echo_many, &echo);

  wait_until (atomic_load (&echo.done));
  g_thread_join (thread);
}

static guint64
over_links (HyphaNodePeer *peer)
{
  guint64 received, sent;

  hypha_node_peer_get_counters (peer, &received, &sent);
  return received + sent;
}

static void
assert_direct_echo (HyphaNodePeer *peer)
{
  g_autoptr (HyphaStream) stream = must_open_direct (peer, "echo");

  assert_echoes (stream);
  g_assert_cmpuint (over_links (peer), <, MANY / 100);
}

/* ---- how they come about ---- */

static void
test_who_has_dialled_the_link_opens_one (NodePair *f, gconstpointer data)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);

  assert_direct_echo (beta);
}

static void
test_who_was_dialled_opens_one (NodePair *f, gconstpointer data)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);

  wait_until (hypha_node_peer_get_best_link (peer_of (&f->b, "alpha")) != NULL);
  assert_direct_echo (peer_of (&f->b, "alpha"));
}

static guint64
told_of_streams (HyphaNodePeer *peer)
{
  g_autoptr (GVariant) streams = hypha_node_peer_dup_streams (peer);
  guint64 total = 0;

  for (gsize i = 0; i < g_variant_n_children (streams); i++) {
    g_autoptr (GVariant) one = g_variant_get_child_value (streams, i);
    guint64 received = 0, sent = 0;

    g_assert_true (g_variant_lookup (one, "received", "t", &received));
    g_assert_true (g_variant_lookup (one, "sent", "t", &sent));
    total += received + sent;
  }
  return total;
}

static void
test_it_ends_for_the_node_as_soon_as_it_is_there (NodePair *f, gconstpointer data)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);
  g_autoptr (HyphaStream) stream = must_open_direct (beta, "echo");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint64 received = 1, sent = 1;

  g_assert_cmpuint (told_of_streams (beta), ==, 0); /* not the byte of the answer either */
  hypha_stream_wait_end_async (stream, NULL, keep_result, &result);
  wait_until (result != NULL);
  g_assert_true (hypha_stream_wait_end_finish (stream, result, &received, &sent, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (received + sent, ==, 0);
  wait_until (n_streams (beta) == 0 && n_streams (peer_of (&f->b, "alpha")) == 0);
  assert_echoes (stream);
}

static void
test_it_goes_on_when_its_peer_is_forgotten (NodePair *f, gconstpointer data)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);
  g_autoptr (HyphaStream) stream = must_open_direct (beta, "echo");
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_forget (f->a.node, "beta", &error));
  g_assert_no_error (error);
  assert_echoes (stream);
}

static void
test_a_target_is_led_to (NodePair *f, gconstpointer data)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);
  g_autoptr (GAsyncResult) accepted = NULL;
  g_autoptr (GSocketListener) program = program_new (f, "app", &accepted);
  g_autoptr (HyphaStream) stream = must_open_direct (beta, "app");
  g_autoptr (GSocketConnection) connection = program_accepted (program, &accepted);
  g_autoptr (GError) error = NULL;
  GIOStream *ends[] = { G_IO_STREAM (stream), G_IO_STREAM (connection) };
  char buffer[8] = "";

  for (guint i = 0; i < 2; i++) {
    g_assert_true (g_output_stream_write_all (g_io_stream_get_output_stream (ends[i]), "hello", 5,
                                              NULL, NULL, &error));
    g_assert_no_error (error);
    g_assert_true (g_input_stream_read_all (g_io_stream_get_input_stream (ends[!i]), buffer, 5,
                                            NULL, NULL, &error));
    g_assert_no_error (error);
    g_assert_cmpstr (buffer, ==, "hello");
  }
  g_assert_true (g_output_stream_close (g_io_stream_get_output_stream (ends[0]), NULL, &error));
  g_assert_cmpint (
      g_input_stream_read (g_io_stream_get_input_stream (ends[1]), buffer, 1, NULL, &error), ==, 0);
  g_assert_true (g_io_stream_close (ends[1], NULL, &error));
  g_assert_cmpint (
      g_input_stream_read (g_io_stream_get_input_stream (ends[0]), buffer, 1, NULL, &error), ==, 0);
}

static gpointer
read_all (gpointer data)
{
  g_autofree guint8 *bytes = g_malloc (MANY);
  gsize got = 0;

  g_input_stream_read_all (data, bytes, MANY, &got, NULL, NULL);
  return GSIZE_TO_POINTER (got);
}

static void
test_what_was_sent_before_a_close_reaches_the_target (NodePair *f, gconstpointer data)
{
  static const guint8 bytes[100000];
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);
  g_autoptr (GSocketListener) program = g_socket_listener_new ();
  g_autofree char *target = g_strdup_printf (
      "tcp://127.0.0.1:%u", g_socket_listener_add_any_inet_port (program, NULL, NULL));
  g_autoptr (GAsyncResult) accepted = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GSocketConnection) connection = NULL;
  GInputStream *input;

  g_socket_listener_accept_async (program, NULL, keep_result, &accepted);
  offer (f, "app", target);
  stream = must_open_direct (beta, "app");
  connection = program_accepted (program, &accepted);
  g_assert_true (g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (stream)),
                                            bytes, sizeof bytes, NULL, NULL, NULL));
  g_assert_true (g_io_stream_close (G_IO_STREAM (stream), NULL, NULL));
  input = g_io_stream_get_input_stream (G_IO_STREAM (connection));
  g_assert_cmpuint (GPOINTER_TO_SIZE (g_thread_join (g_thread_new ("read", read_all, input))), ==,
                    sizeof bytes);
}

static gboolean
write_fails (HyphaStream *stream)
{
  static const guint8 bytes[65536];

  return send (hypha_stream_get_fd (stream), bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) <
             0 &&
         errno == EPIPE;
}

static void
test_a_target_that_reads_no_more_is_told_of (NodePair *f, gconstpointer data)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);
  g_autoptr (GAsyncResult) accepted = NULL;
  g_autoptr (GSocketListener) program = program_new (f, "app", &accepted);
  g_autoptr (HyphaStream) stream = must_open_direct (beta, "app");
  g_autoptr (GSocketConnection) connection = program_accepted (program, &accepted);
  char buffer[8] = "";

  g_assert_true (
      g_socket_shutdown (g_socket_connection_get_socket (connection), TRUE, FALSE, NULL));
  wait_until (write_fails (stream));
  /* The other way is open still. */
  g_assert_true (g_output_stream_write_all (
      g_io_stream_get_output_stream (G_IO_STREAM (connection)), "hello", 5, NULL, NULL, NULL));
  g_assert_true (g_input_stream_read_all (g_io_stream_get_input_stream (G_IO_STREAM (stream)),
                                          buffer, 5, NULL, NULL, NULL));
  g_assert_cmpstr (buffer, ==, "hello");
}

/* ---- how they do not ---- */

static void
test_an_encrypted_link_is_refused_by_name (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, bound);

  assert_not_opened (beta, "echo", HYPHA_ERROR_NOT_SUPPORTED,
                     "the one in use, over tcp, is encrypted");
}

static void
test_a_refusal_has_its_reason (NodePair *f, gconstpointer data)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);

  assert_not_opened (beta, "nonsense", HYPHA_ERROR_NO_SUCH_SERVICE, "no such service");
  wait_until (hypha_node_peer_get_best_link (peer_of (&f->b, "alpha")) != NULL);
  assert_not_opened (peer_of (&f->b, "alpha"), "nonsense", HYPHA_ERROR_NO_SUCH_SERVICE,
                     "no such service");
  wait_until (n_streams (beta) == 0 && n_streams (peer_of (&f->b, "alpha")) == 0);
}

static void
test_where_nobody_listens_any_more_it_fails (NodePair *f, gconstpointer data)
{
  g_autofree char *endpoint = unix_endpoint (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = NULL;

  wait_until (hypha_node_peer_get_best_link (peer_of (&f->b, "alpha")) != NULL);
  g_assert_true (hypha_node_unlisten (f->b.node, endpoint, &error));
  g_assert_no_error (error);
  g_assert_null (open_direct (beta, "echo", &error));
  g_assert_nonnull (strstr (error->message, "the channel of the direct stream: "));
  assert_not_opened (peer_of (&f->b, "alpha"), "echo", HYPHA_ERROR_REFUSED, "refused");
  stream = must_open (beta, "echo");
  assert_echoes (stream);
}

/* Whom nobody answers. */
static GPtrArray *held;

static void
hold (HyphaNodePeer *peer, HyphaIncoming *incoming, gpointer user_data)
{
  g_ptr_array_add (held, incoming);
}

static void
hold_all_of (HyphaNodePeer *peer)
{
  if (held == NULL)
    held = g_ptr_array_new_with_free_func ((GDestroyNotify) hypha_incoming_free);
  peer->events.incoming = hold;
}

/* Both have got to the other end by then, and nobody answers them there. Otherwise they might be
 * open already, or wait for the next session. */
static void
test_a_session_that_ends_meanwhile_ends_it (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) beta = join_unix (f);
  HyphaNodePeer *peers[] = { beta, peer_of (&f->b, "alpha") };
  GAsyncResult *results[2] = { NULL };

  wait_until (hypha_node_peer_get_best_link (peers[1]) != NULL);
  for (guint i = 0; i < 2; i++)
    hold_all_of (peers[i]);
  for (guint i = 0; i < 2; i++)
    hypha_peer_open_direct_async (HYPHA_PEER (peers[i]), "echo", 0, NULL, keep_result, &results[i]);
  wait_until (held->len == 2);
  hypha_node_peer_drop (peers[0], HYPHA_ERROR_DISCONNECTED, "as the test wanted");
  wait_until (results[0] != NULL && results[1] != NULL);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (hypha_peer_open_direct_finish (HYPHA_PEER (peers[i]), results[i], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
    g_object_unref (results[i]);
  }
  g_clear_pointer (&held, g_ptr_array_unref);
  wait_until (n_streams (peers[0]) == 0 && n_streams (peers[1]) == 0);
}

static void
test_a_node_that_stops_meanwhile_answers (NodePair *f, gconstpointer data)
{
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join_unix (f);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  hypha_peer_open_direct_async (HYPHA_PEER (beta), "echo", 0, NULL, keep_result, &result);
  hypha_node_stop (f->a.node);
  wait_until (result != NULL);
  g_assert_null (hypha_peer_open_direct_finish (HYPHA_PEER (beta), result, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
}

/* What only a peer that lies does: it takes the channel, and ends the stream of the session. */
static void
test_a_peer_that_ends_without_an_answer_ends_it (NodePair *f, gconstpointer data)
{
  g_autoptr (HyphaNodePeer) beta = join_unix (f);
  HyphaNodePeer *alpha = peer_of (&f->b, "alpha");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  GHashTableIter iter;
  PeerStream *ps;

  wait_until (hypha_node_peer_get_best_link (alpha) != NULL);
  hold_all_of (alpha);
  hypha_peer_open_direct_async (HYPHA_PEER (beta), "echo", 0, NULL, keep_result, &result);
  wait_until (held->len > 0);
  g_hash_table_iter_init (&iter, alpha->streams);
  g_assert_true (g_hash_table_iter_next (&iter, NULL, (gpointer *) &ps));
  hypha_engine_finish_direct (alpha->engine, ps->info);
  wait_until (result != NULL);
  g_assert_null (hypha_peer_open_direct_finish (HYPHA_PEER (beta), result, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE);
  g_clear_pointer (&held, g_ptr_array_unref);
  wait_until (n_streams (beta) == 0 && n_streams (alpha) == 0);
}

/* ---- tokens ---- */

typedef struct {
  GString *text; /* of messages */
  int fd;        /* of what came, or -1 */
  GError *error;
  gboolean done;
  HyphaDirect *direct;
  guint8 ticket[HYPHA_TICKET_BYTES];
} Expecting;

static void
on_direct (HyphaDirect *direct, int fd, const GError *error, gpointer user_data)
{
  Expecting *self = user_data;

  g_assert_false (self->done);
  self->done = TRUE;
  self->fd = fd;
  self->error = error != NULL ? g_error_copy (error) : NULL;
}

static void
on_log (const char *domain, GLogLevelFlags level, const char *text, gpointer user_data)
{
  if (level & G_LOG_LEVEL_MESSAGE)
    g_string_append_printf (((Expecting *) user_data)->text, "%s\n", text);
}

/* NODE waits for a token that PEER was given. */
static void
expect (Expecting *self, HyphaNode *node, HyphaNodePeer *peer)
{
  g_autoptr (GError) error = NULL;

  *self = (Expecting){ .fd = -1, .text = g_string_new (NULL), .ticket = { 1 } };
  memset (self->ticket + 1, 0x5a, HYPHA_TOKEN_BYTES);
  self->direct = hypha_direct_new_answering (node->directs, peer, self->ticket, &error);
  g_assert_no_error (error);
  hypha_direct_start (self->direct, on_direct, NULL, self);
  g_log_set_default_handler (on_log, self);
}

static void
expecting_clear (Expecting *self)
{
  g_log_set_default_handler (g_log_default_handler, NULL);
  hypha_direct_free (self->direct);
  if (self->fd >= 0)
    close (self->fd);
  g_clear_error (&self->error);
  g_string_free (self->text, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Expecting, expecting_clear)

static int
connect_to (const char *endpoint)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  const char *name = endpoint + strlen ("unix:");
  socklen_t length = (socklen_t) (G_STRUCT_OFFSET (struct sockaddr_un, sun_path) + strlen (name));
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  memcpy (address.sun_path, name, strlen (name));
  address.sun_path[0] = '\0'; /* for the @ */
  if (connect (fd, (struct sockaddr *) &address, length) != 0)
    return -1;
  return fd;
}

/* Of what the token of EXPECTING has, with SOME of it wrong. */
static int
show (const char *endpoint, const guint8 *token, gsize length, const char *behind)
{
  int fd = connect_to (endpoint);
  guint8 preamble[HYPHA_PREAMBLE_BYTES];

  hypha_preamble_write (token, preamble);
  if (fd < 0 || send (fd, preamble, length, MSG_NOSIGNAL) != (gssize) length ||
      send (fd, behind, strlen (behind), MSG_NOSIGNAL) != (gssize) strlen (behind))
    return -1;
  return fd;
}

static gboolean
is_closed (int fd)
{
  char byte;

  return recv (fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static char *
listen_abstract (NodePair *f)
{
  g_autofree char *name = g_path_get_basename (f->dir);
  g_autofree char *endpoint = g_strdup_printf ("unix:@%s", name);

  return listen_on (&f->b, endpoint);
}

/* An OPEN of alpha's has not come before its link is up there. */
static HyphaNodePeer *
alpha_of (NodePair *f)
{
  wait_until (hypha_node_peer_get_best_link (peer_of (&f->b, "alpha")) != NULL);
  return peer_of (&f->b, "alpha");
}

static void
test_a_token_is_good_once_and_for_every_byte_behind_it (NodePair *f, gconstpointer data)
{
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  g_auto (Expecting) e = { 0 };
  char buffer[8] = "";
  int fd, again;

  expect (&e, f->b.node, alpha_of (f));
  fd = show (door, e.ticket + 1, HYPHA_PREAMBLE_BYTES, "bytes");
  wait_until (e.done);
  g_assert_no_error (e.error);
  g_assert_cmpint (recv (e.fd, buffer, sizeof buffer, 0), ==, 5);
  g_assert_cmpstr (buffer, ==, "bytes");
  again = show (door, e.ticket + 1, HYPHA_PREAMBLE_BYTES, "");
  wait_until (is_closed (again));
  g_assert_nonnull (strstr (e.text->str, "An incoming handshake failed: the token"));
  close (fd);
  close (again);
}

static void
test_a_token_that_comes_too_early_is_held (NodePair *f, gconstpointer data)
{
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  g_auto (Expecting) e = { 0 };
  guint8 token[HYPHA_TOKEN_BYTES];
  char buffer[8] = "";
  int fd;

  wait_until (hypha_node_peer_get_best_link (peer_of (&f->b, "alpha")) != NULL);
  memset (token, 0x5a, sizeof token);
  fd = show (door, token, HYPHA_PREAMBLE_BYTES, "bytes");
  wait_until (hypha_directs_n_early (f->b.node->directs) == 1);
  expect (&e, f->b.node, alpha_of (f));
  g_assert_true (e.done);
  g_assert_no_error (e.error);
  g_assert_cmpint (recv (e.fd, buffer, sizeof buffer, 0), ==, 5);
  g_assert_cmpstr (buffer, ==, "bytes");
  g_assert_cmpuint (hypha_directs_n_early (f->b.node->directs), ==, 0);
  close (fd);
}

static void
test_of_many_early_tokens_the_last_are_held (NodePair *f, gconstpointer data)
{
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  guint8 token[HYPHA_TOKEN_BYTES] = { 0 };
  int fds[40];

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    token[0] = (guint8) i;
    fds[i] = show (door, token, HYPHA_PREAMBLE_BYTES, "");
    g_assert_cmpint (fds[i], >=, 0);
    g_main_context_iteration (NULL, FALSE);
    g_assert_cmpuint (hypha_directs_n_early (f->b.node->directs), <=, 16);
  }
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    wait_until (is_closed (fds[i]));
    close (fds[i]);
  }
  g_assert_cmpuint (hypha_directs_n_early (f->b.node->directs), ==, 0);
  assert_direct_echo (beta);
}

static void
on_opened (HyphaDirect *direct, int fd, const GError *error, gpointer user_data)
{
  g_assert_no_error (error);
  *(int *) user_data = fd;
}

static void
test_who_was_turned_away_comes_again (NodePair *f, gconstpointer data)
{
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  HyphaDirects *directs = f->b.node->directs;
  g_autoptr (HyphaDirect) opener = NULL;
  g_autoptr (HyphaDirect) acceptor = NULL;
  g_autoptr (GError) error = NULL;
  int near = -1, far = -1;

  wait_until (hypha_node_peer_get_best_link (peer_of (&f->b, "alpha")) != NULL);
  opener = hypha_direct_new_opening (f->a.node->directs, beta, &error);
  g_assert_no_error (error);
  hypha_direct_start (opener, on_opened, NULL, &near);
  wait_until (hypha_directs_n_early (directs) == 1);
  wait_until (hypha_directs_n_early (directs) == 0);
  acceptor = hypha_direct_new_answering (directs, peer_of (&f->b, "alpha"),
                                         hypha_direct_get_ticket (opener), &error);
  g_assert_no_error (error);
  hypha_direct_start (acceptor, on_opened, NULL, &far);
  g_assert_cmpint (far, ==, -1);
  hypha_direct_accepted (opener);
  wait_until (far >= 0);
  hypha_direct_answered (opener, 0);
  wait_until (near >= 0);
  g_assert_cmpint (send (near, "x", 1, MSG_NOSIGNAL), ==, 1);
  close (near);
  close (far);
}

static void
test_a_wrong_token_is_a_failed_handshake (NodePair *f, gconstpointer data)
{
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  g_auto (Expecting) e = { 0 };
  guint8 wrong[HYPHA_TOKEN_BYTES];

  expect (&e, f->b.node, alpha_of (f));
  for (guint i = 0; i < HYPHA_TOKEN_BYTES; i += HYPHA_TOKEN_BYTES - 1) {
    int fd;

    memcpy (wrong, e.ticket + 1, sizeof wrong);
    wrong[i] ^= 1;
    fd = show (door, wrong, HYPHA_PREAMBLE_BYTES, "");
    wait_until (is_closed (fd));
    close (fd);
  }
  g_assert_false (e.done);
  g_assert_nonnull (strstr (e.text->str, "not expected"));
}

static void
test_a_token_of_a_peer_that_is_not_there_is_void (NodePair *f, gconstpointer data)
{
  static const char *const stranger = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  g_autoptr (GError) error = NULL;
  g_auto (Expecting) e = { 0 };
  int fd;

  g_assert_true (hypha_node_trust (f->b.node, stranger, "gamma", &error));
  g_assert_no_error (error);
  expect (&e, f->b.node, peer_of (&f->b, "gamma"));
  fd = show (door, e.ticket + 1, HYPHA_PREAMBLE_BYTES, "");
  wait_until (is_closed (fd));
  g_assert_true (e.done);
  g_assert_error (e.error, HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE);
  close (fd);
}

static void
test_a_token_of_another_user_is_void (NodePair *f, gconstpointer data)
{
  g_autofree char *door = NULL;
  g_autoptr (HyphaNodePeer) beta = NULL;
  g_auto (Expecting) e = { 0 };
  gboolean gone = FALSE;
  pid_t child;
  int status;

  if (geteuid () != 0) {
    g_test_skip ("only root can be somebody else");
    return;
  }
  door = listen_abstract (f);
  beta = join (f, door);
  expect (&e, f->b.node, alpha_of (f));
  child = fork ();
  if (child == 0) {
    char byte;
    int fd;

    if (setresuid (65534, 65534, 65534) != 0)
      _exit (2);
    fd = show (door, e.ticket + 1, HYPHA_PREAMBLE_BYTES, "");
    _exit (fd >= 0 && recv (fd, &byte, 1, 0) == 0 ? 0 : 1);
  }
  wait_until (gone || (gone = waitpid (child, &status, WNOHANG) == child));
  g_assert_cmpint (status, ==, 0);
  g_assert_true (e.done);
  g_assert_error (e.error, HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE);
  g_assert_nonnull (strstr (e.text->str, "somebody else"));
}

static void
test_a_token_has_a_deadline (NodePair *f, gconstpointer data)
{
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  g_auto (Expecting) e = { 0 };
  int fd;

  hypha_directs_set_timeout (f->b.node->directs, 50);
  expect (&e, f->b.node, alpha_of (f));
  wait_until (e.done);
  g_assert_error (e.error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  fd = show (door, e.ticket + 1, HYPHA_PREAMBLE_BYTES, "");
  wait_until (is_closed (fd));
  close (fd);
}

static void
test_no_more_than_so_many_of_a_peer_wait (NodePair *f, gconstpointer data)
{
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  HyphaNodePeer *alpha = peer_of (&f->b, "alpha");
  Expecting many[HYPHA_DIRECTS_MAX];

  wait_until (hypha_node_peer_get_best_link (alpha) != NULL);
  for (guint i = 0; i < HYPHA_DIRECTS_MAX; i++)
    expect (&many[i], f->b.node, alpha);
  assert_not_opened (alpha, "echo", HYPHA_ERROR_BUSY, "on their way");
  assert_not_opened (beta, "echo", HYPHA_ERROR_BUSY, "as many");
  for (guint i = 0; i < HYPHA_DIRECTS_MAX; i++)
    expecting_clear (&many[i]);
  assert_direct_echo (alpha);
}

static void
test_a_flood_of_halves_keeps_nobody_out (NodePair *f, gconstpointer data)
{
  g_autofree char *door = listen_abstract (f);
  G_GNUC_UNUSED g_autoptr (HyphaNodePeer) beta = join (f, door);
  g_auto (Expecting) e = { 0 };
  HyphaNodeLimits limits;
  int fds[100];

  hypha_node_limits_init (&limits);
  limits.handshake_timeout = 300;
  hypha_node_set_limits (f->b.node, &limits);
  expect (&e, f->b.node, alpha_of (f));
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    fds[i] = show (door, e.ticket + 1, 1 + i % (HYPHA_PREAMBLE_BYTES - 1), "");
    g_assert_cmpint (fds[i], >=, 0);
    if (i == 0)
      wait_until (is_closed (fds[i])); /* by the deadline of a handshake */
    else
      g_main_context_iteration (NULL, FALSE);
  }
  assert_direct_echo (beta);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    wait_until (is_closed (fds[i]));
    close (fds[i]);
  }
  g_assert_false (e.done);
}

#define ADD(name, func) \
  g_test_add ("/node/direct/" name, NodePair, NULL, node_pair_set_up, func, node_pair_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  ADD ("who-has-dialled-the-link-opens-one", test_who_has_dialled_the_link_opens_one);
  ADD ("who-was-dialled-opens-one", test_who_was_dialled_opens_one);
  ADD ("it-ends-for-the-node-as-soon-as-it-is-there",
       test_it_ends_for_the_node_as_soon_as_it_is_there);
  ADD ("it-goes-on-when-its-peer-is-forgotten", test_it_goes_on_when_its_peer_is_forgotten);
  ADD ("a-target-is-led-to", test_a_target_is_led_to);
  ADD ("what-was-sent-before-a-close-reaches-the-target",
       test_what_was_sent_before_a_close_reaches_the_target);
  ADD ("a-target-that-reads-no-more-is-told-of", test_a_target_that_reads_no_more_is_told_of);
  ADD ("an-encrypted-link-is-refused-by-name", test_an_encrypted_link_is_refused_by_name);
  ADD ("a-refusal-has-its-reason", test_a_refusal_has_its_reason);
  ADD ("where-nobody-listens-any-more-it-fails", test_where_nobody_listens_any_more_it_fails);
  ADD ("a-session-that-ends-meanwhile-ends-it", test_a_session_that_ends_meanwhile_ends_it);
  ADD ("a-node-that-stops-meanwhile-answers", test_a_node_that_stops_meanwhile_answers);
  ADD ("a-peer-that-ends-without-an-answer-ends-it",
       test_a_peer_that_ends_without_an_answer_ends_it);
  ADD ("a-token-is-good-once-and-for-every-byte-behind-it",
       test_a_token_is_good_once_and_for_every_byte_behind_it);
  ADD ("a-token-that-comes-too-early-is-held", test_a_token_that_comes_too_early_is_held);
  ADD ("of-many-early-tokens-the-last-are-held", test_of_many_early_tokens_the_last_are_held);
  ADD ("who-was-turned-away-comes-again", test_who_was_turned_away_comes_again);
  ADD ("a-wrong-token-is-a-failed-handshake", test_a_wrong_token_is_a_failed_handshake);
  ADD ("a-token-of-a-peer-that-is-not-there-is-void",
       test_a_token_of_a_peer_that_is_not_there_is_void);
  ADD ("a-token-of-another-user-is-void", test_a_token_of_another_user_is_void);
  ADD ("a-token-has-a-deadline", test_a_token_has_a_deadline);
  ADD ("no-more-than-so-many-of-a-peer-wait", test_no_more_than_so_many_of_a_peer_wait);
  ADD ("a-flood-of-halves-keeps-nobody-out", test_a_flood_of_halves_keeps_nobody_out);
  return g_test_run ();
}
