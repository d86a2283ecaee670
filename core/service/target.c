/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/service.h"

#include "loader/dial.h"

typedef struct {
  HyphaIncoming *incoming;
  HyphaBuiltins *builtins;
} Connecting;

static void
connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Connecting *connecting = user_data;
  g_autoptr (HyphaBuiltins) builtins = connecting->builtins;
  HyphaIncoming *incoming = connecting->incoming;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel =
      hypha_loader_dial_finish (HYPHA_LOADER (source), result, &error);

  if (channel == NULL) {
    g_message ("service '%s': %s", hypha_incoming_get_service (incoming), error->message);
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
    return;
  }
  if (hypha_incoming_is_direct (incoming)) {
    hypha_builtins_bridge (builtins, incoming, hypha_channel_steal_fd (channel));
    return;
  }
  /* A pumped channel has to live as long as its descriptor is used. */
  hypha_incoming_accept (incoming, hypha_channel_steal_fd (channel), G_OBJECT (channel));
}

void
hypha_service_connect (HyphaIncoming *incoming, HyphaLoader *loader, HyphaBuiltins *builtins,
                       const char *target)
{
  Connecting *connecting = g_new (Connecting, 1);

  connecting->incoming = incoming;
  connecting->builtins = hypha_builtins_ref (builtins);
  hypha_loader_dial_async (loader, target, HYPHA_DIAL_TIMEOUT_MS, NULL, connected, connecting);
}
