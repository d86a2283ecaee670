/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text from outside inside the sentences of errors. Internal: not installed, not exported. */

#include <glib.h>

G_BEGIN_DECLS

/* TEXT in single quotes, safe to print: what is not UTF-8 or not printable is escaped, and what is
 * long is cut. */
char *hypha_text_quote (const char *text);

/* TEXT, whole, safe to print in the same way. */
char *hypha_text_escape (const char *text);

/* Strict decimal: digits only, no leading zero, at most MAX. If not, FALSE and WHY says what is
 * wrong with TEXT, as the end of a sentence. */
gboolean hypha_text_parse_u32 (const char *text, guint32 max, guint32 *value, char **why);

G_END_DECLS
