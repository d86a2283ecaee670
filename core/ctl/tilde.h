/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How a person gets away from a terminal all of whose keys go to somebody else who does not answer:
 * "~." at the beginning of a line, as ssh has it. */
typedef struct {
  gboolean in_line; /* something of it was typed already */
  guint held;       /* tildes, 0 or 1: until it is known what it is */
} HyphaTilde;

/* Appends to PASSED what is for the other side: at most one byte more than LENGTH. FALSE: whoever
 * typed it gives up. */
gboolean hypha_tilde_take (HyphaTilde *self, const guint8 *typed, gsize length, GByteArray *passed);

G_END_DECLS
