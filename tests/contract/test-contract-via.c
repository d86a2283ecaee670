/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Four nodes in this process, each with plug-ins of its own: "alpha" dials, "host" is in the
 * middle, "beta" listens, and "mute" never answers. The suite has one transport that listens and
 * connects, and endpoints that are dialled as they are listened on; through other nodes neither is
 * so. What it holds here is alpha's transport where it connects, and beta's where it listens:
 * via://host/beta is called via://host, which is what beta listens on. */

#include "contract.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "node/node.h"
#include "service/services.h"
#include "unix.h"
#include "via.h"

typedef struct {
  HyphaIdentity *identity;
  HyphaLoader *loader;
  HyphaNode *node;
} Side;

typedef struct {
  Side alpha, host, beta, mute;
  HyphaServices *services;
  char *host_socket, *mute_socket;
  GPtrArray *unanswered; /* of HyphaStream */
} Nodes;

static Nodes *nodes;                 /* of the test that runs */
static HyphaIdentity *host_identity; /* one for all tests, for channels tell it */

/* ---- the transport that the suite sees ---- */

#define ENDS_TYPE_TRANSPORT (ends_transport_get_type ())
G_DECLARE_FINAL_TYPE (EndsTransport, ends_transport, ENDS, TRANSPORT, GObject)

struct _EndsTransport {
  GObject parent_instance;
  HyphaTransport *connects, *listens; /* of alpha and of beta */
};

static EndsTransport *current; /* of the test that runs */

static void ends_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (EndsTransport, ends_transport, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT, ends_iface_init))

static const char *const *
get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "via", NULL };

  return schemes;
}

static HyphaEndpoint *
parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  return hypha_transport_parse (ENDS_TRANSPORT (transport)->connects, endpoint, error);
}

static gboolean
configure (HyphaTransport *transport, GVariant *options, GError **error)
{
  return hypha_transport_configure (ENDS_TRANSPORT (transport)->connects, options, error);
}

/* What is dialled where the suite says ENDPOINT. */
static HyphaEndpoint *
to_beta (HyphaEndpoint *endpoint)
{
  g_autofree char *rest = g_strconcat (hypha_endpoint_get_rest (endpoint), "/beta", NULL);

  return hypha_endpoint_new ("via", rest, endpoint);
}

static guint
get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  g_autoptr (HyphaEndpoint) dialled = endpoint != NULL ? to_beta (endpoint) : NULL;

  return hypha_transport_get_link_cost (ENDS_TRANSPORT (transport)->connects, dialled);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel =
      hypha_transport_connect_finish (HYPHA_TRANSPORT (source), result, &error);
  HyphaChannel *called;
  guint cost;

  if (channel == NULL) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  g_assert_true (hypha_channel_get_link_cost (channel, &cost));
  g_assert_cmpuint (cost, ==, 16);
  called = hypha_channel_new (hypha_channel_steal_fd (channel), NULL, g_task_get_task_data (task),
                              hypha_channel_get_flags (channel));
  hypha_channel_set_host (called, hypha_channel_get_host (channel));
  g_task_return_pointer (task, called, g_object_unref);
}

/* The suite takes what has no descriptor any more for ended. The streams that a channel went over
 * end a little later, in memory: so there is a descriptor until they have. */
#define LATER_MS 10

static int mark = -1;
static guint marking;

static gboolean
look_at_streams (gpointer data)
{
  static guint quiet = 0;
  GListModel *peers = hypha_node_get_peers (nodes->alpha.node);
  gsize n = 0;

  for (guint i = 0; i < g_list_model_get_n_items (peers); i++) {
    g_autoptr (HyphaNodePeer) peer = g_list_model_get_item (peers, i);
    g_autoptr (GVariant) streams = hypha_node_peer_dup_streams (peer);

    n += g_variant_n_children (streams);
  }
  quiet = n == 0 ? quiet + 1 : 0;
  if (quiet < LATER_MS)
    return G_SOURCE_CONTINUE;
  quiet = 0;
  marking = 0;
  close (g_steal_fd (&mark));
  return G_SOURCE_REMOVE;
}

static void
begin_marking (void)
{
  if (mark >= 0)
    return;
  mark = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  marking = g_timeout_add (1, look_at_streams, NULL);
}

static void
connect_async (HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
               GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (transport, cancellable, callback, user_data);
  g_autoptr (HyphaEndpoint) dialled = to_beta (endpoint);

  g_task_set_check_cancellable (task, FALSE);
  g_task_set_task_data (task, hypha_endpoint_without_options (endpoint),
                        (GDestroyNotify) hypha_endpoint_unref);
  begin_marking ();
  hypha_transport_connect_async (ENDS_TRANSPORT (transport)->connects, dialled, timeout_ms,
                                 cancellable, on_connected, task);
}

static HyphaChannel *
connect_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
on_listening (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  HyphaListener *listener =
      hypha_transport_listen_finish (HYPHA_TRANSPORT (source), result, &error);

  if (listener != NULL)
    g_task_return_pointer (task, listener, g_object_unref);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

static void
listen_async (HyphaTransport *transport, HyphaEndpoint *endpoint, GCancellable *cancellable,
              GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (transport, cancellable, callback, user_data);

  g_task_set_check_cancellable (task, FALSE);
  hypha_transport_listen_async (ENDS_TRANSPORT (transport)->listens, endpoint, cancellable,
                                on_listening, task);
}

static HyphaListener *
listen_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
stop (HyphaTransport *transport)
{
  EndsTransport *self = ENDS_TRANSPORT (transport);

  hypha_transport_stop (self->connects);
  hypha_transport_stop (self->listens);
}

static void
ends_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = get_schemes;
  iface->parse = parse;
  iface->configure = configure;
  iface->get_link_cost = get_link_cost;
  iface->connect_async = connect_async;
  iface->connect_finish = connect_finish;
  iface->listen_async = listen_async;
  iface->listen_finish = listen_finish;
  iface->stop = stop;
}

static void
ends_transport_finalize (GObject *object)
{
  EndsTransport *self = ENDS_TRANSPORT (object);

  g_clear_object (&self->connects);
  g_clear_object (&self->listens);
  G_OBJECT_CLASS (ends_transport_parent_class)->finalize (object);
}

static void
ends_transport_class_init (EndsTransportClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = ends_transport_finalize;
}

static void
ends_transport_init (EndsTransport *self)
{
}

/* The nodes come in begin(). */
static HyphaTransport *
create (void)
{
  current = g_object_new (ENDS_TYPE_TRANSPORT, NULL);
  return HYPHA_TRANSPORT (current);
}

/* ---- the nodes ---- */

static void
side_up (Side *side, const char *name, HyphaIdentity *identity)
{
  static const char *const none[] = { NULL };
  g_autoptr (GVariant) options = g_variant_ref_sink (
      g_variant_new_parsed ("{'via': {'passages-per-peer': <@u 1000>, 'passages': <@u 1000>}}"));
  g_autoptr (GError) error = NULL;
  HyphaNodeLimits limits;

  side->identity = identity;
  side->loader = hypha_loader_new (none);
  hypha_loader_add_built_in (side->loader, &hypha_plugin_unix);
  hypha_loader_add_built_in (side->loader, &hypha_plugin_via);
  hypha_loader_start (side->loader);
  g_assert_true (hypha_loader_set_options (side->loader, options, &error));
  side->node = hypha_node_new (identity, side->loader, 1, &error);
  g_assert_no_error (error);
  hypha_node_set_name (side->node, name, NULL);
  /* Nothing moves that the suite does not move. */
  hypha_node_limits_init (&limits);
  limits.ping_interval = 60000;
  limits.link_timeout = 600000;
  hypha_node_set_limits (side->node, &limits);
}

static void
side_down (Side *side)
{
  hypha_node_stop (side->node);
  g_assert_finalize_object (g_steal_pointer (&side->node));
  g_clear_object (&side->loader);
  hypha_identity_unref (side->identity);
}

static void
befriend (Side *one, Side *other)
{
  Side *both[] = { one, other };

  for (guint i = 0; i < 2; i++) {
    g_autofree char *id = hypha_node_dup_id (both[!i]->node);

    g_assert_true (
        hypha_node_trust (both[i]->node, id, hypha_node_get_name (both[!i]->node), NULL));
  }
}

static gboolean
tick (gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static void
wait_for_link (Side *side, const char *peer)
{
  guint source = g_timeout_add (2, tick, NULL);

  while (hypha_node_peer_get_best_link (hypha_node_lookup (side->node, peer, NULL)) == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (source);
}

static char *
listen_in (Side *side, const char *directory, const char *file)
{
  char *path = g_build_filename (directory, file, NULL);
  g_autofree char *endpoint = g_strconcat ("unix://", path, NULL);
  const char *endpoints[] = { endpoint, NULL };

  g_assert_true (hypha_node_set_listen (side->node, endpoints, NULL));
  return path;
}

static gboolean
never_answer (HyphaNode *node, HyphaPeer *peer, HyphaStream *stream, Nodes *self)
{
  g_ptr_array_add (self->unanswered, g_object_ref (stream));
  return TRUE;
}

static gpointer
begin (const char *directory)
{
  Nodes *self = g_new0 (Nodes, 1);
  g_autofree char *host = NULL;
  g_autofree char *mute = NULL;
  g_autoptr (GVariant) services = g_variant_ref_sink (
      g_variant_new_parsed ("{'via': {'target': <'transport'>, 'peers': <['alpha', 'beta']>}}"));
  const char *dials[] = { NULL, NULL, NULL };

  self->unanswered = g_ptr_array_new_with_free_func (g_object_unref);
  side_up (&self->alpha, "alpha", hypha_identity_generate (NULL));
  side_up (&self->host, "host", hypha_identity_ref (host_identity));
  side_up (&self->beta, "beta", hypha_identity_generate (NULL));
  side_up (&self->mute, "mute", hypha_identity_generate (NULL));
  self->services = hypha_services_new (self->host.node);
  g_assert_true (hypha_services_configure (self->services, services, NULL));
  g_signal_connect (self->mute.node, "incoming-stream::via", G_CALLBACK (never_answer), self);
  befriend (&self->alpha, &self->host);
  befriend (&self->alpha, &self->mute);
  befriend (&self->beta, &self->host);
  self->host_socket = listen_in (&self->host, directory, "host");
  self->mute_socket = listen_in (&self->mute, directory, "mute");
  dials[0] = host = g_strconcat ("unix://", self->host_socket, NULL);
  g_assert_true (hypha_node_set_peers (self->beta.node, dials, NULL));
  dials[1] = mute = g_strconcat ("unix://", self->mute_socket, NULL);
  g_assert_true (hypha_node_set_peers (self->alpha.node, dials, NULL));
  wait_for_link (&self->alpha, "host");
  wait_for_link (&self->alpha, "mute");
  wait_for_link (&self->beta, "host");
  wait_for_link (&self->host, "alpha");
  wait_for_link (&self->host, "beta");
  nodes = self;
  current->connects = g_object_ref (hypha_loader_lookup (self->alpha.loader, "via", NULL));
  current->listens = g_object_ref (hypha_loader_lookup (self->beta.loader, "via", NULL));
  return self;
}

static void
end (gpointer beside)
{
  Nodes *self = beside;

  g_clear_handle_id (&marking, g_source_remove);
  if (mark >= 0)
    close (g_steal_fd (&mark));
  side_down (&self->alpha);
  side_down (&self->beta);
  side_down (&self->mute);
  hypha_node_stop (self->host.node);
  g_clear_object (&self->services);
  side_down (&self->host);
  g_ptr_array_unref (self->unanswered);
  g_unlink (self->host_socket);
  g_unlink (self->mute_socket);
  g_free (self->host_socket);
  g_free (self->mute_socket);
  g_free (self);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static char *
fresh (const char *directory)
{
  return g_strdup ("via://host");
}

static char *
silent (const char *directory, GArray *held)
{
  return g_strdup ("via://mute");
}

static const ContractSpelling spellings[] = {
  { "via://host/beta", "via://host/beta", NULL },
  { "via://any", "via://any", NULL },
  { "via://host", "via://host", NULL },
  { "via://one/two/three/four", "via://one/two/three/four", NULL },
  { "via://M%C3%BCller/b%3Fc", "via://Müller/b%3Fc", NULL },
  { "via:host/beta", NULL, "//" },
  { "via://", NULL, "no node" },
  { "via:///beta", NULL, "empty" },
  { "via://host/", NULL, "empty" },
  { "via://host//beta", NULL, "empty" },
  { "via://host/host", NULL, "twice" },
  { "via://any/beta", NULL, "any" },
  { "via://host/a%20b", NULL, "neither the name" },
  { "via://one/two/three/four/five", NULL, "3" },
  { NULL, NULL, NULL },
};

static Contract via = {
  .name = "via",
  .create = create,
  .begin = begin,
  .end = end,
  .fresh = fresh,
  .silent = silent,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_RELAYED,
  .half_close = TRUE,
};

int
main (int argc, char *argv[])
{
  g_autofree char *host = NULL;
  int result;

  contract_init (&argc, &argv);
  host_identity = hypha_identity_generate (NULL);
  via.host = host = hypha_node_id_to_string (hypha_identity_get_id (host_identity));
  contract_add_tests (&via);
  result = g_test_run ();
  hypha_identity_unref (host_identity);
  return result;
}
