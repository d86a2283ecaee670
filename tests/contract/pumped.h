/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* A transport whose channels are all pumped, for tests: `pumped://IPV4-ADDRESS:PORT`,
 * GSocketConnections upon TCP. */
#define PUMPED_TYPE_TRANSPORT (pumped_transport_get_type ())
G_DECLARE_FINAL_TYPE (PumpedTransport, pumped_transport, PUMPED, TRANSPORT, GObject)

HyphaTransport *pumped_transport_new (void);

G_END_DECLS
