/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha-plugin.h>
#include <unistd.h>

#define RINGERS 4
#define KNOCKS 500
#define WAITING 64 /* at most, for somebody to be there */

/* ---- a listener ---- */

#define TEST_TYPE_LISTENER (test_listener_get_type ())
G_DECLARE_FINAL_TYPE (TestListener, test_listener, TEST, LISTENER, HyphaListener)

struct _TestListener {
  HyphaListener parent_instance;
  HyphaBell *bell;
};

G_DEFINE_FINAL_TYPE (TestListener, test_listener, HYPHA_TYPE_LISTENER)

static void
test_listener_close (HyphaListener *listener)
{
  g_clear_pointer (&TEST_LISTENER (listener)->bell, hypha_bell_close);
}

static void
test_listener_class_init (TestListenerClass *klass)
{
  HYPHA_LISTENER_CLASS (klass)->close = test_listener_close;
}

static void
test_listener_init (TestListener *self)
{
}

/* ---- who knocks ---- */

static gint freed; /* atomic */

typedef struct {
  guint ringer, number;
} Knock;

static void
knock_free (gpointer knock)
{
  g_atomic_int_inc (&freed);
  g_free (knock);
}

static void
ring (HyphaBell *bell, guint ringer, guint number)
{
  const Knock knock = { ringer, number };

  hypha_bell_ring (bell, g_memdup2 (&knock, sizeof knock));
}

/* ---- the fixture ---- */

typedef struct {
  HyphaListener *listener;
  HyphaBell *bell; /* held beside the listener */
  GThread *thread; /* of the listener */
  guint next[RINGERS];
  guint answered, accepted;
} Fixture;

static Fixture *fixture; /* what answer() is not given */

static HyphaChannel *
answer (HyphaListener *listener, gpointer data)
{
  g_autoptr (HyphaEndpoint) remote = hypha_endpoint_new ("test", "//there", NULL);
  const Knock *knock = data;
  int fds[2];

  g_assert_true (g_thread_self () == fixture->thread);
  g_assert_true (listener == fixture->listener);
  g_assert_cmpuint (knock->number, ==, fixture->next[knock->ringer]++);
  fixture->answered++;
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
  close (fds[1]);
  return hypha_channel_new (fds[0], NULL, remote, HYPHA_CHANNEL_NONE);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer data)
{
  Fixture *f = data;

  f->accepted++;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) bound = hypha_endpoint_new ("test", "//here", NULL);

  fixture = f;
  freed = 0;
  f->thread = g_thread_self ();
  f->listener = g_object_new (TEST_TYPE_LISTENER, "bound", bound, NULL);
  f->bell = hypha_bell_new (f->listener, answer, knock_free);
  TEST_LISTENER (f->listener)->bell = hypha_bell_ref (f->bell);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_listener_close (f->listener);
  g_assert_finalize_object (f->listener);
  g_clear_pointer (&f->bell, hypha_bell_unref);
  while (g_main_context_iteration (NULL, FALSE))
    continue;
}

/* ---- tests ---- */

typedef struct {
  HyphaBell *bell;
  guint ringer;
} Ringer;

static gpointer
ring_often (gpointer data)
{
  Ringer *ringer = data;

  for (guint i = 0; i < KNOCKS; i++)
    ring (ringer->bell, ringer->ringer, i);
  hypha_bell_unref (ringer->bell);
  return NULL;
}

/* Each, once, in the order of its thread, on the listener's. */
static void
test_all_are_let_in (Fixture *f, gconstpointer data)
{
  Ringer ringers[RINGERS];
  GThread *threads[RINGERS];

  for (guint i = 0; i < RINGERS; i++) {
    ringers[i] = (Ringer){ hypha_bell_ref (f->bell), i };
    threads[i] = g_thread_new ("ringer", ring_often, &ringers[i]);
  }
  while (f->accepted < RINGERS * KNOCKS)
    g_main_context_iteration (NULL, TRUE);
  for (guint i = 0; i < RINGERS; i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (f->answered, ==, RINGERS * KNOCKS);
  g_assert_cmpint (g_atomic_int_get (&freed), ==, RINGERS * KNOCKS);
}

static void
test_closed_lets_nobody_in (Fixture *f, gconstpointer data)
{
  ring (f->bell, 0, 0);
  ring (f->bell, 0, 1);
  hypha_listener_close (f->listener);
  /* At once, and not when somebody looks. */
  g_assert_cmpint (g_atomic_int_get (&freed), ==, 2);
  ring (f->bell, 0, 2);
  g_assert_cmpint (g_atomic_int_get (&freed), ==, 3);
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  g_assert_cmpuint (f->answered, ==, 0);
}

static void
close_listener (HyphaListener *listener, HyphaChannel *channel, gpointer data)
{
  hypha_listener_close (listener);
}

static void
test_closed_by_who_came_first (Fixture *f, gconstpointer data)
{
  g_signal_connect (f->listener, "accepted", G_CALLBACK (close_listener), NULL);
  for (guint i = 0; i < 3; i++)
    ring (f->bell, 0, i);
  while (f->accepted == 0)
    g_main_context_iteration (NULL, TRUE);
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  g_assert_cmpuint (f->accepted, ==, 1);
  g_assert_cmpuint (f->answered, ==, 1);
  g_assert_cmpint (g_atomic_int_get (&freed), ==, 3);
}

/* The bell is rung before whoever asked for the listener sees it. */
static void
test_waits_until_somebody_listens (Fixture *f, gconstpointer data)
{
  g_signal_handlers_disconnect_by_data (f->listener, f);
  ring (f->bell, 0, 0);
  g_assert_true (g_main_context_iteration (NULL, TRUE));
  g_assert_cmpuint (f->answered, ==, 0);
  ring (f->bell, 0, 1);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
  while (f->accepted < 2)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (g_atomic_int_get (&freed), ==, 2);
}

static void
take_one (HyphaListener *listener, HyphaChannel *channel, gpointer data)
{
  g_signal_handlers_disconnect_by_data (listener, data);
}

/* Whoever takes one and listens no more leaves the others, in their order. */
static void
test_waits_while_nobody_listens (Fixture *f, gconstpointer data)
{
  g_signal_connect (f->listener, "accepted", G_CALLBACK (take_one), f);
  for (guint i = 0; i < 3; i++)
    ring (f->bell, 0, i);
  while (f->accepted == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (f->accepted, ==, 1);
  g_assert_cmpuint (f->answered, ==, 1);
  ring (f->bell, 0, 3);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
  while (f->accepted < 4)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (f->answered, ==, 4);
}

/* Whoever comes and goes without end leaves nothing without end. */
static void
test_few_wait (Fixture *f, gconstpointer data)
{
  g_signal_handlers_disconnect_by_data (f->listener, f);
  for (guint i = 0; i < KNOCKS; i++)
    ring (f->bell, 0, i);
  g_assert_true (g_main_context_iteration (NULL, TRUE));
  g_assert_cmpint (g_atomic_int_get (&freed), ==, KNOCKS - WAITING);
  g_signal_connect (f->listener, "accepted", G_CALLBACK (on_accepted), f);
  while (f->accepted < WAITING)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (g_atomic_int_get (&freed), ==, KNOCKS);
}

static void
test_closed_while_nobody_listens (Fixture *f, gconstpointer data)
{
  g_signal_handlers_disconnect_by_data (f->listener, f);
  ring (f->bell, 0, 0);
  g_assert_true (g_main_context_iteration (NULL, TRUE));
  g_assert_cmpint (g_atomic_int_get (&freed), ==, 0);
  hypha_listener_close (f->listener);
  g_assert_cmpint (g_atomic_int_get (&freed), ==, 1);
  g_assert_cmpuint (f->answered, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/api/bell/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("all-are-let-in", test_all_are_let_in);
  ADD ("closed-lets-nobody-in", test_closed_lets_nobody_in);
  ADD ("closed-by-who-came-first", test_closed_by_who_came_first);
  ADD ("waits-until-somebody-listens", test_waits_until_somebody_listens);
  ADD ("waits-while-nobody-listens", test_waits_while_nobody_listens);
  ADD ("few-wait", test_few_wait);
  ADD ("closed-while-nobody-listens", test_closed_while_nobody_listens);
#undef ADD
  return g_test_run ();
}
