/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dbus/bus.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

#define SYSTEM_SOCKET "/run/hypha/bus"

/**
 * hypha_bus_check:
 * @self: as the options left it
 * @error: return location for an error: %G_OPTION_ERROR
 *
 * Returns: %TRUE unless the options contradict one another
 */
gboolean
hypha_bus_check (const HyphaBus *self, GError **error)
{
  if ((self->system ? 1 : 0) + (self->user ? 1 : 0) + (self->address ? 1 : 0) > 1) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                 _ ("--system, --user and --address exclude one another: give one of them"));
    return FALSE;
  }
  return TRUE;
}

/**
 * hypha_bus_is_system:
 * @self: a choice
 *
 * Returns: %TRUE if it is the system bus that is meant
 */
gboolean
hypha_bus_is_system (const HyphaBus *self)
{
  return self->system || (!self->user && !self->address && geteuid () == 0);
}

/**
 * hypha_bus_describe:
 * @self: a choice
 *
 * Returns: (transfer none): the bus's name for people
 */
const char *
hypha_bus_describe (const HyphaBus *self)
{
  if (self->address)
    return self->address;
  return hypha_bus_is_system (self) ? _ ("the system bus") : _ ("the session bus");
}

/**
 * hypha_bus_connect:
 * @self: a choice
 * @cancellable: (nullable): to give up early
 * @error: return location for an error: %HYPHA_ERROR_UNAVAILABLE or %G_IO_ERROR_CANCELLED
 *
 * Connects to the bus. Blocks. The process outlives the connection.
 *
 * Returns: (transfer full): the connection, or %NULL
 */
GDBusConnection *
hypha_bus_connect (const HyphaBus *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (GDBusConnection) connection = NULL;
  g_autoptr (GError) local_error = NULL;

  if (!hypha_bus_check (self, error))
    return NULL;
  if (self->address)
    connection =
        g_dbus_connection_new_for_address_sync (self->address,
                                                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                    G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                NULL, cancellable, &local_error);
  else
    connection =
        g_bus_get_sync (hypha_bus_is_system (self) ? G_BUS_TYPE_SYSTEM : G_BUS_TYPE_SESSION,
                        cancellable, &local_error);
  if (connection == NULL) {
    if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
      g_propagate_error (error, g_steal_pointer (&local_error));
    else
      g_set_error (
          error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
          _ ("cannot reach %s: %s; choose another with --system, --user or --address ADDRESS"),
          hypha_bus_describe (self), local_error->message);
    return NULL;
  }
  g_dbus_connection_set_exit_on_close (connection, FALSE);
  if (g_strcmp0 (g_dbus_connection_get_unique_name (connection), HYPHA_BUS_GUEST) == 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("%s is a hyphad's own socket, no bus"), hypha_bus_describe (self));
    return NULL;
  }
  return g_steal_pointer (&connection);
}

/**
 * hypha_bus_dup_socket:
 * @self: a choice
 *
 * Returns: (transfer full) (nullable) (type filename): where hyphad serves if there is no such bus;
 * %NULL where an address was given, for then it is that or nothing
 */
char *
hypha_bus_dup_socket (const HyphaBus *self)
{
  if (self->address)
    return NULL;
  if (hypha_bus_is_system (self))
    return g_strdup (SYSTEM_SOCKET);
  return g_build_filename (g_get_user_runtime_dir (), "hypha", "bus", NULL);
}

static char *
dup_private_address (const HyphaBus *self)
{
  g_autofree char *socket = hypha_bus_dup_socket (self);
  g_autofree char *escaped = socket ? g_dbus_address_escape_value (socket) : NULL;

  return socket ? g_strconcat ("unix:path=", escaped, NULL) : g_strdup (self->address);
}

/**
 * hypha_bus_connect_private:
 * @self: a choice
 * @cancellable: (nullable): to give up early
 * @error: return location for an error: %HYPHA_ERROR_UNAVAILABLE, %HYPHA_ERROR_PERMISSION_DENIED or
 * %G_IO_ERROR_CANCELLED
 *
 * Connects to the socket of a hyphad that found no bus; where an address was given, to that, as
 * something that is no message bus. Blocks.
 *
 * Returns: (transfer full): the connection, or %NULL
 */
GDBusConnection *
hypha_bus_connect_private (const HyphaBus *self, GCancellable *cancellable, GError **error)
{
  g_autofree char *address = dup_private_address (self);
  g_autofree char *socket = hypha_bus_dup_socket (self);
  g_autoptr (GError) local_error = NULL;
  GDBusConnection *connection = g_dbus_connection_new_for_address_sync (
      address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, cancellable, &local_error);

  if (connection)
    return connection;
  if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&local_error));
  else if (g_error_matches (local_error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("only root and the user that hyphad runs as may use its socket %s"),
                 socket ? socket : address);
  else
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("nobody answers at %s: %s"),
                 socket ? socket : address, local_error->message);
  return NULL;
}

/**
 * hypha_bus_is_private:
 * @connection: to a node
 *
 * Returns: %TRUE if it is no message bus that @connection leads to
 */
gboolean
hypha_bus_is_private (GDBusConnection *connection)
{
  return g_dbus_connection_get_unique_name (connection) == NULL;
}

/**
 * hypha_bus_clear:
 * @self: a choice
 *
 * Frees what the options allocated.
 */
void
hypha_bus_clear (HyphaBus *self)
{
  g_clear_pointer (&self->address, g_free);
}
