/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handshake-pair.h"

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
  g_assert_cmpuint (hypha_handshake_get_fingerprint (pair.initiator), ==,
                    hypha_handshake_get_fingerprint (pair.responder));
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

/* Both ends may live twice: a nonce of either is enough. */
static void
test_fingerprint_follows_both_nonces (void)
{
  guint64 seen[3];

  for (guint i = 0; i < G_N_ELEMENTS (seen); i++) {
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_PLAIN),
                             b = parameters (bob, HYPHA_LINK_PLAIN);
    g_auto (Pair) pair = { 0 };

    a.nonce[0] ^= i & 1;
    b.nonce[0] ^= i & 2;
    pair.initiator = start (TRUE, &a);
    pair.responder = start (FALSE, &b);
    carry (pair.initiator, pair.responder, 0);
    carry (pair.responder, pair.initiator, 0);
    hypha_handshake_proceed (pair.initiator, &numbers_i);
    carry (pair.initiator, pair.responder, 0);
    seen[i] = hypha_handshake_get_fingerprint (pair.initiator);
    g_assert_cmpuint (hypha_handshake_get_fingerprint (pair.responder), ==, seen[i]);
    for (guint j = 0; j < i; j++)
      g_assert_cmpuint (seen[i], !=, seen[j]);
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

static void
add_tests (void)
{
  g_test_add_func ("/handshake/exchange/both-classes-however-split", test_exchange);
  g_test_add_func ("/handshake/exchange/fingerprint-follows-both-nonces",
                   test_fingerprint_follows_both_nonces);
  g_test_add_func ("/handshake/exchange/first-byte-is-no-tls", test_first_byte_is_no_tls);
  g_test_add_func ("/handshake/exchange/leaves-what-follows", test_leaves_what_follows);
  g_test_add_func ("/handshake/class/plain-has-no-binding", test_plain_has_no_binding);
  g_test_add_func ("/handshake/class/plain-refused", test_plain_refused);
  g_test_add_func ("/handshake/id/wanted", test_wanted);
  g_test_add_func ("/handshake/id/wanted-cannot-be", test_wanted_cannot_be);
  g_test_add_func ("/handshake/reject/by-responder", test_responder_rejects);
  g_test_add_func ("/handshake/reject/by-initiator-says-nothing", test_initiator_rejects);
  g_test_add_func ("/handshake/reject/not-trusted-names-the-command",
                   test_not_trusted_names_the_command);
  g_test_add_func ("/handshake/message/versions", test_versions);
  g_test_add_func ("/handshake/message/version-is-told", test_version_is_told);
  g_test_add_func ("/handshake/message/reply-chooses-from-the-offer", test_bad_replies);
  g_test_add_func ("/handshake/message/stranger-fails-at-first-byte",
                   test_stranger_fails_at_first_byte);
  g_test_add_func ("/handshake/message/limits", test_limits);
  g_test_add_func ("/handshake/message/names", test_names);
}

int
main (int argc, char **argv)
{
  return handshake_test_main (argc, argv, add_tests);
}
