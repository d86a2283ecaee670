/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dbus/interfaces.h"
#include "loader/loader.h"

G_BEGIN_DECLS

/* org.hypha.Transport1 upon the transport of a module. */
#define HYPHA_TYPE_TRANSPORT1 (hypha_transport1_get_type ())
G_DECLARE_FINAL_TYPE (HyphaTransport1, hypha_transport1, HYPHA, TRANSPORT1,
                      HyphaDBusTransport1Skeleton)

/* MODULE has a transport. */
HyphaTransport1 *hypha_transport1_new (HyphaModule *module);

G_END_DECLS
