/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Everything that others have written there is waited for as well. */
#define WORTH_WHILE 4

static void
clear_whole (gpointer item)
{
  HyphaCopyWhole *whole = item;

  hypha_copy_part_drop (&whole->part);
  g_free (whole->path);
}

/**
 * hypha_copy_batch_new:
 *
 * Returns: (transfer full): no files wait yet
 */
GArray *
hypha_copy_batch_new (void)
{
  GArray *self = g_array_new (FALSE, FALSE, sizeof (HyphaCopyWhole));

  g_array_set_clear_func (self, clear_whole);
  return self;
}

/**
 * hypha_copy_batch_add:
 * @self: files that wait
 * @part: (inout): one more, made ready; afterwards it is none
 * @number: of its entry
 * @path: for people
 *
 * Lets it wait.
 */
void
hypha_copy_batch_add (GArray *self, HyphaCopyPart *part, guint64 number, const char *path)
{
  HyphaCopyWhole whole = { .part = *part, .number = number, .path = g_strdup (path) };

  *part = (HyphaCopyPart){ .fd = -1 };
  g_array_append_val (self, whole);
}

/* Of this file alone; what went wrong with others is not its trouble. */
static void
look_at (HyphaCopyPart *part)
{
  part->synced = sync_file_range (part->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) == 0;
  if (!part->synced && (errno == EIO || errno == ENOSPC || errno == EDQUOT))
    part->trouble = errno;
}

/**
 * hypha_copy_batch_sync:
 * @self: files that wait
 *
 * Puts them on the disk, all at once if there are many, and notes of each whether that is done:
 * hypha_copy_part_place() does it otherwise, and knows what is wrong.
 */
void
hypha_copy_batch_sync (GArray *self)
{
  if (self->len < WORTH_WHILE || syncfs (g_array_index (self, HyphaCopyWhole, 0).part.fd) != 0)
    return;
  for (guint i = 0; i < self->len; i++)
    look_at (&g_array_index (self, HyphaCopyWhole, i).part);
}
