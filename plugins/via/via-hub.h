/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* What the parts of one transport have in common: the node that it serves, and who listens. Counted
 * by reference; main thread. */
typedef struct _ViaHub ViaHub;
typedef struct _ViaMiddle ViaMiddle;
typedef struct _ViaSight ViaSight;
typedef struct _ViaListener ViaListener;

struct _ViaHub {
  grefcount ref_count;
  HyphaPeers *peers;    /* NULL: it serves no node */
  GPtrArray *listeners; /* of ViaListener, not owned */
  ViaMiddle *middle;    /* these two while there are peers */
  ViaSight *sight;
  guint max_passages, max_per_peer;
};

ViaHub *via_hub_new (void);
ViaHub *via_hub_ref (ViaHub *self);
void via_hub_unref (ViaHub *self);

/* A trusted peer by its name or id; NULL: there is none. */
HyphaPeer *via_hub_find_peer (ViaHub *self, const char *node);
/* hypha_peers_get_link_cost(), as it may be said to others: at most VIA_MAX_COST, so that a few of
 * them can be added. */
gboolean via_hub_get_link_cost (HyphaPeers *peers, HyphaPeer *peer, guint *cost);
/* Who is to have what PEER leads here; NULL: nobody listens for that. Not owned. */
ViaListener *via_hub_find_listener (ViaHub *self, HyphaPeer *peer);
/* The listeners are others now. */
void via_hub_listening_changed (ViaHub *self);
/* This node has something to do with PEER here: it listens, or somebody may pass. */
gboolean via_hub_takes_part (ViaHub *self);
/* As it is written in endpoints: its name, or its id where that does not do. */
char *via_hub_dup_word (HyphaPeer *peer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (ViaHub, via_hub_unref)

G_END_DECLS
