/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where a peer may be, and which rules say so: no node, no network. */

#include <sys/socket.h>
#include <unistd.h>

#include "node/trust-rules.h"

typedef struct {
  const char *local, *remote, *host;
  HyphaChannelFlags flags;
  int uid; /* -1: not known */
} Way;

#define GUEST(remote_port, vouched)                               \
  {                                                               \
    "vsock://2:974", "vsock://42:" remote_port, "42", vouched, -1 \
  }

static const Way guest = GUEST ("1027", HYPHA_CHANNEL_VOUCHED_ADDRESS);
static const Way low_guest = GUEST ("700", HYPHA_CHANNEL_VOUCHED_ADDRESS);
static const Way free_guest = GUEST ("1027", HYPHA_CHANNEL_PEER_IS_NODE);
static const Way user = { "unix:///run/x.sock", NULL, "local", HYPHA_CHANNEL_PEER_IS_NODE, 1000 };
static const Way answering = { NULL, "unix:///run/x.sock", "local", HYPHA_CHANNEL_PEER_IS_NODE,
                               1000 };
static const Way monitor = { "unix:///run/x.sock", NULL, "local", HYPHA_CHANNEL_KERNEL, 1000 };
static const Way network = { "tcp://10.0.0.1:974", "tcp://10.0.0.2:700", "10.0.0.2",
                             HYPHA_CHANNEL_KERNEL, -1 };

static HyphaEndpoint *
parse_endpoint (const char *uri)
{
  return uri != NULL ? hypha_endpoint_parse (uri, NULL) : NULL;
}

static HyphaChannel *
channel_of (const Way *way)
{
  HyphaEndpoint *local = parse_endpoint (way->local), *remote = parse_endpoint (way->remote);
  HyphaChannel *channel;
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  close (fds[1]);
  channel = hypha_channel_new (fds[0], local, remote, way->flags);
  hypha_channel_set_host (channel, way->host);
  if (way->uid >= 0)
    hypha_channel_set_uid (channel, (guint32) way->uid);
  g_clear_pointer (&local, hypha_endpoint_unref);
  g_clear_pointer (&remote, hypha_endpoint_unref);
  return channel;
}

static HyphaPlace *
place_of (const char *text)
{
  g_autoptr (GError) error = NULL;
  HyphaPlace *place = hypha_place_parse (text, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (hypha_place_to_string (place), ==, text);
  return place;
}

static void
test_vouches (void)
{
  static const struct {
    const char *pattern;
    const Way *way;
    gboolean vouched;
  } cases[] = {
    { "vsock://42:*", &guest, TRUE },
    { "vsock://42:1027", &guest, TRUE },
    { "vsock://*:*", &guest, TRUE },
    { "vsock://42:*", &low_guest, TRUE },
    { "vsock://42:700", &low_guest, TRUE },
    /* The port of a rule is not that of our door, nor may any other stand for it. */
    { "vsock://42:974", &guest, FALSE },
    { "vsock://42:974", &low_guest, FALSE },
    { "vsock://2:974", &guest, FALSE },
    { "vsock://43:*", &guest, FALSE },
    { "vsock://4:*", &guest, FALSE },
    { "vsock://*", &guest, FALSE },
    { "vsock://42*", &guest, FALSE },
    { "vsock://42:*?uid=0", &guest, FALSE },
    { "vsock://42:*", &free_guest, FALSE },
    { "unix:///run/x.sock?uid=1000", &user, TRUE },
    { "unix:///run/x.sock?uid=1000", &answering, TRUE },
    { "unix:///run/*?uid=1000", &user, TRUE },
    { "unix:///*/x.sock?uid=1000", &user, TRUE },
    { "unix:///*.sock?uid=1000", &user, FALSE },
    { "unix:///run/x.sock?uid=0", &user, FALSE },
    { "unix:///run/x.sock", &user, FALSE },
    { "unix:///run/y.sock?uid=1000", &user, FALSE },
    { "unix:///run/x.sock?uid=1000", &monitor, FALSE },
    { "tcp://10.0.0.2:*", &network, FALSE },
    { "tcp://10.0.0.2:*?uid=0", &network, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaPlace) place = place_of (cases[i].pattern);
    g_autoptr (HyphaChannel) channel = channel_of (cases[i].way);

    g_test_message ("%s", cases[i].pattern);
    g_assert_cmpint (hypha_place_vouches (place, channel), ==, cases[i].vouched);
  }
}

static void
test_binds (void)
{
  static const struct {
    const char *pattern;
    const Way *way;
    const char *bound;
  } cases[] = {
    { "vsock://42:*", &guest, "vsock://42:*" },
    { "vsock://*:*", &guest, "vsock://42:*" },
    { "vsock://*:700", &low_guest, "vsock://42:700" },
    { "unix:///run/*?uid=1000", &user, "unix:///run/x.sock?uid=1000" },
    { "unix:///run/x.sock?uid=1000", &answering, "unix:///run/x.sock?uid=1000" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaPlace) place = place_of (cases[i].pattern);
    g_autoptr (HyphaChannel) channel = channel_of (cases[i].way);
    g_autofree char *bound = hypha_place_bind (place, channel);
    g_autoptr (HyphaPlace) again = place_of (bound);

    g_assert_cmpstr (bound, ==, cases[i].bound);
    g_assert_true (hypha_place_holds (again, channel, NULL));
  }
}

static void
test_holds (void)
{
  static const struct {
    const char *place, *dialled;
    const Way *way;
    gboolean held;
  } cases[] = {
    { "vsock://42:4974", NULL, &guest, TRUE }, /* nobody chose the port it came from */
    { "vsock://43:4974", NULL, &guest, FALSE },
    { "vsock://42:*", "vsock://42:4974", &guest, TRUE },
    { "vsock://42:4974", "vsock://42:4974?cost=3", &guest, TRUE },
    { "vsock://42:4974?cost=9", "vsock://42:4974", &guest, TRUE },
    { "vsock://42:4975", "vsock://42:4974", &guest, FALSE },
    { "unix:///run/x.sock", NULL, &user, TRUE },
    { "unix:///run/x.sock?uid=1000", NULL, &user, TRUE },
    { "unix:///run/x.sock?uid=1001", NULL, &user, FALSE },
    { "unix:///run/y.sock", NULL, &user, FALSE },
    { "unix:///run/x.sock?uid=1000", "unix:///run/x.sock", &answering, TRUE },
    { "unix:///run/x.sock?uid=0", "unix:///run/x.sock", &answering, FALSE },
    { "tcp://10.0.0.2:1", NULL, &network, TRUE },
    { "tcp://10.0.0.2:*?uid=0", NULL, &network, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaPlace) place = place_of (cases[i].place);
    g_autoptr (HyphaChannel) channel = channel_of (cases[i].way);
    HyphaEndpoint *dialled = parse_endpoint (cases[i].dialled);

    g_test_message ("%s", cases[i].place);
    g_assert_cmpint (hypha_place_holds (place, channel, dialled), ==, cases[i].held);
    g_clear_pointer (&dialled, hypha_endpoint_unref);
  }
}

static void
test_wrong_places (void)
{
  static const char *const wrong[] = {
    "",
    "vsock",
    "vsock://42:1?uid",
    "unix:///x?uid=",
    "unix:///x?uid=-1",
    "unix:/?",
    "unix:///x?uid=01",
    "unix:///x?uid=root",
    "unix:///x?uid=1&uid=1",
    "unix:///x?gid=1",
    "unix:/x?&uid=1",
    "unix:///x?uid=4294967295",
    "unix:///x?uid=1&",
    "unix:///\xff\033[2J?uid=x",
  };

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *escaped = g_strescape (wrong[i], NULL);

    g_test_message ("%s", escaped);
    g_assert_null (hypha_place_parse (wrong[i], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
    /* It goes to a terminal. */
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    g_assert_null (strchr (error->message, '\033'));
  }
}

/* ---- rules ---- */

static HyphaLoader *
loader_new (void)
{
  static const char *const directories[] = { HYPHA_TEST_TCP_DIR, HYPHA_TEST_UNIX_DIR, NULL };
  HyphaLoader *loader = hypha_loader_new (directories);

  hypha_loader_start (loader);
  return loader;
}

static void
test_wrong_rules_are_named (void)
{
  static const struct {
    const char *rules, *part;
  } cases[] = {
    { "{'tcp://10.0.0.1:*': 'x'}", "vouches" },
    { "{'unix:///run/x': 'x'}", "uid=1000" },
    { "{'unix:///run/x?uid=1&tls=never': 'x'}", "option" },
    { "{'unix:///run/x?uid=1': ''}", "name" },
    { "{'unix:///run/x?uid=1': 'a b'}", "spaces" },
    { "{'unix:///run/x?uid=1': 'a suspended nobody'}", "unix:///run/x" },
    { "{'nonsense': 'x'}", "nonsense" },
    { "{'unix:///run/x?uid=1': 'x', 'unix:///run/x?uid=1': 'y'}", "twice" },
    { "{'unix:relative:*?uid=1': 'x'}", "relative" },
  };
  g_autoptr (HyphaLoader) loader = loader_new ();
  g_autoptr (HyphaTrustRules) rules = hypha_trust_rules_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) good = g_variant_ref_sink (
      g_variant_new_parsed ("{'unix:///run/x?uid=1': 'x', 'later://*:1': 'y'}"));
  g_autoptr (GVariant) kept = NULL;

  g_assert_true (hypha_trust_rules_set (rules, loader, good, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GVariant) wrong =
        g_variant_parse (G_VARIANT_TYPE ("a{ss}"), cases[i].rules, NULL, NULL, NULL);

    g_assert_false (hypha_trust_rules_set (rules, loader, wrong, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, cases[i].part));
    g_clear_error (&error);
  }
  kept = hypha_trust_rules_dup (rules);
  g_assert_cmpvariant (kept, good); /* in the order it was written in */
}

/* However a rule is spelled, it meets what transports say, and so does what it binds to. */
static void
test_rules_are_spelled_as_transports_do (void)
{
  static const char *const directories[] = { HYPHA_TEST_VSOCK_DIR, NULL };
  static const Way host = { NULL, "vsock://2:700", "2", HYPHA_CHANNEL_VOUCHED_ADDRESS, -1 };
  static const struct {
    const char *rule;
    const Way *way;
  } cases[] = {
    { "vsock://host:*", &host },   { "vsock:2:*", &host },
    { "vsock://host:700", &host }, { "VSOCK-CONNECT:42:700", &low_guest },
    { "vsock://42:*", &guest },    { "vsock://*:*", &guest },
  };
  g_autoptr (HyphaLoader) loader = hypha_loader_new (directories);

  hypha_loader_start (loader);
  if (hypha_loader_lookup (loader, "vsock", NULL) == NULL) {
    g_test_skip ("vsock cannot be used on this machine");
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaTrustRules) rules = hypha_trust_rules_new ();
    g_autoptr (GVariant) value =
        g_variant_ref_sink (g_variant_new_parsed ("{%s: 'name'}", cases[i].rule));
    g_autoptr (HyphaChannel) channel = channel_of (cases[i].way);
    g_autoptr (GError) error = NULL;
    g_autofree char *bound = NULL;
    g_autoptr (HyphaPlace) again = NULL;
    HyphaPlace *place;

    g_test_message ("%s", cases[i].rule);
    g_assert_true (hypha_trust_rules_set (rules, loader, value, &error));
    g_assert_no_error (error);
    place = hypha_trust_rules_get (rules, 0)->place;
    g_assert_true (hypha_place_vouches (place, channel));
    bound = hypha_place_bind (place, channel);
    again = place_of (bound);
    g_assert_true (hypha_place_holds (again, channel, NULL));
    g_assert_true (hypha_place_holds (again, channel, hypha_channel_get_remote (channel)));
    g_assert_nonnull (hypha_trust_rules_lookup (rules, cases[i].rule));
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/place/vouches-only-for-all-of-it", test_vouches);
  g_test_add_func ("/place/binds-to-one-host-and-user", test_binds);
  g_test_add_func ("/place/holds", test_holds);
  g_test_add_func ("/place/wrong-ones-are-refused", test_wrong_places);
  g_test_add_func ("/rules/wrong-ones-are-named-and-change-nothing", test_wrong_rules_are_named);
  g_test_add_func ("/rules/are-spelled-as-transports-do", test_rules_are_spelled_as_transports_do);
  return g_test_run ();
}
