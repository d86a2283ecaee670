/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a stranger becomes a peer: by a rule, by pairing; and how a node begins anew. */

#include <gio/gunixsocketaddress.h>
#include <unistd.h>

#include "link/handshake.h"
#include "node-pair.h"
#include "node/node-private.h"
#include "service/forwards.h"

#define STRANGERS 8 /* as many handshakes as one source may have under way */

/* ---- rules ---- */

static void
set_rules (Side *side, const char *text)
{
  g_autoptr (GVariant) rules = g_variant_parse (G_VARIANT_TYPE ("a{ss}"), text, NULL, NULL, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_set_trust_rules (side->node, rules, &error));
  g_assert_no_error (error);
}

static char *
rule_text (NodePair *f, guint uid)
{
  return g_strdup_printf ("unix://%s/b.sock?uid=%u", f->dir, uid);
}

/* Beta listens, and lets in whoever comes as UID. */
static char *
listen_with_rule (NodePair *f, guint uid)
{
  g_autofree char *uri = unix_endpoint (f);
  g_autofree char *pattern = rule_text (f, uid);
  g_autofree char *rules = g_strdup_printf ("{'%s': 'guest'}", pattern);

  set_rules (&f->b, rules);
  return listen_on (&f->b, uri);
}

static char *
print_rules (Side *side)
{
  g_autoptr (GVariant) rules = hypha_node_dup_trust_rules (side->node);

  return g_variant_print (rules, FALSE);
}

static void
count (HyphaNode *node, guint *n)
{
  ++*n;
}

static void
test_pending_peer_tells_where_it_knocked (NodePair *f, gconstpointer data)
{
  g_autofree char *uri = unix_endpoint (f);
  g_autofree char *on_unix = listen_on (&f->b, uri);
  g_autofree char *on_tcp = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *id = id_of (&f->a);
  HyphaNodePeer *peer;

  trust (&f->a, &f->b, "beta");
  g_assert_null (dial (&f->a, on_unix, NULL, NULL));
  peer = peer_of (&f->b, id);
  g_assert_cmpstr (hypha_node_peer_get_from (peer), ==, on_unix);
  g_assert_null (dial (&f->a, on_tcp, NULL, NULL));
  g_assert_true (g_str_has_prefix (hypha_node_peer_get_from (peer), "tcp://127.0.0.1:"));
  trust (&f->b, &f->a, "alpha");
  g_assert_cmpstr (hypha_node_peer_get_from (peer), ==, "");
}

static void
test_rule_lets_in_and_binds (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_with_rule (f, geteuid ());
  g_autofree char *pattern = rule_text (f, geteuid ());
  g_autofree char *other = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *id = id_of (&f->a);
  g_autofree char *rules = g_strdup_printf ("{'%s': 'host'}", pattern);
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autofree char *beta = id_of (&f->b);
  g_autoptr (GVariant) trusted = NULL, entry = NULL;
  g_autoptr (GVariant) unbound =
      g_variant_ref_sink (g_variant_new_parsed ("@a{sa{sv}} {%s: {'name': <'host'>}}", beta));
  g_autoptr (GError) error = NULL;
  g_autofree const char **endpoints = NULL;
  const char *rule = NULL;
  guint unsaved = 0;

  g_signal_connect (f->b.node, "trust-unsaved", G_CALLBACK (count), &unsaved);
  set_rules (&f->a, rules); /* whoever is dialled is behind an address, too */
  peer = dial (&f->a, bound, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (unsaved, ==, 1);
  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (peer_of (&f->a, "host"))), ==,
                   HYPHA_PEER_ONLINE);
  wait_until (n_links (&f->b) == 1);
  trusted = hypha_node_dup_trusted (f->b.node);
  entry = g_variant_lookup_value (trusted, id, G_VARIANT_TYPE_VARDICT);
  g_assert_true (g_variant_lookup (entry, "endpoints", "^a&s", &endpoints));
  g_assert_cmpstr (endpoints[0], ==, pattern);
  g_assert_true (g_variant_lookup (entry, "rule", "&s", &rule));
  g_assert_cmpstr (rule, ==, pattern);
  /* It is bound to that place. */
  g_clear_object (&peer);
  g_assert_true (hypha_node_set_trusted (f->a.node, unbound, &error));
  g_assert_null (dial (&f->a, other, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED);
}

static void
test_rule_of_another_user_lets_nobody_in (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_with_rule (f, geteuid () + 1);
  g_autofree char *id = id_of (&f->a);

  trust (&f->a, &f->b, "beta");
  g_assert_null (dial (&f->a, bound, NULL, NULL));
  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (peer_of (&f->b, id))), ==, HYPHA_PEER_PENDING);
}

static void
keep_log (const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
  char **said = data;

  g_free (*said);
  *said = g_strdup (text);
}

static void
test_rule_is_used_up_by_its_first_id (NodePair *f, gconstpointer data)
{
  g_autofree char *said = NULL;
  guint handler;
  g_autofree char *bound = listen_with_rule (f, geteuid ());
  g_autofree char *warning = NULL, *first = id_of (&f->a), *second = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (GError) error = NULL;
  Side third = { 0 };

  trust (&f->a, &f->b, "beta");
  peer = dial (&f->a, bound, NULL, &error);
  g_assert_no_error (error);
  side_up (&third, hypha_identity_generate (NULL), "third");
  trust (&third, &f->b, "beta");
  second = id_of (&third);
  warning = g_strdup_printf ("*%s*used up by guest (%s)*", second, first);
  handler = g_log_set_handler ("hypha", G_LOG_LEVEL_WARNING, keep_log, &said);
  g_assert_null (dial (&third, bound, NULL, &error));
  g_log_remove_handler ("hypha", handler);
  g_assert_true (g_pattern_match_simple (warning, said));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED);
  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (peer_of (&f->b, second))), ==,
                   HYPHA_PEER_PENDING);
  side_down (&third);
  hypha_identity_unref (third.identity);
}

/* Alpha dials without waiting for its back-off: has it come? */
static gboolean
knocks (NodePair *f, const char *who)
{
  trust (&f->a, &f->b, "beta");
  return hypha_node_lookup (f->b.node, who, NULL) != NULL;
}

static void
test_forget_suspends_the_rule (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_with_rule (f, geteuid ());
  g_autofree char *pattern = rule_text (f, geteuid ()), *id = id_of (&f->a);
  g_autofree char *rules = NULL, *resumed = NULL, *anew = NULL, *mark = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (GError) error = NULL;

  trust (&f->a, &f->b, "beta");
  peer = dial (&f->a, bound, NULL, &error);
  g_assert_no_error (error);
  wait_until (n_links (&f->b) == 1);
  g_assert_true (hypha_node_forget (f->b.node, "guest", NULL));
  rules = print_rules (&f->b);
  mark = g_strdup_printf ("'guest suspended %s'", id);
  g_assert_nonnull (strstr (rules, mark));
  /* Its dialler comes again, and is not let in; nor is anybody after a restart. */
  wait_until (knocks (f, id));
  g_assert_false (hypha_peer_get_trusted (HYPHA_PEER (peer_of (&f->b, id))));
  set_rules (&f->b, rules);
  g_assert_true (hypha_node_forget (f->b.node, id, NULL));
  wait_until (knocks (f, id));
  g_assert_false (hypha_peer_get_trusted (HYPHA_PEER (peer_of (&f->b, id))));
  /* By hand it is let in, and then it is the rule's again. */
  trust (&f->b, &f->a, "guest");
  resumed = print_rules (&f->b);
  g_assert_null (strstr (resumed, "suspended"));
  wait_until (knocks (f, id) && n_links (&f->b) == 1);
  g_assert_true (hypha_node_forget (f->b.node, "guest", NULL));
  /* Written anew, it lets in whoever comes. */
  anew = g_strdup_printf ("{'%s': 'newcomer'}", pattern);
  set_rules (&f->b, anew);
  wait_until (knocks (f, "newcomer"));
  wait_until (n_links (&f->b) == 1);
}

static void
test_forgotten_id_does_not_return_by_another_rule (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_with_rule (f, geteuid ());
  g_autofree char *id = id_of (&f->a), *rules = NULL, *printed = NULL;
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (GError) error = NULL;

  trust (&f->a, &f->b, "beta");
  peer = dial (&f->a, bound, NULL, &error);
  g_assert_no_error (error);
  rules = g_strdup_printf ("{'unix://%s/b.sock?uid=%u': 'guest suspended %s',"
                           " 'unix://%s/*?uid=%u': 'wide suspended %s',"
                           " 'unix://%s/b*?uid=%u': 'other'}",
                           f->dir, geteuid (), id, f->dir, geteuid (), id, f->dir, geteuid ());
  g_assert_true (hypha_node_forget (f->b.node, "guest", NULL));
  set_rules (&f->b, rules);
  wait_until (knocks (f, id));
  g_assert_false (hypha_peer_get_trusted (HYPHA_PEER (peer_of (&f->b, id))));
  /* By hand, it takes up one rule; the other does not become open to whoever comes. */
  trust (&f->b, &f->a, "alpha");
  printed = print_rules (&f->b);
  g_assert_nonnull (strstr (printed, " suspended "));
  g_assert_null (strstr (strstr (printed, " suspended ") + 1, " suspended "));
}

/* ---- pairing ---- */

typedef struct {
  Side *side;
  guint n;
  char *id, *code; /* the last */
} Told;

static void
on_code (HyphaNode *node, const char *id, const char *code, Told *told)
{
  told->n++;
  g_free (told->id);
  g_free (told->code);
  told->id = g_strdup (id);
  told->code = g_strdup (code);
}

static void
told_start (Told *told, Side *side)
{
  told->side = side;
  g_signal_connect (side->node, "pairing-code", G_CALLBACK (on_code), told);
}

static void
told_clear (Told *told)
{
  g_free (told->id);
  g_free (told->code);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Told, told_clear)

static void
open_window (Side *side, guint seconds)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_pair (side->node, seconds, &error));
  g_assert_no_error (error);
}

static void
confirm (Told *told, gboolean same)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_confirm_pairing (told->side->node, told->id, same, &error));
  g_assert_no_error (error);
}

static void
assert_not_confirmable (Side *side, const char *id)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (hypha_node_confirm_pairing (side->node, id, TRUE, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  g_assert_nonnull (strstr (error->message, id));
  g_assert_null (hypha_node_lookup (side->node, "alpha", NULL));
}

static gboolean
set_flag (gpointer data)
{
  *(gboolean *) data = TRUE;
  return G_SOURCE_REMOVE;
}

/* Digits are told a quarter of a second later where both may have dialled: by now they would be. */
static void
wait_for_second_thoughts (void)
{
  gboolean done = FALSE;

  g_timeout_add (350, set_flag, &done);
  wait_until (done);
}

static void
dial_in_vain (Side *side, const char *endpoint)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (dial (side, endpoint, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED);
}

/* Alpha dials beta while both have a window open, and both are told the digits. */
static void
meet (NodePair *f, const char *bound, Told *a, Told *b)
{
  told_start (a, &f->a);
  told_start (b, &f->b);
  open_window (&f->a, 60);
  open_window (&f->b, 60);
  dial_in_vain (&f->a, bound);
  wait_until (a->n == 1 && b->n == 1);
}

static void
test_pairing_joins_two_strangers (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *alpha = id_of (&f->a), *beta = id_of (&f->b);
  g_auto (Told) a = { 0 }, b = { 0 };

  meet (f, bound, &a, &b);
  g_assert_cmpstr (a.code, ==, b.code);
  g_assert_cmpuint (strlen (a.code), ==, 6);
  g_assert_cmpstr (a.id, ==, beta);
  g_assert_cmpstr (b.id, ==, alpha);
  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (peer_of (&f->a, beta))), ==,
                   HYPHA_PEER_PENDING);
  confirm (&a, TRUE);
  g_assert_cmpuint (n_links (&f->b), ==, 0);
  confirm (&b, TRUE);
  wait_until (n_links (&f->a) == 1 && n_links (&f->b) == 1);
  /* Under the name that each calls itself, also of whom it did not dial. */
  g_assert_true (hypha_peer_get_trusted (HYPHA_PEER (peer_of (&f->b, "alpha"))));
  wait_until (hypha_node_lookup (f->a.node, "beta", NULL) != NULL);
  g_assert_cmpuint (a.n + b.n, ==, 2);
}

static void
test_name_that_is_taken_gets_a_number (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaIdentity) other = hypha_identity_generate (NULL);
  g_autofree char *namesake = hypha_node_id_to_string (hypha_identity_get_id (other));
  g_auto (Told) a = { 0 }, b = { 0 };

  g_assert_true (hypha_node_trust (f->b.node, namesake, "alpha", NULL));
  meet (f, bound, &a, &b);
  confirm (&b, TRUE);
  g_assert_cmpstr (hypha_node_peer_get_id_text (peer_of (&f->b, "alpha-2")), ==, b.id);
}

static void
give (Side *side, const char *services)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) value = g_variant_ref_sink (g_variant_new_parsed (services));

  g_assert_true (hypha_services_configure (side->services, value, &error));
  g_assert_no_error (error);
}

/* Whoever the settings were written for, it is not for a stranger to say that he is the one. */
static void
test_name_that_a_service_is_for_gets_a_number (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (Told) a = { 0 }, b = { 0 };

  /* The one that dials says its name at once, and learns that of the other late. */
  give (&f->a, "{'echo': {'target': <'echo'>, 'peers': <['else', 'beta']>}}");
  give (&f->b, "{'echo': {'target': <'echo'>, 'peers': <['alpha', 'alpha-2']>}}");
  meet (f, bound, &a, &b);
  confirm (&a, TRUE);
  confirm (&b, TRUE);
  g_assert_cmpstr (hypha_node_peer_get_id_text (peer_of (&f->b, "alpha-3")), ==, b.id);
  wait_until (hypha_node_lookup (f->a.node, "beta-2", NULL) != NULL);
  wait_until (n_links (&f->a) == 1 && n_links (&f->b) == 1);
  peer = g_object_ref (peer_of (&f->a, "beta-2"));
  g_assert_null (open_stream (peer, "echo", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED);
  /* People may say it. */
  g_assert_true (hypha_node_trust (f->b.node, b.id, "alpha", NULL));
  stream = must_open (peer, "echo");
}

static void
test_name_that_a_forward_leads_to_gets_a_number (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaForwards) forwards = hypha_forwards_new (f->b.node);
  g_autoptr (GVariant) value = g_variant_ref_sink (
      g_variant_new_parsed ("[{'local': <'tcp://127.0.0.1:0'>, 'peer': <'alpha'>,"
                            " 'target': <'echo'>}]"));
  g_auto (Told) b = { 0 };

  g_assert_true (hypha_forwards_configure (forwards, value, NULL));
  told_start (&b, &f->b);
  open_window (&f->a, 60);
  open_window (&f->b, 60);
  dial_in_vain (&f->a, bound);
  wait_until (b.n == 1);
  confirm (&b, TRUE);
  g_assert_cmpstr (hypha_node_peer_get_id_text (peer_of (&f->b, "alpha-2")), ==, b.id);
  hypha_forwards_stop (forwards);
}

static void
test_name_that_a_rule_gives_gets_a_number (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *rules =
      g_strdup_printf ("{'unix://%s/*?uid=%u': 'alpha'}", f->dir, geteuid () + 1);
  g_auto (Told) b = { 0 };

  set_rules (&f->b, rules);
  told_start (&b, &f->b);
  open_window (&f->a, 60);
  open_window (&f->b, 60);
  dial_in_vain (&f->a, bound);
  wait_until (b.n == 1);
  confirm (&b, TRUE);
  g_assert_cmpstr (hypha_node_peer_get_id_text (peer_of (&f->b, "alpha-2")), ==, b.id);
}

/* Whoever opens the window first dials in vain, and goes on doing so; that costs no handshake. */
/* What is meant for an id (a service, a command) is not for a peer that calls itself so. */
static void
test_name_is_nobodys_id (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaIdentity) other = hypha_identity_generate (NULL);
  g_autofree char *claimed = hypha_node_id_to_string (hypha_identity_get_id (other));
  g_autofree char *id = id_of (&f->a), *name = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (Told) b = { 0 };

  g_assert_false (hypha_node_trust (f->b.node, id, claimed, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  /* A node would not take it for its name, but what it says is what anybody has made it say. */
  g_free (f->a.node->name);
  f->a.node->name = g_strdup (claimed);
  told_start (&b, &f->b);
  open_window (&f->a, 60);
  open_window (&f->b, 60);
  dial_in_vain (&f->a, bound);
  wait_until (b.n == 1);
  confirm (&b, TRUE);
  name = hypha_peer_dup_name (HYPHA_PEER (peer_of (&f->b, id)));
  g_assert_cmpstr (name, !=, claimed);
  g_assert_true (g_str_has_prefix (id, name));
}

static void
test_windows_need_not_open_at_once (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *alpha = id_of (&f->a);
  g_auto (Told) a = { 0 }, b = { 0 };

  told_start (&a, &f->a);
  told_start (&b, &f->b);
  open_window (&f->a, 60);
  dial_in_vain (&f->a, bound);
  dial_in_vain (&f->a, bound);
  g_assert_cmpuint (a.n, ==, 0);
  /* It has not even said who it is. */
  g_assert_null (hypha_node_lookup (f->b.node, alpha, NULL));
  open_window (&f->b, 60);
  wait_until (a.n == 1 && b.n == 1);
  g_assert_cmpstr (a.code, ==, b.code);
}

static void
test_without_both_windows_there_are_no_digits (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *alpha = id_of (&f->a);
  g_auto (Told) a = { 0 }, b = { 0 };

  told_start (&a, &f->a);
  told_start (&b, &f->b);
  trust (&f->a, &f->b, "beta"); /* so that it says who it is */
  open_window (&f->b, 60);
  dial_in_vain (&f->a, bound);
  g_assert_cmpint (hypha_peer_get_state (HYPHA_PEER (peer_of (&f->b, alpha))), ==,
                   HYPHA_PEER_PENDING);
  g_assert_cmpuint (a.n + b.n, ==, 0);
  assert_not_confirmable (&f->b, alpha);
}

static void
test_digits_that_differ_end_the_pairing (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_auto (Told) a = { 0 }, b = { 0 };

  meet (f, bound, &a, &b);
  confirm (&b, FALSE);
  assert_not_confirmable (&f->b, b.id);
  dial_in_vain (&f->a, bound);
  g_assert_cmpuint (b.n, ==, 1);
}

static void
test_digits_of_a_former_window_are_worth_nothing (NodePair *f, gconstpointer data)
{
  g_autofree char *said = NULL;
  guint handler;
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_auto (Told) a = { 0 }, b = { 0 };

  told_start (&a, &f->a);
  told_start (&b, &f->b);
  open_window (&f->a, 60);
  open_window (&f->b, 1);
  dial_in_vain (&f->a, bound);
  wait_until (a.n == 1 && b.n == 1);
  open_window (&f->b, 1);
  assert_not_confirmable (&f->b, b.id);
  open_window (&f->a, 60);
  dial_in_vain (&f->a, bound);
  wait_until (b.n == 2);
  handler = g_log_set_handler ("hypha", G_LOG_LEVEL_MESSAGE, keep_log, &said);
  wait_until (said != NULL && strstr (said, "digits are worth nothing") != NULL);
  g_log_remove_handler ("hypha", handler);
  assert_not_confirmable (&f->b, b.id);
}

static void
test_windows_have_bounds (NodePair *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *id = id_of (&f->b);

  g_assert_false (hypha_node_pair (f->a.node, 121, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  open_window (&f->a, 120);
  open_window (&f->a, 0);
  assert_not_confirmable (&f->a, id);
  g_assert_false (hypha_node_confirm_pairing (f->a.node, "nonsense", TRUE, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ID);
}

static void
test_one_window_yields_one_code (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_auto (Told) b = { 0 };
  Side strangers[STRANGERS] = { 0 };
  Told told[STRANGERS] = { 0 };
  guint n = 0;

  told_start (&b, &f->b);
  open_window (&f->b, 60);
  for (guint i = 0; i < STRANGERS; i++) {
    side_up (&strangers[i], hypha_identity_generate (NULL), "stranger");
    told_start (&told[i], &strangers[i]);
    open_window (&strangers[i], 60);
    hypha_node_connect_async (strangers[i].node, bound, NULL, NULL, NULL, NULL);
  }
  wait_until (b.n == 1);
  for (guint i = 0; i < STRANGERS; i++)
    dial_in_vain (&strangers[i], bound);
  wait_for_second_thoughts ();
  g_assert_cmpuint (b.n, ==, 1);
  for (guint i = 0; i < STRANGERS; i++) {
    g_autofree char *id = id_of (&strangers[i]);

    if (g_str_equal (id, b.id))
      g_assert_cmpstr (told[i].code, ==, b.code);
    else
      assert_not_confirmable (&f->b, id);
    n += told[i].n;
    side_down (&strangers[i]);
    hypha_identity_unref (strangers[i].identity);
    told_clear (&told[i]);
  }
  g_assert_cmpuint (n, ==, 1);
}

/* A node that has a window dials FILE, reads REPLY and goes away. Whether it knows digits by then.
 */
static gboolean
knows_digits_before_auth (const char *file)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (file);
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaIdentity) identity = hypha_identity_generate (NULL);
  HyphaHandshakeParameters parameters = { .identity = identity,
                                          .link_class = HYPHA_LINK_PLAIN,
                                          .features = HYPHA_FEATURE_PAIRING };
  g_autoptr (HyphaHandshake) handshake = NULL;
  g_autoptr (GBytes) hello = NULL;
  guint8 buffer[HYPHA_HANDSHAKE_MAX];
  GInputStream *input;
  GOutputStream *output;
  gssize n;

  parameters.instance.bytes[0] = 1;
  handshake = hypha_handshake_new (TRUE, &parameters, NULL);
  hello = hypha_handshake_take_output (handshake);
  g_socket_client_connect_async (client, G_SOCKET_CONNECTABLE (address), NULL, keep_result,
                                 &result);
  wait_until (result != NULL);
  connection = g_socket_client_connect_finish (client, result, NULL);
  g_assert_nonnull (connection);
  output = g_io_stream_get_output_stream (G_IO_STREAM (connection));
  input = g_io_stream_get_input_stream (G_IO_STREAM (connection));
  g_assert_cmpint (g_output_stream_write (output, g_bytes_get_data (hello, NULL),
                                          g_bytes_get_size (hello), NULL, NULL),
                   ==, g_bytes_get_size (hello));
  while (hypha_handshake_get_state (handshake) == HYPHA_HANDSHAKE_READING) {
    g_clear_object (&result);
    g_input_stream_read_async (input, buffer, sizeof buffer, 0, NULL, keep_result, &result);
    wait_until (result != NULL);
    n = g_input_stream_read_finish (input, result, NULL);
    g_assert_cmpint (n, >, 0);
    hypha_handshake_receive (handshake, buffer, (gsize) n);
  }
  g_assert_cmpint (hypha_handshake_get_state (handshake), ==, HYPHA_HANDSHAKE_DECIDE);
  return (hypha_handshake_get_features (handshake) & HYPHA_FEATURE_PAIRING) != 0;
}

/* Or a middleman would shake hands with beta until the digits are those that alpha shows already,
 * and say AUTH only then. */
static void
test_digits_cannot_be_tried (NodePair *f, gconstpointer data)
{
  g_autofree char *uri = unix_endpoint (f);
  G_GNUC_UNUSED g_autofree char *bound = listen_on (&f->b, uri);
  g_autofree char *file = g_strdup_printf ("%s/b.sock", f->dir);

  g_assert_false (knows_digits_before_auth (file));
  for (guint window = 0; window < 2; window++) {
    open_window (&f->b, 60);
    g_assert_true (knows_digits_before_auth (file));
    for (guint i = 0; i < 5; i++)
      g_assert_false (knows_digits_before_auth (file));
  }
}

static void
test_middleman_gets_two_codes (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *middle = NULL, *alpha = id_of (&f->a), *beta = id_of (&f->b);
  Side to_alpha = { 0 }, to_beta = { 0 };
  g_auto (Told) a = { 0 }, b = { 0 };

  side_up (&to_alpha, hypha_identity_generate (NULL), "beta");
  side_up (&to_beta, to_alpha.identity, "alpha");
  middle = listen_on (&to_alpha, "tcp://127.0.0.1:0");
  told_start (&a, &f->a);
  told_start (&b, &f->b);
  open_window (&f->a, 60);
  open_window (&f->b, 60);
  open_window (&to_alpha, 60);
  open_window (&to_beta, 60);
  dial_in_vain (&f->a, middle);
  dial_in_vain (&to_beta, bound);
  wait_until (a.n == 1 && b.n == 1);
  g_assert_cmpstr (a.code, !=, b.code);
  g_assert_cmpstr (a.id, !=, beta);
  g_assert_cmpstr (b.id, !=, alpha);
  /* Once more, and again: no more codes to choose from. */
  for (guint i = 0; i < 3; i++) {
    open_window (&to_alpha, 60);
    open_window (&to_beta, 60);
    dial_in_vain (&f->a, middle);
    dial_in_vain (&to_beta, bound);
    wait_for_second_thoughts ();
  }
  g_assert_cmpuint (a.n + b.n, ==, 2);
  side_down (&to_alpha);
  side_down (&to_beta);
  hypha_identity_unref (to_alpha.identity);
}

static void
test_both_dialling_yields_one_code (NodePair *f, gconstpointer data)
{
  g_autofree char *at_a = listen_on (&f->a, "tcp://127.0.0.1:0");
  g_autofree char *at_b = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_auto (Told) a = { 0 }, b = { 0 };

  told_start (&a, &f->a);
  told_start (&b, &f->b);
  for (guint round = 1; round <= 5; round++) {
    open_window (&f->a, 60);
    open_window (&f->b, 60);
    hypha_node_connect_async (f->a.node, at_b, NULL, NULL, NULL, NULL);
    hypha_node_connect_async (f->b.node, at_a, NULL, NULL, NULL, NULL);
    wait_until (a.n == round && b.n == round);
    g_assert_cmpstr (a.code, ==, b.code);
  }
  confirm (&a, TRUE);
  confirm (&b, TRUE);
  wait_until (n_links (&f->a) > 0 && n_links (&f->b) > 0);
}

static void
test_node_does_not_pair_with_itself (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autofree char *id = id_of (&f->b);
  g_autoptr (GError) error = NULL;
  g_auto (Told) b = { 0 };

  told_start (&b, &f->b);
  open_window (&f->b, 60);
  g_assert_null (dial (&f->b, bound, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE);
  g_assert_cmpuint (b.n, ==, 0);
  assert_not_confirmable (&f->b, id);
}

/* ---- a new life ---- */

/* It has ended at this end, because of a new life. */
static void
assert_restarted (HyphaStream *stream)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  hypha_stream_wait_end_async (stream, NULL, keep_result, &result);
  wait_until (result != NULL);
  g_assert_false (hypha_stream_wait_end_finish (stream, result, NULL, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED);
}

static void
test_renew_ends_streams_and_meets_again (NodePair *f, gconstpointer data)
{
  g_autofree char *bound = listen_on (&f->b, "tcp://127.0.0.1:0");
  g_autoptr (HyphaNodePeer) peer = join (f, bound);

  wait_until (n_links (&f->b) == 1);
  for (guint round = 0; round < 3; round++) {
    Side *renewed = round % 2 == 0 ? &f->a : &f->b;
    g_autoptr (HyphaStream) mine = must_open (peer, "echo");
    g_autoptr (HyphaStream) theirs = must_open (peer_of (&f->b, "alpha"), "echo");
    g_autoptr (GError) error = NULL;
    g_autoptr (HyphaNodeLink) old = g_list_model_get_item (hypha_node_get_links (f->a.node), 0);
    g_auto (GStrv) before = hypha_node_dup_listening (f->b.node), after = NULL;

    g_assert_true (hypha_node_renew (renewed->node, &error));
    g_assert_no_error (error);
    assert_restarted (mine);
    assert_restarted (theirs);
    wait_until (g_str_equal (hypha_node_link_get_state (old), "closed") && n_links (&f->a) == 1 &&
                n_links (&f->b) == 1);
    after = hypha_node_dup_listening (f->b.node);
    g_assert_true (g_strv_equal ((const char *const *) before, (const char *const *) after));
  }
  g_object_unref (must_open (peer, "echo"));
}

/* ---- sockets that were handed over ---- */

static gboolean
is_lossy (HyphaTransport *transport)
{
  return TRUE;
}

static void
adopt_unix (NodePair *f, const char *name)
{
  g_autofree char *path = g_build_filename (f->dir, name, NULL);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GError) error = NULL;
  g_autoptr (GSocket) socket =
      g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);

  g_assert_true (g_socket_bind (socket, address, FALSE, &error));
  g_assert_true (g_socket_listen (socket, &error));
  g_assert_true (hypha_node_adopt (f->b.node, dup (g_socket_get_fd (socket)), name, &error));
  g_assert_no_error (error);
  g_assert_cmpint (unlink (path), ==, 0);
}

static void
test_socket_is_not_for_a_transport_that_may_lose (NodePair *f, gconstpointer data)
{
  HyphaTransport *transport = hypha_loader_lookup (f->b.loader, "unix", NULL);
  HyphaTransportInterface *iface = HYPHA_TRANSPORT_GET_IFACE (transport);
  g_auto (GStrv) none = NULL, one = NULL;

  iface->is_lossy = is_lossy;
  adopt_unix (f, "lossy");
  iface->is_lossy = NULL;
  none = hypha_node_dup_listening (f->b.node);
  g_assert_cmpuint (g_strv_length (none), ==, 0);
  adopt_unix (f, "sound");
  one = hypha_node_dup_listening (f->b.node);
  g_assert_cmpuint (g_strv_length (one), ==, 1);
}

/* ---- a connection that somebody else has made ---- */

/* Whoever has to make room goes when the main loop runs, and it does not. */
static void
test_attaching_says_where_there_is_no_room (NodePair *f, gconstpointer data)
{
  HyphaNodeLimits limits;
  g_autoptr (GError) error = NULL;
  int fds[2], refused;

  hypha_node_limits_init (&limits);
  limits.max_handshakes = limits.max_handshakes_per_source = 1;
  hypha_node_set_limits (f->b.node, &limits);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    fds[i] = hypha_node_attach (f->b.node, "tcp://192.0.2.7:1", "somebody", &error);
    g_assert_no_error (error);
    g_assert_cmpint (fds[i], >=, 0);
  }
  refused = hypha_node_attach (f->b.node, "tcp://192.0.2.7:1", "somebody", &error);
  g_assert_cmpint (refused, ==, -1);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  g_assert_nonnull (strstr (error->message, "too many handshakes"));
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
#define ADD(path, func) \
  g_test_add (path, NodePair, NULL, node_pair_set_up, func, node_pair_tear_down)
  ADD ("/ways-in/pending/tells-where-it-knocked", test_pending_peer_tells_where_it_knocked);
  ADD ("/ways-in/rule/lets-in-and-binds", test_rule_lets_in_and_binds);
  ADD ("/ways-in/rule/of-another-user-lets-nobody-in", test_rule_of_another_user_lets_nobody_in);
  ADD ("/ways-in/rule/is-used-up-by-its-first-id", test_rule_is_used_up_by_its_first_id);
  ADD ("/ways-in/rule/is-suspended-by-forget", test_forget_suspends_the_rule);
  ADD ("/ways-in/rule/does-not-bring-back-who-was-forgotten",
       test_forgotten_id_does_not_return_by_another_rule);
  ADD ("/ways-in/pairing/joins-two-strangers", test_pairing_joins_two_strangers);
  ADD ("/ways-in/pairing/name-that-is-taken-gets-a-number", test_name_that_is_taken_gets_a_number);
  ADD ("/ways-in/pairing/name-that-a-service-is-for-gets-a-number",
       test_name_that_a_service_is_for_gets_a_number);
  ADD ("/ways-in/pairing/name-that-a-forward-leads-to-gets-a-number",
       test_name_that_a_forward_leads_to_gets_a_number);
  ADD ("/ways-in/pairing/name-that-a-rule-gives-gets-a-number",
       test_name_that_a_rule_gives_gets_a_number);
  ADD ("/ways-in/pairing/name-is-nobodys-id", test_name_is_nobodys_id);
  ADD ("/ways-in/pairing/windows-need-not-open-at-once", test_windows_need_not_open_at_once);
  ADD ("/ways-in/pairing/without-both-windows-there-are-no-digits",
       test_without_both_windows_there_are_no_digits);
  ADD ("/ways-in/pairing/digits-that-differ-end-it", test_digits_that_differ_end_the_pairing);
  ADD ("/ways-in/pairing/digits-of-a-former-window-are-worth-nothing",
       test_digits_of_a_former_window_are_worth_nothing);
  ADD ("/ways-in/pairing/windows-have-bounds", test_windows_have_bounds);
  ADD ("/ways-in/pairing/one-window-yields-one-code", test_one_window_yields_one_code);
  ADD ("/ways-in/pairing/digits-cannot-be-tried", test_digits_cannot_be_tried);
  ADD ("/ways-in/pairing/middleman-gets-two-codes", test_middleman_gets_two_codes);
  ADD ("/ways-in/pairing/both-dialling-yields-one-code", test_both_dialling_yields_one_code);
  ADD ("/ways-in/pairing/not-with-itself", test_node_does_not_pair_with_itself);
  ADD ("/ways-in/handed-over/not-to-a-transport-that-may-lose",
       test_socket_is_not_for_a_transport_that_may_lose);
  ADD ("/ways-in/attached/says-where-there-is-no-room", test_attaching_says_where_there_is_no_room);
  ADD ("/ways-in/renew/ends-streams-and-meets-again", test_renew_ends_streams_and_meets_again);
#undef ADD
  return g_test_run ();
}
