/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/tilde.h"

gboolean
hypha_tilde_take (HyphaTilde *self, const guint8 *typed, gsize length, GByteArray *passed)
{
  for (gsize i = 0; i < length; i++) {
    guint8 c = typed[i];

    if (self->held > 0 && c == '.')
      return FALSE;
    if (!self->in_line && self->held == 0 && c == '~') {
      self->held = 1;
      continue;
    }
    /* Two are one. */
    if (self->held > 0 && c != '~')
      g_byte_array_append (passed, (const guint8 *) "~", 1);
    self->held = 0;
    self->in_line = c != '\r' && c != '\n';
    g_byte_array_append (passed, &c, 1);
  }
  return TRUE;
}
