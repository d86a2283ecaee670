/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-listener.h"

#include <glib/gstdio.h>
#include <unistd.h>

typedef struct {
  int fd;
  UdpWay way;
} Knock;

struct _UdpListener {
  HyphaListener parent_instance;
  UdpPort *port;   /* NULL: closed */
  HyphaBell *bell; /* the thread of datagrams rings it */
};

G_DEFINE_FINAL_TYPE (UdpListener, udp_listener, HYPHA_TYPE_LISTENER)

static void
knock_free (gpointer data)
{
  Knock *knock = data;

  if (knock->fd >= 0)
    close (knock->fd);
  g_free (knock);
}

static HyphaChannel *
let_in (HyphaListener *listener, gpointer data)
{
  Knock *knock = data;
  g_autoptr (HyphaEndpoint) remote = udp_way_get_remote (&knock->way);
  g_autoptr (HyphaEndpoint) local =
      udp_way_get_local (&knock->way, hypha_listener_get_bound (listener));
  g_autofree char *host = udp_way_get_host (&knock->way);
  HyphaChannel *channel =
      hypha_channel_new (g_steal_fd (&knock->fd), local, remote, HYPHA_CHANNEL_LOSSY);

  hypha_channel_set_host (channel, host);
  return channel;
}

static void
on_knocked (int fd, const UdpWay *way, gpointer user_data)
{
  const Knock knock = { fd, *way };

  hypha_bell_ring (user_data, g_memdup2 (&knock, sizeof knock));
}

HyphaListener *
udp_listener_new (int fd, HyphaEndpoint *bound, gint64 idle, guint max_flows, GError **error)
{
  UdpListener *self = g_object_new (UDP_TYPE_LISTENER, "bound", bound, NULL);

  self->bell = hypha_bell_new (HYPHA_LISTENER (self), let_in, knock_free);
  self->port = udp_port_listen (fd, hypha_endpoint_to_string (bound), idle, max_flows, on_knocked,
                                self->bell, error);
  if (self->port == NULL)
    g_clear_object (&self);
  return (HyphaListener *) self;
}

static void
udp_listener_close (HyphaListener *listener)
{
  UdpListener *self = UDP_LISTENER (listener);

  if (self->port != NULL)
    udp_port_close (g_steal_pointer (&self->port));
  g_clear_pointer (&self->bell, hypha_bell_close);
}

static void
udp_listener_class_init (UdpListenerClass *klass)
{
  HYPHA_LISTENER_CLASS (klass)->close = udp_listener_close;
}

static void
udp_listener_init (UdpListener *self)
{
}
