/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "session/choice.h"
#include "session/session.h"
#include "session/watermark.h"

G_BEGIN_DECLS

/* RESUME carries ids plus one in 32 bits. */
#define HYPHA_SESSION_ID_LAST 0xfffffffeu
/* Answers to frames for streams that are not there; a peer that honours its own limits never has so
 * many unanswered. */
#define HYPHA_SESSION_REFUSALS_MAX 4096

/* How a direction of a stream ended. */
typedef enum {
  HYPHA_END_NONE,
  HYPHA_END_FIN,
  HYPHA_END_RESET,
} HyphaEnd;

/* What a stream owes the peer; sent from the stream's state when its turn comes. */
typedef enum {
  HYPHA_OWES_RESET = 1 << 0,
  HYPHA_OWES_ACK = 1 << 1,
  HYPHA_OWES_WINDOW = 1 << 2,
  HYPHA_OWES_STOP = 1 << 3,
} HyphaOwes;

/* A stream's place in one of the session's queues: in it at most once, in and out in O(1). */
typedef struct {
  GList node;
  gboolean taken;
} HyphaPlace;

static inline void
hypha_place_take (GQueue *queue, HyphaPlace *place, gpointer owner)
{
  if (place->taken)
    return;
  place->taken = TRUE;
  place->node = (GList){ .data = owner };
  g_queue_push_tail_link (queue, &place->node);
}

static inline void
hypha_place_leave (GQueue *queue, HyphaPlace *place)
{
  if (!place->taken)
    return;
  place->taken = FALSE;
  g_queue_unlink (queue, &place->node);
}

/* When something was said: after which EPOCH, as which frame of streams; or that all up to there
 * was taken. Zeros: not yet. */
typedef struct {
  guint64 epoch, frames;
} HyphaSaidAt;

struct _HyphaSessionStream {
  guint32 id;
  char *service;
  gpointer data;
  guint mine : 1;
  guint answered : 1; /* taken by whoever did not open it */
  guint ended : 1;    /* by itself or with the session: only waits to be freed */
  guint listed : 1;   /* while a RESUME is read: it is in there */
  guint open_sent : 1;
  guint direct : 1;  /* it has a ticket */
  guint carries : 1; /* a link of other nodes: nothing of it goes over a relayed link */
  guint8 ticket[HYPHA_TICKET_BYTES];

  /* sending: acked <= position <= sent <= limit, sent <= written */
  HyphaQueue out; /* what is written and not acknowledged; empty once reset or ended */
  guint64 acked, position, sent, written, limit;
  guint64 fresh; /* what is above this went over the chosen link only */
  guint finishing : 1;
  guint fin_sent : 1;
  guint fin_in_epoch : 1;
  guint resetting : 1;
  guint reset_sent : 1;
  guint stopped : 1;    /* by the peer */
  guint wants_room : 1; /* was told that there is none */
  HyphaSaidAt end_at;   /* where FIN or RESET was said first */
  HyphaEnd send_end;
  HyphaWatermark mark; /* acked, stage */

  /* receiving: read <= next <= promised */
  HyphaQueue in; /* what is held; its offsets are its own, for most bytes never come here */
  guint64 next, read, promised, final;
  guint64 granted;      /* the window when a limit was last sent */
  guint64 acknowledged; /* next, as last sent over the chosen link */
  gint64 ack_at;
  guint stopping : 1; /* nothing is held any more */
  guint outside : 1;  /* what is held lies with the owner, not in the queue */
  guint32 stop_code;
  HyphaEnd receive_end;

  /* memory */
  guint64 reserve;  /* the part of the window that is always its own */
  guint64 lent;     /* of the pool of receiving */
  guint64 out_lent; /* of the pool of sending */
  gsize held, unacknowledged;

  HyphaOwes owes;
  guint readable_told : 1; /* an event waits */
  guint writable_told : 1;
  HyphaPlace in_all, in_opens, in_control, in_active, in_acks, in_starved;
};

struct _HyphaSessionLink {
  gpointer data;
  guint64 tick;        /* of our nonce in its handshake */
  guint64 number;      /* the peer's */
  guint64 fingerprint; /* what both ends call it; no other link has it */
  gboolean up;
  gboolean relayed;  /* its bytes go over other sessions */
  gboolean fresh;    /* a RESUME came since one was asked for */
  guint64 told;      /* how many frames we took, as last told over it */
  HyphaSaidAt taken; /* how far the peer has taken our words, as last said over it */
  gboolean done;     /* detached, LINK_DONE comes; or after the CLOSE it still owes */
  gboolean resume_sent;
  gboolean owes_resume, owes_ask, owes_epoch, owes_taken, owes_close;
  HyphaAway away;
  gboolean confirmed_told;
  gint64 last_data;   /* the stream whose DATA went over it last of all; -1: something else did */
  gboolean all_heard; /* that DATA came, so everything did */
};

struct _HyphaSession {
  gboolean lower;
  HyphaSessionNumbers *numbers;
  const HyphaNonceClock *clock;
  HyphaSessionLimits limits;
  HyphaSessionDeliver deliver;
  gpointer user_data;
  gint64 now;

  /* the pair of numbers */
  guint64 number, link_number, peer_number;
  HyphaWatermark peer; /* session number, link number */
  gboolean paired;     /* a link was attached under our present number */

  /* ids: highest, -1 for none */
  gint64 opened, seen;
  gint64 known; /* of those we opened: the highest that the peer is known to have seen */
  guint64 next_id;
  HyphaWatermark ids;  /* the peer's highest, known + 1 */
  GHashTable *streams; /* id -> stream, owned */
  GQueue mine, theirs; /* in rising order */
  gboolean renew;      /* ids ran out and no stream is left */

  /* links */
  GPtrArray *links;   /* owned */
  GArray *candidates; /* HyphaCandidate, one for each link */
  GPtrArray *leaving; /* owned: done, their event was not taken yet */
  HyphaSessionLink *chosen, *wanted;
  HyphaChoice choice;
  gint64 choose_at;
  guint64 epoch;      /* never the same twice, whatever the pair */
  guint64 said_first; /* of this pair: what is below, another life has said; 0: none yet */
  GArray *said;       /* HyphaEpochEntry, rising: from the EPOCH that the peer is known to go by */
  /* The peer's highest, 0: none; the fingerprint of the link it came on, over which alone the
   * streams are heard; and how many frames of theirs came since. */
  guint64 peer_epoch, heard, heard_frames;
  gint64 offline_since; /* G_MININT64: from the next tick on */
  gint64 looked;        /* when a tick last found it without a link */

  /* to be sent over the chosen link */
  GQueue opens, control, active;
  GQueue refusals; /* of Refusal */
  GHashTable *refused;
  GQueue acks;     /* by ack_at */
  GQueue starved;  /* want room of the pool */
  GArray *scratch; /* HyphaResumeEntry */

  /* memory */
  guint64 lent, out_lent;
  gsize held, unacknowledged;
  /* For the invariants: the most that the limits have allowed since they were last set without any
   * stream. What is promised or open stays when they are lowered. */
  guint64 promise_bound, window_bound;
  guint streams_bound; /* opened by each side */
  guint unchecked;     /* calls since */

  /* events */
  GArray *events; /* HyphaSessionEvent */
  guint next_event;
  GStringChunk *texts;
  GPtrArray *graves; /* streams whose ENDED waits or was just taken */
  HyphaSessionStream *buried;
  HyphaSessionLink *left;
};

static inline gboolean
hypha_session_id_is_mine (HyphaSession *self, guint32 id)
{
  return (id % 2 == 0) == (self->lower != FALSE);
}

static inline guint64
hypha_session_ticks (HyphaSession *self)
{
  return hypha_nonce_clock_now (self->clock);
}

/* session.c: the whole. Functions that return a gboolean: FALSE if the session ended under them. */
gboolean hypha_session_broken (HyphaSession *self, const char *text);
gboolean hypha_session_rolled_back (HyphaSession *self, const char *text);
void hypha_session_over (HyphaSession *self, HyphaError error, const char *text, gboolean say_close,
                         HyphaAway away);
void hypha_session_empty (HyphaSession *self, HyphaError error, const char *text,
                          gboolean say_close, HyphaAway away);
gboolean hypha_session_closed_by_peer (HyphaSession *self, guint32 code);
HyphaSessionStream *hypha_session_add_stream (HyphaSession *self, guint32 id, const char *service,
                                              const guint8 *ticket); /* nullable */
void hypha_session_end_stream (HyphaSession *self, HyphaSessionStream *stream, int error,
                               const char *text);
/* Forgets STREAM if both directions have ended, nothing is owed and nothing is left to be read. */
void hypha_session_settle (HyphaSession *self, HyphaSessionStream *stream);
GPtrArray *hypha_session_list_streams (HyphaSession *self);

/* output.c */
void hypha_session_owe (HyphaSession *self, HyphaSessionStream *stream, HyphaOwes what);
void hypha_session_owe_open (HyphaSession *self, HyphaSessionStream *stream);
gboolean hypha_session_refusal (HyphaSession *self, guint32 id, HyphaCode code);

/* event.c */
void hypha_session_event_stream (HyphaSession *self, HyphaSessionEventType type,
                                 HyphaSessionStream *stream, int error, const char *text);
void hypha_session_event_link (HyphaSession *self, HyphaSessionEventType type,
                               HyphaSessionLink *link, HyphaAway away);
void hypha_session_event_switched (HyphaSession *self, HyphaSessionLink *link,
                                   HyphaSessionLink *from, const char *text);
void hypha_session_event_over (HyphaSession *self, HyphaError error, const char *text);
void hypha_session_forget_link_events (HyphaSession *self, HyphaSessionLink *link);
const char *hypha_session_keep_text (HyphaSession *self, const char *text);

/* stream.c */
void hypha_session_stream_free (HyphaSessionStream *stream);
void hypha_session_seen_by_peer (HyphaSession *self, gint64 id);
void hypha_session_stream_answered (HyphaSession *self, HyphaSessionStream *stream);
gboolean hypha_session_stream_gone (HyphaSession *self, HyphaSessionStream *stream, HyphaCode code);
guint64 hypha_session_stream_stage (HyphaSessionStream *stream);
void hypha_session_stream_raise (HyphaSession *self, HyphaSessionStream *stream);

/* sending.c */
void hypha_sending_activate (HyphaSession *self, HyphaSessionStream *stream);
void hypha_sending_rewind (HyphaSession *self, HyphaSessionStream *stream);
gboolean hypha_sending_acked (HyphaSession *self, HyphaSessionStream *stream, guint64 next,
                              gboolean fin, gboolean reset);
void hypha_sending_limit (HyphaSession *self, HyphaSessionStream *stream, guint64 limit);
void hypha_sending_stopped (HyphaSession *self, HyphaSessionStream *stream);
void hypha_sending_ends (HyphaSession *self, HyphaSessionStream *stream, HyphaEnd how);
gboolean hypha_sending_frame (HyphaSession *self, HyphaFrameOut *out);
void hypha_sending_tell_room (HyphaSession *self, HyphaSessionStream *stream);
gsize hypha_sending_room (HyphaSession *self, HyphaSessionStream *stream, gboolean *by_pool);
gboolean hypha_sending_is_open (const HyphaSessionStream *stream);

/* receiving.c */
gboolean hypha_receiving_data (HyphaSession *self, HyphaSessionStream *stream,
                               const HyphaFrame *frame);
gboolean hypha_receiving_reset (HyphaSession *self, HyphaSessionStream *stream, guint64 final);
void hypha_receiving_ends (HyphaSession *self, HyphaSessionStream *stream, HyphaEnd how,
                           guint64 final);
void hypha_receiving_acks_due (HyphaSession *self);

/* credit.c */
guint64 hypha_credit_pool (HyphaSession *self);
void hypha_credit_sanitise (HyphaSessionLimits *limits);
void hypha_credit_open (HyphaSession *self, HyphaSessionStream *stream);
void hypha_credit_grant (HyphaSession *self, HyphaSessionStream *stream);
void hypha_credit_account (HyphaSession *self, HyphaSessionStream *stream);

/* resume.c */
void hypha_session_write_resume (HyphaSession *self, HyphaSessionLink *link, HyphaFrameOut *out);
gboolean hypha_session_read_resume (HyphaSession *self, HyphaSessionLink *link,
                                    const HyphaFrame *frame);
/* LOST: the chosen link, which was just taken away. */
void hypha_session_choose (HyphaSession *self, HyphaSessionLink *lost);

/* epoch.c */
void hypha_session_say_epoch (HyphaSession *self, HyphaSessionLink *link, HyphaFrameOut *out);
void hypha_session_say_end (HyphaSession *self, HyphaSessionStream *stream);
gboolean hypha_session_has_taken_end (HyphaSessionLink *link, HyphaSessionStream *stream);
gboolean hypha_session_owes_taken (HyphaSession *self, HyphaSessionLink *link);
void hypha_session_say_taken (HyphaSession *self, HyphaSessionLink *link, HyphaFrameOut *out);
gboolean hypha_session_read_epoch (HyphaSession *self, HyphaSessionLink *link,
                                   const HyphaFrame *frame);
void hypha_session_forget_epochs (HyphaSession *self);

/* attach.c */
guint64 hypha_session_draw_number (HyphaSession *self);
guint hypha_session_link_index (HyphaSession *self, HyphaSessionLink *link);
void hypha_session_retire_link (HyphaSession *self, HyphaSessionLink *link, gboolean say_close,
                                HyphaAway away);

/* copy.c: what a snapshot of this node's memory would hold: everything but the links and the
 * events. Streams keep their data pointers; the time without a link begins at the next tick. */
HyphaSession *hypha_session_copy_for_test (HyphaSession *self);

/* check.c: the same in turn with not checking, so that it costs little however many streams. */
void hypha_session_check_in_turn (HyphaSession *self);

#ifdef HYPHA_INVARIANTS
#define HYPHA_SESSION_CHECK(self) hypha_session_check_in_turn (self)
#else
#define HYPHA_SESSION_CHECK(self) ((void) (self))
#endif

G_END_DECLS
