/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/private-face.h"

#include "dbus/bus.h"
#include "dbus/paths.h"

#define BUS "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"

static const char xml[] = "<node><interface name='" BUS "'>"
                          "<method name='Hello'><arg type='s' direction='out'/></method>"
                          "<method name='AddMatch'><arg type='s' direction='in'/></method>"
                          "<method name='RemoveMatch'><arg type='s' direction='in'/></method>"
                          "<method name='NameHasOwner'><arg type='s' direction='in'/><arg type='b' "
                          "direction='out'/></method>"
                          "<method name='GetNameOwner'><arg type='s' direction='in'/><arg type='s' "
                          "direction='out'/></method>"
                          "</interface></node>";

static void
on_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface,
         const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
         gpointer user_data)
{
  const char *name = "";
  gboolean known;

  if (g_str_equal (method, "Hello")) {
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(s)", HYPHA_BUS_GUEST));
    return;
  }
  g_variant_get (parameters, "(&s)", &name);
  known = g_str_equal (name, HYPHA_DBUS_NAME) || g_str_equal (name, BUS);
  if (g_str_equal (method, "NameHasOwner"))
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(b)", known));
  else if (g_str_equal (method, "GetNameOwner") && known)
    g_dbus_method_invocation_return_value (invocation, g_variant_new ("(s)", name));
  else if (g_str_equal (method, "GetNameOwner"))
    g_dbus_method_invocation_return_dbus_error (invocation, BUS ".Error.NameHasNoOwner",
                                                "there is nobody but org.hypha.Node1 here");
  else
    /* A match: every signal comes here anyway. */
    g_dbus_method_invocation_return_value (invocation, NULL);
}

/**
 * hypha_private_face_export:
 * @connection: a private connection
 * @error: return location for an error: of GDBus
 *
 * Answers on @connection what tools ask of a message bus first. It goes with the connection.
 *
 * Returns: the registration; 0 on failure
 */
guint
hypha_private_face_export (GDBusConnection *connection, GError **error)
{
  static const GDBusInterfaceVTable vtable = { .method_call = on_call };
  g_autoptr (GDBusNodeInfo) info = g_dbus_node_info_new_for_xml (xml, error);

  return info ? g_dbus_connection_register_object (connection, BUS_PATH, info->interfaces[0],
                                                   &vtable, NULL, NULL, error)
              : 0;
}
