/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../link/handshake-pair.h"

/* What somebody may do before he has proven who he is, and how each end takes it. The table is in
 * test-refusals.c; alice dials bob, and mallory does what is done. */

/* How an end came out. */
typedef struct {
  HyphaError code;
  const char *text; /* in the error's message; of alternatives, with "|" between them, one */
} Verdict;

/* No error, but as good as one: */
#define WAITS "(waits)" /* for the rest, until its deadline */
#define DONE "(done)"   /* it has said ACCEPT, and hears no more: nothing was agreed upon */
#define NOBODY "(is not there)"

typedef struct _Refusal Refusal;
struct _Refusal {
  const char *name;
  const char *done; /* what is done */
  void (*attack) (const Refusal *row);
  gsize from, to; /* bytes of a message, or what the attack wants to know else */
  Verdict initiator, responder;
  int step; /* which message; likewise */
};

typedef enum { HELLO, REPLY, AUTH, ACCEPT, N_MESSAGES } Step;

/* An end that has failed with ERROR (nullable) has done so as the row says. */
void refusal_check (const Refusal *row, gboolean initiator, const GError *error,
                    const char *otherwise);
void refusal_check_ends (const Refusal *row, HyphaHandshake *initiator, HyphaHandshake *responder);

/* refusals-handshake.c: the handshake alone, bytes in and bytes out */
void attack_flip (const Refusal *row);     /* every bit from FROM to below TO of message STEP */
void attack_truncate (const Refusal *row); /* message STEP, after every byte */
void attack_replay (const Refusal *row);   /* message STEP of another handshake */
void attack_replay_all (const Refusal *row);
void attack_reflect (const Refusal *row); /* message STEP goes back to who sent it */
void attack_lead_back (const Refusal *row);
void attack_relay (const Refusal *row); /* classes FROM and TO */
void attack_binding (const Refusal *row);
void attack_key_in_reply (const Refusal *row); /* keys FROM to below TO */
void attack_key_in_auth (const Refusal *row);
void attack_commitment (const Refusal *row);
void attack_auth_to_another (const Refusal *row);
void attack_early_reject (const Refusal *row); /* codes FROM to below TO */
gsize message_size (Step step);

/* refusals-link.c: links over sockets, somebody in between or in place of one */
void attack_foreign_tls (const Refusal *row);
void attack_relay_link (const Refusal *row);
void attack_strip_tls (const Refusal *row);
void attack_drip (const Refusal *row);

/* refusals-session.c: a trusted node, and the session of another */
void attack_foreign_session (const Refusal *row);
