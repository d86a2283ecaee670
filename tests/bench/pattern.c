/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pattern.h"

#include <pthread.h>

/* It begins anew after a prime number of bytes: no power of two, as buffers and frames have it, is
 * a multiple of that. Small enough for the cache: the cost is to be that of the way. */
#define PERIOD 65521

static guint8 bytes[PERIOD + PATTERN_BLOCK];

static void
fill (void)
{
  guint32 state = 4974;

  for (gsize i = 0; i < sizeof bytes; i++) {
    state = state * 1664525 + 1013904223;
    bytes[i] = i < PERIOD ? (guint8) (state >> 24) : bytes[i - PERIOD];
  }
}

/**
 * pattern_at:
 * @offset: where in a stream
 *
 * What belongs there.
 *
 * Returns: (transfer none): the %PATTERN_BLOCK bytes from there on
 */
const guint8 *
pattern_at (guint64 offset)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once (&once, fill);
  return bytes + offset % PERIOD;
}
