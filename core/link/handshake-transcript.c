/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/handshake-transcript.h"

#include <string.h>

#include "link/wire.h"

typedef struct {
  const void *bytes;
  gsize length;
} Piece;

static void
hash (guint8 digest[HYPHA_HASH_BYTES], const Piece *pieces, guint n)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize length = HYPHA_HASH_BYTES;

  for (guint i = 0; i < n; i++)
    g_checksum_update (checksum, pieces[i].bytes, (gssize) pieces[i].length);
  g_checksum_get_digest (checksum, digest, &length);
}

static void
hash_nonce (const char *label, const guint8 *before, const guint8 nonce[HYPHA_NONCE_BYTES],
            const HyphaNodeId *id, guint8 digest[HYPHA_HASH_BYTES])
{
  const Piece pieces[] = {
    { label, strlen (label) },
    { before, before != NULL ? HYPHA_HASH_BYTES : 0 },
    { nonce, HYPHA_NONCE_BYTES },
    { id->bytes, sizeof id->bytes },
  };

  hash (digest, pieces, G_N_ELEMENTS (pieces));
}

void
hypha_handshake_commit (const guint8 nonce[HYPHA_NONCE_BYTES], const HyphaNodeId *id,
                        guint8 commitment[HYPHA_HASH_BYTES])
{
  hash_nonce ("hypha/1 commit", NULL, nonce, id, commitment);
}

void
hypha_transcript_init (HyphaTranscript *self)
{
  *self = (HyphaTranscript){ .chain = g_byte_array_new () };
}

void
hypha_transcript_clear (HyphaTranscript *self)
{
  g_clear_pointer (&self->chain, g_byte_array_unref);
}

void
hypha_transcript_begin (HyphaTranscript *self, const guint8 *hello, gsize length)
{
  g_byte_array_append (self->chain, hello, (guint) length);
}

void
hypha_transcript_absorb (HyphaTranscript *self, const guint8 *message, gsize length)
{
  const gsize body = length - HYPHA_SIGNATURE_BYTES;
  const Piece pieces[] = { { self->chain->data, self->chain->len }, { message, body } };

  hash (self->hash, pieces, G_N_ELEMENTS (pieces));
  g_byte_array_set_size (self->chain, 0);
  g_byte_array_append (self->chain, self->hash, HYPHA_HASH_BYTES);
  if (!self->begun)
    memcpy (self->first, self->hash, HYPHA_HASH_BYTES);
  self->begun = TRUE;
}

void
hypha_transcript_absorb_signature (HyphaTranscript *self,
                                   const guint8 signature[HYPHA_SIGNATURE_BYTES])
{
  g_byte_array_append (self->chain, signature, HYPHA_SIGNATURE_BYTES);
}

GByteArray *
hypha_transcript_state (const HyphaTranscript *self, const char *label,
                        const HyphaHandshakeParameters *seen)
{
  GByteArray *bytes = g_byte_array_new ();
  const guint8 link_class = (guint8) seen->link_class;

  g_byte_array_append (bytes, (const guint8 *) label, (guint) strlen (label));
  g_byte_array_append (bytes, &link_class, 1);
  g_byte_array_append (bytes, seen->binding, HYPHA_BINDING_BYTES);
  g_byte_array_append (bytes, self->hash, HYPHA_HASH_BYTES);
  return bytes;
}

guint
hypha_transcript_digits (const HyphaTranscript *self, const guint8 nonce[HYPHA_NONCE_BYTES],
                         const HyphaNodeId *initiator)
{
  guint8 digest[HYPHA_HASH_BYTES];
  guint digits = 0;

  hash_nonce ("hypha/1 digits", self->first, nonce, initiator, digest);
  for (guint i = 0; i < sizeof digest; i++)
    digits = (digits * 256 + digest[i]) % 1000000;
  return digits;
}

guint64
hypha_transcript_fingerprint (const HyphaTranscript *self)
{
  return hypha_wire_get_u64 (self->hash);
}
