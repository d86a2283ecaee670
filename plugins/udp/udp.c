/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "udp-dial.h"
#include "udp-listener.h"
#include "udp-socket.h"

struct _UdpTransport {
  HyphaBaseTransport parent_instance;
  guint32 flows; /* on each endpoint that is listened on */
};

static void udp_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (UdpTransport, udp_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      udp_transport_iface_init))

/* Microseconds; 0: not said. Whoever made the endpoint has checked it. */
static gint64
get_idle (GTask *task)
{
  const char *idle = hypha_base_transport_get_option (task, "idle");

  return idle != NULL ? strtoll (idle, NULL, 10) * G_TIME_SPAN_SECOND : 0;
}

/* ---- connecting ---- */

/* Takes FD. */
static HyphaChannel *
make_channel (GTask *task, int fd, const HyphaInetSockaddr *peer, GError **error)
{
  HyphaEndpoint *endpoint = hypha_base_transport_get_endpoint (task);
  const char *display = hypha_endpoint_to_string (endpoint);
  g_autofree char *host = hypha_inet_sockaddr_to_host ((const struct sockaddr *) &peer->storage);
  g_autoptr (HyphaEndpoint) local = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  HyphaInetSockaddr name = { .length = sizeof name.storage };
  int fds[2];

  if (getsockname (fd, (struct sockaddr *) &name.storage, &name.length) == 0)
    local = hypha_inet_sockaddr_to_endpoint ("udp", (const struct sockaddr *) &name.storage);
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("cannot connect to %s: %s%s%s"),
                 display, g_strerror (errno), "", "");
    close (fd);
    return NULL;
  }
  channel = hypha_channel_new (fds[0], local, endpoint, HYPHA_CHANNEL_LOSSY);
  hypha_channel_set_host (channel, host);
  if (!udp_port_join (fd, fds[1], display, get_idle (task), error))
    return NULL;
  return g_steal_pointer (&channel);
}

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  HyphaInetSockaddr peer;
  GError *error = NULL;
  int fd = udp_dial_finish (result, &peer, &error);
  HyphaChannel *channel = fd >= 0 ? make_channel (task, fd, &peer, &error) : NULL;

  if (channel != NULL)
    g_task_return_pointer (task, channel, g_object_unref);
  else
    g_task_return_error (task, error);
}

static void
udp_transport_connect (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                       guint timeout_ms, GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  const char *display = hypha_endpoint_to_string (endpoint);
  const HyphaInetAddress *address = hypha_inet_address_for_task (task);
  GError *error = NULL;

  if (address == NULL)
    return;
  if (!hypha_inet_address_check_remote (address, display, &error)) {
    g_task_return_error (task, error);
    return;
  }
  udp_dial_async (address, display, timeout_ms, cancellable, on_dialled, g_steal_pointer (&task));
}

/* ---- listening ---- */

static HyphaListener *
listen_on (GTask *task, GInetAddress *numeric, GError **error)
{
  UdpTransport *self = g_task_get_source_object (task);
  HyphaEndpoint *asked = hypha_base_transport_get_endpoint (task);
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  HyphaInetSockaddr bound;
  int fd = udp_socket_bind (g_task_get_task_data (task), numeric, hypha_endpoint_to_string (asked),
                            &bound, error);

  if (fd < 0)
    return NULL;
  endpoint = hypha_inet_sockaddr_to_endpoint ("udp", (const struct sockaddr *) &bound.storage);
  return udp_listener_new (fd, endpoint, get_idle (task), self->flows, error);
}

static void
udp_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                      GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  const HyphaInetAddress *address = hypha_inet_address_for_task (task);

  if (address != NULL)
    hypha_inet_address_listen (address, g_steal_pointer (&task), cancellable, listen_on);
}

/* ---- the rest of the interface ---- */

static const char *const *
udp_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "udp", NULL };

  return schemes;
}

static HyphaEndpoint *
udp_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaInetAddress) address = hypha_inet_address_parse (endpoint, error);

  return address == NULL ? NULL : hypha_inet_address_to_endpoint (address, "udp", endpoint);
}

static gboolean
udp_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
  guint flows = hypha_options_get_uint (options, "flows", 1, UDP_MAX_FLOWS, UDP_DEFAULT_FLOWS);

  if (!hypha_options_finish (options, error))
    return FALSE;
  UDP_TRANSPORT (transport)->flows = flows;
  return TRUE;
}

static gboolean
udp_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  return hypha_inet_probe (SOCK_DGRAM, details, error);
}

/* There is no link that would have one. */
static guint
udp_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return G_MAXUINT;
}

static gboolean
udp_transport_is_lossy (HyphaTransport *transport)
{
  return TRUE;
}

static void
udp_transport_class_init (UdpTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = udp_transport_connect;
  base_class->listen = udp_transport_listen;
}

static void
udp_transport_init (UdpTransport *self)
{
  self->flows = UDP_DEFAULT_FLOWS;
}

static void
udp_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = udp_transport_get_schemes;
  iface->parse = udp_transport_parse;
  iface->configure = udp_transport_configure;
  iface->probe = udp_transport_probe;
  iface->get_link_cost = udp_transport_get_link_cost;
  iface->is_lossy = udp_transport_is_lossy;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (UDP_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (udp, "udp", "1.0", "Datagrams over IPv4 and IPv6, for forwards and services",
                     "LGPL-2.1-or-later", 0, create);
