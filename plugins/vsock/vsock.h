/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define VSOCK_TYPE_TRANSPORT (vsock_transport_get_type ())
G_DECLARE_FINAL_TYPE (VsockTransport, vsock_transport, VSOCK, TRANSPORT, HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_vsock;

G_END_DECLS
