/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/farewell.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PATIENCE G_TIME_SPAN_SECOND                   /* with a peer that does not go */
#define LAST_PATIENCE (250 * G_TIME_SPAN_MILLISECOND) /* when the worker ends */
#define MOST 512 /* at once: a peer that has its links closed again and again costs no more */

typedef struct {
  HyphaWorker *worker;
  HyphaLine line;
  HyphaOutput output;
  gboolean bye;  /* all frames are out, and TLS has been told */
  gboolean said; /* all is out, and writing shut down */
  HyphaWatch watch;
  HyphaTimer timer;
  GList place; /* in under_way */
} Farewell;

/* Those of this thread, which is a worker's: the eldest first. */
static _Thread_local GQueue under_way = G_QUEUE_INIT;
static _Thread_local gboolean finished; /* the worker is about to end */

static void
end (Farewell *self)
{
  hypha_watch_stop (&self->watch);
  hypha_timer_cancel (&self->timer);
  hypha_line_close (&self->line, FALSE);
  hypha_output_clear (&self->output);
  g_queue_unlink (&under_way, &self->place);
  g_free (self);
}

/* FALSE: nobody is there to hear it. */
static gboolean
say (Farewell *self)
{
  HyphaLineResult result = hypha_line_send (&self->line, &self->output, NULL, NULL);

  if (result == HYPHA_LINE_DONE && !self->bye) {
    self->bye = TRUE;
    hypha_line_bye (&self->line);
    result = hypha_line_flush (&self->line, NULL);
  }
  if (result == HYPHA_LINE_DONE) {
    self->said = TRUE;
    shutdown (self->line.fd, SHUT_WR);
  }
  return result != HYPHA_LINE_ERROR;
}

/* Throws away what comes, as it comes: there is nobody left to decrypt it for. FALSE: no more does.
 */
static gboolean
ignore (Farewell *self)
{
  gsize size;
  guint8 *buffer = hypha_worker_scratch (self->worker, 0, &size);
  gssize n = recv (self->line.fd, buffer, size, 0);

  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

static void
go_on (Farewell *self)
{
  if ((self->said || say (self)) && ignore (self))
    hypha_watch_set_events (&self->watch, EPOLLIN | (self->said ? 0 : EPOLLOUT));
  else
    end (self);
}

static void
ready (HyphaWatch *watch, guint32 events)
{
  go_on (watch->user_data);
}

static void
run_out (HyphaTimer *timer)
{
  end (timer->user_data);
}

static void
begin (gpointer data)
{
  Farewell *self = data;
  HyphaWorker *worker = self->worker;

  self->place.data = self;
  g_queue_push_tail_link (&under_way, &self->place);
  hypha_timer_set (&self->timer, worker, hypha_worker_now (worker) + PATIENCE, run_out, self);
  if (!say (self) || !hypha_watch_start (&self->watch, worker, self->line.fd,
                                         EPOLLIN | (self->said ? 0 : EPOLLOUT), ready, self, NULL))
    end (self);
  while (under_way.length > (finished ? 0 : MOST))
    end (g_queue_peek_head (&under_way));
}

void
hypha_farewell_start (HyphaWorker *worker, HyphaLine *line, HyphaOutput *output)
{
  Farewell *self = g_new0 (Farewell, 1);

  self->worker = worker;
  self->line = *line;
  *line = (HyphaLine){ .fd = -1 };
  hypha_output_take_rest (&self->output, output);
  /* A guest of the worker has a list of its own, where nobody would look. */
  if (hypha_worker_is_current (worker))
    begin (self);
  else
    hypha_worker_post (worker, begin, self);
}

/* Waits for whichever of them is the first to be ready. */
static void
wait_for_all (gint64 left)
{
  guint n = under_way.length;
  g_autofree struct pollfd *polled = g_new (struct pollfd, n);
  GList *next = under_way.head;

  for (guint i = 0; i < n; i++, next = next->next) {
    const Farewell *self = next->data;

    polled[i] = (struct pollfd){ self->line.fd, POLLIN | (self->said ? 0 : POLLOUT), 0 };
  }
  poll (polled, n, (int) (left / 1000) + 1);
  next = under_way.head;
  for (guint i = 0; i < n; i++) {
    Farewell *self = next->data;

    next = next->next;
    if (polled[i].revents != 0)
      go_on (self);
  }
}

/* It blocks the worker, but that has nothing else to do any more. */
static void
finish (gpointer data)
{
  gint64 deadline = g_get_monotonic_time () + LAST_PATIENCE;
  gint64 left = LAST_PATIENCE;

  while (under_way.length > 0 && left > 0) {
    wait_for_all (left);
    left = deadline - g_get_monotonic_time ();
  }
  while (under_way.length > 0)
    end (g_queue_peek_head (&under_way));
  /* What a guest has left meanwhile is said as far as it goes out at once. */
  finished = TRUE;
}

void
hypha_farewell_finish (HyphaWorker *worker)
{
  hypha_worker_post (worker, finish, worker);
}
