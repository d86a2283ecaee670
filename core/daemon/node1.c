/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/node1.h"

#include "daemon/attaching.h"
#include "daemon/authority.h"
#include "daemon/call-options.h"
#include "daemon/dialling.h"
#include "daemon/forward1.h"
#include "daemon/sender.h"
#include "daemon/service-handlers.h"
#include "dbus/errors.h"
#include "dbus/paths.h"

struct _HyphaNode1 {
  HyphaDBusNode1Skeleton parent_instance;
  HyphaNode *node;
  HyphaSettings *settings;
  HyphaServices *services;
  HyphaServiceHandlers *handlers;
  HyphaForwards *forwards;
};

static void node1_iface_init (HyphaDBusNode1Iface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaNode1, hypha_node1, HYPHA_DBUS_TYPE_NODE1_SKELETON,
                               G_IMPLEMENT_INTERFACE (HYPHA_DBUS_TYPE_NODE1, node1_iface_init))

/* A call that waits for the node. */
typedef struct {
  HyphaNode1 *self;
  GDBusMethodInvocation *invocation;
  char *endpoint;
  gboolean persist;
} Call;

static Call *
call_new (HyphaNode1 *self, GDBusMethodInvocation *invocation, const char *endpoint,
          GVariant *options)
{
  Call *call = g_new0 (Call, 1);

  call->self = g_object_ref (self);
  call->invocation = invocation;
  call->endpoint = g_strdup (endpoint);
  g_variant_lookup (options, "persist", "b", &call->persist);
  return call;
}

static void
call_free (Call *call)
{
  g_object_unref (call->self);
  g_free (call->endpoint);
  g_free (call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  g_autoptr (HyphaPeer) peer = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *id = NULL;
  g_autofree char *path = NULL;

  peer = hypha_node_connect_finish (HYPHA_NODE (source), result, &error);
  if (peer == NULL ||
      (call->persist && !hypha_settings_save_peer (call->self->settings, call->endpoint, &error))) {
    hypha_dbus_return_error (call->invocation, error);
    return;
  }
  id = hypha_peer_dup_id (peer);
  path = hypha_dbus_path (HYPHA_DBUS_PEER, id);
  hypha_dbus_node1_complete_connect (HYPHA_DBUS_NODE1 (call->self), call->invocation, path);
}

static gboolean
handle_connect (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, const char *endpoint,
                GVariant *options)
{
  static const HyphaCallOption known[] = {
    { "timeout", "u" }, { "expect-id", "s" }, { "persist", "b" }, { NULL, NULL }
  };
  HyphaNode1 *self = HYPHA_NODE1 (object);
  g_autoptr (GVariant) passed_on = NULL;
  g_autoptr (GError) error = NULL;

  if (!hypha_call_options_check (options, known, &error)) {
    hypha_dbus_return_error (invocation, error);
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  }
  passed_on = hypha_call_options_without (options, "persist");
  hypha_node_connect_async (self->node, endpoint, passed_on, hypha_sender_cancellable (invocation),
                            on_connected, call_new (self, invocation, endpoint, options));
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static void
on_listening (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  g_autofree char *bound = NULL;
  g_autoptr (GError) error = NULL;

  bound = hypha_node_listen_finish (HYPHA_NODE (source), result, &error);
  if (bound == NULL || (call->persist && !hypha_settings_save_listen (call->self->settings,
                                                                      call->endpoint, &error))) {
    hypha_dbus_return_error (call->invocation, error);
    return;
  }
  hypha_dbus_node1_complete_listen (HYPHA_DBUS_NODE1 (call->self), call->invocation, bound);
}

static gboolean
handle_listen (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, const char *endpoint,
               GVariant *options)
{
  static const HyphaCallOption known[] = { { "persist", "b" }, { NULL, NULL } };
  HyphaNode1 *self = HYPHA_NODE1 (object);
  g_autoptr (GError) error = NULL;

  if (hypha_call_options_check (options, known, &error))
    hypha_node_listen_async (self->node, endpoint, NULL, hypha_sender_cancellable (invocation),
                             on_listening, call_new (self, invocation, endpoint, options));
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_unlisten (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, const char *endpoint)
{
  HyphaNode1 *self = HYPHA_NODE1 (object);
  /* The settings have what was asked for: port 0, where another is bound. */
  g_autofree char *asked = g_strdup (hypha_node_find_listening (self->node, endpoint));
  g_autoptr (GError) error = NULL;

  if (hypha_node_unlisten (self->node, endpoint, &error) &&
      hypha_settings_drop_listen (self->settings, asked, &error))
    hypha_dbus_node1_complete_unlisten (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

/* What is wrong with an id that is spelled well is told of "this" one. */
static gboolean
trust (HyphaNode *node, const char *id, const char *name, GError **error)
{
  HyphaNodeId parsed;

  if (hypha_node_trust (node, id, name, error))
    return TRUE;
  if (hypha_node_id_parse (id, &parsed, NULL))
    g_prefix_error (error, "%s: ", id);
  return FALSE;
}

static gboolean
handle_trust (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, const char *id,
              const char *name)
{
  HyphaNode1 *self = HYPHA_NODE1 (object);
  g_autoptr (GError) error = NULL;

  if (trust (self->node, id, name, &error) && hypha_settings_save_trusted (self->settings, &error))
    hypha_dbus_node1_complete_trust (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_forget (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, const char *id)
{
  HyphaNode1 *self = HYPHA_NODE1 (object);
  g_autoptr (GError) error = NULL;

  if (hypha_node_forget (self->node, id, &error) &&
      hypha_settings_save_trusted (self->settings, &error))
    hypha_dbus_node1_complete_forget (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static void
on_forwarding (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  g_autoptr (HyphaForward) forward = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  forward = hypha_forwards_add_finish (HYPHA_FORWARDS (source), result, &error);
  if (forward && call->persist)
    hypha_forward_set_permanent (forward, TRUE);
  if (forward == NULL ||
      (call->persist && !hypha_settings_save_forwards (call->self->settings, &error))) {
    hypha_dbus_return_error (call->invocation, error);
    return;
  }
  path = hypha_forward1_dup_path (forward);
  hypha_dbus_node1_complete_add_forward (HYPHA_DBUS_NODE1 (call->self), call->invocation, path);
}

/* A path, as people write it for a socket, is an endpoint too. There is no handshake that would
 * stop whoever reaches it from being this node towards the peer: so it is for nobody else. What a
 * peer listens on has the options that its settings give. */
static char *
endpoint_of (const char *local, gboolean reverse)
{
  g_autofree char *escaped = *local == '/' ? g_uri_escape_string (local, "/", TRUE) : NULL;

  return escaped != NULL ? g_strconcat ("unix://", escaped, reverse ? NULL : "?mode=600", NULL)
                         : g_strdup (local);
}

static gboolean
handle_add_forward (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, const char *local,
                    const char *peer, const char *target, GVariant *options)
{
  static const HyphaCallOption known[] = { { "persist", "b" }, { "reverse", "b" }, { NULL, NULL } };
  HyphaNode1 *self = HYPHA_NODE1 (object);
  HyphaForwardPlan plan = { NULL, peer, target, FALSE };
  g_autofree char *endpoint = NULL;
  g_autoptr (GError) error = NULL;

  if (!hypha_call_options_check (options, known, &error)) {
    hypha_dbus_return_error (invocation, error);
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  }
  g_variant_lookup (options, "reverse", "b", &plan.reverse);
  plan.local = endpoint = endpoint_of (local, plan.reverse);
  hypha_forwards_add_async (self->forwards, &plan, on_forwarding,
                            call_new (self, invocation, endpoint, options));
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_register_service (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation,
                         const char *name, const char *handler)
{
  HyphaNode1 *self = HYPHA_NODE1 (object);
  g_autoptr (GError) error = NULL;

  if (hypha_service_handlers_register (self->handlers, invocation, name, handler, &error))
    hypha_dbus_node1_complete_register_service (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_unregister_service (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation,
                           const char *name)
{
  HyphaNode1 *self = HYPHA_NODE1 (object);
  g_autoptr (GError) error = NULL;

  if (hypha_service_handlers_unregister (self->handlers, invocation, name, &error))
    hypha_dbus_node1_complete_unregister_service (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_pair (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, guint seconds)
{
  g_autoptr (GError) error = NULL;

  if (hypha_node_pair (HYPHA_NODE1 (object)->node, seconds, &error))
    hypha_dbus_node1_complete_pair (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_confirm_pairing (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, const char *id,
                        gboolean same)
{
  HyphaNode1 *self = HYPHA_NODE1 (object);
  g_autoptr (GError) error = NULL;

  if (hypha_node_confirm_pairing (self->node, id, same, &error) &&
      (!same || hypha_settings_save_trusted (self->settings, &error)))
    hypha_dbus_node1_complete_confirm_pairing (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_renew (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation)
{
  g_autoptr (GError) error = NULL;

  if (hypha_node_renew (HYPHA_NODE1 (object)->node, &error))
    hypha_dbus_node1_complete_renew (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_dial (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, GUnixFDList *fds,
             const char *endpoint, GVariant *options)
{
  hypha_dialling_start (object, invocation, hypha_node_get_loader (HYPHA_NODE1 (object)->node),
                        endpoint, options);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_attach (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, GUnixFDList *fds,
               const char *from, GVariant *options)
{
  hypha_attaching_answer (object, invocation, HYPHA_NODE1 (object)->node, from, options);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_explain (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, const char *text)
{
  HyphaNode1 *self = HYPHA_NODE1 (object);
  HyphaNodePeer *peer;
  g_autoptr (GVariant) candidates = NULL;
  g_autoptr (GError) error = NULL;

  peer = hypha_node_lookup (self->node, text, &error);
  if (peer == NULL) {
    hypha_dbus_return_error (invocation, error);
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  }
  candidates = g_variant_take_ref (hypha_node_explain (self->node, peer));
  hypha_dbus_node1_complete_explain (object, invocation, candidates);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static void
on_pending (HyphaNode *node, const char *id, const char *from, HyphaNode1 *self)
{
  hypha_dbus_node1_emit_peer_pending (HYPHA_DBUS_NODE1 (self), id, from);
}

static void
on_pairing_code (HyphaNode *node, const char *id, const char *code, HyphaNode1 *self)
{
  hypha_dbus_node1_emit_pairing_code (HYPHA_DBUS_NODE1 (self), id, code);
}

/* Nobody waits for an answer who could be told. */
static void
on_trust_unsaved (HyphaNode *node, HyphaNode1 *self)
{
  g_autoptr (GError) error = NULL;

  if (!hypha_settings_save_trusted (self->settings, &error))
    g_warning ("%s", error->message);
}

static void
refresh (HyphaNode1 *self)
{
  g_auto (GStrv) listening = hypha_node_dup_listening (self->node);
  g_autoptr (GVariant) troubles = hypha_node_dup_troubles (self->node);

  g_object_set (self, "name", hypha_node_get_name (self->node), "listening", listening, "troubles",
                troubles, NULL);
}

static void
refresh_services (HyphaNode1 *self)
{
  g_autoptr (GVariant) services = hypha_services_dup (self->services);

  hypha_dbus_node1_set_services (HYPHA_DBUS_NODE1 (self), services);
}

/**
 * hypha_node1_new:
 * @node: a node
 * @settings: where what is to last is kept
 * @services: of @node
 * @forwards: of @node
 *
 * Returns: (transfer full): the interface, to be exported
 */
HyphaNode1 *
hypha_node1_new (HyphaNode *node, HyphaSettings *settings, HyphaServices *services,
                 HyphaForwards *forwards)
{
  static const char *const features[] = { "direct", NULL };
  g_autofree char *id = hypha_node_id_to_string (hypha_node_get_id (node));
  HyphaNode1 *self = g_object_new (HYPHA_TYPE_NODE1, "id", id, "version", HYPHA_VERSION, "features",
                                   features, NULL);

  self->node = g_object_ref (node);
  self->settings = g_object_ref (settings);
  self->services = g_object_ref (services);
  self->handlers = hypha_service_handlers_new (services);
  self->forwards = g_object_ref (forwards);
  g_signal_connect_object (node, "notify", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (node, "peer-pending", G_CALLBACK (on_pending), self, 0);
  g_signal_connect_object (services, "changed", G_CALLBACK (refresh_services), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (node, "pairing-code", G_CALLBACK (on_pairing_code), self, 0);
  g_signal_connect_object (node, "trust-unsaved", G_CALLBACK (on_trust_unsaved), self, 0);
  refresh (self);
  refresh_services (self);
  return self;
}

static void
hypha_node1_dispose (GObject *object)
{
  HyphaNode1 *self = HYPHA_NODE1 (object);

  g_clear_pointer (&self->handlers, hypha_service_handlers_free);
  g_clear_object (&self->services);
  g_clear_object (&self->forwards);
  g_clear_object (&self->settings);
  g_clear_object (&self->node);
  G_OBJECT_CLASS (hypha_node1_parent_class)->dispose (object);
}

static void
node1_iface_init (HyphaDBusNode1Iface *iface)
{
  iface->handle_connect = handle_connect;
  iface->handle_listen = handle_listen;
  iface->handle_unlisten = handle_unlisten;
  iface->handle_trust = handle_trust;
  iface->handle_forget = handle_forget;
  iface->handle_dial = handle_dial;
  iface->handle_attach = handle_attach;
  iface->handle_add_forward = handle_add_forward;
  iface->handle_register_service = handle_register_service;
  iface->handle_unregister_service = handle_unregister_service;
  iface->handle_pair = handle_pair;
  iface->handle_confirm_pairing = handle_confirm_pairing;
  iface->handle_renew = handle_renew;
  iface->handle_explain = handle_explain;
}

static void
hypha_node1_class_init (HyphaNode1Class *klass)
{
  G_OBJECT_CLASS (klass)->dispose = hypha_node1_dispose;
  hypha_authority_guard (G_DBUS_INTERFACE_SKELETON_CLASS (klass));
}

static void
hypha_node1_init (HyphaNode1 *self)
{
}
