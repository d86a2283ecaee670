/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/engine.h"
#include "node/node-link-private.h"

G_BEGIN_DECLS

/* How many lives of one peer are known at once. A clone and a restart make two; more is a peer gone
 * wild. */
#define HYPHA_ENGINE_MAX_SESSIONS 4

struct _HyphaEngine {
  HyphaEngineParameters parameters;
  GPtrArray *sessions; /* of EngineSession, in order of coming */
  GPtrArray *links;    /* of EngineLink */
  GPtrArray *buried;   /* of EngineLink: closed, but events may still name them */
  GHashTable *streams; /* guint64 key, of EngineStream */
  HyphaTimer timer;
  gboolean working; /* engine_work is on the stack: */
  gboolean again;   /* go round once more */
  gboolean stopping;
};

/* The session with one life (instance) of the peer. */
typedef struct {
  HyphaEngine *engine;
  HyphaInstance instance;
  HyphaSession *session;
  GError *over;   /* how it ended last; NULL: it never did */
  gboolean lived; /* a link of it was up: it was not just an old message */
  gboolean
      superseded; /* another life has come up since: ends as soon as none of its links answers */
} EngineSession;

typedef struct {
  HyphaEngine *engine;
  EngineSession *es;
  HyphaNodeLink *mirror; /* owned; goes to the main thread with the last news */
  HyphaLink *link;       /* of the mirror */
  HyphaSessionLink *slink;
  HyphaSessionOffer offer;
  gboolean established;
} EngineLink;

typedef struct _EngineStream EngineStream;

/* How a stream reaches the program at this end: by a descriptor, or in memory. */
typedef struct {
  /* What the peer sends; returns how much was taken. Must not call the session. */
  gsize (*deliver) (EngineStream *self, const guint8 *data, gsize length);
  void (*push) (EngineStream *self);       /* what is held, and the end, to the program */
  void (*update) (EngineStream *self);     /* waits for what can be done now */
  void (*peer_reset) (EngineStream *self); /* nothing more comes from the peer */
  void (*stopped) (EngineStream *self);    /* nothing more goes to it */
  void (*reset) (EngineStream *self);      /* it was reset here, on request */
  void (*ended) (EngineStream *self, const GError *error); /* ERROR: nullable; the last call */
} EngineEnd;

/* A stream and the program at this end. */
struct _EngineStream {
  HyphaEngine *engine;
  EngineSession *es;
  HyphaSessionStream *stream; /* NULL: it has ended */
  HyphaStreamInfo *info;
  const EngineEnd *end; /* NULL: not answered yet */
  gboolean reading;     /* from the program: not at its end yet */
  gboolean writing;     /* to the program: not shut down yet */
  gboolean was_reset;   /* here, on request */

  int fd; /* of one by a descriptor */
  gboolean target;
  gboolean blocked; /* the descriptor takes no more for now */
  gboolean is_unix; /* what its program wrote arrives, however it ended */
  gboolean greeted; /* or there is nothing to say */
  gboolean cut;     /* elsewhere: a reset was told to a write, and an end-of-file follows */
  HyphaWatch watch;
  HyphaTimer again; /* while it is blocked */
  int answer;     /* of a direct one of the peer's: to be said as soon as there is room; else -1 */
  gboolean heard; /* of a direct one of ours: it was answered */

  HyphaPipe *pipe;  /* of one in memory */
  gboolean turning; /* a descriptor lies there, to go on with once all in the pipe was taken */
};

/* engine.c */
void hypha_engine_work (HyphaEngine *self);
void hypha_engine_tell (HyphaEngine *self, const HyphaNews *news); /* takes what is in NEWS */
/* Likewise, but only once this thread has left whatever it is in: for news that lets the main
 * thread free things. */
void hypha_engine_tell_at_last (HyphaEngine *self, const HyphaNews *news);
gint64 hypha_engine_now (HyphaEngine *self);

EngineSession *hypha_engine_session_for (HyphaEngine *self,
                                         const HyphaInstance *instance); /* NULL: too many */
EngineSession *hypha_engine_current_session (HyphaEngine *self);         /* NULL: none */

/* engine-links.c */
void hypha_engine_link_free (gpointer el);
void hypha_engine_link_begin (HyphaEngine *self, HyphaNodeLink *mirror,
                              const char *name); /* takes MIRROR */

/* engine-direct.c: the stream of a direct one; FALSE: the event is to be treated as any stream's */
void hypha_engine_direct_answer (EngineStream *self, guint code);
gboolean hypha_engine_direct_event (EngineStream *self, HyphaSessionEventType type);

/* engine-stream.c: the pump between a session's stream and the program */
EngineStream *hypha_engine_stream_new (HyphaEngine *engine, EngineSession *es,
                                       HyphaSessionStream *stream, HyphaStreamInfo *info);
void hypha_engine_stream_end_writing (EngineStream *self); /* the program reads no more */
gsize hypha_engine_stream_deliver (HyphaSession *session, HyphaSessionStream *stream,
                                   const guint8 *data, gsize length, gpointer user_data);
void hypha_engine_stream_push (EngineStream *self);
void hypha_engine_stream_update (EngineStream *self);
void hypha_engine_stream_peer_reset (EngineStream *self);
void hypha_engine_stream_stopped (EngineStream *self);
void hypha_engine_stream_reset (EngineStream *self);
/* The program's end has come: it learns what was said before. */
void hypha_engine_stream_catch_up (EngineStream *self);
void hypha_engine_stream_ended (EngineStream *self, GError *error); /* takes ERROR; frees */

/* engine-fd.c, engine-pipe.c: the program's end is there. FD is taken. */
/* Says to the program of one by a descriptor what it reads first. */
void hypha_engine_stream_greet (EngineStream *self);
void hypha_engine_stream_attach_fd (EngineStream *self, int fd, gboolean target);
void hypha_engine_stream_attach_pipe (EngineStream *self, HyphaPipe *pipe);

G_END_DECLS
