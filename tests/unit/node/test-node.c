/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What two nodes do for each other: trust, links, streams. */

#include <dirent.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gio/gunixsocketaddress.h>

#include "node-pair.h"
#include "node/node-private.h"

static gsize
n_troubles (Side *side)
{
  g_autoptr (GVariant) troubles = hypha_node_dup_troubles (side->node);

  return g_variant_n_children (troubles);
}

static guint
n_listening (Side *side)
{
  g_auto (GStrv) listening = hypha_node_dup_listening (side->node);

  return g_strv_length (listening);
}

static const char *
active_transport (Side *side, const char *name)
{
  HyphaNodeLink *link = hypha_node_peer_get_best_link (peer_of (side, name));

  return link != NULL ? hypha_node_link_get_transport (link) : "";
}

/* Shuts down every connection of this process whose remote address is the Unix socket PATH: its
 * links are cut, not closed. */
static guint
cut (const char *path)
{
  DIR *dir = opendir ("/proc/self/fd");
  struct dirent *entry;
  guint n = 0;

  while ((entry = readdir (dir)) != NULL) {
    struct sockaddr_un address = { 0 };
    socklen_t length = sizeof address;

    if (getpeername (atoi (entry->d_name), (struct sockaddr *) &address, &length) == 0 &&
        address.sun_family == AF_UNIX && g_str_equal (address.sun_path, path))
      n += shutdown (atoi (entry->d_name), SHUT_RDWR) == 0;
  }
  closedir (dir);
  return n;
}

/* ---- who may come in ---- */

static void
test_stranger_is_refused_and_pending (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *id = id_of (&f->a);
  g_autoptr (GError) error = NULL;

  trust (&f->a, &f->b, "beta");
  g_assert_null (dial (&f->a, bound, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED);
  g_assert_nonnull (strstr (error->message, "hyphactl trust"));
  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (peer_of (&f->b, id))), ==, HYPHA_PEER_PENDING);
  g_assert_cmpuint (n_links (&f->b), ==, 0);
}

static void
test_trusting_lets_in (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (f, bound);

  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (peer)), ==, HYPHA_PEER_ONLINE);
  wait_until (n_links (&f->b) == 1 && hypha_node_peer_get_best_link (peer) != NULL);
  g_assert_true (hypha_node_link_get_encrypted (hypha_node_peer_get_best_link (peer)));
}

static void
test_somebody_else_than_expected_is_refused (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaIdentity) third = hypha_identity_generate (NULL);
  g_autofree char *other = hypha_node_id_to_string (hypha_identity_get_id (third));
  g_autoptr (GError) error = NULL;

  trust_each_other (f);
  g_assert_null (dial (&f->a, bound, g_variant_new_parsed ("{'expect-id': <%s>}", other), &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_WRONG_ID);
}

static void
test_forgetting_ends_the_links (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;

  peer = join (f, bound);
  wait_until (n_links (&f->b) == 1);
  g_assert_true (hypha_node_forget (f->b.node, "alpha", &error));
  wait_until (n_links (&f->b) == 0 && n_links (&f->a) == 0);
  g_assert_null (hypha_node_lookup (f->b.node, "alpha", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_PEER);
}

static void
test_bound_peer_gets_in_only_there (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, unix_uri);
  g_autofree char *id = id_of (&f->b);
  g_autoptr (GVariant) trusted = g_variant_ref_sink (
      g_variant_new_parsed ("{%s: {'name': <'beta'>, 'endpoints': <[%s]>}}", id, on_unix));
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;

  trust (&f->b, &f->a, "alpha");
  g_assert_true (hypha_node_set_trusted (f->a.node, trusted, &error));
  g_assert_null (dial (&f->a, bound, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED);
  g_clear_error (&error);
  peer = dial (&f->a, on_unix, NULL, &error);
  g_assert_no_error (error);
}

static void
test_wrong_trust_is_named_and_changes_nothing (NodePair *f, gconstpointer data)
{
  static const struct {
    const char *text, *named;
  } cases[] = {
    { "{'abc': @a{sv} {}}", "abc" },
    { "{'ID': {'name': <'has space'>}}", "U+0020" },
    { "{'ID': {'name': <5>}}", "'name'" },
    { "{'ID': {'colour': <'red'>}}", "'colour'" },
    { "{'ID': {'tls': <'sometimes'>}}", "'tls'" },
    { "{'ID': {'endpoints': <['nonsense']>}}", "nonsense" },
    { "{'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa': @a{sv} {}}", "no key" },
  };
  g_autofree char *id = id_of (&f->b);

  trust (&f->a, &f->b, "beta");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GString) text = g_string_new (cases[i].text);
    g_autoptr (GError) error = NULL;
    g_autoptr (GVariant) value = NULL;

    g_string_replace (text, "ID", id, 0);
    value = g_variant_parse (G_VARIANT_TYPE ("a{sa{sv}}"), text->str, NULL, NULL, &error);
    g_assert_no_error (error);
    g_assert_false (hypha_node_set_trusted (f->a.node, value, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
    g_assert_nonnull (strstr (error->message, cases[i].named));
    g_assert_nonnull (peer_of (&f->a, "beta"));
  }
}

/* ---- links ---- */

static void
test_cheapest_link_is_chosen (NodePair *f, gconstpointer data)
{
  g_autofree char *on_tcp = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, unix_uri);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) first = NULL, second = NULL;
  g_autoptr (GVariant) why = NULL;

  first = join (f, on_tcp);
  second = dial (&f->a, on_unix, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (first == second);
  wait_until (g_str_equal (active_transport (&f->a, "beta"), "unix"));
  wait_until (g_str_equal (active_transport (&f->b, "alpha"), "unix"));
  why = hypha_node_explain (f->a.node, first);
  g_assert_cmpuint (g_variant_n_children (why), ==, 2);
}

static void
test_both_dialling_leaves_one_link (NodePair *f, gconstpointer data)
{
  g_autofree char *on_b = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *on_a = listen_on (&f->a, "tcp://127.0.0.1:0");
  const char *const to_b[] = { on_b, NULL };
  const char *const to_a[] = { on_a, NULL };
  g_autoptr (GError) error = NULL;

  trust_each_other (f);
  g_assert_true (hypha_node_set_peers (f->a.node, to_b, &error));
  g_assert_true (hypha_node_set_peers (f->b.node, to_a, &error));
  wait_until (n_links (&f->a) >= 1 && n_links (&f->b) >= 1);
  /* Whichever way it went, it ends with one, at both ends the same, and both endpoints count as
   * connected. */
  wait_until (n_links (&f->a) == 1 && n_links (&f->b) == 1 && n_troubles (&f->a) == 0);
}

static void
test_lost_link_is_dialled_again (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, unix_uri);
  g_autofree char *path = g_build_filename (f->dir, "b.sock", NULL);
  g_autoptr (HyphaNodePeer) peer = NULL;

  peer = join (f, on_unix);
  g_assert_cmpuint (cut (path), >=, 1);
  wait_until (n_links (&f->a) == 0);
  wait_until (n_links (&f->a) == 1 && n_links (&f->b) == 1);
}

/* ---- streams ---- */

static void
write_all (HyphaStream *stream, const guint8 *data, gsize length)
{
  g_autoptr (GError) error = NULL;

  g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (stream)), data, length,
                             NULL, NULL, &error);
  g_assert_no_error (error);
}

typedef struct {
  HyphaStream *stream;
  const guint8 *data;
  gsize length;
} Writing;

static gpointer
writer (gpointer data)
{
  Writing *w = data;

  write_all (w->stream, w->data, w->length);
  g_assert_true (hypha_stream_close_write (w->stream, NULL));
  return NULL;
}

typedef struct {
  HyphaStream *stream;
  GByteArray *got;
  _Atomic gsize n;
  _Atomic gboolean ended;
} Reading;

static gpointer
reader (gpointer data)
{
  Reading *r = data;
  guint8 buffer[65536];
  gssize n;

  while ((n = g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (r->stream)), buffer,
                                   sizeof buffer, NULL, NULL)) > 0) {
    g_byte_array_append (r->got, buffer, (guint) n);
    atomic_fetch_add (&r->n, (gsize) n);
  }
  atomic_store (&r->ended, TRUE);
  return NULL;
}

static void
expect_good_end (HyphaStream *stream, guint64 expected)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint64 received = 0, sent = 0;

  hypha_stream_wait_end_async (stream, NULL, keep_result, &result);
  wait_until (result != NULL);
  g_assert_true (hypha_stream_wait_end_finish (stream, result, &received, &sent, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (received, ==, expected);
  g_assert_cmpuint (sent, ==, expected);
}

static void
test_stream_survives_its_link (NodePair *f, gconstpointer data)
{
  const gsize size = 64 * 1024 * 1024;
  g_autofree char *on_tcp = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, unix_uri);
  g_autofree char *path = g_build_filename (f->dir, "b.sock", NULL);
  g_autofree guint8 *bytes = g_malloc (size);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL, same = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GByteArray) got = g_byte_array_new ();
  Writing w;
  Reading r;
  GThread *writing, *reading;

  for (gsize i = 0; i < size; i++)
    bytes[i] = (guint8) ((i * 2654435761u) >> 13);
  peer = join (f, on_tcp);
  same = dial (&f->a, on_unix, NULL, &error);
  g_assert_no_error (error);
  wait_until (g_str_equal (active_transport (&f->a, "beta"), "unix"));

  stream = must_open (peer, "echo");
  w = (Writing){ stream, bytes, size };
  r = (Reading){ .stream = stream, .got = got };
  writing = g_thread_new ("writer", writer, &w);
  reading = g_thread_new ("reader", reader, &r);

  wait_until (atomic_load (&r.n) > size / 8);
  g_assert_cmpuint (cut (path), >=, 1);
  wait_until (g_str_equal (active_transport (&f->a, "beta"), "tcp"));
  wait_until (atomic_load (&r.ended));
  g_thread_join (writing);
  g_thread_join (reading);
  g_assert_cmpmem (got->data, got->len, bytes, size);
  expect_good_end (stream, size);
  wait_until (g_str_equal (active_transport (&f->a, "beta"), "unix"));
}

static void
test_unknown_service_is_refused_by_name (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = join (f, bound);

  g_assert_null (open_stream (peer, "nonsense", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE);
}

static void
test_service_is_for_those_named_only (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GVariant) services = g_variant_ref_sink (g_variant_new_parsed (
      "{'echo': {'target': <'echo'>, 'peers': <['gamma']>}, 'discard': {'target': <'off'>}}"));
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;

  g_assert_true (hypha_services_configure (f->b.services, services, &error));
  peer = join (f, bound);
  g_assert_null (open_stream (peer, "echo", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED);
  g_clear_error (&error);
  g_assert_null (open_stream (peer, "discard", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE);
}

static void
test_target_of_the_settings_is_reached (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocketListener) program = program_new (f, "greet", &result);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  g_autoptr (HyphaStream) stream = must_open (peer, "greet");
  g_autoptr (GSocketConnection) accepted = program_accepted (program, &result);
  char text[6] = "";

  g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (accepted)), "hello", 5,
                             NULL, NULL, &error);
  g_assert_no_error (error);
  g_input_stream_read_all (g_io_stream_get_input_stream (G_IO_STREAM (stream)), text, 5, NULL, NULL,
                           &error);
  g_assert_no_error (error);
  g_assert_cmpstr (text, ==, "hello");
}

#define MUCH (8 * 1024 * 1024)
#define PIECE 10007 /* is no part of any window */
#define BEFORE 100  /* pieces, until there is a large window */

static gpointer
write_much (gpointer connection)
{
  g_autofree guint8 *much = g_malloc0 (MUCH);

  g_output_stream_write_all (g_io_stream_get_output_stream (connection), much, MUCH, NULL, NULL,
                             NULL);
  return NULL;
}

/* What was promised before is used up in the end, and whoever has to give more is told in time. */
static void
test_session_window_that_shrinks_stops_nobody (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *bound = listen_on (&f->b, unix_uri);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocketListener) program = program_new (f, "source", &result);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  g_autoptr (HyphaStream) stream = must_open (peer, "source");
  g_autoptr (GSocketConnection) source = program_accepted (program, &result);
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (stream));
  GThread *writing = g_thread_new ("writer", write_much, source);
  HyphaNodeLimits limits;

  hypha_stream_set_timeout (stream, NODE_PAIR_DEADLINE / 1000);
  for (guint i = 0; i < MUCH / PIECE; i++) {
    guint8 piece[PIECE];

    if (i == BEFORE) {
      hypha_node_limits_init (&limits);
      limits.session_window = 0; /* the least there can be */
      hypha_node_set_limits (f->a.node, &limits);
    }
    g_input_stream_read_all (input, piece, sizeof piece, NULL, NULL, &error);
    g_assert_no_error (error);
  }
  g_input_stream_close (input, NULL, NULL);
  g_thread_join (writing);
}

static void
test_stop_of_the_peer_ends_its_streams_with_an_error (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, unix_uri);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = join (f, on_unix);
  g_autoptr (HyphaStream) stream = must_open (peer, "echo");

  hypha_stream_wait_end_async (stream, NULL, keep_result, &result);

  side_down (&f->b);
  side_up (&f->b, f->b.identity, "beta");
  trust (&f->b, &f->a, "alpha");
  g_free (listen_on (&f->b, unix_uri));
  wait_until (result != NULL);
  g_assert_false (hypha_stream_wait_end_finish (stream, result, NULL, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED);
  g_assert_nonnull (strstr (error->message, "is shutting down"));
  g_clear_error (&error);
  /* And the next one goes to its new life. */
  wait_until (n_links (&f->a) == 1 &&
              hypha_peer_get_state (HYPHA_PEER (peer)) == HYPHA_PEER_ONLINE);
  g_clear_object (&stream);
  stream = must_open (peer, "echo");
}

static void
note_shutdown (const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
  guint *noted = data;

  *noted += strstr (text, "is shutting down") != NULL;
  g_assert_null (strstr (text, "Somebody on the peer's side"));
}

/* Streams or not: who reads the log of the other node learns that nobody meant him. */
static void
test_stop_of_the_peer_is_logged_as_what_it_is (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, unix_uri);
  g_autoptr (HyphaNodePeer) peer = NULL;
  guint noted = 0, handler;

  peer = join (f, on_unix);
  handler = g_log_set_handler ("hypha", G_LOG_LEVEL_MESSAGE, note_shutdown, &noted);
  side_down (&f->b);
  wait_until (noted > 0);
  g_log_remove_handler ("hypha", handler);
  side_up (&f->b, f->b.identity, "beta");
}

static void
test_disconnect_ends_streams_at_both_ends (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  g_autoptr (HyphaStream) stream = must_open (peer, "echo");
  HyphaNodePeer *back;

  back = peer_of (&f->b, "alpha");
  wait_until (n_streams (back) == 1);
  hypha_stream_wait_end_async (stream, NULL, keep_result, &result);
  hypha_peer_disconnect_async (HYPHA_PEER (peer), NULL, NULL, NULL);
  wait_until (result != NULL);
  g_assert_false (hypha_stream_wait_end_finish (stream, result, NULL, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
  wait_until (n_streams (back) == 0);
}

/* ---- endpoints that do not work ---- */

static void
test_wrong_endpoints_are_named_and_change_nothing (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  const char *const good[] = { unix_uri, NULL };
  const char *const bad[] = { unix_uri, "tcp://127.0.0.1:70000", NULL };
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_set_listen (f->b.node, good, &error));
  g_assert_false (hypha_node_set_listen (f->b.node, bad, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  g_assert_nonnull (strstr (error->message, "70000"));
  g_clear_error (&error);
  g_assert_false (hypha_node_set_peers (f->b.node, bad, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  wait_until (n_listening (&f->b) == 1);
}

static void
test_scheme_without_plugin_is_named (NodePair *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (dial (&f->a, "carrier-pigeon://coop:1", NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT);
  g_assert_nonnull (strstr (error->message, "carrier-pigeon"));
}

static void
test_failed_attempts_leave_no_trouble (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *nowhere = g_strdup_printf ("unix://%s/no/such/folder", f->dir);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  /* Whoever asked was told; nobody goes on trying. */
  g_assert_null (dial (&f->a, bound, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED);
  g_clear_error (&error);
  hypha_node_listen_async (f->a.node, nowhere, NULL, NULL, keep_result, &result);
  wait_until (result != NULL);
  g_assert_null (hypha_node_listen_finish (f->a.node, result, &error));
  g_assert_nonnull (error);
  wait_until (n_troubles (&f->a) == 0);
}

static void
count_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  ++*(guint *) user_data;
}

static void
test_endpoints_that_are_dialled_on_request_are_bounded (NodePair *f, gconstpointer data)
{
  g_autofree char *more = g_strdup_printf ("unix://%s/more", f->dir);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  guint answered = 0;

  for (guint i = 0; i < 1024; i++) {
    g_autofree char *nowhere = g_strdup_printf ("unix://%s/nowhere-%u", f->dir, i);

    hypha_node_connect_async (f->a.node, nowhere, NULL, cancellable, count_answer, &answered);
  }
  g_assert_cmpuint (f->a.node->diallers->len, ==, 1024);
  g_cancellable_cancel (cancellable);
  g_assert_null (dial (&f->a, more, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  g_assert_nonnull (strstr (error->message, "1024"));
  g_clear_error (&error);
  wait_until (answered == 1024 && f->a.node->diallers->len == 0);
  g_assert_null (dial (&f->a, more, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
}

/* Connects, and is never greeted. */
static GSocket *
silent_listener (const char *path)
{
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GError) error = NULL;
  GSocket *socket =
      g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);

  g_assert_no_error (error);
  g_assert_true (g_socket_bind (socket, address, FALSE, &error));
  g_assert_true (g_socket_listen (socket, &error));
  return socket;
}

static void
test_endpoint_nobody_waits_for_is_dialled_no_more (NodePair *f, gconstpointer data)
{
  g_autofree char *path = g_strdup_printf ("%s/silent", f->dir);
  g_autofree char *uri = g_strdup_printf ("unix://%s", path);
  G_GNUC_UNUSED g_autoptr (GSocket) listener = silent_listener (path);
  g_autoptr (GCancellable) one = g_cancellable_new ();
  g_autoptr (GCancellable) other = g_cancellable_new ();
  guint answered = 0;

  hypha_node_connect_async (f->a.node, uri, NULL, one, count_answer, &answered);
  hypha_node_connect_async (f->a.node, uri, NULL, other, count_answer, &answered);
  wait_until (hypha_dialler_get_state (f->a.node->diallers->pdata[0]) == HYPHA_DIALLER_TRYING);
  g_cancellable_cancel (one);
  wait_until (answered == 1);
  g_assert_cmpuint (f->a.node->diallers->len, ==, 1);
  g_cancellable_cancel (other);
  wait_until (answered == 2);
  wait_until (f->a.node->diallers->len == 0);
  g_unlink (path);
}

static void
test_endpoint_that_was_up_is_dialled_on (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  guint answered = 0;

  hypha_node_connect_async (f->a.node, bound, NULL, cancellable, count_answer, &answered);
  g_cancellable_cancel (cancellable);
  wait_until (answered == 1);
  g_assert_cmpuint (f->a.node->diallers->len, ==, 1);
  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (peer)), ==, HYPHA_PEER_ONLINE);
}

static void
test_listening_nobody_waits_for_is_given_up (NodePair *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) listening = NULL;

  g_cancellable_cancel (cancellable);
  hypha_node_listen_async (f->a.node, "tcp://127.0.0.1:0", NULL, cancellable, keep_result, &result);
  wait_until (result != NULL);
  g_assert_null (hypha_node_listen_finish (f->a.node, result, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  wait_until (f->a.node->doors->len == 0);
  listening = hypha_node_dup_listening (f->a.node);
  g_assert_cmpuint (g_strv_length (listening), ==, 0);
}

static void
test_endpoints_that_are_listened_on_on_request_are_bounded (NodePair *f, gconstpointer data)
{
  g_autofree char *more = g_strdup_printf ("unix://%s/more", f->dir);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  guint answered = 0;

  for (guint i = 0; i < 256; i++) {
    g_autofree char *uri = g_strdup_printf ("unix://%s/door-%u", f->dir, i);

    hypha_node_listen_async (f->a.node, uri, NULL, NULL, count_answer, &answered);
  }
  hypha_node_listen_async (f->a.node, more, NULL, NULL, keep_result, &result);
  wait_until (result != NULL && answered == 256);
  g_assert_null (hypha_node_listen_finish (f->a.node, result, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  g_assert_nonnull (strstr (error->message, "256"));
  for (guint i = 0; i < 256; i++) {
    g_autofree char *uri = g_strdup_printf ("unix://%s/door-%u", f->dir, i);

    g_assert_true (hypha_node_unlisten (f->a.node, uri, NULL));
  }
}

#define ADD(path, func) \
  g_test_add (path, NodePair, NULL, node_pair_set_up, func, node_pair_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* Warnings are what a node says of its surroundings, and the tests see to it that there is
   * something to say. */
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  ADD ("/node/trust/stranger-is-refused-and-pending", test_stranger_is_refused_and_pending);
  ADD ("/node/trust/trusting-lets-in", test_trusting_lets_in);
  ADD ("/node/trust/somebody-else-than-expected-is-refused",
       test_somebody_else_than_expected_is_refused);
  ADD ("/node/trust/forgetting-ends-the-links", test_forgetting_ends_the_links);
  ADD ("/node/trust/bound-peer-gets-in-only-there", test_bound_peer_gets_in_only_there);
  ADD ("/node/trust/wrong-trust-is-named-and-changes-nothing",
       test_wrong_trust_is_named_and_changes_nothing);
  ADD ("/node/link/cheapest-is-chosen", test_cheapest_link_is_chosen);
  ADD ("/node/link/both-dialling-leaves-one", test_both_dialling_leaves_one_link);
  ADD ("/node/link/lost-one-is-dialled-again", test_lost_link_is_dialled_again);
  ADD ("/node/stream/survives-its-link", test_stream_survives_its_link);
  ADD ("/node/stream/unknown-service-is-refused-by-name", test_unknown_service_is_refused_by_name);
  ADD ("/node/stream/service-is-for-those-named-only", test_service_is_for_those_named_only);
  ADD ("/node/stream/target-of-the-settings-is-reached", test_target_of_the_settings_is_reached);
  ADD ("/node/stream/session-window-that-shrinks-stops-nobody",
       test_session_window_that_shrinks_stops_nobody);
  ADD ("/node/stop/is-logged-by-the-peer-as-what-it-is",
       test_stop_of_the_peer_is_logged_as_what_it_is);
  ADD ("/node/stream/stop-of-the-peer-ends-it-with-an-error",
       test_stop_of_the_peer_ends_its_streams_with_an_error);
  ADD ("/node/stream/disconnect-ends-it-at-both-ends", test_disconnect_ends_streams_at_both_ends);
  ADD ("/node/endpoint/wrong-ones-are-named-and-change-nothing",
       test_wrong_endpoints_are_named_and_change_nothing);
  ADD ("/node/endpoint/failed-attempts-leave-no-trouble", test_failed_attempts_leave_no_trouble);
  ADD ("/node/endpoint/dialled-on-request-are-bounded",
       test_endpoints_that_are_dialled_on_request_are_bounded);
  ADD ("/node/endpoint/nobody-waits-for-is-dialled-no-more",
       test_endpoint_nobody_waits_for_is_dialled_no_more);
  ADD ("/node/endpoint/that-was-up-is-dialled-on", test_endpoint_that_was_up_is_dialled_on);
  ADD ("/node/endpoint/listening-nobody-waits-for-is-given-up",
       test_listening_nobody_waits_for_is_given_up);
  ADD ("/node/endpoint/listened-on-on-request-are-bounded",
       test_endpoints_that_are_listened_on_on_request_are_bounded);
  ADD ("/node/endpoint/scheme-without-plugin-is-named", test_scheme_without_plugin_is_named);
  return g_test_run ();
}
