/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <time.h>

#include "copy/words.h"

G_BEGIN_DECLS

#define HYPHA_COPY_NAME_MAX 255
#define HYPHA_COPY_TARGET_MAX 4095
#define HYPHA_COPY_MODES 0777 /* of all bits of a mode, those that are kept */

/* One of a tree, as it goes over the stream: a directory, a file, a link, one more name of a file.
 * Bytes in, values out. */
typedef struct {
  guint8 type; /* HYPHA_COPY_DIRECTORY, ... */
  guint32 mode;
  struct timespec accessed, modified;
  guint64 size;                       /* of a file */
  gboolean resumable;                 /* the sender waits for HAVE, or a PROBLEM */
  gboolean linked;                    /* other names of this file may follow */
  char name[HYPHA_COPY_NAME_MAX + 1]; /* empty: the destination itself (outermost directory only) */
  char target[HYPHA_COPY_TARGET_MAX + 1]; /* of a link */
} HyphaCopyEntry;

/* What was copied. */
typedef struct {
  guint64 files, directories, links;
  guint64 bytes;   /* that were sent */
  guint64 resumed; /* that were there already */
} HyphaCopyCounts;

void hypha_copy_entry_append (GByteArray *to, const HyphaCopyEntry *self);
gboolean hypha_copy_entry_parse (HyphaCopyEntry *self, const HyphaParcel *parcel, GError **error);
void hypha_copy_counts_append (GByteArray *to, const HyphaCopyCounts *self);
gboolean hypha_copy_counts_parse (HyphaCopyCounts *self, const HyphaParcel *parcel);

/* What a peer says makes no sense. FALSE. */
gboolean hypha_copy_refuse (GError **error, const char *what);

void hypha_copy_append_u64 (GByteArray *to, guint8 type, guint64 value, const void *more,
                            gsize length);
/* MORE bytes follow. */
gboolean hypha_copy_read_u64 (const HyphaParcel *parcel, gsize more, guint64 *value);

/* One component of a path, as a peer says it. */
gboolean hypha_copy_name_is_good (const char *name, gsize length);
/* Where a file is before it is whole, and a link before it takes another's place. */
char *hypha_copy_name_dup_part (const char *name);
char *hypha_copy_name_dup_aside (const char *name);
gboolean hypha_copy_name_is_ours (const char *name); /* one of these two, of whatever file */
char *hypha_copy_dup_sentence (const guint8 *text, gsize length); /* what a peer wrote */

G_END_DECLS
