/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "via-hub.h"

G_BEGIN_DECLS

/* A peer that is told whom it may see. Counted by reference; main thread. */
typedef struct _ViaHearer ViaHearer;

typedef void (*ViaHearerFunc) (ViaHearer *self, gpointer user_data); /* it hears no more */

ViaHearer *via_hearer_new (HyphaPeers *peers, HyphaPeer *peer, HyphaStream *stream,
                           gboolean listening, ViaHearerFunc func, gpointer user_data);
void via_hearer_stop (ViaHearer *self); /* takes it; FUNC is not called any more */
HyphaPeer *via_hearer_get_peer (ViaHearer *self);
gboolean via_hearer_is_listening (ViaHearer *self);
/* The line that it is to know: told when it can be, and what came meanwhile is not told. */
void via_hearer_tell (ViaHearer *self, const char *line);

G_END_DECLS
