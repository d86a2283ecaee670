/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via.h"

#include <glib/gi18n-lib.h>

#include "via-dial.h"
#include "via-hub.h"
#include "via-listener.h"
#include "via-middle.h"
#include "via-route.h"
#include "via-sight.h"

#define DEFAULT_PASSAGES 512
#define DEFAULT_PER_PEER 64
#define MAX_PASSAGES 4096
/* Of a hop about which nothing is known: the dearest typical one. */
#define UNKNOWN_HOP 15

struct _ViaTransport {
  HyphaBaseTransport parent_instance;
  ViaHub *hub;
};

static void via_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (ViaTransport, via_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      via_transport_iface_init))

/* ---- the node that it serves ---- */

static void
serve (ViaTransport *self, HyphaPeers *peers)
{
  ViaHub *hub = self->hub;

  g_clear_pointer (&hub->middle, via_middle_free);
  g_clear_pointer (&hub->sight, via_sight_free);
  g_set_object (&hub->peers, peers);
  if (peers == NULL)
    return;
  hub->sight = via_sight_new (hub);
  hub->middle = via_middle_new (hub);
  via_sight_update (hub->sight);
}

static void
via_transport_serve (HyphaTransport *transport, HyphaPeers *peers)
{
  serve (VIA_TRANSPORT (transport), peers);
}

/* ---- channels ---- */

static void
via_transport_connect (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                       guint timeout_ms, GCancellable *cancellable)
{
  via_dial (VIA_TRANSPORT (transport)->hub, task, endpoint, timeout_ms, cancellable);
}

static void
via_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                      GCancellable *cancellable)
{
  ViaTransport *self = VIA_TRANSPORT (transport);
  g_autoptr (GTask) task = given;
  const char *display = hypha_endpoint_to_string (endpoint);
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) route = via_route_parse (endpoint, &error);
  HyphaListener *listener = NULL;

  if (route != NULL && route[1] != NULL)
    g_set_error (
        &error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
        _ ("cannot listen on %s: that is one node to dial; 'via://any' takes what any node "
           "leads here, and 'via://%s' what that one does"),
        display, route[0]);
  else if (route != NULL && self->hub->peers == NULL)
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("cannot listen on %s: it takes what the peers of a node lead here, and this "
                    "program has no node"),
                 display);
  else if (route != NULL)
    listener = via_listener_new (self->hub, endpoint, &error);
  if (listener != NULL)
    g_task_return_pointer (task, listener, g_object_unref);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

/* ---- the rest of the interface ---- */

static const char *const *
via_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "via", NULL };

  return schemes;
}

static HyphaEndpoint *
via_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_auto (GStrv) route = via_route_parse (endpoint, error);

  return route != NULL ? via_route_to_endpoint ((const char *const *) route, endpoint) : NULL;
}

static gboolean
via_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  ViaHub *hub = VIA_TRANSPORT (transport)->hub;
  g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
  guint passages = hypha_options_get_uint (options, "passages", 1, MAX_PASSAGES, DEFAULT_PASSAGES);
  guint per_peer =
      hypha_options_get_uint (options, "passages-per-peer", 1, MAX_PASSAGES, DEFAULT_PER_PEER);

  if (!hypha_options_finish (options, error))
    return FALSE;
  hub->max_passages = passages;
  hub->max_per_peer = per_peer;
  return TRUE;
}

/* What is not known yet is taken to be dear; the channel will tell. */
static guint
via_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  ViaHub *hub = VIA_TRANSPORT (transport)->hub;
  g_auto (GStrv) route = endpoint != NULL ? via_route_parse (endpoint, NULL) : NULL;
  g_autoptr (HyphaEndpoint) bare =
      endpoint != NULL ? hypha_endpoint_without_options (endpoint) : NULL;
  g_autoptr (HyphaPeer) first = NULL;
  guint middles = route != NULL ? MAX (g_strv_length (route), 2) - 1 : VIA_MAX_MIDDLES;
  guint cost = UNKNOWN_HOP;

  if (bare != NULL && hub->sight != NULL && via_sight_get_cost (hub->sight, bare, &cost))
    return cost;
  first = route != NULL ? via_hub_find_peer (hub, route[0]) : NULL;
  if (first != NULL)
    via_hub_get_link_cost (hub->peers, first, &cost);
  return cost + middles * (VIA_MIDDLE_COST + UNKNOWN_HOP);
}

static void
via_transport_finalize (GObject *object)
{
  ViaTransport *self = VIA_TRANSPORT (object);

  serve (self, NULL);
  via_hub_unref (self->hub);
  G_OBJECT_CLASS (via_transport_parent_class)->finalize (object);
}

static void
via_transport_class_init (ViaTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = via_transport_finalize;
  base_class->connect = via_transport_connect;
  base_class->listen = via_transport_listen;
}

static void
via_transport_init (ViaTransport *self)
{
  self->hub = via_hub_new ();
  self->hub->max_passages = DEFAULT_PASSAGES;
  self->hub->max_per_peer = DEFAULT_PER_PEER;
}

static void
via_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = via_transport_get_schemes;
  iface->parse = via_transport_parse;
  iface->configure = via_transport_configure;
  iface->get_link_cost = via_transport_get_link_cost;
  iface->serve = via_transport_serve;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (VIA_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (via, "via", "1.0", "Links through other nodes", "LGPL-2.1-or-later", 0,
                     create);
