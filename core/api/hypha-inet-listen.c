/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-inet-address.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <unistd.h>

#include "hypha-base-transport.h"
#include "hypha-error.h"

/* ---- on an address ---- */

/**
 * hypha_inet_set_bind_error:
 * @display: the endpoint, for people
 * @holder: (nullable): who listens there already, if that is known
 * @number: errno, of socket(), bind() or listen()
 * @error: return location for an error: %HYPHA_ERROR_ADDRESS_IN_USE,
 *   %HYPHA_ERROR_PERMISSION_DENIED, %HYPHA_ERROR_UNAVAILABLE or %HYPHA_ERROR_FAILED
 *
 * Sets the error of a transport that cannot listen on an address, with what mends it.
 */
void
hypha_inet_set_bind_error (const char *display, const char *holder, int number, GError **error)
{
  g_return_if_fail (display != NULL);

  switch (number) {
  case EADDRINUSE:
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE,
        _ ("cannot listen on %s: %s listens there already; end it, or choose another port"),
        display, holder != NULL ? holder : _ ("somebody"));
    break;
  case EACCES:
  case EPERM:
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
        _ ("cannot listen on %s: a port this low takes a privilege (CAP_NET_BIND_SERVICE); "
           "choose one from "
           "1024 on"),
        display);
    break;
  case EADDRNOTAVAIL:
  case EAFNOSUPPORT:
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("cannot listen on %s: no interface of this machine has that address; the host "
                    "is any, or one that `ip address` lists"),
                 display);
    break;
  default:
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot listen on %s: %s"), display,
                 g_strerror (number));
  }
}

/* 0, or errno. */
static int
bind_socket (int fd, int type, gboolean dual_stack, HyphaInetPrepareFunc prepare,
             HyphaInetSockaddr *address)
{
  const struct sockaddr *generic = (const struct sockaddr *) &address->storage;
  const int on = 1, v6only = !dual_stack;
  int reason = prepare != NULL ? prepare (fd, generic->sa_family) : 0;

  if (reason != 0)
    return reason;
  /* What is left of earlier connections must not keep a restarted daemon from its port. */
  if (type == SOCK_STREAM && setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
    return errno;
  if (generic->sa_family == AF_INET6 &&
      setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) < 0)
    return errno;
  if (bind (fd, generic, address->length) < 0 ||
      (type == SOCK_STREAM && listen (fd, SOMAXCONN) < 0))
    return errno;
  address->length = sizeof address->storage;
  return getsockname (fd, (struct sockaddr *) &address->storage, &address->length) < 0 ? errno : 0;
}

/**
 * hypha_inet_address_bind:
 * @self: where to listen
 * @numeric: what its name stands for, or its own address
 * @type: `SOCK_STREAM`, which listens, or `SOCK_DGRAM`
 * @prepare: (nullable): sets the socket up before it is bound
 * @display: the endpoint, for people
 * @bound: (out caller-allocates): what was bound, or could not be
 * @error: return location for an error: that of [func@Hypha.inet_set_bind_error]
 *
 * Opens a non-blocking socket on an address; on all of IPv4 and IPv6 for `[::]`, or on those of
 * IPv4 where a machine has IPv6 switched off.
 *
 * Returns: the descriptor; -1: @error
 *
 * Since: ABI 1.2
 */
int
hypha_inet_address_bind (const HyphaInetAddress *self, GInetAddress *numeric, int type,
                         HyphaInetPrepareFunc prepare, const char *display,
                         HyphaInetSockaddr *bound, GError **error)
{
  gboolean any = g_inet_address_get_is_any (numeric);
  g_autoptr (GError) local = NULL;
  int fd, reason;

  if (!hypha_inet_address_to_sockaddr (self, numeric, bound, &local)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("cannot listen on %s: %s"),
                 display, local->message);
    return -1;
  }
  fd = socket (bound->storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 && errno == EAFNOSUPPORT && any && bound->storage.ss_family == AF_INET6) {
    g_autoptr (GInetAddress) any4 = g_inet_address_new_any (G_SOCKET_FAMILY_IPV4);

    return hypha_inet_address_bind (self, any4, type, prepare, display, bound, error);
  }
  reason = fd < 0 ? errno : bind_socket (fd, type, any, prepare, bound);
  if (reason == 0)
    return fd;
  hypha_inet_set_bind_error (display, NULL, reason, error);
  if (fd >= 0)
    close (fd);
  return -1;
}

/* ---- on a name ---- */

typedef struct {
  GTask *task;
  HyphaInetListenFunc func;
} Lookup;

static void
lookup_free (Lookup *self)
{
  g_object_unref (self->task);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Lookup, lookup_free)

static void
return_listener (GTask *task, HyphaListener *listener, GError *error)
{
  if (listener == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, listener, g_object_unref);
}

static void
on_name_resolved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Lookup) lookup = user_data;
  HyphaListener *listener = NULL;
  GError *error = NULL;
  GList *addresses = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, &error);

  if (addresses == NULL && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_autoptr (GError) reason = g_steal_pointer (&error);

    error =
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                     _ ("cannot listen on %s: the name cannot be resolved: %s"),
                     hypha_endpoint_to_string (hypha_base_transport_get_endpoint (lookup->task)),
                     reason == NULL ? _ ("it has no address") : reason->message);
  }
  /* The first of its addresses that this machine has. */
  for (GList *l = addresses; l != NULL && listener == NULL; l = l->next) {
    g_clear_error (&error);
    listener = lookup->func (lookup->task, l->data, &error);
    if (listener == NULL && !g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE))
      break;
  }
  g_list_free_full (addresses, g_object_unref);
  return_listener (lookup->task, listener, error);
}

/**
 * hypha_inet_address_listen:
 * @self: where to listen
 * @task: (transfer full): that of [vfunc@Hypha.BaseTransport.listen], which keeps @self alive;
 *   returns the listener
 * @cancellable: (nullable): of the transport, as [vfunc@Hypha.BaseTransport.listen] has it
 * @func: (scope async): listens on one address
 *
 * Listens on the address, or on the first that the name has and this machine, too. The error is
 * %HYPHA_ERROR_UNAVAILABLE for a name that cannot be resolved, or that of @func.
 *
 * Since: ABI 1.2
 */
void
hypha_inet_address_listen (const HyphaInetAddress *self, GTask *task, GCancellable *cancellable,
                           HyphaInetListenFunc func)
{
  g_autoptr (GTask) owned = task;
  g_autoptr (GResolver) resolver = NULL;
  HyphaListener *listener;
  GError *error = NULL;
  Lookup *lookup;

  g_return_if_fail (self != NULL);
  g_return_if_fail (func != NULL);

  if (self->numeric != NULL) {
    listener = func (owned, self->numeric, &error);
    return_listener (owned, listener, error);
    return;
  }
  lookup = g_new (Lookup, 1);
  *lookup = (Lookup){ .task = g_steal_pointer (&owned), .func = func };
  resolver = g_resolver_get_default ();
  g_resolver_lookup_by_name_async (resolver, self->host, cancellable, on_name_resolved, lookup);
}
