/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/heartbeat.h"
#include "sim-pipe.h"
#include "sim-world.h"

G_BEGIN_DECLS

typedef enum {
  SIM_END_HELLO,  /* responder: waits for it */
  SIM_END_REPLY,  /* initiator: waits for it */
  SIM_END_AUTH,   /* responder */
  SIM_END_ACCEPT, /* initiator */
  SIM_END_FRAMES,
} SimEndState;

/* A link as one of its ends has it: what core/link/link.c is in the daemon, without descriptors and
 * cryptography. */
struct _SimEnd {
  SimLink *link;
  guint index; /* 0: initiator; it writes into pipes[index] and reads from the other */
  SimNode *node;
  gboolean open;
  SimEndState state;
  gint64 started;
  guint64 nonce_tick;
  guint64 peer_instance;
  HyphaSessionOffer offer;
  SimSession *session; /* NULL once that session has been forgotten */
  HyphaSessionLink *slink;
  GByteArray *input;
  HyphaHeartbeat heartbeat;
  guint32 static_cost;
  guint32 told_cost;
  gboolean told_suspect;
  guint64 n_data;          /* DATA frames that came */
  guint64 n_sent, n_taken; /* frames of the session */
  gboolean unacknowledged; /* the last of those sent is nothing that the peer acknowledges */
  gint64 last_pong;
  gint64 last_proof; /* an ACK showed that the peer had heard, perhaps long before; world's time */
  gint64 pump_at;    /* a busy worker comes round to it later */
};

struct _SimLink {
  SimWorld *world;
  guint id;
  gboolean relayed;
  guint place; /* links with the same one between the same two are twins; 0: has none */
  SimPipe pipes[2];
  SimEnd ends[2];
  gint64 ping_bound;       /* how long a ping may take while nothing has disturbed this link */
  gboolean touched;        /* something has */
  gint64 dead_since[2];    /* that direction carries nothing any more; 0: it does */
  gint64 good_since;       /* 0: it is not; as of the last sim_link_check() */
  gboolean cut_loses_both; /* scripted: what goes the other way is lost with it */
};

SimLink *sim_link_new (SimWorld *world, SimNode *initiator, SimNode *responder);
void sim_link_free (SimLink *self);
/* Nothing is wrong with it, and both ends have it up. */
gboolean sim_link_is_good (SimLink *self);
/* The channel dies; what is under way arrives up to some byte. */
void sim_link_cut (SimLink *self);
/* It dies when so many more bytes have gone in DIRECTION: the next one is lost. */
void sim_link_cut_later (SimLink *self, guint direction, guint64 bytes);
/* One direction (or, with 2, both) swallows everything from now on. */
void sim_link_silence (SimLink *self, guint direction);

/* Has anybody kept to it for longer than he should have? */
void sim_link_check (SimLink *self);

/* Since when this end could know that nothing it sends arrives, or nothing comes any more; 0: it
 * cannot. */
gint64 sim_end_dead_since (SimEnd *self);
/* When this end has to act; in the world's time. */
gint64 sim_end_next (SimEnd *self);
/* Carries out what is due: bytes, end-of-file, ping, timeouts. */
void sim_end_act (SimEnd *self);
/* Sends what there is room for. TRUE if something was sent. */
gboolean sim_end_pump (SimEnd *self);
/* The session has given it up. */
void sim_end_done (SimEnd *self, HyphaAway away);
void sim_end_close (SimEnd *self, const char *why);
/* It is up. If there is one like it already, the lower id closes the younger. */
void sim_end_close_twin (SimEnd *self);
/* The machine is gone, or its clock went back: nobody says good-bye. */
void sim_end_vanish (SimEnd *self);

G_END_DECLS
