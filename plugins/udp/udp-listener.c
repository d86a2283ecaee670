/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-listener.h"

#include <glib/gstdio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

typedef struct {
  int fd;
  UdpWay way;
} Knock;

/* What the thread of datagrams and the listener have in common. */
typedef struct {
  _Atomic guint ref_count;
  pthread_mutex_t mutex;
  GArray *knocks; /* of Knock */
  gboolean rung;  /* the listener's thread will look */
  GMainContext *context;
  UdpListener *listener; /* for the listener's thread; NULL: it is closed */
} Bell;

struct _UdpListener {
  HyphaListener parent_instance;
  UdpPort *port; /* NULL: closed */
  Bell *bell;
};

G_DEFINE_FINAL_TYPE (UdpListener, udp_listener, HYPHA_TYPE_LISTENER)

static void
clear_knock (gpointer knock)
{
  int fd = ((Knock *) knock)->fd;

  if (fd >= 0)
    close (fd);
}

static GArray *
new_knocks (void)
{
  GArray *knocks = g_array_new (FALSE, FALSE, sizeof (Knock));

  g_array_set_clear_func (knocks, clear_knock);
  return knocks;
}

static Bell *
bell_new (UdpListener *listener)
{
  Bell *self = g_new0 (Bell, 1);

  atomic_init (&self->ref_count, 1);
  pthread_mutex_init (&self->mutex, NULL);
  self->knocks = new_knocks ();
  self->context = g_main_context_ref_thread_default ();
  self->listener = listener;
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
let_in (UdpListener *self, Knock *knock)
{
  HyphaEndpoint *bound = hypha_listener_get_bound (HYPHA_LISTENER (self));
  g_autoptr (HyphaEndpoint) remote = udp_way_get_remote (&knock->way);
  g_autoptr (HyphaEndpoint) local = udp_way_get_local (&knock->way, bound);
  g_autofree char *host = udp_way_get_host (&knock->way);
  g_autoptr (HyphaChannel) channel =
      hypha_channel_new (g_steal_fd (&knock->fd), local, remote, HYPHA_CHANNEL_LOSSY);

  hypha_channel_set_host (channel, host);
  hypha_listener_accepted (HYPHA_LISTENER (self), channel);
}

static gboolean
on_rung (gpointer bell)
{
  Bell *self = bell;
  g_autoptr (GArray) knocks = NULL;

  pthread_mutex_lock (&self->mutex);
  knocks = g_steal_pointer (&self->knocks);
  self->knocks = new_knocks ();
  self->rung = FALSE;
  pthread_mutex_unlock (&self->mutex);
  /* Whoever is let in may close the listener. */
  for (guint i = 0; i < knocks->len && self->listener != NULL; i++) {
    G_GNUC_UNUSED g_autoptr (UdpListener) kept = g_object_ref (self->listener);

    let_in (self->listener, &g_array_index (knocks, Knock, i));
  }
  return G_SOURCE_REMOVE;
}

/* ---- the thread of datagrams ---- */

static void
on_knocked (int fd, const UdpWay *way, gpointer user_data)
{
  Bell *self = user_data;
  const Knock knock = { fd, *way };
  gboolean ring;

  pthread_mutex_lock (&self->mutex);
  g_array_append_val (self->knocks, knock);
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
udp_listener_new (int fd, HyphaEndpoint *bound, gint64 idle, guint max_flows, GError **error)
{
  UdpListener *self = g_object_new (UDP_TYPE_LISTENER, "bound", bound, NULL);

  self->bell = bell_new (self);
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
  if (self->bell != NULL)
    self->bell->listener = NULL;
  g_clear_pointer (&self->bell, bell_unref);
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
