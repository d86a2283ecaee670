/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dbus/paths.h"

/**
 * hypha_dbus_path_escape:
 * @name: any string
 *
 * Makes one element of an object path of @name. Whatever is no ASCII letter or digit becomes `_xx`,
 * the byte in hexadecimal, `_` itself too, so that two names never share a path. An empty name is
 * `_`.
 *
 * Returns: (transfer full): the element
 */
char *
hypha_dbus_path_escape (const char *name)
{
  GString *element = g_string_sized_new (64);

  for (const char *c = name; *c; c++) {
    if (g_ascii_isalnum (*c))
      g_string_append_c (element, *c);
    else
      g_string_append_printf (element, "_%02x", (guchar) *c);
  }
  if (element->len == 0)
    g_string_append_c (element, '_');
  return g_string_free (element, FALSE);
}

/**
 * hypha_dbus_path:
 * @folder: `peer`, `link`, `transport`, `plugin` or `forward`
 * @name: names the object within it; escaped here
 *
 * Returns: (transfer full): the object's path
 */
char *
hypha_dbus_path (const char *folder, const char *name)
{
  g_autofree char *element = hypha_dbus_path_escape (name);

  return g_strconcat (HYPHA_DBUS_ROOT "/", folder, "/", element, NULL);
}

/**
 * hypha_dbus_link_path:
 * @serial: of a link; 0 is none
 *
 * Returns: (transfer full): the link's object path; `/` for no link, for D-Bus has no empty path
 */
char *
hypha_dbus_link_path (guint64 serial)
{
  if (serial == 0)
    return g_strdup ("/");
  return g_strdup_printf (HYPHA_DBUS_ROOT "/" HYPHA_DBUS_LINK "/%" G_GUINT64_FORMAT, serial);
}
