/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-dial.h"

#include <glib/gi18n-lib.h>
#include <pthread.h>
#include <unistd.h>

#include "websocket-http.h"
#include "websocket-socket.h"
#include "websocket-tls.h"

/* One attempt: first the loop's, then that of whoever called, whose thread alone has the task. What
 * goes from one thread to the other goes by a mutex, not by GLib alone: ThreadSanitizer sees
 * nothing else. */
typedef struct {
  GTask *task;
  GMainContext *context; /* of the caller */
  const WebsocketAddress *address;
  HyphaEndpoint *endpoint;
  const char *display;
  char *proxy, *ca_file;
  guint ping_ms;
  guint timeout_ms;
  HyphaLoop *loop;           /* held for both threads */
  GCancellable *caller;      /* cancelled anywhere */
  gulong follow;             /* the caller's */
  GCancellable *cancellable; /* cancelled on the loop alone */
  GSource *deadline;
  gboolean overdue;
  GSocketConnectable *server;
  GSocketConnection *connection;
  GIOStream *stream; /* the connection, or TLS upon it */
  char *key;
  char *request;

  pthread_mutex_t mutex;
  struct Outcome *outcome;
  GError *error;
} Dial;

/* What the caller's thread makes a channel of. */
typedef struct Outcome {
  int fd;
  WebsocketFlow *flow;
  HyphaEndpoint *local;
  HyphaEndpoint *remote;
  char *host;
} Outcome;

static void
dial_free (Dial *self)
{
  pthread_mutex_destroy (&self->mutex);
  g_main_context_unref (self->context);
  hypha_endpoint_unref (self->endpoint);
  g_object_unref (self->caller);
  g_object_unref (self->cancellable);
  hypha_loop_release (self->loop);
  g_free (self->proxy);
  g_free (self->ca_file);
  g_free (self->key);
  g_free (self->request);
  g_free (self);
}

static void
outcome_free (gpointer data)
{
  Outcome *self = data;

  if (self->fd >= 0)
    close (self->fd);
  websocket_flow_unref (self->flow);
  g_clear_pointer (&self->local, hypha_endpoint_unref);
  hypha_endpoint_unref (self->remote);
  g_free (self->host);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Outcome, outcome_free)

/* ---- the end ---- */

/* Takes REASON. */
static GError *
explain (Dial *self, GError *reason)
{
  g_autoptr (GError) owned = reason;

  if (self->overdue)
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                        _ ("%s: no WebSocket was there within %u ms: look at the address, a "
                           "firewall, and what answers there"),
                        self->display, self->timeout_ms);
  if (g_cancellable_is_cancelled (self->cancellable))
    return g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _ ("connecting to %s was cancelled"),
                        self->display);
  if (owned->domain == HYPHA_ERROR)
    return g_steal_pointer (&owned);
  if (g_error_matches (owned, G_IO_ERROR, G_IO_ERROR_PROXY_FAILED) ||
      g_error_matches (owned, G_IO_ERROR, G_IO_ERROR_PROXY_AUTH_FAILED) ||
      g_error_matches (owned, G_IO_ERROR, G_IO_ERROR_PROXY_NEED_AUTH) ||
      g_error_matches (owned, G_IO_ERROR, G_IO_ERROR_PROXY_NOT_ALLOWED))
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                        _ ("%s: the proxy that the settings of this machine name, or the option "
                           "'proxy' of the transport ws, lets nobody through: %s"),
                        self->display, owned->message);
  if (g_error_matches (owned, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE))
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                        _ ("%s: this machine does not trust the certificate of the web server: %s; "
                           "the option 'ca-file' of the transport ws names one to trust"),
                        self->display, owned->message);
  if (owned->domain == G_RESOLVER_ERROR)
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("%s: the name cannot be resolved: %s"),
                        self->display, owned->message);
  return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("cannot connect to %s: %s"),
                      self->display, owned->message);
}

/* On the caller's thread. */
static gboolean
on_finished (gpointer user_data)
{
  Dial *self = user_data;
  g_autoptr (GTask) task = g_steal_pointer (&self->task);
  Outcome *outcome;
  GError *error;

  pthread_mutex_lock (&self->mutex);
  outcome = g_steal_pointer (&self->outcome);
  error = g_steal_pointer (&self->error);
  pthread_mutex_unlock (&self->mutex);
  g_cancellable_disconnect (self->caller, self->follow);
  dial_free (self);
  if (error != NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, outcome, outcome_free);
  return G_SOURCE_REMOVE;
}

/* Takes OUTCOME or REASON. The attempt is not the loop's any more. */
static void
finish (Dial *self, Outcome *outcome, GError *reason)
{
  HyphaLoop *loop = self->loop;
  GError *error = reason != NULL ? explain (self, reason) : NULL;
  g_autoptr (GSource) source = g_idle_source_new ();

  websocket_clear_source (&self->deadline);
  if (error != NULL && self->connection != NULL)
    g_socket_close (g_socket_connection_get_socket (self->connection), NULL);
  g_clear_object (&self->stream);
  g_clear_object (&self->connection);
  g_clear_object (&self->server);
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, on_finished, self, NULL);
  pthread_mutex_lock (&self->mutex);
  self->outcome = outcome;
  self->error = error;
  g_source_attach (source, self->context);
  pthread_mutex_unlock (&self->mutex);
  hypha_loop_release (loop);
}

static gboolean
on_deadline (gpointer user_data)
{
  Dial *self = user_data;

  self->overdue = TRUE;
  g_cancellable_cancel (self->cancellable);
  return G_SOURCE_REMOVE;
}

/* ---- the WebSocket ---- */

static char *
get_host (Dial *self)
{
  g_autoptr (GSocketAddress) remote =
      g_socket_connection_get_remote_address (self->connection, NULL);
  struct sockaddr_storage storage;

  /* Behind a proxy there is a name alone. */
  if (remote != NULL && !G_IS_PROXY_ADDRESS (remote) &&
      g_socket_address_to_native (remote, &storage, sizeof storage, NULL))
    return hypha_inet_sockaddr_to_host ((const struct sockaddr *) &storage);
  return g_strdup (self->address->inet->host);
}

static HyphaEndpoint *
get_local (Dial *self)
{
  g_autoptr (GSocketAddress) local = g_socket_connection_get_local_address (self->connection, NULL);
  struct sockaddr_storage storage;

  if (local == NULL || !g_socket_address_to_native (local, &storage, sizeof storage, NULL))
    return NULL;
  return websocket_address_of_client (self->address, (const struct sockaddr *) &storage);
}

static void
on_answered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Dial *self = user_data;
  g_autoptr (GByteArray) bytes = NULL;
  g_autoptr (Outcome) outcome = NULL;
  WebsocketTerms terms = { .client = TRUE, .ping_ms = self->ping_ms, .name = self->display };
  GError *error = NULL;
  gsize size = 0;

  bytes = websocket_http_read_finish (result, &size, &error);
  if (error != NULL && error->domain == HYPHA_ERROR)
    g_prefix_error (&error, _ ("%s: the server answered nothing that is known here: "),
                    self->display);
  if (bytes == NULL || !websocket_http_check_answer ((const char *) bytes->data, size, self->key,
                                                     self->display, &terms.hypha, &error)) {
    finish (self, NULL, error);
    return;
  }
  outcome = g_new0 (Outcome, 1);
  outcome->remote = hypha_endpoint_ref (self->endpoint);
  outcome->local = get_local (self);
  outcome->host = get_host (self);
  outcome->fd = -1;
  outcome->flow =
      websocket_socket_join (self->loop, self->connection, self->stream, &terms, bytes->data + size,
                             bytes->len - size, NULL, NULL, &outcome->fd, &error);
  if (outcome->flow == NULL)
    finish (self, NULL, error);
  else
    finish (self, g_steal_pointer (&outcome), NULL);
}

static void
on_requested (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Dial *self = user_data;
  GError *error = NULL;

  if (g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, &error))
    websocket_http_read_async (self->stream, self->cancellable, on_answered, self);
  else
    finish (self, NULL, error);
}

static void
request (Dial *self)
{
  self->key = websocket_http_new_key ();
  self->request = websocket_http_make_request (self->address, self->key);
  g_output_stream_write_all_async (g_io_stream_get_output_stream (self->stream), self->request,
                                   strlen (self->request), G_PRIORITY_DEFAULT, self->cancellable,
                                   on_requested, self);
}

/* ---- the connection ---- */

static void
on_shaken (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Dial *self = user_data;
  GError *error = NULL;

  if (websocket_tls_handshake_finish (result, &error))
    request (self);
  else
    finish (self, NULL, error);
}

static void
secure (Dial *self)
{
  static const char *const protocols[] = { "http/1.1", NULL };
  g_autoptr (GTlsDatabase) trusted = NULL;
  GError *error = NULL;

  g_clear_object (&self->stream);
  if (self->ca_file != NULL) {
    trusted = websocket_tls_read_trusted (self->loop, self->ca_file, &error);
    if (trusted == NULL) {
      g_prefix_error (&error, _ ("the option 'ca-file' of the transport ws: "));
      finish (self, NULL, error);
      return;
    }
  }
  self->stream = websocket_tls_new_client (self->connection, self->server, trusted, &error);
  if (self->stream == NULL) {
    finish (self, NULL, error);
    return;
  }
  g_tls_connection_set_advertised_protocols (G_TLS_CONNECTION (self->stream), protocols);
  /* A WebSocket says by itself whether it is over. */
  g_tls_connection_set_require_close_notify (G_TLS_CONNECTION (self->stream), FALSE);
  websocket_tls_handshake_async (self->loop, G_TLS_CONNECTION (self->stream), self->cancellable,
                                 on_shaken, self);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Dial *self = user_data;
  GError *error = NULL;

  self->connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (source), result, &error);
  if (self->connection == NULL) {
    finish (self, NULL, error);
    return;
  }
  websocket_socket_tune (g_socket_connection_get_socket (self->connection));
  self->stream = G_IO_STREAM (g_object_ref (self->connection));
  if (self->address->secure)
    secure (self);
  else
    request (self);
}

static void
set_proxy (Dial *self, GSocketClient *client)
{
  g_autoptr (GProxyResolver) resolver = NULL;

  if (self->proxy == NULL)
    return;
  if (*self->proxy == '\0') {
    g_socket_client_set_enable_proxy (client, FALSE);
    return;
  }
  resolver = g_simple_proxy_resolver_new (self->proxy, NULL);
  g_socket_client_set_proxy_resolver (client, resolver);
}

static void
start (gpointer user_data)
{
  Dial *self = user_data;
  g_autoptr (GSocketClient) client = g_socket_client_new ();

  self->deadline = websocket_add_timeout (self->timeout_ms, on_deadline, self);
  set_proxy (self, client);
  /* Settings name proxies for these schemes, and browsers take the same for WebSockets. */
  self->server = g_object_new (G_TYPE_NETWORK_ADDRESS, "hostname", self->address->inet->host,
                               "port", (guint) self->address->inet->port, "scheme",
                               self->address->secure ? "https" : "http", NULL);
  g_socket_client_connect_async (client, self->server, self->cancellable, on_connected, self);
}

/* ---- the caller's thread ---- */

static void
give_up (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  g_object_unref (cancellable);
}

/* A source that waits for a cancellable is lost, in GLib 2.74, when that is cancelled on another
 * thread just as it ends: so what the loop waits for is cancelled there. */
static void
on_cancelled (GCancellable *caller, gpointer user_data)
{
  Dial *self = user_data;

  hypha_loop_call (self->loop, give_up, g_object_ref (self->cancellable));
}

void
websocket_dial_async (const WebsocketAddress *address, HyphaEndpoint *endpoint,
                      const WebsocketRoute *route, guint timeout_ms, GCancellable *cancellable,
                      GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  HyphaLoop *loop = NULL;
  GError *error = NULL;
  Dial *self;

  g_task_set_source_tag (task, websocket_dial_async);
  /* It may be cancelled by the deadline, which has a word of its own. */
  g_task_set_check_cancellable (task, FALSE);
  if (!g_cancellable_set_error_if_cancelled (cancellable, &error))
    loop = websocket_state_acquire_loop (&error);
  if (loop == NULL) {
    g_task_return_error (task, error);
    return;
  }
  self = g_new0 (Dial, 1);
  self->context = g_main_context_ref (g_task_get_context (task));
  self->task = g_steal_pointer (&task);
  pthread_mutex_init (&self->mutex, NULL);
  self->address = address;
  self->endpoint = hypha_endpoint_ref (endpoint);
  self->display = hypha_endpoint_to_string (self->endpoint);
  self->proxy = g_strdup (route->proxy);
  self->ca_file = g_strdup (route->ca_file);
  self->ping_ms = route->ping_ms;
  self->timeout_ms = timeout_ms;
  self->caller = g_object_ref (cancellable);
  self->cancellable = g_cancellable_new ();
  self->loop = hypha_loop_ref (loop);
  hypha_loop_call (loop, start, self);
  self->follow = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), self, NULL);
}

HyphaChannel *
websocket_dial_finish (GAsyncResult *result, GError **error)
{
  g_autoptr (Outcome) outcome = g_task_propagate_pointer (G_TASK (result), error);

  if (outcome == NULL)
    return NULL;
  return websocket_socket_make_channel (g_steal_fd (&outcome->fd), outcome->flow, outcome->local,
                                        outcome->remote, outcome->host);
}
