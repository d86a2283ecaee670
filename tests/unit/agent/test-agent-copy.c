/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <hypha-api.h>

#include "agent/copy-request.h"
#include "agent/copy-roots.h"

static void
test_roots (void)
{
  static const char *const roots[] = { "/srv", "/srv/a/b", "/home/me", NULL };
  static const struct {
    const char *path, *root, *rest;
  } cases[] = {
    { "", "/srv", "" },
    { ".", "/srv", "." },
    { "x/y", "/srv", "x/y" },
    { "../x", "/srv", "../x" },
    { "/srv", "/srv", "" },
    { "/srv/", "/srv", "" },
    { "/srv//x/", "/srv", "x/" },
    { "/srv/a/bc", "/srv", "a/bc" },
    { "/srv/a/b", "/srv/a/b", "" },
    { "/srv/a/b/c", "/srv/a/b", "c" },
    { "/srv/../etc", "/srv", "../etc" },
    { "/home/me/x", "/home/me", "x" },
  };
  static const char *const outside[] = { "/",       "//",      "/sr",   "/srvx",
                                         "/srvx/y", "//srv/x", "/home", "/etc" };
  const char *rest;

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_cmpstr (hypha_agent_copy_roots_find (roots, cases[i].path, &rest, &error), ==,
                     cases[i].root);
    g_assert_no_error (error);
    g_assert_cmpstr (rest, ==, cases[i].rest);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (outside); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (hypha_agent_copy_roots_find (roots, outside[i], &rest, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED);
    g_assert_nonnull (strstr (error->message, "/srv, /srv/a/b, /home/me"));
  }
}

static void
test_root_of_everything (void)
{
  static const char *const roots[] = { "/", NULL };
  const char *rest;

  g_assert_cmpstr (hypha_agent_copy_roots_find (roots, "/etc/x", &rest, NULL), ==, "/");
  g_assert_cmpstr (rest, ==, "etc/x");
  g_assert_cmpstr (hypha_agent_copy_roots_find (roots, "/", &rest, NULL), ==, "/");
  g_assert_cmpstr (rest, ==, "");
}

static HyphaAgentCopyRequest *
parse (const char *text, GError **error)
{
  /* Of exactly this size, so that a sanitizer sees what reads beyond it. */
  g_autofree guint8 *copy = g_memdup2 (text, strlen (text));

  return hypha_agent_copy_request_parse (copy, strlen (text), error);
}

static void
test_requests (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaAgentCopyRequest) get =
      parse ("{\"get\": [\"a\", \"\"], \"user\": \"me\"}", &error);
  g_autoptr (HyphaAgentCopyRequest) put = parse ("{\"put\": \"\", \"into\": true}", &error);

  g_assert_no_error (error);
  g_assert_cmpuint (g_strv_length (get->get), ==, 2);
  g_assert_cmpstr (get->user, ==, "me");
  g_assert_null (get->put);
  g_assert_cmpstr (put->put, ==, "");
  g_assert_true (put->into);
  g_assert_null (put->user);
}

static void
test_wrong_requests (void)
{
  static const char *const wrong[] = { "",
                                       "1",
                                       "[]",
                                       "{}",
                                       "{\"get\": []}",
                                       "{\"get\": [1]}",
                                       "{\"get\": {}}",
                                       "{\"put\": null}",
                                       "{\"put\": \"x\", \"get\": [\"x\"]}",
                                       "{\"put\": \"x\", \"into\": \"yes\"}",
                                       "{\"put\": \"x\", \"user\": 1}",
                                       "{\"put\": \"x\", \"more\": 1}",
                                       "{\"put\": \"x\", \"put\": \"y\"}" };

  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (parse (wrong[i], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/copy/path-lies-in-the-longest-root-by-its-text", test_roots);
  g_test_add_func ("/copy/everything-lies-in-the-root-of-everything", test_root_of_everything);
  g_test_add_func ("/copy/requests-are-read", test_requests);
  g_test_add_func ("/copy/wrong-requests-are-refused", test_wrong_requests);
  return g_test_run ();
}
