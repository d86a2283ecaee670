/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "copy/part.h"

G_BEGIN_DECLS

/* Files of which everything has come, and which wait for each other: to put each on the disk by
 * itself takes milliseconds, and a tree has tens of thousands. */
#define HYPHA_COPY_BATCH 32 /* each takes a descriptor */

typedef struct {
  HyphaCopyPart part;
  guint64 number; /* of its entry */
  char *path;     /* for people */
} HyphaCopyWhole;

GArray *hypha_copy_batch_new (void); /* of HyphaCopyWhole; those that are left are dropped */
/* Takes PART, which is ready. */
void hypha_copy_batch_add (GArray *self, HyphaCopyPart *part, guint64 number, const char *path);
void hypha_copy_batch_sync (GArray *self);

G_END_DECLS
