/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/dial.h"

#include <glib/gi18n-lib.h>

/* What a transport's answer needs to become ours. */
static HyphaEndpoint *
find (HyphaLoader *self, const char *uri, HyphaTransport **transport, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_loader_parse_endpoint (self, uri, transport, error);

  if (endpoint == NULL ||
      hypha_loader_lookup (self, hypha_endpoint_get_scheme (endpoint), error) == NULL)
    return NULL;
  return g_steal_pointer (&endpoint);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = hypha_transport_connect_finish (HYPHA_TRANSPORT (source), result, &error);

  if (channel != NULL)
    g_task_return_pointer (task, channel, g_object_unref);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

/* ERROR (taken): there is nobody to ask. */
static void
dial (GTask *task, HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
      GError *error)
{
  if (error != NULL)
    g_task_return_error (task, error);
  else
    hypha_transport_connect_async (
        transport, endpoint, timeout_ms > 0 ? timeout_ms : HYPHA_DIAL_TIMEOUT_MS,
        g_task_get_cancellable (task), on_connected, g_object_ref (task));
}

/**
 * hypha_loader_dial_async:
 * @self: a loader that was started
 * @uri: an endpoint, in any spelling
 * @timeout_ms: the deadline, in milliseconds; 0: %HYPHA_DIAL_TIMEOUT_MS
 * @cancellable: (nullable): to give up
 * @callback: called when it is done
 * @user_data: for @callback
 *
 * Connects to an endpoint.
 */
void
hypha_loader_dial_async (HyphaLoader *self, const char *uri, guint timeout_ms,
                         GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  HyphaTransport *transport = NULL;
  GError *error = NULL;

  g_task_set_source_tag (task, hypha_loader_dial_async);
  endpoint = find (self, uri, &transport, &error);
  dial (task, transport, endpoint, timeout_ms, error);
}

/**
 * hypha_loader_dial_again_async:
 * @self: a loader that was started
 * @endpoint: what a channel of one of its transports calls its remote end: it is canonical
 * @timeout_ms: the deadline, in milliseconds; 0: %HYPHA_DIAL_TIMEOUT_MS
 * @cancellable: (nullable): to give up
 * @callback: called when it is done; hypha_loader_dial_finish()
 * @user_data: for @callback
 *
 * Connects to where a channel leads already.
 */
void
hypha_loader_dial_again_async (HyphaLoader *self, HyphaEndpoint *endpoint, guint timeout_ms,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  GError *error = NULL;
  HyphaTransport *transport =
      hypha_loader_lookup (self, hypha_endpoint_get_scheme (endpoint), &error);

  g_task_set_source_tag (task, hypha_loader_dial_again_async);
  dial (task, transport, endpoint, timeout_ms, error);
}

/**
 * hypha_loader_dial_finish:
 * @self: a loader
 * @result: of hypha_loader_dial_async() or hypha_loader_dial_again_async()
 * @error: return location for an error: what hypha_loader_parse_endpoint(), hypha_loader_lookup()
 * and hypha_transport_connect_finish() give
 *
 * Returns: (transfer full): the channel, or %NULL
 */
HyphaChannel *
hypha_loader_dial_finish (HyphaLoader *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- listening ---- */

static void
on_transport_removed (HyphaLoader *loader, HyphaModule *module, HyphaListener *listener)
{
  const char *scheme = hypha_endpoint_get_scheme (hypha_listener_get_bound (listener));
  HyphaTransport *transport = hypha_module_get_transport (module);
  g_autoptr (GError) error = NULL;

  if (transport == NULL || !g_strv_contains (hypha_transport_get_schemes (transport), scheme))
    return;
  error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT,
                       _ ("the plug-in behind %s was taken away"),
                       hypha_endpoint_to_string (hypha_listener_get_bound (listener)));
  hypha_listener_failed (listener, error);
}

/**
 * hypha_loader_follow_listener:
 * @self: a loader
 * @listener: of one of its transports
 *
 * Makes @listener fail when the plug-in behind it is taken away.
 */
void
hypha_loader_follow_listener (HyphaLoader *self, HyphaListener *listener)
{
  g_signal_connect_object (self, "transport-removed", G_CALLBACK (on_transport_removed), listener,
                           0);
}

static void
close_and_unref (gpointer listener)
{
  hypha_listener_close (listener);
  g_object_unref (listener);
}

static void
on_listening (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  HyphaListener *listener =
      hypha_transport_listen_finish (HYPHA_TRANSPORT (source), result, &error);

  if (listener == NULL) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  hypha_loader_follow_listener (g_task_get_source_object (task), listener);
  g_task_return_pointer (task, listener, close_and_unref);
}

/**
 * hypha_loader_listen_async:
 * @self: a loader that was started
 * @uri: an endpoint, in any spelling
 * @cancellable: (nullable): to give up
 * @callback: called when it is done
 * @user_data: for @callback
 *
 * Listens on an endpoint.
 */
void
hypha_loader_listen_async (HyphaLoader *self, const char *uri, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  HyphaTransport *transport = NULL;
  GError *error = NULL;

  g_task_set_source_tag (task, hypha_loader_listen_async);
  endpoint = find (self, uri, &transport, &error);
  if (endpoint == NULL)
    g_task_return_error (task, error);
  else
    hypha_transport_listen_async (transport, endpoint, cancellable, on_listening,
                                  g_steal_pointer (&task));
}

/**
 * hypha_loader_listen_finish:
 * @self: a loader
 * @result: of hypha_loader_listen_async()
 * @error: return location for an error: what hypha_loader_parse_endpoint(), hypha_loader_lookup()
 * and hypha_transport_listen_finish() give
 *
 * Returns: (transfer full): the listener, or %NULL. It emits "failed" when its plug-in is taken
 * away
 */
HyphaListener *
hypha_loader_listen_finish (HyphaLoader *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * hypha_loader_get_default:
 *
 * Main thread only. Never freed: the code of plug-ins stays in the process, too.
 *
 * Returns: (transfer none): the loader that a program uses without having made one, started
 */
HyphaLoader *
hypha_loader_get_default (void)
{
  static HyphaLoader *loader;

  if (loader == NULL) {
    g_auto (GStrv) directories = hypha_loader_default_directories (TRUE);

    loader = hypha_loader_new ((const char *const *) directories);
    hypha_loader_start (loader);
  }
  return loader;
}
