/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha-plugin.h>
#include <string.h>

/* ---- a transport that has a name ---- */

#define TEST_TYPE_TRANSPORT (test_transport_get_type ())
G_DECLARE_FINAL_TYPE (TestTransport, test_transport, TEST, TRANSPORT, HyphaBaseTransport)

struct _TestTransport {
  HyphaBaseTransport parent_instance;
};

static void test_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (TestTransport, test_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      test_transport_iface_init))

static const char *const *
test_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "test", "TESTING", NULL };

  return schemes;
}

static void
test_transport_class_init (TestTransportClass *klass)
{
}

static void
test_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = test_transport_get_schemes;
}

static void
test_transport_init (TestTransport *self)
{
}

/* ---- what it has ---- */

typedef struct {
  HyphaTransport *transport;
  HyphaOptions *options;
  gboolean nodelay;
  guint depth;
  const char *path;
  GVariant *hosts;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->transport = g_object_new (TEST_TYPE_TRANSPORT, NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_clear_pointer (&f->options, hypha_options_free);
  g_assert_finalize_object (f->transport);
}

static gboolean
read_options (Fixture *f, const char *text, GError **error)
{
  g_autoptr (GVariant) values = g_variant_ref_sink (g_variant_new_parsed (text));

  g_clear_pointer (&f->options, hypha_options_free);
  f->options = hypha_options_new (f->transport, values);
  f->nodelay = hypha_options_get_boolean (f->options, "nodelay", TRUE);
  f->depth = hypha_options_get_uint (f->options, "depth", 2, 64, 8);
  f->path = hypha_options_get_string (f->options, "path", "/usr");
  f->hosts = hypha_options_get_value (f->options, "hosts", "as");
  if (f->path[0] != '/')
    hypha_options_refuse (f->options, "path", "'%s' does not begin with a slash", f->path);
  return hypha_options_finish (f->options, error);
}

static void
test_left_out_is_as_ever (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (read_options (f, "@a{sv} {}", &error));
  g_assert_no_error (error);
  g_assert_true (f->nodelay);
  g_assert_cmpuint (f->depth, ==, 8);
  g_assert_cmpstr (f->path, ==, "/usr");
  g_assert_null (f->hosts);
}

/* The values themselves are gone by then. */
static void
test_given_is_what_it_says (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  const char *host;

  g_assert_true (read_options (
      f, "{'hosts': <['a', 'b']>, 'path': <'/tmp'>, 'depth': <uint32 64>, 'nodelay': <false>}",
      &error));
  g_assert_no_error (error);
  g_assert_false (f->nodelay);
  g_assert_cmpuint (f->depth, ==, 64);
  g_assert_cmpstr (f->path, ==, "/tmp");
  g_assert_cmpuint (g_variant_n_children (f->hosts), ==, 2);
  g_variant_get_child (f->hosts, 1, "&s", &host);
  g_assert_cmpstr (host, ==, "b");
}

static void
test_number_has_any_type_of_integers (Fixture *f, gconstpointer data)
{
  static const char *const cases[] = {
    "3", "int16 3", "uint16 3", "uint32 3", "int64 3", "uint64 3"
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = g_strdup_printf ("{'depth': <%s>}", cases[i]);
    g_autoptr (GError) error = NULL;

    g_assert_true (read_options (f, text, &error));
    g_assert_no_error (error);
    g_assert_cmpuint (f->depth, ==, 3);
  }
}

static void
test_wrong_is_named_with_what_it_may_be (Fixture *f, gconstpointer data)
{
  static const char *const cases[][2] = {
    { "{'nodelay': <'yes'>}",
      "option 'nodelay' of the transport test: it is of the type 's', and has to be of 'b'" },
    { "{'path': <true>}",
      "option 'path' of the transport test: it is of the type 'b', and has to be of 's'" },
    { "{'hosts': <'a'>}",
      "option 'hosts' of the transport test: it is of the type 's', and has to be of 'as'" },
    { "{'depth': <2.5>}", "option 'depth' of the transport test: it is of the type 'd', and has to "
                          "be a number, 2 to 64" },
    { "{'depth': <1>}", "option 'depth' of the transport test: it is 1, and has to be 2 to 64" },
    { "{'depth': <-3>}", "option 'depth' of the transport test: it is -3, and has to be 2 to 64" },
    { "{'depth': <int64 -9223372036854775808>}",
      "option 'depth' of the transport test: it is -9223372036854775808, and has to be 2 to 64" },
    { "{'depth': <uint64 18446744073709551615>}",
      "option 'depth' of the transport test: it is 18446744073709551615, and has to be 2 to 64" },
    { "{'depth': <uint64 4294967299>}",
      "option 'depth' of the transport test: it is 4294967299, and has to be 2 to 64" },
    { "{'path': <'a\\u001bb'>}",
      "option 'path' of the transport test: 'a\\u{1b}b' does not begin with a slash" },
    { "{'delay': <1>}", "the transport test has no option 'delay': it has 'nodelay' (b), 'depth' "
                        "(u), 'path' (s), 'hosts' (as)" },
    { "{'\\u001b': <1>, 'depth': <3>}",
      "the transport test has no option '\\u{1b}': it has 'nodelay' (b), 'depth' (u), 'path' (s), "
      "'hosts' (as)" },
    /* The first that was read, however many there are. */
    { "{'delay': <1>, 'path': <'a'>, 'depth': <0>}",
      "option 'depth' of the transport test: it is 0, and has to be 2 to 64" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (read_options (f, cases[i][0], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
    g_assert_cmpstr (error->message, ==, cases[i][1]);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/api/options/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("left-out-is-as-ever", test_left_out_is_as_ever);
  ADD ("given-is-what-it-says", test_given_is_what_it_says);
  ADD ("number-has-any-type-of-integers", test_number_has_any_type_of_integers);
  ADD ("wrong-is-named-with-what-it-may-be", test_wrong_is_named_with_what_it_may_be);
#undef ADD
  return g_test_run ();
}
