/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdatomic.h>
#include <hypha-api.h>
#include "io/worker.h"
#include "link/frame.h"
#include "link/handshake.h"
#include "link/heartbeat.h"
#include "link/nonce-clock.h"
#include "link/preamble.h"

G_BEGIN_DECLS

/* An authenticated channel on a worker: channel, TLS, handshake, then frames and pings. It answers
 * PING and GOAWAY itself and hands every other frame to its owner. Lives on one worker's thread;
 * parked (see decide) it is on none and may move. */
typedef struct _HyphaLink HyphaLink;

typedef struct {
  gint64 ping_interval, link_timeout; /* us */
  gint64 first_byte_timeout;          /* responder: until the first byte */
  gint64 handshake_timeout;           /* from the start to ACCEPT */
} HyphaLinkLimits;

/* Written by the worker, read by anybody. */
typedef struct {
  _Atomic guint64 rx_bytes, tx_bytes; /* on the wire, above TLS */
  _Atomic gint64 rtt;                 /* us */
  _Atomic guint32 cost, penalty;
  _Atomic gboolean suspect;
} HyphaLinkStatus;

/* Calls on the link's worker. After closed the link may be freed, from within the call too. */
typedef struct {
  /* The other's identity is proven, or it has shown a token (hypha_link_get_token) instead of
   * beginning a handshake. The link is parked: no watch, no timer, until hypha_link_proceed or
   * _reject; with a token, until it is freed. */
  void (*decide) (HyphaLink *link, gpointer user_data);
  /* Past ACCEPT. Frames follow. */
  void (*established) (HyphaLink *link, gpointer user_data);
  /* Its payload lies in the worker's scratch buffer: read it there, and leave the buffer alone. */
  void (*frame) (HyphaLink *link, const HyphaFrame *frame, gpointer user_data);
  /* A batch of frames has been read. */
  void (*batch) (HyphaLink *link, gpointer user_data);
  /* There is room for frames: hypha_link_send while hypha_link_has_room. */
  void (*writable) (HyphaLink *link, gpointer user_data);
  /* Cost, suspicion or RTT changed. */
  void (*changed) (HyphaLink *link, gpointer user_data);
  /* Once, for whatever reason; the link has its descriptor no more. ERROR is never NULL. */
  void (*closed) (HyphaLink *link, const GError *error, gpointer user_data);
} HyphaLinkEvents;

typedef struct {
  gboolean initiator;
  HyphaIdentity *identity;
  HyphaInstance instance;
  const HyphaNodeId *wanted; /* initiator, nullable */
  gboolean start_tls;        /* initiator: begin with TLS */
  gboolean accept_plain;     /* may a plain link be had here, as far as the channel tells, or some
                                peer's tls=never */
  guint pairing;             /* which window for pairing is open; 0: none */
  _Atomic gboolean *untold;  /* its digits; see HyphaHandshakeParameters. The node's; borrowed */
  HyphaNonceClock *clock;    /* the node's; borrowed */
  guint32 static_cost;
  HyphaLinkLimits limits;
} HyphaLinkParameters;

/* On any thread; starts on WORKER's when hypha_link_start is called there. Takes a reference on
 * CHANNEL and its descriptor. */
HyphaLink *hypha_link_new (HyphaChannel *channel, const HyphaLinkParameters *parameters,
                           GError **error);
void hypha_link_set_events (HyphaLink *self, const HyphaLinkEvents *events, gpointer user_data);
void hypha_link_start (HyphaLink *self, HyphaWorker *worker);
void hypha_link_free (HyphaLink *self); /* on its worker, or parked, or not started */

/* Parked: goes on, on WORKER (called on its thread). */
void hypha_link_proceed (HyphaLink *self, HyphaWorker *worker, const HyphaHandshakeNumbers *mine);
void hypha_link_reject (HyphaLink *self, HyphaWorker *worker, HyphaRejectCode code,
                        guint64 highest);

/* Nothing is sent before flush; room is bounded by what a ping may have to wait for. */
gboolean hypha_link_has_room (HyphaLink *self);
void hypha_link_send (HyphaLink *self, HyphaFrameOut *out); /* takes what is in OUT */
void hypha_link_flush (HyphaLink *self);
/* An ACK came for data that went over this link; ALL: nothing was sent since. */
void hypha_link_confirmed (HyphaLink *self, gboolean all);
/* Closes at once: closed is called with an error of CODE and REASON. The peer is told GOAWAY behind
 * what was sent, DATA aside, which takes its time without the link: before the worker is freed,
 * hypha_farewell_finish. */
void hypha_link_close (HyphaLink *self, HyphaAway away, HyphaError code, const char *reason);
void hypha_link_set_static_cost (HyphaLink *self, guint32 static_cost);
void hypha_link_configure (HyphaLink *self, gint64 ping_interval, gint64 link_timeout);

/* From any thread, at any time. Responder: the other end has said HELLO, and was answered. */
gboolean hypha_link_has_heard (HyphaLink *self);
/* Likewise: at least one byte has come, be it of TLS, and be it only looked at. */
gboolean hypha_link_has_been_spoken_to (HyphaLink *self);

/* From any thread once decide was called. */
/* Responder: what a channel that wants to be a direct stream has shown; NULL: it is a link. */
const guint8 *hypha_link_get_token (HyphaLink *self);
/* With a token: the descriptor, of which nothing behind the preamble was read. To be closed by the
 * caller. */
int hypha_link_steal_fd (HyphaLink *self);
gboolean hypha_link_knows_direct (HyphaLink *self); /* both ends do */
HyphaChannel *hypha_link_get_channel (HyphaLink *self);
gboolean hypha_link_is_initiator (HyphaLink *self);
HyphaLinkClass hypha_link_get_class (HyphaLink *self);
const HyphaNodeId *hypha_link_get_peer (HyphaLink *self);
const HyphaInstance *hypha_link_get_peer_instance (HyphaLink *self);
const HyphaHandshakeNumbers *hypha_link_get_peer_numbers (HyphaLink *self);
guint64 hypha_link_get_fingerprint (
    HyphaLink *self); /* the same at both ends, and of no other link */
guint hypha_link_get_pairing (
    HyphaLink *self); /* our window, if the other end has one, too; else 0 */
guint hypha_link_get_digits (HyphaLink *self); /* pairing: 0 to 999999 */
guint64 hypha_link_get_nonce_tick (
    HyphaLink *self); /* the node's nonce clock when our nonce went out */
HyphaRejectCode hypha_link_get_rejected (HyphaLink *self, guint64 *highest);
HyphaAway hypha_link_get_away (HyphaLink *self); /* the reason of the peer's GOAWAY; 0: none came */
guint32 hypha_link_get_static_cost (HyphaLink *self);
const HyphaLinkStatus *hypha_link_get_status (HyphaLink *self);

G_END_DECLS
