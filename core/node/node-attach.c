/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/node-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where it comes from is said, and not known: so it never looks like an endpoint that a transport
 * has told, which a peer may be bound to. */
#define SCHEME "attached"
#define MAX_FROM 512

HyphaEndpoint *
hypha_node_attached_from (HyphaEndpoint *endpoint)
{
  return g_str_equal (hypha_endpoint_get_scheme (endpoint), SCHEME)
             ? hypha_endpoint_parse (hypha_endpoint_get_rest (endpoint), NULL)
             : NULL;
}

static HyphaEndpoint *
make_remote (HyphaNode *self, const char *from, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaEndpoint) bare = NULL;

  if (strlen (from) > MAX_FROM) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("where a connection comes from takes at most %d bytes"), MAX_FROM);
    return NULL;
  }
  endpoint = hypha_loader_check_endpoint (self->loader, from, error);
  if (endpoint == NULL)
    return NULL;
  bare = hypha_endpoint_without_options (endpoint);
  if (!hypha_endpoint_equal (bare, endpoint) ||
      g_str_equal (hypha_endpoint_get_scheme (endpoint), SCHEME)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("%s: where a connection comes from is an endpoint without options, and not "
                    "itself '%s'"),
                 hypha_endpoint_to_string (endpoint), SCHEME);
    return NULL;
  }
  return hypha_endpoint_new (SCHEME, hypha_endpoint_to_string (endpoint), NULL);
}

int
hypha_node_attach (HyphaNode *self, const char *from, const char *source, GError **error)
{
  g_autoptr (HyphaEndpoint) remote = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  int fds[2];

  if (self->stopped || self->drain != NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, _ ("this node stops"));
    return -1;
  }
  remote = make_remote (self, from, error);
  if (remote == NULL)
    return -1;
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    int code = errno;

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot take a connection: %s"),
                 g_strerror (code));
    return -1;
  }
  channel = hypha_channel_new (fds[0], NULL, remote, HYPHA_CHANNEL_NONE);
  if (hypha_node_admit (self, channel, source, error))
    return fds[1];
  close (fds[1]);
  return -1;
}
