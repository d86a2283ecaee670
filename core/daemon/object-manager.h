/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* org.freedesktop.DBus.ObjectManager on any number of connections at once, which GDBus's own cannot
 * be. The objects and their state are one set. Main thread. */
typedef struct _HyphaObjectManager HyphaObjectManager;

HyphaObjectManager *hypha_object_manager_new (const char *path);
void hypha_object_manager_free (HyphaObjectManager *self);
void hypha_object_manager_put (HyphaObjectManager *self, GDBusObjectSkeleton *object);
void hypha_object_manager_take_away (HyphaObjectManager *self, GDBusObjectSkeleton *object);
GDBusObject *hypha_object_manager_lookup (HyphaObjectManager *self, const char *path);
gboolean hypha_object_manager_add_connection (HyphaObjectManager *self, GDBusConnection *connection,
                                              GError **error);
void hypha_object_manager_remove_connection (HyphaObjectManager *self, GDBusConnection *connection);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaObjectManager, hypha_object_manager_free)

G_END_DECLS
