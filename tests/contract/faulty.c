/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha-plugin.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* TCP by a pump of its own, with one fault, which HYPHA_FAULT names: what the contract has to find.
 * Without one it is good. */

#define FAULTY_TYPE_TRANSPORT (faulty_transport_get_type ())
G_DECLARE_FINAL_TYPE (FaultyTransport, faulty_transport, FAULTY, TRANSPORT, HyphaBaseTransport)

struct _FaultyTransport {
  HyphaBaseTransport parent_instance;

  guint cost;
};

static void faulty_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (FaultyTransport, faulty_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      faulty_transport_iface_init))

#define COST 20
#define BUFFER (64 * 1024)
#define UNBOUNDED (256 * 1024 * 1024)
#define CHANGED 3000000
#define SERVED 50
#define SLOW_MS 40

static gboolean
has_fault (const char *name)
{
  return g_strcmp0 (g_getenv ("HYPHA_FAULT"), name) == 0;
}

/* ---- the pump: a thread for each channel ---- */

/* From one descriptor to another. */
typedef struct {
  int from, to;
  GByteArray *pending;
  guint64 carried;
  gboolean ended; /* nothing more comes from FROM */
  gboolean done;  /* and all of it went */
} Way;

static guint serving; /* atomic */
static gint early;    /* atomic: those who were gone before they said anything */

static void
way_read (Way *way, gboolean throttled)
{
  guint8 buffer[BUFFER];
  gssize n = recv (way->from, buffer, sizeof buffer, MSG_DONTWAIT);

  if (n < 0 && errno == EAGAIN)
    return;
  if (n <= 0) {
    way->ended = TRUE;
    return;
  }
  if (has_fault ("changes-a-byte") && way->carried <= CHANGED &&
      way->carried + (guint64) n > CHANGED)
    buffer[CHANGED - way->carried]++;
  way->carried += (guint64) n;
  if (throttled && way->carried > BUFFER)
    way->ended = TRUE;
  else
    g_byte_array_append (way->pending, buffer, (guint) n);
}

static void
way_write (Way *way)
{
  gssize n = send (way->to, way->pending->data, way->pending->len, MSG_NOSIGNAL | MSG_DONTWAIT);

  if (n > 0) {
    g_byte_array_remove_range (way->pending, 0, (guint) n);
  } else if (errno != EAGAIN) {
    /* Who does not listen any more is told nothing; who talks to him is told that. */
    g_byte_array_set_size (way->pending, 0);
    way->ended = !has_fault ("swallows-what-nobody-reads");
    shutdown (way->from, way->ended ? SHUT_RDWR : SHUT_WR);
  }
}

static short
way_events (const Way *way)
{
  guint room = has_fault ("reads-without-bound") ? UNBOUNDED : BUFFER;

  return !way->ended && way->pending->len < room ? POLLIN : 0;
}

/* WAYS[0] leads from the channel. Whether it goes on. */
static gboolean
turn (Way ways[2])
{
  struct pollfd fds[2] = { { .fd = ways[0].from }, { .fd = ways[1].from } };
  gboolean throttled = has_fault ("throttles-after-half-close");

  for (guint i = 0; i < 2; i++)
    fds[i].events = (short) (way_events (&ways[i]) | (ways[1 - i].pending->len > 0 ? POLLOUT : 0));
  /* That the channel was closed is always to be heard. */
  if (fds[1].events == 0)
    fds[1].fd = -1;
  if (poll (fds, 2, has_fault ("spins") ? 0 : -1) < 0)
    return FALSE;
  if (has_fault ("forgets-what-was-last") && (fds[0].revents & POLLHUP))
    return FALSE;
  for (guint i = 0; i < 2; i++) {
    if ((fds[i].revents & ~POLLOUT) && way_events (&ways[i]))
      way_read (&ways[i], throttled && ways[1 - i].done);
    if (ways[i].pending->len > 0)
      way_write (&ways[i]);
    if (!ways[i].ended || ways[i].done || ways[i].pending->len > 0)
      continue;
    ways[i].done = TRUE;
    if (i == 1 && ways[1].carried == 0)
      g_atomic_int_inc (&early);
    if (has_fault ("ends-both-ways-at-once"))
      return FALSE;
    if (i == 0 && has_fault ("tells-no-close"))
      continue;
    if (i == 0 && has_fault ("waits-for-a-first-byte") && ways[0].carried + ways[1].carried == 0)
      continue;
    shutdown (ways[i].to, SHUT_WR);
  }
  if (ways[0].done && (fds[0].revents & POLLHUP) && !has_fault ("tells-no-close") &&
      !has_fault ("waits-for-a-first-byte"))
    return FALSE;
  return !ways[0].done || !ways[1].done;
}

static gpointer
pump (gpointer data)
{
  Way *ways = data;

  while (has_fault ("serves-fifty") && g_atomic_int_get (&serving) > SERVED)
    g_usleep (10000);
  while (turn (ways))
    continue;
  for (guint i = 0; i < 2; i++) {
    close (ways[i].from);
    g_byte_array_unref (ways[i].pending);
  }
  g_free (ways);
  g_atomic_int_add (&serving, -1);
  while (has_fault ("leaks-threads"))
    g_usleep (G_USEC_PER_SEC);
  return NULL;
}

static GError *
dup_blame (gpointer data)
{
  return g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_RESET, "somebody else");
}

/* Takes FD. */
static HyphaChannel *
make_channel (int fd, HyphaEndpoint *remote, GError **error)
{
  HyphaInetSockaddr name = { .length = sizeof name.storage };
  g_autoptr (HyphaEndpoint) local = NULL;
  HyphaChannelFlags flags = HYPHA_CHANNEL_NONE;
  HyphaChannel *channel;
  int ends[2];
  Way *ways;

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "socketpair: %s", g_strerror (errno));
    close (fd);
    return NULL;
  }
  if (getsockname (fd, (struct sockaddr *) &name.storage, &name.length) == 0)
    local = hypha_inet_sockaddr_to_endpoint ("faulty", (struct sockaddr *) &name.storage);
  if (has_fault ("vouches-for-others"))
    flags |= HYPHA_CHANNEL_PEER_IS_NODE;
  if (has_fault ("leaks-memory"))
    g_strnfill (100, 'x');
  ways = g_new0 (Way, 2);
  ways[0] = (Way){ .from = ends[1], .to = fd, .pending = g_byte_array_new () };
  ways[1] = (Way){ .from = fd, .to = ends[1], .pending = g_byte_array_new () };
  g_atomic_int_inc (&serving);
  channel = hypha_channel_new (ends[0], local, remote, flags);
  hypha_channel_set_host (channel, "127.0.0.1");
  if (has_fault ("binds-all-alike")) {
    g_autoptr (GBytes) binding = g_bytes_new ("32 bytes that all channels have.", 32);

    hypha_channel_set_binding (channel, binding);
  }
  if (has_fault ("blames-a-good-end"))
    hypha_channel_set_dup_error (channel, dup_blame, NULL, NULL);
  g_thread_unref (g_thread_new ("faulty-pump", pump, ways));
  return channel;
}

/* ---- connecting ---- */

/* The data of a task. */
typedef struct {
  HyphaEndpoint *endpoint; /* not owned */
  GCancellable *cancellable;
  gint64 deadline;
  int spare; /* given back where it succeeds */
  int fd;
} Dial;

static void
dial_free (gpointer data)
{
  Dial *dial = data;

  if (dial->spare >= 0 && !has_fault ("leaks-where-it-fails"))
    close (dial->spare);
  g_free (dial);
}

static gboolean
on_second_step (gpointer user_data)
{
  GTask *task = user_data;
  Dial *dial = g_task_get_task_data (task);
  GError *error = NULL;
  HyphaChannel *channel;

  /* Both times, what is connected is forgotten. */
  if (g_cancellable_set_error_if_cancelled (dial->cancellable, &error))
    g_task_return_error (task, error);
  else if (g_get_monotonic_time () > dial->deadline)
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT, "too late");
  else if ((channel = make_channel (dial->fd, dial->endpoint, &error)) != NULL)
    g_task_return_pointer (task, channel, g_object_unref);
  else
    g_task_return_error (task, error);
  return G_SOURCE_REMOVE;
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Dial *dial = g_task_get_task_data (task);
  HyphaChannel *channel = NULL;
  GError *error = NULL;

  dial->fd = hypha_socket_connect_finish (result, &error);
  if (dial->fd >= 0 && has_fault ("leaks-at-its-second-step")) {
    g_timeout_add_full (G_PRIORITY_DEFAULT, SLOW_MS, on_second_step, g_steal_pointer (&task),
                        g_object_unref);
    return;
  }
  if (dial->fd >= 0)
    channel = make_channel (dial->fd, dial->endpoint, &error);
  if (channel == NULL) {
    g_task_return_error (task, error);
    return;
  }
  close (dial->spare);
  dial->spare = -1;
  g_task_return_pointer (task, channel, g_object_unref);
}

static gboolean
to_sockaddr (HyphaEndpoint *endpoint, HyphaInetSockaddr *address, GError **error)
{
  g_autoptr (HyphaInetAddress) parsed = hypha_inet_address_parse (endpoint, error);

  if (parsed != NULL && parsed->numeric == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT, "%s: the host is a name",
                 hypha_endpoint_to_string (endpoint));
    return FALSE;
  }
  return parsed != NULL && hypha_inet_address_to_sockaddr (parsed, parsed->numeric, address, error);
}

static void
faulty_transport_connect (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                          guint timeout_ms, GCancellable *cancellable)
{
  HyphaInetSockaddr address;
  GError *error = NULL;
  Dial *dial;

  if (has_fault ("crashes"))
    raise (SIGSEGV);
  if (has_fault ("leaves-a-process") && fork () == 0) {
    setsid ();
    for (;;)
      pause ();
  }
  if (!to_sockaddr (endpoint, &address, &error)) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  dial = g_new0 (Dial, 1);
  *dial = (Dial){
    .endpoint = endpoint,
    .cancellable = cancellable,
    .deadline = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND,
    .spare = eventfd (0, EFD_CLOEXEC),
  };
  g_task_set_task_data (task, dial, dial_free);
  hypha_socket_connect_async (
      (const struct sockaddr *) &address.storage, address.length,
      hypha_endpoint_to_string (endpoint), has_fault ("ignores-the-deadline") ? 60000 : timeout_ms,
      has_fault ("ignores-cancelling") ? NULL : cancellable, on_connected, task);
}

/* ---- listening ---- */

static HyphaChannel *
on_accepted (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data,
             GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_inet_sockaddr_to_endpoint ("faulty", remote);

  if (has_fault ("accepts-nobody-after-one-who-is-gone") && g_atomic_int_get (&early) > 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "no more");
    close (fd);
    return NULL;
  }
  return make_channel (fd, endpoint, error);
}

static HyphaListener *
listen_on (HyphaEndpoint *endpoint, GError **error)
{
  const int on = 1;
  HyphaInetSockaddr address;
  g_autoptr (HyphaEndpoint) bound = NULL;
  int fd;

  if (!to_sockaddr (endpoint, &address, error))
    return NULL;
  fd = socket (address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
      bind (fd, (const struct sockaddr *) &address.storage, address.length) < 0 ||
      listen (fd, SOMAXCONN) < 0 ||
      getsockname (fd, (struct sockaddr *) &address.storage, &address.length) < 0) {
    hypha_inet_set_bind_error (hypha_endpoint_to_string (endpoint), NULL, errno, error);
    if (fd >= 0)
      close (fd);
    return NULL;
  }
  bound = hypha_inet_sockaddr_to_endpoint ("faulty", (const struct sockaddr *) &address.storage);
  if (has_fault ("keeps-its-queue"))
    dup (fd);
  return hypha_socket_listener_new (fd, bound, on_accepted, NULL, NULL);
}

static void
faulty_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                         GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  GError *error = NULL;
  HyphaListener *listener = listen_on (endpoint, &error);

  if (listener == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, listener, g_object_unref);
}

/* ---- the rest ---- */

static const char *const *
faulty_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "faulty", NULL };
  static const char *const others[] = { "flawed", "faulty", NULL };

  return has_fault ("is-not-called-by-its-first-scheme") ? others : schemes;
}

static HyphaEndpoint *
faulty_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaInetAddress) address = hypha_inet_address_parse (endpoint, error);

  if (address == NULL)
    return NULL;
  /* Not those that anybody would think of. */
  if (has_fault ("misprints-a-port") && address->port % 7 == 3)
    address->port += 7;
  return hypha_inet_address_to_endpoint (address, "faulty", endpoint);
}

static guint
faulty_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  FaultyTransport *self = FAULTY_TRANSPORT (transport);

  if (has_fault ("costs-more-each-time"))
    return ++self->cost;
  return has_fault ("costs-more-than-promised") && endpoint != NULL ? COST + 1 : COST;
}

static gboolean
faulty_transport_configure (HyphaTransport *transport, GVariant *options, GError **error)
{
  const char *key;
  GVariantIter iter;

  g_variant_iter_init (&iter, options);
  if (!g_variant_iter_next (&iter, "{&sv}", &key, NULL))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, "there is no option '%s'", key);
  return FALSE;
}

static gboolean
faulty_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  while (has_fault ("hangs"))
    g_usleep (G_USEC_PER_SEC);
  if (!has_fault ("is-unavailable"))
    return TRUE;
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, "not on this machine");
  return FALSE;
}

static void
faulty_transport_class_init (FaultyTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = faulty_transport_connect;
  base_class->listen = faulty_transport_listen;
}

static void
faulty_transport_init (FaultyTransport *self)
{
}

static void
faulty_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = faulty_transport_get_schemes;
  iface->parse = faulty_transport_parse;
  iface->get_link_cost = faulty_transport_get_link_cost;
  iface->configure = faulty_transport_configure;
  iface->probe = faulty_transport_probe;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (FAULTY_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (faulty, "faulty", "1.0", "TCP with a fault", "LGPL-2.1-or-later", 0, create);
