/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A private directory: what is tested is copied into it, alone, for the loader takes whole
 * directories; and all that the tests make is within it, for who is killed takes nothing away. */

/* Copies FILE, and of a manifest what lies beside it, to where this gives; the environment leads
 * processes that are started from now on to DIRECTORY (to be removed and freed, also after an
 * error; then it may be NULL). */
char *contract_place_make (const char *file, char **directory, GError **error);
/* With all that is in it. */
void contract_place_remove (const char *directory);

/* Goes on as a child, whose environment leads to a directory of its own; the parent waits for its
 * end, removes that, and ends as it did. Before anything of GLib is used, for that keeps what it
 * finds in the environment. */
void contract_place_enter (void);

G_END_DECLS
