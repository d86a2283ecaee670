/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-base-transport.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#include "hypha-error.h"
#include "hypha-socket.h"
#include "hypha-source.h"

typedef struct {
  gboolean stopped;
  GPtrArray *running;   /* of Operation, each owned by its task */
  GPtrArray *listeners; /* not owned: each leaves when it is gone */
} HyphaBaseTransportPrivate;

static void hypha_base_transport_iface_init (HyphaTransportInterface *iface);

/**
 * HyphaBaseTransport:
 *
 * For transports: knows what is under way and what listens, so that
 * [method@Hypha.Transport.stop] ends all of it, and asks sockets from outside where they listen.
 *
 * A transport that derives from it implements the interface again, for all that is left: its
 * schemes, how it parses, its cost and so on.
 */
G_DEFINE_ABSTRACT_TYPE_WITH_CODE (HyphaBaseTransport, hypha_base_transport, G_TYPE_OBJECT,
                                  G_ADD_PRIVATE (HyphaBaseTransport)
                                      G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                             hypha_base_transport_iface_init))

/* One that is under way. It lives as long as its task. */
typedef struct {
  HyphaBaseTransport *transport; /* owned: a task lets go of its source before its data */
  HyphaEndpoint *endpoint;       /* without options: */
  HyphaEndpoint *asked;          /* as it was given */
  GCancellable *cancellable;
  GSource *follow; /* the caller's cancellable; nullable */
} Operation;

static G_DEFINE_QUARK (hypha - operation, operation);

static HyphaBaseTransportPrivate *
get_private (HyphaBaseTransport *self)
{
  return hypha_base_transport_get_instance_private (self);
}

/* ---- operations ---- */

static void
operation_free (gpointer data)
{
  Operation *self = data;

  g_ptr_array_remove_fast (get_private (self->transport)->running, self);
  hypha_clear_source (&self->follow);
  hypha_endpoint_unref (self->endpoint);
  hypha_endpoint_unref (self->asked);
  g_object_unref (self->cancellable);
  g_object_unref (self->transport);
  g_free (self);
}

static gboolean
on_caller_cancelled (GCancellable *cancellable, gpointer data)
{
  Operation *self = data;

  g_cancellable_cancel (self->cancellable);
  return G_SOURCE_REMOVE;
}

/* A plug-in is not believed: MISSING is the function that it should have, if it has not. NULL: the
 * task has returned an error. */
static Operation *
begin (HyphaBaseTransport *self, GTask *task, HyphaEndpoint *endpoint, const char *missing)
{
  HyphaBaseTransportPrivate *priv = get_private (self);
  GCancellable *cancellable = g_task_get_cancellable (task);
  Operation *operation;

  if (missing != NULL) {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                             _ ("the transport '%s' has no function '%s'"),
                             hypha_transport_get_schemes (HYPHA_TRANSPORT (self))[0], missing);
    return NULL;
  }
  if (g_task_return_error_if_cancelled (task))
    return NULL;
  if (priv->stopped) {
    g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                             _ ("%s: the transport has been stopped"),
                             hypha_endpoint_to_string (endpoint));
    return NULL;
  }
  operation = g_new0 (Operation, 1);
  operation->transport = g_object_ref (self);
  operation->endpoint = hypha_endpoint_without_options (endpoint);
  operation->asked = hypha_endpoint_ref (endpoint);
  operation->cancellable = g_cancellable_new ();
  if (cancellable != NULL) {
    /* A source, not g_cancellable_connect(): that would end things within somebody else's call. */
    operation->follow = g_cancellable_source_new (cancellable);
    g_source_set_callback (operation->follow, G_SOURCE_FUNC (on_caller_cancelled), operation, NULL);
    g_source_attach (operation->follow, g_task_get_context (task));
  }
  g_ptr_array_add (priv->running, operation);
  g_object_set_qdata_full (G_OBJECT (task), operation_quark (), operation, operation_free);
  return operation;
}

/**
 * hypha_base_transport_get_endpoint:
 * @task: of connecting or listening, as the transport was given it
 *
 * Gets what the transport was given with @task: the endpoint, without options.
 *
 * Returns: (transfer none): the endpoint, good as long as @task
 *
 * Since: ABI 1.2
 */
HyphaEndpoint *
hypha_base_transport_get_endpoint (GTask *task)
{
  Operation *operation = g_object_get_qdata (G_OBJECT (task), operation_quark ());

  g_return_val_if_fail (operation != NULL, NULL);
  return operation->endpoint;
}

/**
 * hypha_base_transport_get_option:
 * @task: of connecting or listening, as the transport was given it
 * @name: the name of an option
 *
 * Gives an option of the endpoint: a transport is not given them with it, for most are not its
 * business. See [method@Hypha.Endpoint.get_option].
 *
 * Returns: (nullable) (transfer none): the value, good as long as @task, or %NULL
 */
const char *
hypha_base_transport_get_option (GTask *task, const char *name)
{
  Operation *operation = g_object_get_qdata (G_OBJECT (task), operation_quark ());

  g_return_val_if_fail (operation != NULL, NULL);
  return hypha_endpoint_get_option (operation->asked, name);
}

static void
hypha_base_transport_connect_async (HyphaTransport *transport, HyphaEndpoint *endpoint,
                                    guint timeout_ms, GCancellable *cancellable,
                                    GAsyncReadyCallback callback, gpointer user_data)
{
  HyphaBaseTransport *self = HYPHA_BASE_TRANSPORT (transport);
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  HyphaBaseTransportClass *klass = HYPHA_BASE_TRANSPORT_GET_CLASS (self);
  Operation *operation;

  g_task_set_source_tag (task, hypha_base_transport_connect_async);
  operation = begin (self, task, endpoint, klass->connect == NULL ? "connect" : NULL);
  if (operation != NULL)
    klass->connect (self, g_steal_pointer (&task), operation->endpoint, timeout_ms,
                    operation->cancellable);
}

static HyphaChannel *
hypha_base_transport_connect_finish (HyphaTransport *transport, GAsyncResult *result,
                                     GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- listeners ---- */

static void
on_listener_gone (gpointer data, GObject *listener)
{
  g_ptr_array_remove_fast (get_private (data)->listeners, listener);
}

static void
add_listener (HyphaBaseTransport *self, HyphaListener *listener)
{
  HyphaBaseTransportPrivate *priv = get_private (self);

  if (priv->stopped)
    hypha_listener_close (listener);
  g_object_weak_ref (G_OBJECT (listener), on_listener_gone, self);
  g_ptr_array_add (priv->listeners, listener);
}

static void
hypha_base_transport_listen_async (HyphaTransport *transport, HyphaEndpoint *endpoint,
                                   GCancellable *cancellable, GAsyncReadyCallback callback,
                                   gpointer user_data)
{
  HyphaBaseTransport *self = HYPHA_BASE_TRANSPORT (transport);
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  HyphaBaseTransportClass *klass = HYPHA_BASE_TRANSPORT_GET_CLASS (self);
  Operation *operation;

  g_task_set_source_tag (task, hypha_base_transport_listen_async);
  operation = begin (self, task, endpoint, klass->listen == NULL ? "listen" : NULL);
  if (operation != NULL)
    klass->listen (self, g_steal_pointer (&task), operation->endpoint, operation->cancellable);
}

static HyphaListener *
hypha_base_transport_listen_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  HyphaListener *listener = g_task_propagate_pointer (G_TASK (result), error);

  if (HYPHA_IS_LISTENER (listener))
    add_listener (HYPHA_BASE_TRANSPORT (transport), listener);
  return listener;
}

/* NULL: the descriptor is still the caller's. */
static HyphaListener *
try_adopt (HyphaBaseTransport *self, int fd, GError **error)
{
  struct sockaddr_storage address;
  socklen_t length;

  if (!hypha_socket_get_listening (fd, &address, &length, error))
    return NULL;
  return HYPHA_BASE_TRANSPORT_GET_CLASS (self)->adopt (self, fd, (const struct sockaddr *) &address,
                                                       length, error);
}

static HyphaListener *
hypha_base_transport_adopt (HyphaTransport *transport, int fd, GError **error)
{
  HyphaBaseTransport *self = HYPHA_BASE_TRANSPORT (transport);
  const HyphaTransportInterface *plain = g_type_default_interface_peek (HYPHA_TYPE_TRANSPORT);
  HyphaListener *listener;

  if (HYPHA_BASE_TRANSPORT_GET_CLASS (self)->adopt == NULL)
    return plain->adopt (transport, fd, error);
  listener = try_adopt (self, fd, error);
  if (listener != NULL)
    add_listener (self, listener);
  else
    g_close (fd, NULL);
  return listener;
}

/* ---- the end ---- */

static gpointer
ref_cancellable (gconstpointer operation, gpointer data)
{
  return g_object_ref (((const Operation *) operation)->cancellable);
}

static gpointer
ref_listener (gconstpointer listener, gpointer data)
{
  return g_object_ref ((gpointer) listener);
}

static void
hypha_base_transport_stop (HyphaTransport *transport)
{
  HyphaBaseTransportPrivate *priv = get_private (HYPHA_BASE_TRANSPORT (transport));
  g_autoptr (GPtrArray) running = g_ptr_array_copy (priv->running, ref_cancellable, NULL);
  g_autoptr (GPtrArray) listeners = g_ptr_array_copy (priv->listeners, ref_listener, NULL);

  /* Either may call back, and change the lists. */
  g_ptr_array_set_free_func (running, g_object_unref);
  g_ptr_array_set_free_func (listeners, g_object_unref);
  priv->stopped = TRUE;
  for (guint i = 0; i < running->len; i++)
    g_cancellable_cancel (running->pdata[i]);
  for (guint i = 0; i < listeners->len; i++)
    hypha_listener_close (listeners->pdata[i]);
}

/* The listeners go on. */
static void
hypha_base_transport_finalize (GObject *object)
{
  HyphaBaseTransportPrivate *priv = get_private (HYPHA_BASE_TRANSPORT (object));

  for (guint i = 0; i < priv->listeners->len; i++)
    g_object_weak_unref (priv->listeners->pdata[i], on_listener_gone, object);
  g_ptr_array_unref (priv->running);
  g_ptr_array_unref (priv->listeners);
  G_OBJECT_CLASS (hypha_base_transport_parent_class)->finalize (object);
}

static void
hypha_base_transport_class_init (HyphaBaseTransportClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hypha_base_transport_finalize;
}

static void
hypha_base_transport_init (HyphaBaseTransport *self)
{
  HyphaBaseTransportPrivate *priv = get_private (self);

  priv->running = g_ptr_array_new ();
  priv->listeners = g_ptr_array_new ();
}

static void
hypha_base_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->connect_async = hypha_base_transport_connect_async;
  iface->connect_finish = hypha_base_transport_connect_finish;
  iface->listen_async = hypha_base_transport_listen_async;
  iface->listen_finish = hypha_base_transport_listen_finish;
  iface->adopt = hypha_base_transport_adopt;
  iface->stop = hypha_base_transport_stop;
}
