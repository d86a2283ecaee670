/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "certificate.h"
#include "contract.h"
#include "harness.h"
#include "silent.h"
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
  status = g_test_run ();
  g_unlink (crt);
  g_unlink (key);
  g_rmdir (directory);
  g_free (certificate);
  return status;
}
