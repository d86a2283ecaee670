/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where a tree is taken from, or goes to. ROOT is a directory that nothing leads out of, neither a
 * link nor "..", or -1: the path is that of a user, who may go anywhere. */

typedef struct {
  int fd;     /* a directory */
  char *name; /* in it; NULL: the directory itself */
  char *sent; /* what it is called at the other end; "": only what is in it is meant */
} HyphaCopySource;

typedef struct {
  int fd;             /* a directory */
  char *name;         /* what comes gets this name in it; NULL: it keeps its own */
  gboolean directory; /* that has to be one */
  char *shown;        /* for people */
  GPtrArray *wanted;  /* names that have to come, each once, and no others; NULL: whatever comes */
} HyphaCopyDestination;

/* What PATH is called at the other end. */
char *hypha_copy_dup_sent (const char *path);
int hypha_copy_open_root (const char *path, GError **error);
/* TEXT: what PATH is called, if that begins at a root. */
gboolean hypha_copy_source_open (HyphaCopySource *self, int root, const char *path,
                                 const char *text, GError **error);
void hypha_copy_source_clear (HyphaCopySource *self);
gboolean hypha_copy_destination_open (HyphaCopyDestination *self, int root, const char *path,
                                      const char *text, gboolean into, GError **error);
/* Nothing is to come but PATHS, as the sender has them. */
void hypha_copy_destination_want (HyphaCopyDestination *self, char **paths);
void hypha_copy_destination_clear (HyphaCopyDestination *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaCopySource, hypha_copy_source_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaCopyDestination, hypha_copy_destination_clear)

G_END_DECLS
