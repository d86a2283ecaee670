/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsock.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
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
  GObject parent_instance;

  VsockBuffers buffers;
  HyphaOperations *operations;
};

static void vsock_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (VsockTransport, vsock_transport, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      vsock_transport_iface_init))

/* A connect or listen under way; the data of its task. */
typedef struct {
  HyphaEndpoint *endpoint;
  VsockAddress address;
  GCancellable *cancellable; /* not owned: the caller's, and stop */
} Operation;

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

/* ---- operations ---- */

static void
operation_free (Operation *operation)
{
  g_clear_pointer (&operation->endpoint, hypha_endpoint_unref);
  g_free (operation);
}

/* NULL: the task has returned an error. */
static Operation *
operation_new (GTask *task, HyphaEndpoint *endpoint)
{
  VsockTransport *self = g_task_get_source_object (task);
  GCancellable *cancellable = hypha_operations_begin (self->operations, task, endpoint);
  VsockAddress address;
  GError *error = NULL;
  Operation *operation;

  if (cancellable == NULL)
    return NULL;
  if (!vsock_address_parse (endpoint, &address, &error)) {
    g_task_return_error (task, error);
    return NULL;
  }
  operation = g_new0 (Operation, 1);
  operation->endpoint = hypha_endpoint_without_options (endpoint);
  operation->address = address;
  operation->cancellable = cancellable;
  g_task_set_task_data (task, operation, (GDestroyNotify) operation_free);
  return operation;
}

/* ---- connecting ---- */

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Operation *operation = g_task_get_task_data (task);
  GError *error = NULL;
  int fd = hypha_socket_connect_finish (result, &error);

  if (fd < 0)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task,
                           make_channel (fd, operation->endpoint, &operation->address,
                                         vsock_address_is_privileged (&operation->address)),
                           g_object_unref);
}

static void
vsock_transport_connect_async (HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data)
{
  VsockTransport *self = VSOCK_TRANSPORT (transport);
  g_autoptr (GTask) task = g_task_new (transport, cancellable, callback, user_data);
  struct sockaddr_vm sockaddr;
  GError *error = NULL;
  Operation *operation;
  const char *display;
  int fd;

  g_task_set_source_tag (task, vsock_transport_connect_async);
  g_task_set_name (task, "vsock-connect");
  operation = operation_new (task, endpoint);
  if (operation == NULL)
    return;
  display = hypha_endpoint_to_string (operation->endpoint);
  if (operation->address.cid == VMADDR_CID_ANY || operation->address.port == 0) {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                             _ ("%s is for listening only: to connect, name one CID and its port"),
                             display);
    return;
  }
  fd = vsock_socket_for_dialling (&operation->address, display, timeout_ms, &self->buffers, &error);
  if (fd < 0) {
    g_task_return_error (task, error);
    return;
  }
  vsock_address_to_sockaddr (&operation->address, &sockaddr);
  hypha_socket_connect_fd_async (fd, (const struct sockaddr *) &sockaddr, sizeof sockaddr, display,
                                 timeout_ms, operation->cancellable, on_connected,
                                 g_steal_pointer (&task));
}

static HyphaChannel *
vsock_transport_connect_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
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
  hypha_operations_add_listener (self->operations, listener);
  return listener;
}

static HyphaListener *
listen_on (VsockTransport *self, Operation *operation, GError **error)
{
  const char *display = hypha_endpoint_to_string (operation->endpoint);
  VsockAddress bound;
  int fd = vsock_socket_listen (&operation->address, display, &self->buffers, &bound, error);

  return fd < 0 ? NULL : make_listener (self, fd, &bound);
}

static gboolean
get_listening (int fd, VsockAddress *bound, GError **error)
{
  struct sockaddr_storage address;
  socklen_t length;

  if (!hypha_socket_get_listening (fd, &address, &length, error))
    return FALSE;
  if (address.ss_family != AF_VSOCK) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                         _ ("this is not a vsock socket"));
    return FALSE;
  }
  vsock_address_from_sockaddr (bound, (const struct sockaddr_vm *) (const void *) &address);
  return TRUE;
}

static HyphaListener *
vsock_transport_adopt (HyphaTransport *transport, int fd, GError **error)
{
  VsockTransport *self = VSOCK_TRANSPORT (transport);
  VsockAddress bound;

  if (!get_listening (fd, &bound, error)) {
    close (fd);
    return NULL;
  }
  vsock_socket_set_buffers (fd, &self->buffers);
  return make_listener (self, fd, &bound);
}

static void
vsock_transport_listen_async (HyphaTransport *transport, HyphaEndpoint *endpoint,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (transport, cancellable, callback, user_data);
  HyphaListener *listener;
  Operation *operation;
  GError *error = NULL;

  g_task_set_source_tag (task, vsock_transport_listen_async);
  g_task_set_name (task, "vsock-listen");
  operation = operation_new (task, endpoint);
  if (operation == NULL)
    return;
  listener = listen_on (VSOCK_TRANSPORT (transport), operation, &error);
  if (listener == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, listener, g_object_unref);
}

static HyphaListener *
vsock_transport_listen_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
vsock_transport_stop (HyphaTransport *transport)
{
  hypha_operations_stop (VSOCK_TRANSPORT (transport)->operations);
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

/* A bare number, as people write one, is an i. What is negative is too small, too. */
static gboolean
read_number (GVariant *value, guint64 *number)
{
  switch (g_variant_classify (value)) {
  case G_VARIANT_CLASS_UINT64:
    *number = g_variant_get_uint64 (value);
    return TRUE;
  case G_VARIANT_CLASS_UINT32:
    *number = g_variant_get_uint32 (value);
    return TRUE;
  case G_VARIANT_CLASS_INT32:
    *number = (guint64) MAX (g_variant_get_int32 (value), 0);
    return TRUE;
  default:
    return FALSE;
  }
}

static gboolean
read_option (const char *key, GVariant *value, guint64 *size, guint64 *max, GError **error)
{
  guint64 *bytes = g_str_equal (key, "buffer-size")  ? size
                   : g_str_equal (key, "buffer-max") ? max
                                                     : NULL;
  g_autofree char *text = NULL;

  if (bytes == NULL || !read_number (value, bytes)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("the transport vsock has no option '%s' of type '%s': it has 'buffer-size' and "
                    "'buffer-max' (t, u or i), in bytes"),
                 key, g_variant_get_type_string (value));
    return FALSE;
  }
  if (*bytes >= MIN_BUFFER && *bytes <= MAX_BUFFER)
    return TRUE;
  text = g_variant_print (value, FALSE);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("option '%s' of the transport vsock is %s: it is %d to %d bytes"), key, text,
               MIN_BUFFER, MAX_BUFFER);
  return FALSE;
}

static gboolean
vsock_transport_configure (HyphaTransport *transport, GVariant *options, GError **error)
{
  VsockTransport *self = VSOCK_TRANSPORT (transport);
  guint64 size = 0, max = 0; /* not given */
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    g_autoptr (GVariant) owned = value;

    if (!read_option (key, owned, &size, &max, error))
      return FALSE;
  }
  if (max > 0 && size > max) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("option 'buffer-size' of the transport vsock is %" PRIu64
                    ", which is above its 'buffer-max' of %" PRIu64
                    ": lower the one, or raise the other"),
                 size, max);
    return FALSE;
  }
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
vsock_transport_finalize (GObject *object)
{
  VsockTransport *self = VSOCK_TRANSPORT (object);

  hypha_operations_free (self->operations);
  G_OBJECT_CLASS (vsock_transport_parent_class)->finalize (object);
}

static void
vsock_transport_class_init (VsockTransportClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = vsock_transport_finalize;
}

static void
vsock_transport_init (VsockTransport *self)
{
  self->buffers = (VsockBuffers){ .size = DEFAULT_BUFFER, .max = DEFAULT_BUFFER };
  self->operations = hypha_operations_new ();
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
  iface->connect_async = vsock_transport_connect_async;
  iface->connect_finish = vsock_transport_connect_finish;
  iface->listen_async = vsock_transport_listen_async;
  iface->listen_finish = vsock_transport_listen_finish;
  iface->stop = vsock_transport_stop;
  iface->adopt = vsock_transport_adopt;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (VSOCK_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (vsock, "vsock", "1.0", "Sockets between virtual machines and their host",
                     "LGPL-2.1-or-later", 0, create);
