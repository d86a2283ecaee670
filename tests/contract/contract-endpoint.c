/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "contract-fixture.h"

/* Endpoints: how they are written, and what becomes of them; and the settings. */

#define RANDOM_ROUNDS 20000

static void
test_parse_is_strict (Fixture *f)
{
  for (const ContractSpelling *s = f->contract->spellings; s->uri != NULL; s++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaEndpoint) endpoint = harness_parse (f->transport, s->uri, &error);

    g_test_message ("%s: %s", s->uri,
                    error == NULL ? hypha_endpoint_to_string (endpoint) : error->message);
    if (s->canonical != NULL) {
      g_assert_no_error (error);
      g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==, s->canonical);
    } else {
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
      g_assert_null (endpoint);
      g_assert_nonnull (strstr (error->message, s->part));
    }
  }
}

static void
test_parse_is_idempotent (Fixture *f)
{
  for (const ContractSpelling *s = f->contract->spellings; s->uri != NULL; s++) {
    g_autoptr (HyphaEndpoint) once = NULL;
    g_autoptr (HyphaEndpoint) twice = NULL;
    g_autoptr (HyphaEndpoint) printed = NULL;

    if (s->canonical == NULL)
      continue;
    once = fixture_parse (f, s->uri);
    printed = fixture_parse (f, hypha_endpoint_to_string (once));
    twice = hypha_transport_parse (f->transport, once, NULL);
    g_assert_true (hypha_endpoint_equal (once, printed));
    g_assert_true (hypha_endpoint_equal (once, twice));
  }
}

static void
test_parse_keeps_options (Fixture *f)
{
  g_autofree char *uri = NULL;
  g_autofree char *with = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaEndpoint) bare = NULL;
  g_autoptr (HyphaEndpoint) plain = NULL;

  plain = fixture_fresh (f);
  uri = g_strdup (hypha_endpoint_to_string (plain));
  with = g_strconcat (uri, "?cost=7&tls=never", NULL);
  endpoint = fixture_parse (f, with);
  g_assert_cmpstr (hypha_endpoint_get_option (endpoint, "cost"), ==, "7");
  g_assert_cmpstr (hypha_endpoint_get_option (endpoint, "tls"), ==, "never");
  bare = hypha_endpoint_without_options (endpoint);
  g_assert_true (hypha_endpoint_equal (bare, plain));
}

/* It is called by the first; others may be canonical, too. */
static void
test_schemes (Fixture *f)
{
  const char *const *schemes = hypha_transport_get_schemes (f->transport);
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  const char *scheme = hypha_endpoint_get_scheme (endpoint);
  g_autoptr (HyphaEndpoint) first = NULL;
  g_autoptr (HyphaEndpoint) called = NULL;

  g_assert_nonnull (schemes);
  g_assert_true (g_strv_contains (schemes, scheme));
  for (const char *c = schemes[0]; *c != '\0'; c++)
    g_assert_true (g_ascii_islower (*c) || g_ascii_isdigit (*c) || strchr ("+-.", *c) != NULL);
  /* Another canonical one may have a grammar of its own; what the first takes stays its own. */
  first = hypha_endpoint_new (schemes[0], hypha_endpoint_get_rest (endpoint), endpoint);
  called = hypha_transport_parse (f->transport, first, NULL);
  if (called != NULL)
    g_assert_cmpstr (hypha_endpoint_get_scheme (called), ==, schemes[0]);
  else
    g_assert_cmpstr (scheme, !=, schemes[0]);
}

/* ---- spellings that nobody thought of ---- */

/* What tends to matter in an address, beside anything at all. */
static const char letters[] = "0123456789:/.[]@%-+?&=#_~ aAfFzZ*,;()'\"\\|";

static guint
random_below (gsize n)
{
  return (guint) g_test_rand_int_range (0, (gint) n);
}

static const char *
random_spelling (Fixture *f)
{
  guint n = 0;

  while (f->contract->spellings[n].uri != NULL)
    n++;
  return f->contract->spellings[random_below (n)].uri;
}

/* Another number in the place of one that stands at or behind AT, if there is one. */
static void
change_number (GString *text, guint at)
{
  gsize begin = at + strcspn (text->str + at, "0123456789");
  gsize length = strspn (text->str + begin, "0123456789");
  g_autofree char *number = g_strdup_printf ("%u", random_below (70000));

  if (length == 0)
    return;
  g_string_erase (text, (gssize) begin, (gssize) length);
  g_string_insert (text, (gssize) begin, number);
}

/* One step away from TEXT: something taken out, doubled, changed or put in, another number, or the
 * end of another. Mostly behind the scheme, for otherwise it is somebody else's. */
static void
mutate (Fixture *f, GString *text)
{
  gsize begin = random_below (8) == 0 ? 0 : MIN (strcspn (text->str, ":") + 1, text->len);
  guint at = (guint) begin + random_below (text->len - begin + 1);
  guint most = 1 + random_below (4);
  guint length = (guint) MIN (most, text->len - at);
  g_autofree char *piece = g_strndup (text->str + at, length);

  switch (random_below (8)) {
  case 0:
    g_string_erase (text, at, length);
    break;
  case 1:
    g_string_insert (text, at, piece);
    break;
  case 2:
    if (at < text->len)
      text->str[at] = letters[random_below (sizeof letters - 1)];
    break;
  case 3:
    g_string_insert_c (text, at, letters[random_below (sizeof letters - 1)]);
    break;
  case 4: {
    const char *other = random_spelling (f);

    g_string_truncate (text, at);
    g_string_append (text, other + MIN (at, strlen (other)));
    break;
  }
  case 5:
    g_string_insert_c (text, at, (char) (1 + random_below (255)));
    break;
  default:
    change_number (text, at);
    break;
  }
}

static void
test_random_round_trip (Fixture *f)
{
  guint taken = 0;

  if (f->contract->spellings == NULL || f->contract->spellings[0].uri == NULL) {
    g_test_skip ("no spelling of an endpoint is known to begin with");
    return;
  }
  for (guint i = 0; i < RANDOM_ROUNDS; i++) {
    g_autoptr (GString) text = g_string_new (random_spelling (f));
    g_autoptr (HyphaEndpoint) given = NULL;
    g_autoptr (HyphaEndpoint) once = NULL;
    g_autoptr (HyphaEndpoint) twice = NULL;
    g_autoptr (GError) error = NULL;
    const char *printed;

    for (guint steps = 1 + random_below (3); steps > 0; steps--)
      mutate (f, text);
    given = hypha_endpoint_parse (text->str, NULL);
    if (given == NULL || !g_strv_contains (hypha_transport_get_schemes (f->transport),
                                           hypha_endpoint_get_scheme (given)))
      continue;
    once = hypha_transport_parse (f->transport, given, &error);
    if (once == NULL) {
      if (!g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT))
        g_test_message ("of '%s'", text->str);
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
      continue;
    }
    taken++;
    printed = hypha_endpoint_to_string (once);
    twice = harness_parse (f->transport, printed, &error);
    if (twice == NULL || !hypha_endpoint_equal (once, twice))
      g_test_message ("'%s' became '%s', and that '%s'", text->str, printed,
                      twice == NULL ? error->message : hypha_endpoint_to_string (twice));
    g_assert_no_error (error);
    g_assert_true (hypha_endpoint_equal (once, twice));
    g_assert_cmpstr (hypha_endpoint_to_string (twice), ==, printed);
  }
  g_test_message ("%u of %u were endpoints", taken, RANDOM_ROUNDS);
}

/* ---- settings and costs ---- */

static void
test_configure (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) none = NULL;
  g_autoptr (GVariant) unknown = NULL;

  none = g_variant_ref_sink (g_variant_new_parsed ("@a{sv} {}"));
  unknown = g_variant_ref_sink (g_variant_new_parsed ("{'no-such-option': <true>}"));
  g_assert_true (hypha_transport_configure (f->transport, none, &error));
  g_assert_no_error (error);
  g_assert_false (hypha_transport_configure (f->transport, unknown, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
  g_assert_nonnull (strstr (error->message, "no-such-option"));
}

static void
test_probe (Fixture *f)
{
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) error = NULL;
  guint before;

  before = harness_count_descriptors ();
  g_assert_true (hypha_transport_probe (f->transport, &details, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (harness_count_descriptors (), ==, before);
}

static void
test_lossy (Fixture *f)
{
  g_assert_cmpint (hypha_transport_is_lossy (f->transport), ==, f->contract->lossy);
}

static void
test_link_cost (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  guint typical = hypha_transport_get_link_cost (f->transport, NULL);
  guint cost = hypha_transport_get_link_cost (f->transport, endpoint);

  g_assert_cmpuint (typical, >, 0);
  g_assert_cmpuint (cost, >, 0);
  g_assert_cmpuint (cost, <=, typical);
  if (f->contract->cost > 0)
    g_assert_cmpuint (cost, ==, f->contract->cost);
  else
    g_test_message ("it costs %u, and nobody promised what", cost);
}

static void
test_cost_of_any_endpoint (Fixture *f)
{
  for (const ContractSpelling *s = f->contract->spellings; s != NULL && s->uri != NULL; s++) {
    g_autoptr (HyphaEndpoint) endpoint = NULL;
    guint cost;

    if (s->canonical == NULL)
      continue;
    endpoint = fixture_parse (f, s->uri);
    cost = hypha_transport_get_link_cost (f->transport, endpoint);
    g_assert_cmpuint (cost, >, 0);
    /* It is looked at whenever a link is chosen. */
    g_assert_cmpuint (cost, ==, hypha_transport_get_link_cost (f->transport, endpoint));
  }
}

const ContractTest contract_endpoint_tests[] = {
  { "parse/is-strict", test_parse_is_strict, NEEDS_NOTHING,
    "what is written wrongly is refused as an invalid endpoint, and the message names the part" },
  { "parse/is-idempotent", test_parse_is_idempotent, NEEDS_NOTHING,
    "the canonical form parses to itself" },
  { "parse/random-spellings-round-trip", test_random_round_trip, NEEDS_NOTHING,
    "whatever parses prints as what parses to the same, and all else is an invalid endpoint" },
  { "parse/keeps-options", test_parse_keeps_options, NEEDS_CHANNEL,
    "options of an endpoint that are not the transport's stay as they are" },
  { "schemes/first-is-canonical", test_schemes, NEEDS_CHANNEL,
    "the first scheme is in lower case and canonical, and every canonical one is in the list" },
  { "configure/names-an-unknown-option", test_configure, NEEDS_NOTHING,
    "an option that there is not is refused, by its name" },
  { "probe/leaves-nothing", test_probe, 0, "looking whether it works leaves nothing open" },
  { "lossy/only-if-it-says-so", test_lossy, NEEDS_NOTHING, "who may lose what it carries says so" },
  { "link-cost/typical-is-the-dearest", test_link_cost, NEEDS_CHANNEL,
    "a link costs what was promised, above 0, and no more than the dearest typical one" },
  { "link-cost/of-an-endpoint-stays", test_cost_of_any_endpoint, NEEDS_NOTHING,
    "the cost of an endpoint is above 0 and always the same" },
  { NULL, NULL, 0, NULL },
};
