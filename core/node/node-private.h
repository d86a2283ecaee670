/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/mailbox.h"
#include "node/admission.h"
#include "node/dialler.h"
#include "node/door.h"
#include "node/node-peer-private.h"
#include "node/node-peers.h"
#include "node/node.h"
#include "node/trust-rules.h"
#include "node/trust.h"

G_BEGIN_DECLS

/* Twins aside, nobody needs more: each is a transport and a host. */
#define HYPHA_NODE_MAX_LINKS_PER_PEER 16

typedef struct _HyphaNodeDrain HyphaNodeDrain;

/* A window for pairing, and what came of it. Main thread, as all of the node. */
typedef struct {
  gint64 until; /* us, monotonic; 0: no window is open */
  guint expiry, tick, telling;
  gboolean met;    /* a handshake has yielded digits: */
  gboolean lower;  /* one that the lower id dialled */
  gboolean told;   /* the signal was emitted */
  gboolean agreed; /* the person here has confirmed */
  HyphaNodeId id;
  guint digits;
  char *name; /* what it calls itself; NULL: it has not said */
} HyphaPairing;

struct _HyphaNode {
  GObject parent_instance;
  HyphaIdentity *identity;
  HyphaLoader *loader;
  HyphaInstance instance;
  char *name;
  HyphaNodeLimits limits;
  HyphaNonceClock clock;
  HyphaSessionNumbers numbers;
  HyphaMailbox *mailbox;
  GPtrArray *workers;
  guint next_worker;
  HyphaTrust *trust;
  HyphaTrustRules *rules;
  HyphaPairing pairing;
  guint windows;           /* how many were opened */
  _Atomic gboolean untold; /* the digits of the last one, to whoever dials; the workers clear it */
  HyphaNodeId unnamed;     /* paired, and trusted by a beginning of its id until it says its name */
  gboolean has_unnamed;
  HyphaAdmission *admission;
  HyphaDirects *directs;
  HyphaNodePeers *for_transports;
  GListStore *peers, *links;
  GHashTable *by_id;   /* HyphaNodeId (in the peer) to HyphaNodePeer, owned by the list */
  GPtrArray *diallers; /* of HyphaDialler */
  GPtrArray *doors;    /* of HyphaDoor */
  GVariant *link_costs;
  guint reaper;          /* idle source: drops what is spent */
  HyphaNodeDrain *drain; /* NULL: not yet */
  guint64 last_link;
  guint engines; /* not gone yet */
  gboolean stopped;
  HyphaNodeAcceptFunc accept;
  gpointer accept_data;
};

/* node.c */
HyphaWorker *hypha_node_pick_worker (HyphaNode *self);
HyphaNodePeer *hypha_node_find (HyphaNode *self, const HyphaNodeId *id);
HyphaNodePeer *hypha_node_add_peer (HyphaNode *self, const HyphaNodeId *id);
gboolean hypha_node_is_crowded_by_pending (HyphaNode *self); /* there is room for no more */
/* Notes that somebody who is not trusted was met. */
void hypha_node_note_pending (HyphaNode *self, const HyphaNodeId *id, const char *from);
/* Of those who are not trusted, the eldest go until MOST are left; whether any had to. */
gboolean hypha_node_limit_pending (HyphaNode *self, guint most);
void hypha_node_remove_peer (HyphaNode *self, HyphaNodePeer *peer);
/* Drops diallers and doors that have had their one chance; later, for somebody may be calling from
 * within one. */
void hypha_node_reap (HyphaNode *self);

/* node-embedded.c: "incoming-stream" for whoever handles it. */
void hypha_node_offer (HyphaNode *self, HyphaIncoming *incoming);

/* node-trust.c: lets ID in if a rule says so. FROM: for people. */
gboolean hypha_node_trust_by_rule (HyphaNode *self, const HyphaNodeId *id, HyphaChannel *channel,
                                   const char *from);

/* pairing.c */
guint hypha_node_pairing_window (HyphaNode *self); /* that has yielded nothing yet; 0: none */
/* A stranger has shaken hands. TRUE: its digits are ours, and an initiator says AUTH. */
gboolean hypha_node_pairing_meet (HyphaNode *self, HyphaLink *link);
void hypha_node_pairing_link_up (HyphaNode *self, HyphaLink *link);
gboolean hypha_node_pairing_needs (HyphaNode *self, HyphaDialler *dialler); /* let it go on */
void hypha_node_pairing_close (HyphaNode *self);

/* node-links.c: from a channel to a link of a peer, and what becomes of it */
extern const HyphaAdmissionEvents hypha_node_admission_events;
void hypha_node_direct_refused (const GError *error, gpointer user_data); /* of HyphaDirects */
extern const HyphaNodePeerEvents hypha_node_peer_events;
extern const HyphaDoorEvents hypha_node_door_events;
extern const HyphaDiallerEvents hypha_node_dialler_events;
HyphaSessionLimits hypha_node_session_limits (HyphaNode *self);
void hypha_node_apply_link_costs (HyphaNode *self);
void hypha_node_close_forbidden_links (HyphaNode *self);
void hypha_node_hurry_diallers (HyphaNode *self);
void hypha_node_transport_came (HyphaNode *self); /* or serves this node now */
void hypha_node_refresh_dialling (HyphaNode *self);
void hypha_node_drop_dialler (HyphaNode *self, guint index);

/* Begins a handshake with whoever is at the other end. SOURCE: as for hypha_admission_begin().
 * FALSE: none has begun. */
gboolean hypha_node_admit (HyphaNode *self, HyphaChannel *channel, const char *source,
                           GError **error);

/* node-attach.c: from where its caller says that it comes. NULL: ENDPOINT is not attached. */
HyphaEndpoint *hypha_node_attached_from (HyphaEndpoint *endpoint);

/* node-drain.c */
void hypha_node_drain_free (HyphaNodeDrain *self);

/* node-settings.c, node-connect.c and node-pulse.c implement the rest of node.h */

G_END_DECLS
