/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-talk.h"
#include "via.h"

#include <string.h>

#define A "jhtbx5e36odpfcy4ghfmb6ddgfbhvr65ouha2ndbnspa3bb7zhta"

/* ---- what nodes say ---- */

static char *
make_id (guint n)
{
  HyphaNodeId id = { .bytes = { (guint8) n, 1, 2 } };

  return hypha_node_id_to_string (&id);
}

static void
test_heads (void)
{
  g_autofree char *a = make_id (1);
  g_autofree char *b = make_id (2);
  char *path[] = { a, b, NULL }, *route[] = { (char *) "host", (char *) "gast-ä", NULL };
  const ViaHead heads[] = {
    { .type = VIA_HEAD_GO, .timeout_ms = 15000, .cost = 3, .path = path, .route = route },
    { .type = VIA_HEAD_GO, .timeout_ms = 1, .cost = 0, .path = path },
    { .type = VIA_HEAD_GO, .timeout_ms = 60000, .cost = 1000000, .route = route },
    { .type = VIA_HEAD_SEE, .listening = TRUE },
    { .type = VIA_HEAD_SEE },
    { .type = VIA_HEAD_OFFER },
  };

  for (guint i = 0; i < G_N_ELEMENTS (heads); i++) {
    g_autofree char *line = via_head_print (&heads[i]);
    g_auto (ViaHead) read = { 0 };
    g_autofree char *again = NULL;

    g_assert_true (g_str_has_suffix (line, "\n"));
    g_assert_cmpuint (strlen (line), <, VIA_MAX_HEAD);
    line[strlen (line) - 1] = '\0';
    g_assert_true (via_head_parse (line, &read));
    again = via_head_print (&read);
    again[strlen (again) - 1] = '\0';
    g_assert_cmpstr (line, ==, again);
  }
}

static void
test_bad_heads (void)
{
  g_autofree char *a = make_id (1);
  g_autofree char *twice = g_strdup_printf ("via/1 go 1 2 %s/%s -", a, a);
  const char *const lines[] = {
    "",
    "via/1",
    "via/2 offer",
    "via/1 offer ",
    "via/1 see",
    "via/1 see maybe",
    "via/1 go",
    "via/1 go 1 2 -",
    "via/1 go 1 2 - - -",
    "via/1 go 01 2 - -",
    "via/1 go -1 2 - -",
    "via/1 go 60001 2 - -",
    "via/1 go 1 1000001 - -",
    "via/1 go 1 99999999999999999999 - -",
    "via/1 go 1  - -",
    "via/1 go 1 2 name -", /* no id */
    "via/1 go 1 2 - a//b",
    "via/1 go 1 2 - a/",
    "via/1 go 1 2 - /",
    "via/1 go 1 2 - a/a",
    "via/1 go 1 2 - a/b/c/d",
    "via/1 go 1 2 - a\x01",
    "via/1 go 1 2 - \xff",
    "via/1 go 1 2 - \xe2\x80\xae",
    twice,
  };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_auto (ViaHead) read = { 0 };

    g_test_message ("%u", i);
    g_assert_false (via_head_parse (lines[i], &read));
    g_assert_null (read.path);
    g_assert_null (read.route);
  }
}

static void
test_answers (void)
{
  g_autofree char *a = make_id (1);
  g_autofree char *b = make_id (2);
  char *middles[] = { a, b, NULL };
  g_autofree char *line = via_answer_print (&(ViaAnswer){ .cost = 26, .middles = middles });
  g_auto (ViaAnswer) read = { 0 };
  static const char *const bad[] = {
    "", "ok", "ok 1", "ok 1 x", "ok x -", "ok 1 - -", "yes", "no"
  };

  line[strlen (line) - 1] = '\0';
  g_assert_true (via_answer_parse (line, &read));
  g_assert_cmpuint (read.cost, ==, 26);
  g_assert_cmpstrv (read.middles, middles);
  via_answer_clear (&read);
  for (ViaRefusal r = VIA_REFUSAL_UNREACHABLE; r <= VIA_REFUSAL_MALFORMED; r++) {
    g_autofree char *no = via_answer_print (&(ViaAnswer){ .refusal = r });

    no[strlen (no) - 1] = '\0';
    g_assert_true (via_answer_parse (no, &read));
    g_assert_cmpint (read.refusal, ==, r);
  }
  g_assert_true (via_answer_parse ("no reason-of-tomorrow", &read));
  g_assert_cmpint (read.refusal, ==, VIA_REFUSAL_REFUSED);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_auto (ViaAnswer) none = { 0 };

    g_assert_false (via_answer_parse (bad[i], &none));
  }
}

static void
test_lists (void)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) via_seen_free);
  g_autoptr (GPtrArray) read = NULL;
  g_autoptr (GPtrArray) none = via_list_parse ("seen");
  g_autofree char *a = make_id (0);
  g_autofree char *line = NULL;
  g_autofree char *more = NULL;
  g_autofree char *deep = g_strdup_printf ("seen 1:%s/%s", a, a);
  const char *const bad[] = { "",        "saw",     "seen ",    "seen  ", "seen 1",
                              "seen 1:", "seen :x", "seen 1:-", deep };

  g_assert_nonnull (none);
  g_assert_cmpuint (none->len, ==, 0);
  for (guint i = 0; i < VIA_MAX_SEEN + 1; i++) {
    ViaSeen *seen = g_new0 (ViaSeen, 1);

    seen->cost = VIA_MAX_COST;
    seen->route = g_new0 (char *, 4);
    for (guint j = 0; j < 3; j++)
      seen->route[j] = make_id (1 + (i + j) % 200);
    g_ptr_array_add (list, seen);
  }
  /* No more are told than are taken, and they fit. */
  line = via_list_print (list);
  g_assert_cmpuint (strlen (line), <, VIA_MAX_LIST);
  line[strlen (line) - 1] = '\0';
  read = via_list_parse (line);
  g_assert_nonnull (read);
  g_assert_cmpuint (read->len, ==, VIA_MAX_SEEN);
  g_assert_cmpuint (via_seen_n_middles (read->pdata[0]), ==, 2);
  g_assert_cmpstr (via_seen_get_target (read->pdata[0]), ==,
                   ((ViaSeen *) list->pdata[0])->route[2]);
  more = g_strdup_printf ("%s 1:%s", line, a);
  g_assert_null (via_list_parse (more));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_null (via_list_parse (bad[i]));
}

/* Whatever comes in, nothing that it says is read past its end: sanitizers tell. */
static void
test_noise (void)
{
  static const char alphabet[] = "via/1 gosee-ok:09 \xc3\xa4";

  for (guint i = 0; i < 20000; i++) {
    char line[64];
    guint n = (guint) g_test_rand_int_range (0, sizeof line - 1);
    g_auto (ViaHead) head = { 0 };
    g_auto (ViaAnswer) answer = { 0 };
    GPtrArray *list;

    for (guint j = 0; j < n; j++)
      line[j] = alphabet[g_test_rand_int_range (0, sizeof alphabet - 1)];
    line[n] = '\0';
    via_head_parse (line, &head);
    via_answer_parse (line, &answer);
    list = via_list_parse (line);
    if (list != NULL)
      g_ptr_array_unref (list);
  }
}

/* ---- without a node ---- */

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static void
test_needs_a_node (void)
{
  g_autoptr (HyphaTransport) transport = hypha_plugin_via.create (NULL);
  g_autoptr (HyphaEndpoint) there = hypha_endpoint_parse ("via://host/" A, NULL);
  g_autoptr (HyphaEndpoint) here = hypha_endpoint_parse ("via://any", NULL);
  g_autoptr (GAsyncResult) dialled = NULL;
  g_autoptr (GAsyncResult) listening = NULL;
  g_autoptr (GError) error = NULL;

  hypha_transport_connect_async (transport, there, 1000, NULL, keep_result, &dialled);
  hypha_transport_listen_async (transport, here, NULL, keep_result, &listening);
  while (dialled == NULL || listening == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (hypha_transport_connect_finish (transport, dialled, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  g_assert_null (hypha_transport_listen_finish (transport, listening, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  /* What nothing is known of is dear. */
  g_assert_cmpuint (hypha_transport_get_link_cost (transport, there), ==, 15 + 10 + 15);
  g_assert_cmpuint (hypha_transport_get_link_cost (transport, NULL), ==, 15 + 3 * (10 + 15));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/via/heads-come-back", test_heads);
  g_test_add_func ("/via/bad-heads-are-none", test_bad_heads);
  g_test_add_func ("/via/answers-come-back", test_answers);
  g_test_add_func ("/via/lists-come-back-and-are-bounded", test_lists);
  g_test_add_func ("/via/noise-is-survived", test_noise);
  g_test_add_func ("/via/needs-a-node", test_needs_a_node);
  return g_test_run ();
}
