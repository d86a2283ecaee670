/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The process of a transport that is a program. Its standard input and output are one socket,
 * whose other end is the caller's; its standard error goes to the log. Main thread only. */
typedef struct _HyphaProgramProcess HyphaProgramProcess;

/* HOW it ended, the end of a sentence. The process is gone then, and all of its group. */
typedef void (*HyphaProgramProcessEnded) (const char *how, gpointer user_data);

HyphaProgramProcess *hypha_program_process_start (const char *name, const char *path,
                                                  const char *const *argv,
                                                  HyphaProgramProcessEnded ended,
                                                  gpointer user_data, int *fd, GError **error);
int hypha_program_process_get_pid (HyphaProgramProcess *self);
void hypha_program_process_end (HyphaProgramProcess *self, gboolean at_once);

G_END_DECLS
