/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-dial.h"

#include "loader/dial.h"

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel =
      hypha_loader_dial_finish (HYPHA_LOADER (source), result, &error);
  HyphaStream *stream = channel != NULL ? hypha_stream_new_for_channel (channel, &error) : NULL;

  if (stream != NULL)
    g_task_return_pointer (task, stream, g_object_unref);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

/**
 * hypha_dial_async:
 * @endpoint: where to connect, in any spelling that a transport knows
 * @timeout_ms: the deadline, in milliseconds; 0: ten seconds
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when it is done
 * @user_data: for @callback
 *
 * Connects to an endpoint by one of the plug-ins that this process finds, without a node, and gives
 * the bare bytes: for whatever is not Hypha at the other end.
 *
 * On the main thread only. The plug-ins are loaded at the first call (`HYPHA_PLUGIN_PATH`, or the
 * directories of the system and of the user), and stay.
 */
void
hypha_dial_async (const char *endpoint, guint timeout_ms, GCancellable *cancellable,
                  GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task;

  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (NULL, cancellable, callback, user_data);
  g_task_set_source_tag (task, hypha_dial_async);
  hypha_loader_dial_async (hypha_loader_get_default (), endpoint, timeout_ms, cancellable,
                           on_dialled, task);
}

/**
 * hypha_dial_finish:
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_dial_async() began.
 *
 * The error is `HYPHA_ERROR_INVALID_ENDPOINT`, `HYPHA_ERROR_NO_TRANSPORT`,
 * `HYPHA_ERROR_UNAVAILABLE`, `HYPHA_ERROR_CONNECT`, `HYPHA_ERROR_TIMED_OUT`, or
 * `G_IO_ERROR_CANCELLED`.
 *
 * Returns: (transfer full): the stream, as [ctor@Hypha.Stream.new_for_channel] describes it, or
 * %NULL with @error set
 */
HyphaStream *
hypha_dial_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
on_listening (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  HyphaListener *listener = hypha_loader_listen_finish (HYPHA_LOADER (source), result, &error);

  if (listener != NULL)
    g_task_return_pointer (task, listener, g_object_unref);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

/**
 * hypha_listen_async:
 * @endpoint: where to listen, in any spelling that a transport knows
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when it is done
 * @user_data: for @callback
 *
 * Listens on an endpoint, as hypha_dial_async() connects to one. Whoever connects comes as a
 * [class@Hypha.Channel] with [signal@Hypha.Listener::accepted], of which
 * [ctor@Hypha.Stream.new_for_channel] makes a stream.
 */
void
hypha_listen_async (const char *endpoint, GCancellable *cancellable, GAsyncReadyCallback callback,
                    gpointer user_data)
{
  GTask *task;

  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (NULL, cancellable, callback, user_data);
  g_task_set_source_tag (task, hypha_listen_async);
  hypha_loader_listen_async (hypha_loader_get_default (), endpoint, cancellable, on_listening,
                             task);
}

/**
 * hypha_listen_finish:
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_listen_async() began. The listener ends with its last reference, or by
 * [method@Hypha.Listener.close].
 *
 * Returns: (transfer full): the listener, or %NULL with @error set
 */
HyphaListener *
hypha_listen_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}
