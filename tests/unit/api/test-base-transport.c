/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <hypha-plugin.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a listener and a transport that do nothing by themselves ---- */

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

#define TEST_TYPE_TRANSPORT (test_transport_get_type ())
G_DECLARE_FINAL_TYPE (TestTransport, test_transport, TEST, TRANSPORT, HyphaBaseTransport)

struct _TestTransport {
  HyphaBaseTransport parent_instance;

  GTask *task; /* the last one */
  GCancellable *ends;
  gboolean ends_at_once; /* a task returns as soon as it is cancelled, from within */
  gboolean refuses;
  int adopted; /* the descriptor */
};

static void test_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (TestTransport, test_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      test_transport_iface_init))

static void
end_task (GCancellable *cancellable, gpointer data)
{
  g_autoptr (GTask) task = data;

  g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "ended");
}

static void
keep (TestTransport *self, GTask *task, HyphaEndpoint *endpoint, GCancellable *cancellable)
{
  g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==, "test://there");
  self->task = task;
  self->ends = cancellable;
  if (self->ends_at_once)
    g_cancellable_connect (cancellable, G_CALLBACK (end_task), task, NULL);
}

static void
test_transport_connect (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                        guint timeout_ms, GCancellable *cancellable)
{
  g_assert_cmpuint (timeout_ms, ==, 1000);
  keep (TEST_TRANSPORT (transport), task, endpoint, cancellable);
}

static void
test_transport_listen (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                       GCancellable *cancellable)
{
  keep (TEST_TRANSPORT (transport), task, endpoint, cancellable);
}

static HyphaListener *
new_listener (void)
{
  g_autoptr (HyphaEndpoint) bound = hypha_endpoint_new ("test", "//there", NULL);

  return g_object_new (TEST_TYPE_LISTENER, "bound", bound, NULL);
}

static HyphaListener *
test_transport_adopt (HyphaBaseTransport *transport, int fd, const struct sockaddr *address,
                      socklen_t length, GError **error)
{
  TestTransport *self = TEST_TRANSPORT (transport);

  g_assert_cmpint (address->sa_family, ==, AF_UNIX);
  self->adopted = fd;
  if (!self->refuses)
    return new_listener ();
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "not mine");
  return NULL;
}

static const char *const *
test_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "test", NULL };

  return schemes;
}

static HyphaEndpoint *
test_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  return hypha_endpoint_ref (endpoint);
}

static void
test_transport_class_init (TestTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  base_class->connect = test_transport_connect;
  base_class->listen = test_transport_listen;
  base_class->adopt = test_transport_adopt;
}

static void
test_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = test_transport_get_schemes;
  iface->parse = test_transport_parse;
}

static void
test_transport_init (TestTransport *self)
{
  self->adopted = -1;
}

/* ---- the fixture ---- */

typedef struct {
  TestTransport *self;
  HyphaTransport *transport; /* the same */
  HyphaEndpoint *endpoint;
  GCancellable *cancellable;
  HyphaListener *listener;
  GError *error;
  guint returned;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->self = g_object_new (TEST_TYPE_TRANSPORT, NULL);
  f->transport = HYPHA_TRANSPORT (f->self);
  f->endpoint = hypha_endpoint_parse ("test://there?cost=3", NULL);
  f->cancellable = g_cancellable_new ();
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  g_clear_object (&f->listener);
  if (f->transport != NULL)
    g_assert_finalize_object (f->transport);
  g_assert_finalize_object (f->cancellable);
  hypha_endpoint_unref (f->endpoint);
  g_clear_error (&f->error);
}

static void
on_connected (GObject *transport, GAsyncResult *result, gpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  Fixture *f = data;

  f->returned++;
  g_clear_error (&f->error);
  channel = hypha_transport_connect_finish (HYPHA_TRANSPORT (transport), result, &f->error);
}

static void
on_listening (GObject *transport, GAsyncResult *result, gpointer data)
{
  Fixture *f = data;

  f->returned++;
  g_clear_error (&f->error);
  f->listener = hypha_transport_listen_finish (HYPHA_TRANSPORT (transport), result, &f->error);
}

static void
connect_there (Fixture *f)
{
  hypha_transport_connect_async (f->transport, f->endpoint, 1000, f->cancellable, on_connected, f);
}

static void
listen_there (Fixture *f)
{
  hypha_transport_listen_async (f->transport, f->endpoint, f->cancellable, on_listening, f);
}

static void
return_error (Fixture *f)
{
  g_autoptr (GTask) task = g_steal_pointer (&f->self->task);

  g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_CONNECT, "nobody there");
}

static void
return_listener (Fixture *f)
{
  g_autoptr (GTask) task = g_steal_pointer (&f->self->task);

  g_task_return_pointer (task, new_listener (), g_object_unref);
}

static void
run_until_returned (Fixture *f, guint n)
{
  while (f->returned < n)
    g_main_context_iteration (NULL, TRUE);
}

/* ---- what is under way ---- */

static void
test_caller (Fixture *f, gconstpointer data)
{
  connect_there (f);
  g_cancellable_cancel (f->cancellable);
  g_assert_false (g_cancellable_is_cancelled (f->self->ends)); /* not within the caller's call */
  while (!g_cancellable_is_cancelled (f->self->ends))
    g_main_context_iteration (NULL, TRUE);
  return_error (f);
  run_until_returned (f, 1);
}

static void
test_cancelled_before (Fixture *f, gconstpointer data)
{
  g_cancellable_cancel (f->cancellable);
  connect_there (f);
  run_until_returned (f, 1);
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (f->self->task);
}

static void
test_stop (Fixture *f, gconstpointer data)
{
  f->self->ends_at_once = TRUE;
  connect_there (f);
  listen_there (f);
  connect_there (f);
  hypha_transport_stop (f->transport);
  g_assert_false (g_cancellable_is_cancelled (f->cancellable)); /* which is the caller's own */
  run_until_returned (f, 3);
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_stopped (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  listen_there (f);
  run_until_returned (f, 1);
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_nonnull (strstr (f->error->message, "test://there"));
  g_assert_null (f->self->task);
}

/* What has ended is not touched any more, by its caller or by stop. */
static void
test_ended (Fixture *f, gconstpointer data)
{
  connect_there (f);
  return_error (f);
  run_until_returned (f, 1);
  g_assert_error (f->error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_cancellable_cancel (f->cancellable);
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  hypha_transport_stop (f->transport);
}

/* A task lets go of its source object before it ends what belongs to it. */
static void
test_last_reference (Fixture *f, gconstpointer data)
{
  connect_there (f);
  g_object_add_weak_pointer (G_OBJECT (f->transport), (gpointer *) &f->transport);
  g_object_unref (f->transport);
  return_error (f);
  run_until_returned (f, 1);
  while (f->transport != NULL)
    g_main_context_iteration (NULL, TRUE);
}

/* A plug-in that leaves them out is not worth the process. */
static void
test_missing_functions (Fixture *f, gconstpointer data)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_GET_CLASS (f->self);

  base_class->connect = NULL;
  base_class->listen = NULL;
  connect_there (f);
  run_until_returned (f, 1);
  g_assert_error (f->error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  g_assert_nonnull (strstr (f->error->message, "'connect'"));
  listen_there (f);
  run_until_returned (f, 2);
  g_assert_error (f->error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  g_assert_nonnull (strstr (f->error->message, "'listen'"));
  base_class->connect = test_transport_connect;
  base_class->listen = test_transport_listen;
}

/* ---- listeners ---- */

static void
listen_now (Fixture *f)
{
  guint n = f->returned;

  listen_there (f);
  return_listener (f);
  run_until_returned (f, n + 1);
  g_assert_no_error (f->error);
}

static void
test_listeners (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaListener) open = NULL;
  g_autoptr (HyphaListener) closed = NULL;

  listen_now (f);
  closed = g_steal_pointer (&f->listener);
  hypha_listener_close (closed);
  listen_now (f);
  g_assert_finalize_object (g_steal_pointer (&f->listener));
  listen_now (f);
  open = g_steal_pointer (&f->listener);
  hypha_transport_stop (f->transport);
  g_assert_true (hypha_listener_is_closed (open));
}

/* It listens, and nobody has been told yet. */
static void
test_stop_before_the_listener_is_taken (Fixture *f, gconstpointer data)
{
  listen_there (f);
  return_listener (f);
  hypha_transport_stop (f->transport);
  run_until_returned (f, 1);
  g_assert_true (f->listener == NULL || hypha_listener_is_closed (f->listener));
}

static void
test_listeners_outlive (Fixture *f, gconstpointer data)
{
  listen_now (f);
  while (g_main_context_iteration (NULL, FALSE))
    continue;
  g_assert_finalize_object (g_steal_pointer (&f->transport));
  g_assert_false (hypha_listener_is_closed (f->listener));
}

/* ---- sockets from outside ---- */

static int
new_socket (gboolean listening)
{
  const struct sockaddr_un unnamed = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  /* The kernel chooses an abstract name. */
  g_assert_cmpint (bind (fd, (const struct sockaddr *) &unnamed, sizeof unnamed.sun_family), ==, 0);
  if (listening)
    g_assert_cmpint (listen (fd, 1), ==, 0);
  return fd;
}

static gboolean
is_open (int fd)
{
  return fcntl (fd, F_GETFD) >= 0;
}

static void
test_adopts (Fixture *f, gconstpointer data)
{
  int fd = new_socket (TRUE);

  f->listener = hypha_transport_adopt (f->transport, fd, &f->error);
  g_assert_no_error (f->error);
  g_assert_true (is_open (f->self->adopted));
  hypha_transport_stop (f->transport);
  g_assert_true (hypha_listener_is_closed (f->listener));
  close (f->self->adopted);
  close (fd);
}

static void
test_closes_what_is_refused (Fixture *f, gconstpointer data)
{
  int fd = new_socket (TRUE);

  f->self->refuses = TRUE;
  g_assert_null (hypha_transport_adopt (f->transport, fd, &f->error));
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_false (is_open (f->self->adopted));
  close (fd);
}

static void
test_adopts_only_what_listens (Fixture *f, gconstpointer data)
{
  int fd = new_socket (FALSE);

  g_assert_null (hypha_transport_adopt (f->transport, fd, &f->error));
  g_assert_error (f->error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  g_assert_cmpint (f->self->adopted, ==, -1);
  close (fd);
}

static void
test_need_not_adopt (Fixture *f, gconstpointer data)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_GET_CLASS (f->self);
  int fd = new_socket (TRUE);
  int next = dup (fd); /* the number that the duplicate will have */

  close (next);
  base_class->adopt = NULL;
  g_assert_null (hypha_transport_adopt (f->transport, fd, &f->error));
  base_class->adopt = test_transport_adopt;
  g_assert_error (f->error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (f->error->message, "'test'"));
  g_assert_false (is_open (next));
  close (fd);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(NAME, FUNC) g_test_add ("/base-transport/" NAME, Fixture, NULL, set_up, FUNC, tear_down)
  ADD ("caller/cancels", test_caller);
  ADD ("caller/had-cancelled", test_cancelled_before);
  ADD ("plugin/without-functions-is-named", test_missing_functions);
  ADD ("stop/cancels-what-is-under-way", test_stop);
  ADD ("stop/lets-nothing-begin", test_stopped);
  ADD ("stop/closes-what-listens", test_listeners);
  ADD ("stop/comes-before-the-listener-is-taken", test_stop_before_the_listener_is_taken);
  ADD ("ended/is-not-touched", test_ended);
  ADD ("life/task-holds-the-last-reference", test_last_reference);
  ADD ("life/listeners-outlive-their-transport", test_listeners_outlive);
  ADD ("adopt/knows-the-listener", test_adopts);
  ADD ("adopt/closes-what-is-refused", test_closes_what_is_refused);
  ADD ("adopt/takes-only-what-listens", test_adopts_only_what_listens);
  ADD ("adopt/is-optional", test_need_not_adopt);
#undef ADD
  return g_test_run ();
}
