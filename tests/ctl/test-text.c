/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/table.h"
#include "ctl/text.h"

static void
assert_escaped (const char *text, const char *expected)
{
  g_autofree char *safe = hypha_ctl_escape (text);

  g_assert_cmpstr (safe, ==, expected);
}

static void
test_escape_leaves_text_alone (void)
{
  assert_escaped ("", "");
  assert_escaped ("tcp://[::1]:80 (é 日本)", "tcp://[::1]:80 (é 日本)");
}

static void
test_escape_defuses_control_characters (void)
{
  assert_escaped ("\x1b[31mred", "\\u{1b}[31mred");
  assert_escaped ("a\nb\tc\rd\x7f", "a\\u{a}b\\u{9}c\\u{d}d\\u{7f}");
  /* CSI as one character. */
  assert_escaped ("\xc2\x9b"
                  "2J",
                  "\\u{9b}2J");
}

static void
test_escape_defuses_what_turns_text_around (void)
{
  assert_escaped ("a\xe2\x80\xae"
                  "b",
                  "a\\u{202e}b");
  assert_escaped ("\xe2\x80\xa8", "\\u{2028}");
}

static void
test_escape_shows_what_is_invisible (void)
{
  assert_escaped ("we\u200bb\u034f1\ufe0f", "we\\u{200b}b\\u{34f}1\\u{fe0f}");
  assert_escaped ("\u3164\U000e0100", "\\u{3164}\\u{e0100}");
}

static void
test_escape_of_variants_keeps_the_value (void)
{
  g_autoptr (GVariant) value = g_variant_ref_sink (g_variant_new_parsed (
      "{%s: <[%s]>}", "a'\n\u2028\u2029\u202e\u200b\u034f", "\U000e0100\uf8ff\\é"));
  g_autofree char *printed = g_variant_print (value, FALSE);
  g_autofree char *safe = hypha_ctl_escape_variant (printed);
  g_autoptr (GVariant) again = g_variant_parse (g_variant_get_type (value), safe, NULL, NULL, NULL);

  g_assert_cmpstr (safe, ==,
                   "{\"a'\\n\\u2028\\u2029\\u202e\\u200b\\u034f\": "
                   "<['\\U000e0100\\uf8ff\\\\é']>}");
  g_assert_true (again && g_variant_equal (again, value));
}

static void
test_escape_shows_bytes_that_are_no_text (void)
{
  assert_escaped ("\xff\xc3", "\\xff\\xc3");
  assert_escaped ("\xc3"
                  "A",
                  "\\xc3A");
}

static void
test_escape_is_unambiguous (void)
{
  assert_escaped ("\\u{1b}", "\\\\u{1b}");
}

static void
test_escape_json_keeps_the_value (void)
{
  g_autofree char *safe =
      hypha_ctl_escape_json ("{\n  \"a\" : \"\xc2\x9b\xe2\x80\xae\xf3\xa0\x81\x81é\"\n}");

  g_assert_cmpstr (safe, ==, "{\n  \"a\" : \"\\u009b\\u202e\\udb40\\udc41é\"\n}");
}

static void
test_cut_fits_and_shows_that_something_is_missing (void)
{
  for (guint width = 1; width < 8; width++) {
    g_autofree char *narrow = hypha_ctl_text_cut ("abcdefgh", width);
    g_autofree char *wide = hypha_ctl_text_cut ("日本日本", width);

    g_assert_cmpuint (hypha_ctl_text_width (narrow), ==, width);
    g_assert_true (g_str_has_suffix (narrow, "…"));
    g_assert_cmpuint (hypha_ctl_text_width (wide), <=, width);
    g_assert_true (g_str_has_suffix (wide, "…"));
  }
  {
    g_autofree char *whole = hypha_ctl_text_cut ("abc", 3);

    g_assert_cmpstr (whole, ==, "abc");
  }
}

static HyphaTable *
make_table (void)
{
  HyphaTable *table = hypha_table_new ("NAME", ">COST", "ENDPOINT", NULL);

  hypha_table_add (table, g_strdup ("alpha"), g_strdup ("3"),
                   g_strdup ("unix:///run/hypha/a/very/long/path"));
  hypha_table_add (table, g_strdup ("b\x1b"), g_strdup ("1200"), g_strdup (""));
  return table;
}

static void
test_table_without_an_edge_is_whole (void)
{
  g_autoptr (HyphaTable) table = make_table ();
  g_autofree char *text = hypha_table_to_string (table, 0);

  g_assert_cmpstr (text, ==,
                   "NAME     COST  ENDPOINT\n"
                   "alpha       3  unix:///run/hypha/a/very/long/path\n"
                   "b\\u{1b}  1200\n");
}

static void
test_table_fits_the_terminal (void)
{
  for (guint width = 20; width < 60; width++) {
    g_autoptr (HyphaTable) table = make_table ();
    g_autofree char *text = hypha_table_to_string (table, width);
    g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

    for (char **line = lines; *line; line++)
      g_assert_cmpuint (hypha_ctl_text_width (*line), <=, width);
  }
}

static void
test_table_without_room_is_a_block_for_each_row (void)
{
  g_autoptr (HyphaTable) table = make_table ();
  g_autofree char *text = hypha_table_to_string (table, 20);

  g_assert_cmpstr (text, ==,
                   "NAME      alpha\n"
                   "COST      3\n"
                   "ENDPOINT  unix:///ru\n"
                   "          n/hypha/a/\n"
                   "          very/long/\n"
                   "          path\n"
                   "\n"
                   "NAME      b\\u{1b}\n"
                   "COST      1200\n");
}

static void
test_table_on_a_tiny_terminal_still_prints (void)
{
  g_autoptr (HyphaTable) table = make_table ();
  g_autofree char *text = hypha_table_to_string (table, 1);

  g_assert_nonnull (strstr (text, "alpha"));
}

static void
test_table_leaves_out_first_what_can_be_done_without (void)
{
  g_autoptr (HyphaTable) table = hypha_table_new ("NAME", "-LEFT", "=STATE", "-OUT", "+WHY", NULL);
  g_autofree char *narrow = NULL;
  g_autofree char *narrower = NULL;

  hypha_table_add (table, g_strdup ("alpha"), g_strdup ("a"), g_strdup ("up"), g_strdup ("b"),
                   g_strdup ("one two three four"));
  narrow = hypha_table_to_string (table, 38);
  narrower = hypha_table_to_string (table, 31);
  g_assert_cmpstr (narrow, ==,
                   "NAME   LEFT  STATE  WHY\n"
                   "alpha  a     up     one two three four\n");
  /* The reason is not cut, but goes on below. */
  g_assert_cmpstr (narrower, ==,
                   "NAME   STATE  WHY\n"
                   "alpha  up     one two three\n"
                   "              four\n");
}

static void
test_lines_are_taken_word_by_word (void)
{
  const char *rest = "one two  veryverylong e\xcc\x81\xe9\x9b\xbb";
  const char *const wanted[] = { "one two", "veryv", "erylo", "ng", "e\xcc\x81", "\xe9\x9b\xbb" };
  const guint widths[] = { 8, 5, 5, 5, 2, 1 };

  for (gsize i = 0; i < G_N_ELEMENTS (wanted); i++) {
    g_autofree char *line = hypha_ctl_text_take_line (&rest, widths[i]);

    g_assert_cmpstr (line, ==, wanted[i]);
  }
  g_assert_cmpstr (rest, ==, "");
}

static void
test_width_is_that_of_the_terminal (void)
{
  /* Two columns for a Chinese character, none for an accent of its own. */
  g_assert_cmpuint (hypha_ctl_text_width ("\xe9\x9b\xbb\xe8\x85\xa6"), ==, 4);
  g_assert_cmpuint (hypha_ctl_text_width ("e\xcc\x81"), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl/escape/leaves-text-alone", test_escape_leaves_text_alone);
  g_test_add_func ("/ctl/escape/defuses-control-characters",
                   test_escape_defuses_control_characters);
  g_test_add_func ("/ctl/escape/defuses-what-turns-text-around",
                   test_escape_defuses_what_turns_text_around);
  g_test_add_func ("/ctl/escape/shows-what-is-invisible", test_escape_shows_what_is_invisible);
  g_test_add_func ("/ctl/escape/of-variants-keeps-the-value",
                   test_escape_of_variants_keeps_the_value);
  g_test_add_func ("/ctl/escape/shows-bytes-that-are-no-text",
                   test_escape_shows_bytes_that_are_no_text);
  g_test_add_func ("/ctl/escape/is-unambiguous", test_escape_is_unambiguous);
  g_test_add_func ("/ctl/escape/json-keeps-the-value", test_escape_json_keeps_the_value);
  g_test_add_func ("/ctl/cut/fits-and-shows-that-something-is-missing",
                   test_cut_fits_and_shows_that_something_is_missing);
  g_test_add_func ("/ctl/table/without-an-edge-is-whole", test_table_without_an_edge_is_whole);
  g_test_add_func ("/ctl/table/fits-the-terminal", test_table_fits_the_terminal);
  g_test_add_func ("/ctl/table/without-room-is-a-block-for-each-row",
                   test_table_without_room_is_a_block_for_each_row);
  g_test_add_func ("/ctl/table/on-a-tiny-terminal-still-prints",
                   test_table_on_a_tiny_terminal_still_prints);
  g_test_add_func ("/ctl/table/leaves-out-first-what-can-be-done-without",
                   test_table_leaves_out_first_what_can_be_done_without);
  g_test_add_func ("/ctl/text/lines-are-taken-word-by-word", test_lines_are_taken_word_by_word);
  g_test_add_func ("/ctl/text/width-is-that-of-the-terminal", test_width_is_that_of_the_terminal);
  return g_test_run ();
}
