/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hvsock-address.h"

#include <glib/gi18n-lib.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>

/* Strictly decimal: one spelling for each port. */
static gboolean
read_port (const char *text, guint32 *port)
{
  guint64 number;

  if (!g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT32 - 1, &number, NULL) ||
      (text[0] == '0' && text[1] != '\0'))
    return FALSE;
  *port = (guint32) number;
  return TRUE;
}

static gboolean
check_path (HyphaEndpoint *endpoint, const char *path, GError **error)
{
  /* With the slash in front: of an empty string there would be no part at all. */
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);

  if (strlen (path) > HVSOCK_PATH_MAX - HVSOCK_SUFFIX_MAX)
    return hypha_endpoint_refuse (
        endpoint, error,
        _ ("the path has %zu bytes, and the kernel takes at most %zu with a port behind "
           "it"),
        strlen (path), HVSOCK_PATH_MAX - HVSOCK_SUFFIX_MAX);
  for (const char *c = path; *c != '\0'; c = g_utf8_next_char (c))
    if (!g_unichar_isprint (g_utf8_get_char (c)))
      return hypha_endpoint_refuse (
          endpoint, error, _ ("the path has a character that cannot be printed, at byte %zu"),
          (gsize) (c - path) + 1);
  for (guint i = 1; parts[i] != NULL; i++) {
    if (*parts[i] == '\0')
      return hypha_endpoint_refuse (endpoint, error, _ ("part %u of the path is empty"), i);
    if (g_str_equal (parts[i], ".") || g_str_equal (parts[i], ".."))
      return hypha_endpoint_refuse (endpoint, error,
                                    _ ("part %u of the path is '%s': write the path without it"), i,
                                    parts[i]);
  }
  return TRUE;
}

gboolean
hvsock_address_parse (HyphaEndpoint *endpoint, HvsockAddress *self, GError **error)
{
  const char *rest = hypha_endpoint_get_rest (endpoint);
  const char *colon = strrchr (rest, ':');
  g_autofree char *path = NULL;

  memset (self, 0, sizeof *self);
  if (g_str_has_prefix (rest, "//"))
    rest += 2;
  if (*rest != '/')
    return hypha_endpoint_refuse (
        endpoint, error,
        _ ("the path of the machine's socket is not absolute: write hvsock:///PATH:PORT"));
  if (colon == NULL)
    return hypha_endpoint_refuse (endpoint, error,
                                  _ ("the port is missing: write hvsock:///PATH:PORT"));
  if (!read_port (colon + 1, &self->port))
    return hypha_endpoint_refuse (
        endpoint, error,
        _ ("what stands behind the last colon is no port: a decimal number from 0 to %u, "
           "without leading zeros"),
        G_MAXUINT32 - 1);
  path = g_strndup (rest, (gsize) (colon - rest));
  if (!check_path (endpoint, path, error))
    return FALSE;
  g_strlcpy (self->path, path, sizeof self->path);
  return TRUE;
}

gboolean
hvsock_address_is_pattern (const HvsockAddress *self)
{
  return strchr (self->path, '*') != NULL;
}

HyphaEndpoint *
hvsock_address_to_endpoint (const HvsockAddress *self, HyphaEndpoint *options_of)
{
  g_autofree char *rest = g_strdup_printf ("//%s:%u", self->path, self->port);

  return hypha_endpoint_new ("hvsock", rest, options_of);
}

GSocketAddress *
hvsock_address_get_socket (const HvsockAddress *self)
{
  return g_unix_socket_address_new (self->path);
}

GSocketAddress *
hvsock_address_get_port_socket (const HvsockAddress *self)
{
  g_autofree char *path = g_strdup_printf ("%s_%u", self->path, self->port);

  return g_unix_socket_address_new (path);
}
