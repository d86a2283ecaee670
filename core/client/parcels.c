/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/parcels.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>

#include "hypha-error.h"

#define CAPACITY (2 * (HYPHA_PARCEL_HEADER + HYPHA_PARCEL_MAX))

struct _HyphaParcels {
  gsize start, end; /* of what has come and is not read */
  guint8 bytes[CAPACITY];
};

/**
 * hypha_parcels_new:
 *
 * Returns: (transfer full): nothing has come
 */
HyphaParcels *
hypha_parcels_new (void)
{
  HyphaParcels *self = g_new (HyphaParcels, 1);

  self->start = self->end = 0;
  return self;
}

/**
 * hypha_parcels_free:
 * @self: (transfer full): parcels
 *
 * Forgets what has come.
 */
void
hypha_parcels_free (HyphaParcels *self)
{
  g_free (self);
}

/**
 * hypha_parcels_get_room:
 * @self: parcels, of which hypha_parcels_next() has given all that are whole
 * @room: (out): how many bytes fit in, at least one
 *
 * Returns: (transfer none): where the next bytes go, before hypha_parcels_added()
 */
guint8 *
hypha_parcels_get_room (HyphaParcels *self, gsize *room)
{
  memmove (self->bytes, self->bytes + self->start, self->end - self->start);
  self->end -= self->start;
  self->start = 0;
  *room = CAPACITY - self->end;
  return self->bytes + self->end;
}

/**
 * hypha_parcels_added:
 * @self: parcels
 * @length: bytes that have come into the room
 *
 * Takes them.
 */
void
hypha_parcels_added (HyphaParcels *self, gsize length)
{
  g_assert (length <= CAPACITY - self->end);
  self->end += length;
}

/**
 * hypha_parcels_next:
 * @self: parcels
 * @parcel: (out caller-allocates): the next one
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL, one that is too long
 *
 * Returns: %TRUE with a whole one; %FALSE without an error if more has to come first
 */
gboolean
hypha_parcels_next (HyphaParcels *self, HyphaParcel *parcel, GError **error)
{
  const guint8 *at = self->bytes + self->start;
  gsize have = self->end - self->start;
  gsize length;

  if (have < HYPHA_PARCEL_HEADER)
    return FALSE;
  length = (gsize) at[1] << 24 | (gsize) at[2] << 16 | (gsize) at[3] << 8 | at[4];
  if (length > HYPHA_PARCEL_MAX) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 _ ("a message of %" PRIu64 " bytes came, and none has more than %d"),
                 (guint64) length, HYPHA_PARCEL_MAX);
    return FALSE;
  }
  if (have - HYPHA_PARCEL_HEADER < length)
    return FALSE;
  *parcel = (HyphaParcel){ .type = at[0], .data = at + HYPHA_PARCEL_HEADER, .length = length };
  self->start += HYPHA_PARCEL_HEADER + length;
  return TRUE;
}

/**
 * hypha_parcels_is_empty:
 * @self: parcels
 *
 * Returns: %TRUE if nothing has come that is not read, not even a beginning
 */
gboolean
hypha_parcels_is_empty (HyphaParcels *self)
{
  return self->start == self->end;
}

/**
 * hypha_parcel_append:
 * @to: what is to be sent
 * @type: what it is
 * @data: (array length=length) (nullable): what it holds
 * @length: at most %HYPHA_PARCEL_MAX
 *
 * Writes a parcel.
 */
void
hypha_parcel_append (GByteArray *to, guint8 type, const void *data, gsize length)
{
  const guint8 header[HYPHA_PARCEL_HEADER] = { type, (guint8) (length >> 24),
                                               (guint8) (length >> 16), (guint8) (length >> 8),
                                               (guint8) length };

  g_assert (length <= HYPHA_PARCEL_MAX);
  g_byte_array_append (to, header, sizeof header);
  if (length > 0)
    g_byte_array_append (to, data, (guint) length);
}

/**
 * hypha_parcel_append_u32:
 * @to: what is to be sent
 * @type: what it is
 * @value: a number
 *
 * Writes a parcel that holds a number.
 */
void
hypha_parcel_append_u32 (GByteArray *to, guint8 type, guint32 value)
{
  guint32 order = GUINT32_TO_BE (value);

  hypha_parcel_append (to, type, &order, sizeof order);
}

/**
 * hypha_parcel_read_u32:
 * @self: a parcel
 * @value: (out): the number that it holds
 *
 * Returns: %TRUE if it holds one, and nothing else
 */
gboolean
hypha_parcel_read_u32 (const HyphaParcel *self, guint32 *value)
{
  guint32 order;

  if (self->length != sizeof order)
    return FALSE;
  memcpy (&order, self->data, sizeof order);
  *value = GUINT32_FROM_BE (order);
  return TRUE;
}
