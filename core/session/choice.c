/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/choice.h"

#define HOLD_MIN G_TIME_SPAN_SECOND
#define HOLD_MAX G_TIME_SPAN_MINUTE
#define CALM G_TIME_SPAN_MINUTE

/**
 * hypha_choice_reason_to_string: (skip)
 * @reason: why a link was chosen
 *
 * Returns: a static word, as `explain` and LinkChanged show it
 */
const char *
hypha_choice_reason_to_string (HyphaChoiceReason reason)
{
  switch (reason) {
  case HYPHA_CHOICE_KEPT:
    return "kept";
  case HYPHA_CHOICE_FIRST:
    return "first";
  case HYPHA_CHOICE_LOST:
    return "lost";
  case HYPHA_CHOICE_SUSPECT:
    return "suspect";
  case HYPHA_CHOICE_CHEAPER:
    return "cheaper";
  }
  return "unknown";
}

/**
 * hypha_choice_init: (skip)
 * @self: what to set up
 * @margin: by how much another link must be cheaper, in units of cost
 */
void
hypha_choice_init (HyphaChoice *self, guint32 margin)
{
  *self = (HyphaChoice){ .margin = margin, .hold = HOLD_MIN };
}

static guint
cheapest (const HyphaCandidate *candidates, guint n, gboolean also_suspect)
{
  guint best = HYPHA_CHOICE_NONE;

  for (guint i = 0; i < n; i++) {
    if (!candidates[i].usable || (candidates[i].suspect && !also_suspect))
      continue;
    if (best == HYPHA_CHOICE_NONE || candidates[i].cost < candidates[best].cost)
      best = i;
  }
  return best;
}

/* Another link was the chosen one meanwhile, or this one was of no use. */
static void
start_anew (HyphaCandidate *candidates, guint n)
{
  for (guint i = 0; i < n; i++)
    candidates[i].cheaper_since = 0;
}

/* The cheapest of those that have been cheaper than the chosen one for long enough. */
static guint
cheaper_for_long (const HyphaChoice *self, HyphaCandidate *candidates, guint n, guint chosen,
                  gint64 now, gint64 *next)
{
  guint best = HYPHA_CHOICE_NONE;

  for (guint i = 0; i < n; i++) {
    HyphaCandidate *c = &candidates[i];

    if (i == chosen || !c->usable || c->suspect ||
        (guint64) c->cost + self->margin > candidates[chosen].cost ||
        c->cost == candidates[chosen].cost) {
      c->cheaper_since = 0;
      continue;
    }
    if (c->cheaper_since == 0)
      c->cheaper_since = MAX (now, 1);
    if (now - c->cheaper_since < self->hold)
      *next = MIN (*next, c->cheaper_since + self->hold);
    else if (best == HYPHA_CHOICE_NONE || c->cost < candidates[best].cost)
      best = i;
  }
  return best;
}

/**
 * hypha_choice_make: (skip)
 * @self: a choice
 * @candidates: (array length=n) (inout): the links; `cheaper_since` is kept up to date
 * @n: how many
 * @chosen: the one in use, or %HYPHA_CHOICE_NONE
 * @now: the time, in microseconds
 * @next: (out): when to ask again though nothing changed; %G_MAXINT64: never
 * @reason: (out): why
 *
 * A link that cannot be used or is suspect is left at once for one that is neither; a cheaper one
 * is taken only when it has been cheaper by the margin for as long as the hold says. A suspect link
 * is better than none.
 *
 * Returns: the index of the link to use, possibly @chosen itself; %HYPHA_CHOICE_NONE if none can be
 */
guint
hypha_choice_make (HyphaChoice *self, HyphaCandidate *candidates, guint n, guint chosen, gint64 now,
                   gint64 *next, HyphaChoiceReason *reason)
{
  guint live = cheapest (candidates, n, FALSE), best;

  *next = G_MAXINT64;
  if (chosen >= n || !candidates[chosen].usable || candidates[chosen].suspect)
    start_anew (candidates, n);
  if (chosen >= n || !candidates[chosen].usable) {
    *reason = chosen >= n ? HYPHA_CHOICE_FIRST : HYPHA_CHOICE_LOST;
    return live != HYPHA_CHOICE_NONE ? live : cheapest (candidates, n, TRUE);
  }
  if (candidates[chosen].suspect) {
    *reason = live != HYPHA_CHOICE_NONE ? HYPHA_CHOICE_SUSPECT : HYPHA_CHOICE_KEPT;
    return live != HYPHA_CHOICE_NONE ? live : chosen;
  }

  best = cheaper_for_long (self, candidates, n, chosen, now, next);
  if (best == HYPHA_CHOICE_NONE) {
    *reason = HYPHA_CHOICE_KEPT;
    return chosen;
  }
  self->last_return = MAX (now, 1);
  *reason = HYPHA_CHOICE_CHEAPER;
  return best;
}

/**
 * hypha_choice_failed: (skip)
 * @self: a choice
 * @now: the time, in microseconds
 *
 * The chosen link died or became suspect. If that was soon after the choice had gone to a cheaper
 * one, links have to be cheaper for twice as long from now on, up to a minute.
 */
void
hypha_choice_failed (HyphaChoice *self, gint64 now)
{
  if (self->last_return != 0 && now - self->last_return < CALM)
    self->hold = MIN (self->hold * 2, HOLD_MAX);
  else
    self->hold = HOLD_MIN;
}
