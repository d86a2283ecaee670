/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/bus-name.h"

#include <glib/gi18n-lib.h>

#include "dbus/paths.h"

#define TIMEOUT_MS 10000
#define FLAG_DO_NOT_QUEUE 4
#define REPLY_PRIMARY_OWNER 1

static GVariant *
ask_bus (GDBusConnection *connection, const char *method, GVariant *arguments, const char *type,
         GError **error)
{
  return g_dbus_connection_call_sync (
      connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", method,
      arguments, G_VARIANT_TYPE (type), G_DBUS_CALL_FLAGS_NONE, TIMEOUT_MS, NULL, error);
}

static char *
describe_holder (GDBusConnection *connection)
{
  g_autoptr (GVariant) reply = ask_bus (connection, "GetConnectionUnixProcessID",
                                        g_variant_new ("(s)", HYPHA_DBUS_NAME), "(u)", NULL);
  g_autofree char *path = NULL;
  g_autofree char *command = NULL;
  g_autofree char *shown = NULL;
  guint32 pid;

  if (reply == NULL)
    return g_strdup (_ ("another process"));
  g_variant_get (reply, "(u)", &pid);
  path = g_strdup_printf ("/proc/%u/comm", pid);
  if (!g_file_get_contents (path, &command, NULL, NULL))
    return g_strdup_printf (_ ("process %u"), pid);
  shown = g_strescape (g_strchomp (command), NULL);
  return g_strdup_printf (_ ("process %u (%s)"), pid, shown);
}

static void
set_held (GDBusConnection *connection, GError **error)
{
  g_autofree char *holder = describe_holder (connection);

  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
               _ ("the bus name org.hypha.Node1 is held by %s: there is one hyphad on a bus; stop "
                  "that one, or "
                  "choose another bus with --system, --user or --address"),
               holder);
}

/**
 * hypha_bus_name_check:
 * @connection: a bus
 * @error: return location for an error: %HYPHA_ERROR_BUSY, or of the bus
 *
 * Looks whether a node is there already, before anything else is begun.
 *
 * Returns: %TRUE if the name is free
 */
gboolean
hypha_bus_name_check (GDBusConnection *connection, GError **error)
{
  g_autoptr (GVariant) reply =
      ask_bus (connection, "NameHasOwner", g_variant_new ("(s)", HYPHA_DBUS_NAME), "(b)", error);
  gboolean held;

  if (reply == NULL)
    return FALSE;
  g_variant_get (reply, "(b)", &held);
  if (held)
    set_held (connection, error);
  return !held;
}

/**
 * hypha_bus_name_take:
 * @connection: a bus
 * @error: return location for an error: %HYPHA_ERROR_BUSY, or of the bus
 *
 * Takes the name until the connection ends. Clients may call from now on.
 *
 * Returns: %TRUE if it is ours
 */
gboolean
hypha_bus_name_take (GDBusConnection *connection, GError **error)
{
  g_autoptr (GVariant) reply =
      ask_bus (connection, "RequestName",
               g_variant_new ("(su)", HYPHA_DBUS_NAME, FLAG_DO_NOT_QUEUE), "(u)", error);
  guint32 answer;

  if (reply == NULL) {
    g_prefix_error (error, _ ("the bus does not give the name org.hypha.Node1: "));
    return FALSE;
  }
  g_variant_get (reply, "(u)", &answer);
  if (answer != REPLY_PRIMARY_OWNER)
    set_held (connection, error);
  return answer == REPLY_PRIMARY_OWNER;
}
