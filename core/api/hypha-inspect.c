/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-inspect.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <gio/gio.h>
#include <hypha-api.h>

#define MAX_LINKS 40                /* as the kernel */
#define MAX_FILE (64 * 1024 * 1024) /* a copy is held in memory */

static gint64
nanoseconds (const struct timespec *time)
{
  return (gint64) time->tv_sec * G_GINT64_CONSTANT (1000000000) + time->tv_nsec;
}

void
hypha_stamp_from_stat (HyphaStamp *self, const struct stat *status)
{
  *self = (HyphaStamp){ .device = status->st_dev,
                        .inode = status->st_ino,
                        .size = (guint64) status->st_size,
                        .modified = nanoseconds (&status->st_mtim),
                        .changed = nanoseconds (&status->st_ctim) };
}

gboolean
hypha_stamp_equal (const HyphaStamp *a, const HyphaStamp *b)
{
  return a->device == b->device && a->inode == b->inode && a->size == b->size &&
         a->modified == b->modified && a->changed == b->changed;
}

/* hypha_inspect_quote:
 * PATH as a person may paste it into a shell; quoted only where it needs to be. */
char *
hypha_inspect_quote (const char *path)
{
  g_autofree char *display = g_filename_display_name (path);

  if (strspn (display, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                       "/._-+,:@%") == strlen (display))
    return g_steal_pointer (&display);
  return g_shell_quote (display);
}

/* A group in which there is nobody but root or the user himself, as many systems make one for each
 * user. */
static gboolean
group_is_own (gid_t gid)
{
  char user_buffer[4096], group_buffer[4096];
  struct passwd user, *found_user = NULL;
  struct group group, *found_group = NULL;

  if (gid == 0)
    return TRUE;
  if (gid != getegid () ||
      getpwuid_r (geteuid (), &user, user_buffer, sizeof user_buffer, &found_user) != 0 ||
      getgrgid_r (gid, &group, group_buffer, sizeof group_buffer, &found_group) != 0)
    return FALSE;
  if (found_user == NULL || found_group == NULL || found_user->pw_gid != gid ||
      !g_str_equal (found_user->pw_name, found_group->gr_name))
    return FALSE;
  for (char **member = found_group->gr_mem; *member != NULL; member++)
    if (!g_str_equal (*member, found_user->pw_name))
      return FALSE;
  return TRUE;
}

static gboolean
owner_is_trusted (const struct stat *status)
{
  return status->st_uid == 0 || status->st_uid == geteuid ();
}

/* Returns NULL, or the sentence that says why what is at PATH is not to be trusted. */
static char *
judge (const struct stat *status, const char *path)
{
  gboolean group = (status->st_mode & S_IWGRP) != 0 && !group_is_own (status->st_gid);
  gboolean others = (status->st_mode & S_IWOTH) != 0;
  g_autofree char *quoted = hypha_inspect_quote (path);
  g_autofree char *display = g_filename_display_name (path);

  if (!owner_is_trusted (status))
    return g_strdup_printf (_ ("%s belongs to uid %u, neither to root nor to the user of this "
                               "program: chown root: %s"),
                            display, (guint) status->st_uid, quoted);
  /* A link has no mode of its own; in root's sticky directory nobody renames or removes what is not
   * his. */
  if (S_ISLNK (status->st_mode) ||
      (S_ISDIR (status->st_mode) && (status->st_mode & S_ISVTX) != 0 && status->st_uid == 0))
    return NULL;
  if (group && others)
    return g_strdup_printf (_ ("%s can be written by everybody: chmod go-w %s"), display, quoted);
  if (others)
    return g_strdup_printf (_ ("%s can be written by others than its owner: chmod o-w %s"), display,
                            quoted);
  if (group)
    return g_strdup_printf (_ ("%s can be written by its group (gid %u): chmod g-w %s"), display,
                            (guint) status->st_gid, quoted);
  return NULL;
}

static gboolean
set_errno_error (GError **error, int code, const char *what, const char *path)
{
  g_autofree char *display = g_filename_display_name (path);

  g_set_error (error, G_IO_ERROR, (int) g_io_error_from_errno (code), "%s %s: %s", what, display,
               g_strerror (code));
  return FALSE;
}

/* The way to a directory, component by component. */
typedef struct {
  HyphaFd fd;
  GString *path; /* of fd */
  GQueue ahead;  /* of char *, owned */
  guint links;
  char *distrust;
  struct stat *file; /* nullable: the way ends at a regular file */
  gboolean arrived;  /* there, and this is what it is */
} Walk;

static void
walk_clear (Walk *walk)
{
  hypha_fd_clear (&walk->fd);
  g_string_free (walk->path, TRUE);
  g_queue_clear_full (&walk->ahead, g_free);
  g_free (walk->distrust);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Walk, walk_clear)

static void
walk_judge (Walk *walk, const struct stat *status, const char *path)
{
  if (walk->distrust == NULL)
    walk->distrust = judge (status, path);
}

static void
walk_push (Walk *walk, const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);

  for (guint i = g_strv_length (parts); i > 0; i--)
    if (*parts[i - 1] != '\0' && !g_str_equal (parts[i - 1], "."))
      g_queue_push_head (&walk->ahead, g_strdup (parts[i - 1]));
}

static gboolean
walk_root (Walk *walk, GError **error)
{
  struct stat status;

  hypha_fd_clear (&walk->fd);
  g_string_assign (walk->path, "/");
  walk->fd = open ("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (walk->fd < 0 || fstat (walk->fd, &status) < 0)
    return set_errno_error (error, errno, _ ("Could not open"), "/");
  walk_judge (walk, &status, "/");
  return TRUE;
}

static gboolean
walk_follow (Walk *walk, int link, const char *path, GError **error)
{
  char target[PATH_MAX];
  ssize_t length = readlinkat (link, "", target, sizeof target - 1);

  if (length < 0)
    return set_errno_error (error, errno, _ ("Could not read the symbolic link"), path);
  if (++walk->links > MAX_LINKS)
    return set_errno_error (error, ELOOP, _ ("Could not follow the symbolic link"), path);
  target[length] = '\0';
  walk_push (walk, target);
  return *target != '/' || walk_root (walk, error);
}

static gboolean
walk_step (Walk *walk, const char *name, GError **error)
{
  g_autofree char *path = g_str_equal (name, "..") ? g_path_get_dirname (walk->path->str)
                                                   : g_build_filename (walk->path->str, name, NULL);
  g_auto (HyphaFd) next = openat (walk->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat status;

  if (next < 0 || fstat (next, &status) < 0)
    return set_errno_error (error, errno, _ ("Could not open"), path);
  walk_judge (walk, &status, path);
  if (S_ISLNK (status.st_mode))
    return walk_follow (walk, next, path, error);
  if (walk->file != NULL && S_ISREG (status.st_mode) && g_queue_is_empty (&walk->ahead)) {
    *walk->file = status;
    walk->arrived = TRUE;
    return TRUE;
  }
  if (!S_ISDIR (status.st_mode))
    return set_errno_error (error, ENOTDIR, _ ("Could not open"), path);
  hypha_fd_clear (&walk->fd);
  walk->fd = g_steal_fd (&next);
  g_string_assign (walk->path, path);
  return TRUE;
}

/* hypha_inspect_open_directory:
 * @path: an absolute path, free of "." and ".."
 * @visit: (scope call): told every directory on the way, before it is read
 * @distrust: (out) (nullable): why files in it must not be opened, a sentence with the command that
 * mends it
 *
 * Opens the directory for reading. Every directory on the way, and every symbolic link, is judged
 * by owner and mode on the very descriptor by which the walk goes on.
 *
 * Returns: the descriptor, or -1 with an error of %G_IO_ERROR if there is no such directory. */
int
hypha_inspect_open_directory (const char *path, HyphaInspectVisit visit, gpointer user_data,
                              char **distrust, GError **error)
{
  g_auto (Walk) walk = { .fd = -1, .path = g_string_new (NULL), .ahead = G_QUEUE_INIT };
  int fd;

  g_assert (g_path_is_absolute (path));
  *distrust = NULL;
  if (!walk_root (&walk, error))
    return -1;
  walk_push (&walk, path);
  while (!g_queue_is_empty (&walk.ahead)) {
    g_autofree char *name = g_queue_pop_head (&walk.ahead);

    visit (walk.fd, name, user_data);
    if (!walk_step (&walk, name, error))
      return -1;
  }
  fd = openat (walk.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    set_errno_error (error, errno, _ ("Could not read"), path);
    return -1;
  }
  *distrust = g_steal_pointer (&walk.distrust);
  return fd;
}

/* hypha_inspect_program:
 * @path: an absolute path
 * @stamp: (out): what the file is like now; all zero if it is not there
 *
 * Sees whether the program at @path may be run: its owner and mode, and those of every directory
 * and symbolic link on the way. It may be a link itself, as programs of the system often are.
 *
 * Returns: %FALSE with %HYPHA_ERROR_PLUGIN, which has the command that mends it, or with an error
 * of %G_IO_ERROR where the kernel said no */
gboolean
hypha_inspect_program (const char *path, HyphaStamp *stamp, GError **error)
{
  struct stat status = { 0 };
  g_auto (Walk)
      walk = { .fd = -1, .path = g_string_new (NULL), .ahead = G_QUEUE_INIT, .file = &status };
  g_autofree char *quoted = hypha_inspect_quote (path);
  g_autofree char *display = g_filename_display_name (path);

  *stamp = (HyphaStamp){ 0 };
  if (!walk_root (&walk, error))
    return FALSE;
  walk_push (&walk, path);
  while (!g_queue_is_empty (&walk.ahead)) {
    g_autofree char *name = g_queue_pop_head (&walk.ahead);

    if (!walk_step (&walk, name, error))
      return FALSE;
  }
  if (walk.arrived)
    hypha_stamp_from_stat (stamp, &status);
  if (!walk.arrived)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, _ ("%s is a directory, and no program"),
                 display);
  else if (walk.distrust != NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, _ ("%s is not run, for %s"), display,
                 walk.distrust);
  else if ((status.st_mode & 0111) == 0)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, _ ("%s cannot be run: chmod a+x %s"),
                 display, quoted);
  else
    return TRUE;
  return FALSE;
}

/* hypha_inspect_open_file:
 * @directory: the directory that holds it, opened and judged
 * @path: the whole path, for messages
 *
 * Opens the file for reading if it is a regular one (no symbolic link) whose owner and mode can be
 * trusted.
 *
 * Returns: the descriptor, or -1 with an error of %HYPHA_ERROR_PLUGIN, or of %G_IO_ERROR where the
 * kernel said no. */
int
hypha_inspect_open_file (int directory, const char *name, const char *path, GError **error)
{
  /* Not blocking: it might be a FIFO. */
  g_auto (HyphaFd) fd =
      openat (directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  g_autofree char *quoted = hypha_inspect_quote (path);
  g_autofree char *display = g_filename_display_name (path);
  g_autofree char *distrust = NULL;
  struct stat status;

  if (fd < 0 && errno == ELOOP) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
        _ ("%s is a symbolic link; a plug-in must be the file itself: cp --remove-destination "
           "\"$(readlink -f %s)\" %s"),
        display, quoted, quoted);
    return -1;
  }
  if (fd < 0 || fstat (fd, &status) < 0) {
    set_errno_error (error, errno, _ ("Could not open"), path);
    return -1;
  }
  if (!S_ISREG (status.st_mode)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("%s is not a regular file: put a shared object there, or take it away: mv %s "
                    "%s.other"),
                 display, quoted, quoted);
    return -1;
  }
  distrust = judge (&status, path);
  if (distrust != NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN, distrust);
    return -1;
  }
  return g_steal_fd (&fd);
}

static gboolean
copy_bytes (int from, int to, const char *path, GError **error)
{
  guint8 buffer[32 * 1024];
  guint64 total = 0;

  while (TRUE) {
    ssize_t got = TEMP_FAILURE_RETRY (read (from, buffer, sizeof buffer));

    if (got < 0)
      return set_errno_error (error, errno, _ ("Could not read"), path);
    if (got == 0)
      return TRUE;
    total += (guint64) got;
    if (total > MAX_FILE) {
      g_autofree char *quoted = hypha_inspect_quote (path);
      g_autofree char *display = g_filename_display_name (path);

      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                   _ ("%s is larger than a plug-in may be (64 MiB): strip --strip-debug %s"),
                   display, quoted);
      return FALSE;
    }
    for (ssize_t done = 0; done < got;) {
      ssize_t put = TEMP_FAILURE_RETRY (write (to, buffer + done, (gsize) (got - done)));

      if (put < 0)
        return set_errno_error (error, errno, _ ("Could not copy"), path);
      done += put;
    }
  }
}

/* hypha_inspect_copy:
 * @fd: the file, at its beginning
 * @name: what debuggers show for the copy
 *
 * Copies a file into memory that nobody, not even this process, can change any more.
 *
 * Returns: a sealed memfd, or -1 with an error: %G_IO_ERROR_PARTIAL_INPUT if the file was written
 * to meanwhile. */
int
hypha_inspect_copy (int fd, const char *name, const char *path, GError **error)
{
  g_auto (HyphaFd) copy = memfd_create (name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  struct stat status;
  HyphaStamp before, after;

  if (copy < 0 || fstat (fd, &status) < 0) {
    set_errno_error (error, errno, _ ("Could not make a copy of"), path);
    return -1;
  }
  hypha_stamp_from_stat (&before, &status);
  if (!copy_bytes (fd, copy, path, error))
    return -1;
  if (fstat (fd, &status) < 0 ||
      fcntl (copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    set_errno_error (error, errno, _ ("Could not make a copy of"), path);
    return -1;
  }
  hypha_stamp_from_stat (&after, &status);
  if (!hypha_stamp_equal (&before, &after)) {
    g_autofree char *display = g_filename_display_name (path);

    g_set_error (error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT,
                 _ ("%s is still being written; it is looked at again when it is whole"), display);
    return -1;
  }
  return g_steal_fd (&copy);
}
