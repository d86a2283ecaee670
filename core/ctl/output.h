/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* JSON for programs. VALUE may be floating. */
void hypha_ctl_print_json (GVariant *value);      /* for people to read, too */
void hypha_ctl_print_json_line (GVariant *value); /* one line, at once */
char *hypha_ctl_format_json_line (GVariant *value);

/* Columns of the terminal that standard output is; 0 if it is none. */
guint hypha_ctl_terminal_width (void);
/* A line, which on a terminal goes on below, INDENT in, where the terminal is too narrow for it. */
void hypha_ctl_print_wrapped (const char *safe, guint indent);

/* Where nobody reads standard output any more, the process ends as others do: by SIGPIPE. */
void hypha_ctl_end_by_broken_pipe (void);

/* A cost within JSON: null for none. Floating. */
GVariant *hypha_ctl_json_cost (guint cost);

/* Numbers for people. (transfer full) */
char *hypha_ctl_format_bytes (guint64 bytes);
char *hypha_ctl_format_ms (guint64 microseconds);
char *hypha_ctl_format_cost (guint cost); /* "-" for none */
char *hypha_ctl_format_yes (gboolean yes);

G_END_DECLS
