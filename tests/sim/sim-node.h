/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sim-world.h"

G_BEGIN_DECLS

/* The association with one instance of the peer. */
struct _SimSession {
  SimNode *node;
  guint64 peer_instance;
  HyphaSession *session;
  guint overs;       /* how often it has ended */
  gboolean outlived; /* the peer gave it up at session-timeout, and its streams are still here */
  gint64 linkless_since;          /* node's time */
  gint64 stood_before;            /* for how long the node had stood still by then */
  gboolean superseded;            /* a newer instance of the peer has a link that is up */
  gint64 probe_from, probe_until; /* node's time; 0: no probe */
  gint64 lateness;                /* of the next tick: workers are busy at times */
};

struct _SimNode {
  SimWorld *world;
  guint index;
  guint role;    /* 0 or 1: which of the two sides it is one of */
  gboolean gone; /* for good: it does nothing any more */
  char name;
  gboolean lower;
  guint64 instance;
  HyphaSessionNumbers numbers;
  HyphaNonceClock clock;
  HyphaSessionLimits limits;
  gint64 offset;       /* this node's clock against the world's */
  gint64 paused_until; /* world's time */
  gint64 stood;        /* for how long it has stood still, but for two seconds each time */
  GPtrArray *sessions; /* of SimSession, owned; oldest first */
  SimSession *current; /* nullable */
  GPtrArray *apps;     /* of SimApp, owned: those that are not over */
  guint64 salt; /* what programs write, apart from what they wrote in another life of this node */
};

void sim_session_free (gpointer data);

SimNode *sim_node_new (SimWorld *world, guint index, gboolean lower);
void sim_node_free (SimNode *self);
void sim_node_die (SimNode *self);    /* what runs here is over, without a word */
void sim_node_retire (SimNode *self); /* and nothing runs here again */
gint64 sim_node_now (SimNode *self);
SimSession *sim_node_get_session (SimNode *self, guint64 peer_instance);
SimSession *sim_node_pick_session (
    SimNode *self); /* where a program's new stream goes; NULL: nowhere */

gint64 sim_node_next (SimNode *self); /* world's time */
void sim_node_act (SimNode *self);
/* Carries out the events of its sessions. TRUE if there were any. */
gboolean sim_node_drain (SimNode *self);
void sim_node_check (SimNode *self);

void sim_node_open (SimNode *self);
void sim_node_restart (SimNode *self);
void sim_node_disconnect (SimNode *self);

G_END_DECLS
