/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/probe.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/**
 * hypha_probe_wait_fd:
 * @fd: a descriptor
 * @events: of poll(); 0: none, until the deadline
 * @deadline: microseconds, monotonic
 *
 * Returns: %FALSE if the deadline passed before @fd was ready
 */
gboolean
hypha_probe_wait_fd (int fd, short events, gint64 deadline)
{
  struct pollfd pfd = { .fd = fd, .events = events };

  for (;;) {
    gint64 left = (deadline - g_get_monotonic_time () + 999) / 1000;
    int n = left > 0 ? poll (&pfd, 1, (int) MIN (left, G_MAXINT)) : 0;

    if (n > 0)
      return TRUE;
    if (n == 0 || errno != EINTR)
      return FALSE;
  }
}

/* The whole of DATA, out or in. FALSE: it ended, or the deadline passed; errno says which. */
static gboolean
move_whole (int fd, guint8 *data, gboolean out, gint64 deadline)
{
  gsize done = 0;

  while (done < HYPHA_PROBE_BYTES) {
    gssize n = out ? send (fd, data + done, HYPHA_PROBE_BYTES - done, MSG_NOSIGNAL)
                   : recv (fd, data + done, HYPHA_PROBE_BYTES - done, 0);

    if (n > 0) {
      done += (gsize) n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
      errno = EPIPE;
      return FALSE;
    } else if (!hypha_probe_wait_fd (fd, out ? POLLOUT : POLLIN, deadline)) {
      errno = ETIMEDOUT;
      return FALSE;
    }
  }
  return TRUE;
}

/**
 * hypha_probe_send:
 * @stream: to a service that sends everything back
 * @number: of the probe
 * @timeout_ms: how long the answer may take
 * @rtt: (out): microseconds it took
 * @error: return location for an error: why there was no answer, or what was wrong with it
 *
 * Returns: %TRUE if what was sent came back
 */
gboolean
hypha_probe_send (HyphaStream *stream, int number, int timeout_ms, guint64 *rtt, GError **error)
{
  int fd = hypha_stream_get_fd (stream);
  gint64 start = g_get_monotonic_time ();
  gint64 deadline = start + timeout_ms * G_TIME_SPAN_MILLISECOND;
  guint8 out[HYPHA_PROBE_BYTES], in[HYPHA_PROBE_BYTES];

  for (guint i = 0; i < HYPHA_PROBE_BYTES; i++)
    out[i] = (guint8) (number + (int) i);
  if (move_whole (fd, out, TRUE, deadline) && move_whole (fd, in, FALSE, deadline)) {
    *rtt = (guint64) (g_get_monotonic_time () - start);
    if (memcmp (out, in, HYPHA_PROBE_BYTES) == 0)
      return TRUE;
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 _ ("the answer to probe %d is not what was sent: is echo an echo?"), number);
  } else if (errno == ETIMEDOUT) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                 _ ("no answer to probe %d within %d ms"), number, timeout_ms);
  } else if (hypha_ctl_wait_end (stream, error)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE,
                 _ ("the peer ended the stream before probe %d was answered"), number);
  }
  return FALSE;
}

/**
 * hypha_probe_finish:
 * @stream: that all probes went over
 * @timeout_ms: how long its end may take
 *
 * Finishes the stream, that it does not look cut to the peer.
 */
void
hypha_probe_finish (HyphaStream *stream, int timeout_ms)
{
  int fd = hypha_stream_get_fd (stream);
  gint64 deadline = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND;
  guint8 rest;

  shutdown (fd, SHUT_WR);
  if (hypha_probe_wait_fd (fd, POLLIN, deadline) && recv (fd, &rest, sizeof rest, 0) == 0)
    hypha_ctl_wait_end (stream, NULL);
}

/**
 * hypha_probe_ask_link:
 * @client_peer: a peer
 * @transport: (out) (transfer full) (nullable): what its best link is made of; %NULL if there is
 * none
 * @rtt: (out): microseconds, of the node's own pings
 *
 * The round trip changes without a signal, so it has to be asked for.
 */
void
hypha_probe_ask_link (HyphaClientPeer *client_peer, char **transport, guint64 *rtt)
{
  HyphaDBusPeer1 *peer = hypha_client_peer_get_proxy (client_peer);
  const char *path = hypha_dbus_peer1_get_best_link (peer);
  GDBusProxy *proxy = G_DBUS_PROXY (peer);
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariantDict) properties = NULL;
  g_autoptr (GVariant) all = NULL;

  *transport = NULL;
  *rtt = 0;
  if (path == NULL || g_str_equal (path, "/"))
    return;
  reply = g_dbus_connection_call_sync (
      g_dbus_proxy_get_connection (proxy), g_dbus_proxy_get_name (proxy), path,
      "org.freedesktop.DBus.Properties", "GetAll", g_variant_new ("(s)", "org.hypha.Link1"),
      G_VARIANT_TYPE ("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
  if (reply == NULL)
    return;
  g_variant_get (reply, "(@a{sv})", &all);
  properties = g_variant_dict_new (all);
  g_variant_dict_lookup (properties, "Transport", "s", transport);
  g_variant_dict_lookup (properties, "RttMicroseconds", "t", rtt);
}
