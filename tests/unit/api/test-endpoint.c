/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha.h>
#include <string.h>

#define ID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static HyphaEndpoint *
parse (const char *uri)
{
  g_autoptr (GError) error = NULL;
  HyphaEndpoint *endpoint = hypha_endpoint_parse (uri, &error);

  g_assert_no_error (error);
  g_assert_nonnull (endpoint);
  return endpoint;
}

static void
assert_refused (const char *uri, const char *part)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_parse (uri, &error);

  g_assert_null (endpoint);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  if (strstr (error->message, part) == NULL)
    g_error ("'%s' is refused by '%s', which does not name '%s'", uri, error->message, part);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
}

/* Splitting */

static void
test_splits (void)
{
  static const struct {
    const char *uri, *scheme, *rest, *printed; /* NULL: as it was */
  } table[] = {
    { "tcp://[::1]:80", "tcp", "//[::1]:80", NULL },
    { "unix:@x", "unix", "@x", NULL },
    { "unix:///run/a%20b", "unix", "///run/a b", NULL },
    { "unix:///a%2fb%41", "unix", "///a/bA", "unix:///a/bA" },
    { "unix:///100%25%3F%23", "unix", "///100%?#", NULL },
    { "unix:///%0a%7F", "unix", "///\n\x7f", "unix:///%0A%7F" },
    { "unix:///%c3%a9", "unix", "///\xc3\xa9", "unix:///\xc3\xa9" },
    { "unix:///%e2%80%ae", "unix", "///\xe2\x80\xae", "unix:///%E2%80%AE" },
    { "vsock:2:4974", "vsock", "2:4974", NULL },
    { "VSOCK-CONNECT:2:4974", "VSOCK-CONNECT", "2:4974", NULL },
    { "a+b.c-1:x", "a+b.c-1", "x", NULL },
    { "hvsock:///run/vm/*/v.sock:4974", "hvsock", "///run/vm/*/v.sock:4974", NULL },
    { "vsock-mux/run/v.sock:22", "vsock-mux", "/run/v.sock:22", "vsock-mux:/run/v.sock:22" },
    { "a/b?cost=3", "a", "/b", "a:/b?cost=3" },
    { "tcp://h:1?tls=never&cost=3", "tcp", "//h:1", "tcp://h:1?cost=3&tls=never" },
    { "tcp://h:1?id=" ID, "tcp", "//h:1", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (HyphaEndpoint) endpoint = parse (table[i].uri);
    g_autoptr (HyphaEndpoint) again = parse (hypha_endpoint_to_string (endpoint));

    g_assert_cmpstr (hypha_endpoint_get_scheme (endpoint), ==, table[i].scheme);
    g_assert_cmpstr (hypha_endpoint_get_rest (endpoint), ==, table[i].rest);
    g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==,
                     table[i].printed != NULL ? table[i].printed : table[i].uri);
    g_assert_true (hypha_endpoint_equal (endpoint, again));
    g_assert_cmpuint (hypha_endpoint_hash (endpoint), ==, hypha_endpoint_hash (again));
    g_assert_cmpstr (hypha_endpoint_get_rest (again), ==, table[i].rest);
  }
}

static void
test_refuses_bad_schemes (void)
{
  assert_refused ("", "empty");
  assert_refused ("tcp", "scheme is missing");
  assert_refused (":x", "scheme before ':' is empty");
  assert_refused ("1tcp:x", "scheme begins with a digit");
  assert_refused ("+tcp:x", "stray character '+' in the scheme");
  assert_refused ("/run/v.sock:22", "stray character '/' in the scheme");
  assert_refused ("u@h/x", "stray character '@' in the scheme");
  assert_refused ("t cp:x", "stray character ' ' in the scheme");
  assert_refused ("t?p:x", "stray character '?' in the scheme");
  assert_refused ("t\xc3\xa9p:x", "in the scheme");
  assert_refused ("t\np:x", "in the scheme");
}

static void
test_refuses_bad_addresses (void)
{
  assert_refused ("tcp:", "address after the scheme is empty");
  assert_refused ("tcp:?cost=3", "address after the scheme is empty");
  assert_refused ("tcp:a b", "stray character ' ' in the address; write it as %20");
  assert_refused ("tcp:a#b", "stray character '#' in the address; write it as %23");
  assert_refused ("tcp:a\nb", "in the address; write it as %0A");
  assert_refused ("tcp:a\x7f", "in the address; write it as %7F");
  assert_refused ("tcp:a\xc2\x85", "in the address; write it as %C2%85");
  assert_refused ("tcp:a\xe2\x80\xae", "in the address; write it as %E2%80%AE");
  assert_refused ("tcp:a%", "not followed by two hexadecimal digits");
  assert_refused ("tcp:a%4", "not followed by two hexadecimal digits");
  assert_refused ("tcp:a%4g", "not followed by two hexadecimal digits");
  assert_refused ("tcp:a%4?cost=1", "not followed by two hexadecimal digits");
  assert_refused ("tcp:a%00b", "the address contains %00");
  assert_refused ("tcp:a%ff", "not UTF-8 once");
  assert_refused ("tcp:a%c3", "not UTF-8 once");
  assert_refused ("tcp:a\xff", "it is not UTF-8");
}

static void
test_refuses_bad_options (void)
{
  assert_refused ("tcp:x?", "options after '?' are empty");
  assert_refused ("tcp:x?&", "empty option");
  assert_refused ("tcp:x?cost=1&", "empty option");
  assert_refused ("tcp:x?colour=red", "there is no option 'colour'");
  assert_refused ("tcp:x?Cost=1", "there is no option 'Cost'");
  assert_refused ("tcp:x?=1", "there is no option ''");
  assert_refused ("tcp:x?cost", "option 'cost' has no value");
  assert_refused ("tcp:x?cost=", "option 'cost': is empty");
  assert_refused ("tcp:x?cost=-1", "option 'cost': '-1' is not a decimal number");
  assert_refused ("tcp:x?cost=%31", "option 'cost'");
  assert_refused ("unix:/x?mode=", "option 'mode': '' is not three octal digits");
  assert_refused ("unix:/x?mode=60", "option 'mode'");
  assert_refused ("unix:/x?mode=0600", "option 'mode'");
  assert_refused ("unix:/x?mode=608", "option 'mode'");
  assert_refused ("tcp:x?idle=0", "option 'idle': it is 1 to 86400 seconds");
  assert_refused ("tcp:x?idle=86401", "option 'idle': '86401' is above 86400");
  assert_refused ("tcp:x?idle=1s", "option 'idle': '1s' is not a decimal number");
  assert_refused ("tcp:x?cost=4294967296", "option 'cost': '4294967296' is above 4294967295");
  assert_refused ("tcp:x?cost=99999999999999999999999", "is above 4294967295");
  assert_refused ("tcp:x?cost=03", "option 'cost': '03' begins with a zero");
  assert_refused ("tcp:x?cost=1&cost=1", "option 'cost' is given twice");
  assert_refused ("tcp:x?tls=maybe", "option 'tls': 'maybe'");
  assert_refused ("tcp:x?tls=never?cost=1", "option 'tls': 'never?cost=1'");
  assert_refused ("tcp:x?tls=never#", "option 'tls': 'never#'");
  assert_refused ("tcp:x?id=abc", "option 'id': 'abc' is not a node id");
}

static void
test_length_is_bounded (void)
{
  g_autofree char *text = g_strnfill (4096, 'x');
  g_autofree char *longer = NULL;
  g_autoptr (HyphaEndpoint) longest = NULL;
  g_autoptr (HyphaEndpoint) changed = NULL;
  g_autoptr (GError) error = NULL;

  memcpy (text, "tcp:", 4);
  longer = g_strconcat (text, "x", NULL);
  longest = parse (text);
  assert_refused (longer, "longer than 4096 bytes");

  changed = hypha_endpoint_with_option (longest, "cost", "1", &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  g_assert_nonnull (strstr (error->message, "'cost'"));
  g_assert_null (changed);
}

/* Pieces that meet the borders of the grammar more often than single characters would. */
static char *
make_random_uri (void)
{
  static const char *const pieces[] = { "tcp",    "a",        ":",
                                        "/",      "//",       "?",
                                        "&",      "=",        "%",
                                        "%2",     "%20",      "%25",
                                        "%00",    "cost",     "tls=",
                                        "id=",    "1",        "0",
                                        "-",      ".",        "#",
                                        " ",      "\n",       "\x7f",
                                        "@",      "[",        "]",
                                        "never",  "\xc3\xa9", "\xff",
                                        "%c3%a9", "%ff",      "\xe2\x80\xa8",
                                        "any",    "?cost=7",  "unix:",
                                        ID,       "%3F" };
  GString *uri = g_string_new (g_test_rand_bit () ? "tcp:" : "");
  gint count = g_test_rand_int_range (0, 12);

  for (gint i = 0; i < count; i++)
    g_string_append (uri, pieces[g_test_rand_int_range (0, G_N_ELEMENTS (pieces))]);
  return g_string_free (uri, FALSE);
}

static void
test_parse_print_parse_is_identity (void)
{
  guint parsed = 0;

  for (guint round = 0; round < 20000; round++) {
    g_autofree char *uri = make_random_uri ();
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaEndpoint) first = hypha_endpoint_parse (uri, &error);
    g_autoptr (HyphaEndpoint) second = NULL;

    if (first == NULL) {
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
      continue;
    }
    g_assert_no_error (error);
    second = parse (hypha_endpoint_to_string (first));
    g_assert_true (hypha_endpoint_equal (first, second));
    g_assert_cmpstr (hypha_endpoint_get_scheme (first), ==, hypha_endpoint_get_scheme (second));
    g_assert_cmpstr (hypha_endpoint_get_rest (first), ==, hypha_endpoint_get_rest (second));
    g_assert_cmpstr (hypha_endpoint_to_string (first), ==, hypha_endpoint_to_string (second));
    parsed++;
  }
  /* Else the pieces test nothing. */
  g_assert_cmpuint (parsed, >, 1000);
}

/* Making */

static void
test_new_keeps_options (void)
{
  g_autoptr (HyphaEndpoint) spelled = parse ("VSOCK-CONNECT:2:4974?cost=3&tls=always");
  g_autoptr (HyphaEndpoint) canonical = hypha_endpoint_new ("vsock", "//2:4974", spelled);
  g_autoptr (HyphaEndpoint) bare = hypha_endpoint_new ("vsock", "//2:4974", NULL);

  g_assert_cmpstr (hypha_endpoint_to_string (canonical), ==, "vsock://2:4974?cost=3&tls=always");
  g_assert_cmpstr (hypha_endpoint_to_string (bare), ==, "vsock://2:4974");
}

static void
test_new_prints_what_parses (void)
{
  g_autoptr (HyphaEndpoint) odd = hypha_endpoint_new ("unix", "///a b%?#\n", NULL);
  g_autoptr (HyphaEndpoint) again = parse (hypha_endpoint_to_string (odd));
  g_autoptr (HyphaEndpoint) broken = hypha_endpoint_new ("unix", "///\xff", NULL);

  g_assert_cmpstr (hypha_endpoint_get_rest (again), ==, "///a b%?#\n");
  g_assert_true (g_utf8_validate (hypha_endpoint_to_string (broken), -1, NULL));
}

static void
test_options_change (void)
{
  g_autoptr (HyphaEndpoint) plain = parse ("tcp://h:1");
  g_autoptr (HyphaEndpoint) dear = hypha_endpoint_with_option (plain, "cost", "9", NULL);
  g_autoptr (HyphaEndpoint) dearer = hypha_endpoint_with_option (dear, "cost", "10", NULL);
  g_autoptr (HyphaEndpoint) again = hypha_endpoint_with_option (dearer, "cost", NULL, NULL);
  g_autoptr (HyphaEndpoint) bare = hypha_endpoint_without_options (dearer);
  g_autoptr (HyphaEndpoint) same = hypha_endpoint_without_options (plain);

  g_assert_null (hypha_endpoint_get_option (plain, "cost"));
  g_assert_cmpstr (hypha_endpoint_get_option (dear, "cost"), ==, "9");
  g_assert_cmpstr (hypha_endpoint_to_string (dearer), ==, "tcp://h:1?cost=10");
  g_assert_false (hypha_endpoint_equal (dear, dearer));
  g_assert_true (hypha_endpoint_equal (plain, again));
  g_assert_true (hypha_endpoint_equal (plain, bare));
  g_assert_true (same == plain);
  g_assert_null (hypha_endpoint_get_option (plain, "colour"));
}

static void
test_option_is_checked (void)
{
  static const struct {
    const char *name, *value, *part;
  } table[] = {
    { "cost", "x", "option 'cost'" },         { "tls", "", "option 'tls'" },
    { "id", ID "a", "option 'id'" },          { "colour", "red", "no option 'colour'" },
    { "colour", NULL, "no option 'colour'" },
  };
  g_autoptr (HyphaEndpoint) plain = parse ("tcp://h:1");

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (hypha_endpoint_with_option (plain, table[i].name, table[i].value, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
    g_assert_nonnull (strstr (error->message, table[i].part));
  }
}

/* Host and port */

static void
test_splits_host_and_port (void)
{
  static const struct {
    const char *uri, *host;
    guint32 max, port;
  } table[] = {
    { "tcp://example.org:80", "example.org", 65535, 80 },
    { "tcp://127.0.0.1:0", "127.0.0.1", 65535, 0 },
    { "tcp://127.0.0.1:any", "127.0.0.1", 65535, 0 },
    { "tcp://127.0.0.1:65535", "127.0.0.1", 65535, 65535 },
    { "tcp://[::1]:80", "::1", 65535, 80 },
    { "tcp://[fe80::1%25eth0]:80", "fe80::1%eth0", 65535, 80 },
    { "tcp://[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 65535, 80 },
    { "vsock://any:4294967295", "any", G_MAXUINT32, G_MAXUINT32 },
    { "tcp://m\xc3\xbcsli.example:1", "m\xc3\xbcsli.example", 65535, 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (HyphaEndpoint) endpoint = parse (table[i].uri);
    g_autoptr (GError) error = NULL;
    g_autofree char *host = NULL;
    guint32 port = 12345;

    g_assert_true (hypha_endpoint_split_host_port (endpoint, table[i].max, &host, &port, &error));
    g_assert_no_error (error);
    g_assert_cmpstr (host, ==, table[i].host);
    g_assert_cmpuint (port, ==, table[i].port);
  }
}

static void
test_refuses_bad_hosts_and_ports (void)
{
  static const struct {
    const char *uri, *part;
  } table[] = {
    { "tcp:h:80", "there must be //HOST:PORT" },
    { "tcp:/h:80", "there must be //HOST:PORT" },
    { "tcp://:80", "the host is empty" },
    { "tcp://", "the host is empty" },
    { "tcp://[]:80", "the host is empty" },
    { "tcp://[::1:80", "'[' without ']'" },
    { "tcp://[::1]x:80", "stray character between the host and the port" },
    { "tcp://[localhost]:80", "'localhost' in brackets is not an IPv6 address" },
    { "tcp://[::1%25]:80", "in brackets is not an IPv6 address" },
    { "tcp://::1:80", "brackets" },
    { "tcp://h:80:", "more than one ':'" },
    { "tcp://u@h:80", "stray character in the host" },
    { "tcp://h%20h:80", "stray character in the host" },
    { "tcp://h%0A:80", "stray character in the host" },
    { "tcp://h/:80", "stray character in the host" },
    { "tcp://h]:80", "stray character in the host" },
    { "tcp://h", "the port is missing" },
    { "tcp://[::1]", "the port is missing" },
    { "tcp://h:", "the port is empty" },
    { "tcp://h:80/", "the port '80/' is not a decimal number" },
    { "tcp://h:+80", "the port '+80'" },
    { "tcp://h:080", "the port '080' begins with a zero" },
    { "tcp://h:ANY", "the port 'ANY'" },
    { "tcp://h:65536", "the port '65536' is above 65535" },
    { "tcp://h:18446744073709551696", "is above 65535" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (HyphaEndpoint) endpoint = parse (table[i].uri);
    g_autoptr (GError) error = NULL;
    char *host = (char *) "unchanged";
    guint32 port = 12345;

    g_assert_false (hypha_endpoint_split_host_port (endpoint, 65535, &host, &port, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
    if (strstr (error->message, table[i].part) == NULL)
      g_error ("'%s' is refused by '%s', which does not name '%s'", table[i].uri, error->message,
               table[i].part);
    g_assert_cmpstr (host, ==, "unchanged");
    g_assert_cmpuint (port, ==, 12345);
  }
}

/* A reason may be in any language, and quotes what somebody sent. */
static void
test_refusal_escapes_what_plays_tricks_and_nothing_else (void)
{
  g_autoptr (HyphaEndpoint) endpoint = parse ("tcp:%1b[2J");
  g_autoptr (GError) error = NULL;

  g_assert_false (hypha_endpoint_refuse (endpoint, &error, "%s hat Länge %d: 太长了",
                                         hypha_endpoint_get_rest (endpoint), 4));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  g_assert_cmpstr (error->message, ==, "tcp:%1B[2J: \\u{1b}[2J hat Länge 4: 太长了");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/endpoint/parse/splits", test_splits);
  g_test_add_func ("/endpoint/parse/refuses-bad-schemes", test_refuses_bad_schemes);
  g_test_add_func ("/endpoint/parse/refuses-bad-addresses", test_refuses_bad_addresses);
  g_test_add_func ("/endpoint/parse/refuses-bad-options", test_refuses_bad_options);
  g_test_add_func ("/endpoint/parse/length-is-bounded", test_length_is_bounded);
  g_test_add_func ("/endpoint/parse/parse-print-parse-is-identity",
                   test_parse_print_parse_is_identity);
  g_test_add_func ("/endpoint/new/keeps-options", test_new_keeps_options);
  g_test_add_func ("/endpoint/new/prints-what-parses", test_new_prints_what_parses);
  g_test_add_func ("/endpoint/options/change", test_options_change);
  g_test_add_func ("/endpoint/options/are-checked", test_option_is_checked);
  g_test_add_func ("/endpoint/host-port/splits", test_splits_host_and_port);
  g_test_add_func ("/endpoint/host-port/refuses-bad-ones", test_refuses_bad_hosts_and_ports);
  g_test_add_func ("/endpoint/refusal/escapes-what-plays-tricks-and-nothing-else",
                   test_refusal_escapes_what_plays_tricks_and_nothing_else);
  return g_test_run ();
}
