/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "session/session-private.h"

/* Two sessions, and links between them that carry real frames, byte for byte, when told to. */

typedef struct {
  int side;
  HyphaSessionEventType type;
  gint64 stream; /* -1: none */
  int error;
  HyphaAway away;
  gboolean all;
  char *text;
} Happened;

typedef struct {
  HyphaSessionLink *link[2];
  GQueue frames[2]; /* GBytes on their way, by who sent them */
} Wire;

typedef struct {
  HyphaSession *session[2];
  HyphaSessionNumbers numbers[2];
  HyphaNonceClock clock[2];
  HyphaSessionLimits limits[2];
  gint64 now;
  GPtrArray *wires;
  GPtrArray *happened;
  GHashTable *received[2]; /* stream id -> GByteArray */
  gboolean holding;        /* accept and refuse nothing by itself */
  gboolean reading[2];
  gsize swallow[2];    /* how much deliver takes at a time */
  guint64 fingerprint; /* of the last handshake */
  guint64 frames_sent[2][HYPHA_FRAME_CLOSE + 1];
} Pair;

Pair *pair_new (void);
Pair *pair_new_with (const HyphaSessionLimits *a, const HyphaSessionLimits *b);
void pair_free (Pair *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Pair, pair_free)

/* Shakes hands over a new link; the verdicts must be good. */
Wire *pair_link (Pair *self, guint32 cost);
HyphaAttach pair_try_link (Pair *self, guint32 cost, Wire **wire);
void pair_cut (Pair *self, Wire *wire);                    /* with what is on its way */
gboolean pair_send_one (Pair *self, Wire *wire, int side); /* from the session onto the wire */
gboolean pair_take_one (Pair *self, Wire *wire, int side); /* from the wire, what SIDE sent */
void pair_run (Pair *self);                                /* until nothing moves any more */
void pair_run_over (Pair *self, Wire *wire);               /* only over this one */
void pair_pass (Pair *self, gint64 time);                  /* runs, in steps of a millisecond */
void pair_drain (Pair *self);                              /* takes the events */
void pair_inject (Pair *self, Wire *wire, int to, const HyphaFrame *frame); /* as if it was sent */
void pair_inject_resume (Pair *self, Wire *wire, int to, gint64 opened, gint64 seen,
                         const HyphaResumeEntry *entries, guint n);

HyphaSessionStream *pair_open (Pair *self, int side, const char *service);
HyphaSessionStream *pair_other (Pair *self, int side, HyphaSessionStream *stream);
gsize pair_write (Pair *self, int side, HyphaSessionStream *stream, gsize length);
void pair_read_all (Pair *self, int side, HyphaSessionStream *stream);
GByteArray *pair_received (Pair *self, int side, guint32 id);
/* What pair_write() wrote, from the beginning on. */
void pair_assert_received (Pair *self, int side, guint32 id, gsize length);

const Happened *pair_find (Pair *self, int side, HyphaSessionEventType type, gint64 stream);
guint pair_count (Pair *self, int side, HyphaSessionEventType type);
void pair_forget (Pair *self);
void pair_assert_ended (Pair *self, int side, guint32 id, int error); /* the stream */
void pair_assert_empty (Pair *self);                                  /* both hold nothing */
void pair_assert_over (Pair *self, int side, HyphaError error);
void pair_assert_goes_on (Pair *self); /* both, after it was over, from nothing */
