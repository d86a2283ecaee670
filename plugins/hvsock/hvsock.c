/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hvsock.h"

#include <glib/gi18n-lib.h>

#include "hvsock-address.h"
#include "hvsock-connect.h"
#include "hvsock-machine.h"
#include "hvsock-machines.h"

#define COST 5

struct _HvsockTransport {
  HyphaBaseTransport parent_instance;
};

static void hvsock_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HvsockTransport, hvsock_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      hvsock_transport_iface_init))

/* ---- connecting ---- */

/* The data of the task is the endpoint. */
static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  int fd = hvsock_connect_finish (result, &error);

  if (fd < 0)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, hvsock_channel_new (fd, NULL, g_task_get_task_data (task)),
                           g_object_unref);
}

static void
hvsock_transport_connect (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                          guint timeout_ms, GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  GError *error = NULL;
  HvsockAddress address;

  if (!hvsock_address_parse (endpoint, &address, &error)) {
    g_task_return_error (task, error);
    return;
  }
  if (hvsock_address_is_pattern (&address)) {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT,
                             _ ("cannot connect to %s: it names any number of machines, and is for "
                                "listening only; name one"),
                             hypha_endpoint_to_string (endpoint));
    return;
  }
  g_task_set_task_data (task, endpoint, NULL);
  hvsock_connect_async (&address, hypha_endpoint_to_string (endpoint), timeout_ms, cancellable,
                        on_connected, g_steal_pointer (&task));
}

/* ---- listening ---- */

static void
on_listening (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  HyphaListener *listener = hvsock_listen_finish (result, &error);

  if (listener == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, listener, g_object_unref);
}

static void
hvsock_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                         GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  GError *error = NULL;
  HvsockAddress address;

  if (!hvsock_address_parse (endpoint, &address, &error)) {
    g_task_return_error (task, error);
    return;
  }
  if (hvsock_address_is_pattern (&address))
    g_task_return_pointer (task, hvsock_machines_new (&address, endpoint), g_object_unref);
  else
    hvsock_listen_async (&address, endpoint, cancellable, on_listening, g_steal_pointer (&task));
}

/* ---- the rest of the interface ---- */

static const char *const *
hvsock_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "hvsock", "vsock-mux", NULL };

  return schemes;
}

static HyphaEndpoint *
hvsock_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  HvsockAddress address;

  return hvsock_address_parse (endpoint, &address, error)
             ? hvsock_address_to_endpoint (&address, endpoint)
             : NULL;
}

static guint
hvsock_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return COST;
}

static HyphaVouching
hvsock_transport_get_vouching (HyphaTransport *transport)
{
  return HYPHA_VOUCHING_ADDRESS;
}

static void
hvsock_transport_class_init (HvsockTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = hvsock_transport_connect;
  base_class->listen = hvsock_transport_listen;
}

static void
hvsock_transport_init (HvsockTransport *self)
{
}

static void
hvsock_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = hvsock_transport_get_schemes;
  iface->parse = hvsock_transport_parse;
  iface->get_link_cost = hvsock_transport_get_link_cost;
  iface->get_vouching = hvsock_transport_get_vouching;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (HVSOCK_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (hvsock, "hvsock", "1.0",
                     "Sockets of virtual machines whose VMM gives them as a Unix socket",
                     "LGPL-2.1-or-later", 0, create);
