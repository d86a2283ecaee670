/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links that go through other nodes: several nodes in this process, each with plug-ins of its own,
 * joined by Unix sockets. */

#include "node-pair.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>

#define MOST 5

typedef struct {
  HyphaIdentity *identity;
  HyphaLoader *loader;
  HyphaNode *node;
  HyphaServices *services;
  char *name, *id, *socket;
  gboolean stopped;
} Member;

typedef struct {
  char *dir;
  Member members[MOST];
  guint n;
} World;

/* LOADER: NULL: it has plug-ins of its own. */
static void
member_up (World *self, guint i, const char *name, HyphaLoader *loader)
{
  static const char *const directories[] = { HYPHA_TEST_UNIX_DIR, HYPHA_TEST_VIA_DIR, NULL };
  g_autoptr (GError) error = NULL;
  Member *m = &self->members[i];
  HyphaNodeLimits limits;

  if (m->identity == NULL) {
    g_autofree char *file = g_strconcat (name, ".sock", NULL);

    m->identity = hypha_identity_generate (NULL);
    m->name = g_strdup (name);
    m->id = hypha_node_id_to_string (hypha_identity_get_id (m->identity));
    m->socket = g_build_filename (self->dir, file, NULL);
  }
  m->loader = loader != NULL ? g_object_ref (loader) : hypha_loader_new (directories);
  if (loader == NULL)
    hypha_loader_start (m->loader);
  m->node = hypha_node_new (m->identity, m->loader, 1, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_node_set_name (m->node, m->name, &error));
  hypha_node_limits_init (&limits);
  limits.ping_interval = 200;
  limits.link_timeout = 1500;
  hypha_node_set_limits (m->node, &limits);
  m->services = hypha_services_new (m->node);
}

static void
member_down (Member *m)
{
  if (m->node == NULL)
    return;
  hypha_node_stop (m->node);
  g_clear_object (&m->services);
  g_assert_finalize_object (g_steal_pointer (&m->node));
  g_clear_object (&m->loader);
}

static void
world_up (World *self, const char *const *names)
{
  g_autoptr (GError) error = NULL;

  *self = (World){ 0 };
  self->dir = g_dir_make_tmp ("hypha-relayed-XXXXXX", &error);
  g_assert_no_error (error);
  for (; names[self->n] != NULL; self->n++)
    member_up (self, self->n, names[self->n], NULL);
}

static void
world_down (World *self)
{
  for (guint i = 0; i < self->n; i++)
    member_down (&self->members[i]);
  for (guint i = 0; i < self->n; i++) {
    Member *m = &self->members[i];
    g_autofree char *lock = g_strconcat (m->socket, ".lock", NULL);

    g_unlink (m->socket);
    g_unlink (lock);
    hypha_identity_unref (m->identity);
    g_free (m->name);
    g_free (m->id);
    g_free (m->socket);
  }
  g_assert_cmpint (g_rmdir (self->dir), ==, 0);
  g_free (self->dir);
}

static Member *
member (World *self, const char *name)
{
  for (guint i = 0; i < self->n; i++)
    if (g_str_equal (self->members[i].name, name))
      return &self->members[i];
  g_assert_not_reached ();
}

static void
befriend (World *self, const char *one, const char *other)
{
  Member *a = member (self, one), *b = member (self, other);
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_trust (a->node, b->id, b->name, &error));
  g_assert_true (hypha_node_trust (b->node, a->id, a->name, &error));
}

/* ENDPOINTS: with commas; "@" is the socket of its own. */
static void
listen_at (World *self, const char *name, const char *endpoints)
{
  Member *m = member (self, name);
  g_auto (GStrv) list = g_strsplit (endpoints, ",", -1);
  g_autoptr (GError) error = NULL;

  for (char **e = list; *e != NULL; e++)
    if (g_str_equal (*e, "@")) {
      g_free (*e);
      *e = g_strconcat ("unix://", m->socket, NULL);
    }
  g_assert_true (hypha_node_set_listen (m->node, (const char *const *) list, &error));
  g_assert_no_error (error);
  wait_until (hypha_node_is_settled (m->node));
}

static void
let_pass (World *self, const char *name, const char *services)
{
  g_autoptr (GVariant) value = g_variant_ref_sink (g_variant_new_parsed (services));
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_services_configure (member (self, name)->services, value, &error));
  g_assert_no_error (error);
}

/* NAME dials these from now on: sockets of the nodes that are named, or endpoints. */
static void
dial_all (World *self, const char *name, const char *whom)
{
  g_auto (GStrv) list = g_strsplit (whom, ",", -1);
  g_autoptr (GError) error = NULL;

  for (char **e = list; *e != NULL; e++)
    if (**e != '\0' && strchr (*e, ':') == NULL) {
      char *endpoint = g_strconcat ("unix://", member (self, *e)->socket, NULL);

      g_free (*e);
      *e = endpoint;
    }
  if (*whom == '\0')
    g_clear_pointer (&list[0], g_free);
  g_assert_true (
      hypha_node_set_peers (member (self, name)->node, (const char *const *) list, &error));
  g_assert_no_error (error);
}

static HyphaNodePeer *
peer_at (World *self, const char *name, const char *other)
{
  return hypha_node_lookup (member (self, name)->node, member (self, other)->id, NULL);
}

static HyphaNodeLink *
best (World *self, const char *name, const char *other)
{
  HyphaNodePeer *peer = peer_at (self, name, other);

  return peer != NULL ? hypha_node_peer_get_best_link (peer) : NULL;
}

static gboolean
goes_over (World *self, const char *name, const char *other, const char *scheme)
{
  HyphaNodeLink *link = best (self, name, other);

  return scheme == NULL
             ? link == NULL
             : link != NULL && g_str_equal (hypha_node_link_get_transport (link), scheme);
}

static gboolean
has_link (World *self, const char *name, const char *other, const char *scheme)
{
  HyphaNodePeer *peer = peer_at (self, name, other);
  g_autoptr (GPtrArray) links = peer != NULL ? hypha_node_peer_dup_links (peer) : NULL;

  for (guint i = 0; links != NULL && i < links->len; i++)
    if (g_str_equal (hypha_node_link_get_transport (links->pdata[i]), scheme) &&
        g_str_equal (hypha_node_link_get_state (links->pdata[i]), "up"))
      return TRUE;
  return FALSE;
}

/* Cuts what goes over SCHEME between the two, at this end. */
static void
cut (World *self, const char *name, const char *other, const char *scheme)
{
  HyphaNodePeer *peer = peer_at (self, name, other);
  g_autoptr (GPtrArray) links = hypha_node_peer_dup_links (peer);

  for (guint i = 0; i < links->len; i++)
    if (g_str_equal (hypha_node_link_get_transport (links->pdata[i]), scheme))
      hypha_node_link_close (links->pdata[i]);
}

static HyphaStream *
open_echo (World *self, const char *name, const char *other)
{
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = open_stream (peer_at (self, name, other), "echo", &error);

  g_assert_no_error (error);
  return stream;
}

/* LENGTH bytes there and back. */
static void
exchange (HyphaStream *stream, gsize length)
{
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (stream));
  GOutputStream *output = g_io_stream_get_output_stream (G_IO_STREAM (stream));
  g_autofree guint8 *sent = g_malloc (length);
  g_autofree guint8 *got = g_malloc0 (length);
  gsize written = 0, done = 0;

  for (gsize i = 0; i < length; i++)
    sent[i] = (guint8) (i * 31 + i / 251);
  while (done < length) {
    gssize n = written < length
                   ? g_pollable_output_stream_write_nonblocking (G_POLLABLE_OUTPUT_STREAM (output),
                                                                 sent + written, length - written,
                                                                 NULL, NULL)
                   : 0;

    written += n > 0 ? (gsize) n : 0;
    n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input), got + done,
                                                  length - done, NULL, NULL);
    g_assert_cmpint (n, !=, 0);
    done += n > 0 ? (gsize) n : 0;
    g_main_context_iteration (NULL, FALSE);
  }
  g_assert_cmpmem (sent, length, got, length);
}

#define GUESTS_PASS "{'via': {'target': <'transport'>, 'peers': <['one', 'two']>}}"

/* Two guests of one host. */
static void
guests_up (World *w)
{
  static const char *const names[] = { "host", "one", "two", NULL };

  world_up (w, names);
  befriend (w, "host", "one");
  befriend (w, "host", "two");
  befriend (w, "one", "two");
  listen_at (w, "host", "@");
  listen_at (w, "two", "via://any");
}

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

static gboolean
explains (World *self, const char *name, const char *other, const char *text)
{
  g_autoptr (GVariant) all =
      hypha_node_explain (member (self, name)->node, peer_at (self, name, other));
  g_autofree char *printed = g_variant_print (all, FALSE);

  return strstr (printed, text) != NULL;
}

static gboolean
is_in_trouble (World *self, const char *name, const char *text)
{
  g_autoptr (GVariant) troubles = hypha_node_dup_troubles (member (self, name)->node);
  g_autofree char *printed = g_variant_print (troubles, FALSE);

  return strstr (printed, text) != NULL;
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

/* ---- whoever lies ---- */

static void
say (HyphaStream *stream, const char *line)
{
  g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (stream)), line,
                             strlen (line), NULL, NULL, NULL);
}

/* What HOST answers when ONE says LINE to it; "": nothing. */
static char *
ask (World *w, const char *line)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = open_stream (peer_at (w, "one", "host"), "via", &error);
  GInputStream *input;
  GString *answer = g_string_new (NULL);
  gssize n;

  if (stream == NULL)
    return g_string_free (answer, FALSE);
  input = g_io_stream_get_input_stream (G_IO_STREAM (stream));
  say (stream, line);
  do {
    char c;

    n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input), &c, 1, NULL,
                                                  &error);
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
      g_clear_error (&error);
      g_main_context_iteration (NULL, FALSE);
      continue;
    }
    if (n <= 0 || c == '\n')
      break;
    g_string_append_c (answer, c);
  } while (TRUE);
  return g_string_free (answer, FALSE);
}

static void
test_liars_get_nowhere (void)
{
  World w;
  const char *host, *one, *two;

  guests_up (&w);
  let_pass (&w, "host", GUESTS_PASS);
  dial_all (&w, "one", "host");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "host", "unix") && goes_over (&w, "host", "two", "unix"));
  host = member (&w, "host")->id;
  one = member (&w, "one")->id;
  two = member (&w, "two")->id;
  {
    g_autofree char *through_host = g_strdup_printf ("via/1 go 1000 0 %s two\n", host);
    g_autofree char *through_one = g_strdup_printf ("via/1 go 1000 0 %s two\n", one);
    g_autofree char *through_two = g_strdup_printf ("via/1 go 1000 0 %s %s\n", two, two);
    g_autofree char *long_line = g_strnfill (5000, 'x');
    const struct {
      const char *line, *answer;
    } cases[] = {
      { "nonsense\n", "no malformed" },
      { long_line, "" },
      { "via/1 go 1000 0 - nobody\n", "no unreachable" },
      { "via/1 go 1000 0 - one\n", "no loop" },
      { "via/1 go 1000 0 - host\n", "no unreachable" },
      { through_host, "no loop" },
      { through_one, "no loop" },
      { through_two, "no loop" },
      { "via/1 go 1000 0 - -\n", "no malformed" },
      { "via/1 go 1000 0 - two/one\n", "no unreachable" },
    };

    for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
      g_autofree char *answer = ask (&w, cases[i].line);

      g_test_message ("%.40s: %s", cases[i].line, answer);
      g_assert_cmpstr (answer, ==, cases[i].answer);
    }
  }
  world_down (&w);
}

/* A node whose service is a program of the worst kind: it says LINE, whoever asks for what, and
 * then nothing; NULL: nothing at all. */
typedef struct {
  char *line, *path;
  gboolean once; /* to whoever asks first */
  GSocketService *service;
  GPtrArray *held;
} Liar;

static gboolean
on_liar_asked (GSocketService *service, GSocketConnection *connection, GObject *source, Liar *self)
{
  if (self->line != NULL && (!self->once || self->held->len == 0))
    g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (connection)), self->line,
                               strlen (self->line), NULL, NULL, NULL);
  g_ptr_array_add (self->held, g_object_ref (connection));
  return TRUE;
}

static void
liar_up (Liar *self, World *w, const char *name, char *line)
{
  g_autofree char *path = g_build_filename (w->dir, "service.sock", NULL);
  g_autofree char *services = g_strdup_printf ("{'via': {'target': <'unix://%s'>}}", path);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GError) error = NULL;

  *self = (Liar){ .line = line, .path = g_steal_pointer (&path) };
  self->held = g_ptr_array_new_with_free_func (g_object_unref);
  self->service = g_socket_service_new ();
  g_signal_connect (self->service, "incoming", G_CALLBACK (on_liar_asked), self);
  g_assert_true (g_socket_listener_add_address (G_SOCKET_LISTENER (self->service), address,
                                                G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT,
                                                NULL, NULL, &error));
  g_assert_no_error (error);
  let_pass (w, name, services);
}

static void
liar_down (Liar *self)
{
  g_socket_service_stop (self->service);
  while (g_main_context_iteration (NULL, FALSE)) /* it is still accepting */
    ;
  g_socket_listener_close (G_SOCKET_LISTENER (self->service));
  g_object_unref (self->service);
  g_ptr_array_unref (self->held);
  g_unlink (self->path);
  g_free (self->path);
  g_free (self->line);
}

static char *
make_id (guint n)
{
  HyphaNodeId id = { .bytes = { (guint8) n, 1, 2 } };

  return hypha_node_id_to_string (&id);
}

/* A host that names one node again and again, and by as many ways: one is dialled. */
static void
test_told_of_many_times (void)
{
  World w;
  Liar liar;
  g_autofree char *through_a = make_id (1);
  g_autofree char *through_b = make_id (2);
  const char *two;

  guests_up (&w);
  listen_at (&w, "one", "via://any");
  two = member (&w, "two")->id;
  liar_up (&liar, &w, "host",
           g_strdup_printf ("seen 3:%s/%s 3:%s/%s 9:%s 0:%s/%s 3:%s/%s\n", through_a, two,
                            through_a, two, two, through_b, two, through_a, two));
  dial_all (&w, "one", "host");
  wait_until (explains (&w, "one", "two", through_a));
  g_assert_false (explains (&w, "one", "two", through_b));
  liar_down (&liar);
  world_down (&w);
}

static void
on_state (GObject *peer, GParamSpec *pspec, gpointer member)
{
  Member *m = member;

  m->stopped = TRUE;
  hypha_node_stop (m->node);
}

/* A program that stops its node when it hears that a peer is not dialled any more. */
static void
test_stopped_by_what_is_withdrawn (void)
{
  static const char nobody[] = "seen\n";
  World w;
  Liar liar;
  GOutputStream *output;

  guests_up (&w);
  listen_at (&w, "one", "via://any");
  liar_up (&liar, &w, "host", g_strdup_printf ("seen 3:%s\n", member (&w, "two")->id));
  liar.once = TRUE;
  dial_all (&w, "one", "host");
  wait_until (liar.held->len >= 2); /* asked, and dialled */
  g_signal_connect (peer_at (&w, "one", "two"), "notify::state", G_CALLBACK (on_state),
                    member (&w, "one"));
  output = g_io_stream_get_output_stream (liar.held->pdata[0]);
  g_assert_true (g_output_stream_write_all (output, nobody, strlen (nobody), NULL, NULL, NULL));
  wait_until (member (&w, "one")->stopped);
  liar_down (&liar);
  world_down (&w);
}

/* A guest that says of another that the way to it leads through itself, and costs nothing. */
static void
test_guest_is_not_believed_of_others (void)
{
  static const char *const names[] = { "host", "one", "two", "liar", NULL };
  World w;
  Liar liar;
  g_autofree char *dear = NULL;
  g_autofree char *direct = NULL;

  world_up (&w, names);
  for (guint i = 1; i < 4; i++)
    befriend (&w, "host", names[i]);
  befriend (&w, "one", "two");
  listen_at (&w, "host", "@");
  listen_at (&w, "one", "via://any");
  listen_at (&w, "two", "@,via://any");
  listen_at (&w, "liar", "@");
  let_pass (&w, "host", "{'via': {'target': <'transport'>, 'peers': <['one', 'two', 'liar']>}}");
  liar_up (&liar, &w, "liar", g_strdup_printf ("seen 0:%s\n", member (&w, "two")->id));
  dear = g_strdup_printf ("liar,unix://%s?cost=50", member (&w, "two")->socket);
  direct = g_strdup_printf ("via://host/%s", member (&w, "two")->id);
  dial_all (&w, "host", "liar");
  wait_until (liar.held->len > 0);
  dial_all (&w, "one", "host");
  wait_until (explains (&w, "one", "two", member (&w, "liar")->id));
  dial_all (&w, "host", dear);
  wait_until (explains (&w, "one", "two", direct) &&
              !explains (&w, "one", "two", member (&w, "liar")->id));
  wait_until (goes_over (&w, "one", "two", "via"));
  liar_down (&liar);
  world_down (&w);
}

/* One that takes all the places there are for going to another leaves some to the rest. */
static void
test_nobody_takes_all_ways_to_another (void)
{
  static const char *const names[] = { "host", "two", "one", "three", NULL };
  World w;
  Liar liar;
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree char *answer = NULL;

  world_up (&w, names);
  for (guint i = 1; i < 4; i++)
    befriend (&w, "host", names[i]);
  listen_at (&w, "host", "@");
  liar_up (&liar, &w, "two", NULL); /* for as long as that takes */
  let_pass (&w, "host", "{'via': {'target': <'transport'>, 'peers': <['one', 'two', 'three']>}}");
  for (guint i = 1; i < 4; i++)
    dial_all (&w, names[i], "host");
  wait_until (goes_over (&w, "host", "one", "unix") && goes_over (&w, "host", "two", "unix"));
  wait_until (goes_over (&w, "three", "host", "unix") && goes_over (&w, "one", "host", "unix"));
  for (guint i = 0; i < 64; i++) {
    HyphaStream *stream = open_stream (peer_at (&w, "three", "host"), "via", NULL);

    g_assert_nonnull (stream);
    g_ptr_array_add (streams, stream);
    say (stream, "via/1 go 60000 0 - two\n");
  }
  wait_until (liar.held->len >= 32);
  /* It is led on, to where nobody answers. */
  answer = ask (&w, "via/1 go 500 0 - two\n");
  g_assert_cmpstr (answer, ==, "no timed-out");
  g_assert_cmpuint (liar.held->len, <, 64);
  liar_down (&liar);
  g_ptr_array_set_size (streams, 0);
  world_down (&w);
}

/* More streams than a peer may have, of which none says anything. */
static void
test_silence_is_bounded (void)
{
  World w;
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func (g_object_unref);
  guint refused = 0;

  guests_up (&w);
  let_pass (&w, "host", GUESTS_PASS);
  dial_all (&w, "one", "host");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "host", "unix") && goes_over (&w, "host", "two", "unix"));
  for (guint i = 0; i < 200; i++) {
    HyphaStream *stream = open_stream (peer_at (&w, "one", "host"), "via", NULL);

    if (stream != NULL)
      g_ptr_array_add (streams, stream);
    else
      refused++;
  }
  g_assert_cmpuint (refused, >=, 200 - 2 * 64);
  g_assert_cmpuint (streams->len, >=, 64);
  {
    /* The other guest does not suffer: what is led to it is counted apart. */
    g_autofree char *answer = NULL;

    g_ptr_array_set_size (streams, 0);
    wait_until (n_streams (peer_at (&w, "host", "one")) < 8);
    answer = ask (&w, "via/1 go 1000 0 - two\n");
    g_assert_true (g_str_has_prefix (answer, "ok "));
  }
  world_down (&w);
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

static void
let_time_pass (guint ms)
{
  gint64 until = g_get_monotonic_time () + ms * G_TIME_SPAN_MILLISECOND;
  guint tick = g_timeout_add (10, wake, NULL);

  while (g_get_monotonic_time () < until)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
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
  g_test_add_func ("/relayed/liars-get-nowhere", test_liars_get_nowhere);
  g_test_add_func ("/relayed/told-of-many-times", test_told_of_many_times);
  g_test_add_func ("/relayed/stopped-by-what-is-withdrawn", test_stopped_by_what_is_withdrawn);
  g_test_add_func ("/relayed/guest-is-not-believed-of-others",
                   test_guest_is_not_believed_of_others);
  g_test_add_func ("/relayed/nobody-takes-all-ways-to-another",
                   test_nobody_takes_all_ways_to_another);
  g_test_add_func ("/relayed/silence-is-bounded", test_silence_is_bounded);
  g_test_add_func ("/relayed/no-circle-when-links-are-cut-in-every-order", test_cut_in_every_order);
  g_test_add_func ("/relayed/no-circle-where-the-way-round-is-cheaper", test_dear_direct_links);
  return g_test_run ();
}
