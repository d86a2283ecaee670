/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

static HyphaTransport *
fails_silently (GError **error)
{
  return NULL;
}

HYPHA_DEFINE_PLUGIN (create_silent, "create-silent", "1.0", "Fails without a word",
                     "LGPL-2.1-or-later", 0, fails_silently);
