/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/copy-roots.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include <hypha-api.h>

/* What follows ROOT in PATH; NULL: it is not there. */
static const char *
skip_root (const char *path, const char *root)
{
  gsize length = g_str_equal (root, "/") ? 0 : strlen (root);

  if (strncmp (path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
    return NULL;
  path += length;
  return path + strspn (path, "/");
}

/**
 * hypha_agent_copy_roots_find:
 * @roots: (array zero-terminated=1): directories, as the settings have them
 * @path: as a peer wrote it
 * @rest: (out): what follows the root
 * @error: return location for an error: %HYPHA_ERROR_PERMISSION_DENIED
 *
 * Where @path is to be looked for. Where it leads is another matter, for it may have `..` and
 * links.
 *
 * Returns: (transfer none) (nullable): the root, the longest if there are several
 */
const char *
hypha_agent_copy_roots_find (const char *const *roots, const char *path, const char **rest,
                             GError **error)
{
  const char *found = NULL;
  g_autofree char *list = NULL;

  *rest = path;
  if (*path != '/')
    return roots[0];
  for (gsize i = 0; roots[i]; i++) {
    const char *after = skip_root (path, roots[i]);

    if (after && (found == NULL || strlen (roots[i]) > strlen (found))) {
      found = roots[i];
      *rest = after;
    }
  }
  if (found)
    return found;
  list = g_strjoinv (", ", (char **) roots);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
               _ ("%s: it is outside of what the settings of this node allow for cp, which is %s"),
               path, list);
  return NULL;
}
