/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "quic-stub.h"
#include "test-transport.h"

typedef struct {
  HyphaTransport *transport;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->transport = hypha_plugin_quic_stub.create (NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
}

static void
test_yields (Fixture *f, gconstpointer data)
{
  g_assert_cmpstr (hypha_transport_get_schemes (f->transport)[0], ==, "quic");
  g_assert_cmpint (hypha_plugin_quic_stub.priority, <, 0);
  g_assert_cmpstr (hypha_plugin_quic_stub.name, ==, "quic-stub");
}

/* hypha_transport_parse() itself holds what it gives to being canonical. */
static void
test_parse (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *uri;
    const char *canonical; /* NULL: it is refused, with PART in the message */
    const char *part;
  } cases[] = {
    { "quic://127.0.0.1:4974", "quic://127.0.0.1:4974", NULL },
    { "quic://[::0:1]:4974?cost=3", "quic://[::1]:4974?cost=3", NULL },
    { "quic://[FE80::1%25eth0]:1", "quic://[fe80::1%25eth0]:1", NULL },
    { "quic://[::ffff:10.0.0.1]:1", "quic://10.0.0.1:1", NULL },
    { "quic://Example.ORG:any", "quic://example.org:0", NULL },
    { "quic://example.org.:80", "quic://example.org.:80", NULL },
    { "quic://b\303\274cher.example:80", "quic://xn--bcher-kva.example:80", NULL },
    { "quic://any:4974", "quic://[::]:4974", NULL },
    { "quic://Any:4974", "quic://[::]:4974", NULL },
    { "quic://*:4974", "quic://[::]:4974", NULL },
    { "quic://127.0.0.1", NULL, "port" },
    { "quic://127.0.0.1:65536", NULL, "port" },
    { "quic://:80", NULL, "host" },
    { "quic://[127.0.0.1]:80", NULL, "IPv6" },
    { "quic://256.0.0.1:80", NULL, "256.0.0.1" },
    { "quic://127.1:80", NULL, "127.1" },
    { "quic://0x7f000001:80", NULL, "0x7f000001" },
    { "quic://-a:80", NULL, "-a" },
    { "quic://a..b:80", NULL, "a..b" },
    { "quic://.:80", NULL, "host" },
    { "quic://a,b:80", NULL, "a,b" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaEndpoint) endpoint = transport_try_parse (f->transport, cases[i].uri, &error);

    g_test_message ("%s: %s", cases[i].uri,
                    error == NULL ? hypha_endpoint_to_string (endpoint) : error->message);
    if (cases[i].canonical != NULL) {
      g_assert_no_error (error);
      g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==, cases[i].canonical);
    } else {
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
      g_assert_nonnull (strstr (error->message, cases[i].part));
    }
  }
}

static void
test_link_cost (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) ipv6 = transport_try_parse (f->transport, "quic://[::1]:80", NULL);
  g_autoptr (HyphaEndpoint) ipv4 = transport_try_parse (f->transport, "quic://127.0.0.1:80", NULL);
  g_autoptr (HyphaEndpoint) name =
      transport_try_parse (f->transport, "quic://example.org:80", NULL);

  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, ipv6), ==, 7);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, ipv4), ==, 12);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, name), ==, 12);
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, NULL), ==, 12);
}

static void
assert_says_so (GError *error)
{
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, "QUIC is not built in"));
}

static void
test_probe (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (hypha_transport_probe (f->transport, NULL, &error));
  assert_says_so (error);
}

static void
test_connect (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint =
      transport_try_parse (f->transport, "quic://127.0.0.1:4974", NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  hypha_transport_connect_async (f->transport, endpoint, 1000, NULL, keep_result, &result);
  g_assert_null (result);
  wait_result (&result);
  g_assert_null (hypha_transport_connect_finish (f->transport, result, &error));
  assert_says_so (error);
  g_assert_nonnull (strstr (error->message, "quic://127.0.0.1:4974"));
}

static void
test_listen (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = transport_try_parse (f->transport, "quic://any:4974", NULL);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  hypha_transport_listen_async (f->transport, endpoint, NULL, keep_result, &result);
  g_assert_null (result);
  wait_result (&result);
  g_assert_null (hypha_transport_listen_finish (f->transport, result, &error));
  assert_says_so (error);
  g_assert_nonnull (strstr (error->message, "quic://[::]:4974"));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, function) \
  g_test_add ("/quic-stub/" path, Fixture, NULL, set_up, function, tear_down)
  ADD ("plugin/yields-to-any-other", test_yields);
  ADD ("parse/is-strict-and-canonical", test_parse);
  ADD ("link-cost", test_link_cost);
  ADD ("probe/says-that-it-is-not-built-in", test_probe);
  ADD ("connect/says-that-it-is-not-built-in", test_connect);
  ADD ("listen/says-that-it-is-not-built-in", test_listen);
#undef ADD
  return g_test_run ();
}
