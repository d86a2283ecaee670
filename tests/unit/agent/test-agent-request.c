/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <hypha-api.h>

#include "agent/request.h"

#define WHOLE                                                                                     \
  "{\"argv\":[\"ls\",\"\",\"[{\\\"\\u00fc\"],\"shell\":false,\"env\":{\"A\":\"1=2\"},\"cwd\":\"/" \
  "\","                                                                                           \
  "\"user\":\"me\",\"pty\":{\"rows\":24,\"cols\":65535,\"term\":\"xterm\"}}"

static HyphaAgentRequest *
parse (const char *text, gsize length, GError **error)
{
  /* Of exactly this size, so that a sanitizer sees what reads beyond it. */
  g_autofree guint8 *copy = g_memdup2 (text, length);

  return hypha_agent_request_parse (copy, length, error);
}

static void
test_whole (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaAgentRequest) request = parse (WHOLE, strlen (WHOLE), &error);

  g_assert_no_error (error);
  g_assert_cmpuint (g_strv_length (request->argv), ==, 3);
  g_assert_cmpstr (request->argv[0], ==, "ls");
  g_assert_cmpstr (request->argv[1], ==, "");
  g_assert_cmpstr (request->argv[2], ==, "[{\"\u00fc");
  g_assert_cmpuint (g_strv_length (request->env), ==, 1);
  g_assert_cmpstr (request->env[0], ==, "A=1=2");
  g_assert_cmpstr (request->cwd, ==, "/");
  g_assert_cmpstr (request->user, ==, "me");
  g_assert_true (request->pty);
  g_assert_cmpuint (request->rows, ==, 24);
  g_assert_cmpuint (request->cols, ==, 65535);
  g_assert_cmpstr (request->term, ==, "xterm");
}

static void
test_least (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaAgentRequest) request = parse ("{\"argv\":[\"ls\"]}", 15, &error);

  g_assert_no_error (error);
  g_assert_false (request->shell || request->pty);
  g_assert_null (request->env);
  g_assert_null (request->cwd);
  g_assert_null (request->user);
}

/* Whatever comes is taken or refused with a reason. */
static void
test_torn (void)
{
  gsize whole = strlen (WHOLE);
  g_autofree char *text = g_strdup (WHOLE);

  for (gsize length = 0; length < whole; length++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (parse (WHOLE, length, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  }
  for (gsize at = 0; at < whole; at++) {
    for (int byte = 0; byte < 256; byte++) {
      g_autoptr (GError) error = NULL;
      g_autoptr (HyphaAgentRequest) request = NULL;

      text[at] = (char) byte;
      request = parse (text, whole, &error);
      g_assert_true ((request == NULL) == (error != NULL));
      g_assert_true (request == NULL || (request->argv[0] && *request->argv[0]));
    }
    text[at] = WHOLE[at];
  }
}

static void
test_deep (void)
{
  g_autofree char *deep = g_strnfill (65536, '[');
  g_autofree char *hidden = g_strnfill (65536, '[');
  static const char *const begins[] = { "", "/*\"*/", "#\"\n", "'\"'", "{\"\\\"", "{\"a\":1e" };

  for (gsize i = 0; i < G_N_ELEMENTS (begins); i++) {
    g_autoptr (GError) error = NULL;

    memcpy (hidden, deep, 16);
    memcpy (hidden, begins[i], strlen (begins[i]));
    g_assert_null (parse (hidden, 65536, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/agent/request/says-all-there-is", test_whole);
  g_test_add_func ("/agent/request/needs-a-command-only", test_least);
  g_test_add_func ("/agent/request/torn-or-changed-is-refused-or-another", test_torn);
  g_test_add_func ("/agent/request/depth-is-seen-before-it-is-parsed", test_deep);
  return g_test_run ();
}
