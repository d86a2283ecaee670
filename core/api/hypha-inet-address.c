/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-inet-address.h"

#include <glib/gi18n-lib.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "hypha-base-transport.h"
#include "hypha-error.h"

#define NAME_MAX_CHARS 253
#define LABEL_MAX_CHARS 63

/* One address, one spelling: ::ffff:127.0.0.1 is 127.0.0.1. Takes ADDRESS. */
static GInetAddress *
unmap (GInetAddress *address)
{
  const guint8 *bytes = g_inet_address_to_bytes (address);
  GInetAddress *plain;

  if (g_inet_address_get_family (address) != G_SOCKET_FAMILY_IPV6 ||
      !IN6_IS_ADDR_V4MAPPED ((const struct in6_addr *) (const void *) bytes))
    return address;
  plain = g_inet_address_new_from_bytes (bytes + 12, G_SOCKET_FAMILY_IPV4);
  g_object_unref (address);
  return plain;
}

static gboolean
parse_scope (HyphaInetAddress *self, const char *scope, HyphaEndpoint *endpoint, GError **error)
{
  if (!g_inet_address_get_is_link_local (self->numeric) &&
      !g_inet_address_get_is_mc_link_local (self->numeric))
    return hypha_endpoint_refuse (
        endpoint, error, _ ("the scope '%%%s' has no meaning: only a link-local address has one"),
        scope);
  if (*scope == '\0' || strlen (scope) >= IF_NAMESIZE)
    return hypha_endpoint_refuse (
        endpoint, error,
        _ ("the scope behind '%%' is the name of a network interface, 1 to %d characters"),
        IF_NAMESIZE - 1);
  for (const char *c = scope; *c != '\0'; c++) {
    if (!g_ascii_isalnum (*c) && strchr ("._-", *c) == NULL)
      return hypha_endpoint_refuse (
          endpoint, error, _ ("the scope '%s' has a character that no interface's name has"),
          scope);
  }
  self->scope = g_strdup (scope);
  return TRUE;
}

/* The core has seen to it that this is an address, and stood in brackets. */
static gboolean
parse_ipv6 (HyphaInetAddress *self, const char *host, HyphaEndpoint *endpoint, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (host, "%", 2);
  guint8 bytes[16];

  if (inet_pton (AF_INET6, parts[0], bytes) != 1)
    return hypha_endpoint_refuse (endpoint, error, _ ("the host '[%s]' is not an IPv6 address"),
                                  host);
  self->numeric = unmap (g_inet_address_new_from_bytes (bytes, G_SOCKET_FAMILY_IPV6));
  return parts[1] == NULL || parse_scope (self, parts[1], endpoint, error);
}

/* The resolver would take "127.1", "0x7f000001" and "2130706433" for addresses: whoever ends in a
 * number has to be an IPv4 address in its one proper form. */
static gboolean
ends_in_number (const char *name)
{
  g_autofree char *bare = g_strdup (name);
  const char *last;

  if (g_str_has_suffix (bare, "."))
    bare[strlen (bare) - 1] = '\0';
  last = strrchr (bare, '.');
  last = last == NULL ? bare : last + 1;
  if (g_str_has_prefix (last, "0x"))
    return strspn (last + 2, "0123456789abcdef") == strlen (last + 2);
  return *last != '\0' && strspn (last, "0123456789") == strlen (last);
}

static gboolean
label_is_valid (const char *label)
{
  gsize length = strlen (label);

  return length > 0 && length <= LABEL_MAX_CHARS && label[0] != '-' && label[length - 1] != '-' &&
         strspn (label, "abcdefghijklmnopqrstuvwxyz0123456789-_") == length;
}

static gboolean
parse_name (HyphaInetAddress *self, const char *host, HyphaEndpoint *endpoint, GError **error)
{
  g_autofree char *name =
      g_hostname_is_non_ascii (host) ? g_hostname_to_ascii (host) : g_strdup (host);
  g_autofree char *lower = name == NULL ? NULL : g_ascii_strdown (name, -1);
  g_auto (GStrv) labels = lower == NULL ? NULL : g_strsplit (lower, ".", -1);

  if (lower == NULL || strlen (lower) > NAME_MAX_CHARS)
    return hypha_endpoint_refuse (
        endpoint, error,
        _ ("the host '%s' is no host name: it is too long, or has characters that none has"), host);
  /* However it was written: printed, it would mean this. */
  if (g_str_equal (lower, "any")) {
    self->numeric = g_inet_address_new_any (G_SOCKET_FAMILY_IPV6);
    return TRUE;
  }
  if (ends_in_number (lower))
    return hypha_endpoint_refuse (
        endpoint, error,
        _ ("the host '%s' is not an IPv4 address: that is four numbers up to 255, without "
           "leading zeros, and a name does not end in a number"),
        host);
  for (guint i = 0; labels[i] != NULL; i++) {
    /* "example.org." is a name that needs no search list. */
    gboolean root = labels[i + 1] == NULL && i > 0 && *labels[i] == '\0';

    if (!root && !label_is_valid (labels[i]))
      return hypha_endpoint_refuse (
          endpoint, error,
          _ ("the part '%s' of the host '%s' is not 1 to %d letters, digits, '-' and '_'"),
          labels[i], host, LABEL_MAX_CHARS);
  }
  self->host = g_steal_pointer (&lower);
  return TRUE;
}

static gboolean
parse_host (HyphaInetAddress *self, const char *host, HyphaEndpoint *endpoint, GError **error)
{
  guint8 bytes[4];

  if (strchr (host, ':') != NULL)
    return parse_ipv6 (self, host, endpoint, error);
  if (g_strcmp0 (host, "*") == 0) {
    self->numeric = g_inet_address_new_any (G_SOCKET_FAMILY_IPV6);
    return TRUE;
  }
  if (inet_pton (AF_INET, host, bytes) == 1) {
    self->numeric = g_inet_address_new_from_bytes (bytes, G_SOCKET_FAMILY_IPV4);
    return TRUE;
  }
  return parse_name (self, host, endpoint, error);
}

/**
 * hypha_inet_address_parse:
 * @endpoint: an endpoint, `SCHEME://HOST:PORT`
 * @error: return location for an error
 *
 * For transports: takes the host and the port out of an endpoint, strictly. The host is an IPv4
 * address, an IPv6 address in brackets, `any` or `*` (all addresses), or a name; the port is 0 to
 * 65535, or `any` (0).
 *
 * The error is `HYPHA_ERROR_INVALID_ENDPOINT`, which names the part that is wrong.
 *
 * Returns: (transfer full): the address; free it with hypha_inet_address_free()
 */
HyphaInetAddress *
hypha_inet_address_parse (HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaInetAddress) self = g_new0 (HyphaInetAddress, 1);
  g_autofree char *host = NULL;
  guint32 port;

  if (!hypha_endpoint_split_host_port (endpoint, G_MAXUINT16, &host, &port, error) ||
      !parse_host (self, host, endpoint, error))
    return NULL;
  if (self->numeric != NULL) {
    g_autofree char *text = g_inet_address_to_string (self->numeric);

    self->host = g_strconcat (text, self->scope == NULL ? NULL : "%", self->scope, NULL);
  }
  self->port = (guint16) port;
  return g_steal_pointer (&self);
}

/**
 * hypha_inet_address_for_task:
 * @task: of connecting or listening, as a transport was given it
 *
 * For transports: [func@Hypha.InetAddress.parse] of what @task is about. The address becomes the
 * data of @task.
 *
 * Returns: (transfer none) (nullable): the address, good as long as @task; %NULL: @task has
 *   returned the error
 *
 * Since: ABI 1.2
 */
const HyphaInetAddress *
hypha_inet_address_for_task (GTask *task)
{
  GError *error = NULL;
  HyphaInetAddress *self =
      hypha_inet_address_parse (hypha_base_transport_get_endpoint (task), &error);

  if (self == NULL)
    g_task_return_error (task, error);
  else
    g_task_set_task_data (task, self, (GDestroyNotify) hypha_inet_address_free);
  return self;
}

/**
 * hypha_inet_address_free:
 * @self: (transfer full): an address
 *
 * Frees it.
 */
void
hypha_inet_address_free (HyphaInetAddress *self)
{
  g_clear_object (&self->numeric);
  g_free (self->host);
  g_free (self->scope);
  g_free (self);
}

static HyphaEndpoint *
make_endpoint (const char *scheme, const char *host, guint16 port, HyphaEndpoint *options_of)
{
  gboolean brackets = strchr (host, ':') != NULL;
  g_autofree char *rest =
      g_strdup_printf ("//%s%s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "", port);

  return hypha_endpoint_new (scheme, rest, options_of);
}

/**
 * hypha_inet_address_to_endpoint:
 * @self: an address
 * @scheme: the canonical scheme of the transport
 * @options_of: (nullable): where its options come from
 *
 * For transports: writes it in the one way that parses to itself.
 *
 * Returns: (transfer full): the canonical endpoint
 */
HyphaEndpoint *
hypha_inet_address_to_endpoint (const HyphaInetAddress *self, const char *scheme,
                                HyphaEndpoint *options_of)
{
  return make_endpoint (scheme, self->host, self->port, options_of);
}

/**
 * hypha_inet_address_is_any:
 * @self: an address
 *
 * Returns: whether it stands for all addresses of a machine, which are for listening only
 */
gboolean
hypha_inet_address_is_any (const HyphaInetAddress *self)
{
  return self->numeric != NULL && g_inet_address_get_is_any (self->numeric);
}

static gboolean
scope_to_index (const char *scope, guint32 *index, GError **error)
{
  guint64 number;

  *index = if_nametoindex (scope);
  if (*index != 0)
    return TRUE;
  if (g_ascii_string_to_unsigned (scope, 10, 1, G_MAXUINT32, &number, NULL)) {
    *index = (guint32) number;
    return TRUE;
  }
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
               _ ("this machine has no network interface '%s': `ip link` lists those it has"),
               scope);
  return FALSE;
}

/**
 * hypha_inet_address_to_sockaddr:
 * @self: an address
 * @numeric: what its name stands for, or its own address
 * @out: (out caller-allocates): what the kernel is given
 * @error: return location for an error
 *
 * For transports: makes a socket address of it.
 *
 * The error is `HYPHA_ERROR_FAILED`: its scope names no network interface of this machine.
 *
 * Returns: whether @out is set
 */
gboolean
hypha_inet_address_to_sockaddr (const HyphaInetAddress *self, GInetAddress *numeric,
                                HyphaInetSockaddr *out, GError **error)
{
  const guint8 *bytes = g_inet_address_to_bytes (numeric);

  memset (out, 0, sizeof *out);
  if (g_inet_address_get_family (numeric) == G_SOCKET_FAMILY_IPV4) {
    struct sockaddr_in *in = (struct sockaddr_in *) &out->storage;

    in->sin_family = AF_INET;
    in->sin_port = g_htons (self->port);
    memcpy (&in->sin_addr, bytes, sizeof in->sin_addr);
    out->length = sizeof *in;
  } else {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) &out->storage;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = g_htons (self->port);
    memcpy (&in6->sin6_addr, bytes, sizeof in6->sin6_addr);
    if (self->scope != NULL && !scope_to_index (self->scope, &in6->sin6_scope_id, error))
      return FALSE;
    out->length = sizeof *in6;
  }
  return TRUE;
}

/**
 * hypha_inet_sockaddr_to_host:
 * @address: a socket address of any family
 *
 * For transports: the host of an endpoint, without brackets; of an IPv4 address that is mapped into
 * IPv6, the IPv4 address.
 *
 * Returns: (transfer full) (nullable): the host; %NULL: @address is of another family
 */
char *
hypha_inet_sockaddr_to_host (const struct sockaddr *address)
{
  g_autoptr (GInetAddress) numeric = NULL;
  g_autofree char *text = NULL;
  char name[IF_NAMESIZE] = "";
  guint32 scope = 0;

  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *) (const void *) address;

    numeric = g_inet_address_new_from_bytes ((const guint8 *) &in->sin_addr, G_SOCKET_FAMILY_IPV4);
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) (const void *) address;

    numeric = unmap (
        g_inet_address_new_from_bytes ((const guint8 *) &in6->sin6_addr, G_SOCKET_FAMILY_IPV6));
    scope = in6->sin6_scope_id;
  } else
    return NULL;

  text = g_inet_address_to_string (numeric);
  if (scope == 0)
    return g_steal_pointer (&text);
  if (if_indextoname (scope, name) == NULL)
    g_snprintf (name, sizeof name, "%u", scope);
  return g_strconcat (text, "%", name, NULL);
}

/**
 * hypha_inet_sockaddr_to_endpoint:
 * @scheme: the canonical scheme of the transport
 * @address: a socket address of any family
 *
 * For transports: the endpoint that @address is.
 *
 * Returns: (transfer full) (nullable): the endpoint, canonical; %NULL: @address is of another
 *   family
 */
HyphaEndpoint *
hypha_inet_sockaddr_to_endpoint (const char *scheme, const struct sockaddr *address)
{
  g_autofree char *host = hypha_inet_sockaddr_to_host (address);
  guint16 port;

  if (host == NULL)
    return NULL;
  /* The port lies at the same place in both families. */
  port = g_ntohs (((const struct sockaddr_in *) (const void *) address)->sin_port);
  return make_endpoint (scheme, host, port, NULL);
}

/**
 * hypha_inet_address_check_remote:
 * @self: where somebody wants to connect to
 * @display: the endpoint, for people
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ARGUMENT
 *
 * Tells whether it can be connected to, rather than listened on only.
 *
 * Returns: %TRUE if @self names one host and its port
 *
 * Since: ABI 1.2
 */
gboolean
hypha_inet_address_check_remote (const HyphaInetAddress *self, const char *display, GError **error)
{
  g_return_val_if_fail (self != NULL && display != NULL, FALSE);

  if (!hypha_inet_address_is_any (self) && self->port != 0)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("%s is for listening only: to connect, name one host and its port"), display);
  return FALSE;
}

/* ---- whether there are any ---- */

static gboolean
family_works (int family, int type)
{
  int fd = socket (family, type | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return FALSE;
  close (fd);
  return TRUE;
}

/**
 * hypha_inet_probe:
 * @type: the type of the transport's sockets, such as `SOCK_STREAM`
 * @details: gets `ipv4` and `ipv6`, booleans: whether this process can open such sockets
 * @error: return location for an error: %HYPHA_ERROR_UNAVAILABLE
 *
 * For the probe of a transport upon the Internet's protocols.
 *
 * Returns: %TRUE if there are sockets of at least one family
 *
 * Since: ABI 1.2
 */
gboolean
hypha_inet_probe (int type, GVariantDict *details, GError **error)
{
  gboolean ipv4 = family_works (AF_INET, type);
  gboolean ipv6 = family_works (AF_INET6, type);

  g_return_val_if_fail (details != NULL, FALSE);

  g_variant_dict_insert (details, "ipv4", "b", ipv4);
  g_variant_dict_insert (details, "ipv6", "b", ipv6);
  if (ipv4 || ipv6)
    return TRUE;
  g_set_error_literal (
      error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
      _ ("this process can open neither IPv4 nor IPv6 sockets: a kernel without them, or a sandbox "
         "(RestrictAddressFamilies= in the service's unit)"));
  return FALSE;
}
