/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/handshake.h"
#include "link/handshake-message.h"
#include "link/handshake-rejection.h"
#include "link/handshake-transcript.h"
#include "link/wire.h"

#include <glib/gi18n-lib.h>
#include <gnutls/crypto.h>

#define VERSION 1

static const HyphaNodeId nobody;

struct _HyphaHandshake {
  gboolean initiator;
  HyphaHandshakeParameters mine;
  HyphaNodeId wanted; /* initiator: or nobody; responder: as HELLO said */
  HyphaHandshakeState state;
  GError *error;
  guint expected; /* types of messages, 1 << type */
  guint8 buffer[HYPHA_MESSAGE_MAX];
  gsize filled;
  GByteArray *output;

  HyphaTranscript transcript;
  guint8 commitment[HYPHA_HASH_BYTES];
  guint64 features;

  HyphaNodeId peer;
  gboolean peer_proven;
  HyphaInstance peer_instance;
  HyphaHandshakeNumbers peer_numbers;
  gboolean peer_numbers_known;
  guint digits;
  guint64 fingerprint; /* of T2 */
  HyphaRejectCode rejected;
  guint64 highest;
};

static void
take_error (HyphaHandshake *self, GError *error)
{
  g_assert (self->error == NULL);
  self->error = error;
  self->state = HYPHA_HANDSHAKE_FAILED;
}

G_GNUC_PRINTF (3, 4)
static void
fail (HyphaHandshake *self, HyphaError code, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  take_error (self, g_error_new_valist (HYPHA_ERROR, (int) code, format, args));
  va_end (args);
}

static void
send_plainly (HyphaHandshake *self, const HyphaMessage *message)
{
  guint8 bytes[HYPHA_MESSAGE_MAX];

  g_byte_array_append (self->output, bytes, (guint) hypha_message_write (message, bytes));
}

/* FALSE: the handshake has failed. */
static gboolean
send_signed (HyphaHandshake *self, const HyphaMessage *message, const char *label)
{
  guint8 bytes[HYPHA_MESSAGE_MAX];
  gsize length = hypha_message_write (message, bytes);
  guint8 *signature = bytes + length - HYPHA_SIGNATURE_BYTES;
  g_autoptr (GByteArray) said = NULL;
  GError *error = NULL;

  hypha_transcript_absorb (&self->transcript, bytes, length);
  said = hypha_transcript_state (&self->transcript, label, &self->mine);
  if (!hypha_identity_sign (self->mine.identity, said->data, said->len, signature, &error)) {
    take_error (self, error);
    return FALSE;
  }
  hypha_transcript_absorb_signature (&self->transcript, signature);
  g_byte_array_append (self->output, bytes, (guint) length);
  return TRUE;
}

/* The same at the other end: the message in the buffer, by PEER. */
static gboolean
verify_signed (HyphaHandshake *self, const HyphaNodeId *peer, const char *label)
{
  const guint8 *signature = self->buffer + self->filled - HYPHA_SIGNATURE_BYTES;
  g_autoptr (GByteArray) said = NULL;

  hypha_transcript_absorb (&self->transcript, self->buffer, self->filled);
  said = hypha_transcript_state (&self->transcript, label, &self->mine);
  hypha_transcript_absorb_signature (&self->transcript, signature);
  if (hypha_node_id_verify (peer, said->data, said->len, signature))
    return TRUE;
  fail (self, HYPHA_ERROR_HANDSHAKE,
        _ ("The other end's signature is wrong: it is not the node it says, or somebody sits in "
           "between"));
  return FALSE;
}

/* This end says no. */
static void
fail_by_own_verdict (HyphaHandshake *self, HyphaRejectCode code)
{
  take_error (self, hypha_rejection_of_ours (code, self->peer_proven ? &self->peer : NULL));
}

/* The responder says no, and tells. */
static void
refuse (HyphaHandshake *self, HyphaRejectCode code, guint64 highest)
{
  const HyphaMessage message = { .type = HYPHA_MESSAGE_REJECT, .code = code, .highest = highest };

  send_plainly (self, &message);
  fail_by_own_verdict (self, code);
}

/* The responder said no. */
static void
receive_reject (HyphaHandshake *self, const HyphaMessage *message)
{
  const guint early = 1u << HYPHA_REJECT_TLS_REQUIRED | 1u << HYPHA_REJECT_BUSY |
                      1u << HYPHA_REJECT_SELF | 1u << HYPHA_REJECT_VERSION;

  /* Whoever has not proven who he is speaks for nobody; and a step up from TLS there is none. */
  if (!hypha_rejection_is_known (message->code) ||
      (!self->peer_proven && !(early & 1u << message->code)) ||
      (message->code == HYPHA_REJECT_TLS_REQUIRED && self->mine.link_class == HYPHA_LINK_TLS)) {
    fail (self, HYPHA_ERROR_HANDSHAKE,
          _ ("The other end refused the link for a reason (%u) that makes no sense"),
          message->code);
    return;
  }
  self->rejected = (HyphaRejectCode) message->code;
  self->highest = message->highest;
  take_error (self,
              hypha_rejection_of_theirs (self->rejected, self->peer_proven ? &self->peer : NULL,
                                         hypha_identity_get_id (self->mine.identity)));
}

static void
receive_hello (HyphaHandshake *self, const HyphaMessage *hello)
{
  HyphaMessage reply = {
    .type = HYPHA_MESSAGE_REPLY,
    .version_max = VERSION,
    .features = hello->features & self->mine.features,
    .link_class = (guint8) self->mine.link_class,
    .instance = self->mine.instance,
    .id = *hypha_identity_get_id (self->mine.identity),
  };

  if (hello->version_min > VERSION || hello->version_max < VERSION) {
    refuse (self, HYPHA_REJECT_VERSION, 0);
    return;
  }
  if (hello->link_class != self->mine.link_class) {
    fail (self, HYPHA_ERROR_HANDSHAKE,
          _ ("The other end takes this link for %s, but it is %s here: somebody "
             "sits in between"),
          hello->link_class == HYPHA_LINK_TLS ? "TLS" : _ ("plain"),
          self->mine.link_class == HYPHA_LINK_TLS ? "TLS" : _ ("plain"));
    return;
  }
  if (hello->link_class == HYPHA_LINK_PLAIN && self->mine.plain_refused) {
    refuse (self, HYPHA_REJECT_TLS_REQUIRED, 0);
    return;
  }
  if (memcmp (&hello->instance, &self->mine.instance, sizeof hello->instance) == 0) {
    refuse (self, HYPHA_REJECT_SELF, 0);
    return;
  }
  /* With the REPLY, whoever dialled knows the digits, and still may go away without having said who
   * it is: it must not come again until they suit it. */
  if ((reply.features & HYPHA_FEATURE_PAIRING) && self->mine.untold != NULL &&
      !atomic_exchange (self->mine.untold, FALSE))
    reply.features &= ~HYPHA_FEATURE_PAIRING;
  memcpy (self->commitment, hello->commitment, sizeof self->commitment);
  self->peer_instance = hello->instance;
  self->wanted = hello->id;
  self->features = reply.features;

  hypha_transcript_begin (&self->transcript, self->buffer, self->filled);
  memcpy (reply.nonce, self->mine.nonce, sizeof reply.nonce);
  if (!send_signed (self, &reply, "hypha/1 responder"))
    return;
  self->expected = 1u << HYPHA_MESSAGE_AUTH;
}

static void
receive_reply (HyphaHandshake *self, const HyphaMessage *reply)
{
  const HyphaNodeId *own = hypha_identity_get_id (self->mine.identity);

  if (reply->version_max != VERSION || (reply->features & ~self->mine.features) != 0 ||
      reply->link_class != self->mine.link_class) {
    fail (self, HYPHA_ERROR_HANDSHAKE,
          _ ("The other end chose a version, a feature or a class of link that was not offered"));
    return;
  }
  if (!hypha_node_id_is_usable (&reply->id)) {
    fail (self, HYPHA_ERROR_HANDSHAKE, _ ("The other end shows an id that anybody could sign for"));
    return;
  }
  if (hypha_node_id_equal (&reply->id, own) ||
      memcmp (&reply->instance, &self->mine.instance, sizeof reply->instance) == 0) {
    fail_by_own_verdict (self, HYPHA_REJECT_SELF);
    return;
  }
  if (!verify_signed (self, &reply->id, "hypha/1 responder"))
    return;
  self->peer = reply->id;
  self->peer_proven = TRUE;
  self->peer_instance = reply->instance;
  self->features = reply->features;
  if (!hypha_node_id_equal (&self->wanted, &nobody) &&
      !hypha_node_id_equal (&self->wanted, &self->peer)) {
    g_autofree char *wanted = hypha_node_id_to_string (&self->wanted);
    g_autofree char *peer = hypha_node_id_to_string (&self->peer);

    fail (self, HYPHA_ERROR_WRONG_ID, _ ("Node %s answered where node %s was expected"), peer,
          wanted);
    return;
  }
  self->digits = hypha_transcript_digits (&self->transcript, self->mine.nonce, own);
  self->state = HYPHA_HANDSHAKE_DECIDE;
}

static void
receive_auth (HyphaHandshake *self, const HyphaMessage *auth)
{
  const HyphaNodeId *own = hypha_identity_get_id (self->mine.identity);
  guint8 commitment[HYPHA_HASH_BYTES];

  hypha_handshake_commit (auth->nonce, &auth->id, commitment);
  if (gnutls_memcmp (commitment, self->commitment, sizeof commitment) != 0) {
    fail (self, HYPHA_ERROR_HANDSHAKE,
          _ ("The other end did not keep to what it had committed itself to: somebody may sit in "
             "between"));
    return;
  }
  if (!hypha_node_id_is_usable (&auth->id)) {
    fail (self, HYPHA_ERROR_HANDSHAKE, _ ("The other end shows an id that anybody could sign for"));
    return;
  }
  if (hypha_node_id_equal (&auth->id, own)) {
    refuse (self, HYPHA_REJECT_SELF, 0);
    return;
  }
  if (!verify_signed (self, &auth->id, "hypha/1 initiator"))
    return;
  self->peer = auth->id;
  self->peer_proven = TRUE;
  self->peer_numbers = auth->numbers;
  self->peer_numbers_known = TRUE;
  self->fingerprint = hypha_transcript_fingerprint (&self->transcript);
  if (!hypha_node_id_equal (&self->wanted, &nobody) && !hypha_node_id_equal (&self->wanted, own)) {
    refuse (self, HYPHA_REJECT_WRONG_ID, 0);
    return;
  }
  self->digits = hypha_transcript_digits (&self->transcript, auth->nonce, &auth->id);
  self->state = HYPHA_HANDSHAKE_DECIDE;
}

static void
receive_accept (HyphaHandshake *self, const HyphaMessage *accept)
{
  if (!verify_signed (self, &self->peer, "hypha/1 accept"))
    return;
  self->peer_numbers = accept->numbers;
  self->peer_numbers_known = TRUE;
  self->state = HYPHA_HANDSHAKE_DONE;
}

static void
receive_message (HyphaHandshake *self)
{
  HyphaMessage message;
  const char *wrong = hypha_message_parse (self->buffer, self->filled, &message);

  if (wrong != NULL) {
    fail (self, HYPHA_ERROR_HANDSHAKE, _ ("The other end sent %s"), wrong);
    return;
  }
  switch (message.type) {
  case HYPHA_MESSAGE_HELLO:
    receive_hello (self, &message);
    break;
  case HYPHA_MESSAGE_REPLY:
    receive_reply (self, &message);
    break;
  case HYPHA_MESSAGE_AUTH:
    receive_auth (self, &message);
    break;
  case HYPHA_MESSAGE_ACCEPT:
    receive_accept (self, &message);
    break;
  case HYPHA_MESSAGE_REJECT:
    receive_reject (self, &message);
    break;
  }
}

static void
send_hello (HyphaHandshake *self)
{
  HyphaMessage hello = {
    .type = HYPHA_MESSAGE_HELLO,
    .version_min = VERSION,
    .version_max = VERSION,
    .features = self->mine.features,
    .link_class = (guint8) self->mine.link_class,
    .instance = self->mine.instance,
    .id = self->wanted,
  };

  hypha_handshake_commit (self->mine.nonce, hypha_identity_get_id (self->mine.identity),
                          hello.commitment);
  send_plainly (self, &hello);
  hypha_transcript_begin (&self->transcript, self->output->data, self->output->len);
}

/**
 * hypha_handshake_new:
 * @initiator: whether this end speaks first
 * @parameters: what this end is and sees; copied, with a reference on the identity
 * @error: return location for an error
 *
 * Begins a handshake. The initiator's HELLO is in the output at once.
 *
 * Returns: (transfer full) (nullable): the handshake; %NULL with %HYPHA_ERROR_INVALID_ID if the
 * wanted id can be no other node's
 */
HyphaHandshake *
hypha_handshake_new (gboolean initiator, const HyphaHandshakeParameters *parameters, GError **error)
{
  const HyphaNodeId *wanted = initiator ? parameters->wanted : NULL;
  HyphaHandshake *self;

  if (wanted != NULL && !hypha_node_id_is_usable (wanted)) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID,
                         _ ("The wanted node id is no key that a node could have"));
    return NULL;
  }
  if (wanted != NULL &&
      hypha_node_id_equal (wanted, hypha_identity_get_id (parameters->identity))) {
    g_set_error_literal (
        error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID,
        _ ("The wanted node id is this node's own: a node does not talk to itself"));
    return NULL;
  }

  self = g_new0 (HyphaHandshake, 1);
  self->initiator = initiator;
  self->mine = *parameters;
  self->mine.identity = hypha_identity_ref (parameters->identity);
  self->mine.wanted = NULL;
  if (wanted != NULL)
    self->wanted = *wanted;
  if (self->mine.link_class == HYPHA_LINK_PLAIN)
    memset (self->mine.binding, 0, sizeof self->mine.binding);
  self->state = HYPHA_HANDSHAKE_READING;
  self->output = g_byte_array_new ();
  hypha_transcript_init (&self->transcript);
  if (initiator)
    send_hello (self);
  self->expected = initiator ? 1u << HYPHA_MESSAGE_REPLY | 1u << HYPHA_MESSAGE_REJECT
                             : 1u << HYPHA_MESSAGE_HELLO;
  return self;
}

/**
 * hypha_handshake_free:
 * @self: (transfer full): a handshake
 *
 * Frees it, in whatever state.
 */
void
hypha_handshake_free (HyphaHandshake *self)
{
  hypha_identity_unref (self->mine.identity);
  g_byte_array_unref (self->output);
  hypha_transcript_clear (&self->transcript);
  g_clear_error (&self->error);
  g_free (self);
}

/**
 * hypha_handshake_receive:
 * @self: a handshake
 * @data: (array length=length): bytes from the other end
 * @length: bytes of @data
 *
 * Takes bytes while the state is %HYPHA_HANDSHAKE_READING: none that lie behind a message that
 * changes it. A byte that can be part of no handshake fails it at once. See what is in the output
 * after each call.
 *
 * Returns: how many bytes were taken
 */
gsize
hypha_handshake_receive (HyphaHandshake *self, const guint8 *data, gsize length)
{
  gsize taken = 0;

  while (taken < length && self->state == HYPHA_HANDSHAKE_READING) {
    const char *wrong;
    gssize size = hypha_message_judge (self->buffer, self->filled, self->expected, &wrong);
    gsize missing = (size > 0 ? (gsize) size : HYPHA_MESSAGE_HEAD) - self->filled;
    gsize n = MIN (missing, length - taken);

    memcpy (self->buffer + self->filled, data + taken, n);
    self->filled += n;
    taken += n;
    size = hypha_message_judge (self->buffer, self->filled, self->expected, &wrong);
    if (size < 0) {
      fail (self, HYPHA_ERROR_HANDSHAKE, _ ("The other end sent %s"), wrong);
    } else if ((gsize) size == self->filled) {
      receive_message (self);
      self->filled = 0;
    }
  }
  return taken;
}

/**
 * hypha_handshake_get_state:
 * @self: a handshake
 *
 * Returns: what it waits for, or how it ended
 */
HyphaHandshakeState
hypha_handshake_get_state (HyphaHandshake *self)
{
  return self->state;
}

/**
 * hypha_handshake_get_error:
 * @self: a handshake
 *
 * Returns: (transfer none) (nullable): why it failed, in the domain %HYPHA_ERROR; %NULL if it has
 * not
 */
const GError *
hypha_handshake_get_error (HyphaHandshake *self)
{
  return self->error;
}

/**
 * hypha_handshake_take_output:
 * @self: a handshake
 *
 * Returns: (transfer full) (nullable): bytes to be sent; %NULL if there are none
 */
GBytes *
hypha_handshake_take_output (HyphaHandshake *self)
{
  GBytes *bytes;

  if (self->output->len == 0)
    return NULL;
  bytes = g_byte_array_free_to_bytes (self->output);
  self->output = g_byte_array_new ();
  return bytes;
}

/**
 * hypha_handshake_proceed:
 * @self: a handshake in the state %HYPHA_HANDSHAKE_DECIDE
 * @mine: what this end tells of itself
 *
 * The other end is welcome. The initiator sends AUTH and reads on; the responder sends ACCEPT and
 * is done. Fails, as the state then says, if the name is none, or the key does not sign.
 */
void
hypha_handshake_proceed (HyphaHandshake *self, const HyphaHandshakeNumbers *mine)
{
  HyphaMessage message = {
    .type = self->initiator ? HYPHA_MESSAGE_AUTH : HYPHA_MESSAGE_ACCEPT,
    .id = *hypha_identity_get_id (self->mine.identity),
    .numbers = *mine,
  };

  g_return_if_fail (self->state == HYPHA_HANDSHAKE_DECIDE);
  if (hypha_wire_judge_name ((const guint8 *) mine->name,
                             strnlen (mine->name, sizeof mine->name)) != NULL ||
      strnlen (mine->name, sizeof mine->name) > HYPHA_NAME_MAX) {
    fail (self, HYPHA_ERROR_INVALID_SETTING,
          _ ("This node's name is longer than %d bytes, not UTF-8, or holds spaces, control "
             "characters "
             "or others that cannot be seen: set another"),
          HYPHA_NAME_MAX);
    return;
  }
  memcpy (message.nonce, self->mine.nonce, sizeof message.nonce);
  if (!send_signed (self, &message, self->initiator ? "hypha/1 initiator" : "hypha/1 accept"))
    return;
  if (self->initiator)
    self->fingerprint = hypha_transcript_fingerprint (&self->transcript);
  self->expected = 1u << HYPHA_MESSAGE_ACCEPT | 1u << HYPHA_MESSAGE_REJECT;
  self->state = self->initiator ? HYPHA_HANDSHAKE_READING : HYPHA_HANDSHAKE_DONE;
}

/**
 * hypha_handshake_reject:
 * @self: a handshake in the state %HYPHA_HANDSHAKE_DECIDE
 * @code: why
 * @highest: for %HYPHA_REJECT_ROLLED_BACK: the highest session number known; 0 otherwise
 *
 * The other end is not welcome. The responder tells it so; the initiator just fails, with the error
 * of @code, and shows nothing of itself.
 */
void
hypha_handshake_reject (HyphaHandshake *self, HyphaRejectCode code, guint64 highest)
{
  g_return_if_fail (self->state == HYPHA_HANDSHAKE_DECIDE);
  g_return_if_fail (hypha_rejection_is_known (code));
  if (self->initiator)
    fail_by_own_verdict (self, code);
  else
    refuse (self, code, highest);
}

/**
 * hypha_handshake_get_peer:
 * @self: a handshake
 *
 * Returns: (transfer none) (nullable): the id that the other end has proven, even if the handshake
 * failed afterwards; %NULL if it has proven none
 */
const HyphaNodeId *
hypha_handshake_get_peer (HyphaHandshake *self)
{
  return self->peer_proven ? &self->peer : NULL;
}

/**
 * hypha_handshake_get_peer_instance:
 * @self: a handshake
 *
 * Returns: (transfer none) (nullable): the other end's instance; %NULL if it has proven no id
 */
const HyphaInstance *
hypha_handshake_get_peer_instance (HyphaHandshake *self)
{
  return self->peer_proven ? &self->peer_instance : NULL;
}

/**
 * hypha_handshake_get_peer_numbers:
 * @self: a handshake
 *
 * Returns: (transfer none) (nullable): what the other end told of itself; %NULL if it has not
 */
const HyphaHandshakeNumbers *
hypha_handshake_get_peer_numbers (HyphaHandshake *self)
{
  return self->peer_numbers_known ? &self->peer_numbers : NULL;
}

/**
 * hypha_handshake_get_fingerprint:
 * @self: a handshake whose AUTH was sent or read
 *
 * Gives what both ends call the channel from then on: a hash of all that was said until AUTH, with
 * the nonces of both.
 *
 * Returns: eight bytes, which no other handshake has
 */
guint64
hypha_handshake_get_fingerprint (HyphaHandshake *self)
{
  return self->fingerprint;
}

/**
 * hypha_handshake_get_features:
 * @self: a handshake that is, or was, in the state %HYPHA_HANDSHAKE_DECIDE
 *
 * Returns: what the responder took of what the initiator offered
 */
guint64
hypha_handshake_get_features (HyphaHandshake *self)
{
  return self->features;
}

/**
 * hypha_handshake_get_digits:
 * @self: a handshake that is, or was, in the state %HYPHA_HANDSHAKE_DECIDE
 *
 * What two people compare to know that nobody sits in between.
 *
 * Returns: 0 to 999999, to be shown with six digits
 */
guint
hypha_handshake_get_digits (HyphaHandshake *self)
{
  return self->digits;
}

/**
 * hypha_handshake_get_rejected:
 * @self: a handshake
 * @highest: (out) (optional): for %HYPHA_REJECT_ROLLED_BACK: the highest session number that the
 * other end knows
 *
 * Returns: why the other end said no; 0 if it has not
 */
HyphaRejectCode
hypha_handshake_get_rejected (HyphaHandshake *self, guint64 *highest)
{
  if (highest != NULL)
    *highest = self->highest;
  return self->rejected;
}
