/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-listener.h"

#include <pthread.h>
#include <stdatomic.h>

#include "quic-datagram.h"

/* What the thread of packets and the listener have in common. */
typedef struct {
  _Atomic guint ref_count;
  pthread_mutex_t mutex;
  GPtrArray *channels; /* of HyphaChannel: they wait to be let in */
  gboolean rung;       /* the listener's thread will look */
  GMainContext *context;
  QuicListener *listener; /* for the listener's thread; NULL: it is closed */
} Bell;

struct _QuicListener {
  HyphaListener parent_instance;
  QuicServer *server; /* NULL: closed */
  Bell *bell;
};

G_DEFINE_FINAL_TYPE (QuicListener, quic_listener, HYPHA_TYPE_LISTENER)

static Bell *
bell_new (void)
{
  Bell *self = g_new0 (Bell, 1);

  atomic_init (&self->ref_count, 1);
  pthread_mutex_init (&self->mutex, NULL);
  self->channels = g_ptr_array_new_with_free_func (g_object_unref);
  self->context = g_main_context_ref_thread_default ();
  return self;
}

static void
bell_unref (gpointer bell)
{
  Bell *self = bell;

  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  g_ptr_array_unref (self->channels);
  g_main_context_unref (self->context);
  pthread_mutex_destroy (&self->mutex);
  g_free (self);
}

/* ---- the listener's thread ---- */

static gboolean
on_rung (gpointer bell)
{
  Bell *self = bell;
  g_autoptr (GPtrArray) channels = NULL;

  pthread_mutex_lock (&self->mutex);
  channels = g_steal_pointer (&self->channels);
  self->channels = g_ptr_array_new_with_free_func (g_object_unref);
  self->rung = FALSE;
  pthread_mutex_unlock (&self->mutex);
  /* Whoever is let in may close the listener. */
  for (guint i = 0; i < channels->len && self->listener != NULL; i++) {
    g_autoptr (QuicListener) kept = g_object_ref (self->listener);

    hypha_listener_accepted (HYPHA_LISTENER (kept), channels->pdata[i]);
  }
  return G_SOURCE_REMOVE;
}

/* ---- the thread of packets ---- */

static void
on_knocked (HyphaChannel *channel, gpointer user_data)
{
  Bell *self = user_data;
  gboolean ring;

  pthread_mutex_lock (&self->mutex);
  g_ptr_array_add (self->channels, channel);
  ring = !self->rung;
  self->rung = TRUE;
  pthread_mutex_unlock (&self->mutex);
  if (ring) {
    g_autoptr (GSource) source = g_idle_source_new ();

    atomic_fetch_add (&self->ref_count, 1);
    g_source_set_priority (source, G_PRIORITY_DEFAULT);
    g_source_set_callback (source, on_rung, self, bell_unref);
    g_source_attach (source, self->context);
  }
}

/* ---- life ---- */

HyphaListener *
quic_listener_new (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
                   guint max, GError **error)
{
  g_autoptr (HyphaEndpoint) bound = NULL;
  g_autoptr (GError) local = NULL;
  HyphaInetSockaddr sockaddr;
  QuicAddress name;
  QuicServer *server;
  QuicListener *self;
  Bell *bell;
  int fd = hypha_inet_address_bind (address, numeric, SOCK_DGRAM, quic_datagram_prepare, display,
                                    &sockaddr, &local);

  /* Connections of one that was closed may have the port still: then that listens again. */
  if (fd < 0 && !g_error_matches (local, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE)) {
    g_propagate_error (error, g_steal_pointer (&local));
    return NULL;
  }
  quic_address_set (&name, (const struct sockaddr *) &sockaddr.storage, sockaddr.length);
  bell = bell_new ();
  server = quic_server_listen (fd, &name, max, on_knocked, bell, fd >= 0 ? error : NULL);
  if (server == NULL) {
    if (fd < 0)
      g_propagate_error (error, g_steal_pointer (&local));
    bell_unref (bell);
    return NULL;
  }
  bound = quic_address_to_endpoint (&name);
  self = g_object_new (QUIC_TYPE_LISTENER, "bound", bound, NULL);
  self->server = server;
  self->bell = bell;
  bell->listener = self;
  return HYPHA_LISTENER (self);
}

static void
quic_listener_close (HyphaListener *listener)
{
  QuicListener *self = QUIC_LISTENER (listener);

  if (self->server != NULL)
    quic_server_close (g_steal_pointer (&self->server));
  if (self->bell != NULL)
    self->bell->listener = NULL;
  g_clear_pointer (&self->bell, bell_unref);
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
