/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How long a program is waited for: all its deadlines are parts of this. */
guint hypha_program_patience_get (void);
/* For tests, which have none. */
void hypha_program_patience_set (guint milliseconds);

G_END_DECLS
