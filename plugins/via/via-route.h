/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* How many nodes may be in the middle. */
#define VIA_MAX_MIDDLES 3
/* What one of them adds to the cost of the hops. */
#define VIA_MIDDLE_COST 10
#define VIA_ANY "any"

/* The nodes of an endpoint "//FIRST/NEXT/.../LAST", by their names or ids: the middles, and the
 * target; or the one for whom it is listened. NULL: the error names what is wrong. To free with
 * g_strfreev(). */
char **via_route_parse (HyphaEndpoint *endpoint, GError **error);
HyphaEndpoint *via_route_to_endpoint (const char *const *route, HyphaEndpoint *options_of);
/* A name of a peer, or an id, as a node of a route. */
gboolean via_route_is_node (const char *text);
gboolean via_route_is_id (const char *text);

G_END_DECLS
