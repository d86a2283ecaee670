/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/pace.h"

struct _HyphaPace {
  gint64 each, ahead; /* in us; how far one may be ahead of its time */
  GHashTable *times;  /* who to gint64: when all that was had is made up for */
};

static gboolean
is_past (gpointer who, gpointer time, gpointer now)
{
  return *(gint64 *) time <= *(gint64 *) now;
}

/**
 * hypha_pace_new: (skip)
 * @at_once: how many each may have at once, at least 1
 * @each_ms: until it may have one more, in milliseconds, at least 1
 *
 * Returns: (transfer full): a pace at which nobody has had anything
 */
HyphaPace *
hypha_pace_new (guint at_once, guint each_ms)
{
  HyphaPace *self = g_new0 (HyphaPace, 1);

  self->each = (gint64) each_ms * G_TIME_SPAN_MILLISECOND;
  self->ahead = (at_once - 1) * self->each;
  self->times = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

/**
 * hypha_pace_take: (skip)
 * @self: a pace
 * @who: wants one more
 * @now: the time, monotonic, in microseconds
 *
 * Only those are remembered who have had something lately.
 *
 * Returns: 0 if @who has it; else the milliseconds until there may be one, at least 1
 */
guint
hypha_pace_take (HyphaPace *self, const char *who, gint64 now)
{
  gint64 *time;

  g_hash_table_foreach_remove (self->times, is_past, &now);
  time = g_hash_table_lookup (self->times, who);
  if (time == NULL) {
    time = g_new (gint64, 1);
    *time = now;
    g_hash_table_insert (self->times, g_strdup (who), time);
  }
  if (*time - now > self->ahead)
    return (guint) ((*time - now - self->ahead) / G_TIME_SPAN_MILLISECOND) + 1;
  *time += self->each;
  return 0;
}

/**
 * hypha_pace_free: (skip)
 * @self: (transfer full): a pace
 */
void
hypha_pace_free (HyphaPace *self)
{
  g_hash_table_unref (self->times);
  g_free (self);
}
