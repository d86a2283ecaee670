/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/telling.h"

#define MOST 5
#define SPAN (60 * G_TIME_SPAN_SECOND)

/**
 * hypha_telling_ask: (skip)
 * @self: what was told so far
 * @now: the time, in microseconds
 * @untold: (out): how many were not told of before, to be told of now; 0 mostly
 *
 * Asks whether one more may be told of, and counts it.
 *
 * Returns: %HYPHA_TELLING_NO if it is one too many
 */
HyphaTellingAnswer
hypha_telling_ask (HyphaTelling *self, gint64 now, guint *untold)
{
  *untold = 0;
  if (self->since == 0 || now - self->since >= SPAN) {
    *untold = self->untold;
    *self = (HyphaTelling){ .since = now };
  }
  if (self->told == MOST) {
    self->untold++;
    return HYPHA_TELLING_NO;
  }
  return ++self->told == MOST ? HYPHA_TELLING_LAST : HYPHA_TELLING_YES;
}
