/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

#define UNIX_TYPE_TRANSPORT (unix_transport_get_type ())
G_DECLARE_FINAL_TYPE (UnixTransport, unix_transport, UNIX, TRANSPORT, HyphaBaseTransport)

extern const HyphaPlugin hypha_plugin_unix;

G_END_DECLS
