/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/scanner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <gio/gio.h>
#include "hypha-inspect.h"
#include "loader/watch.h"

#define MAX_FILES 256 /* of a directory */

#define REACTION_MS 100   /* from an event to the scan: events come in swarms */
#define REST_MS 200       /* a file unchanged for so long has come to rest */
#define PATIENCE_MS 1000  /* one that does not come to rest is looked at nevertheless */
#define POLL_MS 1000      /* where the kernel does not tell of changes */
#define UNFINISHED_MS 500 /* between looks at a file that is not whole... */
#define UNFINISHED_FOR \
  60000 /* ...as long as this after its last change: writes through a mapping make no event */

/* One file. */
typedef struct {
  gboolean seen;  /* by the scan going on */
  gboolean told;  /* found() was called... */
  gint64 told_at; /* ms */
  HyphaStamp told_stamp;
  char *told_distrust;
  gboolean unfinished; /* ...and its answer */
  gboolean recheck;
  HyphaStamp stamp;      /* now */
  gint64 stamp_since;    /* ms */
  gint64 unstable_since; /* ms, 0: told_stamp is still right */
} Entry;

struct _HyphaScanner {
  GObject *owner; /* not owned: it owns us */
  const HyphaScannerEvents *events;
  char **directories;
  GHashTable *entries; /* path -> Entry */
  HyphaWatch *watch;
  guint timer;
  gint64 timer_due; /* ms */
  gboolean at_once; /* this scan does not wait for files to come to rest */
  gboolean scanning;
  gboolean partial; /* this scan could not see everything */
  gboolean unwell;  /* nor could the last one, which has said so */
};

static gint64
now_ms (void)
{
  return g_get_monotonic_time () / 1000;
}

static void
entry_free (Entry *entry)
{
  g_free (entry->told_distrust);
  g_free (entry);
}

static gboolean
on_timer (gpointer user_data)
{
  HyphaScanner *self = user_data;

  self->timer = 0;
  hypha_scanner_scan (self);
  return G_SOURCE_REMOVE;
}

static void
schedule (HyphaScanner *self, guint delay_ms)
{
  gint64 due = now_ms () + delay_ms;

  if (self->timer != 0 && self->timer_due <= due)
    return;
  g_clear_handle_id (&self->timer, g_source_remove);
  self->timer = g_timeout_add (delay_ms, on_timer, self);
  self->timer_due = due;
}

static gboolean
on_changed (gpointer user_data)
{
  schedule (user_data, REACTION_MS);
  return G_SOURCE_CONTINUE;
}

/* hypha_scanner_new:
 * @directories: in order of search; they need not exist
 * @owner: (transfer none): passed to @events; it owns the scanner, and is kept alive while one of
 * them runs */
HyphaScanner *
hypha_scanner_new (const char *const *directories, const HyphaScannerEvents *events, GObject *owner)
{
  HyphaScanner *self = g_new0 (HyphaScanner, 1);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autoptr (GHashTable) known = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; directories[i] != NULL; i++) {
    char *path = g_canonicalize_filename (directories[i], NULL);

    if (!g_hash_table_contains (known, path))
      g_strv_builder_add (builder, path);
    g_hash_table_add (known, path);
  }
  self->directories = g_strv_builder_end (builder);
  self->owner = owner;
  self->events = events;
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                         (GDestroyNotify) (void (*) (void)) entry_free);
  return self;
}

void
hypha_scanner_free (HyphaScanner *self)
{
  g_clear_handle_id (&self->timer, g_source_remove);
  g_clear_pointer (&self->watch, hypha_watch_free);
  g_hash_table_unref (self->entries);
  g_strfreev (self->directories);
  g_free (self);
}

const char *const *
hypha_scanner_get_directories (HyphaScanner *self)
{
  return (const char *const *) self->directories;
}

/* WHAT is there, perhaps, but could not be looked at: for want of descriptors or memory, or by a
 * fault of the disk. That is no reason to believe that it has gone; it is looked for again soon. */
static void
note_unseen (HyphaScanner *self, const char *path, const char *why)
{
  g_autofree char *display = g_filename_display_name (path);

  self->partial = TRUE;
  if (self->unwell)
    return;
  g_message ("Cannot look for plug-ins in %s, trying again: %s", display, why);
}

static gboolean
entry_is_due (HyphaScanner *self, Entry *entry, const HyphaStamp *stamp, const char *distrust)
{
  gint64 now = now_ms ();

  if (entry->told && hypha_stamp_equal (stamp, &entry->told_stamp) &&
      g_strcmp0 (distrust, entry->told_distrust) == 0) {
    entry->unstable_since = 0;
    if (!entry->unfinished || now - entry->stamp_since > UNFINISHED_FOR)
      return entry->recheck;
    schedule (self, UNFINISHED_MS);
    return entry->recheck || now - entry->told_at >= UNFINISHED_MS;
  }
  if (entry->unstable_since == 0)
    entry->unstable_since = now;
  if (!hypha_stamp_equal (stamp, &entry->stamp)) {
    entry->stamp = *stamp;
    entry->stamp_since = now;
  }
  if (self->at_once || entry->recheck || now - entry->stamp_since >= REST_MS ||
      now - entry->unstable_since >= PATIENCE_MS)
    return TRUE;
  schedule (self, REST_MS);
  return FALSE;
}

static void
scan_file (HyphaScanner *self, int directory, const char *parent, const char *name,
           const char *distrust)
{
  g_autofree char *path = g_build_filename (parent, name, NULL);
  Entry *entry = g_hash_table_lookup (self->entries, path);
  HyphaStamp stamp;
  struct stat status;

  if (fstatat (directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno != ENOENT)
      note_unseen (self, path, g_strerror (errno));
    return;
  }
  if (entry == NULL) {
    entry = g_new0 (Entry, 1);
    g_hash_table_insert (self->entries, g_strdup (path), entry);
  }
  entry->seen = TRUE;
  hypha_stamp_from_stat (&stamp, &status);
  if (!entry_is_due (self, entry, &stamp, distrust))
    return;
  entry->told = TRUE;
  entry->told_at = now_ms ();
  entry->recheck = FALSE;
  entry->told_stamp = stamp;
  entry->unstable_since = 0;
  g_free (entry->told_distrust);
  entry->told_distrust = g_strdup (distrust);
  entry->unfinished = !self->events->found (self->owner, path, directory, name, distrust);
  if (entry->unfinished)
    schedule (self, UNFINISHED_MS);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static gboolean
may_be_plugin (const char *name)
{
  return name[0] != '.' && (g_str_has_suffix (name, ".so") || g_str_has_suffix (name, ".json"));
}

/* The names of what may be plug-ins, sorted. Takes a descriptor of its own: readdir() moves it. */
static GPtrArray *
list_files (HyphaScanner *self, int directory, const char *path)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  int fd = openat (directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *stream = fd < 0 ? NULL : fdopendir (fd);
  const struct dirent *item;

  if (stream == NULL) {
    note_unseen (self, path, g_strerror (errno));
    hypha_fd_clear (&fd);
    return g_steal_pointer (&names);
  }
  for (errno = 0; (item = readdir (stream)) != NULL; errno = 0)
    if (may_be_plugin (item->d_name))
      g_ptr_array_add (names, g_strdup (item->d_name));
  if (errno != 0)
    note_unseen (self, path, g_strerror (errno));
  closedir (stream);
  g_ptr_array_sort (names, compare_names);
  if (names->len > MAX_FILES) {
    g_message ("%s holds %u plug-ins; only the first %d are looked at", path, names->len,
               MAX_FILES);
    g_ptr_array_set_size (names, MAX_FILES);
  }
  return g_steal_pointer (&names);
}

static void
on_visit (int directory, const char *name, gpointer user_data)
{
  HyphaScanner *self = user_data;

  hypha_watch_entry (self->watch, directory, name);
}

/* As it is, and will be until somebody changes it: the watch tells when. */
static gboolean
is_lasting (const GError *error)
{
  static const GIOErrorEnum lasting[] = { G_IO_ERROR_NOT_FOUND, G_IO_ERROR_NOT_DIRECTORY,
                                          G_IO_ERROR_PERMISSION_DENIED, G_IO_ERROR_TOO_MANY_LINKS,
                                          G_IO_ERROR_FILENAME_TOO_LONG };

  for (guint i = 0; i < G_N_ELEMENTS (lasting); i++)
    if (g_error_matches (error, G_IO_ERROR, (int) lasting[i]))
      return TRUE;
  return FALSE;
}

static void
scan_directory (HyphaScanner *self, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *distrust = NULL;
  g_autoptr (GPtrArray) names = NULL;
  g_auto (HyphaFd) directory =
      hypha_inspect_open_directory (path, on_visit, self, &distrust, &error);

  if (directory < 0) {
    if (is_lasting (error))
      g_debug ("%s", error->message);
    else
      note_unseen (self, path, error->message);
    return;
  }
  /* Watched first, read then: nothing can come in between unnoticed. */
  hypha_watch_files (self->watch, directory);
  names = list_files (self, directory, path);
  for (guint i = 0; i < names->len; i++)
    scan_file (self, directory, path, names->pdata[i], distrust);
}

/* Tells of the files that the scan did not see. */
static void
sweep (HyphaScanner *self)
{
  g_autoptr (GPtrArray) gone = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer path, entry;

  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, &path, &entry)) {
    if (((Entry *) entry)->seen)
      continue;
    if (((Entry *) entry)->told)
      g_ptr_array_add (gone, g_strdup (path));
    g_hash_table_iter_remove (&iter);
  }
  for (guint i = 0; i < gone->len; i++)
    self->events->gone (self->owner, gone->pdata[i]);
}

/* hypha_scanner_scan:
 * The whole truth anew each time: no chain of events, however odd, can leave a wrong picture
 * behind. Needs the scanner to be started; within one of its own events it only makes another one
 * follow. */
void
hypha_scanner_scan (HyphaScanner *self)
{
  g_autoptr (GObject) owner = g_object_ref (self->owner);
  GHashTableIter iter;
  gpointer entry;

  if (self->scanning) {
    schedule (self, 0);
    return;
  }
  self->scanning = TRUE;
  g_hash_table_iter_init (&iter, self->entries);
  while (g_hash_table_iter_next (&iter, NULL, &entry))
    ((Entry *) entry)->seen = FALSE;
  self->unwell = self->partial;
  self->partial = FALSE;
  hypha_watch_begin (self->watch);
  for (guint i = 0; self->directories[i] != NULL; i++)
    scan_directory (self, self->directories[i]);
  hypha_watch_end (self->watch);
  if (!self->partial)
    sweep (self);
  self->at_once = FALSE;
  self->scanning = FALSE;
  if (self->partial || hypha_watch_is_blind (self->watch))
    schedule (self, POLL_MS);
  self->events->scanned (owner);
}

/* hypha_scanner_scan_soon:
 * When what is coming may have come to rest. */
void
hypha_scanner_scan_soon (HyphaScanner *self)
{
  schedule (self, REST_MS);
}

/* hypha_scanner_start:
 * Finds everything at once, and begins to watch. */
void
hypha_scanner_start (HyphaScanner *self)
{
  g_assert (self->watch == NULL);
  self->watch = hypha_watch_new (on_changed, self);
  self->at_once = TRUE;
  hypha_scanner_scan (self);
}

/* hypha_scanner_recheck:
 * The next scan tells of the file, though it has not changed. */
void
hypha_scanner_recheck (HyphaScanner *self, const char *path)
{
  Entry *entry = g_hash_table_lookup (self->entries, path);

  if (entry != NULL)
    entry->recheck = TRUE;
}
