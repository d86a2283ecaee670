/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a program asks of the node: methods of org.hypha.Node1. */

#include "client/client.h"

#include <glib/gi18n-lib.h>

static void
on_called (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  GVariant *reply = g_dbus_proxy_call_finish (G_DBUS_PROXY (source), result, &error);

  if (reply != NULL) {
    g_task_return_pointer (task, reply, (GDestroyNotify) g_variant_unref);
    return;
  }
  hypha_client_clean_error (&error);
  g_task_return_error (task, g_steal_pointer (&error));
}

/* The node has deadlines of its own. */
static void
call (HyphaClient *self, const char *method, GVariant *parameters, gpointer tag,
      GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, tag);
  g_dbus_proxy_call (G_DBUS_PROXY (hypha_client_get_node (self)), method, parameters,
                     G_DBUS_CALL_FLAGS_NONE, G_MAXINT, cancellable, on_called, task);
}

static GVariant *
finish (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

static gboolean
finish_without_answer (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = finish (self, result, error);

  return reply != NULL;
}

/* What is consumed when a call is made of it. */
static GVariant *
options_or_none (GVariant *options)
{
  return options != NULL ? options : g_variant_new ("a{sv}", NULL);
}

static gboolean
options_fit (GVariant *options)
{
  return options == NULL || g_variant_is_of_type (options, G_VARIANT_TYPE_VARDICT);
}

/**
 * hypha_client_connect_async:
 * @self: a client
 * @endpoint: where the node is to dial
 * @options: (nullable): of the type `a{sv}`: `timeout` u (milliseconds), `expect-id` s (fail unless
 *   this node answers), `persist` b (keep the endpoint in the node's settings, too)
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when the link is up, or cannot be
 * @user_data: for @callback
 *
 * Makes the node dial an endpoint, and keep dialling it for as long as it lives.
 */
void
hypha_client_connect_async (HyphaClient *self, const char *endpoint, GVariant *options,
                            GCancellable *cancellable, GAsyncReadyCallback callback,
                            gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_CLIENT (self));
  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (options_fit (options));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call (self, "Connect", g_variant_new ("(s@a{sv})", endpoint, options_or_none (options)),
        hypha_client_connect_async, cancellable, callback, user_data);
}

/**
 * hypha_client_connect_finish:
 * @self: a client
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_client_connect_async() began.
 *
 * The error is what hypha_node_connect_finish() gives, `HYPHA_ERROR_PERMISSION_DENIED` where the
 * node may not be told so, or `HYPHA_ERROR_RESTARTED` or `HYPHA_ERROR_UNAVAILABLE` where it has
 * gone. So it is with all calls.
 *
 * Returns: (transfer full): the peer, or %NULL with @error set
 */
HyphaPeer *
hypha_client_connect_finish (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = NULL;
  HyphaClientPeer *peer;
  const char *path;

  g_return_val_if_fail (HYPHA_IS_CLIENT (self), NULL);

  reply = finish (self, result, error);
  if (reply == NULL)
    return NULL;
  g_variant_get (reply, "(&o)", &path);
  peer = hypha_client_find_peer_at (self, path);
  if (peer == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE,
                 _ ("the node has forgotten the peer meanwhile"));
  return (HyphaPeer *) peer;
}

/**
 * hypha_client_listen_async:
 * @self: a client
 * @endpoint: where the node is to listen
 * @options: (nullable): of the type `a{sv}`: `persist` b (keep the endpoint in the node's settings,
 *   too)
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when it listens, or cannot
 * @user_data: for @callback
 *
 * Makes the node listen on an endpoint for as long as it lives.
 */
void
hypha_client_listen_async (HyphaClient *self, const char *endpoint, GVariant *options,
                           GCancellable *cancellable, GAsyncReadyCallback callback,
                           gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_CLIENT (self));
  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (options_fit (options));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call (self, "Listen", g_variant_new ("(s@a{sv})", endpoint, options_or_none (options)),
        hypha_client_listen_async, cancellable, callback, user_data);
}

/**
 * hypha_client_listen_finish:
 * @self: a client
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_client_listen_async() began.
 *
 * Returns: (transfer full): the endpoint in its canonical form and with its real port, or %NULL
 * with @error set
 */
char *
hypha_client_listen_finish (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_autoptr (GVariant) reply = NULL;
  char *bound = NULL;

  g_return_val_if_fail (HYPHA_IS_CLIENT (self), NULL);

  reply = finish (self, result, error);
  if (reply != NULL)
    g_variant_get (reply, "(s)", &bound);
  return bound;
}

/**
 * hypha_client_unlisten_async:
 * @self: a client
 * @endpoint: one that is bound, or as it was given
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when it is done
 * @user_data: for @callback
 *
 * Makes the node stop listening on an endpoint. Links that came in this way stay.
 */
void
hypha_client_unlisten_async (HyphaClient *self, const char *endpoint, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_CLIENT (self));
  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call (self, "Unlisten", g_variant_new ("(s)", endpoint), hypha_client_unlisten_async, cancellable,
        callback, user_data);
}

/**
 * hypha_client_unlisten_finish:
 * @self: a client
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_client_unlisten_async() began.
 *
 * Returns: whether it worked; if not, @error is set
 */
gboolean
hypha_client_unlisten_finish (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), FALSE);

  return finish_without_answer (self, result, error);
}

/**
 * hypha_client_trust_async:
 * @self: a client
 * @id: the whole id of a node
 * @name: the name under which it is to be known
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when it is done
 * @user_data: for @callback
 *
 * Makes the node trust another one, from now on and after restarts.
 */
void
hypha_client_trust_async (HyphaClient *self, const char *id, const char *name,
                          GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_CLIENT (self));
  g_return_if_fail (id != NULL);
  g_return_if_fail (name != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call (self, "Trust", g_variant_new ("(ss)", id, name), hypha_client_trust_async, cancellable,
        callback, user_data);
}

/**
 * hypha_client_trust_finish:
 * @self: a client
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_client_trust_async() began.
 *
 * The list of peers and the properties of the peer follow at once, but on their own.
 *
 * Returns: whether it worked; if not, @error is set
 */
gboolean
hypha_client_trust_finish (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), FALSE);

  return finish_without_answer (self, result, error);
}

/**
 * hypha_client_forget_async:
 * @self: a client
 * @id: the whole id of a peer
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when it is done
 * @user_data: for @callback
 *
 * Takes back the trust in a peer, and ends its links and streams.
 */
void
hypha_client_forget_async (HyphaClient *self, const char *id, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_CLIENT (self));
  g_return_if_fail (id != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call (self, "Forget", g_variant_new ("(s)", id), hypha_client_forget_async, cancellable, callback,
        user_data);
}

/**
 * hypha_client_forget_finish:
 * @self: a client
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_client_forget_async() began.
 *
 * Returns: whether it worked; if not, @error is set
 */
gboolean
hypha_client_forget_finish (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), FALSE);

  return finish_without_answer (self, result, error);
}

/**
 * hypha_client_pair_async:
 * @self: a client
 * @seconds: how long the window is open, 1 to 120; 0 closes it
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when it is done
 * @user_data: for @callback
 *
 * Makes the node open a window for pairing. The first stranger who shakes hands while both sides
 * have one open, whoever dialled, yields six digits here and there:
 * [signal@Hypha.Client::pairing-code]. One handshake a window does.
 */
void
hypha_client_pair_async (HyphaClient *self, guint seconds, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_CLIENT (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call (self, "Pair", g_variant_new ("(u)", seconds), hypha_client_pair_async, cancellable,
        callback, user_data);
}

/**
 * hypha_client_pair_finish:
 * @self: a client
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_client_pair_async() began.
 *
 * Returns: whether it worked; if not, @error is set
 */
gboolean
hypha_client_pair_finish (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), FALSE);

  return finish_without_answer (self, result, error);
}

/**
 * hypha_client_confirm_pairing_async:
 * @self: a client
 * @id: whom [signal@Hypha.Client::pairing-code] told
 * @same: whether the other side shows the same digits
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when it is done
 * @user_data: for @callback
 *
 * Makes the node trust the one who was told, under the name that it calls itself by, or one made of
 * it if that is taken; or, if the digits differ, gives the pairing up.
 */
void
hypha_client_confirm_pairing_async (HyphaClient *self, const char *id, gboolean same,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_CLIENT (self));
  g_return_if_fail (id != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  call (self, "ConfirmPairing", g_variant_new ("(sb)", id, same),
        hypha_client_confirm_pairing_async, cancellable, callback, user_data);
}

/**
 * hypha_client_confirm_pairing_finish:
 * @self: a client
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_client_confirm_pairing_async() began.
 *
 * Returns: whether it worked; if not, @error is set
 */
gboolean
hypha_client_confirm_pairing_finish (HyphaClient *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_CLIENT (self), FALSE);

  return finish_without_answer (self, result, error);
}
