/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-route.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_NAME 64

gboolean
via_route_is_id (const char *text)
{
  HyphaNodeId id;

  return hypha_node_id_parse (text, &id, NULL);
}

/* What a name may hold: only what can be seen as itself, and nothing that separates. */
static gboolean
may_hold (gunichar c)
{
  switch (g_unichar_type (c)) {
  case G_UNICODE_CONTROL:
  case G_UNICODE_FORMAT:
  case G_UNICODE_LINE_SEPARATOR:
  case G_UNICODE_PARAGRAPH_SEPARATOR:
  case G_UNICODE_SPACE_SEPARATOR:
  case G_UNICODE_PRIVATE_USE:
  case G_UNICODE_SURROGATE:
  case G_UNICODE_UNASSIGNED:
    return FALSE;
  default:
    return c != '/';
  }
}

gboolean
via_route_is_node (const char *text)
{
  gsize length = strlen (text);
  gboolean good = length > 0 && length <= MAX_NAME && g_utf8_validate (text, -1, NULL);

  for (const char *p = text; good && *p != '\0'; p = g_utf8_next_char (p))
    good = may_hold (g_utf8_get_char (p));
  return good;
}

static gboolean
check (HyphaEndpoint *endpoint, char **route, GError **error)
{
  guint n = g_strv_length (route);

  for (guint i = 0; i < n; i++) {
    if (*route[i] == '\0')
      return hypha_endpoint_refuse (endpoint, error, _ ("a node between two '/' is empty"));
    if (!via_route_is_node (route[i]))
      return hypha_endpoint_refuse (endpoint, error,
                                    _ ("'%s' is neither the name nor the id of a node"), route[i]);
    if (n > 1 && g_str_equal (route[i], VIA_ANY))
      return hypha_endpoint_refuse (
          endpoint, error,
          _ ("'any' alone is for listening: name a node that is called so by its id"));
    for (guint j = 0; j < i; j++)
      if (g_str_equal (route[i], route[j]))
        return hypha_endpoint_refuse (endpoint, error, _ ("'%s' is there twice"), route[i]);
  }
  if (n <= VIA_MAX_MIDDLES + 1)
    return TRUE;
  return hypha_endpoint_refuse (endpoint, error,
                                _ ("there may be %d nodes before the last one, and no more"),
                                VIA_MAX_MIDDLES);
}

char **
via_route_parse (HyphaEndpoint *endpoint, GError **error)
{
  const char *rest = hypha_endpoint_get_rest (endpoint);
  g_auto (GStrv) route = NULL;

  if (!g_str_has_prefix (rest, "//")) {
    hypha_endpoint_refuse (endpoint, error, _ ("'//' has to follow the scheme"));
    return NULL;
  }
  /* One more, so that too many are seen, however many there are. */
  route = g_strsplit (rest + 2, "/", VIA_MAX_MIDDLES + 2);
  if (route[0] == NULL) {
    hypha_endpoint_refuse (endpoint, error, _ ("no node is named"));
    return NULL;
  }
  return check (endpoint, route, error) ? g_steal_pointer (&route) : NULL;
}

HyphaEndpoint *
via_route_to_endpoint (const char *const *route, HyphaEndpoint *options_of)
{
  g_autofree char *joined = g_strjoinv ("/", (char **) route);
  g_autofree char *rest = g_strconcat ("//", joined, NULL);

  return hypha_endpoint_new ("via", rest, options_of);
}
