/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/handshake-message.h"

#include <string.h>

static HyphaIdentity *alice, *bob, *mallory;

typedef struct {
  HyphaHandshake *initiator, *responder;
} Pair;

static void
pair_clear (Pair *pair)
{
  g_clear_pointer (&pair->initiator, hypha_handshake_free);
  g_clear_pointer (&pair->responder, hypha_handshake_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Pair, pair_clear)

static const HyphaHandshakeNumbers numbers_i = { 11, 12, 13, "alice" };
static const HyphaHandshakeNumbers numbers_r = { G_MAXUINT64, 22, G_MAXUINT32,
                                                 "b\xc3\xb6"
                                                 "b" };

static HyphaHandshakeParameters
parameters (HyphaIdentity *identity, HyphaLinkClass link_class)
{
  HyphaHandshakeParameters p = { .identity = identity, .link_class = link_class };

  memset (p.instance.bytes, identity == alice ? 1 : 2, sizeof p.instance.bytes);
  memset (p.nonce, identity == alice ? 3 : 4, sizeof p.nonce);
  memset (p.binding, link_class == HYPHA_LINK_TLS ? 5 : 0, sizeof p.binding);
  return p;
}

static HyphaHandshake *
start (gboolean initiator, const HyphaHandshakeParameters *p)
{
  g_autoptr (GError) error = NULL;
  HyphaHandshake *handshake = hypha_handshake_new (initiator, p, &error);

  g_assert_no_error (error);
  return handshake;
}

static void
start_pair (Pair *pair, HyphaLinkClass link_class)
{
  HyphaHandshakeParameters a = parameters (alice, link_class), b = parameters (bob, link_class);

  pair->initiator = start (TRUE, &a);
  pair->responder = start (FALSE, &b);
}

/* Gives it all of BYTES, SPLIT at a time (0: at once). */
static gsize
feed (HyphaHandshake *to, GBytes *bytes, gsize split)
{
  gsize length, taken = 0;
  const guint8 *data = g_bytes_get_data (bytes, &length);

  while (taken < length) {
    gsize n = split > 0 ? MIN (split, length - taken) : length - taken;
    g_autofree guint8 *part = g_memdup2 (data + taken, n);
    gsize got = hypha_handshake_receive (to, part, n);

    taken += got;
    if (got < n)
      break;
  }
  return taken;
}

/* Carries over what FROM has to say. */
static gboolean
carry (HyphaHandshake *from, HyphaHandshake *to, gsize split)
{
  g_autoptr (GBytes) bytes = hypha_handshake_take_output (from);

  if (bytes == NULL)
    return FALSE;
  feed (to, bytes, split);
  return TRUE;
}

#define assert_state(handshake, expected) \
  g_assert_cmpint (hypha_handshake_get_state (handshake), ==, expected)

static void
assert_failed (HyphaHandshake *handshake, HyphaError code, const char *message)
{
  const GError *error = hypha_handshake_get_error (handshake);

  assert_state (handshake, HYPHA_HANDSHAKE_FAILED);
  g_assert_error (error, HYPHA_ERROR, (int) code);
  if (strstr (error->message, message) == NULL)
    g_test_message ("\"%s\" does not say \"%s\"", error->message, message);
  g_assert_nonnull (strstr (error->message, message));
}

/* Up to DECIDE on both sides. */
static void
meet (Pair *pair)
{
  carry (pair->initiator, pair->responder, 0);
  carry (pair->responder, pair->initiator, 0);
  assert_state (pair->initiator, HYPHA_HANDSHAKE_DECIDE);
  hypha_handshake_proceed (pair->initiator, &numbers_i);
  carry (pair->initiator, pair->responder, 0);
  assert_state (pair->responder, HYPHA_HANDSHAKE_DECIDE);
}

static void
assert_numbers (const HyphaHandshakeNumbers *a, const HyphaHandshakeNumbers *b)
{
  g_assert_nonnull (a);
  g_assert_cmpuint (a->session_number, ==, b->session_number);
  g_assert_cmpuint (a->link_number, ==, b->link_number);
  g_assert_cmpuint (a->static_cost, ==, b->static_cost);
  g_assert_cmpstr (a->name, ==, b->name);
}

static void
exchange (HyphaLinkClass link_class, gsize split)
{
  g_auto (Pair) pair = { 0 };

  start_pair (&pair, link_class);
  assert_state (pair.initiator, HYPHA_HANDSHAKE_READING);
  g_assert_null (hypha_handshake_get_peer (pair.initiator));
  g_assert_true (carry (pair.initiator, pair.responder, split));
  assert_state (pair.responder, HYPHA_HANDSHAKE_READING);
  g_assert_null (hypha_handshake_get_peer (pair.responder));
  g_assert_true (carry (pair.responder, pair.initiator, split));

  assert_state (pair.initiator, HYPHA_HANDSHAKE_DECIDE);
  g_assert_true (
      hypha_node_id_equal (hypha_handshake_get_peer (pair.initiator), hypha_identity_get_id (bob)));
  g_assert_cmpuint (hypha_handshake_get_peer_instance (pair.initiator)->bytes[7], ==, 2);
  g_assert_null (hypha_handshake_get_peer_numbers (pair.initiator));
  g_assert_false (carry (pair.initiator, pair.responder, 0));
  hypha_handshake_proceed (pair.initiator, &numbers_i);
  assert_state (pair.initiator, HYPHA_HANDSHAKE_READING);
  g_assert_true (carry (pair.initiator, pair.responder, split));

  assert_state (pair.responder, HYPHA_HANDSHAKE_DECIDE);
  g_assert_true (hypha_node_id_equal (hypha_handshake_get_peer (pair.responder),
                                      hypha_identity_get_id (alice)));
  g_assert_cmpuint (hypha_handshake_get_peer_instance (pair.responder)->bytes[7], ==, 1);
  assert_numbers (hypha_handshake_get_peer_numbers (pair.responder), &numbers_i);
  hypha_handshake_proceed (pair.responder, &numbers_r);
  assert_state (pair.responder, HYPHA_HANDSHAKE_DONE);
  g_assert_true (carry (pair.responder, pair.initiator, split));
  assert_state (pair.initiator, HYPHA_HANDSHAKE_DONE);
  assert_numbers (hypha_handshake_get_peer_numbers (pair.initiator), &numbers_r);

  g_assert_cmpuint (hypha_handshake_get_digits (pair.initiator), <=, 999999);
  g_assert_cmpuint (hypha_handshake_get_digits (pair.initiator), ==,
                    hypha_handshake_get_digits (pair.responder));
  g_assert_null (hypha_handshake_get_error (pair.initiator));
  g_assert_null (hypha_handshake_get_error (pair.responder));
  g_assert_cmpuint (hypha_handshake_get_rejected (pair.initiator, NULL), ==, 0);
}

static void
test_exchange (void)
{
  const gsize splits[] = { 0, 1, 2, 7, 100 };

  for (guint i = 0; i < G_N_ELEMENTS (splits); i++) {
    exchange (HYPHA_LINK_PLAIN, splits[i]);
    exchange (HYPHA_LINK_TLS, splits[i]);
  }
}

static void
test_first_byte_is_no_tls (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_PLAIN);
  g_autoptr (HyphaHandshake) handshake = start (TRUE, &a);
  g_autoptr (GBytes) hello = hypha_handshake_take_output (handshake);

  g_assert_cmpmem (g_bytes_get_data (hello, NULL), 7, "HYPHA/1", 7);
}

/* What comes right behind ACCEPT, and behind REPLY and AUTH, is the caller's. */
static void
test_leaves_what_follows (void)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GBytes) accept = NULL;
  gsize length;

  start_pair (&pair, HYPHA_LINK_TLS);
  meet (&pair);
  g_assert_cmpuint (hypha_handshake_receive (pair.responder, (const guint8 *) "x", 1), ==, 0);
  hypha_handshake_proceed (pair.responder, &numbers_r);
  accept = hypha_handshake_take_output (pair.responder);
  length = g_bytes_get_size (accept);
  g_byte_array_append (bytes, g_bytes_get_data (accept, NULL), (guint) length);
  g_byte_array_append (bytes, (const guint8 *) "frames", 6);
  g_assert_cmpuint (hypha_handshake_receive (pair.initiator, bytes->data, bytes->len), ==, length);
  assert_state (pair.initiator, HYPHA_HANDSHAKE_DONE);
  g_assert_cmpuint (hypha_handshake_receive (pair.initiator, (const guint8 *) "x", 1), ==, 0);
}

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

/* The construction of the README, once more: what an initiator that is not ours could send. */
static void
hash_pieces (guint8 digest[32], const void *a, gsize a_length, const void *b, gsize b_length)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize length = 32;

  g_checksum_update (checksum, a, (gssize) a_length);
  g_checksum_update (checksum, b, (gssize) b_length);
  g_checksum_get_digest (checksum, digest, &length);
}

static void
first_transcript (GBytes *hello, GBytes *reply, guint8 digest[32])
{
  hash_pieces (digest, g_bytes_get_data (hello, NULL), g_bytes_get_size (hello),
               g_bytes_get_data (reply, NULL), g_bytes_get_size (reply) - HYPHA_SIGNATURE_BYTES);
}

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

static GBytes *
make (const HyphaMessage *message)
{
  guint8 bytes[HYPHA_MESSAGE_MAX] = { 0 };

  return g_bytes_new (bytes, hypha_message_write (message, bytes));
}

static HyphaMessage
hello_message (void)
{
  HyphaMessage hello = {
    .type = HYPHA_MESSAGE_HELLO, .version_min = 1, .version_max = 1, .link_class = HYPHA_LINK_TLS
  };

  memset (hello.instance.bytes, 9, sizeof hello.instance.bytes);
  return hello;
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
test_plain_has_no_binding (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_PLAIN);
  HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_PLAIN);
  g_auto (Pair) pair = { 0 };

  memset (a.binding, 9, sizeof a.binding);
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  meet (&pair);
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

static void
test_plain_refused (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_PLAIN);
  HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_PLAIN);
  g_auto (Pair) pair = { 0 };

  b.plain_refused = TRUE;
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  carry (pair.initiator, pair.responder, 0);
  assert_failed (pair.responder, HYPHA_ERROR_TLS_REQUIRED, "only TLS");
  carry (pair.responder, pair.initiator, 0);
  assert_failed (pair.initiator, HYPHA_ERROR_TLS_REQUIRED, "only TLS");
  g_assert_cmpint (hypha_handshake_get_rejected (pair.initiator, NULL), ==,
                   HYPHA_REJECT_TLS_REQUIRED);
  g_assert_null (hypha_handshake_get_peer (pair.initiator));
}

static void
test_wanted (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
  HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
  g_auto (Pair) pair = { 0 };

  a.wanted = hypha_identity_get_id (bob);
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  meet (&pair);
  pair_clear (&pair);

  /* Another one answers: it shows itself, and learns nothing of who asked. */
  a.wanted = hypha_identity_get_id (mallory);
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  carry (pair.initiator, pair.responder, 0);
  assert_state (pair.responder, HYPHA_HANDSHAKE_READING);
  carry (pair.responder, pair.initiator, 0);
  assert_failed (pair.initiator, HYPHA_ERROR_WRONG_ID, "was expected");
  g_assert_true (
      hypha_node_id_equal (hypha_handshake_get_peer (pair.initiator), hypha_identity_get_id (bob)));
  g_assert_false (carry (pair.initiator, pair.responder, 0));
}

static void
test_wanted_cannot_be (void)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
  HyphaNodeId low = { { 1 } };
  g_autoptr (GError) error = NULL;

  a.wanted = &low;
  g_assert_null (hypha_handshake_new (TRUE, &a, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID);
  g_clear_error (&error);
  a.wanted = hypha_identity_get_id (alice);
  g_assert_null (hypha_handshake_new (TRUE, &a, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID);
}

static void
test_responder_rejects (void)
{
  static const struct {
    HyphaRejectCode code;
    HyphaError error;
    const char *message;
  } cases[] = {
    { HYPHA_REJECT_NOT_TRUSTED, HYPHA_ERROR_NOT_TRUSTED, "hyphactl trust" },
    { HYPHA_REJECT_WRONG_ID, HYPHA_ERROR_WRONG_ID, "another node" },
    { HYPHA_REJECT_ROLLED_BACK, HYPHA_ERROR_ROLLED_BACK, "backwards" },
    { HYPHA_REJECT_BUSY, HYPHA_ERROR_BUSY, "too many" },
    { HYPHA_REJECT_SELF, HYPHA_ERROR_HANDSHAKE, "dials it" },
    { HYPHA_REJECT_VERSION, HYPHA_ERROR_NOT_SUPPORTED, "version" },
    { HYPHA_REJECT_STALE, HYPHA_ERROR_HANDSHAKE, "overtaken" },
    { HYPHA_REJECT_TLS_REQUIRED, HYPHA_ERROR_TLS_REQUIRED, "only TLS" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (Pair) pair = { 0 };
    guint64 highest = 0;

    start_pair (&pair, HYPHA_LINK_PLAIN);
    meet (&pair);
    hypha_handshake_reject (pair.responder, cases[i].code, 0x0102030405060708);
    assert_failed (pair.responder, cases[i].error, cases[i].message);
    g_assert_cmpint (hypha_handshake_get_rejected (pair.responder, NULL), ==, 0);
    carry (pair.responder, pair.initiator, 1);
    assert_failed (pair.initiator, cases[i].error, cases[i].message);
    g_assert_cmpint (hypha_handshake_get_rejected (pair.initiator, &highest), ==, cases[i].code);
    g_assert_cmpuint (highest, ==, 0x0102030405060708);
  }
}

static void
test_not_trusted_names_the_command (void)
{
  g_autofree char *id_a = hypha_node_id_to_string (hypha_identity_get_id (alice));
  g_autofree char *at_responder = g_strdup_printf ("hyphactl trust %s NAME", id_a);
  g_auto (Pair) pair = { 0 };

  start_pair (&pair, HYPHA_LINK_TLS);
  meet (&pair);
  hypha_handshake_reject (pair.responder, HYPHA_REJECT_NOT_TRUSTED, 0);
  carry (pair.responder, pair.initiator, 0);
  assert_failed (pair.responder, HYPHA_ERROR_NOT_TRUSTED, at_responder);
  assert_failed (pair.initiator, HYPHA_ERROR_NOT_TRUSTED, at_responder);
}

static void
test_initiator_rejects (void)
{
  g_auto (Pair) pair = { 0 };

  start_pair (&pair, HYPHA_LINK_TLS);
  carry (pair.initiator, pair.responder, 0);
  carry (pair.responder, pair.initiator, 0);
  hypha_handshake_reject (pair.initiator, HYPHA_REJECT_NOT_TRUSTED, 0);
  assert_failed (pair.initiator, HYPHA_ERROR_NOT_TRUSTED, "hyphactl trust");
  g_assert_null (hypha_handshake_take_output (pair.initiator));
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

static void
assert_hello (const HyphaMessage *hello, HyphaHandshakeState state, HyphaError code,
              const char *why)
{
  HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
  g_autoptr (HyphaHandshake) responder = start (FALSE, &b);
  g_autoptr (GBytes) bytes = make (hello);

  feed (responder, bytes, 0);
  assert_state (responder, state);
  if (state == HYPHA_HANDSHAKE_FAILED)
    assert_failed (responder, code, why);
}

static void
test_versions (void)
{
  HyphaMessage hello = hello_message ();

  assert_hello (&hello, HYPHA_HANDSHAKE_READING, 0, NULL);
  hello.version_max = 77;
  assert_hello (&hello, HYPHA_HANDSHAKE_READING, 0, NULL);
  hello.version_min = 0;
  assert_hello (&hello, HYPHA_HANDSHAKE_READING, 0, NULL);
  hello.version_min = 2;
  assert_hello (&hello, HYPHA_HANDSHAKE_FAILED, HYPHA_ERROR_NOT_SUPPORTED, "no common version");
  hello.version_min = hello.version_max = 0;
  assert_hello (&hello, HYPHA_HANDSHAKE_FAILED, HYPHA_ERROR_NOT_SUPPORTED, "no common version");
  hello = hello_message ();
  hello.features = G_MAXUINT64;
  assert_hello (&hello, HYPHA_HANDSHAKE_READING, 0, NULL);
  hello.link_class = 2;
  assert_hello (&hello, HYPHA_HANDSHAKE_FAILED, HYPHA_ERROR_HANDSHAKE,
                "class of link that does not exist");
}

static void
test_version_is_told (void)
{
  HyphaMessage hello = hello_message (), reject;
  HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
  g_autoptr (HyphaHandshake) responder = start (FALSE, &b);
  g_autoptr (GBytes) bytes = NULL, output = NULL;
  gsize length;
  const guint8 *data;

  hello.version_min = hello.version_max = 2;
  bytes = make (&hello);
  feed (responder, bytes, 0);
  output = hypha_handshake_take_output (responder);
  data = g_bytes_get_data (output, &length);
  g_assert_null (hypha_message_parse (data, length, &reject));
  g_assert_cmpint (reject.type, ==, HYPHA_MESSAGE_REJECT);
  g_assert_cmpuint (reject.code, ==, HYPHA_REJECT_VERSION);
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
test_bad_replies (void)
{
  const HyphaMessage good = { .type = HYPHA_MESSAGE_REPLY,
                              .version_max = 1,
                              .link_class = HYPHA_LINK_TLS,
                              .id = *hypha_identity_get_id (bob) };
  HyphaMessage bad[3] = { good, good, good };

  bad[0].version_max = 2;
  bad[1].features = 1;
  bad[2].link_class = HYPHA_LINK_PLAIN;
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
    g_autoptr (HyphaHandshake) initiator = start (TRUE, &a);
    g_autoptr (GBytes) bytes = make (&bad[i]);

    feed (initiator, bytes, 0);
    assert_failed (initiator, HYPHA_ERROR_HANDSHAKE, "was not offered");
  }
}

static void
test_stranger_fails_at_first_byte (void)
{
  const char *strangers[] = { "\x16\x03\x01", "GET / HTTP/1.1\r\n", "SSH-2.0-", "HYPHA/2",
                              "HYPHA/1\x02" };

  for (guint i = 0; i < G_N_ELEMENTS (strangers); i++) {
    HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_PLAIN);
    g_autoptr (HyphaHandshake) responder = start (FALSE, &b);

    hypha_handshake_receive (responder, (const guint8 *) strangers[i], strlen (strangers[i]));
    assert_failed (responder, HYPHA_ERROR_HANDSHAKE, i < 4 ? "is there a node" : "does not belong");
    g_assert_null (hypha_handshake_take_output (responder));
  }
}

/* Puts a list of limits of LENGTH bytes at the end of a HELLO. */
static HyphaHandshake *
hello_with_limits (const guint8 *limits, gsize length, gsize said)
{
  HyphaMessage hello = hello_message ();
  HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
  HyphaHandshake *responder = start (FALSE, &b);
  g_autoptr (GBytes) bytes = make (&hello);
  g_autoptr (GByteArray) all = g_byte_array_new ();
  guint body;

  g_byte_array_append (all, g_bytes_get_data (bytes, NULL), (guint) g_bytes_get_size (bytes));
  all->data[all->len - 2] = (guint8) (said >> 8);
  all->data[all->len - 1] = (guint8) said;
  if (length > 0)
    g_byte_array_append (all, limits, (guint) length);
  body = all->len - HYPHA_MESSAGE_HEAD;
  all->data[HYPHA_MESSAGE_HEAD - 2] = (guint8) (body >> 8);
  all->data[HYPHA_MESSAGE_HEAD - 1] = (guint8) body;
  hypha_handshake_receive (responder, all->data, all->len);
  return responder;
}

static void
test_limits (void)
{
  guint8 limits[264] = { 0 };
  g_autoptr (HyphaHandshake) fine = NULL, fullest = NULL, order = NULL, odd = NULL, more = NULL,
                             less = NULL, large = NULL;

  for (guint i = 0; i < sizeof limits; i += 8)
    limits[i + 3] = (guint8) (i / 8);
  fine = hello_with_limits (limits, 16, 16);
  assert_state (fine, HYPHA_HANDSHAKE_READING);
  fullest = hello_with_limits (limits, 256, 256);
  assert_state (fullest, HYPHA_HANDSHAKE_READING);
  odd = hello_with_limits (limits, 12, 12);
  assert_failed (odd, HYPHA_ERROR_HANDSHAKE, "limits of a wrong length");
  more = hello_with_limits (limits, 16, 24);
  assert_failed (more, HYPHA_ERROR_HANDSHAKE, "ends too early");
  less = hello_with_limits (limits, 16, 8);
  assert_failed (less, HYPHA_ERROR_HANDSHAKE, "bytes too many");
  large = hello_with_limits (limits, 264, 264);
  assert_failed (large, HYPHA_ERROR_HANDSHAKE, "wrong length");
  limits[3] = limits[11];
  order = hello_with_limits (limits, 16, 16);
  assert_failed (order, HYPHA_ERROR_HANDSHAKE, "out of order");
}

static void
test_names (void)
{
  static const struct {
    const char *name;
    gboolean good;
  } names[] = {
    { "", TRUE },
    { "0123456789012345678901234567890123456789012345678901234567890123", TRUE },
    { "\xe6\x9c\xa8", TRUE },
    { "a\nb", FALSE },
    { "\x1b]0;owned\a", FALSE },
    { "\xff", FALSE },
    { "\xc2\x9b", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    HyphaHandshakeNumbers numbers = { .session_number = 1 };
    HyphaMessage auth = { .type = HYPHA_MESSAGE_AUTH }, read;
    guint8 bytes[HYPHA_MESSAGE_MAX] = { 0 };
    g_auto (Pair) pair = { 0 };

    g_strlcpy (numbers.name, names[i].name, sizeof numbers.name);
    auth.numbers = numbers;
    /* As a peer that does not check its own name would send it. */
    g_assert_true ((hypha_message_parse (bytes, hypha_message_write (&auth, bytes), &read) ==
                    NULL) == names[i].good);
    if (names[i].good)
      g_assert_cmpstr (read.numbers.name, ==, names[i].name);

    start_pair (&pair, HYPHA_LINK_TLS);
    carry (pair.initiator, pair.responder, 0);
    carry (pair.responder, pair.initiator, 0);
    hypha_handshake_proceed (pair.initiator, &numbers);
    if (names[i].good)
      assert_state (pair.initiator, HYPHA_HANDSHAKE_READING);
    else
      assert_failed (pair.initiator, HYPHA_ERROR_INVALID_SETTING, "This node's name");
  }
}

/* SHA-256 ("hypha/1 digits" | T1 | nonce | id) as one large number, modulo a million. */
static guint
count_digits (GBytes *hello, GBytes *reply, const guint8 nonce[HYPHA_NONCE_BYTES],
              const HyphaNodeId *id)
{
  guint8 head[14 + 32] = { 'h', 'y', 'p', 'h', 'a', '/', '1', ' ', 'd', 'i', 'g', 'i', 't', 's' };
  guint8 tail[HYPHA_NONCE_BYTES + HYPHA_NODE_ID_BYTES], digest[32];
  guint64 digits = 0;

  first_transcript (hello, reply, head + 14);
  memcpy (tail, nonce, HYPHA_NONCE_BYTES);
  memcpy (tail + HYPHA_NONCE_BYTES, id->bytes, HYPHA_NODE_ID_BYTES);
  hash_pieces (digest, head, sizeof head, tail, sizeof tail);
  for (guint i = 0; i < sizeof digest; i += 4)
    digits = ((digits << 32) + ((guint64) digest[i] << 24 | (guint) digest[i + 1] << 16 |
                                (guint) digest[i + 2] << 8 | digest[i + 3])) %
             1000000;
  return (guint) digits;
}

static void
test_digits (void)
{
  for (guint i = 0; i < 20; i++) {
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS),
                             b = parameters (bob, HYPHA_LINK_TLS);
    g_auto (Pair) pair = { 0 };
    g_autoptr (GBytes) hello = NULL, reply = NULL;
    guint expected;

    b.nonce[5] = (guint8) i;
    pair.initiator = start (TRUE, &a);
    pair.responder = start (FALSE, &b);
    hello = hypha_handshake_take_output (pair.initiator);
    feed (pair.responder, hello, 0);
    reply = hypha_handshake_take_output (pair.responder);
    feed (pair.initiator, reply, 0);
    hypha_handshake_proceed (pair.initiator, &numbers_i);
    carry (pair.initiator, pair.responder, 0);
    expected = count_digits (hello, reply, a.nonce, hypha_identity_get_id (alice));
    g_assert_cmpuint (hypha_handshake_get_digits (pair.initiator), ==, expected);
    g_assert_cmpuint (hypha_handshake_get_digits (pair.responder), ==, expected);
  }
}

static void
test_pairing_is_agreed_upon_before_auth (void)
{
  for (guint i = 0; i < 4; i++) {
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS),
                             b = parameters (bob, HYPHA_LINK_TLS);
    g_auto (Pair) pair = { 0 };

    a.features = i & 1 ? HYPHA_FEATURE_PAIRING : 0;
    b.features = i & 2 ? HYPHA_FEATURE_PAIRING : 0;
    pair.initiator = start (TRUE, &a);
    pair.responder = start (FALSE, &b);
    carry (pair.initiator, pair.responder, 0);
    carry (pair.responder, pair.initiator, 0);
    assert_state (pair.initiator, HYPHA_HANDSHAKE_DECIDE);
    g_assert_cmpuint (hypha_handshake_get_features (pair.initiator), ==, a.features & b.features);
    g_assert_cmpuint (hypha_handshake_get_features (pair.responder), ==, a.features & b.features);
  }
}

static void
test_one_reply_takes_pairing_up (void)
{
  _Atomic gboolean untold = TRUE;

  for (guint i = 0; i < 4; i++) {
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS),
                             b = parameters (bob, HYPHA_LINK_TLS);
    g_auto (Pair) pair = { 0 };

    /* Who does not ask for it takes nothing from those who do. */
    a.features = i > 0 ? HYPHA_FEATURE_PAIRING : 0;
    b.features = HYPHA_FEATURE_PAIRING;
    b.untold = &untold;
    pair.initiator = start (TRUE, &a);
    pair.responder = start (FALSE, &b);
    carry (pair.initiator, pair.responder, 0);
    carry (pair.responder, pair.initiator, 0);
    assert_state (pair.initiator, HYPHA_HANDSHAKE_DECIDE);
    g_assert_cmpuint (hypha_handshake_get_features (pair.initiator), ==,
                      i == 1 ? HYPHA_FEATURE_PAIRING : 0);
    g_assert_cmpuint (hypha_handshake_get_features (pair.responder), ==,
                      i == 1 ? HYPHA_FEATURE_PAIRING : 0);
  }
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  alice = hypha_identity_generate (NULL);
  bob = hypha_identity_generate (NULL);
  mallory = hypha_identity_generate (NULL);

  g_test_add_func ("/handshake/exchange/both-classes-however-split", test_exchange);
  g_test_add_func ("/handshake/exchange/first-byte-is-no-tls", test_first_byte_is_no_tls);
  g_test_add_func ("/handshake/exchange/leaves-what-follows", test_leaves_what_follows);
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
  g_test_add_func ("/handshake/class/plain-has-no-binding", test_plain_has_no_binding);
  g_test_add_func ("/handshake/class/differs", test_class_differs);
  g_test_add_func ("/handshake/class/plain-refused", test_plain_refused);
  g_test_add_func ("/handshake/id/own", test_own_id);
  g_test_add_func ("/handshake/id/wanted", test_wanted);
  g_test_add_func ("/handshake/id/wanted-cannot-be", test_wanted_cannot_be);
  g_test_add_func ("/handshake/id/auth-to-another-is-refused", test_auth_to_another);
  g_test_add_func ("/handshake/id/auth-by-own-id-is-refused", test_auth_by_own_id);
  g_test_add_func ("/handshake/id/low-order", test_low_order_ids);
  g_test_add_func ("/handshake/reject/by-responder", test_responder_rejects);
  g_test_add_func ("/handshake/reject/by-initiator-says-nothing", test_initiator_rejects);
  g_test_add_func ("/handshake/reject/not-trusted-names-the-command",
                   test_not_trusted_names_the_command);
  g_test_add_func ("/handshake/reject/before-proof-is-not-believed", test_early_reject);
  g_test_add_func ("/handshake/message/versions", test_versions);
  g_test_add_func ("/handshake/message/version-is-told", test_version_is_told);
  g_test_add_func ("/handshake/message/reply-chooses-from-the-offer", test_bad_replies);
  g_test_add_func ("/handshake/message/stranger-fails-at-first-byte",
                   test_stranger_fails_at_first_byte);
  g_test_add_func ("/handshake/message/limits", test_limits);
  g_test_add_func ("/handshake/message/names", test_names);
  g_test_add_func ("/handshake/digits/equal-at-both-ends", test_digits);
  g_test_add_func ("/handshake/pairing/is-agreed-upon-before-auth",
                   test_pairing_is_agreed_upon_before_auth);
  g_test_add_func ("/handshake/pairing/one-reply-takes-it-up", test_one_reply_takes_pairing_up);
  result = g_test_run ();

  hypha_identity_unref (alice);
  hypha_identity_unref (bob);
  hypha_identity_unref (mallory);
  return result;
}
