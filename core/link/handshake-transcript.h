/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/handshake.h"

G_BEGIN_DECLS

#define HYPHA_HASH_BYTES 32

/* What both ends have said, as hashes (README.md: T1, T2, T3), and what is made of them. Each takes
 * in the one before, the signature that followed it, and the message less its own signature. */
typedef struct {
  GByteArray *chain;             /* what the next hash begins with */
  guint8 hash[HYPHA_HASH_BYTES]; /* the latest */
  guint8 first[HYPHA_HASH_BYTES];
  gboolean begun; /* there is one */
} HyphaTranscript;

void hypha_transcript_init (HyphaTranscript *self);
void hypha_transcript_clear (HyphaTranscript *self);

/* HELLO, which has no signature. */
void hypha_transcript_begin (HyphaTranscript *self, const guint8 *hello, gsize length);
/* A message whose signature comes last; the latter is taken in apart, once there is one. */
void hypha_transcript_absorb (HyphaTranscript *self, const guint8 *message, gsize length);
void hypha_transcript_absorb_signature (HyphaTranscript *self,
                                        const guint8 signature[HYPHA_SIGNATURE_BYTES]);
/* What a signature is over. Class and binding are always those seen at this end. */
GByteArray *hypha_transcript_state (const HyphaTranscript *self, const char *label,
                                    const HyphaHandshakeParameters *seen);
/* 0 to 999999, of the first hash and what the initiator had committed itself to. */
guint hypha_transcript_digits (const HyphaTranscript *self, const guint8 nonce[HYPHA_NONCE_BYTES],
                               const HyphaNodeId *initiator);

/* Of all that was said so far: known to both. Whoever spoke last could search for one it likes. */
guint64 hypha_transcript_fingerprint (const HyphaTranscript *self);

/* What HELLO says in place of the nonce and the id, which come with AUTH. */
void hypha_handshake_commit (const guint8 nonce[HYPHA_NONCE_BYTES], const HyphaNodeId *id,
                             guint8 commitment[HYPHA_HASH_BYTES]);

G_END_DECLS
