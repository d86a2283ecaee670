/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The terminal that standard input is, while every key goes to somebody else. */
gboolean hypha_ctl_terminal_is_there (void);
/* Until it is restored, or the process ends, whatever ends it. */
void hypha_ctl_terminal_make_raw (void);
void hypha_ctl_terminal_restore (void);
/* 24 lines of 80 where there is none. */
void hypha_ctl_terminal_get_size (guint16 *rows, guint16 *cols);

G_END_DECLS
