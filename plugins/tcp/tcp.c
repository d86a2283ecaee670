/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcp.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "tcp-bind.h"

#define COST_IPV6 10
#define COST_IPV4 15

/* Enough to keep a fast path busy, little enough that a ping does not wait long behind it. */
#define DEFAULT_NOTSENT_LOWAT (128 * 1024)
#define MIN_NOTSENT_LOWAT 4096
#define MAX_NOTSENT_LOWAT (16 * 1024 * 1024)

struct _TcpTransport {
  HyphaBaseTransport parent_instance;

  gboolean nodelay;
  guint32 notsent_lowat; /* 0: the kernel's own bound */
};

static void tcp_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (TcpTransport, tcp_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      tcp_transport_iface_init))

/* ---- channels ---- */

/* What fails here costs speed, never a byte: a socket that is already broken says so at its first
 * read. */
static void
tune (TcpTransport *self, int fd)
{
  const int nodelay = self->nodelay;
  const int lowat = (int) self->notsent_lowat;

  if (setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof nodelay) < 0)
    g_debug ("TCP_NODELAY: %s", g_strerror (errno));
  if (lowat > 0 && setsockopt (fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat) < 0)
    g_debug ("TCP_NOTSENT_LOWAT: %s", g_strerror (errno));
}

/* Takes FD. REMOTE is whom the endpoint of the channel names, PEER the address that names its host.
 */
static HyphaChannel *
make_channel (TcpTransport *self, int fd, HyphaEndpoint *remote, const struct sockaddr *peer)
{
  g_autoptr (HyphaEndpoint) local = NULL;
  g_autofree char *host = hypha_inet_sockaddr_to_host (peer);
  HyphaInetSockaddr name = { .length = sizeof name.storage };
  HyphaChannel *channel;

  if (getsockname (fd, (struct sockaddr *) &name.storage, &name.length) == 0)
    local = hypha_inet_sockaddr_to_endpoint ("tcp", (const struct sockaddr *) &name.storage);
  tune (self, fd);
  channel = hypha_channel_new (fd, local, remote, HYPHA_CHANNEL_KERNEL);
  hypha_channel_set_host (channel, host);
  return channel;
}

static HyphaChannel *
adopt (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_inet_sockaddr_to_endpoint ("tcp", remote);

  return make_channel (user_data, fd, endpoint, remote);
}

/* ---- connecting ---- */

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) attempt = user_data;
  HyphaEndpoint *endpoint = g_task_get_task_data (attempt);
  HyphaInetSockaddr peer = { .length = sizeof peer.storage };
  GError *error = NULL;
  int fd = hypha_socket_connect_finish (result, &error);

  if (fd < 0) {
    g_task_return_error (attempt, error);
    return;
  }
  if (getpeername (fd, (struct sockaddr *) &peer.storage, &peer.length) < 0) {
    g_task_return_new_error (attempt, HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                             _ ("%s: the connection was lost at once: %s"),
                             hypha_endpoint_to_string (endpoint), g_strerror (errno));
    close (fd);
    return;
  }
  g_task_return_pointer (attempt,
                         make_channel (g_task_get_source_object (attempt), fd, endpoint,
                                       (const struct sockaddr *) &peer.storage),
                         g_object_unref);
}

static void
connect_to (GTask *task, GTask *attempt, const HyphaInetSockaddr *address, const char *display,
            GCancellable *cancellable)
{
  HyphaEndpoint *endpoint = hypha_base_transport_get_endpoint (task);

  g_task_set_task_data (attempt, hypha_endpoint_ref (endpoint),
                        (GDestroyNotify) hypha_endpoint_unref);
  hypha_socket_connect_async ((const struct sockaddr *) &address->storage, address->length, display,
                              0, cancellable, on_connected, attempt);
}

static void
tcp_transport_connect (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                       guint timeout_ms, GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  const HyphaInetAddress *address = hypha_inet_address_for_task (task);

  if (address != NULL)
    hypha_inet_address_connect (address, timeout_ms, g_steal_pointer (&task), cancellable,
                                connect_to);
}

/* ---- listening ---- */

/* Takes FD, which listens on ENDPOINT. */
static HyphaListener *
make_listener (TcpTransport *self, int fd, HyphaEndpoint *endpoint)
{
  return hypha_socket_listener_new (fd, endpoint, adopt, g_object_ref (self), g_object_unref);
}

static HyphaListener *
listen_on (GTask *task, GInetAddress *numeric, GError **error)
{
  TcpTransport *self = g_task_get_source_object (task);
  HyphaEndpoint *asked = hypha_base_transport_get_endpoint (task);
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  HyphaInetSockaddr bound;
  int fd = tcp_bind (g_task_get_task_data (task), numeric, hypha_endpoint_to_string (asked), &bound,
                     error);

  if (fd < 0)
    return NULL;
  endpoint = hypha_inet_sockaddr_to_endpoint ("tcp", (const struct sockaddr *) &bound.storage);
  return make_listener (self, fd, endpoint);
}

static HyphaListener *
tcp_transport_adopt (HyphaBaseTransport *transport, int fd, const struct sockaddr *address,
                     socklen_t length, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_inet_sockaddr_to_endpoint ("tcp", address);
  int protocol = 0;
  socklen_t size = sizeof protocol;

  /* The families have other stream protocols, too; the multipath one is TCP to those who know no
   * better. */
  if (endpoint != NULL && getsockopt (fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
      (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
    return make_listener (TCP_TRANSPORT (transport), fd, endpoint);
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                       _ ("this is not a socket of TCP"));
  return NULL;
}

static void
tcp_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                      GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  const HyphaInetAddress *address = hypha_inet_address_for_task (task);

  if (address != NULL)
    hypha_inet_address_listen (address, g_steal_pointer (&task), cancellable, listen_on);
}

/* ---- the rest of the interface ---- */

static const char *const *
tcp_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "tcp", NULL };

  return schemes;
}

static HyphaEndpoint *
tcp_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaInetAddress) address = hypha_inet_address_parse (endpoint, error);

  return address == NULL ? NULL : hypha_inet_address_to_endpoint (address, "tcp", endpoint);
}

static gboolean
tcp_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  TcpTransport *self = TCP_TRANSPORT (transport);
  g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
  gboolean nodelay = hypha_options_get_boolean (options, "nodelay", TRUE);
  guint lowat = hypha_options_get_uint (options, "notsent-lowat", 0, MAX_NOTSENT_LOWAT,
                                        DEFAULT_NOTSENT_LOWAT);

  if (lowat > 0 && lowat < MIN_NOTSENT_LOWAT)
    hypha_options_refuse (options, "notsent-lowat",
                          _ ("it is %u, and has to be 0 (no bound) or %u to %u bytes"), lowat,
                          MIN_NOTSENT_LOWAT, MAX_NOTSENT_LOWAT);
  if (!hypha_options_finish (options, error))
    return FALSE;
  self->nodelay = nodelay;
  self->notsent_lowat = lowat;
  return TRUE;
}

/* Where this machine alone reaches itself; one of the two addresses may not be there. */
static char **
list_localhost (void)
{
  static const GSocketFamily families[] = { G_SOCKET_FAMILY_IPV4, G_SOCKET_FAMILY_IPV6 };
  static const char *const hosts[] = { "tcp://127.0.0.1", "tcp://[::1]" };
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (gsize i = 0; i < G_N_ELEMENTS (families); i++) {
    g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (families[i]);
    g_autoptr (GSocketAddress) address = g_inet_socket_address_new (loopback, 0);
    g_autoptr (GSocket) socket =
        g_socket_new (families[i], G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);

    if (socket != NULL && g_socket_bind (socket, address, FALSE, NULL))
      g_strv_builder_add (builder, hosts[i]);
  }
  return g_strv_builder_end (builder);
}

static gboolean
tcp_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  g_auto (GStrv) localhost = list_localhost ();

  g_variant_dict_insert (details, "localhost", "^as", localhost);
  return hypha_inet_probe (SOCK_STREAM, details, error);
}

static guint
tcp_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  gboolean ipv6 = endpoint != NULL && g_str_has_prefix (hypha_endpoint_get_rest (endpoint), "//[");

  return ipv6 ? COST_IPV6 : COST_IPV4;
}

static void
tcp_transport_class_init (TcpTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = tcp_transport_connect;
  base_class->listen = tcp_transport_listen;
  base_class->adopt = tcp_transport_adopt;
}

static void
tcp_transport_init (TcpTransport *self)
{
  self->nodelay = TRUE;
  self->notsent_lowat = DEFAULT_NOTSENT_LOWAT;
}

static void
tcp_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = tcp_transport_get_schemes;
  iface->parse = tcp_transport_parse;
  iface->configure = tcp_transport_configure;
  iface->probe = tcp_transport_probe;
  iface->get_link_cost = tcp_transport_get_link_cost;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (TCP_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (tcp, "tcp", "1.0", "TCP over IPv4 and IPv6", "LGPL-2.1-or-later", 0, create);
