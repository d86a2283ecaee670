/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>
#include "link/identity.h"
#include "loader/loader.h"
#include "node/hypha-node.h"
#include "node/node-link.h"
#include "node/node-peer.h"

G_BEGIN_DECLS

/* What the rooms and hyphad use of a node beside hypha-node.h. Signals: trust-changed (), by trust,
 * forget or a rule   trust-unsaved (): it has changed without anybody having asked for it: whoever
 * keeps it saves it */

typedef struct {
  guint ping_interval, link_timeout, session_timeout; /* ms */
  guint switch_margin;
  guint first_byte_timeout, handshake_timeout; /* ms */
  guint max_handshakes, max_handshakes_per_source;
  guint max_pending_peers;
  guint max_streams;      /* opened by each side of a session */
  guint64 session_window; /* bytes */
  guint spin;             /* us that a worker stays awake after it had something to do */
} HyphaNodeLimits;

void hypha_node_limits_init (HyphaNodeLimits *limits);

/* LOADER must have been started. WORKERS 0: as many as fit the machine. */
HyphaNode *hypha_node_new (HyphaIdentity *identity, HyphaLoader *loader, guint workers,
                           GError **error);
/* The first part of a clean stop: nobody comes in any more and no stream is opened; calls FUNC when
 * the streams that are open have ended, and never within this call. After GRACE_MS they are cut
 * off; until then links stay. Once, and hypha_node_stop() comes next. */
typedef void (*HyphaNodeFunc) (HyphaNode *self, gpointer user_data);
void hypha_node_drain (HyphaNode *self, guint grace_ms, HyphaNodeFunc func, gpointer user_data);
/* Its time is up now. */
void hypha_node_drain_hurry (HyphaNode *self);

/* Calls FUNC on the main thread when every worker has answered, and not at all when one hangs, or
 * the node has stopped meanwhile. */
void hypha_node_take_pulse (HyphaNode *self, HyphaNodeFunc func, gpointer user_data);

HyphaLoader *hypha_node_get_loader (HyphaNode *self);
const HyphaNodeId *hypha_node_get_id (HyphaNode *self);
const char *hypha_node_get_name (HyphaNode *self);

/* Settings. Each is checked whole; when one is wrong the error names it and nothing changes. */
void hypha_node_set_limits (HyphaNode *self, const HyphaNodeLimits *limits);
gboolean hypha_node_set_trusted (HyphaNode *self, GVariant *trusted,
                                 GError **error); /* a{sa{sv}} */
/* a{ss}: address that kernel or hypervisor vouches for, to name. */
gboolean hypha_node_set_trust_rules (HyphaNode *self, GVariant *rules, GError **error);
gboolean hypha_node_set_link_costs (HyphaNode *self, GVariant *costs,
                                    GError **error); /* a{su}: scheme or endpoint to cost */

GListModel *hypha_node_get_links (HyphaNode *self); /* HyphaNodeLink */
/* Whether every endpoint of set_listen is open, or has failed at least once; changes with
 * "listening". */
gboolean hypha_node_is_settled (HyphaNode *self);
/* Why an endpoint of set_listen or set_peers does not work now: a{ss}, endpoint to reason. */
GVariant *hypha_node_dup_troubles (HyphaNode *self);

/* By name, id, or unique beginning of an id: NO_SUCH_PEER, AMBIGUOUS_PEER. Not owned. */
HyphaNodePeer *hypha_node_lookup (HyphaNode *self, const char *text, GError **error);

/* Takes a connection that somebody else has made, and carries to the descriptor that is returned
 * (non-blocking, close-on-exec), as if it had come to an endpoint that is listened on; nobody
 * vouches for anything of it. FROM is an endpoint without options, for people and for the cost.
 * SOURCE is whose share of the handshakes it counts for. -1: an error; BUSY, where there is no room
 * for another handshake. */
int hypha_node_attach (HyphaNode *self, const char *from, const char *source, GError **error);

/* As it was asked for, where ENDPOINT is what is bound or asked for; NULL: nobody listens there. */
const char *hypha_node_find_listening (HyphaNode *self, const char *endpoint);
/* Listens on a socket that somebody else has bound (taken, also on failure), for as long as the
 * node lives, whatever the settings say; what they say about the same endpoint is done thereby.
 * NAME is what people know it by. INVALID_ARGUMENT: it is not a listening stream socket. One that
 * no transport takes waits for one. */
gboolean hypha_node_adopt (HyphaNode *self, int fd, const char *name, GError **error);

GVariant *hypha_node_dup_trusted (HyphaNode *self);     /* a{sa{sv}}, as set_trusted takes it */
GVariant *hypha_node_dup_trust_rules (HyphaNode *self); /* a{ss}, likewise */

/* This life of the node ends and another begins, as by a restart: streams end as RESTARTED, links
 * are dialled anew; doors, trust and settings stay. */
gboolean hypha_node_renew (HyphaNode *self, GError **error);

/* Every candidate: aa{sv} with endpoint s, link s, transport s, static-cost u, rtt-us t, penalty u,
 * cost u, state s (active, warm, suspect, trying, waiting, failed), reason s, chosen b. */
GVariant *hypha_node_explain (HyphaNode *self, HyphaNodePeer *peer);

/* An OPEN of a trusted peer that waits for an answer. Answer exactly once. */
typedef struct _HyphaIncoming HyphaIncoming;
HyphaNodePeer *hypha_incoming_get_peer (HyphaIncoming *self);
const char *hypha_incoming_get_service (HyphaIncoming *self);
guint64 hypha_incoming_get_id (HyphaIncoming *self); /* of the stream, on that peer */
/* A direct stream, whose channel is there: make_stream, then accept_made or refuse. */
gboolean hypha_incoming_is_direct (HyphaIncoming *self);
/* The end of a program that is asked before the answer is given; it will know how the stream ended,
 * refusal included. Then hypha_incoming_accept_made answers, not hypha_incoming_accept. NULL with
 * an error: refuse. */
HyphaStream *hypha_incoming_make_stream (HyphaIncoming *self, GError **error);
void hypha_incoming_accept_made (HyphaIncoming *self);
/* The same of a stream that carries a link: nothing of it goes over a relayed one. Not for a direct
 * stream. */
HyphaStream *hypha_incoming_make_carrying (HyphaIncoming *self, GError **error);
/* FD (taken, non-blocking) is the program's side from now on. KEEP (nullable) is unreferenced when
 * the stream has ended. Not for a direct stream. */
void hypha_incoming_accept (HyphaIncoming *self, int fd, GObject *keep);
void hypha_incoming_refuse (
    HyphaIncoming *self,
    HyphaError error); /* REFUSED, NO_SUCH_SERVICE, PERMISSION_DENIED or BUSY */

/* Who answers them (core/service). Without one, whoever handles "incoming-stream" does. */
typedef void (*HyphaNodeAcceptFunc) (HyphaNode *self, HyphaIncoming *incoming, gpointer user_data);
void hypha_node_set_accept_func (HyphaNode *self, HyphaNodeAcceptFunc func, gpointer user_data);

/* For those who answer: gives INCOMING to whichever transport offers its service; FALSE: none does,
 * and it is still to be answered. */
gboolean hypha_node_offer_to_transports (HyphaNode *self, HyphaIncoming *incoming);
/* "may-pass" is answered otherwise now. */
void hypha_node_passing_changed (HyphaNode *self);

G_END_DECLS
