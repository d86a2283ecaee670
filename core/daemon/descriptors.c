/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/descriptors.h"

#include <glib/gi18n-lib.h>

/**
 * hypha_descriptors_check:
 * @invocation: a call that is to be answered with a descriptor, or followed by calls with some
 * @error: return location for an error: %HYPHA_ERROR_NOT_SUPPORTED
 *
 * GDBus takes a message that it cannot send for the end of the connection, and on a bus that is the
 * end of this process: so it is looked at before.
 *
 * Returns: %TRUE if descriptors can be handed over where @invocation came from
 */
gboolean
hypha_descriptors_check (GDBusMethodInvocation *invocation, GError **error)
{
  GDBusConnection *connection = g_dbus_method_invocation_get_connection (invocation);

  if (g_dbus_connection_get_capabilities (connection) & G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING)
    return TRUE;
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED,
                       _ ("no descriptors can be handed over this bus: connect over a Unix "
                          "socket"));
  return FALSE;
}
