/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gunixfdlist.h>
#include <hypha-api.h>
#include "dbus/interfaces.h"

G_BEGIN_DECLS

/* A HyphaPeer of a node in another process. Beside the interface's signals: stream-closed (t id, s
 * error ("" if finished), t received, t sent). */
#define HYPHA_TYPE_CLIENT_PEER (hypha_client_peer_get_type ())
G_DECLARE_FINAL_TYPE (HyphaClientPeer, hypha_client_peer, HYPHA, CLIENT_PEER, GObject)

/* OBJECTS is where PROXY comes from. */
HyphaClientPeer *hypha_client_peer_new (GDBusObjectManager *objects, HyphaDBusPeer1 *proxy);
HyphaDBusPeer1 *hypha_client_peer_get_proxy (HyphaClientPeer *self);
/* The stream that HANDLE means among FDS, which are all taken. */
HyphaStream *hypha_client_peer_take_stream (HyphaClientPeer *self, GUnixFDList *fds,
                                            GVariant *handle, guint64 id, const char *service,
                                            GError **error);

G_END_DECLS
