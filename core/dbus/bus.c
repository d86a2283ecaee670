/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dbus/bus.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

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
  return g_steal_pointer (&connection);
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
