/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "io/chunk.h"

G_BEGIN_DECLS

/* A thread on plain epoll. Data lives here; the main thread hands over closures and never touches
 * it. While the thread sleeps, another one may take its place for a moment. Threads meet by C11
 * atomics and pthread locks only, so that ThreadSanitizer sees every meeting. */
typedef struct _HyphaWorker HyphaWorker;

typedef void (*HyphaWorkFunc) (gpointer data);

HyphaWorker *hypha_worker_new (const char *name, GError **error);
/* Carries out what has been posted, then ends the thread. Watches and timers must be gone by then.
 */
void hypha_worker_free (HyphaWorker *self);
/* From any thread, in order. */
void hypha_worker_post (HyphaWorker *self, HyphaWorkFunc func, gpointer data);
/* Likewise, at once if it may be. */
void hypha_worker_do (HyphaWorker *self, HyphaWorkFunc func, gpointer data);
gboolean hypha_worker_is_current (HyphaWorker *self);
/* Another thread as a guest: see worker.c. */
gboolean hypha_worker_enter (HyphaWorker *self);
void hypha_worker_leave (HyphaWorker *self);

/* From any thread: for how long it stays awake after it had something to do, in microseconds; 0, as
 * at the beginning: not at all. */
#define HYPHA_WORKER_SPIN_MAX 100
void hypha_worker_set_spin (HyphaWorker *self, guint spin);

/* What follows is for the worker's own thread, and for a guest. */

/* Once the worker is not held any more: to wake others, who would only find it taken. */
void hypha_worker_afterwards (HyphaWorker *self, HyphaWorkFunc func, gpointer data);

/* Monotonic microseconds, read once per wake-up and after each callback that took long. */
gint64 hypha_worker_now (HyphaWorker *self);
/* One read buffer that all share: what is in it is gone when the callback returns, unless it is
 * kept. */
guint8 *hypha_worker_scratch (HyphaWorker *self, gsize least, gsize *size);
HyphaChunk *hypha_worker_keep (HyphaWorker *self, const guint8 *data, gsize length);

/* A descriptor that is watched (level-triggered). Embedded in its owner; not owned: the descriptor
 * stays the owner's. A watch that was stopped is not called any more, not even for what the same
 * wake-up brought. */
typedef struct _HyphaWatch HyphaWatch;
typedef void (*HyphaWatchFunc) (HyphaWatch *watch,
                                guint32 events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, ... */
struct _HyphaWatch {
  HyphaWorker *worker; /* NULL: not watched */
  int fd;
  guint32 events;
  HyphaWatchFunc func;
  gpointer user_data;
};
gboolean hypha_watch_start (HyphaWatch *watch, HyphaWorker *worker, int fd, guint32 events,
                            HyphaWatchFunc func, gpointer user_data, GError **error);
void hypha_watch_set_events (HyphaWatch *watch,
                             guint32 events); /* no system call if unchanged; 0: errors only */
void hypha_watch_stop (HyphaWatch *watch);    /* may be called when not watched */
/* After which whoever waits to write, and not to read, tries it all the same. vsock wakes nobody
 * who does when the other end goes (Linux 6.1): only write() tells. */
#define HYPHA_WRITE_ANYWAY G_USEC_PER_SEC

/* A one-shot timer. Embedded, too. */
typedef struct _HyphaTimer HyphaTimer;
typedef void (*HyphaTimerFunc) (HyphaTimer *timer);
struct _HyphaTimer {
  HyphaWorker *worker; /* NULL: not set */
  gint64 due;          /* us, monotonic */
  GPtrArray *heap;     /* of the worker's */
  guint index;         /* in it */
  HyphaTimerFunc func;
  gpointer user_data;
};
/* Set again: moves it. A DUE in the past fires in this round of the loop, after the descriptors;
 * set from a timer's own call, in the next round. */
void hypha_timer_set (HyphaTimer *timer, HyphaWorker *worker, gint64 due, HyphaTimerFunc func,
                      gpointer user_data);
void hypha_timer_cancel (HyphaTimer *timer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaWorker, hypha_worker_free)

G_END_DECLS
