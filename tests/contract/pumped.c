/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pumped.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

struct _PumpedTransport {
  GObject parent_instance;

  GCancellable *stopping;
  GPtrArray *listeners; /* of HyphaListener, not owned */
};

static void pumped_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (PumpedTransport, pumped_transport, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      pumped_transport_iface_init))

/* ---- endpoints ---- */

static HyphaEndpoint *
make_endpoint (const struct sockaddr_in *address, HyphaEndpoint *options_of)
{
  char host[INET_ADDRSTRLEN];
  g_autofree char *rest = NULL;

  inet_ntop (AF_INET, &address->sin_addr, host, sizeof host);
  rest = g_strdup_printf ("//%s:%u", host, ntohs (address->sin_port));
  return hypha_endpoint_new ("pumped", rest, options_of);
}

static gboolean
to_sockaddr (HyphaEndpoint *endpoint, struct sockaddr_in *out, GError **error)
{
  g_autofree char *host = NULL;
  guint32 port;

  *out = (struct sockaddr_in){ .sin_family = AF_INET };
  if (!hypha_endpoint_split_host_port (endpoint, G_MAXUINT16, &host, &port, error))
    return FALSE;
  if (inet_pton (AF_INET, host, &out->sin_addr) != 1) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT,
                 "%s: the host is not an IPv4 address", hypha_endpoint_to_string (endpoint));
    return FALSE;
  }
  out->sin_port = htons ((guint16) port);
  return TRUE;
}

static const char *const *
pumped_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "pumped", NULL };

  return schemes;
}

static HyphaEndpoint *
pumped_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  struct sockaddr_in address;

  return to_sockaddr (endpoint, &address, error) ? make_endpoint (&address, endpoint) : NULL;
}

static gboolean
pumped_configure (HyphaTransport *transport, GVariant *options, GError **error)
{
  g_autofree char *key = NULL;
  g_autoptr (GVariant) value = NULL;
  GVariantIter iter;

  g_variant_iter_init (&iter, options);
  if (!g_variant_iter_next (&iter, "{sv}", &key, &value))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, "there is no option '%s'", key);
  return FALSE;
}

static guint
pumped_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return 20;
}

/* ---- channels ---- */

/* Takes FD. */
static HyphaChannel *
make_channel (int fd, HyphaEndpoint *remote, GError **error)
{
  g_autoptr (GSocket) socket = g_socket_new_from_fd (fd, error);
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (HyphaEndpoint) local = NULL;
  struct sockaddr_in name = { 0 };
  socklen_t length = sizeof name;
  HyphaChannel *channel;

  if (socket == NULL) {
    close (fd);
    return NULL;
  }
  if (getsockname (fd, (struct sockaddr *) &name, &length) == 0)
    local = make_endpoint (&name, NULL);
  connection = g_socket_connection_factory_create_connection (socket);
  channel = hypha_channel_new_pumped (G_IO_STREAM (connection), local, remote, error);
  if (channel != NULL)
    hypha_channel_set_host (channel, "127.0.0.1");
  return channel;
}

static HyphaChannel *
adopt (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint =
      make_endpoint ((const struct sockaddr_in *) (const void *) remote, NULL);

  return make_channel (fd, endpoint, error);
}

/* ---- connecting ---- */

typedef struct {
  HyphaEndpoint *remote;
  GCancellable *cancellable;
  GCancellable *callers; /* nullable */
  gulong follow_caller;
  GCancellable *stopping;
  gulong follow_stop;
} Connect;

static void
connect_free (Connect *self)
{
  g_cancellable_disconnect (self->callers, self->follow_caller);
  g_cancellable_disconnect (self->stopping, self->follow_stop);
  g_clear_object (&self->callers);
  g_object_unref (self->stopping);
  g_object_unref (self->cancellable);
  hypha_endpoint_unref (self->remote);
  g_free (self);
}

static void
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  g_cancellable_cancel (user_data);
}

static gulong
follow (GCancellable *leader, GCancellable *follower)
{
  return leader == NULL ? 0
                        : g_cancellable_connect (leader, G_CALLBACK (on_cancelled),
                                                 g_object_ref (follower), g_object_unref);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Connect *connect = g_task_get_task_data (task);
  HyphaChannel *channel = NULL;
  GError *error = NULL;
  int fd = hypha_socket_connect_finish (result, &error);

  if (fd >= 0)
    channel = make_channel (fd, connect->remote, &error);
  if (channel == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, channel, g_object_unref);
}

static void
pumped_connect_async (HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
                      GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  PumpedTransport *self = PUMPED_TRANSPORT (transport);
  g_autoptr (GTask) task = g_task_new (transport, cancellable, callback, user_data);
  struct sockaddr_in address;
  GError *error = NULL;
  Connect *connect;

  g_task_set_source_tag (task, pumped_connect_async);
  if (!to_sockaddr (endpoint, &address, &error)) {
    g_task_return_error (task, error);
    return;
  }
  connect = g_new0 (Connect, 1);
  connect->remote = hypha_endpoint_without_options (endpoint);
  connect->cancellable = g_cancellable_new ();
  connect->callers = cancellable == NULL ? NULL : g_object_ref (cancellable);
  connect->stopping = g_object_ref (self->stopping);
  connect->follow_caller = follow (connect->callers, connect->cancellable);
  connect->follow_stop = follow (connect->stopping, connect->cancellable);
  g_task_set_task_data (task, connect, (GDestroyNotify) connect_free);
  hypha_socket_connect_async ((const struct sockaddr *) &address, sizeof address,
                              hypha_endpoint_to_string (connect->remote), timeout_ms,
                              connect->cancellable, on_connected, g_steal_pointer (&task));
}

static HyphaChannel *
pumped_connect_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- listening ---- */

typedef struct {
  PumpedTransport *transport;
  HyphaListener *listener; /* not owned */
} Acceptor;

static void
on_closed (gpointer user_data)
{
  Acceptor *acceptor = user_data;

  g_ptr_array_remove (acceptor->transport->listeners, acceptor->listener);
  g_object_unref (acceptor->transport);
  g_free (acceptor);
}

static int
bind_to (HyphaEndpoint *endpoint, struct sockaddr_in *address, GError **error)
{
  const int on = 1;
  socklen_t length = sizeof *address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd >= 0 && setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind (fd, (struct sockaddr *) address, sizeof *address) == 0 && listen (fd, SOMAXCONN) == 0 &&
      getsockname (fd, (struct sockaddr *) address, &length) == 0)
    return fd;
  g_set_error (error, HYPHA_ERROR,
               errno == EADDRINUSE ? HYPHA_ERROR_ADDRESS_IN_USE : HYPHA_ERROR_FAILED,
               "cannot listen on %s: %s", hypha_endpoint_to_string (endpoint), g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

static void
pumped_listen_async (HyphaTransport *transport, HyphaEndpoint *endpoint, GCancellable *cancellable,
                     GAsyncReadyCallback callback, gpointer user_data)
{
  PumpedTransport *self = PUMPED_TRANSPORT (transport);
  g_autoptr (GTask) task = g_task_new (transport, cancellable, callback, user_data);
  g_autoptr (HyphaEndpoint) bound = NULL;
  struct sockaddr_in address;
  GError *error = NULL;
  Acceptor *acceptor;
  int fd = -1;

  g_task_set_source_tag (task, pumped_listen_async);
  if (g_task_return_error_if_cancelled (task))
    return;
  if (!g_cancellable_set_error_if_cancelled (self->stopping, &error) &&
      to_sockaddr (endpoint, &address, &error))
    fd = bind_to (endpoint, &address, &error);
  if (fd < 0) {
    g_task_return_error (task, error);
    return;
  }
  bound = make_endpoint (&address, NULL);
  acceptor = g_new0 (Acceptor, 1);
  acceptor->transport = g_object_ref (self);
  acceptor->listener = hypha_socket_listener_new (fd, bound, adopt, acceptor, on_closed);
  g_ptr_array_add (self->listeners, acceptor->listener);
  g_task_return_pointer (task, acceptor->listener, g_object_unref);
}

static HyphaListener *
pumped_listen_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
pumped_stop (HyphaTransport *transport)
{
  PumpedTransport *self = PUMPED_TRANSPORT (transport);

  g_cancellable_cancel (self->stopping);
  while (self->listeners->len > 0) {
    g_autoptr (HyphaListener) listener = g_object_ref (self->listeners->pdata[0]);

    hypha_listener_close (listener);
  }
}

/* ---- the type ---- */

static void
pumped_transport_finalize (GObject *object)
{
  PumpedTransport *self = PUMPED_TRANSPORT (object);

  g_object_unref (self->stopping);
  g_ptr_array_unref (self->listeners);
  G_OBJECT_CLASS (pumped_transport_parent_class)->finalize (object);
}

static void
pumped_transport_class_init (PumpedTransportClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = pumped_transport_finalize;
}

static void
pumped_transport_init (PumpedTransport *self)
{
  self->stopping = g_cancellable_new ();
  self->listeners = g_ptr_array_new ();
}

static void
pumped_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = pumped_get_schemes;
  iface->parse = pumped_parse;
  iface->configure = pumped_configure;
  iface->get_link_cost = pumped_get_link_cost;
  iface->connect_async = pumped_connect_async;
  iface->connect_finish = pumped_connect_finish;
  iface->listen_async = pumped_listen_async;
  iface->listen_finish = pumped_listen_finish;
  iface->stop = pumped_stop;
}

HyphaTransport *
pumped_transport_new (void)
{
  return g_object_new (PUMPED_TYPE_TRANSPORT, NULL);
}
