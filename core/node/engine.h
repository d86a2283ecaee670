/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/mailbox.h"
#include "io/pipe.h"
#include "node/node-link.h"
#include "session/session.h"

G_BEGIN_DECLS

/* What of a peer lives on a worker: its sessions, its links, and the descriptors of its streams.
 * The main thread gives orders, the engine answers with news; neither waits for the other. Every
 * function here is for the main thread. */
typedef struct _HyphaEngine HyphaEngine;

/* A stream as both threads know it. The key names it for as long as the node lives; even: opened
 * here, odd: by the peer. */
typedef struct {
  _Atomic guint ref_count;
  guint64 key;
  gboolean mine;
  char *service;
  gboolean direct; /* what goes over it is how a direct stream comes about: see direct.h */
  /* What goes over it is a link, or what is said about such: nothing of it goes over a relayed
   * link. Set before the engine opens or accepts it. */
  gboolean carries;
  guint8 ticket[HYPHA_TICKET_BYTES];
  char *greeting; /* nullable: what the program behind a descriptor reads first, once the peer has
                     accepted; short */
  _Atomic guint64 received, sent; /* bytes that the program at this end read and wrote */
} HyphaStreamInfo;

/* TICKET (nullable): of a direct one. */
HyphaStreamInfo *hypha_stream_info_new (guint64 key, gboolean mine, const char *service,
                                        const guint8 *ticket);
HyphaStreamInfo *hypha_stream_info_ref (HyphaStreamInfo *self);
void hypha_stream_info_unref (HyphaStreamInfo *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaStreamInfo, hypha_stream_info_unref)

typedef enum {
  HYPHA_NEWS_LINK_UP,         /* link */
  HYPHA_NEWS_LINK_CHANGED,    /* link: cost or suspicion */
  HYPHA_NEWS_LINK_CLOSED,     /* link, error; the last of this link */
  HYPHA_NEWS_SWITCHED,        /* link (nullable), from (nullable), text: why */
  HYPHA_NEWS_STREAM_INCOMING, /* stream: answer it */
  HYPHA_NEWS_STREAM_ACCEPTED, /* stream, one of ours */
  HYPHA_NEWS_DIRECT_ANSWERED, /* stream, one of ours, direct; code: 0, or why not */
  HYPHA_NEWS_STREAM_ENDED,    /* stream, error (nullable); the last of this stream */
  HYPHA_NEWS_GONE,            /* the engine has ended and is freed: the last of all */
} HyphaNewsType;

typedef struct {
  HyphaNewsType type;
  HyphaNodeLink *link, *from;
  HyphaStreamInfo *stream;
  GError *error;
  char *text;
  guint8 code;
} HyphaNews;

typedef void (*HyphaNewsFunc) (const HyphaNews *news, gpointer user_data); /* on the main thread */

typedef struct {
  HyphaWorker *worker; /* outlives the engine, as do the next three */
  HyphaMailbox *mailbox;
  HyphaSessionNumbers *numbers;
  const HyphaNonceClock *clock;
  gboolean lower_id; /* ours is lower than the peer's */
  HyphaSessionLimits limits;
  guint64 *last_key; /* of streams opened by the peer; odd; the engine's while it lives */
  /* Of such streams: those that the main thread has not been told of yet. It counts down. */
  _Atomic guint *unheard;
  HyphaNewsFunc func;
  gpointer user_data;
} HyphaEngineParameters;

HyphaEngine *hypha_engine_new (const HyphaEngineParameters *parameters);
/* Tells the peer AWAY on every link and ends everything, with CODE and REASON; not to be used
 * again. */
void hypha_engine_stop (HyphaEngine *self, HyphaAway away, HyphaError code, const char *reason);

/* A parked link whose peer may come in: the engine makes it part of a session, or closes it. NAME:
 * what we call ourselves. */
void hypha_engine_adopt (HyphaEngine *self, HyphaNodeLink *link, const char *name);
void hypha_engine_close_link (HyphaEngine *self, HyphaNodeLink *link, HyphaAway away,
                              HyphaError code, const char *reason);
void hypha_engine_set_cost (HyphaEngine *self, HyphaNodeLink *link, guint32 static_cost);
void hypha_engine_set_limits (HyphaEngine *self, const HyphaSessionLimits *limits,
                              gint64 ping_interval, gint64 link_timeout);
/* Ends all sessions with ERROR and closes the links. */
void hypha_engine_drop (HyphaEngine *self, HyphaError error, const char *reason);

/* Opens STREAM, which moves to and from FD (taken; -1 if it is a direct one's), or PIPE if that is
 * not NULL. STREAM_ACCEPTED or
 * STREAM_ENDED follows. TARGET: FD leads to a program that does not know Hypha, so a reset has to
 * be a reset of FD. */
void hypha_engine_open (HyphaEngine *self, HyphaStreamInfo *stream, int fd, gboolean target,
                        HyphaPipe *pipe);
/* Answers STREAM_INCOMING; a direct one has been accepted by then. */
void hypha_engine_accept (HyphaEngine *self, HyphaStreamInfo *stream, int fd, gboolean target,
                          HyphaPipe *pipe);
void hypha_engine_refuse (HyphaEngine *self, HyphaStreamInfo *stream, HyphaCode code);
/* Of the peer's direct ones: its token is expected, and the answer comes later. */
void hypha_engine_take_direct (HyphaEngine *self, HyphaStreamInfo *stream);
/* Of the peer's direct ones: CODE 0, it is taken. This end of the session's stream is done with. */
void hypha_engine_answer_direct (HyphaEngine *self, HyphaStreamInfo *stream, HyphaCode code);
/* Of ours: likewise. */
void hypha_engine_finish_direct (HyphaEngine *self, HyphaStreamInfo *stream);
void hypha_engine_reset (HyphaEngine *self,
                         HyphaStreamInfo *stream); /* ends both directions early */

G_END_DECLS
