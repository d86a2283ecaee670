/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-transport.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>

#include "hypha-channel-private.h"
#include "hypha-error.h"
#include "hypha-text.h"

/* How long after its deadline a plug-in may still answer; what comes later is thrown away. */
#define GRACE_MS 1000
#define LISTEN_TIMEOUT_MS 30000
#define MAX_LINK_COST 1000000

/**
 * HyphaTransport:
 *
 * Turns endpoints into channels: what a plug-in implements.
 *
 * It lives on the main thread. Its functions here are for the core: they check what the plug-in
 * answers, and turn a breach of its contract into `HYPHA_ERROR_PLUGIN`, which names the transport
 * and the breach.
 */
G_DEFINE_INTERFACE (HyphaTransport, hypha_transport, G_TYPE_OBJECT)

static const char *
get_name (HyphaTransport *self)
{
  const char *scheme = hypha_transport_get_schemes (self)[0];

  return scheme != NULL ? scheme : G_OBJECT_TYPE_NAME (self);
}

/* The adopt of a transport that has none. */
static HyphaListener *
refuse_socket (HyphaTransport *self, int fd, GError **error)
{
  g_close (fd, NULL);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
               _ ("the transport '%s' takes no sockets from others"), get_name (self));
  return NULL;
}

static void
hypha_transport_default_init (HyphaTransportInterface *iface)
{
  iface->adopt = refuse_socket;
}

/* Breaches */

static void
set_breach (GError **error, HyphaTransport *self, const char *breach)
{
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
      _ ("the transport '%s' broke its contract: %s; report it to the author of the plug-in"),
      get_name (self), breach);
}

/* A success has no error and a failure has one. Takes FROM_PLUGIN. */
static gboolean
check_outcome (HyphaTransport *self, const char *verb, gboolean success, GError *from_plugin,
               GError **error)
{
  g_autofree char *breach = NULL;

  if (success && from_plugin == NULL)
    return TRUE;
  if (!success && from_plugin != NULL) {
    g_propagate_error (error, from_plugin);
    return FALSE;
  }
  breach = success
               ? g_strdup_printf (_ ("%s succeeded with an error (%s)"), verb, from_plugin->message)
               : g_strdup_printf (_ ("%s failed without an error"), verb);
  g_clear_error (&from_plugin);
  set_breach (error, self, breach);
  return FALSE;
}

static void
set_missing (GError **error, HyphaTransport *self, const char *function)
{
  g_autofree char *breach = g_strdup_printf (_ ("it has no function %s"), function);

  set_breach (error, self, breach);
}

/* Schemes */

static gboolean
is_scheme (const char *scheme, gboolean canonical)
{
  g_autofree char *uri = g_strconcat (scheme, ":x", NULL);
  g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_parse (uri, NULL);

  if (endpoint == NULL || !g_str_equal (hypha_endpoint_get_scheme (endpoint), scheme))
    return FALSE;
  for (const char *p = scheme; canonical && *p != '\0'; p++)
    if (g_ascii_isupper (*p))
      return FALSE;
  return TRUE;
}

/**
 * hypha_transport_get_schemes:
 * @self: a transport
 *
 * Gives the canonical scheme, in lower case, and after it others that the transport parses as well:
 * other spellings, or further schemes in lower case that are canonical, too, for it parses them to
 * themselves.
 *
 * Returns: (transfer none) (array zero-terminated=1): the schemes; an empty list where what the
 * plug-in gave is no list of schemes
 */
const char *const *
hypha_transport_get_schemes (HyphaTransport *self)
{
  static const char *const none[] = { NULL };
  HyphaTransportInterface *iface;
  const char *const *schemes;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), none);

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  schemes = iface->get_schemes != NULL ? iface->get_schemes (self) : NULL;
  if (schemes == NULL)
    return none;
  for (guint i = 0; schemes[i] != NULL; i++)
    if (!is_scheme (schemes[i], i == 0))
      return none;
  return schemes;
}

static gboolean
may_be_canonical (HyphaTransport *self, const char *scheme)
{
  return g_strv_contains (hypha_transport_get_schemes (self), scheme) && is_scheme (scheme, TRUE);
}

/* Parsing */

static HyphaEndpoint *
call_parse (HyphaTransport *self, HyphaEndpoint *endpoint, GError **error)
{
  HyphaTransportInterface *iface = HYPHA_TRANSPORT_GET_IFACE (self);
  g_autoptr (HyphaEndpoint) parsed = NULL;
  GError *local = NULL;

  if (iface->parse == NULL) {
    set_missing (error, self, "parse");
    return NULL;
  }
  parsed = iface->parse (self, endpoint, &local);
  if (!check_outcome (self, "parse", parsed != NULL, local, error))
    return NULL;
  return g_steal_pointer (&parsed);
}

static gboolean
same_options (HyphaEndpoint *a, HyphaEndpoint *b)
{
  static const char *const names[] = { "cost", "id", "tls" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_strcmp0 (hypha_endpoint_get_option (a, names[i]),
                   hypha_endpoint_get_option (b, names[i])) != 0)
      return FALSE;
  return TRUE;
}

/* Whether ENDPOINT is what the transport itself calls canonical; WHAT says where it comes from. */
static gboolean
check_canonical (HyphaTransport *self, HyphaEndpoint *endpoint, const char *what, GError **error)
{
  const char *text = hypha_endpoint_to_string (endpoint);
  g_autoptr (GError) reason = NULL;
  g_autoptr (HyphaEndpoint) split = hypha_endpoint_parse (text, &reason);
  g_autoptr (HyphaEndpoint) again = NULL;
  g_autofree char *breach = NULL;

  if (split != NULL && hypha_endpoint_equal (split, endpoint))
    again = call_parse (self, split, &reason);
  if (reason != NULL)
    breach =
        g_strdup_printf (_ ("%s '%s', which does not parse (%s)"), what, text, reason->message);
  else if (!may_be_canonical (self, hypha_endpoint_get_scheme (endpoint)))
    breach = g_strdup_printf (_ ("%s '%s', which has another scheme"), what, text);
  else if (again == NULL || !hypha_endpoint_equal (again, endpoint))
    breach = g_strdup_printf (_ ("%s '%s', which parses as '%s'"), what, text,
                              hypha_endpoint_to_string (again != NULL ? again : split));
  if (breach != NULL)
    set_breach (error, self, breach);
  return breach == NULL;
}

/**
 * hypha_transport_parse:
 * @self: a transport
 * @endpoint: an endpoint with one of its schemes
 * @error: return location for an error
 *
 * Parses what follows the scheme, strictly, and gives the canonical form. Parsing that again
 * changes nothing.
 *
 * The error is `HYPHA_ERROR_INVALID_ENDPOINT`, or `HYPHA_ERROR_PLUGIN` for a breach.
 *
 * Returns: (transfer full): the canonical endpoint, or %NULL with @error set
 */
HyphaEndpoint *
hypha_transport_parse (HyphaTransport *self, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaEndpoint) parsed = NULL;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), NULL);
  g_return_val_if_fail (endpoint != NULL, NULL);

  parsed = call_parse (self, endpoint, error);
  if (parsed == NULL)
    return NULL;
  if (!same_options (parsed, endpoint)) {
    set_breach (error, self, _ ("parse changed the options of an endpoint"));
    return NULL;
  }
  if (!check_canonical (self, parsed, _ ("parse gave"), error))
    return NULL;
  return g_steal_pointer (&parsed);
}

/* Settings and state */

static void
refuse_options (HyphaTransport *self, GVariant *options, GError **error)
{
  g_autofree char *name = NULL;
  g_autofree char *quoted = NULL;

  g_variant_get_child (options, 0, "{sv}", &name, NULL);
  quoted = hypha_text_quote (name);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("the transport '%s' has no option %s, nor any other; take its entry out of "
                  "transport-options"),
               get_name (self), quoted);
}

/**
 * hypha_transport_configure:
 * @self: a transport
 * @options: all its options, `a{sv}`
 * @error: return location for an error
 *
 * Sets the options of the transport; those left out go back to their defaults. If one is wrong,
 * nothing changes. A transport that has no options takes an empty @options only.
 *
 * The error is `HYPHA_ERROR_INVALID_SETTING`, or `HYPHA_ERROR_PLUGIN` for a breach.
 *
 * Returns: whether the options are in force
 */
gboolean
hypha_transport_configure (HyphaTransport *self, GVariant *options, GError **error)
{
  HyphaTransportInterface *iface;
  g_autoptr (GVariant) held = NULL;
  GError *local = NULL;
  gboolean success;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), FALSE);
  g_return_val_if_fail (options != NULL, FALSE);

  held = g_variant_ref_sink (options);
  g_return_val_if_fail (g_variant_is_of_type (held, G_VARIANT_TYPE_VARDICT), FALSE);

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  if (iface->configure == NULL && g_variant_n_children (held) == 0)
    return TRUE;
  if (iface->configure == NULL) {
    refuse_options (self, held, error);
    return FALSE;
  }
  success = iface->configure (self, held, &local);
  return check_outcome (self, "configure", success, local, error);
}

/**
 * hypha_transport_probe:
 * @self: a transport
 * @details: (nullable): to be filled for people and tools
 * @error: return location for an error
 *
 * Asks whether the transport can work on this machine, without a lasting effect.
 *
 * The error, mostly `HYPHA_ERROR_UNAVAILABLE`, says why not and what to do; or `HYPHA_ERROR_PLUGIN`
 * for a breach.
 *
 * Returns: whether it can
 */
gboolean
hypha_transport_probe (HyphaTransport *self, GVariantDict *details, GError **error)
{
  HyphaTransportInterface *iface;
  g_autoptr (GVariantDict) unwanted = NULL;
  GError *local = NULL;
  gboolean success;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), FALSE);

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  if (iface->probe == NULL)
    return TRUE;
  if (details == NULL)
    details = unwanted = g_variant_dict_new (NULL);
  success = iface->probe (self, details, &local);
  return check_outcome (self, "probe", success, local, error);
}

/**
 * hypha_transport_get_link_cost:
 * @self: a transport
 * @endpoint: (nullable): a canonical endpoint; %NULL asks for the dearest typical one
 *
 * Gives the static cost of a link, without what a user or the endpoint says about it.
 *
 * Returns: the cost, at most 1000000, which also stands for a plug-in that cannot tell
 */
guint
hypha_transport_get_link_cost (HyphaTransport *self, HyphaEndpoint *endpoint)
{
  HyphaTransportInterface *iface;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), MAX_LINK_COST);

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  if (iface->get_link_cost == NULL)
    return MAX_LINK_COST;
  return MIN (iface->get_link_cost (self, endpoint), MAX_LINK_COST);
}

/**
 * hypha_vouching_get_type:
 *
 * The enumeration type of #HyphaVouching.
 *
 * Returns: the type
 */
GType
hypha_vouching_get_type (void)
{
  static const GEnumValue values[] = {
    { HYPHA_VOUCHING_NONE, "HYPHA_VOUCHING_NONE", "none" },
    { HYPHA_VOUCHING_UID, "HYPHA_VOUCHING_UID", "uid" },
    { HYPHA_VOUCHING_ADDRESS, "HYPHA_VOUCHING_ADDRESS", "address" },
    { 0, NULL, NULL },
  };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("HyphaVouching", values));
  return type;
}

/**
 * hypha_transport_get_vouching:
 * @self: a transport
 *
 * Tells what kernel or hypervisor can vouch for, of the other end of its channels.
 *
 * Returns: what a trust rule may go by
 */
HyphaVouching
hypha_transport_get_vouching (HyphaTransport *self)
{
  HyphaTransportInterface *iface;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), HYPHA_VOUCHING_NONE);

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  return iface->get_vouching != NULL ? iface->get_vouching (self) : HYPHA_VOUCHING_NONE;
}

/**
 * hypha_transport_is_lossy:
 * @self: a transport
 *
 * Tells whether part of what is written to its channels may be lost on the way, as datagrams are.
 * Where it may, the transport does for services and forwards, whose programs know what they talk
 * over, and not for links, which need every byte.
 *
 * Returns: whether it may
 */
gboolean
hypha_transport_is_lossy (HyphaTransport *self)
{
  HyphaTransportInterface *iface;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), FALSE);

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  return iface->is_lossy != NULL && iface->is_lossy (self);
}

static G_DEFINE_QUARK (hypha - served, served);

/**
 * hypha_transport_serve:
 * @self: a transport
 * @peers: (nullable): what the node that it serves has for it; %NULL: that node stops
 *
 * Tells a transport which node it serves. It serves one at a time: in a program that holds several
 * nodes with the same plug-ins, the first; when that stops, the next.
 *
 * Returns: whether it serves @peers now; always %FALSE where it has no use for a node
 *
 * Since: ABI 1.2
 */
gboolean
hypha_transport_serve (HyphaTransport *self, HyphaPeers *peers)
{
  HyphaTransportInterface *iface;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), FALSE);
  g_return_val_if_fail (peers == NULL || HYPHA_IS_PEERS (peers), FALSE);

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  if (iface->serve == NULL ||
      (peers != NULL && g_object_get_qdata (G_OBJECT (self), served_quark ()) != NULL))
    return FALSE;
  g_object_set_qdata (G_OBJECT (self), served_quark (), peers);
  iface->serve (self, peers);
  return peers != NULL;
}

/* Asynchronous calls */

/* One call into the plug-in, from here until it answers. */
typedef struct {
  HyphaTransport *transport; /* not from the answer: a plug-in may give any source object */
  HyphaEndpoint *endpoint;   /* what it is about */
  GTask *task;               /* NULL: the answer comes too late */
  GSource *deadline;
} Call;

/* Gives back the task, or NULL if somebody was faster; the one who gets it answers it. */
static GTask *
call_take_task (Call *call)
{
  if (call->deadline != NULL) {
    g_source_destroy (call->deadline);
    g_clear_pointer (&call->deadline, g_source_unref);
  }
  return g_steal_pointer (&call->task);
}

static gboolean
on_call_overdue (gpointer data)
{
  g_autoptr (GTask) task = call_take_task (data);
  GError *error = NULL;

  set_breach (&error, g_task_get_source_object (task), _ ("it did not answer within its deadline"));
  g_task_return_error (task, error);
  return G_SOURCE_REMOVE;
}

static Call *
call_new (GTask *task, HyphaEndpoint *endpoint, guint timeout_ms)
{
  Call *call = g_new0 (Call, 1);

  call->transport = g_object_ref (g_task_get_source_object (task));
  call->endpoint = hypha_endpoint_ref (endpoint);
  call->task = g_object_ref (task);
  call->deadline =
      g_timeout_source_new (timeout_ms > G_MAXUINT - GRACE_MS ? G_MAXUINT : timeout_ms + GRACE_MS);
  g_source_set_callback (call->deadline, on_call_overdue, call, NULL);
  g_source_attach (call->deadline, g_task_get_context (task));
  return call;
}

/* Answers with RESULT, a GObject, or with ERROR; takes both. */
static void
call_finish (Call *call, gpointer result, GError *error)
{
  g_autoptr (GTask) task = call_take_task (call);
  g_autoptr (GObject) object = result;
  g_autoptr (GError) reason = error;

  g_object_unref (call->transport);
  hypha_endpoint_unref (call->endpoint);
  g_free (call);
  if (task == NULL)
    return;
  if (reason != NULL)
    g_task_return_error (task, g_steal_pointer (&reason));
  else
    g_task_return_pointer (task, g_steal_pointer (&object), g_object_unref);
}

/* Connecting */

static void
on_connected (GObject *source, GAsyncResult *result, gpointer data)
{
  Call *call = data;
  HyphaTransport *self = call->transport;
  g_autoptr (HyphaChannel) channel = NULL;
  GError *local = NULL, *error = NULL;

  channel = HYPHA_TRANSPORT_GET_IFACE (self)->connect_finish (self, result, &local);
  if (!check_outcome (self, "connect", channel != NULL, local, &error) ||
      !hypha_channel_check (channel, hypha_endpoint_get_scheme (call->endpoint), &error))
    g_clear_object (&channel);
  call_finish (call, g_steal_pointer (&channel), error);
}

/**
 * hypha_transport_connect_async:
 * @self: a transport
 * @endpoint: where to, in canonical form
 * @timeout_ms: the deadline in milliseconds, above 0
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when the channel is there, or it has failed
 * @user_data: for @callback
 *
 * Makes a channel to @endpoint.
 */
void
hypha_transport_connect_async (HyphaTransport *self, HyphaEndpoint *endpoint, guint timeout_ms,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data)
{
  HyphaTransportInterface *iface;
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;

  g_return_if_fail (HYPHA_IS_TRANSPORT (self));
  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (timeout_ms > 0);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, hypha_transport_connect_async);
  if (iface->connect_async == NULL || iface->connect_finish == NULL) {
    set_missing (&error, self, "connect");
    g_task_return_error (task, error);
    return;
  }
  iface->connect_async (self, endpoint, timeout_ms, cancellable, on_connected,
                        call_new (task, endpoint, timeout_ms));
}

/**
 * hypha_transport_connect_finish:
 * @self: a transport
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_transport_connect_async() began.
 *
 * The error comes from the plug-in (`HYPHA_ERROR_CONNECT`, `HYPHA_ERROR_TIMED_OUT`,
 * `HYPHA_ERROR_UNAVAILABLE` and so on), or is `HYPHA_ERROR_PLUGIN` for a breach, or
 * `G_IO_ERROR_CANCELLED`.
 *
 * Returns: (transfer full): the channel, or %NULL with @error set
 */
HyphaChannel *
hypha_transport_connect_finish (HyphaTransport *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, hypha_transport_connect_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/* Listening */

static gboolean
check_listener (HyphaTransport *self, const char *verb, HyphaListener *listener, GError **error)
{
  g_autofree char *breach = NULL;
  g_autofree char *what = NULL;
  HyphaEndpoint *bound;

  if (!HYPHA_IS_LISTENER (listener)) {
    breach = g_strdup_printf (_ ("%s gave something that is not a listener"), verb);
    set_breach (error, self, breach);
    return FALSE;
  }
  bound = hypha_listener_get_bound (listener);
  if (bound == NULL) {
    breach = g_strdup_printf (_ ("%s gave a listener that does not say where it is bound"), verb);
    set_breach (error, self, breach);
    return FALSE;
  }
  what = g_strdup_printf (_ ("%s gave a listener bound to"), verb);
  return check_canonical (self, bound, what, error);
}

static void
on_listening (GObject *source, GAsyncResult *result, gpointer data)
{
  Call *call = data;
  HyphaTransport *self = call->transport;
  g_autoptr (HyphaListener) listener = NULL;
  GError *local = NULL, *error = NULL;

  listener = HYPHA_TRANSPORT_GET_IFACE (self)->listen_finish (self, result, &local);
  if (!check_outcome (self, "listen", listener != NULL, local, &error) ||
      !check_listener (self, "listen", listener, &error))
    g_clear_object (&listener);
  call_finish (call, g_steal_pointer (&listener), error);
}

/**
 * hypha_transport_listen_async:
 * @self: a transport
 * @endpoint: where, in canonical form
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when it listens, or has failed
 * @user_data: for @callback
 *
 * Listens on @endpoint.
 */
void
hypha_transport_listen_async (HyphaTransport *self, HyphaEndpoint *endpoint,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer user_data)
{
  HyphaTransportInterface *iface;
  g_autoptr (GTask) task = NULL;
  GError *error = NULL;

  g_return_if_fail (HYPHA_IS_TRANSPORT (self));
  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, hypha_transport_listen_async);
  if (iface->listen_async == NULL || iface->listen_finish == NULL) {
    set_missing (&error, self, "listen");
    g_task_return_error (task, error);
    return;
  }
  iface->listen_async (self, endpoint, cancellable, on_listening,
                       call_new (task, endpoint, LISTEN_TIMEOUT_MS));
}

/**
 * hypha_transport_listen_finish:
 * @self: a transport
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_transport_listen_async() began.
 *
 * The error comes from the plug-in (`HYPHA_ERROR_ADDRESS_IN_USE`, `HYPHA_ERROR_PERMISSION_DENIED`,
 * `HYPHA_ERROR_UNAVAILABLE` and so on), or is `HYPHA_ERROR_PLUGIN` for a breach, or
 * `G_IO_ERROR_CANCELLED`.
 *
 * Returns: (transfer full): the listener, or %NULL with @error set
 */
HyphaListener *
hypha_transport_listen_finish (HyphaTransport *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, hypha_transport_listen_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * hypha_transport_adopt:
 * @self: a transport
 * @fd: a listening socket; borrowed, the listener works on a duplicate
 * @error: return location for an error
 *
 * Listens on a socket that somebody else has bound: a service manager, say. Whoever made it keeps
 * what belongs to it, such as a socket's file, and may hand it over again after the listener was
 * closed.
 *
 * The error is `G_IO_ERROR_NOT_SUPPORTED` if the socket is not of the kind of this transport, or
 * the transport takes none; or it comes from the plug-in, or is `HYPHA_ERROR_PLUGIN` for a breach.
 *
 * Returns: (transfer full): the listener, or %NULL with @error set
 */
HyphaListener *
hypha_transport_adopt (HyphaTransport *self, int fd, GError **error)
{
  HyphaTransportInterface *iface;
  g_autoptr (HyphaListener) listener = NULL;
  GError *local = NULL;
  int copy;

  g_return_val_if_fail (HYPHA_IS_TRANSPORT (self), NULL);
  g_return_val_if_fail (fd >= 0, NULL);

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  copy = fcntl (fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    int code = errno;

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot take over descriptor %d: %s"),
                 fd, g_strerror (code));
    return NULL;
  }
  /* Not believed: a plug-in may have set it to NULL. */
  listener = (iface->adopt != NULL ? iface->adopt : refuse_socket) (self, copy, &local);
  if (!check_outcome (self, "adopt", listener != NULL, local, error) ||
      !check_listener (self, "adopt", listener, error))
    return NULL;
  return g_steal_pointer (&listener);
}

/**
 * hypha_transport_stop:
 * @self: a transport
 *
 * Ends what still goes on. The transport is not used again.
 */
void
hypha_transport_stop (HyphaTransport *self)
{
  HyphaTransportInterface *iface;

  g_return_if_fail (HYPHA_IS_TRANSPORT (self));

  iface = HYPHA_TRANSPORT_GET_IFACE (self);
  if (iface->stop != NULL)
    iface->stop (self);
}
