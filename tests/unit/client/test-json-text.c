/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/json-text.h"

#include <math.h>
#include <string.h>

#include "hypha-error.h"
#include "../memory.h"

static JsonNode *
parse (const char *text, gsize length, GError **error)
{
  /* Whatever is read beyond the end is found by the sanitizer. */
  g_autofree char *copy = g_memdup2 (text, length);

  return hypha_json_text_parse (copy != NULL ? copy : "", length, 1 << 20, error);
}

static const char *const taken[][2] = {
  { "null", "null" },
  { " \t\r\n{ \"a\" : [ 1 , -2 , true , false , null ] } \r", "{\"a\":[1,-2,true,false,null]}" },
  { "[]", "[]" },
  { "{}", "{}" },
  { "\"\"", "\"\"" },
  { "{\"\":\"\"}", "{\"\":\"\"}" },
  { "0", "0" },
  { "-0", "0" },
  { "9223372036854775807", "9223372036854775807" },
  { "-9223372036854775808", "-9223372036854775808" },
  { "1.0", "1.0" },
  { "-1.5e0", "-1.5" },
  { "1E+2", "100.0" },
  { "5e-1", "0.5" },
  { "0.1", "0.1" },
  { "1e300", "1e+300" },
  { "1e-999", "0.0" },
  { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
  { "\"\\u0001\\u00e9\\u20AC\\ud83d\\uDE00\"", "\"\\u0001é€😀\"" },
  { "\"é€😀\"", "\"é€😀\"" },
  { "{\"a\\nb\":\"c\\nd\"}", "{\"a\\nb\":\"c\\nd\"}" },
};

static void
test_takes_what_is_json (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (taken); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) node = parse (taken[i][0], strlen (taken[i][0]), &error);
    g_autofree char *text = NULL;
    gsize length = 0;

    g_assert_no_error (error);
    text = hypha_json_text_print (node, &length, &error);
    g_assert_no_error (error);
    g_assert_cmpstr (text, ==, taken[i][1]);
    g_assert_cmpuint (length, ==, strlen (text));
  }
}

#define TEXT(TEXT) TEXT, sizeof TEXT - 1

static const struct {
  const char *text;
  gsize length;
  const char *why;
} refused[] = {
  { TEXT (""), "after 0 of its 0 bytes, a value is missing" },
  { TEXT ("  "), "after 2 of its 2 bytes, a value is missing" },
  { TEXT ("nul"), "a value is missing" },
  { TEXT ("nulls"), "after 4 of its 5 bytes, something follows its value" },
  { TEXT ("1 2"), "something follows its value" },
  { TEXT ("NaN"), "a value is missing" },
  { TEXT ("Infinity"), "a value is missing" },
  { TEXT ("'a'"), "a value is missing" },
  { TEXT ("/**/1"), "a value is missing" },
  { TEXT ("[1]//"), "something follows its value" },
  { TEXT ("var x=1"), "a value is missing" },
  { TEXT ("\xef\xbb\xbf"
          "1"),
    "a value is missing" },
  { TEXT ("\v1"), "a value is missing" },
  { TEXT ("["), "a value is missing" },
  { TEXT ("[1"), "an array goes on without a comma" },
  { TEXT ("[1 2]"), "an array goes on without a comma" },
  { TEXT ("[1,]"), "a value is missing" },
  { TEXT ("[,1]"), "a value is missing" },
  { TEXT ("[1}"), "an array goes on without a comma" },
  { TEXT ("]"), "a value is missing" },
  { TEXT ("{"), "a string is missing" },
  { TEXT ("{a:1}"), "a string is missing" },
  { TEXT ("{1:1}"), "a string is missing" },
  { TEXT ("{\"a\"}"), "is not followed by a colon" },
  { TEXT ("{\"a\":}"), "a value is missing" },
  { TEXT ("{\"a\":1,}"), "a string is missing" },
  { TEXT ("{\"a\":1 \"b\":2}"), "an object goes on without a comma" },
  { TEXT ("{\"a\":1,\"\\u0061\":2}"), "'a' is in an object for the second time" },
  { TEXT ("+1"), "a value is missing" },
  { TEXT ("01"), "something follows its value" },
  { TEXT ("0x10"), "something follows its value" },
  { TEXT ("-"), "a value is missing" },
  { TEXT (".5"), "a value is missing" },
  { TEXT ("1."), "no digits after its point" },
  { TEXT ("1e"), "no digits in its exponent" },
  { TEXT ("1e+"), "no digits in its exponent" },
  { TEXT ("9223372036854775808"), "does not fit into 64 bits" },
  { TEXT ("-9223372036854775809"), "does not fit into 64 bits" },
  { TEXT ("99999999999999999999999999"), "does not fit into 64 bits" },
  { TEXT ("1e999"), "a number is too large" },
  { TEXT ("-1e999"), "a number is too large" },
  { TEXT ("\""), "a string begins that has no end" },
  { TEXT ("\"\\\""), "a string begins that has no end" },
  { TEXT ("\"\\"), "a string begins that has no end" },
  { TEXT ("\"\\x41\""), "a backslash is followed by what has no meaning" },
  { TEXT ("\"\\u12\""), "not followed by four hexadecimal digits" },
  { TEXT ("\"\\u12g4\""), "not followed by four hexadecimal digits" },
  { TEXT ("\"a\nb\""), "a control character in a string" },
  { TEXT ("\"a\\u0000b\""), "a NUL character in a string" },
  { TEXT ("\"\\ud800\""), "half of a surrogate pair" },
  { TEXT ("\"\\ud800x\""), "half of a surrogate pair" },
  { TEXT ("\"\\ud800\\n\""), "half of a surrogate pair" },
  { TEXT ("\"\\ud800\\u0041\""), "half of a surrogate pair" },
  { TEXT ("\"\\ud800\\ud800\""), "half of a surrogate pair" },
  { TEXT ("\"\\udc00\\ud800\""), "half of a surrogate pair" },
  { TEXT ("1\0"), "after 1 of its 2 bytes, there is a NUL byte" },
  { TEXT ("\0\0\0\0"), "there is a NUL byte" },
  { TEXT ("\"a\0b\""), "there is a NUL byte" },
  { TEXT ("\"\xff\""), "after 1 of its 3 bytes, there is no UTF-8" },
  { TEXT ("\"\xed\xa0\x80\""), "there is no UTF-8" },
  { TEXT ("\"\xc0\x80\""), "there is no UTF-8" },
  { TEXT ("\"\xe2\x82"), "there is no UTF-8" },
};

static void
test_refuses_what_is_not (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) node = parse (refused[i].text, refused[i].length, &error);

    g_assert_null (node);
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    if (strstr (error->message, refused[i].why) == NULL)
      g_error ("%s: not %s but %s", refused[i].text, refused[i].why, error->message);
  }
}

/* DEPTH times what opens, and CLOSE as often. */
static char *
nest (guint depth, const char *open, const char *close)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < depth; i++)
    g_string_append (text, open);
  for (guint i = 0; i < depth; i++)
    g_string_append (text, close);
  return g_string_free (text, FALSE);
}

static void
test_bounds_the_depth (void)
{
  const char *const pairs[][2] = { { "[", "]" }, { "{\"a\":[", "]}" } };

  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++) {
    guint most = HYPHA_JSON_MAX_DEPTH / (i + 1);

    for (guint depth = most; depth <= 1000000; depth = depth == most ? most + 1 : depth * 125) {
      g_autofree char *text = nest (depth, pairs[i][0], pairs[i][1]);
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonNode) node = hypha_json_text_parse (text, strlen (text), G_MAXSIZE, &error);

      g_assert_cmpint (node != NULL, ==, depth == most);
      if (node != NULL)
        continue;
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
      g_assert_nonnull (strstr (error->message, "deeper in each other than 64 times"));
    }
  }
}

/* What is counted is what is used, or a little more. All is kept: what was freed would be used
 * again, and not be seen. */
static void
test_bounds_the_memory (void)
{
  g_autoptr (GPtrArray) kept = g_ptr_array_new_with_free_func ((GDestroyNotify) json_node_unref);
  const char *const values[] = {
    "0",         "1.5",
    "\"\"",      "\"0123456789012345678901234567890123456789\"",
    "null",      "[]",
    "[0]",       "{}",
    "{\"a\":0}", "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0}",
  };

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    GString *text = g_string_new ("[0");
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) node = NULL;
    gsize before, used;

    for (guint n = 0; n < 20000; n++)
      g_string_append_printf (text, ",%s", values[i]);
    g_string_append_c (text, ']');
    before = memory_in_use ();
    node = hypha_json_text_parse (text->str, text->len, G_MAXSIZE, &error);
    used = memory_in_use () - before;
    g_assert_no_error (error);
    g_ptr_array_add (kept, g_steal_pointer (&node));
    g_test_message ("%s: %zu bytes each", values[i], used / 20000);

    node = hypha_json_text_parse (text->str, text->len, used * 4, &error);
    g_assert_no_error (error);
    g_clear_pointer (&node, json_node_unref);
    node = hypha_json_text_parse (text->str, text->len, used - used / 20, &error);
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
    g_assert_nonnull (strstr (error->message, "its values take more memory than the"));
    g_string_free (text, TRUE);
  }
}

/* COUNT names: numbers, or such as have the same hash. */
static char *
name_many (guint count, gboolean alike)
{
  GString *text = g_string_new ("{");

  for (guint i = 0; i < count; i++) {
    g_string_append (text, i > 0 ? ",\"" : "\"");
    for (guint bit = 0; alike && bit < 14; bit++)
      g_string_append (text, i >> bit & 1 ? "Ez" : "FY");
    if (!alike)
      g_string_append_printf (text, "%u", i);
    g_string_append (text, "\":0");
  }
  g_string_append_c (text, '}');
  return g_string_free (text, FALSE);
}

static void
test_bounds_the_names (void)
{
  const struct {
    guint count;
    gboolean alike;
    const char *why; /* NULL: it is taken */
  } cases[] = {
    { 32, TRUE, NULL },
    { 33, TRUE, "names that are chosen" },
    { 10000, TRUE, "names that are chosen" },
    { 4096, FALSE, NULL },
    { 4097, FALSE, "an object has more than 4096 names" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = name_many (cases[i].count, cases[i].alike);
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) node = hypha_json_text_parse (text, strlen (text), G_MAXSIZE, &error);

    if (cases[i].why == NULL) {
      g_assert_no_error (error);
      g_assert_cmpuint (json_object_get_size (json_node_get_object (node)), ==, cases[i].count);
    } else {
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
      g_assert_nonnull (strstr (error->message, cases[i].why));
    }
  }
}

static void
assert_not_printed (JsonNode *node, const char *why)
{
  g_autoptr (GError) error = NULL;
  gsize length = 0;

  g_assert_null (hypha_json_text_print (node, &length, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, why));
}

static void
test_writes_nothing_that_is_not_json (void)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_VALUE);
  g_autoptr (JsonNode) empty = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new ();

  assert_not_printed (node, "a value that was not set");
  assert_not_printed (empty, "a value that was not set");
  json_node_set_double (node, NAN);
  assert_not_printed (node, "a number that is infinite or none");
  json_node_set_double (node, -INFINITY);
  assert_not_printed (node, "a number that is infinite or none");
  json_node_set_string (node, "\xff");
  assert_not_printed (node, "a string without UTF-8");
  json_node_take_object (empty, object);
  json_object_set_int_member (object, "\xff", 1);
  assert_not_printed (empty, "a string without UTF-8");
  json_object_remove_member (object, "\xff");
  for (guint i = 0; i <= HYPHA_JSON_MAX_NAMES; i++) {
    g_autofree char *name = g_strdup_printf ("%u", i);

    json_object_set_int_member (object, name, 1);
  }
  assert_not_printed (empty, "an object of more than 4096 names");

  g_clear_pointer (&node, json_node_unref);
  node = json_node_init_int (json_node_alloc (), 1);
  for (guint i = 0; i <= HYPHA_JSON_MAX_DEPTH; i++) {
    JsonNode *outer = json_node_new (JSON_NODE_ARRAY);

    json_node_take_array (outer, json_array_new ());
    json_array_add_element (json_node_get_array (outer), g_steal_pointer (&node));
    node = outer;
  }
  assert_not_printed (node, "deeper in each other than 64 times");
}

static void
test_reads_what_it_writes (void)
{
  const double numbers[] = { 0.1, 1e300, 5e-324, 1.7976931348623157e308, -0.0, 1e15, 1e16, 1e17 };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    g_autoptr (JsonNode) node = json_node_init_double (json_node_alloc (), numbers[i]);
    g_autoptr (JsonNode) again = NULL;
    g_autoptr (GError) error = NULL;
    gsize length = 0;
    g_autofree char *text = hypha_json_text_print (node, &length, &error);

    g_assert_no_error (error);
    again = parse (text, length, &error);
    g_assert_no_error (error);
    g_assert_true (json_node_equal (node, again));
  }
  for (guint c = 1; c < 0x300; c++) {
    g_autoptr (JsonNode) again = NULL;
    g_autoptr (GError) error = NULL;
    char text[8] = { 0 };
    g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
    JsonObject *object = json_object_new ();
    g_autofree char *printed = NULL;
    gsize length = 0;

    g_unichar_to_utf8 (c, text);
    json_object_set_string_member (object, text, text);
    json_node_take_object (node, object);
    printed = hypha_json_text_print (node, &length, &error);
    g_assert_no_error (error);
    g_assert_null (strchr (printed, '\n'));
    again = parse (printed, length, &error);
    g_assert_no_error (error);
    g_assert_true (json_node_equal (node, again));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json-text/takes-what-is-json", test_takes_what_is_json);
  g_test_add_func ("/json-text/refuses-what-is-not", test_refuses_what_is_not);
  g_test_add_func ("/json-text/bounds-the-depth", test_bounds_the_depth);
  g_test_add_func ("/json-text/bounds-the-memory", test_bounds_the_memory);
  g_test_add_func ("/json-text/bounds-the-names", test_bounds_the_names);
  g_test_add_func ("/json-text/writes-nothing-that-is-not-json",
                   test_writes_nothing_that_is_not_json);
  g_test_add_func ("/json-text/reads-what-it-writes", test_reads_what_it_writes);
  return g_test_run ();
}
