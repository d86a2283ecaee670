/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "liar.h"
#include "node/node-peer-private.h"
#include "node-pair.h"
#include "session/session.h"

/* Beta, whom a liar talks to, and whom alpha, which is honest, uses all the while: over the same
 * worker, for beta has only one. */
typedef struct {
  NodePair pair;
  char *on_unix, *on_tcp; /* where beta listens */

  /* alpha's stream to beta's echo: a thread sends and compares, block by block */
  HyphaNodePeer *beta;
  HyphaStream *echo;
  GThread *thread;
  _Atomic guint blocks;
  _Atomic gboolean enough, failed, rest, rests;

  Liar *liar;
  HyphaNodePeer *suspect; /* the liar, as beta knows it */
  guint32 parity;         /* of the ids that the liar opens */

  guint handler;
  GPtrArray *told; /* what beta has said in its log */

  /* what beta has open to the liar, once lies_open() was called */
  HyphaStream *probe;
  GAsyncResult *probe_ended;
  guint calls;  /* of beta, that the liar has answered */
  gsize memory; /* in use when lies_measure() was called */
} Lies;

/* What one session may hold, with these limits. */
#define LIES_STREAMS 16
#define LIES_WINDOW (1024 * 1024)
/* As much again is held until it is acknowledged; links have buffers, and alpha is at work, too. */
#define LIES_CAP (2 * LIES_WINDOW + 1024 * 1024)

/* A fixture for g_test_add(). With this as its data, the liar has the lower id, so that beta leaves
 * it to him to close links that are too many. */
extern const char lies_lower[];
void lies_set_up (Lies *self, gconstpointer data);
void lies_tear_down (Lies *self, gconstpointer data);
/* The limits that beta has, to be changed and set again. */
HyphaNodeLimits lies_limits (void);

/* The streams that there are, in their order: of the liar's, and of beta's. */
guint32 lies_liars (Lies *self, guint n);
guint32 lies_betas (Lies *self, guint n);

/* The liar joins, and there are two streams: the liar's first is open to beta's echo, ten bytes
 * went there and back; beta's first is open to the liar, has sent ten bytes, and none is
 * acknowledged. */
void lies_open (Lies *self);
void lies_open_probe (Lies *self); /* the latter alone */

/* The probe ends with this error, whose text has TEXT in it. */
void lies_expect_probe_ended (Lies *self, HyphaError error, const char *text);
/* Beta has told of the liar in its log, with TEXT. */
void lies_expect_told (Lies *self, const char *text);
const char *lies_last_told (Lies *self); /* once it has told anything */
/* Alpha goes on: some blocks more, over the same link, and none was wrong. */
void lies_expect_honest (Lies *self);
/* Alpha does nothing for a while, so that what is measured is the liar's doing alone. */
void lies_let_honest_rest (Lies *self, gboolean rest);
/* The liar is let in again, and is served. */
void lies_expect_liar_back (Lies *self);

/* Memory that has come into use since lies_measure(). */
void lies_measure (Lies *self);
gsize lies_grown (Lies *self);
