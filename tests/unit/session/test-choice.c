/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/choice.h"

#define SECOND G_TIME_SPAN_SECOND

typedef struct {
  HyphaChoice choice;
  HyphaCandidate c[3];
  guint chosen;
  gint64 next;
  HyphaChoiceReason reason;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  hypha_choice_init (&f->choice, 1);
  f->chosen = HYPHA_CHOICE_NONE;
  f->c[0] = (HyphaCandidate){ .cost = 5, .usable = TRUE };
  f->c[1] = (HyphaCandidate){ .cost = 10, .usable = TRUE };
  f->c[2] = (HyphaCandidate){ .cost = 15, .usable = TRUE };
}

static void
assert_choice (Fixture *f, gint64 now, guint expected, HyphaChoiceReason reason)
{
  f->chosen = hypha_choice_make (&f->choice, f->c, 3, f->chosen, now, &f->next, &f->reason);
  g_assert_cmpuint (f->chosen, ==, expected);
  g_assert_cmpint (f->reason, ==, reason);
}

static void
test_first (Fixture *f, gconstpointer data)
{
  f->c[0].usable = FALSE;
  assert_choice (f, 0, 1, HYPHA_CHOICE_FIRST);
  g_assert_cmpint (f->next, ==, G_MAXINT64);
}

static void
test_none (Fixture *f, gconstpointer data)
{
  f->c[0].usable = f->c[1].usable = f->c[2].usable = FALSE;
  assert_choice (f, 0, HYPHA_CHOICE_NONE, HYPHA_CHOICE_FIRST);
  g_assert_cmpuint (
      hypha_choice_make (&f->choice, NULL, 0, HYPHA_CHOICE_NONE, 0, &f->next, &f->reason), ==,
      HYPHA_CHOICE_NONE);
}

static void
test_suspect_is_left_at_once (Fixture *f, gconstpointer data)
{
  f->chosen = 0;
  f->c[0].suspect = TRUE;
  assert_choice (f, 0, 1, HYPHA_CHOICE_SUSPECT);
}

static void
test_suspect_is_better_than_none (Fixture *f, gconstpointer data)
{
  f->c[0].suspect = f->c[1].suspect = f->c[2].suspect = TRUE;
  f->chosen = 1;
  assert_choice (f, 0, 1, HYPHA_CHOICE_KEPT);
  f->chosen = HYPHA_CHOICE_NONE;
  assert_choice (f, 0, 0, HYPHA_CHOICE_FIRST);
}

static void
test_unusable_is_lost (Fixture *f, gconstpointer data)
{
  f->chosen = 0;
  f->c[0].usable = FALSE;
  assert_choice (f, 0, 1, HYPHA_CHOICE_LOST);
}

static void
test_cheaper_after_a_second (Fixture *f, gconstpointer data)
{
  f->chosen = 1;
  assert_choice (f, 7, 1, HYPHA_CHOICE_KEPT);
  g_assert_cmpint (f->next, ==, 7 + SECOND);
  assert_choice (f, 6 + SECOND, 1, HYPHA_CHOICE_KEPT);
  assert_choice (f, 7 + SECOND, 0, HYPHA_CHOICE_CHEAPER);
}

static void
test_interruption_starts_anew (Fixture *f, gconstpointer data)
{
  f->chosen = 1;
  assert_choice (f, 1, 1, HYPHA_CHOICE_KEPT);
  f->c[0].cost = 10;
  assert_choice (f, SECOND / 2, 1, HYPHA_CHOICE_KEPT);
  g_assert_cmpint (f->next, ==, G_MAXINT64);
  f->c[0].cost = 5;
  assert_choice (f, SECOND, 1, HYPHA_CHOICE_KEPT);
  assert_choice (f, 2 * SECOND - 1, 1, HYPHA_CHOICE_KEPT);
  assert_choice (f, 2 * SECOND, 0, HYPHA_CHOICE_CHEAPER);
}

static void
test_margin (Fixture *f, gconstpointer data)
{
  f->choice.margin = 5;
  f->chosen = 1;
  f->c[0].cost = 6;
  assert_choice (f, 1, 1, HYPHA_CHOICE_KEPT);
  g_assert_cmpint (f->next, ==, G_MAXINT64);
  f->c[0].cost = 5;
  assert_choice (f, 2, 1, HYPHA_CHOICE_KEPT);
  assert_choice (f, 2 + SECOND, 0, HYPHA_CHOICE_CHEAPER);
}

/* Two links of the same cost would otherwise take turns for ever. */
static void
test_no_margin_still_needs_less (Fixture *f, gconstpointer data)
{
  f->choice.margin = 0;
  f->c[0].cost = 10;
  f->chosen = 1;
  assert_choice (f, 1, 1, HYPHA_CHOICE_KEPT);
  assert_choice (f, 100 * SECOND, 1, HYPHA_CHOICE_KEPT);
}

static void
test_highest_costs (Fixture *f, gconstpointer data)
{
  f->c[0].cost = G_MAXUINT32;
  f->c[1].cost = G_MAXUINT32 - 1;
  f->c[2].usable = FALSE;
  f->choice.margin = G_MAXUINT32;
  f->chosen = 0;
  assert_choice (f, 1, 0, HYPHA_CHOICE_KEPT);
  assert_choice (f, 100 * SECOND, 0, HYPHA_CHOICE_KEPT);
}

static void
test_flapping (Fixture *f, gconstpointer data)
{
  gint64 now = SECOND;
  gint64 holds[] = { 1, 2, 4, 8, 16, 32, 60, 60 };

  for (guint i = 0; i < G_N_ELEMENTS (holds); i++) {
    f->c[0].suspect = FALSE;
    f->chosen = 1;
    assert_choice (f, now, 1, HYPHA_CHOICE_KEPT);
    g_assert_cmpint (f->next - now, ==, holds[i] * SECOND);
    now = f->next;
    assert_choice (f, now, 0, HYPHA_CHOICE_CHEAPER);
    now += SECOND;
    f->c[0].suspect = TRUE;
    hypha_choice_failed (&f->choice, now);
    assert_choice (f, now, 1, HYPHA_CHOICE_SUSPECT);
  }
  /* A minute of calm, and all is forgotten. */
  f->c[0].suspect = FALSE;
  now += 61 * SECOND;
  hypha_choice_failed (&f->choice, now);
  g_assert_cmpint (f->choice.hold, ==, SECOND);
}

static void
test_reasons (Fixture *f, gconstpointer data)
{
  for (int r = HYPHA_CHOICE_KEPT; r <= HYPHA_CHOICE_CHEAPER; r++)
    g_assert_cmpstr (hypha_choice_reason_to_string (r), !=, "unknown");
}

#define ADD(name, func) g_test_add ("/session/choice/" name, Fixture, NULL, set_up, func, NULL)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("first-is-the-cheapest-usable", test_first);
  ADD ("none", test_none);
  ADD ("suspect-is-left-at-once", test_suspect_is_left_at_once);
  ADD ("suspect-is-better-than-none", test_suspect_is_better_than_none);
  ADD ("unusable-is-lost", test_unusable_is_lost);
  ADD ("cheaper-for-a-second-wins", test_cheaper_after_a_second);
  ADD ("interruption-starts-the-second-anew", test_interruption_starts_anew);
  ADD ("margin", test_margin);
  ADD ("without-margin-equal-costs-stay", test_no_margin_still_needs_less);
  ADD ("highest-costs-do-not-overflow", test_highest_costs);
  ADD ("flapping-doubles-the-hold-up-to-a-minute", test_flapping);
  ADD ("reasons-have-names", test_reasons);
  return g_test_run ();
}
