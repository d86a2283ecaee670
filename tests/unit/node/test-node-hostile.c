/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What goes wrong in a node when callers, peers and programs behave as badly as they may. */

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../descriptors.h"
#include "node-pair.h"

/* By the program at this end, on the only stream. */
static guint64
n_sent (HyphaNodePeer *peer)
{
  g_autoptr (GVariant) streams = hypha_node_peer_dup_streams (peer);
  g_autoptr (GVariant) stream = g_variant_get_child_value (streams, 0);
  guint64 sent = 0;

  g_variant_lookup (stream, "sent", "t", &sent);
  return sent;
}

/* ---- callbacks that stop the node ---- */

typedef struct {
  Side *side;
  gboolean done;
} Stopping;

static void
stop_from_within (Stopping *stopping)
{
  hypha_node_stop (stopping->side->node);
  stopping->done = TRUE;
}

static void
connect_failed_so_stop (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Stopping *stopping = user_data;
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_node_connect_finish (HYPHA_NODE (source), result, &error));
  stop_from_within (stopping);
}

static void
fail_to_connect (NodePair *f, const char *endpoint)
{
  Stopping stopping = { .side = &f->a };

  hypha_node_connect_async (f->a.node, endpoint, NULL, NULL, connect_failed_so_stop, &stopping);
  wait_until (stopping.done);
}

static void
test_stop_when_the_peer_rejects (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");

  trust (&f->a, &f->b, "beta");
  fail_to_connect (f, bound);
}

static void
close_at_once (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GSocketConnection) connection =
      g_socket_listener_accept_finish (G_SOCKET_LISTENER (source), result, NULL, NULL);

  if (connection != NULL)
    g_io_stream_close (G_IO_STREAM (connection), NULL, NULL);
}

static void
test_stop_when_the_handshake_fails (NodePair *f, gconstpointer data)
{
  g_autoptr (GSocketListener) program = g_socket_listener_new ();
  guint16 port = g_socket_listener_add_any_inet_port (program, NULL, NULL);
  g_autofree char *endpoint = g_strdup_printf ("tcp://127.0.0.1:%u", port);

  g_socket_listener_accept_async (program, NULL, close_at_once, NULL);
  fail_to_connect (f, endpoint);
}

static void
test_stop_when_nobody_listens (NodePair *f, gconstpointer data)
{
  g_autofree char *endpoint = unix_endpoint (f);

  fail_to_connect (f, endpoint);
}

static void
open_failed_so_stop (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Stopping *stopping = user_data;
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error));
  stop_from_within (stopping);
}

static void
test_stop_when_a_stream_is_refused (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  HyphaNodePeer *peer;
  Stopping stopping = { .side = &f->a };

  peer = join (f, bound);
  hypha_peer_open_stream_async (HYPHA_PEER (peer), "nonsense", 10000, NULL, open_failed_so_stop,
                                &stopping);
  g_object_unref (peer);
  wait_until (stopping.done);
}

static void
link_lost_so_stop (HyphaPeer *peer, const char *from, const char *to, const char *reason,
                   gpointer user_data)
{
  Stopping *stopping = user_data;

  if (*to != '\0')
    return;
  stop_from_within (stopping);
}

static void
test_stop_when_the_last_link_is_lost (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  HyphaNodePeer *peer;
  Stopping stopping = { .side = &f->a };

  peer = join (f, bound);
  wait_until (hypha_node_peer_get_best_link (peer) != NULL);
  g_signal_connect (peer, "link-changed", G_CALLBACK (link_lost_so_stop), &stopping);
  g_object_unref (peer);
  wait_until (hypha_node_peer_get_best_link (peer_of (&f->b, "alpha")) != NULL);
  hypha_node_link_close (hypha_node_peer_get_best_link (peer_of (&f->b, "alpha")));
  wait_until (stopping.done);
}

static void
test_stopped_node_neither_dials_nor_listens (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  trust_each_other (f);
  hypha_node_stop (f->a.node);
  g_assert_null (dial (&f->a, bound, NULL, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  hypha_node_listen_async (f->a.node, "tcp://127.0.0.1:0", NULL, NULL, keep_result, &result);
  wait_until (result != NULL);
  g_assert_null (hypha_node_listen_finish (f->a.node, result, &error));
  g_assert_nonnull (error);
}

/* ---- connect ---- */

typedef struct {
  const char *endpoint;
  GAsyncResult *second;
} Retry;

static void
try_once_more (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Retry *retry = user_data;
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_node_connect_finish (HYPHA_NODE (source), result, &error));
  hypha_node_connect_async (HYPHA_NODE (source), retry->endpoint, NULL, NULL, keep_result,
                            &retry->second);
}

static void
test_retry_from_the_callback_is_a_try (NodePair *f, gconstpointer data)
{
  g_autofree char *endpoint = unix_endpoint (f);
  g_autoptr (GError) error = NULL;
  Retry retry = { .endpoint = endpoint };

  hypha_node_connect_async (f->a.node, endpoint, NULL, NULL, try_once_more, &retry);
  wait_until (retry.second != NULL);
  g_assert_null (hypha_node_connect_finish (f->a.node, retry.second, &error));
  g_object_unref (retry.second);
  g_assert_cmpstr (error->message, !=, "");
  g_assert_null (strstr (error->message, "no longer dialled"));
}

static void
test_expected_id_holds_where_a_link_is_up (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaIdentity) third = hypha_identity_generate (NULL);
  g_autofree char *other = hypha_node_id_to_string (hypha_identity_get_id (third));
  g_autoptr (HyphaNodePeer) peer = NULL, wrong = NULL;
  g_autoptr (GError) error = NULL;

  peer = join (f, bound);
  wrong = dial (&f->a, bound, g_variant_new_parsed ("{'expect-id': <%s>}", other), &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_WRONG_ID);
}

/* ---- twins ---- */

/* A clone, or a restarted node behind a link that has not been noticed to be dead. */
static void
test_two_lives_of_a_peer_are_no_twins (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->a, "tcp://127.0.0.1:0");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) one = NULL, two = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  Side clone = { 0 };

  trust_each_other (f);
  side_up (&clone, f->b.identity, "beta");
  trust (&clone, &f->a, "alpha");
  one = dial (&f->b, bound, NULL, &error);
  g_assert_no_error (error);
  wait_until (n_links (&f->a) == 1);
  two = dial (&clone, bound, NULL, &error);
  g_assert_no_error (error);
  /* A stream over it goes there and back, which a GOAWAY would have overtaken. */
  wait_until (n_links (&f->a) == 2 || n_links (&clone) == 0);
  stream = must_open (two, "echo");
  g_assert_cmpuint (n_links (&clone), ==, 1);
  g_assert_cmpuint (n_links (&f->a), ==, 2);
  side_down (&clone);
}

static void
test_clone_that_goes_leaves_its_original (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->a, "tcp://127.0.0.1:0");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) one = NULL, two = NULL, peer = NULL;
  g_autoptr (HyphaStream) to_clone = NULL, to_original = NULL;
  Side clone = { 0 };

  trust_each_other (f);
  side_up (&clone, f->b.identity, "beta");
  trust (&clone, &f->a, "alpha");
  one = dial (&f->b, bound, NULL, &error);
  g_assert_no_error (error);
  two = dial (&clone, bound, NULL, &error);
  g_assert_no_error (error);
  wait_until (n_links (&f->a) == 2);
  peer = g_object_ref (peer_of (&f->a, "beta"));
  to_clone = must_open (peer, "echo");
  side_down (&clone);
  wait_until (n_links (&f->a) == 1);
  to_original = must_open (peer, "echo");
}

/* ---- trust ---- */

static void
test_narrower_binding_closes_what_it_forbids (NodePair *f, gconstpointer data)
{
  g_autofree char *on_tcp = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *id = id_of (&f->b);
  g_autoptr (GVariant) trusted = g_variant_ref_sink (
      g_variant_new_parsed ("{%s: {'name': <'beta'>, 'endpoints': <[%s]>}}", id, unix_uri));
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;

  peer = join (f, on_tcp);
  g_assert_true (hypha_node_set_trusted (f->a.node, trusted, &error));
  wait_until (n_links (&f->a) == 0);
}

static void
test_tls_always_closes_a_plain_link (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *bound = listen_on (&f->b, unix_uri);
  g_autofree char *id = id_of (&f->b);
  g_autoptr (GVariant) trusted =
      g_variant_ref_sink (g_variant_new_parsed ("{%s: {'name': <'beta'>, 'tls': <'always'>}}", id));
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  HyphaNodeLink *link;

  wait_until ((link = hypha_node_peer_get_best_link (peer)) != NULL);
  g_assert_false (hypha_node_link_get_encrypted (link));
  g_assert_true (hypha_node_set_trusted (f->a.node, trusted, &error));
  wait_until ((link = hypha_node_peer_get_best_link (peer)) != NULL &&
              hypha_node_link_get_encrypted (link));
}

static void
test_tls_always_of_a_peer_beats_never_of_an_endpoint (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *never = g_strconcat (bound, "?tls=never", NULL);
  g_autofree char *id_a = id_of (&f->a), *id_b = id_of (&f->b);
  g_autoptr (GVariant) at_a = g_variant_ref_sink (
      g_variant_new_parsed ("{%s: {'name': <'beta'>, 'tls': <'always'>}}", id_b));
  g_autoptr (GVariant) at_b = g_variant_ref_sink (
      g_variant_new_parsed ("{%s: {'name': <'alpha'>, 'tls': <'never'>}}", id_a));
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;

  g_assert_true (hypha_node_set_trusted (f->a.node, at_a, &error));
  g_assert_true (hypha_node_set_trusted (f->b.node, at_b, &error));
  peer = dial (&f->a, never, NULL, &error);
  if (peer != NULL)
    wait_until (hypha_node_peer_get_best_link (peer) != NULL);
  g_assert_true (peer == NULL ||
                 hypha_node_link_get_encrypted (hypha_node_peer_get_best_link (peer)));
}

static void
test_lower_limit_of_pending_peers_is_kept (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  HyphaNodeLimits limits;

  for (guint i = 0; i < 4; i++) {
    g_autoptr (GError) error = NULL;
    Side stranger = { 0 };

    if (i == 3) {
      hypha_node_limits_init (&limits);
      limits.max_pending_peers = 2;
      hypha_node_set_limits (f->b.node, &limits);
    }
    side_up (&stranger, hypha_identity_generate (NULL), "stranger");
    trust (&stranger, &f->b, "beta");
    g_assert_null (dial (&stranger, bound, NULL, &error));
    side_down (&stranger);
    hypha_identity_unref (stranger.identity);
  }
  g_assert_cmpuint (g_list_model_get_n_items (hypha_node_get_peers (f->b.node)), <=, 2);
}

static void
test_name_goes_before_beginnings_of_ids (NodePair *f, gconstpointer data)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  char beginning[2] = "";
  HyphaNodePeer *found;

  /* 33 ids have two with the same first letter. */
  while (*beginning == '\0') {
    g_autoptr (HyphaIdentity) identity = hypha_identity_generate (NULL);
    char *id = hypha_node_id_to_string (hypha_identity_get_id (identity));
    g_autofree char *name = g_strdup_printf ("peer-%u", ids->len);

    for (guint i = 0; i < ids->len; i++)
      if (((char *) ids->pdata[i])[0] == *id)
        beginning[0] = *id;
    g_ptr_array_add (ids, id);
    g_assert_true (hypha_node_trust (f->a.node, id, name, &error));
  }
  trust (&f->a, &f->b, beginning);
  found = hypha_node_lookup (f->a.node, beginning, &error);
  g_assert_no_error (error);
  g_assert_true (
      hypha_node_id_equal (hypha_node_peer_get_id (found), hypha_node_get_id (f->b.node)));
}

/* ---- settings ---- */

static void
set_costs (GObject *peer, GParamSpec *pspec, gpointer user_data)
{
  g_autoptr (GVariant) costs = g_variant_ref_sink (g_variant_new_parsed ("{'tcp': @u 77}"));

  if (hypha_peer_get_state (HYPHA_PEER (peer)) == HYPHA_PEER_CONNECTING)
    g_assert_true (hypha_node_set_link_costs (user_data, costs, NULL));
}

static void
test_link_costs_reach_a_link_that_is_coming_up (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;

  trust_each_other (f);
  g_signal_connect (peer_of (&f->a, "beta"), "notify::state", G_CALLBACK (set_costs), f->a.node);
  peer = dial (&f->a, bound, NULL, &error);
  g_assert_no_error (error);
  wait_until (hypha_node_peer_get_best_link (peer) != NULL);
  wait_until (hypha_node_link_get_static_cost (hypha_node_peer_get_best_link (peer)) == 77);
}

static void
test_endpoint_named_twice_is_one (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  const char *const twice[] = { unix_uri, unix_uri, NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) troubles = NULL;
  g_autofree char *bound = NULL;

  g_assert_true (hypha_node_set_listen (f->b.node, twice, &error));
  bound = listen_on (&f->b, unix_uri);
  troubles = hypha_node_dup_troubles (f->b.node);
  g_assert_cmpuint (g_variant_n_children (troubles), ==, 0);
  g_assert_true (hypha_node_unlisten (f->b.node, unix_uri, &error));
  g_assert_false (hypha_node_unlisten (f->b.node, unix_uri, NULL));
}

/* ---- streams and the programs at their ends ---- */

/* A program that has said all it had to say and then goes: nobody will ever read what comes. */
static void
test_end_of_a_program_that_had_finished_writing_is_noticed (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GSocketListener) program = program_new (f, "sleep", &result);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  g_autoptr (HyphaStream) stream = must_open (peer, "sleep");
  g_autoptr (GSocketConnection) accepted = program_accepted (program, &result);
  GSocket *socket;

  socket = g_socket_connection_get_socket (accepted);

  g_assert_true (hypha_stream_close_write (stream, &error));
  /* The target has seen the end: so the engine has read it, and watches for it no more. */
  wait_until (g_socket_condition_check (socket, G_IO_IN) & G_IO_IN);
  g_assert_true (g_io_stream_close (G_IO_STREAM (stream), NULL, &error));
  /* Now the target's writes have to fail, or nobody would ever tell it to give up. */
  wait_until (g_socket_condition_check (socket, G_IO_HUP) & G_IO_HUP);
  g_assert_true (g_io_stream_close (G_IO_STREAM (accepted), NULL, &error));
  wait_until (n_streams (peer) == 0);
}

static void
cancelled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  guint *n = user_data;

  g_assert_null (hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error));
  ++*n;
}

/* A target that takes its time, and a peer that opens and gives up without end. */
static void
test_waiting_for_a_target_is_bounded (NodePair *f, gconstpointer data)
{
  enum { STREAMS = 8, ROUNDS = 20 };
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *path = target_path (f);
  g_autoptr (HyphaNodePeer) peer = NULL;
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int listening = socket (AF_UNIX, SOCK_STREAM, 0), waiting = socket (AF_UNIX, SOCK_STREAM, 0);
  HyphaNodeLimits limits;
  guint before, most = 0, answered = 0;

  /* One connection fills the backlog; whoever comes after it waits. */
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (listening, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (listening, 0), ==, 0);
  g_assert_cmpint (connect (waiting, (struct sockaddr *) &address, sizeof address), ==, 0);

  hypha_node_limits_init (&limits);
  limits.max_streams = STREAMS;
  hypha_node_set_limits (f->b.node, &limits);
  offer_path (f, "slow", path);
  peer = join (f, bound);
  wait_until (n_links (&f->b) == 1);
  before = count_descriptors ();
  for (guint round = 0; round < ROUNDS; round++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();

    for (guint i = 0; i < STREAMS; i++)
      hypha_peer_open_stream_async (HYPHA_PEER (peer), "slow", 0, cancellable, cancelled,
                                    &answered);
    wait_until (n_streams (peer_of (&f->b, "alpha")) > 0 || answered == (round + 1) * STREAMS);
    g_cancellable_cancel (cancellable);
    wait_until (answered == (round + 1) * STREAMS && n_streams (peer) == 0 &&
                n_streams (peer_of (&f->b, "alpha")) == 0);
    most = MAX (most, count_descriptors ());
  }
  g_test_message ("descriptors: %u before, %u at most", before, most);
  g_assert_cmpuint (most - before, <=, 4 * STREAMS);
  close (waiting);
  close (listening);
}

static void
test_many_streams_leave_no_descriptor (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  guint before = 0;

  wait_until (n_links (&f->b) == 1);
  for (guint i = 0; i < 300; i++) {
    g_autoptr (HyphaStream) stream = open_stream (peer, i % 3 == 2 ? "nonsense" : "echo", &error);

    if (i % 3 == 2)
      g_clear_error (&error);
    else if (i % 3 == 1)
      g_assert_true (hypha_node_peer_close_stream (peer, hypha_stream_get_id (stream), &error));
    g_clear_object (&stream);
    wait_until (n_streams (peer) == 0 && n_streams (peer_of (&f->b, "alpha")) == 0);
    if (i == 2)
      before = count_descriptors ();
  }
  wait_until (count_descriptors () <= before);
}

static void
test_flapping_links_leave_no_descriptor (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  guint before = 0;

  trust_each_other (f);
  for (guint i = 0; i < 60; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaNodePeer) peer = dial (&f->a, bound, NULL, &error);

    g_assert_no_error (error);
    wait_until (n_links (&f->b) == 1 && n_links (&f->a) == 1);
    hypha_peer_disconnect_async (HYPHA_PEER (peer), NULL, NULL, NULL);
    wait_until (n_links (&f->b) == 0 && n_links (&f->a) == 0);
    if (i == 2)
      before = count_descriptors ();
  }
  wait_until (count_descriptors () <= before);
}

typedef struct {
  HyphaStream *stream;
  _Atomic gsize n;
} Pouring;

static gpointer
pour (gpointer data)
{
  static const guint8 bytes[65536];
  Pouring *p = data;
  gssize n;

  while ((n = g_output_stream_write (g_io_stream_get_output_stream (G_IO_STREAM (p->stream)), bytes,
                                     sizeof bytes, NULL, NULL)) > 0)
    atomic_fetch_add (&p->n, (gsize) n);
  return NULL;
}

/* A node that stops in the midst of a transfer says so, or its peer would keep the streams for
 * session-timeout. */
static void
test_stop_under_load_is_told (NodePair *f, gconstpointer data)
{
  g_autofree char *unix_uri = unix_endpoint (f);
  g_autofree char *bound = listen_on (&f->b, unix_uri);
  g_autoptr (HyphaNodePeer) peer = NULL, back = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  Pouring pouring = { 0 };
  GThread *thread;

  peer = join (f, bound);
  pouring.stream = stream = must_open (peer, "discard");
  back = g_object_ref (peer_of (&f->b, "alpha"));
  thread = g_thread_new ("pour", pour, &pouring);
  wait_until (atomic_load (&pouring.n) > 32 * 1024 * 1024);
  hypha_node_stop (f->a.node);
  g_thread_join (thread);
  wait_until (n_streams (back) == 0);
}

/* ---- targets that reset ---- */

static int
listen_for_target (char **endpoint)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = g_htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (struct sockaddr *) &address, length), ==, 0);
  g_assert_cmpint (listen (fd, 4), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  *endpoint = g_strdup_printf ("tcp://127.0.0.1:%u", g_ntohs (address.sin_port));
  return fd;
}

/* The kernel tells of a reset once. If it tells it to the writing half, the reading half finds an
 * end-of-file, and what the target had sent is not all there. */
static void
test_reset_of_a_target_is_never_a_good_end (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *target = NULL;
  int listening = listen_for_target (&target);
  const struct linger abrupt = { .l_onoff = 1, .l_linger = 0 };
  static guint8 bytes[65536];
  g_autoptr (HyphaNodePeer) peer = NULL;

  offer (f, "target", target);
  peer = join (f, bound);
  for (guint i = 0; i < 200; i++) {
    g_autoptr (HyphaStream) stream = must_open (peer, "target");
    g_autoptr (GAsyncResult) result = NULL;
    int fd = -1;

    hypha_stream_wait_end_async (stream, NULL, keep_result, &result);
    wait_until (fd >= 0 || (fd = accept (listening, NULL, NULL)) >= 0);
    while (send (fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
      continue; /* until the window of a program that does not read is full */
    setsockopt (fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
    g_assert_cmpint (send (hypha_stream_get_fd (stream), "x", 1, MSG_NOSIGNAL), ==, 1);
    close (fd);
    g_assert_true (hypha_stream_close_write (stream, NULL));
    while (result == NULL) {
      g_main_context_iteration (NULL, FALSE);
      while (recv (hypha_stream_get_fd (stream), bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
    }
    g_assert_false (hypha_stream_wait_end_finish (stream, result, NULL, NULL, NULL));
  }
  close (listening);
}

/* As "yes | hyphactl exec vm head" does: what such a program wrote is all there. */
static void
test_program_that_leaves_input_unread_has_its_output_delivered (NodePair *f, gconstpointer data)
{
  enum { OUTPUT = 250000 };
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *path = target_path (f);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int listening = socket (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  static guint8 bytes[OUTPUT];
  g_autoptr (HyphaNodePeer) peer = NULL;

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (bind (listening, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (listening, 4), ==, 0);
  offer_path (f, "head", path);
  peer = join (f, bound);
  for (guint i = 0; i < 50; i++) {
    g_autoptr (HyphaStream) stream = must_open (peer, "head");
    gsize got = 0, wrote = 0;
    gssize n;
    int fd = -1;

    wait_until (fd >= 0 || (fd = accept (listening, NULL, NULL)) >= 0);
    g_assert_cmpint (send (hypha_stream_get_fd (stream), "yyyy", 4, MSG_NOSIGNAL), ==, 4);
    wait_until (recv (fd, bytes, 1, MSG_PEEK | MSG_DONTWAIT) == 1);
    wait_until (wrote == OUTPUT || ((n = send (fd, bytes, OUTPUT - wrote, MSG_DONTWAIT)) > 0 &&
                                    (wrote += (gsize) n) == OUTPUT));
    close (fd);
    wait_until (n_streams (peer_of (&f->b, "alpha")) == 0 ||
                n_sent (peer_of (&f->b, "alpha")) == OUTPUT);
    wait_until ((n = recv (hypha_stream_get_fd (stream), bytes, OUTPUT, MSG_DONTWAIT)) == 0 ||
                (n > 0 && (got += (gsize) n, FALSE)));
    g_assert_cmpuint (got, ==, OUTPUT);
  }
  close (listening);
}

#define ADD(path, func) \
  g_test_add (path, NodePair, NULL, node_pair_set_up_alpha_lower, func, node_pair_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  ADD ("/node/stop/when-the-peer-rejects", test_stop_when_the_peer_rejects);
  ADD ("/node/stop/when-the-handshake-fails", test_stop_when_the_handshake_fails);
  ADD ("/node/stop/when-nobody-listens", test_stop_when_nobody_listens);
  ADD ("/node/stop/when-a-stream-is-refused", test_stop_when_a_stream_is_refused);
  ADD ("/node/stop/when-the-last-link-is-lost", test_stop_when_the_last_link_is_lost);
  ADD ("/node/stop/then-neither-dials-nor-listens", test_stopped_node_neither_dials_nor_listens);
  ADD ("/node/stop/under-load-is-told", test_stop_under_load_is_told);
  ADD ("/node/connect/retry-from-the-callback-is-a-try", test_retry_from_the_callback_is_a_try);
  ADD ("/node/connect/expected-id-holds-where-a-link-is-up",
       test_expected_id_holds_where_a_link_is_up);
  ADD ("/node/link/two-lives-of-a-peer-are-no-twins", test_two_lives_of_a_peer_are_no_twins);
  ADD ("/node/link/clone-that-goes-leaves-its-original", test_clone_that_goes_leaves_its_original);
  ADD ("/node/link/flapping-leaves-no-descriptor", test_flapping_links_leave_no_descriptor);
  ADD ("/node/trust/narrower-binding-closes-what-it-forbids",
       test_narrower_binding_closes_what_it_forbids);
  ADD ("/node/trust/tls-always-closes-a-plain-link", test_tls_always_closes_a_plain_link);
  ADD ("/node/trust/tls-always-of-a-peer-beats-never-of-an-endpoint",
       test_tls_always_of_a_peer_beats_never_of_an_endpoint);
  ADD ("/node/trust/lower-limit-of-pending-peers-is-kept",
       test_lower_limit_of_pending_peers_is_kept);
  ADD ("/node/trust/name-goes-before-beginnings-of-ids", test_name_goes_before_beginnings_of_ids);
  ADD ("/node/settings/link-costs-reach-a-link-that-is-coming-up",
       test_link_costs_reach_a_link_that_is_coming_up);
  ADD ("/node/settings/endpoint-named-twice-is-one", test_endpoint_named_twice_is_one);
  ADD ("/node/stream/end-of-a-program-that-had-finished-writing-is-noticed",
       test_end_of_a_program_that_had_finished_writing_is_noticed);
  ADD ("/node/stream/waiting-for-a-target-is-bounded", test_waiting_for_a_target_is_bounded);
  ADD ("/node/stream/many-leave-no-descriptor", test_many_streams_leave_no_descriptor);
  ADD ("/node/stream/reset-of-a-target-is-never-a-good-end",
       test_reset_of_a_target_is_never_a_good_end);
  ADD ("/node/stream/program-that-leaves-input-unread-has-its-output-delivered",
       test_program_that_leaves_input_unread_has_its_output_delivered);
  return g_test_run ();
}
