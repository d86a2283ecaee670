/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

/* In the place of libFuzzer, so that what a fuzzer has found stays found with every compiler: each
 * file of the folder that the first argument names is one test. */

static void
replay (gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *contents = NULL;
  g_autofree uint8_t *exact = NULL;
  gsize length;

  g_file_get_contents (data, &contents, &length, &error);
  g_assert_no_error (error);
  /* Without the zero byte that GLib puts behind it: the address sanitizer then sees a read too far.
   */
  exact = g_memdup2 (contents, length);
  LLVMFuzzerTestOneInput (exact, length);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) corpus = NULL;
  const char *name;
  guint n = 0;

  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (argc, ==, 2);
  corpus = g_dir_open (argv[1], 0, &error);
  g_assert_no_error (error);
  while ((name = g_dir_read_name (corpus)) != NULL) {
    g_autofree char *path = g_strconcat ("/fuzz/replay/", name, NULL);

    g_test_add_data_func_full (path, g_build_filename (argv[1], name, NULL), replay, g_free);
    n++;
  }
  g_assert_cmpuint (n, >, 0);
  return g_test_run ();
}
