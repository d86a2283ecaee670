/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/key-file.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <errno.h>
#include <fcntl.h>
#include <hypha-api.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Everything goes by descriptors: what was checked is what is used. */
struct _HyphaKeyFile {
  char *path, *folder, *name;
  int folder_fd, lock_fd;
};

G_GNUC_PRINTF (2, 3)
static gboolean
fail (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (HYPHA_ERROR, HYPHA_ERROR_IDENTITY, format, args);
  va_end (args);
  return FALSE;
}

/* Nobody but the user who runs this may read or change WHAT. MODE is the loosest, with the type of
 * file. */
static gboolean
check_private (const char *what, const char *path, int fd, mode_t mode, GError **error)
{
  g_autofree char *quoted = g_shell_quote (path);
  struct stat info;

  if (fstat (fd, &info) < 0)
    return fail (error, _ ("Cannot check the %s %s: %s"), what, path, g_strerror (errno));
  if ((info.st_mode & S_IFMT) != (mode & S_IFMT))
    return fail (error, _ ("The %s %s is not a regular file: choose another place for it"), what,
                 path);
  if (info.st_uid != geteuid ())
    return fail (error,
                 _ ("The %s %s belongs to user %u, not to user %u who runs this: chown %u %s"),
                 what, path, info.st_uid, geteuid (), geteuid (), quoted);
  if ((info.st_mode & 07777 & ~mode) != 0)
    return fail (error, _ ("The %s %s has mode %04o, looser than %04o: chmod %o %s"), what, path,
                 info.st_mode & 07777, mode & 07777, mode & 07777, quoted);
  return TRUE;
}

/* A folder may be a symbolic link, as systemd makes them (StateDirectory=): it is checked where it
 * leads. */
static gboolean
open_folder (HyphaKeyFile *self, GError **error)
{
  if (g_mkdir_with_parents (self->folder, 0700) < 0)
    return fail (error, _ ("Cannot make the folder %s of the key file: %s"), self->folder,
                 g_strerror (errno));
  self->folder_fd = open (self->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->folder_fd < 0)
    return fail (error, _ ("Cannot open the folder %s of the key file: %s"), self->folder,
                 g_strerror (errno));
  return check_private (_ ("folder"), self->folder, self->folder_fd, S_IFDIR | 0700, error);
}

/* "4711 hyphad", as its holder wrote it; anything else is told as somebody. */
static char *
describe_holder (int fd)
{
  char text[128] = { 0 };
  g_autofree char *valid = NULL;
  char *program;
  guint64 pid;

  if (pread (fd, text, sizeof text - 1, 0) <= 0)
    return g_strdup (_ ("another process"));
  pid = g_ascii_strtoull (text, &program, 10);
  if (pid == 0 || *program != ' ')
    return g_strdup (_ ("another process"));
  program[strcspn (program, "\n")] = '\0';
  valid = g_utf8_make_valid (program + 1, -1);
  return g_strdup_printf (_ ("process %" PRIu64 " (%s)"), pid, valid);
}

/* The lock belongs to the open file, not to the process: a second one in the same process meets it
 * too, and closing some other descriptor of the file does not give it away. The file stays: taking
 * it away would let two hold "the" lock. */
static gboolean
take_lock (HyphaKeyFile *self, GError **error)
{
  g_autofree char *name = g_strconcat (self->name, ".lock", NULL);
  g_autofree char *owner = NULL;
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  self->lock_fd =
      openat (self->folder_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (self->lock_fd < 0)
    return fail (error, _ ("Cannot open the lock %s.lock: %s"), self->path, g_strerror (errno));
  if (!check_private (_ ("lock"), name, self->lock_fd, S_IFREG | 0600, error))
    return FALSE;
  if (fcntl (self->lock_fd, F_OFD_SETLK, &lock) < 0) {
    g_autofree char *holder = NULL;

    if (errno != EAGAIN && errno != EACCES)
      return fail (error, _ ("Cannot lock %s.lock: %s"), self->path, g_strerror (errno));
    holder = describe_holder (self->lock_fd);
    return fail (error,
                 _ ("The key file %s is held by %s: end that first, or give this one a key of its "
                    "own with --identity FILE"),
                 self->path, holder);
  }
  owner = g_strdup_printf ("%ld %s\n", (long) getpid (), program_invocation_short_name);
  if (fchmod (self->lock_fd, 0600) < 0 || ftruncate (self->lock_fd, 0) < 0 ||
      pwrite (self->lock_fd, owner, strlen (owner), 0) != (gssize) strlen (owner))
    return fail (error, _ ("Cannot write into the lock %s.lock: %s"), self->path,
                 g_strerror (errno));
  return TRUE;
}

/**
 * hypha_key_file_lock:
 * @path: (type filename): the key file, which need not exist
 * @error: return location for an error
 *
 * Makes the folder of @path if there is none (mode 0700), checks that it is nobody else's, and
 * takes the lock that keeps a second process from using the same key.
 *
 * Returns: (transfer full) (nullable): the file, or %NULL with %HYPHA_ERROR_IDENTITY
 */
HyphaKeyFile *
hypha_key_file_lock (const char *path, GError **error)
{
  g_autoptr (HyphaKeyFile) self = g_new0 (HyphaKeyFile, 1);

  self->path = g_strdup (path);
  self->folder = g_path_get_dirname (path);
  self->name = g_path_get_basename (path);
  self->folder_fd = self->lock_fd = -1;
  if (*path == '\0' || g_str_has_suffix (path, "/")) {
    fail (error, _ ("\"%s\" is a folder, not a key file: name a file in it"), path);
    return NULL;
  }
  if (!open_folder (self, error) || !take_lock (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * hypha_key_file_free:
 * @self: (transfer full): a key file
 *
 * Gives the lock away.
 */
void
hypha_key_file_free (HyphaKeyFile *self)
{
  if (self->lock_fd >= 0)
    close (self->lock_fd);
  if (self->folder_fd >= 0)
    close (self->folder_fd);
  g_free (self->path);
  g_free (self->folder);
  g_free (self->name);
  g_free (self);
}

/**
 * hypha_key_file_refuse:
 * @self: a key file
 * @why: what is wrong with its contents, to end the sentence "The file PATH ..."
 * @error: return location for an error
 *
 * Sets the error for a file that is no key: it names the way to a new one.
 *
 * Returns: %FALSE
 */
gboolean
hypha_key_file_refuse (HyphaKeyFile *self, const char *why, GError **error)
{
  g_autofree char *old = g_strconcat (self->path, ".old", NULL);
  g_autofree char *from = g_shell_quote (self->path);
  g_autofree char *to = g_shell_quote (old);

  return fail (error,
               _ ("The file %s %s: put the node's key there, or take it away and start with a new "
                  "one: mv %s %s"),
               self->path, why, from, to);
}

static gssize
read_all (int fd, char *buffer, gsize size)
{
  gsize filled = 0;

  while (filled < size) {
    gssize n = read (fd, buffer + filled, size - filled);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    if (n == 0)
      break;
    filled += (gsize) n;
  }
  return (gssize) filled;
}

/**
 * hypha_key_file_read:
 * @self: a key file
 * @buffer: where to put its contents
 * @error: return location for an error
 *
 * Reads the file, if it is a regular one, nobody else's, of mode 0600 or stricter.
 *
 * Returns: how many bytes; 0 if there is no file; -1 with %HYPHA_ERROR_IDENTITY
 */
gssize
hypha_key_file_read (HyphaKeyFile *self, char buffer[HYPHA_KEY_FILE_MAX], GError **error)
{
  int fd = openat (self->folder_fd, self->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  gssize length = -1;

  if (fd < 0 && errno == ENOENT)
    return 0;
  if (fd < 0 && errno == ELOOP)
    fail (error,
          _ ("The key file %s is a symbolic link, which others may turn: name the file it leads to "
             "with "
             "--identity FILE"),
          self->path);
  else if (fd < 0)
    fail (error, _ ("Cannot open the key file %s: %s"), self->path, g_strerror (errno));
  if (fd < 0)
    return -1;

  if (check_private (_ ("key file"), self->path, fd, S_IFREG | 0600, error)) {
    length = read_all (fd, buffer, HYPHA_KEY_FILE_MAX);
    if (length < 0)
      fail (error, _ ("Cannot read the key file %s: %s"), self->path, g_strerror (errno));
    else if (length == 0)
      hypha_key_file_refuse (self, _ ("is empty"), error);
    else if (length == HYPHA_KEY_FILE_MAX)
      hypha_key_file_refuse (self, _ ("is too large for a key"), error);
    if (length == 0 || length == HYPHA_KEY_FILE_MAX)
      length = -1;
  }
  close (fd);
  return length;
}

static gboolean
write_all (int fd, const char *data, gsize length)
{
  while (length > 0) {
    gssize n = write (fd, data, length);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return FALSE;
    data += n;
    length -= (gsize) n;
  }
  return TRUE;
}

/**
 * hypha_key_file_create:
 * @self: a key file, of which hypha_key_file_read() said that there is none
 * @data: (array length=length): what goes into it
 * @length: bytes of @data
 * @error: return location for an error
 *
 * Writes the file. It appears under its name when all of it is on the disk.
 *
 * Returns: %FALSE with %HYPHA_ERROR_IDENTITY, and no file
 */
gboolean
hypha_key_file_create (HyphaKeyFile *self, const void *data, gsize length, GError **error)
{
  g_autofree char *temporary = g_strconcat (self->name, ".new", NULL);
  gboolean written;
  int fd, saved;

  /* The lock is ours: one that lies there was left behind by a crash. */
  unlinkat (self->folder_fd, temporary, 0);
  fd = openat (self->folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
               0600);
  if (fd < 0)
    return fail (error, _ ("Cannot make the key file %s: %s"), self->path, g_strerror (errno));
  written = fchmod (fd, 0600) == 0 && write_all (fd, data, length) && fsync (fd) == 0;
  saved = errno;
  close (fd);
  if (written) {
    written = renameat (self->folder_fd, temporary, self->folder_fd, self->name) == 0 &&
              fsync (self->folder_fd) == 0;
    saved = errno;
  }
  if (!written) {
    unlinkat (self->folder_fd, temporary, 0);
    return fail (error, _ ("Cannot write the key file %s: %s"), self->path, g_strerror (saved));
  }
  return TRUE;
}
