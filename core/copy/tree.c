/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/tree.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- files, whatever they are called ---- */

static guint
hash_id (gconstpointer key)
{
  const HyphaCopyFileId *id = key;

  return g_int64_hash (&id->inode);
}

static gboolean
equal_ids (gconstpointer a, gconstpointer b)
{
  const HyphaCopyFileId *x = a, *y = b;

  return x->device == y->device && x->inode == y->inode;
}

/**
 * hypha_copy_file_ids_new:
 * @free_value: (nullable): for what is kept with each
 *
 * Returns: (transfer full): a table of files
 */
GHashTable *
hypha_copy_file_ids_new (GDestroyNotify free_value)
{
  return g_hash_table_new_full (hash_id, equal_ids, g_free, free_value);
}

/**
 * hypha_copy_file_id_new:
 * @st: of a file
 *
 * Returns: (transfer full): what it is known by in such a table
 */
HyphaCopyFileId *
hypha_copy_file_id_new (const struct stat *st)
{
  HyphaCopyFileId *self = g_new (HyphaCopyFileId, 1);

  *self = (HyphaCopyFileId){ .device = st->st_dev, .inode = st->st_ino };
  return self;
}

/* ---- directories ---- */

/**
 * hypha_copy_find_obstacle:
 * @directory: a directory
 * @name: in it
 *
 * Returns: (nullable): what is in the way of something that is no directory, and may not be
 * replaced
 */
const char *
hypha_copy_find_obstacle (int directory, const char *name)
{
  struct stat st;

  if (fstatat (directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISREG (st.st_mode) ||
      S_ISLNK (st.st_mode))
    return NULL;
  return S_ISDIR (st.st_mode) ? _ ("there is a directory of this name")
                              : _ ("there is something of this name that is no file");
}

/**
 * hypha_copy_make_directory:
 * @parent: a directory
 * @name: in it
 *
 * Makes a directory, or takes the one that is there. A link is none, even if it leads to one.
 *
 * Returns: its descriptor; -1 with errno
 */
int
hypha_copy_make_directory (int parent, const char *name)
{
  int fd = -1;
  struct stat st;

  if (mkdirat (parent, name, 0700) != 0 && errno != EEXIST)
    return -1;
  fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  /* Nothing could be put into it, and in the end it has the mode that it should have. */
  if (fd >= 0 && fstat (fd, &st) == 0 && (st.st_mode & 0700) != 0700 && st.st_uid == geteuid ())
    fchmod (fd, (st.st_mode & 07777) | 0700);
  return fd;
}

/**
 * hypha_copy_finish_directory:
 * @fd: of a directory that nothing is put into any more
 * @mode: what everybody may do there
 * @times: of access and of modification
 *
 * Makes it what it should be. Its set-user-ID, set-group-ID and sticky bits are those of this
 * place, like its owner: a /tmp that came as 0777 stays one in which nobody can take away what
 * is others'.
 *
 * Returns: %TRUE; with errno otherwise
 */
gboolean
hypha_copy_finish_directory (int fd, guint32 mode, const struct timespec times[2])
{
  struct stat st;

  return fstat (fd, &st) == 0 &&
         fchmod (fd, (st.st_mode & 07777 & ~(mode_t) HYPHA_COPY_MODES) | mode) == 0 &&
         futimens (fd, times) == 0;
}

/**
 * hypha_copy_sync_directory:
 * @fd: of a directory
 *
 * Puts it on the disk. Some file systems cannot; they have done what they can.
 *
 * Returns: %TRUE; with errno otherwise
 */
gboolean
hypha_copy_sync_directory (int fd)
{
  return fsync (fd) == 0 || errno == EINVAL || errno == EBADF || errno == EROFS;
}

/* ---- links ---- */

static gboolean
put_in_place (int directory, const char *aside, const char *name)
{
  gboolean done = renameat (directory, aside, directory, name) == 0;
  int number = errno;

  /* Two names of one file are not renamed. */
  unlinkat (directory, aside, 0);
  errno = number;
  return done;
}

/**
 * hypha_copy_make_link:
 * @directory: a directory
 * @name: in it
 * @entry: a link
 *
 * Makes it, in the place of a file or a link that is there.
 *
 * Returns: %TRUE; with errno otherwise
 */
gboolean
hypha_copy_make_link (int directory, const char *name, const HyphaCopyEntry *entry)
{
  const struct timespec times[] = { entry->accessed, entry->modified };
  g_autofree char *aside = hypha_copy_name_dup_aside (name);

  unlinkat (directory, aside, 0);
  return symlinkat (entry->target, directory, aside) == 0 &&
         utimensat (directory, aside, times, AT_SYMLINK_NOFOLLOW) == 0 &&
         put_in_place (directory, aside, name);
}

/* The directory of the last component of PATH; no link is followed. -1 and errno. */
static int
walk (int top, const char *path, const char **name)
{
  int fd = fcntl (top, F_DUPFD_CLOEXEC, 0);
  const char *slash;

  for (; fd >= 0 && (slash = strchr (path, '/')); path = slash + 1) {
    g_autofree char *component = g_strndup (path, (gsize) (slash - path));
    int next = -1, number;

    errno = EINVAL;
    if (hypha_copy_name_is_good (component, strlen (component)))
      next = openat (fd, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    number = errno;
    close (fd);
    errno = number;
    fd = next;
  }
  *name = path;
  return fd;
}

/* Only to what this copy has brought: one that lies here for another reason is not the sender's. */
static gboolean
is_one_of (GHashTable *files, int directory, const char *name)
{
  struct stat st;
  HyphaCopyFileId id;

  if (!hypha_copy_name_is_good (name, strlen (name)) ||
      fstatat (directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return FALSE;
  id = (HyphaCopyFileId){ .device = st.st_dev, .inode = st.st_ino };
  return S_ISREG (st.st_mode) && g_hash_table_contains (files, &id);
}

/**
 * hypha_copy_make_hard_link:
 * @directory: a directory
 * @name: in it
 * @top: the directory that @path begins at
 * @path: as a peer wrote it
 * @files: those it may lead to
 *
 * Gives a file one more name, in the place of a file or a link that is there.
 *
 * Returns: %TRUE; with errno otherwise
 */
gboolean
hypha_copy_make_hard_link (int directory, const char *name, int top, const char *path,
                           GHashTable *files)
{
  g_autofree char *aside = hypha_copy_name_dup_aside (name);
  const char *target;
  int from = walk (top, path, &target);
  gboolean done;
  int number;

  if (from < 0)
    return FALSE;
  unlinkat (directory, aside, 0);
  errno = ENOENT;
  done = is_one_of (files, from, target) && linkat (from, target, directory, aside, 0) == 0 &&
         put_in_place (directory, aside, name);
  number = errno;
  close (from);
  errno = number;
  return done;
}
