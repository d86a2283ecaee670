/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-channel.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/socket.h>

#include "hypha-channel-private.h"
#include "hypha-error.h"
#include "hypha-pump.h"

#define MAX_LINK_COST 1000000
#define BINDING_BYTES 32

/**
 * HyphaChannel:
 *
 * One connected stream descriptor from a transport, with its traits.
 *
 * The descriptor is always a stream socket, non-blocking and close-on-exec, so that the engine
 * needs to know nothing else. Where the bytes do not come from one kernel socket,
 * [ctor@Hypha.Channel.new_pumped] gives it one.
 *
 * The traits are told once by the transport, before it hands the channel over; a channel has no
 * lock.
 */
struct _HyphaChannel {
  GObject parent_instance;

  int fd;
  HyphaEndpoint *local;
  HyphaEndpoint *remote;
  HyphaChannelFlags flags;
  char *host;
  guint32 uid;
  gboolean has_uid;
  guint32 cid;
  gboolean has_cid;
  guint link_cost;
  gboolean has_link_cost;
  GBytes *binding;

  /* Why it ended, told by who pumps it. */
  GError *(*dup_error) (gpointer data);
  gpointer pump;
  GDestroyNotify release_pump;
};

G_DEFINE_FINAL_TYPE (HyphaChannel, hypha_channel, G_TYPE_OBJECT)

/**
 * hypha_channel_flags_get_type:
 *
 * The flags type of #HyphaChannelFlags.
 *
 * Returns: the type
 */
GType
hypha_channel_flags_get_type (void)
{
  static const GFlagsValue values[] = {
    { HYPHA_CHANNEL_NONE, "HYPHA_CHANNEL_NONE", "none" },
    { HYPHA_CHANNEL_KERNEL, "HYPHA_CHANNEL_KERNEL", "kernel" },
    { HYPHA_CHANNEL_PEER_IS_NODE, "HYPHA_CHANNEL_PEER_IS_NODE", "peer-is-node" },
    { HYPHA_CHANNEL_PRIVILEGED_PORT, "HYPHA_CHANNEL_PRIVILEGED_PORT", "privileged-port" },
    { HYPHA_CHANNEL_VOUCHED_ADDRESS, "HYPHA_CHANNEL_VOUCHED_ADDRESS", "vouched-address" },
    { HYPHA_CHANNEL_LOSSY, "HYPHA_CHANNEL_LOSSY", "lossy" },
    { HYPHA_CHANNEL_RELAYED, "HYPHA_CHANNEL_RELAYED", "relayed" },
    { 0, NULL, NULL },
  };
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_flags_register_static ("HyphaChannelFlags", values));
  return type;
}

static void
clear_pump (HyphaChannel *self)
{
  gpointer pump = g_steal_pointer (&self->pump);

  self->dup_error = NULL;
  if (self->release_pump != NULL)
    self->release_pump (pump);
  self->release_pump = NULL;
}

static void
hypha_channel_finalize (GObject *object)
{
  HyphaChannel *self = HYPHA_CHANNEL (object);

  if (self->fd >= 0)
    g_close (self->fd, NULL);
  g_clear_pointer (&self->local, hypha_endpoint_unref);
  g_clear_pointer (&self->remote, hypha_endpoint_unref);
  g_clear_pointer (&self->host, g_free);
  g_clear_pointer (&self->binding, g_bytes_unref);
  clear_pump (self);
  G_OBJECT_CLASS (hypha_channel_parent_class)->finalize (object);
}

static void
hypha_channel_class_init (HyphaChannelClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hypha_channel_finalize;
}

static void
hypha_channel_init (HyphaChannel *self)
{
  self->fd = -1;
}

/**
 * hypha_channel_new:
 * @fd: a connected stream socket; the channel closes it
 * @local: (nullable): this end, canonical; %NULL where the kernel does not say
 * @remote: (nullable): the other end, canonical; %NULL where the kernel does not say
 * @flags: what kernel and transport vouch for
 *
 * For transports: makes a channel of a descriptor, which becomes non-blocking and close-on-exec.
 *
 * Returns: (transfer full): the channel
 */
HyphaChannel *
hypha_channel_new (int fd, HyphaEndpoint *local, HyphaEndpoint *remote, HyphaChannelFlags flags)
{
  HyphaChannel *self = g_object_new (HYPHA_TYPE_CHANNEL, NULL);
  int descriptor_flags = fcntl (fd, F_GETFD), status_flags = fcntl (fd, F_GETFL);

  self->fd = fd;
  self->local = local != NULL ? hypha_endpoint_ref (local) : NULL;
  self->remote = remote != NULL ? hypha_endpoint_ref (remote) : NULL;
  self->flags = flags;
  /* What is not a descriptor at all is found out by hypha_channel_check(). */
  if (descriptor_flags >= 0 && !(descriptor_flags & FD_CLOEXEC))
    fcntl (fd, F_SETFD, descriptor_flags | FD_CLOEXEC);
  if (status_flags >= 0 && !(status_flags & O_NONBLOCK))
    fcntl (fd, F_SETFL, status_flags | O_NONBLOCK);
  return self;
}

static GError *
dup_error_of_pump (gpointer pump)
{
  return hypha_pump_dup_error (pump);
}

static void
unref_pump (gpointer pump)
{
  hypha_pump_unref (pump);
}

/**
 * hypha_channel_new_pumped:
 * @stream: a stream whose bytes do not come from one kernel socket
 * @local: (nullable): this end, canonical
 * @remote: (nullable): the other end, canonical
 * @error: return location for an error
 *
 * For transports: makes a channel of any stream. The channel holds one end of a socketpair; the
 * other end is copied to and from @stream on a thread of its own, with a main context of its own,
 * by asynchronous calls. @stream must stand that, and nobody else may use it from now on.
 *
 * An end of one direction is passed on as the end of that direction, by shutdown(2) where @stream
 * is a [class@Gio.SocketConnection] and by closing the output stream elsewhere. The end of
 * everything is the first of these: both directions have ended; the channel's descriptor was
 * closed; @stream failed. What has been read by then is delivered, for at most 2 s, and then
 * @stream is closed. [method@Hypha.Channel.dup_error] tells how it ended.
 *
 * The error is `HYPHA_ERROR_FAILED`, where the kernel grants no socketpair, no thread or no memory.
 *
 * Returns: (transfer full): the channel, or %NULL with @error set
 */
HyphaChannel *
hypha_channel_new_pumped (GIOStream *stream, HyphaEndpoint *local, HyphaEndpoint *remote,
                          GError **error)
{
  g_autoptr (HyphaChannel) self = NULL;
  HyphaPump *pump;
  int fds[2];

  g_return_val_if_fail (G_IS_IO_STREAM (stream), NULL);

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    int code = errno;

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                 _ ("cannot make a channel of a stream: %s"), g_strerror (code));
    return NULL;
  }
  self = hypha_channel_new (fds[0], local, remote, HYPHA_CHANNEL_NONE);
  pump = hypha_pump_start (fds[1], stream, error);
  if (pump == NULL)
    return NULL;
  hypha_channel_set_dup_error (self, dup_error_of_pump, pump, unref_pump);
  return g_steal_pointer (&self);
}

/**
 * hypha_channel_set_host:
 * @self: a channel
 * @host: (nullable): the other machine's name within the scheme: an IP address, a CID, `local`
 *
 * For transports. Two channels of one scheme to one host are twins.
 */
void
hypha_channel_set_host (HyphaChannel *self, const char *host)
{
  g_return_if_fail (HYPHA_IS_CHANNEL (self));

  g_free (self->host);
  self->host = g_strdup (host);
}

/**
 * hypha_channel_set_uid:
 * @self: a channel
 * @uid: the user id at the other end, as the kernel tells it
 *
 * For transports. Only what the kernel vouches for may be said here.
 */
void
hypha_channel_set_uid (HyphaChannel *self, guint32 uid)
{
  g_return_if_fail (HYPHA_IS_CHANNEL (self));

  self->uid = uid;
  self->has_uid = TRUE;
}

/**
 * hypha_channel_set_cid:
 * @self: a channel
 * @cid: the context id at the other end, as the kernel tells it
 *
 * For transports. Only what the kernel or the hypervisor vouches for may be said here.
 */
void
hypha_channel_set_cid (HyphaChannel *self, guint32 cid)
{
  g_return_if_fail (HYPHA_IS_CHANNEL (self));

  self->cid = cid;
  self->has_cid = TRUE;
}

/**
 * hypha_channel_set_binding:
 * @self: a channel
 * @binding: exactly 32 bytes that both ends of this encrypted channel know and nobody else can
 * choose, such as a TLS exporter's
 *
 * For transports that encrypt by themselves: the handshake signs @binding, and no TLS is put on
 * top.
 */
void
hypha_channel_set_binding (HyphaChannel *self, GBytes *binding)
{
  g_return_if_fail (HYPHA_IS_CHANNEL (self));
  g_return_if_fail (binding != NULL && g_bytes_get_size (binding) == BINDING_BYTES);

  g_bytes_ref (binding);
  g_clear_pointer (&self->binding, g_bytes_unref);
  self->binding = binding;
}

/**
 * hypha_channel_set_dup_error:
 * @self: a channel
 * @dup: (scope notified) (closure data) (destroy destroy): gives why the channel ended (transfer
 * full), or %NULL if it has not or ended well; called on any thread
 * @data: for @dup
 * @destroy: frees @data, when the channel is gone; on any thread
 *
 * For transports whose bytes do not come from one kernel socket, and that copy between a socketpair
 * and wherever they come from by themselves rather than by [ctor@Hypha.Channel.new_pumped], such as
 * on one thread for all: gives [method@Hypha.Channel.dup_error] something to tell. The error has to
 * be there before the descriptor shows its end.
 *
 * Since: ABI 1.2
 */
void
hypha_channel_set_dup_error (HyphaChannel *self, GError *(*dup) (gpointer data), gpointer data,
                             GDestroyNotify destroy)
{
  g_return_if_fail (HYPHA_IS_CHANNEL (self));
  g_return_if_fail (dup != NULL);

  clear_pump (self);
  self->dup_error = dup;
  self->pump = data;
  self->release_pump = destroy;
}

/**
 * hypha_channel_set_link_cost:
 * @self: a channel
 * @cost: the static cost of a link upon this channel
 *
 * For transports that know of this channel what its endpoint does not tell. What a user or the
 * endpoint says about the cost goes before it.
 *
 * Since: ABI 1.2
 */
void
hypha_channel_set_link_cost (HyphaChannel *self, guint cost)
{
  g_return_if_fail (HYPHA_IS_CHANNEL (self));

  self->link_cost = MIN (cost, MAX_LINK_COST);
  self->has_link_cost = TRUE;
}

/**
 * hypha_channel_get_local:
 * @self: a channel
 *
 * Gives this end of the channel.
 *
 * Returns: (transfer none) (nullable): the endpoint; %NULL: the kernel does not say
 */
HyphaEndpoint *
hypha_channel_get_local (HyphaChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), NULL);

  return self->local;
}

/**
 * hypha_channel_get_remote:
 * @self: a channel
 *
 * Gives the other end of the channel.
 *
 * Returns: (transfer none) (nullable): the endpoint; %NULL: the kernel does not say
 */
HyphaEndpoint *
hypha_channel_get_remote (HyphaChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), NULL);

  return self->remote;
}

/**
 * hypha_channel_get_flags:
 * @self: a channel
 *
 * Gives what kernel and transport vouch for.
 *
 * Returns: the flags
 */
HyphaChannelFlags
hypha_channel_get_flags (HyphaChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), HYPHA_CHANNEL_NONE);

  return self->flags;
}

/**
 * hypha_channel_get_host:
 * @self: a channel
 *
 * Gives the name of the other machine within the scheme.
 *
 * Returns: (nullable): the host; %NULL: not known
 */
const char *
hypha_channel_get_host (HyphaChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), NULL);

  return self->host;
}

/**
 * hypha_channel_get_uid:
 * @self: a channel
 * @uid: (out) (optional): the user id at the other end
 *
 * Gives the user id for which the kernel vouches.
 *
 * Returns: whether it is known
 */
gboolean
hypha_channel_get_uid (HyphaChannel *self, guint32 *uid)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), FALSE);

  if (self->has_uid && uid != NULL)
    *uid = self->uid;
  return self->has_uid;
}

/**
 * hypha_channel_get_cid:
 * @self: a channel
 * @cid: (out) (optional): the context id at the other end
 *
 * Gives the context id for which kernel or hypervisor vouches.
 *
 * Returns: whether it is known
 */
gboolean
hypha_channel_get_cid (HyphaChannel *self, guint32 *cid)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), FALSE);

  if (self->has_cid && cid != NULL)
    *cid = self->cid;
  return self->has_cid;
}

/**
 * hypha_channel_get_binding:
 * @self: a channel
 *
 * Gives the channel binding of a transport that encrypts by itself.
 *
 * Returns: (transfer none) (nullable): 32 bytes; %NULL: the transport does not encrypt
 */
GBytes *
hypha_channel_get_binding (HyphaChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), NULL);

  return self->binding;
}

/**
 * hypha_channel_get_link_cost:
 * @self: a channel
 * @cost: (out) (optional): the static cost of a link upon this channel
 *
 * Gives what the transport has said of this very channel.
 *
 * Returns: whether it has
 *
 * Since: ABI 1.2
 */
gboolean
hypha_channel_get_link_cost (HyphaChannel *self, guint *cost)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), FALSE);

  if (self->has_link_cost && cost != NULL)
    *cost = self->link_cost;
  return self->has_link_cost;
}

/**
 * hypha_channel_get_fd:
 * @self: a channel
 *
 * Gives the descriptor, which stays the channel's.
 *
 * Returns: the descriptor, or -1 once it was stolen
 */
int
hypha_channel_get_fd (HyphaChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), -1);

  return self->fd;
}

/**
 * hypha_channel_steal_fd:
 * @self: a channel
 *
 * Takes the descriptor away; the caller closes it. A pump behind it goes on, also without the
 * channel.
 *
 * Returns: the descriptor, or -1 if it was stolen before
 */
int
hypha_channel_steal_fd (HyphaChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), -1);

  return g_steal_fd (&self->fd);
}

/**
 * hypha_channel_dup_error:
 * @self: a channel
 *
 * Tells why a pumped channel ended. Whoever has read the end of the descriptor gets the error that
 * caused it.
 *
 * Returns: (transfer full) (nullable): the error; %NULL if it has not ended, ended well, or is not
 * pumped
 */
GError *
hypha_channel_dup_error (HyphaChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_CHANNEL (self), NULL);

  return self->dup_error != NULL ? self->dup_error (self->pump) : NULL;
}

/* Checking. Whether it is still connected is not asked: the other end may have hung up already. */

static const char *
find_breach_of_descriptor (int fd)
{
  int value = 0;
  socklen_t length = sizeof value;
  int status = fd >= 0 ? fcntl (fd, F_GETFL) : -1;

  if (status < 0)
    return _ ("a channel without an open descriptor");
  if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &value, &length) != 0 || value != SOCK_STREAM)
    return _ ("a channel whose descriptor is not a stream socket");
  if (getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0)
    return _ ("a channel whose descriptor is a listening socket");
  if ((status & O_NONBLOCK) == 0)
    return _ ("a channel whose descriptor blocks");
  return NULL;
}

static gboolean
has_scheme (HyphaEndpoint *endpoint, const char *scheme)
{
  return endpoint == NULL || scheme == NULL ||
         g_str_equal (hypha_endpoint_get_scheme (endpoint), scheme);
}

static const char *
find_breach (HyphaChannel *channel, const char *scheme)
{
  if (!HYPHA_IS_CHANNEL (channel))
    return _ ("something that is not a channel");
  if (!has_scheme (channel->local, scheme))
    return _ ("a channel whose local endpoint has another scheme");
  if (!has_scheme (channel->remote, scheme))
    return _ ("a channel whose remote endpoint has another scheme");
  return find_breach_of_descriptor (channel->fd);
}

gboolean
hypha_channel_check (HyphaChannel *channel, const char *scheme, GError **error)
{
  const char *breach = find_breach (channel, scheme);

  if (breach == NULL)
    return TRUE;
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
      _ ("the transport '%s' broke its contract: it handed over %s; report it to the author "
         "of the plug-in"),
      scheme != NULL ? scheme : _ ("(without a scheme)"), breach);
  return FALSE;
}
