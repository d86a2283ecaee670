/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Columns for people. Cells are escaped here, and cut where the terminal is too narrow; into a pipe
 * they go whole. */
typedef struct _HyphaTable HyphaTable;

/* Ends with NULL. What a title begins with tells of its column: '>' it is set to the right, as
 * numbers are; '=' it holds states, which have colours; '-' it is left out where there is little
 * room; '+' (the last one only) it goes over several lines rather than be cut. */
HyphaTable *hypha_table_new (const char *first, ...) G_GNUC_NULL_TERMINATED;
void hypha_table_free (HyphaTable *self);
/* As many strings as there are columns; each is taken. */
void hypha_table_add (HyphaTable *self, char *first, ...);
/* WIDTH 0: no end. */
char *hypha_table_to_string (HyphaTable *self, guint width);
void hypha_table_print (HyphaTable *self); /* as wide as the terminal */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaTable, hypha_table_free)

G_END_DECLS
