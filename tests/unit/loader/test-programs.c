/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "loader-fixture.h"
#include "program/transport.h"

/* Plug-ins that are programs, as the loader finds, checks and follows them. */

#define add(path, function) \
  g_test_add (path, LoaderFixture, NULL, loader_fixture_set_up, function, loader_fixture_tear_down)

static void
put_program (LoaderFixture *fixture, const char *name, const char *addition)
{
  g_autofree char *path = loader_fixture_path (fixture, name);
  g_autofree char *contents = NULL;
  g_autofree char *text = NULL;

  g_assert_true (g_file_get_contents (g_getenv ("HYPHA_TEST_UNRULY"), &contents, NULL, NULL));
  text = g_strconcat (contents, addition, NULL);
  loader_fixture_replace (path, text, strlen (text));
}

/* HOW: what the program does wrongly. */
static void
put_manifest_of (LoaderFixture *fixture, const char *name, const char *version, const char *command,
                 const char *how)
{
  g_autofree char *file = g_strconcat (name, ".json", NULL);
  g_autofree char *path = loader_fixture_path (fixture, file);
  g_autofree char *text = g_strdup_printf (
      "{\"protocol\": 1, \"name\": \"%s\", \"version\": \"%s\", \"schemes\": [\"%s\"], "
      "\"cost\": 7, \"options\": {\"depth\": \"integer\"}, \"command\": [\"%s\", \"%s\"]}",
      name, version, name, command, how);

  loader_fixture_replace (path, text, strlen (text));
}

static void
put_manifest (LoaderFixture *fixture, const char *name, const char *version, const char *command)
{
  put_manifest_of (fixture, name, version, command, "good");
}

static void
put (LoaderFixture *fixture)
{
  put_program (fixture, "unruly.py", "");
  put_manifest (fixture, "unruly", "1", "unruly.py");
}

static HyphaProgramTransport *
get_transport (LoaderFixture *fixture)
{
  return HYPHA_PROGRAM_TRANSPORT (
      hypha_module_get_transport (loader_fixture_find (fixture, "unruly.json")));
}

static int
get_pid (LoaderFixture *fixture)
{
  return hypha_program_transport_get_pid (get_transport (fixture));
}

static void
wait_for_the_end_of (int pid)
{
  g_assert_cmpint (pid, >, 0);
  for (guint i = 0; i < 200 && (kill (pid, 0) == 0 || errno != ESRCH); i++)
    loader_fixture_iterate (50);
  g_assert_cmpint (kill (pid, 0), ==, -1);
}

static void
test_good (LoaderFixture *fixture, gconstpointer data)
{
  g_autoptr (GVariant) details = NULL;
  HyphaModule *module;
  int pid;

  put (fixture);
  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  module = loader_fixture_find (fixture, "unruly.json");
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_READY);
  g_assert_cmpstr (hypha_module_get_name (module), ==, "unruly");
  g_assert_cmpstr (hypha_module_get_version (module), ==, "1");
  loader_fixture_assert_serves (fixture, "unruly");
  loader_fixture_assert_serves (fixture, "good");
  g_assert_cmpstr (fixture->told->str, ==, "+good+unruly");
  details = hypha_module_dup_details (module);
  g_assert_true (g_variant_lookup (details, "pid", "x", NULL));
  pid = get_pid (fixture);
  loader_fixture_stop (fixture);
  wait_for_the_end_of (pid);
}

typedef void (*Spoil) (LoaderFixture *fixture);

static void
check_bad (LoaderFixture *fixture, Spoil spoil, const char *first, const char *second)
{
  put (fixture);
  loader_fixture_put (fixture, "good", "good.so");
  spoil (fixture);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_REFUSED);
  loader_fixture_assert_reason (fixture, "unruly.json", first, second, NULL);
  loader_fixture_assert_serves_not (fixture, "unruly");
  loader_fixture_assert_serves (fixture, "good");
  g_assert_cmpstr (fixture->told->str, ==, "+good");
}

static void
change_mode (LoaderFixture *fixture, const char *name, mode_t mode)
{
  g_autofree char *path = loader_fixture_path (fixture, name);

  g_assert_cmpint (g_chmod (path, mode), ==, 0);
}

static void
make_program_writable (LoaderFixture *fixture)
{
  change_mode (fixture, "unruly.py", 0757);
}

static void
test_program_writable_by_others (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, make_program_writable, "unruly.py is not run, for", "chmod o-w");
}

static void
make_manifest_writable (LoaderFixture *fixture)
{
  change_mode (fixture, "unruly.json", 0646);
}

static void
test_manifest_writable_by_others (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, make_manifest_writable, "unruly.json can be written by others", "chmod o-w");
}

static void
make_program_no_program (LoaderFixture *fixture)
{
  change_mode (fixture, "unruly.py", 0644);
}

static void
test_program_without_its_mode (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, make_program_no_program, "unruly.py cannot be run", "chmod a+x");
}

static void
make_manifest_link (LoaderFixture *fixture)
{
  g_autofree char *path = loader_fixture_path (fixture, "unruly.json");
  g_autofree char *other = loader_fixture_path (fixture, "elsewhere");

  g_assert_cmpint (g_rename (path, other), ==, 0);
  g_assert_cmpint (symlink (other, path), ==, 0);
}

static void
test_manifest_that_is_a_link (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, make_manifest_link, "unruly.json is a symbolic link", "readlink");
}

static void
remove_program (LoaderFixture *fixture)
{
  g_autofree char *path = loader_fixture_path (fixture, "unruly.py");

  g_assert_cmpint (g_unlink (path), ==, 0);
}

static void
name_directory (LoaderFixture *fixture)
{
  put_manifest (fixture, "unruly", "1", "..");
}

static void
test_program_that_is_a_directory (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, name_directory, "is a directory", "no program");
}

static void
spoil_manifest (LoaderFixture *fixture)
{
  g_autofree char *path = loader_fixture_path (fixture, "unruly.json");

  loader_fixture_replace (path, "{\"protocol\": 1", 14);
}

static void
test_half_a_manifest (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, spoil_manifest, "no manifest", "after 14 of its 14 bytes");
}

/* A link, and a directory on the way to it that everybody may write to. */
static void
hide_program (LoaderFixture *fixture)
{
  g_autofree char *open = g_build_filename (fixture->root, "open", NULL);
  g_autofree char *there = g_build_filename (open, "unruly.py", NULL);
  g_autofree char *path = loader_fixture_path (fixture, "unruly.py");

  g_assert_cmpint (g_mkdir (open, 0755), ==, 0);
  g_assert_cmpint (g_rename (path, there), ==, 0);
  g_assert_cmpint (g_chmod (open, 0777), ==, 0);
  g_assert_cmpint (symlink ("../open/unruly.py", path), ==, 0);
}

static void
test_way_to_the_program (LoaderFixture *fixture, gconstpointer data)
{
  check_bad (fixture, hide_program, "unruly.py is not run, for", "/open");
}

static void
test_program_behind_a_link (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *there = g_build_filename (fixture->root, "there.py", NULL);
  g_autofree char *path = loader_fixture_path (fixture, "unruly.py");

  put (fixture);
  g_assert_cmpint (g_rename (path, there), ==, 0);
  g_assert_cmpint (symlink ("../there.py", path), ==, 0);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_READY);
}

static void
test_comes_when_its_program_does (LoaderFixture *fixture, gconstpointer data)
{
  put (fixture);
  remove_program (fixture);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_REFUSED);
  put_program (fixture, "unruly.py", "");
  loader_fixture_wait (fixture, "unruly.json", HYPHA_MODULE_READY);
  loader_fixture_assert_serves (fixture, "unruly");
}

static void
test_dropped_in_and_taken_away (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "unruly.json");
  int pid;

  loader_fixture_start (fixture, NULL);
  put (fixture);
  loader_fixture_wait_told (fixture, "+unruly");
  pid = get_pid (fixture);
  /* Its code is not in this process: nothing is left of it. */
  g_unlink (path);
  loader_fixture_wait_gone (fixture, "unruly.json");
  g_assert_cmpstr (fixture->told->str, ==, "+unruly-unruly");
  wait_for_the_end_of (pid);
  put (fixture);
  loader_fixture_wait_told (fixture, "+unruly-unruly+unruly");
}

static void
test_changed_is_taken_up (LoaderFixture *fixture, gconstpointer data)
{
  int pid;

  put (fixture);
  loader_fixture_start (fixture, NULL);
  pid = get_pid (fixture);
  /* Its manifest, */
  put_manifest (fixture, "unruly", "2", "unruly.py");
  loader_fixture_wait_told (fixture, "+unruly-unruly+unruly");
  wait_for_the_end_of (pid);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_READY);
  g_assert_cmpstr (hypha_module_get_version (loader_fixture_find (fixture, "unruly.json")), ==,
                   "2");
  pid = get_pid (fixture);
  /* and its program. */
  put_program (fixture, "unruly.py", "# changed\n");
  loader_fixture_wait_told (fixture, "+unruly-unruly+unruly-unruly+unruly");
  wait_for_the_end_of (pid);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_READY);
}

/* What is there now is not to be used: the old one works on, as code does. */
static void
test_changed_for_the_worse (LoaderFixture *fixture, gconstpointer data)
{
  int pid;

  put (fixture);
  loader_fixture_start (fixture, NULL);
  pid = get_pid (fixture);
  spoil_manifest (fixture);
  loader_fixture_wait (fixture, "unruly.json", HYPHA_MODULE_STALE);
  loader_fixture_assert_reason (fixture, "unruly.json", "the old code works on", "no manifest",
                                NULL);
  loader_fixture_assert_serves (fixture, "unruly");
  g_assert_cmpint (get_pid (fixture), ==, pid);
  put_manifest (fixture, "unruly", "1", "unruly.py");
  loader_fixture_wait (fixture, "unruly.json", HYPHA_MODULE_READY);
  g_assert_cmpint (get_pid (fixture), ==, pid);
  g_assert_cmpstr (fixture->told->str, ==, "+unruly");
}

/* Neither of them is to be used now; that must not be asked for ever. */
static void
test_both_changed_for_the_worse (LoaderFixture *fixture, gconstpointer data)
{
  int pid;

  put (fixture);
  loader_fixture_start (fixture, NULL);
  pid = get_pid (fixture);
  spoil_manifest (fixture);
  loader_fixture_wait (fixture, "unruly.json", HYPHA_MODULE_STALE);
  put_program (fixture, "unruly.py", "# changed\n");
  loader_fixture_iterate (1000);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_STALE);
  g_assert_cmpint (get_pid (fixture), ==, pid);
  put_manifest (fixture, "unruly", "1", "unruly.py");
  loader_fixture_wait_told (fixture, "+unruly-unruly+unruly");
  wait_for_the_end_of (pid);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_READY);
}

/* What is switched off is not looked at, whatever becomes of it. */
static void
test_changed_while_disabled (LoaderFixture *fixture, gconstpointer data)
{
  const char *const off[] = { "unruly", NULL };
  const char *const none[] = { NULL };

  put (fixture);
  make_program_writable (fixture);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_REFUSED);
  hypha_loader_set_disabled (fixture->loader, off);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_DISABLED);
  put_program (fixture, "unruly.py", "# changed\n");
  loader_fixture_iterate (1000);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_DISABLED);
  hypha_loader_set_disabled (fixture->loader, none);
  loader_fixture_wait (fixture, "unruly.json", HYPHA_MODULE_READY);
}

static void
test_disabled (LoaderFixture *fixture, gconstpointer data)
{
  const char *const off[] = { "unruly", NULL };
  const char *const none[] = { NULL };
  int pid;

  put (fixture);
  loader_fixture_start (fixture, NULL);
  pid = get_pid (fixture);
  hypha_loader_set_disabled (fixture->loader, off);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_DISABLED);
  wait_for_the_end_of (pid);
  hypha_loader_set_disabled (fixture->loader, none);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_READY);
  g_assert_cmpint (get_pid (fixture), !=, pid);
  g_assert_cmpstr (fixture->told->str, ==, "+unruly-unruly+unruly");
}

/* It says so while it is so. */
static void
test_failed_is_unavailable (LoaderFixture *fixture, gconstpointer data)
{
  int pid;

  put (fixture);
  loader_fixture_start (fixture, NULL);
  loader_fixture_iterate (200);
  pid = get_pid (fixture);
  kill (pid, SIGKILL);
  loader_fixture_wait (fixture, "unruly.json", HYPHA_MODULE_UNAVAILABLE);
  loader_fixture_assert_reason (fixture, "unruly.json", "signal 9", "started again after 1 s",
                                NULL);
  loader_fixture_wait (fixture, "unruly.json", HYPHA_MODULE_READY);
  g_assert_cmpint (get_pid (fixture), !=, pid);
  g_assert_cmpstr (fixture->told->str, ==, "+unruly");
}

/* By the program itself, which is asked at the same time whether it works. */
static void
test_options_are_refused (LoaderFixture *fixture, gconstpointer data)
{
  g_autoptr (GVariant) options =
      g_variant_ref_sink (g_variant_new_parsed ("{'unruly': {'depth': <int64 9>}}"));

  put_program (fixture, "unruly.py", "");
  put_manifest_of (fixture, "unruly", "1", "unruly.py", "probe-waits-for-refusal");
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_READY);
  g_assert_true (hypha_loader_set_options (fixture->loader, options, NULL));
  while (!hypha_program_transport_is_answering (get_transport (fixture)))
    loader_fixture_iterate (10);
  loader_fixture_assert_state (fixture, "unruly.json", HYPHA_MODULE_UNAVAILABLE);
  loader_fixture_assert_reason (fixture, "unruly.json", "does not take its options", "too deep",
                                NULL);
}

/* What it has waited for did not answer; it did. */
static void
test_unavailable_for_its_own_deadline (LoaderFixture *fixture, gconstpointer data)
{
  int pid;

  put_program (fixture, "unruly.py", "");
  put_manifest_of (fixture, "unruly", "1", "unruly.py", "times-out-at-probe");
  loader_fixture_start (fixture, NULL);
  pid = get_pid (fixture);
  loader_fixture_wait (fixture, "unruly.json", HYPHA_MODULE_UNAVAILABLE);
  loader_fixture_assert_reason (fixture, "unruly.json", "the loft did not answer", NULL);
  g_assert_cmpint (get_pid (fixture), ==, pid);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  add ("/programs/good", test_good);
  add ("/programs/refused/program-writable-by-others", test_program_writable_by_others);
  add ("/programs/refused/manifest-writable-by-others", test_manifest_writable_by_others);
  add ("/programs/refused/program-without-its-mode", test_program_without_its_mode);
  add ("/programs/refused/manifest-that-is-a-link", test_manifest_that_is_a_link);
  add ("/programs/refused/program-that-is-a-directory", test_program_that_is_a_directory);
  add ("/programs/refused/half-a-manifest", test_half_a_manifest);
  add ("/programs/refused/way-to-the-program", test_way_to_the_program);
  add ("/programs/program-behind-a-link", test_program_behind_a_link);
  add ("/programs/follow/comes-when-its-program-does", test_comes_when_its_program_does);
  add ("/programs/follow/dropped-in-and-taken-away", test_dropped_in_and_taken_away);
  add ("/programs/follow/changed-is-taken-up", test_changed_is_taken_up);
  add ("/programs/follow/changed-for-the-worse", test_changed_for_the_worse);
  add ("/programs/follow/both-changed-for-the-worse", test_both_changed_for_the_worse);
  add ("/programs/follow/changed-while-disabled", test_changed_while_disabled);
  add ("/programs/disabled", test_disabled);
  add ("/programs/failed-is-unavailable", test_failed_is_unavailable);
  add ("/programs/options-are-refused", test_options_are_refused);
  add ("/programs/unavailable-for-its-own-deadline", test_unavailable_for_its_own_deadline);
  return g_test_run ();
}
