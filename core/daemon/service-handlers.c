/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/service-handlers.h"

#include <gio/gunixfdlist.h>
#include <glib/gi18n-lib.h>

#include "daemon/descriptors.h"
#include "daemon/sender.h"
#include "daemon/stream-results.h"
#include "dbus/paths.h"

#define ACCEPT_TIMEOUT_MS 10000

struct _HyphaServiceHandlers {
  HyphaServices *services;
  GHashTable *handlers; /* name to Handler */
};

/* One registered service. Calls of Accept outlive it. */
typedef struct {
  HyphaServiceHandlers *handlers;
  char *name, *path;
  HyphaSender *owner;
  gulong left;   /* signal handler of the owner */
  guint pending; /* calls of Accept; shared with them */
} Handler;

/* A call of Accept. */
typedef struct {
  Handler *handler; /* counted */
  HyphaIncoming *incoming;
  HyphaStreamResults *results; /* the peer's, which the incoming stream holds */
  guint64 id;
} Asking;

static void
handler_clear (gpointer data)
{
  Handler *handler = data;

  g_object_unref (handler->owner);
  g_free (handler->name);
  g_free (handler->path);
}

/* The table's destroy function. */
static void
handler_leave (gpointer data)
{
  Handler *handler = data;

  hypha_services_unregister (handler->handlers->services, handler->name);
  g_clear_signal_handler (&handler->left, handler->owner);
  handler->handlers = NULL;
  g_rc_box_release_full (handler, handler_clear);
}

/* ---- a stream ---- */

static void
on_answered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Asking *asking = user_data;
  Handler *handler = asking->handler;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = g_dbus_connection_call_with_unix_fd_list_finish (
      G_DBUS_CONNECTION (source), NULL, result, &error);

  handler->pending--;
  if (reply) {
    hypha_incoming_accept_made (asking->incoming);
  } else {
    g_autofree char *reason = NULL;

    g_dbus_error_strip_remote_error (error);
    reason = g_strescape (error->message, NULL);
    g_message ("service '%s': its handler does not take a stream: %s", handler->name, reason);
    hypha_stream_results_drop (asking->results, asking->id);
    hypha_incoming_refuse (asking->incoming, HYPHA_ERROR_REFUSED);
  }
  g_rc_box_release_full (handler, handler_clear);
}

static GVariant *
describe (Handler *handler, HyphaIncoming *incoming)
{
  HyphaNodePeer *peer = hypha_incoming_get_peer (incoming);
  const char *id = hypha_node_peer_get_id_text (peer);
  g_autofree char *path = hypha_dbus_path (HYPHA_DBUS_PEER, id);
  g_autofree char *name = hypha_peer_dup_name (HYPHA_PEER (peer));
  g_autofree char *valid = g_utf8_make_valid (name, -1);
  g_auto (GVariantDict) info = G_VARIANT_DICT_INIT (NULL);

  g_variant_dict_insert (&info, "service", "s", handler->name);
  g_variant_dict_insert (&info, "peer-id", "s", id);
  g_variant_dict_insert (&info, "peer-name", "s", valid);
  if (hypha_incoming_is_direct (incoming))
    g_variant_dict_insert (&info, "direct", "b", TRUE);
  return g_variant_new ("(oht@a{sv})", path, 0, hypha_incoming_get_id (incoming),
                        g_variant_dict_end (&info));
}

/* The program gets its end with the question, and nothing goes over it before the answer. It may
 * ask for the stream's result from then on. */
static void
on_incoming (HyphaIncoming *incoming, gpointer user_data)
{
  Handler *handler = user_data;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GError) error = NULL;
  Asking *asking;
  int fd = -1;

  if (handler->pending < HYPHA_SERVICE_HANDLERS_MAX_PENDING)
    stream = hypha_incoming_make_stream (incoming, &error);
  if (stream)
    fd = hypha_stream_steal_fd (stream);
  if (fd < 0) {
    hypha_incoming_refuse (incoming, HYPHA_ERROR_BUSY);
    return;
  }
  asking = g_new0 (Asking, 1);
  asking->handler = g_rc_box_acquire (handler);
  asking->incoming = incoming;
  asking->results = hypha_stream_results_of (hypha_incoming_get_peer (incoming));
  asking->id = hypha_incoming_get_id (incoming);
  handler->pending++;
  fds = g_unix_fd_list_new_from_array (&fd, 1);
  hypha_stream_results_add (asking->results, handler->owner, stream);
  g_dbus_connection_call_with_unix_fd_list (
      hypha_sender_get_connection (handler->owner), hypha_sender_get_name (handler->owner),
      handler->path, "org.hypha.ServiceHandler1", "Accept", describe (handler, incoming),
      G_VARIANT_TYPE_UNIT, G_DBUS_CALL_FLAGS_NO_AUTO_START, ACCEPT_TIMEOUT_MS, fds,
      hypha_sender_get_gone (handler->owner), on_answered, asking);
}

/* ---- registrations ---- */

/* Whoever asked it waits no longer, for the question is cancelled; streams that are open are their
 * descriptors' affair. */
static void
on_owner_left (HyphaSender *owner, Handler *handler)
{
  g_hash_table_remove (handler->handlers->handlers, handler->name);
}

static guint
count_of (HyphaServiceHandlers *self, GDBusMethodInvocation *invocation)
{
  HyphaSender *sender = hypha_sender_of (invocation);
  GHashTableIter iter;
  gpointer handler;
  guint n = 0;

  g_hash_table_iter_init (&iter, self->handlers);
  while (g_hash_table_iter_next (&iter, NULL, &handler))
    n += ((Handler *) handler)->owner == sender;
  return n;
}

/**
 * hypha_service_handlers_new:
 * @services: of the node
 *
 * Returns: (transfer full): no handlers yet
 */
HyphaServiceHandlers *
hypha_service_handlers_new (HyphaServices *services)
{
  HyphaServiceHandlers *self = g_new0 (HyphaServiceHandlers, 1);

  self->services = g_object_ref (services);
  self->handlers = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, handler_leave);
  return self;
}

/**
 * hypha_service_handlers_free:
 * @self: (transfer full): the handlers
 *
 * Unregisters all of them. Those that are being asked may still answer.
 */
void
hypha_service_handlers_free (HyphaServiceHandlers *self)
{
  g_hash_table_unref (self->handlers);
  g_object_unref (self->services);
  g_free (self);
}

/**
 * hypha_service_handlers_register:
 * @self: the handlers
 * @invocation: the call that asks for it; it is not answered here
 * @name: of the service
 * @path: of the caller's object that has org.hypha.ServiceHandler1
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ARGUMENT (@name), %HYPHA_ERROR_BUSY
 * (it is taken, or there are too many), %HYPHA_ERROR_NOT_SUPPORTED (no descriptor can be handed
 * over)
 *
 * Returns: %TRUE if peers' streams to @name reach the caller from now on
 */
gboolean
hypha_service_handlers_register (HyphaServiceHandlers *self, GDBusMethodInvocation *invocation,
                                 const char *name, const char *path, GError **error)
{
  HyphaSender *sender = hypha_sender_of (invocation);
  const char *from = hypha_sender_get_name (sender);
  Handler *handler;

  if (!hypha_descriptors_check (invocation, error))
    return FALSE;
  if (count_of (self, invocation) >= HYPHA_SERVICE_HANDLERS_MAX_PER_CALLER) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("this caller has registered %d services, and no more may be: unregister one"),
                 HYPHA_SERVICE_HANDLERS_MAX_PER_CALLER);
    return FALSE;
  }
  handler = g_rc_box_new0 (Handler);
  if (!hypha_services_register (self->services, name, from ? from : "-", on_incoming, handler,
                                error)) {
    g_rc_box_release (handler);
    return FALSE;
  }
  handler->handlers = self;
  handler->name = g_strdup (name);
  handler->path = g_strdup (path);
  handler->owner = g_object_ref (sender);
  handler->left = g_signal_connect (sender, "left", G_CALLBACK (on_owner_left), handler);
  g_hash_table_insert (self->handlers, handler->name, handler);
  return TRUE;
}

/**
 * hypha_service_handlers_unregister:
 * @self: the handlers
 * @invocation: the call that asks for it; it is not answered here
 * @name: of the service
 * @error: return location for an error: %HYPHA_ERROR_NO_SUCH_SERVICE
 *
 * Returns: %TRUE if it was the caller's, and is no more
 */
gboolean
hypha_service_handlers_unregister (HyphaServiceHandlers *self, GDBusMethodInvocation *invocation,
                                   const char *name, GError **error)
{
  Handler *handler = g_hash_table_lookup (self->handlers, name);

  if (handler == NULL || handler->owner != hypha_sender_peek (invocation)) {
    g_autofree char *shown = g_strescape (name, NULL);

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE,
                 _ ("this caller has not registered a service '%s': hyphactl services lists them"),
                 shown);
    return FALSE;
  }
  g_hash_table_remove (self->handlers, name);
  return TRUE;
}
