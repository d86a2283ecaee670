/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define QUIC_TYPE_TRANSPORT (quic_transport_get_type ())
G_DECLARE_FINAL_TYPE (QuicTransport, quic_transport, QUIC, TRANSPORT, HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_quic;

G_END_DECLS
