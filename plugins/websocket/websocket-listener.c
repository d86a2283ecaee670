/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-listener.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "websocket-socket.h"

typedef struct {
  int fd;
  WebsocketFlow *flow;
  struct sockaddr_storage remote, local;
} Knock;

/* What the loop and the listener have in common. */
typedef struct {
  _Atomic guint ref_count;
  pthread_mutex_t mutex;
  GArray *knocks; /* of Knock */
  gboolean rung;  /* the listener's thread will look */
  gboolean closed;
  GMainContext *context;
  WebsocketListener *listener; /* for the listener's thread; NULL: it is closed */
} Bell;

struct _WebsocketListener {
  HyphaListener parent_instance;
  WebsocketPort *port; /* NULL: closed */
  WebsocketAddress *address;
  Bell *bell;
};

G_DEFINE_FINAL_TYPE (WebsocketListener, websocket_listener, HYPHA_TYPE_LISTENER)

static void
clear_knock (gpointer data)
{
  Knock *knock = data;

  if (knock->fd >= 0)
    close (knock->fd);
  websocket_flow_unref (knock->flow);
}

static GArray *
new_knocks (void)
{
  GArray *knocks = g_array_new (FALSE, FALSE, sizeof (Knock));

  g_array_set_clear_func (knocks, clear_knock);
  return knocks;
}

/* Those that have come since the last look. */
static GArray *
take_knocks (Bell *self, gboolean close)
{
  GArray *knocks;

  pthread_mutex_lock (&self->mutex);
  knocks = self->knocks;
  self->knocks = new_knocks ();
  self->rung = FALSE;
  self->closed = self->closed || close;
  pthread_mutex_unlock (&self->mutex);
  return knocks;
}

static Bell *
bell_new (WebsocketListener *listener)
{
  Bell *self = g_new0 (Bell, 1);

  atomic_init (&self->ref_count, 1);
  pthread_mutex_init (&self->mutex, NULL);
  self->knocks = new_knocks ();
  self->context = g_main_context_ref_thread_default ();
  self->listener = listener;
  return self;
}

static Bell *
bell_ref (Bell *self)
{
  atomic_fetch_add (&self->ref_count, 1);
  return self;
}

static void
bell_unref (gpointer bell)
{
  Bell *self = bell;

  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  g_array_unref (self->knocks);
  g_main_context_unref (self->context);
  pthread_mutex_destroy (&self->mutex);
  g_free (self);
}

/* ---- the listener's thread ---- */

/* Takes the descriptor. */
static void
let_in (WebsocketListener *self, Knock *knock)
{
  const struct sockaddr *remote = (const struct sockaddr *) &knock->remote;
  g_autoptr (HyphaEndpoint) from = websocket_address_of_client (self->address, remote);
  g_autoptr (HyphaEndpoint) local =
      websocket_address_to_endpoint (self->address, (const struct sockaddr *) &knock->local, NULL);
  g_autofree char *host = hypha_inet_sockaddr_to_host (remote);
  g_autoptr (HyphaChannel) channel =
      websocket_socket_make_channel (g_steal_fd (&knock->fd), knock->flow, local, from, host);

  hypha_listener_accepted (HYPHA_LISTENER (self), channel);
}

static gboolean
on_rung (gpointer bell)
{
  Bell *self = bell;
  g_autoptr (GArray) knocks = take_knocks (self, FALSE);

  /* Whoever is let in may close the listener. */
  for (guint i = 0; i < knocks->len && self->listener != NULL; i++) {
    G_GNUC_UNUSED g_autoptr (WebsocketListener) kept = g_object_ref (self->listener);

    let_in (self->listener, &g_array_index (knocks, Knock, i));
  }
  return G_SOURCE_REMOVE;
}

/* ---- the loop ---- */

static void
on_knocked (int fd, WebsocketFlow *flow, const struct sockaddr *remote,
            const struct sockaddr *local, gpointer user_data)
{
  Bell *self = user_data;
  Knock knock = { .fd = fd, .flow = flow };
  gboolean ring, closed;

  knock.remote = *(const struct sockaddr_storage *) (const void *) remote;
  knock.local = *(const struct sockaddr_storage *) (const void *) local;
  pthread_mutex_lock (&self->mutex);
  closed = self->closed;
  if (!closed)
    g_array_append_val (self->knocks, knock);
  ring = !self->rung && !closed;
  self->rung = self->rung || ring;
  pthread_mutex_unlock (&self->mutex);
  if (closed)
    clear_knock (&knock);
  if (ring) {
    g_autoptr (GSource) source = g_idle_source_new ();

    g_source_set_priority (source, G_PRIORITY_DEFAULT);
    g_source_set_callback (source, on_rung, bell_ref (self), bell_unref);
    g_source_attach (source, self->context);
  }
}

/* ---- life ---- */

HyphaListener *
websocket_listener_new (int fd, HyphaEndpoint *bound, const WebsocketAddress *address,
                        const WebsocketHouse *house, GError **error)
{
  WebsocketListener *self = g_object_new (WEBSOCKET_TYPE_LISTENER, "bound", bound, NULL);

  self->bell = bell_new (self);
  self->address = websocket_address_parse (bound, error);
  if (self->address != NULL)
    self->port =
        websocket_port_new (fd, hypha_endpoint_to_string (bound), address->secure, address->path,
                            house, on_knocked, bell_ref (self->bell), bell_unref, error);
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
  if (self->bell != NULL) {
    /* Whoever waits hears at once that nobody will come to the door. */
    g_array_unref (take_knocks (self->bell, TRUE));
    self->bell->listener = NULL;
  }
  g_clear_pointer (&self->bell, bell_unref);
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
