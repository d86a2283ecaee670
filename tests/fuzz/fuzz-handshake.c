/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include "link/handshake-message.h"

#include <string.h>

/* First byte: what is done (bits 0 and 1), class (bit 2), whether plain is refused (bit 3). Second
 * byte: how many bytes go in at once, 0: all. The rest: 0, 1   goes to the responder, or the
 * initiator, as it is 2      a byte that names one message of an honest handshake, then changes to
 * it, which must be found out 3      the same, but the message is signed after it was changed: by a
 * peer whose key is good and who means harm A change: two bytes where, one byte what it is XORed
 * with. In 3, a byte goes first by which the body grows (128: shrinks). */

static HyphaIdentity *ours, *theirs;

typedef struct {
  const uint8_t *p;
  size_t left;
  gsize split;
  HyphaLinkClass link_class;
  gboolean plain_refused;
} Input;

static guint
next_byte (Input *input)
{
  if (input->left == 0)
    return 0;
  input->left--;
  return *input->p++;
}

static HyphaHandshakeParameters
parameters (const Input *input, HyphaIdentity *identity)
{
  HyphaHandshakeParameters p = { .identity = identity, .link_class = input->link_class };

  memset (p.instance.bytes, identity == ours ? 1 : 2, sizeof p.instance.bytes);
  memset (p.nonce, identity == ours ? 3 : 4, sizeof p.nonce);
  memset (p.binding, input->link_class == HYPHA_LINK_TLS ? 5 : 0, sizeof p.binding);
  p.plain_refused = input->plain_refused;
  return p;
}

static HyphaHandshake *
start (const Input *input, gboolean initiator, HyphaIdentity *identity)
{
  HyphaHandshakeParameters p = parameters (input, identity);

  return hypha_handshake_new (initiator, &p, NULL);
}

/* Every state has what belongs to it. */
static void
check_state (HyphaHandshake *handshake)
{
  HyphaHandshakeState state = hypha_handshake_get_state (handshake);
  const HyphaHandshakeNumbers *numbers = hypha_handshake_get_peer_numbers (handshake);
  const GError *error = hypha_handshake_get_error (handshake);

  g_assert_true ((state == HYPHA_HANDSHAKE_FAILED) == (error != NULL));
  if (error != NULL)
    g_assert_true (error->domain == HYPHA_ERROR && g_utf8_validate (error->message, -1, NULL));
  if (state == HYPHA_HANDSHAKE_DECIDE || state == HYPHA_HANDSHAKE_DONE)
    g_assert_true (hypha_node_id_is_usable (hypha_handshake_get_peer (handshake)));
  if (state == HYPHA_HANDSHAKE_DONE)
    g_assert_nonnull (numbers);
  if (numbers != NULL)
    g_assert_true (g_utf8_validate (numbers->name, -1, NULL) &&
                   strlen (numbers->name) <= HYPHA_NAME_MAX);
  g_assert_cmpuint (hypha_handshake_get_digits (handshake), <=, 999999);
}

static gsize
feed (Input *input, HyphaHandshake *to, const guint8 *data, gsize length)
{
  gsize taken = 0;

  while (taken < length) {
    gsize n = input->split > 0 ? MIN (input->split, length - taken) : length - taken;
    gsize got = hypha_handshake_receive (to, data + taken, n);

    check_state (to);
    g_assert_cmpuint (got, <=, n);
    taken += got;
    if (got < n) {
      g_assert_cmpint (hypha_handshake_get_state (to), !=, HYPHA_HANDSHAKE_READING);
      break;
    }
  }
  return taken;
}

static void
proceed (HyphaHandshake *handshake)
{
  const HyphaHandshakeNumbers numbers = { 1, 2, 3, "name" };

  if (hypha_handshake_get_state (handshake) == HYPHA_HANDSHAKE_DECIDE)
    hypha_handshake_proceed (handshake, &numbers);
  check_state (handshake);
}

static void
run_raw (Input *input, gboolean initiator)
{
  g_autoptr (HyphaHandshake) handshake = start (input, initiator, ours);
  gsize taken = feed (input, handshake, input->p, input->left);

  g_assert_cmpuint (taken, <=, HYPHA_HANDSHAKE_MAX);
  g_assert_cmpint (hypha_handshake_get_state (handshake), !=, HYPHA_HANDSHAKE_DONE);
  g_assert_cmpint (hypha_handshake_get_state (handshake), !=, HYPHA_HANDSHAKE_DECIDE);
}

static gboolean
change (Input *input, guint8 *data, gsize length)
{
  g_autofree guint8 *before = g_memdup2 (data, length);

  while (input->left >= 3) {
    guint at = next_byte (input) << 8;

    at |= next_byte (input);
    data[at % length] ^= (guint8) next_byte (input);
  }
  return memcmp (before, data, length) != 0;
}

static void
run_changed (Input *input)
{
  g_autoptr (HyphaHandshake) initiator = start (input, TRUE, ours);
  g_autoptr (HyphaHandshake) responder = start (input, FALSE, theirs);
  guint changed_step = next_byte (input) % 4;
  gboolean changed = FALSE;

  for (guint step = 0; step < 4; step++) {
    HyphaHandshake *from = step % 2 == 0 ? initiator : responder;
    g_autoptr (GBytes) bytes = NULL;
    g_autofree guint8 *data = NULL;
    gsize length;

    proceed (from);
    bytes = hypha_handshake_take_output (from);
    if (bytes == NULL)
      break;
    length = g_bytes_get_size (bytes);
    data = g_memdup2 (g_bytes_get_data (bytes, NULL), length);
    if (step == changed_step)
      changed = change (input, data, length);
    feed (input, step % 2 == 0 ? responder : initiator, data, length);
  }
  if (changed)
    g_assert_cmpint (hypha_handshake_get_state (initiator), !=, HYPHA_HANDSHAKE_DONE);
  if (changed && changed_step < 3)
    g_assert_cmpint (hypha_handshake_get_state (responder), !=, HYPHA_HANDSHAKE_DONE);
  if (!changed && !(input->plain_refused && input->link_class == HYPHA_LINK_PLAIN)) {
    g_assert_cmpint (hypha_handshake_get_state (initiator), ==, HYPHA_HANDSHAKE_DONE);
    g_assert_cmpuint (hypha_handshake_get_digits (initiator), ==,
                      hypha_handshake_get_digits (responder));
  }
}

static void
hash_into (GByteArray *to, const void *a, gsize a_length, const void *b, gsize b_length)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  guint8 digest[32];
  gsize length = sizeof digest;

  g_checksum_update (checksum, a, (gssize) a_length);
  g_checksum_update (checksum, b, (gssize) b_length);
  g_checksum_get_digest (checksum, digest, &length);
  g_byte_array_append (to, digest, sizeof digest);
}

/* The transcript goes on by a message that ends with a signature, ours or theirs. */
static void
absorb (GByteArray *chain, const guint8 *data, gsize length)
{
  g_autoptr (GByteArray) next = g_byte_array_new ();

  hash_into (next, chain->data, chain->len, data, length - HYPHA_SIGNATURE_BYTES);
  g_byte_array_set_size (chain, 0);
  g_byte_array_append (chain, next->data, next->len);
  g_byte_array_append (chain, data + length - HYPHA_SIGNATURE_BYTES, HYPHA_SIGNATURE_BYTES);
}

/* MESSAGE as the harmful peer sends it: changed if CHANGED, of another length, and well signed.
 * Returns whether it differs from the honest one. */
static gboolean
send_harm (Input *input, const HyphaMessage *message, const char *label, gboolean changed,
           GByteArray *chain, HyphaHandshake *to)
{
  guint8 data[HYPHA_MESSAGE_MAX + 128] = { 0 };
  gsize length = hypha_message_write (message, data),
        tail = label != NULL ? HYPHA_SIGNATURE_BYTES : 0;
  HyphaHandshakeParameters p = parameters (input, theirs);
  g_autoptr (GByteArray) said = g_byte_array_new ();
  const guint8 link_class = (guint8) p.link_class;
  gboolean harmful = FALSE;

  if (changed) {
    const gsize honest = length;
    guint by = next_byte (input);

    if (by < 128)
      length += by;
    else
      length -= MIN (by - 128, length - HYPHA_MESSAGE_HEAD - tail - 1);
    harmful = change (input, data + HYPHA_MESSAGE_HEAD, length - HYPHA_MESSAGE_HEAD - tail);
    harmful = harmful || length != honest;
    data[HYPHA_MESSAGE_HEAD - 2] = (guint8) ((length - HYPHA_MESSAGE_HEAD) >> 8);
    data[HYPHA_MESSAGE_HEAD - 1] = (guint8) (length - HYPHA_MESSAGE_HEAD);
  }
  if (label != NULL) {
    g_byte_array_append (said, (const guint8 *) label, (guint) strlen (label));
    g_byte_array_append (said, &link_class, 1);
    g_byte_array_append (said, p.binding, sizeof p.binding);
    hash_into (said, chain->data, chain->len, data, length - tail);
    hypha_identity_sign (theirs, said->data, said->len, data + length - tail, NULL);
    absorb (chain, data, length);
  } else {
    g_byte_array_append (chain, data, (guint) length);
  }
  feed (input, to, data, length);
  return harmful;
}

static HyphaMessage
message_of (const Input *input, HyphaMessageType type)
{
  HyphaHandshakeParameters p = parameters (input, theirs);
  HyphaMessage message = { .type = type,
                           .version_min = 1,
                           .version_max = 1,
                           .link_class = (guint8) p.link_class,
                           .instance = p.instance,
                           .numbers = { 1, 2, 3, "name" } };

  memcpy (message.nonce, p.nonce, sizeof message.nonce);
  if (type != HYPHA_MESSAGE_HELLO)
    message.id = *hypha_identity_get_id (theirs);
  return message;
}

/* Whoever means no harm arrives: so the other runs have failed by the harm alone. */
static void
check_end (const Input *input, gboolean harmful, HyphaHandshake *handshake)
{
  if (!harmful && !(input->plain_refused && input->link_class == HYPHA_LINK_PLAIN))
    g_assert_cmpint (hypha_handshake_get_state (handshake), ==, HYPHA_HANDSHAKE_DONE);
}

static void
run_harmful_initiator (Input *input, gboolean in_auth)
{
  g_autoptr (HyphaHandshake) responder = start (input, FALSE, ours);
  g_autoptr (GByteArray) chain = g_byte_array_new (), commitment = g_byte_array_new ();
  HyphaMessage hello = message_of (input, HYPHA_MESSAGE_HELLO),
               auth = message_of (input, HYPHA_MESSAGE_AUTH);
  guint8 committed[HYPHA_NONCE_BYTES + HYPHA_NODE_ID_BYTES];
  g_autoptr (GBytes) reply = NULL;
  gboolean harmful;

  memcpy (committed, auth.nonce, HYPHA_NONCE_BYTES);
  memcpy (committed + HYPHA_NONCE_BYTES, auth.id.bytes, HYPHA_NODE_ID_BYTES);
  hash_into (commitment, "hypha/1 commit", 14, committed, sizeof committed);
  memcpy (hello.commitment, commitment->data, sizeof hello.commitment);
  harmful = send_harm (input, &hello, NULL, !in_auth, chain, responder);
  reply = hypha_handshake_take_output (responder);
  if (reply == NULL || hypha_handshake_get_state (responder) != HYPHA_HANDSHAKE_READING)
    return;
  absorb (chain, g_bytes_get_data (reply, NULL), g_bytes_get_size (reply));
  harmful |= send_harm (input, &auth, "hypha/1 initiator", in_auth, chain, responder);
  proceed (responder);
  check_end (input, harmful, responder);
}

static void
run_harmful_responder (Input *input, gboolean in_accept)
{
  g_autoptr (HyphaHandshake) initiator = start (input, TRUE, ours);
  g_autoptr (GByteArray) chain = g_byte_array_new ();
  HyphaMessage reply = message_of (input, HYPHA_MESSAGE_REPLY),
               accept = message_of (input, HYPHA_MESSAGE_ACCEPT);
  g_autoptr (GBytes) hello = hypha_handshake_take_output (initiator), auth = NULL;
  gboolean harmful;

  g_byte_array_append (chain, g_bytes_get_data (hello, NULL), (guint) g_bytes_get_size (hello));
  harmful = send_harm (input, &reply, "hypha/1 responder", !in_accept, chain, initiator);
  proceed (initiator);
  auth = hypha_handshake_take_output (initiator);
  if (auth == NULL)
    return;
  absorb (chain, g_bytes_get_data (auth, NULL), g_bytes_get_size (auth));
  harmful |= send_harm (input, &accept, "hypha/1 accept", in_accept, chain, initiator);
  check_end (input, harmful, initiator);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Input input = { data, size, 0, HYPHA_LINK_PLAIN, FALSE };
  guint first = next_byte (&input), step;

  if (ours == NULL) {
    ours = hypha_identity_generate (NULL);
    theirs = hypha_identity_generate (NULL);
  }
  input.split = next_byte (&input);
  input.link_class = first & 4 ? HYPHA_LINK_TLS : HYPHA_LINK_PLAIN;
  input.plain_refused = (first & 8) != 0;
  switch (first & 3) {
  case 0:
  case 1:
    run_raw (&input, (first & 3) == 1);
    break;
  case 2:
    run_changed (&input);
    break;
  default:
    step = next_byte (&input) % 4;
    if (step % 2 == 0)
      run_harmful_initiator (&input, step == 2);
    else
      run_harmful_responder (&input, step == 3);
  }
  return 0;
}
