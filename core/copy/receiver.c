/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/receiver-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy/tree.h"
#include "hypha-error.h"

/* A directory while what lies in it comes. */
typedef struct {
  int fd;
  guint32 mode;
  struct timespec times[2];
  gsize path_length; /* of its path */
  gboolean as_it_is; /* the destination itself: it was there, and its mode and times are its own */
} Directory;

/* ---- what cannot be taken ---- */

static void
tell_problem (HyphaCopyReceiver *self, const char *why)
{
  g_autofree char *sentence = g_strdup_printf ("%s: %s", self->path->str, why);

  hypha_copy_append_u64 (hypha_copy_wire_get_out (self->wire), HYPHA_COPY_PROBLEM, self->number,
                         sentence, strlen (sentence));
  self->events->problem (sentence, FALSE, self->user_data);
}

/**
 * hypha_copy_receiver_tell_errno:
 * @self: a receiver
 * @number: errno, of what came last
 * @error: return location for an error: %HYPHA_ERROR_FAILED
 *
 * Tells both ends what is wrong with it. Where there is no room any more, nothing else has any.
 *
 * Returns: %TRUE if the rest may come
 */
gboolean
hypha_copy_receiver_tell_errno (HyphaCopyReceiver *self, int number, GError **error)
{
  if (number != ENOSPC && number != EDQUOT) {
    tell_problem (self,
                  number == EBUSY ? _ ("another copy of it is under way") : g_strerror (number));
    return TRUE;
  }
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
               _ ("%s: %s; what came of it is kept, and the same command goes on from there"),
               self->path->str, g_strerror (number));
  return FALSE;
}

/* ---- what has come ---- */

static gboolean
tell_errno_of (HyphaCopyReceiver *self, const HyphaCopyWhole *whole, int number, GError **error)
{
  g_autofree char *path = g_strdup (self->path->str);
  guint64 current = self->number;
  gboolean goes_on;

  self->number = whole->number;
  g_string_assign (self->path, whole->path);
  goes_on = hypha_copy_receiver_tell_errno (self, number, error);
  self->number = current;
  g_string_assign (self->path, path);
  return goes_on;
}

/**
 * hypha_copy_receiver_place_whole:
 * @self: a receiver
 * @error: return location for an error, as of hypha_copy_receiver_tell_errno()
 *
 * Gives the files that wait their names. Whatever else is done to names comes after that.
 *
 * Returns: %TRUE if the rest may come
 */
gboolean
hypha_copy_receiver_place_whole (HyphaCopyReceiver *self, GError **error)
{
  gboolean goes_on = TRUE;

  hypha_copy_batch_sync (self->whole);
  for (guint i = 0; i < self->whole->len && goes_on; i++) {
    HyphaCopyWhole *whole = &g_array_index (self->whole, HyphaCopyWhole, i);

    if (hypha_copy_part_place (&whole->part))
      self->counts->files++;
    else
      goes_on = tell_errno_of (self, whole, errno, error);
  }
  g_array_set_size (self->whole, 0);
  return goes_on;
}

/* ---- where it goes ---- */

/**
 * hypha_copy_receiver_get_directory:
 * @self: a receiver
 *
 * Returns: the innermost directory that is open
 */
int
hypha_copy_receiver_get_directory (HyphaCopyReceiver *self)
{
  guint n = self->directories->len;

  return n > 0 ? g_array_index (self->directories, Directory, n - 1).fd : self->destination->fd;
}

static gboolean
is_outermost (HyphaCopyReceiver *self)
{
  return self->directories->len == 0;
}

/**
 * hypha_copy_receiver_get_name:
 * @self: a receiver
 * @entry: what comes
 *
 * Returns: (transfer none): the name that it gets; "" for the destination itself
 */
const char *
hypha_copy_receiver_get_name (HyphaCopyReceiver *self, const HyphaCopyEntry *entry)
{
  return is_outermost (self) && self->destination->name ? self->destination->name : entry->name;
}

static void
set_path (HyphaCopyReceiver *self, gsize length, const char *name)
{
  g_string_truncate (self->path, length);
  if (*name == '\0' || (is_outermost (self) && self->destination->name))
    return;
  if (length > 0 && self->path->str[length - 1] != '/')
    g_string_append_c (self->path, '/');
  g_string_append (self->path, name);
}

static gsize
get_path_length (HyphaCopyReceiver *self)
{
  guint n = self->directories->len;
  Directory *last = n > 0 ? &g_array_index (self->directories, Directory, n - 1) : NULL;

  return last ? last->path_length : strlen (self->destination->shown);
}

/**
 * hypha_copy_receiver_may_take:
 * @self: a receiver
 * @entry: what comes
 * @name: that it gets
 *
 * Returns: %FALSE: it is not taken, and that was told
 */
gboolean
hypha_copy_receiver_may_take (HyphaCopyReceiver *self, const HyphaCopyEntry *entry,
                              const char *name)
{
  const char *obstacle = NULL;

  if (hypha_copy_name_is_ours (name))
    obstacle = _ ("only a part of a file, on its way, is called so");
  else if (entry->type != HYPHA_COPY_DIRECTORY && is_outermost (self) &&
           self->destination->directory)
    obstacle = _ ("this is no directory");
  else if (entry->type != HYPHA_COPY_DIRECTORY)
    obstacle = hypha_copy_find_obstacle (hypha_copy_receiver_get_directory (self), name);
  if (obstacle)
    tell_problem (self, obstacle);
  return obstacle == NULL;
}

/* ---- directories ---- */

static gboolean
begin_directory (HyphaCopyReceiver *self, const HyphaCopyEntry *entry, GError **error)
{
  Directory directory = { .mode = entry->mode, .times = { entry->accessed, entry->modified } };
  const char *name = hypha_copy_receiver_get_name (self, entry);

  if (*entry->name == '\0' && !is_outermost (self))
    return hypha_copy_refuse (error, _ ("a name that no file may have"));
  if (self->skipped == 0 && self->directories->len >= HYPHA_COPY_MAX_DEPTH)
    return hypha_copy_refuse (error, _ ("too many directories in each other"));
  if (self->skipped > 0 || (*name && !hypha_copy_receiver_may_take (self, entry, name))) {
    self->skipped++;
    return TRUE;
  }
  directory.as_it_is = *name == '\0';
  directory.fd = directory.as_it_is
                     ? fcntl (self->destination->fd, F_DUPFD_CLOEXEC, 0)
                     : hypha_copy_make_directory (hypha_copy_receiver_get_directory (self), name);
  if (directory.fd < 0) {
    self->skipped++;
    if (errno != ENOTDIR && errno != ELOOP)
      return hypha_copy_receiver_tell_errno (self, errno, error);
    tell_problem (self, _ ("there is something of this name that is no directory"));
    return TRUE;
  }
  directory.path_length = self->path->len;
  g_array_append_val (self->directories, directory);
  return TRUE;
}

static gboolean
end_directory (HyphaCopyReceiver *self, GError **error)
{
  guint n = self->directories->len;
  Directory *last = n > 0 ? &g_array_index (self->directories, Directory, n - 1) : NULL;
  gboolean done;
  int number;

  if (self->skipped > 0) {
    self->skipped--;
    return TRUE;
  }
  if (last == NULL)
    return hypha_copy_refuse (error, _ ("the end of a directory that has not begun"));
  if (!hypha_copy_receiver_place_whole (self, error))
    return FALSE;
  g_string_truncate (self->path, last->path_length);
  done = last->as_it_is || hypha_copy_finish_directory (last->fd, last->mode, last->times);
  number = done ? 0 : errno;
  if (!hypha_copy_sync_directory (last->fd))
    number = errno;
  close (last->fd);
  g_array_set_size (self->directories, n - 1);
  /* Further names lie where the first one does. */
  if (n == 1)
    g_hash_table_remove_all (self->linked);
  if (number != 0)
    return hypha_copy_receiver_tell_errno (self, number, error);
  self->counts->directories++;
  return TRUE;
}

/* ---- links ---- */

static int
get_top (HyphaCopyReceiver *self)
{
  return g_array_index (self->directories, Directory, 0).fd;
}

static gboolean
take_link (HyphaCopyReceiver *self, const HyphaCopyEntry *entry, GError **error)
{
  const char *name = hypha_copy_receiver_get_name (self, entry);
  gboolean hard = entry->type == HYPHA_COPY_HARD_LINK;

  if (hard && is_outermost (self) && self->skipped == 0)
    return hypha_copy_refuse (error, _ ("one more name of a file, and no directory for it"));
  if (self->skipped > 0 || !hypha_copy_receiver_may_take (self, entry, name))
    return TRUE;
  if (!(hard ? hypha_copy_make_hard_link (hypha_copy_receiver_get_directory (self), name,
                                          get_top (self), entry->target, self->linked)
             : hypha_copy_make_link (hypha_copy_receiver_get_directory (self), name, entry)))
    return hypha_copy_receiver_tell_errno (self, errno, error);
  self->counts->links++;
  return TRUE;
}

/* ---- all of it ---- */

/* A sender is asked for this and that, and may not choose what else lies beside it. */
static gboolean
is_wanted (HyphaCopyReceiver *self, const char *name)
{
  guint at;

  return self->wanted == NULL ||
         (g_ptr_array_find_with_equal_func (self->wanted, name, g_str_equal, &at) &&
          g_ptr_array_remove_index (self->wanted, at));
}

/* One of this name has come, and has not got it. */
static gboolean
waits (HyphaCopyReceiver *self, const char *name)
{
  for (guint i = 0; i < self->whole->len; i++) {
    if (g_str_equal (g_array_index (self->whole, HyphaCopyWhole, i).part.name, name))
      return TRUE;
  }
  return FALSE;
}

static gboolean
take_entry (HyphaCopyReceiver *self, const HyphaParcel *parcel, GError **error)
{
  HyphaCopyEntry entry;

  if (!hypha_copy_entry_parse (&entry, parcel, error))
    return FALSE;
  self->number++;
  if (is_outermost (self) && self->skipped == 0 && self->destination->name && self->number > 1)
    return hypha_copy_refuse (error, _ ("more than one thing, and one name for it"));
  if (is_outermost (self) && self->skipped == 0 && !is_wanted (self, entry.name))
    return hypha_copy_refuse (error, _ ("something that was not asked for"));
  if ((entry.type != HYPHA_COPY_FILE || entry.resumable ||
       waits (self, hypha_copy_receiver_get_name (self, &entry))) &&
      !hypha_copy_receiver_place_whole (self, error))
    return FALSE;
  if (self->skipped == 0)
    set_path (self, get_path_length (self), entry.name);
  switch (entry.type) {
  case HYPHA_COPY_DIRECTORY:
    return begin_directory (self, &entry, error);
  case HYPHA_COPY_FILE:
    return hypha_copy_receiver_begin_file (self, &entry, error);
  default:
    return take_link (self, &entry, error);
  }
}

static gboolean
take_failure (const HyphaParcel *parcel, GError **error)
{
  g_autofree char *sentence = hypha_copy_dup_sentence (parcel->data, parcel->length);

  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, sentence);
  return FALSE;
}

static void
take_missing (HyphaCopyReceiver *self, const HyphaParcel *parcel)
{
  g_autofree char *sentence = hypha_copy_dup_sentence (parcel->data, parcel->length);

  self->missing += is_outermost (self) && self->skipped == 0;
  self->events->problem (sentence, TRUE, self->user_data);
}

static gboolean
take_end (HyphaCopyReceiver *self, GError **error)
{
  if (!is_outermost (self) || self->skipped > 0)
    return hypha_copy_refuse (error, _ ("a directory without an end"));
  if (self->wanted && self->wanted->len > self->missing)
    return hypha_copy_refuse (error, _ ("the end, and not all that was asked for"));
  self->ended = TRUE;
  return TRUE;
}

static gboolean
take (HyphaCopyReceiver *self, const HyphaParcel *parcel, GError **error)
{
  if (parcel->type == HYPHA_COPY_FAILED)
    return take_failure (parcel, error);
  if (self->in_file)
    return hypha_copy_receiver_take_in_file (self, parcel, error);
  switch (parcel->type) {
  case HYPHA_COPY_DIRECTORY:
  case HYPHA_COPY_FILE:
  case HYPHA_COPY_LINK:
  case HYPHA_COPY_HARD_LINK:
    return take_entry (self, parcel, error);
  case HYPHA_COPY_DIRECTORY_END:
    return end_directory (self, error);
  case HYPHA_COPY_MISSING:
    take_missing (self, parcel);
    return TRUE;
  case HYPHA_COPY_END:
    return take_end (self, error);
  default:
    return hypha_copy_refuse (error, _ ("a message of an unknown kind"));
  }
}

static void
receiver_clear (HyphaCopyReceiver *self)
{
  hypha_copy_part_drop (&self->part);
  g_array_unref (self->whole);
  for (guint i = 0; i < self->directories->len; i++)
    close (g_array_index (self->directories, Directory, i).fd);
  g_array_unref (self->directories);
  g_string_free (self->path, TRUE);
  g_hash_table_unref (self->linked);
  hypha_copy_wire_free (self->wire);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaCopyReceiver, receiver_clear)

static gboolean
finish (HyphaCopyReceiver *self, GError **error)
{
  if (!hypha_copy_receiver_place_whole (self, error))
    return FALSE;
  if (!hypha_copy_sync_directory (self->destination->fd)) {
    set_path (self, strlen (self->destination->shown), "");
    if (!hypha_copy_receiver_tell_errno (self, errno, error))
      return FALSE;
  }
  hypha_copy_counts_append (hypha_copy_wire_get_out (self->wire), self->counts);
  return hypha_copy_wire_flush (self->wire, error);
}

static void
on_tick (gpointer user_data)
{
  HyphaCopyReceiver *self = user_data;

  self->events->tick (self->user_data);
}

/**
 * hypha_copy_receive:
 * @socket: to whoever sends a tree
 * @destination: where it goes
 * @events: what is told
 * @user_data: for @events
 * @counts: (out caller-allocates): what there is of it
 * @error: return location for an error: %HYPHA_ERROR_RESET, the stream was over before everything
 *   had come; %HYPHA_ERROR_PROTOCOL; %HYPHA_ERROR_FAILED, no room, or what the sender says
 *
 * Takes a tree, whatever it holds: nothing of it leads out of the destination. Nothing that has
 * come is followed, and no name has more than one component.
 *
 * Returns: %TRUE at the end of it
 */
gboolean
hypha_copy_receive (int socket, const HyphaCopyDestination *destination,
                    const HyphaCopyEvents *events, gpointer user_data, HyphaCopyCounts *counts,
                    GError **error)
{
  const HyphaCopyWireEvents wire_events = { .tick = events->tick ? on_tick : NULL };
  g_auto (HyphaCopyReceiver) self = { .destination = destination,
                                      .events = events,
                                      .user_data = user_data,
                                      .counts = counts,
                                      .wanted = destination->wanted,
                                      .part = { .fd = -1 } };
  g_autoptr (GError) reason = NULL;
  HyphaParcel parcel;

  *counts = (HyphaCopyCounts){ 0 };
  self.wire = hypha_copy_wire_new (socket, &wire_events, &self);
  self.directories = g_array_new (FALSE, FALSE, sizeof (Directory));
  self.path = g_string_new (destination->shown);
  self.whole = hypha_copy_batch_new ();
  self.linked = hypha_copy_file_ids_new (NULL);
  while (!self.ended && hypha_copy_wire_next (self.wire, &parcel, &reason) &&
         take (&self, &parcel, &reason))
    ;
  if (self.ended && finish (&self, &reason)) {
    hypha_copy_wire_finish (self.wire);
    return TRUE;
  }
  hypha_copy_receiver_place_whole (&self, NULL);
  /* Who is told finds what is left. */
  if (g_error_matches (reason, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL))
    hypha_copy_part_drop (&self.part);
  else
    hypha_copy_part_keep (&self.part);
  if (!g_error_matches (reason, HYPHA_ERROR, HYPHA_ERROR_RESET)) {
    hypha_copy_wire_fail (self.wire, reason->message);
    hypha_copy_wire_finish (self.wire);
  }
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}
