/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What others wrote, made safe for a terminal. */
char *hypha_ctl_escape (const char *text);
char *hypha_ctl_escape_json (const char *json);
char *hypha_ctl_escape_variant (const char *printed);
/* Columns that TEXT takes on a terminal. */
guint hypha_ctl_text_width (const char *text);
/* TEXT, cut to WIDTH columns; what is missing is shown by an ellipsis. */
char *hypha_ctl_text_cut (const char *text, guint width);
/* As many words of REST as fit into WIDTH columns; REST is moved to what is left. */
char *hypha_ctl_text_take_line (const char **rest, guint width);
/* All of WHOLE in lines of WIDTH columns, 0 for one line; all but the first are INDENT in. */
void hypha_ctl_text_append_wrapped (GString *text, const char *whole, guint indent, guint width);

G_END_DECLS
