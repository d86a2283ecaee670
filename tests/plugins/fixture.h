/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

/* A transport that does nothing, compiled into each fixture plug-in under a type name of its own:
 * FIXTURE_TYPE, with the scheme FIXTURE_SCHEME. Options: "broken" s, why it is not available;
 * "wrong", which it does not take. */
HyphaTransport *fixture_create (GError **error);
