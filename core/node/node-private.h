/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/mailbox.h"
#include "node/admission.h"
#include "node/dialler.h"
#include "node/door.h"
#include "node/node-peer-private.h"
#include "node/node.h"
#include "node/trust.h"

G_BEGIN_DECLS

/* Twins aside, nobody needs more: each is a transport and a host. */
#define HYPHA_NODE_MAX_LINKS_PER_PEER 16

typedef struct _HyphaNodeDrain HyphaNodeDrain;

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
  HyphaAdmission *admission;
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
/* Notes that somebody who is not trusted was met. */
void hypha_node_note_pending (HyphaNode *self, const HyphaNodeId *id, const char *from);
/* Of those who are not trusted, the eldest go until MOST are left; whether any had to. */
gboolean hypha_node_limit_pending (HyphaNode *self, guint most);
void hypha_node_remove_peer (HyphaNode *self, HyphaNodePeer *peer);
/* Drops diallers and doors that have had their one chance; later, for somebody may be calling from
 * within one. */
void hypha_node_reap (HyphaNode *self);

/* node-links.c: from a channel to a link of a peer, and what becomes of it */
extern const HyphaAdmissionEvents hypha_node_admission_events;
extern const HyphaNodePeerEvents hypha_node_peer_events;
extern const HyphaDoorEvents hypha_node_door_events;
extern const HyphaDiallerEvents hypha_node_dialler_events;
HyphaSessionLimits hypha_node_session_limits (HyphaNode *self);
void hypha_node_apply_link_costs (HyphaNode *self);
void hypha_node_close_forbidden_links (HyphaNode *self);
void hypha_node_hurry_diallers (HyphaNode *self);
void hypha_node_refresh_dialling (HyphaNode *self);
void hypha_node_drop_dialler (HyphaNode *self, guint index);

/* node-drain.c */
void hypha_node_drain_free (HyphaNodeDrain *self);

/* node-settings.c, node-connect.c and node-pulse.c implement the rest of node.h */

G_END_DECLS
