/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Somebody who called over D-Bus, and whose leaving matters: a connection and, where that leads to
 * a bus, the unique name there. Main thread. */
typedef struct _HyphaCaller HyphaCaller;

typedef void (*HyphaCallerGone) (HyphaCaller *caller, gpointer user_data); /* at most once */

HyphaCaller *hypha_caller_watch (GDBusConnection *connection, const char *sender,
                                 HyphaCallerGone gone, gpointer user_data);
void hypha_caller_unwatch (HyphaCaller *self); /* frees it; from within GONE, too */
gboolean hypha_caller_is (HyphaCaller *self, GDBusMethodInvocation *invocation);
GDBusConnection *hypha_caller_get_connection (HyphaCaller *self);
const char *hypha_caller_get_sender (HyphaCaller *self); /* NULL: no bus */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaCaller, hypha_caller_unwatch)

G_END_DECLS
