/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "link-end.h"

/* Two links over a socketpair, on two workers. */
typedef struct {
  HyphaWorker *workers[3];
  HyphaIdentity *identities[2];
  HyphaNonceClock clocks[2];
  HyphaLinkParameters parameters[2];
  GBytes *bindings[2];
  End ends[2]; /* initiator, responder */
} Fixture;

enum { INITIATOR, RESPONDER };

/* How the two are told to meet. */
typedef enum { PLAIN, TLS, ENCRYPTED } Way;

static void
setup (Fixture *self, gconstpointer data)
{
  gboolean tls = GPOINTER_TO_INT (data) == TLS;

  for (guint i = 0; i < 3; i++)
    self->workers[i] = new_worker ("test");
  for (guint i = 0; i < 2; i++) {
    self->identities[i] = new_identity ();
    self->parameters[i] =
        end_parameters (self->identities[i], i == INITIATOR, tls, &self->clocks[i]);
    if (GPOINTER_TO_INT (data) == ENCRYPTED) {
      self->parameters[i].accept_plain = FALSE;
      self->bindings[i] = g_bytes_new ("32 bytes that both ends do know.", 32);
    }
  }
}

static void
teardown (Fixture *self, gconstpointer data)
{
  for (guint i = 0; i < 2; i++) {
    end_clear (&self->ends[i]);
    hypha_identity_unref (self->identities[i]);
    g_clear_pointer (&self->bindings[i], g_bytes_unref);
  }
  for (guint i = 0; i < 3; i++)
    free_worker (self->workers[i]);
}

/* Makes both ends from the parameters; a test may change them before they go. */
static void
make_ends (Fixture *self)
{
  int fds[2];

  make_pair (fds);
  for (guint i = 0; i < 2; i++)
    end_init (&self->ends[i], self->workers[i], fds[i], &self->parameters[i], self->bindings[i]);
}

static void
go (Fixture *self)
{
  for (guint i = 0; i < 2; i++)
    end_go (&self->ends[i]);
}

static void
wait_established (Fixture *self)
{
  for (guint i = 0; i < 2; i++)
    gate_wait (&self->ends[i].established, 1);
}

static const HyphaNodeId *
id_of (Fixture *self, guint i)
{
  return hypha_identity_get_id (self->identities[i]);
}

static void
test_handshake (Fixture *self, gconstpointer data)
{
  Way way = GPOINTER_TO_INT (data);

  make_ends (self);
  self->ends[RESPONDER].numbers.session_number = 50;
  atomic_store (&self->clocks[RESPONDER].ticks, 41);
  go (self);
  wait_established (self);
  for (guint i = 0; i < 2; i++) {
    HyphaLink *link = self->ends[i].link;
    const HyphaHandshakeNumbers *numbers = hypha_link_get_peer_numbers (link);

    g_assert_cmpint (hypha_link_get_class (link), ==,
                     way == PLAIN ? HYPHA_LINK_PLAIN : HYPHA_LINK_TLS);
    g_assert_true (hypha_node_id_equal (hypha_link_get_peer (link), id_of (self, !i)));
    g_assert_cmpmem (hypha_link_get_peer_instance (link), 16, &self->parameters[!i].instance, 16);
    g_assert_cmpuint (numbers->session_number, ==, i == INITIATOR ? 50 : 5);
    g_assert_cmpuint (numbers->link_number, ==, 6);
    g_assert_cmpstr (numbers->name, ==, "end");
    g_assert_true (hypha_link_is_initiator (link) == (i == INITIATOR));
    g_assert_cmpuint (hypha_link_get_rejected (link, NULL), ==, 0);
    g_assert_true (hypha_link_has_heard (link) == (i == RESPONDER));
    g_assert_cmpuint (gate_count (&self->ends[i].closed), ==, 0);
  }
  g_assert_cmpuint (hypha_link_get_digits (self->ends[0].link), ==,
                    hypha_link_get_digits (self->ends[1].link));
  g_assert_cmpuint (hypha_link_get_fingerprint (self->ends[0].link), ==,
                    hypha_link_get_fingerprint (self->ends[1].link));
  g_assert_cmpuint (hypha_link_get_nonce_tick (self->ends[INITIATOR].link), ==, 1);
  g_assert_cmpuint (hypha_link_get_nonce_tick (self->ends[RESPONDER].link), ==, 42);
}

#define VOLUME (12 * 1024 * 1024 + 321)

static void
send_fin (gpointer data)
{
  End *end = data;
  const HyphaFrame frame = {
    .type = HYPHA_FRAME_DATA, .stream = 2, .flags = HYPHA_FRAME_FIN, .value = end->sent
  };
  HyphaFrameOut out;

  /* Only when all is gone: until then writable brings another turn. */
  if (end->sent < end->to_send) {
    hypha_worker_post (end->worker, send_fin, end);
    return;
  }
  hypha_frame_write (&frame, NULL, &out);
  hypha_link_send (end->link, &out);
  hypha_link_flush (end->link);
}

static void
transfer (Fixture *self)
{
  for (guint i = 0; i < 2; i++)
    self->ends[i].to_send = VOLUME;
  go (self);
  wait_established (self);
  for (guint i = 0; i < 2; i++)
    hypha_worker_post (self->ends[i].worker, send_fin, &self->ends[i]);
  for (guint i = 0; i < 2; i++)
    gate_wait (&self->ends[i].all_received, 1);
  for (guint i = 0; i < 2; i++) {
    End *end = &self->ends[i];
    HyphaLinkStatus *status = (HyphaLinkStatus *) hypha_link_get_status (end->link);

    g_assert_cmpuint (end->received, ==, VOLUME);
    g_assert_cmpuint (gate_count (&end->closed), ==, 0);
    g_assert_cmpuint (atomic_load (&status->rx_bytes), >, VOLUME);
  }
}

static void
test_both_ways (Fixture *self, gconstpointer data)
{
  make_ends (self);
  transfer (self);
}

static void
test_moved (Fixture *self, gconstpointer data)
{
  make_ends (self);
  self->ends[INITIATOR].next = self->workers[RESPONDER];
  self->ends[RESPONDER].next = self->workers[2];
  transfer (self);
}

static void
test_wrong_id (Fixture *self, gconstpointer data)
{
  g_autoptr (HyphaIdentity) other = new_identity ();

  self->parameters[INITIATOR].wanted = hypha_identity_get_id (other);
  make_ends (self);
  go (self);
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_WRONG_ID,
                     "Handshake with unix:@other-end");
  end_expect_closed (&self->ends[RESPONDER], HYPHA_ERROR_HANDSHAKE, "unix:@other-end");
  g_assert_cmpuint (gate_count (&self->ends[INITIATOR].decided), ==, 0);
}

static void
test_right_id (Fixture *self, gconstpointer data)
{
  HyphaNodeId wanted = *id_of (self, RESPONDER);

  self->parameters[INITIATOR].wanted = &wanted;
  make_ends (self);
  memset (&wanted, 0, sizeof wanted); /* it was copied */
  go (self);
  wait_established (self);
}

static void
test_not_trusted (Fixture *self, gconstpointer data)
{
  g_autofree char *own = hypha_node_id_to_string (id_of (self, INITIATOR));
  g_autofree char *command = g_strdup_printf ("hyphactl trust %s", own);

  make_ends (self);
  self->ends[RESPONDER].reject = HYPHA_REJECT_NOT_TRUSTED;
  go (self);
  /* Both are told the same command: it is for the responder's side. */
  end_expect_closed (&self->ends[RESPONDER], HYPHA_ERROR_NOT_TRUSTED, command);
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_NOT_TRUSTED, command);
  g_assert_cmpint (hypha_link_get_rejected (self->ends[INITIATOR].link, NULL), ==,
                   HYPHA_REJECT_NOT_TRUSTED);
  g_assert_cmpint (hypha_link_get_rejected (self->ends[RESPONDER].link, NULL), ==, 0);
}

static void
test_rolled_back (Fixture *self, gconstpointer data)
{
  guint64 highest = 0;

  make_ends (self);
  self->ends[RESPONDER].reject = HYPHA_REJECT_ROLLED_BACK;
  self->ends[RESPONDER].highest = 77;
  go (self);
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_ROLLED_BACK, "unix:@other-end");
  g_assert_cmpint (hypha_link_get_rejected (self->ends[INITIATOR].link, &highest), ==,
                   HYPHA_REJECT_ROLLED_BACK);
  g_assert_cmpuint (highest, ==, 77);
}

static void
test_initiator_rejects (Fixture *self, gconstpointer data)
{
  make_ends (self);
  self->ends[INITIATOR].reject = HYPHA_REJECT_NOT_TRUSTED;
  go (self);
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_NOT_TRUSTED, "hyphactl trust");
  end_expect_closed (&self->ends[RESPONDER], HYPHA_ERROR_HANDSHAKE, "closed it");
  g_assert_cmpuint (gate_count (&self->ends[RESPONDER].decided), ==, 0);
}

static void
test_tls_required (Fixture *self, gconstpointer data)
{
  self->parameters[RESPONDER].accept_plain = FALSE;
  make_ends (self);
  go (self);
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_TLS_REQUIRED, "unix:@other-end");
  g_assert_cmpint (hypha_link_get_rejected (self->ends[INITIATOR].link, NULL), ==,
                   HYPHA_REJECT_TLS_REQUIRED);
  end_expect_closed (&self->ends[RESPONDER], HYPHA_ERROR_TLS_REQUIRED, "unix:@other-end");
}

static void
test_other_binding (Fixture *self, gconstpointer data)
{
  g_bytes_unref (self->bindings[RESPONDER]);
  self->bindings[RESPONDER] = g_bytes_new ("32 bytes of somebody in between.", 32);
  make_ends (self);
  go (self);
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_HANDSHAKE, "signature");
}

static void
test_tls_inside_encrypted (Fixture *self, gconstpointer data)
{
  g_clear_pointer (&self->bindings[INITIATOR], g_bytes_unref);
  self->parameters[INITIATOR].start_tls = TRUE;
  make_ends (self);
  go (self);
  end_expect_closed (&self->ends[RESPONDER], HYPHA_ERROR_HANDSHAKE, "encrypted already");
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_HANDSHAKE, "unix:@other-end");
}

static void
close_as_twin (gpointer data)
{
  End *end = data;

  hypha_link_close (end->link, HYPHA_AWAY_TWIN, HYPHA_ERROR_DISCONNECTED, "one too many");
}

static void
test_goaway (Fixture *self, gconstpointer data)
{
  make_ends (self);
  go (self);
  wait_established (self);
  hypha_worker_post (self->ends[INITIATOR].worker, close_as_twin, &self->ends[INITIATOR]);
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_DISCONNECTED, "one too many");
  end_expect_closed (&self->ends[RESPONDER], HYPHA_ERROR_DISCONNECTED,
                     "another link of the same kind");
}

static void
test_close_in_frame (Fixture *self, gconstpointer data)
{
  make_ends (self);
  self->ends[INITIATOR].to_send = VOLUME;
  self->ends[RESPONDER].close_at = 3;
  self->ends[RESPONDER].free_in_closed = TRUE;
  go (self);
  end_expect_closed (&self->ends[RESPONDER], HYPHA_ERROR_DISCONNECTED, "as the test wanted");
  g_assert_cmpuint (self->ends[RESPONDER].frames, ==, 3);
  gate_wait (&self->ends[INITIATOR].closed, 1);
}

static void
test_free_parked (Fixture *self, gconstpointer data)
{
  make_ends (self);
  self->ends[RESPONDER].hold = TRUE;
  go (self);
  gate_wait (&self->ends[RESPONDER].decided, 1);
  g_clear_pointer (&self->ends[RESPONDER].link, hypha_link_free); /* on this thread */
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_HANDSHAKE, "closed it");
  g_assert_cmpuint (gate_count (&self->ends[RESPONDER].closed), ==, 0);
}

static void
test_free_unstarted (Fixture *self, gconstpointer data)
{
  make_ends (self);
  end_go (&self->ends[INITIATOR]);
  g_clear_pointer (&self->ends[RESPONDER].link, hypha_link_free);
  end_expect_closed (&self->ends[INITIATOR], HYPHA_ERROR_HANDSHAKE, "unix:@other-end");
}

static void
make_dear (gpointer data)
{
  End *end = data;

  hypha_link_set_static_cost (end->link, 5000);
}

static void
test_static_cost (Fixture *self, gconstpointer data)
{
  HyphaLinkStatus *status;

  make_ends (self);
  go (self);
  wait_established (self);
  status = (HyphaLinkStatus *) hypha_link_get_status (self->ends[0].link);
  g_assert_cmpuint (atomic_load (&status->cost), <, 5000);
  hypha_worker_post (self->ends[0].worker, make_dear, &self->ends[0]);
  gate_wait (&self->ends[0].changed, 1);
  g_assert_cmpuint (atomic_load (&status->cost), >=, 5000);
  g_assert_cmpuint (hypha_link_get_static_cost (self->ends[0].link), ==, 5000);
}

/* Links that have nothing but pings to exchange stay. */
static void
test_pings_keep_alive (Fixture *self, gconstpointer data)
{
  gint64 end = 0, interval = 20000;
  HyphaLinkStatus *status;

  for (guint i = 0; i < 2; i++) {
    self->parameters[i].limits.ping_interval = interval;
    self->parameters[i].limits.link_timeout = 2 * G_USEC_PER_SEC;
  }
  make_ends (self);
  go (self);
  wait_established (self);
  status = (HyphaLinkStatus *) hypha_link_get_status (self->ends[0].link);
  end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  /* 20 bytes a ping or pong: thirty of each, and something for the handshake. */
  while (atomic_load (&status->rx_bytes) < 30 * 40 + 600 && g_get_monotonic_time () < end)
    g_usleep (1000);
  g_assert_cmpuint (atomic_load (&status->rx_bytes), >=, 30 * 40 + 600);
  g_assert_cmpint (atomic_load (&status->rtt), >, 0);
  g_assert_cmpuint (atomic_load (&status->cost), >=, 10);
  for (guint i = 0; i < 2; i++)
    g_assert_cmpuint (gate_count (&self->ends[i].closed), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, WAY, FUNC) \
  g_test_add ("/link/" NAME, Fixture, GINT_TO_POINTER (WAY), setup, FUNC, teardown)
  ADD ("handshake/plain", PLAIN, test_handshake);
  ADD ("handshake/tls", TLS, test_handshake);
  ADD ("handshake/encrypted-by-transport", ENCRYPTED, test_handshake);
  ADD ("handshake/right-id", PLAIN, test_right_id);
  ADD ("handshake/wrong-id", PLAIN, test_wrong_id);
  ADD ("handshake/wrong-id-tls", TLS, test_wrong_id);
  ADD ("handshake/not-trusted-names-command", PLAIN, test_not_trusted);
  ADD ("handshake/not-trusted-names-command-tls", TLS, test_not_trusted);
  ADD ("handshake/rolled-back-tells-number", PLAIN, test_rolled_back);
  ADD ("handshake/initiator-rejects", PLAIN, test_initiator_rejects);
  ADD ("handshake/tls-required", PLAIN, test_tls_required);
  ADD ("handshake/other-binding-refused", ENCRYPTED, test_other_binding);
  ADD ("handshake/tls-inside-encrypted-refused", ENCRYPTED, test_tls_inside_encrypted);
  ADD ("frames/both-ways-plain", PLAIN, test_both_ways);
  ADD ("frames/both-ways-tls", TLS, test_both_ways);
  ADD ("frames/moved-to-other-workers-plain", PLAIN, test_moved);
  ADD ("frames/moved-to-other-workers-tls", TLS, test_moved);
  ADD ("end/goaway-tells-reason", PLAIN, test_goaway);
  ADD ("end/goaway-tells-reason-tls", TLS, test_goaway);
  ADD ("end/closed-and-freed-within-frame", PLAIN, test_close_in_frame);
  ADD ("end/closed-and-freed-within-frame-tls", TLS, test_close_in_frame);
  ADD ("end/freed-while-parked", PLAIN, test_free_parked);
  ADD ("end/freed-while-parked-tls", TLS, test_free_parked);
  ADD ("end/freed-before-start", PLAIN, test_free_unstarted);
  ADD ("life/static-cost-changes", PLAIN, test_static_cost);
  ADD ("life/pings-keep-alive", PLAIN, test_pings_keep_alive);
#undef ADD
  return g_test_run ();
}
