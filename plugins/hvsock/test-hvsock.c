/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "hvsock.h"
#include "vmm.h"
#include "test-transport.h"

#define CONNECT_MS 20000

/* ---- the fixture ---- */

typedef struct {
  VmmKind kind;
  HyphaTransport *transport;
  char *directory;
  char *path; /* of the VMM's socket, in it */
  HyphaEndpoint *endpoint;
  HyphaListener *listener; /* what the guest's port leads to */
  GPtrArray *accepted;
  Vmm *vmm;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *uri = NULL;

  f->kind = (VmmKind) GPOINTER_TO_INT (data);
  f->directory = g_dir_make_tmp ("hypha-hvsock-XXXXXX", NULL);
  g_assert_nonnull (f->directory);
  f->path = g_build_filename (f->directory, "v.sock", NULL);
  f->transport = hypha_plugin_hvsock.create (NULL);
  uri = g_strdup_printf ("hvsock://%s:4974", f->path);
  f->endpoint = transport_parse (f->transport, uri);
  f->accepted = g_ptr_array_new_with_free_func (g_object_unref);
  f->vmm = vmm_new (f->path, f->kind);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_clear_pointer (&f->vmm, vmm_free);
  g_ptr_array_unref (f->accepted);
  g_clear_object (&f->listener);
  g_assert_finalize_object (f->transport);
  hypha_endpoint_unref (f->endpoint);
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->path);
  g_free (f->directory);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_ptr_array_add (user_data, g_object_ref (channel));
}

static HyphaListener *
listen_at (Fixture *f, HyphaEndpoint *endpoint, GError **error)
{
  HyphaListener *listener = transport_listen (f->transport, endpoint, error);

  if (listener != NULL)
    g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), f->accepted);
  return listener;
}

static void
listen_here (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  f->listener = listen_at (f, f->endpoint, &error);
  g_assert_no_error (error);
}

static HyphaChannel *
try_connect (Fixture *f, guint timeout_ms, GError **error)
{
  return transport_connect (f->transport, f->endpoint, timeout_ms, error);
}

static HyphaChannel *
connect_there (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = try_connect (f, CONNECT_MS, &error);

  g_assert_no_error (error);
  return channel;
}

static void
assert_fails (Fixture *f, guint timeout_ms, HyphaError code, const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel = try_connect (f, timeout_ms, &error);

  g_assert_null (channel);
  g_assert_error (error, HYPHA_ERROR, (int) code);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, part));
  g_assert_nonnull (strstr (error->message, hypha_endpoint_to_string (f->endpoint)));
}

static void
wait_accepted (Fixture *f, guint n)
{
  while (f->accepted->len < n)
    g_main_context_iteration (NULL, TRUE);
}

/* The descriptor is non-blocking. */
static void
read_exactly (HyphaChannel *channel, char *buffer, gsize length)
{
  int fd = hypha_channel_get_fd (channel);

  for (gsize done = 0; done < length;) {
    gssize n;

    g_unix_set_fd_nonblocking (fd, FALSE, NULL);
    n = read (fd, buffer + done, length - done);
    g_assert_cmpint (n, >, 0);
    done += (gsize) n;
  }
}

static void
assert_hears (HyphaChannel *channel, const char *text)
{
  g_autofree char *buffer = g_malloc0 (strlen (text) + 1);

  read_exactly (channel, buffer, strlen (text));
  g_assert_cmpstr (buffer, ==, text);
}

static void
say (HyphaChannel *channel, const char *text)
{
  g_assert_cmpint (write (hypha_channel_get_fd (channel), text, strlen (text)), ==,
                   (gssize) strlen (text));
}

/* ---- endpoints ---- */

static void
test_parse (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *uri;
    const char *canonical;
  } cases[] = {
    { "hvsock:///run/v.sock:4974", "hvsock:///run/v.sock:4974" },
    { "hvsock:/run/v.sock:4974", "hvsock:///run/v.sock:4974" },
    { "hvsock:///run/a:b/v.sock:0", "hvsock:///run/a:b/v.sock:0" },
    { "hvsock:///v:4294967294", "hvsock:///v:4294967294" },
    { "hvsock:///run/web%201/v.sock:22?cost=3", "hvsock:///run/web%201/v.sock:22?cost=3" },
    { "vsock-mux:/run/v.sock:22", "hvsock:///run/v.sock:22" },
    { "vsock-mux/run/v.sock:22", "hvsock:///run/v.sock:22" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaEndpoint) once = transport_parse (f->transport, cases[i].uri);
    g_autoptr (HyphaEndpoint) printed =
        transport_parse (f->transport, hypha_endpoint_to_string (once));

    g_assert_cmpstr (hypha_endpoint_to_string (once), ==, cases[i].canonical);
    g_assert_true (hypha_endpoint_equal (once, printed));
  }
}

static void
test_parse_refuses (Fixture *f, gconstpointer data)
{
  g_autofree char *long_name = g_strnfill (97, 'x');
  g_autofree char *too_long = g_strdup_printf ("hvsock:///%s:1", long_name);
  const struct {
    const char *uri;
    const char *part;
  } cases[] = {
    { "hvsock:///run/v.sock", "the port is missing" },
    { "hvsock:///run/v.sock:", "is no port" },
    { "hvsock:///run/v.sock:any", "is no port" },
    { "hvsock:///run/v.sock:4294967295", "is no port" },
    { "hvsock:///run/v.sock:080", "is no port" },
    { "hvsock:///run/v.sock:-1", "is no port" },
    { "hvsock:///run/v.sock:1%20", "is no port" },
    { "hvsock://host/run/v.sock:1", "is not absolute" },
    { "hvsock:v.sock:1", "is not absolute" },
    { "hvsock:///:1", "part 1 of the path is empty" },
    { "hvsock:///run//v.sock:1", "part 2 of the path is empty" },
    { "hvsock:///run/../v.sock:1", "part 2 of the path is '..'" },
    { "hvsock:///run/%0av.sock:1", "cannot be printed, at byte 6" },
    { too_long, "the path has 98 bytes, and the kernel takes at most 96" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaEndpoint) endpoint = transport_try_parse (f->transport, cases[i].uri, &error);

    g_assert_null (endpoint);
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
    g_test_message ("%s: %s", cases[i].uri, error->message);
    g_assert_nonnull (strstr (error->message, cases[i].part));
  }
}

static void
test_link_cost (Fixture *f, gconstpointer data)
{
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, f->endpoint), ==, 5);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, NULL), ==, 5);
}

/* ---- into the machine ---- */

static void
test_connects (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  HyphaChannel *back;

  listen_here (f);
  channel = connect_there (f);
  wait_accepted (f, 1);
  back = f->accepted->pdata[0];
  say (channel, "from the host");
  assert_hears (back, "from the host");
  say (back, "from the guest");
  assert_hears (channel, "from the guest");
  g_assert_cmpuint (vmm_count_rude (f->vmm), ==, 0);
  g_assert_cmpuint (vmm_count_asked (f->vmm), ==, 1);
}

static void
test_traits (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  HyphaChannel *both[2];

  listen_here (f);
  channel = connect_there (f);
  wait_accepted (f, 1);
  both[0] = channel;
  both[1] = f->accepted->pdata[0];
  for (guint i = 0; i < 2; i++) {
    /* The uid would be the VMM's. */
    g_assert_cmpuint (hypha_channel_get_flags (both[i]), ==, HYPHA_CHANNEL_VOUCHED_ADDRESS);
    g_assert_false (hypha_channel_get_uid (both[i], NULL));
    g_assert_false (hypha_channel_get_cid (both[i], NULL));
    g_assert_cmpstr (hypha_channel_get_host (both[i]), ==, f->path);
    g_assert_true (hypha_endpoint_equal (hypha_channel_get_remote (both[i]), f->endpoint));
  }
}

static void
test_split_answer (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;

  listen_here (f);
  vmm_set_fault (f->vmm, VMM_SPLITS, 1);
  channel = connect_there (f);
  wait_accepted (f, 1);
  say (f->accepted->pdata[0], "x");
  assert_hears (channel, "x");
  g_assert_cmpuint (vmm_count_rude (f->vmm), ==, 0);
}

/* What the guest says may come in one piece with the answer. */
static void
test_swallows_nothing (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;

  vmm_set_fault (f->vmm, VMM_HURRIES, 1);
  channel = connect_there (f);
  assert_hears (channel, VMM_GREETING);
}

static void
test_boots (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;

  listen_here (f);
  vmm_set_fault (f->vmm, VMM_HANGS_UP, 3);
  channel = connect_there (f);
  g_assert_cmpuint (vmm_count_asked (f->vmm), ==, 4);
  g_assert_cmpuint (vmm_count_rude (f->vmm), ==, 0);
}

static void
test_half_an_answer (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;

  listen_here (f);
  vmm_set_fault (f->vmm, VMM_BREAKS_OFF, 1);
  channel = connect_there (f);
  g_assert_cmpuint (vmm_count_asked (f->vmm), ==, 2);
}

static void
test_nobody_listens (Fixture *f, gconstpointer data)
{
  assert_fails (f, 300, HYPHA_ERROR_CONNECT, "does anything listen on port 4974 there?");
  g_assert_cmpuint (vmm_count_asked (f->vmm), >, 1);
}

static void
test_silence (Fixture *f, gconstpointer data)
{
  gint64 begun = g_get_monotonic_time ();

  vmm_set_fault (f->vmm, VMM_SILENT, G_MAXUINT);
  assert_fails (f, 200, HYPHA_ERROR_TIMED_OUT, "did not answer within 200 ms");
  g_assert_cmpint (g_get_monotonic_time () - begun, >=, 190 * G_TIME_SPAN_MILLISECOND);
}

static void
test_no_vmm (Fixture *f, gconstpointer data)
{
  vmm_set_fault (f->vmm, VMM_MUMBLES, G_MAXUINT);
  assert_fails (f, CONNECT_MS, HYPHA_ERROR_CONNECT, "'HTTP/1.1 400 Bad Request'");
  vmm_set_fault (f->vmm, VMM_PADS, G_MAXUINT);
  assert_fails (f, CONNECT_MS, HYPHA_ERROR_CONNECT, "in place of OK");
  vmm_set_fault (f->vmm, VMM_RAMBLES, G_MAXUINT);
  assert_fails (f, CONNECT_MS, HYPHA_ERROR_CONNECT, "in place of OK");
}

/* In a program that dies of SIGPIPE, as most do. */
static void
test_survives_who_goes_at_once (Fixture *f, gconstpointer data)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

  signal (SIGPIPE, SIG_DFL);
  g_clear_pointer (&f->vmm, vmm_free);
  g_strlcpy (address.sun_path, f->path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  hypha_transport_connect_async (f->transport, f->endpoint, 200, NULL, keep_result, &result);
  /* It is connected, and has not yet heard of it. */
  accepted = accept (fd, NULL, NULL);
  g_assert_cmpint (accepted, >=, 0);
  close (accepted);
  close (fd);
  wait_result (&result);
  g_assert_null (hypha_transport_connect_finish (f->transport, result, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_cmpint (g_unlink (f->path), ==, 0);
}

static void
test_machine_is_off (Fixture *f, gconstpointer data)
{
  g_clear_pointer (&f->vmm, vmm_free);
  assert_fails (f, CONNECT_MS, HYPHA_ERROR_CONNECT, "there is no such socket");
}

static void
test_cancel_while_it_waits (Fixture *f, gconstpointer data)
{
  static const VmmFault faults[] = { VMM_SILENT, VMM_HANGS_UP };

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (GError) error = NULL;
    guint before = vmm_count_asked (f->vmm);

    vmm_set_fault (f->vmm, faults[i], G_MAXUINT);
    hypha_transport_connect_async (f->transport, f->endpoint, CONNECT_MS, cancellable, keep_result,
                                   &result);
    while (vmm_count_asked (f->vmm) == before)
      g_main_context_iteration (NULL, FALSE);
    g_cancellable_cancel (cancellable);
    wait_result (&result);
    g_assert_null (hypha_transport_connect_finish (f->transport, result, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
}

static void
test_reset_of_everything (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) before = NULL;
  g_autoptr (HyphaChannel) after = NULL;
  char byte;

  listen_here (f);
  before = connect_there (f);
  wait_accepted (f, 1);
  vmm_reset_all (f->vmm);
  g_unix_set_fd_nonblocking (hypha_channel_get_fd (before), FALSE, NULL);
  g_assert_cmpint (read (hypha_channel_get_fd (before), &byte, 1), <=, 0);
  after = connect_there (f);
  wait_accepted (f, 2);
  say (after, "again");
  assert_hears (f->accepted->pdata[1], "again");
}

/* ---- out of the machine ---- */

static void
test_stale_file_is_replaced (Fixture *f, gconstpointer data)
{
  g_autofree char *port_path = g_strconcat (f->path, "_4974", NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autoptr (HyphaChannel) channel = NULL;
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, port_path, sizeof address.sun_path);
  g_assert_cmpint (bind (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  close (fd);
  listen_here (f);
  channel = connect_there (f);
  wait_accepted (f, 1);
  hypha_listener_close (f->listener);
  g_assert_false (g_file_test (port_path, G_FILE_TEST_EXISTS));
}

static void
test_port_is_taken_once (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaListener) second = NULL;
  g_autoptr (GError) error = NULL;

  listen_here (f);
  second = listen_at (f, f->endpoint, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE);
  g_assert_nonnull (strstr (error->message, hypha_endpoint_to_string (f->endpoint)));
}

static HyphaChannel *
take_in (Fixture *f, int fd)
{
  guint n = f->accepted->len;
  g_autofree char *port_path = g_strconcat (f->path, "_4974", NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  g_strlcpy (address.sun_path, port_path, sizeof address.sun_path);
  g_assert_cmpint (connect (fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  wait_accepted (f, n + 1);
  return f->accepted->pdata[n];
}

static void
assert_stranger (HyphaChannel *channel)
{
  g_assert_cmpuint (hypha_channel_get_flags (channel), ==, HYPHA_CHANNEL_NONE);
  g_assert_null (hypha_channel_get_host (channel));
}

/* The socket is open to everybody who gets so far. */
static void
test_vouches_for_the_vmm_only (Fixture *f, gconstpointer data)
{
  int vmm = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int nobody = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  HyphaChannel *channel;

  listen_here (f);
  channel = take_in (f, vmm);
  g_assert_cmpuint (hypha_channel_get_flags (channel), ==, HYPHA_CHANNEL_VOUCHED_ADDRESS);
  g_assert_cmpstr (hypha_channel_get_host (channel), ==, f->path);
  g_clear_pointer (&f->vmm, vmm_free);
  assert_stranger (take_in (f, nobody));
  close (vmm);
  close (nobody);
}

static void
test_vouches_for_no_other_user (Fixture *f, gconstpointer data)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (geteuid () != 0) {
    g_test_skip ("needs another user: run it as root");
    return;
  }
  g_assert_cmpint (g_chmod (f->directory, 0755), ==, 0);
  listen_here (f);
  /* Of this thread alone; the kernel keeps who connects. */
  g_assert_cmpint (syscall (SYS_setresuid, -1, 65534, -1), ==, 0);
  assert_stranger (take_in (f, fd));
  g_assert_cmpint (syscall (SYS_setresuid, -1, 0, -1), ==, 0);
  close (fd);
}

/* As the guest calls by many connections at once. */
static void
test_queue_is_long (Fixture *f, gconstpointer data)
{
  g_autofree char *port_path = g_strconcat (f->path, "_4974", NULL);
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fds[200];

  listen_here (f);
  g_strlcpy (address.sun_path, port_path, sizeof address.sun_path);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    fds[i] = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_assert_cmpint (connect (fds[i], (const struct sockaddr *) &address, sizeof address), ==, 0);
  }
  wait_accepted (f, G_N_ELEMENTS (fds));
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    VmmKind kind;
  } kinds[] = {
    { "firecracker", VMM_FIRECRACKER },
    { "cloud-hypervisor", VMM_CLOUD_HYPERVISOR },
    { "vhost-device-vsock", VMM_VHOST_DEVICE },
  };

  g_test_init (&argc, &argv, NULL);
#define ADD_TO(PREFIX, KIND, NAME, FUNC)                                         \
  {                                                                              \
    g_autofree char *path = g_strconcat ("/hvsock/", PREFIX, "/", NAME, NULL);   \
                                                                                 \
    g_test_add (path, Fixture, GINT_TO_POINTER (KIND), set_up, FUNC, tear_down); \
  }
#define ADD(PREFIX, NAME, FUNC) ADD_TO (PREFIX, VMM_FIRECRACKER, NAME, FUNC)
  ADD ("endpoint", "canonical-form", test_parse);
  ADD ("endpoint", "refuses-and-says-why", test_parse_refuses);
  ADD ("endpoint", "link-cost", test_link_cost);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    const char *name = kinds[i].name;
    VmmKind kind = kinds[i].kind;

    ADD_TO (name, kind, "carries-both-ways-and-says-nothing-before-the-answer", test_connects);
    ADD_TO (name, kind, "answer-may-come-in-pieces", test_split_answer);
    ADD_TO (name, kind, "swallows-nothing-behind-the-answer", test_swallows_nothing);
    ADD_TO (name, kind, "connects-again-after-a-reset-of-everything", test_reset_of_everything);
  }
  ADD ("connect", "channels-have-their-traits", test_traits);
  ADD ("connect", "guest-that-boots-is-asked-again", test_boots);
  ADD ("connect", "half-an-answer-is-none", test_half_an_answer);
  ADD ("connect", "says-that-nobody-listens", test_nobody_listens);
  ADD ("connect", "silence-has-a-deadline", test_silence);
  ADD ("connect", "says-that-it-is-no-vmm", test_no_vmm);
  ADD ("connect", "survives-a-vmm-that-goes-at-once", test_survives_who_goes_at_once);
  ADD ("connect", "says-that-the-machine-is-off", test_machine_is_off);
  ADD ("connect", "is-cancelled-wherever-it-is", test_cancel_while_it_waits);
  ADD ("listen", "stale-file-is-replaced", test_stale_file_is_replaced);
  ADD ("listen", "port-is-taken-once", test_port_is_taken_once);
  ADD ("listen", "vouches-for-the-vmm-only", test_vouches_for_the_vmm_only);
  ADD ("listen", "vouches-for-no-other-user", test_vouches_for_no_other_user);
  ADD ("listen", "queue-is-long", test_queue_is_long);
#undef ADD
#undef ADD_TO
  return g_test_run ();
}
