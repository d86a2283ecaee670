/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Reads a shared object without running any of it. */

gboolean hypha_elf_check (GBytes *file, const char *path, GError **error);
gconstpointer hypha_elf_find_object (GBytes *file, const char *symbol, gsize *size);

G_END_DECLS
