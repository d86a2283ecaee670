/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tcp-bind.h"
#include "tcp.h"
#include "test-transport.h"

#define CONNECT_MS 20000

/* ---- a resolver that knows only what a test tells it ---- */

#define TEST_TYPE_RESOLVER (test_resolver_get_type ())
G_DECLARE_FINAL_TYPE (TestResolver, test_resolver, TEST, RESOLVER, GResolver)

struct _TestResolver {
  GResolver parent_instance;
  const char *const *addresses; /* of every name; NULL: it never answers */
};

G_DEFINE_FINAL_TYPE (TestResolver, test_resolver, G_TYPE_RESOLVER)

static gboolean
on_lookup_cancelled (GCancellable *cancellable, gpointer user_data)
{
  g_task_return_error_if_cancelled (user_data);
  return G_SOURCE_REMOVE;
}

static void
free_addresses (gpointer addresses)
{
  g_resolver_free_addresses (addresses);
}

static void
test_resolver_lookup_async (GResolver *resolver, const char *name, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data)
{
  TestResolver *self = TEST_RESOLVER (resolver);
  g_autoptr (GTask) task = g_task_new (resolver, cancellable, callback, user_data);
  GList *list = NULL;

  if (self->addresses == NULL) {
    g_autoptr (GSource) source = g_cancellable_source_new (cancellable);

    g_task_attach_source (task, source, G_SOURCE_FUNC (on_lookup_cancelled));
    return;
  }
  for (guint i = 0; self->addresses[i] != NULL; i++)
    list = g_list_append (list, g_inet_address_new_from_string (self->addresses[i]));
  if (list == NULL)
    g_task_return_new_error (task, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "no such name");
  else
    g_task_return_pointer (task, list, free_addresses);
}

static GList *
test_resolver_lookup_finish (GResolver *resolver, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
test_resolver_class_init (TestResolverClass *klass)
{
  G_RESOLVER_CLASS (klass)->lookup_by_name_async = test_resolver_lookup_async;
  G_RESOLVER_CLASS (klass)->lookup_by_name_finish = test_resolver_lookup_finish;
}

static void
test_resolver_init (TestResolver *self)
{
}

/* ---- helpers ---- */

typedef struct {
  HyphaTransport *transport;
  TestResolver *resolver;
  GResolver *before;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->before = g_resolver_get_default ();
  f->resolver = g_object_new (TEST_TYPE_RESOLVER, NULL);
  g_resolver_set_default (G_RESOLVER (f->resolver));
  f->transport = hypha_plugin_tcp.create (NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
  g_resolver_set_default (f->before);
  g_object_unref (f->before);
  g_object_unref (f->resolver);
}

static HyphaEndpoint *parse (Fixture *f, const char *format, ...) G_GNUC_PRINTF (2, 3);

static HyphaEndpoint *
parse (Fixture *f, const char *format, ...)
{
  g_autofree char *uri = NULL;
  va_list args;

  va_start (args, format);
  uri = g_strdup_vprintf (format, args);
  va_end (args);
  return transport_parse (f->transport, uri);
}

static guint
count_descriptors (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static int
listening_socket (const char *host, guint16 *port, int backlog)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons (*port) };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (inet_pton (AF_INET, host, &address.sin_addr), ==, 1);
  if (bind (fd, (struct sockaddr *) &address, length) < 0 || listen (fd, backlog) < 0) {
    close (fd);
    return -1;
  }
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  *port = ntohs (address.sin_port);
  return fd;
}

/* One port: at 127.0.0.1 somebody listens, at 127.0.0.2 somebody whose queue is full, at the rest
 * of 127/8 nobody. */
typedef struct {
  guint16 port;
  int good;
  int silent;
  int filling;
} Neighbours;

static Neighbours
neighbours_new (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET };
  Neighbours n;

  do {
    n.port = 0;
    n.good = listening_socket ("127.0.0.1", &n.port, 16);
    g_assert_cmpint (n.good, >=, 0);
    n.silent = listening_socket ("127.0.0.2", &n.port, 0);
    if (n.silent < 0)
      close (n.good);
  } while (n.silent < 0);
  inet_pton (AF_INET, "127.0.0.2", &address.sin_addr);
  address.sin_port = htons (n.port);
  n.filling = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (connect (n.filling, (struct sockaddr *) &address, sizeof address), ==, 0);
  return n;
}

static void
neighbours_clear (Neighbours *n)
{
  close (n->good);
  close (n->silent);
  close (n->filling);
}

/* ---- dialling ---- */

/* Nobody is at any of them, so each is tried as soon as the one before has failed, and the failures
 * are told in that order. */
static void
test_families_take_turns (Fixture *f, gconstpointer data)
{
  static const char *const addresses[] = { "127.0.0.3", "127.0.0.4", "127.0.0.5", "::1", NULL };
  static const char *const order[] = { "tcp://127.0.0.3:", "tcp://[::1]:", "tcp://127.0.0.4:",
                                       "tcp://127.0.0.5:", NULL };
  Neighbours n = neighbours_new ();
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://both.example:%u", n.port);
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  const char *at;

  f->resolver->addresses = addresses;
  channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_test_message ("%s", error->message);
  at = error->message;
  for (guint i = 0; order[i] != NULL; i++) {
    at = strstr (at, order[i]);
    g_assert_nonnull (at);
    at += strlen (order[i]);
  }
  neighbours_clear (&n);
}

static void
test_passes_one_that_hangs (Fixture *f, gconstpointer data)
{
  static const char *const addresses[] = { "127.0.0.2", "127.0.0.1", NULL };
  Neighbours n = neighbours_new ();
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://two.example:%u", n.port);
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin;
  guint before;

  f->resolver->addresses = addresses;
  /* The first time opens what GLib keeps for itself. */
  g_object_unref (transport_connect (f->transport, endpoint, CONNECT_MS, NULL));
  before = count_descriptors ();
  begin = g_get_monotonic_time ();
  channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (hypha_channel_get_host (channel), ==, "127.0.0.1");
  g_assert_true (hypha_endpoint_equal (hypha_channel_get_remote (channel), endpoint));
  g_assert_cmpint (g_get_monotonic_time () - begin, >=,
                   (HYPHA_INET_STAGGER_MS - 10) * G_TIME_SPAN_MILLISECOND);
  g_assert_cmpint (g_get_monotonic_time () - begin, <, CONNECT_MS / 2 * G_TIME_SPAN_MILLISECOND);
  /* The one that still hung has been closed. */
  g_assert_cmpuint (count_descriptors (), ==, before + 1);
  neighbours_clear (&n);
}

static void
test_does_not_wait_after_a_failure (Fixture *f, gconstpointer data)
{
  static const char *const addresses[] = { "127.0.0.3",  "127.0.0.4",  "127.0.0.5",  "127.0.0.6",
                                           "127.0.0.7",  "127.0.0.8",  "127.0.0.9",  "127.0.0.10",
                                           "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14",
                                           "127.0.0.1",  NULL };
  Neighbours n = neighbours_new ();
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://many.example:%u", n.port);
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();

  f->resolver->addresses = addresses;
  channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (hypha_channel_get_host (channel), ==, "127.0.0.1");
  /* Twelve waits would be three seconds. */
  g_assert_cmpint (g_get_monotonic_time () - begin, <,
                   6 * HYPHA_INET_STAGGER_MS * G_TIME_SPAN_MILLISECOND);
  neighbours_clear (&n);
}

static void
test_tells_every_failure (Fixture *f, gconstpointer data)
{
  static const char *const addresses[] = { "127.0.0.3", "127.0.0.4", NULL };
  Neighbours n = neighbours_new ();
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://none.example:%u", n.port);
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;

  f->resolver->addresses = addresses;
  channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, "tcp://none.example:"));
  g_assert_nonnull (strstr (error->message, "tcp://127.0.0.3:"));
  g_assert_nonnull (strstr (error->message, "tcp://127.0.0.4:"));
  neighbours_clear (&n);
}

static void
test_deadline_covers_all (Fixture *f, gconstpointer data)
{
  static const char *const addresses[] = { "127.0.0.3", "127.0.0.2", NULL };
  Neighbours n = neighbours_new ();
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://slow.example:%u", n.port);
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;

  f->resolver->addresses = addresses;
  channel = transport_connect (f->transport, endpoint, 400, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, "within 400 ms"));
  /* What failed before is not forgotten. */
  g_assert_nonnull (strstr (error->message, "tcp://127.0.0.3:"));
  neighbours_clear (&n);
}

static void
test_many_addresses_are_bounded (Fixture *f, gconstpointer data)
{
  Neighbours n = neighbours_new ();
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://hundreds.example:%u", n.port);
  g_autoptr (GPtrArray) addresses = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 200; i++)
    g_ptr_array_add (addresses, g_strdup_printf ("127.0.1.%u", i));
  g_ptr_array_add (addresses, NULL);
  f->resolver->addresses = (const char *const *) addresses->pdata;
  channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_nonnull (strstr (error->message, "none of its 16 addresses"));
  neighbours_clear (&n);
}

static void
test_lookup_fails (Fixture *f, gconstpointer data)
{
  static const char *const none[] = { NULL };
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://nobody.example:80");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) listen_error = NULL;

  f->resolver->addresses = none;
  channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_nonnull (
      strstr (error->message, "tcp://nobody.example:80: the name cannot be resolved"));
  listener = transport_listen (f->transport, endpoint, &listen_error);
  g_assert_error (listen_error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
}

static void
test_lookup_has_the_deadline (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://silent.example:80");
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;

  channel = transport_connect (f->transport, endpoint, 100, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, "name was not resolved in time"));
}

static void
test_lookup_is_cancelled (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://silent.example:80");

  for (guint listening = 0; listening < 2; listening++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (GObject) outcome = NULL;
    g_autoptr (GError) error = NULL;

    if (listening)
      hypha_transport_listen_async (f->transport, endpoint, cancellable, keep_result, &result);
    else
      hypha_transport_connect_async (f->transport, endpoint, CONNECT_MS, cancellable, keep_result,
                                     &result);
    g_main_context_iteration (NULL, FALSE);
    g_assert_null (result);
    g_cancellable_cancel (cancellable);
    wait_result (&result);
    if (listening)
      outcome = (GObject *) hypha_transport_listen_finish (f->transport, result, &error);
    else
      outcome = (GObject *) hypha_transport_connect_finish (f->transport, result, &error);
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
}

static void
test_stop_ends_lookups (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://silent.example:80");
  g_autoptr (GAsyncResult) connecting = NULL;
  g_autoptr (GAsyncResult) listening = NULL;
  g_autoptr (GError) connect_error = NULL;
  g_autoptr (GError) listen_error = NULL;

  hypha_transport_connect_async (f->transport, endpoint, CONNECT_MS, NULL, keep_result,
                                 &connecting);
  hypha_transport_listen_async (f->transport, endpoint, NULL, keep_result, &listening);
  hypha_transport_stop (f->transport);
  wait_result (&connecting);
  wait_result (&listening);
  g_assert_null (hypha_transport_connect_finish (f->transport, connecting, &connect_error));
  g_assert_error (connect_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_null (hypha_transport_listen_finish (f->transport, listening, &listen_error));
  g_assert_error (listen_error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_any_is_for_listening (Fixture *f, gconstpointer data)
{
  static const char *const uris[] = { "tcp://any:80", "tcp://0.0.0.0:80", "tcp://127.0.0.1:0" };

  for (guint i = 0; i < G_N_ELEMENTS (uris); i++) {
    g_autoptr (HyphaEndpoint) endpoint = parse (f, "%s", uris[i]);
    g_autoptr (HyphaChannel) channel = NULL;
    g_autoptr (GError) error = NULL;

    channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  }
}

static void
test_unknown_scope (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://[fe80::1%%25nosuch0]:80");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) listen_error = NULL;

  channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_nonnull (strstr (error->message, "'nosuch0'"));
  listener = transport_listen (f->transport, endpoint, &listen_error);
  g_assert_error (listen_error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (listen_error->message, "'nosuch0'"));
}

/* ---- listening ---- */

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_ptr_array_add (user_data, g_object_ref (channel));
}

static guint16
get_port (HyphaListener *listener)
{
  g_autofree char *host = NULL;
  guint32 port = 0;

  g_assert_true (hypha_endpoint_split_host_port (hypha_listener_get_bound (listener), G_MAXUINT16,
                                                 &host, &port, NULL));
  return (guint16) port;
}

static void
test_any_is_dual_stack (Fixture *f, gconstpointer data)
{
  static const char *const hosts[] = { "127.0.0.1", "::1" };
  g_autoptr (GPtrArray) accepted = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (HyphaEndpoint) any = parse (f, "tcp://any:0");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  listener = transport_listen (f->transport, any, &error);
  g_assert_no_error (error);
  if (!g_str_has_prefix (hypha_endpoint_to_string (hypha_listener_get_bound (listener)),
                         "tcp://[::]:")) {
    g_test_skip ("this machine has no IPv6");
    return;
  }
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), accepted);
  for (guint i = 0; i < G_N_ELEMENTS (hosts); i++) {
    g_autoptr (HyphaEndpoint) endpoint =
        parse (f, i == 0 ? "tcp://%s:%u" : "tcp://[%s]:%u", hosts[i], get_port (listener));
    g_autoptr (HyphaChannel) channel =
        transport_connect (f->transport, endpoint, CONNECT_MS, &error);

    g_assert_no_error (error);
    while (accepted->len < i + 1)
      g_main_context_iteration (NULL, TRUE);
    /* Never as ::ffff:127.0.0.1: one host has one name. */
    g_assert_cmpstr (hypha_channel_get_host (accepted->pdata[i]), ==, hosts[i]);
    g_assert_true (hypha_endpoint_equal (hypha_channel_get_local (channel),
                                         hypha_channel_get_remote (accepted->pdata[i])));
    g_assert_true (hypha_endpoint_equal (hypha_channel_get_remote (channel),
                                         hypha_channel_get_local (accepted->pdata[i])));
  }
  hypha_listener_close (listener);
}

static void
test_listen_on_a_name (Fixture *f, gconstpointer data)
{
  /* 192.0.2.1 is nobody's: the second one is the first that this machine has. */
  static const char *const addresses[] = { "192.0.2.1", "127.0.0.1", NULL };
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://here.example:0");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  f->resolver->addresses = addresses;
  listener = transport_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (hypha_endpoint_to_string (hypha_listener_get_bound (listener)),
                                   "tcp://127.0.0.1:"));
  hypha_listener_close (listener);
}

static void
test_not_our_address (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://192.0.2.1:0");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  listener = transport_listen (f->transport, endpoint, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
}

static void
test_in_use_names_the_holder (Fixture *f, gconstpointer data)
{
  static const char *const hosts[] = { "127.0.0.1", "0.0.0.0", "any" };
  g_autofree char *holder = g_strdup_printf ("this very process (%d)", (int) getpid ());
  guint16 port = 0;
  int fd = listening_socket ("127.0.0.1", &port, 1);

  for (guint i = 0; i < G_N_ELEMENTS (hosts); i++) {
    g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://%s:%u", hosts[i], port);
    g_autoptr (HyphaListener) listener = NULL;
    g_autoptr (GError) error = NULL;

    listener = transport_listen (f->transport, endpoint, &error);
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, holder));
  }
  close (fd);
}

/* A child takes the socket over; this process keeps none of it. */
static void
test_in_use_names_another_process (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autofree char *process = NULL;
  g_autoptr (GError) error = NULL;
  guint16 port = 0;
  int fd = listening_socket ("127.0.0.1", &port, 1);
  pid_t child = fork ();

  if (child == 0) {
    pause ();
    _exit (0);
  }
  close (fd);
  process = g_strdup_printf ("process %d (", (int) child);
  endpoint = parse (f, "tcp://127.0.0.1:%u", port);
  listener = transport_listen (f->transport, endpoint, &error);
  kill (child, SIGKILL);
  waitpid (child, NULL, 0);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE);
  g_test_message ("%s", error->message);
  /* A machine that is very busy has no time to find out more than the user. */
  g_assert_true (strstr (error->message, process) != NULL ||
                 strstr (error->message, "a process of user") != NULL);
}

/* In a child, for it takes giving up root's privileges. */
static int
bind_unprivileged (void)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_parse ("tcp://127.0.0.1:1", NULL);
  g_autoptr (HyphaInetAddress) address = hypha_inet_address_parse (endpoint, NULL);
  g_autoptr (GError) error = NULL;
  HyphaInetSockaddr bound;

  if (geteuid () == 0 && setresuid (65534, 65534, 65534) < 0)
    return 1;
  if (tcp_bind (address, address->numeric, "it", &bound, &error) >= 0)
    return 2;
  return g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED) ? 0 : 3;
}

static void
test_low_port_takes_a_privilege (Fixture *f, gconstpointer data)
{
  g_autofree char *start = NULL;
  int status;
  pid_t child;

  if (!g_file_get_contents ("/proc/sys/net/ipv4/ip_unprivileged_port_start", &start, NULL, NULL) ||
      g_ascii_strtoull (start, NULL, 10) < 2) {
    g_test_skip ("this kernel lets everybody have low ports");
    return;
  }
  child = fork ();
  if (child == 0)
    _exit (bind_unprivileged ());
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_cmpint (status, ==, 0);
}

/* ---- settings ---- */

static void
assert_tuned (HyphaChannel *channel, int nodelay, int lowat)
{
  int fd = hypha_channel_get_fd (channel);
  int value = -1;
  socklen_t length = sizeof value;

  g_assert_cmpint (getsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &value, &length), ==, 0);
  g_assert_cmpint (value, ==, nodelay);
  g_assert_cmpint (getsockopt (fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &length), ==, 0);
  g_assert_cmpint (value, ==, lowat);
}

static void
test_options_take_effect (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *options;
    int nodelay;
    int lowat;
  } cases[] = {
    { "@a{sv} {}", 1, 131072 },
    { "{'nodelay': <false>, 'notsent-lowat': <uint32 65536>}", 0, 65536 },
    { "{'notsent-lowat': <4096>}", 1, 4096 },
    { "@a{sv} {}", 1, 131072 },
  };
  g_autoptr (GPtrArray) accepted = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://127.0.0.1:0");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  listener = transport_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), accepted);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaChannel) channel = NULL;

    transport_must_configure (f->transport, cases[i].options);
    channel =
        transport_connect (f->transport, hypha_listener_get_bound (listener), CONNECT_MS, &error);
    g_assert_no_error (error);
    while (accepted->len < i + 1)
      g_main_context_iteration (NULL, TRUE);
    assert_tuned (channel, cases[i].nodelay, cases[i].lowat);
    assert_tuned (accepted->pdata[i], cases[i].nodelay, cases[i].lowat);
  }
  hypha_listener_close (listener);
}

static void
test_wrong_options_are_named (Fixture *f, gconstpointer data)
{
  static const char *const cases[][2] = {
    { "{'nodelay': <'yes'>}", "'nodelay' of the transport tcp: it is of the type 's'" },
    { "{'notsent-lowat': <'4096'>}", "has to be a number, 0 to 16777216" },
    { "{'notsent-lowat': <uint32 4095>}", "'notsent-lowat' of the transport tcp: it is 4095" },
    { "{'notsent-lowat': <uint32 4294967295>}", "4294967295" },
    { "{'nodelay': <false>, 'no-delay': <true>}", "'no-delay'" },
  };
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "tcp://127.0.0.1:0");
  g_autoptr (HyphaListener) listener = transport_listen (f->transport, endpoint, NULL);
  g_autoptr (HyphaChannel) channel = NULL;

  transport_assert_refuses (f->transport, cases, G_N_ELEMENTS (cases));
  /* A wrong one changes nothing, not even what was right beside it. */
  channel = transport_connect (f->transport, hypha_listener_get_bound (listener), CONNECT_MS, NULL);
  assert_tuned (channel, 1, 131072);
  hypha_listener_close (listener);
}

static void
test_link_cost (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) ipv6 = parse (f, "tcp://[::1]:80");
  g_autoptr (HyphaEndpoint) ipv4 = parse (f, "tcp://127.0.0.1:80");
  g_autoptr (HyphaEndpoint) name = parse (f, "tcp://example.org:80");

  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, ipv6), ==, 10);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, ipv4), ==, 15);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, name), ==, 15);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, NULL), ==, 15);
}

static void
test_probe_tells_families (Fixture *f, gconstpointer data)
{
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  g_auto (GStrv) localhost = NULL;
  gboolean ipv4 = FALSE;

  g_assert_true (hypha_transport_probe (f->transport, &details, NULL));
  g_assert_true (g_variant_dict_lookup (&details, "ipv4", "b", &ipv4));
  g_assert_true (g_variant_dict_contains (&details, "ipv6"));
  g_assert_true (g_variant_dict_lookup (&details, "localhost", "^as", &localhost));
  g_assert_cmpint (g_strv_contains ((const char *const *) localhost, "tcp://127.0.0.1"), ==, ipv4);
}

/* ---- addresses that come from the kernel ---- */

static void
test_sockaddr_prints_canonically (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *address;
    guint32 scope;
    const char *uri;
  } cases[] = {
    { "::1", 0, "tcp://[::1]:80" },
    { "::ffff:10.1.2.3", 0, "tcp://10.1.2.3:80" },
    { "2001:db8::1", 0, "tcp://[2001:db8::1]:80" },
    { "fe80::1", 1, "tcp://[fe80::1%25lo]:80" },
    { "fe80::1", 4000000000, "tcp://[fe80::1%254000000000]:80" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
                                .sin6_port = htons (80),
                                .sin6_scope_id = cases[i].scope };
    g_autoptr (HyphaEndpoint) endpoint = NULL;
    g_autoptr (HyphaEndpoint) again = NULL;
    g_autoptr (HyphaInetAddress) address = NULL;
    HyphaInetSockaddr back;

    g_assert_cmpint (inet_pton (AF_INET6, cases[i].address, &in6.sin6_addr), ==, 1);
    endpoint = hypha_inet_sockaddr_to_endpoint ("tcp", (const struct sockaddr *) &in6);
    g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==, cases[i].uri);
    again = parse (f, "%s", cases[i].uri);
    g_assert_true (hypha_endpoint_equal (endpoint, again));
    address = hypha_inet_address_parse (endpoint, NULL);
    g_assert_true (hypha_inet_address_to_sockaddr (address, address->numeric, &back, NULL));
    if (back.storage.ss_family == AF_INET6)
      g_assert_cmpmem (&back.storage, back.length, &in6, sizeof in6);
  }
}

/* ---- sockets that somebody else has made ---- */

static int
listening (int family, int protocol)
{
  int fd = socket (family, SOCK_STREAM | SOCK_CLOEXEC, protocol);

  if (fd >= 0 && listen (fd, 1) < 0) {
    close (fd);
    return -1;
  }
  return fd;
}

static void
test_adopted_address (Fixture *f, gconstpointer data)
{
  static const struct {
    int family, protocol;
    const char *prefix;
  } table[] = {
    { AF_INET, 0, "tcp://0.0.0.0:" },
    { AF_INET6, 0, "tcp://[::]:" },
    { AF_INET, IPPROTO_MPTCP, "tcp://0.0.0.0:" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaListener) listener = NULL;
    int fd = listening (table[i].family, table[i].protocol);

    if (fd < 0) {
      g_test_message ("not here: %s", g_strerror (errno));
      continue;
    }
    listener = hypha_transport_adopt (f->transport, fd, &error);
    g_assert_no_error (error);
    g_assert_true (g_str_has_prefix (hypha_endpoint_to_string (hypha_listener_get_bound (listener)),
                                     table[i].prefix));
    g_assert_false (
        g_str_has_suffix (hypha_endpoint_to_string (hypha_listener_get_bound (listener)), ":0"));
    hypha_listener_close (listener);
    close (fd);
  }
}

static void
test_other_kinds_are_not_adopted (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const struct sockaddr_storage address = { .ss_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  /* The kernel chooses an abstract name. */
  g_assert_cmpint (bind (fd, (const struct sockaddr *) &address, sizeof (address.ss_family)), ==,
                   0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  g_assert_null (hypha_transport_adopt (f->transport, fd, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  close (fd);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add ("/tcp/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("dial/families-take-turns", test_families_take_turns);
  ADD ("dial/passes-an-address-that-hangs", test_passes_one_that_hangs);
  ADD ("dial/does-not-wait-after-a-failure", test_does_not_wait_after_a_failure);
  ADD ("dial/tells-every-failure", test_tells_every_failure);
  ADD ("dial/deadline-covers-all-addresses", test_deadline_covers_all);
  ADD ("dial/many-addresses-are-bounded", test_many_addresses_are_bounded);
  ADD ("lookup/failure-names-the-endpoint", test_lookup_fails);
  ADD ("lookup/has-the-deadline", test_lookup_has_the_deadline);
  ADD ("lookup/is-cancelled", test_lookup_is_cancelled);
  ADD ("lookup/ends-with-stop", test_stop_ends_lookups);
  ADD ("connect/any-is-for-listening-only", test_any_is_for_listening);
  ADD ("connect/unknown-scope-is-named", test_unknown_scope);
  ADD ("listen/any-is-dual-stack", test_any_is_dual_stack);
  ADD ("listen/name-is-its-first-address-here", test_listen_on_a_name);
  ADD ("listen/address-of-another-machine", test_not_our_address);
  ADD ("listen/in-use-names-the-holder", test_in_use_names_the_holder);
  ADD ("listen/in-use-names-another-process", test_in_use_names_another_process);
  ADD ("listen/low-port-takes-a-privilege", test_low_port_takes_a_privilege);
  ADD ("configure/takes-effect", test_options_take_effect);
  ADD ("configure/wrong-options-are-named", test_wrong_options_are_named);
  ADD ("link-cost", test_link_cost);
  ADD ("probe/tells-the-families", test_probe_tells_families);
  ADD ("address/from-the-kernel-is-canonical", test_sockaddr_prints_canonically);
  ADD ("adopt/tells-where-it-is-bound", test_adopted_address);
  ADD ("adopt/not-another-kind", test_other_kinds_are_not_adopted);
#undef ADD
  return g_test_run ();
}
