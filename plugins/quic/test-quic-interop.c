/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quic-tls.h"
#include "quic.h"
#include "test-transport.h"

/* With programs of others, from Debian's ngtcp2-client and ngtcp2-server. They speak HTTP/3: as far
 * as the handshake goes, so does a node then. */

#define HTTP3 "h3"
#define CONNECT_MS 5000
#define PATIENCE_MS 20000

typedef struct {
  HyphaTransport *transport;
  char *directory;
  GSubprocess *program; /* nullable */
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->transport = hypha_plugin_quic.create (NULL);
  f->directory = g_dir_make_tmp ("hypha-quic-XXXXXX", NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  static const char *const names[] = { "key", "certificate", "said" };

  if (f->program != NULL) {
    g_subprocess_force_exit (f->program);
    g_subprocess_wait (f->program, NULL, NULL);
    g_object_unref (f->program);
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (f->directory, names[i], NULL);

    g_unlink (path);
  }
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->directory);
  quic_tls_set_alpn (NULL);
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
}

/* NULL: the test has been skipped. */
static char *
find_program (const char *name, const char *package)
{
  g_autofree char *why = g_strdup_printf ("there is no %s (package %s)", name, package);
  char *path = g_find_program_in_path (name);

  if (path == NULL)
    path = g_strconcat ("/usr/sbin/", name, NULL);
  if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
    return path;
  g_free (path);
  g_test_skip (why);
  return NULL;
}

static HyphaEndpoint *
parse (Fixture *f, const char *host, guint port)
{
  g_autofree char *uri = g_strdup_printf ("quic://%s:%u", host, port);

  return transport_parse (f->transport, uri);
}

/* What it says goes to a file. */
static void
start (Fixture *f, const char *const *words)
{
  g_autofree char *said = g_build_filename (f->directory, "said", NULL);
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_MERGE);
  g_autoptr (GError) error = NULL;

  g_subprocess_launcher_set_stdout_file_path (launcher, said);
  g_subprocess_launcher_set_cwd (launcher, f->directory);
  f->program = g_subprocess_launcher_spawnv (launcher, words, &error);
  g_assert_no_error (error);
}

static char *
get_said (Fixture *f)
{
  g_autofree char *path = g_build_filename (f->directory, "said", NULL);
  char *said = NULL;

  g_file_get_contents (path, &said, NULL, NULL);
  return said != NULL ? said : g_strdup ("");
}

static void
wait_said (Fixture *f, const char *word)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
  gboolean found = FALSE;

  while (!found && g_get_monotonic_time () < end) {
    g_autofree char *said = get_said (f);

    found = strstr (said, word) != NULL;
    if (!g_main_context_iteration (NULL, FALSE))
      g_usleep (5000);
  }
  if (!found) {
    g_autofree char *said = get_said (f);

    g_test_message ("%s", said);
  }
  g_assert_true (found);
}

/* ---- their server ---- */

static void
write_file (Fixture *f, const char *name, gnutls_datum_t *bytes)
{
  g_autofree char *path = g_build_filename (f->directory, name, NULL);

  g_assert_true (g_file_set_contents (path, (const char *) bytes->data, bytes->size, NULL));
  gnutls_free (bytes->data);
}

static void
make_certificate (Fixture *f)
{
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t certificate;
  gnutls_datum_t text;

  gnutls_x509_privkey_init (&key);
  gnutls_x509_crt_init (&certificate);
  gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA,
                                GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0);
  gnutls_x509_crt_set_version (certificate, 3);
  gnutls_x509_crt_set_serial (certificate, "\1", 1);
  gnutls_x509_crt_set_activation_time (certificate, 0);
  gnutls_x509_crt_set_expiration_time (certificate, (time_t) -1);
  gnutls_x509_crt_set_dn_by_oid (certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "localhost", 9);
  gnutls_x509_crt_set_key (certificate, key);
  g_assert_cmpint (gnutls_x509_crt_sign2 (certificate, certificate, key, GNUTLS_DIG_SHA256, 0), >=,
                   0);
  g_assert_cmpint (gnutls_x509_privkey_export2 (key, GNUTLS_X509_FMT_PEM, &text), >=, 0);
  write_file (f, "key", &text);
  g_assert_cmpint (gnutls_x509_crt_export2 (certificate, GNUTLS_X509_FMT_PEM, &text), >=, 0);
  write_file (f, "certificate", &text);
  gnutls_x509_crt_deinit (certificate);
  gnutls_x509_privkey_deinit (key);
}

static guint
find_port (void)
{
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (bind (fd, (const struct sockaddr *) &address, length), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &address, &length), ==, 0);
  close (fd);
  return ntohs (address.sin_port);
}

static HyphaChannel *
connect_once (Fixture *f, guint port, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "127.0.0.1", port);

  return transport_connect (f->transport, endpoint, CONNECT_MS, error);
}

/* Until it listens, nobody is there. */
static HyphaChannel *
connect_to_server (Fixture *f, guint port, GError **error)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;

  while (g_get_monotonic_time () < end) {
    g_autoptr (GError) local = NULL;
    HyphaChannel *channel = connect_once (f, port, &local);

    if (channel != NULL)
      return channel;
    if (strstr (local->message, g_strerror (ECONNREFUSED)) == NULL) {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
    g_usleep (10000);
  }
  return NULL;
}

/* FALSE: the test has been skipped. */
static gboolean
start_server (Fixture *f, guint *port)
{
  g_autofree char *path = find_program ("gtlsserver", "ngtcp2-server");
  g_autofree char *text = NULL;

  if (path == NULL)
    return FALSE;
  make_certificate (f);
  *port = find_port ();
  text = g_strdup_printf ("%u", *port);
  start (f, (const char *const[]){ path, "--validate-addr", "--mime-types-file=/dev/null",
                                   "127.0.0.1", text, "key", "certificate", NULL });
  return TRUE;
}

static void
test_their_server (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  guint port;

  quic_tls_set_alpn (HTTP3);
  if (!start_server (f, &port))
    return;
  channel = connect_to_server (f, port, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (hypha_channel_get_binding (channel)), ==, 32);
}

static void
test_their_server_is_no_node (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  guint port;

  if (!start_server (f, &port))
    return;
  channel = connect_to_server (f, port, &error);
  g_assert_null (channel);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, "hypha/1"));
}

/* ---- their client ---- */

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  g_ptr_array_add (user_data, g_object_ref (channel));
}

/* NULL: the test has been skipped. */
static HyphaListener *
serve (Fixture *f, GPtrArray *accepted)
{
  g_autofree char *path = find_program ("gtlsclient", "ngtcp2-client");
  g_autoptr (HyphaEndpoint) endpoint = parse (f, "127.0.0.1", 0);
  g_autofree char *host = NULL;
  g_autofree char *port = NULL;
  g_autofree char *address = NULL;
  HyphaListener *listener;
  guint32 number;

  if (path == NULL)
    return NULL;
  listener = transport_listen (f->transport, endpoint, NULL);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), accepted);
  hypha_endpoint_split_host_port (hypha_listener_get_bound (listener), G_MAXUINT16, &host, &number,
                                  NULL);
  port = g_strdup_printf ("%u", number);
  address = g_strdup_printf ("https://127.0.0.1:%u/", number);
  start (f, (const char *const[]){ path, "--timeout=5s", "127.0.0.1", port, address, NULL });
  return listener;
}

static void
test_their_client (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) accepted = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (HyphaListener) listener = NULL;

  quic_tls_set_alpn (HTTP3);
  listener = serve (f, accepted);
  if (listener == NULL)
    return;
  wait_said (f, "QUIC handshake has completed");
  wait_said (f, "QUIC handshake has been confirmed");
  hypha_listener_close (listener);
}

static void
test_their_client_is_no_node (Fixture *f, gconstpointer data)
{
  g_autoptr (GPtrArray) accepted = g_ptr_array_new_with_free_func (g_object_unref);
  g_autoptr (HyphaListener) listener = serve (f, accepted);

  if (listener == NULL)
    return;
  /* no_application_protocol, RFC 9001, 8.1 */
  wait_said (f, "0x178");
  g_assert_cmpuint (accepted->len, ==, 0);
  hypha_listener_close (listener);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) \
  g_test_add ("/quic-interop/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("gtlsserver/shakes-hands", test_their_server);
  ADD ("gtlsserver/is-no-node", test_their_server_is_no_node);
  ADD ("gtlsclient/shakes-hands", test_their_client);
  ADD ("gtlsclient/is-no-node", test_their_client_is_no_node);
#undef ADD
  return g_test_run ();
}
