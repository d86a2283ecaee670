/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node/telling.h"

#define MOST 5
#define SPAN (60 * G_TIME_SPAN_SECOND)

/**
 * hypha_telling_tell: (skip)
 * @self: what was told so far
 * @about: what each line begins with; may be empty
 * @text: what has happened
 * @others: what is said of a number of such: "links have ended badly"
 *
 * Tells the log of it, and of how many were not told before; or counts it, where it is one too
 * many.
 */
void
hypha_telling_tell (HyphaTelling *self, const char *about, const char *text, const char *others)
{
  gint64 now = g_get_monotonic_time ();

  if (self->since == 0 || now - self->since >= SPAN) {
    if (self->untold > 0)
      g_message ("%s%u more %s", about, self->untold, others);
    *self = (HyphaTelling){ .since = now };
  }
  if (self->told == MOST) {
    self->untold++;
    return;
  }
  self->told++;
  g_message ("%s%s%s", about, text,
             self->told == MOST ? " (more of them will be counted only, for a minute)" : "");
}
