/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsock.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <unistd.h>

#include "vsock-address.h"
#include "vsock-probe.h"
#include "vsock-socket.h"

#define COST 5

/* Two of the core's largest writes: one is taken while the other is read. More would only make a
 * ping wait longer behind bulk. */
#define DEFAULT_BUFFER (512 * 1024)
#define MIN_BUFFER 4096
#define MAX_BUFFER (256 * 1024 * 1024)

struct _VsockTransport {
  HyphaBaseTransport parent_instance;

  VsockBuffers buffers;
};

static void vsock_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (VsockTransport, vsock_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      vsock_transport_iface_init))

/* A connect under way; the data of its task. */
typedef struct {
  HyphaEndpoint *endpoint; /* not owned: the task's */
  VsockAddress address;
} Connect;

/* What belongs to a listener. */
typedef struct {
  VsockTransport *transport;
  gboolean privileged;
} Acceptor;

/* ---- channels ---- */

/* FALSE: the kernel does not say by which CID the other end knows this one. */
static gboolean
get_local (int fd, VsockAddress *address)
{
  struct sockaddr_vm sockaddr;
  socklen_t length = sizeof sockaddr;

  if (getsockname (fd, (struct sockaddr *) &sockaddr, &length) < 0)
    return FALSE;
  vsock_address_from_sockaddr (address, &sockaddr);
  return address->cid != VMADDR_CID_ANY;
}

/* Takes FD. */
static HyphaChannel *
make_channel (int fd, HyphaEndpoint *remote, const VsockAddress *address, gboolean privileged)
{
  VsockAddress own;
  g_autoptr (HyphaEndpoint) local =
      get_local (fd, &own) ? vsock_address_to_endpoint (&own, NULL) : NULL;
  g_autofree char *host = g_strdup_printf ("%u", address->cid);
  HyphaChannelFlags flags = HYPHA_CHANNEL_KERNEL | HYPHA_CHANNEL_PEER_IS_NODE;
  gboolean inside = address->cid == VMADDR_CID_LOCAL || (local != NULL && own.cid == address->cid);
  HyphaChannel *channel;

  if (privileged)
    flags |= HYPHA_CHANNEL_PRIVILEGED_PORT;
  /* The hypervisor vouches for the machine, which is as good as the processes that may use its
   * vsock; a low port at either end shows that somebody privileged has a hand in it. Within this
   * machine there is no hypervisor in between, and a low port here says nothing of who dials. */
  if ((privileged && !inside) || vsock_address_is_privileged (address))
    flags |= HYPHA_CHANNEL_VOUCHED_ADDRESS;
  channel = hypha_channel_new (fd, local, remote, flags);
  hypha_channel_set_host (channel, host);
  hypha_channel_set_cid (channel, address->cid);
  return channel;
}

static HyphaChannel *
adopt (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data, GError **error)
{
  Acceptor *acceptor = user_data;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  VsockAddress address;

  vsock_address_from_sockaddr (&address, (const struct sockaddr_vm *) (const void *) remote);
  endpoint = vsock_address_to_endpoint (&address, NULL);
  /* The options may have changed since the listener gave it its own. */
  vsock_socket_set_buffers (fd, &acceptor->transport->buffers);
  return make_channel (fd, endpoint, &address, acceptor->privileged);
}

/* ---- connecting ---- */

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Connect *connect = g_task_get_task_data (task);
  GError *error = NULL;
  int fd = hypha_socket_connect_finish (result, &error);

  if (fd < 0)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task,
                           make_channel (fd, connect->endpoint, &connect->address,
                                         vsock_address_is_privileged (&connect->address)),
                           g_object_unref);
}

static void
vsock_transport_connect (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                         guint timeout_ms, GCancellable *cancellable)
{
  VsockTransport *self = VSOCK_TRANSPORT (transport);
  g_autoptr (GTask) task = given;
  const char *display = hypha_endpoint_to_string (endpoint);
  Connect connect = { .endpoint = endpoint };
  struct sockaddr_vm sockaddr;
  GError *error = NULL;
  int fd;

  if (!vsock_address_parse (endpoint, &connect.address, &error)) {
    g_task_return_error (task, error);
    return;
  }
  if (connect.address.cid == VMADDR_CID_ANY || connect.address.port == 0) {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                             _ ("%s is for listening only: to connect, name one CID and its port"),
                             display);
    return;
  }
  fd = vsock_socket_for_dialling (&connect.address, display, timeout_ms, &self->buffers, &error);
  if (fd < 0) {
    g_task_return_error (task, error);
    return;
  }
  vsock_address_to_sockaddr (&connect.address, &sockaddr);
  g_task_set_task_data (task, g_memdup2 (&connect, sizeof connect), g_free);
  hypha_socket_connect_fd_async (fd, (const struct sockaddr *) &sockaddr, sizeof sockaddr, display,
                                 timeout_ms, cancellable, on_connected, g_steal_pointer (&task));
}

/* ---- listening ---- */

static void
on_listener_closed (gpointer user_data)
{
  Acceptor *acceptor = user_data;

  g_object_unref (acceptor->transport);
  g_free (acceptor);
}

/* Takes FD, which listens on BOUND. */
static HyphaListener *
make_listener (VsockTransport *self, int fd, const VsockAddress *bound)
{
  g_autoptr (HyphaEndpoint) endpoint = vsock_address_to_endpoint (bound, NULL);
  Acceptor *acceptor = g_new0 (Acceptor, 1);
  HyphaListener *listener;

  acceptor->transport = g_object_ref (self);
  acceptor->privileged = vsock_address_is_privileged (bound);
  listener = hypha_socket_listener_new (fd, endpoint, adopt, acceptor, on_listener_closed);
  return listener;
}

static void
vsock_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                        GCancellable *cancellable)
{
  VsockTransport *self = VSOCK_TRANSPORT (transport);
  g_autoptr (GTask) task = given;
  VsockAddress address, bound;
  GError *error = NULL;
  int fd = -1;

  if (vsock_address_parse (endpoint, &address, &error))
    fd = vsock_socket_listen (&address, hypha_endpoint_to_string (endpoint), &self->buffers, &bound,
                              &error);
  if (fd < 0)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, make_listener (self, fd, &bound), g_object_unref);
}

static HyphaListener *
vsock_transport_adopt (HyphaBaseTransport *transport, int fd, const struct sockaddr *address,
                       socklen_t length, GError **error)
{
  VsockTransport *self = VSOCK_TRANSPORT (transport);
  VsockAddress bound;

  if (address->sa_family != AF_VSOCK) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                         _ ("this is not a vsock socket"));
    return NULL;
  }
  vsock_address_from_sockaddr (&bound, (const struct sockaddr_vm *) (const void *) address);
  vsock_socket_set_buffers (fd, &self->buffers);
  return make_listener (self, fd, &bound);
}

/* ---- the rest of the interface ---- */

static const char *const *
vsock_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "vsock", "VSOCK-CONNECT", "VSOCK-LISTEN", NULL };

  return schemes;
}

static HyphaEndpoint *
vsock_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  VsockAddress address;

  return vsock_address_parse (endpoint, &address, error)
             ? vsock_address_to_endpoint (&address, endpoint)
             : NULL;
}

static gboolean
vsock_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  VsockTransport *self = VSOCK_TRANSPORT (transport);
  g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
  /* 0: not given */
  guint size = hypha_options_get_uint (options, "buffer-size", MIN_BUFFER, MAX_BUFFER, 0);
  guint max = hypha_options_get_uint (options, "buffer-max", MIN_BUFFER, MAX_BUFFER, 0);

  if (max > 0 && size > max)
    hypha_options_refuse (
        options, "buffer-size",
        _ ("it is %u, which is above 'buffer-max', %u: lower the one, or raise the other"), size,
        max);
  if (!hypha_options_finish (options, error))
    return FALSE;
  if (size == 0)
    size = max > 0 ? MIN (max, DEFAULT_BUFFER) : DEFAULT_BUFFER;
  self->buffers = (VsockBuffers){ .size = size, .max = MAX (max, size) };
  return TRUE;
}

static gboolean
vsock_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  return vsock_probe (VSOCK_DEVICE_PATH, VSOCK_MODULE_PATH, details, error);
}

static guint
vsock_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return COST;
}

static void
vsock_transport_class_init (VsockTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = vsock_transport_connect;
  base_class->listen = vsock_transport_listen;
  base_class->adopt = vsock_transport_adopt;
}

static void
vsock_transport_init (VsockTransport *self)
{
  self->buffers = (VsockBuffers){ .size = DEFAULT_BUFFER, .max = DEFAULT_BUFFER };
}

static HyphaVouching
vsock_transport_get_vouching (HyphaTransport *transport)
{
  return HYPHA_VOUCHING_ADDRESS;
}

static void
vsock_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = vsock_transport_get_schemes;
  iface->parse = vsock_transport_parse;
  iface->configure = vsock_transport_configure;
  iface->probe = vsock_transport_probe;
  iface->get_link_cost = vsock_transport_get_link_cost;
  iface->get_vouching = vsock_transport_get_vouching;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (VSOCK_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (vsock, "vsock", "1.0", "Sockets between virtual machines and their host",
                     "LGPL-2.1-or-later", 0, create);
