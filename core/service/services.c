/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/services.h"

#include <glib/gi18n-lib.h>

#include "service/builtin.h"
#include "service/forward-host.h"
#include "service/listen-patterns.h"
#include "service/port-teller.h"
#include "service/service.h"

struct _HyphaServices {
  GObject parent_instance;
  HyphaNode *node;
  HyphaBuiltins *builtins;
  HyphaPortTeller *port_teller;
  HyphaForwardHost *forward_host; /* nullable */
  GHashTable *by_name;            /* of HyphaService: of the settings, and the built-in ones */
  GHashTable *registered;         /* name to Registered */
};

/* What a program has registered. */
typedef struct {
  char *owner;
  HyphaServicesFunc func;
  gpointer user_data;
} Registered;

enum { CHANGED, N_SIGNALS };
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (HyphaServices, hypha_services, G_TYPE_OBJECT)

static void
registered_free (gpointer data)
{
  Registered *registered = data;

  g_free (registered->owner);
  g_free (registered);
}

/* What the settings say of NAME: by its own entry, or by the one for all ports of its kind. */
static HyphaService *
find (HyphaServices *self, const char *name)
{
  HyphaService *service =
      strchr (name, '*') == NULL ? g_hash_table_lookup (self->by_name, name) : NULL;
  g_autofree char *pattern = hypha_service_dup_pattern (name);

  return service == NULL && pattern != NULL ? g_hash_table_lookup (self->by_name, pattern)
                                            : service;
}

/* The same where it leaves nothing to programs. */
static HyphaService *
find_taken (HyphaServices *self, const char *name)
{
  HyphaService *service = find (self, name);

  return service != NULL && !hypha_service_is_handler (service) ? service : NULL;
}

static void
serve_forward (HyphaServices *self, HyphaIncoming *incoming)
{
  if (self->forward_host != NULL)
    hypha_forward_host_serve (self->forward_host, incoming);
  else
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
}

static void
answer (HyphaNode *node, HyphaIncoming *incoming, gpointer user_data)
{
  HyphaServices *self = user_data;
  const char *name = hypha_incoming_get_service (incoming);
  HyphaService *service = find (self, name);
  Registered *registered = service == NULL || hypha_service_is_handler (service)
                               ? g_hash_table_lookup (self->registered, name)
                               : NULL;

  /* It asks for itself whom the settings let pass: not everything that it does leads anywhere. */
  if (registered == NULL && (service == NULL || hypha_service_is_transport (service)) &&
      hypha_node_offer_to_transports (node, incoming))
    return;
  if (registered == NULL && (service == NULL || g_str_equal (service->target, "off") ||
                             hypha_service_is_handler (service)))
    hypha_incoming_refuse (incoming, HYPHA_ERROR_NO_SUCH_SERVICE);
  else if (service != NULL && !hypha_service_admits (service, hypha_incoming_get_peer (incoming)))
    hypha_incoming_refuse (incoming, HYPHA_ERROR_PERMISSION_DENIED);
  else if (registered != NULL)
    registered->func (incoming, registered->user_data);
  else if (g_str_equal (service->target, "echo"))
    hypha_builtins_echo (self->builtins, incoming);
  else if (g_str_equal (service->target, "discard"))
    hypha_builtins_discard (self->builtins, incoming);
  else if (g_str_equal (service->target, "ports"))
    hypha_port_teller_serve (self->port_teller, incoming);
  else if (g_str_equal (service->target, "forward"))
    serve_forward (self, incoming);
  else if (hypha_service_is_transport (service))
    hypha_incoming_refuse (incoming,
                           HYPHA_ERROR_NO_SUCH_SERVICE); /* none has come that offers it */
  else {
    g_autofree char *target = hypha_service_dup_target (service, name);

    hypha_service_connect (incoming, hypha_node_get_loader (node), self->builtins, target);
  }
}

static GHashTable *
defaults (void)
{
  static const char *const builtin[] = { "echo", "discard" };
  GHashTable *table =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) hypha_service_free);

  for (guint i = 0; i < G_N_ELEMENTS (builtin); i++) {
    HyphaService *service = g_new0 (HyphaService, 1);

    service->name = g_strdup (builtin[i]);
    service->target = g_strdup (builtin[i]);
    g_hash_table_insert (table, service->name, service);
  }
  return table;
}

/* What names a peer before there is one is not for whoever comes first and calls itself so. */
static gboolean
on_spoken_for (HyphaNode *node, const char *name, HyphaServices *self)
{
  GHashTableIter iter;
  HyphaService *service;

  g_hash_table_iter_init (&iter, self->by_name);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &service))
    if (service->peers != NULL && g_strv_contains ((const char *const *) service->peers, name))
      return TRUE;
  return FALSE;
}

static gboolean
on_may_pass (HyphaNode *node, const char *name, HyphaPeer *peer, HyphaServices *self)
{
  HyphaService *service = find (self, name);

  return service != NULL && hypha_service_is_transport (service) &&
         hypha_service_admits (service, HYPHA_NODE_PEER (peer));
}

static gboolean
may_hear_ports (HyphaNodePeer *peer, const char *name, gpointer user_data)
{
  HyphaService *service = find (user_data, name);

  return service != NULL && g_str_equal (service->target, "ports") &&
         hypha_service_admits (service, peer);
}

/* Who may have a service is told by a name, too, which may be another's now. */
static void
review (HyphaServices *self)
{
  hypha_port_teller_review (self->port_teller, may_hear_ports, self);
  if (self->forward_host != NULL)
    hypha_forward_host_review (self->forward_host);
  hypha_node_passing_changed (self->node);
}

HyphaServices *
hypha_services_new (HyphaNode *node)
{
  HyphaServices *self = g_object_new (HYPHA_TYPE_SERVICES, NULL);

  self->node = g_object_ref (node);
  self->builtins = hypha_builtins_new ();
  self->port_teller = hypha_port_teller_new ();
  hypha_node_set_accept_func (node, answer, self);
  g_signal_connect_object (node, "spoken-for", G_CALLBACK (on_spoken_for), self, 0);
  g_signal_connect_object (node, "may-pass", G_CALLBACK (on_may_pass), self, 0);
  g_signal_connect_object (node, "trust-changed", G_CALLBACK (review), self, G_CONNECT_SWAPPED);
  return self;
}

static char *
may_forward (HyphaNodePeer *peer, const char *name, const char *local, const char *target,
             gpointer user_data, GError **error)
{
  HyphaServices *self = user_data;
  HyphaService *service = find (self, name);

  if (service != NULL && g_str_equal (service->target, "forward") &&
      hypha_service_admits (service, peer))
    return hypha_listen_patterns_find ((const char *const *) service->listen,
                                       hypha_node_get_loader (self->node), local, target, error);
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                       _ ("the setting services does not let this peer have this node listen"));
  return NULL;
}

void
hypha_services_set_forwards (HyphaServices *self, HyphaForwards *forwards)
{
  g_return_if_fail (self->forward_host == NULL);

  self->forward_host = hypha_forward_host_new (self->node, forwards, may_forward, self);
}

void
hypha_services_stop (HyphaServices *self)
{
  hypha_port_teller_stop (self->port_teller);
  if (self->forward_host != NULL)
    hypha_forward_host_stop (self->forward_host);
}

/* Whoever registered one of these names is not asked any more while the settings have it. */
static void
tell_shadowed (HyphaServices *self)
{
  GHashTableIter iter;
  gpointer name, registered;

  g_hash_table_iter_init (&iter, self->registered);
  while (g_hash_table_iter_next (&iter, &name, &registered)) {
    HyphaService *service = find_taken (self, name);

    if (service != NULL)
      g_message (
          "service '%s': the settings give it the target '%s'; %s, who registered it, is not "
          "asked",
          (char *) name, service->target, ((Registered *) registered)->owner);
  }
}

gboolean
hypha_services_configure (HyphaServices *self, GVariant *services, GError **error)
{
  g_autoptr (GHashTable) table = defaults ();
  GVariantIter iter;
  const char *name;
  GVariant *items;

  if (!g_variant_is_of_type (services, G_VARIANT_TYPE ("a{sa{sv}}"))) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("services has to be of type a{sa{sv}}, not %s"),
                 g_variant_get_type_string (services));
    return FALSE;
  }
  g_variant_iter_init (&iter, services);
  while (g_variant_iter_next (&iter, "{&s@a{sv}}", &name, &items)) {
    G_GNUC_UNUSED g_autoptr (GVariant) owned = items;
    g_autoptr (GError) reason = NULL;
    HyphaService *service =
        hypha_service_new (hypha_node_get_loader (self->node), name, items, &reason);

    if (service == NULL) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, _ ("services, entry '%s': %s"),
                   name, reason->message);
      return FALSE;
    }
    g_hash_table_replace (table, service->name, service);
  }
  g_hash_table_unref (self->by_name);
  self->by_name = g_steal_pointer (&table);
  tell_shadowed (self);
  review (self);
  g_signal_emit (self, signals[CHANGED], 0);
  return TRUE;
}

/* ---- what programs register ---- */

static gboolean
may_register (HyphaServices *self, const char *name, GError **error)
{
  HyphaService *service = find_taken (self, name);
  Registered *registered = g_hash_table_lookup (self->registered, name);

  if (!hypha_service_check_name (name, HYPHA_ERROR_INVALID_ARGUMENT, error))
    return FALSE;
  if (strchr (name, '*') != NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                         _ ("a service's name with '*' stands for many, and is only for the "
                            "setting services"));
    return FALSE;
  }
  if (service != NULL) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
        _ ("the service '%s' has the target '%s': take another name, or give it the target "
           "'handler' in the setting services"),
        name, service->target);
    return FALSE;
  }
  if (registered != NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("the service '%s' is registered by %s already"), name, registered->owner);
    return FALSE;
  }
  if (g_hash_table_size (self->registered) >= HYPHA_SERVICES_MAX_REGISTERED) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("there are %d registered services, and no more may be: unregister one"),
                 HYPHA_SERVICES_MAX_REGISTERED);
    return FALSE;
  }
  return TRUE;
}

gboolean
hypha_services_register (HyphaServices *self, const char *name, const char *owner,
                         HyphaServicesFunc func, gpointer user_data, GError **error)
{
  Registered *registered;

  if (!may_register (self, name, error))
    return FALSE;
  registered = g_new0 (Registered, 1);
  registered->owner = g_strdup (owner);
  registered->func = func;
  registered->user_data = user_data;
  g_hash_table_insert (self->registered, g_strdup (name), registered);
  g_signal_emit (self, signals[CHANGED], 0);
  return TRUE;
}

void
hypha_services_unregister (HyphaServices *self, const char *name)
{
  if (g_hash_table_remove (self->registered, name))
    g_signal_emit (self, signals[CHANGED], 0);
}

/* ---- what there is ---- */

static void
add_entry (GVariantBuilder *builder, const char *name, HyphaService *service,
           Registered *registered)
{
  g_variant_builder_open (builder, G_VARIANT_TYPE ("{sa{sv}}"));
  g_variant_builder_add (builder, "s", name);
  g_variant_builder_open (builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add_parsed (builder, "{'target', <%s>}",
                                service != NULL ? service->target : "handler");
  if (service != NULL && service->peers != NULL)
    g_variant_builder_add_parsed (builder, "{'peers', <%^as>}", service->peers);
  if (registered != NULL)
    g_variant_builder_add_parsed (builder, "{'owner', <%s>}", registered->owner);
  g_variant_builder_close (builder);
  g_variant_builder_close (builder);
}

/* In one order, so that two answers can be compared. */
GVariant *
hypha_services_dup (HyphaServices *self)
{
  GVariantBuilder builder;
  g_autoptr (GHashTable) all = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GList) names = NULL;
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, self->by_name);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    g_hash_table_add (all, name);
  g_hash_table_iter_init (&iter, self->registered);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    if (find_taken (self, name) == NULL)
      g_hash_table_add (all, name);
  names = g_list_sort (g_hash_table_get_keys (all), (GCompareFunc) strcmp);
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{sa{sv}}"));
  for (GList *n = names; n != NULL; n = n->next) {
    HyphaService *service = g_hash_table_lookup (self->by_name, n->data);
    gboolean handler = service == NULL || hypha_service_is_handler (service);

    if (handler || !g_str_equal (service->target, "off"))
      add_entry (&builder, n->data, service,
                 handler ? g_hash_table_lookup (self->registered, n->data) : NULL);
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

static void
hypha_services_finalize (GObject *object)
{
  HyphaServices *self = HYPHA_SERVICES (object);

  hypha_node_set_accept_func (self->node, NULL, NULL);
  g_object_unref (self->node);
  hypha_builtins_unref (self->builtins);
  hypha_port_teller_free (self->port_teller);
  g_clear_pointer (&self->forward_host, hypha_forward_host_free);
  g_hash_table_unref (self->by_name);
  g_hash_table_unref (self->registered);
  G_OBJECT_CLASS (hypha_services_parent_class)->finalize (object);
}

static void
hypha_services_class_init (HyphaServicesClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hypha_services_finalize;
  signals[CHANGED] = g_signal_new ("changed", HYPHA_TYPE_SERVICES, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                   NULL, G_TYPE_NONE, 0);
}

static void
hypha_services_init (HyphaServices *self)
{
  self->by_name = defaults ();
  self->registered = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, registered_free);
}
