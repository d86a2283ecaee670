/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Which link carries a direction: pure; times in microseconds. */
typedef struct {
  guint32 cost;
  gboolean usable; /* the peer's first RESUME on it was checked */
  gboolean suspect;
  gint64 cheaper_since; /* kept here: since when it beats the chosen one by the margin; 0: it does
                           not */
} HyphaCandidate;

typedef struct {
  guint32 margin; /* switch-margin */
  gint64 hold; /* how long a cheaper link has been cheaper before the choice goes back to it: 1 s,
                  doubled by flapping */
  gint64 last_return; /* when the choice last went to a cheaper one by plan */
} HyphaChoice;

#define HYPHA_CHOICE_NONE G_MAXUINT

typedef enum {
  HYPHA_CHOICE_KEPT,
  HYPHA_CHOICE_FIRST,   /* there was none */
  HYPHA_CHOICE_LOST,    /* the chosen one is gone, or is not usable */
  HYPHA_CHOICE_SUSPECT, /* the chosen one does not answer in time, another does */
  HYPHA_CHOICE_CHEAPER,
} HyphaChoiceReason;

const char *hypha_choice_reason_to_string (HyphaChoiceReason reason);

void hypha_choice_init (HyphaChoice *self, guint32 margin);
/* CHOSEN is an index or HYPHA_CHOICE_NONE. Returns the index to be used (possibly CHOSEN itself);
 * *NEXT: when to ask again, G_MAXINT64: when something changes. */
guint hypha_choice_make (HyphaChoice *self, HyphaCandidate *candidates, guint n, guint chosen,
                         gint64 now, gint64 *next, HyphaChoiceReason *reason);
/* The chosen link died or became suspect at NOW: flapping doubles the hold, up to a minute; a
 * minute of calm resets it. */
void hypha_choice_failed (HyphaChoice *self, gint64 now);

G_END_DECLS
