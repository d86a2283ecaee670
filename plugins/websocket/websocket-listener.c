/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-listener.h"

#include <unistd.h>

#include "websocket-socket.h"

typedef struct {
  int fd;
  WebsocketFlow *flow;
  struct sockaddr_storage remote, local;
} Knock;

struct _WebsocketListener {
  HyphaListener parent_instance;
  WebsocketPort *port; /* NULL: closed */
  WebsocketAddress *address;
  HyphaBell *bell; /* the loop rings it */
};

G_DEFINE_FINAL_TYPE (WebsocketListener, websocket_listener, HYPHA_TYPE_LISTENER)

static void
knock_free (gpointer data)
{
  Knock *knock = data;

  if (knock->fd >= 0)
    close (knock->fd);
  websocket_flow_unref (knock->flow);
  g_free (knock);
}

static HyphaChannel *
let_in (HyphaListener *listener, gpointer data)
{
  const WebsocketAddress *address = WEBSOCKET_LISTENER (listener)->address;
  Knock *knock = data;
  const struct sockaddr *remote = (const struct sockaddr *) &knock->remote;
  g_autoptr (HyphaEndpoint) from = websocket_address_of_client (address, remote);
  g_autoptr (HyphaEndpoint) local =
      websocket_address_to_endpoint (address, (const struct sockaddr *) &knock->local, NULL);
  g_autofree char *host = hypha_inet_sockaddr_to_host (remote);

  return websocket_socket_make_channel (g_steal_fd (&knock->fd), knock->flow, local, from, host);
}

static void
on_knocked (int fd, WebsocketFlow *flow, const struct sockaddr *remote,
            const struct sockaddr *local, gpointer user_data)
{
  Knock *knock = g_new (Knock, 1);

  *knock = (Knock){ .fd = fd, .flow = flow };
  knock->remote = *(const struct sockaddr_storage *) (const void *) remote;
  knock->local = *(const struct sockaddr_storage *) (const void *) local;
  hypha_bell_ring (user_data, knock);
}

HyphaListener *
websocket_listener_new (int fd, HyphaEndpoint *bound, const WebsocketAddress *address,
                        const WebsocketHouse *house, GError **error)
{
  WebsocketListener *self = g_object_new (WEBSOCKET_TYPE_LISTENER, "bound", bound, NULL);

  self->bell = hypha_bell_new (HYPHA_LISTENER (self), let_in, knock_free);
  self->address = websocket_address_parse (bound, error);
  if (self->address != NULL)
    self->port = websocket_port_new (fd, hypha_endpoint_to_string (bound), address->secure,
                                     address->path, house, on_knocked, hypha_bell_ref (self->bell),
                                     (GDestroyNotify) hypha_bell_unref, error);
  else
    close (fd);
  if (self->port == NULL)
    g_clear_object (&self);
  return (HyphaListener *) self;
}

static void
websocket_listener_close (HyphaListener *listener)
{
  WebsocketListener *self = WEBSOCKET_LISTENER (listener);

  if (self->port != NULL)
    websocket_port_close (g_steal_pointer (&self->port));
  g_clear_pointer (&self->bell, hypha_bell_close);
}

static void
websocket_listener_finalize (GObject *object)
{
  g_clear_pointer (&WEBSOCKET_LISTENER (object)->address, websocket_address_free);
  G_OBJECT_CLASS (websocket_listener_parent_class)->finalize (object);
}

static void
websocket_listener_class_init (WebsocketListenerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = websocket_listener_finalize;
  HYPHA_LISTENER_CLASS (klass)->close = websocket_listener_close;
}

static void
websocket_listener_init (WebsocketListener *self)
{
}
