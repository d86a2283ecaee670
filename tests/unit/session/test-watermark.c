/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/watermark.h"

static void
assert_at (const HyphaWatermark *w, guint64 tick, guint64 a, guint64 b)
{
  guint64 got_a, got_b;

  hypha_watermark_at (w, tick, &got_a, &got_b);
  g_assert_cmpuint (got_a, ==, a);
  g_assert_cmpuint (got_b, ==, b);
}

static void
test_empty (void)
{
  HyphaWatermark w;

  hypha_watermark_init (&w);
  assert_at (&w, 0, 0, 0);
  assert_at (&w, G_MAXUINT64, 0, 0);
  hypha_watermark_clear (&w);
}

static void
test_before_the_tick (void)
{
  HyphaWatermark w;

  hypha_watermark_init (&w);
  hypha_watermark_raise (&w, 10, 1, 4);
  hypha_watermark_raise (&w, 20, 1, 4);
  hypha_watermark_raise (&w, 30, 2, 7);
  /* What was raised while the clock showed 4 came after the nonce 4 had gone out. */
  assert_at (&w, 4, 0, 0);
  assert_at (&w, 5, 20, 1);
  assert_at (&w, 7, 20, 1);
  assert_at (&w, 8, 30, 2);
  hypha_watermark_clear (&w);
}

static void
test_only_rises (void)
{
  HyphaWatermark w;

  hypha_watermark_init (&w);
  hypha_watermark_raise (&w, 10, 5, 1);
  hypha_watermark_raise (&w, 3, 7, 2);
  hypha_watermark_raise (&w, 12, 1, 3);
  assert_at (&w, 2, 10, 5);
  assert_at (&w, 3, 10, 7);
  assert_at (&w, 4, 12, 7);
  g_assert_cmpuint (w.a, ==, 12);
  g_assert_cmpuint (w.b, ==, 7);
  hypha_watermark_clear (&w);
}

static void
test_clock_that_goes_back (void)
{
  HyphaWatermark w;

  hypha_watermark_init (&w);
  hypha_watermark_raise (&w, 1, 0, 9);
  hypha_watermark_raise (&w, 2, 0, 5);
  assert_at (&w, 9, 0, 0);
  assert_at (&w, 10, 2, 0);
  hypha_watermark_clear (&w);
}

/* Forgetting may make a value older, never newer, and never loses the last one. */
static void
test_bounded_and_mild (void)
{
  HyphaWatermark w;

  hypha_watermark_init (&w);
  for (guint64 t = 1; t <= 100000; t++) {
    hypha_watermark_raise (&w, t * 10, t, t);
    g_assert_cmpuint (w.past->len, <=, HYPHA_WATERMARK_MAX);
  }
  for (guint64 t = 2; t <= 100001; t += 7) {
    guint64 a, b;

    hypha_watermark_at (&w, t, &a, &b);
    g_assert_cmpuint (a, <=, (t - 1) * 10);
    g_assert_cmpuint (b, <=, t - 1);
    g_assert_cmpuint (a, >=, 10);
  }
  assert_at (&w, 100001, 1000000, 100000);
  hypha_watermark_clear (&w);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/watermark/starts-at-zero", test_empty);
  g_test_add_func ("/session/watermark/tells-what-was-before-the-tick", test_before_the_tick);
  g_test_add_func ("/session/watermark/each-value-only-rises", test_only_rises);
  g_test_add_func ("/session/watermark/clock-that-goes-back-stands-still",
                   test_clock_that_goes_back);
  g_test_add_func ("/session/watermark/bounded-and-never-too-high", test_bounded_and_mild);
  return g_test_run ();
}
