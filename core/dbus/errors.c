/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dbus/errors.h"

#include <string.h>

/* Part of the interface: other programs match on these. */
static const char *const names[] = {
  [HYPHA_ERROR_FAILED] = HYPHA_DBUS_ERROR_PREFIX "Failed",
  [HYPHA_ERROR_INVALID_ENDPOINT] = HYPHA_DBUS_ERROR_PREFIX "InvalidEndpoint",
  [HYPHA_ERROR_INVALID_ID] = HYPHA_DBUS_ERROR_PREFIX "InvalidId",
  [HYPHA_ERROR_INVALID_ARGUMENT] = HYPHA_DBUS_ERROR_PREFIX "InvalidArgument",
  [HYPHA_ERROR_INVALID_SETTING] = HYPHA_DBUS_ERROR_PREFIX "InvalidSetting",
  [HYPHA_ERROR_NO_TRANSPORT] = HYPHA_DBUS_ERROR_PREFIX "NoTransport",
  [HYPHA_ERROR_UNAVAILABLE] = HYPHA_DBUS_ERROR_PREFIX "Unavailable",
  [HYPHA_ERROR_PLUGIN] = HYPHA_DBUS_ERROR_PREFIX "Plugin",
  [HYPHA_ERROR_ADDRESS_IN_USE] = HYPHA_DBUS_ERROR_PREFIX "AddressInUse",
  [HYPHA_ERROR_CONNECT] = HYPHA_DBUS_ERROR_PREFIX "Connect",
  [HYPHA_ERROR_TIMED_OUT] = HYPHA_DBUS_ERROR_PREFIX "TimedOut",
  [HYPHA_ERROR_HANDSHAKE] = HYPHA_DBUS_ERROR_PREFIX "Handshake",
  [HYPHA_ERROR_TLS_REQUIRED] = HYPHA_DBUS_ERROR_PREFIX "TlsRequired",
  [HYPHA_ERROR_NOT_TRUSTED] = HYPHA_DBUS_ERROR_PREFIX "NotTrusted",
  [HYPHA_ERROR_WRONG_ID] = HYPHA_DBUS_ERROR_PREFIX "WrongId",
  [HYPHA_ERROR_IDENTITY] = HYPHA_DBUS_ERROR_PREFIX "Identity",
  [HYPHA_ERROR_PROTOCOL] = HYPHA_DBUS_ERROR_PREFIX "Protocol",
  [HYPHA_ERROR_NO_SUCH_PEER] = HYPHA_DBUS_ERROR_PREFIX "NoSuchPeer",
  [HYPHA_ERROR_AMBIGUOUS_PEER] = HYPHA_DBUS_ERROR_PREFIX "AmbiguousPeer",
  [HYPHA_ERROR_NO_SUCH_SERVICE] = HYPHA_DBUS_ERROR_PREFIX "NoSuchService",
  [HYPHA_ERROR_REFUSED] = HYPHA_DBUS_ERROR_PREFIX "Refused",
  [HYPHA_ERROR_OFFLINE] = HYPHA_DBUS_ERROR_PREFIX "Offline",
  [HYPHA_ERROR_RESET] = HYPHA_DBUS_ERROR_PREFIX "Reset",
  [HYPHA_ERROR_GONE] = HYPHA_DBUS_ERROR_PREFIX "Gone",
  [HYPHA_ERROR_EXPIRED] = HYPHA_DBUS_ERROR_PREFIX "Expired",
  [HYPHA_ERROR_RESTARTED] = HYPHA_DBUS_ERROR_PREFIX "Restarted",
  [HYPHA_ERROR_ROLLED_BACK] = HYPHA_DBUS_ERROR_PREFIX "RolledBack",
  [HYPHA_ERROR_DISCONNECTED] = HYPHA_DBUS_ERROR_PREFIX "Disconnected",
  [HYPHA_ERROR_BUSY] = HYPHA_DBUS_ERROR_PREFIX "Busy",
  [HYPHA_ERROR_NOT_SUPPORTED] = HYPHA_DBUS_ERROR_PREFIX "NotSupported",
  [HYPHA_ERROR_PERMISSION_DENIED] = HYPHA_DBUS_ERROR_PREFIX "PermissionDenied",
};
G_STATIC_ASSERT (G_N_ELEMENTS (names) == HYPHA_ERROR_PERMISSION_DENIED + 1);

/**
 * hypha_dbus_errors_register:
 *
 * Tells GDBus how %HYPHA_ERROR is named on a bus, for both directions. May be called again.
 */
void
hypha_dbus_errors_register (void)
{
  static gsize registered;

  if (!g_once_init_enter (&registered))
    return;
  for (guint code = 0; code < G_N_ELEMENTS (names); code++)
    g_dbus_error_register_error (HYPHA_ERROR, (gint) code, names[code]);
  g_once_init_leave (&registered, 1);
}

/**
 * hypha_dbus_error_get_name:
 * @code: a code of %HYPHA_ERROR; an unknown one counts as %HYPHA_ERROR_FAILED
 *
 * Returns: (transfer none): its name on a bus
 */
const char *
hypha_dbus_error_get_name (HyphaError code)
{
  return names[(guint) code < G_N_ELEMENTS (names) ? code : HYPHA_ERROR_FAILED];
}

static HyphaError
code_of (const GError *error)
{
  if (error->domain == HYPHA_ERROR && (guint) error->code < G_N_ELEMENTS (names))
    return (HyphaError) error->code;
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    return HYPHA_ERROR_TIMED_OUT;
  return HYPHA_ERROR_FAILED;
}

/**
 * hypha_dbus_return_error:
 * @invocation: (transfer full): a call
 * @error: why it failed; of a domain other than %HYPHA_ERROR it becomes `org.hypha.Error.Failed`
 *
 * Answers @invocation with @error, always under a name of ours.
 */
void
hypha_dbus_return_error (GDBusMethodInvocation *invocation, const GError *error)
{
  /* A bus closes the connection of whoever sends a string that is not UTF-8. */
  g_autofree char *message = g_utf8_make_valid (error->message, -1);

  g_dbus_method_invocation_return_dbus_error (invocation, names[code_of (error)], message);
}

/**
 * hypha_dbus_error_to_text:
 * @error: (nullable): an error, or %NULL for success
 *
 * Returns: (transfer full): the error's name without the prefix, a colon, a space, its message;
 * empty for success
 */
char *
hypha_dbus_error_to_text (const GError *error)
{
  g_autofree char *message = NULL;

  if (error == NULL)
    return g_strdup ("");
  message = g_utf8_make_valid (error->message, -1);
  return g_strdup_printf ("%s: %s", names[code_of (error)] + strlen (HYPHA_DBUS_ERROR_PREFIX),
                          message);
}

/**
 * hypha_dbus_error_from_text:
 * @text: what hypha_dbus_error_to_text() made
 *
 * Returns: (transfer full) (nullable): the error, in the domain %HYPHA_ERROR; %NULL for success
 */
GError *
hypha_dbus_error_from_text (const char *text)
{
  if (*text == '\0')
    return NULL;
  for (guint code = 0; code < G_N_ELEMENTS (names); code++) {
    const char *name = names[code] + strlen (HYPHA_DBUS_ERROR_PREFIX);
    gsize length = strlen (name);

    if (strncmp (text, name, length) == 0 && strncmp (text + length, ": ", 2) == 0)
      return g_error_new_literal (HYPHA_ERROR, (gint) code, text + length + 2);
  }
  return g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_FAILED, text);
}
