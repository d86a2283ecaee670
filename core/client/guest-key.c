/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/guest-key.h"

#include "link/identity.h"

/**
 * hypha_client_make_key:
 * @path: (type filename): the key file
 * @error: return location for an error: %HYPHA_ERROR_IDENTITY
 *
 * Makes the key of a node that is yet to be, such as a guest's; a key that is there already stays.
 *
 * Returns: (transfer full) (nullable): the node's id
 */
char *
hypha_client_make_key (const char *path, GError **error)
{
  g_autoptr (HyphaIdentity) identity = hypha_identity_open (path, error);

  return identity ? hypha_node_id_to_string (hypha_identity_get_id (identity)) : NULL;
}
