/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>

#include "node/place.h"
#include "tcp.h"
#include "unix.h"
#include "vsock.h"

/* First byte: bits 0 and 1: traits of a channel. Then a pattern, as trust rules and the endpoints
 * that a peer is bound to have it; a line feed; and the address of the channel's other end. Each
 * transport reads both. */

static HyphaTransport *transports[3];

static gboolean
knows (HyphaTransport *transport, const char *scheme)
{
  return g_strv_contains (hypha_transport_get_schemes (transport), scheme);
}

/* As a transport spells it, which reads that in the same way. */
static void
check_transport (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) canonical = hypha_transport_parse (transport, endpoint, &error);
  g_autoptr (HyphaEndpoint) printed = NULL, again = NULL;

  if (canonical == NULL) {
    g_assert_nonnull (error);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    return;
  }
  g_assert_no_error (error);
  printed = hypha_endpoint_parse (hypha_endpoint_to_string (canonical), &error);
  g_assert_no_error (error);
  again = hypha_transport_parse (transport, printed, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_endpoint_equal (canonical, again));
  g_assert_cmpuint (hypha_transport_get_link_cost (transport, canonical), >, 0);
}

static HyphaEndpoint *
read_endpoint (const char *text)
{
  HyphaEndpoint *endpoint = hypha_endpoint_parse (text, NULL);

  for (guint i = 0; endpoint != NULL && i < G_N_ELEMENTS (transports); i++)
    if (knows (transports[i], hypha_endpoint_get_scheme (endpoint)))
      check_transport (transports[i], endpoint);
  return endpoint;
}

/* What vouched for one is bound to that one, and still vouches. */
static void
check_bound (HyphaPlace *place, HyphaChannel *channel)
{
  g_autofree char *text = hypha_place_bind (place, channel);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaPlace) bound = NULL;

  bound = hypha_place_parse (text, &error);
  g_assert_no_error (error);
  g_assert_cmpint (hypha_place_has_uid (bound), ==, hypha_place_has_uid (place));
  g_assert_true (hypha_place_vouches (bound, channel));
}

static void
check_place (HyphaPlace *place, HyphaEndpoint *remote, HyphaChannelFlags flags)
{
  g_autoptr (HyphaChannel) channel = NULL;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  channel = hypha_channel_new (fds[0], NULL, remote, flags);
  close (fds[1]);
  if (strchr (hypha_place_to_string (place), '*') == NULL && !hypha_place_has_uid (place) &&
      hypha_endpoint_equal (hypha_place_get_endpoint (place), remote))
    g_assert_true (hypha_place_holds (place, channel, remote));
  hypha_place_holds (place, channel, NULL);
  if (hypha_place_vouches (place, channel) && !hypha_place_has_options (place))
    check_bound (place, channel);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = NULL;
  g_autoptr (HyphaPlace) place = NULL;
  g_autoptr (HyphaEndpoint) remote = NULL, pattern = NULL;
  g_autoptr (GError) error = NULL;
  HyphaChannelFlags flags = HYPHA_CHANNEL_KERNEL;
  char *line;

  if (size == 0)
    return 0;
  if (transports[0] == NULL) {
    transports[0] = hypha_plugin_tcp.create (NULL);
    transports[1] = hypha_plugin_unix.create (NULL);
    transports[2] = hypha_plugin_vsock.create (NULL);
  }
  flags |= data[0] & 1 ? HYPHA_CHANNEL_PEER_IS_NODE : 0;
  flags |= data[0] & 2 ? HYPHA_CHANNEL_VOUCHED_ADDRESS : 0;
  text = g_strndup ((const char *) data + 1, size - 1);
  line = strchr (text, '\n');
  if (line != NULL)
    *line++ = '\0';
  pattern = read_endpoint (text);
  place = hypha_place_parse (text, &error);
  if (place == NULL) {
    g_assert_nonnull (error);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    return 0;
  }
  g_assert_cmpstr (hypha_place_to_string (place), ==, text);
  remote =
      line != NULL ? read_endpoint (line) : hypha_endpoint_ref (hypha_place_get_endpoint (place));
  if (remote != NULL)
    check_place (place, remote, flags);
  return 0;
}
