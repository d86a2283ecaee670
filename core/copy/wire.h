/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "copy/words.h"

G_BEGIN_DECLS

/* Parcels over a socket for who has nothing else to do, and so may wait. The socket may be
 * non-blocking. */
typedef struct _HyphaCopyWire HyphaCopyWire;

typedef struct {
  /* What comes, also while something is sent: two ends that both send wait for ever otherwise.
   * NULL: it is asked for by hypha_copy_wire_next(). FALSE with an error: it is over. */
  gboolean (*heard) (const HyphaParcel *parcel, gpointer user_data, GError **error);
  void (*tick) (gpointer user_data); /* a few times a second, or more often; may be NULL */
} HyphaCopyWireEvents;

HyphaCopyWire *hypha_copy_wire_new (int fd, const HyphaCopyWireEvents *events, gpointer user_data);
void hypha_copy_wire_free (HyphaCopyWire *self);
GByteArray *hypha_copy_wire_get_out (HyphaCopyWire *self); /* for what is to be sent */
/* Sends, if that is worth while already; or all of it, and waits until it is on its way. */
gboolean hypha_copy_wire_push (HyphaCopyWire *self, GError **error);
gboolean hypha_copy_wire_flush (HyphaCopyWire *self, GError **error);
gboolean hypha_copy_wire_hear (HyphaCopyWire *self, GError **error);
gboolean hypha_copy_wire_next (HyphaCopyWire *self, HyphaParcel *parcel, GError **error);
gboolean hypha_copy_wire_is_over (HyphaCopyWire *self);
/* Says that nothing more comes from here, and waits a while for the other end to close, so that
 * nothing of what was said is lost. */
void hypha_copy_wire_finish (HyphaCopyWire *self);
void hypha_copy_wire_fail (HyphaCopyWire *self, const char *sentence);

/* From now on the first signal that ends this process is the end of SOCKET, and no more. */
void hypha_copy_wire_end_by_signal (int socket);
int hypha_copy_wire_get_signal (void); /* 0: none came */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaCopyWire, hypha_copy_wire_free)

G_END_DECLS
