/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/worker.h"

G_BEGIN_DECLS

/* The timers of a worker that are set, borrowed: binary heaps, with the next one due first. */
typedef struct {
  GPtrArray *set;
  GPtrArray *due; /* those whose turn it is in this round */
} HyphaTimers;

void hypha_timers_init (HyphaTimers *self);
/* Must be empty. */
void hypha_timers_clear (HyphaTimers *self);
void hypha_timers_add (HyphaTimers *self, HyphaTimer *timer);
void hypha_timers_remove (HyphaTimer *timer); /* from whatever it is in */
/* NULL: none is set. */
HyphaTimer *hypha_timers_first (HyphaTimers *self);
/* Begins a round with those that are due at NOW: one that is set to the past from within comes in
 * the next. */
void hypha_timers_begin (HyphaTimers *self, gint64 now);
/* Of this round; NULL: it is over. Still in it, so that others may take it out. */
HyphaTimer *hypha_timers_next (HyphaTimers *self);

G_END_DECLS
