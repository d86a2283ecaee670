/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Which of the directories that may be copied from and to PATH lies in, by its text; and what
 * follows. NULL: in none of them. ROOTS: absolute, at least one; what is relative is so to the
 * first. */
const char *hypha_agent_copy_roots_find (const char *const *roots, const char *path,
                                         const char **rest, GError **error);

G_END_DECLS
