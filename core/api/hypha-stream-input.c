/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-stream-private.h"

struct _HyphaStreamInput {
  GInputStream parent_instance;

  HyphaStreamEnd *end;
  HyphaEnding *ending; /* nullable */
  guint timeout_ms;    /* atomic */
};

static void pollable_init (GPollableInputStreamInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaStreamInput, hypha_stream_input, G_TYPE_INPUT_STREAM,
                               G_IMPLEMENT_INTERFACE (G_TYPE_POLLABLE_INPUT_STREAM, pollable_init))

static HyphaTransfer
make_transfer (HyphaStreamInput *self, void *buffer, gsize count)
{
  return (HyphaTransfer){
    .end = self->end,
    .into = buffer,
    .count = count,
    .timeout_ms = (guint) g_atomic_int_get (&self->timeout_ms),
    .ending = self->ending,
  };
}

static gssize
hypha_stream_input_read (GInputStream *stream, void *buffer, gsize count, GCancellable *cancellable,
                         GError **error)
{
  HyphaTransfer transfer = make_transfer (HYPHA_STREAM_INPUT (stream), buffer, count);

  return hypha_transfer_run (&transfer, cancellable, error);
}

static void
hypha_stream_input_read_async (GInputStream *stream, void *buffer, gsize count, int priority,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (stream, cancellable, callback, user_data);
  HyphaTransfer transfer = make_transfer (HYPHA_STREAM_INPUT (stream), buffer, count);

  g_task_set_source_tag (task, hypha_stream_input_read_async);
  g_task_set_priority (task, priority);
  hypha_transfer_run_async (&transfer, task);
}

static gssize
hypha_stream_input_read_finish (GInputStream *stream, GAsyncResult *result, GError **error)
{
  return g_task_propagate_int (G_TASK (result), error);
}

static gboolean
hypha_stream_input_close (GInputStream *stream, GCancellable *cancellable, GError **error)
{
  HyphaStreamInput *self = HYPHA_STREAM_INPUT (stream);

  if (self->ending != NULL)
    hypha_ending_closed (self->ending, TRUE);
  return self->end->funcs->shutdown (self->end, TRUE, FALSE, error);
}

/* Shutting down never waits, so no thread is needed for it. */
static void
hypha_stream_input_close_async (GInputStream *stream, int priority, GCancellable *cancellable,
                                GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (stream, cancellable, callback, user_data);
  g_autoptr (GError) error = NULL;

  g_task_set_source_tag (task, hypha_stream_input_close_async);
  g_task_set_check_cancellable (task, FALSE);
  if (hypha_stream_input_close (stream, NULL, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

static gboolean
hypha_stream_input_close_finish (GInputStream *stream, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static gboolean
hypha_stream_input_is_readable (GPollableInputStream *stream)
{
  HyphaStreamEnd *end = HYPHA_STREAM_INPUT (stream)->end;

  return end->funcs->is_ready (end, G_IO_IN);
}

static gssize
hypha_stream_input_read_nonblocking (GPollableInputStream *stream, void *buffer, gsize count,
                                     GError **error)
{
  HyphaTransfer transfer = make_transfer (HYPHA_STREAM_INPUT (stream), buffer, count);

  return hypha_transfer_try (&transfer, NULL, error);
}

static GSource *
hypha_stream_input_create_source (GPollableInputStream *stream, GCancellable *cancellable)
{
  return hypha_transfer_create_source (G_OBJECT (stream), HYPHA_STREAM_INPUT (stream)->end, G_IO_IN,
                                       cancellable);
}

static void
pollable_init (GPollableInputStreamInterface *iface)
{
  iface->is_readable = hypha_stream_input_is_readable;
  iface->create_source = hypha_stream_input_create_source;
  iface->read_nonblocking = hypha_stream_input_read_nonblocking;
}

static void
hypha_stream_input_finalize (GObject *object)
{
  g_clear_pointer (&HYPHA_STREAM_INPUT (object)->end, hypha_stream_end_unref);
  g_clear_pointer (&HYPHA_STREAM_INPUT (object)->ending, hypha_ending_unref);
  G_OBJECT_CLASS (hypha_stream_input_parent_class)->finalize (object);
}

static void
hypha_stream_input_class_init (HyphaStreamInputClass *klass)
{
  GInputStreamClass *input_class = G_INPUT_STREAM_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = hypha_stream_input_finalize;
  input_class->read_fn = hypha_stream_input_read;
  input_class->read_async = hypha_stream_input_read_async;
  input_class->read_finish = hypha_stream_input_read_finish;
  input_class->close_fn = hypha_stream_input_close;
  input_class->close_async = hypha_stream_input_close_async;
  input_class->close_finish = hypha_stream_input_close_finish;
}

static void
hypha_stream_input_init (HyphaStreamInput *self)
{
}

GInputStream *
hypha_stream_input_new (HyphaStreamEnd *end, HyphaEnding *ending)
{
  HyphaStreamInput *self = g_object_new (HYPHA_TYPE_STREAM_INPUT, NULL);

  self->end = hypha_stream_end_ref (end);
  self->ending = ending != NULL ? hypha_ending_ref (ending) : NULL;
  return G_INPUT_STREAM (self);
}

void
hypha_stream_input_set_timeout (HyphaStreamInput *self, guint timeout_ms)
{
  g_atomic_int_set (&self->timeout_ms, timeout_ms);
}
