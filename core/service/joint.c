/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/joint.h"

#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <hypha-source.h>
#include <inttypes.h>

#include "io/hard-close.h"
#include "loader/dial.h"
#include "service/request.h"

/* From the connection to the peer's answer. */
#define OPEN_TIMEOUT_MS 10000

/* The answer to a request. The number means nothing, with VMMs neither; it is as large as theirs.
 */
#define OK "OK 1073741824\n"

struct _HyphaJoint {
  HyphaNode *node;     /* or */
  HyphaLoader *loader; /* for an endpoint, which is SERVICE then */
  HyphaBuiltins *builtins;
  GCancellable *dialling; /* NULL: it is not */
  HyphaChannel *target;
  char *name, *service; /* of the peer, as it was given; SERVICE NULL: the connection says it */
  HyphaRequest request;
  GSource *more; /* of the request */
  HyphaChannel *channel;
  HyphaNodePeer *peer; /* while it is waited for */
  gulong state_handler;
  guint timer;
  gint64 deadline; /* monotonic */
  gboolean joined; /* the descriptor is with the stream */
  HyphaJointEnded ended;
  gpointer user_data;
};

static void
stop_waiting (HyphaJoint *self)
{
  if (self->peer != NULL)
    g_clear_signal_handler (&self->state_handler, self->peer);
  g_clear_object (&self->peer);
  g_clear_handle_id (&self->timer, g_source_remove);
  hypha_clear_source (&self->more);
}

static void
joint_free (HyphaJoint *self)
{
  stop_waiting (self);
  g_clear_object (&self->node);
  g_clear_object (&self->loader);
  g_clear_object (&self->dialling);
  g_clear_object (&self->target);
  g_object_unref (self->channel);
  g_free (self->name);
  g_free (self->service);
  g_free (self);
}

/* Before it was joined. */
static void
fail (HyphaJoint *self, const GError *error)
{
  hypha_hard_close (hypha_channel_steal_fd (self->channel));
  self->ended (self, 0, 0, error, self->user_data);
  joint_free (self);
}

static void
on_joined (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaJoint *self = user_data;
  g_autoptr (GError) error = NULL;
  guint64 received, sent;

  hypha_node_peer_join_finish (HYPHA_NODE_PEER (source), result, &received, &sent, &error);
  if (self->ended != NULL)
    self->ended (self, received, sent, error, self->user_data);
  joint_free (self);
}

static void
join (HyphaJoint *self)
{
  g_autoptr (HyphaNodePeer) peer = g_object_ref (self->peer);
  gint64 left = (self->deadline - g_get_monotonic_time ()) / G_TIME_SPAN_MILLISECOND;

  stop_waiting (self);
  self->joined = TRUE;
  /* A pumped channel has to live as long as its descriptor is used. */
  hypha_node_peer_join_async (peer, self->service, hypha_channel_steal_fd (self->channel),
                              G_OBJECT (self->channel), self->request.length > 0 ? OK : NULL,
                              (guint) MAX (left, 1), on_joined, self);
}

/* A peer without a link may get one in time; to one that is not trusted the answer is known. */
static gboolean
may_come (HyphaNodePeer *peer)
{
  HyphaPeerState state = hypha_peer_get_state (HYPHA_PEER (peer));

  return state == HYPHA_PEER_OFFLINE || state == HYPHA_PEER_CONNECTING;
}

static void
on_state (HyphaJoint *self)
{
  if (!may_come (self->peer))
    join (self);
}

static gboolean
timed_out (gpointer data)
{
  HyphaJoint *self = data;
  g_autoptr (GError) error = NULL;

  self->timer = 0;
  if (self->peer != NULL)
    error =
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_OFFLINE,
                     _ ("there was no link to %s within %d s: hyphactl connect ENDPOINT makes one"),
                     self->name, OPEN_TIMEOUT_MS / 1000);
  else
    error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                         _ ("a connection did not say within %d s what it wants"),
                         OPEN_TIMEOUT_MS / 1000);
  fail (self, error);
  return G_SOURCE_REMOVE;
}

/* ---- what it wants ---- */

static void
find_peer (HyphaJoint *self)
{
  g_autoptr (GError) error = NULL;
  HyphaNodePeer *peer = hypha_node_lookup (self->node, self->name, &error);

  if (peer == NULL) {
    fail (self, error);
    return;
  }
  self->peer = g_object_ref (peer);
  if (!may_come (peer)) {
    join (self);
    return;
  }
  self->state_handler =
      g_signal_connect_swapped (peer, "notify::state", G_CALLBACK (on_state), self);
}

static gboolean
on_more (int fd, GIOCondition condition, gpointer data)
{
  HyphaJoint *self = data;
  g_autoptr (GError) error = NULL;
  HyphaRequestState state = hypha_request_read (&self->request, fd, &error);

  if (state == HYPHA_REQUEST_MORE)
    return G_SOURCE_CONTINUE;
  if (state == HYPHA_REQUEST_DONE)
    self->service = hypha_request_dup_service (&self->request, &error);
  hypha_clear_source (&self->more);
  if (self->service != NULL)
    find_peer (self);
  else
    fail (self, error);
  return G_SOURCE_REMOVE;
}

static void
ask (HyphaJoint *self)
{
  self->more = g_unix_fd_source_new (hypha_channel_get_fd (self->channel), G_IO_IN);
  g_source_set_callback (self->more, G_SOURCE_FUNC (on_more), self, NULL);
  g_source_attach (self->more, g_main_context_get_thread_default ());
}

/* ---- to an endpoint ---- */

static void
on_bridged (guint64 there, guint64 back, const GError *error, gpointer user_data)
{
  HyphaJoint *self = user_data;

  if (self->ended != NULL)
    self->ended (self, back, there, error, self->user_data);
  joint_free (self);
}

static void
on_dialled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaJoint *self = user_data;
  g_autoptr (GError) error = NULL;

  self->target = hypha_loader_dial_finish (HYPHA_LOADER (source), result, &error);
  g_clear_object (&self->dialling);
  if (self->ended == NULL) {
    joint_free (self); /* it was abandoned */
    return;
  }
  if (self->target == NULL) {
    fail (self, error);
    return;
  }
  self->joined = TRUE;
  /* Pumped channels have to live as long as their descriptors are used. */
  if (hypha_builtins_join (self->builtins, hypha_channel_steal_fd (self->channel),
                           hypha_channel_steal_fd (self->target), on_bridged, self, &error))
    return;
  self->ended (self, 0, 0, error, self->user_data);
  joint_free (self);
}

static void
dial (HyphaJoint *self)
{
  self->dialling = g_cancellable_new ();
  hypha_loader_dial_async (self->loader, self->service, OPEN_TIMEOUT_MS, self->dialling, on_dialled,
                           self);
}

static HyphaJoint *
joint_new (const char *service, HyphaChannel *channel, HyphaJointEnded ended, gpointer user_data)
{
  HyphaJoint *self = g_new0 (HyphaJoint, 1);

  self->service = g_strdup (service);
  self->channel = g_object_ref (channel);
  self->ended = ended;
  self->user_data = user_data;
  self->deadline = g_get_monotonic_time () + OPEN_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;
  return self;
}

/**
 * hypha_joint_new: (skip)
 * @node: a node
 * @peer: a name, an id, or a unique beginning of an id
 * @service: (nullable): of the peer; %NULL: the connection says which, as to the vsock of a machine
 * @channel: who connected; its descriptor is taken
 * @ended: told at the end
 * @user_data: for @ended
 *
 * Returns: (transfer none): the joint, which frees itself after @ended or hypha_joint_abandon()
 */
HyphaJoint *
hypha_joint_new (HyphaNode *node, const char *peer, const char *service, HyphaChannel *channel,
                 HyphaJointEnded ended, gpointer user_data)
{
  HyphaJoint *self = joint_new (service, channel, ended, user_data);

  self->node = g_object_ref (node);
  self->name = g_strdup (peer);
  return self;
}

/**
 * hypha_joint_new_for_endpoint: (skip)
 * @loader: of the node
 * @builtins: (transfer none): who moves the bytes
 * @target: an endpoint
 * @channel: who connected; its descriptor is taken
 * @ended: told at the end
 * @user_data: for @ended
 *
 * Returns: (transfer none): the joint, which frees itself after @ended or hypha_joint_abandon()
 */
HyphaJoint *
hypha_joint_new_for_endpoint (HyphaLoader *loader, HyphaBuiltins *builtins, const char *target,
                              HyphaChannel *channel, HyphaJointEnded ended, gpointer user_data)
{
  HyphaJoint *self = joint_new (target, channel, ended, user_data);

  self->loader = g_object_ref (loader);
  self->builtins = builtins;
  return self;
}

/**
 * hypha_joint_start: (skip)
 * @self: a joint
 *
 * Hears what the connection wants, if that is not known, looks the peer up, and opens the stream as
 * soon as there is a link to it; or connects to the endpoint.
 */
void
hypha_joint_start (HyphaJoint *self)
{
  if (self->loader != NULL) {
    dial (self);
    return;
  }
  self->timer = g_timeout_add (OPEN_TIMEOUT_MS, timed_out, self);
  if (self->service == NULL)
    ask (self);
  else
    find_peer (self);
}

/**
 * hypha_joint_abandon: (skip)
 * @self: a joint that has not ended
 *
 * Nobody is told of its end any more. If it still waits, it is reset; a stream that is open goes
 * on.
 */
void
hypha_joint_abandon (HyphaJoint *self)
{
  self->ended = NULL;
  if (self->joined)
    return;
  hypha_hard_close (hypha_channel_steal_fd (self->channel));
  if (self->dialling != NULL)
    g_cancellable_cancel (self->dialling);
  else
    joint_free (self);
}
