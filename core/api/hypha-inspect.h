/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>
#include <glib.h>
#include "hypha-fd.h"

G_BEGIN_DECLS

/* Owner and mode of files and of the directories above them: the security boundary of plug-ins. */

/* What tells one state of a file from another without reading it. */
typedef struct {
  guint64 device;
  guint64 inode;
  guint64 size;
  gint64 modified; /* ns */
  gint64 changed;  /* ns; owner and mode, too */
} HyphaStamp;

void hypha_stamp_from_stat (HyphaStamp *self, const struct stat *status);
gboolean hypha_stamp_equal (const HyphaStamp *a, const HyphaStamp *b);

/* NAME, inside the open DIRECTORY, is about to be looked up on the way to a path: where a watch
 * belongs. */
typedef void (*HyphaInspectVisit) (int directory, const char *name, gpointer user_data);

int hypha_inspect_open_directory (const char *path, HyphaInspectVisit visit, gpointer user_data,
                                  char **distrust, GError **error);
int hypha_inspect_open_file (int directory, const char *name, const char *path, GError **error);
gboolean hypha_inspect_program (const char *path, HyphaStamp *stamp, GError **error);
int hypha_inspect_copy (int fd, const char *name, const char *path, GError **error);
char *hypha_inspect_quote (const char *path);

G_END_DECLS
