/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/watermark.h"

/* What the values were when the clock went on from TICK. */
typedef struct {
  guint64 tick;
  guint64 a, b;
} Mark;

/**
 * hypha_watermark_init: (skip)
 * @self: what to set up; both values are 0, and always were
 */
void
hypha_watermark_init (HyphaWatermark *self)
{
  *self = (HyphaWatermark){ 0 };
}

/**
 * hypha_watermark_clear: (skip)
 * @self: a watermark
 *
 * Frees the past; the values are 0 again, and always were.
 */
void
hypha_watermark_clear (HyphaWatermark *self)
{
  g_clear_pointer (&self->past, g_array_unref);
  self->a = self->b = 0;
}

/* Every second mark goes, but never the first or the last: so the marks stay spread over the whole
 * past however fast a stranger makes the clock tick, and what is found is at worst an older value.
 */
static void
thin (GArray *past)
{
  guint kept = 0;

  for (guint i = 0; i < past->len; i++)
    if (i % 2 == 0 || i == past->len - 1)
      g_array_index (past, Mark, kept++) = g_array_index (past, Mark, i);
  g_array_set_size (past, kept);
}

/**
 * hypha_watermark_raise: (skip)
 * @self: a watermark
 * @a: one value; without effect if it is lower than what is there
 * @b: the other one, likewise
 * @now: what the nonce clock shows
 */
void
hypha_watermark_raise (HyphaWatermark *self, guint64 a, guint64 b, guint64 now)
{
  Mark *last = NULL;

  if (a <= self->a && b <= self->b)
    return;
  self->a = MAX (self->a, a);
  self->b = MAX (self->b, b);

  if (self->past == NULL)
    self->past = g_array_new (FALSE, FALSE, sizeof (Mark));
  if (self->past->len > 0)
    last = &g_array_index (self->past, Mark, self->past->len - 1);
  /* A clock that seems to go backwards counts as standing still. */
  if (last != NULL && last->tick >= now) {
    last->a = self->a;
    last->b = self->b;
    return;
  }
  if (self->past->len >= HYPHA_WATERMARK_MAX)
    thin (self->past);
  g_array_append_val (self->past, ((Mark){ .tick = now, .a = self->a, .b = self->b }));
}

/**
 * hypha_watermark_at: (skip)
 * @self: a watermark
 * @tick: a tick of the nonce clock
 * @a: (out): what one value was when the clock came to @tick
 * @b: (out): what the other one was
 */
void
hypha_watermark_at (const HyphaWatermark *self, guint64 tick, guint64 *a, guint64 *b)
{
  guint low = 0, high = self->past != NULL ? self->past->len : 0;

  while (low < high) {
    guint middle = low + (high - low) / 2;

    if (g_array_index (self->past, Mark, middle).tick < tick)
      low = middle + 1;
    else
      high = middle;
  }
  *a = low > 0 ? g_array_index (self->past, Mark, low - 1).a : 0;
  *b = low > 0 ? g_array_index (self->past, Mark, low - 1).b : 0;
}
