/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "dbus/errors.h"
#include "dbus/paths.h"

static void
test_every_code_there_and_back (void)
{
  for (int code = HYPHA_ERROR_FAILED; code <= HYPHA_ERROR_PERMISSION_DENIED; code++) {
    g_autoptr (GError) error = g_error_new_literal (HYPHA_ERROR, code, "what happened: why");
    g_autofree char *name = g_dbus_error_encode_gerror (error);
    g_autoptr (GError) back = g_dbus_error_new_for_dbus_error (name, error->message);

    g_assert_cmpstr (name, ==, hypha_dbus_error_get_name (code));
    g_assert_true (g_str_has_prefix (name, "org.hypha.Error."));
    g_assert_true (g_dbus_is_interface_name (name));
    g_assert_error (back, HYPHA_ERROR, code);
    g_dbus_error_strip_remote_error (back);
    g_assert_cmpstr (back->message, ==, error->message);
  }
}

static void
test_names_are_distinct (void)
{
  g_autoptr (GHashTable) names = g_hash_table_new (g_str_hash, g_str_equal);

  for (int code = HYPHA_ERROR_FAILED; code <= HYPHA_ERROR_PERMISSION_DENIED; code++)
    g_assert_true (g_hash_table_add (names, (gpointer) hypha_dbus_error_get_name (code)));
  g_assert_cmpstr (hypha_dbus_error_get_name (HYPHA_ERROR_NOT_TRUSTED), ==,
                   "org.hypha.Error.NotTrusted");
  g_assert_cmpstr (hypha_dbus_error_get_name ((HyphaError) 9999), ==, "org.hypha.Error.Failed");
}

static void
test_text_there_and_back (void)
{
  for (int code = HYPHA_ERROR_FAILED; code <= HYPHA_ERROR_PERMISSION_DENIED; code++) {
    g_autoptr (GError) error = g_error_new_literal (HYPHA_ERROR, code, "Reset: of what: why");
    g_autofree char *text = hypha_dbus_error_to_text (error);
    g_autoptr (GError) back = hypha_dbus_error_from_text (text);

    g_assert_error (back, HYPHA_ERROR, code);
    g_assert_cmpstr (back->message, ==, error->message);
  }
}

static void
test_text_of_success_is_empty (void)
{
  g_autofree char *text = hypha_dbus_error_to_text (NULL);

  g_assert_cmpstr (text, ==, "");
  g_assert_null (hypha_dbus_error_from_text (""));
}

static void
test_text_of_another_origin_is_a_failure (void)
{
  g_autoptr (GError) foreign =
      g_error_new_literal (G_FILE_ERROR, G_FILE_ERROR_NOENT, "bad \xff byte");
  g_autofree char *text = hypha_dbus_error_to_text (foreign);
  g_autoptr (GError) unnamed = hypha_dbus_error_from_text ("Resetting: x");

  g_assert_true (g_str_has_prefix (text, "Failed: "));
  g_assert_true (g_utf8_validate (text, -1, NULL));
  g_assert_error (unnamed, HYPHA_ERROR, HYPHA_ERROR_FAILED);
  g_assert_cmpstr (unnamed->message, ==, "Resetting: x");
}

static void
test_paths_are_paths (void)
{
  const char *const names[] = { "", "tcp", "a-b", "a_b", "a_2db", "ü", "/", "..", "\x01", "2" };
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    char *path = hypha_dbus_path (HYPHA_DBUS_PLUGIN, names[i]);

    g_assert_true (g_variant_is_object_path (path));
    g_assert_true (g_str_has_prefix (path, "/org/hypha/Node1/plugin/"));
    /* Two names never share one. */
    g_assert_true (g_hash_table_add (seen, path));
  }
}

static void
test_path_is_escaped_in_hexadecimal (void)
{
  g_autofree char *path = hypha_dbus_path (HYPHA_DBUS_TRANSPORT, "web-socket_1");

  g_assert_cmpstr (path, ==, "/org/hypha/Node1/transport/web_2dsocket_5f1");
}

static void
test_path_of_no_link (void)
{
  g_autofree char *none = hypha_dbus_link_path (0);
  g_autofree char *most = hypha_dbus_link_path (G_MAXUINT64);

  g_assert_cmpstr (none, ==, "/");
  g_assert_cmpstr (most, ==, "/org/hypha/Node1/link/18446744073709551615");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  hypha_dbus_errors_register ();
  hypha_dbus_errors_register ();
  g_test_add_func ("/dbus/errors/every-code-there-and-back", test_every_code_there_and_back);
  g_test_add_func ("/dbus/errors/names-are-distinct", test_names_are_distinct);
  g_test_add_func ("/dbus/errors/text-there-and-back", test_text_there_and_back);
  g_test_add_func ("/dbus/errors/text-of-success-is-empty", test_text_of_success_is_empty);
  g_test_add_func ("/dbus/errors/text-of-another-origin-is-a-failure",
                   test_text_of_another_origin_is_a_failure);
  g_test_add_func ("/dbus/paths/are-paths", test_paths_are_paths);
  g_test_add_func ("/dbus/paths/escaped-in-hexadecimal", test_path_is_escaped_in_hexadecimal);
  g_test_add_func ("/dbus/paths/of-no-link", test_path_of_no_link);
  return g_test_run ();
}
