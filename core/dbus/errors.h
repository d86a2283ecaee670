/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* HYPHA_ERROR as D-Bus shows it, and back. Both ends register before their first call. */
#define HYPHA_DBUS_ERROR_PREFIX "org.hypha.Error."

void hypha_dbus_errors_register (void);
const char *hypha_dbus_error_get_name (HyphaError code);
void hypha_dbus_return_error (GDBusMethodInvocation *invocation, const GError *error);

/* An error within a message, where D-Bus has no place for one: "Reset: the other program ended it".
 */
char *hypha_dbus_error_to_text (const GError *error);
GError *hypha_dbus_error_from_text (const char *text);

G_END_DECLS
