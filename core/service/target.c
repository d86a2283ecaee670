/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/service.h"

#define CONNECT_TIMEOUT_MS 10000

static void
connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaIncoming *incoming = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel =
      hypha_transport_connect_finish (HYPHA_TRANSPORT (source), result, &error);

  if (channel == NULL) {
    g_message ("service '%s': %s", hypha_incoming_get_service (incoming), error->message);
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
    return;
  }
  /* A pumped channel has to live as long as its descriptor is used. */
  hypha_incoming_accept (incoming, hypha_channel_steal_fd (channel), G_OBJECT (channel));
}

void
hypha_service_connect (HyphaIncoming *incoming, HyphaLoader *loader, const char *target)
{
  HyphaTransport *transport = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) endpoint =
      hypha_loader_parse_endpoint (loader, target, &transport, &error);

  if (endpoint == NULL) {
    g_message ("service '%s': %s", hypha_incoming_get_service (incoming), error->message);
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
    return;
  }
  hypha_transport_connect_async (transport, endpoint, CONNECT_TIMEOUT_MS, NULL, connected,
                                 incoming);
}
