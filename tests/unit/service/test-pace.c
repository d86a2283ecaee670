/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How often each may have something. */

#include "service/pace.h"

#define MS G_TIME_SPAN_MILLISECOND

static void
test_some_at_once_and_then_one_each_while (void)
{
  HyphaPace *pace = hypha_pace_new (3, 100);
  gint64 now = 5 * G_TIME_SPAN_SECOND;

  for (guint i = 0; i < 3; i++)
    g_assert_cmpuint (hypha_pace_take (pace, "a", now), ==, 0);
  /* Who asks in vain does not wait for longer. */
  for (guint i = 0; i < 1000; i++)
    g_assert_cmpuint (hypha_pace_take (pace, "a", now), ==, 101);
  g_assert_cmpuint (hypha_pace_take (pace, "a", now + 99 * MS), ==, 2);
  g_assert_cmpuint (hypha_pace_take (pace, "a", now + 100 * MS), ==, 0);
  g_assert_cmpuint (hypha_pace_take (pace, "a", now + 101 * MS), >, 0);
  hypha_pace_free (pace);
}

static void
test_one_does_not_use_up_what_others_may_have (void)
{
  HyphaPace *pace = hypha_pace_new (1, 100);

  g_assert_cmpuint (hypha_pace_take (pace, "a", 1), ==, 0);
  g_assert_cmpuint (hypha_pace_take (pace, "a", 1), >, 0);
  g_assert_cmpuint (hypha_pace_take (pace, "b", 1), ==, 0);
  hypha_pace_free (pace);
}

static void
test_all_may_be_had_again_after_a_time (void)
{
  HyphaPace *pace = hypha_pace_new (3, 100);
  gint64 now = 0;

  for (guint round = 0; round < 3; round++, now += 300 * MS) {
    for (guint i = 0; i < 3; i++)
      g_assert_cmpuint (hypha_pace_take (pace, "a", now), ==, 0);
    g_assert_cmpuint (hypha_pace_take (pace, "a", now), >, 0);
  }
  hypha_pace_free (pace);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pace/some-at-once-and-then-one-each-while",
                   test_some_at_once_and_then_one_each_while);
  g_test_add_func ("/pace/one-does-not-use-up-what-others-may-have",
                   test_one_does_not_use_up_what_others_may_have);
  g_test_add_func ("/pace/all-may-be-had-again-after-a-time",
                   test_all_may_be_had_again_after_a_time);
  return g_test_run ();
}
