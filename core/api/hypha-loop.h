/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For transports that pump their channels: a thread of their own. Only hypha-plugin.h includes it.
 */

#include <glib.h>
#include "hypha-macros.h"

G_BEGIN_DECLS

/**
 * HyphaLoop:
 *
 * A thread of a transport's own, with a main context that is its default. It is there while
 * somebody holds it, and there is one of a name in the process.
 *
 * What uses GIO does so on the context. What has many descriptors, or moves many bytes, has watches
 * and timers, which are one source of that context however many they are: a GSource for each makes
 * every turn of the loop dearer for all. Anybody may have both.
 *
 * Since: ABI 1.2
 */
typedef struct _HyphaLoop HyphaLoop;

/**
 * HyphaLoopFunc:
 * @data: what was given with it
 *
 * What is done on a loop.
 *
 * Since: ABI 1.2
 */
typedef void (*HyphaLoopFunc) (gpointer data);

/**
 * HyphaLoopWatch:
 * @fd: the descriptor
 * @events: what it waits for, as of epoll(7); the loop's
 * @on: whether it waits; the loop's
 * @ready: is told what has come about
 * @owner: for @ready
 *
 * Somebody who waits for a descriptor. It lies with its owner, who sets @fd, @ready and @owner, and
 * leaves the rest 0. It is level-triggered. Who has taken it back may be told of nothing any more,
 * and frees it by a [method@Hypha.Loop.call] of what frees it: others of the same turn may know it
 * still.
 *
 * Since: ABI 1.2
 */
typedef struct {
  int fd;
  guint32 events;
  gboolean on;
  void (*ready) (gpointer owner, guint32 events);
  gpointer owner;
} HyphaLoopWatch;

/**
 * HyphaLoopTimer:
 * @due: when, as [func@Hypha.Loop.now]; the loop's
 * @place: 0 if it does not wait; the loop's
 * @fire: is told the time, once
 * @owner: for @fire
 *
 * Somebody whom time passes for. It lies with its owner, who sets @fire and @owner and leaves the
 * rest 0. Those that are due run after everybody who is ready, so that what came in one turn can be
 * answered in one; the first to be due is the first.
 *
 * Since: ABI 1.2
 */
typedef struct {
  guint64 due;
  guint place;
  void (*fire) (gpointer owner, guint64 now);
  gpointer owner;
} HyphaLoopTimer;

/**
 * HYPHA_LOOP_NEVER:
 *
 * When a timer is due that does not wait.
 *
 * Since: ABI 1.2
 */
#define HYPHA_LOOP_NEVER G_MAXUINT64

/* From any thread. */
HYPHA_EXTERN
HyphaLoop *hypha_loop_acquire (const char *name, gsize state_size, GDestroyNotify clear_state,
                               GError **error);
HYPHA_EXTERN
HyphaLoop *hypha_loop_ref (HyphaLoop *self);
HYPHA_EXTERN
void hypha_loop_release (HyphaLoop *self);
HYPHA_EXTERN
GMainContext *hypha_loop_get_context (HyphaLoop *self);
HYPHA_EXTERN
void hypha_loop_call (HyphaLoop *self, HyphaLoopFunc func, gpointer data);
HYPHA_EXTERN
void hypha_loop_forget (HyphaLoop *self, int fd);
HYPHA_EXTERN
guint64 hypha_loop_now (void);

/* On the loop. */
HYPHA_EXTERN
gpointer hypha_loop_get_state (HyphaLoop *self);
HYPHA_EXTERN
gboolean hypha_loop_watch (HyphaLoop *self, HyphaLoopWatch *watch, guint32 events);
HYPHA_EXTERN
void hypha_loop_unwatch (HyphaLoop *self, HyphaLoopWatch *watch);
HYPHA_EXTERN
void hypha_loop_set_timer (HyphaLoop *self, HyphaLoopTimer *timer, guint64 due);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaLoop, hypha_loop_release)

G_END_DECLS
