/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include "copy/entry.h"

G_BEGIN_DECLS

/* What a tree is made of beside the files' contents, on the disk. Names are single components, and
 * nothing is followed. What fails leaves errno. */

/* A file, whatever it is called. */
typedef struct {
  guint64 device, inode;
} HyphaCopyFileId;

GHashTable *hypha_copy_file_ids_new (GDestroyNotify free_value); /* of HyphaCopyFileId */
HyphaCopyFileId *hypha_copy_file_id_new (const struct stat *st);

const char *hypha_copy_find_obstacle (int directory, const char *name);
int hypha_copy_make_directory (int parent, const char *name);
gboolean hypha_copy_finish_directory (int fd, guint32 mode, const struct timespec times[2]);
gboolean hypha_copy_sync_directory (int fd);
gboolean hypha_copy_make_link (int directory, const char *name, const HyphaCopyEntry *entry);
/* PATH: from TOP, to one of FILES. */
gboolean hypha_copy_make_hard_link (int directory, const char *name, int top, const char *path,
                                    GHashTable *files);

G_END_DECLS
