/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node-peer-private.h"
#include "node/telling.h"

G_BEGIN_DECLS

/* What a peer is made of: for node-peer.c, node-peer-streams.c and incoming.c alone. */

struct _HyphaNodePeer {
  GObject parent_instance;
  HyphaNodeId id;
  char *id_text;
  char *name;
  char *from;
  gboolean trusted;
  gboolean dialling;
  gboolean draining;
  HyphaPeerState state; /* as last notified */
  guint link_cost;      /* likewise */
  HyphaNodePeerEvents events;
  gpointer user_data;
  HyphaDirects *directs;
  HyphaEngine *engine; /* NULL until the first link, and once stopped */
  HyphaWorker *worker;
  HyphaTelling telling; /* of links that came in and ended badly */
  HyphaNodeLink *best;
  GPtrArray *links;
  GHashTable *streams;      /* guint64 key, of PeerStream */
  guint64 last_key;         /* of streams opened here; even */
  guint64 last_incoming;    /* of streams opened by the peer; the engine's, while there is one */
  guint64 past_rx, past_tx; /* of links that have closed */
  _Atomic guint unheard;    /* of those: the engine has told, and nobody has listened yet */
  guint max_incoming;
  guint n_incoming; /* not answered yet, also of streams that have ended meanwhile */
};

/* A stream as the main thread knows it. */
typedef struct {
  HyphaNodePeer *peer;
  HyphaStreamInfo *info;
  GTask *opening; /* until the peer has answered; of a join, until the end */
  gboolean joins;
  GSource *deadline, *cancelled;
  HyphaPipe *pipe; /* to the program, until then */
  GWeakRef stream; /* the program's; it may let it go at any time */
  GObject *keep;
  HyphaDirect *direct; /* NULL: the bytes go over the session */
  /* Of a direct one: the OPEN waits for a channel that is about to be dialled; the end of the
   * session's stream for a moment when nobody waits. */
  GSource *unsaid, *unfinished;
  HyphaIncoming *held; /* of the peer's, until its channel is there */
  gboolean answered;   /* likewise, and direct: that it is taken, or why not */
} PeerStream;

/* Into the table of PEER's streams, which frees it. */
PeerStream *hypha_peer_stream_new (HyphaNodePeer *peer, HyphaStreamInfo *info);
void hypha_peer_stream_free (gpointer stream);
/* The program's end of PIPE. */
HyphaStream *hypha_peer_stream_make (HyphaPipe *pipe, HyphaStreamInfo *info);

/* As HyphaPeerInterface has them. */
void hypha_node_peer_open_stream_async (HyphaPeer *peer, const char *service, guint timeout_ms,
                                        GCancellable *cancellable, GAsyncReadyCallback callback,
                                        gpointer user_data);
void hypha_node_peer_open_direct_async (HyphaPeer *peer, const char *service, guint timeout_ms,
                                        GCancellable *cancellable, GAsyncReadyCallback callback,
                                        gpointer user_data);
HyphaStream *hypha_node_peer_open_stream_finish (HyphaPeer *peer, GAsyncResult *result,
                                                 GError **error);

/* Nothing waits any more before it is said to the peer. */
void hypha_node_peer_say_all (HyphaNodePeer *self);

/* In silence: the stream has ended. */
void hypha_incoming_free (HyphaIncoming *self);

/* News of the engine. */
void hypha_node_peer_stream_incoming (HyphaNodePeer *self, HyphaStreamInfo *info);
void hypha_node_peer_stream_accepted (HyphaNodePeer *self, HyphaStreamInfo *info);
void hypha_node_peer_direct_answered (HyphaNodePeer *self, HyphaStreamInfo *info, guint8 code);
void hypha_node_peer_stream_ended (HyphaNodePeer *self, HyphaStreamInfo *info, const GError *error);

G_END_DECLS
