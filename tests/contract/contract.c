/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "contract-fixture.h"
#include "contract-place.h"

/* The list of what is held, and what stands around each test. */

static const struct {
  const ContractTest *tests;
  gboolean hands_over; /* what they hold depends on how channels are handed over */
} tables[] = {
  { contract_endpoint_tests, FALSE }, { contract_channel_tests, TRUE },
  { contract_close_tests, TRUE },     { contract_many_tests, TRUE },
  { contract_listen_tests, FALSE },   { contract_connect_tests, TRUE },
  { contract_cancel_tests, TRUE },    { contract_adopt_tests, FALSE },
  { contract_rest_tests, TRUE },
};

/* One test of one transport. */
typedef struct {
  const Contract *contract;
  const ContractTest *test;
} Case;

/* ---- before ---- */

/* What an earlier test made of the kernel's settings or a transport lacks is no failure. */
static char *
find_reason_to_skip (const Case *self)
{
  const Contract *contract = self->contract;
  ContractNeeds needs = self->test->needs;
  char *why = NULL;

  if ((needs & NEEDS_NOTHING) && contract->made_anywhere)
    return NULL;
  if (contract->usable != NULL && !contract->usable (&why))
    return why;
  if ((needs & NEEDS_CHANNEL) && contract->fresh == NULL && contract->far == NULL)
    return g_strdup ("no endpoint is known on which it could listen");
  if ((needs & NEEDS_LISTENER) && contract->fresh == NULL)
    return g_strdup (contract->far == NULL ? "no endpoint is known on which it could listen"
                                           : "this transport only connects");
  return NULL;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  const Case *self = data;
  g_autoptr (GError) error = NULL;
  g_autofree char *why = find_reason_to_skip (self);

  f->contract = self->contract;
  f->held = g_array_new (FALSE, FALSE, sizeof (int));
  f->far = -1;
  f->directory = g_dir_make_tmp ("hypha-contract-XXXXXX", &error);
  g_assert_no_error (error);
  if (why != NULL) {
    f->skipped = TRUE;
    g_test_skip (why);
    return;
  }
  f->transport = f->contract->create ();
  g_assert_true (HYPHA_IS_TRANSPORT (f->transport));
  if (f->contract->begin != NULL)
    f->beside = f->contract->begin (f->directory);
}

static void
run (Fixture *f, gconstpointer data)
{
  const Case *self = data;

  if (!f->skipped)
    self->test->run (f);
}

/* ---- after ---- */

static void
let_go (Fixture *f)
{
  hypha_transport_stop (f->transport);
  if (f->contract->release == NULL) {
    g_assert_finalize_object (f->transport);
    return;
  }
  g_object_add_weak_pointer (G_OBJECT (f->transport), (gpointer *) &f->transport);
  f->contract->release (f->transport);
  if (f->transport != NULL)
    g_test_message ("somebody holds the transport still");
  g_assert_null (f->transport);
}

static gboolean
is_of_the_test (const char *name)
{
  return g_str_has_prefix (name, "silent") || g_str_equal (name, "handed-over") ||
         g_str_equal (name, "far");
}

/* What the transport left in DIRECTORY; NULL: nothing. */
static char *
find_left_behind (const char *directory)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (directory, 0, &error);
  const char *name;

  g_assert_no_error (error);
  while ((name = g_dir_read_name (dir)) != NULL && is_of_the_test (name))
    continue;
  return name != NULL ? g_build_filename (directory, name, NULL) : NULL;
}

static gboolean
is_tidy (gpointer directory)
{
  g_autofree char *path = find_left_behind (directory);

  return path == NULL;
}

/* A transport has to clean up; a program may be about to. */
static void
wait_until_tidy (const char *directory)
{
  g_autofree char *path = NULL;

  if (harness_wait (is_tidy, (gpointer) directory))
    return;
  path = find_left_behind (directory);
  if (path == NULL) /* just now */
    return;
  g_test_message ("left behind: %s", path);
  g_test_fail ();
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;

  for (guint i = 0; i < f->held->len; i++)
    close (g_array_index (f->held, int, i));
  g_array_unref (f->held);
  if (f->far >= 0)
    close (f->far);
  if (f->transport != NULL)
    let_go (f);
  if (f->beside != NULL)
    f->contract->end (f->beside);
  wait_until_tidy (f->directory);
  dir = g_dir_open (f->directory, 0, NULL);
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (f->directory, name, NULL);

    g_unlink (path);
  }
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->directory);
}

/* ---- the list ---- */

void
contract_init (int *argc, char ***argv)
{
  contract_place_enter ();
  g_test_init (argc, argv, NULL);
}

static gboolean
is_for (const ContractTest *test, const Contract *contract)
{
  return !(test->needs & (contract->lossy ? NEEDS_STREAM : NEEDS_LOSSY));
}

void
contract_add_tests (const Contract *contract)
{
  /* They last as long as the tests: for ever. */
  static GPtrArray *cases = NULL;

  if (cases == NULL)
    cases = g_ptr_array_new ();
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    for (const ContractTest *test = tables[i].tests; test->name != NULL; test++) {
      g_autofree char *path = g_strconcat ("/contract/", contract->name, "/", test->name, NULL);
      Case *self;

      if (!is_for (test, contract) || (contract->again && !tables[i].hands_over))
        continue;
      self = g_new (Case, 1);
      *self = (Case){ contract, test };
      g_ptr_array_add (cases, self);
      g_test_add (path, Fixture, self, set_up, run, tear_down);
    }
}

const char *
contract_get_test (guint n, const Contract *contract, const char **promise)
{
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    for (const ContractTest *test = tables[i].tests; test->name != NULL; test++)
      if ((contract == NULL || is_for (test, contract)) && n-- == 0) {
        *promise = test->promise;
        return test->name;
      }
  return NULL;
}
