/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include "hypha-endpoint.h"

G_BEGIN_DECLS

/**
 * HyphaChannelClass:
 *
 * The class of [class@Hypha.Channel], from which nothing derives.
 */
#define HYPHA_TYPE_CHANNEL (hypha_channel_get_type ())
HYPHA_EXTERN
G_DECLARE_FINAL_TYPE (HyphaChannel, hypha_channel, HYPHA, CHANNEL, GObject)

/**
 * HyphaChannelFlags:
 * @HYPHA_CHANNEL_NONE: nothing of what follows
 * @HYPHA_CHANNEL_KERNEL: a real socket: may be handed to a client as it is
 * @HYPHA_CHANNEL_PEER_IS_NODE: the credentials are the node's own, not those of a VMM
 * @HYPHA_CHANNEL_PRIVILEGED_PORT: the listening port took a privilege to bind
 * @HYPHA_CHANNEL_VOUCHED_ADDRESS: kernel or hypervisor vouches for the remote endpoint, and for
 *   whoever speaks there, as far as the transport's README says: a trust rule may go by it
 * @HYPHA_CHANNEL_LOSSY: part of what is written to it may be lost on the way, as its transport
 * says; one that was accepted ends with its listener. Since ABI 1.1
 * @HYPHA_CHANNEL_RELAYED: its bytes go over streams to other nodes: no such stream is ever carried
 * by a link upon it, so links cannot carry each other in a circle. Since ABI 1.2
 *
 * What a transport vouches for, of a channel.
 */
typedef enum {
  HYPHA_CHANNEL_NONE = 0,
  HYPHA_CHANNEL_KERNEL = 1 << 0,
  HYPHA_CHANNEL_PEER_IS_NODE = 1 << 1,
  HYPHA_CHANNEL_PRIVILEGED_PORT = 1 << 2,
  HYPHA_CHANNEL_VOUCHED_ADDRESS = 1 << 3,
  HYPHA_CHANNEL_LOSSY = 1 << 4,
  HYPHA_CHANNEL_RELAYED = 1 << 5,
} HyphaChannelFlags;

#define HYPHA_TYPE_CHANNEL_FLAGS (hypha_channel_flags_get_type ())
HYPHA_EXTERN
GType hypha_channel_flags_get_type (void);

/* Takes FD (made non-blocking and close-on-exec). LOCAL and REMOTE are canonical; either may be
 * NULL where the kernel does not say. */
HYPHA_EXTERN
HyphaChannel *hypha_channel_new (int fd, HyphaEndpoint *local, HyphaEndpoint *remote,
                                 HyphaChannelFlags flags);
/* One end of a socketpair whose other end is pumped to and from STREAM on a thread of its own until
 * both directions have ended; at the end it is drained for at most 2 s. */
HYPHA_EXTERN
HyphaChannel *hypha_channel_new_pumped (GIOStream *stream, HyphaEndpoint *local,
                                        HyphaEndpoint *remote, GError **error);

/* What the transport tells, before it hands the channel over. */
HYPHA_EXTERN
void hypha_channel_set_host (HyphaChannel *self, const char *host);
HYPHA_EXTERN
void hypha_channel_set_uid (HyphaChannel *self, guint32 uid);
HYPHA_EXTERN
void hypha_channel_set_cid (HyphaChannel *self, guint32 cid);
HYPHA_EXTERN
void hypha_channel_set_binding (HyphaChannel *self, GBytes *binding); /* 32 bytes: encrypted */
/* For one that pumps its bytes by itself: DUP (of DATA, a copy to free, or NULL) answers
 * hypha_channel_dup_error() from any thread. Since ABI 1.2. */
HYPHA_EXTERN
void hypha_channel_set_dup_error (HyphaChannel *self, GError *(*dup) (gpointer data), gpointer data,
                                  GDestroyNotify destroy);
/* Of this one, in place of what the transport says of the endpoint. Since ABI 1.2 */
HYPHA_EXTERN
void hypha_channel_set_link_cost (HyphaChannel *self, guint cost);

HYPHA_EXTERN
HyphaEndpoint *hypha_channel_get_local (HyphaChannel *self);
HYPHA_EXTERN
HyphaEndpoint *hypha_channel_get_remote (HyphaChannel *self);
HYPHA_EXTERN
HyphaChannelFlags hypha_channel_get_flags (HyphaChannel *self);
/* Names the other machine within the scheme (IP address, CID, "local"): tells twins. Nullable. */
HYPHA_EXTERN
const char *hypha_channel_get_host (HyphaChannel *self);
HYPHA_EXTERN
gboolean hypha_channel_get_uid (HyphaChannel *self, guint32 *uid); /* FALSE: not known */
HYPHA_EXTERN
gboolean hypha_channel_get_cid (HyphaChannel *self, guint32 *cid);
HYPHA_EXTERN
GBytes *hypha_channel_get_binding (HyphaChannel *self); /* NULL: not encrypted by the transport */
HYPHA_EXTERN
gboolean hypha_channel_get_link_cost (HyphaChannel *self, guint *cost); /* FALSE: not said */
HYPHA_EXTERN
int hypha_channel_get_fd (HyphaChannel *self);
HYPHA_EXTERN
int hypha_channel_steal_fd (HyphaChannel *self); /* -1 afterwards */
/* Why a pumped channel ended, once it has; NULL if it has not, or ended well. Free it. */
HYPHA_EXTERN
GError *hypha_channel_dup_error (HyphaChannel *self);

G_END_DECLS
