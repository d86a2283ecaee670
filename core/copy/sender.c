/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/sender-private.h"

#include <glib/gi18n-lib.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy/part.h"
#include "copy/wire.h"
#include "hypha-error.h"

/* ---- what the receiver says ---- */

static gboolean
hear_have (HyphaCopySender *self, const HyphaParcel *parcel, GError **error)
{
  if (!self->awaits_have || !hypha_copy_read_u64 (parcel, sizeof self->digest, &self->have))
    return hypha_copy_refuse (error, _ ("a part of a file, and nobody asked for it"));
  memcpy (self->digest, parcel->data + sizeof self->have, sizeof self->digest);
  self->awaits_have = FALSE;
  return TRUE;
}

/* Of a directory that cannot be taken, nothing more is sent. */
static gboolean
hear_problem (HyphaCopySender *self, const HyphaParcel *parcel, GError **error)
{
  g_autofree char *sentence = NULL;
  guint64 number;

  if (parcel->length < sizeof number ||
      !hypha_copy_read_u64 (parcel, parcel->length - sizeof number, &number))
    return hypha_copy_refuse (error, _ ("a message of an unknown kind"));
  sentence = hypha_copy_dup_sentence (parcel->data + sizeof number, parcel->length - sizeof number);
  self->events->problem (sentence, TRUE, self->user_data);
  for (guint i = 0; i < self->entries->len && i < self->given_up; i++) {
    if (g_array_index (self->entries, guint64, i) == number)
      self->given_up = i;
  }
  return TRUE;
}

static gboolean
on_heard (const HyphaParcel *parcel, gpointer user_data, GError **error)
{
  HyphaCopySender *self = user_data;
  g_autofree char *sentence = NULL;

  switch (parcel->type) {
  case HYPHA_COPY_HAVE:
    return hear_have (self, parcel, error);
  case HYPHA_COPY_PROBLEM:
    return hear_problem (self, parcel, error);
  case HYPHA_COPY_DONE:
    self->done = self->awaits_done && hypha_copy_counts_parse (&self->counts, parcel);
    self->awaits_done = FALSE;
    return self->done || hypha_copy_refuse (error, _ ("it is done before everything was sent"));
  case HYPHA_COPY_FAILED:
    sentence = hypha_copy_dup_sentence (parcel->data, parcel->length);
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED, sentence);
    return FALSE;
  default:
    return hypha_copy_refuse (error, _ ("a message of an unknown kind"));
  }
}

static void
on_tick (gpointer user_data)
{
  HyphaCopySender *self = user_data;

  self->events->tick (self->user_data);
}

/* ---- making one ---- */

/**
 * hypha_copy_sender_new:
 * @socket: to whoever receives; outlives this
 * @events: what is told, as long-lived as the program
 * @user_data: for @events
 *
 * Returns: (transfer full): nothing is sent yet
 */
HyphaCopySender *
hypha_copy_sender_new (int socket, const HyphaCopyEvents *events, gpointer user_data)
{
  static const HyphaCopyWireEvents quiet = { .heard = on_heard };
  static const HyphaCopyWireEvents ticking = { .heard = on_heard, .tick = on_tick };
  HyphaCopySender *self = g_new0 (HyphaCopySender, 1);

  self->wire = hypha_copy_wire_new (socket, events->tick ? &ticking : &quiet, self);
  self->events = events;
  self->user_data = user_data;
  self->path = g_string_new (NULL);
  self->inner = g_string_new (NULL);
  self->entries = g_array_new (FALSE, FALSE, sizeof (guint64));
  self->given_up = HYPHA_COPY_NOWHERE;
  self->linked = hypha_copy_file_ids_new (g_free);
  return self;
}

/**
 * hypha_copy_sender_free:
 * @self: (transfer full): a sender
 *
 * Frees it. The socket stays open.
 */
void
hypha_copy_sender_free (HyphaCopySender *self)
{
  hypha_copy_wire_free (self->wire);
  g_string_free (self->path, TRUE);
  g_string_free (self->inner, TRUE);
  g_array_unref (self->entries);
  g_hash_table_unref (self->linked);
  g_free (self);
}

/* ---- what is not sent ---- */

/**
 * hypha_copy_sender_miss:
 * @self: a sender
 * @sentence: what is not sent, and why
 * @error: return location for an error, as of hypha_copy_sender_add()
 *
 * Tells both ends.
 *
 * Returns: %TRUE unless it is over
 */
gboolean
hypha_copy_sender_miss (HyphaCopySender *self, const char *sentence, GError **error)
{
  self->events->problem (sentence, FALSE, self->user_data);
  return hypha_copy_sender_say (self, HYPHA_COPY_MISSING, sentence, error);
}

static gboolean
miss (HyphaCopySender *self, const char *why, GError **error)
{
  g_autofree char *sentence = g_strdup_printf ("%s: %s", self->path->str, why);

  return hypha_copy_sender_miss (self, sentence, error);
}

/* ---- entries ---- */

static void
begin (HyphaCopySender *self, guint8 type, const struct stat *st, const char *name,
       HyphaCopyEntry *entry)
{
  entry->type = type;
  entry->mode = (guint32) st->st_mode & HYPHA_COPY_MODES;
  entry->accessed = st->st_atim;
  entry->modified = st->st_mtim;
  entry->size = type == HYPHA_COPY_FILE ? (guint64) st->st_size : 0;
  entry->resumable = FALSE;
  entry->linked = FALSE;
  g_strlcpy (entry->name, name, sizeof entry->name);
  entry->target[0] = '\0';
}

/**
 * hypha_copy_sender_say_entry:
 * @self: a sender
 * @entry: what comes next
 * @error: return location for an error, as of hypha_copy_sender_add()
 *
 * Says it.
 *
 * Returns: %TRUE unless it is over
 */
gboolean
hypha_copy_sender_say_entry (HyphaCopySender *self, const HyphaCopyEntry *entry, GError **error)
{
  self->number++;
  hypha_copy_entry_append (hypha_copy_wire_get_out (self->wire), entry);
  return hypha_copy_wire_push (self->wire, error);
}

/**
 * hypha_copy_sender_say:
 * @self: a sender
 * @type: of the parcel
 * @sentence: what it holds; "": nothing
 * @error: return location for an error, as of hypha_copy_sender_add()
 *
 * Says it.
 *
 * Returns: %TRUE unless it is over
 */
gboolean
hypha_copy_sender_say (HyphaCopySender *self, guint8 type, const char *sentence, GError **error)
{
  hypha_parcel_append (hypha_copy_wire_get_out (self->wire), type, sentence,
                       MIN (strlen (sentence), HYPHA_PARCEL_MAX));
  return hypha_copy_wire_push (self->wire, error);
}

/**
 * hypha_copy_sender_enter:
 * @self: a sender
 *
 * What was said last is open until hypha_copy_sender_leave().
 */
void
hypha_copy_sender_enter (HyphaCopySender *self)
{
  g_array_append_val (self->entries, self->number);
}

/**
 * hypha_copy_sender_leave:
 * @self: a sender
 *
 * The innermost of what is open is over.
 */
void
hypha_copy_sender_leave (HyphaCopySender *self)
{
  g_array_set_size (self->entries, self->entries->len - 1);
  if (self->given_up != HYPHA_COPY_NOWHERE && self->given_up >= self->entries->len)
    self->given_up = HYPHA_COPY_NOWHERE;
}

/* ---- files ---- */

/* TRUE: the receiver has this file already, under another name. */
static gboolean
find_linked (HyphaCopySender *self, const struct stat *st, HyphaCopyEntry *entry)
{
  g_autofree HyphaCopyFileId *id = hypha_copy_file_id_new (st);
  const char *path;

  if (st->st_nlink < 2 || self->inner->len == 0 || self->inner->len > HYPHA_COPY_TARGET_MAX)
    return FALSE;
  path = g_hash_table_lookup (self->linked, id);
  if (path) {
    entry->type = HYPHA_COPY_HARD_LINK;
    entry->size = 0;
    g_strlcpy (entry->target, path, sizeof entry->target);
    return TRUE;
  }
  entry->linked = g_hash_table_size (self->linked) < HYPHA_COPY_MAX_LINKED &&
                  self->linked_bytes + self->inner->len <= HYPHA_COPY_MAX_LINKED_BYTES;
  if (entry->linked) {
    g_hash_table_insert (self->linked, g_steal_pointer (&id), g_strdup (self->inner->str));
    self->linked_bytes += self->inner->len;
  }
  return FALSE;
}

/* It may have become something else since it was looked at: a pipe is not waited for. */
static gboolean
send_file (HyphaCopySender *self, int directory, const char *name, const char *sent, GError **error)
{
  int fd = openat (directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  HyphaCopyEntry entry;
  struct stat st;
  gboolean goes_on;

  if (fd < 0 || fstat (fd, &st) != 0)
    goes_on = miss (self, g_strerror (errno), error);
  else if (!S_ISREG (st.st_mode))
    goes_on = miss (self, _ ("it has changed while it was sent"), error);
  else {
    begin (self, HYPHA_COPY_FILE, &st, sent, &entry);
    goes_on = find_linked (self, &st, &entry)
                  ? hypha_copy_sender_say_entry (self, &entry, error)
                  : hypha_copy_sender_send_open (self, fd, &st, &entry, error);
  }
  if (fd >= 0)
    close (fd);
  return goes_on;
}

/* ---- the rest ---- */

static gboolean
send_link (HyphaCopySender *self, int directory, const char *name, const char *sent,
           const struct stat *st, GError **error)
{
  HyphaCopyEntry entry;
  gssize n;

  begin (self, HYPHA_COPY_LINK, st, sent, &entry);
  n = readlinkat (directory, name, entry.target, sizeof entry.target);
  if (n <= 0 || n == sizeof entry.target)
    return miss (self, n < 0 ? g_strerror (errno) : _ ("the link is too long"), error);
  entry.target[n] = '\0';
  return hypha_copy_sender_say_entry (self, &entry, error);
}

static gboolean send_any (HyphaCopySender *self, int directory, const char *name, const char *sent,
                          GError **error);

/* One of what lies in a directory. */
static gboolean
send_below (HyphaCopySender *self, int directory, const char *name, GError **error)
{
  gsize path_length = self->path->len, inner_length = self->inner->len;
  gboolean goes_on;

  if (path_length > 0 && self->path->str[path_length - 1] != '/')
    g_string_append_c (self->path, '/');
  g_string_append (self->path, name);
  if (inner_length > 0)
    g_string_append_c (self->inner, '/');
  g_string_append (self->inner, name);
  goes_on = hypha_copy_name_is_ours (name)
                ? miss (self, _ ("only a part of a file, on its way, is called so"), error)
                : send_any (self, directory, name, name, error);
  g_string_truncate (self->path, path_length);
  g_string_truncate (self->inner, inner_length);
  return goes_on;
}

static gboolean
send_all_below (HyphaCopySender *self, DIR *listing, GError **error)
{
  while (self->given_up == HYPHA_COPY_NOWHERE) {
    const struct dirent *found;

    errno = 0;
    found = readdir (listing);
    if (found == NULL)
      return errno == 0 || miss (self, g_strerror (errno), error);
    if (strcmp (found->d_name, ".") != 0 && strcmp (found->d_name, "..") != 0 &&
        !send_below (self, dirfd (listing), found->d_name, error))
      return FALSE;
  }
  return TRUE;
}

/* Takes FD. */
static gboolean
send_directory (HyphaCopySender *self, int fd, const char *sent, GError **error)
{
  HyphaCopyEntry *entry = g_new (HyphaCopyEntry, 1); /* too large for so many in each other */
  struct stat st;
  DIR *listing = NULL;
  gboolean goes_on;

  if (fd < 0 || fstat (fd, &st) != 0 || (listing = fdopendir (fd)) == NULL) {
    goes_on = miss (self, g_strerror (errno), error);
    if (fd >= 0)
      close (fd);
    g_free (entry);
    return goes_on;
  }
  begin (self, HYPHA_COPY_DIRECTORY, &st, sent, entry);
  goes_on = hypha_copy_sender_say_entry (self, entry, error);
  g_free (entry);
  hypha_copy_sender_enter (self);
  goes_on = goes_on && send_all_below (self, listing, error) &&
            hypha_copy_sender_say (self, HYPHA_COPY_DIRECTORY_END, "", error);
  hypha_copy_sender_leave (self);
  closedir (listing);
  return goes_on;
}

static gboolean
send_any (HyphaCopySender *self, int directory, const char *name, const char *sent, GError **error)
{
  struct stat st;

  if (fstatat (directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return miss (self, g_strerror (errno), error);
  switch (st.st_mode & S_IFMT) {
  case S_IFDIR:
    if (self->entries->len >= HYPHA_COPY_MAX_DEPTH)
      return miss (self, _ ("too many directories in each other"), error);
    return send_directory (
        self, openat (directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), sent,
        error);
  case S_IFREG:
    return send_file (self, directory, name, sent, error);
  case S_IFLNK:
    return send_link (self, directory, name, sent, &st, error);
  default:
    return miss (self, _ ("it is neither a file nor a directory nor a link, and is not copied"),
                 error);
  }
}

/* ---- all of it ---- */

/**
 * hypha_copy_sender_add:
 * @self: a sender
 * @source: what is to be copied
 * @shown: what it is called, for people
 * @error: return location for an error: %HYPHA_ERROR_RESET, the stream is over;
 *   %HYPHA_ERROR_REFUSED, in the receiver's words; %HYPHA_ERROR_PROTOCOL
 *
 * Sends it, with all that lies in it.
 *
 * Returns: %TRUE unless it is over
 */
gboolean
hypha_copy_sender_add (HyphaCopySender *self, const HyphaCopySource *source, const char *shown,
                       GError **error)
{
  g_hash_table_remove_all (self->linked);
  self->linked_bytes = 0;
  g_string_truncate (self->inner, 0);
  g_string_assign (self->path, shown);
  if (source->name)
    return send_any (self, source->fd, source->name, source->sent, error);
  return send_directory (self, openat (source->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                         source->sent, error);
}

/**
 * hypha_copy_sender_finish:
 * @self: a sender
 * @counts: (out caller-allocates): what the receiver has of it
 * @error: return location for an error, as of hypha_copy_sender_add()
 *
 * Says that this was all, and waits until the receiver says that it has it.
 *
 * Returns: %TRUE if it does
 */
gboolean
hypha_copy_sender_finish (HyphaCopySender *self, HyphaCopyCounts *counts, GError **error)
{
  self->awaits_done = TRUE;
  hypha_parcel_append (hypha_copy_wire_get_out (self->wire), HYPHA_COPY_END, NULL, 0);
  while (!self->done) {
    g_autoptr (GError) reason = NULL;

    /* Who is done may close at once. */
    if (hypha_copy_wire_hear (self->wire, &reason) || self->done)
      continue;
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
  *counts = self->counts;
  return TRUE;
}

/**
 * hypha_copy_sender_fail:
 * @self: a sender
 * @error: what ended it
 *
 * Tells the receiver, unless that knows it or has gone, and waits for it to close.
 */
void
hypha_copy_sender_fail (HyphaCopySender *self, const GError *error)
{
  if (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_RESET))
    return;
  if (!g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED))
    hypha_copy_wire_fail (self->wire, error->message);
  hypha_copy_wire_finish (self->wire);
}
