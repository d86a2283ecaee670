/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/node-private.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT_MS 15000
/* Endpoints beside those of the settings: each costs a descriptor, and attempts. */
#define MAX_DIALLED 1024
#define MAX_LISTENED 256

static gboolean
return_if_stopped (HyphaNode *self, GTask *task)
{
  if (!self->stopped && self->drain == NULL)
    return FALSE;
  g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, "%s",
                           self->stopped ? _ ("this node has stopped") : _ ("this node stops"));
  return TRUE;
}

/* ---- connect ---- */

typedef struct {
  HyphaNode *node;
  HyphaDialler *dialler;
  GTask *waiting; /* what the dialler answers; not owned */
  HyphaNodeId expected;
  gboolean expects;
  guint timer;
  GSource *cancelled;
  gboolean answered; /* which the task knows only once its callback has run */
} Connecting;

static void
connecting_stop (Connecting *connecting)
{
  g_clear_handle_id (&connecting->timer, g_source_remove);
  if (connecting->cancelled != NULL)
    g_source_destroy (connecting->cancelled);
  g_clear_pointer (&connecting->cancelled, g_source_unref);
}

static void
connecting_free (gpointer data)
{
  Connecting *connecting = data;

  connecting_stop (connecting);
  hypha_dialler_unref (connecting->dialler);
  g_object_unref (connecting->node);
  g_free (connecting);
}

/* The dialler has answered the inner task with a link; the caller is to have the peer. */
static void
awaited (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaNodeLink) link = g_task_propagate_pointer (G_TASK (result), &error);
  HyphaNode *self = HYPHA_NODE (g_task_get_source_object (task));
  Connecting *connecting = g_task_get_task_data (task);
  HyphaNodePeer *peer =
      link != NULL ? hypha_node_find (self, hypha_node_link_get_peer_id (link)) : NULL;

  connecting_stop (connecting);
  connecting->waiting = NULL;
  if (connecting->answered)
    return; /* it timed out or was cancelled before */
  if (peer != NULL && connecting->expects &&
      !hypha_node_id_equal (&connecting->expected, hypha_node_peer_get_id (peer)))
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_WRONG_ID,
                             _ ("%s leads to %s, and not to the node that was expected"),
                             hypha_dialler_get_uri (connecting->dialler),
                             hypha_node_peer_get_id_text (peer));
  else if (peer != NULL)
    g_task_return_pointer (task, g_object_ref (peer), g_object_unref);
  else if (error != NULL)
    g_task_return_error (task, g_steal_pointer (&error));
  else
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_OFFLINE,
                             _ ("the peer was forgotten meanwhile"));
}

static gboolean
connect_timed_out (gpointer data)
{
  GTask *task = data;
  Connecting *connecting = g_task_get_task_data (task);
  const char *trouble = hypha_dialler_get_trouble (connecting->dialler);

  connecting->timer = 0;
  if (!connecting->answered) {
    connecting->answered = TRUE;
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                             _ ("no link over %s came up in time%s%s; it is still being dialled"),
                             hypha_dialler_get_uri (connecting->dialler),
                             trouble != NULL ? ": " : "", trouble != NULL ? trouble : "");
  }
  return G_SOURCE_REMOVE;
}

/* Whoever asked has left. Where nobody else has, and it was never up, it is dialled no more. */
static gboolean
connect_cancelled (GCancellable *cancellable, gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Connecting *connecting = g_task_get_task_data (task);
  HyphaNode *self = connecting->node;
  HyphaDialler *dialler = connecting->dialler;
  guint i;

  if (connecting->answered)
    return G_SOURCE_REMOVE; /* and was told that it is still being dialled */
  connecting->answered = g_task_return_error_if_cancelled (task);
  if (connecting->waiting != NULL)
    hypha_dialler_await_no_more (dialler, connecting->waiting);
  if (hypha_dialler_is_unwanted (dialler) && !hypha_node_pairing_needs (self, dialler) &&
      g_ptr_array_find (self->diallers, dialler, &i))
    hypha_node_drop_dialler (self, i);
  return G_SOURCE_REMOVE;
}

static gboolean
may_dial (HyphaNode *self, const char *endpoint, GError **error)
{
  guint n = 0;

  for (guint i = 0; i < self->diallers->len; i++)
    n += !hypha_dialler_is_permanent (self->diallers->pdata[i]) &&
         !hypha_dialler_is_suggested (self->diallers->pdata[i]);
  if (n < MAX_DIALLED)
    return TRUE;
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
      _ ("%s: this node dials %d endpoints already beside those of its settings, and takes "
         "no more"),
      endpoint, MAX_DIALLED);
  return FALSE;
}

static gboolean
may_listen (HyphaNode *self, const char *endpoint, GError **error)
{
  guint n = 0;

  for (guint i = 0; i < self->doors->len; i++)
    n += !hypha_door_is_permanent (self->doors->pdata[i]) &&
         !hypha_door_is_adopted (self->doors->pdata[i]);
  if (n < MAX_LISTENED)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
               _ ("%s: this node listens on %d endpoints already beside those of its settings, and "
                  "takes no more"),
               endpoint, MAX_LISTENED);
  return FALSE;
}

static HyphaDialler *
find_dialler (HyphaNode *self, const char *uri)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_loader_parse_endpoint (self->loader, uri, NULL, NULL);

  for (guint i = 0; i < self->diallers->len; i++) {
    HyphaDialler *dialler = self->diallers->pdata[i];

    if (g_str_equal (hypha_dialler_get_uri (dialler), uri) ||
        (endpoint != NULL && hypha_endpoint_equal (endpoint, hypha_dialler_get_endpoint (dialler))))
      return dialler;
  }
  return NULL;
}

static gboolean
read_options (GVariant *options, guint *timeout, HyphaNodeId *expected, gboolean *expects,
              GError **error)
{
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, options);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    G_GNUC_UNUSED g_autoptr (GVariant) owned = value;

    if (g_str_equal (key, "timeout") && g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32)) {
      *timeout = g_variant_get_uint32 (value);
    } else if (g_str_equal (key, "expect-id") &&
               g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)) {
      *expects = TRUE;
      if (!hypha_node_id_parse (g_variant_get_string (value, NULL), expected, error))
        return FALSE;
    } else {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                   _ ("option '%s' of type %s is not known: there are 'timeout' (u, ms) and "
                      "'expect-id' (s)"),
                   key, g_variant_get_type_string (value));
      return FALSE;
    }
  }
  return TRUE;
}

/**
 * hypha_node_connect_async:
 * @self: a node
 * @endpoint: where to dial
 * @options: (nullable): of the type `a{sv}`: `timeout` u (milliseconds), `expect-id` s (fail unless
 *   this node answers)
 * @cancellable: (nullable): to wait no longer; the endpoint is dialled no more then, unless it was
 * up before or somebody else wants it
 * @callback: (scope async): called when the link is up, or cannot be
 * @user_data: for @callback
 *
 * Dials an endpoint, and keeps dialling it for as long as the node lives. At most 1024 beside those
 * of the settings.
 */
void
hypha_node_connect_async (HyphaNode *self, const char *endpoint, GVariant *options,
                          GCancellable *cancellable, GAsyncReadyCallback callback,
                          gpointer user_data)
{
  g_autoptr (GTask) task = NULL;
  g_autoptr (GTask) inner = NULL;
  G_GNUC_UNUSED g_autoptr (GVariant) owned = options != NULL ? g_variant_ref_sink (options) : NULL;
  g_autoptr (GError) error = NULL;
  guint timeout = DEFAULT_TIMEOUT_MS;
  HyphaNodeId expected = { 0 };
  gboolean expects = FALSE;
  HyphaDialler *dialler;
  Connecting *connecting;

  g_return_if_fail (HYPHA_IS_NODE (self));
  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (options == NULL || g_variant_is_of_type (options, G_VARIANT_TYPE_VARDICT));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, hypha_node_connect_async);
  if (return_if_stopped (self, task))
    return;
  if (options != NULL && !read_options (options, &timeout, &expected, &expects, &error)) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  dialler = find_dialler (self, endpoint);
  if (dialler == NULL) {
    /* An endpoint whose transport is not here would never be dialled: say so now. */
    g_autoptr (HyphaEndpoint) parsed =
        hypha_loader_parse_endpoint (self->loader, endpoint, NULL, &error);

    if (parsed != NULL && may_dial (self, endpoint, &error))
      dialler = hypha_dialler_new (self->loader, endpoint, FALSE, &hypha_node_dialler_events, self,
                                   &error);
    if (dialler == NULL) {
      g_task_return_error (task, g_steal_pointer (&error));
      return;
    }
    if (expects)
      hypha_dialler_expect (dialler, &expected);
    g_ptr_array_add (self->diallers, dialler);
    hypha_dialler_start (dialler, 0);
  }
  hypha_dialler_set_suggested (dialler, FALSE); /* somebody has asked for it now */
  connecting = g_new0 (Connecting, 1);
  connecting->node = g_object_ref (self);
  connecting->dialler = hypha_dialler_ref (dialler);
  connecting->expected = expected;
  connecting->expects = expects;
  g_task_set_task_data (task, connecting, connecting_free);
  if (timeout > 0)
    connecting->timer = g_timeout_add (timeout, connect_timed_out, task);
  if (cancellable != NULL) {
    connecting->cancelled = g_cancellable_source_new (cancellable);
    g_source_set_callback (connecting->cancelled, G_SOURCE_FUNC (connect_cancelled), task, NULL);
    g_source_attach (connecting->cancelled, NULL);
  }
  inner = g_task_new (self, cancellable, awaited, g_steal_pointer (&task));
  g_task_set_source_tag (inner, hypha_dialler_await);
  connecting->waiting = inner;
  hypha_dialler_await (dialler, inner);
}

/**
 * hypha_node_connect_finish:
 * @self: a node
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_node_connect_async() began.
 *
 * The error is `HYPHA_ERROR_INVALID_ENDPOINT`, `HYPHA_ERROR_INVALID_ARGUMENT` for a wrong option,
 * `HYPHA_ERROR_NO_TRANSPORT`, `HYPHA_ERROR_CONNECT`, `HYPHA_ERROR_NOT_TRUSTED`,
 * `HYPHA_ERROR_WRONG_ID`, `HYPHA_ERROR_TIMED_OUT`, `HYPHA_ERROR_BUSY` for one endpoint too many, or
 * `G_IO_ERROR_CANCELLED`.
 *
 * Returns: (transfer full): the peer, or %NULL with @error set
 */
HyphaPeer *
hypha_node_connect_finish (HyphaNode *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- listen ---- */

typedef struct {
  HyphaDoor *door;
  GTask *waiting; /* what the door answers; not owned */
  GSource *cancelled;
} Listening;

static void
listening_stop (Listening *listening)
{
  if (listening->cancelled != NULL)
    g_source_destroy (listening->cancelled);
  g_clear_pointer (&listening->cancelled, g_source_unref);
}

static void
listening_free (gpointer data)
{
  Listening *listening = data;

  listening_stop (listening);
  hypha_door_unref (listening->door);
  g_free (listening);
}

/* Nobody waits any more: what is not open yet is not to be. */
static gboolean
listen_cancelled (GCancellable *cancellable, gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Listening *listening = g_task_get_task_data (task);
  HyphaNode *self = HYPHA_NODE (g_task_get_source_object (task));
  HyphaDoor *door = listening->door;

  hypha_door_await_no_more (door, listening->waiting);
  if (hypha_door_is_unwanted (door) && g_ptr_array_find (self->doors, door, NULL)) {
    hypha_door_close (door);
    g_ptr_array_remove (self->doors, door);
    g_object_notify (G_OBJECT (self), "troubles");
  }
  return G_SOURCE_REMOVE;
}

static void
listen_awaited (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  char *bound = g_task_propagate_pointer (G_TASK (result), &error);

  listening_stop (g_task_get_task_data (task));
  if (bound != NULL) {
    g_task_return_pointer (task, bound, g_free);
    return;
  }
  hypha_node_reap (HYPHA_NODE (source));
  g_task_return_error (task, g_steal_pointer (&error));
}

/**
 * hypha_node_listen_async:
 * @self: a node
 * @endpoint: where to listen
 * @options: (nullable): of the type `a{sv}`, for what is to come: any is
 *   `HYPHA_ERROR_INVALID_ARGUMENT`
 * @cancellable: (nullable): to wait no longer; what is not open by then is given up, unless
 *   somebody else wants it
 * @callback: (scope async): called when the node listens, or cannot
 * @user_data: for @callback
 *
 * Listens on an endpoint for as long as the node lives, or until hypha_node_unlisten(). At most 256
 * beside those of the settings.
 */
void
hypha_node_listen_async (HyphaNode *self, const char *endpoint, GVariant *options,
                         GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data)
{
  g_autoptr (GTask) task = NULL;
  g_autoptr (GTask) inner = NULL;
  G_GNUC_UNUSED g_autoptr (GVariant) owned = options != NULL ? g_variant_ref_sink (options) : NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) parsed = NULL;
  HyphaDoor *door = NULL;
  Listening *listening;

  g_return_if_fail (HYPHA_IS_NODE (self));
  g_return_if_fail (endpoint != NULL);
  g_return_if_fail (options == NULL || g_variant_is_of_type (options, G_VARIANT_TYPE_VARDICT));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, hypha_node_listen_async);
  if (return_if_stopped (self, task))
    return;
  if (options != NULL && g_variant_n_children (options) > 0) {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                             _ ("to listen on %s: a node in the own process has no options for "
                                "this"),
                             endpoint);
    return;
  }
  parsed = hypha_loader_parse_endpoint (self->loader, endpoint, NULL, &error);
  for (guint i = 0; i < self->doors->len && parsed != NULL; i++)
    if (g_str_equal (hypha_door_get_uri (self->doors->pdata[i]), endpoint))
      door = self->doors->pdata[i];
  if (parsed != NULL && door == NULL && may_listen (self, endpoint, &error)) {
    door = hypha_door_new (self->loader, endpoint, FALSE, &hypha_node_door_events, self, &error);
    if (door != NULL)
      g_ptr_array_add (self->doors, door);
  }
  if (door == NULL) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  listening = g_new0 (Listening, 1);
  listening->door = hypha_door_ref (door);
  g_task_set_task_data (task, listening, listening_free);
  if (cancellable != NULL) {
    listening->cancelled = g_cancellable_source_new (cancellable);
    g_source_set_callback (listening->cancelled, G_SOURCE_FUNC (listen_cancelled), task, NULL);
    g_source_attach (listening->cancelled, NULL);
  }
  listening->waiting = inner = g_task_new (self, cancellable, listen_awaited, task);
  g_steal_pointer (&task);
  g_task_set_check_cancellable (inner, FALSE);
  g_task_set_source_tag (inner, hypha_door_await);
  hypha_door_await (door, inner);
}

/**
 * hypha_node_listen_finish:
 * @self: a node
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_node_listen_async() began.
 *
 * The error is `HYPHA_ERROR_INVALID_ENDPOINT`, `HYPHA_ERROR_NO_TRANSPORT`,
 * `HYPHA_ERROR_ADDRESS_IN_USE` and so on, `HYPHA_ERROR_BUSY` for one endpoint too many, or
 * `G_IO_ERROR_CANCELLED`.
 *
 * Returns: (transfer full): the endpoint in its canonical form and with its real port, or %NULL
 * with @error set
 */
char *
hypha_node_listen_finish (HyphaNode *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

gboolean
hypha_node_adopt (HyphaNode *self, int fd, const char *name, GError **error)
{
  struct sockaddr_storage address;
  socklen_t length;
  HyphaDoor *door;

  if (!hypha_socket_get_listening (fd, &address, &length, error)) {
    g_prefix_error (error, "%s: ", name);
    close (fd);
    return FALSE;
  }
  door = hypha_door_new_adopted (self->loader, fd, name, &hypha_node_door_events, self);
  /* Before the others: what they find taken must not be taken by one of them. */
  g_ptr_array_insert (self->doors, 0, door);
  hypha_door_open (door);
  return TRUE;
}

const char *
hypha_node_find_listening (HyphaNode *self, const char *endpoint)
{
  for (guint i = 0; i < self->doors->len; i++) {
    HyphaDoor *door = self->doors->pdata[i];

    if (!hypha_door_is_adopted (door) && (g_strcmp0 (hypha_door_get_bound (door), endpoint) == 0 ||
                                          g_str_equal (hypha_door_get_uri (door), endpoint)))
      return hypha_door_get_uri (door);
  }
  return NULL;
}

/**
 * hypha_node_unlisten:
 * @self: a node
 * @endpoint: one that is bound, or as it was given
 * @error: return location for an error
 *
 * Stops listening on an endpoint. Links that came in this way stay.
 *
 * Returns: whether the node listened there; if not, @error is set
 */
gboolean
hypha_node_unlisten (HyphaNode *self, const char *endpoint, GError **error)
{
  gboolean adopted = FALSE;

  g_return_val_if_fail (HYPHA_IS_NODE (self), FALSE);
  g_return_val_if_fail (endpoint != NULL, FALSE);

  for (guint i = 0; i < self->doors->len; i++) {
    HyphaDoor *door = self->doors->pdata[i];

    if (g_strcmp0 (hypha_door_get_bound (door), endpoint) != 0 &&
        !g_str_equal (hypha_door_get_uri (door), endpoint))
      continue;
    /* Whoever bound it would go on listening, and nobody would be served. */
    adopted = adopted || hypha_door_is_adopted (door);
    if (hypha_door_is_adopted (door))
      continue;
    hypha_door_close (door);
    g_ptr_array_remove_index (self->doors, i);
    g_object_notify (G_OBJECT (self), "listening");
    g_object_notify (G_OBJECT (self), "troubles");
    return TRUE;
  }
  if (adopted) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("the socket on %s was handed over at the start: stop the socket unit, or "
                    "whatever else holds it"),
                 endpoint);
    return FALSE;
  }
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("this node does not listen on %s: hyphactl status shows where it does"),
               endpoint);
  return FALSE;
}

/* ---- explain ---- */

static const char *
dialler_word (HyphaDialler *dialler)
{
  switch (hypha_dialler_get_state (dialler)) {
  case HYPHA_DIALLER_TRYING:
    return "trying";
  case HYPHA_DIALLER_WAITING:
    return hypha_dialler_get_trouble (dialler) != NULL ? "failed" : "waiting";
  default:
    return "waiting";
  }
}

/* The choice goes back to a cheaper link only when that has been cheaper for a while. */
static const char *
why_active (HyphaNodeLink *link, GPtrArray *links)
{
  for (guint i = 0; i < links->len; i++)
    if (hypha_node_link_is_live (links->pdata[i]) &&
        hypha_node_link_get_cost (links->pdata[i]) < hypha_node_link_get_cost (link))
      return _ ("in use until a cheaper one has proved itself");
  return hypha_node_link_is_live (link) ? _ ("the cheapest link that answers")
                                        : _ ("no link answers");
}

static GVariant *
explain_link (HyphaNodeLink *link, GPtrArray *links)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  const HyphaLinkStatus *status = hypha_link_get_status (hypha_node_link_get_link (link));
  gboolean active = hypha_node_link_get_active (link);
  const char *state = hypha_node_link_get_state (link);
  g_autofree char *serial =
      g_strdup_printf ("%" G_GUINT64_FORMAT, hypha_node_link_get_serial (link));

  g_variant_dict_insert (&dict, "endpoint", "s", hypha_node_link_get_remote (link));
  g_variant_dict_insert (&dict, "link", "s", serial);
  g_variant_dict_insert (&dict, "transport", "s", hypha_node_link_get_transport (link));
  g_variant_dict_insert (&dict, "static-cost", "u", hypha_node_link_get_static_cost (link));
  g_variant_dict_insert (&dict, "rtt-us", "t", hypha_node_link_get_rtt (link));
  g_variant_dict_insert (&dict, "penalty", "u", (guint32) atomic_load (&status->penalty));
  g_variant_dict_insert (&dict, "cost", "u", hypha_node_link_get_cost (link));
  g_variant_dict_insert (&dict, "state", "s",
                         active                      ? "active"
                         : g_str_equal (state, "up") ? "warm"
                                                     : state);
  g_variant_dict_insert (&dict, "reason", "s", active ? why_active (link, links) : "");
  g_variant_dict_insert (&dict, "chosen", "b", active);
  return g_variant_dict_end (&dict);
}

static GVariant *
explain_dialler (HyphaDialler *dialler)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  const char *trouble = hypha_dialler_get_trouble (dialler);

  g_variant_dict_insert (&dict, "endpoint", "s",
                         hypha_endpoint_to_string (hypha_dialler_get_endpoint (dialler)));
  g_variant_dict_insert (&dict, "link", "s", "");
  g_variant_dict_insert (&dict, "transport", "s",
                         hypha_endpoint_get_scheme (hypha_dialler_get_endpoint (dialler)));
  g_variant_dict_insert (&dict, "state", "s", dialler_word (dialler));
  g_variant_dict_insert (&dict, "reason", "s",
                         hypha_dialler_get_state (dialler) == HYPHA_DIALLER_TWIN
                             ? _ ("another link to the same place lives")
                         : trouble != NULL ? trouble
                                           : "");
  g_variant_dict_insert (&dict, "chosen", "b", FALSE);
  return g_variant_dict_end (&dict);
}

GVariant *
hypha_node_explain (HyphaNode *self, HyphaNodePeer *peer)
{
  g_autoptr (GPtrArray) links = hypha_node_peer_dup_links (peer);
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < links->len; i++)
    g_variant_builder_add_value (&builder, explain_link (links->pdata[i], links));
  for (guint i = 0; i < self->diallers->len; i++) {
    HyphaDialler *dialler = self->diallers->pdata[i];
    const HyphaNodeId *id = hypha_dialler_get_peer (dialler);

    if (hypha_dialler_get_state (dialler) != HYPHA_DIALLER_UP && id != NULL &&
        hypha_node_id_equal (id, hypha_node_peer_get_id (peer)))
      g_variant_builder_add_value (&builder, explain_dialler (dialler));
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}
