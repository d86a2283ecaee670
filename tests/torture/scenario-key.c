/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A key file is made, and read by who comes next. */

#include "link/identity.h"
#include "scenario.h"

gboolean
scenario_key (const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename (folder, "state", "identity.pem", NULL);
  HyphaNodeId id;

  for (guint i = 0; i < 2; i++) {
    g_autoptr (HyphaIdentity) identity = hypha_identity_open (path, error);

    if (identity == NULL)
      return FALSE;
    if (i == 0)
      id = *hypha_identity_get_id (identity);
    g_assert_true (hypha_node_id_equal (&id, hypha_identity_get_id (identity)));
  }
  return TRUE;
}
