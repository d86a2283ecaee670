/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/sender-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static gboolean
on_hashed (gpointer user_data)
{
  HyphaCopySender *self = user_data;

  return !hypha_copy_wire_is_over (self->wire);
}

/* Where the file goes on: what the receiver has is the beginning of this file, or of another. */
static gboolean
settle_from (HyphaCopySender *self, int fd, const struct stat *st, guint64 *from, GError **error)
{
  guint8 digest[HYPHA_COPY_DIGEST];

  self->awaits_have = TRUE;
  while (self->awaits_have && self->given_up == HYPHA_COPY_NOWHERE) {
    if (!hypha_copy_wire_hear (self->wire, error))
      return FALSE;
  }
  if (self->given_up != HYPHA_COPY_NOWHERE) {
    self->awaits_have = FALSE;
    return TRUE;
  }
  if (self->have > 0 && self->have <= (guint64) st->st_size &&
      hypha_copy_hash (fd, self->have, on_hashed, self, digest) &&
      memcmp (digest, self->digest, sizeof digest) == 0)
    *from = self->have;
  hypha_copy_append_u64 (hypha_copy_wire_get_out (self->wire), HYPHA_COPY_FROM, *from, NULL, 0);
  return TRUE;
}

/* FALSE with an error: it is over. *WHY: what is wrong with the file. */
static gboolean
send_data (HyphaCopySender *self, int fd, guint64 at, guint64 end, const char **why, GError **error)
{
  guint8 block[HYPHA_PARCEL_MAX];

  while (at < end && self->given_up == HYPHA_COPY_NOWHERE) {
    gssize n = pread (fd, block, MIN (sizeof block, end - at), (off_t) at);

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      *why = n < 0 ? g_strerror (errno) : _ ("it has become shorter while it was sent");
      return TRUE;
    }
    hypha_parcel_append (hypha_copy_wire_get_out (self->wire), HYPHA_COPY_DATA, block, (gsize) n);
    if (!hypha_copy_wire_push (self->wire, error))
      return FALSE;
    at += (guint64) n;
    self->events->moved (at, self->user_data);
  }
  return TRUE;
}

/* The next bytes that are there, from AT on. A file system that knows no holes has none. */
static void
find_data (int fd, guint64 at, guint64 size, guint64 *data, guint64 *end)
{
  off_t found = lseek (fd, (off_t) at, SEEK_DATA);

  if (found < 0) {
    *data = errno == ENXIO ? size : at;
    *end = size;
    return;
  }
  *data = MIN (MAX ((guint64) found, at), size);
  found = lseek (fd, (off_t) *data, SEEK_HOLE);
  *end = found <= (off_t) *data ? size : MIN ((guint64) found, size);
}

static gboolean
send_contents (HyphaCopySender *self, int fd, guint64 from, guint64 size, const char **why,
               GError **error)
{
  for (guint64 at = from; at < size && *why == NULL && self->given_up == HYPHA_COPY_NOWHERE;) {
    guint64 data, end;

    find_data (fd, at, size, &data, &end);
    if (data > at) {
      hypha_copy_append_u64 (hypha_copy_wire_get_out (self->wire), HYPHA_COPY_HOLE, data - at, NULL,
                             0);
      self->events->moved (data, self->user_data);
    }
    if (!send_data (self, fd, data, end, why, error))
      return FALSE;
    at = end;
  }
  return TRUE;
}

/* What was sent may be half of the one and half of the other. */
static const char *
find_change (int fd, const struct stat *before)
{
  struct stat now;
  char byte;

  if (fstat (fd, &now) != 0)
    return g_strerror (errno);
  if (now.st_size != before->st_size || now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
      now.st_mtim.tv_nsec != before->st_mtim.tv_nsec || pread (fd, &byte, 1, before->st_size) > 0)
    return _ ("it has changed while it was sent");
  return NULL;
}

/**
 * hypha_copy_sender_send_open:
 * @self: a sender
 * @fd: of a file
 * @st: of it, before
 * @entry: what it is
 * @error: return location for an error, as of hypha_copy_sender_add()
 *
 * Sends what the receiver does not have. A file that cannot be read, or changes, is a problem.
 *
 * Returns: %TRUE unless it is over
 */
gboolean
hypha_copy_sender_send_open (HyphaCopySender *self, int fd, const struct stat *st,
                             HyphaCopyEntry *entry, GError **error)
{
  g_autofree char *sentence = NULL;
  const char *why = NULL;
  guint64 from = 0;
  gboolean goes_on;

  entry->resumable = st->st_size >= HYPHA_COPY_RESUMABLE;
  self->events->file (self->path->str, entry->size, self->user_data);
  if (!hypha_copy_sender_say_entry (self, entry, error))
    return FALSE;
  hypha_copy_sender_enter (self);
  goes_on = (!entry->resumable || settle_from (self, fd, st, &from, error)) &&
            send_contents (self, fd, from, entry->size, &why, error);
  if (goes_on && why == NULL && self->given_up == HYPHA_COPY_NOWHERE)
    why = find_change (fd, st);
  if (!goes_on)
    return FALSE;
  if (self->given_up != HYPHA_COPY_NOWHERE || why) {
    g_autofree HyphaCopyFileId *id = hypha_copy_file_id_new (st);

    g_hash_table_remove (self->linked, id);
    if (why) {
      sentence = g_strdup_printf ("%s: %s", self->path->str, why);
      self->events->problem (sentence, FALSE, self->user_data);
    }
    goes_on = hypha_copy_sender_say (self, HYPHA_COPY_FILE_BROKEN, why ? sentence : "", error);
  } else {
    goes_on = hypha_copy_sender_say (self, HYPHA_COPY_FILE_END, "", error);
  }
  hypha_copy_sender_leave (self);
  return goes_on;
}
