/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/patience.h"

#define PATIENCE_MS 10000

static guint patience_ms = PATIENCE_MS;

/* hypha_program_patience_get:
 * Returns: milliseconds; a program answers within them, says anything at all within half of them,
 * and ends within two tenths */
guint
hypha_program_patience_get (void)
{
  return patience_ms;
}

void
hypha_program_patience_set (guint milliseconds)
{
  patience_ms = milliseconds;
}
