/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-listener.h"

#include "quic-datagram.h"

struct _QuicListener {
  HyphaListener parent_instance;
  QuicServer *server; /* NULL: closed */
  HyphaBell *bell;    /* the thread of packets rings it; a knock is the channel */
};

G_DEFINE_FINAL_TYPE (QuicListener, quic_listener, HYPHA_TYPE_LISTENER)

static HyphaChannel *
let_in (HyphaListener *listener, gpointer knock)
{
  return g_object_ref (knock);
}

static void
on_knocked (HyphaChannel *channel, gpointer bell)
{
  hypha_bell_ring (bell, channel);
}

static HyphaListener *
try_listen (const HyphaInetAddress *address, GInetAddress *numeric, const char *display, guint max,
            GError **error)
{
  g_autoptr (QuicListener) self = NULL;
  g_autoptr (HyphaEndpoint) bound = NULL;
  g_autoptr (GError) local = NULL;
  HyphaInetSockaddr sockaddr;
  QuicAddress name;
  int fd = hypha_inet_address_bind (address, numeric, SOCK_DGRAM, quic_datagram_prepare, display,
                                    &sockaddr, &local);

  /* Connections of one that was closed may have the port still: then that listens again. */
  if (fd < 0 && !g_error_matches (local, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE)) {
    g_propagate_error (error, g_steal_pointer (&local));
    return NULL;
  }
  quic_address_set (&name, (const struct sockaddr *) &sockaddr.storage, sockaddr.length);
  bound = quic_address_to_endpoint (&name);
  self = g_object_new (QUIC_TYPE_LISTENER, "bound", bound, NULL);
  self->bell = hypha_bell_new (HYPHA_LISTENER (self), let_in, g_object_unref);
  self->server =
      quic_server_listen (fd, &name, max, on_knocked, self->bell, fd >= 0 ? error : NULL);
  if (self->server != NULL)
    return HYPHA_LISTENER (g_steal_pointer (&self));
  if (fd < 0)
    g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

HyphaListener *
quic_listener_new (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
                   guint max, GError **error)
{
  GError *local = NULL;
  HyphaListener *self = try_listen (address, numeric, display, max, &local);

  /* Whoever had the port may have ended in between. */
  if (g_error_matches (local, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE)) {
    g_clear_error (&local);
    self = try_listen (address, numeric, display, max, &local);
  }
  if (self == NULL)
    g_propagate_error (error, local);
  return self;
}

static void
quic_listener_close (HyphaListener *listener)
{
  QuicListener *self = QUIC_LISTENER (listener);

  if (self->server != NULL)
    quic_server_close (g_steal_pointer (&self->server));
  g_clear_pointer (&self->bell, hypha_bell_close);
}

static void
quic_listener_class_init (QuicListenerClass *klass)
{
  HYPHA_LISTENER_CLASS (klass)->close = quic_listener_close;
}

static void
quic_listener_init (QuicListener *self)
{
}
