/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

#define PROBE_BYTES 64

typedef struct {
  HyphaCtl *ctl;
  HyphaClientPeer *peer;
  HyphaStream *stream;
  int count, interval, timeout; /* ms */
  guint64 min, sum, max;        /* us */
  char *link_transport;         /* NULL: no link now */
  guint64 link_rtt;             /* us */
} Ping;

/* Waits until FD is ready for EVENTS; FALSE when DEADLINE (us, monotonic) has passed. */
static gboolean
wait_fd (int fd, short events, gint64 deadline)
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

  while (done < PROBE_BYTES) {
    gssize n = out ? send (fd, data + done, PROBE_BYTES - done, MSG_NOSIGNAL)
                   : recv (fd, data + done, PROBE_BYTES - done, 0);

    if (n > 0) {
      done += (gsize) n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
      errno = EPIPE;
      return FALSE;
    } else if (!wait_fd (fd, out ? POLLOUT : POLLIN, deadline)) {
      errno = ETIMEDOUT;
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
probe (Ping *ping, int number, guint64 *rtt, GError **error)
{
  int fd = hypha_stream_get_fd (ping->stream);
  gint64 start = g_get_monotonic_time ();
  gint64 deadline = start + ping->timeout * G_TIME_SPAN_MILLISECOND;
  guint8 out[PROBE_BYTES], in[PROBE_BYTES];

  for (guint i = 0; i < PROBE_BYTES; i++)
    out[i] = (guint8) (number + (int) i);
  if (move_whole (fd, out, TRUE, deadline) && move_whole (fd, in, FALSE, deadline)) {
    *rtt = (guint64) (g_get_monotonic_time () - start);
    if (memcmp (out, in, PROBE_BYTES) == 0)
      return TRUE;
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 _ ("the answer to probe %d is not what was sent: is echo an echo?"), number);
  } else if (errno == ETIMEDOUT) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                 _ ("no answer to probe %d within %d ms"), number, ping->timeout);
  } else if (hypha_ctl_wait_end (ping->stream, error)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE,
                 _ ("the peer ended the stream before probe %d was answered"), number);
  }
  return FALSE;
}

static void
print_probe (Ping *ping, int number, guint64 rtt)
{
  g_autofree char *time = hypha_ctl_format_ms (rtt);

  if (ping->ctl->json)
    return;
  printf ("%d: %s\n", number, time);
  fflush (stdout);
}

static gboolean
run_probes (Ping *ping, GError **error)
{
  for (int i = 1; i <= ping->count; i++) {
    guint64 rtt;

    if (!probe (ping, i, &rtt, error))
      return FALSE;
    ping->min = i == 1 ? rtt : MIN (ping->min, rtt);
    ping->max = MAX (ping->max, rtt);
    ping->sum += rtt;
    print_probe (ping, i, rtt);
    if (i < ping->count)
      wait_fd (hypha_stream_get_fd (ping->stream), 0,
               g_get_monotonic_time () + ping->interval * G_TIME_SPAN_MILLISECOND);
  }
  return TRUE;
}

/* The stream is finished, not cut. */
static void
finish (Ping *ping)
{
  int fd = hypha_stream_get_fd (ping->stream);
  gint64 deadline = g_get_monotonic_time () + ping->timeout * G_TIME_SPAN_MILLISECOND;
  guint8 rest;

  shutdown (fd, SHUT_WR);
  if (wait_fd (fd, POLLIN, deadline) && recv (fd, &rest, sizeof rest, 0) == 0)
    hypha_ctl_wait_end (ping->stream, NULL);
}

/* The round trip changes without a signal, so it has to be asked for. */
static void
ask_link (Ping *ping)
{
  HyphaDBusPeer1 *peer = hypha_client_peer_get_proxy (ping->peer);
  const char *path = hypha_dbus_peer1_get_best_link (peer);
  GDBusProxy *proxy = G_DBUS_PROXY (peer);
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariantDict) properties = NULL;
  g_autoptr (GVariant) all = NULL;

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
  g_variant_dict_lookup (properties, "Transport", "s", &ping->link_transport);
  g_variant_dict_lookup (properties, "RttMicroseconds", "t", &ping->link_rtt);
}

static void
print_people (Ping *ping, const char *name)
{
  g_autofree char *safe = hypha_ctl_escape (name);
  g_autofree char *min = hypha_ctl_format_ms (ping->min);
  g_autofree char *average = hypha_ctl_format_ms (ping->sum / (guint64) ping->count);
  g_autofree char *max = hypha_ctl_format_ms (ping->max);

  printf (_ ("%s: %d probes of %d bytes, minimum %s, average %s, maximum %s\n"), safe, ping->count,
          PROBE_BYTES, min, average, max);
  if (ping->link_transport) {
    g_autofree char *transport = hypha_ctl_escape (ping->link_transport);
    g_autofree char *rtt = hypha_ctl_format_ms (ping->link_rtt);

    printf (_ ("link: %s, round trip %s\n"), transport, rtt);
  }
}

static void
print_json (Ping *ping)
{
  hypha_ctl_print_json (g_variant_new_parsed (
      "{'id': <%s>, 'count': <%u>, 'bytes': <%u>, 'min-us': <%t>, 'average-us': <%t>, 'max-us': "
      "<%t>,"
      " 'link-transport': <%s>, 'link-rtt-us': <%t>}",
      hypha_dbus_peer1_get_id (hypha_client_peer_get_proxy (ping->peer)), (guint) ping->count,
      (guint) PROBE_BYTES, ping->min, ping->sum / (guint64) ping->count, ping->max,
      ping->link_transport ? ping->link_transport : "", ping->link_rtt));
}

gboolean
hypha_verb_ping (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  Ping ping = { .ctl = ctl, .count = 4, .interval = 1000, .timeout = 5000 };
  const GOptionEntry options[] = {
    { "count", 'c', 0, G_OPTION_ARG_INT, &ping.count, N_ ("How many probes (4)"), "N" },
    { "interval", 'i', 0, G_OPTION_ARG_INT, &ping.interval, N_ ("Milliseconds between them (1000)"),
      "MS" },
    { "timeout", 't', 0, G_OPTION_ARG_INT, &ping.timeout,
      N_ ("Milliseconds to wait for an answer (5000)"), "MS" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_autoptr (HyphaClientPeer) peer = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autofree char *name = NULL;

  if (words == NULL || !hypha_verb_check_range ("--count", ping.count, 1, G_MAXINT, error) ||
      !hypha_verb_check_range ("--interval", ping.interval, 0, G_MAXINT, error) ||
      !hypha_verb_check_range ("--timeout", ping.timeout, 1, G_MAXINT, error))
    return FALSE;
  ping.peer = peer = hypha_ctl_find_peer (ctl, words[0], error);
  if (peer == NULL)
    return FALSE;
  ping.stream = stream = hypha_ctl_open_stream (peer, "echo", (guint) ping.timeout, error);
  if (stream == NULL || !run_probes (&ping, error))
    return FALSE;
  finish (&ping);
  ask_link (&ping);
  name = hypha_peer_dup_name (HYPHA_PEER (peer));
  if (ctl->json)
    print_json (&ping);
  else
    print_people (&ping, name);
  g_free (ping.link_transport);
  return TRUE;
}
