/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/copy-bar.h"
#include "ctl/text.h"

static void
test_says_all (void)
{
  HyphaCopyBar bar = { .name = (char *) "name", .size = 4 << 20, .position = 1 << 20 };
  g_autofree char *line = hypha_copy_bar_format (&bar, 2 * G_USEC_PER_SEC, 60);

  g_assert_cmpuint (hypha_ctl_text_width (line), ==, 60);
  g_assert_true (g_str_has_prefix (line, "name "));
  g_assert_nonnull (strstr (line, " 25%     1.0\u00a0MiB   512.0\u00a0KiB/s  00:06"));
}

static void
test_fits (void)
{
  HyphaCopyBar bar = { .name = (char *) "\u96fb\u8166\u96fb\u8166\u96fb\u8166\u96fb\u8166 and more",
                       .size = G_MAXUINT64,
                       .position = G_MAXUINT64 / 3 };

  for (guint width = 1; width < 120; width++) {
    g_autofree char *line = hypha_copy_bar_format (&bar, 1, width);

    g_assert_cmpuint (hypha_ctl_text_width (line), <=, width);
  }
}

static void
test_odd_numbers (void)
{
  static const struct {
    guint64 size, begin, position;
    const char *wanted;
  } cases[] = {
    { 0, 0, 0, "100%" },           /* nothing, and all of it */
    { 100, 0, 0, "--:--" },        /* nobody knows */
    { 100, 50, 20, "--:--" },      /* where it began, is behind */
    { 10, 0, 20, "100%" },         /* more than there is */
    { 7200 * 8, 0, 8, "1:59:59" }, /* hours */
    { G_MAXUINT64, 0, 1, "--:--" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    HyphaCopyBar bar = { .name = (char *) "x",
                         .size = cases[i].size,
                         .begin = cases[i].begin,
                         .position = cases[i].position };
    g_autofree char *line = hypha_copy_bar_format (&bar, G_USEC_PER_SEC, 70);

    g_assert_nonnull (strstr (line, cases[i].wanted));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/copy-bar/name-percent-bytes-rate-and-time-left", test_says_all);
  g_test_add_func ("/copy-bar/fits-any-terminal", test_fits);
  g_test_add_func ("/copy-bar/odd-numbers", test_odd_numbers);
  return g_test_run ();
}
