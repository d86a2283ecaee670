/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

extern void hypha_fixture_nobody_has_this (void);

static HyphaTransport *
unresolved_create (GError **error)
{
  hypha_fixture_nobody_has_this ();
  return fixture_create (error);
}

HYPHA_DEFINE_PLUGIN (unresolved, "unresolved", "1.0", "Needs what is not there",
                     "LGPL-2.1-or-later", 0, unresolved_create);
