/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "via-hub.h"

G_BEGIN_DECLS

/* Takes what other nodes lead here: all of them, or one. */
#define VIA_TYPE_LISTENER (via_listener_get_type ())
G_DECLARE_FINAL_TYPE (ViaListener, via_listener, VIA, LISTENER, HyphaListener)

/* ENDPOINT is canonical, and of one node. ADDRESS_IN_USE: there is one already. */
HyphaListener *via_listener_new (ViaHub *hub, HyphaEndpoint *endpoint, GError **error);
const char *via_listener_get_node (ViaListener *self); /* NULL: any */

G_END_DECLS
