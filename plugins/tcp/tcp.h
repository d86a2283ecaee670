/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define TCP_TYPE_TRANSPORT (tcp_transport_get_type ())
G_DECLARE_FINAL_TYPE (TcpTransport, tcp_transport, TCP, TRANSPORT, HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_tcp;

G_END_DECLS
