/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/peer1.h"

#include "daemon/authority.h"
#include <errno.h>
#include <gio/gunixfdlist.h>
#include <glib/gi18n-lib.h>

#include "daemon/call-options.h"
#include "daemon/descriptors.h"
#include "daemon/sender.h"
#include "daemon/stream-results.h"
#include "dbus/errors.h"
#include "dbus/paths.h"

struct _HyphaPeer1 {
  HyphaDBusPeer1Skeleton parent_instance;
  HyphaNodePeer *peer;
};

static void peer1_iface_init (HyphaDBusPeer1Iface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaPeer1, hypha_peer1, HYPHA_DBUS_TYPE_PEER1_SKELETON,
                               G_IMPLEMENT_INTERFACE (HYPHA_DBUS_TYPE_PEER1, peer1_iface_init))

/* Read afresh whenever somebody asks; the rest is kept by the skeleton. */
enum { PROP_0, PROP_RX_BYTES, PROP_TX_BYTES };

typedef struct {
  HyphaPeer1 *self;
  GDBusMethodInvocation *invocation;
} Call;

static Call *
call_new (HyphaPeer1 *self, GDBusMethodInvocation *invocation)
{
  Call *call = g_new0 (Call, 1);

  call->self = g_object_ref (self);
  call->invocation = invocation;
  return call;
}

static void
call_free (Call *call)
{
  g_object_unref (call->self);
  g_free (call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Call, call_free)

/* Nobody is there to take it. Without a word it would look to the peer as if it were finished. */
static void
drop_stream (Call *call, HyphaStream *stream, GError *why)
{
  g_autoptr (GError) error = why;

  hypha_node_peer_close_stream (call->self->peer, hypha_stream_get_id (stream), NULL);
  hypha_dbus_return_error (call->invocation, error);
}

/* The client has the only copy of the program's end afterwards: when it goes, the stream knows. */
static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (HyphaSender) sender = NULL;
  g_autoptr (GError) error = NULL;
  int fd;

  stream = hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error);
  if (stream == NULL) {
    hypha_dbus_return_error (call->invocation, error);
    return;
  }
  if (g_cancellable_is_cancelled (hypha_sender_cancellable (call->invocation))) {
    drop_stream (call, stream,
                 g_error_new (HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("the caller has left")));
    return;
  }
  fd = hypha_stream_steal_fd (stream);
  if (fd < 0) {
    drop_stream (call, stream,
                 g_error_new (HYPHA_ERROR, HYPHA_ERROR_BUSY,
                              _ ("no descriptors for another stream: %s"), g_strerror (errno)));
    return;
  }
  fds = g_unix_fd_list_new_from_array (&fd, 1);
  sender = g_object_ref (hypha_sender_of (call->invocation));
  hypha_dbus_peer1_complete_open_stream (HYPHA_DBUS_PEER1 (call->self), call->invocation, fds,
                                         g_variant_new_handle (0), hypha_stream_get_id (stream));
  /* It asks at once, but is heard here afterwards. */
  hypha_stream_results_add (hypha_stream_results_of (call->self->peer), sender, stream);
}

static gboolean
handle_open_stream (HyphaDBusPeer1 *object, GDBusMethodInvocation *invocation, GUnixFDList *fds,
                    const char *service, GVariant *options)
{
  static const HyphaCallOption known[] = { { "timeout", "u" }, { "direct", "b" }, { NULL, NULL } };
  HyphaPeer1 *self = HYPHA_PEER1 (object);
  g_autoptr (GError) error = NULL;
  guint timeout = 0;
  gboolean direct = FALSE;

  if (!hypha_call_options_check (options, known, &error) ||
      !hypha_descriptors_check (invocation, &error)) {
    hypha_dbus_return_error (invocation, error);
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  }
  g_variant_lookup (options, "timeout", "u", &timeout);
  g_variant_lookup (options, "direct", "b", &direct);
  (direct ? hypha_peer_open_direct_async : hypha_peer_open_stream_async) (
      HYPHA_PEER (self->peer), service, timeout, hypha_sender_cancellable (invocation), on_opened,
      call_new (self, invocation));
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_stream_result (HyphaDBusPeer1 *object, GDBusMethodInvocation *invocation, guint64 id)
{
  hypha_stream_results_ask (hypha_stream_results_of (HYPHA_PEER1 (object)->peer), invocation, id);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_streams (HyphaDBusPeer1 *object, GDBusMethodInvocation *invocation)
{
  g_autoptr (GVariant) streams =
      g_variant_take_ref (hypha_node_peer_dup_streams (HYPHA_PEER1 (object)->peer));

  hypha_dbus_peer1_complete_streams (object, invocation, streams);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_close_stream (HyphaDBusPeer1 *object, GDBusMethodInvocation *invocation, guint64 id)
{
  g_autoptr (GError) error = NULL;

  if (hypha_node_peer_close_stream (HYPHA_PEER1 (object)->peer, id, &error))
    hypha_dbus_peer1_complete_close_stream (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static void
on_disconnected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Call) call = user_data;
  g_autoptr (GError) error = NULL;

  if (hypha_peer_disconnect_finish (HYPHA_PEER (source), result, &error))
    hypha_dbus_peer1_complete_disconnect (HYPHA_DBUS_PEER1 (call->self), call->invocation);
  else
    hypha_dbus_return_error (call->invocation, error);
}

static gboolean
handle_disconnect (HyphaDBusPeer1 *object, GDBusMethodInvocation *invocation)
{
  HyphaPeer1 *self = HYPHA_PEER1 (object);

  hypha_peer_disconnect_async (HYPHA_PEER (self->peer), NULL, on_disconnected,
                               call_new (self, invocation));
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static void
on_stream_closed (HyphaNodePeer *peer, guint64 id, const char *error, guint64 received,
                  guint64 sent, HyphaPeer1 *self)
{
  g_autofree char *valid = g_utf8_make_valid (error, -1);

  hypha_dbus_peer1_emit_stream_closed (HYPHA_DBUS_PEER1 (self), id, valid, received, sent);
}

static char *
path_of (const char *link)
{
  return *link ? hypha_dbus_path (HYPHA_DBUS_LINK, link) : g_strdup ("/");
}

static void
on_link_changed (HyphaPeer *peer, const char *from, const char *to, const char *reason,
                 HyphaPeer1 *self)
{
  g_autofree char *from_path = path_of (from);
  g_autofree char *to_path = path_of (to);

  hypha_peer1_refresh (self);
  hypha_dbus_peer1_emit_link_changed (HYPHA_DBUS_PEER1 (self), from_path, to_path, reason);
}

/**
 * hypha_peer1_refresh:
 * @self: the interface
 *
 * Takes over from the peer what has changed.
 */
void
hypha_peer1_refresh (HyphaPeer1 *self)
{
  HyphaPeer *peer = HYPHA_PEER (self->peer);
  HyphaNodeLink *best = hypha_node_peer_get_best_link (self->peer);
  g_autoptr (GPtrArray) links = hypha_node_peer_dup_links (self->peer);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree char *best_path = hypha_dbus_link_path (best ? hypha_node_link_get_serial (best) : 0);
  g_autofree char *name = hypha_peer_dup_name (peer);
  g_autofree char *valid = g_utf8_make_valid (name ? name : "", -1);
  g_auto (GStrv) paths = NULL;

  for (guint i = 0; i < links->len; i++) {
    g_autofree char *path = hypha_dbus_link_path (hypha_node_link_get_serial (links->pdata[i]));

    g_strv_builder_add (builder, path);
  }
  paths = g_strv_builder_end (builder);
  g_object_set (self, "name", valid, "trusted", hypha_peer_get_trusted (peer), "state",
                hypha_peer_state_to_string (hypha_peer_get_state (peer)), "link-cost",
                hypha_peer_get_link_cost (peer), "from", hypha_node_peer_get_from (self->peer),
                "best-link", best_path, "links", paths, NULL);
}

/**
 * hypha_peer1_new:
 * @peer: a peer of the node
 *
 * Returns: (transfer full): the interface, to be exported
 */
HyphaPeer1 *
hypha_peer1_new (HyphaNodePeer *peer)
{
  HyphaPeer1 *self =
      g_object_new (HYPHA_TYPE_PEER1, "id", hypha_node_peer_get_id_text (peer), NULL);

  self->peer = g_object_ref (peer);
  g_signal_connect_object (peer, "notify", G_CALLBACK (hypha_peer1_refresh), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (peer, "link-changed", G_CALLBACK (on_link_changed), self, 0);
  g_signal_connect_object (peer, "stream-closed", G_CALLBACK (on_stream_closed), self, 0);
  hypha_peer1_refresh (self);
  return self;
}

static void
hypha_peer1_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaPeer1 *self = HYPHA_PEER1 (object);
  guint64 received, sent;

  hypha_node_peer_get_counters (self->peer, &received, &sent);
  switch (id) {
  case PROP_RX_BYTES:
    g_value_set_uint64 (value, received);
    break;
  case PROP_TX_BYTES:
    g_value_set_uint64 (value, sent);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

/* The skeleton's properties are writable, so those that stand in for them must be; nobody writes
 * them. */
static void
hypha_peer1_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
hypha_peer1_finalize (GObject *object)
{
  HyphaPeer1 *self = HYPHA_PEER1 (object);

  g_object_unref (self->peer);
  G_OBJECT_CLASS (hypha_peer1_parent_class)->finalize (object);
}

static void
peer1_iface_init (HyphaDBusPeer1Iface *iface)
{
  iface->handle_open_stream = handle_open_stream;
  iface->handle_stream_result = handle_stream_result;
  iface->handle_streams = handle_streams;
  iface->handle_close_stream = handle_close_stream;
  iface->handle_disconnect = handle_disconnect;
}

static void
hypha_peer1_class_init (HyphaPeer1Class *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = hypha_peer1_get_property;
  object_class->set_property = hypha_peer1_set_property;
  object_class->finalize = hypha_peer1_finalize;
  hypha_authority_guard (G_DBUS_INTERFACE_SKELETON_CLASS (klass));
  g_object_class_override_property (object_class, PROP_RX_BYTES, "rx-bytes");
  g_object_class_override_property (object_class, PROP_TX_BYTES, "tx-bytes");
}

static void
hypha_peer1_init (HyphaPeer1 *self)
{
}
