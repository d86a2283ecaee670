/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/place.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copy/entry.h"
#include "hypha-error.h"

/* The kernel gives up when somebody moves directories about at the same time. */
#define TRIES 16

static gboolean
fail (GError **error, const char *path, int number)
{
  if (number == ENOSYS)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED,
                 _ ("%s cannot be opened within its root: that takes Linux 5.6 (openat2)"), path);
  else
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "%s: %s", path, g_strerror (number));
  return FALSE;
}

/* -1 and errno. */
static int
open_directory (int root, const char *path, int flags)
{
  struct open_how how = { .flags = (guint64) (flags | O_DIRECTORY | O_CLOEXEC),
                          .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
  int fd = -1;

  if (root < 0)
    return open (*path ? path : ".", flags | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < TRIES; i++) {
    fd = (int) syscall (SYS_openat2, root, *path ? path : ".", &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN)
      break;
  }
  return fd;
}

/* Without the right to list it, what is in it can still be reached. */
static int
open_place (int root, const char *path)
{
  int fd = open_directory (root, path, O_RDONLY);

  return fd < 0 && errno == EACCES ? open_directory (root, path, O_PATH) : fd;
}

/* The last component, if it is one that a file can have; PARENT is what comes before. */
static char *
split (const char *path, char **parent, gboolean *slash)
{
  g_autofree char *bare = g_strdup (path);
  gsize length = strlen (bare);
  char *name;

  *parent = NULL;
  while (length > 1 && bare[length - 1] == '/')
    bare[--length] = '\0';
  *slash = length < strlen (path);
  name = strrchr (bare, '/');
  name = name ? name + 1 : bare;
  if (!hypha_copy_name_is_good (name, strlen (name)))
    return NULL;
  *parent = name == bare ? g_strdup ("") : g_strndup (bare, (gsize) (name - bare));
  return g_strdup (name);
}

/**
 * hypha_copy_dup_sent:
 * @path: of what is to be copied
 *
 * Returns: (transfer full): what it is called at the other end; "": only what is in it is meant
 */
char *
hypha_copy_dup_sent (const char *path)
{
  gboolean slash;
  g_autofree char *parent = NULL;
  char *name = split (path, &parent, &slash);

  return name ? name : g_strdup ("");
}

/**
 * hypha_copy_open_root:
 * @path: absolute
 * @error: return location for an error: %HYPHA_ERROR_FAILED
 *
 * Returns: the descriptor of the directory; -1 with an error
 */
int
hypha_copy_open_root (const char *path, GError **error)
{
  int fd = open (path, O_PATH | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    fail (error, path, errno);
  return fd;
}

/**
 * hypha_copy_source_open:
 * @self: (out caller-allocates): what is to be copied
 * @root: a directory, or -1
 * @path: of what is to be copied, from there
 * @text: the whole path
 * @error: return location for an error: %HYPHA_ERROR_FAILED, %HYPHA_ERROR_NOT_SUPPORTED
 *
 * Opens the directory that has it. Links lead to that, but one that is named itself is what is
 * copied, unless a slash follows.
 *
 * Returns: %TRUE if it is open; what is to be copied need not be there
 */
gboolean
hypha_copy_source_open (HyphaCopySource *self, int root, const char *path, const char *text,
                        GError **error)
{
  gboolean slash;
  g_autofree char *parent = NULL;
  g_autofree char *name = split (path, &parent, &slash);

  *self = (HyphaCopySource){ .fd = -1, .sent = hypha_copy_dup_sent (text) };
  if (name == NULL || slash)
    self->fd = open_directory (root, path, O_RDONLY);
  else
    self->fd = open_directory (root, parent, O_PATH);
  if (self->fd < 0)
    return fail (error, text, errno);
  if (name && !slash)
    self->name = g_steal_pointer (&name);
  return TRUE;
}

/**
 * hypha_copy_source_clear:
 * @self: what was to be copied
 *
 * Closes it.
 */
void
hypha_copy_source_clear (HyphaCopySource *self)
{
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  g_clear_pointer (&self->name, g_free);
  g_clear_pointer (&self->sent, g_free);
}

/**
 * hypha_copy_destination_open:
 * @self: (out caller-allocates): where it goes
 * @root: a directory, or -1
 * @path: of the destination, from there
 * @text: the whole path
 * @into: it has to be a directory that is there
 * @error: return location for an error: %HYPHA_ERROR_FAILED, %HYPHA_ERROR_NOT_SUPPORTED
 *
 * A directory that is there, takes what comes under its own name. Otherwise this is the name for
 * it, in a directory that is there.
 *
 * Returns: %TRUE if it is open
 */
gboolean
hypha_copy_destination_open (HyphaCopyDestination *self, int root, const char *path,
                             const char *text, gboolean into, GError **error)
{
  gboolean slash;
  g_autofree char *parent = NULL;
  g_autofree char *name = split (path, &parent, &slash);

  *self = (HyphaCopyDestination){ .shown = g_strdup (text) };
  self->fd = open_place (root, path);
  if (self->fd >= 0)
    return TRUE;
  if (into || name == NULL || (errno != ENOENT && errno != ENOTDIR))
    return fail (error, text, errno);
  self->fd = open_place (root, parent);
  if (self->fd < 0)
    return fail (error, text, errno);
  self->name = g_steal_pointer (&name);
  self->directory = slash;
  return TRUE;
}

/**
 * hypha_copy_destination_want:
 * @self: where it goes
 * @paths: (array zero-terminated=1): what was asked for
 *
 * A sender that was asked for one file, and has a .profile instead, or beside it, is not let.
 */
void
hypha_copy_destination_want (HyphaCopyDestination *self, char **paths)
{
  self->wanted = g_ptr_array_new_with_free_func (g_free);
  for (; *paths; paths++)
    g_ptr_array_add (self->wanted, hypha_copy_dup_sent (*paths));
}

/**
 * hypha_copy_destination_clear:
 * @self: where it went
 *
 * Closes it.
 */
void
hypha_copy_destination_clear (HyphaCopyDestination *self)
{
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
  g_clear_pointer (&self->name, g_free);
  g_clear_pointer (&self->shown, g_free);
  g_clear_pointer (&self->wanted, g_ptr_array_unref);
}
