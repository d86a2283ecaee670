/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "copy/batch.h"
#include "copy/receiver.h"
#include "copy/wire.h"

G_BEGIN_DECLS

/* What the parts of the receiver share. */
typedef struct {
  HyphaCopyWire *wire;
  const HyphaCopyDestination *destination;
  const HyphaCopyEvents *events;
  gpointer user_data;
  HyphaCopyCounts *counts;
  GArray *directories; /* those that are open, the outermost first */
  GString *path;       /* of what comes, for people */
  guint64 number;      /* of the entry */
  GPtrArray *wanted;   /* names that have not come; NULL: any */
  guint missing;       /* of these, so many were told not to */
  guint skipped;       /* directories in each other that nothing is taken of */
  gboolean in_file;    /* until its end */
  gboolean awaits_from;
  HyphaCopyEntry entry; /* of the file */
  HyphaCopyPart part;   /* of the file; without a descriptor, nothing of it is taken */
  GArray *whole;        /* HyphaCopyWhole: files that wait to be put on the disk */
  GHashTable *linked;   /* set of HyphaCopyFileId */
  gboolean ended;
} HyphaCopyReceiver;

/* receiver.c */
gboolean hypha_copy_receiver_tell_errno (HyphaCopyReceiver *self, int number, GError **error);
int hypha_copy_receiver_get_directory (HyphaCopyReceiver *self);
const char *hypha_copy_receiver_get_name (HyphaCopyReceiver *self, const HyphaCopyEntry *entry);
gboolean hypha_copy_receiver_may_take (HyphaCopyReceiver *self, const HyphaCopyEntry *entry,
                                       const char *name);
gboolean hypha_copy_receiver_place_whole (HyphaCopyReceiver *self, GError **error);

/* receiver-file.c */
gboolean hypha_copy_receiver_begin_file (HyphaCopyReceiver *self, const HyphaCopyEntry *entry,
                                         GError **error);
gboolean hypha_copy_receiver_take_in_file (HyphaCopyReceiver *self, const HyphaParcel *parcel,
                                           GError **error);

G_END_DECLS
