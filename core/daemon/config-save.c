/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/config-file-private.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <hypha-api.h>

/* Changing one key of a file that belongs to the administrator: every other byte stays, and so does
 * what he writes at the same time. */

/* ---- the text ---- */

/* A line that is wrong would be carried along, and the file refused at the next start. The line of
 * the key itself may be wrong: it goes. */
static gboolean
is_sound (HyphaConfigFile *self, const char *path, const char *key, GError **error)
{
  for (guint i = 0; i < self->faults->len; i++) {
    const HyphaConfigFileFault *fault = self->faults->pdata[i];
    g_autofree char *sentence = NULL;

    if (g_strcmp0 (fault->key, key) == 0 && fault->line == hypha_config_file_get_line (self, key))
      continue;
    sentence = hypha_config_file_fault_describe (fault, path);
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("%s cannot be saved to %s before that file is mended: %s"), key, path,
                 sentence);
    return FALSE;
  }
  return TRUE;
}

static GPtrArray *
split (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "\n", -1);
  GPtrArray *lines = g_ptr_array_new_with_free_func (g_free);

  for (char **part = parts; *part; part++)
    g_ptr_array_add (lines, g_steal_pointer (part));
  /* What follows the last end of line is no line. */
  if (lines->len > 0 && *(char *) lines->pdata[lines->len - 1] == '\0')
    g_ptr_array_set_size (lines, (gint) lines->len - 1);
  return lines;
}

/* Where a new key goes: after the last one, or into a group of its own at the end. */
static void
insert (HyphaConfigFile *self, GPtrArray *lines, char *line)
{
  if (self->last_line == 0) {
    g_ptr_array_add (lines, g_strdup_printf ("[%s]", self->group));
    g_ptr_array_add (lines, line);
  } else {
    g_ptr_array_insert (lines, (gint) self->last_line, line);
  }
}

/**
 * hypha_config_file_edit:
 * @self: a key file
 * @path: the file's, for messages
 * @key: of the schema
 * @value: (nullable): what it is to be; %NULL: the key is taken out
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Comments, order and all other lines stay as they are.
 *
 * Returns: (transfer full) (nullable): the text of the file with @key changed; %NULL if another
 * line is wrong, or if it would become too large to be read
 */
char *
hypha_config_file_edit (HyphaConfigFile *self, const char *path, const char *key, GVariant *value,
                        GError **error)
{
  g_autoptr (GPtrArray) lines = NULL;
  g_autofree char *printed = value ? g_variant_print (value, FALSE) : NULL;
  g_autofree char *text = NULL;
  guint line = hypha_config_file_get_line (self, key);

  if (!is_sound (self, path, key, error))
    return NULL;
  lines = split (self->text);
  if (value) {
    char *whole = g_strdup_printf ("%s=%s", key, printed);

    if (line > 0) {
      g_free (lines->pdata[line - 1]);
      lines->pdata[line - 1] = whole;
    } else {
      insert (self, lines, whole);
    }
  } else if (line > 0) {
    g_ptr_array_remove_index (lines, line - 1);
  }
  g_ptr_array_add (lines, g_strdup (""));
  g_ptr_array_add (lines, NULL);
  text = g_strjoinv ("\n", (char **) lines->pdata);
  if (strlen (text) > HYPHA_CONFIG_FILE_MAX_SIZE) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("%s cannot be saved: %s would become larger than %d bytes"), key, path,
                 HYPHA_CONFIG_FILE_MAX_SIZE);
    return NULL;
  }
  return g_steal_pointer (&text);
}

/* ---- the file ---- */

/* Where PATH leads, so that a symbolic link stays one. */
static char *
resolve (const char *path)
{
  char *real = realpath (path, NULL);
  char *copy = g_strdup (real ? real : path);

  free (real);
  return copy;
}

/**
 * hypha_config_file_can_save:
 * @path: a key file, or where one would be
 *
 * Returns: %TRUE if hypha_config_file_save() would find file and folder writable
 */
gboolean
hypha_config_file_can_save (const char *path)
{
  g_autofree char *real = resolve (path);
  g_autofree char *folder = g_path_get_dirname (real);

  return access (folder, W_OK | X_OK) == 0 && (access (real, W_OK) == 0 || errno == ENOENT);
}

/* What a new name does not change. */
static gboolean
is_same_file (const HyphaStamp *a, const HyphaStamp *b)
{
  return a->device == b->device && a->inode == b->inode && a->size == b->size &&
         a->modified == b->modified;
}

static gboolean
is_as_it_was (HyphaConfigFile *self, const char *path)
{
  struct stat status;
  HyphaStamp stamp;

  if (lstat (path, &status) != 0)
    return FALSE;
  hypha_stamp_from_stat (&stamp, &status);
  return is_same_file (&stamp, &self->stamp);
}

/* A lease is to be had of a file that nobody has open for writing, and whoever opens it then waits
 * until it is given back. Where there are no leases, a writer cannot be seen. Their signal is made
 * one that does nothing. */
typedef enum { LEASE_HELD, LEASE_NONE, LEASE_WRITER } Lease;

static Lease
take_lease (int fd)
{
  fcntl (fd, F_SETSIG, SIGURG);
  if (fcntl (fd, F_SETLEASE, F_RDLCK) == 0)
    return LEASE_HELD;
  return errno == EAGAIN ? LEASE_WRITER : LEASE_NONE;
}

/* TEMPORARY becomes REAL. Looked at before, somebody could come in between; so the two change
 * places, it is looked at then, and they change back where it was not what it should have been.
 * Returns 0, or an error number; EBUSY: somebody is at it. */
static int
swap (HyphaConfigFile *self, const char *temporary, const char *real)
{
  g_auto (HyphaFd) fd = -1;
  Lease lease;
  int code = 0;

  if (!self->loaded) {
    if (renameat2 (AT_FDCWD, temporary, AT_FDCWD, real, RENAME_NOREPLACE) == 0)
      return 0;
    if (errno != EINVAL && errno != ENOSYS)
      return errno == EEXIST ? EBUSY : errno;
    return g_rename (temporary, real) == 0 ? 0 : errno;
  }
  fd = open (real, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  lease = fd >= 0 ? take_lease (fd) : LEASE_NONE;
  if (lease == LEASE_WRITER || !is_as_it_was (self, real))
    return EBUSY;
  if (renameat2 (AT_FDCWD, temporary, AT_FDCWD, real, RENAME_EXCHANGE) != 0) {
    if (errno != EINVAL && errno != ENOSYS)
      return errno;
    return g_rename (temporary, real) == 0 ? 0 : errno;
  }
  /* A lease that somebody waits for is no longer the one that was taken. */
  if (!is_as_it_was (self, temporary) || (lease == LEASE_HELD && fcntl (fd, F_GETLEASE) != F_RDLCK))
    code = renameat2 (AT_FDCWD, temporary, AT_FDCWD, real, RENAME_EXCHANGE) == 0 ? EBUSY : errno;
  g_unlink (temporary);
  return code;
}

/* The new file is for the same people as the old one; never for more of them. */
static gboolean
copy_mode (int fd, const char *path)
{
  struct stat status;
  mode_t mode;

  if (stat (path, &status) != 0)
    return errno == ENOENT;
  mode = status.st_mode & 0777;
  if (fchown (fd, status.st_uid, status.st_gid) != 0 && fchown (fd, (uid_t) -1, status.st_gid) != 0)
    mode &= 0707;
  return fchmod (fd, mode) == 0;
}

static gboolean
write_whole (int fd, const char *text)
{
  gsize left = strlen (text);

  while (left > 0) {
    gssize n = TEMP_FAILURE_RETRY (write (fd, text, left));

    if (n < 0)
      return FALSE;
    text += n;
    left -= (gsize) n;
  }
  return fsync (fd) == 0;
}

/* So that the new name lasts, too; where a folder cannot be synced, the file is whole anyhow. */
static void
sync_folder (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_auto (HyphaFd) fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd >= 0)
    fsync (fd);
}

static gboolean
set_unwritable (GError **error, const char *path, int code)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("%s cannot be written: %s; make the file and its folder writable for the user "
                  "that hyphad runs as (%u)"),
               path, g_strerror (code), (guint) geteuid ());
  return FALSE;
}

/**
 * hypha_config_file_save:
 * @self: the key file as it was loaded, or an empty one if there was none
 * @path: the file's
 * @text: what is to be in it
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING; %HYPHA_ERROR_BUSY if somebody
 * has written the file since, or has it open for writing
 *
 * Puts @text in the place of the file at once and whole. On failure the file is as it was.
 *
 * Returns: %TRUE if it is there, and lasts
 */
gboolean
hypha_config_file_save (HyphaConfigFile *self, const char *path, const char *text, GError **error)
{
  g_autofree char *real = resolve (path);
  g_autofree char *temporary = g_strdup_printf ("%s.XXXXXX", real);
  g_auto (HyphaFd) fd = -1;
  int code;

  if (!hypha_config_file_can_save (path))
    return set_unwritable (error, path, errno);
  fd = g_mkstemp_full (temporary, O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0)
    return set_unwritable (error, path, errno);
  code = write_whole (fd, text) && copy_mode (fd, real) ? swap (self, temporary, real) : errno;
  if (code == 0) {
    sync_folder (real);
    return TRUE;
  }
  g_unlink (temporary);
  if (code != EBUSY)
    return set_unwritable (error, path, code);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
               _ ("%s is being changed by somebody else: try again"), path);
  return FALSE;
}
