/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* All chance of a run comes from one of these (splitmix64), so that a seed is a whole run: on any
 * machine, in any build. */
typedef struct {
  guint64 state;
} SimRandom;

static inline guint64
sim_mix (guint64 value)
{
  value = (value ^ (value >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  value = (value ^ (value >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return value ^ (value >> 31);
}

static inline void
sim_random_init (SimRandom *self, guint64 seed)
{
  self->state = sim_mix (seed + G_GUINT64_CONSTANT (0x9e3779b97f4a7c15));
}

static inline guint64
sim_random_next (SimRandom *self)
{
  self->state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  return sim_mix (self->state);
}

/* From 0 up to and without BOUND. */
static inline guint64
sim_random_below (SimRandom *self, guint64 bound)
{
  return bound == 0 ? 0 : sim_random_next (self) % bound;
}

/* From LOW up to and with HIGH. */
static inline gint64
sim_random_between (SimRandom *self, gint64 low, gint64 high)
{
  return low + (gint64) sim_random_below (self, (guint64) (high - low) + 1);
}

/* In COUNT of a thousand cases. */
static inline gboolean
sim_random_chance (SimRandom *self, guint count)
{
  return sim_random_below (self, 1000) < count;
}

/* Between LOW (at least 1) and about HIGH, every order of magnitude as likely as any other. */
static inline gint64
sim_random_scale (SimRandom *self, guint64 low, guint64 high)
{
  guint first = g_bit_storage (low) - 1, last = g_bit_storage (high) - 1;
  guint64 base = G_GUINT64_CONSTANT (1) << sim_random_between (self, first, last);
  guint64 value = base + sim_random_below (self, base);
  return (gint64) CLAMP (value, low, high);
}

#define sim_random_pick(random, array) ((array)[sim_random_below ((random), G_N_ELEMENTS (array))])
