/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* The key of another node, to be given to it: read from PATH, or made there (folders 0700, file
 * 0600). Returns the node's id. */
char *hypha_client_make_key (const char *path, GError **error);

G_END_DECLS
