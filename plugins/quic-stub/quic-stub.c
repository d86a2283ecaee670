/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-stub.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define COST_IPV6 7
#define COST_IPV4 12

/* Any plug-in that can do QUIC takes the scheme from this one. */
#define PRIORITY (-100)

#define NAME_MAX_CHARS 253
#define LABEL_MAX_CHARS 63

static const char *const not_built_in =
    N_ ("QUIC is not built in here: use tcp:// in its place, or put a plug-in that provides QUIC "
        "into the directory of transports (`hyphactl plugins` names it)");

struct _QuicStubTransport {
  GObject parent_instance;
};

static void quic_stub_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (QuicStubTransport, quic_stub_transport, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      quic_stub_transport_iface_init))

/* ---- endpoints ---- */

/* A numeric address in its one spelling; NULL: HOST is none. */
static char *
normalize_address (const char *host)
{
  g_auto (GStrv) parts = g_strsplit (host, "%", 2);
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (parts[0]);
  g_autofree char *text = NULL;

  if (address == NULL)
    return NULL;
  text = g_inet_address_to_string (address);
  /* One address, one spelling: ::ffff:127.0.0.1 is 127.0.0.1. */
  if (g_str_has_prefix (text, "::ffff:") && strchr (text, '.') != NULL)
    return g_strdup (text + strlen ("::ffff:"));
  return g_strconcat (text, parts[1] == NULL ? NULL : "%", parts[1], NULL);
}

static gboolean
label_is_valid (const char *label)
{
  gsize length = strlen (label);

  return length > 0 && length <= LABEL_MAX_CHARS && label[0] != '-' && label[length - 1] != '-' &&
         strspn (label, "abcdefghijklmnopqrstuvwxyz0123456789-_") == length;
}

/* What ends in a number is meant as an IPv4 address: the resolver would take "127.1" and
 * "0x7f000001" for one. */
static gboolean
is_number (const char *label)
{
  if (g_str_has_prefix (label, "0x"))
    return strspn (label + 2, "0123456789abcdef") == strlen (label + 2);
  return strspn (label, "0123456789") == strlen (label);
}

/* A name as the resolver is asked for it; NULL: HOST is none. */
static char *
normalize_name (const char *host)
{
  g_autofree char *ascii = g_hostname_to_ascii (host);
  g_autofree char *lower = ascii == NULL ? NULL : g_ascii_strdown (ascii, -1);
  g_auto (GStrv) labels = lower == NULL ? NULL : g_strsplit (lower, ".", -1);
  guint n = labels == NULL ? 0 : g_strv_length (labels);

  if (n == 0 || strlen (lower) > NAME_MAX_CHARS)
    return NULL;
  /* "example.org." is a name that needs no search list. */
  if (n > 1 && *labels[n - 1] == '\0')
    n--;
  for (guint i = 0; i < n; i++)
    if (!label_is_valid (labels[i]))
      return NULL;
  return is_number (labels[n - 1]) ? NULL : g_steal_pointer (&lower);
}

static HyphaEndpoint *
quic_stub_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autofree char *host = NULL;
  g_autofree char *canonical = NULL;
  g_autofree char *rest = NULL;
  gboolean brackets;
  guint32 port;

  if (!hypha_endpoint_split_host_port (endpoint, G_MAXUINT16, &host, &port, error))
    return NULL;
  canonical = g_str_equal (host, "*") ? g_strdup ("::") : normalize_address (host);
  if (canonical == NULL)
    canonical = normalize_name (host);
  /* However it was written: printed, it would mean this. */
  if (g_strcmp0 (canonical, "any") == 0) {
    g_free (canonical);
    canonical = g_strdup ("::");
  }
  if (canonical == NULL) {
    hypha_endpoint_refuse (endpoint, error, _ ("the host '%s' is neither an IP address nor a name"),
                           host);
    return NULL;
  }
  brackets = strchr (canonical, ':') != NULL;
  rest = g_strdup_printf ("//%s%s%s:%u", brackets ? "[" : "", canonical, brackets ? "]" : "", port);
  return hypha_endpoint_new ("quic", rest, endpoint);
}

static guint
quic_stub_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  gboolean ipv6 = endpoint != NULL && g_str_has_prefix (hypha_endpoint_get_rest (endpoint), "//[");

  return ipv6 ? COST_IPV6 : COST_IPV4;
}

/* ---- what it cannot do ---- */

static gboolean
quic_stub_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ (not_built_in));
  return FALSE;
}

static void
quic_stub_transport_connect_async (HyphaTransport *transport, HyphaEndpoint *endpoint,
                                   guint timeout_ms, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (transport, cancellable, callback, user_data);

  g_task_set_source_tag (task, quic_stub_transport_connect_async);
  g_task_set_name (task, "quic-stub-connect");
  g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                           _ ("cannot connect to %s: %s"), hypha_endpoint_to_string (endpoint),
                           _ (not_built_in));
}

static HyphaChannel *
quic_stub_transport_connect_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
quic_stub_transport_listen_async (HyphaTransport *transport, HyphaEndpoint *endpoint,
                                  GCancellable *cancellable, GAsyncReadyCallback callback,
                                  gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (transport, cancellable, callback, user_data);

  g_task_set_source_tag (task, quic_stub_transport_listen_async);
  g_task_set_name (task, "quic-stub-listen");
  g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                           _ ("cannot listen on %s: %s"), hypha_endpoint_to_string (endpoint),
                           _ (not_built_in));
}

static HyphaListener *
quic_stub_transport_listen_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- the rest of the interface ---- */

static const char *const *
quic_stub_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "quic", NULL };

  return schemes;
}

static void
quic_stub_transport_class_init (QuicStubTransportClass *klass)
{
}

static void
quic_stub_transport_init (QuicStubTransport *self)
{
}

static void
quic_stub_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = quic_stub_transport_get_schemes;
  iface->parse = quic_stub_transport_parse;
  iface->probe = quic_stub_transport_probe;
  iface->get_link_cost = quic_stub_transport_get_link_cost;
  iface->connect_async = quic_stub_transport_connect_async;
  iface->connect_finish = quic_stub_transport_connect_finish;
  iface->listen_async = quic_stub_transport_listen_async;
  iface->listen_finish = quic_stub_transport_listen_finish;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (QUIC_STUB_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (quic_stub, "quic-stub", "1.0", "Says that QUIC is not built in",
                     "LGPL-2.1-or-later", PRIORITY, create);
