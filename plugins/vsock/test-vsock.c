/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "vsock-address.h"
#include "vsock-probe.h"
#include "vsock-socket.h"
#include "vsock.h"
#include "test-transport.h"

#define CONNECT_MS 20000

/* ---- the fixture ---- */

typedef struct {
  HyphaTransport *transport;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->transport = hypha_plugin_vsock.create (NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
}

/* FALSE: the test has been skipped. */
static gboolean
needs_vsock (void)
{
  int fd = socket (AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_autofree char *why = NULL;

  if (fd >= 0) {
    close (fd);
    return TRUE;
  }
  why = vsock_explain_family (errno, VSOCK_MODULE_PATH);
  g_test_skip (why);
  return FALSE;
}

static gboolean
needs_loopback (void)
{
  if (vsock_has_cid (VMADDR_CID_LOCAL))
    return TRUE;
  g_test_skip ("CID 1 cannot be bound here: this machine has no vsock loopback");
  return FALSE;
}

/* ---- endpoints ---- */

static void
test_parse (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *uri;
    const char *canonical;
  } cases[] = {
    { "vsock://2:4974", "vsock://2:4974" },
    { "vsock://0:1", "vsock://0:1" },
    { "vsock://3:0", "vsock://3:0" },
    { "vsock://3:any", "vsock://3:0" },
    { "vsock://3:4294967294", "vsock://3:4294967294" },
    { "vsock://3:4294967295", "vsock://3:0" },
    { "vsock://4294967294:80", "vsock://4294967294:80" },
    { "vsock://4294967295:80", "vsock://any:80" },
    { "vsock://any:any", "vsock://any:0" },
    { "vsock://hypervisor:80", "vsock://0:80" },
    { "vsock://local:80", "vsock://1:80" },
    { "vsock://host:80", "vsock://2:80" },
    { "vsock://2:4974?tls=never&cost=3", "vsock://2:4974?cost=3&tls=never" },
    { "vsock:2:4974", "vsock://2:4974" },
    { "vsock:any:any", "vsock://any:0" },
    { "vsock:host:4974?cost=3", "vsock://2:4974?cost=3" },
    { "VSOCK-CONNECT:2:4974", "vsock://2:4974" },
    { "VSOCK-CONNECT:local:4974", "vsock://1:4974" },
    { "VSOCK-LISTEN:4974", "vsock://any:4974" },
    { "VSOCK-LISTEN:any", "vsock://any:0" },
    { "VSOCK-LISTEN:4974?cost=3", "vsock://any:4974?cost=3" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaEndpoint) once = transport_parse (f->transport, cases[i].uri);
    g_autoptr (HyphaEndpoint) printed =
        transport_parse (f->transport, hypha_endpoint_to_string (once));
    g_autoptr (HyphaEndpoint) twice = hypha_transport_parse (f->transport, once, NULL);

    g_assert_cmpstr (hypha_endpoint_to_string (once), ==, cases[i].canonical);
    g_assert_true (hypha_endpoint_equal (once, printed));
    g_assert_true (hypha_endpoint_equal (once, twice));
  }
}

static void
test_parse_refuses (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *uri;
    const char *part;
  } cases[] = {
    { "vsock://2", "the port is missing" },
    { "vsock://", "the port is missing" },
    { "vsock:2", "the port is missing" },
    { "vsock://2:", "the port is empty" },
    { "vsock://:80", "the CID is empty" },
    { "vsock::80", "the CID is empty" },
    { "vsock:///2:80", "the CID '/2'" },
    { "vsock://4294967296:80", "the CID '4294967296' is above 4294967295" },
    { "vsock://99999999999999999999:80", "the CID '99999999999999999999' is above" },
    { "vsock://-1:80", "the CID '-1'" },
    { "vsock://+1:80", "the CID '+1'" },
    { "vsock://02:80", "the CID '02' begins with a zero" },
    { "vsock://0x2:80", "the CID '0x2'" },
    { "vsock://2%20:80", "the CID '2 '" },
    { "vsock://%202:80", "the CID ' 2'" },
    { "vsock://Host:80", "the CID 'Host' is neither" },
    { "vsock://*:80", "the CID '*'" },
    { "vsock://[2]:80", "the CID '[2]'" },
    { "vsock://guest%0a:80", "the CID 'guest\\u{a}'" },
    { "vsock://2:4294967296", "the port '4294967296' is above 4294967295" },
    { "vsock://2:-1", "the port '-1'" },
    { "vsock://2:080", "the port '080' begins with a zero" },
    { "vsock://2:80x", "the port '80x'" },
    { "vsock://2:80/", "the port '80/'" },
    { "vsock://2:80:81", "the port '80:81'" },
    { "vsock://2:host", "the port 'host' is neither a decimal number nor any" },
    { "VSOCK-CONNECT:4974", "the port is missing" },
    { "VSOCK-CONNECT://2:4974", "the CID '//2'" },
    { "VSOCK-CONNECT:2:", "the port is empty" },
    /* By the core already. */
    { "VSOCK-LISTEN:", "is empty" },
    { "VSOCK-LISTEN:2:4974", "the port '2:4974'" },
    { "VSOCK-LISTEN:4974,fork", "the port '4974,fork'" },
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
test_port_is_left_to_the_kernel (Fixture *f, gconstpointer data)
{
  const VsockAddress any = { .cid = VMADDR_CID_ANY, .port = 0 };
  const VsockAddress one = { .cid = 7, .port = 1023 };
  const VsockAddress free_port = { .cid = 7, .port = 1024 };
  struct sockaddr_vm sockaddr;
  VsockAddress back;

  vsock_address_to_sockaddr (&any, &sockaddr);
  g_assert_cmpuint (sockaddr.svm_family, ==, AF_VSOCK);
  g_assert_cmpuint (sockaddr.svm_port, ==, VMADDR_PORT_ANY);
  g_assert_false (vsock_address_is_privileged (&any));
  vsock_address_to_sockaddr (&one, &sockaddr);
  vsock_address_from_sockaddr (&back, &sockaddr);
  g_assert_cmpuint (back.cid, ==, 7);
  g_assert_cmpuint (back.port, ==, 1023);
  g_assert_true (vsock_address_is_privileged (&one));
  g_assert_false (vsock_address_is_privileged (&free_port));
}

static void
test_link_cost (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) host = transport_parse (f->transport, "vsock://2:80");

  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, host), ==, 5);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, NULL), ==, 5);
}

/* ---- options ---- */

static guint64
get_buffer (int fd, int option)
{
  guint64 value = 0;
  socklen_t length = sizeof value;

  g_assert_cmpint (getsockopt (fd, AF_VSOCK, option, &value, &length), ==, 0);
  return value;
}

static void
assert_buffers (int fd, guint64 size, guint64 max)
{
  g_assert_cmpuint (get_buffer (fd, SO_VM_SOCKETS_BUFFER_SIZE), ==, size);
  g_assert_cmpuint (get_buffer (fd, SO_VM_SOCKETS_BUFFER_MAX_SIZE), ==, max);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_ptr_array_add (user_data, g_object_ref (channel));
}

static void
test_options_take_effect (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *options;
    guint64 size, max;
  } cases[] = {
    { "@a{sv} {}", 524288, 524288 },
    { "{'buffer-size': <uint64 1048576>}", 1048576, 1048576 },
    { "{'buffer-size': <uint32 65536>, 'buffer-max': <uint64 4194304>}", 65536, 4194304 },
    { "{'buffer-max': <131072>}", 131072, 131072 },
    { "{'buffer-max': <uint64 1048576>}", 524288, 1048576 },
    { "@a{sv} {}", 524288, 524288 },
  };
  g_autoptr (GPtrArray) accepted = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, "vsock://local:any");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  if (!needs_loopback ())
    return;
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
    assert_buffers (hypha_channel_get_fd (channel), cases[i].size, cases[i].max);
    assert_buffers (hypha_channel_get_fd (accepted->pdata[i]), cases[i].size, cases[i].max);
  }
  hypha_listener_close (listener);
}

static void
test_wrong_options_are_named (Fixture *f, gconstpointer data)
{
  static const char *const cases[][2] = {
    { "{'buffer-size': <'1M'>}", "'buffer-size' of the transport vsock: it is of the type 's'" },
    { "{'buffer-size': <1.5>}", "it is of the type 'd'" },
    { "{'buffer-size': <-65536>}", "'buffer-size' of the transport vsock: it is -65536," },
    { "{'buffer-size': <uint32 0>}", "'buffer-size' of the transport vsock: it is 0," },
    { "{'buffer-size': <uint32 4095>}", "'buffer-size' of the transport vsock: it is 4095," },
    { "{'buffer-max': <uint64 268435457>}",
      "'buffer-max' of the transport vsock: it is 268435457," },
    { "{'buffer-size': <uint64 18446744073709551615>}", "18446744073709551615" },
    { "{'buffer-size': <uint32 65536>, 'buffer-max': <uint32 65535>}",
      "above 'buffer-max', 65535" },
    { "{'buffersize': <uint32 65536>}", "'buffersize'" },
  };

  transport_assert_refuses (f->transport, cases, G_N_ELEMENTS (cases));
}

/* ---- sockets; none of these sends anything ---- */

static void
assert_kernel_deadline (guint timeout_ms, gint64 seconds, gint64 least_us)
{
  const VsockAddress address = { .cid = 7, .port = 80 };
  const VsockBuffers buffers = { .size = 65536, .max = 131072 };
  g_autoptr (GError) error = NULL;
  int fd = vsock_socket_for_dialling (&address, "it", timeout_ms, &buffers, &error);
  struct timeval deadline = { 0 };
  socklen_t length = sizeof deadline;

  g_assert_no_error (error);
  g_assert_cmpint (getsockopt (fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &deadline, &length), ==,
                   0);
  g_assert_cmpint (deadline.tv_sec, ==, seconds);
  g_assert_cmpint (deadline.tv_usec, >=, least_us);
  assert_buffers (fd, 65536, 131072);
  close (fd);
}

static void
test_kernel_deadline_comes_later (Fixture *f, gconstpointer data)
{
  if (!needs_vsock ())
    return;
  assert_kernel_deadline (300, 1, 300000);
  assert_kernel_deadline (9500, 10, 500000);
  assert_kernel_deadline (G_MAXUINT, G_MAXUINT / 1000 + 1, 0);
}

static void
test_listen_anywhere (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, "VSOCK-LISTEN:any");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaListener) second = NULL;
  g_autoptr (GError) error = NULL;
  const char *bound;

  if (!needs_vsock ())
    return;
  listener = transport_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  bound = hypha_endpoint_to_string (hypha_listener_get_bound (listener));
  g_assert_true (g_str_has_prefix (bound, "vsock://any:"));
  g_assert_false (g_str_has_suffix (bound, ":0"));
  second = transport_listen (f->transport, hypha_listener_get_bound (listener), &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, bound));
  hypha_listener_close (listener);
}

static void
test_not_our_cid (Fixture *f, gconstpointer data)
{
  /* Reserved: no machine has it. */
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, "vsock://hypervisor:5000");
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  if (!needs_vsock ())
    return;
  listener = transport_listen (f->transport, endpoint, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, "CID 0 is not this machine's"));
  g_assert_nonnull (strstr (error->message, "vsock://any:5000"));
}

static void
test_no_loopback (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, "vsock://local:5000");
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) listen_error = NULL;

  if (!needs_vsock ())
    return;
  if (vsock_has_cid (VMADDR_CID_LOCAL)) {
    g_test_skip ("this machine has a vsock loopback");
    return;
  }
  channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, "modprobe vsock_loopback"));
  listener = transport_listen (f->transport, endpoint, &listen_error);
  g_assert_error (listen_error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (listen_error->message, "modprobe vsock_loopback"));
}

static void
test_any_is_for_listening (Fixture *f, gconstpointer data)
{
  static const char *const uris[] = { "vsock://any:80", "vsock://2:0", "VSOCK-LISTEN:80" };

  for (guint i = 0; i < G_N_ELEMENTS (uris); i++) {
    g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uris[i]);
    g_autoptr (HyphaChannel) channel = NULL;
    g_autoptr (GError) error = NULL;

    channel = transport_connect (f->transport, endpoint, CONNECT_MS, &error);
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
    g_assert_nonnull (strstr (error->message, "for listening only"));
  }
}

/* A port below 1024 that nobody has. */
static HyphaListener *
listen_low (Fixture *f, GError **error)
{
  for (guint port = 1023; port > 900; port--) {
    g_autofree char *uri = g_strdup_printf ("vsock://local:%u", port);
    g_autoptr (HyphaEndpoint) endpoint = transport_parse (f->transport, uri);
    HyphaListener *listener;

    g_clear_error (error);
    listener = transport_listen (f->transport, endpoint, error);
    if (listener != NULL || !g_error_matches (*error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE))
      return listener;
  }
  return NULL;
}

static void
test_low_port_is_told (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) accepted = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;

  if (!needs_loopback ())
    return;
  listener = listen_low (f, &error);
  if (listener == NULL) {
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED);
    g_test_skip (error->message);
    return;
  }
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), accepted);
  channel =
      transport_connect (f->transport, hypha_listener_get_bound (listener), CONNECT_MS, &error);
  g_assert_no_error (error);
  while (accepted->len == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (hypha_channel_get_flags (channel) & HYPHA_CHANNEL_PRIVILEGED_PORT, !=, 0);
  g_assert_cmpuint (hypha_channel_get_flags (channel) & HYPHA_CHANNEL_VOUCHED_ADDRESS, !=, 0);
  /* Anybody on this machine may dial it. */
  g_assert_cmpuint (hypha_channel_get_flags (accepted->pdata[0]) & HYPHA_CHANNEL_VOUCHED_ADDRESS,
                    ==, 0);
  g_assert_cmpuint (hypha_channel_get_flags (accepted->pdata[0]) & HYPHA_CHANNEL_PRIVILEGED_PORT,
                    !=, 0);
  hypha_listener_close (listener);
}

/* ---- probing ---- */

static void
test_probe_tells_local_cid (Fixture *f, gconstpointer data)
{
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) error = NULL;
  gboolean available, loopback = FALSE;
  guint32 cid = VMADDR_CID_ANY;

  if (!needs_vsock ())
    return;
  available = hypha_transport_probe (f->transport, &details, &error);
  if (!available)
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_true (g_variant_dict_lookup (&details, "loopback", "b", &loopback));
  g_assert_cmpint (loopback, ==, vsock_has_cid (VMADDR_CID_LOCAL));
  g_assert_true (g_variant_dict_contains (&details, "seqpacket"));
  /* The one or the other. */
  g_assert_cmpint (g_variant_dict_contains (&details, "local-cid"), !=,
                   g_variant_dict_contains (&details, "local-cid-unknown"));
  if (!g_variant_dict_lookup (&details, "local-cid", "u", &cid)) {
    g_test_skip ("this machine does not tell its CID");
    return;
  }
  g_assert_true (available);
  g_assert_cmpuint (cid, !=, VMADDR_CID_ANY);
  g_assert_true (vsock_has_cid (cid));
}

static void
assert_unknown (const char *device, const char *reason, const char *command)
{
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) error = NULL;
  const char *why = NULL;

  /* It tells the CID, and nothing works or fails by it. */
  g_assert_true (vsock_probe (device, VSOCK_MODULE_PATH, &details, &error));
  g_assert_no_error (error);
  g_assert_false (g_variant_dict_contains (&details, "local-cid"));
  g_assert_true (g_variant_dict_lookup (&details, "local-cid-unknown", "&s", &why));
  g_test_message ("%s", why);
  g_assert_nonnull (strstr (why, device));
  g_assert_nonnull (strstr (why, reason));
  g_assert_nonnull (strstr (why, command));
}

static void
test_probe_without_device (Fixture *f, gconstpointer data)
{
  if (!needs_vsock ())
    return;
  assert_unknown ("/nonexistent/vsock", "there is no /nonexistent/vsock", "modprobe vsock");
  assert_unknown ("/dev/null", "is not the vsock device", "sudo mknod");
}

static void
test_device_reasons (Fixture *f, gconstpointer data)
{
  g_autofree char *denied = vsock_explain_device (EACCES, "/dev/vsock");
  g_autofree char *other = vsock_explain_device (EMFILE, "/dev/vsock");

  g_assert_nonnull (strstr (denied, "chmod a+r /dev/vsock"));
  g_assert_nonnull (strstr (other, g_strerror (EMFILE)));
}

static void
test_family_reasons (Fixture *f, gconstpointer data)
{
  g_autofree char *no_module = vsock_explain_family (EAFNOSUPPORT, "/nonexistent/module");
  g_autofree char *sandboxed = vsock_explain_family (EAFNOSUPPORT, "/");
  g_autofree char *denied = vsock_explain_family (EPERM, "/");
  g_autofree char *other = vsock_explain_family (ENOMEM, "/");

  g_assert_nonnull (strstr (no_module, "modprobe vmw_vsock_virtio_transport"));
  g_assert_nonnull (strstr (no_module, "modprobe vhost_vsock"));
  g_assert_nonnull (strstr (sandboxed, "RestrictAddressFamilies="));
  g_assert_nonnull (strstr (denied, "seccomp"));
  g_assert_nonnull (strstr (other, g_strerror (ENOMEM)));
}

/* ---- sockets that somebody else has made ---- */

static void
test_adopted (Fixture *f, gconstpointer data)
{
  const struct sockaddr_vm any = { .svm_family = AF_VSOCK,
                                   .svm_cid = VMADDR_CID_ANY,
                                   .svm_port = VMADDR_PORT_ANY };
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  int fd = socket (AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (fd < 0) {
    g_test_skip ("this kernel has no vsock");
    return;
  }
  g_assert_cmpint (bind (fd, (const struct sockaddr *) &any, sizeof any), ==, 0);
  g_assert_null (hypha_transport_adopt (f->transport, fd, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  listener = hypha_transport_adopt (f->transport, fd, &error);
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (hypha_endpoint_to_string (hypha_listener_get_bound (listener)),
                                   "vsock://any:"));
  hypha_listener_close (listener);
  close (fd);
}

static void
test_other_kinds_are_not_adopted (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (listen (fd, 1), ==, 0);
  g_assert_null (hypha_transport_adopt (f->transport, fd, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
  close (fd);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) g_test_add ("/vsock/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("parse/every-spelling-is-canonical", test_parse);
  ADD ("parse/names-the-part-that-is-wrong", test_parse_refuses);
  ADD ("address/port-0-is-left-to-the-kernel", test_port_is_left_to_the_kernel);
  ADD ("link-cost", test_link_cost);
  ADD ("configure/takes-effect", test_options_take_effect);
  ADD ("configure/wrong-options-are-named", test_wrong_options_are_named);
  ADD ("connect/kernel-deadline-comes-after-ours", test_kernel_deadline_comes_later);
  ADD ("connect/any-is-for-listening-only", test_any_is_for_listening);
  ADD ("connect/low-port-is-told-at-both-ends", test_low_port_is_told);
  ADD ("loopback/absent-says-how-to-get-it", test_no_loopback);
  ADD ("listen/any-has-a-port-and-is-in-use", test_listen_anywhere);
  ADD ("listen/cid-of-another-machine", test_not_our_cid);
  ADD ("probe/tells-the-local-cid", test_probe_tells_local_cid);
  ADD ("probe/works-without-the-device", test_probe_without_device);
  ADD ("probe/device-reasons-have-a-command", test_device_reasons);
  ADD ("probe/family-reasons-have-a-command", test_family_reasons);
  ADD ("adopt/tells-where-it-is-bound", test_adopted);
  ADD ("adopt/not-another-kind", test_other_kinds_are_not_adopted);
#undef ADD
  return g_test_run ();
}
