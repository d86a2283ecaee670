/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* One thread for every ssh of this process, there while somebody holds it. It starts them, hears
 * them, and sees them end, whatever the program's own threads do: one that waits for the end of a
 * channel need not run a main context for that. */

/* FALSE: no thread can be had. */
gboolean ssh_loop_hold (GError **error);
/* For who holds it. FUNC is called once, and returns G_SOURCE_REMOVE. */
void ssh_loop_post (GSourceFunc func, gpointer data);
/* From there to where TASK was made. */
void ssh_loop_post_back (GTask *task, GSourceFunc func, gpointer data);
void ssh_loop_release (void);

G_END_DECLS
