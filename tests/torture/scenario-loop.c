/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A transport has a thread of its own: a call, a watch and a timer, one after the other, and the
 * end of the thread. */

#include "scenario.h"
#include "../unit/descriptors.h"

#include <hypha-plugin.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATE_BYTES (64 * 1024)

typedef struct {
  HyphaLoop *loop;
  HyphaLoopWatch watch;
  HyphaLoopTimer timer;
  gboolean unwatched; /* the kernel did not take the watch */
  atomic_bool done;
} Errand;

static void
fire (gpointer owner, guint64 now)
{
  atomic_store (&((Errand *) owner)->done, TRUE);
}

static void
ready (gpointer owner, guint32 events)
{
  Errand *self = owner;

  hypha_loop_unwatch (self->loop, &self->watch);
  hypha_loop_set_timer (self->loop, &self->timer, hypha_loop_now () + 1000 * 1000);
}

static void
begin (gpointer data)
{
  Errand *self = data;

  self->unwatched = !hypha_loop_watch (self->loop, &self->watch, EPOLLIN);
  if (self->unwatched)
    atomic_store (&self->done, TRUE);
}

static gboolean
is_done (gpointer data)
{
  return atomic_load (&((Errand *) data)->done);
}

/* What the thread had open was closed, all of it by itself. */
static gboolean
is_gone (gpointer data)
{
  return count_descriptors () <= *(guint *) data;
}

gboolean
scenario_loop (const char *folder, GError **error)
{
  guint before = count_descriptors ();
  HyphaLoop *loop = hypha_loop_acquire ("hypha-torture", STATE_BYTES, NULL, error);
  Errand errand = { .loop = loop };
  gboolean done;
  int ends[2];

  if (loop == NULL)
    return FALSE;
  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
  errand.watch = (HyphaLoopWatch){ .fd = ends[0], .ready = ready, .owner = &errand };
  errand.timer = (HyphaLoopTimer){ .fire = fire, .owner = &errand };
  g_assert_cmpint (send (ends[1], "x", 1, MSG_NOSIGNAL), ==, 1);
  hypha_loop_call (loop, begin, &errand);
  done = scenario_wait (is_done, &errand, "a call, a watch and a timer", error);
  hypha_loop_release (loop);
  close (ends[0]);
  close (ends[1]);
  if (!done || !scenario_wait (is_gone, &before, "the end of the thread", error))
    return FALSE;
  if (errand.unwatched)
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "nobody watches");
  return !errand.unwatched;
}
