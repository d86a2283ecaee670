/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

static HyphaTransport *
create_something_else (GError **error)
{
  return g_object_new (G_TYPE_OBJECT, NULL);
}

HYPHA_DEFINE_PLUGIN (no_transport, "no-transport", "1.0", "Creates something else",
                     "LGPL-2.1-or-later", 0, create_something_else);
