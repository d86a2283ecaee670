/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/entry.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "hypha-error.h"

#define PART ".hypha-part"
#define ASIDE ".hypha-link"

#define FLAG_RESUMABLE 1
#define FLAG_LINKED 2

/* mode 4, accessed 8 and 4, modified 8 and 4, flags 1, size 8, length of the name 2 */
#define FIXED 39
#define NS_PER_S 1000000000u

/* ---- numbers ---- */

static guint64
get (const guint8 **at, gsize bytes)
{
  guint64 value = 0;

  for (; bytes > 0; bytes--)
    value = value << 8 | *(*at)++;
  return value;
}

static void
put (guint8 **at, gsize bytes, guint64 value)
{
  while (bytes-- > 0)
    *(*at)++ = (guint8) (value >> 8 * bytes);
}

/**
 * hypha_copy_append_u64:
 * @to: what is to be sent
 * @type: of the parcel
 * @value: a number
 * @more: (array length=length) (nullable): what follows it
 * @length: of @more; what does not fit is left out
 *
 * Writes a parcel that begins with a number.
 */
void
hypha_copy_append_u64 (GByteArray *to, guint8 type, guint64 value, const void *more, gsize length)
{
  g_autofree guint8 *bytes = NULL;
  guint8 *at;

  length = MIN (length, HYPHA_PARCEL_MAX - sizeof value);
  at = bytes = g_malloc (sizeof value + length);
  put (&at, sizeof value, value);
  if (length > 0)
    memcpy (at, more, length);
  hypha_parcel_append (to, type, bytes, sizeof value + length);
}

/**
 * hypha_copy_read_u64:
 * @parcel: a parcel
 * @more: how many bytes have to follow the number
 * @value: (out): the number
 *
 * Returns: %TRUE if that is what it holds
 */
gboolean
hypha_copy_read_u64 (const HyphaParcel *parcel, gsize more, guint64 *value)
{
  const guint8 *at = parcel->data;

  if (parcel->length < sizeof *value || parcel->length - sizeof *value != more)
    return FALSE;
  *value = get (&at, sizeof *value);
  return TRUE;
}

/* ---- names ---- */

/**
 * hypha_copy_name_is_good:
 * @name: (array length=length): of a file within its directory
 * @length: of it
 *
 * Returns: %TRUE if it leads nowhere else: not empty, no `.` and `..`, no slash, no NUL, not too
 * long
 */
gboolean
hypha_copy_name_is_good (const char *name, gsize length)
{
  return length > 0 && length <= HYPHA_COPY_NAME_MAX && memchr (name, '/', length) == NULL &&
         memchr (name, '\0', length) == NULL && !(length == 1 && name[0] == '.') &&
         !(length == 2 && name[0] == '.' && name[1] == '.');
}

/* Where the name has no room for more, its hash stands for it. */
static char *
dup_beside (const char *name, const char *suffix)
{
  g_autofree char *hash = NULL;

  if (1 + strlen (name) + strlen (suffix) <= HYPHA_COPY_NAME_MAX)
    return g_strconcat (".", name, suffix, NULL);
  hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, name, -1);
  return g_strconcat (".", hash, suffix, NULL);
}

/**
 * hypha_copy_name_dup_part:
 * @name: of a file
 *
 * Returns: (transfer full): the name under which it is written, in the same directory
 */
char *
hypha_copy_name_dup_part (const char *name)
{
  return dup_beside (name, PART);
}

/**
 * hypha_copy_name_dup_aside:
 * @name: of a link
 *
 * Returns: (transfer full): the name under which it is made, in the same directory
 */
char *
hypha_copy_name_dup_aside (const char *name)
{
  return dup_beside (name, ASIDE);
}

/**
 * hypha_copy_name_is_ours:
 * @name: of a file
 *
 * Returns: %TRUE for what copies leave beside the files, and no others have
 */
gboolean
hypha_copy_name_is_ours (const char *name)
{
  return *name == '.' && (g_str_has_suffix (name, PART) || g_str_has_suffix (name, ASIDE));
}

/**
 * hypha_copy_dup_sentence:
 * @text: (array length=length): as it came
 * @length: of it
 *
 * Returns: (transfer full): what a peer wrote, for people; names in it may be any bytes
 */
char *
hypha_copy_dup_sentence (const guint8 *text, gsize length)
{
  return g_strndup ((const char *) text, length);
}

/* ---- entries ---- */

/**
 * hypha_copy_refuse:
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL
 * @what: what came
 *
 * Returns: %FALSE
 */
gboolean
hypha_copy_refuse (GError **error, const char *what)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
               _ ("what came for the service cp is wrong: %s"), what);
  return FALSE;
}

static void
put_time (guint8 **at, const struct timespec *time)
{
  put (at, 8, (guint64) time->tv_sec);
  put (at, 4, (guint64) time->tv_nsec);
}

/**
 * hypha_copy_entry_append:
 * @to: what is to be sent
 * @self: an entry, with good names
 *
 * Writes its parcel.
 */
void
hypha_copy_entry_append (GByteArray *to, const HyphaCopyEntry *self)
{
  gsize name_length = strlen (self->name), target_length = strlen (self->target);
  guint8 bytes[FIXED + HYPHA_COPY_NAME_MAX + HYPHA_COPY_TARGET_MAX];
  guint8 *at = bytes;

  put (&at, 4, self->mode & HYPHA_COPY_MODES);
  put_time (&at, &self->accessed);
  put_time (&at, &self->modified);
  put (&at, 1, (self->resumable ? FLAG_RESUMABLE : 0u) | (self->linked ? FLAG_LINKED : 0u));
  put (&at, 8, self->size);
  put (&at, 2, name_length);
  memcpy (at, self->name, name_length);
  memcpy (at + name_length, self->target, target_length);
  hypha_parcel_append (to, self->type, bytes, FIXED + name_length + target_length);
}

static gboolean
get_time (const guint8 **at, struct timespec *time)
{
  guint64 ns;

  time->tv_sec = (time_t) (gint64) get (at, 8);
  ns = get (at, 4);
  time->tv_nsec = (long) ns;
  return ns < NS_PER_S;
}

static gboolean
target_is_good (const HyphaCopyEntry *self, const char *target, gsize length)
{
  if (self->type == HYPHA_COPY_DIRECTORY || self->type == HYPHA_COPY_FILE)
    return length == 0;
  return length > 0 && length <= HYPHA_COPY_TARGET_MAX && memchr (target, '\0', length) == NULL;
}

/**
 * hypha_copy_entry_parse:
 * @self: (out caller-allocates): an entry
 * @parcel: one of the types that are entries
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL
 *
 * Reads what a peer says. What comes of it is safe to be used within a directory: a name is good,
 * or empty for a directory; the path in a hard link is not looked at.
 *
 * Returns: %TRUE if it is one
 */
gboolean
hypha_copy_entry_parse (HyphaCopyEntry *self, const HyphaParcel *parcel, GError **error)
{
  const guint8 *at = parcel->data;
  const char *name;
  gsize name_length, target_length;
  guint64 flags;

  if (parcel->length < FIXED)
    return hypha_copy_refuse (error, _ ("an entry that is too short"));
  self->type = parcel->type;
  self->mode = (guint32) get (&at, 4) & HYPHA_COPY_MODES;
  if (!get_time (&at, &self->accessed) || !get_time (&at, &self->modified))
    return hypha_copy_refuse (error, _ ("a time that is none"));
  flags = get (&at, 1);
  self->resumable = (flags & FLAG_RESUMABLE) != 0;
  self->linked = (flags & FLAG_LINKED) != 0;
  self->size = get (&at, 8);
  name_length = get (&at, 2);
  name = (const char *) at;
  if (self->size > G_MAXINT64)
    return hypha_copy_refuse (error, _ ("a size that no file has"));
  if (name_length > parcel->length - FIXED ||
      (!hypha_copy_name_is_good (name, name_length) &&
       !(name_length == 0 && self->type == HYPHA_COPY_DIRECTORY)))
    return hypha_copy_refuse (error, _ ("a name that no file may have"));
  target_length = parcel->length - FIXED - name_length;
  if (!target_is_good (self, name + name_length, target_length))
    return hypha_copy_refuse (error, _ ("a link that leads nowhere"));
  memcpy (self->name, name, name_length);
  self->name[name_length] = '\0';
  memcpy (self->target, name + name_length, target_length);
  self->target[target_length] = '\0';
  return TRUE;
}

/* ---- counts ---- */

/**
 * hypha_copy_counts_append:
 * @to: what is to be sent
 * @self: what was copied
 *
 * Writes the parcel DONE.
 */
void
hypha_copy_counts_append (GByteArray *to, const HyphaCopyCounts *self)
{
  const guint64 numbers[] = { self->files, self->directories, self->links, self->bytes,
                              self->resumed };
  guint8 bytes[sizeof numbers];
  guint8 *at = bytes;

  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    put (&at, sizeof *numbers, numbers[i]);
  hypha_parcel_append (to, HYPHA_COPY_DONE, bytes, sizeof bytes);
}

/**
 * hypha_copy_counts_parse:
 * @self: (out caller-allocates): what was copied, by the words of the peer
 * @parcel: DONE
 *
 * Returns: %TRUE if that is what it holds
 */
gboolean
hypha_copy_counts_parse (HyphaCopyCounts *self, const HyphaParcel *parcel)
{
  guint64 *const numbers[] = { &self->files, &self->directories, &self->links, &self->bytes,
                               &self->resumed };
  const guint8 *at = parcel->data;

  if (parcel->length != sizeof **numbers * G_N_ELEMENTS (numbers))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    *numbers[i] = get (&at, sizeof **numbers);
  return TRUE;
}
