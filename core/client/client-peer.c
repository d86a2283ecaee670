/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-peer.h"

#include <glib/gi18n-lib.h>
#include <gio/gunixfdlist.h>
#include <glib/gstdio.h>

#include "client/client.h"
#include "dbus/errors.h"

/* What a call on the bus may take beyond what the peer is given. */
#define GRACE_MS 5000
/* How many ends may overtake the answers to OpenStream: those of other clients' streams count. */
#define MAX_EARLY 4096

struct _HyphaClientPeer {
  GObject parent_instance;
  GDBusObjectManager *objects; /* brings the proxy its signals */
  HyphaDBusPeer1 *proxy;
  char *id;            /* which the proxy forgets with the node */
  GHashTable *streams; /* id to Opened */
  guint opening;       /* calls of OpenStream under way */
  GQueue early;        /* guint64 *: ends that came meanwhile, perhaps of those streams */
};

enum { PROP_0, PROP_ID, PROP_NAME, PROP_TRUSTED, PROP_STATE, PROP_LINK_COST };
enum { STREAM_CLOSED, N_SIGNALS };
static guint signals[N_SIGNALS];

static void peer_iface_init (HyphaPeerInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaClientPeer, hypha_client_peer, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_PEER, peer_iface_init))

/* ---- streams ---- */

/* A stream that goes on, as far as is known here. */
typedef struct {
  HyphaClientPeer *peer; /* held: somebody has to take the end */
  guint64 id;
  GWeakRef stream; /* whoever has it decides how long it lives */
} Opened;

static void
opened_free (gpointer data)
{
  Opened *opened = data;

  g_weak_ref_clear (&opened->stream);
  g_object_unref (opened->peer);
  g_free (opened);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Opened, opened_free)

static void
end (Opened *opened, guint64 received, guint64 sent, const GError *error)
{
  g_autoptr (HyphaStream) stream = g_weak_ref_get (&opened->stream);

  if (stream)
    hypha_stream_ended (stream, received, sent, error);
}

static GError *
node_has_ended (void)
{
  return g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESTARTED, _ ("the node has ended"));
}

/* The node was there when the stream was opened. */
static GError *
clean_result_error (GError *error)
{
  hypha_client_clean_error (&error);
  if (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE) ||
      g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED)) {
    g_error_free (error);
    return node_has_ended ();
  }
  return error;
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Opened) opened = user_data;
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  guint64 received = 0, sent = 0;

  if (hypha_dbus_peer1_call_stream_result_finish (HYPHA_DBUS_PEER1 (source), &text, &received,
                                                  &sent, result, &error))
    error = hypha_dbus_error_from_text (text);
  else
    error = clean_result_error (g_steal_pointer (&error));
  end (opened, received, sent, error);
}

/* Only once the stream has ended: a bus lets a client wait for few answers at a time. */
static void
ask_result (Opened *opened)
{
  g_hash_table_steal (opened->peer->streams, &opened->id);
  hypha_dbus_peer1_call_stream_result (opened->peer->proxy, opened->id, G_DBUS_CALL_FLAGS_NONE, -1,
                                       NULL, on_result, opened);
}

static gboolean
ended_early (HyphaClientPeer *self, guint64 id)
{
  for (GList *e = self->early.head; e; e = e->next) {
    if (*(guint64 *) e->data == id)
      return TRUE;
  }
  return FALSE;
}

/* The descriptor of an answer, or -1. What else came along is closed. */
static int
take_descriptor (GUnixFDList *list, gint32 handle)
{
  int taken = -1;
  int n = 0;
  g_autofree int *fds = list != NULL ? g_unix_fd_list_steal_fds (list, &n) : NULL;

  for (int i = 0; i < n; i++) {
    if (i == handle)
      taken = fds[i];
    else
      g_close (fds[i], NULL);
  }
  return taken;
}

/**
 * hypha_client_peer_take_stream:
 * @self: a peer
 * @fds: (nullable): what came with a message; all of them are taken
 * @handle: which of them is the stream
 * @id: the stream's
 * @service: what it leads to
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL
 *
 * Makes a stream of what the node handed over. Its end is told.
 *
 * Returns: (transfer full) (nullable): the stream
 */
HyphaStream *
hypha_client_peer_take_stream (HyphaClientPeer *self, GUnixFDList *fds, GVariant *handle,
                               guint64 id, const char *service, GError **error)
{
  HyphaStream *stream;
  Opened *opened;
  int fd = take_descriptor (fds, g_variant_get_handle (handle));

  stream = fd >= 0 ? hypha_stream_new (fd, id, service) : NULL;
  if (stream == NULL) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
        _ ("no stream came along with the node's answer: is it a hyphad, and has this program "
           "descriptors left?"));
    return NULL;
  }
  opened = g_hash_table_lookup (self->streams, &id);
  if (opened != NULL) {
    g_autoptr (GError) twice = g_error_new (HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                                            _ ("the node gave another stream the same number"));

    end (opened, 0, 0, twice);
  }
  opened = g_new0 (Opened, 1);
  opened->peer = g_object_ref (self);
  opened->id = id;
  g_weak_ref_init (&opened->stream, stream);
  g_hash_table_replace (self->streams, &opened->id, opened);
  if (ended_early (self, id))
    ask_result (opened);
  return stream;
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) handle = NULL;
  g_autoptr (GError) error = NULL;
  HyphaClientPeer *self = g_task_get_source_object (task);
  HyphaStream *stream = NULL;
  guint64 id;

  if (hypha_dbus_peer1_call_open_stream_finish (HYPHA_DBUS_PEER1 (source), &handle, &id, &fds,
                                                result, &error))
    stream =
        hypha_client_peer_take_stream (self, fds, handle, id, g_task_get_task_data (task), &error);
  if (--self->opening == 0)
    g_queue_clear_full (&self->early, g_free);
  if (stream) {
    g_task_return_pointer (task, stream, g_object_unref);
  } else {
    hypha_client_clean_error (&error);
    g_task_return_error (task, g_steal_pointer (&error));
  }
}

/* TASK is taken. */
static void
open_async (HyphaClientPeer *self, const char *service, gboolean direct, guint timeout_ms,
            GCancellable *cancellable, GTask *task)
{
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  int call_timeout =
      timeout_ms > 0 && timeout_ms < G_MAXINT - GRACE_MS ? (int) timeout_ms + GRACE_MS : G_MAXINT;

  g_task_set_task_data (task, g_strdup (service), g_free);
  if (timeout_ms > 0)
    g_variant_dict_insert (&options, "timeout", "u", timeout_ms);
  if (direct)
    g_variant_dict_insert (&options, "direct", "b", TRUE);
  self->opening++;
  hypha_dbus_peer1_call_open_stream (self->proxy, service, g_variant_dict_end (&options),
                                     G_DBUS_CALL_FLAGS_NONE, call_timeout, NULL, cancellable,
                                     on_opened, task);
}

static void
open_stream_async (HyphaPeer *peer, const char *service, guint timeout_ms,
                   GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (peer, cancellable, callback, user_data);

  g_task_set_source_tag (task, open_stream_async);
  open_async (HYPHA_CLIENT_PEER (peer), service, FALSE, timeout_ms, cancellable, task);
}

static void
open_direct_async (HyphaPeer *peer, const char *service, guint timeout_ms,
                   GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (peer, cancellable, callback, user_data);

  g_task_set_source_tag (task, open_direct_async);
  open_async (HYPHA_CLIENT_PEER (peer), service, TRUE, timeout_ms, cancellable, task);
}

static HyphaStream *
open_stream_finish (HyphaPeer *peer, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
on_disconnected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;

  if (hypha_dbus_peer1_call_disconnect_finish (HYPHA_DBUS_PEER1 (source), result, &error)) {
    g_task_return_boolean (task, TRUE);
  } else {
    hypha_client_clean_error (&error);
    g_task_return_error (task, g_steal_pointer (&error));
  }
}

static void
disconnect_async (HyphaPeer *peer, GCancellable *cancellable, GAsyncReadyCallback callback,
                  gpointer user_data)
{
  HyphaClientPeer *self = HYPHA_CLIENT_PEER (peer);
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, disconnect_async);
  hypha_dbus_peer1_call_disconnect (self->proxy, G_DBUS_CALL_FLAGS_NONE, -1, cancellable,
                                    on_disconnected, task);
}

static gboolean
disconnect_finish (HyphaPeer *peer, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ---- what the proxy tells ---- */

static void
on_notify (GObject *proxy, GParamSpec *property, HyphaClientPeer *self)
{
  if (g_object_class_find_property (G_OBJECT_GET_CLASS (self), property->name))
    g_object_notify (G_OBJECT (self), property->name);
}

/* The interface speaks of object names: an empty one is none. */
static const char *
name_of (const char *path)
{
  const char *slash = strrchr (path, '/');

  return slash ? slash + 1 : path;
}

static void
on_link_changed (HyphaDBusPeer1 *proxy, const char *from, const char *to, const char *reason,
                 HyphaClientPeer *self)
{
  g_signal_emit_by_name (self, "link-changed", name_of (from), name_of (to), reason);
}

static void
on_stream_closed (HyphaDBusPeer1 *proxy, guint64 id, const char *error, guint64 received,
                  guint64 sent, HyphaClientPeer *self)
{
  Opened *opened = g_hash_table_lookup (self->streams, &id);

  if (opened) {
    ask_result (opened);
  } else if (self->opening > 0) {
    g_queue_push_tail (&self->early, g_memdup2 (&id, sizeof id));
    if (g_queue_get_length (&self->early) > MAX_EARLY)
      g_free (g_queue_pop_head (&self->early));
  }
  g_signal_emit (self, signals[STREAM_CLOSED], 0, id, error, received, sent);
}

/* Nobody will tell how they do. */
static void
end_all (HyphaClientPeer *self, const GError *error)
{
  g_autoptr (GHashTable) streams = g_steal_pointer (&self->streams);
  GHashTableIter iter;
  Opened *opened;

  self->streams = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, opened_free);
  g_hash_table_iter_init (&iter, streams);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &opened))
    end (opened, 0, 0, error);
}

static void
on_object_removed (GDBusObjectManager *objects, GDBusObject *object, HyphaClientPeer *self)
{
  g_autofree char *owner =
      g_dbus_object_manager_client_get_name_owner (G_DBUS_OBJECT_MANAGER_CLIENT (objects));
  GDBusConnection *connection = g_dbus_proxy_get_connection (G_DBUS_PROXY (self->proxy));
  g_autoptr (GError) error = NULL;

  if (!g_str_equal (g_dbus_object_get_object_path (object),
                    g_dbus_proxy_get_object_path (G_DBUS_PROXY (self->proxy))))
    return;
  /* On a private connection nobody has a name, and the node is there as long as that is. */
  error = owner || hypha_bus_is_private (connection)
              ? g_error_new (HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("the node has forgotten the peer"))
              : node_has_ended ();
  end_all (self, error);
}

static void
on_bus_closed (GDBusConnection *connection, gboolean remote_vanished, GError *reason,
               HyphaClientPeer *self)
{
  g_autoptr (GError) error = hypha_bus_is_private (connection)
                                 ? node_has_ended ()
                                 : g_error_new (HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                                                _ ("the bus is gone, and the node with it"));

  end_all (self, error);
}

/* A node that has just vanished has no properties any more. */
static const char *
or_empty (const char *text)
{
  return text ? text : "";
}

/**
 * hypha_client_peer_new:
 * @objects: what the node has on the bus
 * @proxy: a peer among them
 *
 * Returns: (transfer full): the same as a #HyphaPeer
 */
HyphaClientPeer *
hypha_client_peer_new (GDBusObjectManager *objects, HyphaDBusPeer1 *proxy)
{
  HyphaClientPeer *self = g_object_new (HYPHA_TYPE_CLIENT_PEER, NULL);

  self->objects = g_object_ref (objects);
  self->proxy = g_object_ref (proxy);
  self->id = g_strdup (or_empty (hypha_dbus_peer1_get_id (proxy)));
  g_signal_connect_object (objects, "object-removed", G_CALLBACK (on_object_removed), self, 0);
  g_signal_connect_object (g_dbus_proxy_get_connection (G_DBUS_PROXY (proxy)), "closed",
                           G_CALLBACK (on_bus_closed), self, 0);
  g_signal_connect_object (proxy, "notify", G_CALLBACK (on_notify), self, 0);
  g_signal_connect_object (proxy, "link-changed", G_CALLBACK (on_link_changed), self, 0);
  g_signal_connect_object (proxy, "stream-closed", G_CALLBACK (on_stream_closed), self, 0);
  return self;
}

/**
 * hypha_client_peer_get_proxy:
 * @self: a peer
 *
 * Returns: (transfer none): for what #HyphaPeer does not have
 */
HyphaDBusPeer1 *
hypha_client_peer_get_proxy (HyphaClientPeer *self)
{
  return self->proxy;
}

static HyphaPeerState
get_state (HyphaClientPeer *self)
{
  g_autoptr (GEnumClass) states = g_type_class_ref (HYPHA_TYPE_PEER_STATE);
  const char *text = or_empty (hypha_dbus_peer1_get_state (self->proxy));
  const GEnumValue *value = g_enum_get_value_by_nick (states, text);

  return value ? (HyphaPeerState) value->value : HYPHA_PEER_OFFLINE;
}

static void
hypha_client_peer_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaClientPeer *self = HYPHA_CLIENT_PEER (object);

  switch (id) {
  case PROP_ID:
    g_value_set_string (value, self->id);
    break;
  case PROP_NAME:
    g_value_set_string (value, or_empty (hypha_dbus_peer1_get_name (self->proxy)));
    break;
  case PROP_TRUSTED:
    g_value_set_boolean (value, hypha_dbus_peer1_get_trusted (self->proxy));
    break;
  case PROP_STATE:
    g_value_set_enum (value, get_state (self));
    break;
  case PROP_LINK_COST:
    g_value_set_uint (value, hypha_dbus_peer1_get_link_cost (self->proxy));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
hypha_client_peer_finalize (GObject *object)
{
  HyphaClientPeer *self = HYPHA_CLIENT_PEER (object);

  g_free (self->id);
  g_hash_table_unref (self->streams);
  g_queue_clear_full (&self->early, g_free);
  g_object_unref (self->proxy);
  g_object_unref (self->objects);
  G_OBJECT_CLASS (hypha_client_peer_parent_class)->finalize (object);
}

static void
peer_iface_init (HyphaPeerInterface *iface)
{
  iface->open_stream_async = open_stream_async;
  iface->open_stream_finish = open_stream_finish;
  iface->open_direct_async = open_direct_async;
  iface->open_direct_finish = open_stream_finish;
  iface->disconnect_async = disconnect_async;
  iface->disconnect_finish = disconnect_finish;
}

static void
hypha_client_peer_class_init (HyphaClientPeerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = hypha_client_peer_get_property;
  object_class->finalize = hypha_client_peer_finalize;
  g_object_class_override_property (object_class, PROP_ID, "id");
  g_object_class_override_property (object_class, PROP_NAME, "name");
  g_object_class_override_property (object_class, PROP_TRUSTED, "trusted");
  g_object_class_override_property (object_class, PROP_STATE, "state");
  g_object_class_override_property (object_class, PROP_LINK_COST, "link-cost");

  /**
   * HyphaClientPeer::stream-closed:
   * @self: the peer
   * @id: of the stream
   * @error: empty if both directions were finished
   * @received: bytes that came from the peer
   * @sent: bytes that the peer has
   */
  signals[STREAM_CLOSED] =
      g_signal_new ("stream-closed", HYPHA_TYPE_CLIENT_PEER, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                    G_TYPE_NONE, 4, G_TYPE_UINT64, G_TYPE_STRING, G_TYPE_UINT64, G_TYPE_UINT64);
}

static void
hypha_client_peer_init (HyphaClientPeer *self)
{
  self->streams = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, opened_free);
  g_queue_init (&self->early);
}
