/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unix.h"

#include <glib/gi18n-lib.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "unix-address.h"

#define COST 3

/* As for a D-Bus socket: the directory decides who reaches it, the handshake who may talk. Where
 * there is no handshake, the endpoint has a mode of its own. */
#define DEFAULT_MODE 0666

struct _UnixTransport {
  HyphaBaseTransport parent_instance;

  mode_t mode;
};

static void unix_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (UnixTransport, unix_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      unix_transport_iface_init))

/* ---- channels ---- */

/* Takes FD. */
static HyphaChannel *
make_channel (int fd, HyphaEndpoint *local, HyphaEndpoint *remote)
{
  HyphaChannel *channel =
      hypha_channel_new (fd, local, remote, HYPHA_CHANNEL_KERNEL | HYPHA_CHANNEL_PEER_IS_NODE);
  struct ucred credentials;
  socklen_t length = sizeof credentials;

  hypha_channel_set_host (channel, "local");
  if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 &&
      credentials.uid != (uid_t) -1)
    hypha_channel_set_uid (channel, credentials.uid);
  return channel;
}

static HyphaChannel *
adopt (int fd, const struct sockaddr *remote, socklen_t length, gpointer user_data, GError **error)
{
  /* Whatever name the other end gave its socket: it is nowhere that one could connect to. */
  return make_channel (fd, user_data, NULL);
}

/* ---- connecting ---- */

/* The data of the task is the endpoint. */
static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  int fd = hypha_socket_connect_finish (result, &error);

  if (fd < 0)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, make_channel (fd, NULL, g_task_get_task_data (task)),
                           g_object_unref);
}

static void
unix_transport_connect (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                        guint timeout_ms, GCancellable *cancellable)
{
  struct sockaddr_un sockaddr;
  GError *error = NULL;
  UnixAddress address;

  if (!unix_address_parse (endpoint, &address, &error)) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  g_task_set_task_data (task, endpoint, NULL);
  hypha_socket_connect_async (
      (const struct sockaddr *) &sockaddr, unix_address_to_sockaddr (&address, &sockaddr),
      hypha_endpoint_to_string (endpoint), timeout_ms, cancellable, on_connected, task);
}

/* ---- listening ---- */

/* "600", "0660": octal, as chmod(1) takes it. */
static gboolean
parse_mode (const char *text, mode_t *mode)
{
  gsize length = strlen (text);

  if (length < 3 || length > 4 || strspn (text, "01234567") != length ||
      (length == 4 && text[0] != '0'))
    return FALSE;
  *mode = (mode_t) g_ascii_strtoull (text, NULL, 8);
  return TRUE;
}

static void
on_listening (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  HyphaListener *listener = hypha_unix_listen_finish (result, &error);

  if (listener == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, listener, g_object_unref);
}

static void
unix_transport_listen (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                       GCancellable *cancellable)
{
  const char *own_mode = hypha_base_transport_get_option (task, "mode");
  mode_t mode = UNIX_TRANSPORT (transport)->mode;
  g_autoptr (GSocketAddress) native = NULL;
  GError *error = NULL;
  UnixAddress address;

  if (own_mode != NULL)
    parse_mode (own_mode, &mode); /* it has been checked */
  if (!unix_address_parse (endpoint, &address, &error)) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  native = g_unix_socket_address_new_with_type (address.name, -1,
                                                address.abstract ? G_UNIX_SOCKET_ADDRESS_ABSTRACT
                                                                 : G_UNIX_SOCKET_ADDRESS_PATH);
  hypha_unix_listen_async (G_UNIX_SOCKET_ADDRESS (native), endpoint, mode, adopt,
                           hypha_endpoint_ref (endpoint), (GDestroyNotify) hypha_endpoint_unref,
                           cancellable, on_listening, task);
}

/* NULL: not a Unix socket, or not one that an endpoint can name. */
static HyphaEndpoint *
get_listening (const struct sockaddr *address, socklen_t length, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  UnixAddress bound;

  if (address->sa_family != AF_UNIX) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                         _ ("this is not a Unix socket"));
    return NULL;
  }
  if (!unix_address_from_sockaddr (&bound, (const struct sockaddr_un *) (const void *) address,
                                   length)) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                         _ ("the Unix socket has no name that can be written: bind it to an "
                            "absolute path, or to an abstract name of printable characters"));
    return NULL;
  }
  endpoint = unix_address_to_endpoint (&bound, NULL);
  return unix_address_parse (endpoint, &bound, error) ? g_steal_pointer (&endpoint) : NULL;
}

static HyphaListener *
unix_transport_adopt (HyphaBaseTransport *transport, int fd, const struct sockaddr *address,
                      socklen_t length, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = get_listening (address, length, error);

  return endpoint == NULL
             ? NULL
             : hypha_socket_listener_new (fd, endpoint, adopt, hypha_endpoint_ref (endpoint),
                                          (GDestroyNotify) hypha_endpoint_unref);
}

/* ---- the rest of the interface ---- */

static const char *const *
unix_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "unix", NULL };

  return schemes;
}

static HyphaEndpoint *
unix_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  UnixAddress address;

  return unix_address_parse (endpoint, &address, error)
             ? unix_address_to_endpoint (&address, endpoint)
             : NULL;
}

static gboolean
unix_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
  const char *text = hypha_options_get_string (options, "mode", NULL);
  mode_t mode = DEFAULT_MODE;

  if (text != NULL && !parse_mode (text, &mode))
    hypha_options_refuse (options, "mode",
                          _ ("it is '%s', and has to be three octal digits, such as '660'"), text);
  if (!hypha_options_finish (options, error))
    return FALSE;
  UNIX_TRANSPORT (transport)->mode = mode;
  return TRUE;
}

static gboolean
unix_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (fd >= 0) {
    close (fd);
    return TRUE;
  }
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
               _ ("this process cannot open Unix sockets: %s; look for a sandbox "
                  "(RestrictAddressFamilies= in the "
                  "service's unit)"),
               g_strerror (errno));
  return FALSE;
}

static guint
unix_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return COST;
}

static void
unix_transport_class_init (UnixTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = unix_transport_connect;
  base_class->listen = unix_transport_listen;
  base_class->adopt = unix_transport_adopt;
}

static void
unix_transport_init (UnixTransport *self)
{
  self->mode = DEFAULT_MODE;
}

static HyphaVouching
unix_transport_get_vouching (HyphaTransport *transport)
{
  return HYPHA_VOUCHING_UID;
}

static void
unix_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = unix_transport_get_schemes;
  iface->parse = unix_transport_parse;
  iface->configure = unix_transport_configure;
  iface->probe = unix_transport_probe;
  iface->get_link_cost = unix_transport_get_link_cost;
  iface->get_vouching = unix_transport_get_vouching;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (UNIX_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (unix, "unix", "1.0", "Unix sockets, as files and abstract",
                     "LGPL-2.1-or-later", 0, create);
