/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

static HyphaTransport *
fails (GError **error)
{
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "the moon is in the wrong phase");
  return NULL;
}

HYPHA_DEFINE_PLUGIN (create_fails, "create-fails", "1.0", "Fails", "LGPL-2.1-or-later", 0, fails);
