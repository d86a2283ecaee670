/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-error.h"

/**
 * hypha_error_quark:
 *
 * The domain of every error that Hypha makes. Beside it, only `G_IO_ERROR_CANCELLED` for
 * cancellation and `G_IO_ERROR_TIMED_OUT` for a deadline of a [class@Hypha.Stream] are part of the
 * contract.
 *
 * Returns: the error domain
 */
GQuark
hypha_error_quark (void)
{
  return g_quark_from_static_string ("hypha-error-quark");
}

#define VALUE(NAME, NICK) \
  {                       \
    NAME, #NAME, NICK     \
  }

/**
 * hypha_error_get_type:
 *
 * The enumeration type of #HyphaError. The nicks of its values (`no-such-peer`) are stable, so that
 * programs in other languages and tools may show and compare them.
 *
 * Returns: the type
 */
GType
hypha_error_get_type (void)
{
  static const GEnumValue values[] = {
    VALUE (HYPHA_ERROR_FAILED, "failed"),
    VALUE (HYPHA_ERROR_INVALID_ENDPOINT, "invalid-endpoint"),
    VALUE (HYPHA_ERROR_INVALID_ID, "invalid-id"),
    VALUE (HYPHA_ERROR_INVALID_ARGUMENT, "invalid-argument"),
    VALUE (HYPHA_ERROR_INVALID_SETTING, "invalid-setting"),
    VALUE (HYPHA_ERROR_NO_TRANSPORT, "no-transport"),
    VALUE (HYPHA_ERROR_UNAVAILABLE, "unavailable"),
    VALUE (HYPHA_ERROR_PLUGIN, "plugin"),
    VALUE (HYPHA_ERROR_ADDRESS_IN_USE, "address-in-use"),
    VALUE (HYPHA_ERROR_CONNECT, "connect"),
    VALUE (HYPHA_ERROR_TIMED_OUT, "timed-out"),
    VALUE (HYPHA_ERROR_HANDSHAKE, "handshake"),
    VALUE (HYPHA_ERROR_TLS_REQUIRED, "tls-required"),
    VALUE (HYPHA_ERROR_NOT_TRUSTED, "not-trusted"),
    VALUE (HYPHA_ERROR_WRONG_ID, "wrong-id"),
    VALUE (HYPHA_ERROR_IDENTITY, "identity"),
    VALUE (HYPHA_ERROR_PROTOCOL, "protocol"),
    VALUE (HYPHA_ERROR_NO_SUCH_PEER, "no-such-peer"),
    VALUE (HYPHA_ERROR_AMBIGUOUS_PEER, "ambiguous-peer"),
    VALUE (HYPHA_ERROR_NO_SUCH_SERVICE, "no-such-service"),
    VALUE (HYPHA_ERROR_REFUSED, "refused"),
    VALUE (HYPHA_ERROR_OFFLINE, "offline"),
    VALUE (HYPHA_ERROR_RESET, "reset"),
    VALUE (HYPHA_ERROR_GONE, "gone"),
    VALUE (HYPHA_ERROR_EXPIRED, "expired"),
    VALUE (HYPHA_ERROR_RESTARTED, "restarted"),
    VALUE (HYPHA_ERROR_ROLLED_BACK, "rolled-back"),
    VALUE (HYPHA_ERROR_DISCONNECTED, "disconnected"),
    VALUE (HYPHA_ERROR_BUSY, "busy"),
    VALUE (HYPHA_ERROR_NOT_SUPPORTED, "not-supported"),
    VALUE (HYPHA_ERROR_PERMISSION_DENIED, "permission-denied"),
    { 0, NULL, NULL },
  };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("HyphaError", values));
  return type;
}
