/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What somebody in between, or at the other end with other code, can do to a handshake. */
#include "handshake-pair.h"

typedef enum { HELLO, REPLY, AUTH, ACCEPT, N_MESSAGES } Step;

typedef GBytes *(*Tamper) (GBytes *bytes, gpointer user_data);

/* A whole handshake, in which message STEP is tampered with. */
static void
run (Pair *pair, Step step, Tamper tamper, gpointer user_data)
{
  for (Step now = HELLO; now < N_MESSAGES; now++) {
    HyphaHandshake *from = now % 2 == 0 ? pair->initiator : pair->responder;
    HyphaHandshake *to = now % 2 == 0 ? pair->responder : pair->initiator;
    g_autoptr (GBytes) bytes = NULL;

    if (hypha_handshake_get_state (from) == HYPHA_HANDSHAKE_DECIDE)
      hypha_handshake_proceed (from, now % 2 == 0 ? &numbers_i : &numbers_r);
    bytes = hypha_handshake_take_output (from);
    if (bytes == NULL)
      return;
    if (now == step) {
      g_autoptr (GBytes) changed = tamper (bytes, user_data);

      feed (to, changed, 0);
    } else {
      feed (to, bytes, 0);
    }
  }
}

static gboolean
is_failed (HyphaHandshake *handshake)
{
  gboolean failed = hypha_handshake_get_state (handshake) == HYPHA_HANDSHAKE_FAILED;

  g_assert_true (failed == (hypha_handshake_get_error (handshake) != NULL));
  return failed;
}

typedef struct {
  gsize bit;
  gsize n_bits; /* out */
} Flip;

static GBytes *
flip_bit (GBytes *bytes, gpointer user_data)
{
  Flip *flip = user_data;
  gsize length;
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));

  length = g_bytes_get_size (bytes);
  flip->n_bits = length * 8;
  data[flip->bit / 8] ^= (guint8) (1u << flip->bit % 8);
  return g_bytes_new_take (g_steal_pointer (&data), length);
}

static void
test_every_bit (gconstpointer data)
{
  const HyphaLinkClass link_class = (HyphaLinkClass) GPOINTER_TO_INT (data);

  for (Step step = HELLO; step < N_MESSAGES; step++) {
    Flip flip = { 0, 1 };
    guint waiting = 0;

    for (; flip.bit < flip.n_bits; flip.bit++) {
      g_auto (Pair) pair = { 0 };
      HyphaHandshakeState i, r;

      start_pair (&pair, link_class);
      run (&pair, step, flip_bit, &flip);
      i = hypha_handshake_get_state (pair.initiator);
      r = hypha_handshake_get_state (pair.responder);
      if (i == HYPHA_HANDSHAKE_DONE)
        g_test_message ("message %u, bit %" G_GSIZE_FORMAT, step, flip.bit);
      /* The initiator is the last to be done. */
      g_assert_cmpint (i, !=, HYPHA_HANDSHAKE_DONE);
      if (step < ACCEPT)
        g_assert_cmpint (r, !=, HYPHA_HANDSHAKE_DONE);
      if (!is_failed (pair.initiator) && !is_failed (pair.responder)) {
        /* Only a message that says to be longer is waited for. */
        g_assert_cmpuint (flip.bit / 8, >=, HYPHA_MESSAGE_HEAD - 2);
        g_assert_cmpuint (flip.bit / 8, <, HYPHA_MESSAGE_HEAD);
        waiting++;
      }
    }
    g_assert_cmpuint (flip.n_bits, >, 500);
    g_assert_cmpuint (waiting, <, 10);
  }
}

static GBytes *
truncate_it (GBytes *bytes, gpointer user_data)
{
  gsize n = MIN (*(gsize *) user_data, g_bytes_get_size (bytes));

  if (n == g_bytes_get_size (bytes))
    *(gsize *) user_data = G_MAXSIZE;
  return g_bytes_new_from_bytes (bytes, 0, n);
}

static void
test_every_truncation (void)
{
  for (Step step = HELLO; step < N_MESSAGES; step++) {
    for (gsize n = 0; n != G_MAXSIZE; n++) {
      g_auto (Pair) pair = { 0 };

      start_pair (&pair, HYPHA_LINK_TLS);
      run (&pair, step, truncate_it, &n);
      if (n == G_MAXSIZE)
        break;
      assert_state (step % 2 == 0 ? pair.responder : pair.initiator, HYPHA_HANDSHAKE_READING);
    }
  }
}

static GBytes *
replace_it (GBytes *bytes, gpointer user_data)
{
  return g_bytes_ref (user_data);
}

/* Each side's own messages come back to it. */
static void
test_reflection (void)
{
  for (guint link_class = HYPHA_LINK_PLAIN; link_class <= HYPHA_LINK_TLS; link_class++) {
    HyphaHandshakeParameters a = parameters (alice, link_class);
    g_auto (Pair) pair = { 0 };
    g_autoptr (GBytes) hello = NULL, reply = NULL, auth = NULL;

    start_pair (&pair, link_class);
    hello = hypha_handshake_take_output (pair.initiator);
    feed (pair.responder, hello, 0);
    reply = hypha_handshake_take_output (pair.responder);
    feed (pair.responder, reply, 0);
    assert_failed (pair.responder, HYPHA_ERROR_HANDSHAKE, "does not belong there");
    feed (pair.initiator, reply, 0);
    hypha_handshake_proceed (pair.initiator, &numbers_i);
    auth = hypha_handshake_take_output (pair.initiator);
    feed (pair.initiator, auth, 0);
    assert_failed (pair.initiator, HYPHA_ERROR_HANDSHAKE, "does not belong there");
    pair_clear (&pair);

    pair.initiator = start (TRUE, &a);
    feed (pair.initiator, hello, 0);
    assert_failed (pair.initiator, HYPHA_ERROR_HANDSHAKE, "does not belong there");
    pair_clear (&pair);

    /* A node that is led to itself, whole: it knows its own instance. */
    pair.initiator = start (TRUE, &a);
    pair.responder = start (FALSE, &a);
    carry (pair.initiator, pair.responder, 0);
    assert_failed (pair.responder, HYPHA_ERROR_HANDSHAKE, "leads to the node that dials it");
    carry (pair.responder, pair.initiator, 0);
    assert_failed (pair.initiator, HYPHA_ERROR_HANDSHAKE, "leads to the node that dials it");
    g_assert_cmpint (hypha_handshake_get_rejected (pair.initiator, NULL), ==, HYPHA_REJECT_SELF);
  }
}

/* The same key with another instance: a machine that was copied with its key. */
static void
test_own_id (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS), b = a;
  g_auto (Pair) pair = { 0 };

  b.instance.bytes[0] ^= 1;
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  carry (pair.initiator, pair.responder, 0);
  carry (pair.responder, pair.initiator, 0);
  assert_failed (pair.initiator, HYPHA_ERROR_HANDSHAKE, "leads to the node that dials it");
  g_assert_false (carry (pair.initiator, pair.responder, 0));
}

/* What was recorded is of no use in another handshake: all nonces are new. */
static void
test_replay (void)
{
  GBytes *messages[N_MESSAGES];

  {
    g_auto (Pair) pair = { 0 };

    start_pair (&pair, HYPHA_LINK_TLS);
    messages[HELLO] = hypha_handshake_take_output (pair.initiator);
    feed (pair.responder, messages[HELLO], 0);
    messages[REPLY] = hypha_handshake_take_output (pair.responder);
    feed (pair.initiator, messages[REPLY], 0);
    hypha_handshake_proceed (pair.initiator, &numbers_i);
    messages[AUTH] = hypha_handshake_take_output (pair.initiator);
    feed (pair.responder, messages[AUTH], 0);
    hypha_handshake_proceed (pair.responder, &numbers_r);
    messages[ACCEPT] = hypha_handshake_take_output (pair.responder);
    feed (pair.initiator, messages[ACCEPT], 0);
    assert_state (pair.initiator, HYPHA_HANDSHAKE_DONE);
  }

  for (Step step = REPLY; step < N_MESSAGES; step++) {
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
    HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
    g_auto (Pair) pair = { 0 };

    memset (a.nonce, 7, sizeof a.nonce);
    memset (b.nonce, 8, sizeof b.nonce);
    pair.initiator = start (TRUE, &a);
    pair.responder = start (FALSE, &b);
    run (&pair, step, replace_it, messages[step]);
    if (step == AUTH)
      assert_failed (pair.responder, HYPHA_ERROR_HANDSHAKE, "did not keep to");
    else
      assert_failed (pair.initiator, HYPHA_ERROR_HANDSHAKE, "signature is wrong");
  }
  for (guint twice = 0; twice < 2; twice++) { /* HELLO and AUTH of one initiator, once more */
    HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
    g_autoptr (HyphaHandshake) responder = NULL;

    b.nonce[0] ^= (guint8) twice;
    responder = start (FALSE, &b);
    feed (responder, messages[HELLO], 0);
    feed (responder, messages[AUTH], 0);
    if (twice == 0)
      assert_state (responder, HYPHA_HANDSHAKE_DECIDE); /* the control: the same nonce */
    else
      assert_failed (responder, HYPHA_ERROR_HANDSHAKE, "signature is wrong");
  }
  for (Step step = HELLO; step < N_MESSAGES; step++)
    g_bytes_unref (messages[step]);
}

/* What an initiator that is not ours could send. */
static GBytes *
craft_auth (GBytes *hello, GBytes *reply, HyphaIdentity *identity,
            const HyphaHandshakeParameters *p)
{
  HyphaMessage message = { .type = HYPHA_MESSAGE_AUTH,
                           .id = *hypha_identity_get_id (identity),
                           .numbers = numbers_i };
  guint8 auth[HYPHA_MESSAGE_MAX], chain[32 + HYPHA_SIGNATURE_BYTES];
  guint8 said[17 + 1 + HYPHA_BINDING_BYTES + 32] = "hypha/1 initiator";
  gsize length;

  memcpy (message.nonce, p->nonce, sizeof message.nonce);
  length = hypha_message_write (&message, auth);
  first_transcript (hello, reply, chain);
  memcpy (chain + 32,
          (const guint8 *) g_bytes_get_data (reply, NULL) + g_bytes_get_size (reply) -
              HYPHA_SIGNATURE_BYTES,
          HYPHA_SIGNATURE_BYTES);
  said[17] = (guint8) p->link_class;
  memcpy (said + 18, p->binding, HYPHA_BINDING_BYTES);
  hash_pieces (said + 50, chain, sizeof chain, auth, length - HYPHA_SIGNATURE_BYTES);
  g_assert_true (hypha_identity_sign (identity, said, sizeof said,
                                      auth + length - HYPHA_SIGNATURE_BYTES, NULL));
  return g_bytes_new (auth, length);
}

static void
commit_to (HyphaMessage *hello, const guint8 nonce[HYPHA_NONCE_BYTES], const HyphaNodeId *id)
{
  guint8 committed[HYPHA_NONCE_BYTES + HYPHA_NODE_ID_BYTES];

  memcpy (committed, nonce, HYPHA_NONCE_BYTES);
  memcpy (committed + HYPHA_NONCE_BYTES, id->bytes, HYPHA_NODE_ID_BYTES);
  hash_pieces (hello->commitment, "hypha/1 commit", 14, committed, sizeof committed);
}

/* A responder that has got HELLO and a well-signed AUTH of IDENTITY, with the nonce XOR_NONCE away
 * from the one committed to. */
static HyphaHandshake *
respond_to_crafted (HyphaMessage hello, HyphaIdentity *identity, guint8 xor_nonce)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS),
                           b = parameters (bob, HYPHA_LINK_TLS);
  HyphaHandshake *responder = start (FALSE, &b);
  g_autoptr (GBytes) hello_bytes = NULL, reply = NULL, auth = NULL;

  commit_to (&hello, a.nonce, hypha_identity_get_id (identity));
  hello_bytes = make (&hello);
  a.nonce[31] ^= xor_nonce;
  feed (responder, hello_bytes, 0);
  reply = hypha_handshake_take_output (responder);
  auth = craft_auth (hello_bytes, reply, identity, &a);
  feed (responder, auth, 0);
  return responder;
}

/* A middleman who looks for digits that fit would change his nonce after he has seen the other's.
 */
static void
test_commitment (void)
{
  g_autoptr (HyphaHandshake) kept = respond_to_crafted (hello_message (), mallory, 0);
  g_autoptr (HyphaHandshake) broken = respond_to_crafted (hello_message (), mallory, 1);

  assert_state (kept, HYPHA_HANDSHAKE_DECIDE);
  assert_failed (broken, HYPHA_ERROR_HANDSHAKE, "did not keep to what it had committed");
}

/* AUTH is owed to nobody but the wanted one; whoever sends it all the same is told. */
static void
test_auth_to_another (void)
{
  HyphaMessage hello = hello_message ();
  g_autoptr (HyphaHandshake) wanted = NULL, another = NULL;
  g_autoptr (GBytes) reject = NULL;

  hello.id = *hypha_identity_get_id (bob);
  wanted = respond_to_crafted (hello, mallory, 0);
  assert_state (wanted, HYPHA_HANDSHAKE_DECIDE);
  hello.id = *hypha_identity_get_id (alice);
  another = respond_to_crafted (hello, mallory, 0);
  assert_failed (another, HYPHA_ERROR_WRONG_ID, "another node was expected");
  reject = hypha_handshake_take_output (another);
  g_assert_nonnull (reject);
}

static void
test_auth_by_own_id (void)
{
  g_autoptr (HyphaHandshake) responder = respond_to_crafted (hello_message (), bob, 0);

  assert_failed (responder, HYPHA_ERROR_HANDSHAKE, "leads to the node that dials it");
}

static void
test_binding (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
  HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
  g_auto (Pair) pair = { 0 };

  b.binding[31] ^= 1;
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  carry (pair.initiator, pair.responder, 0);
  carry (pair.responder, pair.initiator, 0);
  assert_failed (pair.initiator, HYPHA_ERROR_HANDSHAKE, "signature is wrong");
}

/* The other way round: an initiator that does not mind, as a middleman's would not. */
static void
test_binding_at_responder (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
  HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS), c = b;
  g_auto (Pair) pair = { 0 };
  g_autoptr (HyphaHandshake) victim = NULL;
  g_autoptr (GBytes) hello = NULL, auth = NULL;

  c.binding[0] ^= 1;
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  victim = start (FALSE, &c);
  hello = hypha_handshake_take_output (pair.initiator);
  feed (pair.responder, hello, 0);
  feed (victim, hello, 0);
  carry (pair.responder, pair.initiator, 0);
  hypha_handshake_proceed (pair.initiator, &numbers_i);
  auth = hypha_handshake_take_output (pair.initiator);
  feed (pair.responder, auth, 0);
  assert_state (pair.responder, HYPHA_HANDSHAKE_DECIDE);
  feed (victim, auth, 0);
  assert_failed (victim, HYPHA_ERROR_HANDSHAKE, "signature is wrong");
}

static void
test_class_differs (void)
{
  for (guint at_initiator = HYPHA_LINK_PLAIN; at_initiator <= HYPHA_LINK_TLS; at_initiator++) {
    HyphaHandshakeParameters a = parameters (alice, at_initiator);
    HyphaHandshakeParameters b =
        parameters (bob, at_initiator == HYPHA_LINK_TLS ? HYPHA_LINK_PLAIN : HYPHA_LINK_TLS);
    g_auto (Pair) pair = { 0 };

    b.plain_refused = TRUE;
    pair.initiator = start (TRUE, &a);
    pair.responder = start (FALSE, &b);
    carry (pair.initiator, pair.responder, 0);
    assert_failed (pair.responder, HYPHA_ERROR_HANDSHAKE, "somebody sits in between");
    g_assert_false (carry (pair.responder, pair.initiator, 0));
  }
}

/* Before it has proven who it is, nobody may burn session numbers, or say that he does not trust.
 */
static void
test_early_reject (void)
{
  for (guint code = 0; code < 12; code++) {
    const HyphaMessage message = { .type = HYPHA_MESSAGE_REJECT,
                                   .code = code,
                                   .highest = G_MAXUINT64 };
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
    g_autoptr (HyphaHandshake) initiator = start (TRUE, &a);
    g_autoptr (GBytes) reject = make (&message);
    gboolean allowed =
        code == HYPHA_REJECT_BUSY || code == HYPHA_REJECT_SELF || code == HYPHA_REJECT_VERSION;

    feed (initiator, reject, 0);
    assert_state (initiator, HYPHA_HANDSHAKE_FAILED);
    g_assert_cmpuint (hypha_handshake_get_rejected (initiator, NULL), ==, allowed ? code : 0);
    if (!allowed)
      assert_failed (initiator, HYPHA_ERROR_HANDSHAKE, "makes no sense");
  }
}

/* What anybody could have signed for never gets so far as to be verified. */
static void
test_low_order_ids (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS),
                           b = parameters (bob, HYPHA_LINK_TLS);
  g_autoptr (HyphaHandshake) initiator = start (TRUE, &a), responder = start (FALSE, &b);
  HyphaMessage hello = hello_message (), auth = { .type = HYPHA_MESSAGE_AUTH, .id = { { 1 } } };
  const HyphaMessage reply = {
    .type = HYPHA_MESSAGE_REPLY, .version_max = 1, .link_class = HYPHA_LINK_TLS, .id = { { 1 } }
  };
  g_autoptr (GBytes) reply_bytes = make (&reply), hello_bytes = NULL, auth_bytes = NULL;

  feed (initiator, reply_bytes, 0);
  assert_failed (initiator, HYPHA_ERROR_HANDSHAKE, "anybody could sign");

  commit_to (&hello, auth.nonce, &auth.id);
  hello_bytes = make (&hello);
  auth_bytes = make (&auth);
  feed (responder, hello_bytes, 0);
  feed (responder, auth_bytes, 0);
  assert_failed (responder, HYPHA_ERROR_HANDSHAKE, "anybody could sign");
}

static void
add_tests (void)
{
  g_test_add_data_func ("/handshake/tampering/every-bit/plain", GINT_TO_POINTER (HYPHA_LINK_PLAIN),
                        test_every_bit);
  g_test_add_data_func ("/handshake/tampering/every-bit/tls", GINT_TO_POINTER (HYPHA_LINK_TLS),
                        test_every_bit);
  g_test_add_func ("/handshake/tampering/every-truncation", test_every_truncation);
  g_test_add_func ("/handshake/tampering/reflection", test_reflection);
  g_test_add_func ("/handshake/tampering/replay", test_replay);
  g_test_add_func ("/handshake/tampering/broken-commitment", test_commitment);
  g_test_add_func ("/handshake/tampering/binding-differs", test_binding);
  g_test_add_func ("/handshake/tampering/binding-differs-at-responder", test_binding_at_responder);
  g_test_add_func ("/handshake/class/differs", test_class_differs);
  g_test_add_func ("/handshake/id/own", test_own_id);
  g_test_add_func ("/handshake/id/auth-to-another-is-refused", test_auth_to_another);
  g_test_add_func ("/handshake/id/auth-by-own-id-is-refused", test_auth_by_own_id);
  g_test_add_func ("/handshake/id/low-order", test_low_order_ids);
  g_test_add_func ("/handshake/reject/before-proof-is-not-believed", test_early_reject);
}

int
main (int argc, char **argv)
{
  return handshake_test_main (argc, argv, add_tests);
}
