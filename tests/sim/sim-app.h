/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sim-world.h"

G_BEGIN_DECLS

/* What one side wrote into a stream: a pattern that is a function of stream, direction, salt and
 * offset. After a rollback it goes on with another salt, as another history. */
typedef struct {
  GArray *parts; /* of {from, salt} */
  guint64 length;
  gboolean finished;
  gboolean taken; /* to its end, by one life of the other side */
} SimHistory;

typedef struct {
  gboolean over;
  gboolean peer_finished, finished, was_reset, stopped, gone_early;
  gboolean clean; /* ended without an error */
  guint64 received;
} SimOutcome;

/* A stream as nobody in the world sees it: both its ends. Side 0 opened it. */
struct _SimStream {
  guint token;
  guint opener;                     /* role of the node */
  GPtrArray *histories[2];          /* of SimHistory, owned; the last is what the side writes now */
  guint carried_out[SIM_MAX_NODES]; /* how often the OPEN was, at each node */
  guint lives;    /* in how many it is asked for: 1, and one for each clone or rollback before */
  gboolean idles; /* one of its programs has stopped for good */
  gboolean stop_called[2];
  gboolean must_finish; /* opened after the faults */
  gboolean carries;     /* a link of other nodes */
  gconstpointer script; /* of a scripted world */
  SimOutcome outcomes[2];
};

typedef enum {
  SIM_ABORT_NOT,
  SIM_ABORT_RESET,
  SIM_ABORT_STOP,
  SIM_ABORT_BOTH,
} SimAbort;

typedef struct {
  guint64 total; /* to be written */
  guint rate;    /* bytes at a time, each way */
  gint64 pace;   /* us between two times */
  SimAbort abort;
  gint64 abort_after; /* us */
  guint64 abort_at;   /* or: once so many bytes have been written or read, as the case is */
  gboolean never_reads, never_writes; /* until released */
  gint64 sleeps_from, sleeps_until;   /* us since its birth: does nothing in between */
  gint64 answer_after;                /* acceptor: us */
  HyphaCode refuse;                   /* 0: accepts */
  gboolean in_place;                  /* takes bytes as they come, when it can */
} SimPlan;

/* A program at one end of a stream. */
struct _SimApp {
  SimNode *node;
  SimSession *session;
  HyphaSessionStream *hs;
  SimStream *stream;
  SimHistory *history; /* what it writes; of the stream */
  guint side;
  SimPlan plan;
  gint64 born;    /* node's time */
  gint64 next_at; /* node's time */
  gboolean answered, finished, was_reset, stop_called, stopped;
  gboolean peer_finished, peer_reset, over;
  guint64 written;
  guint64 promised;     /* the highest limit that went out on the wire */
  GByteArray *received; /* all that was read */
  GArray *matches;      /* guint64: how far each of the peer's histories agrees */
};

SimStream *sim_stream_new (SimWorld *world, guint opener);
void sim_stream_free (SimStream *self);
SimHistory *sim_history_new (guint64 salt);
/* What was written in another life up to LENGTH, and then with SALT. */
SimHistory *sim_history_fork (const SimHistory *self, guint64 length, guint64 salt);
SimHistory *sim_stream_history (SimStream *self, guint side);

SimApp *sim_app_new (SimNode *node, SimSession *session, HyphaSessionStream *hs, SimStream *stream,
                     guint side);
SimApp *sim_app_copy (SimApp *self);
void sim_app_free (SimApp *self);
void sim_app_note_taken (SimApp *self);  /* before its end: which histories came here whole */
gboolean sim_app_is_idle (SimApp *self); /* it, or the other end, has stopped until released */
void sim_app_act (SimApp *self);
void sim_app_wake (SimApp *self);
void sim_app_event (SimApp *self, const HyphaSessionEvent *event);
gsize sim_app_deliver (HyphaSession *session, HyphaSessionStream *stream, const guint8 *data,
                       gsize length, gpointer user_data);

G_END_DECLS
