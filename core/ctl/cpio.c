/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/cpio.h"

#include <string.h>
#include <sys/stat.h>

#define TRAILER "TRAILER!!!"

struct _HyphaCpio {
  GByteArray *bytes;
  GHashTable *paths; /* of all that is in it */
};

/**
 * hypha_cpio_new:
 *
 * Returns: (transfer full): an empty archive
 */
HyphaCpio *
hypha_cpio_new (void)
{
  HyphaCpio *self = g_new0 (HyphaCpio, 1);

  self->bytes = g_byte_array_new ();
  self->paths = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return self;
}

/**
 * hypha_cpio_free:
 * @self: (transfer full): an archive
 */
void
hypha_cpio_free (HyphaCpio *self)
{
  g_clear_pointer (&self->bytes, g_byte_array_unref);
  g_hash_table_unref (self->paths);
  g_free (self);
}

static void
pad (HyphaCpio *self)
{
  static const guint8 zeros[4];

  g_byte_array_append (self->bytes, zeros, (4 - self->bytes->len % 4) % 4);
}

/* Numbers of files have to differ, or they would be one file. */
static void
put (HyphaCpio *self, const char *path, guint mode, gconstpointer data, gsize length)
{
  const gboolean ends = g_str_equal (path, TRAILER);
  g_autofree char *head = g_strdup_printf (
      "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
      ends ? 0 : g_hash_table_size (self->paths) + 1, mode, 0, 0, S_ISDIR (mode) ? 2 : 1, 0,
      (guint) length, 0, 0, 0, 0, (guint) strlen (path) + 1, 0);

  g_byte_array_append (self->bytes, (const guint8 *) head, (guint) strlen (head));
  g_byte_array_append (self->bytes, (const guint8 *) path, (guint) strlen (path) + 1);
  pad (self);
  g_byte_array_append (self->bytes, data, (guint) length);
  pad (self);
  g_hash_table_add (self->paths, g_strdup (path));
}

static void
put_in_folder (HyphaCpio *self, const char *path, guint mode, gconstpointer data, gsize length)
{
  g_autofree char *folder = g_path_get_dirname (path);

  if (!g_str_equal (folder, ".") && !hypha_cpio_has (self, folder))
    hypha_cpio_add_folder (self, folder, 0755);
  put (self, path, mode, data, length);
}

/**
 * hypha_cpio_add_folder:
 * @self: an archive
 * @path: of the folder
 * @mode: its permissions
 */
void
hypha_cpio_add_folder (HyphaCpio *self, const char *path, guint mode)
{
  put_in_folder (self, path, S_IFDIR | mode, "", 0);
}

/**
 * hypha_cpio_add_file:
 * @self: an archive
 * @path: of the file
 * @mode: its permissions
 * @content: what is in it, less than 4 GiB
 */
void
hypha_cpio_add_file (HyphaCpio *self, const char *path, guint mode, GBytes *content)
{
  put_in_folder (self, path, S_IFREG | mode, g_bytes_get_data (content, NULL),
                 g_bytes_get_size (content));
}

/**
 * hypha_cpio_add_text:
 * @self: an archive
 * @path: of the file
 * @mode: its permissions
 * @text: what is in it
 */
void
hypha_cpio_add_text (HyphaCpio *self, const char *path, guint mode, const char *text)
{
  put_in_folder (self, path, S_IFREG | mode, text, strlen (text));
}

/**
 * hypha_cpio_add_link:
 * @self: an archive
 * @path: of the symbolic link
 * @target: where it leads
 */
void
hypha_cpio_add_link (HyphaCpio *self, const char *path, const char *target)
{
  put_in_folder (self, path, S_IFLNK | 0777, target, strlen (target));
}

/**
 * hypha_cpio_has:
 * @self: an archive
 * @path: of something
 *
 * Returns: whether it is in it
 */
gboolean
hypha_cpio_has (HyphaCpio *self, const char *path)
{
  return g_hash_table_contains (self->paths, path);
}

/**
 * hypha_cpio_end:
 * @self: an archive
 *
 * Returns: (transfer full): all of it
 */
GBytes *
hypha_cpio_end (HyphaCpio *self)
{
  put (self, TRAILER, 0, "", 0);
  return g_byte_array_free_to_bytes (g_steal_pointer (&self->bytes));
}
