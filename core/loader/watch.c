/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/watch.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <glib-unix.h>

#define ENTRY_EVENTS \
  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
#define FILE_EVENTS (ENTRY_EVENTS | IN_MODIFY | IN_CLOSE_WRITE)
#define SMB2_MAGIC 0xfe534d42
#define CIFS_MAGIC 0xff534d42

typedef struct {
  guint generation;
  GPtrArray *names; /* of char * */
  gboolean all;
} Watched;

struct _HyphaWatch {
  int fd;
  guint source;
  GHashTable *watched; /* watch descriptor -> Watched */
  guint generation;
  gboolean blind;
  GSourceFunc changed;
  gpointer user_data;
};

static void
watched_free (Watched *watched)
{
  g_ptr_array_unref (watched->names);
  g_free (watched);
}

static gboolean
watched_concerns (const Watched *watched, const char *name)
{
  if (watched->all)
    return TRUE;
  for (guint i = 0; i < watched->names->len; i++)
    if (g_str_equal (watched->names->pdata[i], name))
      return TRUE;
  return FALSE;
}

/* An event without a name is of the directory itself, or says that events were lost. */
static gboolean
event_concerns (HyphaWatch *self, const struct inotify_event *event)
{
  const Watched *watched = g_hash_table_lookup (self->watched, GINT_TO_POINTER (event->wd));

  if ((event->mask & IN_IGNORED) != 0)
    g_hash_table_remove (self->watched, GINT_TO_POINTER (event->wd));
  else if (watched != NULL && event->len > 0)
    return watched_concerns (watched, event->name);
  return watched != NULL || (event->mask & IN_Q_OVERFLOW) != 0;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaWatch *self = user_data;
  char buffer[4096] __attribute__ ((aligned (__alignof__(struct inotify_event))));
  gboolean concerns = FALSE;
  ssize_t got;

  while ((got = read (fd, buffer, sizeof buffer)) > 0) {
    for (const char *at = buffer; at < buffer + got;) {
      const struct inotify_event *event = (const struct inotify_event *) (gconstpointer) at;

      at += sizeof *event + event->len;
      concerns |= event_concerns (self, event);
    }
  }
  if (concerns)
    self->changed (self->user_data);
  return G_SOURCE_CONTINUE;
}

/* hypha_watch_new:
 * @changed: its answer does not matter */
HyphaWatch *
hypha_watch_new (GSourceFunc changed, gpointer user_data)
{
  HyphaWatch *self = g_new0 (HyphaWatch, 1);

  self->changed = changed;
  self->user_data = user_data;
  self->watched =
      g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) (void (*) (void)) watched_free);
  self->fd = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
  if (self->fd >= 0)
    self->source = g_unix_fd_add (self->fd, G_IO_IN, on_readable, self);
  return self;
}

void
hypha_watch_free (HyphaWatch *self)
{
  g_clear_handle_id (&self->source, g_source_remove);
  if (self->fd >= 0)
    close (self->fd);
  g_hash_table_unref (self->watched);
  g_free (self);
}

void
hypha_watch_begin (HyphaWatch *self)
{
  self->generation++;
  self->blind = self->fd < 0;
}

/* Where another machine may write: the kernel here knows nothing of it. */
static gboolean
is_remote (int directory)
{
  struct statfs status;

  if (fstatfs (directory, &status) < 0)
    return FALSE;
  switch ((guint32) status.f_type) {
  case NFS_SUPER_MAGIC:
  case V9FS_MAGIC:
  case FUSE_SUPER_MAGIC: /* virtiofs, too */
  case CIFS_MAGIC:
  case SMB2_MAGIC:
    return TRUE;
  default:
    return FALSE;
  }
}

static Watched *
watch (HyphaWatch *self, int directory, guint32 events)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", directory);
  Watched *watched;
  int wd;

  if (self->fd < 0)
    return NULL;
  wd = inotify_add_watch (self->fd, path, events | IN_ONLYDIR | IN_MASK_ADD);
  if (wd < 0) {
    /* A directory that may be passed but not read is not ours to watch. */
    self->blind |= errno != EACCES;
    return NULL;
  }
  self->blind |= is_remote (directory);
  watched = g_hash_table_lookup (self->watched, GINT_TO_POINTER (wd));
  if (watched == NULL) {
    watched = g_new0 (Watched, 1);
    watched->names = g_ptr_array_new_with_free_func (g_free);
    g_hash_table_insert (self->watched, GINT_TO_POINTER (wd), watched);
  }
  if (watched->generation != self->generation) {
    g_ptr_array_set_size (watched->names, 0);
    watched->all = FALSE;
    watched->generation = self->generation;
  }
  return watched;
}

/* hypha_watch_entry:
 * @directory: open, O_PATH will do
 *
 * Watches whether @name comes, goes or changes its owner or mode. */
void
hypha_watch_entry (HyphaWatch *self, int directory, const char *name)
{
  Watched *watched = watch (self, directory, ENTRY_EVENTS);

  if (watched != NULL)
    g_ptr_array_add (watched->names, g_strdup (name));
}

/* hypha_watch_files:
 * @directory: open, O_PATH will do
 *
 * Watches all entries, and what is written to them: a plug-in may have files of any name. */
void
hypha_watch_files (HyphaWatch *self, int directory)
{
  Watched *watched = watch (self, directory, FILE_EVENTS);

  if (watched != NULL)
    watched->all = TRUE;
}

void
hypha_watch_end (HyphaWatch *self)
{
  GHashTableIter iter;
  gpointer wd, watched;

  g_hash_table_iter_init (&iter, self->watched);
  while (g_hash_table_iter_next (&iter, &wd, &watched)) {
    if (((Watched *) watched)->generation == self->generation)
      continue;
    inotify_rm_watch (self->fd, GPOINTER_TO_INT (wd));
    g_hash_table_iter_remove (&iter);
  }
}

gboolean
hypha_watch_is_blind (HyphaWatch *self)
{
  return self->blind;
}
