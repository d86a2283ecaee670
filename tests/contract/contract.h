/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* One way to write an endpoint. CANONICAL is what it becomes; or NULL, and it is refused with a
 * message that has PART. */
typedef struct {
  const char *uri;
  const char *canonical;
  const char *part;
} ContractSpelling;

/* A transport, as the contract suite has to know it. */
typedef struct {
  const char *name; /* in the names of the tests: "tcp-ipv6" */
  HyphaTransport *(*create) (void);
  /* Whether this machine can run it; if not, WHY (a sentence, to free). NULL: every machine can. */
  gboolean (*usable) (char **why);
  /* What has to be there besides, for one test, in DIRECTORY, which is private to the test; END
   * frees it, and takes away its files. NULL: nothing. */
  gpointer (*begin) (const char *directory);
  void (*end) (gpointer beside);
  /* The endpoint (to free) of an address on which nobody listens. */
  char *(*fresh) (const char *directory);
  /* An endpoint (to free) to which a connect neither succeeds nor fails, while the descriptors in
   * HELD are open. NULL: there is no way to make one. */
  char *(*silent) (const char *directory, GArray *held);
  /* A listening socket (to close) of this transport's kind that somebody else has made, in
   * DIRECTORY as a file called "handed-over" if it has one. NULL: this transport takes over none.
   */
  int (*handed_over) (const char *directory);
  const ContractSpelling *spellings; /* up to one without a uri */
  HyphaChannelFlags flags;           /* of every channel */
  const char *host; /* of every channel; NULL: none; "." at its beginning: DIRECTORY */
  gboolean has_uid; /* the kernel tells the peer's uid at both ends */
  gboolean has_cid;
  gboolean encrypted;  /* by the transport itself, with a binding that is equal at both ends */
  gboolean half_close; /* the end of one direction arrives, and the other goes on */
  /* It carries datagrams, each with its length in 16 bits before it, and no links: some may be
   * lost, nobody is refused, a channel is accepted with its first datagram, and ends with its
   * listener. */
  gboolean lossy;

  /* What follows may be left out: 0 promises nothing. */

  guint cost; /* of a link to FRESH */
  /* In the place of FRESH, for a transport that only connects: the endpoint (to free) that leads to
   * FD, a listening socket which it makes, in DIRECTORY as a file called "far" if it has one. */
  char *(*far) (const char *directory, int *fd);
  /* What was cut off - the other end closed with bytes unread - is told where it was cut off from:
   * reading fails, or the channel has an error. */
  gboolean tells_cut;
  /* Nobody says what flags, host, credentials and half-close are: they are not held. */
  gboolean unpromised;
  /* A transport that has been held already, in another way to hand its channels over: what has
   * nothing to do with that is not held again. */
  gboolean again;
  /* CREATE works where USABLE says no: what takes nothing but the transport is held there, too. */
  gboolean made_anywhere;
  /* Lets go of the last reference that is not the suite's, once it has been stopped. */
  void (*release) (HyphaTransport *transport);
} Contract;

/* In the place of g_test_init(), before all else: this process is then the child of one that takes
 * away what the tests have made, for who fails takes nothing away. */
void contract_init (int *argc, char ***argv);

/* Registers every test of the contract, as /contract/NAME/... CONTRACT has to last. */
void contract_add_tests (const Contract *contract);

/* The N-th of the tests that are for CONTRACT (nullable: of all), and what it holds a transport to.
 * NULL: there are no more. */
const char *contract_get_test (guint n, const Contract *contract, const char **promise);

G_END_DECLS
