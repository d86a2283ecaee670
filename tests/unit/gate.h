/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <time.h>

/* Lets a test wait for something that happens on another thread, for at most 30 s. By pthread
 * rather than GLib's locks: Debian's GLib is not built for ThreadSanitizer, which would not see
 * them. */
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t cond;
  guint count;
} Gate;

#define GATE_INIT                                          \
  {                                                        \
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 \
  }

static inline void
gate_init (Gate *gate)
{
  *gate = (Gate) GATE_INIT;
}

static inline void
gate_open (Gate *gate)
{
  pthread_mutex_lock (&gate->lock);
  gate->count++;
  pthread_cond_signal (&gate->cond);
  pthread_mutex_unlock (&gate->lock);
}

/* Until it was opened COUNT times in all. */
static inline void
gate_wait (Gate *gate, guint count)
{
  struct timespec end;

  clock_gettime (CLOCK_REALTIME, &end);
  end.tv_sec += 30;
  pthread_mutex_lock (&gate->lock);
  while (gate->count < count)
    if (pthread_cond_timedwait (&gate->cond, &gate->lock, &end) == ETIMEDOUT)
      g_error ("waited 30 s for %u events, %u came", count, gate->count);
  pthread_mutex_unlock (&gate->lock);
}

/* How often it was opened so far. */
static inline guint
gate_count (Gate *gate)
{
  guint count;

  pthread_mutex_lock (&gate->lock);
  count = gate->count;
  pthread_mutex_unlock (&gate->lock);
  return count;
}
