/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "certificate.h"
#include "contract.h"
#include "harness.h"
#include "silent.h"
#include "websocket-http.h"
#include "websocket.h"

/* Of the listeners of wss, as PATH.crt and PATH.key. */
static char *certificate;

static HyphaTransport *
create (void)
{
  return hypha_plugin_websocket.create (NULL);
}

static HyphaTransport *
create_secure (void)
{
  HyphaTransport *transport = create ();
  g_autofree char *crt = g_strconcat (certificate, ".crt", NULL);
  g_autofree char *key = g_strconcat (certificate, ".key", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) options = g_variant_ref_sink (g_variant_new_parsed (
      "{'ca-file': <%s>, 'certificate': <%s>, 'key': <%s>, 'proxy': <''>}", crt, crt, key));

  hypha_transport_configure (transport, options, &error);
  g_assert_no_error (error);
  return transport;
}

static char *
fresh_ipv4 (const char *directory)
{
  return g_strdup ("ws://127.0.0.1:0/hypha");
}

static char *
fresh_ipv6 (const char *directory)
{
  return g_strdup ("ws://[::1]:0/hypha");
}

static char *
fresh_secure (const char *directory)
{
  return g_strdup ("wss://127.0.0.1:0/hypha");
}

static char *
silent_ipv4 (const char *directory, GArray *held)
{
  return silent_inet (AF_INET, SOCK_STREAM, "ws://127.0.0.1:%u/hypha", held);
}

static char *
silent_secure (const char *directory, GArray *held)
{
  return silent_inet (AF_INET, SOCK_STREAM, "wss://127.0.0.1:%u/hypha", held);
}

static char *
silent_ipv6 (const char *directory, GArray *held)
{
  return silent_inet (AF_INET6, SOCK_STREAM, "ws://[::1]:%u/hypha", held);
}

static gboolean
has_tls (char **why)
{
  if (g_tls_backend_supports_tls (g_tls_backend_get_default ()))
    return TRUE;
  *why = g_strdup ("GIO has no TLS here: glib-networking is not installed");
  return FALSE;
}

/* How a host and a port are written is held in test-contract-tcp.c. */
static const ContractSpelling spellings[] = {
  { "ws://127.0.0.1:4974/hypha", "ws://127.0.0.1:4974/hypha", NULL },
  { "ws://127.0.0.1", "ws://127.0.0.1/", NULL },
  { "ws://127.0.0.1:80", "ws://127.0.0.1/", NULL },
  { "ws://127.0.0.1:443/", "ws://127.0.0.1:443/", NULL },
  { "wss://Example.ORG/a/b/", "wss://example.org/a/b/", NULL },
  { "wss://example.org:443/a", "wss://example.org/a", NULL },
  { "wss://example.org:80/a", "wss://example.org:80/a", NULL },
  { "ws://[0:0::1]/x", "ws://[::1]/x", NULL },
  { "ws://[::ffff:127.0.0.1]:1/", "ws://127.0.0.1:1/", NULL },
  { "ws://[fe80::1%25eth0]:1/x", "ws://[fe80::1%25eth0]:1/x", NULL },
  { "ws://any:any/x", "ws://[::]:0/x", NULL },
  { "ws://a/with%20space%3Fand%25", "ws://a/with%20space%3Fand%25", NULL },
  { "ws://a/gr\303\274n", "ws://a/gr\303\274n", NULL },
  { "ws:127.0.0.1/x", NULL, "//HOST" },
  { "ws:///x", NULL, "host" },
  { "ws://127.0.0.1:/x", NULL, "port" },
  { "ws://127.0.0.1:65536/x", NULL, "port" },
  { "ws://127.0.0.1:080/x", NULL, "port" },
  { "ws://127.1/x", NULL, "IPv4" },
  { "ws://user@host/x", NULL, "'@'" },
  { "ws://host/a/../b", NULL, "'..'" },
  { "ws://host/./b", NULL, "'.'" },
  { "ws://host//b", NULL, "empty part" },
  { "wss://::1/x", NULL, "brackets" },
  { NULL, NULL, NULL },
};

static const Contract ipv4 = {
  .name = "websocket-ipv4",
  .create = create,
  .fresh = fresh_ipv4,
  .silent = silent_ipv4,
  .spellings = spellings,
  .host = "127.0.0.1",
  .half_close = TRUE,
  .cost = 20,
  .tells_cut = TRUE,
};

static const Contract ipv6 = {
  .name = "websocket-ipv6",
  .create = create,
  .usable = harness_has_ipv6,
  .made_anywhere = TRUE,
  .fresh = fresh_ipv6,
  .silent = silent_ipv6,
  .spellings = spellings,
  .host = "::1",
  .half_close = TRUE,
  .cost = 20,
  .tells_cut = TRUE,
};

static const Contract secure = {
  .name = "websocket-tls",
  .create = create_secure,
  .usable = has_tls,
  .fresh = fresh_secure,
  .silent = silent_secure,
  .spellings = spellings,
  .host = "127.0.0.1",
  .half_close = TRUE,
  .cost = 20,
  .tells_cut = TRUE,
};

static guint16
get_port (HyphaListener *listener)
{
  g_auto (GStrv) parts =
      g_strsplit (hypha_endpoint_get_rest (hypha_listener_get_bound (listener)), ":", 2);

  return (guint16) g_ascii_strtoull (parts[1], NULL, 10);
}

/* So many have come that some of them wait for their turn, and all of them are slow: whoever is
 * first to be shown out has had time enough for a client on a slow line, or on a busy machine. */
static void
test_slow_guests_have_time (void)
{
  g_autoptr (HyphaTransport) transport = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  struct sockaddr_in address = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  struct pollfd guests[6];
  gint64 begin = g_get_monotonic_time ();

  if (!g_tls_backend_supports_tls (g_tls_backend_get_default ())) {
    g_test_skip ("GIO has no TLS here: glib-networking is not installed");
    return;
  }
  transport = create_secure ();
  endpoint = hypha_endpoint_parse ("wss://127.0.0.1:0/hypha", &error);
  hypha_transport_listen_async (transport, endpoint, NULL, harness_keep_result, &result);
  harness_wait_result (&result);
  listener = hypha_transport_listen_finish (transport, result, &error);
  g_assert_no_error (error);
  address.sin_port = htons (get_port (listener));
  for (guint i = 0; i < G_N_ELEMENTS (guests); i++) {
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_no_errno (connect (fd, (const struct sockaddr *) &address, sizeof address));
    /* The beginning of a record, of which no more comes. */
    g_assert_cmpint (send (fd, "\x16\x03", 2, MSG_NOSIGNAL), ==, 2);
    guests[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
  }
  /* All of them are shown out, those who waited last. */
  for (guint open = G_N_ELEMENTS (guests); open > 0;) {
    g_assert_cmpint (poll (guests, G_N_ELEMENTS (guests), 20000), >, 0);
    g_assert_cmpint (g_get_monotonic_time () - begin, >=, 1500 * G_TIME_SPAN_MILLISECOND);
    for (guint i = 0; i < G_N_ELEMENTS (guests); i++)
      if (guests[i].fd >= 0 && guests[i].revents != 0) {
        close (guests[i].fd);
        guests[i].fd = -1;
        open--;
      }
  }
  hypha_listener_close (listener);
  hypha_transport_stop (transport);
}

#define TOLD 12000

/* To free. */
static char *
read_head (GIOStream *stream)
{
  g_autoptr (GString) head = g_string_new (NULL);
  GInputStream *in = g_io_stream_get_input_stream (stream);
  g_autoptr (GError) error = NULL;
  char byte;

  while (!g_str_has_suffix (head->str, "\r\n\r\n")) {
    gssize n = g_input_stream_read (in, &byte, 1, NULL, &error);

    g_assert_no_error (error);
    g_assert_cmpint (n, ==, 1);
    g_string_append_c (head, byte);
  }
  return g_strdup (head->str);
}

static void
write_all (GIOStream *stream, const char *text, gsize size)
{
  g_autoptr (GError) error = NULL;

  g_output_stream_write_all (g_io_stream_get_output_stream (stream), text, size, NULL, NULL,
                             &error);
  g_assert_no_error (error);
}

/* A server, which says TOLD bytes together with its answer. */
static void
answer_and_tell (GIOStream *stream)
{
  static const char frame[] = { '\x82', 126, TOLD >> 8, (char) (TOLD & 0xff) };
  static const char name[] = "Sec-WebSocket-Key: ";
  g_autofree char *request = read_head (stream);
  g_autofree char *key = g_strdup (strstr (request, name) + strlen (name));
  g_autoptr (GString) answer = g_string_new (NULL);
  g_autofree char *accept_key = NULL;

  key[strcspn (key, "\r")] = '\0';
  accept_key = websocket_http_accept_key (key);
  g_string_printf (answer,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                   accept_key);
  g_string_append_len (answer, frame, sizeof frame);
  for (guint i = 0; i < TOLD; i++)
    g_string_append_c (answer, 'x');
  write_all (stream, answer->str, answer->len);
}

/* The other end is a server of wss; or a proxy by TLS, and the server behind it. */
static GIOStream *
accept_tls (GSocketListener *listener, GTlsCertificate *own)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocketConnection) connection =
      g_socket_listener_accept (listener, NULL, NULL, &error);
  GIOStream *stream;

  g_assert_no_error (error);
  stream = g_tls_server_connection_new (G_IO_STREAM (connection), own, &error);
  g_assert_no_error (error);
  return stream;
}

/* What came in one record with the answer, and was not read with it, the socket knows nothing of
 * any more. */
static void
test_record_goes_on_behind_the_answer (gconstpointer by_proxy)
{
  g_autoptr (HyphaTransport) transport = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();
  g_autoptr (GTlsCertificate) own = NULL;
  g_autoptr (GTlsDatabase) trusted = NULL;
  g_autoptr (GIOStream) stream = NULL;
  g_autoptr (GVariant) options = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *crt = g_strconcat (certificate, ".crt", NULL);
  g_autofree char *key = g_strconcat (certificate, ".key", NULL);
  g_autofree char *server = NULL;
  g_autofree char *uri = NULL;
  char bytes[TOLD];
  guint16 port;
  gssize n;

  if (!g_tls_backend_supports_tls (g_tls_backend_get_default ())) {
    g_test_skip ("GIO has no TLS here: glib-networking is not installed");
    return;
  }
  own = g_tls_certificate_new_from_files (crt, key, &error);
  g_assert_no_error (error);
  /* GIO trusts a proxy that the system trusts. */
  trusted = g_tls_file_database_new (crt, &error);
  g_assert_no_error (error);
  g_tls_backend_set_default_database (g_tls_backend_get_default (), trusted);
  port = g_socket_listener_add_any_inet_port (listener, NULL, &error);
  g_assert_no_error (error);
  server = by_proxy ? g_strdup_printf ("https://127.0.0.1:%u", port) : g_strdup ("");
  uri = by_proxy ? g_strdup ("ws://127.0.0.1:1/hypha")
                 : g_strdup_printf ("wss://127.0.0.1:%u/hypha", port);
  /* No ping comes to wake it. */
  options = g_variant_ref_sink (
      g_variant_new_parsed ("{'proxy': <%s>, 'ping-interval': <uint32 3600>}", server));
  transport = create ();
  g_assert_true (hypha_transport_configure (transport, options, NULL));
  endpoint = hypha_endpoint_parse (uri, &error);
  hypha_transport_connect_async (transport, endpoint, 20000, NULL, harness_keep_result, &result);
  stream = accept_tls (listener, own);
  if (by_proxy) {
    g_autofree char *head = read_head (stream);

    g_assert_true (g_str_has_prefix (head, "CONNECT 127.0.0.1:1 "));
    write_all (stream, "HTTP/1.1 200 OK\r\n\r\n", strlen ("HTTP/1.1 200 OK\r\n\r\n"));
  }
  answer_and_tell (stream);
  harness_wait_result (&result);
  channel = hypha_transport_connect_finish (transport, result, &error);
  g_assert_no_error (error);
  for (gsize done = 0; done < TOLD; done += (gsize) n) {
    n = harness_read (hypha_channel_get_fd (channel), bytes, sizeof bytes);
    g_assert_cmpint (n, >, 0);
  }
  g_tls_backend_set_default_database (g_tls_backend_get_default (), NULL);
  hypha_transport_stop (transport);
}

int
main (int argc, char *argv[])
{
  g_autofree char *directory = NULL;
  g_autofree char *crt = NULL;
  g_autofree char *key = NULL;
  g_autoptr (GError) error = NULL;
  int status;

  /* Which proxies this machine has is none of the contract's. */
  g_setenv ("GIO_USE_PROXY_RESOLVER", "dummy", TRUE);
  contract_init (&argc, &argv);
  directory = g_dir_make_tmp ("hypha-certificate-XXXXXX", &error);
  g_assert_no_error (error);
  certificate = g_build_filename (directory, "it", NULL);
  certificate_write (certificate, &error);
  g_assert_no_error (error);
  crt = g_strconcat (certificate, ".crt", NULL);
  key = g_strconcat (certificate, ".key", NULL);
  contract_add_tests (&ipv4);
  contract_add_tests (&ipv6);
  contract_add_tests (&secure);
  g_test_add_func ("/websocket-tls/slow-guests-have-time", test_slow_guests_have_time);
  g_test_add_data_func ("/websocket-tls/record-goes-on-behind-the-answer", NULL,
                        test_record_goes_on_behind_the_answer);
  g_test_add_data_func ("/websocket-tls/by-a-proxy/record-goes-on-behind-the-answer",
                        GINT_TO_POINTER (TRUE), test_record_goes_on_behind_the_answer);
  status = g_test_run ();
  g_unlink (crt);
  g_unlink (key);
  g_rmdir (directory);
  g_free (certificate);
  return status;
}
