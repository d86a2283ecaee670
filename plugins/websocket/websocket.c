/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket.h"

#include <glib/gi18n-lib.h>

#include "websocket-dial.h"
#include "websocket-listener.h"
#include "websocket-socket.h"

#define COST 20
#define DEFAULT_PING_S 25
#define MAX_PING_S 3600
#define DEFAULT_CONNECTIONS 1024
#define MAX_CONNECTIONS 65536

typedef struct {
  char *ca_file;
  char *certificate;
  char *key;
  char *proxy; /* NULL: as the system says */
  char **origins;
  guint32 ping_s;
  guint32 connections;
} Options;

struct _WebsocketTransport {
  HyphaBaseTransport parent_instance;
  Options options;
};

static void websocket_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (WebsocketTransport, websocket_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      websocket_transport_iface_init))

/* ---- options ---- */

static void
options_init (Options *self)
{
  *self = (Options){ .origins = g_new0 (char *, 1),
                     .ping_s = DEFAULT_PING_S,
                     .connections = DEFAULT_CONNECTIONS };
}

static void
options_clear (Options *self)
{
  g_free (self->ca_file);
  g_free (self->certificate);
  g_free (self->key);
  g_free (self->proxy);
  g_strfreev (self->origins);
}

static char *
dup_path (HyphaOptions *options, const char *name)
{
  const char *path = hypha_options_get_string (options, name, NULL);

  if (path != NULL && !g_path_is_absolute (path))
    hypha_options_refuse (options, name, _ ("it has to be the absolute path of a file"));
  return g_strdup (path);
}

static char *
dup_proxy (HyphaOptions *options)
{
  static const char *const schemes[] = { "http", "https", "socks5", NULL };
  const char *proxy = hypha_options_get_string (options, "proxy", NULL);
  g_autoptr (GUri) uri = NULL;

  if (proxy == NULL || *proxy == '\0')
    return g_strdup (proxy);
  uri = g_uri_parse (proxy, G_URI_FLAGS_NONE, NULL);
  if (uri == NULL || !g_strv_contains (schemes, g_uri_get_scheme (uri)) ||
      g_uri_get_host (uri) == NULL || *g_uri_get_host (uri) == '\0')
    hypha_options_refuse (
        options, "proxy",
        _ ("it is http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, or empty for none"));
  else if (g_uri_get_userinfo (uri) != NULL)
    hypha_options_refuse (
        options, "proxy",
        _ ("it has no name and no password, for whoever is on this machine may read settings; "
           "the system's proxy settings may have them"));
  return g_strdup (proxy);
}

static gboolean
read_options (HyphaOptions *options, Options *out, GError **error)
{
  GVariant *origins = hypha_options_get_value (options, "origins", "as");

  out->origins = origins != NULL ? g_variant_dup_strv (origins, NULL) : g_new0 (char *, 1);
  out->ca_file = dup_path (options, "ca-file");
  out->certificate = dup_path (options, "certificate");
  out->key = dup_path (options, "key");
  out->proxy = dup_proxy (options);
  out->ping_s = hypha_options_get_uint (options, "ping-interval", 1, MAX_PING_S, DEFAULT_PING_S);
  out->connections =
      hypha_options_get_uint (options, "connections", 1, MAX_CONNECTIONS, DEFAULT_CONNECTIONS);
  if ((out->certificate == NULL) != (out->key == NULL))
    hypha_options_refuse (options, out->key == NULL ? "certificate" : "key",
                          _ ("'certificate' and 'key' go together"));
  return hypha_options_finish (options, error);
}

static gboolean
websocket_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  WebsocketTransport *self = WEBSOCKET_TRANSPORT (transport);
  g_autoptr (HyphaOptions) given = hypha_options_new (transport, values);
  Options options;

  if (!read_options (given, &options, error)) {
    options_clear (&options);
    return FALSE;
  }
  options_clear (&self->options);
  self->options = options;
  return TRUE;
}

/* ---- operations ---- */

/* It becomes the data of TASK. NULL: the task has returned an error. */
static const WebsocketAddress *
take_address (GTask *task, HyphaEndpoint *endpoint)
{
  GError *error = NULL;
  WebsocketAddress *address = websocket_address_parse (endpoint, &error);

  if (address != NULL && address->secure &&
      !g_tls_backend_supports_tls (g_tls_backend_get_default ())) {
    g_clear_pointer (&address, websocket_address_free);
    error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                         _ ("%s: GIO has no TLS here: install glib-networking"),
                         hypha_endpoint_to_string (endpoint));
  }
  if (address == NULL)
    g_task_return_error (task, error);
  else
    g_task_set_task_data (task, address, (GDestroyNotify) websocket_address_free);
  return address;
}

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  HyphaChannel *channel = websocket_dial_finish (result, &error);

  if (channel != NULL)
    g_task_return_pointer (task, channel, g_object_unref);
  else
    g_task_return_error (task, error);
}

static void
websocket_transport_connect (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                             guint timeout_ms, GCancellable *cancellable)
{
  WebsocketTransport *self = WEBSOCKET_TRANSPORT (transport);
  g_autoptr (GTask) task = given;
  const WebsocketAddress *address = take_address (task, endpoint);
  const WebsocketRoute route = { .proxy = self->options.proxy,
                                 .ca_file = self->options.ca_file,
                                 .ping_ms = self->options.ping_s * 1000 };
  GError *error = NULL;

  if (address == NULL)
    return;
  if (!hypha_inet_address_check_remote (address->inet, hypha_endpoint_to_string (endpoint),
                                        &error)) {
    g_task_return_error (task, error);
    return;
  }
  websocket_dial_async (address, endpoint, &route, timeout_ms, cancellable, on_dialled,
                        g_steal_pointer (&task));
}

static GTlsCertificate *
load_certificate (WebsocketTransport *self, const char *display, GError **error)
{
  g_autoptr (GError) reason = NULL;
  GTlsCertificate *certificate;

  if (self->options.certificate == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("cannot listen on %s: there is no certificate; set the options 'certificate' "
                    "and 'key' of the transport ws, or listen on ws: behind a web server that "
                    "has one"),
                 display);
    return NULL;
  }
  certificate =
      g_tls_certificate_new_from_files (self->options.certificate, self->options.key, &reason);
  if (certificate == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("cannot listen on %s: the options 'certificate' and 'key' of the transport "
                    "ws: %s"),
                 display, reason->message);
  return certificate;
}

static HyphaListener *
listen_on (GTask *task, GInetAddress *numeric, GError **error)
{
  WebsocketTransport *self = g_task_get_source_object (task);
  const WebsocketAddress *address = g_task_get_task_data (task);
  const char *display = hypha_endpoint_to_string (hypha_base_transport_get_endpoint (task));
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autoptr (HyphaEndpoint) bound = NULL;
  WebsocketHouse house = { .origins = (const char *const *) self->options.origins,
                           .connections = self->options.connections,
                           .ping_ms = self->options.ping_s * 1000 };
  HyphaInetSockaddr sockaddr;
  int fd;

  if (address->secure) {
    house.certificate = certificate = load_certificate (self, display, error);
    if (certificate == NULL)
      return NULL;
  }
  fd = hypha_inet_address_bind (address->inet, numeric, SOCK_STREAM, NULL, display, &sockaddr,
                                error);
  if (fd < 0)
    return NULL;
  bound =
      websocket_address_to_endpoint (address, (const struct sockaddr *) &sockaddr.storage, NULL);
  return websocket_listener_new (fd, bound, address, &house, error);
}

static void
websocket_transport_listen (HyphaBaseTransport *transport, GTask *given, HyphaEndpoint *endpoint,
                            GCancellable *cancellable)
{
  g_autoptr (GTask) task = given;
  const WebsocketAddress *address = take_address (task, endpoint);

  if (address != NULL)
    hypha_inet_address_listen (address->inet, g_steal_pointer (&task), cancellable, listen_on);
}

/* ---- the rest of the interface ---- */

static const char *const *
websocket_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "ws", "wss", NULL };

  return schemes;
}

static HyphaEndpoint *
websocket_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (WebsocketAddress) address = websocket_address_parse (endpoint, error);

  return address == NULL ? NULL : websocket_address_to_endpoint (address, NULL, endpoint);
}

static gboolean
websocket_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  return hypha_inet_probe (SOCK_STREAM, details, error);
}

static guint
websocket_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return COST;
}

static void
websocket_transport_finalize (GObject *object)
{
  options_clear (&WEBSOCKET_TRANSPORT (object)->options);
  G_OBJECT_CLASS (websocket_transport_parent_class)->finalize (object);
}

static void
websocket_transport_class_init (WebsocketTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = websocket_transport_finalize;
  base_class->connect = websocket_transport_connect;
  base_class->listen = websocket_transport_listen;
}

static void
websocket_transport_init (WebsocketTransport *self)
{
  options_init (&self->options);
}

static void
websocket_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = websocket_transport_get_schemes;
  iface->parse = websocket_transport_parse;
  iface->configure = websocket_transport_configure;
  iface->probe = websocket_transport_probe;
  iface->get_link_cost = websocket_transport_get_link_cost;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (WEBSOCKET_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (websocket, "websocket", "1.0", "WebSockets, by way of proxies and web servers",
                     "LGPL-2.1-or-later", 0, create);
