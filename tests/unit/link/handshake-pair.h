/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>
#include "link/handshake-message.h"

/* Two ends of a handshake, and what one has to say carried to the other when told to. */

typedef struct {
  HyphaHandshake *initiator, *responder;
} Pair;

void pair_clear (Pair *pair);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Pair, pair_clear)

/* Who there is while handshake_test_main() runs: alice dials bob, mallory is neither. */
extern HyphaIdentity *alice, *bob, *mallory;

/* What the initiator and the responder say once they have decided. */
extern const HyphaHandshakeNumbers numbers_i, numbers_r;

/* The main() of a test: ADD_TESTS calls g_test_add_func() and the like. */
int handshake_test_main (int argc, char **argv, void (*add_tests) (void));

HyphaHandshakeParameters parameters (HyphaIdentity *identity, HyphaLinkClass link_class);
HyphaHandshake *start (gboolean initiator, const HyphaHandshakeParameters *p);
void start_pair (Pair *pair, HyphaLinkClass link_class); /* alice to bob */

/* Gives it all of BYTES, SPLIT at a time (0: at once); returns how much it took. */
gsize feed (HyphaHandshake *to, GBytes *bytes, gsize split);
/* Carries over what FROM has to say; FALSE: nothing. */
gboolean carry (HyphaHandshake *from, HyphaHandshake *to, gsize split);
void meet (Pair *pair); /* up to DECIDE on both sides */

#define assert_state(handshake, expected) \
  g_assert_cmpint (hypha_handshake_get_state (handshake), ==, expected)

void assert_failed (HyphaHandshake *handshake, HyphaError code, const char *message);

/* ---- messages that are none of ours ---- */

GBytes *make (const HyphaMessage *message);
HyphaMessage hello_message (void); /* a good one, over TLS */

/* ---- the construction of the README, once more ---- */

void hash_pieces (guint8 digest[32], const void *a, gsize a_length, const void *b, gsize b_length);
void first_transcript (GBytes *hello, GBytes *reply, guint8 digest[32]);
