/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-node-id.h"
#include "hypha-stream.h"

G_BEGIN_DECLS

typedef enum {
  HYPHA_PEER_PENDING,    /* knocked, and is not trusted */
  HYPHA_PEER_OFFLINE,    /* trusted; no link, and none on its way */
  HYPHA_PEER_CONNECTING, /* being dialled */
  HYPHA_PEER_ONLINE,     /* at least one good link */
  HYPHA_PEER_SUSPECT,    /* links, but none that answers in time */
} HyphaPeerState;

#define HYPHA_TYPE_PEER_STATE (hypha_peer_state_get_type ())
HYPHA_EXTERN
GType hypha_peer_state_get_type (void);
HYPHA_EXTERN
const char *hypha_peer_state_to_string (HyphaPeerState state); /* "online" */

/* Another node as this one sees it. Two implementations: the node's own, and the client library's
 * over D-Bus. Lives on the main thread. Properties: id (s), name (s), trusted (b), state
 * (HyphaPeerState), link-cost (u; G_MAXUINT: none). Signals: link-changed (s from, s to, s reason):
 * object names of links, "" for none. */
#define HYPHA_TYPE_PEER (hypha_peer_get_type ())
HYPHA_EXTERN
G_DECLARE_INTERFACE (HyphaPeer, hypha_peer, HYPHA, PEER, GObject)

struct _HyphaPeerInterface {
  GTypeInterface parent;
  void (*open_stream_async) (HyphaPeer *self, const char *service, guint timeout_ms,
                             GCancellable *cancellable, GAsyncReadyCallback callback,
                             gpointer user_data);
  HyphaStream *(*open_stream_finish) (HyphaPeer *self, GAsyncResult *result, GError **error);
  void (*disconnect_async) (HyphaPeer *self, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data);
  gboolean (*disconnect_finish) (HyphaPeer *self, GAsyncResult *result, GError **error);
  gpointer padding[12];
};

HYPHA_EXTERN
char *hypha_peer_dup_id (HyphaPeer *self);
HYPHA_EXTERN
char *hypha_peer_dup_name (HyphaPeer *self);
HYPHA_EXTERN
gboolean hypha_peer_get_trusted (HyphaPeer *self);
HYPHA_EXTERN
HyphaPeerState hypha_peer_get_state (HyphaPeer *self);
HYPHA_EXTERN
guint hypha_peer_get_link_cost (HyphaPeer *self);
/* The peer takes or refuses: REFUSED, NO_SUCH_SERVICE, OFFLINE, TIMED_OUT. */
HYPHA_EXTERN
void hypha_peer_open_stream_async (HyphaPeer *self, const char *service, guint timeout_ms,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data);
HYPHA_EXTERN
HyphaStream *hypha_peer_open_stream_finish (HyphaPeer *self, GAsyncResult *result, GError **error);
/* Ends the session: every stream of it with DISCONNECTED. */
HYPHA_EXTERN
void hypha_peer_disconnect_async (HyphaPeer *self, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
gboolean hypha_peer_disconnect_finish (HyphaPeer *self, GAsyncResult *result, GError **error);

G_END_DECLS
