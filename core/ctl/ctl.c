/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ctl.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Enough of an id to tell peers apart by eye, and to be typed. */
#define SHORT_ID_CHARS 12

/**
 * hypha_ctl_clear:
 * @self: what a run was given
 *
 * Frees what is in it.
 */
void
hypha_ctl_clear (HyphaCtl *self)
{
  g_clear_object (&self->client);
  hypha_bus_clear (&self->bus);
}

/**
 * hypha_ctl_get_client:
 * @self: what the run was given
 * @error: return location for an error: %HYPHA_ERROR_UNAVAILABLE and what to start
 *
 * Returns: (transfer none) (nullable): the node
 */
HyphaClient *
hypha_ctl_get_client (HyphaCtl *self, GError **error)
{
  if (self->client == NULL) {
    self->client = hypha_client_new_on_bus (&self->bus, NULL, error);
    if (self->client && !self->quiet)
      hypha_client_allow_interaction (self->client);
  }
  return self->client;
}

/**
 * hypha_ctl_get_node:
 * @self: what the run was given
 * @error: return location for an error
 *
 * Returns: (transfer none) (nullable): org.hypha.Node1 of the node
 */
HyphaDBusNode1 *
hypha_ctl_get_node (HyphaCtl *self, GError **error)
{
  HyphaClient *client = hypha_ctl_get_client (self, error);

  return client ? hypha_client_get_node (client) : NULL;
}

/**
 * hypha_ctl_get_config:
 * @self: what the run was given
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): org.hypha.Config1 of the node, as patient as Node1
 */
HyphaDBusConfig1 *
hypha_ctl_get_config (HyphaCtl *self, GError **error)
{
  GDBusProxy *node = G_DBUS_PROXY (hypha_ctl_get_node (self, error));
  HyphaDBusConfig1 *config;

  if (node == NULL)
    return NULL;
  config = hypha_dbus_config1_proxy_new_sync (
      g_dbus_proxy_get_connection (node), G_DBUS_PROXY_FLAGS_DO_NOT_CONNECT_SIGNALS,
      g_dbus_proxy_get_name (node), HYPHA_DBUS_ROOT, NULL, error);
  if (config == NULL)
    hypha_client_clean_error (error);
  else
    g_dbus_proxy_set_default_timeout (G_DBUS_PROXY (config),
                                      g_dbus_proxy_get_default_timeout (node));
  return config;
}

/**
 * hypha_ctl_find_peer:
 * @self: what the run was given
 * @text: a name, an id, or a unique beginning of an id
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the peer
 */
HyphaClientPeer *
hypha_ctl_find_peer (HyphaCtl *self, const char *text, GError **error)
{
  HyphaClient *client = hypha_ctl_get_client (self, error);

  return client ? hypha_client_find_peer (client, text, error) : NULL;
}

static gboolean
is_numbered (const char *path)
{
  return g_str_has_prefix (path, HYPHA_DBUS_ROOT "/" HYPHA_DBUS_LINK "/") ||
         g_str_has_prefix (path, HYPHA_DBUS_ROOT "/" HYPHA_DBUS_FORWARD "/");
}

/* What is numbered as it comes goes by length first, then by character. */
static int
compare_paths (gconstpointer a, gconstpointer b)
{
  const char *x = g_dbus_object_get_object_path (*(GDBusObject *const *) a);
  const char *y = g_dbus_object_get_object_path (*(GDBusObject *const *) b);
  gsize m = strlen (x), n = strlen (y);

  if (is_numbered (x) && m != n)
    return m < n ? -1 : 1;
  return strcmp (x, y);
}

/**
 * hypha_ctl_list:
 * @self: what the run was given
 * @folder: `peer`, `link`, `transport`, `plugin` or `forward`
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the #HyphaDBusObject of that kind, sorted
 */
GPtrArray *
hypha_ctl_list (HyphaCtl *self, const char *folder, GError **error)
{
  HyphaClient *client = hypha_ctl_get_client (self, error);
  g_autofree char *prefix = g_strconcat (HYPHA_DBUS_ROOT "/", folder, "/", NULL);
  g_autolist (GDBusObject) objects = NULL;
  GPtrArray *list;

  if (client == NULL)
    return NULL;
  list = g_ptr_array_new_with_free_func (g_object_unref);
  objects = g_dbus_object_manager_get_objects (hypha_client_get_objects (client));
  for (GList *o = objects; o; o = o->next) {
    if (g_str_has_prefix (g_dbus_object_get_object_path (o->data), prefix))
      g_ptr_array_add (list, g_object_ref (o->data));
  }
  g_ptr_array_sort (list, compare_paths);
  return list;
}

/**
 * hypha_ctl_dup_peer_name:
 * @self: what the run was given; the client is there
 * @path: of a peer's object
 *
 * Returns: (transfer full): the peer's name; if it has none, the beginning of its id
 */
char *
hypha_ctl_dup_peer_name (HyphaCtl *self, const char *path)
{
  g_autoptr (GDBusObject) object =
      g_dbus_object_manager_get_object (hypha_client_get_objects (self->client), path);
  HyphaDBusPeer1 *peer = object ? hypha_dbus_object_peek_peer1 (HYPHA_DBUS_OBJECT (object)) : NULL;
  const char *name = peer ? hypha_dbus_peer1_get_name (peer) : NULL;
  const char *slash = strrchr (path, '/');

  if (name && *name)
    return g_strdup (name);
  return g_strndup (slash ? slash + 1 : path, SHORT_ID_CHARS);
}

/* ---- one thing after the other ---- */

/**
 * hypha_ctl_on_done:
 * @source: what was asked
 * @result: its answer
 * @user_data: (out): where the answer goes, which the caller then owns
 *
 * The callback of whoever calls hypha_ctl_wait_for() next.
 */
void
hypha_ctl_on_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

/**
 * hypha_ctl_wait_for:
 * @result: the user data of hypha_ctl_on_done()
 *
 * Returns: (transfer none): the answer, once it is there
 */
GAsyncResult *
hypha_ctl_wait_for (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
  return *result;
}

static gboolean
on_signal (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_CONTINUE;
}

/* Whoever had this run has gone, or is ssh, which does it to each of its proxies when it ends:
 * there is nobody to read of it. */
static gboolean
on_hangup (gpointer user_data)
{
  if (freopen ("/dev/null", "w", stderr) == NULL)
    g_debug ("/dev/null: %s", g_strerror (errno));
  return on_signal (user_data);
}

/**
 * hypha_ctl_catch_signals:
 * @interrupted: (out): set to %TRUE when somebody wants the process to end; as long-lived as it
 *
 * For verbs that have something to put in order before they end.
 */
void
hypha_ctl_catch_signals (gboolean *interrupted)
{
  g_unix_signal_add (SIGINT, on_signal, interrupted);
  g_unix_signal_add (SIGTERM, on_signal, interrupted);
  g_unix_signal_add (SIGHUP, on_hangup, interrupted);
}

/**
 * hypha_ctl_open_stream:
 * @peer: a peer
 * @service: a service of it
 * @direct: one socket of the kernel's all the way
 * @timeout_ms: how long it may take; 0: for ever
 * @error: return location for an error
 *
 * Returns: (transfer full) (nullable): the stream
 */
HyphaStream *
hypha_ctl_open_stream (HyphaClientPeer *peer, const char *service, gboolean direct,
                       guint timeout_ms, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  if (direct) {
    hypha_peer_open_direct_async (HYPHA_PEER (peer), service, timeout_ms, NULL, hypha_ctl_on_done,
                                  &result);
    return hypha_peer_open_direct_finish (HYPHA_PEER (peer), hypha_ctl_wait_for (&result), error);
  }
  hypha_peer_open_stream_async (HYPHA_PEER (peer), service, timeout_ms, NULL, hypha_ctl_on_done,
                                &result);
  return hypha_peer_open_stream_finish (HYPHA_PEER (peer), hypha_ctl_wait_for (&result), error);
}

/**
 * hypha_ctl_wait_end:
 * @stream: a stream
 * @error: return location for an error: how it ended
 *
 * Returns: %TRUE if both directions were finished
 */
gboolean
hypha_ctl_wait_end (HyphaStream *stream, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_stream_wait_end_async (stream, NULL, hypha_ctl_on_done, &result);
  return hypha_stream_wait_end_finish (stream, hypha_ctl_wait_for (&result), NULL, NULL, error);
}
