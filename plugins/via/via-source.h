/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "via-hub.h"

G_BEGIN_DECLS

/* What a peer in the middle tells of others: asked for, and heard for as long as it lasts. Counted
 * by reference; main thread. */
typedef struct _ViaSource ViaSource;

typedef void (*ViaSourceFunc) (gpointer user_data); /* the list is another one */

ViaSource *via_source_new (HyphaPeers *peers, HyphaPeer *peer, gboolean listening,
                           ViaSourceFunc func, gpointer user_data);
void via_source_stop (ViaSource *self); /* takes it; FUNC is not called any more */
HyphaPeer *via_source_get_peer (ViaSource *self);
GPtrArray *via_source_get_list (ViaSource *self); /* of ViaSeen */
/* Others may be told of this node, or may not. */
void via_source_set_listening (ViaSource *self, gboolean listening);
/* One that was refused would not be now. */
void via_source_ask_again (ViaSource *self);

G_END_DECLS
