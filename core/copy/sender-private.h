/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "copy/part.h"
#include "copy/sender.h"
#include "copy/tree.h"
#include "copy/wire.h"

G_BEGIN_DECLS

#define HYPHA_COPY_NOWHERE G_MAXUINT

struct _HyphaCopySender {
  HyphaCopyWire *wire;
  const HyphaCopyEvents *events;
  gpointer user_data;
  GString *path;      /* of what is sent, for people */
  GString *inner;     /* the same, from the outermost directory */
  guint64 number;     /* of the last entry */
  GArray *entries;    /* numbers of those that are open: directories, and a file in the last */
  guint given_up;     /* of these, the outermost that the receiver cannot take; or NOWHERE */
  GHashTable *linked; /* HyphaCopyFileId to what is its path from the outermost directory */
  gsize linked_bytes; /* of these paths */
  gboolean awaits_have, awaits_done;
  guint64 have;                     /* how much of the file the receiver has, */
  guint8 digest[HYPHA_COPY_DIGEST]; /* and which bytes these are */
  gboolean done;
  HyphaCopyCounts counts;
};

gboolean hypha_copy_sender_say_entry (HyphaCopySender *self, const HyphaCopyEntry *entry,
                                      GError **error);
gboolean hypha_copy_sender_say (HyphaCopySender *self, guint8 type, const char *sentence,
                                GError **error);
void hypha_copy_sender_enter (HyphaCopySender *self);
void hypha_copy_sender_leave (HyphaCopySender *self);
/* The contents of a file, after its entry. */
gboolean hypha_copy_sender_send_open (HyphaCopySender *self, int fd, const struct stat *st,
                                      HyphaCopyEntry *entry, GError **error);

G_END_DECLS
