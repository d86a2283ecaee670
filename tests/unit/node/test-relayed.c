/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links that go through other nodes. */

#include "relayed-world.h"

#include <string.h>

static void
test_two_guests_of_one_host (void)
{
  World w;
  g_autoptr (HyphaStream) stream = NULL;
  g_autofree char *remote = NULL;

  guests_up (&w);
  let_pass (&w, "host", GUESTS_PASS);
  dial_all (&w, "one", "host,via://host/two");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "two", "via"));
  wait_until (goes_over (&w, "two", "one", "via"));
  stream = open_echo (&w, "one", "two");
  exchange (stream, 3 * 1024 * 1024);
  /* 3 for each of the two hops, and 10 for who is in the middle, as both ends see it. */
  g_assert_cmpuint (hypha_node_link_get_static_cost (best (&w, "one", "two")), ==, 16);
  g_assert_cmpuint (hypha_node_link_get_static_cost (best (&w, "two", "one")), ==, 16);
  g_assert_true (hypha_node_link_get_encrypted (best (&w, "one", "two")));
  g_assert_cmpstr (hypha_node_link_get_remote (best (&w, "one", "two")), ==, "via://host/two");
  remote = g_strdup_printf ("via://host/%s", member (&w, "one")->id);
  g_assert_cmpstr (hypha_node_link_get_remote (best (&w, "two", "one")), ==, remote);
  g_clear_object (&stream);
  world_down (&w);
}

static void
test_off_until_named (void)
{
  World w;

  guests_up (&w);
  dial_all (&w, "one", "host,via://host/two");
  dial_all (&w, "two", "host");
  wait_until (is_in_trouble (&w, "one", "leads nothing on for this node"));
  /* One of them alone is not enough. */
  let_pass (&w, "host", "{'via': {'target': <'transport'>, 'peers': <['one']>}}");
  wait_until (is_in_trouble (&w, "one", "does not lead there for this node"));
  g_assert_false (has_link (&w, "two", "one", "via"));
  dial_all (&w, "one", "host");
  dial_all (&w, "one", "host,via://host/two");
  let_pass (&w, "host", GUESTS_PASS);
  wait_until (goes_over (&w, "one", "two", "via"));
  /* And what is taken back ends at once. */
  let_pass (&w, "host", "{'via': {'target': <'transport'>, 'peers': <['one']>}}");
  wait_until (goes_over (&w, "one", "two", NULL) && goes_over (&w, "two", "one", NULL));
  world_down (&w);
}

static void
test_whoever_does_not_listen_is_left_alone (void)
{
  World w;

  guests_up (&w);
  let_pass (&w, "host", GUESTS_PASS);
  listen_at (&w, "two", "@");
  dial_all (&w, "one", "host,via://host/two");
  dial_all (&w, "two", "host");
  wait_until (is_in_trouble (&w, "one", "takes nothing that is led to it"));
  g_assert_true (goes_over (&w, "two", "host", "unix"));
  world_down (&w);
}

static void
test_found_without_configuration (void)
{
  World w;

  guests_up (&w);
  listen_at (&w, "one", "via://host");
  dial_all (&w, "one", "host");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "host", "unix") && goes_over (&w, "two", "host", "unix"));
  /* The settings come later than the guests. */
  let_pass (&w, "host", GUESTS_PASS);
  wait_until (goes_over (&w, "one", "two", "via") && goes_over (&w, "two", "one", "via"));
  /* One link is left of the two that both have dialled. */
  wait_until (n_links (&(Side){ .node = member (&w, "one")->node }) == 2);
  g_assert_true (explains (&w, "one", "two", "via://"));
  let_pass (&w, "host", "@a{sa{sv}} {}");
  wait_until (goes_over (&w, "one", "two", NULL) && !explains (&w, "one", "two", "via://"));
  world_down (&w);
}

static gboolean
listens_at (World *self, const char *name, const char *endpoint)
{
  g_auto (GStrv) listening = hypha_node_dup_listening (member (self, name)->node);

  return g_strv_contains ((const char *const *) listening, endpoint);
}

/* Two nodes with the same plug-ins, as in a program that holds several. */
static void
test_second_node_of_one_process (void)
{
  static const char alone[] = "this transport serves the first alone";
  const GLogLevelFlags fatal = g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  World w;
  g_autoptr (HyphaStream) stream = NULL;

  guests_up (&w);
  member_up (&w, w.n++, "second", member (&w, "one")->loader);
  befriend (&w, "second", "host");
  befriend (&w, "second", "two");
  let_pass (&w, "host", "{'via': {'target': <'transport'>, 'peers': <['one', 'two', 'second']>}}");
  dial_all (&w, "one", "host,via://host/two");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "two", "via"));
  /* The second one has no part in it, and is told so. */
  dial_all (&w, "second", "host,via://host/two");
  listen_at (&w, "second", "via://any");
  wait_until (is_in_trouble (&w, "second", "via://any: of the nodes in one process"));
  wait_until (is_in_trouble (&w, "second", "via://host/two: of the nodes in one process"));
  g_assert_true (is_in_trouble (&w, "second", alone));
  g_assert_false (listens_at (&w, "second", "via://any"));
  wait_until (goes_over (&w, "second", "host", "unix"));
  stream = open_echo (&w, "one", "two");
  exchange (stream, 1024);
  g_clear_object (&stream);
  /* It is the first one when that has gone. */
  member_down (member (&w, "one"));
  wait_until (goes_over (&w, "second", "two", "via") && goes_over (&w, "two", "second", "via"));
  wait_until (listens_at (&w, "second", "via://any"));
  g_assert_false (is_in_trouble (&w, "second", alone));
  stream = open_echo (&w, "two", "second");
  exchange (stream, 1024);
  g_clear_object (&stream);
  world_down (&w);
  g_log_set_always_fatal (fatal);
}

/* The user may call a hop as dear as he likes. */
static void
test_dear_hop (void)
{
  World w;
  g_autoptr (GVariant) costs =
      g_variant_ref_sink (g_variant_new_parsed ("{'unix': @u 4294967290}"));
  g_autoptr (GError) error = NULL;

  guests_up (&w);
  let_pass (&w, "host", GUESTS_PASS);
  g_assert_true (hypha_node_set_link_costs (member (&w, "one")->node, costs, &error));
  g_assert_no_error (error);
  dial_all (&w, "one", "host,via://host/two");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "two", "via") && goes_over (&w, "two", "one", "via"));
  g_assert_cmpuint (hypha_node_link_get_static_cost (best (&w, "one", "two")), >=, 1000000);
  g_assert_cmpuint (hypha_node_link_get_static_cost (best (&w, "two", "one")), >=, 1000000);
  world_down (&w);
}

/* What was suggested, then named in the settings, then withdrawn, is dialled for as long as the
 * settings name it. */
static void
test_suggested_and_wanted (void)
{
  g_autofree char *found = NULL;
  g_autofree char *both = NULL;
  World w;

  guests_up (&w);
  /* It takes part, and alone dials. */
  listen_at (&w, "one", "via://nobody");
  listen_at (&w, "two", "via://host");
  let_pass (&w, "host", GUESTS_PASS);
  found = g_strdup_printf ("via://host/%s", member (&w, "two")->id);
  both = g_strdup_printf ("host,%s", found);
  dial_all (&w, "one", "host");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "two", "via") && explains (&w, "one", "two", found));
  dial_all (&w, "one", both);
  let_pass (&w, "host", "@a{sa{sv}} {}");
  wait_until (is_in_trouble (&w, "one", "leads nothing on for this node"));
  g_assert_true (explains (&w, "one", "two", found));
  dial_all (&w, "one", "host");
  wait_until (!explains (&w, "one", "two", found));
  world_down (&w);
}

static void
test_survives_the_middle (void)
{
  static const char *const names[] = { "host", "other", "one", "two", NULL };
  World w;
  g_autoptr (HyphaStream) stream = NULL;

  world_up (&w, names);
  befriend (&w, "one", "two");
  for (guint i = 0; i < 2; i++) {
    befriend (&w, names[i], "one");
    befriend (&w, names[i], "two");
    listen_at (&w, names[i], "@");
    let_pass (&w, names[i], GUESTS_PASS);
  }
  listen_at (&w, "one", "via://any");
  listen_at (&w, "two", "via://any");
  dial_all (&w, "one", "host,other");
  dial_all (&w, "two", "host,other");
  wait_until (n_links (&(Side){ .node = member (&w, "one")->node }) >= 4);
  wait_until (goes_over (&w, "two", "one", "via"));
  stream = open_echo (&w, "one", "two");
  exchange (stream, 1024 * 1024);
  /* Whichever of them carries it. */
  member_down (member (&w, strstr (hypha_node_link_get_remote (best (&w, "one", "two")), "other")
                               ? "other"
                               : "host"));
  exchange (stream, 1024 * 1024);
  g_clear_object (&stream);
  world_down (&w);
}

static void
test_two_middles (void)
{
  static const char *const names[] = { "host", "other", "one", "two", NULL };
  World w;
  g_autoptr (HyphaStream) stream = NULL;

  world_up (&w, names);
  befriend (&w, "host", "other");
  befriend (&w, "host", "one");
  befriend (&w, "other", "two");
  befriend (&w, "one", "two");
  listen_at (&w, "host", "@");
  listen_at (&w, "other", "@");
  listen_at (&w, "one", "via://any");
  listen_at (&w, "two", "via://any");
  let_pass (&w, "host", "{'via': {'target': <'transport'>, 'peers': <['one', 'other']>}}");
  let_pass (&w, "other", "{'via': {'target': <'transport'>, 'peers': <['host', 'two']>}}");
  dial_all (&w, "host", "other");
  dial_all (&w, "one", "host");
  dial_all (&w, "two", "other");
  wait_until (goes_over (&w, "one", "two", "via") && goes_over (&w, "two", "one", "via"));
  g_assert_cmpuint (hypha_node_link_get_static_cost (best (&w, "one", "two")), ==, 29);
  g_assert_cmpuint (hypha_node_link_get_static_cost (best (&w, "two", "one")), ==, 29);
  stream = open_echo (&w, "one", "two");
  exchange (stream, 1024 * 1024);
  g_clear_object (&stream);
  world_down (&w);
}

/* At both ends: where the peer dials, and where it is dialled. */
static void
test_bound_to_the_middle (void)
{
  static const char *const bonds[] = { "unix:///elsewhere", "via://host/*" };
  World w;

  /* It is warned of whoever comes from elsewhere. */
  const GLogLevelFlags fatal = g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);

  guests_up (&w);
  listen_at (&w, "one", "via://any");
  let_pass (&w, "host", GUESTS_PASS);
  for (guint i = 0; i < 2; i++) {
    Member *one = member (&w, "one"), *host = member (&w, "host"), *two = member (&w, "two");
    g_autoptr (GVariant) trusted = g_variant_ref_sink (g_variant_new_parsed (
        "{%s: {'name': <'two'>, 'endpoints': <[%s]>}, %s: {'name': <'host'>}}", two->id, bonds[i],
        host->id));
    g_autoptr (GError) error = NULL;

    g_assert_true (hypha_node_set_trusted (one->node, trusted, &error));
    g_assert_no_error (error);
    dial_all (&w, "one", "host");
    dial_all (&w, "two", i == 0 ? "host,via://host/one" : "host");
    if (i == 0)
      wait_until (is_in_trouble (&w, "two", "via://host/one"));
    g_assert_false (has_link (&w, "one", "two", "via"));
  }
  wait_until (goes_over (&w, "one", "two", "via"));
  world_down (&w);
  g_log_set_always_fatal (fatal);
}

/* ---- no circle ---- */

static const char *const three[] = { "alpha", "beta", "gamma", NULL };

static guint64
moved (World *w)
{
  guint64 sum = 0;

  for (guint i = 0; i < w->n; i++)
    for (guint j = 0; j < w->n; j++) {
      HyphaNodePeer *peer = i != j ? peer_at (w, three[i], three[j]) : NULL;
      guint64 rx = 0, tx = 0;

      if (peer != NULL)
        hypha_node_peer_get_counters (peer, &rx, &tx);
      sum += rx + tx;
    }
  return sum;
}

/* Each of the three is in the middle of the other two; ORDER: of the three direct links, by who is
 * not at either end. */
static void
cut_in_order (const guint *order)
{
  gboolean direct[3] = { TRUE, TRUE, TRUE };
  World w;

  world_up (&w, three);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *services =
        g_strdup_printf ("{'via': {'target': <'transport'>, 'peers': <['%s', '%s']>}}",
                         three[(i + 1) % 3], three[(i + 2) % 3]);

    befriend (&w, three[i], three[(i + 1) % 3]);
    listen_at (&w, three[i], "@,via://any");
    let_pass (&w, three[i], services);
  }
  for (guint i = 0; i < 3; i++)
    dial_all (&w, three[i], three[(i + 1) % 3]);
  for (guint i = 0; i < 6; i++) {
    const char *a = three[i % 3], *b = three[(i + 1 + i / 3) % 3];

    wait_until (has_link (&w, a, b, "unix") && has_link (&w, a, b, "via"));
  }
  for (guint k = 0; k < 3; k++) {
    const char *a = three[(order[k] + 1) % 3], *b = three[(order[k] + 2) % 3];

    dial_all (&w, a, "");
    cut (&w, a, b, "unix");
    direct[order[k]] = FALSE;
    for (guint i = 0; i < 3; i++) {
      const char *one = three[(i + 1) % 3], *other = three[(i + 2) % 3];
      gboolean round = direct[(i + 1) % 3] && direct[(i + 2) % 3];
      const char *scheme = direct[i] ? "unix" : round ? "via" : NULL;

      wait_until (goes_over (&w, one, other, scheme) && goes_over (&w, other, one, scheme));
      wait_until (round || !has_link (&w, one, other, "via"));
    }
  }
  world_down (&w);
}

static void
test_cut_in_every_order (void)
{
  static const guint orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                     { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (orders); i++)
    cut_in_order (orders[i]);
}

/* What goes over the direct links costs more than the way round, so every session would go over a
 * relayed link if it could. */
static void
test_dear_direct_links (void)
{
  World w;
  guint64 before;

  world_up (&w, three);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GVariant) costs =
        g_variant_ref_sink (g_variant_new_parsed ("{'unix': @u 500, 'via': 1}"));
    g_autoptr (GError) error = NULL;

    g_assert_true (hypha_node_set_link_costs (member (&w, three[i])->node, costs, &error));
    g_assert_no_error (error);
  }
  for (guint i = 0; i < 3; i++) {
    g_autofree char *services =
        g_strdup_printf ("{'via': {'target': <'transport'>, 'peers': <['%s', '%s']>}}",
                         three[(i + 1) % 3], three[(i + 2) % 3]);

    befriend (&w, three[i], three[(i + 1) % 3]);
    listen_at (&w, three[i], "@,via://any");
    let_pass (&w, three[i], services);
  }
  for (guint i = 0; i < 3; i++)
    dial_all (&w, three[i], three[(i + 1) % 3]);
  wait_until (goes_over (&w, "alpha", "beta", "via") || goes_over (&w, "beta", "gamma", "via") ||
              goes_over (&w, "gamma", "alpha", "via"));
  let_time_pass (1000);
  before = moved (&w);
  let_time_pass (500);
  g_assert_cmpuint (moved (&w) - before, <, 256 * 1024);
  world_down (&w);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/relayed/two-guests-of-one-host", test_two_guests_of_one_host);
  g_test_add_func ("/relayed/off-until-named", test_off_until_named);
  g_test_add_func ("/relayed/whoever-does-not-listen-is-left-alone",
                   test_whoever_does_not_listen_is_left_alone);
  g_test_add_func ("/relayed/found-without-configuration", test_found_without_configuration);
  g_test_add_func ("/relayed/second-node-of-one-process", test_second_node_of_one_process);
  g_test_add_func ("/relayed/dear-hop", test_dear_hop);
  g_test_add_func ("/relayed/suggested-and-wanted", test_suggested_and_wanted);
  g_test_add_func ("/relayed/bound-to-the-middle", test_bound_to_the_middle);
  g_test_add_func ("/relayed/survives-the-middle", test_survives_the_middle);
  g_test_add_func ("/relayed/two-middles", test_two_middles);
  g_test_add_func ("/relayed/no-circle-when-links-are-cut-in-every-order", test_cut_in_every_order);
  g_test_add_func ("/relayed/no-circle-where-the-way-round-is-cheaper", test_dear_direct_links);
  return g_test_run ();
}
