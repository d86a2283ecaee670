/* The transport @NAME@: it turns endpoints @NAME@://HOST:PORT into channels.
 *
 * As it stands, a channel is a TCP connection to a numeric address, so that everything works from
 * the beginning. Make it yours from the top to the bottom: first the endpoints, then connecting,
 * then listening; run "hyphactl plugin check" after each step. What every function promises is told
 * by plugins/README.md of Hypha's source, and in hypha-transport.h.
 *
 * All of it runs on one thread, the one of the host's main loop: nothing here may wait.
 */
#include <hypha-plugin.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* A transport that derives from HyphaBaseTransport need not know what is under way: the base cancels
 * it when the transport is stopped, and closes what listens. */
#define @UPPER@_TYPE_TRANSPORT (@LOWER@_transport_get_type ())
G_DECLARE_FINAL_TYPE (@CAMEL@Transport, @LOWER@_transport, @UPPER@, TRANSPORT, HyphaBaseTransport)

struct _@CAMEL@Transport {
  HyphaBaseTransport parent_instance;

  gboolean nodelay; /* an option; see configure */
};

static void @LOWER@_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (@CAMEL@Transport, @LOWER@_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      @LOWER@_transport_iface_init))

/* ---- endpoints ---- */

/* The canonical scheme first, then other spellings of it, if there are any. */
static const char *const *
@LOWER@_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "@NAME@", NULL };

  return schemes;
}

/* NULL: an error which names the part that is wrong. */
static HyphaInetAddress *
parse_address (HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaInetAddress) address = hypha_inet_address_parse (endpoint, error);

  if (address != NULL && address->numeric == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT,
                 "%s: the host is an IPv4 address, or an IPv6 address in brackets",
                 hypha_endpoint_to_string (endpoint));
    return NULL;
  }
  return g_steal_pointer (&address);
}

/* Strictly: whatever does not mean anything is an error. What comes out is the one way to write
 * it, and parses to itself; options of the endpoint ("?cost=3") stay. */
static HyphaEndpoint *
@LOWER@_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaInetAddress) address = parse_address (endpoint, error);

  return address == NULL ? NULL : hypha_inet_address_to_endpoint (address, "@NAME@", endpoint);
}

/* What a link costs before its round trip is measured: unix is 3, vsock 5, tcp 10 to 15. ENDPOINT
 * is NULL when the dearest typical one is asked for. */
static guint
@LOWER@_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return 30;
}

/* ---- channels ---- */

/* Takes FD, a connected stream socket of the kernel's. Where your bytes do not come from one, make
 * the channel by hypha_channel_new_pumped() of a GIOStream, which runs on a thread of its own. */
static HyphaChannel *
make_channel (@CAMEL@Transport *self, int fd, HyphaEndpoint *remote, const struct sockaddr *peer)
{
  g_autofree char *host = hypha_inet_sockaddr_to_host (peer);
  const int nodelay = self->nodelay;
  HyphaChannel *channel;

  if (setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof nodelay) < 0)
    g_debug ("TCP_NODELAY: %s", g_strerror (errno));
  /* Flags promise; see HyphaChannelFlags. Say nothing that the kernel does not vouch for. */
  channel = hypha_channel_new (fd, NULL, remote, HYPHA_CHANNEL_KERNEL);
  /* What tells this machine from others that are reached by this scheme. */
  hypha_channel_set_host (channel, host);
  return channel;
}

/* ---- connecting ---- */

/* The data of the task is the endpoint. */
static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  HyphaEndpoint *endpoint = g_task_get_task_data (task);
  HyphaInetSockaddr peer = { .length = sizeof peer.storage };
  GError *error = NULL;
  int fd = hypha_socket_connect_finish (result, &error);

  if (fd >= 0 && getpeername (fd, (struct sockaddr *) &peer.storage, &peer.length) < 0) {
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, "%s: the connection was lost at once: %s",
                 hypha_endpoint_to_string (endpoint), g_strerror (errno));
    close (fd);
    fd = -1;
  }
  if (fd < 0)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task,
                           make_channel (g_task_get_source_object (task), fd, endpoint,
                                         (const struct sockaddr *) &peer.storage),
                           g_object_unref);
}

/* ENDPOINT has no options and lives as long as TASK, which is ours and returns once: the channel, or
 * an error that names the endpoint - HYPHA_ERROR_CONNECT, HYPHA_ERROR_TIMED_OUT after TIMEOUT_MS,
 * or G_IO_ERROR_CANCELLED when CANCELLABLE says so. Then nothing may be left open. */
static void
@LOWER@_transport_connect (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                           guint timeout_ms, GCancellable *cancellable)
{
  GError *error = NULL;
  g_autoptr (HyphaInetAddress) address = parse_address (endpoint, &error);
  HyphaInetSockaddr sockaddr;

  if (address == NULL ||
      !hypha_inet_address_to_sockaddr (address, address->numeric, &sockaddr, &error)) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  g_task_set_task_data (task, endpoint, NULL);
  hypha_socket_connect_async ((const struct sockaddr *) &sockaddr.storage, sockaddr.length,
                              hypha_endpoint_to_string (endpoint), timeout_ms, cancellable,
                              on_connected, task);
}

/* ---- listening ---- */

/* Takes FD, which was accepted from REMOTE. */
static HyphaChannel *
on_accepted (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data,
             GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_inet_sockaddr_to_endpoint ("@NAME@", remote);

  return make_channel (user_data, fd, endpoint, remote);
}

/* -1: an error; HYPHA_ERROR_ADDRESS_IN_USE if that is why. SOCKADDR becomes what was bound. */
static int
bind_to (HyphaEndpoint *endpoint, HyphaInetSockaddr *sockaddr, GError **error)
{
  const int on = 1;
  int fd = socket (sockaddr->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd >= 0 && setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind (fd, (const struct sockaddr *) &sockaddr->storage, sockaddr->length) == 0 &&
      listen (fd, SOMAXCONN) == 0 &&
      getsockname (fd, (struct sockaddr *) &sockaddr->storage, &sockaddr->length) == 0)
    return fd;
  hypha_inet_set_bind_error (hypha_endpoint_to_string (endpoint), NULL, errno, error);
  if (fd >= 0)
    close (fd);
  return -1;
}

/* As for connecting; the task returns a HyphaListener, whose "bound" is where it listens now. */
static void
@LOWER@_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                          GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  GError *error = NULL;
  g_autoptr (HyphaInetAddress) address = parse_address (endpoint, &error);
  g_autoptr (HyphaEndpoint) bound = NULL;
  HyphaInetSockaddr sockaddr;
  int fd = -1;

  if (address != NULL &&
      hypha_inet_address_to_sockaddr (address, address->numeric, &sockaddr, &error))
    fd = bind_to (endpoint, &sockaddr, &error);
  if (fd < 0) {
    g_task_return_error (task, error);
    return;
  }
  bound = hypha_inet_sockaddr_to_endpoint ("@NAME@", (const struct sockaddr *) &sockaddr.storage);
  g_task_return_pointer (task,
                         hypha_socket_listener_new (fd, bound, on_accepted,
                                                    g_object_ref (transport), g_object_unref),
                         g_object_unref);
}

/* ---- the rest ---- */

/* VALUES are all that are set ("transport-options" of the settings): those that are left out go
 * back to what they are without, and where one is wrong nothing changes. */
static gboolean
@LOWER@_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
  gboolean nodelay = hypha_options_get_boolean (options, "nodelay", TRUE);

  if (!hypha_options_finish (options, error))
    return FALSE;
  @UPPER@_TRANSPORT (transport)->nodelay = nodelay;
  return TRUE;
}

/* Whether it works on this machine, now; if not, an error that says why and what to do. It is asked
 * again whenever somebody wants it. */
static gboolean
@LOWER@_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  return TRUE;
}

static void
@LOWER@_transport_class_init (@CAMEL@TransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = @LOWER@_transport_connect;
  base_class->listen = @LOWER@_transport_listen;
}

static void
@LOWER@_transport_init (@CAMEL@Transport *self)
{
  self->nodelay = TRUE;
}

static void
@LOWER@_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = @LOWER@_transport_get_schemes;
  iface->parse = @LOWER@_transport_parse;
  iface->configure = @LOWER@_transport_configure;
  iface->probe = @LOWER@_transport_probe;
  iface->get_link_cost = @LOWER@_transport_get_link_cost;
}

/* Does no I/O: that is for probe, connect and listen. */
static HyphaTransport *
create (GError **error)
{
  return g_object_new (@UPPER@_TYPE_TRANSPORT, NULL);
}

/* What the file exports, and all that it exports: name, version, what it is, licence, priority. */
HYPHA_DEFINE_PLUGIN (@LOWER@, "@NAME@", "0.1", "What @NAME@ is, in a few words", "LGPL-2.1-or-later", 0,
                     create);
