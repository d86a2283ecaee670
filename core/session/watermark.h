/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A pair of values that only rise (each by itself), and what they were at past ticks of the nonce
 * clock. Bounded: when there are too many entries, two neighbours become one with the lower values,
 * which can only make a check milder. */
#define HYPHA_WATERMARK_MAX 64

typedef struct {
  guint64 a, b; /* now */
  GArray *past; /* of {tick, a, b}: the values when the clock went past TICK; NULL while empty */
} HyphaWatermark;

void hypha_watermark_init (HyphaWatermark *self);
void hypha_watermark_clear (HyphaWatermark *self);
/* At tick NOW the values become the given ones (those lower than what is there are ignored). */
void hypha_watermark_raise (HyphaWatermark *self, guint64 a, guint64 b, guint64 now);
/* What they were when the clock showed TICK and had not gone on. */
void hypha_watermark_at (const HyphaWatermark *self, guint64 tick, guint64 *a, guint64 *b);

G_END_DECLS
