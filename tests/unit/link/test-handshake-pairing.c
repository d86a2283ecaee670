/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handshake-pair.h"

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

static void
add_tests (void)
{
  g_test_add_func ("/handshake/digits/equal-at-both-ends", test_digits);
  g_test_add_func ("/handshake/pairing/is-agreed-upon-before-auth",
                   test_pairing_is_agreed_upon_before_auth);
  g_test_add_func ("/handshake/pairing/one-reply-takes-it-up", test_one_reply_takes_pairing_up);
}

int
main (int argc, char **argv)
{
  return handshake_test_main (argc, argv, add_tests);
}
