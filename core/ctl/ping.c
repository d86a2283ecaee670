/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <stdio.h>

#include "ctl/output.h"
#include "ctl/probe.h"
#include "ctl/text.h"
#include "ctl/verb.h"

typedef struct {
  HyphaCtl *ctl;
  HyphaClientPeer *peer;
  HyphaStream *stream;
  int count, interval, timeout; /* ms */
  guint64 min, sum, max;        /* us */
  char *link_transport;         /* NULL: no link now */
  guint64 link_rtt;             /* us */
} Ping;

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

    if (!hypha_probe_send (ping->stream, i, ping->timeout, &rtt, error))
      return FALSE;
    ping->min = i == 1 ? rtt : MIN (ping->min, rtt);
    ping->max = MAX (ping->max, rtt);
    ping->sum += rtt;
    print_probe (ping, i, rtt);
    if (i < ping->count)
      hypha_probe_wait_fd (hypha_stream_get_fd (ping->stream), 0,
                           g_get_monotonic_time () + ping->interval * G_TIME_SPAN_MILLISECOND);
  }
  return TRUE;
}

static void
print_people (Ping *ping, const char *name)
{
  g_autofree char *safe = hypha_ctl_escape (name);
  g_autofree char *min = hypha_ctl_format_ms (ping->min);
  g_autofree char *average = hypha_ctl_format_ms (ping->sum / (guint64) ping->count);
  g_autofree char *max = hypha_ctl_format_ms (ping->max);

  printf (_ ("%s: %d probes of %d bytes, minimum %s, average %s, maximum %s\n"), safe, ping->count,
          HYPHA_PROBE_BYTES, min, average, max);
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
      (guint) HYPHA_PROBE_BYTES, ping->min, ping->sum / (guint64) ping->count, ping->max,
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
  ping.stream = stream = hypha_ctl_open_stream (peer, "echo", FALSE, (guint) ping.timeout, error);
  if (stream == NULL || !run_probes (&ping, error))
    return FALSE;
  hypha_probe_finish (ping.stream, ping.timeout);
  hypha_probe_ask_link (peer, &ping.link_transport, &ping.link_rtt);
  name = hypha_peer_dup_name (HYPHA_PEER (peer));
  if (ctl->json)
    print_json (&ping);
  else
    print_people (&ping, name);
  g_free (ping.link_transport);
  return TRUE;
}
