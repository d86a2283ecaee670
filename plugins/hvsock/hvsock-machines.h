/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hvsock-address.h"

G_BEGIN_DECLS

/* Listens for all machines that a pattern names, as they come and go. */
#define HVSOCK_TYPE_MACHINES (hvsock_machines_get_type ())
G_DECLARE_FINAL_TYPE (HvsockMachines, hvsock_machines, HVSOCK, MACHINES, HyphaListener)

/* ENDPOINT says the same as PATTERN. Nothing is an error: what is not there may come. */
HyphaListener *hvsock_machines_new (const HvsockAddress *pattern, HyphaEndpoint *endpoint);

G_END_DECLS
