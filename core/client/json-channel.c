/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/json-channel-private.h"

#include <gio/gunixoutputstream.h>
#include <glib/gi18n-lib.h>

#include "hypha-stream.h"

#define DEFAULT_MAX_SIZE (16 * 1024 * 1024)

/**
 * HyphaJsonChannel:
 *
 * Messages in JSON over any stream.
 *
 * A message is a [struct@Json.Node]. On the stream it has its length before it, or a line of its
 * own ([enum@Hypha.JsonFraming]); the other end is whatever speaks that, in any language.
 *
 * Sending, receiving and calling (sending a request, and receiving the message that answers it) may
 * be begun at any time, also while others are under way: messages go out in the order in which they
 * were begun, and messages that come are given to those who wait for one in the order in which they
 * began to. So calls need not wait for each other, if the other end answers in order.
 *
 * What comes is not believed. A message is read as RFC 8259 has it and no other way; none is longer
 * than [property@Hypha.JsonChannel:max-size], its values take at most eight times as much memory
 * (and 64 KiB), arrays and objects lie at most 64 deep in each other, and an object has at most
 * 4096 names. A message that is not
 * taken for what is in it is `HYPHA_ERROR_PROTOCOL`, and the next one can be received. Where the
 * next one begins is unknown after a message that is too long, or that was given up when it had
 * been moved in part, by [property@Hypha.JsonChannel:timeout] or by cancelling; and whose the next
 * one is, after a call that was given up when its request was out. From then on that direction is
 * `G_IO_ERROR_CLOSED`, and the error says why. TLS, and what may be like it, keeps a part of a
 * message that has to wait, and does not tell: there, what waited and was given up was moved in
 * part.
 *
 * The channel neither closes the stream nor shuts down its directions, nor does it look at a
 * deadline of the stream's own. With lengths it never reads more of the stream than the messages
 * that were asked for; with lines it may have read a part of what follows. A stream that cannot be
 * polled is moved by a thread (see [ctor@Hypha.Channel.new_pumped]), and is closed when the channel
 * ends; sockets, pipes, TLS and [class@Hypha.Stream] can be polled.
 *
 * A channel is for one thread at a time.
 */
enum { PROP_STREAM = 1, PROP_FRAMING, PROP_MAX_SIZE, PROP_TIMEOUT, N_PROPERTIES };

static GParamSpec *properties[N_PROPERTIES];

G_DEFINE_FINAL_TYPE (HyphaJsonChannel, hypha_json_channel, G_TYPE_OBJECT)

static const GEnumValue framings[] = {
  { HYPHA_JSON_FRAMING_LENGTH, "HYPHA_JSON_FRAMING_LENGTH", "length" },
  { HYPHA_JSON_FRAMING_LINES, "HYPHA_JSON_FRAMING_LINES", "lines" },
  { 0, NULL, NULL },
};

/**
 * hypha_json_framing_get_type:
 *
 * The enumeration type of #HyphaJsonFraming.
 *
 * Returns: the type
 */
GType
hypha_json_framing_get_type (void)
{
  static gsize type = 0;

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("HyphaJsonFraming", framings));
  return type;
}

static gboolean
can_poll (GIOStream *stream)
{
  GInputStream *source = g_io_stream_get_input_stream (stream);
  GOutputStream *sink = g_io_stream_get_output_stream (stream);

  return G_IS_POLLABLE_INPUT_STREAM (source) &&
         g_pollable_input_stream_can_poll (G_POLLABLE_INPUT_STREAM (source)) &&
         G_IS_POLLABLE_OUTPUT_STREAM (sink) &&
         g_pollable_output_stream_can_poll (G_POLLABLE_OUTPUT_STREAM (sink));
}

/* Whether a write that would block has surely taken nothing. TLS may have the bytes: whatever it is
 * given next, it goes on with those, and says that it has taken the new ones. */
static gboolean
takes_what_it_says (GIOStream *stream)
{
  return HYPHA_IS_STREAM (stream) ||
         G_IS_UNIX_OUTPUT_STREAM (g_io_stream_get_output_stream (stream)) ||
         (G_IS_SOCKET_CONNECTION (stream) && !G_IS_TCP_WRAPPER_CONNECTION (stream));
}

static GIOStream *
pump (HyphaJsonChannel *self, GError **error)
{
  self->pumped = hypha_channel_new_pumped (self->stream, NULL, NULL, error);
  return self->pumped != NULL ? G_IO_STREAM (hypha_stream_new_for_channel (self->pumped, error))
                              : NULL;
}

/* What has no stream, or is granted no pump, tells so when it is used. */
static void
hypha_json_channel_constructed (GObject *object)
{
  HyphaJsonChannel *self = HYPHA_JSON_CHANNEL (object);
  g_autoptr (GError) error = NULL;

  G_OBJECT_CLASS (hypha_json_channel_parent_class)->constructed (object);
  if (self->stream == NULL)
    g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_CLOSED, _ ("the stream is closed"));
  else if (can_poll (self->stream))
    self->moved = g_object_ref (self->stream);
  else
    self->moved = pump (self, &error);
  self->may_keep = self->moved != NULL && !takes_what_it_says (self->moved);
  if (error != NULL) {
    self->out.broken = g_error_copy (error);
    self->in.broken = g_steal_pointer (&error);
  }
}

static void
hypha_json_channel_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaJsonChannel *self = HYPHA_JSON_CHANNEL (object);

  switch (id) {
  case PROP_STREAM:
    g_value_set_object (value, self->stream);
    break;
  case PROP_FRAMING:
    g_value_set_enum (value, self->input.framing);
    break;
  case PROP_MAX_SIZE:
    g_value_set_uint (value, self->max_size);
    break;
  case PROP_TIMEOUT:
    g_value_set_uint (value, self->in.timeout_ms);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
hypha_json_channel_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  HyphaJsonChannel *self = HYPHA_JSON_CHANNEL (object);

  switch (id) {
  case PROP_STREAM:
    self->stream = g_value_dup_object (value);
    break;
  case PROP_FRAMING:
    self->input.framing = g_value_get_enum (value);
    break;
  case PROP_MAX_SIZE:
    hypha_json_channel_set_max_size (self, g_value_get_uint (value));
    break;
  case PROP_TIMEOUT:
    hypha_json_channel_set_timeout (self, g_value_get_uint (value));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
hypha_json_channel_finalize (GObject *object)
{
  HyphaJsonChannel *self = HYPHA_JSON_CHANNEL (object);

  hypha_json_lane_clear (&self->out);
  hypha_json_lane_clear (&self->in);
  hypha_json_input_clear (&self->input);
  g_clear_object (&self->moved);
  g_clear_object (&self->pumped);
  g_clear_object (&self->stream);
  G_OBJECT_CLASS (hypha_json_channel_parent_class)->finalize (object);
}

static void
hypha_json_channel_class_init (HyphaJsonChannelClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags once = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;

  object_class->constructed = hypha_json_channel_constructed;
  object_class->get_property = hypha_json_channel_get_property;
  object_class->set_property = hypha_json_channel_set_property;
  object_class->finalize = hypha_json_channel_finalize;

  /**
   * HyphaJsonChannel:stream:
   *
   * What the messages go over.
   */
  properties[PROP_STREAM] = g_param_spec_object ("stream", NULL, NULL, G_TYPE_IO_STREAM, once);
  /**
   * HyphaJsonChannel:framing:
   *
   * How messages are told from each other.
   */
  properties[PROP_FRAMING] = g_param_spec_enum ("framing", NULL, NULL, HYPHA_TYPE_JSON_FRAMING,
                                                HYPHA_JSON_FRAMING_LENGTH, once);
  /**
   * HyphaJsonChannel:max-size:
   *
   * How many bytes a message may have, without what tells it from the next one.
   */
  properties[PROP_MAX_SIZE] =
      g_param_spec_uint ("max-size", NULL, NULL, 1, G_MAXINT32, DEFAULT_MAX_SIZE, flags);
  /**
   * HyphaJsonChannel:timeout:
   *
   * How long sending a message, or receiving one, may take as a whole, in milliseconds; 0: as long
   * as it likes.
   */
  properties[PROP_TIMEOUT] = g_param_spec_uint ("timeout", NULL, NULL, 0, G_MAXUINT, 0, flags);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
hypha_json_channel_init (HyphaJsonChannel *self)
{
  self->max_size = DEFAULT_MAX_SIZE;
  self->out.funcs = &hypha_json_out_funcs;
  self->in.funcs = &hypha_json_in_funcs;
  self->out.channel = self->in.channel = self;
  g_queue_init (&self->out.turns);
  g_queue_init (&self->in.turns);
}

/**
 * hypha_json_channel_new:
 * @stream: any stream
 * @framing: how messages are told from each other on it
 *
 * Makes a channel upon a stream, of which it keeps a reference. From now on nobody else reads the
 * stream while something is being received, or writes to it while something is being sent.
 *
 * Returns: (transfer full): the channel
 */
HyphaJsonChannel *
hypha_json_channel_new (GIOStream *stream, HyphaJsonFraming framing)
{
  g_return_val_if_fail (G_IS_IO_STREAM (stream), NULL);

  return g_object_new (HYPHA_TYPE_JSON_CHANNEL, "stream", stream, "framing", framing, NULL);
}

/**
 * hypha_json_channel_get_stream:
 * @self: a channel
 *
 * Gives what the messages go over: to close it, or one direction of it, is its owner's business.
 *
 * Returns: (transfer none): the stream
 */
GIOStream *
hypha_json_channel_get_stream (HyphaJsonChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_JSON_CHANNEL (self), NULL);

  return self->stream;
}

/**
 * hypha_json_channel_get_framing:
 * @self: a channel
 *
 * Gives how messages are told from each other.
 *
 * Returns: the framing
 */
HyphaJsonFraming
hypha_json_channel_get_framing (HyphaJsonChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_JSON_CHANNEL (self), HYPHA_JSON_FRAMING_LENGTH);

  return self->input.framing;
}

/**
 * hypha_json_channel_set_max_size:
 * @self: a channel
 * @max_size: bytes, at least 1 and at most 2147483647
 *
 * Sets how long a message may be: one that is to be sent is looked at when that begins, one that
 * comes whenever something comes of it.
 */
void
hypha_json_channel_set_max_size (HyphaJsonChannel *self, guint max_size)
{
  g_return_if_fail (HYPHA_IS_JSON_CHANNEL (self));
  g_return_if_fail (max_size >= 1 && max_size <= G_MAXINT32);

  if (self->max_size == max_size)
    return;
  self->max_size = max_size;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_MAX_SIZE]);
}

/**
 * hypha_json_channel_get_max_size:
 * @self: a channel
 *
 * Gives how long a message may be, without what tells it from the next one.
 *
 * Returns: bytes
 */
guint
hypha_json_channel_get_max_size (HyphaJsonChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_JSON_CHANNEL (self), 0);

  return self->max_size;
}

/**
 * hypha_json_channel_set_timeout:
 * @self: a channel
 * @timeout_ms: milliseconds; 0: none
 *
 * Sets how long it may take to send a message, and to receive one, each as a whole and from the
 * moment when its turn has come. A call may take it twice: for its request, and then for the reply.
 * It holds for what has to wait from now on.
 */
void
hypha_json_channel_set_timeout (HyphaJsonChannel *self, guint timeout_ms)
{
  g_return_if_fail (HYPHA_IS_JSON_CHANNEL (self));

  if (self->in.timeout_ms == timeout_ms)
    return;
  self->in.timeout_ms = self->out.timeout_ms = timeout_ms;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_TIMEOUT]);
}

/**
 * hypha_json_channel_get_timeout:
 * @self: a channel
 *
 * Gives how long it may take to send a message, and to receive one.
 *
 * Returns: milliseconds; 0: as long as it likes
 */
guint
hypha_json_channel_get_timeout (HyphaJsonChannel *self)
{
  g_return_val_if_fail (HYPHA_IS_JSON_CHANNEL (self), 0);

  return self->in.timeout_ms;
}
