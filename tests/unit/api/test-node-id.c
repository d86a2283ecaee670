/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha.h>
#include <string.h>

#define ZEROS "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ONES "777777777777777777777777777777777777777777777777777q"

static void
test_known_values (void)
{
  static const struct {
    guint8 byte;
    const char *text;
  } table[] = {
    { 0x00, ZEROS },
    { 0xff, ONES },
    { 0x55, "kvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkvkq" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *text = NULL;
    HyphaNodeId id, expected;

    memset (expected.bytes, table[i].byte, sizeof expected.bytes);
    g_assert_true (hypha_node_id_parse (table[i].text, &id, &error));
    g_assert_no_error (error);
    g_assert_cmpmem (id.bytes, sizeof id.bytes, expected.bytes, sizeof expected.bytes);
    text = hypha_node_id_to_string (&expected);
    g_assert_cmpstr (text, ==, table[i].text);
  }
}

static void
test_every_bit_is_kept (void)
{
  for (guint round = 0; round < 1000; round++) {
    g_autofree char *text = NULL;
    HyphaNodeId id, again;

    for (guint i = 0; i < sizeof id.bytes; i++)
      id.bytes[i] = (guint8) g_test_rand_int_range (0, 256);
    text = hypha_node_id_to_string (&id);
    g_assert_cmpuint (strlen (text), ==, HYPHA_NODE_ID_CHARS);
    g_assert_true (hypha_node_id_parse (text, &again, NULL));
    g_assert_true (hypha_node_id_equal (&id, &again));
    g_assert_cmpuint (hypha_node_id_hash (&id), ==, hypha_node_id_hash (&again));

    again.bytes[g_test_rand_int_range (0, HYPHA_NODE_ID_BYTES)] ^=
        (guint8) (1u << g_test_rand_int_range (0, 8));
    g_assert_false (hypha_node_id_equal (&id, &again));
  }
}

/* Parses TEXT, which is bad, and expects PART in the message. */
static void
assert_refused (const char *text, const char *part)
{
  g_autoptr (GError) error = NULL;
  HyphaNodeId id, before;

  memset (&before, 0x5a, sizeof before);
  id = before;
  g_assert_false (hypha_node_id_parse (text, &id, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID);
  g_assert_nonnull (strstr (error->message, part));
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_true (hypha_node_id_equal (&id, &before));
}

static void
test_refuses_wrong_length (void)
{
  assert_refused ("", "0 characters");
  assert_refused (ZEROS "a", "53 characters");
  assert_refused (&ZEROS[1], "51 characters");
  assert_refused (ZEROS "====", "56 characters");
}

static void
test_refuses_strange_characters (void)
{
  static const char strange[] = { 'A', '0', '1', '8', '9', '=', ' ', '\n', '\x80' };

  for (guint i = 0; i < sizeof strange; i++) {
    char text[] = ZEROS;

    text[6] = strange[i];
    assert_refused (text, "character 7 ");
  }
}

static void
test_refuses_unused_bits (void)
{
  char text[] = ZEROS;
  guint accepted = 0;

  for (const char *last = "abcdefghijklmnopqrstuvwxyz234567"; *last != '\0'; last++) {
    HyphaNodeId id;

    text[HYPHA_NODE_ID_CHARS - 1] = *last;
    if (*last == 'a' || *last == 'q') {
      g_assert_true (hypha_node_id_parse (text, &id, NULL));
      accepted++;
    } else {
      assert_refused (text, "last character");
    }
  }
  g_assert_cmpuint (accepted, ==, 2);
}

static void
test_compares_as_unsigned_bytes (void)
{
  HyphaNodeId low = { { 0x7f, 0xff } };
  HyphaNodeId high = { { 0x80, 0x00 } };

  g_assert_cmpint (hypha_node_id_compare (&low, &high), <, 0);
  g_assert_cmpint (hypha_node_id_compare (&high, &low), >, 0);
  g_assert_cmpint (hypha_node_id_compare (&low, &low), ==, 0);
}

static void
test_boxed_type_copies (void)
{
  HyphaNodeId id = { { 1, 2, 3 } };
  g_auto (GValue) value = G_VALUE_INIT;
  g_autoptr (HyphaNodeId) copy = NULL;

  g_value_init (&value, HYPHA_TYPE_NODE_ID);
  g_value_set_boxed (&value, &id);
  copy = g_value_dup_boxed (&value);
  g_assert_true (copy != &id);
  g_assert_true (hypha_node_id_equal (copy, &id));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/node-id/known-values", test_known_values);
  g_test_add_func ("/node-id/every-bit-is-kept", test_every_bit_is_kept);
  g_test_add_func ("/node-id/parse/refuses-wrong-length", test_refuses_wrong_length);
  g_test_add_func ("/node-id/parse/refuses-strange-characters", test_refuses_strange_characters);
  g_test_add_func ("/node-id/parse/refuses-unused-bits", test_refuses_unused_bits);
  g_test_add_func ("/node-id/compares-as-unsigned-bytes", test_compares_as_unsigned_bytes);
  g_test_add_func ("/node-id/boxed-type-copies", test_boxed_type_copies);
  return g_test_run ();
}
