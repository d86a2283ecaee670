/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-stream-private.h"

struct _HyphaStreamOutput {
  GOutputStream parent_instance;

  HyphaStreamEnd *end;
  HyphaEnding *ending; /* nullable */
  guint timeout_ms;    /* atomic */
};

static void pollable_init (GPollableOutputStreamInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaStreamOutput, hypha_stream_output, G_TYPE_OUTPUT_STREAM,
                               G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_OUTPUT_STREAM, pollable_init))

static HyphaTransfer
make_transfer (HyphaStreamOutput *self, const void *data, gsize count)
{
  return (HyphaTransfer){
    .end = self->end,
    .from = data,
    .count = count,
    .timeout_ms = (guint) g_atomic_int_get (&self->timeout_ms),
    .ending = self->ending,
  };
}

static gssize
hypha_stream_output_write (GOutputStream *stream, const void *data, gsize count,
                           GCancellable *cancellable, GError **error)
{
  HyphaTransfer transfer = make_transfer (HYPHA_STREAM_OUTPUT (stream), data, count);

  return hypha_transfer_run (&transfer, cancellable, error);
}

static void
hypha_stream_output_write_async (GOutputStream *stream, const void *data, gsize count, int priority,
                                 GCancellable *cancellable, GAsyncReadyCallback callback,
                                 gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (stream, cancellable, callback, user_data);
  HyphaTransfer transfer = make_transfer (HYPHA_STREAM_OUTPUT (stream), data, count);

  g_task_set_source_tag (task, hypha_stream_output_write_async);
  g_task_set_priority (task, priority);
  hypha_transfer_run_async (&transfer, task);
}

static gssize
hypha_stream_output_write_finish (GOutputStream *stream, GAsyncResult *result, GError **error)
{
  return g_task_propagate_int (G_TASK (result), error);
}

static gboolean
hypha_stream_output_close (GOutputStream *stream, GCancellable *cancellable, GError **error)
{
  HyphaStreamOutput *self = HYPHA_STREAM_OUTPUT (stream);

  if (self->ending != NULL)
    hypha_ending_closed (self->ending, FALSE);
  return self->end->funcs->shutdown (self->end, FALSE, TRUE, error);
}

/* Shutting down never waits, so no thread is needed for it. */
static void
hypha_stream_output_close_async (GOutputStream *stream, int priority, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (stream, cancellable, callback, user_data);
  g_autoptr (GError) error = NULL;

  g_task_set_source_tag (task, hypha_stream_output_close_async);
  g_task_set_check_cancellable (task, FALSE);
  if (hypha_stream_output_close (stream, NULL, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

static gboolean
hypha_stream_output_close_finish (GOutputStream *stream, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static gboolean
hypha_stream_output_is_writable (GPollableOutputStream *stream)
{
  HyphaStreamEnd *end = HYPHA_STREAM_OUTPUT (stream)->end;

  return end->funcs->is_ready (end, G_IO_OUT);
}

static gssize
hypha_stream_output_write_nonblocking (GPollableOutputStream *stream, const void *data, gsize count,
                                       GError **error)
{
  HyphaTransfer transfer = make_transfer (HYPHA_STREAM_OUTPUT (stream), data, count);

  return hypha_transfer_try (&transfer, NULL, error);
}

static GSource *
hypha_stream_output_create_source (GPollableOutputStream *stream, GCancellable *cancellable)
{
  return hypha_transfer_create_source (G_OBJECT (stream), HYPHA_STREAM_OUTPUT (stream)->end,
                                       G_IO_OUT, cancellable);
}

static void
pollable_init (GPollableOutputStreamInterface *iface)
{
  iface->is_writable = hypha_stream_output_is_writable;
  iface->create_source = hypha_stream_output_create_source;
  iface->write_nonblocking = hypha_stream_output_write_nonblocking;
}

static void
hypha_stream_output_finalize (GObject *object)
{
  g_clear_pointer (&HYPHA_STREAM_OUTPUT (object)->end, hypha_stream_end_unref);
  g_clear_pointer (&HYPHA_STREAM_OUTPUT (object)->ending, hypha_ending_unref);
  G_OBJECT_CLASS (hypha_stream_output_parent_class)->finalize (object);
}

static void
hypha_stream_output_class_init (HyphaStreamOutputClass *klass)
{
  GOutputStreamClass *output_class = G_OUTPUT_STREAM_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = hypha_stream_output_finalize;
  output_class->write_fn = hypha_stream_output_write;
  output_class->write_async = hypha_stream_output_write_async;
  output_class->write_finish = hypha_stream_output_write_finish;
  output_class->close_fn = hypha_stream_output_close;
  output_class->close_async = hypha_stream_output_close_async;
  output_class->close_finish = hypha_stream_output_close_finish;
}

static void
hypha_stream_output_init (HyphaStreamOutput *self)
{
}

GOutputStream *
hypha_stream_output_new (HyphaStreamEnd *end, HyphaEnding *ending)
{
  HyphaStreamOutput *self = g_object_new (HYPHA_TYPE_STREAM_OUTPUT, NULL);

  self->end = hypha_stream_end_ref (end);
  self->ending = ending != NULL ? hypha_ending_ref (ending) : NULL;
  return G_OUTPUT_STREAM (self);
}

void
hypha_stream_output_set_timeout (HyphaStreamOutput *self, guint timeout_ms)
{
  g_atomic_int_set (&self->timeout_ms, timeout_ms);
}
