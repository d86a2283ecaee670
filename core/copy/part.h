/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "copy/entry.h"

G_BEGIN_DECLS

#define HYPHA_COPY_DIGEST 32

/* A file while it comes: beside the one that it will be, under a name of its own, locked. */
typedef struct {
  int directory; /* somebody else's */
  int fd;        /* -1: there is none */
  char *name;    /* of what it will be */
  char *part;    /* its name until then; NULL: it is whole already, and only looked at */
  guint64 there; /* bytes that were there before */
  guint64 position;
  gboolean synced; /* it is on the disk, */
  int trouble;     /* or could not be put there: errno, which the kernel tells once */
} HyphaCopyPart;

/* FALSE with errno; EBUSY: another copy writes it, EPERM: the name is taken by something else. */
gboolean hypha_copy_part_open (HyphaCopyPart *self, int directory, const HyphaCopyEntry *entry,
                               const char *name);
void hypha_copy_part_clear (HyphaCopyPart *self);
/* The same file, if it looks as if it had come before. */
gboolean hypha_copy_part_open_whole (HyphaCopyPart *self, int directory,
                                     const HyphaCopyEntry *entry, const char *name);
gboolean hypha_copy_part_write (HyphaCopyPart *self, const guint8 *data, gsize length);
gboolean hypha_copy_part_restart (HyphaCopyPart *self);
/* At the end: what it should be; and then, on the disk, where it should be. */
gboolean hypha_copy_part_prepare (HyphaCopyPart *self, const HyphaCopyEntry *entry);
gboolean hypha_copy_part_place (HyphaCopyPart *self);
/* Takes it away, or leaves it for the next time. */
void hypha_copy_part_drop (HyphaCopyPart *self);
void hypha_copy_part_keep (HyphaCopyPart *self);

/* A digest of the first LENGTH bytes of a file, wherever it has holes. FALSE with errno; 0: it is
 * shorter. GO_ON is asked now and then, and may say no (ECANCELED). */
gboolean hypha_copy_hash (int fd, guint64 length, gboolean (*go_on) (gpointer user_data),
                          gpointer user_data, guint8 digest[HYPHA_COPY_DIGEST]);

G_END_DECLS
