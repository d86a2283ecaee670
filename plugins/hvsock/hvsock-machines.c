/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hvsock-machines.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "hvsock-machine.h"
#include "hvsock-name.h"

/* So many at most: whoever may make directories there is not to take all descriptors. */
#define MAX_MACHINES 1024
#define MAX_MONITORS (2 * MAX_MACHINES)
/* So many names are looked at in one go: it is the main thread that does. */
#define MAX_NAMES 16384
/* What comes and goes in one go is looked at once. */
#define SETTLE_MS 20
/* Nobody hears the listener yet, as with a single one. */
#define REST_MS 100
/* A machine whose socket could not be had may get it later. */
#define RETRY_MS 2000
/* Not everything is told of: that a directory far above was moved, that inotify has no room. */
#define SELDOM_MS 5000
/* After a look it rests for so many times what that took, or so long, whatever happens there. */
#define PACE 10
#define PACE_MAX_MS 2000

struct _HvsockMachines {
  HyphaListener parent_instance;

  char **parts; /* of the path, each a name or a pattern of names */
  guint32 port;
  GMainContext *context;
  GHashTable *monitors;    /* path of a directory to Monitor */
  GHashTable *machines;    /* path of a VMM's socket to Machine */
  GHashTable *seen;        /* while it looks around: paths of both kinds */
  GHashTable *blind;       /* paths of directories of which it was told that they cannot be read */
  GSource *look;           /* time to look around; NULL: it does, or nobody hears it */
  gint64 rested;           /* not before this, in monotonic us */
  guint names;             /* how many have been looked at */
  gboolean full, was_full; /* some are left out, this time and the last */
};

/* Of a directory. */
typedef struct {
  GFileMonitor *file_monitor;
  struct stat file;
} Monitor;

G_DEFINE_FINAL_TYPE (HvsockMachines, hvsock_machines, HYPHA_TYPE_LISTENER)

typedef struct {
  HvsockMachines *machines;
  HvsockAddress address;
  HyphaEndpoint *endpoint;
  GCancellable *opening;
  HyphaListener *listener; /* NULL: none yet */
  struct stat file;        /* of LISTENER */
  gboolean told;           /* why it cannot listen */
} Machine;

static void look_later (HvsockMachines *self, guint ms);

static const char *
get_name (HvsockMachines *self)
{
  return hypha_endpoint_to_string (hypha_listener_get_bound (HYPHA_LISTENER (self)));
}

/* ---- one machine ---- */

static gboolean
is_same_file (const struct stat *a, const struct stat *b)
{
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static gboolean
read_file (const Machine *machine, struct stat *file)
{
  g_autofree char *path = g_strdup_printf ("%s_%u", machine->address.path, machine->address.port);

  return lstat (path, file) == 0;
}

static void
drop_listener (Machine *machine)
{
  if (machine->listener == NULL)
    return;
  g_signal_handlers_disconnect_by_data (machine->listener, machine);
  hypha_listener_close (machine->listener);
  g_clear_object (&machine->listener);
}

static void
machine_free (gpointer data)
{
  Machine *machine = data;

  if (machine->opening != NULL)
    g_cancellable_cancel (machine->opening);
  g_clear_object (&machine->opening);
  drop_listener (machine);
  hypha_endpoint_unref (machine->endpoint);
  g_free (machine);
}

static void
tell_trouble (Machine *machine, const GError *error)
{
  if (!machine->told)
    g_message ("%s", error->message);
  machine->told = TRUE;
  look_later (machine->machines, RETRY_MS);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, Machine *machine)
{
  hypha_listener_accepted (HYPHA_LISTENER (machine->machines), channel);
}

static void
on_failed (HyphaListener *listener, const GError *error, Machine *machine)
{
  drop_listener (machine);
  tell_trouble (machine, error);
}

/* What it takes to know, when the answer comes, whose it is, if that is there any more. */
typedef struct {
  GWeakRef machines;
  GCancellable *cancellable;
  char *path;
} Opening;

static void
on_listening (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Opening *opening = user_data;
  g_autoptr (HvsockMachines) self = g_weak_ref_get (&opening->machines);
  g_autoptr (GCancellable) cancellable = opening->cancellable;
  g_autofree char *path = opening->path;
  g_autoptr (GError) error = NULL;
  HyphaListener *listener = hvsock_listen_finish (result, &error);
  Machine *machine = self != NULL ? g_hash_table_lookup (self->machines, path) : NULL;

  g_weak_ref_clear (&opening->machines);
  if (machine == NULL || machine->opening != cancellable) {
    if (listener != NULL)
      hypha_listener_close (listener);
    g_clear_object (&listener);
    return;
  }
  g_clear_object (&machine->opening);
  machine->listener = listener;
  if (listener == NULL) {
    tell_trouble (machine, error);
    return;
  }
  machine->told = FALSE;
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), machine);
  g_signal_connect (listener, "failed", G_CALLBACK (on_failed), machine);
  if (!read_file (machine, &machine->file)) /* gone again */
    look_later (self, SETTLE_MS);
}

static void
open_machine (Machine *machine)
{
  Opening *opening = g_new0 (Opening, 1);

  machine->opening = g_cancellable_new ();
  g_weak_ref_init (&opening->machines, machine->machines);
  opening->cancellable = g_object_ref (machine->opening);
  opening->path = g_strdup (machine->address.path);
  hvsock_listen_async (&machine->address, machine->endpoint, machine->opening, on_listening,
                       opening);
}

/* With the directory the file goes, and nobody could come any more. */
static gboolean
has_its_file (const Machine *machine)
{
  struct stat now;

  return read_file (machine, &now) && is_same_file (&now, &machine->file);
}

/* NULL: no endpoint can name it, or only one that names others as well. */
static Machine *
machine_new (HvsockMachines *self, const char *path)
{
  g_autofree char *rest = g_strdup_printf ("//%s:%u", path, self->port);
  g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_new ("hvsock", rest, NULL);
  HvsockAddress address;
  Machine *machine;

  if (!g_utf8_validate (path, -1, NULL) || !hvsock_address_parse (endpoint, &address, NULL) ||
      hvsock_address_is_pattern (&address))
    return NULL;
  machine = g_new0 (Machine, 1);
  machine->machines = self;
  machine->address = address;
  machine->endpoint = g_steal_pointer (&endpoint);
  g_hash_table_insert (self->machines, g_strdup (path), machine);
  return machine;
}

/* ---- looking around ---- */

static void
found (HvsockMachines *self, const char *path)
{
  Machine *machine = g_hash_table_lookup (self->machines, path);

  if (machine == NULL && g_hash_table_size (self->machines) >= MAX_MACHINES) {
    self->full = TRUE;
    return;
  }
  if (machine == NULL)
    machine = machine_new (self, path);
  if (machine == NULL)
    return;
  g_hash_table_add (self->seen, g_strdup (path));
  if (machine->listener != NULL && !has_its_file (machine))
    drop_listener (machine);
  if (machine->listener == NULL && machine->opening == NULL)
    open_machine (machine);
}

static void
on_changed (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event,
            HvsockMachines *self)
{
  if (event != G_FILE_MONITOR_EVENT_CHANGED && event != G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED &&
      event != G_FILE_MONITOR_EVENT_CHANGES_DONE_HINT)
    look_later (self, SETTLE_MS);
}

static void
monitor_free (gpointer data)
{
  Monitor *monitor = data;

  g_signal_handlers_disconnect_matched (monitor->file_monitor, G_SIGNAL_MATCH_FUNC, 0, 0, NULL,
                                        (gpointer) on_changed, NULL);
  g_file_monitor_cancel (monitor->file_monitor);
  g_object_unref (monitor->file_monitor);
  g_free (monitor);
}

/* One that cannot be followed is looked at seldom. */
static void
follow (HvsockMachines *self, const char *path)
{
  Monitor *monitor = g_hash_table_lookup (self->monitors, path);
  g_autoptr (GFile) directory = g_file_new_for_path (path);
  GFileMonitor *file_monitor;
  struct stat file;

  if (stat (path, &file) < 0)
    return;
  /* Another may have come in its place. */
  if (monitor != NULL && !is_same_file (&file, &monitor->file)) {
    g_hash_table_remove (self->monitors, path);
    monitor = NULL;
  }
  g_hash_table_add (self->seen, g_strdup (path));
  if (monitor != NULL || g_hash_table_size (self->monitors) >= MAX_MONITORS)
    return;
  file_monitor = g_file_monitor_directory (directory, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);
  if (file_monitor == NULL)
    return;
  g_signal_connect (file_monitor, "changed", G_CALLBACK (on_changed), self);
  monitor = g_new0 (Monitor, 1);
  monitor->file_monitor = file_monitor;
  monitor->file = file;
  g_hash_table_insert (self->monitors, g_strdup (path), monitor);
}

static gboolean
is_of_kind (const char *path, mode_t kind)
{
  struct stat file;

  return stat (path, &file) == 0 && (file.st_mode & S_IFMT) == kind;
}

static void walk (HvsockMachines *self, const char *directory, char **parts);

/* PATH fits all before PARTS[0] and that. */
static void
step (HvsockMachines *self, const char *path, char **parts)
{
  if (parts[1] != NULL)
    walk (self, path, parts + 1);
  else
    found (self, path);
}

/* NULL: it cannot be read, which is told of once. */
static GDir *
open_directory (HvsockMachines *self, const char *path)
{
  g_autoptr (GError) error = NULL;
  GDir *dir = g_dir_open (path, 0, &error);

  if (dir != NULL)
    g_hash_table_remove (self->blind, path);
  else if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT) &&
           g_hash_table_size (self->blind) < MAX_MACHINES &&
           g_hash_table_add (self->blind, g_strdup (path)))
    g_message ("%s: machines may be missed: %s", get_name (self), error->message);
  return dir;
}

static void
step_into_all (HvsockMachines *self, const char *directory, char **parts)
{
  g_autoptr (GDir) dir = open_directory (self, directory);
  gboolean last = parts[1] == NULL;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (directory, name, NULL);

    if (++self->names > MAX_NAMES) {
      self->full = TRUE;
      return;
    }

    if (hvsock_name_fits (parts[0], name) && !(last && hvsock_name_is_port_socket (name)) &&
        is_of_kind (path, last ? S_IFSOCK : S_IFDIR))
      step (self, path, parts);
  }
}

/* A directory is followed where what matters may come or go in it; one that leads to another is
 * not, as long as that is there: it tells of its own end. */
static void
walk (HvsockMachines *self, const char *directory, char **parts)
{
  g_autofree char *path = g_build_filename (directory, parts[0], NULL);
  gboolean leads_on =
      !hvsock_name_is_pattern (parts[0]) && parts[1] != NULL && is_of_kind (path, S_IFDIR);

  if (!leads_on)
    follow (self, directory);
  if (hvsock_name_is_pattern (parts[0]))
    step_into_all (self, directory, parts);
  else if (leads_on || parts[1] == NULL)
    step (self, path, parts);
}

static gboolean
is_unseen (gpointer path, gpointer value, gpointer self)
{
  return !g_hash_table_contains (((HvsockMachines *) self)->seen, path);
}

/* Where there are too many names, one that is there may not have been seen. */
static gboolean
is_gone (gpointer path, gpointer machine, gpointer data)
{
  HvsockMachines *self = data;

  return is_unseen (path, machine, self) && (self->names <= MAX_NAMES || !has_its_file (machine));
}

static void
look_everywhere (HvsockMachines *self)
{
  gint64 begun = g_get_monotonic_time (), ended;
  guint gone;

  self->names = 0;
  self->was_full = self->full;
  self->full = FALSE;
  g_main_context_push_thread_default (self->context);
  walk (self, "/", self->parts);
  g_main_context_pop_thread_default (self->context);
  g_hash_table_foreach_remove (self->monitors, is_unseen, self);
  gone = g_hash_table_foreach_remove (self->machines, is_gone, self);
  g_hash_table_remove_all (self->seen);
  if (self->full && !self->was_full)
    g_message ("%s: of more than %d machines, or %d names, the others are left out",
               get_name (self), MAX_MACHINES, MAX_NAMES);
  ended = g_get_monotonic_time ();
  self->rested = ended + MIN (PACE * (ended - begun), PACE_MAX_MS * G_TIME_SPAN_MILLISECOND);
  look_later (self, self->full && gone > 0 ? SETTLE_MS : SELDOM_MS);
}

static gboolean
look_around (gpointer data)
{
  g_autoptr (HvsockMachines) self = g_object_ref (data);

  g_clear_pointer (&self->look, g_source_unref);
  if (hypha_listener_is_heard (HYPHA_LISTENER (self)))
    look_everywhere (self);
  else
    look_later (self, REST_MS);
  return G_SOURCE_REMOVE;
}

/* What is sooner goes first. */
static void
look_later (HvsockMachines *self, guint ms)
{
  gint64 now = g_get_monotonic_time ();
  gint64 due = MAX (now + ms * G_TIME_SPAN_MILLISECOND, self->rested);

  if (hypha_listener_is_closed (HYPHA_LISTENER (self)))
    return;
  if (self->look != NULL) {
    g_source_set_ready_time (self->look, MIN (due, g_source_get_ready_time (self->look)));
    return;
  }
  self->look = g_timeout_source_new (0);
  g_source_set_ready_time (self->look, due);
  g_source_set_callback (self->look, look_around, self, NULL);
  g_source_attach (self->look, self->context);
}

/* ---- life ---- */

static void
hvsock_machines_close (HyphaListener *listener)
{
  HvsockMachines *self = HVSOCK_MACHINES (listener);

  if (self->look != NULL)
    g_source_destroy (self->look);
  g_clear_pointer (&self->look, g_source_unref);
  g_hash_table_remove_all (self->monitors);
  g_hash_table_remove_all (self->machines);
}

static void
hvsock_machines_finalize (GObject *object)
{
  HvsockMachines *self = HVSOCK_MACHINES (object);

  g_strfreev (self->parts);
  g_hash_table_unref (self->monitors);
  g_hash_table_unref (self->machines);
  g_hash_table_unref (self->seen);
  g_hash_table_unref (self->blind);
  g_main_context_unref (self->context);
  G_OBJECT_CLASS (hvsock_machines_parent_class)->finalize (object);
}

static void
hvsock_machines_class_init (HvsockMachinesClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hvsock_machines_finalize;
  HYPHA_LISTENER_CLASS (klass)->close = hvsock_machines_close;
}

static void
hvsock_machines_init (HvsockMachines *self)
{
  self->monitors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, monitor_free);
  self->machines = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, machine_free);
  self->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->blind = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->context = g_main_context_ref_thread_default ();
}

HyphaListener *
hvsock_machines_new (const HvsockAddress *pattern, HyphaEndpoint *endpoint)
{
  HvsockMachines *self = g_object_new (HVSOCK_TYPE_MACHINES, "bound", endpoint, NULL);

  self->parts = g_strsplit (pattern->path + 1, "/", -1);
  self->port = pattern->port;
  look_later (self, 0);
  return HYPHA_LISTENER (self);
}
