/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define HVSOCK_TYPE_TRANSPORT (hvsock_transport_get_type ())
G_DECLARE_FINAL_TYPE (HvsockTransport, hvsock_transport, HVSOCK, TRANSPORT, HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_hvsock;

G_END_DECLS
