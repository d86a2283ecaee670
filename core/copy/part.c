/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 8
#define BLOCK_BYTES (256 * 1024)
#define ASK_EVERY 64 /* blocks */

/* ---- opening ---- */

/* A file of this user's alone: what somebody else has put there, or has open under another name,
 * he could write into later. */
static gboolean
is_own (const struct stat *st)
{
  return S_ISREG (st->st_mode) && st->st_nlink == 1 && st->st_uid == geteuid ();
}

/* The other copy may have just given the file its name. */
static gboolean
is_still_there (int directory, const char *part, const struct stat *st)
{
  struct stat now;

  return fstatat (directory, part, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == st->st_dev &&
         now.st_ino == st->st_ino;
}

/* -1 and errno; EAGAIN: again. */
static int
try_open (int directory, const char *part, struct stat *st)
{
  int fd = openat (directory, part,
                   O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
  int number;

  if (fd < 0) {
    if (errno != ELOOP)
      return -1;
    if (unlinkat (directory, part, 0) == 0)
      errno = EAGAIN;
    return -1;
  }
  if (fstat (fd, st) == 0 && !is_own (st))
    errno = unlinkat (directory, part, 0) == 0 ? EAGAIN : EPERM;
  else if (flock (fd, LOCK_EX | LOCK_NB) != 0)
    errno = errno == EWOULDBLOCK ? EBUSY : errno;
  else if (!is_still_there (directory, part, st))
    errno = EAGAIN;
  else if (fchmod (fd, 0600) == 0 && fstat (fd, st) == 0)
    return fd;
  number = errno;
  close (fd);
  errno = number;
  return -1;
}

/**
 * hypha_copy_part_open:
 * @self: (out caller-allocates): the file
 * @directory: where it will be
 * @entry: what it will be
 * @name: under this name
 *
 * Opens what an earlier copy has left, or a new one.
 *
 * Returns: %TRUE if it is open; with errno otherwise
 */
gboolean
hypha_copy_part_open (HyphaCopyPart *self, int directory, const HyphaCopyEntry *entry,
                      const char *name)
{
  struct stat st;

  *self = (HyphaCopyPart){ .directory = directory,
                           .fd = -1,
                           .name = g_strdup (name),
                           .part = hypha_copy_name_dup_part (name) };
  for (int i = 0; i < TRIES && self->fd < 0; i++) {
    self->fd = try_open (directory, self->part, &st);
    if (self->fd < 0 && errno != EAGAIN)
      break;
  }
  if (self->fd < 0)
    return FALSE;
  self->there = (guint64) st.st_size;
  if (entry->resumable && self->there <= entry->size)
    return TRUE;
  return hypha_copy_part_restart (self);
}

/**
 * hypha_copy_part_open_whole:
 * @self: (out caller-allocates): the file
 * @directory: where it is
 * @entry: what it should be
 * @name: under this name
 *
 * Returns: %TRUE if there is a file of this user's with that size and time
 */
gboolean
hypha_copy_part_open_whole (HyphaCopyPart *self, int directory, const HyphaCopyEntry *entry,
                            const char *name)
{
  struct stat st;

  *self = (HyphaCopyPart){ .directory = directory, .fd = -1, .name = g_strdup (name) };
  if (fstatat (directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_own (&st) &&
      (guint64) st.st_size == entry->size && st.st_mtim.tv_sec == entry->modified.tv_sec &&
      st.st_mtim.tv_nsec == entry->modified.tv_nsec)
    self->fd = openat (directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (self->fd >= 0 && fstat (self->fd, &st) == 0 && is_own (&st) &&
      (guint64) st.st_size == entry->size) {
    self->there = entry->size;
    return TRUE;
  }
  hypha_copy_part_clear (self);
  return FALSE;
}

/**
 * hypha_copy_part_clear:
 * @self: a file, or none
 *
 * Closes it and leaves it as it is.
 */
void
hypha_copy_part_clear (HyphaCopyPart *self)
{
  if (self->fd >= 0)
    close (self->fd);
  g_free (self->name);
  g_free (self->part);
  *self = (HyphaCopyPart){ .fd = -1 };
}

/* ---- writing ---- */

/**
 * hypha_copy_part_restart:
 * @self: a file that is not whole
 *
 * Forgets what was there.
 *
 * Returns: %TRUE; with errno otherwise
 */
gboolean
hypha_copy_part_restart (HyphaCopyPart *self)
{
  self->there = self->position = 0;
  return ftruncate (self->fd, 0) == 0;
}

/**
 * hypha_copy_part_write:
 * @self: a file that is not whole
 * @data: (array length=length): what comes next
 * @length: of it
 *
 * Returns: %TRUE if it is written; with errno otherwise
 */
gboolean
hypha_copy_part_write (HyphaCopyPart *self, const guint8 *data, gsize length)
{
  while (length > 0) {
    gssize n = pwrite (self->fd, data, length, (off_t) self->position);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return FALSE;
    self->position += (guint64) n;
    data += n;
    length -= (gsize) n;
  }
  return TRUE;
}

/**
 * hypha_copy_part_prepare:
 * @self: a file of which everything has come
 * @entry: what it is
 *
 * Makes it what it should be.
 *
 * Returns: %TRUE; with errno otherwise
 */
gboolean
hypha_copy_part_prepare (HyphaCopyPart *self, const HyphaCopyEntry *entry)
{
  const struct timespec times[] = { entry->accessed, entry->modified };

  return (self->part == NULL || ftruncate (self->fd, (off_t) entry->size) == 0) &&
         fchmod (self->fd, entry->mode) == 0 && futimens (self->fd, times) == 0;
}

/**
 * hypha_copy_part_place:
 * @self: a file that was made ready
 *
 * Puts it on the disk, unless it is there, gives it its name, and closes it.
 *
 * Returns: %TRUE if it is there; with errno otherwise
 */
gboolean
hypha_copy_part_place (HyphaCopyPart *self)
{
  if (self->trouble != 0) {
    errno = self->trouble;
    return FALSE;
  }
  if (!self->synced && fsync (self->fd) != 0)
    return FALSE;
  if (self->part && renameat (self->directory, self->part, self->directory, self->name) != 0)
    return FALSE;
  hypha_copy_part_clear (self);
  return TRUE;
}

/**
 * hypha_copy_part_drop:
 * @self: a file, or none
 *
 * Takes it away, if it is not whole.
 */
void
hypha_copy_part_drop (HyphaCopyPart *self)
{
  if (self->fd >= 0 && self->part)
    unlinkat (self->directory, self->part, 0);
  hypha_copy_part_clear (self);
}

/**
 * hypha_copy_part_keep:
 * @self: a file, or none
 *
 * Leaves it for the next copy, if there is enough of it for that to be worth while.
 */
void
hypha_copy_part_keep (HyphaCopyPart *self)
{
  struct stat st;

  if (self->fd >= 0 && fstat (self->fd, &st) == 0 && st.st_size >= HYPHA_COPY_RESUMABLE)
    hypha_copy_part_clear (self);
  else
    hypha_copy_part_drop (self);
}

/* ---- what is there ---- */

/* LENGTH bytes. FALSE with errno; 0: there are fewer. */
static gboolean
read_block (int fd, guint64 at, guint8 *block, gsize length)
{
  gsize have = 0;

  while (have < length) {
    gssize n = pread (fd, block + have, length - have, (off_t) (at + have));

    if (n < 0 && errno == EINTR)
      continue;
    if (n == 0)
      errno = 0;
    if (n <= 0)
      return FALSE;
    have += (gsize) n;
  }
  return TRUE;
}

static gboolean
is_zero (const guint8 *block, gsize length)
{
  return block[0] == 0 && memcmp (block, block + 1, length - 1) == 0;
}

/* The block from AT on that may hold something else than zeros; LENGTH: none does. */
static guint64
skip_holes (int fd, guint64 at, guint64 length)
{
  off_t found = lseek (fd, (off_t) at, SEEK_DATA);

  if (found < 0)
    return errno == ENXIO ? length : at;
  return MAX (at, MIN ((guint64) found / BLOCK_BYTES * BLOCK_BYTES, length));
}

static void
update_number (GChecksum *checksum, guint64 value)
{
  guint64 order = GUINT64_TO_BE (value);

  g_checksum_update (checksum, (const guchar *) &order, sizeof order);
}

/**
 * hypha_copy_hash:
 * @fd: of a file
 * @length: how much of it
 * @go_on: asked now and then whether anybody still wants to know
 * @user_data: for @go_on
 * @digest: (out caller-allocates): SHA-256 of the blocks of 256 KiB that are not all zeros, and
 *   before each of them, and at the end, how many bytes of such there were since the last one, in
 *   64 bits: what is empty costs nothing, however large it is
 *
 * Returns: %TRUE with the digest; with errno otherwise, 0 if the file is shorter
 */
gboolean
hypha_copy_hash (int fd, guint64 length, gboolean (*go_on) (gpointer user_data), gpointer user_data,
                 guint8 digest[HYPHA_COPY_DIGEST])
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guint8 *block = g_malloc (BLOCK_BYTES);
  gsize digest_length = HYPHA_COPY_DIGEST;
  guint64 zeros = skip_holes (fd, 0, length);
  guint blocks = 0;
  struct stat st;

  errno = 0;
  if (fstat (fd, &st) != 0 || (guint64) st.st_size < length)
    return FALSE;
  for (guint64 at = zeros; at < length;) {
    gsize n = MIN (length - at, BLOCK_BYTES);
    guint64 next = at + n;

    if (!read_block (fd, at, block, n))
      return FALSE;
    if (++blocks % ASK_EVERY == 0 && !go_on (user_data)) {
      errno = ECANCELED;
      return FALSE;
    }
    if (is_zero (block, n)) {
      next = skip_holes (fd, next, length);
      zeros += next - at;
    } else {
      update_number (checksum, zeros);
      g_checksum_update (checksum, block, (gssize) n);
      zeros = 0;
    }
    at = next;
  }
  update_number (checksum, zeros);
  g_checksum_get_digest (checksum, digest, &digest_length);
  return TRUE;
}
