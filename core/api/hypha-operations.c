/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-operations.h"

#include <glib/gi18n-lib.h>

#include "hypha-source-private.h"

struct _HyphaOperations {
  gboolean stopped;
  GPtrArray *running;   /* of Operation, each owned by its task */
  GPtrArray *listeners; /* not owned: each leaves when it is gone */
};

/* One that is under way. It lives as long as its task. */
typedef struct {
  HyphaOperations *operations;
  GObject *transport; /* owned: a task lets go of its source before its data */
  GCancellable *cancellable;
  GSource *follow; /* the caller's cancellable; nullable */
} Operation;

static G_DEFINE_QUARK (hypha - operation, operation);

static void
operation_free (gpointer data)
{
  Operation *self = data;

  g_ptr_array_remove_fast (self->operations->running, self);
  hypha_clear_source (&self->follow);
  g_object_unref (self->cancellable);
  g_object_unref (self->transport);
  g_free (self);
}

static gboolean
on_caller_cancelled (GCancellable *cancellable, gpointer data)
{
  Operation *self = data;

  g_cancellable_cancel (self->cancellable);
  return G_SOURCE_REMOVE;
}

static void
on_listener_gone (gpointer data, GObject *listener)
{
  HyphaOperations *self = data;

  g_ptr_array_remove_fast (self->listeners, listener);
}

/**
 * hypha_operations_new: (skip)
 *
 * For transports: makes an empty list of operations and listeners. The transport keeps it until it
 * is finalized.
 *
 * Returns: (transfer full): the list
 */
HyphaOperations *
hypha_operations_new (void)
{
  HyphaOperations *self = g_new0 (HyphaOperations, 1);

  self->running = g_ptr_array_new ();
  self->listeners = g_ptr_array_new ();
  return self;
}

/**
 * hypha_operations_free: (skip)
 * @self: (transfer full): a list without operations, as it is when its transport is finalized
 *
 * Frees it. The listeners go on.
 */
void
hypha_operations_free (HyphaOperations *self)
{
  g_return_if_fail (self->running->len == 0);

  for (guint i = 0; i < self->listeners->len; i++)
    g_object_weak_unref (self->listeners->pdata[i], on_listener_gone, self);
  g_ptr_array_unref (self->running);
  g_ptr_array_unref (self->listeners);
  g_free (self);
}

/**
 * hypha_operations_begin: (skip)
 * @self: the operations of a transport
 * @task: a connect or listen of that transport, which is its source object
 * @endpoint: what it is about
 *
 * For transports: begins an operation, which lasts as long as @task.
 *
 * Fails with `G_IO_ERROR_CANCELLED` if the caller has cancelled, or the transport was stopped.
 *
 * Returns: (transfer none) (nullable): what ends the operation early, by the cancellable of @task
 *   or by hypha_operations_stop(), and lives as long as @task; or %NULL if @task has returned an
 *   error
 */
GCancellable *
hypha_operations_begin (HyphaOperations *self, GTask *task, HyphaEndpoint *endpoint)
{
  GCancellable *cancellable = g_task_get_cancellable (task);
  Operation *operation;

  g_return_val_if_fail (g_task_get_source_object (task) != NULL, NULL);

  if (g_task_return_error_if_cancelled (task))
    return NULL;
  if (self->stopped) {
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                             _ ("%s: the transport has been stopped"),
                             hypha_endpoint_to_string (endpoint));
    return NULL;
  }
  operation = g_new0 (Operation, 1);
  operation->operations = self;
  operation->transport = g_object_ref (g_task_get_source_object (task));
  operation->cancellable = g_cancellable_new ();
  if (cancellable != NULL) {
    /* A source, not g_cancellable_connect(): that would end things within somebody else's call. */
    operation->follow = g_cancellable_source_new (cancellable);
    g_source_set_callback (operation->follow, G_SOURCE_FUNC (on_caller_cancelled), operation, NULL);
    g_source_attach (operation->follow, g_task_get_context (task));
  }
  g_ptr_array_add (self->running, operation);
  g_object_set_qdata_full (G_OBJECT (task), operation_quark (), operation, operation_free);
  return operation->cancellable;
}

/**
 * hypha_operations_add_listener: (skip)
 * @self: the operations of a transport
 * @listener: (transfer none): a listener of that transport
 *
 * For transports: has @listener closed by hypha_operations_stop(), if it still lives by then.
 */
void
hypha_operations_add_listener (HyphaOperations *self, HyphaListener *listener)
{
  g_return_if_fail (HYPHA_IS_LISTENER (listener));

  g_object_weak_ref (G_OBJECT (listener), on_listener_gone, self);
  g_ptr_array_add (self->listeners, listener);
}

static gpointer
ref_cancellable (gconstpointer operation, gpointer data)
{
  return g_object_ref (((const Operation *) operation)->cancellable);
}

static gpointer
ref_listener (gconstpointer listener, gpointer data)
{
  return g_object_ref ((gpointer) listener);
}

/**
 * hypha_operations_stop: (skip)
 * @self: the operations of a transport
 *
 * For transports: cancels what is under way, closes what listens, and lets nothing begin any more.
 */
void
hypha_operations_stop (HyphaOperations *self)
{
  g_autoptr (GPtrArray) running = g_ptr_array_copy (self->running, ref_cancellable, NULL);
  g_autoptr (GPtrArray) listeners = g_ptr_array_copy (self->listeners, ref_listener, NULL);

  /* Either may call back, and change the lists. */
  g_ptr_array_set_free_func (running, g_object_unref);
  g_ptr_array_set_free_func (listeners, g_object_unref);
  self->stopped = TRUE;
  for (guint i = 0; i < running->len; i++)
    g_cancellable_cancel (running->pdata[i]);
  for (guint i = 0; i < listeners->len; i++)
    hypha_listener_close (listeners->pdata[i]);
}
