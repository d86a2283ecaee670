/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The handshake as a pure state machine, message by message. */

#include "refusals.h"

/* ---- a handshake in which one message is tampered with ---- */

typedef GBytes *(*Tamper) (GBytes *bytes, gpointer user_data);

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

static GBytes *
keep_it (GBytes *bytes, gpointer user_data)
{
  GBytes **messages = user_data;

  *messages = g_bytes_ref (bytes);
  return g_bytes_ref (bytes);
}

/* That message of a handshake that comes to its end; with OTHER, the nonces are others. */
static GBytes *
record (Step step, HyphaLinkClass link_class, gboolean other)
{
  HyphaHandshakeParameters a = parameters (alice, link_class), b = parameters (bob, link_class);
  g_auto (Pair) pair = { 0 };
  GBytes *message = NULL;

  a.nonce[0] ^= (guint8) other;
  b.nonce[0] ^= (guint8) other;
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  run (&pair, step, keep_it, &message);
  assert_state (pair.initiator, HYPHA_HANDSHAKE_DONE);
  return message;
}

gsize
message_size (Step step)
{
  g_autoptr (GBytes) message = record (step, HYPHA_LINK_TLS, FALSE);

  return g_bytes_get_size (message);
}

static GBytes *
flip_bit (GBytes *bytes, gpointer user_data)
{
  gsize length = g_bytes_get_size (bytes), bit = *(gsize *) user_data;
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), length);

  data[bit / 8] ^= (guint8) (1u << bit % 8);
  return g_bytes_new_take (g_steal_pointer (&data), length);
}

void
attack_flip (const Refusal *row)
{
  for (HyphaLinkClass link_class = HYPHA_LINK_PLAIN; link_class <= HYPHA_LINK_TLS; link_class++)
    for (gsize bit = row->from * 8; bit < row->to * 8; bit++) {
      g_auto (Pair) pair = { 0 };

      start_pair (&pair, link_class);
      run (&pair, (Step) row->step, flip_bit, &bit);
      refusal_check_ends (row, pair.initiator, pair.responder);
    }
}

static GBytes *
truncate_it (GBytes *bytes, gpointer user_data)
{
  return g_bytes_new_from_bytes (bytes, 0, *(gsize *) user_data);
}

void
attack_truncate (const Refusal *row)
{
  const gsize size = message_size ((Step) row->step);

  for (gsize n = 0; n < size; n++) {
    g_auto (Pair) pair = { 0 };

    start_pair (&pair, HYPHA_LINK_TLS);
    run (&pair, (Step) row->step, truncate_it, &n);
    refusal_check_ends (row, pair.initiator, pair.responder);
  }
}

/* ---- what was recorded, or comes back ---- */

static GBytes *
replace_it (GBytes *bytes, gpointer user_data)
{
  return g_bytes_ref (user_data);
}

void
attack_replay (const Refusal *row)
{
  g_autoptr (GBytes) message = record ((Step) row->step, HYPHA_LINK_TLS, TRUE);
  g_auto (Pair) pair = { 0 };

  start_pair (&pair, HYPHA_LINK_TLS);
  run (&pair, (Step) row->step, replace_it, message);
  refusal_check_ends (row, pair.initiator, pair.responder);
}

/* All that alice has said, to bob once more. */
void
attack_replay_all (const Refusal *row)
{
  g_autoptr (GBytes) hello = record (HELLO, HYPHA_LINK_TLS, FALSE);
  g_autoptr (GBytes) auth = record (AUTH, HYPHA_LINK_TLS, FALSE);

  for (guint fresh = 0; fresh < 2; fresh++) {
    HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
    g_autoptr (HyphaHandshake) responder = NULL;

    b.nonce[0] ^= (guint8) fresh;
    responder = start (FALSE, &b);
    feed (responder, hello, 0);
    feed (responder, auth, 0);
    if (fresh)
      refusal_check_ends (row, NULL, responder);
    else
      assert_state (responder, HYPHA_HANDSHAKE_DECIDE); /* the control: his nonce was the same */
  }
}

void
attack_reflect (const Refusal *row)
{
  g_auto (Pair) pair = { 0 };
  g_autoptr (GBytes) message = NULL;
  HyphaHandshake *sender = row->step % 2 == 0 ? pair.initiator : pair.responder;

  start_pair (&pair, HYPHA_LINK_TLS);
  for (Step now = HELLO; now < (Step) row->step; now++) {
    sender = now % 2 == 0 ? pair.initiator : pair.responder;
    if (hypha_handshake_get_state (sender) == HYPHA_HANDSHAKE_DECIDE)
      hypha_handshake_proceed (sender, &numbers_i);
    carry (sender, now % 2 == 0 ? pair.responder : pair.initiator, 0);
  }
  sender = row->step % 2 == 0 ? pair.initiator : pair.responder;
  if (hypha_handshake_get_state (sender) == HYPHA_HANDSHAKE_DECIDE)
    hypha_handshake_proceed (sender, &numbers_i);
  message = hypha_handshake_take_output (sender);
  feed (sender, message, 0);
  if (row->step % 2 == 0)
    refusal_check_ends (row, sender, NULL);
  else
    refusal_check_ends (row, NULL, sender);
}

/* A node that dials itself: the same instance, or (FROM) one of a copy of it. */
void
attack_lead_back (const Refusal *row)
{
  HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS), b = a;
  g_auto (Pair) pair = { 0 };

  b.instance.bytes[0] ^= (guint8) row->from;
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  carry (pair.initiator, pair.responder, 0);
  carry (pair.responder, pair.initiator, 0);
  g_assert_false (carry (pair.initiator, pair.responder, 0));
  refusal_check_ends (row, pair.initiator, pair.responder);
}

/* ---- somebody in between ---- */

void
attack_relay (const Refusal *row)
{
  HyphaHandshakeParameters a = parameters (alice, (HyphaLinkClass) row->from);
  HyphaHandshakeParameters b = parameters (bob, (HyphaLinkClass) row->to);
  g_auto (Pair) pair = { 0 };

  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  carry (pair.initiator, pair.responder, 0);
  g_assert_false (carry (pair.responder, pair.initiator, 0));
  refusal_check_ends (row, pair.initiator, pair.responder);
}

/* The same with HELLO and REPLY changed, so that each end is told its own class; or (FROM) two TLS
 * connections with a binding each. */
static GBytes *
change_class (GBytes *bytes, gsize at, guint8 link_class)
{
  gsize length = g_bytes_get_size (bytes);
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), length);

  data[at] = link_class;
  return g_bytes_new_take (g_steal_pointer (&data), length);
}

void
attack_binding (const Refusal *row)
{
  const HyphaLinkClass class_a = (HyphaLinkClass) row->from, class_b = (HyphaLinkClass) row->to;
  HyphaHandshakeParameters a = parameters (alice, class_a), b = parameters (bob, class_b);
  g_auto (Pair) pair = { 0 };
  g_autoptr (GBytes) hello = NULL, reply = NULL, hello_b = NULL, reply_a = NULL;

  if (class_a == class_b)
    b.binding[31] ^= 1;
  pair.initiator = start (TRUE, &a);
  pair.responder = start (FALSE, &b);
  hello = hypha_handshake_take_output (pair.initiator);
  hello_b = change_class (hello, 22, (guint8) class_b);
  feed (pair.responder, hello_b, 0);
  reply = hypha_handshake_take_output (pair.responder);
  reply_a = change_class (reply, 20, (guint8) class_a);
  feed (pair.initiator, reply_a, 0);
  if (row->step == 0) {
    refusal_check_ends (row, pair.initiator, pair.responder);
    return;
  }
  /* An initiator that did not mind would come to bob with a signature over what it sees itself. */
  {
    HyphaHandshakeParameters c = parameters (bob, class_a);
    g_autoptr (HyphaHandshake) careless = start (FALSE, &c), dialler = start (TRUE, &a);
    g_autoptr (GBytes) again = hypha_handshake_take_output (dialler), auth = NULL;

    feed (careless, again, 0);
    carry (careless, dialler, 0);
    hypha_handshake_proceed (dialler, &numbers_i);
    auth = hypha_handshake_take_output (dialler);
    feed (pair.responder, auth, 0);
    refusal_check_ends (row, NULL, pair.responder);
  }
}

/* ---- messages that no node sends ---- */

/* Every spelling of a key of low order, and every one that is not reduced. */
static const char *const bad_y[] = {
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
};

static HyphaNodeId
bad_key (gsize n)
{
  HyphaNodeId id;

  if (n / 2 < G_N_ELEMENTS (bad_y)) {
    for (guint i = 0; i < sizeof id.bytes; i++)
      id.bytes[i] = (guint8) (g_ascii_xdigit_value (bad_y[n / 2][2 * i]) << 4 |
                              g_ascii_xdigit_value (bad_y[n / 2][2 * i + 1]));
  } else { /* p and what is above it */
    memset (id.bytes, 0xff, sizeof id.bytes);
    id.bytes[0] = (guint8) (0xed + n / 2 - G_N_ELEMENTS (bad_y));
    id.bytes[31] = 0x7f;
  }
  if (n % 2 == 1)
    id.bytes[31] |= 0x80; /* the other sign */
  return id;
}

void
attack_key_in_reply (const Refusal *row)
{
  for (gsize n = row->from; n < row->to; n++) {
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
    g_autoptr (HyphaHandshake) initiator = start (TRUE, &a);
    const HyphaMessage reply = {
      .type = HYPHA_MESSAGE_REPLY, .version_max = 1, .link_class = HYPHA_LINK_TLS, .id = bad_key (n)
    };
    g_autoptr (GBytes) bytes = make (&reply);

    feed (initiator, bytes, 0);
    refusal_check_ends (row, initiator, NULL);
  }
}

static void
commit_to (HyphaMessage *hello, const guint8 nonce[HYPHA_NONCE_BYTES], const HyphaNodeId *id)
{
  guint8 committed[HYPHA_NONCE_BYTES + HYPHA_NODE_ID_BYTES];

  memcpy (committed, nonce, HYPHA_NONCE_BYTES);
  memcpy (committed + HYPHA_NONCE_BYTES, id->bytes, HYPHA_NODE_ID_BYTES);
  hash_pieces (hello->commitment, "hypha/1 commit", 14, committed, sizeof committed);
}

void
attack_key_in_auth (const Refusal *row)
{
  for (gsize n = row->from; n < row->to; n++) {
    HyphaHandshakeParameters b = parameters (bob, HYPHA_LINK_TLS);
    g_autoptr (HyphaHandshake) responder = start (FALSE, &b);
    HyphaMessage hello = hello_message ();
    const HyphaMessage auth = { .type = HYPHA_MESSAGE_AUTH,
                                .id = bad_key (n),
                                .numbers = numbers_i };
    g_autoptr (GBytes) hello_bytes = NULL, auth_bytes = make (&auth);

    commit_to (&hello, auth.nonce, &auth.id);
    hello_bytes = make (&hello);
    feed (responder, hello_bytes, 0);
    feed (responder, auth_bytes, 0);
    refusal_check_ends (row, NULL, responder);
  }
}

/* What an initiator that is not ours could send, well signed. */
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

/* A responder that got HELLO and a well-signed AUTH of IDENTITY, with the nonce XOR_NONCE away from
 * the one committed to. */
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
void
attack_commitment (const Refusal *row)
{
  g_autoptr (HyphaHandshake) kept = respond_to_crafted (hello_message (), mallory, 0);
  g_autoptr (HyphaHandshake) broken = respond_to_crafted (hello_message (), mallory, 1);

  assert_state (kept, HYPHA_HANDSHAKE_DECIDE);
  refusal_check_ends (row, NULL, broken);
}

/* FROM 0: to whom alice is, whom the HELLO wanted, and not bob, who answers. 1: by bob's own id. */
void
attack_auth_to_another (const Refusal *row)
{
  HyphaMessage hello = hello_message ();
  g_autoptr (HyphaHandshake) wanted = NULL, another = NULL;

  hello.id = *hypha_identity_get_id (bob);
  wanted = respond_to_crafted (hello, mallory, 0);
  assert_state (wanted, HYPHA_HANDSHAKE_DECIDE);
  hello.id = *hypha_identity_get_id (row->from == 0 ? alice : bob);
  another = respond_to_crafted (hello, row->from == 0 ? mallory : bob, 0);
  refusal_check_ends (row, NULL, another);
}

/* Before it has proven who it is, nobody may burn session numbers, or say that he does not trust.
 */
void
attack_early_reject (const Refusal *row)
{
  for (gsize code = row->from; code < row->to; code++) {
    const HyphaMessage message = { .type = HYPHA_MESSAGE_REJECT,
                                   .code = (guint32) code,
                                   .highest = G_MAXUINT64 };
    HyphaHandshakeParameters a = parameters (alice, HYPHA_LINK_TLS);
    g_autoptr (HyphaHandshake) initiator = start (TRUE, &a);
    g_autoptr (GBytes) reject = make (&message);

    feed (initiator, reject, 0);
    g_assert_cmpuint (hypha_handshake_get_rejected (initiator, NULL), ==, 0);
    refusal_check_ends (row, initiator, NULL);
  }
}
