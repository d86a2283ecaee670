/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/agent.h"

#include <glib/gi18n-lib.h>

#include "agent/copy.h"
#include "agent/exec.h"
#include "client/client-service.h"
#include "copy/words.h"
#include "client/exec-words.h"

#define SETTING "services"
/* Another program may have the name, and may go. */
#define TRY_AGAIN_MS 5000

/* What there is to offer. */
static const struct {
  const char *name;
  HyphaClientAccept accept;
  gboolean (*configure) (GVariant *entry); /* FALSE: what it has to have is not in its entry */
  const char *more;                        /* what that is, as the settings have it */
} services[] = {
  { HYPHA_COPY_SERVICE, hypha_agent_copy_accept, hypha_agent_copy_configure,
    ", 'roots': <['/DIRECTORY']>" },
  { HYPHA_EXEC_SERVICE, hypha_agent_exec_accept, NULL, "" },
};

#define N_SERVICES G_N_ELEMENTS (services)

typedef enum { OFF, REGISTERING, ON, FAILED } State;

typedef struct {
  HyphaAgent *agent;
  const char *name;
  HyphaClientAccept accept;
  gboolean (*configure) (GVariant *entry);
  const char *more;
  HyphaClientService *service;
  gboolean wanted;
  State state;
  guint again; /* timer, after a failure */
} Offer;

struct _HyphaAgent {
  HyphaClient *client;
  HyphaDBusConfig1 *config;
  GCancellable *stopped;
  Offer offers[N_SERVICES];
};

static void settle (Offer *offer);

/* ---- one service ---- */

static gboolean
on_again (gpointer user_data)
{
  Offer *offer = user_data;

  offer->again = 0;
  offer->state = OFF;
  settle (offer);
  return G_SOURCE_REMOVE;
}

static void
on_registered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Offer *offer = user_data;
  g_autoptr (GError) error = NULL;
  gboolean done = hypha_client_service_register_finish (result, &error);

  /* The agent is gone then. */
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (done) {
    offer->state = ON;
    g_message ("service '%s' is on", offer->name);
  } else {
    offer->state = FAILED;
    g_message ("service '%s' cannot be offered: %s", offer->name, error->message);
    g_clear_handle_id (&offer->again, g_source_remove);
    offer->again = g_timeout_add (TRY_AGAIN_MS, on_again, offer);
  }
  settle (offer);
}

/* What is as it is wanted stays; what is under way is looked at once that is over. */
static void
settle (Offer *offer)
{
  if (offer->wanted && offer->state == OFF && hypha_client_get_running (offer->agent->client)) {
    offer->state = REGISTERING;
    hypha_client_service_register_async (offer->service, offer->agent->stopped, on_registered,
                                         offer);
  } else if (!offer->wanted && (offer->state == ON || offer->state == FAILED)) {
    if (offer->state == ON)
      hypha_client_service_unregister (offer->service);
    g_clear_handle_id (&offer->again, g_source_remove);
    offer->state = OFF;
    g_message ("service '%s' is off", offer->name);
  }
}

/* An entry that is for programs, and says who may use them. Without an entry the node would let
 * every trusted peer in. */
static gboolean
names_peers (GVariant *entry)
{
  g_autofree const char **peers = NULL;

  return entry && g_variant_lookup (entry, "peers", "^a&s", &peers) && peers[0] != NULL;
}

static void
tell_what_turns_on (const Offer *offer)
{
  g_message ("service '%s' is off, until the node's settings name it%s its peers%s: "
             "hyphactl config set " SETTING " \"{'%s': {'peers': <['NAME']>%s}}\"",
             offer->name, *offer->more ? "," : " and", *offer->more ? " and its roots" : "",
             offer->name, offer->more);
}

static void
apply_entry (Offer *offer, GVariant *entry, gboolean first)
{
  gboolean named = names_peers (entry);

  offer->wanted = named && (offer->configure == NULL || offer->configure (entry));
  if (!offer->wanted && (first || named))
    tell_what_turns_on (offer);
  settle (offer);
}

static void
apply (HyphaAgent *self, GVariant *entries, gboolean first)
{
  if (!g_variant_is_of_type (entries, G_VARIANT_TYPE ("a{sa{sv}}"))) {
    g_warning ("the node's setting '" SETTING "' has the type %s, which this program does not know",
               g_variant_get_type_string (entries));
    return;
  }
  for (gsize i = 0; i < N_SERVICES; i++) {
    Offer *offer = &self->offers[i];
    g_autoptr (GVariant) entry =
        g_variant_lookup_value (entries, offer->name, G_VARIANT_TYPE_VARDICT);

    apply_entry (offer, entry, first);
  }
}

/* While the node does not know yet that it is off, the service has no entry there, and so every
 * trusted peer would get in. */
static gboolean
on_stream (HyphaPeer *peer, HyphaStream *stream, gpointer user_data, GError **error)
{
  Offer *offer = user_data;

  if (offer->wanted)
    return offer->accept (peer, stream, NULL, error);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED, _ ("the service '%s' has been turned off"),
               offer->name);
  return FALSE;
}

/* ---- the node ---- */

static void
on_changed (HyphaDBusConfig1 *config, const char *key, GVariant *value, HyphaAgent *self)
{
  g_autoptr (GVariant) entries = g_variant_get_variant (value);

  if (g_str_equal (key, SETTING))
    apply (self, entries, FALSE);
}

static void
on_settings (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GVariant) value = NULL;
  g_autoptr (GVariant) entries = NULL;
  g_autoptr (GError) error = NULL;

  if (hypha_dbus_config1_call_get_finish (HYPHA_DBUS_CONFIG1 (source), &value, result, &error)) {
    entries = g_variant_get_variant (value);
    apply (user_data, entries, TRUE);
  } else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    hypha_client_clean_error (&error);
    g_warning ("the node's settings cannot be read: %s", error->message);
  }
}

/* A node that has come back knows nothing of us. */
static void
on_running (HyphaClient *client, GParamSpec *property, HyphaAgent *self)
{
  for (gsize i = 0; i < N_SERVICES; i++) {
    g_clear_handle_id (&self->offers[i].again, g_source_remove);
    self->offers[i].wanted = FALSE;
    if (self->offers[i].state != REGISTERING)
      self->offers[i].state = OFF;
  }
  if (hypha_client_get_running (client))
    hypha_dbus_config1_call_get (self->config, SETTING, G_DBUS_CALL_FLAGS_NONE, -1, self->stopped,
                                 on_settings, self);
}

/**
 * hypha_agent_new:
 * @client: the node
 * @error: return location for an error, of D-Bus
 *
 * Begins to offer what the node's settings name, now and as they change.
 *
 * Returns: (transfer full) (nullable): the agent
 */
HyphaAgent *
hypha_agent_new (HyphaClient *client, GError **error)
{
  GDBusProxy *node = G_DBUS_PROXY (hypha_client_get_node (client));
  g_autoptr (HyphaAgent) self = g_new0 (HyphaAgent, 1);

  self->client = g_object_ref (client);
  self->stopped = g_cancellable_new ();
  self->config = hypha_dbus_config1_proxy_new_sync (
      g_dbus_proxy_get_connection (node), G_DBUS_PROXY_FLAGS_NONE, g_dbus_proxy_get_name (node),
      HYPHA_DBUS_ROOT, NULL, error);
  if (self->config == NULL) {
    hypha_client_clean_error (error);
    return NULL;
  }
  for (gsize i = 0; i < N_SERVICES; i++) {
    Offer *offer = &self->offers[i];

    offer->agent = self;
    offer->name = services[i].name;
    offer->accept = services[i].accept;
    offer->configure = services[i].configure;
    offer->more = services[i].more;
    offer->service = hypha_client_service_new (client, offer->name, on_stream, offer, error);
    if (offer->service == NULL)
      return NULL;
  }
  g_signal_connect (self->config, "changed", G_CALLBACK (on_changed), self);
  g_signal_connect (client, "notify::running", G_CALLBACK (on_running), self);
  on_running (client, NULL, self);
  return g_steal_pointer (&self);
}

/**
 * hypha_agent_free:
 * @self: (transfer full): an agent
 *
 * Offers no more. The end of the process tells the node.
 */
void
hypha_agent_free (HyphaAgent *self)
{
  g_cancellable_cancel (self->stopped);
  g_signal_handlers_disconnect_by_data (self->client, self);
  if (self->config)
    g_signal_handlers_disconnect_by_data (self->config, self);
  for (gsize i = 0; i < N_SERVICES; i++) {
    g_clear_handle_id (&self->offers[i].again, g_source_remove);
    g_clear_pointer (&self->offers[i].service, hypha_client_service_free);
  }
  g_clear_object (&self->config);
  g_object_unref (self->stopped);
  g_object_unref (self->client);
  g_free (self);
}
