/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-source.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include "hypha-stream-private.h"

/* A transfer that waits, as the data of its task. Its sources hold the task until they are
 * destroyed. */
typedef struct {
  HyphaTransfer transfer;
  GSource *ready;
  GSource *timer;
} Wait;

static GIOCondition
get_condition (const HyphaTransfer *self)
{
  return self->into != NULL ? G_IO_IN : G_IO_OUT;
}

static GError *
new_timeout (const HyphaTransfer *self)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_TIMED_OUT, _ ("the stream %s for %u ms"),
                      self->into != NULL ? _ ("brought nothing") : _ ("took nothing"),
                      self->timeout_ms);
}

/* Reads or writes what can be at once; HYPHA_STREAM_END_AGAIN without an error. */
static gssize
try_now (const HyphaTransfer *self, GCancellable *cancellable, GError **error)
{
  GError *local = NULL;
  gssize count =
      self->end->funcs->move (self->end, self->into, self->from, self->count, cancellable, &local);

  if (self->ending != NULL && count != HYPHA_STREAM_END_AGAIN)
    hypha_ending_moved (self->ending, self->into != NULL, self->count, count, local);
  if (local != NULL)
    g_propagate_error (error, local);
  return count;
}

/* Reads or writes what can be at once; G_IO_ERROR_WOULD_BLOCK. */
gssize
hypha_transfer_try (const HyphaTransfer *self, GCancellable *cancellable, GError **error)
{
  gssize count = try_now (self, cancellable, error);

  if (count == HYPHA_STREAM_END_AGAIN) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK,
                         g_strerror (EAGAIN)); /* as GSocket says it */
    count = -1;
  }
  return count;
}

gssize
hypha_transfer_run (const HyphaTransfer *self, GCancellable *cancellable, GError **error)
{
  gint64 deadline =
      self->timeout_ms > 0 ? g_get_monotonic_time () + (gint64) self->timeout_ms * 1000 : 0;

  for (;;) {
    g_autoptr (GError) local = NULL;
    gint64 left = -1;
    gssize count = try_now (self, cancellable, &local);

    if (count >= 0)
      return count;
    if (count == HYPHA_STREAM_END_AGAIN) {
      if (self->timeout_ms > 0)
        left = MAX (deadline - g_get_monotonic_time (), 0);
      if (self->end->funcs->wait (self->end, get_condition (self), left, cancellable, &local))
        continue;
    }
    if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
      g_propagate_error (error, new_timeout (self));
    else
      g_propagate_error (error, g_steal_pointer (&local));
    return -1;
  }
}

static void
wait_free (gpointer data)
{
  Wait *wait = data;

  hypha_stream_end_unref (wait->transfer.end);
  g_clear_pointer (&wait->transfer.ending, hypha_ending_unref);
  g_free (wait);
}

/* Whether TASK has returned. */
static gboolean
try_task (GTask *task)
{
  Wait *wait = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;
  gssize count = try_now (&wait->transfer, g_task_get_cancellable (task), &error);

  if (count == HYPHA_STREAM_END_AGAIN)
    return FALSE;
  hypha_clear_source (&wait->ready);
  hypha_clear_source (&wait->timer);
  if (count < 0)
    g_task_return_error (task, g_steal_pointer (&error));
  else
    g_task_return_int (task, count);
  return TRUE;
}

static gboolean
on_ready (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);

  return try_task (task) ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static gboolean
on_timer (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Wait *wait = g_task_get_task_data (task);

  hypha_clear_source (&wait->ready);
  hypha_clear_source (&wait->timer);
  g_task_return_error (task, new_timeout (&wait->transfer));
  return G_SOURCE_REMOVE;
}

void
hypha_transfer_run_async (const HyphaTransfer *self, GTask *task)
{
  Wait *wait = g_new0 (Wait, 1);

  wait->transfer = *self;
  hypha_stream_end_ref (wait->transfer.end);
  if (wait->transfer.ending != NULL)
    hypha_ending_ref (wait->transfer.ending);
  g_task_set_task_data (task, wait, wait_free);
  if (try_task (task))
    return;

  wait->ready = self->end->funcs->create_source (self->end, get_condition (self),
                                                 g_task_get_cancellable (task));
  g_source_set_callback (wait->ready, on_ready, g_object_ref (task), g_object_unref);
  g_source_set_priority (wait->ready, g_task_get_priority (task));
  g_source_attach (wait->ready, g_task_get_context (task));
  if (self->timeout_ms == 0)
    return;
  wait->timer = g_timeout_source_new (self->timeout_ms);
  g_source_set_callback (wait->timer, on_timer, g_object_ref (task), g_object_unref);
  g_source_set_priority (wait->timer, g_task_get_priority (task));
  g_source_attach (wait->timer, g_task_get_context (task));
}

GSource *
hypha_transfer_create_source (GObject *stream, HyphaStreamEnd *end, GIOCondition condition,
                              GCancellable *cancellable)
{
  g_autoptr (GSource) child = end->funcs->create_source (end, condition, cancellable);

  return g_pollable_source_new_full (stream, child, cancellable);
}
