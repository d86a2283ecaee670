/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One scenario, and perhaps one fault in it; see README.md.
 *
 *   torture SCENARIO                      runs it thrice; prints what was called, and what is open
 *   torture SCENARIO CALL NTH ERRNO OPEN  the first time with that fault; then OPEN descriptors are
 *                                         to be open, and it is to work again */

#include "fault.h"
#include "scenario.h"
#include "../unit/descriptors.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_US (20 * G_TIME_SPAN_SECOND)

static const Scenario scenarios[] = {
  { "key", scenario_key },       { "loop", scenario_loop },         { "many", scenario_many },
  { "plain", scenario_plain },   { "plug-ins", scenario_plug_ins }, { "program", scenario_program },
  { "pumped", scenario_pumped }, { "tls", scenario_tls },
};

static gboolean
wake (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

gboolean
scenario_wait (gboolean (*is_done) (gpointer data), gpointer data, const char *what, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + DEADLINE_US;
  guint tick = g_timeout_add (5, wake, NULL);
  gboolean done;

  while (!(done = is_done (data)) && g_get_monotonic_time () < deadline)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
  if (!done)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                 "%s: nothing came of it, not even an error", what);
  return done;
}

static void
list_descriptors (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename ("/proc/self/fd", name, NULL);
    g_autofree char *what = g_file_read_link (path, NULL);

    printf ("  %s: %s\n", name, what);
  }
}

/* Less than EXPECTED is no loss: one may still have been about to be closed when they were counted.
 */
static gboolean
is_steady (gpointer data)
{
  guint *expected = data;

  return count_descriptors () <= *expected;
}

static const Scenario *
find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (scenarios); i++)
    if (g_str_equal (scenarios[i].name, name))
      return &scenarios[i];
  return NULL;
}

static void
remove_folder (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *inside = g_build_filename (path, name, NULL);

    if (g_unlink (inside) < 0)
      remove_folder (inside);
  }
  g_rmdir (path);
}

static gboolean
run_well (const Scenario *scenario, const char *folder)
{
  g_autoptr (GError) error = NULL;

  if (scenario->run (folder, &error))
    return TRUE;
  printf ("without a fault: %s\n", error->message);
  return FALSE;
}

/* What GIO's own threads are about to close takes a moment. */
static gboolean
comes_back_to (guint n_open)
{
  if (scenario_wait (is_steady, &n_open, "descriptors", NULL))
    return TRUE;
  printf ("%u descriptors are open at the end, %u are when nothing fails\n", count_descriptors (),
          n_open);
  list_descriptors ();
  return FALSE;
}

/* The least that is seen after several runs is what stays open for good reasons. */
static int
count (const Scenario *scenario, const char *folder)
{
  guint least = G_MAXUINT;

  for (guint i = 0; i < 3; i++) {
    if (!run_well (scenario, folder))
      return EXIT_FAILURE;
    if (i == 0)
      fault_print_counts ();
    least = MIN (least, count_descriptors ());
  }
  if (!comes_back_to (least))
    return EXIT_FAILURE;
  printf ("open %u\n", least);
  return EXIT_SUCCESS;
}

static int
strike (const Scenario *scenario, const char *folder, char **words)
{
  g_autoptr (GError) error = NULL;
  guint expected = (guint) atoi (words[3]);
  gboolean passed;

  if (!fault_set (words[0], (guint) atoi (words[1]), atoi (words[2]))) {
    printf ("no call %s\n", words[0]);
    return EXIT_FAILURE;
  }
  passed = scenario->run (folder, &error);
  fault_clear ();
  printf ("%s; %s\n", fault_has_happened () ? "struck" : "not reached",
          passed ? "passed" : error->message);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    return EXIT_FAILURE;
  if (!passed && !fault_has_happened ())
    return EXIT_FAILURE;
  return run_well (scenario, folder) && comes_back_to (expected) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main (int argc, char **argv)
{
  const Scenario *scenario = argc == 2 || argc == 6 ? find (argv[1]) : NULL;
  g_autofree char *folder = NULL;
  int status;

  if (scenario == NULL) {
    fprintf (stderr, "usage: torture SCENARIO [CALL NTH ERRNO OPEN]\n");
    return 2;
  }
  g_main_context_default (); /* has a descriptor, which is to be there from the start */
  folder = g_dir_make_tmp ("hypha-torture-XXXXXX", NULL);
  status = argc == 2 ? count (scenario, folder) : strike (scenario, folder, argv + 2);
  remove_folder (folder);
  return status;
}
