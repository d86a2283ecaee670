/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/event-queue.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <stdio.h>

#include <hypha-api.h>

/* As many as a burst has, at a few hundred bytes each. */
#define MAX_LINES 20000
/* What a reader that stands still may cost whoever ends the program. */
#define FINISH_MS 500

struct _HyphaEventQueue {
  GMutex mutex;
  GCond cond; /* any of these has changed */
  GQueue lines;
  gboolean writing;
  int error; /* errno of output, once it has failed */
};

static gpointer
run (gpointer data)
{
  HyphaEventQueue *self = data;

  g_mutex_lock (&self->mutex);
  while (self->error == 0) {
    g_autofree char *line = g_queue_pop_head (&self->lines);
    gboolean last = g_queue_is_empty (&self->lines);
    gboolean failed;
    int error;

    self->writing = line != NULL;
    g_cond_broadcast (&self->cond);
    if (line == NULL) {
      g_cond_wait (&self->cond, &self->mutex);
      continue;
    }
    g_mutex_unlock (&self->mutex);
    errno = 0;
    failed = fputs (line, stdout) < 0 || (last && fflush (stdout) != 0);
    error = errno ? errno : EIO;
    g_mutex_lock (&self->mutex);
    self->error = failed ? error : 0;
  }
  self->writing = FALSE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->mutex);
  g_main_context_wakeup (NULL);
  return NULL;
}

/**
 * hypha_event_queue_start:
 *
 * Begins to write. The queue lasts as long as the process, for a thread that waits for its output
 * cannot be stopped.
 *
 * Returns: (transfer none): the queue
 */
HyphaEventQueue *
hypha_event_queue_start (void)
{
  static HyphaEventQueue queue;

  g_mutex_init (&queue.mutex);
  g_cond_init (&queue.cond);
  g_queue_init (&queue.lines);
  g_thread_unref (g_thread_new ("events", run, &queue));
  return &queue;
}

/**
 * hypha_event_queue_has_room:
 * @self: a queue
 *
 * Returns: %TRUE if at least two more lines fit
 */
gboolean
hypha_event_queue_has_room (HyphaEventQueue *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);

  return g_queue_get_length (&self->lines) + 1 < MAX_LINES;
}

/**
 * hypha_event_queue_push:
 * @self: a queue
 * @line: (transfer full): what to write, with its line break
 *
 * Returns: %FALSE if there was no room for it
 */
gboolean
hypha_event_queue_push (HyphaEventQueue *self, char *line)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);

  if (g_queue_get_length (&self->lines) >= MAX_LINES) {
    g_free (line);
    return FALSE;
  }
  g_queue_push_tail (&self->lines, line);
  g_cond_broadcast (&self->cond);
  return TRUE;
}

/**
 * hypha_event_queue_has_failed:
 * @self: a queue
 * @error: return location for an error: why output could not be written
 *
 * Returns: %TRUE if it could not
 */
gboolean
hypha_event_queue_has_failed (HyphaEventQueue *self, GError **error)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);

  if (self->error != 0)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot write to standard output: %s"),
                 g_strerror (self->error));
  return self->error != 0;
}

/**
 * hypha_event_queue_finish:
 * @self: a queue
 *
 * Waits until everything is written or cannot be, but no longer than half a second.
 */
void
hypha_event_queue_finish (HyphaEventQueue *self)
{
  gint64 end = g_get_monotonic_time () + FINISH_MS * G_TIME_SPAN_MILLISECOND;
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);

  while (self->error == 0 && (self->writing || !g_queue_is_empty (&self->lines))) {
    if (!g_cond_wait_until (&self->cond, &self->mutex, end))
      return;
  }
}
