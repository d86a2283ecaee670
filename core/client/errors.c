/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client.h"

#include <glib/gi18n-lib.h>

/* What the bus itself says, where no node had the chance to. */
static const struct {
  int from;
  HyphaError to;
} bus_errors[] = {
  { G_DBUS_ERROR_SERVICE_UNKNOWN, HYPHA_ERROR_UNAVAILABLE },
  { G_DBUS_ERROR_NAME_HAS_NO_OWNER, HYPHA_ERROR_UNAVAILABLE },
  { G_DBUS_ERROR_NO_REPLY, HYPHA_ERROR_RESTARTED },
  { G_DBUS_ERROR_DISCONNECTED, HYPHA_ERROR_RESTARTED },
  { G_DBUS_ERROR_UNKNOWN_OBJECT, HYPHA_ERROR_GONE },
  { G_DBUS_ERROR_UNKNOWN_INTERFACE, HYPHA_ERROR_GONE },
  { G_DBUS_ERROR_UNKNOWN_METHOD, HYPHA_ERROR_GONE },
  { G_DBUS_ERROR_ACCESS_DENIED, HYPHA_ERROR_PERMISSION_DENIED },
  { G_DBUS_ERROR_LIMITS_EXCEEDED, HYPHA_ERROR_BUSY },
  { G_DBUS_ERROR_INVALID_ARGS, HYPHA_ERROR_INVALID_ARGUMENT },
};

static HyphaError
translate (const GError *error)
{
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    return HYPHA_ERROR_TIMED_OUT;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CLOSED))
    return HYPHA_ERROR_RESTARTED;
  for (gsize i = 0; i < G_N_ELEMENTS (bus_errors); i++) {
    if (g_error_matches (error, G_DBUS_ERROR, bus_errors[i].from))
      return bus_errors[i].to;
  }
  return HYPHA_ERROR_FAILED;
}

/**
 * hypha_client_clean_error:
 * @error: (inout) (nullable): an error that a proxy gave
 *
 * Makes @error one of the domain %HYPHA_ERROR, unless it is %G_IO_ERROR_CANCELLED, and takes
 * D-Bus's own words off its message.
 */
void
hypha_client_clean_error (GError **error)
{
  HyphaError code;

  if (error == NULL || *error == NULL)
    return;
  g_dbus_error_strip_remote_error (*error);
  if ((*error)->domain == HYPHA_ERROR || g_error_matches (*error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  code = translate (*error);
  (*error)->domain = HYPHA_ERROR;
  (*error)->code = code;
  if (code == HYPHA_ERROR_RESTARTED)
    g_prefix_error (error, _ ("the node has ended: "));
  else if (code == HYPHA_ERROR_UNAVAILABLE)
    g_prefix_error (error, _ ("there is no node on this bus, start hyphad: "));
}
