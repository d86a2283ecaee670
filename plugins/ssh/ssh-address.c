/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh-address.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_HOST 255
#define MAX_USER 64

/* Letters and digits of ASCII, and OTHERS. What a shell or ssh could take for more than a name -
 * blanks, quotes, '%', '$', '@' - is none of them, and nothing looks like an option. */
static gboolean
is_name (const char *text, gsize max, const char *others)
{
  gsize length = strlen (text);

  if (length == 0 || length > max || text[0] == '-')
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (text[i]) && strchr (others, text[i]) == NULL)
      return FALSE;
  return TRUE;
}

/* [::1], [fe80::1%eth0]. NULL: it is none. */
static char *
read_ip6 (const char *text)
{
  const char *percent = strchr (text, '%');
  g_autofree char *bare = g_strndup (text, percent ? (gsize) (percent - text) : strlen (text));
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (bare);
  g_autofree char *canonical = NULL;

  if (address == NULL || g_inet_address_get_family (address) != G_SOCKET_FAMILY_IPV6 ||
      (percent != NULL && !is_name (percent + 1, 15, "._-")))
    return NULL;
  canonical = g_inet_address_to_string (address);
  return g_strconcat (canonical, percent, NULL);
}

/* TEXT: digits, with nothing before or behind them. */
static gboolean
read_port (const char *text, guint16 *port)
{
  guint64 number = 0;

  if (*text == '\0' || *text == '0' || strlen (text) > 5)
    return FALSE;
  for (const char *p = text; *p != '\0'; p++) {
    if (!g_ascii_isdigit (*p))
      return FALSE;
    number = number * 10 + (guint64) (*p - '0');
  }
  *port = (guint16) number;
  return number <= G_MAXUINT16;
}

/* HOST and what follows it, which is changed. */
static gboolean
read_host (SshAddress *self, HyphaEndpoint *endpoint, char *text, GError **error)
{
  char *end = *text == '[' ? strchr (text, ']') : strchr (text, ':');
  const char *port = NULL;

  if (*text == '[' && end == NULL)
    return hypha_endpoint_refuse (endpoint, error, _ ("the bracket before the host has no other"));
  if (*text == '[' && end[1] != '\0' && end[1] != ':')
    return hypha_endpoint_refuse (
        endpoint, error, _ ("behind the bracket after the host comes something that is no port"));
  if (*text == '[') {
    port = end[1] == ':' ? end + 2 : NULL;
    *end = '\0';
    self->host = read_ip6 (text + 1);
    self->ip6 = TRUE;
    if (self->host == NULL)
      return hypha_endpoint_refuse (endpoint, error,
                                    _ ("the host in brackets is not an IPv6 address"));
  } else {
    if (end != NULL) {
      *end = '\0';
      port = end + 1;
    }
    if (!is_name (text, MAX_HOST, "._-"))
      return hypha_endpoint_refuse (
          endpoint, error,
          _ ("the host is not 1 to %d letters, digits, '.', '_' and '-', or begins with '-'; an "
             "IPv6 address has brackets"),
          MAX_HOST);
    self->host = g_strdup (text);
  }
  if (port != NULL && !read_port (port, &self->port))
    return hypha_endpoint_refuse (endpoint, error, _ ("the port is not a number from 1 to 65535"));
  return TRUE;
}

/**
 * ssh_address_parse:
 * @endpoint: an endpoint of this transport
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ENDPOINT
 *
 * Returns: (transfer full): what ssh is told, or %NULL
 */
SshAddress *
ssh_address_parse (HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (SshAddress) self = g_new0 (SshAddress, 1);
  g_autofree char *text = NULL;
  const char *rest = hypha_endpoint_get_rest (endpoint);
  char *at, *host;

  if (!g_str_has_prefix (rest, "//")) {
    hypha_endpoint_refuse (endpoint, error, _ ("it is written ssh://[USER@]HOST[:PORT]"));
    return NULL;
  }
  text = host = g_strdup (rest + 2);
  if (g_str_has_suffix (text, "/"))
    text[strlen (text) - 1] = '\0';
  if (strchr (text, '/') != NULL) {
    hypha_endpoint_refuse (endpoint, error, _ ("there is a path behind the host"));
    return NULL;
  }
  at = strrchr (text, '@');
  if (at != NULL) {
    *at = '\0';
    host = at + 1;
    if (!is_name (text, MAX_USER, "._-+")) {
      hypha_endpoint_refuse (endpoint, error,
                             _ ("the user before '@' is not 1 to %d letters, digits, '.', '_', '+' "
                                "and '-', or begins with '-'"),
                             MAX_USER);
      return NULL;
    }
    self->user = g_strdup (text);
  }
  return read_host (self, endpoint, host, error) ? g_steal_pointer (&self) : NULL;
}

/**
 * ssh_address_free:
 * @self: (transfer full): an address
 */
void
ssh_address_free (SshAddress *self)
{
  g_free (self->user);
  g_free (self->host);
  g_free (self);
}

/**
 * ssh_address_to_endpoint:
 * @self: an address
 * @options_of: (nullable): an endpoint whose options the new one has, too
 *
 * Returns: (transfer full): the endpoint in its canonical form
 */
HyphaEndpoint *
ssh_address_to_endpoint (const SshAddress *self, HyphaEndpoint *options_of)
{
  g_autoptr (GString) rest = g_string_new ("//");

  if (self->user != NULL)
    g_string_append_printf (rest, "%s@", self->user);
  g_string_append_printf (rest, self->ip6 ? "[%s]" : "%s", self->host);
  if (self->port != 0)
    g_string_append_printf (rest, ":%u", self->port);
  return hypha_endpoint_new ("ssh", rest->str, options_of);
}

/**
 * ssh_address_dup_command:
 * @self: an address
 *
 * Returns: (transfer full): what is typed to get there by hand
 */
char *
ssh_address_dup_command (const SshAddress *self)
{
  GString *text = g_string_new ("ssh ");

  if (self->port != 0)
    g_string_append_printf (text, "-p %u ", self->port);
  if (self->user != NULL)
    g_string_append_printf (text, "%s@", self->user);
  g_string_append (text, self->host);
  return g_string_free (text, FALSE);
}
