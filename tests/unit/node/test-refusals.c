/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All that is refused before somebody has proven who he is, in one table: what is done, and what
 * either end says to it. */

#include "refusals.h"

/* clang-format off */
/* How the two of them say it. */
#define STRANGE { HYPHA_ERROR_HANDSHAKE, "something else than a handshake" }
#define MISPLACED { HYPHA_ERROR_HANDSHAKE, "does not belong there" }
#define FORGED { HYPHA_ERROR_HANDSHAKE, "signature is wrong" }
#define UNCOMMITTED { HYPHA_ERROR_HANDSHAKE, "did not keep to what it had committed itself to" }
#define ANYBODYS { HYPHA_ERROR_HANDSHAKE, "an id that anybody could sign for" }
#define MALFORMED(what) { HYPHA_ERROR_HANDSHAKE, what }
#define SELF { HYPHA_ERROR_HANDSHAKE, "leads to the node that dials it" }
#define NOT_OFFERED { HYPHA_ERROR_HANDSHAKE, "chose a version, a feature or a class of link that was not offered" }
#define TOO_NEW { HYPHA_ERROR_NOT_SUPPORTED, "no common version of the protocol" }
#define SENSELESS { HYPHA_ERROR_HANDSHAKE, "makes no sense" }
#define NO_TLS { HYPHA_ERROR_HANDSHAKE, "TLS handshake: " } /* the rest is GnuTLS's */
#define NOT_OURS { HYPHA_ERROR_HANDSHAKE, "TLS: the other end does not speak hypha/1" }
#define CLOSED { HYPHA_ERROR_HANDSHAKE, "The other end closed it|the connection was cut" }
#define LATE { HYPHA_ERROR_TIMED_OUT, "It was not done after 150 ms" }
#define IDLE { 0, WAITS }
#define LEFT { 0, DONE }
#define ABSENT { 0, NOBODY }

#define FLIP(message, field, from, to, ...) { "flipped/" field, "every bit of it is flipped", attack_flip, from, to, __VA_ARGS__, message }

static const Refusal refusals[] = {
  /* every bit of every message; what the initiator says, and the responder */
  FLIP (HELLO, "hello/magic", 0, 7, IDLE, STRANGE),
  FLIP (HELLO, "hello/type", 7, 8, IDLE, MISPLACED),
  FLIP (HELLO, "hello/length", 8, 10, IDLE, MALFORMED ("of a wrong length|" WAITS)),
  FLIP (HELLO, "hello/least-version-above", 10, 11, TOO_NEW, TOO_NEW),
  FLIP (HELLO, "hello/least-version", 11, 12, MALFORMED ("signature is wrong|no common version"), MALFORMED (WAITS "|no common version")),
  FLIP (HELLO, "hello/highest-version-above", 12, 13, FORGED, IDLE),
  FLIP (HELLO, "hello/highest-version", 13, 14, MALFORMED ("signature is wrong|no common version"), MALFORMED (WAITS "|no common version")),
  FLIP (HELLO, "hello/features", 14, 22, FORGED, IDLE),
  FLIP (HELLO, "hello/class", 22, 23, IDLE, MALFORMED ("somebody sits in between|a class of link that does not exist")),
  FLIP (HELLO, "hello/commitment", 23, 55, FORGED, IDLE),
  FLIP (HELLO, "hello/instance", 55, 71, FORGED, IDLE),
  FLIP (HELLO, "hello/wanted-id", 71, 103, FORGED, IDLE),
  FLIP (HELLO, "hello/limits", 103, 105, IDLE, MALFORMED ("ends too early")),
  FLIP (REPLY, "reply/magic", 0, 7, STRANGE, IDLE),
  FLIP (REPLY, "reply/type", 7, 8, MISPLACED, IDLE),
  FLIP (REPLY, "reply/length", 8, 10, MALFORMED ("of a wrong length|" WAITS), IDLE),
  FLIP (REPLY, "reply/version", 10, 12, NOT_OFFERED, IDLE),
  FLIP (REPLY, "reply/features", 12, 20, NOT_OFFERED, IDLE),
  FLIP (REPLY, "reply/class", 20, 21, MALFORMED ("that was not offered|a class of link that does not exist"), IDLE),
  FLIP (REPLY, "reply/nonce", 21, 53, FORGED, IDLE),
  FLIP (REPLY, "reply/instance", 53, 69, FORGED, IDLE),
  FLIP (REPLY, "reply/id", 69, 101, FORGED, IDLE),
  FLIP (REPLY, "reply/limits", 101, 103, MALFORMED ("ends too early|a list of limits"), IDLE),
  FLIP (REPLY, "reply/signature", 103, 167, FORGED, IDLE),
  FLIP (AUTH, "auth/magic", 0, 7, IDLE, STRANGE),
  FLIP (AUTH, "auth/type", 7, 8, IDLE, MISPLACED),
  FLIP (AUTH, "auth/length", 8, 10, IDLE, MALFORMED ("of a wrong length|ends too early|" WAITS)),
  FLIP (AUTH, "auth/id", 10, 42, IDLE, UNCOMMITTED),
  FLIP (AUTH, "auth/nonce", 42, 74, IDLE, UNCOMMITTED),
  FLIP (AUTH, "auth/session-number", 74, 82, IDLE, FORGED),
  FLIP (AUTH, "auth/link-number", 82, 90, IDLE, FORGED),
  FLIP (AUTH, "auth/cost", 90, 94, IDLE, FORGED),
  FLIP (AUTH, "auth/length-of-name", 94, 96, IDLE, MALFORMED ("ends too early|bytes too many|a name that is too long")),
  FLIP (AUTH, "auth/name", 96, 101, IDLE, MALFORMED ("signature is wrong|a name that is too long, not UTF-8")),
  FLIP (AUTH, "auth/signature", 101, 165, IDLE, FORGED),
  FLIP (ACCEPT, "accept/magic", 0, 7, STRANGE, LEFT),
  FLIP (ACCEPT, "accept/type", 7, 8, MALFORMED ("does not belong there|of a wrong length"), LEFT),
  FLIP (ACCEPT, "accept/length", 8, 10, MALFORMED ("of a wrong length|ends too early|" WAITS), LEFT),
  FLIP (ACCEPT, "accept/session-number", 10, 18, FORGED, LEFT),
  FLIP (ACCEPT, "accept/link-number", 18, 26, FORGED, LEFT),
  FLIP (ACCEPT, "accept/cost", 26, 30, FORGED, LEFT),
  FLIP (ACCEPT, "accept/length-of-name", 30, 32, MALFORMED ("ends too early|a name that is too long"), LEFT),
  FLIP (ACCEPT, "accept/name", 32, 36, MALFORMED ("signature is wrong|a name that is too long, not UTF-8"), LEFT),
  FLIP (ACCEPT, "accept/limits", 36, 38, MALFORMED ("ends too early|a list of limits"), LEFT),
  FLIP (ACCEPT, "accept/signature", 38, 102, FORGED, LEFT),

  { "truncated/hello", "it is cut after every byte", attack_truncate, 0, 0, IDLE, IDLE, HELLO },
  { "truncated/reply", "it is cut after every byte", attack_truncate, 0, 0, IDLE, IDLE, REPLY },
  { "truncated/auth", "it is cut after every byte", attack_truncate, 0, 0, IDLE, IDLE, AUTH },
  { "truncated/accept", "it is cut after every byte", attack_truncate, 0, 0, IDLE, LEFT, ACCEPT },
  { "dripping/nothing", "not a byte comes", attack_drip, 0, 0, ABSENT, { HYPHA_ERROR_TIMED_OUT, "The other end said nothing for 40 ms" }, HELLO },
  { "dripping/hello", "it comes byte by byte", attack_drip, 0, 100, ABSENT, LATE, HELLO },
  { "dripping/preamble", "it comes byte by byte", attack_drip, 0, 39, ABSENT, LATE, REPLY },
  { "dripping/tls", "a ClientHello comes byte by byte", attack_drip, 0, 200, ABSENT, LATE, AUTH },
  { "dripping/reply", "it comes byte by byte", attack_drip, 1, 160, LATE, ABSENT, HELLO },

  { "replayed/hello", "one of another handshake takes its place", attack_replay, 0, 0, FORGED, IDLE, HELLO },
  { "replayed/reply", "one of another handshake takes its place", attack_replay, 0, 0, FORGED, IDLE, REPLY },
  { "replayed/auth", "one of another handshake takes its place", attack_replay, 0, 0, IDLE, UNCOMMITTED, AUTH },
  { "replayed/accept", "one of another handshake takes its place", attack_replay, 0, 0, FORGED, LEFT, ACCEPT },
  { "replayed/all-of-alice", "bob hears all that alice said once more", attack_replay_all, 0, 0, ABSENT, FORGED, 0 },

  { "reflected/hello", "it goes back to alice", attack_reflect, 0, 0, MISPLACED, ABSENT, HELLO },
  { "reflected/reply", "it goes back to bob", attack_reflect, 0, 0, ABSENT, MISPLACED, REPLY },
  { "reflected/auth", "it goes back to alice", attack_reflect, 0, 0, MISPLACED, ABSENT, AUTH },
  { "reflected/accept", "it goes back to bob, as a frame that is none", attack_reflect, 0, 0, ABSENT, LEFT, ACCEPT },
  { "reflected/node", "alice is led to herself", attack_lead_back, 0, 0, SELF, SELF, 0 },
  { "reflected/copy", "alice is led to a copy of herself", attack_lead_back, 1, 0, SELF, IDLE, 0 },

  { "relay/tls-to-plain", "alice's TLS ends in between", attack_relay, 1, 0, IDLE, MALFORMED ("takes this link for TLS, but it is plain here"), 0 },
  { "relay/plain-to-tls", "bob's TLS begins in between", attack_relay, 0, 1, IDLE, MALFORMED ("takes this link for plain, but it is TLS here"), 0 },
  { "relay/tls-to-plain-told-otherwise", "and each is told the class that it sees", attack_binding, 1, 0, FORGED, IDLE, 0 },
  { "relay/plain-to-tls-told-otherwise", "and each is told the class that it sees", attack_binding, 0, 1, FORGED, IDLE, 0 },
  { "relay/tls-to-tls", "two TLS connections, each with a binding", attack_binding, 1, 1, FORGED, IDLE, 0 },
  { "relay/tls-to-plain-auth", "bob gets what a careless initiator would sign", attack_binding, 1, 0, ABSENT, FORGED, 1 },
  { "relay/plain-to-tls-auth", "bob gets what a careless initiator would sign", attack_binding, 0, 1, ABSENT, FORGED, 1 },
  { "relay/tls-to-tls-auth", "bob gets what a careless initiator would sign", attack_binding, 1, 1, ABSENT, FORGED, 1 },
  { "relay/link/tls-to-plain", "the same with links and real TLS", attack_relay_link, 1, 0, CLOSED, MALFORMED ("takes this link for TLS, but it is plain here"), 0 },
  { "relay/link/plain-to-tls", "the same with links and real TLS", attack_relay_link, 0, 1, CLOSED, MALFORMED ("takes this link for plain, but it is TLS here"), 0 },
  { "relay/link/tls-to-tls", "the same with links and real TLS", attack_relay_link, 1, 1, FORGED, CLOSED, 0 },

  { "tls/1.2-server", "alice is answered by TLS 1.2", attack_foreign_tls, 0, 2, NO_TLS, ABSENT, 0 },
  { "tls/1.2-client", "bob is dialled by TLS 1.2", attack_foreign_tls, 1, 2, ABSENT, NO_TLS, 0 },
  { "tls/server-of-another-protocol", "alice is answered with ALPN h2", attack_foreign_tls, 0, 3, NOT_OURS, ABSENT, 1 },
  { "tls/client-of-another-protocol", "bob is dialled with ALPN h2", attack_foreign_tls, 1, 3, ABSENT, NO_TLS, 1 },
  { "tls/server-of-no-protocol", "alice is answered without ALPN", attack_foreign_tls, 0, 3, NOT_OURS, ABSENT, 2 },
  { "tls/client-of-no-protocol", "bob is dialled without ALPN", attack_foreign_tls, 1, 3, ABSENT, NOT_OURS, 2 },
  { "tls/stripped-by-reply", "alice's ClientHello is answered in the open", attack_strip_tls, 0, 0, NO_TLS, ABSENT, REPLY },
  { "tls/stripped-by-reject", "alice's ClientHello is refused in the open", attack_strip_tls, 0, 0, NO_TLS, ABSENT, ACCEPT },
  { "tls/not-begun", "bob, who takes TLS only, is spoken to in the open", attack_strip_tls, 1, 0, { HYPHA_ERROR_TLS_REQUIRED, "only TLS is taken" }, { HYPHA_ERROR_TLS_REQUIRED, "only TLS is taken" }, 0 },
  { "tls/required-within-tls", "alice, who speaks TLS, is told that she must", attack_early_reject, 2, 3, SENSELESS, ABSENT, 0 },

  { "key/of-low-order-in-reply", "all of them, in every spelling", attack_key_in_reply, 0, 10, ANYBODYS, ABSENT, 0 },
  { "key/of-low-order-in-auth", "all of them, in every spelling", attack_key_in_auth, 0, 10, ABSENT, ANYBODYS, 0 },
  { "key/not-reduced-in-reply", "all of them", attack_key_in_reply, 10, 48, ANYBODYS, ABSENT, 0 },
  { "key/not-reduced-in-auth", "all of them", attack_key_in_auth, 10, 48, ABSENT, ANYBODYS, 0 },

  { "auth/with-another-nonce", "than HELLO was committed to", attack_commitment, 0, 0, ABSENT, UNCOMMITTED, 0 },
  { "auth/to-whom-it-did-not-want", "bob gets what was for alice", attack_auth_to_another, 0, 0, ABSENT, { HYPHA_ERROR_WRONG_ID, "another node was expected" }, 0 },
  { "auth/by-bobs-own-id", "whoever holds his key", attack_auth_to_another, 1, 0, ABSENT, SELF, 0 },
  { "reject/for-no-reason", "before it has proven anything", attack_early_reject, 0, 1, SENSELESS, ABSENT, 0 },
  { "reject/not-trusted", "before it has proven anything", attack_early_reject, 1, 2, SENSELESS, ABSENT, 0 },
  { "reject/wrong-id-or-rolled-back", "with the highest number there is", attack_early_reject, 3, 5, SENSELESS, ABSENT, 0 },
  { "reject/stale-or-unknown", "before it has proven anything", attack_early_reject, 8, 20, SENSELESS, ABSENT, 0 },

  { "foreign-session/resumed", "another trusted node comes with its numbers and its state", attack_foreign_session, 0, 0, ABSENT, { HYPHA_ERROR_ROLLED_BACK, "has seen a stream that was never opened" }, 0 },
  { "foreign-session/written-to", "it writes to its stream", attack_foreign_session, 1, 0, ABSENT, { HYPHA_ERROR_PROTOCOL, "a stream that was never opened" }, 0 },
  { "foreign-session/acknowledged", "it acknowledges what went to it", attack_foreign_session, 2, 0, ABSENT, { HYPHA_ERROR_PROTOCOL, "a stream that was never opened" }, 0 },
  { "foreign-session/stopped", "it stops its stream", attack_foreign_session, 3, 0, ABSENT, { HYPHA_ERROR_PROTOCOL, "a stream that was never opened" }, 0 },
};
/* clang-format on */

static gboolean
says_one_of (const char *said, const char *texts)
{
  g_auto (GStrv) alternatives = g_strsplit (texts, "|", -1);

  for (guint i = 0; alternatives[i] != NULL; i++)
    if (strstr (said, alternatives[i]) != NULL)
      return TRUE;
  return FALSE;
}

void
refusal_check (const Refusal *row, gboolean initiator, const GError *error, const char *otherwise)
{
  const Verdict *verdict = initiator ? &row->initiator : &row->responder;
  const char *said = error != NULL ? error->message : otherwise;

  if (!says_one_of (said, verdict->text))
    g_error ("%s, %s: the %s says \"%s\", not \"%s\"", row->name, row->done,
             initiator ? "initiator" : "responder", said, verdict->text);
  /* Of alternatives, only those of one code have it checked. */
  if (error != NULL && strchr (verdict->text, '|') == NULL)
    g_assert_error (error, HYPHA_ERROR, (int) verdict->code);
}

static const char *
without_error (HyphaHandshake *end)
{
  if (end == NULL)
    return NOBODY;
  switch (hypha_handshake_get_state (end)) {
  case HYPHA_HANDSHAKE_READING:
    return WAITS;
  case HYPHA_HANDSHAKE_DONE:
    return DONE;
  default:
    return "that the other end has proven who it is";
  }
}

void
refusal_check_ends (const Refusal *row, HyphaHandshake *initiator, HyphaHandshake *responder)
{
  HyphaHandshake *ends[] = { responder, initiator };

  for (guint i = 0; i < 2; i++)
    refusal_check (row, i == 1, ends[i] != NULL ? hypha_handshake_get_error (ends[i]) : NULL,
                   without_error (ends[i]));
}

static void
test_refusal (gconstpointer data)
{
  const Refusal *row = data;

  g_test_message ("%s; initiator: %s; responder: %s", row->done, row->initiator.text,
                  row->responder.text);
  row->attack (row);
}

/* The rows go through every byte of every message. */
static void
test_rows_leave_no_byte_out (void)
{
  for (Step step = HELLO; step < N_MESSAGES; step++) {
    gsize at = 0;

    for (guint i = 0; i < G_N_ELEMENTS (refusals); i++) {
      if (refusals[i].attack != attack_flip || refusals[i].step != (int) step)
        continue;
      g_assert_cmpuint (refusals[i].from, ==, at);
      at = refusals[i].to;
    }
    g_assert_cmpuint (at, ==, message_size (step));
  }
}

static void
add_tests (void)
{
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  g_test_add_func ("/refusals/rows-leave-no-byte-out", test_rows_leave_no_byte_out);
  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++) {
    g_autofree char *path = g_strdup_printf ("/refusals/%s", refusals[i].name);

    g_test_add_data_func (path, &refusals[i], test_refusal);
  }
}

int
main (int argc, char **argv)
{
  return handshake_test_main (argc, argv, add_tests);
}
