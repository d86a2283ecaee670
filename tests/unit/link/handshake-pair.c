/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handshake-pair.h"

HyphaIdentity *alice, *bob, *mallory;

const HyphaHandshakeNumbers numbers_i = { 11, 12, 13, "alice" };
const HyphaHandshakeNumbers numbers_r = { G_MAXUINT64, 22, G_MAXUINT32,
                                          "b\xc3\xb6"
                                          "b" };

void
pair_clear (Pair *pair)
{
  g_clear_pointer (&pair->initiator, hypha_handshake_free);
  g_clear_pointer (&pair->responder, hypha_handshake_free);
}

HyphaHandshakeParameters
parameters (HyphaIdentity *identity, HyphaLinkClass link_class)
{
  HyphaHandshakeParameters p = { .identity = identity, .link_class = link_class };

  memset (p.instance.bytes, identity == alice ? 1 : 2, sizeof p.instance.bytes);
  memset (p.nonce, identity == alice ? 3 : 4, sizeof p.nonce);
  memset (p.binding, link_class == HYPHA_LINK_TLS ? 5 : 0, sizeof p.binding);
  return p;
}

HyphaHandshake *
start (gboolean initiator, const HyphaHandshakeParameters *p)
{
  g_autoptr (GError) error = NULL;
  HyphaHandshake *handshake = hypha_handshake_new (initiator, p, &error);

  g_assert_no_error (error);
  return handshake;
}

void
start_pair (Pair *pair, HyphaLinkClass link_class)
{
  HyphaHandshakeParameters a = parameters (alice, link_class), b = parameters (bob, link_class);

  pair->initiator = start (TRUE, &a);
  pair->responder = start (FALSE, &b);
}

gsize
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

gboolean
carry (HyphaHandshake *from, HyphaHandshake *to, gsize split)
{
  g_autoptr (GBytes) bytes = hypha_handshake_take_output (from);

  if (bytes == NULL)
    return FALSE;
  feed (to, bytes, split);
  return TRUE;
}

void
assert_failed (HyphaHandshake *handshake, HyphaError code, const char *message)
{
  const GError *error = hypha_handshake_get_error (handshake);

  assert_state (handshake, HYPHA_HANDSHAKE_FAILED);
  g_assert_error (error, HYPHA_ERROR, (int) code);
  if (strstr (error->message, message) == NULL)
    g_test_message ("\"%s\" does not say \"%s\"", error->message, message);
  g_assert_nonnull (strstr (error->message, message));
}

void
meet (Pair *pair)
{
  carry (pair->initiator, pair->responder, 0);
  carry (pair->responder, pair->initiator, 0);
  assert_state (pair->initiator, HYPHA_HANDSHAKE_DECIDE);
  hypha_handshake_proceed (pair->initiator, &numbers_i);
  carry (pair->initiator, pair->responder, 0);
  assert_state (pair->responder, HYPHA_HANDSHAKE_DECIDE);
}

GBytes *
make (const HyphaMessage *message)
{
  guint8 bytes[HYPHA_MESSAGE_MAX] = { 0 };

  return g_bytes_new (bytes, hypha_message_write (message, bytes));
}

HyphaMessage
hello_message (void)
{
  HyphaMessage hello = {
    .type = HYPHA_MESSAGE_HELLO, .version_min = 1, .version_max = 1, .link_class = HYPHA_LINK_TLS
  };

  memset (hello.instance.bytes, 9, sizeof hello.instance.bytes);
  return hello;
}

void
hash_pieces (guint8 digest[32], const void *a, gsize a_length, const void *b, gsize b_length)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize length = 32;

  g_checksum_update (checksum, a, (gssize) a_length);
  g_checksum_update (checksum, b, (gssize) b_length);
  g_checksum_get_digest (checksum, digest, &length);
}

void
first_transcript (GBytes *hello, GBytes *reply, guint8 digest[32])
{
  hash_pieces (digest, g_bytes_get_data (hello, NULL), g_bytes_get_size (hello),
               g_bytes_get_data (reply, NULL), g_bytes_get_size (reply) - HYPHA_SIGNATURE_BYTES);
}

int
handshake_test_main (int argc, char **argv, void (*add_tests) (void))
{
  int result;

  g_test_init (&argc, &argv, NULL);
  alice = hypha_identity_generate (NULL);
  bob = hypha_identity_generate (NULL);
  mallory = hypha_identity_generate (NULL);

  add_tests ();
  result = g_test_run ();

  hypha_identity_unref (alice);
  hypha_identity_unref (bob);
  hypha_identity_unref (mallory);
  return result;
}
