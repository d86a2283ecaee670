/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unix-address.h"

#include <glib/gi18n-lib.h>
#include <stddef.h>
#include <string.h>

static gboolean
check_characters (HyphaEndpoint *endpoint, const char *what, const char *name, GError **error)
{
  if (strlen (name) > UNIX_NAME_MAX)
    return hypha_endpoint_refuse (endpoint, error,
                                  _ ("the %s has %zu bytes, and the kernel takes at most %zu"),
                                  what, strlen (name), UNIX_NAME_MAX);
  for (const char *c = name; *c != '\0'; c = g_utf8_next_char (c))
    if (!g_unichar_isprint (g_utf8_get_char (c)))
      return hypha_endpoint_refuse (
          endpoint, error, _ ("the %s has a character that cannot be printed, at byte %zu"), what,
          (gsize) (c - name) + 1);
  return TRUE;
}

static gboolean
check_path (HyphaEndpoint *endpoint, const char *path, GError **error)
{
  /* With the slash in front: of an empty string there would be no part at all. */
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);

  if (!check_characters (endpoint, _ ("path"), path, error))
    return FALSE;
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
unix_address_parse (HyphaEndpoint *endpoint, UnixAddress *self, GError **error)
{
  const char *rest = hypha_endpoint_get_rest (endpoint);

  memset (self, 0, sizeof *self);
  if (*rest == '@') {
    self->abstract = TRUE;
    rest++;
    if (*rest == '\0')
      return hypha_endpoint_refuse (endpoint, error, _ ("the abstract name behind '@' is empty"));
    if (!check_characters (endpoint, _ ("abstract name"), rest, error))
      return FALSE;
  } else {
    if (g_str_has_prefix (rest, "//")) {
      rest += 2;
      if (*rest != '/')
        return hypha_endpoint_refuse (
            endpoint, error,
            _ ("a Unix socket has no host: a path stands behind three slashes, unix:///PATH"));
    }
    if (*rest != '/')
      return hypha_endpoint_refuse (
          endpoint, error, _ ("the path is not absolute: write unix:///PATH, or unix:@NAME"));
    if (!check_path (endpoint, rest, error))
      return FALSE;
  }
  g_strlcpy (self->name, rest, sizeof self->name);
  return TRUE;
}

HyphaEndpoint *
unix_address_to_endpoint (const UnixAddress *self, HyphaEndpoint *options_of)
{
  g_autofree char *rest = g_strconcat (self->abstract ? "@" : "//", self->name, NULL);

  return hypha_endpoint_new ("unix", rest, options_of);
}

socklen_t
unix_address_to_sockaddr (const UnixAddress *self, struct sockaddr_un *out)
{
  memset (out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  memcpy (out->sun_path + (self->abstract ? 1 : 0), self->name, strlen (self->name));
  /* Either way one byte beside the name: the NUL that ends a path, or the one that begins an
   * abstract name. */
  return (socklen_t) (offsetof (struct sockaddr_un, sun_path) + strlen (self->name) + 1);
}

gboolean
unix_address_from_sockaddr (UnixAddress *self, const struct sockaddr_un *sockaddr, socklen_t length)
{
  const char *name = sockaddr->sun_path;
  gsize size = length > offsetof (struct sockaddr_un, sun_path)
                   ? length - offsetof (struct sockaddr_un, sun_path)
                   : 0;

  memset (self, 0, sizeof *self);
  if (size == 0 || size > sizeof sockaddr->sun_path + 1)
    return FALSE;
  self->abstract = *name == '\0';
  if (self->abstract) {
    name++;
    size--;
    if (memchr (name, '\0', size) != NULL)
      return FALSE;
  } else {
    size = strnlen (name, size);
  }
  if (size == 0 || size > UNIX_NAME_MAX || !g_utf8_validate (name, (gssize) size, NULL))
    return FALSE;
  memcpy (self->name, name, size);
  return self->abstract || *self->name == '/';
}
