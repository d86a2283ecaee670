/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/receiver-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "copy/tree.h"
#include "hypha-error.h"

static gboolean
on_hashed (gpointer user_data)
{
  HyphaCopyReceiver *self = user_data;

  return !hypha_copy_wire_is_over (self->wire);
}

/* What is there may be of another file. */
static gboolean
tell_what_is_there (HyphaCopyReceiver *self, GError **error)
{
  guint8 digest[HYPHA_COPY_DIGEST] = { 0 };

  if (self->part.there > 0 &&
      !hypha_copy_hash (self->part.fd, self->part.there, on_hashed, self, digest)) {
    if (errno == ECANCELED) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET,
                   _ ("the stream was over before the copy was"));
      return FALSE;
    }
    self->part.there = 0;
  }
  hypha_copy_append_u64 (hypha_copy_wire_get_out (self->wire), HYPHA_COPY_HAVE, self->part.there,
                         digest, sizeof digest);
  self->awaits_from = TRUE;
  return TRUE;
}

static gboolean
open_part (HyphaCopyReceiver *self, GError **error)
{
  int number;

  if (hypha_copy_part_open (&self->part, hypha_copy_receiver_get_directory (self), &self->entry,
                            hypha_copy_receiver_get_name (self, &self->entry)))
    return TRUE;
  number = errno;
  hypha_copy_part_clear (&self->part);
  return hypha_copy_receiver_tell_errno (self, number, error);
}

/**
 * hypha_copy_receiver_begin_file:
 * @self: a receiver
 * @entry: a file
 * @error: return location for an error: %HYPHA_ERROR_FAILED, %HYPHA_ERROR_RESET
 *
 * Makes room for it, and tells what is there of it.
 *
 * Returns: %TRUE if it may come
 */
gboolean
hypha_copy_receiver_begin_file (HyphaCopyReceiver *self, const HyphaCopyEntry *entry,
                                GError **error)
{
  const char *name = hypha_copy_receiver_get_name (self, entry);

  self->in_file = TRUE;
  self->entry = *entry;
  self->events->file (self->path->str, entry->size, self->user_data);
  if (self->skipped > 0 || !hypha_copy_receiver_may_take (self, entry, name))
    return TRUE;
  if (!(entry->resumable &&
        hypha_copy_part_open_whole (&self->part, hypha_copy_receiver_get_directory (self), entry,
                                    name)) &&
      !open_part (self, error))
    return FALSE;
  return self->part.fd < 0 || !entry->resumable || tell_what_is_there (self, error);
}

static gboolean
take_from (HyphaCopyReceiver *self, const HyphaParcel *parcel, GError **error)
{
  guint64 from;

  if (!hypha_copy_read_u64 (parcel, 0, &from) || (from != 0 && from != self->part.there))
    return hypha_copy_refuse (error, _ ("a file that goes on where it was not broken off"));
  self->awaits_from = FALSE;
  if (from > 0) {
    self->part.position = from;
    self->counts->resumed += from;
  } else if (self->part.part == NULL) {
    hypha_copy_part_clear (&self->part);
    self->entry.resumable = FALSE;
    return open_part (self, error);
  } else if (!hypha_copy_part_restart (&self->part)) {
    return hypha_copy_receiver_tell_errno (self, errno, error);
  }
  return TRUE;
}

static gboolean
take_bytes (HyphaCopyReceiver *self, const HyphaParcel *parcel, GError **error)
{
  guint64 length = parcel->length;

  if (parcel->type == HYPHA_COPY_HOLE && !hypha_copy_read_u64 (parcel, 0, &length))
    return hypha_copy_refuse (error, _ ("a hole without a length"));
  if (self->part.fd < 0)
    return TRUE;
  if (length > self->entry.size - self->part.position)
    return hypha_copy_refuse (error, _ ("more of a file than it has"));
  if (parcel->type == HYPHA_COPY_HOLE) {
    self->part.position += length;
  } else if (hypha_copy_part_write (&self->part, parcel->data, parcel->length)) {
    self->counts->bytes += length;
  } else {
    gboolean goes_on = hypha_copy_receiver_tell_errno (self, errno, error);

    if (goes_on)
      hypha_copy_part_drop (&self->part);
    return goes_on;
  }
  self->events->moved (self->part.position, self->user_data);
  return TRUE;
}

static void
remember_linked (HyphaCopyReceiver *self)
{
  struct stat st;

  if (self->entry.linked && g_hash_table_size (self->linked) < HYPHA_COPY_MAX_LINKED &&
      fstat (self->part.fd, &st) == 0)
    g_hash_table_add (self->linked, hypha_copy_file_id_new (&st));
}

static gboolean
end_file (HyphaCopyReceiver *self, GError **error)
{
  int number;

  self->in_file = FALSE;
  if (self->part.fd < 0)
    return TRUE;
  if (self->part.position != self->entry.size)
    return hypha_copy_refuse (error, _ ("the end of a file that is not whole"));
  remember_linked (self);
  if (hypha_copy_part_prepare (&self->part, &self->entry)) {
    hypha_copy_batch_add (self->whole, &self->part, self->number, self->path->str);
    return (self->entry.size < HYPHA_COPY_RESUMABLE && self->whole->len < HYPHA_COPY_BATCH) ||
           hypha_copy_receiver_place_whole (self, error);
  }
  number = errno;
  hypha_copy_part_drop (&self->part);
  return hypha_copy_receiver_tell_errno (self, number, error);
}

/* The sender could not read all of it, or stopped since it was told of the trouble here. What is
 * left out for no reason would look as if it had been copied. */
static gboolean
take_broken (HyphaCopyReceiver *self, const HyphaParcel *parcel, GError **error)
{
  g_autofree char *sentence = hypha_copy_dup_sentence (parcel->data, parcel->length);

  if (*sentence == '\0' && self->part.fd >= 0)
    return hypha_copy_refuse (error, _ ("a file without an end"));
  self->in_file = self->awaits_from = FALSE;
  hypha_copy_part_drop (&self->part);
  if (*sentence)
    self->events->problem (sentence, TRUE, self->user_data);
  return TRUE;
}

/**
 * hypha_copy_receiver_take_in_file:
 * @self: a receiver, in a file
 * @parcel: what came
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL, %HYPHA_ERROR_FAILED
 *
 * Takes it, until the end of the file.
 *
 * Returns: %TRUE if the rest may come
 */
gboolean
hypha_copy_receiver_take_in_file (HyphaCopyReceiver *self, const HyphaParcel *parcel,
                                  GError **error)
{
  if (self->awaits_from && parcel->type != HYPHA_COPY_FROM &&
      parcel->type != HYPHA_COPY_FILE_BROKEN)
    return hypha_copy_refuse (error, _ ("a file that goes on where it was not broken off"));
  switch (parcel->type) {
  case HYPHA_COPY_FROM:
    return self->awaits_from
               ? take_from (self, parcel, error)
               : hypha_copy_refuse (error, _ ("a file that goes on where it was not broken off"));
  case HYPHA_COPY_DATA:
  case HYPHA_COPY_HOLE:
    return take_bytes (self, parcel, error);
  case HYPHA_COPY_FILE_END:
    return end_file (self, error);
  case HYPHA_COPY_FILE_BROKEN:
    return take_broken (self, parcel, error);
  default:
    return hypha_copy_refuse (error, _ ("a file without an end"));
  }
}
