/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"

G_BEGIN_DECLS

/* The streams of peers who are told something in lines, each for as long as it stays. What one does
 * not take in time is not kept for it: the next that it gets is the latest. Main thread. */
typedef struct _HyphaAudience HyphaAudience;
/* One of them. */
typedef struct _HyphaSeat HyphaSeat;

typedef struct {
  guint of_a_peer, of_all; /* at once; one more is busy */
  gsize longest;           /* of what each has to say first: a line, with its end; 0: nothing */
  /* It has said it. FALSE: it is cut off; then it is not LEFT. Nullable. */
  gboolean (*asked) (HyphaSeat *seat, const char *line, gsize length, gpointer user_data);
  /* It goes, and had asked where it has to. Nullable. */
  void (*left) (HyphaSeat *seat, gpointer user_data);
} HyphaAudienceKind;

HyphaAudience *hypha_audience_new (const HyphaAudienceKind *kind, gpointer user_data);
/* Answers INCOMING. NULL: it was refused, as busy or because the log says why. Not owned. */
HyphaSeat *hypha_audience_admit (HyphaAudience *self, HyphaIncoming *incoming);
gboolean hypha_audience_is_empty (HyphaAudience *self);
GPtrArray *hypha_audience_list (HyphaAudience *self); /* of HyphaSeat, which are not owned */
void hypha_audience_drop (HyphaAudience *self, HyphaSeat *seat); /* cuts it off */
void hypha_audience_drop_all (HyphaAudience *self);
void hypha_audience_free (HyphaAudience *self);

HyphaNodePeer *hypha_seat_get_peer (HyphaSeat *self);
const char *hypha_seat_get_service (HyphaSeat *self); /* as it was asked for */
/* What ASKED and LEFT make of it. */
void hypha_seat_set_data (HyphaSeat *self, gpointer data);
gpointer hypha_seat_get_data (HyphaSeat *self);
/* LINE: with its end. May end SELF. */
void hypha_seat_tell (HyphaSeat *self, const char *line);

G_END_DECLS
