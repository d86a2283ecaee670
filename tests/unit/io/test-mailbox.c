/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>

#include "io/mailbox.h"

#define POSTERS 4
#define POSTS 5000

typedef struct {
  HyphaMailbox *mailbox;
  GThread *owner;
  guint next[POSTERS];
  guint total;
} Fixture;

typedef struct {
  Fixture *fixture;
  guint poster, number;
} Letter;

static void
setup (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->mailbox = hypha_mailbox_new (&error);
  g_assert_no_error (error);
  fixture->owner = g_thread_self ();
}

static void
teardown (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->mailbox, hypha_mailbox_free);
}

static void
deliver (gpointer data)
{
  Letter *letter = data;
  Fixture *fixture = letter->fixture;

  g_assert_true (g_thread_self () == fixture->owner);
  g_assert_cmpuint (fixture->next[letter->poster], ==, letter->number);
  fixture->next[letter->poster]++;
  fixture->total++;
  g_free (letter);
}

static void
post (Fixture *fixture, guint poster, guint number)
{
  Letter *letter = g_new (Letter, 1);

  *letter = (Letter){ fixture, poster, number };
  hypha_mailbox_post (fixture->mailbox, deliver, letter);
}

typedef struct {
  Fixture *fixture;
  guint poster;
} Poster;

static gpointer
poster_main (gpointer data)
{
  Poster *self = data;

  for (guint i = 0; i < POSTS; i++)
    post (self->fixture, self->poster, i);
  return NULL;
}

static void
test_many_threads (Fixture *fixture, gconstpointer data)
{
  GThread *threads[POSTERS];
  Poster posters[POSTERS];

  for (guint i = 0; i < POSTERS; i++) {
    posters[i] = (Poster){ fixture, i };
    threads[i] = g_thread_new ("poster", poster_main, &posters[i]);
  }
  while (fixture->total < POSTERS * POSTS)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < POSTERS; i++)
    g_thread_join (threads[i]);
}

static void
test_idle (Fixture *fixture, gconstpointer data)
{
  g_assert_false (g_main_context_iteration (NULL, FALSE));
  post (fixture, 0, 0);
  g_assert_true (g_main_context_iteration (NULL, FALSE));
  g_assert_cmpuint (fixture->total, ==, 1);
  g_assert_false (g_main_context_iteration (NULL, FALSE));
}

static void
post_another (gpointer data)
{
  Fixture *fixture = data;

  if (++fixture->total < 3)
    hypha_mailbox_post (fixture->mailbox, post_another, fixture);
}

static void
stop_posting (gpointer data)
{
  Fixture *fixture = data;

  fixture->total += 100;
}

static void
test_turns (Fixture *fixture, gconstpointer data)
{
  hypha_mailbox_post (fixture->mailbox, post_another, fixture);
  for (guint i = 1; i <= 3; i++) {
    g_main_context_iteration (NULL, FALSE);
    g_assert_cmpuint (fixture->total, ==, i);
  }
  g_assert_false (g_main_context_iteration (NULL, FALSE));
}

static void
test_free_delivers (Fixture *fixture, gconstpointer data)
{
  for (guint i = 0; i < 10; i++)
    post (fixture, 0, i);
  g_clear_pointer (&fixture->mailbox, hypha_mailbox_free);
  g_assert_cmpuint (fixture->total, ==, 10);
}

static void
free_mailbox (gpointer data)
{
  Fixture *fixture = data;

  g_clear_pointer (&fixture->mailbox, hypha_mailbox_free);
}

static void
test_free_within (Fixture *fixture, gconstpointer data)
{
  post (fixture, 0, 0);
  hypha_mailbox_post (fixture->mailbox, free_mailbox, fixture);
  post (fixture, 0, 1);
  hypha_mailbox_post (fixture->mailbox, stop_posting, fixture);
  g_assert_true (g_main_context_iteration (NULL, FALSE));
  g_assert_null (fixture->mailbox);
  g_assert_cmpuint (fixture->total, ==, 102);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC) g_test_add (NAME, Fixture, NULL, setup, FUNC, teardown)
  ADD ("/mailbox/each-thread-in-order", test_many_threads);
  ADD ("/mailbox/no-wake-up-without-post", test_idle);
  ADD ("/mailbox/posting-from-a-closure-waits-its-turn", test_turns);
  ADD ("/mailbox/free-delivers-the-rest", test_free_delivers);
  ADD ("/mailbox/freed-from-a-closure", test_free_within);
#undef ADD
  return g_test_run ();
}
