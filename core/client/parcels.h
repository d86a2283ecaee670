/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Messages over a stream, for services that say more than bytes: a byte that tells what it is, its
 * length (32 bits, big-endian), and so many bytes. Bytes in, messages out. */
#define HYPHA_PARCEL_HEADER 5
#define HYPHA_PARCEL_MAX (64 * 1024)

typedef struct {
  guint8 type;
  const guint8 *data; /* until the next call */
  gsize length;
} HyphaParcel;

/* What has come, and is not read yet: never more than a parcel or two. */
typedef struct _HyphaParcels HyphaParcels;

HyphaParcels *hypha_parcels_new (void);
void hypha_parcels_free (HyphaParcels *self);
guint8 *hypha_parcels_get_room (HyphaParcels *self, gsize *room);
void hypha_parcels_added (HyphaParcels *self, gsize length);
/* FALSE without an error: more has to come first. */
gboolean hypha_parcels_next (HyphaParcels *self, HyphaParcel *parcel, GError **error);
gboolean hypha_parcels_is_empty (HyphaParcels *self);

void hypha_parcel_append (GByteArray *to, guint8 type, const void *data, gsize length);
void hypha_parcel_append_u32 (GByteArray *to, guint8 type, guint32 value);
gboolean hypha_parcel_read_u32 (const HyphaParcel *self, guint32 *value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaParcels, hypha_parcels_free)

G_END_DECLS
