/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/worker.h"

G_BEGIN_DECLS

/* A stream between threads of a program and something that lives on a worker, in memory: what a
 * socketpair would be, without the system calls and the copies. Each end may be used while the
 * other one is: it has a lock of its own, which is never held for long. */
typedef struct _HyphaPipe HyphaPipe;

HyphaPipe *hypha_pipe_new (void);
HyphaPipe *hypha_pipe_ref (HyphaPipe *self);
void hypha_pipe_unref (HyphaPipe *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaPipe, hypha_pipe_unref)

/* ---- the program's end, for any thread ---- */

#define HYPHA_PIPE_AGAIN -1  /* not now: wait */
#define HYPHA_PIPE_BROKEN -2 /* never: hypha_pipe_dup_error tells why */

gssize hypha_pipe_read (HyphaPipe *self, void *buffer, gsize size); /* 0: the end */
gssize hypha_pipe_write (HyphaPipe *self, const void *data, gsize length);
GError *hypha_pipe_dup_error (HyphaPipe *self, gboolean reading);
void hypha_pipe_close_read (HyphaPipe *self);  /* what lies there is gone; reads are at the end */
void hypha_pipe_close_write (HyphaPipe *self); /* the other end is told behind what was written */

/* A read or a write would not say AGAIN. */
gboolean hypha_pipe_is_ready (HyphaPipe *self, gboolean reading);
/* Until it is ready, or DUE (monotonic us; -1: never), or GIVE_UP answers TRUE: which is asked at
 * first, and at each hypha_pipe_interrupt. FALSE: it was DUE. */
gboolean hypha_pipe_wait (HyphaPipe *self, gboolean reading, gint64 due,
                          gboolean (*give_up) (gpointer data), gpointer data);
void hypha_pipe_interrupt (HyphaPipe *self);

/* Called on any thread, with the lock, when it may have become ready. Embedded in its owner. */
typedef struct _HyphaPipeWatch HyphaPipeWatch;
struct _HyphaPipeWatch {
  HyphaPipeWatch *next;
  void (*func) (HyphaPipeWatch *watch);
  gboolean reading;
};
void hypha_pipe_add_watch (HyphaPipe *self, HyphaPipeWatch *watch);
void hypha_pipe_remove_watch (HyphaPipe *self, HyphaPipeWatch *watch);

/* Asks whoever is at the other end to go on with FD in place of the program's end, which is closed
 * but for what it has written. FD is taken. FALSE: nobody is there, and what was not read is more
 * than fits into FD: it can be read here as before. */
gboolean hypha_pipe_turn (HyphaPipe *self, int fd);

/* ---- the worker's end, for whoever runs the worker ---- */

typedef struct {
  /* Takes what it can of what the program writes; nothing, if it has said that there is no room. */
  gsize (*take) (gpointer user_data, const guint8 *data, gsize length);
  /* The program has read, written or closed: look at what there is. */
  void (*moved) (gpointer user_data);
} HyphaPipeEvents;

/* Looks by itself as soon as the worker comes to it. */
void hypha_pipe_attach (HyphaPipe *self, HyphaWorker *worker, const HyphaPipeEvents *events,
                        gpointer user_data);
/* Nobody is there any more. */
void hypha_pipe_detach (HyphaPipe *self);

void hypha_pipe_deliver (HyphaPipe *self, const guint8 *data, gsize length);
void hypha_pipe_finish (HyphaPipe *self);                  /* nothing more will be delivered */
void hypha_pipe_set_room (HyphaPipe *self, gboolean room); /* whether take would take something */
/* How many bytes the program reads before `moved` has to know. */
void hypha_pipe_set_step (HyphaPipe *self, gsize step);
/* Breaks a direction: from any thread. ERROR is copied. The first one counts; what was delivered
 * whole can still be read. */
void hypha_pipe_break (HyphaPipe *self, gboolean reading, const GError *error);

/* Nobody will attach: both directions break, from any thread. */
void hypha_pipe_abandon (HyphaPipe *self, const GError *error);

/* What happened at the program's end since the last time. */
typedef struct {
  gsize read;           /* so many bytes more */
  gboolean read_closed; /* by now */
  gboolean write_closed;
  gboolean turned; /* a descriptor lies here to go on with */
} HyphaPipeMoves;

void hypha_pipe_take_moves (HyphaPipe *self, HyphaPipeMoves *moves);
/* That descriptor, to be owned. As long as it lies here, detaching pours what was not read into it.
 */
int hypha_pipe_take_turned (HyphaPipe *self);
/* What was written and not taken: as many of its bytes as lie in one piece, then how many of them
 * were taken. */
gsize hypha_pipe_peek (HyphaPipe *self, const guint8 **data);
void hypha_pipe_consume (HyphaPipe *self, gsize taken);
/* Takes the next piece of what was delivered and not read; 0: none. */
gsize hypha_pipe_take_back (HyphaPipe *self, const guint8 **data, HyphaChunk **chunk);

G_END_DECLS
