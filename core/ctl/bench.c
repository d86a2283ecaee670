/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "ctl/output.h"
#include "ctl/probe.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "ctl/verb.h"

#define MAX_STREAMS 64
#define MAX_PROBES 1000
#define MAX_CHANGES 16           /* told one by one; the rest is counted */
#define BLOCK_BYTES (256 * 1024) /* a write, and a read */
#define PATIENCE_MS 60000        /* for what is under way, when the time is up */
#define TICK_MS 100

/* One stream of a test. */
typedef struct {
  HyphaStream *stream;
  gboolean write_ended, read_ended;
  gboolean cut; /* an error, or an end before this side's */
  guint64 written, came;
} Lane;

typedef struct {
  const char *service;
  gboolean echo;
  guint64 bytes, time; /* us */
} Test;

typedef struct {
  HyphaClientPeer *peer;
  int seconds, streams;
  gboolean direct;
  guint64 probes, min, sum, max; /* us */
  Test tests[2];
  guint n_changes;
  GVariantBuilder *changes; /* aa{sv} */
  GString *told;            /* the same for people */
  guint8 *block;
} Bench;

static void
bench_clear (Bench *self)
{
  if (self->peer)
    g_signal_handlers_disconnect_by_data (self->peer, self);
  g_clear_object (&self->peer);
  g_variant_builder_unref (self->changes);
  g_string_free (self->told, TRUE);
  g_free (self->block);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Bench, bench_clear)

static void
lane_clear (gpointer data)
{
  g_clear_object (&((Lane *) data)->stream);
}

static void
on_link_changed (HyphaPeer *peer, const char *from, const char *to, const char *reason,
                 gpointer user_data)
{
  Bench *self = user_data;
  g_autofree char *safe = hypha_ctl_escape (reason);

  if (self->n_changes++ >= MAX_CHANGES)
    return;
  g_variant_builder_add_parsed (self->changes, "{'from': <%s>, 'to': <%s>, 'reason': <%s>}", from,
                                to, reason);
  g_string_append_printf (self->told, _ ("the link changed while this ran: %s\n"), safe);
}

/* ---- round trip ---- */

static gboolean
measure_round_trip (Bench *self, GError **error)
{
  g_autoptr (HyphaStream) stream =
      hypha_ctl_open_stream (self->peer, "echo", self->direct, PATIENCE_MS, error);
  gint64 end = g_get_monotonic_time () + self->seconds * G_TIME_SPAN_SECOND;

  if (stream == NULL)
    return FALSE;
  while (self->probes < MAX_PROBES && g_get_monotonic_time () < end) {
    guint64 rtt;

    if (!hypha_probe_send (stream, (int) self->probes + 1, PATIENCE_MS, &rtt, error))
      return FALSE;
    self->min = self->probes == 0 ? rtt : MIN (self->min, rtt);
    self->max = MAX (self->max, rtt);
    self->sum += rtt;
    self->probes++;
  }
  hypha_probe_finish (stream, PATIENCE_MS);
  return TRUE;
}

/* ---- throughput ---- */

static void
write_some (Bench *self, Lane *lane)
{
  int fd = hypha_stream_get_fd (lane->stream);
  gssize n = send (fd, self->block, BLOCK_BYTES, MSG_NOSIGNAL);

  if (n > 0)
    lane->written += (guint64) n;
  else if (n < 0 && errno != EAGAIN && errno != EINTR)
    lane->cut = lane->write_ended = lane->read_ended = TRUE; /* the stream tells why */
}

static void
read_some (Bench *self, Lane *lane)
{
  gssize n = recv (hypha_stream_get_fd (lane->stream), self->block, BLOCK_BYTES, 0);

  if (n > 0) {
    lane->came += (guint64) n;
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    lane->read_ended = TRUE;
    lane->cut |= n < 0 || !lane->write_ended;
  }
}

/* One turn of all that can move. FALSE: nothing is left to move. */
static gboolean
turn (Bench *self, GArray *lanes, gboolean time_is_up)
{
  struct pollfd pfds[MAX_STREAMS];
  gboolean left = FALSE;

  for (guint i = 0; i < lanes->len; i++) {
    Lane *lane = &g_array_index (lanes, Lane, i);

    if (time_is_up && !lane->write_ended) {
      lane->write_ended = TRUE;
      shutdown (hypha_stream_get_fd (lane->stream), SHUT_WR);
    }
    pfds[i].events = (lane->write_ended ? 0 : POLLOUT) | (lane->read_ended ? 0 : POLLIN);
    pfds[i].fd = pfds[i].events != 0 ? hypha_stream_get_fd (lane->stream) : -1;
    pfds[i].revents = 0;
    left |= pfds[i].events != 0;
  }
  if (left && poll (pfds, lanes->len, TICK_MS) > 0) {
    for (guint i = 0; i < lanes->len; i++) {
      Lane *lane = &g_array_index (lanes, Lane, i);

      if (!lane->read_ended && (pfds[i].revents & (POLLIN | POLLHUP | POLLERR)))
        read_some (self, lane);
      if (!lane->write_ended && (pfds[i].revents & (POLLOUT | POLLHUP | POLLERR)))
        write_some (self, lane);
    }
  }
  /* News of links. */
  g_main_context_iteration (NULL, FALSE);
  return left;
}

/* How each stream ended, and what the peer's node has acknowledged by then. For a direct stream no
 * node counts: there the peer ends its side when it has read everything, and only then, for a
 * socket that is closed before that is reset. */
static gboolean
sum_up (Bench *self, Test *test, GArray *lanes, GError **error)
{
  for (guint i = 0; i < lanes->len; i++) {
    Lane *lane = &g_array_index (lanes, Lane, i);
    g_autoptr (GAsyncResult) result = NULL;
    guint64 sent;

    hypha_stream_wait_end_async (lane->stream, NULL, hypha_ctl_on_done, &result);
    if (!hypha_stream_wait_end_finish (lane->stream, hypha_ctl_wait_for (&result), NULL, &sent,
                                       error))
      return FALSE;
    if (self->direct)
      sent = lane->cut ? 0 : lane->written;
    if (sent != lane->written || (test->echo && lane->came != lane->written)) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                   _ ("the peer's service %s ended before it had taken, or returned, everything"),
                   test->service);
      return FALSE;
    }
    test->bytes += sent;
  }
  return TRUE;
}

/* The clock runs until the last byte is acknowledged, or has come back: what only lies in buffers
 * does not count. */
static gboolean
measure (Bench *self, Test *test, GError **error)
{
  g_autoptr (GArray) lanes = g_array_new (FALSE, TRUE, sizeof (Lane));
  gint64 start, end;

  g_array_set_clear_func (lanes, lane_clear);
  for (int i = 0; i < self->streams; i++) {
    Lane lane = { .stream = hypha_ctl_open_stream (self->peer, test->service, self->direct,
                                                   PATIENCE_MS, error) };

    if (lane.stream == NULL)
      return FALSE;
    g_array_append_val (lanes, lane);
  }
  start = g_get_monotonic_time ();
  end = start + self->seconds * G_TIME_SPAN_SECOND;
  while (turn (self, lanes, g_get_monotonic_time () >= end)) {
    if (g_get_monotonic_time () < end + PATIENCE_MS * G_TIME_SPAN_MILLISECOND)
      continue;
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                 _ ("what was under way did not arrive within %d s"), PATIENCE_MS / 1000);
    return FALSE;
  }
  if (!sum_up (self, test, lanes, error))
    return FALSE;
  test->time = (guint64) MAX (g_get_monotonic_time () - start, 1);
  return TRUE;
}

/* ---- what is shown ---- */

static guint64
rate (const Test *test)
{
  return (guint64) ((double) test->bytes * G_USEC_PER_SEC / (double) test->time);
}

static char *
format_seconds (guint64 us)
{
  return g_strdup_printf (_ ("%" PRIu64 ".%02u s"), us / G_USEC_PER_SEC,
                          (guint) (us % G_USEC_PER_SEC / 10000));
}

static void
print_people (Bench *self, const char *transport)
{
  g_autofree char *min = hypha_ctl_format_ms (self->min);
  g_autofree char *average = hypha_ctl_format_ms (self->sum / self->probes);
  g_autofree char *max = hypha_ctl_format_ms (self->max);
  g_autofree char *safe = hypha_ctl_escape (transport);
  g_autoptr (HyphaTable) table = hypha_table_new (_ ("SERVICE"), _ (">STREAMS"), _ (">TIME"),
                                                  _ (">BYTES"), _ (">PER SECOND"), NULL);

  printf (_ ("round trip of %d bytes: minimum %s, average %s, maximum %s\n"), HYPHA_PROBE_BYTES,
          min, average, max);
  for (gsize i = 0; i < G_N_ELEMENTS (self->tests); i++)
    hypha_table_add (table, g_strdup (self->tests[i].service),
                     g_strdup_printf ("%d", self->streams), format_seconds (self->tests[i].time),
                     hypha_ctl_format_bytes (self->tests[i].bytes),
                     hypha_ctl_format_bytes (rate (&self->tests[i])));
  hypha_table_print (table);
  if (*safe)
    printf (self->direct ? _ ("link: %s, beside which the streams were direct\n")
                         : _ ("link: %s\n"),
            safe);
  fputs (self->told->str, stdout);
  if (self->n_changes > MAX_CHANGES)
    printf (_ ("and %u times more\n"), self->n_changes - MAX_CHANGES);
}

static void
print_json (Bench *self, const char *transport)
{
  const Test *discard = &self->tests[0], *echo = &self->tests[1];

  hypha_ctl_print_json (g_variant_new_parsed (
      "{'id': <%s>, 'streams': <%i>, 'direct': <%b>, 'round-trip-bytes': <%u>, 'round-trips': "
      "<%t>, 'min-us': <%t>,"
      " 'average-us': <%t>, 'max-us': <%t>, 'discard-bytes': <%t>, 'discard-us': <%t>,"
      " 'discard-bytes-per-second': <%t>, 'echo-bytes': <%t>, 'echo-us': <%t>,"
      " 'echo-bytes-per-second': <%t>, 'link-transport': <%s>, 'link-changes': <%u>,"
      " 'changes': <%@aa{sv}>}",
      hypha_dbus_peer1_get_id (hypha_client_peer_get_proxy (self->peer)), self->streams,
      self->direct, (guint) HYPHA_PROBE_BYTES, self->probes, self->min, self->sum / self->probes,
      self->max, discard->bytes, discard->time, rate (discard), echo->bytes, echo->time,
      rate (echo), transport, self->n_changes, g_variant_builder_end (self->changes)));
}

gboolean
hypha_verb_bench (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (Bench) self = {
    .seconds = 3,
    .streams = 1,
    .tests = { { .service = "discard" }, { .service = "echo", .echo = TRUE } },
    .changes = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}")),
    .told = g_string_new (NULL),
    .block = g_malloc0 (BLOCK_BYTES),
  };
  const GOptionEntry options[] = {
    { "seconds", 's', 0, G_OPTION_ARG_INT, &self.seconds,
      N_ ("How long each of the measurements takes (3)"), "N" },
    { "streams", 'n', 0, G_OPTION_ARG_INT, &self.streams, N_ ("How many streams at once (1)"),
      "N" },
    { "direct", 0, 0, G_OPTION_ARG_NONE, &self.direct,
      N_ ("One socket all the way: fast, and it does not move to another link"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_autofree char *transport = NULL;
  guint64 link_rtt;

  if (words == NULL || !hypha_verb_check_range ("--seconds", self.seconds, 1, 3600, error) ||
      !hypha_verb_check_range ("--streams", self.streams, 1, MAX_STREAMS, error))
    return FALSE;
  self.peer = hypha_ctl_find_peer (ctl, words[0], error);
  if (self.peer == NULL)
    return FALSE;
  g_signal_connect (self.peer, "link-changed", G_CALLBACK (on_link_changed), &self);
  if (!measure_round_trip (&self, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (self.tests); i++) {
    if (!measure (&self, &self.tests[i], error))
      return FALSE;
  }
  hypha_probe_ask_link (self.peer, &transport, &link_rtt);
  if (ctl->json)
    print_json (&self, transport ? transport : "");
  else
    print_people (&self, transport ? transport : "");
  return TRUE;
}
