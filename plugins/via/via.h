/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* Through other nodes. See README.md. */
#define VIA_TYPE_TRANSPORT (via_transport_get_type ())
G_DECLARE_FINAL_TYPE (ViaTransport, via_transport, VIA, TRANSPORT, HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_via;

G_END_DECLS
