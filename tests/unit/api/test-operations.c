/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha-plugin.h>
#include <string.h>

#define TEST_TYPE_LISTENER (test_listener_get_type ())
G_DECLARE_FINAL_TYPE (TestListener, test_listener, TEST, LISTENER, HyphaListener)

struct _TestListener {
  HyphaListener parent_instance;
};

G_DEFINE_FINAL_TYPE (TestListener, test_listener, HYPHA_TYPE_LISTENER)

static void
test_listener_class_init (TestListenerClass *klass)
{
}

static void
test_listener_init (TestListener *self)
{
}

/* The transport is any object: operations only keep it alive. */
typedef struct {
  GObject *transport;
  HyphaOperations *operations;
  HyphaEndpoint *endpoint;
  GCancellable *cancellable;
  GError *error;
  guint returned;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->transport = g_object_new (G_TYPE_OBJECT, NULL);
  f->operations = hypha_operations_new ();
  f->endpoint = hypha_endpoint_new ("test", "//there", NULL);
  f->cancellable = g_cancellable_new ();
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  hypha_operations_free (f->operations);
  g_assert_finalize_object (f->transport);
  g_assert_finalize_object (f->cancellable);
  hypha_endpoint_unref (f->endpoint);
  g_clear_error (&f->error);
}

static void
on_returned (GObject *transport, GAsyncResult *result, gpointer data)
{
  Fixture *f = data;

  f->returned++;
  g_clear_error (&f->error);
  g_task_propagate_boolean (G_TASK (result), &f->error);
}

static GTask *
new_task (Fixture *f)
{
  return g_task_new (f->transport, f->cancellable, on_returned, f);
}

static void
run_until_returned (Fixture *f, guint n)
{
  while (f->returned < n)
    g_main_context_iteration (NULL, TRUE);
}

static void
test_caller (Fixture *f, gconstpointer data)
{
  g_autoptr (GTask) task = new_task (f);
  GCancellable *ends = hypha_operations_begin (f->operations, task, f->endpoint);

  g_assert_nonnull (ends);
  g_cancellable_cancel (f->cancellable);
  g_assert_false (g_cancellable_is_cancelled (ends)); /* not within the caller's call */
  while (!g_cancellable_is_cancelled (ends))
    g_main_context_iteration (NULL, TRUE);
  g_task_return_boolean (task, TRUE);
  run_until_returned (f, 1);
}

static void
test_cancelled_before (Fixture *f, gconstpointer data)
{
  g_autoptr (GTask) task = new_task (f);

  g_cancellable_cancel (f->cancellable);
  g_assert_null (hypha_operations_begin (f->operations, task, f->endpoint));
  run_until_returned (f, 1);
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
end_task (GCancellable *cancellable, gpointer data)
{
  g_autoptr (GTask) task = data;

  g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "ended");
}

/* Each goes as soon as it is cancelled, from within. */
static void
test_stop (Fixture *f, gconstpointer data)
{
  for (guint i = 0; i < 3; i++) {
    GTask *task = new_task (f);
    GCancellable *ends = hypha_operations_begin (f->operations, task, f->endpoint);

    g_cancellable_connect (ends, G_CALLBACK (end_task), task, NULL);
  }
  hypha_operations_stop (f->operations);
  g_assert_false (g_cancellable_is_cancelled (f->cancellable)); /* which is the caller's own */
  run_until_returned (f, 3);
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_stopped (Fixture *f, gconstpointer data)
{
  g_autoptr (GTask) task = new_task (f);

  hypha_operations_stop (f->operations);
  g_assert_null (hypha_operations_begin (f->operations, task, f->endpoint));
  run_until_returned (f, 1);
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_nonnull (strstr (f->error->message, "test://there"));
}

/* What has ended is not touched any more, by its caller or by stop. */
static void
test_ended (Fixture *f, gconstpointer data)
{
  GTask *task = new_task (f);

  g_assert_nonnull (hypha_operations_begin (f->operations, task, f->endpoint));
  g_task_return_boolean (task, TRUE);
  run_until_returned (f, 1);
  g_assert_no_error (f->error);
  g_assert_finalize_object (task);
  g_cancellable_cancel (f->cancellable);
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  hypha_operations_stop (f->operations);
}

/* A task lets go of its source object before it ends what belongs to it. */
static void
test_last_reference (Fixture *f, gconstpointer data)
{
  GObject *transport = g_object_new (G_TYPE_OBJECT, NULL);
  HyphaOperations *operations = hypha_operations_new ();
  GTask *task = g_task_new (transport, NULL, on_returned, f);

  g_object_set_data_full (transport, "operations", operations,
                          (GDestroyNotify) hypha_operations_free);
  g_assert_nonnull (hypha_operations_begin (operations, task, f->endpoint));
  g_object_add_weak_pointer (transport, (gpointer *) &transport);
  g_object_unref (transport);
  g_task_return_boolean (task, TRUE);
  run_until_returned (f, 1);
  g_assert_nonnull (transport);
  g_assert_finalize_object (task);
  g_assert_null (transport);
}

static HyphaListener *
new_listener (Fixture *f)
{
  return g_object_new (TEST_TYPE_LISTENER, "bound", f->endpoint, NULL);
}

static void
test_listeners (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaListener) open = new_listener (f);
  g_autoptr (HyphaListener) closed = new_listener (f);
  HyphaListener *gone = new_listener (f);

  hypha_operations_add_listener (f->operations, gone);
  hypha_operations_add_listener (f->operations, open);
  hypha_operations_add_listener (f->operations, closed);
  hypha_listener_close (closed);
  g_assert_finalize_object (gone);
  hypha_operations_stop (f->operations);
  g_assert_true (hypha_listener_is_closed (open));
}

static void
test_listeners_outlive (Fixture *f, gconstpointer data)
{
  HyphaOperations *operations = hypha_operations_new ();
  HyphaListener *listener = new_listener (f);

  hypha_operations_add_listener (operations, listener);
  hypha_operations_free (operations);
  g_assert_false (hypha_listener_is_closed (listener));
  g_assert_finalize_object (listener);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC) g_test_add ("/operations/" NAME, Fixture, NULL, set_up, FUNC, tear_down)
  ADD ("caller/cancels", test_caller);
  ADD ("caller/had-cancelled", test_cancelled_before);
  ADD ("stop/cancels-what-is-under-way", test_stop);
  ADD ("stop/lets-nothing-begin", test_stopped);
  ADD ("stop/closes-what-listens", test_listeners);
  ADD ("ended/is-not-touched", test_ended);
  ADD ("life/task-holds-the-last-reference", test_last_reference);
  ADD ("life/listeners-outlive-their-transport", test_listeners_outlive);
#undef ADD
  return g_test_run ();
}
