/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/heartbeat.h"

#include <string.h>

#define MS G_GINT64_CONSTANT (1000)
#define SECOND (1000 * MS)
#define START (1000 * SECOND)

static void
start (HyphaHeartbeat *beat)
{
  hypha_heartbeat_init (beat, START, 1 * SECOND, 10 * SECOND, 40 * MS);
}

/* Sends the ping that is due at NOW and returns its token. */
static guint64
ping (HyphaHeartbeat *beat, gint64 now)
{
  guint64 token = 0;

  g_assert_true (hypha_heartbeat_take_ping (beat, now, &token));
  return token;
}

static void
test_pings_every_interval (void)
{
  HyphaHeartbeat beat;
  guint64 token, first;

  start (&beat);
  g_assert_cmpint (hypha_heartbeat_next (&beat), ==, START + SECOND);
  g_assert_false (hypha_heartbeat_take_ping (&beat, START + SECOND - 1, &token));
  first = ping (&beat, START + SECOND);
  g_assert_false (hypha_heartbeat_take_ping (&beat, START + SECOND, &token));
  g_assert_cmpint (hypha_heartbeat_next (&beat), ==, START + 2 * SECOND);
  g_assert_cmpuint (ping (&beat, START + 2 * SECOND), >, first);
}

static void
test_answers_latest_only (void)
{
  HyphaHeartbeat beat;
  guint64 token = 0;

  start (&beat);
  g_assert_false (hypha_heartbeat_take_pong (&beat, &token));
  hypha_heartbeat_ping_received (&beat, 5);
  hypha_heartbeat_ping_received (&beat, 0);
  g_assert_true (hypha_heartbeat_take_pong (&beat, &token));
  g_assert_cmpuint (token, ==, 0);
  g_assert_false (hypha_heartbeat_take_pong (&beat, &token));
}

static void
test_rtt_is_minimum_of_window (void)
{
  HyphaHeartbeat beat;
  gint64 now = START;

  start (&beat);
  g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 40 * MS);
  for (guint i = 0; i < 30; i++) {
    guint64 token;

    now += SECOND;
    token = ping (&beat, now);
    hypha_heartbeat_pong_received (&beat, token, now + (i == 3 ? 7 : 90) * MS);
    if (i < 3)
      g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 40 * MS);
    else if (i < 13)
      g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 7 * MS);
    else
      g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 90 * MS);
  }
}

/* However many pings there are: so the link looks no farther away once it is busy. */
static void
test_rtt_spans_ten_seconds (void)
{
  HyphaHeartbeat beat;
  gint64 now = START;

  start (&beat);
  hypha_heartbeat_configure (&beat, 10 * MS, SECOND);
  for (guint i = 0; i < 1200; i++) {
    guint64 token;

    now += 10 * MS;
    token = ping (&beat, now);
    hypha_heartbeat_pong_received (&beat, token, now + (i == 20 ? 1 : 50) * MS);
    if (i >= 20 && i < 950)
      g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, MS);
    else if (i > 1090)
      g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 50 * MS);
  }
}

static void
test_pong_answers_what_was_before (void)
{
  HyphaHeartbeat beat;
  guint64 first, second;

  start (&beat);
  first = ping (&beat, START + SECOND);
  second = ping (&beat, START + 2 * SECOND);
  hypha_heartbeat_pong_received (&beat, second, START + 2 * SECOND + 5 * MS);
  g_assert_cmpuint (beat.n_pending, ==, 0);
  g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 5 * MS);
  /* Too late: it tells nothing any more. */
  hypha_heartbeat_pong_received (&beat, first, START + 2 * SECOND + 6 * MS);
  g_assert_cmpuint (beat.n_samples, ==, 2);
}

static void
test_unsent_token_counts_for_nothing (void)
{
  HyphaHeartbeat beat;
  guint64 token;

  start (&beat);
  token = ping (&beat, START + SECOND);
  hypha_heartbeat_pong_received (&beat, token + 1, START + SECOND);
  hypha_heartbeat_pong_received (&beat, G_MAXUINT64, START + SECOND);
  g_assert_cmpuint (beat.n_pending, ==, 1);
  g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 40 * MS);
}

static void
test_token_is_the_given_one (void)
{
  const guint64 given = G_GUINT64_CONSTANT (0xfeedfacecafebeef);
  HyphaHeartbeat beat;

  start (&beat);
  hypha_heartbeat_set_token (&beat, given);
  g_assert_cmpuint (ping (&beat, START + SECOND), ==, given);
  hypha_heartbeat_set_token (&beat, 3); /* they need not rise */
  g_assert_cmpuint (ping (&beat, START + 2 * SECOND), ==, 3);
  for (guint64 guess = 0; guess < 3; guess++)
    hypha_heartbeat_pong_received (&beat, guess, START + 2 * SECOND);
  g_assert_cmpuint (beat.n_pending, ==, 2);
  hypha_heartbeat_pong_received (&beat, 3, START + 2 * SECOND + 5 * MS);
  g_assert_cmpuint (beat.n_pending, ==, 0);
  g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 5 * MS);
}

static void
test_suspect_by_oldest_ping (void)
{
  HyphaHeartbeat beat;
  gint64 overdue = START + SECOND + 2500 * MS;
  guint64 token;

  start (&beat);
  token = ping (&beat, START + SECOND);
  ping (&beat, START + 2 * SECOND);
  ping (&beat, START + 3 * SECOND);
  g_assert_cmpint (hypha_heartbeat_next (&beat), ==, overdue);
  /* That the peer talks does not show that it hears. */
  hypha_heartbeat_heard (&beat, overdue - 1);
  g_assert_false (hypha_heartbeat_is_suspect (&beat, overdue - 1));
  g_assert_true (hypha_heartbeat_is_suspect (&beat, overdue));
  hypha_heartbeat_pong_received (&beat, token, overdue);
  g_assert_false (hypha_heartbeat_is_suspect (&beat, overdue));
}

static void
test_acknowledgement_shows_hearing (void)
{
  HyphaHeartbeat beat;
  gint64 now = START + SECOND + 2400 * MS;
  guint64 token;

  start (&beat);
  token = ping (&beat, START + SECOND);
  hypha_heartbeat_confirmed (&beat, now);
  g_assert_false (hypha_heartbeat_is_suspect (&beat, now + 2499 * MS));
  g_assert_true (hypha_heartbeat_is_suspect (&beat, now + 2500 * MS));
  /* The ping still measures. */
  hypha_heartbeat_pong_received (&beat, token, START + SECOND + 3 * MS);
  g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, 3 * MS);
}

/* Turns as a link does: looks whenever it is told to, until DEAD_BY; the peer is heard every TALKS
 * microseconds (0: never). */
static gint64
run_until_dead (HyphaHeartbeat *beat, gint64 talks, gint64 dead_by)
{
  gint64 now = START;

  for (guint turns = 0; turns < 1000; turns++) {
    guint64 token;

    now = MAX (now, hypha_heartbeat_next (beat));
    if (talks > 0)
      hypha_heartbeat_heard (beat, now - now % talks);
    if (hypha_heartbeat_is_dead (beat, now) || now > dead_by)
      return now;
    hypha_heartbeat_take_ping (beat, now, &token);
    g_assert_cmpint (hypha_heartbeat_next (beat), >, now);
  }
  g_assert_not_reached ();
}

static void
test_silence_is_death (void)
{
  HyphaHeartbeat beat;

  start (&beat);
  g_assert_cmpint (run_until_dead (&beat, 0, START + SECOND * 60), ==, START + 10 * SECOND);
}

static void
test_deaf_is_dead (void)
{
  HyphaHeartbeat beat;

  start (&beat);
  g_assert_cmpint (run_until_dead (&beat, 100 * MS, START + SECOND * 60), ==, START + 11 * SECOND);
}

/* It sends, and acknowledges: but what waits for it goes on waiting. */
static void
test_taking_nothing_is_death (void)
{
  HyphaHeartbeat beat;
  gint64 now = START;

  start (&beat);
  hypha_heartbeat_output (&beat, TRUE, FALSE, now);
  for (guint i = 0; i < 9; i++) {
    now += SECOND;
    hypha_heartbeat_pong_received (&beat, ping (&beat, now), now);
    hypha_heartbeat_confirmed (&beat, now);
    hypha_heartbeat_output (&beat, TRUE, FALSE, now);
  }
  now = START + 10 * SECOND;
  g_assert_cmpint (hypha_heartbeat_next (&beat), ==, now);
  g_assert_false (hypha_heartbeat_is_dead (&beat, now - 1));
  g_assert_true (hypha_heartbeat_is_dead (&beat, now));
  g_assert_true (hypha_heartbeat_is_stuck (&beat, now));

  hypha_heartbeat_output (&beat, TRUE, TRUE, now - 1);
  g_assert_false (hypha_heartbeat_is_dead (&beat, now));
  g_assert_true (hypha_heartbeat_is_dead (&beat, now - 1 + 10 * SECOND));
  hypha_heartbeat_output (&beat, FALSE, TRUE, now);
  g_assert_false (hypha_heartbeat_is_stuck (&beat, now + 3600 * SECOND));
}

/* A link whose other end answers pings after DELAY. */
typedef struct {
  HyphaHeartbeat beat;
  gint64 now, delay;
  struct {
    guint64 token;
    gint64 answer_at;
  } asked[HYPHA_HEARTBEAT_PENDING];
  guint n_asked, pings;
} Line;

/* Until UNTIL, as a link does it; STEP: something is sent every so many microseconds (0: nothing
 * is). TRUE: it was suspect at no time. */
static gboolean
carry (Line *line, gint64 until, gint64 step)
{
  gboolean good = TRUE;
  gint64 send_at = step > 0 ? line->now : G_MAXINT64;

  while (line->now < until) {
    gint64 answer = line->n_asked > 0 ? line->asked[0].answer_at : G_MAXINT64;
    guint64 token;

    line->now = MIN (MIN (until, send_at), MIN (answer, hypha_heartbeat_next (&line->beat)));
    if (line->now == answer) {
      hypha_heartbeat_pong_received (&line->beat, line->asked[0].token, line->now);
      memmove (line->asked, line->asked + 1, --line->n_asked * sizeof line->asked[0]);
    }
    if (line->now == send_at) {
      hypha_heartbeat_sent (&line->beat, line->now);
      send_at += step;
    }
    good = good && !hypha_heartbeat_is_suspect (&line->beat, line->now);
    if (hypha_heartbeat_take_ping (&line->beat, line->now, &token)) {
      line->asked[line->n_asked].token = token;
      line->asked[line->n_asked++].answer_at = line->now + line->delay;
      line->pings++;
    }
  }
  return good;
}

static void
start_line (Line *line, gint64 delay)
{
  *line = (Line){ .now = START, .delay = delay };
  hypha_heartbeat_init (&line->beat, START, 1 * SECOND, 10 * SECOND, delay);
}

static void
test_idle_link_pings_rarely (void)
{
  Line line;

  start_line (&line, 1 * MS);
  g_assert_true (carry (&line, START + 60 * SECOND, 0));
  g_assert_cmpuint (line.pings, ==, 60);
}

static void
test_busy_link_pings_often (void)
{
  Line line;

  start_line (&line, 1 * MS);
  g_assert_true (carry (&line, START + SECOND, 5 * MS));
  g_assert_cmpuint (line.pings, >=, 25);
  g_assert_cmpuint (line.pings, <=, 50);

  /* One more shows that all of it was read. */
  line.pings = 0;
  g_assert_true (carry (&line, line.now + 10 * SECOND, 0));
  g_assert_cmpuint (line.pings, <=, 12);
}

/* More of them would tell nothing sooner: whenever it goes silent, that shows as soon. */
static void
test_slow_link_has_one_ping_under_way (void)
{
  Line line;

  start_line (&line, 100 * MS);
  g_assert_true (carry (&line, START + SECOND, 5 * MS));
  g_assert_cmpuint (line.pings, >=, 8);
  g_assert_cmpuint (line.pings, <=, 10);

  for (gint64 at = 0; at < 200 * MS; at += 7 * MS) {
    gint64 patience;

    start_line (&line, 100 * MS);
    g_assert_true (carry (&line, START + 3 * SECOND + at, 5 * MS));
    patience = line.beat.srtt + MAX (4 * line.beat.deviation, 200 * MS) + 25 * MS;
    line.delay = 3600 * SECOND;
    line.n_asked = 0;
    g_assert_false (carry (&line, line.now + patience + patience / 8 + 5 * MS, 5 * MS));
  }
}

static void
test_silent_while_busy_is_suspect_soon (void)
{
  const gint64 delays[] = { 20, 1 * MS, 10 * MS };

  for (guint i = 0; i < G_N_ELEMENTS (delays); i++) {
    Line line;

    start_line (&line, delays[i]);
    g_assert_true (carry (&line, START + 3 * SECOND, 1 * MS));
    line.delay = G_TIME_SPAN_HOUR;
    g_assert_true (carry (&line, START + 3 * SECOND + 200 * MS, 1 * MS));
    g_assert_false (carry (&line, START + 3 * SECOND + 280 * MS, 1 * MS));
    /* It is not asked any more often than before: there are places left for later. */
    carry (&line, START + 6 * SECOND, 1 * MS);
    g_assert_cmpuint (line.beat.n_pending, <, HYPHA_HEARTBEAT_PENDING);
    g_assert_true (hypha_heartbeat_is_suspect (&line.beat, line.now));
  }
}

static void
test_slow_link_is_not_suspect (void)
{
  const gint64 delays[] = { 100 * MS, 300 * MS, 900 * MS };

  for (guint i = 0; i < G_N_ELEMENTS (delays); i++) {
    Line line;

    start_line (&line, delays[i]);
    g_assert_true (carry (&line, START + 10 * SECOND, 1 * MS));
    g_assert_true (carry (&line, START + 20 * SECOND, 300 * MS));
  }
}

/* What is sent waits in buffers that fill up. */
static void
test_slower_and_slower_is_not_suspect (void)
{
  Line line;

  start_line (&line, 5 * MS);
  for (guint i = 0; i < 80; i++) {
    g_assert_true (carry (&line, line.now + 50 * MS, 1 * MS));
    line.delay += 10 * MS;
  }
}

/* TCP sends it again after 200 ms. */
static void
test_lost_packet_is_no_suspicion (void)
{
  Line line;

  start_line (&line, 4 * MS);
  for (guint i = 0; i < 20; i++) {
    line.delay = 4 * MS;
    g_assert_true (carry (&line, line.now + SECOND, 1 * MS));
    line.delay = 210 * MS;
    g_assert_true (carry (&line, line.now + 100 * MS, 1 * MS));
  }
}

/* Whoever was wrong once waits for longer the next time. */
static void
test_late_answer_makes_patient (void)
{
  Line line;

  start_line (&line, 1 * MS);
  g_assert_true (carry (&line, START + SECOND, 1 * MS));
  line.delay = 400 * MS;
  g_assert_false (carry (&line, line.now + 350 * MS, 1 * MS));
  carry (&line, line.now + 150 * MS, 1 * MS);
  g_assert_false (hypha_heartbeat_is_suspect (&line.beat, line.now));
  g_assert_true (carry (&line, line.now + 2 * SECOND, 1 * MS));
}

static void
test_answer_to_earlier_ping_proves_nothing (void)
{
  HyphaHeartbeat beat;
  guint64 token;

  start (&beat);
  token = ping (&beat, START + SECOND);
  g_assert_true (hypha_heartbeat_sent (&beat, START + SECOND + MS));
  g_assert_false (hypha_heartbeat_sent (&beat, START + SECOND + 2 * MS));
  hypha_heartbeat_pong_received (&beat, token, START + SECOND + 3 * MS);
  g_assert_cmpint (hypha_heartbeat_next (&beat), <, START + SECOND + 100 * MS);
  token = ping (&beat, hypha_heartbeat_next (&beat));
  hypha_heartbeat_pong_received (&beat, token, START + SECOND + 101 * MS);
  g_assert_cmpint (hypha_heartbeat_next (&beat), >, START + 2 * SECOND);
  g_assert_true (hypha_heartbeat_sent (&beat, START + SECOND + 102 * MS));
}

static void
test_acknowledgement_of_all_spares_the_ping (void)
{
  HyphaHeartbeat beat;
  guint64 token;

  start (&beat);
  hypha_heartbeat_sent (&beat, START);
  hypha_heartbeat_all_heard (&beat);
  g_assert_cmpint (hypha_heartbeat_next (&beat), ==, START + SECOND);
  g_assert_true (hypha_heartbeat_sent (&beat, START + 5 * MS));
  g_assert_cmpint (hypha_heartbeat_next (&beat), <, START + 50 * MS);

  /* The answer to a ping that went before does not make it doubtful again. */
  token = ping (&beat, hypha_heartbeat_next (&beat));
  hypha_heartbeat_sent (&beat, START + 60 * MS);
  hypha_heartbeat_all_heard (&beat);
  hypha_heartbeat_pong_received (&beat, token, START + 61 * MS);
  g_assert_cmpint (hypha_heartbeat_next (&beat), >, START + SECOND);
}

static void
test_ping_goes_along (void)
{
  HyphaHeartbeat beat;
  guint64 token;

  start (&beat);
  g_assert_false (hypha_heartbeat_wants_ping_along (&beat, START + 500 * MS)); /* what for? */
  hypha_heartbeat_sent (&beat, START + 500 * MS);
  g_assert_true (hypha_heartbeat_take_ping_along (&beat, START + 500 * MS, &token));
  hypha_heartbeat_sent (&beat, START + 540 * MS);
  g_assert_false (
      hypha_heartbeat_wants_ping_along (&beat, START + 540 * MS)); /* it is asked already */
  hypha_heartbeat_pong_received (&beat, token, START + 541 * MS);

  /* No more often than those that go by themselves. */
  g_assert_true (hypha_heartbeat_take_ping_along (&beat, START + 542 * MS, &token));
  hypha_heartbeat_pong_received (&beat, token, START + 543 * MS);
  hypha_heartbeat_sent (&beat, START + 560 * MS);
  g_assert_false (hypha_heartbeat_wants_ping_along (&beat, START + 560 * MS));
  g_assert_cmpint (hypha_heartbeat_next (&beat), >, START + 580 * MS);
  g_assert_cmpint (hypha_heartbeat_next (&beat), <, START + 600 * MS);

  /* Nor than the interval. */
  start (&beat);
  hypha_heartbeat_configure (&beat, 10 * MS, 10 * SECOND);
  hypha_heartbeat_sent (&beat, START + 5 * MS);
  g_assert_false (hypha_heartbeat_wants_ping_along (&beat, START + 5 * MS));
}

/* The peer may have left the link, and acknowledge over another what went long before. */
static void
test_acknowledgement_from_elsewhere_gives_no_time (void)
{
  HyphaHeartbeat beat;
  gint64 now;

  start (&beat);
  hypha_heartbeat_sent (&beat, START);
  now = hypha_heartbeat_next (&beat);
  ping (&beat, now);
  hypha_heartbeat_confirmed (&beat, now + 220 * MS);
  g_assert_true (hypha_heartbeat_is_suspect (&beat, now + 400 * MS));
}

/* The answer may wait behind bulk that the peer sends. */
static void
test_bulk_from_the_peer_gives_time (void)
{
  HyphaHeartbeat beat;
  gint64 now, overdue;

  start (&beat);
  hypha_heartbeat_sent (&beat, START);
  now = hypha_heartbeat_next (&beat);
  ping (&beat, now);
  overdue = now + 2500 * MS;
  for (; now < overdue; now += 100 * MS) {
    hypha_heartbeat_received (&beat, now);
    g_assert_false (hypha_heartbeat_is_suspect (&beat, now));
  }
  /* But that it talks does not show that it hears. */
  hypha_heartbeat_received (&beat, overdue);
  g_assert_true (hypha_heartbeat_is_suspect (&beat, overdue));
}

static void
test_many_pings_keep_the_oldest (void)
{
  HyphaHeartbeat beat;

  start (&beat);
  hypha_heartbeat_configure (&beat, 100 * MS, 10 * SECOND);
  g_assert_cmpint (run_until_dead (&beat, 50 * MS, START + SECOND * 60), ==,
                   START + 100 * MS + 10 * SECOND);
  g_assert_cmpuint (beat.n_pending, ==, HYPHA_HEARTBEAT_PENDING);
}

/* Whoever answers late, answers one of those that are remembered. */
static void
test_no_ping_is_forgotten (void)
{
  HyphaHeartbeat beat;
  guint64 last = 0, token;
  gint64 now = START;
  guint sent = 0;

  start (&beat);
  for (guint i = 0; i < 3 * HYPHA_HEARTBEAT_PENDING; i++) {
    now = MAX (now, hypha_heartbeat_next (&beat));
    if (hypha_heartbeat_take_ping (&beat, now, &token)) {
      last = token;
      sent++;
    }
    g_assert_cmpint (hypha_heartbeat_next (&beat), >, now);
  }
  g_assert_cmpuint (sent, ==, HYPHA_HEARTBEAT_PENDING);
  hypha_heartbeat_pong_received (&beat, last, now);
  g_assert_cmpuint (beat.n_pending, ==, 0);
  now = hypha_heartbeat_next (&beat);
  g_assert_true (hypha_heartbeat_take_ping (&beat, now, &token));
}

static void
test_sleep_is_no_death (void)
{
  HyphaHeartbeat beat;
  gint64 woken = START + 3600 * SECOND;

  start (&beat);
  g_assert_false (hypha_heartbeat_is_dead (&beat, woken));
  ping (&beat, woken);
  g_assert_false (hypha_heartbeat_is_dead (&beat, woken));
  g_assert_true (hypha_heartbeat_is_dead (&beat, woken + 2500 * MS));
}

static void
test_interval_changes_while_running (void)
{
  HyphaHeartbeat beat;

  start (&beat);
  ping (&beat, START + SECOND);
  hypha_heartbeat_configure (&beat, 200 * MS, 2 * SECOND);
  g_assert_cmpint (hypha_heartbeat_next (&beat), ==, START + 1200 * MS);
  g_assert_true (hypha_heartbeat_is_suspect (&beat, START + 1500 * MS));
  hypha_heartbeat_configure (&beat, 5 * SECOND, 20 * SECOND);
  g_assert_cmpint (hypha_heartbeat_next (&beat), ==, START + 6 * SECOND);
  g_assert_false (hypha_heartbeat_is_suspect (&beat, START + 1500 * MS));
  /* Whatever a user writes there. */
  hypha_heartbeat_configure (&beat, G_MAXINT64, G_MAXINT64);
  g_assert_cmpint (hypha_heartbeat_next (&beat), >, START);
  hypha_heartbeat_configure (&beat, 0, -1);
  g_assert_cmpint (hypha_heartbeat_next (&beat), >, START);
}

static void
test_cost (void)
{
  HyphaHeartbeat beat;
  gint64 now = START;

  start (&beat);
  g_assert_cmpuint (hypha_heartbeat_cost (&beat, 5, START), ==, 45);
  for (guint i = 0; i < 3; i++)
    ping (&beat, now += SECOND);
  g_assert_cmpuint (hypha_heartbeat_cost (&beat, 5, START + 3500 * MS), ==, 45 + 50);
  g_assert_cmpuint (hypha_heartbeat_cost (&beat, 5, START + 5500 * MS), ==, 45 + 150);
}

static void
test_cost_does_not_overflow (void)
{
  HyphaHeartbeat beat;

  start (&beat);
  g_assert_cmpuint (hypha_heartbeat_cost (&beat, G_MAXUINT32, START), ==, G_MAXUINT32 - 1);
  g_assert_cmpuint (hypha_heartbeat_cost (&beat, G_MAXUINT32 - 45, START), ==, G_MAXUINT32 - 5);
  hypha_heartbeat_init (&beat, START, SECOND, SECOND, G_MAXINT64);
  g_assert_cmpuint (hypha_heartbeat_cost (&beat, 5, START), ==, G_MAXUINT32 - 1);
  hypha_heartbeat_init (&beat, START, SECOND, SECOND, G_MININT64);
  g_assert_cmpuint (hypha_heartbeat_cost (&beat, 5, START), ==, 5);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/heartbeat/pings-every-interval", test_pings_every_interval);
  g_test_add_func ("/heartbeat/answers-the-latest-ping-only", test_answers_latest_only);
  g_test_add_func ("/heartbeat/rtt/is-the-minimum-of-ten-seconds", test_rtt_is_minimum_of_window);
  g_test_add_func ("/heartbeat/rtt/of-a-busy-link-spans-ten-seconds", test_rtt_spans_ten_seconds);
  g_test_add_func ("/heartbeat/ping/rarely-while-idle", test_idle_link_pings_rarely);
  g_test_add_func ("/heartbeat/ping/often-while-busy", test_busy_link_pings_often);
  g_test_add_func ("/heartbeat/ping/one-at-a-time-while-busy-and-slow",
                   test_slow_link_has_one_ping_under_way);
  g_test_add_func ("/heartbeat/ping/answer-to-an-earlier-one-proves-nothing",
                   test_answer_to_earlier_ping_proves_nothing);
  g_test_add_func ("/heartbeat/ping/none-if-all-was-acknowledged",
                   test_acknowledgement_of_all_spares_the_ping);
  g_test_add_func ("/heartbeat/ping/goes-along-with-what-nobody-acknowledges",
                   test_ping_goes_along);
  g_test_add_func ("/heartbeat/suspect/soon-if-silent-while-busy",
                   test_silent_while_busy_is_suspect_soon);
  g_test_add_func ("/heartbeat/suspect/not-a-slow-link", test_slow_link_is_not_suspect);
  g_test_add_func ("/heartbeat/suspect/not-one-that-gets-slower",
                   test_slower_and_slower_is_not_suspect);
  g_test_add_func ("/heartbeat/suspect/not-for-a-lost-packet", test_lost_packet_is_no_suspicion);
  g_test_add_func ("/heartbeat/suspect/less-soon-after-a-late-answer",
                   test_late_answer_makes_patient);
  g_test_add_func ("/heartbeat/suspect/acknowledgement-from-elsewhere-gives-no-time",
                   test_acknowledgement_from_elsewhere_gives_no_time);
  g_test_add_func ("/heartbeat/suspect/bulk-from-the-peer-gives-time",
                   test_bulk_from_the_peer_gives_time);
  g_test_add_func ("/heartbeat/pong/answers-what-was-before", test_pong_answers_what_was_before);
  g_test_add_func ("/heartbeat/pong/unsent-token-counts-for-nothing",
                   test_unsent_token_counts_for_nothing);
  g_test_add_func ("/heartbeat/token/is-the-given-one", test_token_is_the_given_one);
  g_test_add_func ("/heartbeat/suspect/by-the-oldest-ping", test_suspect_by_oldest_ping);
  g_test_add_func ("/heartbeat/suspect/acknowledgement-shows-hearing",
                   test_acknowledgement_shows_hearing);
  g_test_add_func ("/heartbeat/dead/by-silence", test_silence_is_death);
  g_test_add_func ("/heartbeat/dead/by-deafness", test_deaf_is_dead);
  g_test_add_func ("/heartbeat/dead/by-taking-nothing", test_taking_nothing_is_death);
  g_test_add_func ("/heartbeat/ping/none-is-forgotten", test_no_ping_is_forgotten);
  g_test_add_func ("/heartbeat/dead/many-pings-keep-the-oldest", test_many_pings_keep_the_oldest);
  g_test_add_func ("/heartbeat/dead/own-sleep-is-no-death", test_sleep_is_no_death);
  g_test_add_func ("/heartbeat/interval-changes-while-running",
                   test_interval_changes_while_running);
  g_test_add_func ("/heartbeat/cost/terms", test_cost);
  g_test_add_func ("/heartbeat/cost/does-not-overflow", test_cost_does_not_overflow);
  return g_test_run ();
}
