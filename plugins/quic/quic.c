/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic.h"

#include "quic-client.h"
#include "quic-listener.h"

#define COST_IPV6 7
#define COST_IPV4 12

struct _QuicTransport {
  HyphaBaseTransport parent_instance;
  guint32 connections; /* to each endpoint that is listened on */
};

static void quic_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (QuicTransport, quic_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      quic_transport_iface_init))

/* ---- connecting and listening ---- */

static void
connect_to (GTask *task, GTask *attempt, const HyphaInetSockaddr *address, const char *display,
            GCancellable *cancellable)
{
  quic_client_connect (attempt, address, hypha_base_transport_get_endpoint (task), display,
                       cancellable);
}

static void
quic_transport_connect (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                        guint timeout_ms, GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  const HyphaInetAddress *address = hypha_inet_address_for_task (task);

  if (address != NULL)
    hypha_inet_address_connect (address, timeout_ms, g_steal_pointer (&task), cancellable,
                                connect_to);
}

static HyphaListener *
listen_on (GTask *task, GInetAddress *numeric, GError **error)
{
  QuicTransport *self = g_task_get_source_object (task);
  HyphaEndpoint *endpoint = hypha_base_transport_get_endpoint (task);

  return quic_listener_new (g_task_get_task_data (task), numeric,
                            hypha_endpoint_to_string (endpoint), self->connections, error);
}

static void
quic_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                       GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  const HyphaInetAddress *address = hypha_inet_address_for_task (task);

  if (address != NULL)
    hypha_inet_address_listen (address, g_steal_pointer (&task), cancellable, listen_on);
}

/* ---- the rest of the interface ---- */

static const char *const *
quic_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "quic", NULL };

  return schemes;
}

static HyphaEndpoint *
quic_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaInetAddress) address = hypha_inet_address_parse (endpoint, error);

  return address == NULL ? NULL : hypha_inet_address_to_endpoint (address, "quic", endpoint);
}

static gboolean
quic_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
  guint connections = hypha_options_get_uint (options, "connections", 1, QUIC_MAX_CONNECTIONS,
                                              QUIC_DEFAULT_CONNECTIONS);

  if (!hypha_options_finish (options, error))
    return FALSE;
  QUIC_TRANSPORT (transport)->connections = connections;
  return TRUE;
}

static gboolean
quic_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  return hypha_inet_probe (SOCK_DGRAM, details, error);
}

static guint
quic_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  gboolean ipv6 = endpoint != NULL && g_str_has_prefix (hypha_endpoint_get_rest (endpoint), "//[");

  return ipv6 ? COST_IPV6 : COST_IPV4;
}

static void
quic_transport_class_init (QuicTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = quic_transport_connect;
  base_class->listen = quic_transport_listen;
}

static void
quic_transport_init (QuicTransport *self)
{
  self->connections = QUIC_DEFAULT_CONNECTIONS;
}

static void
quic_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = quic_transport_get_schemes;
  iface->parse = quic_transport_parse;
  iface->configure = quic_transport_configure;
  iface->probe = quic_transport_probe;
  iface->get_link_cost = quic_transport_get_link_cost;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (QUIC_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (quic, "quic", "1.0", "QUIC over IPv4 and IPv6", "LGPL-2.1-or-later", 0,
                     create);
