/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-listener.h"

#include "hypha-channel-private.h"
#include "hypha-error.h"

typedef struct {
  HyphaEndpoint *bound;
  gboolean closed;
} HyphaListenerPrivate;

enum {
  PROP_BOUND = 1,
  N_PROPERTIES,
};

enum {
  SIGNAL_ACCEPTED,
  SIGNAL_FAILED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPERTIES];
static guint signals[N_SIGNALS];

/**
 * HyphaListener:
 *
 * Emits channels until it is closed.
 *
 * A transport derives from it, or uses hypha_socket_listener_new(). It lives on the thread that
 * listened, and all its signals are emitted there.
 */
G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (HyphaListener, hypha_listener, G_TYPE_OBJECT)

static HyphaListenerPrivate *
get_private (HyphaListener *self)
{
  return hypha_listener_get_instance_private (self);
}

static void
hypha_listener_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  HyphaListenerPrivate *priv = get_private (HYPHA_LISTENER (object));

  if (id == PROP_BOUND)
    priv->bound = g_value_dup_boxed (value);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
hypha_listener_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaListenerPrivate *priv = get_private (HYPHA_LISTENER (object));

  if (id == PROP_BOUND)
    g_value_set_boxed (value, priv->bound);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
hypha_listener_dispose (GObject *object)
{
  hypha_listener_close (HYPHA_LISTENER (object));
  G_OBJECT_CLASS (hypha_listener_parent_class)->dispose (object);
}

static void
hypha_listener_finalize (GObject *object)
{
  g_clear_pointer (&get_private (HYPHA_LISTENER (object))->bound, hypha_endpoint_unref);
  G_OBJECT_CLASS (hypha_listener_parent_class)->finalize (object);
}

static void
hypha_listener_class_init (HyphaListenerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->set_property = hypha_listener_set_property;
  object_class->get_property = hypha_listener_get_property;
  object_class->dispose = hypha_listener_dispose;
  object_class->finalize = hypha_listener_finalize;

  /**
   * HyphaListener:bound:
   *
   * Where it listens: canonical, and with the port that the kernel chose. A transport gives it when
   * it constructs the listener.
   */
  properties[PROP_BOUND] =
      g_param_spec_boxed ("bound", NULL, NULL, HYPHA_TYPE_ENDPOINT,
                          G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);

  /**
   * HyphaListener::accepted:
   * @self: the listener
   * @channel: a channel that has come in; take a reference to keep it
   *
   * Somebody has connected. A channel that no handler keeps is closed; a transport that can leaves
   * connections waiting until there is a handler.
   */
  signals[SIGNAL_ACCEPTED] = g_signal_new ("accepted", HYPHA_TYPE_LISTENER, G_SIGNAL_RUN_LAST, 0,
                                           NULL, NULL, NULL, G_TYPE_NONE, 1, HYPHA_TYPE_CHANNEL);

  /**
   * HyphaListener::failed:
   * @self: the listener
   * @error: why
   *
   * It has ended by itself, and is closed. One that nobody hears, for want of a handler of
   * [signal@Hypha.Listener::accepted], may not find out.
   */
  signals[SIGNAL_FAILED] = g_signal_new ("failed", HYPHA_TYPE_LISTENER, G_SIGNAL_RUN_LAST, 0, NULL,
                                         NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
hypha_listener_init (HyphaListener *self)
{
}

/**
 * hypha_listener_get_bound:
 * @self: a listener
 *
 * Gives where it listens: canonical, and with the port that the kernel chose.
 *
 * Returns: (transfer none): the endpoint
 */
HyphaEndpoint *
hypha_listener_get_bound (HyphaListener *self)
{
  g_return_val_if_fail (HYPHA_IS_LISTENER (self), NULL);

  return get_private (self)->bound;
}

/**
 * hypha_listener_close:
 * @self: a listener
 *
 * Stops accepting, at once. No signal comes after it. Closing a closed listener does nothing; the
 * last unref closes as well.
 */
void
hypha_listener_close (HyphaListener *self)
{
  HyphaListenerClass *klass;

  g_return_if_fail (HYPHA_IS_LISTENER (self));

  if (get_private (self)->closed)
    return;
  get_private (self)->closed = TRUE;
  klass = HYPHA_LISTENER_GET_CLASS (self);
  if (klass->close != NULL)
    klass->close (self);
}

/**
 * hypha_listener_is_closed:
 * @self: a listener
 *
 * Tells whether it has ended, by hypha_listener_close() or by itself.
 *
 * Returns: whether it is closed
 */
gboolean
hypha_listener_is_closed (HyphaListener *self)
{
  g_return_val_if_fail (HYPHA_IS_LISTENER (self), TRUE);

  return get_private (self)->closed;
}

/**
 * hypha_listener_is_heard:
 * @self: a listener
 *
 * Tells whether a channel that comes in now would be kept. Whoever asked for the listener may not
 * have come to it yet, or want no more for now; until he does, a transport lets people wait: a
 * channel that no handler keeps is closed.
 *
 * Returns: whether anybody is connected to [signal@Hypha.Listener::accepted]
 *
 * Since: ABI 1.2
 */
gboolean
hypha_listener_is_heard (HyphaListener *self)
{
  g_return_val_if_fail (HYPHA_IS_LISTENER (self), FALSE);

  return g_signal_has_handler_pending (self, signals[SIGNAL_ACCEPTED], 0, FALSE);
}

/**
 * hypha_listener_accepted:
 * @self: a listener
 * @channel: (transfer none): a channel that has come in
 *
 * For transports: hands a channel to whoever listens. Once @self is closed, it does nothing.
 *
 * A channel that is not what the contract says (see [class@Hypha.Channel]) ends the listener with
 * `HYPHA_ERROR_PLUGIN`.
 */
void
hypha_listener_accepted (HyphaListener *self, HyphaChannel *channel)
{
  g_autoptr (GError) error = NULL;
  HyphaEndpoint *bound;

  g_return_if_fail (HYPHA_IS_LISTENER (self));

  if (get_private (self)->closed)
    return;
  bound = get_private (self)->bound;
  if (hypha_channel_check (channel, bound != NULL ? hypha_endpoint_get_scheme (bound) : NULL,
                           &error))
    g_signal_emit (self, signals[SIGNAL_ACCEPTED], 0, channel);
  else
    hypha_listener_failed (self, error);
}

/**
 * hypha_listener_failed:
 * @self: a listener
 * @error: why it cannot go on
 *
 * For transports: closes @self and says why. Once @self is closed, it does nothing.
 */
void
hypha_listener_failed (HyphaListener *self, const GError *error)
{
  g_autoptr (GError) copy = NULL;

  g_return_if_fail (HYPHA_IS_LISTENER (self));
  g_return_if_fail (error != NULL);

  if (get_private (self)->closed)
    return;
  /* Closing may free what the error belongs to. */
  copy = g_error_copy (error);
  g_object_ref (self);
  hypha_listener_close (self);
  g_signal_emit (self, signals[SIGNAL_FAILED], 0, copy);
  g_object_unref (self);
}
