/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For transports upon the Internet's protocols: the host and port of an endpoint. Only
 * hypha-plugin.h includes it. */

#include <gio/gio.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "hypha-channel.h"
#include "hypha-endpoint.h"
#include "hypha-listener.h"

G_BEGIN_DECLS

/**
 * HyphaInetAddress:
 * @host: canonical, without brackets, with "%SCOPE"
 * @numeric: (nullable): %NULL: @host is a name
 * @scope: (nullable): the interface of a link-local address
 * @port: the port; 0: the kernel chooses
 *
 * What stands in an endpoint `SCHEME://HOST:PORT`: an address, or a name that is not resolved here.
 */
typedef struct {
  char *host;
  GInetAddress *numeric;
  char *scope;
  guint16 port;
} HyphaInetAddress;

/**
 * HyphaInetSockaddr:
 * @storage: the address
 * @length: how much of @storage it takes, in bytes
 *
 * An IPv4 or IPv6 socket address by value.
 */
typedef struct {
  struct sockaddr_storage storage;
  socklen_t length;
} HyphaInetSockaddr;

HYPHA_EXTERN
HyphaInetAddress *hypha_inet_address_parse (HyphaEndpoint *endpoint, GError **error);
/* Of what TASK is about, whose data it becomes. NULL: TASK has returned the error. Since ABI 1.2 */
HYPHA_EXTERN
const HyphaInetAddress *hypha_inet_address_for_task (GTask *task);
HYPHA_EXTERN
void hypha_inet_address_free (HyphaInetAddress *self);
HYPHA_EXTERN
HyphaEndpoint *hypha_inet_address_to_endpoint (const HyphaInetAddress *self, const char *scheme,
                                               HyphaEndpoint *options_of);
HYPHA_EXTERN
gboolean hypha_inet_address_is_any (const HyphaInetAddress *self); /* [::] or 0.0.0.0 */

/* FALSE: it can only be listened on, for it names no one host or no port. Since ABI 1.2 */
HYPHA_EXTERN
gboolean hypha_inet_address_check_remote (const HyphaInetAddress *self, const char *display,
                                          GError **error);

/* With NUMERIC in place of the host, which may be a name; fails where the scope names no interface
 * here. */
HYPHA_EXTERN
gboolean hypha_inet_address_to_sockaddr (const HyphaInetAddress *self, GInetAddress *numeric,
                                         HyphaInetSockaddr *out, GError **error);

/* The numeric address of ADDRESS, as it stands in an endpoint but without brackets; a mapped IPv4
 * address as IPv4. NULL if ADDRESS is of another family. */
HYPHA_EXTERN
char *hypha_inet_sockaddr_to_host (const struct sockaddr *address);
HYPHA_EXTERN
HyphaEndpoint *hypha_inet_sockaddr_to_endpoint (const char *scheme, const struct sockaddr *address);

/**
 * HyphaInetPrepareFunc:
 * @fd: a socket that is to be bound
 * @family: its family
 *
 * Sets the options of a socket.
 *
 * Returns: 0, or errno
 *
 * Since: ABI 1.2
 */
typedef int (*HyphaInetPrepareFunc) (int fd, int family);

/* A socket of TYPE on the address, with NUMERIC in place of its host, and what it was bound to.
 * Since ABI 1.2 */
HYPHA_EXTERN
int hypha_inet_address_bind (const HyphaInetAddress *self, GInetAddress *numeric, int type,
                             HyphaInetPrepareFunc prepare, const char *display,
                             HyphaInetSockaddr *bound, GError **error);

/**
 * HyphaInetListenFunc:
 * @task: what was given to [func@Hypha.inet_address_listen]
 * @numeric: the address that stands for the host
 * @error: return location for an error; after %HYPHA_ERROR_UNAVAILABLE, the next address is tried
 *
 * Listens on one address.
 *
 * Returns: (transfer full) (nullable): the listener
 */
typedef HyphaListener *(*HyphaInetListenFunc) (GTask *task, GInetAddress *numeric, GError **error);

/* Listens on the address, or on the first that the name has and this machine, too. TASK, which
 * keeps SELF alive, is taken and returns the listener. Since ABI 1.2 */
HYPHA_EXTERN
void hypha_inet_address_listen (const HyphaInetAddress *self, GTask *task,
                                GCancellable *cancellable, HyphaInetListenFunc func);

/**
 * HYPHA_INET_STAGGER_MS:
 *
 * Of a name, the addresses are tried one this much after the other, in milliseconds, as RFC 8305
 * has it.
 */
#define HYPHA_INET_STAGGER_MS 250

/**
 * HyphaInetConnectFunc:
 * @task: what was given to [func@Hypha.inet_address_connect]
 * @attempt: (transfer full): returns the channel (transfer full), or the error, once nothing of it
 *   goes on any longer; from any thread
 * @address: the address; as long as this call
 * @display: what errors call it; as long as this call
 * @cancellable: cancelled when the channel is not wanted any more
 *
 * Connects to one address.
 */
typedef void (*HyphaInetConnectFunc) (GTask *task, GTask *attempt, const HyphaInetSockaddr *address,
                                      const char *display, GCancellable *cancellable);

/* Connects to the first address that answers, within TIMEOUT_MS in all. TASK, which keeps SELF
 * alive, is taken and returns the channel. Since ABI 1.2 */
HYPHA_EXTERN
void hypha_inet_address_connect (const HyphaInetAddress *self, guint timeout_ms, GTask *task,
                                 GCancellable *cancellable, HyphaInetConnectFunc func);

/* Whether this process can open sockets of TYPE, in either family. Since ABI 1.2 */
HYPHA_EXTERN
gboolean hypha_inet_probe (int type, GVariantDict *details, GError **error);

/* Why DISPLAY cannot be listened on, from errno. HOLDER: who does already; NULL: it is not known.
 */
HYPHA_EXTERN
void hypha_inet_set_bind_error (const char *display, const char *holder, int number,
                                GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaInetAddress, hypha_inet_address_free)

G_END_DECLS
