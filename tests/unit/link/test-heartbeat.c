/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/heartbeat.h"

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

static void
test_rtt_keeps_sixteen_samples (void)
{
  HyphaHeartbeat beat;
  gint64 now = START;

  start (&beat);
  hypha_heartbeat_configure (&beat, 10 * MS, SECOND);
  for (guint i = 0; i < 40; i++) {
    guint64 token;

    now += 10 * MS;
    token = ping (&beat, now);
    hypha_heartbeat_pong_received (&beat, token, now + (i == 20 ? 1 : 2) * MS);
    g_assert_cmpint (hypha_heartbeat_rtt (&beat), ==, i >= 20 && i < 36 ? MS : 2 * MS);
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
  g_test_add_func ("/heartbeat/rtt/keeps-sixteen-samples", test_rtt_keeps_sixteen_samples);
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
