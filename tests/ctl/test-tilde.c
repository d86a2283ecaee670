/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/tilde.h"

#include <string.h>

/* EXPECTED: NULL where it is to give up. However it is cut. */
static void
assert_passed (const char *typed, const char *expected)
{
  gsize length = strlen (typed);

  for (gsize cut = 0; cut <= length; cut++) {
    g_autoptr (GByteArray) passed = g_byte_array_new ();
    HyphaTilde tilde = { 0 };
    gboolean on = hypha_tilde_take (&tilde, (const guint8 *) typed, cut, passed) &&
                  hypha_tilde_take (&tilde, (const guint8 *) typed + cut, length - cut, passed);

    g_assert_cmpint (on, ==, expected != NULL);
    if (expected != NULL)
      g_assert_cmpmem (passed->data, passed->len, expected, strlen (expected));
  }
}

static void
test_tilde_and_dot_at_the_beginning_of_a_line_give_up (void)
{
  assert_passed ("~.", NULL);
  assert_passed ("ls\r~.", NULL);
  assert_passed ("ls\n~.", NULL);
  assert_passed ("\r\r~.x", NULL);
}

static void
test_everything_else_is_passed_on (void)
{
  assert_passed ("", "");
  assert_passed ("ls ~.\r", "ls ~.\r");
  assert_passed ("~/x\r", "~/x\r");
  assert_passed (".~.", ".~.");
  assert_passed ("~x~.", "~x~.");
}

static void
test_two_tildes_are_one_and_no_beginning (void)
{
  assert_passed ("~~", "~");
  assert_passed ("~~.", "~.");
  assert_passed ("~~~.", "~~.");
  assert_passed ("~\r~~x", "~\r~x");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tilde/and-dot-at-the-beginning-of-a-line-give-up",
                   test_tilde_and_dot_at_the_beginning_of_a_line_give_up);
  g_test_add_func ("/tilde/everything-else-is-passed-on", test_everything_else_is_passed_on);
  g_test_add_func ("/tilde/two-are-one-and-no-beginning", test_two_tildes_are_one_and_no_beginning);
  return g_test_run ();
}
