/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-node-id.h"
#include "hypha-stream.h"

G_BEGIN_DECLS

/**
 * HyphaPeerState:
 * @HYPHA_PEER_PENDING: knocked, and is not trusted
 * @HYPHA_PEER_OFFLINE: trusted; no link, and none on its way
 * @HYPHA_PEER_CONNECTING: being dialled
 * @HYPHA_PEER_ONLINE: at least one good link
 * @HYPHA_PEER_SUSPECT: links, but none that answers in time
 *
 * How a peer can be reached.
 */
typedef enum {
  HYPHA_PEER_PENDING,
  HYPHA_PEER_OFFLINE,
  HYPHA_PEER_CONNECTING,
  HYPHA_PEER_ONLINE,
  HYPHA_PEER_SUSPECT,
} HyphaPeerState;

#define HYPHA_TYPE_PEER_STATE (hypha_peer_state_get_type ())
HYPHA_EXTERN
GType hypha_peer_state_get_type (void);
HYPHA_EXTERN
const char *hypha_peer_state_to_string (HyphaPeerState state); /* "online" */

#define HYPHA_TYPE_PEER (hypha_peer_get_type ())
HYPHA_EXTERN
G_DECLARE_INTERFACE (HyphaPeer, hypha_peer, HYPHA, PEER, GObject)

/**
 * HyphaPeerInterface:
 * @parent: the parent interface
 * @open_stream_async: implements [method@Hypha.Peer.open_stream_async]
 * @open_stream_finish: implements [method@Hypha.Peer.open_stream_finish]
 * @open_direct_async: implements [method@Hypha.Peer.open_direct_async]
 * @open_direct_finish: implements [method@Hypha.Peer.open_direct_finish]
 * @disconnect_async: implements [method@Hypha.Peer.disconnect_async]
 * @disconnect_finish: implements [method@Hypha.Peer.disconnect_finish]
 *
 * What an implementation of [iface@Hypha.Peer] fills in, all of it, beside its properties.
 */
struct _HyphaPeerInterface {
  GTypeInterface parent;

  void (*open_stream_async) (HyphaPeer *self, const char *service, guint timeout_ms,
                             GCancellable *cancellable, GAsyncReadyCallback callback,
                             gpointer user_data);
  HyphaStream *(*open_stream_finish) (HyphaPeer *self, GAsyncResult *result, GError **error);
  void (*open_direct_async) (HyphaPeer *self, const char *service, guint timeout_ms,
                             GCancellable *cancellable, GAsyncReadyCallback callback,
                             gpointer user_data);
  HyphaStream *(*open_direct_finish) (HyphaPeer *self, GAsyncResult *result, GError **error);
  void (*disconnect_async) (HyphaPeer *self, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data);
  gboolean (*disconnect_finish) (HyphaPeer *self, GAsyncResult *result, GError **error);

  /* <private> */
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
/* A channel of its own: the kernel's speed, and it does not move to another link. NOT_SUPPORTED
 * where the link in use is not for that. */
HYPHA_EXTERN
void hypha_peer_open_direct_async (HyphaPeer *self, const char *service, guint timeout_ms,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data);
HYPHA_EXTERN
HyphaStream *hypha_peer_open_direct_finish (HyphaPeer *self, GAsyncResult *result, GError **error);
/* Ends the session: every stream of it with DISCONNECTED. */
HYPHA_EXTERN
void hypha_peer_disconnect_async (HyphaPeer *self, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
gboolean hypha_peer_disconnect_finish (HyphaPeer *self, GAsyncResult *result, GError **error);

G_END_DECLS
