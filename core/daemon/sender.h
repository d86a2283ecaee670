/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Who calls: on a message bus a unique name, on a private connection whoever is at its other end.
 * The same object for every call of that caller for as long as somebody holds it, and for those
 * that called last, longer. Signal "left" (): it has, once. Main thread. */
#define HYPHA_TYPE_SENDER (hypha_sender_get_type ())
G_DECLARE_FINAL_TYPE (HyphaSender, hypha_sender, HYPHA, SENDER, GObject)

HyphaSender *hypha_sender_of (GDBusMethodInvocation *invocation); /* not owned */
/* NULL: nobody who is known. Of whom somebody holds, the same object. */
HyphaSender *hypha_sender_peek (GDBusMethodInvocation *invocation);
GDBusConnection *hypha_sender_get_connection (HyphaSender *self);
const char *hypha_sender_get_name (HyphaSender *self);
/* Cancelled when the caller has left. */
GCancellable *hypha_sender_get_gone (HyphaSender *self);
gboolean hypha_sender_get_uid (HyphaSender *self, guint32 *uid); /* FALSE: not known yet */
void hypha_sender_identify_async (HyphaSender *self, GAsyncReadyCallback callback,
                                  gpointer user_data);
gboolean hypha_sender_identify_finish (HyphaSender *self, GAsyncResult *result, guint32 *uid,
                                       GError **error);

/* For a handler that waits: cancelled when nobody waits for its answer any more. */
GCancellable *hypha_sender_cancellable (GDBusMethodInvocation *invocation);

G_END_DECLS
