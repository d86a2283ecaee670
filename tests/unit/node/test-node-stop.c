/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a service manager wants of a node: time for streams before a stop, and signs of life. */

#include <string.h>

#include "../gate.h"
#include "node-pair.h"
#include "node/node-private.h"

#define FOR_EVER (1000 * 1000)

static void
count (HyphaNode *node, gpointer user_data)
{
  ++*(guint *) user_data;
}

/* Whatever is due now has been done afterwards. */
static void
run_what_is_due (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* ---- draining ---- */

static void
test_drain_without_streams_is_over_at_once (NodePair *f, gconstpointer data)
{
  guint drained = 0;

  hypha_node_drain (f->b.node, FOR_EVER, count, &drained);
  g_assert_cmpuint (drained, ==, 0);
  wait_until (drained == 1);
}

static void
test_drain_waits_for_streams_and_opens_none (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  g_autoptr (HyphaStream) stream = must_open (peer, "echo");
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) own = NULL;
  g_auto (GStrv) listening = NULL;
  guint drained = 0;

  wait_until (n_streams (peer_of (&f->b, "alpha")) == 1);
  hypha_node_drain (f->b.node, FOR_EVER, count, &drained);
  listening = hypha_node_dup_listening (f->b.node);
  g_assert_cmpuint (g_strv_length (listening), ==, 0);
  g_assert_null (open_stream (peer, "echo", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED);
  g_assert_null (open_stream (peer_of (&f->b, "alpha"), "echo", &own));
  g_assert_error (own, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
  g_assert_cmpuint (drained, ==, 0);
  g_assert_cmpuint (n_streams (peer_of (&f->b, "alpha")), ==, 1);
  g_io_stream_close (G_IO_STREAM (stream), NULL, NULL);
  wait_until (drained == 1);
}

static void
test_drain_holds_for_peers_of_later (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  G_GNUC_UNUSED g_autoptr (HyphaStream) stream = must_open (peer, "echo");
  g_autoptr (GError) error = NULL;
  g_autofree char *there = NULL;
  const char *peers[] = { NULL, NULL };
  Side late = { 0 };
  guint drained = 0;

  side_up (&late, hypha_identity_generate (NULL), "late");
  peers[0] = there = listen_on (&late, "tcp://127.0.0.1:0");
  trust (&late, &f->b, "beta");
  wait_until (n_streams (peer_of (&f->b, "alpha")) == 1);
  g_assert_true (hypha_node_set_peers (f->b.node, peers, NULL));
  hypha_node_drain (f->b.node, FOR_EVER, count, &drained);
  trust (&f->b, &late, "late");
  wait_until (hypha_peer_get_state (HYPHA_PEER (peer_of (&f->b, "late"))) == HYPHA_PEER_ONLINE);
  g_assert_null (open_stream (peer_of (&f->b, "late"), "echo", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
  g_assert_cmpuint (drained, ==, 0);
  side_down (&late);
  hypha_identity_unref (late.identity);
}

static void
test_drain_has_an_end (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  g_autoptr (HyphaStream) theirs = must_open (peer, "echo");
  g_autoptr (HyphaStream) own = must_open (peer_of (&f->b, "alpha"), "echo");
  g_autoptr (GAsyncResult) their_end = NULL;
  g_autoptr (GAsyncResult) own_end = NULL;
  g_autoptr (GError) their_error = NULL;
  g_autoptr (GError) own_error = NULL;
  guint drained = 0;

  hypha_stream_wait_end_async (theirs, NULL, keep_result, &their_end);
  hypha_stream_wait_end_async (own, NULL, keep_result, &own_end);
  wait_until (n_streams (peer_of (&f->b, "alpha")) == 2);
  hypha_node_drain (f->b.node, 50, count, &drained);
  wait_until (drained == 1 && their_end != NULL && own_end != NULL);
  g_assert_false (hypha_stream_wait_end_finish (theirs, their_end, NULL, NULL, &their_error));
  g_assert_false (hypha_stream_wait_end_finish (own, own_end, NULL, NULL, &own_error));
  g_assert_error (their_error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED);
  g_assert_nonnull (strstr (their_error->message, "shutting down"));
  g_assert_error (own_error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED);
  g_assert_nonnull (strstr (own_error->message, "this node stops"));
}

static void
test_stop_ends_a_drain (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (f, bound);
  G_GNUC_UNUSED g_autoptr (HyphaStream) stream = must_open (peer, "echo");
  guint drained = 0;

  wait_until (n_streams (peer_of (&f->b, "alpha")) == 1);
  hypha_node_drain (f->b.node, 50, count, &drained);
  hypha_node_stop (f->b.node);
  run_what_is_due ();
  g_assert_cmpuint (drained, ==, 0);
}

/* ---- signs of life ---- */

typedef struct {
  Gate hangs, may_go_on;
} Hang;

static void
hang (gpointer data)
{
  Hang *self = data;

  gate_open (&self->hangs);
  gate_wait (&self->may_go_on, 1);
}

static void
answer (gpointer data)
{
  gate_open (data);
}

static void
test_pulse_waits_for_every_worker (NodePair *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNode) node = hypha_node_new (f->a.identity, f->a.loader, 3, &error);
  Hang hanging;
  guint pulses = 0;

  g_assert_no_error (error);
  hypha_node_take_pulse (node, count, &pulses);
  wait_until (pulses == 1);

  for (guint i = 0; i < 3; i++) {
    Gate answered = GATE_INIT;

    gate_init (&hanging.hangs);
    gate_init (&hanging.may_go_on);
    hypha_worker_post (node->workers->pdata[i], hang, &hanging);
    gate_wait (&hanging.hangs, 1);
    hypha_node_take_pulse (node, count, &pulses);
    /* Once this has been carried out, so has what the pulse asked of them. */
    for (guint other = 1; other < 3; other++)
      hypha_worker_post (node->workers->pdata[(i + other) % 3], answer, &answered);
    gate_wait (&answered, 2);
    run_what_is_due ();
    g_assert_cmpuint (pulses, ==, 1 + i);
    gate_open (&hanging.may_go_on);
    wait_until (pulses == 2 + i);
  }
}

static void
test_pulse_is_not_told_to_a_stopped_node (NodePair *f, gconstpointer data)
{
  guint pulses = 0;

  hypha_node_take_pulse (f->b.node, count, &pulses);
  hypha_node_stop (f->b.node);
  hypha_node_take_pulse (f->b.node, count, &pulses);
  run_what_is_due ();
  g_assert_cmpuint (pulses, ==, 0);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, func) \
  g_test_add (path, NodePair, NULL, node_pair_set_up, func, node_pair_tear_down)
  ADD ("/node/drain/without-streams-is-over-at-once", test_drain_without_streams_is_over_at_once);
  ADD ("/node/drain/waits-for-streams-and-opens-none", test_drain_waits_for_streams_and_opens_none);
  ADD ("/node/drain/holds-for-peers-of-later", test_drain_holds_for_peers_of_later);
  ADD ("/node/drain/has-an-end", test_drain_has_an_end);
  ADD ("/node/drain/is-ended-by-stop", test_stop_ends_a_drain);
  ADD ("/node/pulse/waits-for-every-worker", test_pulse_waits_for_every_worker);
  ADD ("/node/pulse/is-not-told-to-a-stopped-node", test_pulse_is_not_told_to_a_stopped_node);
#undef ADD
  return g_test_run ();
}
