/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <hypha.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A transport whose every answer the test writes; what it leaves out works. */

static HyphaEndpoint *
new_endpoint (const char *uri)
{
  g_autoptr (GError) error = NULL;
  HyphaEndpoint *endpoint = hypha_endpoint_parse (uri, &error);

  g_assert_no_error (error);
  return endpoint;
}

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

typedef struct {
  const char *const *schemes;
  HyphaEndpoint *(*parse) (HyphaEndpoint *endpoint, GError **error);
  gboolean (*answer) (GError **error); /* of configure and probe */
  GObject *(*make) (GError **error);   /* of connect and listen */
  gboolean silent;                     /* connect gives no answer until it is told to */
  guint cost;
} Script;

static Script script;
static GTask *withheld;

#define TEST_TYPE_TRANSPORT (test_transport_get_type ())
G_DECLARE_FINAL_TYPE (TestTransport, test_transport, TEST, TRANSPORT, GObject)
struct _TestTransport {
  GObject parent_instance;
  gboolean stopped;
};

static void transport_init (HyphaTransportInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE (TestTransport, test_transport, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT, transport_init))

static const char *const *
get_schemes (HyphaTransport *transport)
{
  return script.schemes;
}

static HyphaEndpoint *
parse_well (HyphaEndpoint *endpoint, GError **error)
{
  return hypha_endpoint_new ("test", hypha_endpoint_get_rest (endpoint), endpoint);
}

static HyphaEndpoint *
parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  return script.parse (endpoint, error);
}

static gboolean
configure (HyphaTransport *transport, GVariant *options, GError **error)
{
  return script.answer (error);
}

static gboolean
probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  g_variant_dict_insert (details, "tried", "b", TRUE);
  return script.answer (error);
}

static guint
get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return script.cost;
}

static void
begin (HyphaTransport *transport, GCancellable *cancellable, GAsyncReadyCallback callback,
       gpointer user_data)
{
  /* Without a source object, which is also something that a plug-in may do. */
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);

  if (script.silent)
    withheld = g_steal_pointer (&task);
  else
    g_task_return_boolean (task, TRUE);
}

static void
connect_async (HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
               GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  begin (transport, cancellable, callback, user_data);
}

static HyphaChannel *
connect_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return (HyphaChannel *) script.make (error);
}

static HyphaListener *
adopt (HyphaTransport *transport, int fd, GError **error)
{
  close (fd);
  return (HyphaListener *) script.make (error);
}

static void
listen_async (HyphaTransport *transport, HyphaEndpoint *endpoint, GCancellable *cancellable,
              GAsyncReadyCallback callback, gpointer user_data)
{
  begin (transport, cancellable, callback, user_data);
}

static HyphaListener *
listen_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return (HyphaListener *) script.make (error);
}

static void
stop (HyphaTransport *transport)
{
  TEST_TRANSPORT (transport)->stopped = TRUE;
}

static void
transport_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = get_schemes;
  iface->parse = parse;
  iface->configure = configure;
  iface->probe = probe;
  iface->get_link_cost = get_link_cost;
  iface->connect_async = connect_async;
  iface->connect_finish = connect_finish;
  iface->listen_async = listen_async;
  iface->listen_finish = listen_finish;
  iface->stop = stop;
  iface->adopt = adopt;
}

static void
test_transport_class_init (TestTransportClass *klass)
{
}

static void
test_transport_init (TestTransport *self)
{
}

/* One that implements nothing at all. */
#define TEST_TYPE_EMPTY (test_empty_get_type ())
G_DECLARE_FINAL_TYPE (TestEmpty, test_empty, TEST, EMPTY, GObject)
struct _TestEmpty {
  GObject parent_instance;
};
G_DEFINE_FINAL_TYPE_WITH_CODE (TestEmpty, test_empty, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT, NULL))

static void
test_empty_class_init (TestEmptyClass *klass)
{
}

static void
test_empty_init (TestEmpty *self)
{
}

static const char *const good_schemes[] = { "test", "TEST-CONNECT", NULL };

typedef struct {
  HyphaTransport *transport;
  HyphaEndpoint *endpoint;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  script = (Script){ .schemes = good_schemes, .parse = parse_well };
  f->transport = g_object_new (TEST_TYPE_TRANSPORT, NULL);
  f->endpoint = new_endpoint ("test:there?cost=2");
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_endpoint_unref (f->endpoint);
  g_assert_finalize_object (f->transport);
}

static void
assert_breach (GError *error, const char *part)
{
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  g_assert_nonnull (strstr (error->message, "'test'"));
  if (strstr (error->message, part) == NULL)
    g_error ("'%s' does not name '%s'", error->message, part);
}

/* Schemes */

static void
test_schemes_are_checked (Fixture *f, gconstpointer data)
{
  static const char *const upper[] = { "Test", NULL };
  static const char *const empty[] = { "", NULL };
  static const char *const colon[] = { "test", "te:st", NULL };
  static const char *const none[] = { NULL };
  const char *const *const bad[] = { upper, empty, colon, none, NULL };

  g_assert_cmpstr (hypha_transport_get_schemes (f->transport)[0], ==, "test");
  g_assert_cmpstr (hypha_transport_get_schemes (f->transport)[1], ==, "TEST-CONNECT");
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    script.schemes = bad[i];
    g_assert_nonnull (hypha_transport_get_schemes (f->transport));
    g_assert_null (hypha_transport_get_schemes (f->transport)[0]);
  }
}

/* Parsing */

static HyphaEndpoint *
parse_nothing (HyphaEndpoint *endpoint, GError **error)
{
  return NULL;
}

static HyphaEndpoint *
parse_refusing (HyphaEndpoint *endpoint, GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT, "not like this");
  return NULL;
}

static HyphaEndpoint *
parse_with_error (HyphaEndpoint *endpoint, GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT, "but");
  return parse_well (endpoint, NULL);
}

static HyphaEndpoint *
parse_losing_options (HyphaEndpoint *endpoint, GError **error)
{
  return hypha_endpoint_new ("test", hypha_endpoint_get_rest (endpoint), NULL);
}

static HyphaEndpoint *
parse_other_scheme (HyphaEndpoint *endpoint, GError **error)
{
  return hypha_endpoint_new ("TEST-CONNECT", hypha_endpoint_get_rest (endpoint), endpoint);
}

static HyphaEndpoint *
parse_growing (HyphaEndpoint *endpoint, GError **error)
{
  g_autofree char *rest = g_strconcat (hypha_endpoint_get_rest (endpoint), "x", NULL);

  return hypha_endpoint_new ("test", rest, endpoint);
}

static HyphaEndpoint *
parse_once (HyphaEndpoint *endpoint, GError **error)
{
  if (g_str_equal (hypha_endpoint_get_rest (endpoint), "canonical"))
    return parse_refusing (endpoint, error);
  return hypha_endpoint_new ("test", "canonical", endpoint);
}

static HyphaEndpoint *
parse_unprintable (HyphaEndpoint *endpoint, GError **error)
{
  return hypha_endpoint_new ("te st", hypha_endpoint_get_rest (endpoint), endpoint);
}

static HyphaEndpoint *
parse_empty (HyphaEndpoint *endpoint, GError **error)
{
  return hypha_endpoint_new ("test", "", endpoint);
}

static void
test_parse_gives_the_canonical_form (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) spelled = new_endpoint ("TEST-CONNECT:there?cost=2");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) parsed = hypha_transport_parse (f->transport, spelled, &error);

  g_assert_no_error (error);
  g_assert_true (hypha_endpoint_equal (parsed, f->endpoint));
}

static void
test_parse_passes_errors_on (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  script.parse = parse_refusing;
  g_assert_null (hypha_transport_parse (f->transport, f->endpoint, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  g_assert_cmpstr (error->message, ==, "not like this");
}

static void
test_parse_breaches (Fixture *f, gconstpointer data)
{
  static const struct {
    HyphaEndpoint *(*parse) (HyphaEndpoint *endpoint, GError **error);
    const char *part;
  } table[] = {
    { parse_nothing, "parse failed without an error" },
    { parse_with_error, "parse succeeded with an error (but)" },
    { parse_losing_options, "changed the options" },
    { parse_other_scheme, "another scheme" },
    { parse_growing, "'test:therex?cost=2', which parses as 'test:therexx?cost=2'" },
    { parse_once, "'test:canonical?cost=2', which does not parse (not like this)" },
    { parse_unprintable, "which does not parse" },
    { parse_empty, "which does not parse" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GError) error = NULL;

    script.parse = table[i].parse;
    g_assert_null (hypha_transport_parse (f->transport, f->endpoint, &error));
    assert_breach (error, table[i].part);
  }
}

/* Yes or no */

static gboolean
answer_yes (GError **error)
{
  return TRUE;
}

static gboolean
answer_no (GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, "no module; modprobe it");
  return FALSE;
}

static gboolean
answer_yes_with_error (GError **error)
{
  answer_no (error);
  return TRUE;
}

static gboolean
answer_no_without_error (GError **error)
{
  return FALSE;
}

static void
test_configure_breaches (Fixture *f, gconstpointer data)
{
  g_autoptr (GVariant) options = g_variant_ref_sink (g_variant_new_parsed ("{'a': <1>}"));
  g_autoptr (GError) error = NULL;

  script.answer = answer_yes;
  g_assert_true (hypha_transport_configure (f->transport, options, &error));
  g_assert_no_error (error);
  script.answer = answer_no;
  g_assert_false (hypha_transport_configure (f->transport, options, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  script.answer = answer_yes_with_error;
  g_assert_false (hypha_transport_configure (f->transport, options, &error));
  assert_breach (error, "configure succeeded with an error");
  g_clear_error (&error);
  script.answer = answer_no_without_error;
  g_assert_false (hypha_transport_configure (f->transport, options, &error));
  assert_breach (error, "configure failed without an error");
}

static void
test_probe_breaches (Fixture *f, gconstpointer data)
{
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) error = NULL;

  script.answer = answer_yes;
  g_assert_true (hypha_transport_probe (f->transport, &details, &error));
  g_assert_no_error (error);
  g_assert_true (g_variant_dict_contains (&details, "tried"));
  g_assert_true (hypha_transport_probe (f->transport, NULL, &error));
  script.answer = answer_no;
  g_assert_false (hypha_transport_probe (f->transport, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  script.answer = answer_yes_with_error;
  g_assert_false (hypha_transport_probe (f->transport, NULL, &error));
  assert_breach (error, "probe succeeded with an error");
  g_clear_error (&error);
  script.answer = answer_no_without_error;
  g_assert_false (hypha_transport_probe (f->transport, NULL, &error));
  assert_breach (error, "probe failed without an error");
}

static void
test_link_cost_is_bounded (Fixture *f, gconstpointer data)
{
  script.cost = 5;
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, f->endpoint), ==, 5);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, NULL), ==, 5);
  script.cost = G_MAXUINT;
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, NULL), ==, 1000000);
}

static void
test_stop_reaches_the_plugin (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_assert_true (TEST_TRANSPORT (f->transport)->stopped);
}

/* Channels */

static int
new_socket (int flags)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | flags, 0, fds), ==, 0);
  close (fds[1]);
  return fds[0];
}

static GObject *
new_channel (int fd, const char *local, const char *remote)
{
  g_autoptr (HyphaEndpoint) local_endpoint = local != NULL ? new_endpoint (local) : NULL;
  g_autoptr (HyphaEndpoint) remote_endpoint = remote != NULL ? new_endpoint (remote) : NULL;

  return G_OBJECT (hypha_channel_new (fd, local_endpoint, remote_endpoint, HYPHA_CHANNEL_KERNEL));
}

static GObject *
make_channel (GError **error)
{
  return new_channel (new_socket (0), NULL, "test:there");
}

static GObject *
make_nothing (GError **error)
{
  return NULL;
}

static GObject *
make_error (GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT, "nobody there");
  return NULL;
}

static GObject *
make_channel_with_error (GError **error)
{
  make_error (error);
  return make_channel (NULL);
}

static GObject *
make_stolen (GError **error)
{
  GObject *channel = make_channel (NULL);

  close (hypha_channel_steal_fd (HYPHA_CHANNEL (channel)));
  return channel;
}

static GObject *
make_pipe (GError **error)
{
  int fds[2];

  g_assert_cmpint (pipe (fds), ==, 0);
  close (fds[1]);
  return new_channel (fds[0], NULL, NULL);
}

static GObject *
make_datagrams (GError **error)
{
  return new_channel (socket (AF_UNIX, SOCK_DGRAM, 0), NULL, NULL);
}

static GObject *
make_listening (GError **error)
{
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);
  sa_family_t unnamed = AF_UNIX; /* the kernel chooses an abstract name */

  g_assert_cmpint (bind (fd, (struct sockaddr *) &unnamed, sizeof unnamed), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  return new_channel (fd, NULL, NULL);
}

static GObject *
make_blocking (GError **error)
{
  int fd = new_socket (0);
  GObject *channel = new_channel (fd, NULL, NULL);

  g_assert_cmpint (fcntl (fd, F_SETFL, 0), ==, 0);
  return channel;
}

static GObject *
make_other_local (GError **error)
{
  return new_channel (new_socket (0), "other:here", NULL);
}

static GObject *
make_other_remote (GError **error)
{
  return new_channel (new_socket (0), NULL, "other:there");
}

static GObject *
make_object (GError **error)
{
  return g_object_new (G_TYPE_OBJECT, NULL);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer data)
{
  g_assert_true (HYPHA_IS_TRANSPORT (source));
  g_set_object ((GAsyncResult **) data, result);
}

static HyphaChannel *
connect_now (Fixture *f, guint timeout_ms, GCancellable *cancellable, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_transport_connect_async (f->transport, f->endpoint, timeout_ms, cancellable, on_result,
                                 &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return hypha_transport_connect_finish (f->transport, result, error);
}

static void
test_connect_gives_the_channel (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel = NULL;

  script.make = make_channel;
  channel = connect_now (f, 1000, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (HYPHA_IS_CHANNEL (channel));
}

static void
test_connect_passes_errors_on (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  script.make = make_error;
  g_assert_null (connect_now (f, 1000, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
}

static void
test_connect_breaches (Fixture *f, gconstpointer data)
{
  static const struct {
    GObject *(*make) (GError **error);
    const char *part;
  } table[] = {
    { make_nothing, "connect failed without an error" },
    { make_channel_with_error, "connect succeeded with an error (nobody there)" },
    { make_object, "something that is not a channel" },
    { make_stolen, "without an open descriptor" },
    { make_pipe, "not a stream socket" },
    { make_datagrams, "not a stream socket" },
    { make_listening, "listening socket" },
    { make_blocking, "blocks" },
    { make_other_local, "local endpoint has another scheme" },
    { make_other_remote, "remote endpoint has another scheme" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GError) error = NULL;

    script.make = table[i].make;
    g_assert_null (connect_now (f, 1000, NULL, &error));
    assert_breach (error, table[i].part);
  }
}

static gboolean
is_descriptor_open (int fd)
{
  return fcntl (fd, F_GETFD) >= 0;
}

static int late_fd;

static GObject *
make_late (GError **error)
{
  return new_channel (late_fd, NULL, NULL);
}

/* An answer after the deadline is no answer, and what it brings is closed. */
static void
test_connect_deadline_is_kept_for_the_plugin (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  script.make = make_late;
  script.silent = TRUE;
  g_assert_null (connect_now (f, 1, NULL, &error));
  assert_breach (error, "did not answer within its deadline");

  late_fd = new_socket (0);
  g_task_return_boolean (withheld, TRUE);
  g_clear_object (&withheld);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_false (is_descriptor_open (late_fd));
}

static void
test_connect_cancelled_closes_the_channel (Fixture *f, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  script.make = make_late;
  late_fd = new_socket (0);
  g_cancellable_cancel (cancellable);
  g_assert_null (connect_now (f, 1000, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_false (is_descriptor_open (late_fd));
}

/* Listeners */

static GObject *
new_listener (const char *bound)
{
  g_autoptr (HyphaEndpoint) endpoint = bound != NULL ? new_endpoint (bound) : NULL;

  return g_object_new (TEST_TYPE_LISTENER, "bound", endpoint, NULL);
}

static GObject *
make_listener (GError **error)
{
  return new_listener ("test:there?cost=2");
}

static GObject *
make_listener_with_error (GError **error)
{
  make_error (error);
  return make_listener (NULL);
}

static GObject *
make_listener_nowhere (GError **error)
{
  return new_listener (NULL);
}

static GObject *
make_listener_elsewhere (GError **error)
{
  return new_listener ("other:there");
}

static GObject *
make_listener_spelled (GError **error)
{
  return new_listener ("TEST-CONNECT:there");
}

static HyphaListener *
listen_now (Fixture *f, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_transport_listen_async (f->transport, f->endpoint, NULL, on_result, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return hypha_transport_listen_finish (f->transport, result, error);
}

static void
test_listen_gives_the_listener (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaListener) listener = NULL;

  script.make = make_listener;
  listener = listen_now (f, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_endpoint_equal (hypha_listener_get_bound (listener), f->endpoint));
}

static void
test_listen_breaches (Fixture *f, gconstpointer data)
{
  static const struct {
    GObject *(*make) (GError **error);
    const char *part;
  } table[] = {
    { make_nothing, "listen failed without an error" },
    { make_listener_with_error, "listen succeeded with an error" },
    { make_object, "something that is not a listener" },
    { make_listener_nowhere, "does not say where it is bound" },
    { make_listener_elsewhere, "'other:there', which has another scheme" },
    { make_listener_spelled, "'TEST-CONNECT:there', which has another scheme" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GError) error = NULL;

    script.make = table[i].make;
    g_assert_null (listen_now (f, &error));
    assert_breach (error, table[i].part);
  }
}

/* More than one canonical scheme */

static HyphaEndpoint *
parse_keeping_scheme (HyphaEndpoint *endpoint, GError **error)
{
  return hypha_endpoint_new (hypha_endpoint_get_scheme (endpoint),
                             hypha_endpoint_get_rest (endpoint), endpoint);
}

static GObject *
make_tests_channel (GError **error)
{
  return new_channel (new_socket (0), "tests:here", "tests:there");
}

static GObject *
make_tests_listener (GError **error)
{
  return new_listener ("tests:there");
}

static void
test_each_scheme_may_be_canonical (Fixture *f, gconstpointer data)
{
  static const char *const schemes[] = { "test", "tests", NULL };
  g_autoptr (HyphaEndpoint) spelled = new_endpoint ("tests:there?cost=2");
  g_autoptr (HyphaEndpoint) parsed = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  script.schemes = schemes;
  script.parse = parse_keeping_scheme;
  parsed = hypha_transport_parse (f->transport, spelled, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_endpoint_equal (parsed, spelled));
  script.make = make_tests_listener;
  listener = listen_now (f, &error);
  g_assert_no_error (error);
  g_assert_nonnull (listener);

  /* A channel has the scheme of what was dialled, and not another one of the transport's. */
  script.make = make_tests_channel;
  g_assert_null (connect_now (f, 1000, NULL, &error));
  assert_breach (error, "another scheme");
  g_clear_error (&error);
  hypha_endpoint_unref (f->endpoint);
  f->endpoint = g_steal_pointer (&parsed);
  channel = connect_now (f, 1000, NULL, &error);
  g_assert_no_error (error);
  g_assert_nonnull (channel);
}

/* Sockets of others */

static void
test_adopt_works_on_a_duplicate (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  int fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);

  script.make = make_listener;
  listener = hypha_transport_adopt (f->transport, fd, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_endpoint_equal (hypha_listener_get_bound (listener), f->endpoint));
  g_assert_cmpint (fcntl (fd, F_GETFD), >=, 0);
  close (fd);
}

static void
test_adopt_breaches (Fixture *f, gconstpointer data)
{
  static const struct {
    GObject *(*make) (GError **error);
    const char *part;
  } table[] = {
    { make_nothing, "adopt failed without an error" },
    { make_listener_with_error, "adopt succeeded with an error" },
    { make_object, "adopt gave something that is not a listener" },
    { make_listener_nowhere, "adopt gave a listener that does not say where it is bound" },
    { make_listener_elsewhere, "'other:there', which has another scheme" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GError) error = NULL;

    script.make = table[i].make;
    g_assert_null (hypha_transport_adopt (f->transport, STDIN_FILENO, &error));
    assert_breach (error, table[i].part);
  }
}

/* Nothing */

static void
test_missing_functions (void)
{
  HyphaTransport *transport = g_object_new (TEST_TYPE_EMPTY, NULL);
  g_autoptr (HyphaEndpoint) endpoint = new_endpoint ("test:there");
  g_autoptr (GVariant) none = g_variant_ref_sink (g_variant_new_parsed ("@a{sv} {}"));
  g_autoptr (GVariant) some = g_variant_ref_sink (g_variant_new_parsed ("{'a': <1>}"));
  g_autoptr (GAsyncResult) connected = NULL;
  g_autoptr (GAsyncResult) listening = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_transport_get_schemes (transport)[0]);
  g_assert_null (hypha_transport_parse (transport, endpoint, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  g_clear_error (&error);
  g_assert_true (hypha_transport_configure (transport, none, &error));
  g_assert_false (hypha_transport_configure (transport, some, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  g_clear_error (&error);
  g_assert_true (hypha_transport_probe (transport, NULL, &error));
  g_assert_cmpint (hypha_transport_get_vouching (transport), ==, HYPHA_VOUCHING_NONE);
  g_assert_false (hypha_transport_is_lossy (transport));
  g_assert_cmpuint (hypha_transport_get_link_cost (transport, NULL), ==, 1000000);

  hypha_transport_connect_async (transport, endpoint, 1000, NULL, on_result, &connected);
  hypha_transport_listen_async (transport, endpoint, NULL, on_result, &listening);
  while (connected == NULL || listening == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (hypha_transport_connect_finish (transport, connected, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  g_clear_error (&error);
  g_assert_null (hypha_transport_listen_finish (transport, listening, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  g_clear_error (&error);
  g_assert_null (hypha_transport_adopt (transport, STDIN_FILENO, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  g_clear_error (&error);
  HYPHA_TRANSPORT_GET_IFACE (transport)->adopt = NULL;
  g_assert_null (hypha_transport_adopt (transport, STDIN_FILENO, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  hypha_transport_stop (transport);
  g_clear_object (&connected);
  g_clear_object (&listening);
  g_assert_finalize_object (transport);
}

#define ADD(PATH, FUNC) g_test_add (PATH, Fixture, NULL, set_up, FUNC, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/transport/schemes/are-checked", test_schemes_are_checked);
  ADD ("/transport/parse/gives-the-canonical-form", test_parse_gives_the_canonical_form);
  ADD ("/transport/parse/passes-errors-on", test_parse_passes_errors_on);
  ADD ("/transport/parse/breaches", test_parse_breaches);
  ADD ("/transport/configure/breaches", test_configure_breaches);
  ADD ("/transport/probe/breaches", test_probe_breaches);
  ADD ("/transport/link-cost-is-bounded", test_link_cost_is_bounded);
  ADD ("/transport/stop-reaches-the-plug-in", test_stop_reaches_the_plugin);
  ADD ("/transport/connect/gives-the-channel", test_connect_gives_the_channel);
  ADD ("/transport/connect/passes-errors-on", test_connect_passes_errors_on);
  ADD ("/transport/connect/breaches", test_connect_breaches);
  ADD ("/transport/connect/deadline-is-kept-for-the-plug-in",
       test_connect_deadline_is_kept_for_the_plugin);
  ADD ("/transport/connect/cancelled-closes-the-channel",
       test_connect_cancelled_closes_the_channel);
  ADD ("/transport/listen/gives-the-listener", test_listen_gives_the_listener);
  ADD ("/transport/listen/breaches", test_listen_breaches);
  ADD ("/transport/schemes/each-may-be-canonical", test_each_scheme_may_be_canonical);
  ADD ("/transport/adopt/works-on-a-duplicate", test_adopt_works_on_a_duplicate);
  ADD ("/transport/adopt/breaches", test_adopt_breaches);
  g_test_add_func ("/transport/missing-functions", test_missing_functions);
  return g_test_run ();
}
