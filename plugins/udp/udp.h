/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define UDP_TYPE_TRANSPORT (udp_transport_get_type ())
G_DECLARE_FINAL_TYPE (UdpTransport, udp_transport, UDP, TRANSPORT, HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_udp;

G_END_DECLS
