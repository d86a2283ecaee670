/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "loader-fixture.h"

#define TAKEN_UP_WITHIN (2 * G_TIME_SPAN_SECOND)

#define add(path, function) \
  g_test_add (path, LoaderFixture, NULL, loader_fixture_set_up, function, loader_fixture_tear_down)

static void
assert_taken_up_since (LoaderFixture *fixture, gint64 whole)
{
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_READY);
  g_assert_cmpint (g_get_monotonic_time () - whole, <, TAKEN_UP_WITHIN);
  loader_fixture_assert_serves (fixture, "good");
  g_assert_cmpstr (fixture->told->str, ==, "+good");
}

static void
test_copied (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");
  g_autoptr (GBytes) bytes = loader_fixture_read ("good");

  loader_fixture_start (fixture, NULL);
  loader_fixture_write (path, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  assert_taken_up_since (fixture, g_get_monotonic_time ());
}

static void
test_renamed (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_start (fixture, NULL);
  loader_fixture_put (fixture, "good", "good.so");
  assert_taken_up_since (fixture, g_get_monotonic_time ());
}

/* The writer takes its time, and never closes the file. */
static void
test_slow (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");
  g_autoptr (GBytes) bytes = loader_fixture_read ("good");
  gsize size = 0;
  const guint8 *contents = g_bytes_get_data (bytes, &size);
  gsize piece = size / 20 + 1;
  int fd;

  loader_fixture_start (fixture, NULL);
  fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  for (gsize done = 0; done < size; done += piece) {
    HyphaModule *module = loader_fixture_find (fixture, "good.so");

    g_assert_true (module == NULL || hypha_module_get_state (module) == HYPHA_MODULE_REFUSED);
    g_assert_cmpint (write (fd, contents + done, MIN (piece, size - done)), >, 0);
    if (done + piece < size)
      loader_fixture_iterate (100);
  }
  assert_taken_up_since (fixture, g_get_monotonic_time ());
  close (fd);
}

/* It pauses for long enough to be told as not whole. */
static void
test_paused (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");
  g_autoptr (GBytes) bytes = loader_fixture_read ("good");
  gsize size = 0;
  const guint8 *contents = g_bytes_get_data (bytes, &size);
  int fd;

  loader_fixture_start (fixture, NULL);
  fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  g_assert_cmpint (write (fd, contents, size - 100), ==, (gssize) size - 100);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_REFUSED);
  loader_fixture_assert_reason (fixture, "good.so", "not whole", path, NULL);
  g_assert_cmpint (write (fd, contents + size - 100, 100), ==, 100);
  assert_taken_up_since (fixture, g_get_monotonic_time ());
  close (fd);
}

/* Nothing tells of what is written through a mapping. */
static void
test_mapped (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");
  g_autoptr (GBytes) bytes = loader_fixture_read ("good");
  gsize size = 0;
  const guint8 *contents = g_bytes_get_data (bytes, &size);
  guint8 *mapping;
  int fd;

  loader_fixture_start (fixture, NULL);
  fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0755);
  g_assert_cmpint (ftruncate (fd, (off_t) size), ==, 0);
  mapping = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  g_assert_true (mapping != MAP_FAILED);
  /* All pages are written to once, so that the kernel does not notice the second time. */
  memset (mapping, 0, size);
  memcpy (mapping, contents, size / 2);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_REFUSED);
  memcpy (mapping, contents, size);
  assert_taken_up_since (fixture, g_get_monotonic_time ());
  munmap (mapping, size);
  close (fd);
}

static void
test_bad_one_comes_and_goes (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;

  loader_fixture_start (fixture, NULL);
  path = loader_fixture_copy (fixture, "wrong-magic", "wrong-magic.so");
  loader_fixture_wait (fixture, "wrong-magic.so", HYPHA_MODULE_REFUSED);
  g_assert_cmpint (g_unlink (path), ==, 0);
  loader_fixture_wait_gone (fixture, "wrong-magic.so");
}

/* Its code is loaded, but it never served anything. */
static void
test_failed_one_comes_and_goes (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "create-fails", "create-fails.so");

  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "create-fails.so", HYPHA_MODULE_FAILED);
  g_assert_cmpint (g_unlink (path), ==, 0);
  loader_fixture_wait_gone (fixture, "create-fails.so");
  loader_fixture_put (fixture, "create-fails", "create-fails.so");
  loader_fixture_wait (fixture, "create-fails.so", HYPHA_MODULE_FAILED);
}

static void
test_rival_comes_and_goes (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = NULL;

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  path = loader_fixture_copy (fixture, "rival", "rival.so");
  loader_fixture_wait (fixture, "rival.so", HYPHA_MODULE_REFUSED);
  g_assert_cmpint (g_unlink (path), ==, 0);
  loader_fixture_wait_gone (fixture, "rival.so");
  loader_fixture_assert_serves (fixture, "good");
  g_assert_cmpstr (fixture->told->str, ==, "+good");
}

/* Who served once is still told, even if another has its scheme by then. */
static void
test_outdone_one_goes (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");

  loader_fixture_start (fixture, NULL);
  loader_fixture_put (fixture, "usurper", "usurper.so");
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_REFUSED);
  g_assert_cmpint (g_unlink (path), ==, 0);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_STALE);
}

static void
test_mended (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");

  g_assert_cmpint (g_chmod (path, 0757), ==, 0);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_REFUSED);
  g_assert_cmpint (g_chmod (path, 0755), ==, 0);
  assert_taken_up_since (fixture, g_get_monotonic_time ());
}

static void
test_directory_mended (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_put (fixture, "good", "good.so");
  g_assert_cmpint (g_chmod (fixture->root, 0707), ==, 0);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_REFUSED);
  g_assert_cmpint (g_chmod (fixture->root, 0700), ==, 0);
  assert_taken_up_since (fixture, g_get_monotonic_time ());
}

static void
test_refused_one_replaced_by_good (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_path (fixture, "good.so");

  loader_fixture_write (path, "nothing", 7);
  loader_fixture_start (fixture, NULL);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_REFUSED);
  loader_fixture_put (fixture, "good", "good.so");
  assert_taken_up_since (fixture, g_get_monotonic_time ());
}

static void
test_taken_away_and_back (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");
  g_autoptr (GError) error = NULL;

  loader_fixture_start (fixture, NULL);
  g_assert_cmpint (g_unlink (path), ==, 0);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_STALE);
  loader_fixture_assert_reason (fixture, "good.so", "taken away", "put it back", path, NULL);
  g_assert_cmpstr (fixture->told->str, ==, "+good-good");
  g_assert_null (hypha_module_get_transport (loader_fixture_find (fixture, "good.so")));
  g_assert_null (hypha_loader_lookup (fixture->loader, "good", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT);
  g_assert_nonnull (strstr (error->message, "put it back"));
  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_READY);
  g_assert_cmpstr (fixture->told->str, ==, "+good-good+good");
  loader_fixture_assert_serves (fixture, "good");
}

/* Over the very bytes that a careless loader would have mapped. */
static void
overwrite_in_use (LoaderFixture *fixture)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");
  g_autoptr (GBytes) bytes = loader_fixture_read ("good-2");

  loader_fixture_start (fixture, NULL);
  g_assert_cmpint (truncate (path, 0), ==, 0);
  loader_fixture_assert_serves (fixture, "good");
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_STALE);
  loader_fixture_assert_reason (fixture, "good.so", "old code works on", "not whole", NULL);
  loader_fixture_write (path, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  loader_fixture_iterate (1000);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_STALE);
  loader_fixture_assert_reason (fixture, "good.so", "old code works on", "restart ", path, NULL);
  loader_fixture_assert_serves (fixture, "good");
  g_assert_cmpstr (hypha_module_get_version (loader_fixture_find (fixture, "good.so")), ==, "1.0");
  g_assert_cmpstr (fixture->told->str, ==, "+good");
}

/* In a process of its own: in this one the code may have come from another file. */
static void
test_overwritten_in_use (LoaderFixture *fixture, gconstpointer data)
{
  if (g_test_subprocess ()) {
    overwrite_in_use (fixture);
    return;
  }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
}

static void
test_replaced_and_restored (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  loader_fixture_put (fixture, "good-2", "good.so");
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_STALE);
  loader_fixture_assert_reason (fixture, "good.so", "another build", "restart ", NULL);
  loader_fixture_assert_serves (fixture, "good");
  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_READY);
  g_assert_cmpstr (fixture->told->str, ==, "+good");
}

static void
test_loosened_in_use (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");

  loader_fixture_start (fixture, NULL);
  g_assert_cmpint (g_chmod (path, 0757), ==, 0);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_STALE);
  loader_fixture_assert_reason (fixture, "good.so", "old code works on", "chmod o-w ", NULL);
  loader_fixture_assert_serves (fixture, "good");
}

static void
test_usurped_and_back (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *usurper = NULL;

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  usurper = loader_fixture_copy (fixture, "usurper", "usurper.so");
  loader_fixture_wait (fixture, "usurper.so", HYPHA_MODULE_READY);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_REFUSED);
  g_assert_cmpstr (fixture->told->str, ==, "+good-good+usurper");
  g_assert_cmpint (g_unlink (usurper), ==, 0);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_READY);
  loader_fixture_assert_state (fixture, "usurper.so", HYPHA_MODULE_STALE);
  g_assert_cmpstr (fixture->told->str, ==, "+good-good+usurper-usurper+good");
  loader_fixture_assert_serves (fixture, "good");
}

static void
test_newcomer_takes_nothing_from_its_equal (LoaderFixture *fixture, gconstpointer data)
{
  loader_fixture_put (fixture, "rival", "rival.so");
  loader_fixture_start (fixture, NULL);
  loader_fixture_put (fixture, "good", "good.so"); /* sorts first */
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_REFUSED);
  loader_fixture_assert_state (fixture, "rival.so", HYPHA_MODULE_READY);
  g_assert_cmpstr (fixture->told->str, ==, "+rival");
}

static void
test_directory_made_later (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *parent = g_build_filename (fixture->root, "a", "b", NULL);
  g_autofree char *directory = g_build_filename (parent, "c", NULL);
  const char *const directories[] = { directory, NULL };

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, directories);
  g_assert_cmpint (g_mkdir_with_parents (parent, 0755), ==, 0);
  loader_fixture_iterate (300);
  /* The whole directory at once, by a name that was not there. */
  g_assert_cmpint (g_rename (fixture->plugins, directory), ==, 0);
  loader_fixture_wait_told (fixture, "+good");
  loader_fixture_assert_serves (fixture, "good");
}

static void
test_directory_removed_and_made_again (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *path = loader_fixture_copy (fixture, "good", "good.so");

  loader_fixture_start (fixture, NULL);
  g_assert_cmpint (g_unlink (path), ==, 0);
  g_assert_cmpint (g_rmdir (fixture->plugins), ==, 0);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_STALE);
  g_assert_cmpint (g_mkdir (fixture->plugins, 0755), ==, 0);
  loader_fixture_iterate (300);
  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_READY);
  g_assert_cmpstr (fixture->told->str, ==, "+good-good+good");
}

static void
test_directory_renamed_away (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *away = g_build_filename (fixture->root, "away", NULL);

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_start (fixture, NULL);
  g_assert_cmpint (g_rename (fixture->plugins, away), ==, 0);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_STALE);
  g_assert_cmpint (g_rename (away, fixture->plugins), ==, 0);
  loader_fixture_wait (fixture, "good.so", HYPHA_MODULE_READY);
}

static void
on_removed_disable (HyphaLoader *loader, HyphaModule *module, gpointer data)
{
  const char *const all[] = { "good", NULL };

  hypha_loader_set_disabled (loader, all);
}

/* A handler may call the loader. */
static void
test_handler_calls_back (LoaderFixture *fixture, gconstpointer data)
{
  g_autofree char *good = loader_fixture_copy (fixture, "good", "good.so");

  loader_fixture_put (fixture, "rival", "rival.so");
  loader_fixture_start (fixture, NULL);
  g_signal_connect (fixture->loader, "transport-removed", G_CALLBACK (on_removed_disable), NULL);
  g_assert_cmpint (g_unlink (good), ==, 0);
  loader_fixture_wait (fixture, "rival.so", HYPHA_MODULE_DISABLED);
  loader_fixture_assert_serves_not (fixture, "good");
}

/* While nothing changes nothing wakes up: there is no timer, not even for a file that is bad for
 * ever. */
static void
test_idle_is_idle (LoaderFixture *fixture, gconstpointer data)
{
  GMainContext *context = g_main_context_default ();
  int priority, timeout = 0;

  loader_fixture_put (fixture, "good", "good.so");
  loader_fixture_put (fixture, "wrong-magic", "wrong-magic.so");
  loader_fixture_start (fixture, NULL);
  loader_fixture_iterate (500);
  g_assert_true (g_main_context_acquire (context));
  g_main_context_prepare (context, &priority);
  g_main_context_query (context, G_MAXINT, &timeout, NULL, 0);
  g_assert_cmpint (timeout, ==, -1);
  g_main_context_release (context);
  loader_fixture_assert_state (fixture, "good.so", HYPHA_MODULE_READY);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add ("/watch/copied-in-is-taken-up", test_copied);
  add ("/watch/renamed-into-place-is-taken-up", test_renamed);
  add ("/watch/copied-slowly-and-never-closed-is-taken-up", test_slow);
  add ("/watch/half-then-whole-is-taken-up", test_paused);
  add ("/watch/written-through-a-mapping-is-taken-up", test_mapped);
  add ("/watch/bad-one-comes-and-goes", test_bad_one_comes_and_goes);
  add ("/watch/failed-one-comes-and-goes", test_failed_one_comes_and_goes);
  add ("/watch/rival-comes-and-goes", test_rival_comes_and_goes);
  add ("/watch/outdone-one-goes-stale", test_outdone_one_goes);
  add ("/watch/mended-mode-is-taken-up", test_mended);
  add ("/watch/mended-directory-is-taken-up", test_directory_mended);
  add ("/watch/refused-one-replaced-by-good", test_refused_one_replaced_by_good);
  add ("/watch/taken-away-stops-and-comes-back", test_taken_away_and_back);
  add ("/watch/overwritten-in-use-is-stale-and-works-on", test_overwritten_in_use);
  add ("/watch/replaced-is-stale-until-restored", test_replaced_and_restored);
  add ("/watch/loosened-in-use-is-stale-and-works-on", test_loosened_in_use);
  add ("/watch/higher-priority-takes-over-and-gives-back", test_usurped_and_back);
  add ("/watch/newcomer-takes-nothing-from-its-equal", test_newcomer_takes_nothing_from_its_equal);
  add ("/watch/directory-made-later", test_directory_made_later);
  add ("/watch/directory-removed-and-made-again", test_directory_removed_and_made_again);
  add ("/watch/directory-renamed-away", test_directory_renamed_away);
  add ("/watch/handler-may-call-the-loader", test_handler_calls_back);
  add ("/watch/idle-is-idle", test_idle_is_idle);
  return g_test_run ();
}
