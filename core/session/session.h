/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>
#include "link/frame.h"
#include "link/handshake.h"
#include "link/nonce-clock.h"

G_BEGIN_DECLS

/* The lasting association of two nodes' instances, as one of them sees it: a pure state machine. It
 * is given frames, bytes, links and the time (microseconds; any monotonic clock), and answers with
 * frames (hypha_session_next_frame) and events (hypha_session_next_event). It knows no descriptor
 * and no thread. protocol: README.md beside this file. */
typedef struct _HyphaSession HyphaSession;
/* A link as the session knows it: attached until hypha_session_detach. */
typedef struct _HyphaSessionLink HyphaSessionLink;
/* A stream of the session: valid until the event ENDED for it has been taken and the next call is
 * made. */
typedef struct _HyphaSessionStream HyphaSessionStream;

/* The counter of a node from which all its sessions draw their numbers; it only rises. */
typedef struct {
  _Atomic guint64 last;
} HyphaSessionNumbers;

/* What every stream is promised of the window, come what may. */
#define HYPHA_SESSION_WINDOW_MIN (8 * 1024)

typedef struct {
  guint32 streams;        /* opened by each side, default 512 */
  guint64 window_total;   /* what all windows promise together, default 16 MiB */
  guint64 window_max;     /* one stream, default 4 MiB */
  guint32 window_min;     /* one stream, always, default 8 KiB */
  guint64 send_max;       /* unacknowledged bytes held for one stream, default 4 MiB */
  gint64 session_timeout; /* us without a link */
  gint64 ack_delay;       /* us, default 5000 */
  guint32 switch_margin;
} HyphaSessionLimits;

void hypha_session_limits_init (HyphaSessionLimits *limits); /* the defaults */

/* Takes what it can of what came for STREAM, and returns how much; the session holds the rest
 * (copied) until hypha_session_stream_read. It may be called from within hypha_session_receive, and
 * must not call the session. NULL: hold everything. */
typedef gsize (*HyphaSessionDeliver) (HyphaSession *session, HyphaSessionStream *stream,
                                      const guint8 *data, gsize length, gpointer user_data);

HyphaSession *hypha_session_new (gboolean lower_id, HyphaSessionNumbers *numbers,
                                 const HyphaNonceClock *clock, const HyphaSessionLimits *limits,
                                 gint64 now, HyphaSessionDeliver deliver, gpointer user_data);
void hypha_session_free (HyphaSession *self);
void hypha_session_set_limits (
    HyphaSession *self,
    const HyphaSessionLimits *limits); /* margin, timeouts; windows for what comes */

/* Attaching links: the numbers of AUTH and ACCEPT. */
typedef struct {
  guint64 nonce_tick;     /* when our nonce went out */
  guint64 session_number; /* ours, as offered */
  guint64 link_number;
} HyphaSessionOffer;

/* Fills in our numbers: the initiator before AUTH, the responder before ACCEPT (attach then says
 * what may be sent). */
void hypha_session_offer (HyphaSession *self, guint64 nonce_tick, HyphaSessionOffer *offer);

typedef enum {
  HYPHA_ATTACH_DONE, /* *LINK is there; it carries nothing but TAKEN and RESUME until the peer's has
                        been checked */
  HYPHA_ATTACH_ROLLED_BACK, /* responder: answer REJECT rolled-back with *HIGHEST; initiator:
                               hypha_session_peer_rolled_back(), close */
  HYPHA_ATTACH_STALE,       /* close that link only */
} HyphaAttach;

/* With the peer's numbers of AUTH (responder) or ACCEPT (initiator). A higher session number of the
 * peer ends the streams here with RESTARTED and detaches the links of the old pair (events). */
HyphaAttach hypha_session_attach (HyphaSession *self, const HyphaSessionOffer *offer,
                                  guint64 peer_session, guint64 peer_link, guint64 fingerprint,
                                  guint32 cost, gint64 now, gpointer link_data,
                                  HyphaSessionLink **link, guint64 *highest);
/* The peer answered REJECT rolled-back with HIGHEST: go on above it; this session's streams end if
 * it is concerned. */
void hypha_session_accused (HyphaSession *self, guint64 highest, gint64 now);
/* The initiator's verdict, for which the handshake has no message: what is known of the peer is
 * forgotten, our number changes. */
void hypha_session_peer_rolled_back (HyphaSession *self, gint64 now);
void hypha_session_detach (HyphaSession *self, HyphaSessionLink *link,
                           gint64 now); /* the link is gone */
void hypha_session_link_update (HyphaSession *self, HyphaSessionLink *link, guint32 cost,
                                gboolean suspect, gint64 now);
gpointer hypha_session_link_get_data (HyphaSessionLink *link);
/* Its bytes go over the sessions of other nodes. To be said before it is up. */
void hypha_session_link_set_relayed (HyphaSessionLink *link);
/* The peer's first RESUME was checked. */
gboolean hypha_session_link_is_up (HyphaSessionLink *link);

/* A frame that came over LINK (not PING, PONG, GOAWAY). A peer that breaks the rules ends the
 * session (event OVER), never the process. */
void hypha_session_receive (HyphaSession *self, HyphaSessionLink *link, const HyphaFrame *frame,
                            gint64 now);
/* The next frame to go over LINK; FALSE: none now. What is handed out is taken to be sent. There
 * may be new events afterwards. */
gboolean hypha_session_next_frame (HyphaSession *self, HyphaSessionLink *link, gint64 now,
                                   HyphaFrameOut *out);
/* Time has passed: delayed acknowledgements, choice, session-timeout. */
void hypha_session_tick (HyphaSession *self, gint64 now);
gint64 hypha_session_next_tick (HyphaSession *self); /* G_MAXINT64: never */
/* Everything ends: streams with ERROR (a HyphaError), a CLOSE with AWAY goes out over the chosen
 * link; then numbers are drawn anew. */
void hypha_session_drop (HyphaSession *self, HyphaAway away, HyphaError error, const char *reason,
                         gint64 now);

typedef enum {
  HYPHA_SESSION_OPENED,     /* stream, service: the peer opened; accept or refuse, now or later */
  HYPHA_SESSION_ACCEPTED,   /* stream: the peer took it */
  HYPHA_SESSION_READABLE,   /* stream: there are held bytes, or the end, to be read */
  HYPHA_SESSION_FINISHED,   /* stream: the peer's FIN came; what it sent is complete */
  HYPHA_SESSION_PEER_RESET, /* stream: the peer will send no more; held bytes are gone */
  HYPHA_SESSION_WRITABLE,   /* stream: room after there was none */
  HYPHA_SESSION_STOPPED,    /* stream: the peer reads no more; writing is over */
  /* stream: both directions; error: -1 (both were finished) or a HyphaError, text: why; freed
   * afterwards. The last event of a stream, also of one that was refused here */
  HYPHA_SESSION_ENDED,
  HYPHA_SESSION_LINK_UP, /* link: usable */
  /* link: to be closed with away; already detached. After a CLOSE this comes when the CLOSE was
   * handed out */
  HYPHA_SESSION_LINK_DONE,
  /* link (nullable), from (nullable), text: why: our sending goes over link now. from is NULL, but
   * from_data set, if from was just detached. Not told when the session is over */
  HYPHA_SESSION_SWITCHED,
  /* error, text: the streams have ended; the session goes on empty, under a new number unless it
   * was the peer who began anew */
  HYPHA_SESSION_OVER,
  HYPHA_SESSION_CONFIRMED, /* link, all: an ACK came for data that went over it */
  HYPHA_SESSION_CUT,       /* stream: it carries a link, and was reset here: see
                              hypha_session_stream_carry */
} HyphaSessionEventType;

typedef struct {
  HyphaSessionEventType type;
  HyphaSessionStream *stream;
  HyphaSessionLink *link, *from;
  gpointer link_data; /* of link: still good when the link is detached */
  gpointer from_data;
  HyphaAway away;
  gboolean all;     /* nothing went over link since that data */
  int error;        /* -1: none, else a HyphaError */
  const char *text; /* static, or of the stream: good until the next call */
} HyphaSessionEvent;

/* FALSE: none left. */
gboolean hypha_session_next_event (HyphaSession *self, HyphaSessionEvent *event);

/* Streams. */
/* NULL with BUSY (too many), OFFLINE (ids ran out; the session is renewed when idle) or
 * INVALID_ARGUMENT (no name of a service). A session without a link opens: it is sent later. */
HyphaSessionStream *hypha_session_open (HyphaSession *self, const char *service, GError **error);
/* Likewise, with TICKET (HYPHA_TICKET_BYTES, nullable), which the peer finds with the stream. What
 * it says is no business of the session. */
HyphaSessionStream *hypha_session_open_direct (HyphaSession *self, const char *service,
                                               const guint8 *ticket, GError **error);
HyphaSessionStream *hypha_session_find (HyphaSession *self, guint32 id); /* NULL: none */
void hypha_session_accept (HyphaSession *self, HyphaSessionStream *stream);
void hypha_session_refuse (HyphaSession *self, HyphaSessionStream *stream, HyphaCode code);
guint32 hypha_session_stream_get_id (HyphaSessionStream *stream);
const char *hypha_session_stream_get_service (HyphaSessionStream *stream);
const guint8 *hypha_session_stream_get_ticket (HyphaSessionStream *stream); /* NULL: none */
gboolean hypha_session_stream_is_mine (HyphaSessionStream *stream);
void hypha_session_stream_set_data (HyphaSessionStream *stream, gpointer data);
gpointer hypha_session_stream_get_data (HyphaSessionStream *stream);
/* STREAM carries a link, and nothing of it may go over a relayed one, or links could carry each
 * other in a circle: where the sending goes over such a link, now or later, STREAM is reset in both
 * directions before. FALSE: it was, at once. */
gboolean hypha_session_stream_carry (HyphaSession *self, HyphaSessionStream *stream);
/* How much may be written now: 0 before the answer, after finish, reset or STOPPED. After 0,
 * WRITABLE comes. */
gsize hypha_session_stream_room (HyphaSession *self, HyphaSessionStream *stream);
/* Room in the stream's own memory to read into (at most its room), then how much of it was filled.
 */
guint hypha_session_stream_reserve (HyphaSession *self, HyphaSessionStream *stream, gsize want,
                                    struct iovec *pieces, guint n);
void hypha_session_stream_commit (HyphaSession *self, HyphaSessionStream *stream, gsize filled);
void hypha_session_stream_finish (HyphaSession *self, HyphaSessionStream *stream);
void hypha_session_stream_reset (HyphaSession *self, HyphaSessionStream *stream,
                                 HyphaCode code); /* our sending direction */
void hypha_session_stream_stop (HyphaSession *self, HyphaSessionStream *stream,
                                HyphaCode code); /* we read no more */
/* Held bytes, in place, then how many were taken. */
guint hypha_session_stream_pieces (HyphaSession *self, HyphaSessionStream *stream,
                                   struct iovec *pieces, guint n);
void hypha_session_stream_read (HyphaSession *self, HyphaSessionStream *stream, gsize taken,
                                gint64 now);
/* The owner holds what comes, or the session does again: see receiving.c. */
void hypha_session_stream_hold_outside (HyphaSession *self, HyphaSessionStream *stream);
void hypha_session_stream_give_back (HyphaSession *self, HyphaSessionStream *stream,
                                     const guint8 *data, gsize length);
void hypha_session_stream_hold_inside (HyphaSession *self, HyphaSessionStream *stream);
gsize hypha_session_stream_get_step (HyphaSessionStream *stream); /* see credit.c */
/* FIN was received and everything has been read. */
gboolean hypha_session_stream_at_end (HyphaSessionStream *stream);
gboolean hypha_session_stream_is_complete (HyphaSessionStream *stream); /* FIN was received */
void hypha_session_stream_counts (HyphaSessionStream *stream, guint64 *received, guint64 *sent);
/* Calls FUNC for every stream, in rising order; it must not change the session. */
typedef void (*HyphaSessionStreamFunc) (HyphaSessionStream *stream, gpointer user_data);
void hypha_session_foreach_stream (HyphaSession *self, HyphaSessionStreamFunc func,
                                   gpointer user_data);

guint hypha_session_n_streams (HyphaSession *self);
guint hypha_session_n_links (HyphaSession *self);
HyphaSessionLink *hypha_session_get_chosen (HyphaSession *self);
/* The sending goes over a link that is not relayed. */
gboolean hypha_session_is_grounded (HyphaSession *self);
guint64 hypha_session_get_number (HyphaSession *self);
gsize hypha_session_get_memory (HyphaSession *self); /* bytes held, received and unacknowledged */

/* Every invariant of the design, by g_assert: tests and the simulator call it after every event;
 * cheap enough for builds with -Dinvariants=true to do so by themselves. */
void hypha_session_check (HyphaSession *self);

/* What a refusal means to whoever opened: an error, and a text for people. */
HyphaError hypha_session_error_of_code (HyphaCode code, const char **text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaSession, hypha_session_free)

G_END_DECLS
