/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "session/session.h"
#include "sim-random.h"

G_BEGIN_DECLS

/* Two nodes, the links between them, the programs upon them, and what befalls them: one run, made
 * of one seed. */
typedef struct _SimWorld SimWorld;
typedef struct _SimNode SimNode;
typedef struct _SimSession SimSession;
typedef struct _SimLink SimLink;
typedef struct _SimEnd SimEnd;
typedef struct _SimApp SimApp;
typedef struct _SimStream SimStream;
typedef struct _SimSnapshot SimSnapshot;

#define SIM_MAX_NODES 3

#define SIM_FAULTS(X)                                                         \
  X (CUT, "cut", "a channel dies, in the middle of a frame")                  \
  X (SILENT, "silent", "a channel swallows everything, both ways")            \
  X (ONEWAY, "oneway", "a channel swallows everything, one way")              \
  X (STALL, "stall", "a channel holds everything up for a while")             \
  X (NO_ANSWER, "no-answer", "a dial that nobody answers, or is turned away") \
  X (COST, "cost", "costs change, at one end or at both at once")             \
  X (RESTART, "restart", "a node starts anew")                                \
  X (ROLLBACK, "rollback", "a node goes back to an earlier snapshot")         \
  X (EXPIRE, "expire", "no link for a time, often beyond session-timeout")    \
  X (DROP, "drop", "a node disconnects the session")                          \
  X (CLONE, "clone", "a node is cloned, and both go on")                      \
  X (LIVES, "lives", "rollbacks and doubles all the time, in some runs")      \
  X (TWIN, "twin", "one of two links to the same place is closed")            \
  X (CROWD, "crowd", "as many streams as there may be, half of them stalled") \
  X (PAUSE, "pause", "a node stands still for a while")                       \
  X (REFUSE, "refuse", "streams are refused")                                 \
  X (ABORT, "abort", "programs reset and stop their streams")                 \
  X (IDLE, "idle", "programs stop reading or writing, for a while or for good")

typedef enum {
#define X(name, text, summary) SIM_FAULT_BIT_##name,
  SIM_FAULTS (X)
#undef X
      SIM_N_FAULTS
} SimFaultBit;

typedef enum {
#define X(name, text, summary) SIM_FAULT_##name = 1 << SIM_FAULT_BIT_##name,
  SIM_FAULTS (X)
#undef X
} SimFault;

/* What is counted, and in how many runs at most it has to have happened (0: it need not). */
#define SIM_COUNTERS(X)                                      \
  X (LINK_FAULTS, "link faults", 20)                         \
  X (CUT, "cut", 20)                                         \
  X (SILENT, "silent", 20)                                   \
  X (ONEWAY, "silent one way", 20)                           \
  X (STALL, "stalled", 20)                                   \
  X (NO_ANSWER, "not answered", 50)                          \
  X (RESTART, "restarts", 50)                                \
  X (ROLLBACK, "rollbacks", 50)                              \
  X (ROLLBACK_FOUND, "rollbacks found", 100)                 \
  X (BROKEN, "broken after a rollback", 0)                   \
  X (CLONE, "clones with a new instance", 500)               \
  X (CLONE_BOTH, "clone and original both online", 500)      \
  X (DOUBLE, "clones of the same instance", 500)             \
  X (DOUBLE_BOTH, "clone and original in one session", 500)  \
  X (DOUBLE_FOUND, "sessions ended for such a clone", 500)   \
  X (LIVES, "runs of many lives", 100)                       \
  X (REJECTED, "rejected as rolled back", 100)               \
  X (STALE, "stale handshakes", 2000)                        \
  X (EXPIRED, "sessions expired", 50)                        \
  X (OUTLIVED, "expired while the peer held on", 500)        \
  X (MET_AGAIN, "and met again", 500)                        \
  X (DROP, "disconnects", 50)                                \
  X (PAUSE, "pauses", 50)                                    \
  X (FROZEN, "pauses of the clock, too", 100)                \
  X (TWIN, "twins closed", 50)                               \
  X (CARRIED, "streams kept off relayed links", 500)         \
  X (CROWD, "crowds", 500)                                   \
  X (CROWD_FULL, "crowds with every stream open", 500)       \
  X (CROWD_STALLED, "crowds with half of them stalled", 500) \
  X (ALL_HEARD, "links heard to the last frame", 20)         \
  X (LINKS, "links attached", 20)                            \
  X (LINKS_UP, "links up", 20)                               \
  X (SWITCHES, "switches", 20)                               \
  X (SUSPECT, "switches from suspect", 50)                   \
  X (CHEAPER, "switches to cheaper", 50)                     \
  X (STREAMS, "streams opened", 20)                          \
  X (FINE, "stream ends: finished", 20)                      \
  X (ENDED, "stream ends: early", 20)                        \
  X (REFUSED, "stream ends: refused", 50)                    \
  X (LOST, "stream ends: session lost", 50)                  \
  X (BYTES, "bytes checked", 20)                             \
  X (FRAMES, "frames", 20)                                   \
  X (EVENTS, "events", 20)                                   \
  X (EVENTS_OF_STREAMS, "events of streams", 20)             \
  X (SECONDS, "virtual seconds", 20)

typedef enum {
#define X(name, text, runs) SIM_COUNT_##name,
  SIM_COUNTERS (X)
#undef X
      SIM_N_COUNTERS
} SimCounter;

/* Of these the highest of all runs is told. */
#define SIM_PEAKS(X)                              \
  X (STREAMS, "most streams of one session")      \
  X (HELD, "most bytes received, not read")       \
  X (UNACKNOWLEDGED, "most bytes unacknowledged") \
  X (PROMISED, "most bytes promised")

typedef enum {
#define X(name, text) SIM_PEAK_##name,
  SIM_PEAKS (X)
#undef X
      SIM_N_PEAKS
} SimPeak;

struct _SimWorld {
  guint64 seed;
  SimRandom random;
  guint faults;      /* of SimFault */
  gboolean scripted; /* nothing by chance: frames arrive whole, costs stay, apps follow PLAN */
  void (*plan) (SimApp *app, gpointer data);
  gpointer plan_data;
  gboolean tracing;

  gint64 now;
  SimNode *nodes[SIM_MAX_NODES]; /* the third one is a clone */
  guint n_nodes;
  GPtrArray *links;                       /* owned */
  guint n_links;                          /* ever made */
  GPtrArray *streams;                     /* owned; by token */
  SimSnapshot *snapshot, *other_snapshot; /* the latter of the other node, restored with it */

  guint dialling; /* 1: A may dial, 2: B may dial */
  guint weather;  /* link faults in a thousand actions */
  gint64 next_action;
  gint64 dark_until;
  gboolean rolled_back; /* some node's state has gone backwards in this run */
  gboolean doubled;     /* one instance lives twice, or did */
  gboolean relays;      /* some links are relayed, and some streams carry a link */
  gboolean lives;       /* again and again, with last words that are late */
  guint crowd_size;     /* many streams: so many of each side; 0: a few */
  guint crowd_left;     /* streams of the crowd that have yet to be opened */
  guint steps;
  gboolean healing;     /* faults have stopped */
  gboolean calm;        /* so long ago that every choice of link has been made */
  gboolean quiet;       /* all is over: streams have nothing to say any more */
  gboolean released;    /* stalled programs go on */
  gint64 farewell_at;   /* by then the peer knows of the last disconnect; 0: nothing to check */
  guint farewell_from;  /* node */
  guint farewell_overs; /* of the peer's session, before */
  guint64 farewell_faults;
  guint idle_steps; /* steps since the time went on */

  guint64 counts[SIM_N_COUNTERS];
  guint64 peaks[SIM_N_PEAKS];
  gboolean seen[SIM_N_COUNTERS]; /* of those that count once a run */
  guint64 hash;                  /* of everything that happened */
  char *violation;
};

SimWorld *sim_world_new (guint64 seed, guint faults);
void sim_world_free (SimWorld *self);
/* A whole run: faults, then none, until everything has finished. FALSE: self->violation says why.
 */
gboolean sim_world_run (SimWorld *self);
/* One event. FALSE: nothing is due until UNTIL (which is the time then), or there is a violation.
 */
gboolean sim_world_step (SimWorld *self, gint64 until);
/* Sends and tells all that is there to be sent and told, then checks. */
void sim_world_settle (SimWorld *self);
/* Node number NODE dials one of the other side. */
void sim_world_dial (SimWorld *self, guint node);
void sim_world_meet (SimWorld *self, SimNode *node);

/* What happens, for the trace and the hash. */
void sim_note (SimWorld *self, char who, const char *what, guint64 a, guint64 b, guint64 c);
/* The first one counts; the run ends soon after. */
void sim_violation (SimWorld *self, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* Counts it once a run. */
static inline void
sim_world_saw (SimWorld *self, SimCounter counter)
{
  self->counts[counter] += !self->seen[counter];
  self->seen[counter] = TRUE;
}

static inline gboolean
sim_world_has (const SimWorld *self, SimFault fault)
{
  return (self->faults & fault) != 0;
}

#define SIM_SECOND ((gint64) 1000000)
#define SIM_PING_INTERVAL (1 * SIM_SECOND)
#define SIM_LINK_TIMEOUT (6 * SIM_SECOND)
#define SIM_SESSION_TIMEOUT (12 * SIM_SECOND) /* of most nodes */
#define SIM_HANDSHAKE_TIMEOUT (5 * SIM_SECOND)

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SimWorld, sim_world_free)

G_END_DECLS
