/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define QUIC_STUB_TYPE_TRANSPORT (quic_stub_transport_get_type ())
G_DECLARE_FINAL_TYPE (QuicStubTransport, quic_stub_transport, QUIC_STUB, TRANSPORT, GObject)

extern const HyphaPlugin hypha_plugin_quic_stub;

G_END_DECLS
