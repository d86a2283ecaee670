/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-address.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define PORT 80
#define PORT_SECURE 443

static const char *
get_scheme (gboolean secure)
{
  return secure ? "wss" : "ws";
}

static guint16
get_default_port (gboolean secure)
{
  return secure ? PORT_SECURE : PORT;
}

/* Reverse proxies and servers take these away, and would compare something else. */
static gboolean
check_path (HyphaEndpoint *endpoint, const char *path, GError **error)
{
  /* Behind the first slash; there may be no path at all. */
  g_auto (GStrv) parts = g_strsplit (*path == '/' ? path + 1 : path, "/", -1);

  for (guint i = 0; parts[i] != NULL; i++) {
    if (g_str_equal (parts[i], ".") || g_str_equal (parts[i], ".."))
      return hypha_endpoint_refuse (endpoint, error, _ ("the path has a part '%s'"), parts[i]);
    if (*parts[i] == '\0' && parts[i + 1] != NULL)
      return hypha_endpoint_refuse (endpoint, error, _ ("the path has an empty part"));
  }
  return TRUE;
}

static gboolean
has_port (const char *authority)
{
  const char *bracket = strrchr (authority, ']');

  return strchr (bracket != NULL ? bracket : authority, ':') != NULL;
}

WebsocketAddress *
websocket_address_parse (HyphaEndpoint *endpoint, GError **error)
{
  gboolean secure = g_str_equal (hypha_endpoint_get_scheme (endpoint), "wss");
  const char *rest = hypha_endpoint_get_rest (endpoint);
  g_autoptr (WebsocketAddress) self = g_new0 (WebsocketAddress, 1);
  g_autoptr (HyphaEndpoint) plain = NULL;
  g_autofree char *authority = NULL;
  g_autofree char *with_port = NULL;
  const char *path;

  if (!g_str_has_prefix (rest, "//")) {
    hypha_endpoint_refuse (endpoint, error, _ ("write //HOST/PATH, or //HOST:PORT/PATH"));
    return NULL;
  }
  path = strchr (rest + 2, '/');
  if (path == NULL)
    path = rest + strlen (rest);
  if (!check_path (endpoint, path, error))
    return NULL;
  authority = g_strndup (rest, (gsize) (path - rest));
  if (strchr (authority, '@') != NULL) {
    hypha_endpoint_refuse (endpoint, error,
                           _ ("the host has an '@': names and passwords have no place here"));
    return NULL;
  }
  with_port = has_port (authority)
                  ? g_strdup (authority)
                  : g_strdup_printf ("%s:%u", authority, get_default_port (secure));
  plain = hypha_endpoint_new (get_scheme (secure), with_port, NULL);
  self->secure = secure;
  self->inet = hypha_inet_address_parse (plain, error);
  if (self->inet == NULL)
    return NULL;
  self->path = g_strdup (*path != '\0' ? path : "/");
  return g_steal_pointer (&self);
}

void
websocket_address_free (WebsocketAddress *self)
{
  g_clear_pointer (&self->inet, hypha_inet_address_free);
  g_free (self->path);
  g_free (self);
}

/* "//HOST", and ":PORT" where it is not the usual one. Takes PLAIN. */
static char *
to_authority (gboolean secure, HyphaEndpoint *plain)
{
  G_GNUC_UNUSED g_autoptr (HyphaEndpoint) owned = plain;
  g_autofree char *usual = g_strdup_printf (":%u", get_default_port (secure));
  char *authority;

  if (plain == NULL)
    return NULL;
  authority = g_strdup (hypha_endpoint_get_rest (plain));
  if (g_str_has_suffix (authority, usual))
    authority[strlen (authority) - strlen (usual)] = '\0';
  return authority;
}

static HyphaEndpoint *
make_endpoint (gboolean secure, HyphaEndpoint *plain, const char *path, HyphaEndpoint *options_of)
{
  g_autofree char *authority = to_authority (secure, plain);
  g_autofree char *rest = NULL;

  if (authority == NULL)
    return NULL;
  rest = g_strconcat (authority, path, NULL);
  return hypha_endpoint_new (get_scheme (secure), rest, options_of);
}

HyphaEndpoint *
websocket_address_to_endpoint (const WebsocketAddress *self, const struct sockaddr *sockaddr,
                               HyphaEndpoint *options_of)
{
  return make_endpoint (self->secure,
                        sockaddr != NULL ? hypha_inet_sockaddr_to_endpoint ("ws", sockaddr)
                                         : hypha_inet_address_to_endpoint (self->inet, "ws", NULL),
                        self->path, options_of);
}

HyphaEndpoint *
websocket_address_of_client (const WebsocketAddress *self, const struct sockaddr *sockaddr)
{
  return make_endpoint (self->secure, hypha_inet_sockaddr_to_endpoint ("ws", sockaddr), "/", NULL);
}

char *
websocket_address_get_target (const WebsocketAddress *self)
{
  return g_uri_escape_string (self->path, G_URI_RESERVED_CHARS_ALLOWED_IN_PATH, FALSE);
}

char *
websocket_address_get_authority (const WebsocketAddress *self)
{
  g_autofree char *authority =
      to_authority (self->secure, hypha_inet_address_to_endpoint (self->inet, "ws", NULL));
  const char *scope = strchr (authority, '%');

  /* The scope is this machine's business: RFC 6874. */
  if (scope != NULL)
    return g_strdup_printf ("%.*s%s", (int) (scope - authority - 2), authority + 2,
                            strchr (scope, ']'));
  return g_strdup (authority + 2);
}
