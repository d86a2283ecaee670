/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-listener.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* 0, or errno. Nobody else may bind it then, whatever options he sets. */
static int
bind_to (int fd, QuicAddress *address)
{
  const int v6only =
      address->generic.sa_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED (&address->in6.sin6_addr);
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  int reason = quic_datagram_prepare (fd, address->generic.sa_family);

  if (reason != 0)
    return reason;
  if (address->generic.sa_family == AF_INET6 &&
      setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) < 0)
    return errno;
  if (bind (fd, &address->generic, quic_address_get_length (address)) < 0)
    return errno;
  if (getsockname (fd, (struct sockaddr *) &name, &length) < 0)
    return errno;
  quic_address_set (address, (const struct sockaddr *) &name, length);
  return 0;
}

/* -1: errno. All addresses are those of IPv4 on a machine that has IPv6 switched off: ADDRESS says
 * so then. */
static int
open_socket (QuicAddress *address)
{
  gboolean any =
      address->generic.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED (&address->in6.sin6_addr);
  const struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = address->in6.sin6_port };
  int fd = socket (address->generic.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd >= 0 || errno != EAFNOSUPPORT || !any)
    return fd;
  quic_address_set (address, (const struct sockaddr *) &any4, sizeof any4);
  return open_socket (address);
}

/* NULL: ERROR. ADDRESS gets the port. */
static QuicServer *
start (QuicAddress *address, const char *display, guint max, Bell *bell, GError **error)
{
  int fd = open_socket (address), reason = fd < 0 ? errno : 0;
  QuicServer *server = NULL;

  /* Connections of one that was closed may have the port still. */
  if (reason == 0)
    server = quic_server_listen (-1, address, max, on_knocked, bell, NULL);
  if (reason == 0 && server == NULL)
    reason = bind_to (fd, address);
  if (reason == 0 && server == NULL)
    return quic_server_listen (fd, address, max, on_knocked, bell, error);
  if (reason != 0)
    hypha_inet_set_bind_error (display, NULL, reason, error);
  if (fd >= 0)
    close (fd);
  return server;
}

HyphaListener *
quic_listener_new (const HyphaInetAddress *address, GInetAddress *numeric, const char *display,
                   guint max, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (HyphaEndpoint) bound = NULL;
  HyphaInetSockaddr sockaddr;
  QuicAddress name;
  QuicServer *server;
  QuicListener *self;
  Bell *bell;

  if (!hypha_inet_address_to_sockaddr (address, numeric, &sockaddr, &local) ||
      !quic_address_set (&name, (const struct sockaddr *) &sockaddr.storage, sockaddr.length)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("cannot listen on %s: %s"),
                 display, local != NULL ? local->message : g_strerror (EAFNOSUPPORT));
    return NULL;
  }
  bell = bell_new ();
  server = start (&name, display, max, bell, error);
  if (server == NULL) {
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
