/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/copier.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <errno.h>
#include <hypha-api.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/queue.h"

/* Read and write rather than splice: it takes every kind of descriptor, and an idle copier holds
 * neither a pipe nor a buffer. */
#define READ_MAX (64 * 1024)
#define ROUNDS 4 /* of READ_MAX at a wake-up, then others have their turn */

struct _HyphaCopier {
  HyphaWorker *worker;
  HyphaWatch from; /* with echo, for both directions */
  HyphaWatch to;
  HyphaTimer again; /* while something is held: to write it all the same */
  int from_fd, to_fd;
  HyphaQueue held; /* what was read and could not be written yet */
  gboolean full;   /* there is some: nothing is read, and only then the queue is there */
  guint64 bytes;
  HyphaCopierDone done;
  gpointer user_data;
};

static inline gboolean
is_echo (HyphaCopier *self)
{
  return self->to_fd == self->from_fd;
}

static void
close_both (HyphaCopier *self)
{
  hypha_watch_stop (&self->from);
  hypha_watch_stop (&self->to);
  hypha_timer_cancel (&self->again);
  if (self->to_fd >= 0 && !is_echo (self))
    close (self->to_fd);
  close (self->from_fd);
}

static void
copier_free (HyphaCopier *self)
{
  hypha_queue_clear (&self->held);
  g_free (self);
}

static void
finish (HyphaCopier *self, const GError *error)
{
  if (error == NULL && self->to_fd >= 0)
    shutdown (self->to_fd, SHUT_WR); /* a pipe or a file ends by being closed */
  close_both (self);
  if (self->done != NULL)
    self->done (self, self->bytes, error, self->user_data);
  copier_free (self);
}

static void
fail (HyphaCopier *self, const char *what, int number)
{
  g_autoptr (GError) error =
      g_error_new (HYPHA_ERROR, number == EPIPE ? HYPHA_ERROR_GONE : HYPHA_ERROR_RESET,
                   _ ("Copying stopped after %" PRIu64 " bytes, while %s: %s"), self->bytes, what,
                   g_strerror (number));

  finish (self, error);
}

static gboolean
would_block (int number)
{
  return number == EAGAIN || number == EWOULDBLOCK || number == EINTR;
}

/* FALSE: an error, in errno. *WRITTEN is less than LENGTH where TO takes no more for now. */
static gboolean
write_some (HyphaCopier *self, const guint8 *data, gsize length, gsize *written)
{
  *written = 0;
  while (*written < length) {
    gssize n;

    if (self->to_fd < 0)
      n = (gssize) (length - *written);
    else
      n = write (self->to_fd, data + *written, length - *written);
    if (n < 0)
      return would_block (errno);
    *written += (gsize) n;
    self->bytes += (guint64) n;
  }
  return TRUE;
}

/* In one piece, if there is memory for it. */
static void
hold (HyphaCopier *self, const guint8 *data, gsize length)
{
  hypha_queue_init (&self->held);
  hypha_queue_expect (&self->held, MIN (length, HYPHA_CHUNK_MIDDLE));
  hypha_queue_append (&self->held, data, length);
  self->full = TRUE;
}

static gboolean
write_held (HyphaCopier *self)
{
  gsize length, written;

  do {
    const guint8 *data;

    length = hypha_queue_peek (&self->held, self->held.start, G_MAXSIZE, &data, NULL);
    if (!write_some (self, data, length, &written))
      return FALSE;
    hypha_queue_drop (&self->held, self->held.start + written);
    self->full = hypha_queue_length (&self->held) > 0;
  } while (self->full && written == length);
  if (!self->full)
    hypha_queue_clear (&self->held);
  return TRUE;
}

static void try_again (HyphaTimer *timer);

static void
want_events (HyphaCopier *self)
{
  gboolean full = self->full;

  if (full)
    hypha_timer_set (&self->again, self->worker,
                     hypha_worker_now (self->worker) + HYPHA_WRITE_ANYWAY, try_again, self);
  else
    hypha_timer_cancel (&self->again);
  if (is_echo (self)) {
    hypha_watch_set_events (&self->from, full ? EPOLLOUT : EPOLLIN);
    return;
  }
  if (self->from.worker != NULL)
    hypha_watch_set_events (&self->from, full ? 0 : EPOLLIN);
  if (self->to.worker != NULL)
    hypha_watch_set_events (&self->to, full ? EPOLLOUT : 0);
}

static void
pump (HyphaCopier *self)
{
  gsize size;
  guint8 *buffer = hypha_worker_scratch (self->worker, 0, &size);

  if (self->full && !write_held (self)) {
    fail (self, _ ("writing"), errno);
    return;
  }
  for (guint round = 0; !self->full && round < ROUNDS; round++) {
    gssize n = read (self->from_fd, buffer, MIN (size, READ_MAX));
    gsize written;

    if (n < 0 && would_block (errno))
      break;
    if (n < 0) {
      fail (self, _ ("reading"), errno);
      return;
    }
    if (n == 0) {
      finish (self, NULL);
      return;
    }
    if (!write_some (self, buffer, (gsize) n, &written)) {
      fail (self, _ ("writing"), errno);
      return;
    }
    if (written < (gsize) n)
      hold (self, buffer + written, (gsize) n - written);
  }
  want_events (self);
}

static gboolean watch_from (HyphaCopier *self, HyphaWatchFunc func, GError **error);
static void from_ready (HyphaWatch *watch, guint32 events);

/* FROM may not be watched any more: it had hung up while there was something to write. */
static void
go_on (HyphaCopier *self)
{
  g_autoptr (GError) error = NULL;

  if (self->from.worker == NULL && !watch_from (self, from_ready, &error))
    finish (self, error);
  else
    pump (self);
}

static void
try_again (HyphaTimer *timer)
{
  go_on (timer->user_data);
}

static gboolean
watch_from (HyphaCopier *self, HyphaWatchFunc func, GError **error)
{
  return hypha_watch_start (&self->from, self->worker, self->from_fd, EPOLLIN, func, self, error);
}

static void
from_ready (HyphaWatch *watch, guint32 events)
{
  HyphaCopier *self = watch->user_data;

  /* A hang-up while nothing may be read yet would come again and again: it is found by reading,
   * later. */
  if (self->full && !is_echo (self)) {
    hypha_watch_stop (watch);
    return;
  }
  pump (self);
}

static void
to_ready (HyphaWatch *watch, guint32 events)
{
  HyphaCopier *self = watch->user_data;

  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    int number = 0;
    socklen_t length = sizeof number;

    getsockopt (self->to_fd, SOL_SOCKET, SO_ERROR, &number, &length);
    fail (self, _ ("writing"), number != 0 ? number : EPIPE);
    return;
  }
  go_on (self);
}

/**
 * hypha_copier_start: (skip)
 * @worker: the current worker
 * @from: a non-blocking descriptor, taken
 * @to: likewise; the same as @from to send everything back, -1 to throw it away
 * @done: (nullable): told at the end, unless the copier was cancelled
 * @user_data: for @done
 * @error: return location for a #GError
 *
 * Holds at most 64 KiB, and only while @to takes no more.
 *
 * Returns: (transfer none) (nullable): the copier, which frees itself at the end; or %NULL with
 * %HYPHA_ERROR_FAILED if a descriptor cannot be watched: then both are closed
 */
HyphaCopier *
hypha_copier_start (HyphaWorker *worker, int from, int to, HyphaCopierDone done, gpointer user_data,
                    GError **error)
{
  HyphaCopier *self = g_new0 (HyphaCopier, 1);

  self->worker = worker;
  self->from_fd = from;
  self->to_fd = to;
  self->done = done;
  self->user_data = user_data;
  if (!watch_from (self, from_ready, error) ||
      (to >= 0 && to != from &&
       !hypha_watch_start (&self->to, worker, to, 0, to_ready, self, error))) {
    close_both (self);
    copier_free (self);
    return NULL;
  }
  return self;
}

/**
 * hypha_copier_cancel: (skip)
 * @copier: (transfer full): a copier that is not done
 *
 * Closes both descriptors at once; what was read and not written is lost.
 */
void
hypha_copier_cancel (HyphaCopier *copier)
{
  close_both (copier);
  copier_free (copier);
}

/**
 * hypha_copier_get_bytes: (skip)
 * @copier: a copier that is not done; on its worker
 *
 * Returns: how many bytes went over so far
 */
guint64
hypha_copier_get_bytes (HyphaCopier *copier)
{
  return copier->bytes;
}
