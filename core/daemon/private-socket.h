/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* A listening Unix socket in a folder that nobody else may write, held by one process at a time. */
typedef struct _HyphaPrivateSocket HyphaPrivateSocket;

HyphaPrivateSocket *hypha_private_socket_new (const char *path, GError **error);
GSocket *hypha_private_socket_get (HyphaPrivateSocket *self);
void hypha_private_socket_free (HyphaPrivateSocket *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaPrivateSocket, hypha_private_socket_free)

G_END_DECLS
