/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* An archive as the kernel unpacks it at boot (cpio, format newc), in memory; root's, and without
 * times, so that the same content is the same archive. Folders come before what is in them. */
typedef struct _HyphaCpio HyphaCpio;

HyphaCpio *hypha_cpio_new (void);
void hypha_cpio_free (HyphaCpio *self);
/* PATH: without a slash in front. The folders that it needs have mode 0755 unless they were added
 * before. */
void hypha_cpio_add_folder (HyphaCpio *self, const char *path, guint mode);
void hypha_cpio_add_file (HyphaCpio *self, const char *path, guint mode, GBytes *content);
void hypha_cpio_add_text (HyphaCpio *self, const char *path, guint mode, const char *text);
void hypha_cpio_add_link (HyphaCpio *self, const char *path, const char *target);
gboolean hypha_cpio_has (HyphaCpio *self, const char *path);
GBytes *hypha_cpio_end (HyphaCpio *self); /* the whole; nothing can be added any more */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaCpio, hypha_cpio_free)

G_END_DECLS
