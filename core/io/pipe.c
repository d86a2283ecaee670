/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/pipe.h"

#include <glib-unix.h>
#include <glib/gstdio.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "io/pieces.h"
#include "io/queue.h"

#define OUT_MAX HYPHA_CHUNK_LARGE /* written while somebody else has the worker */

struct _HyphaPipe {
  _Atomic guint ref_count;
  pthread_mutex_t lock; /* of all below. While it is held nobody waits for a worker. */

  HyphaWorker *worker; /* NULL: nobody is at the other end (any more, or yet) */
  const HyphaPipeEvents *events;
  gpointer user_data;
  gboolean posted; /* moved will be called */

  /* to the program */
  HyphaPieces unread;
  gsize untold, step; /* bytes read that the other end does not know of, and how many they may be */
  gboolean finished, read_closed;
  GError *read_error;

  /* from the program */
  HyphaQueue out; /* what could not be handed over at once */
  gboolean full, write_closed;
  GError *write_error;

  gboolean left; /* by the program, for a descriptor */
  int turned;    /* the other end of that, until somebody has taken it; -1: none */
  gboolean over; /* nobody will */

  /* A condition would cost whoever wakes one more system call. */
  sem_t readable, writable;
  guint readers, writers; /* that wait, each for a post */
  HyphaPipeWatch *watches;
  gboolean waking;
};

/* ---- life ---- */

HyphaPipe *
hypha_pipe_new (void)
{
  HyphaPipe *self = g_new0 (HyphaPipe, 1);

  atomic_init (&self->ref_count, 1);
  pthread_mutex_init (&self->lock, NULL);
  sem_init (&self->readable, 0, 0);
  sem_init (&self->writable, 0, 0);
  hypha_queue_init (&self->out);
  self->step = 1;
  self->turned = -1;
  return self;
}

HyphaPipe *
hypha_pipe_ref (HyphaPipe *self)
{
  atomic_fetch_add_explicit (&self->ref_count, 1, memory_order_relaxed);
  return self;
}

void
hypha_pipe_unref (HyphaPipe *self)
{
  if (atomic_fetch_sub_explicit (&self->ref_count, 1, memory_order_acq_rel) > 1)
    return;
  g_assert (self->worker == NULL && self->watches == NULL);
  hypha_pieces_clear (&self->unread);
  hypha_queue_clear (&self->out);
  g_clear_error (&self->read_error);
  g_clear_error (&self->write_error);
  if (self->turned >= 0)
    close (self->turned);
  sem_destroy (&self->readable);
  sem_destroy (&self->writable);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* ---- waiting and waking ---- */

static gboolean
is_ready (HyphaPipe *self, gboolean reading)
{
  if (reading)
    return self->unread.length > 0 || self->finished || self->read_closed || self->left ||
           self->read_error != NULL;
  return self->write_closed || self->left || self->write_error != NULL ||
         (!self->full && hypha_queue_length (&self->out) < OUT_MAX);
}

static guint
take_waiting (HyphaPipe *self, gboolean reading)
{
  guint *waiting = reading ? &self->readers : &self->writers, n = *waiting;

  if (!is_ready (self, reading))
    return 0;
  *waiting = 0;
  return n;
}

/* Takes the lock, and lets it go before it wakes threads that want it. */
static void
wake (gpointer data)
{
  g_autoptr (HyphaPipe) self = data;
  guint readers, writers;

  pthread_mutex_lock (&self->lock);
  self->waking = FALSE;
  readers = take_waiting (self, TRUE);
  writers = take_waiting (self, FALSE);
  for (HyphaPipeWatch *watch = self->watches; watch != NULL; watch = watch->next)
    if (is_ready (self, watch->reading))
      watch->func (watch);
  pthread_mutex_unlock (&self->lock);
  while (readers-- > 0)
    sem_post (&self->readable);
  while (writers-- > 0)
    sem_post (&self->writable);
}

static void
wake_afterwards (HyphaPipe *self, gboolean reading)
{
  if (self->waking || ((reading ? self->readers : self->writers) == 0 && self->watches == NULL))
    return;
  self->waking = TRUE;
  hypha_worker_afterwards (self->worker, wake, hypha_pipe_ref (self));
}

static void
unlock_and_wake (HyphaPipe *self)
{
  pthread_mutex_unlock (&self->lock);
  wake (hypha_pipe_ref (self));
}

gboolean
hypha_pipe_is_ready (HyphaPipe *self, gboolean reading)
{
  gboolean ready;

  pthread_mutex_lock (&self->lock);
  ready = is_ready (self, reading);
  pthread_mutex_unlock (&self->lock);
  return ready;
}

/**
 * hypha_pipe_wait: (skip)
 * @self: a pipe
 * @reading: to read, or else to write
 * @due: monotonic microseconds, or -1
 * @give_up: (nullable): asked with the lock
 * @data: for @give_up
 *
 * Returns: %FALSE if it was @due
 */
gboolean
hypha_pipe_wait (HyphaPipe *self, gboolean reading, gint64 due, gboolean (*give_up) (gpointer data),
                 gpointer data)
{
  sem_t *posts = reading ? &self->readable : &self->writable;
  guint *waiting = reading ? &self->readers : &self->writers;
  const struct timespec until = { due / G_USEC_PER_SEC, due % G_USEC_PER_SEC * 1000 };
  gboolean in_time = TRUE, posted;

  pthread_mutex_lock (&self->lock);
  while (in_time && !is_ready (self, reading) && (give_up == NULL || !give_up (data))) {
    ++*waiting;
    pthread_mutex_unlock (&self->lock);
    posted = (due < 0 ? sem_wait (posts) : sem_clockwait (posts, CLOCK_MONOTONIC, &until)) == 0;
    in_time = posted || errno == EINTR;
    pthread_mutex_lock (&self->lock);
    /* Whoever posts no longer counts those he posts for. If he has done so just now, the post is
     * left for another waiter, who then looks once more than there was need to. */
    if (!posted && *waiting > 0)
      --*waiting;
  }
  pthread_mutex_unlock (&self->lock);
  return in_time;
}

/* All who wait look again. */
void
hypha_pipe_interrupt (HyphaPipe *self)
{
  guint readers, writers;

  pthread_mutex_lock (&self->lock);
  readers = self->readers;
  writers = self->writers;
  self->readers = self->writers = 0;
  pthread_mutex_unlock (&self->lock);
  while (readers-- > 0)
    sem_post (&self->readable);
  while (writers-- > 0)
    sem_post (&self->writable);
}

void
hypha_pipe_add_watch (HyphaPipe *self, HyphaPipeWatch *watch)
{
  pthread_mutex_lock (&self->lock);
  watch->next = self->watches;
  self->watches = watch;
  pthread_mutex_unlock (&self->lock);
}

void
hypha_pipe_remove_watch (HyphaPipe *self, HyphaPipeWatch *watch)
{
  HyphaPipeWatch **place;

  pthread_mutex_lock (&self->lock);
  for (place = &self->watches; *place != watch; place = &(*place)->next)
    continue;
  *place = watch->next;
  pthread_mutex_unlock (&self->lock);
}

/* ---- the program's end ---- */

static void
look (gpointer data)
{
  g_autoptr (HyphaPipe) self = data;
  const HyphaPipeEvents *events;
  gpointer user_data;

  pthread_mutex_lock (&self->lock);
  self->posted = FALSE;
  events = self->worker != NULL ? self->events : NULL;
  user_data = self->user_data;
  pthread_mutex_unlock (&self->lock);
  if (events != NULL)
    events->moved (user_data);
}

static void
post (HyphaPipe *self)
{
  if (self->posted)
    return;
  self->posted = TRUE;
  hypha_worker_post (self->worker, look, hypha_pipe_ref (self));
}

/* Tells the other end, on this thread if nobody else has the worker. As long as it is attached, its
 * worker is there; and while the worker is held, nobody detaches it. */
static void
tell_and_unlock (HyphaPipe *self)
{
  HyphaWorker *worker = self->worker;
  const HyphaPipeEvents *events = self->events;
  gpointer user_data = self->user_data;
  gboolean entered = worker != NULL && !self->posted && hypha_worker_enter (worker);

  if (worker != NULL && !entered)
    post (self);
  pthread_mutex_unlock (&self->lock);
  if (!entered)
    return;
  events->moved (user_data);
  hypha_worker_leave (worker);
}

/**
 * hypha_pipe_read: (skip)
 * @self: a pipe
 * @buffer: (array length=size): where to
 * @size: how many bytes at most
 *
 * Returns: how many bytes were read; 0: the end, or @size was 0; %HYPHA_PIPE_AGAIN or
 * %HYPHA_PIPE_BROKEN
 */
gssize
hypha_pipe_read (HyphaPipe *self, void *buffer, gsize size)
{
  gssize done;

  pthread_mutex_lock (&self->lock);
  if (self->left) {
    done = HYPHA_PIPE_AGAIN;
  } else if (self->unread.length > 0 || size == 0) {
    done = (gssize) hypha_pieces_read (&self->unread, buffer, size);
    self->untold += (gsize) done;
    if (self->untold >= self->step || (self->finished && self->unread.length == 0 && done > 0)) {
      tell_and_unlock (self);
      return done;
    }
  } else if (self->finished || self->read_closed) {
    done = 0;
  } else {
    done = self->read_error != NULL ? HYPHA_PIPE_BROKEN : HYPHA_PIPE_AGAIN;
  }
  pthread_mutex_unlock (&self->lock);
  return done;
}

/**
 * hypha_pipe_write: (skip)
 * @self: a pipe
 * @data: (array length=length): bytes
 * @length: how many
 *
 * Hands them to the other end on this thread, if nobody else has its worker; if somebody has,
 * leaves them for him.
 *
 * Returns: how many bytes were taken, or %HYPHA_PIPE_AGAIN or %HYPHA_PIPE_BROKEN
 */
gssize
hypha_pipe_write (HyphaPipe *self, const void *data, gsize length)
{
  HyphaWorker *worker;
  gssize done = HYPHA_PIPE_AGAIN;

  pthread_mutex_lock (&self->lock);
  worker = self->worker;
  if (self->write_error != NULL || self->write_closed) {
    done = HYPHA_PIPE_BROKEN;
  } else if (length == 0) {
    done = 0;
  } else if (self->full || self->left) {
    done = HYPHA_PIPE_AGAIN;
  } else if (worker != NULL && hypha_queue_length (&self->out) == 0 &&
             hypha_worker_enter (worker)) {
    const HyphaPipeEvents *events = self->events;
    gpointer user_data = self->user_data;

    pthread_mutex_unlock (&self->lock);
    length = events->take (user_data, data, length);
    hypha_worker_leave (worker);
    return length > 0 ? (gssize) length : HYPHA_PIPE_AGAIN;
  } else if (hypha_queue_length (&self->out) < OUT_MAX) {
    done = (gssize) MIN (length, OUT_MAX - hypha_queue_length (&self->out));
    hypha_queue_append (&self->out, data, (gsize) done);
    if (worker != NULL)
      post (self);
  }
  pthread_mutex_unlock (&self->lock);
  return done;
}

GError *
hypha_pipe_dup_error (HyphaPipe *self, gboolean reading)
{
  GError *error, *copy;

  pthread_mutex_lock (&self->lock);
  error = reading ? self->read_error : self->write_error;
  copy = error != NULL ? g_error_copy (error) : NULL;
  pthread_mutex_unlock (&self->lock);
  return copy;
}

void
hypha_pipe_close_read (HyphaPipe *self)
{
  pthread_mutex_lock (&self->lock);
  if (self->read_closed) {
    pthread_mutex_unlock (&self->lock);
    return;
  }
  self->read_closed = TRUE;
  hypha_pieces_clear (&self->unread);
  tell_and_unlock (self);
  wake (hypha_pipe_ref (self));
}

void
hypha_pipe_close_write (HyphaPipe *self)
{
  pthread_mutex_lock (&self->lock);
  if (self->write_closed) {
    pthread_mutex_unlock (&self->lock);
    return;
  }
  self->write_closed = TRUE;
  tell_and_unlock (self);
  wake (hypha_pipe_ref (self));
}

/**
 * hypha_pipe_turn: (skip)
 * @self: a pipe that was not turned
 * @fd: (transfer full): a Unix socket, whose other end the program will have
 *
 * Asks whoever is at the other end to go on with @fd in place of the program's end. If he has gone,
 * what the program has yet to read is written to @fd, and @fd closed behind it.
 *
 * Returns: %FALSE, and nothing has changed, if he has gone and this is more than fits into @fd
 */
gboolean
hypha_pipe_turn (HyphaPipe *self, int fd)
{
  pthread_mutex_lock (&self->lock);
  g_assert (!self->left);
  if (self->over && !hypha_pieces_send (&self->unread, fd)) {
    pthread_mutex_unlock (&self->lock);
    close (fd);
    return FALSE;
  }
  self->left = TRUE;
  if (self->over) {
    hypha_pieces_clear (&self->unread);
    close (fd);
  } else {
    self->turned = fd;
  }
  tell_and_unlock (self);
  wake (hypha_pipe_ref (self));
  return TRUE;
}

/* ---- the worker's end ---- */

void
hypha_pipe_attach (HyphaPipe *self, HyphaWorker *worker, const HyphaPipeEvents *events,
                   gpointer user_data)
{
  pthread_mutex_lock (&self->lock);
  g_assert (self->worker == NULL);
  self->worker = worker;
  self->events = events;
  self->user_data = user_data;
  pthread_mutex_unlock (&self->lock);
}

void
hypha_pipe_detach (HyphaPipe *self)
{
  pthread_mutex_lock (&self->lock);
  self->worker = NULL;
  self->over = TRUE;
  if (self->turned >= 0) {
    hypha_pieces_send (&self->unread, self->turned);
    close (g_steal_fd (&self->turned));
  }
  pthread_mutex_unlock (&self->lock);
}

/**
 * hypha_pipe_deliver: (skip)
 * @self: an attached pipe, which is not finished
 * @data: (array length=length): bytes; those that lie in the worker's buffer may stay there
 * @length: how many
 *
 * Takes all of them. How much lies here is the caller's to bound.
 */
void
hypha_pipe_deliver (HyphaPipe *self, const guint8 *data, gsize length)
{
  pthread_mutex_lock (&self->lock);
  if (!self->read_closed && self->read_error == NULL && length > 0) {
    hypha_pieces_add (&self->unread, self->worker, data, length);
    wake_afterwards (self, TRUE);
  }
  pthread_mutex_unlock (&self->lock);
}

void
hypha_pipe_finish (HyphaPipe *self)
{
  pthread_mutex_lock (&self->lock);
  self->finished = self->read_error == NULL;
  unlock_and_wake (self);
}

void
hypha_pipe_set_room (HyphaPipe *self, gboolean room)
{
  pthread_mutex_lock (&self->lock);
  self->full = !room;
  if (room)
    wake_afterwards (self, FALSE);
  pthread_mutex_unlock (&self->lock);
}

void
hypha_pipe_set_step (HyphaPipe *self, gsize step)
{
  pthread_mutex_lock (&self->lock);
  self->step = MAX (step, 1);
  /* As many may have been read since the moves were taken, when they were too few to be told. */
  if (self->worker != NULL && self->untold >= self->step)
    post (self);
  pthread_mutex_unlock (&self->lock);
}

void
hypha_pipe_break (HyphaPipe *self, gboolean reading, const GError *error)
{
  GError **place = reading ? &self->read_error : &self->write_error;

  pthread_mutex_lock (&self->lock);
  if (*place == NULL && !(reading && self->finished))
    *place = g_error_copy (error);
  if (reading && !self->finished)
    hypha_pieces_clear (&self->unread);
  unlock_and_wake (self);
}

void
hypha_pipe_abandon (HyphaPipe *self, const GError *error)
{
  hypha_pipe_break (self, TRUE, error);
  hypha_pipe_break (self, FALSE, error);
  hypha_pipe_detach (self);
}

void
hypha_pipe_take_moves (HyphaPipe *self, HyphaPipeMoves *moves)
{
  pthread_mutex_lock (&self->lock);
  *moves = (HyphaPipeMoves){
    .read = self->untold,
    .read_closed = self->read_closed,
    .write_closed = self->write_closed,
    .turned = self->turned >= 0,
  };
  self->untold = 0;
  pthread_mutex_unlock (&self->lock);
}

int
hypha_pipe_take_turned (HyphaPipe *self)
{
  int fd;

  pthread_mutex_lock (&self->lock);
  fd = g_steal_fd (&self->turned);
  pthread_mutex_unlock (&self->lock);
  return fd;
}

gsize
hypha_pipe_peek (HyphaPipe *self, const guint8 **data)
{
  gsize length = 0;

  pthread_mutex_lock (&self->lock);
  if (hypha_queue_length (&self->out) > 0)
    length = hypha_queue_peek (&self->out, self->out.start, OUT_MAX, data, NULL);
  pthread_mutex_unlock (&self->lock);
  return length;
}

void
hypha_pipe_consume (HyphaPipe *self, gsize taken)
{
  pthread_mutex_lock (&self->lock);
  hypha_queue_drop (&self->out, self->out.start + taken);
  wake_afterwards (self, FALSE);
  pthread_mutex_unlock (&self->lock);
}

/**
 * hypha_pipe_take_back: (skip)
 * @self: a pipe
 * @data: (out): bytes that were delivered and not read
 * @chunk: (out) (transfer full): what holds them
 *
 * Returns: how many bytes there are in the first piece, which is gone with this; 0: none
 */
gsize
hypha_pipe_take_back (HyphaPipe *self, const guint8 **data, HyphaChunk **chunk)
{
  gsize length;

  pthread_mutex_lock (&self->lock);
  length = hypha_pieces_take (&self->unread, data, chunk);
  pthread_mutex_unlock (&self->lock);
  return length;
}
