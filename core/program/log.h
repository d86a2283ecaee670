/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a program says on its standard error, in our own log: line by line, escaped, and no more
 * than a log can bear. */
typedef struct _HyphaProgramLog HyphaProgramLog;

HyphaProgramLog *hypha_program_log_new (int fd, const char *name);
void hypha_program_log_free (HyphaProgramLog *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaProgramLog, hypha_program_log_free)

G_END_DECLS
