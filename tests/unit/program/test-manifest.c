/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <hypha-plugin.h>
#include "program/endpoint.h"
#include "program/manifest.h"

#define PATH "/usr/lib/hypha-1/transports/pigeon.json"

static HyphaProgramManifest *
parse (const char *text, GError **error)
{
  g_autoptr (GBytes) bytes = g_bytes_new (text, strlen (text));

  return hypha_program_manifest_parse (bytes, "pigeon", PATH, error);
}

#define BEGIN "{\"protocol\": 1, \"name\": \"pigeon\", \"version\": \"1\", "
#define MIDDLE "\"schemes\": [\"pigeon\"], \"cost\": 1000, "
#define END "\"command\": [\"pigeon.py\"]}"

static void
test_whole (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaProgramManifest) manifest = parse (
      BEGIN "\"description\": \"Birds\", \"licence\": \"MIT\", \"priority\": -3, "
            "\"schemes\": [\"pigeon\", \"BIRD\"], \"cost\": 1000000, \"endpoint\": \"path\", "
            "\"options\": {\"grey\": \"boolean\", \"n\": \"integer\"}, "
            "\"command\": [\"../libexec/pigeon\", \"-v\", \"a b\"]}",
      &error);

  g_assert_no_error (error);
  g_assert_cmpstr (manifest->name, ==, "pigeon");
  g_assert_cmpstr (manifest->version, ==, "1");
  g_assert_cmpstr (manifest->description, ==, "Birds");
  g_assert_cmpstr (manifest->licence, ==, "MIT");
  g_assert_cmpint (manifest->priority, ==, -3);
  g_assert_cmpuint (manifest->cost, ==, 1000000);
  g_assert_cmpint (manifest->endpoint, ==, HYPHA_PROGRAM_ENDPOINT_PATH);
  g_assert_cmpuint (g_strv_length (manifest->schemes), ==, 2);
  g_assert_cmpuint (g_strv_length (manifest->command), ==, 3);
  g_assert_cmpstr (manifest->program, ==, "/usr/lib/hypha-1/libexec/pigeon");
  g_assert_cmpstr (g_hash_table_lookup (manifest->options, "grey"), ==, "boolean");
}

static void
test_least (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaProgramManifest) manifest = parse (BEGIN MIDDLE END, &error);

  g_assert_no_error (error);
  g_assert_cmpint (manifest->endpoint, ==, HYPHA_PROGRAM_ENDPOINT_ANY);
  g_assert_cmpint (manifest->priority, ==, 0);
  g_assert_null (manifest->licence);
  g_assert_cmpstr (manifest->program, ==, "/usr/lib/hypha-1/transports/pigeon.py");
}

static const struct {
  const char *text, *words;
} bad[] = {
  { "", "value is missing" },
  { "{", "a string is missing" },
  { "[]", "no JSON object" },
  { "\"pigeon\"", "no JSON object" },
  { "{}", "'protocol' is missing" },
  { "{\"protocol\": 2, \"wings\": 4}", "its protocol is 2" },
  { "{\"protocol\": \"1\"}", "'protocol' is no whole number" },
  { "{\"protocol\": 1, \"protocol\": 1}", "for the second time" },
  { BEGIN END, "'schemes' is missing" },
  { BEGIN MIDDLE "\"wings\": 2, " END, "'wings' is not known here" },
  { "{\"protocol\": 1, \"name\": \"dove\", \"version\": \"1\", " MIDDLE END,
    "'name' is 'dove', and the file is called pigeon.json" },
  { "{\"protocol\": 1, \"name\": 3, \"version\": \"1\", " MIDDLE END, "'name' is no string" },
  { "{\"protocol\": 1, \"name\": \"pigeon\", \"version\": \"\", " MIDDLE END,
    "'version' is not 1 to 256 bytes" },
  { BEGIN MIDDLE "\"description\": \"a\\nb\", " END, "'description' has a character" },
  { BEGIN MIDDLE "\"licence\": null, " END, "'licence' is no string" },
  { BEGIN "\"cost\": 1, \"schemes\": [], " END, "list of 1 to 8 schemes" },
  { BEGIN "\"cost\": 1, \"schemes\": \"pigeon\", " END, "'schemes' is no list" },
  { BEGIN "\"cost\": 1, \"schemes\": [1], " END, "'schemes' holds what is no string" },
  { BEGIN "\"cost\": 1, \"schemes\": [\"Pigeon\"], " END, "'Pigeon' is no scheme" },
  { BEGIN "\"cost\": 1, \"schemes\": [\"a\", \"b/c\"], " END, "'b/c' is no scheme" },
  { BEGIN "\"cost\": 1, \"schemes\": [\"a\", \"a\"], " END, "'a' twice" },
  { BEGIN "\"cost\": 1, \"schemes\": "
          "[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"], " END,
    "list of 1 to 8 schemes" },
  { BEGIN "\"schemes\": [\"a\"], \"cost\": 0, " END, "'cost' is 0" },
  { BEGIN "\"schemes\": [\"a\"], \"cost\": -1, " END, "'cost' is -1" },
  { BEGIN "\"schemes\": [\"a\"], \"cost\": 1000001, " END, "'cost' is 1000001" },
  { BEGIN "\"schemes\": [\"a\"], \"cost\": 1.5, " END, "'cost' is no whole number" },
  { BEGIN MIDDLE "\"priority\": 4294967296, " END, "32 bits" },
  { BEGIN MIDDLE "\"endpoint\": \"coop\", " END, "'endpoint' is 'coop'" },
  { BEGIN MIDDLE "\"options\": [], " END, "'options' is no object" },
  { BEGIN MIDDLE "\"options\": {\"a\": \"float\"}, " END, "the option 'a' is none of" },
  { BEGIN MIDDLE "\"options\": {\"a\": 1}, " END, "the option 'a' is none of" },
  { BEGIN MIDDLE "\"options\": {\"\": \"string\"}, " END, "1 to 256 bytes" },
  { BEGIN MIDDLE "\"command\": []}", "does not begin with the program" },
  { BEGIN MIDDLE "\"command\": [\"\"]}", "does not begin with the program" },
  { BEGIN MIDDLE "\"command\": \"pigeon.py\"}", "'command' is no list" },
  { BEGIN MIDDLE "\"command\": [\"pigeon.py\", 1]}", "'command' holds what is no string" },
  { BEGIN MIDDLE END "x", "something follows" },
};

static void
test_bad (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (parse (bad[i].text, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
    g_test_message ("%s", error->message);
    g_assert_true (g_str_has_prefix (error->message, PATH " is no manifest of a transport: "));
    if (strstr (error->message, bad[i].words) == NULL)
      g_error ("\"%s\" does not say \"%s\"", error->message, bad[i].words);
  }
}

static void
test_long_words (void)
{
  g_autofree char *words = g_strnfill (4097, 'x');
  g_autofree char *text = g_strconcat (BEGIN MIDDLE "\"command\": [\"", words, "\"]}", NULL);
  g_autoptr (GString) many = g_string_new (BEGIN MIDDLE "\"command\": [\"a\"");
  g_autoptr (GError) error = NULL;

  g_assert_null (parse (text, &error));
  g_assert_nonnull (strstr (error->message, "'command' holds what is no string of at most"));
  g_clear_error (&error);
  for (guint i = 0; i < 64; i++)
    g_string_append (many, ", \"a\"");
  g_string_append (many, "]}");
  g_assert_null (parse (many->str, &error));
  g_assert_nonnull (strstr (error->message, "'command' has more than 64 strings"));
}

/* What endpoints look like. */
static const struct {
  const char *kind, *uri, *canonical, *words;
} endpoints[] = {
  { "host-port", "pigeon://[0::1]:any", "pigeon://[::1]:0", NULL },
  { "host-port", "PIGEON://Coop:7?cost=3", "pigeon://coop:7?cost=3", NULL },
  { "host-port", "pigeon://coop", NULL, "port" },
  { "host-port", "pigeon:coop:1", NULL, "//HOST:PORT" },
  { "path", "pigeon:///run/coop", "pigeon:///run/coop", NULL },
  { "path", "PIGEON:///run/a%20b%3F", "pigeon:///run/a%20b%3F", NULL },
  { "path", "pigeon:///run//coop", NULL, "need: write '/run/coop'" },
  { "path", "pigeon:///run/../coop", NULL, "need: write '/coop'" },
  { "path", "pigeon:///run/", NULL, "need: write '/run'" },
  { "path", "pigeon://run/coop", NULL, "an absolute path" },
  { "path", "pigeon:/run", NULL, "an absolute path" },
  { "any", "pigeon:grey;2", "pigeon:grey;2", NULL },
  { "any", "pigeon:a%0ab", NULL, "" },
};

static void
test_endpoints (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (endpoints); i++) {
    g_autofree char *text = g_strdup_printf (
        BEGIN "\"schemes\": [\"pigeon\", \"PIGEON\"], \"cost\": 1, \"endpoint\": \"%s\", " END,
        endpoints[i].kind);
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaProgramManifest) manifest = parse (text, &error);
    g_autoptr (HyphaEndpoint) given = NULL;
    g_autoptr (HyphaEndpoint) parsed = NULL;

    g_assert_no_error (error);
    given = hypha_endpoint_parse (endpoints[i].uri, &error);
    if (given != NULL)
      parsed = hypha_program_endpoint_parse (manifest, given, &error);
    if (endpoints[i].canonical != NULL) {
      g_assert_no_error (error);
      g_assert_cmpstr (hypha_endpoint_to_string (parsed), ==, endpoints[i].canonical);
    } else {
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
      g_assert_nonnull (strstr (error->message, endpoints[i].words));
    }
  }
}

static void
test_options (void)
{
  g_autoptr (HyphaProgramManifest) manifest = parse (
      BEGIN MIDDLE "\"options\": {\"b\": \"boolean\", \"i\": \"integer\", \"s\": \"string\"}, " END,
      NULL);
  g_autoptr (GVariant) none = g_variant_ref_sink (g_variant_new_parsed ("@a{sv} {}"));
  g_autoptr (GVariant) all =
      g_variant_ref_sink (g_variant_new_parsed ("{'b': <true>, 'i': <byte 7>, 's': <'\"\\n'>}"));
  g_autofree char *nothing = hypha_program_manifest_print_options (manifest, none, NULL);
  g_autofree char *printed = hypha_program_manifest_print_options (manifest, all, NULL);

  g_assert_cmpstr (nothing, ==, "{}");
  g_assert_cmpstr (printed, ==, "{\"b\":true,\"i\":7,\"s\":\"\\\"\\n\"}");
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/program-manifest/whole", test_whole);
  g_test_add_func ("/program-manifest/least", test_least);
  g_test_add_func ("/program-manifest/bad-ones-say-what-is-wrong", test_bad);
  g_test_add_func ("/program-manifest/words-are-bounded", test_long_words);
  g_test_add_func ("/program-manifest/endpoints", test_endpoints);
  g_test_add_func ("/program-manifest/options-as-json", test_options);
  return g_test_run ();
}
