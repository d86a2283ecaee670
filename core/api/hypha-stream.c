/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-stream.h"

#include <errno.h>
#include <glib/gi18n-lib.h>

#include "hypha-error.h"
#include "hypha-stream-private.h"

/**
 * HyphaStream:
 *
 * A reliable two-way byte stream to a service of a peer.
 *
 * It is a [class@Gio.IOStream]. Of a node in this process it is memory, which the program shares
 * with the node; where somebody asks for its descriptor, and of a daemon, it is one end of a
 * socketpair. Unlike those of a [class@Gio.SocketConnection], its two directions close apart:
 * closing the output stream tells the peer that all has been said, closing the input stream tells
 * it that nobody listens any more. Reads and writes have a deadline, and
 * [method@Hypha.Stream.wait_end_async] says how it ended, which an end-of-file does not.
 *
 * A thread that reads, writes or closes one in memory may do the node's work meanwhile, on its own
 * stack: let it have 64 KiB of that to spare (with TLS about 32 KiB are used).
 *
 * Both directions are pollable, and may be used by different threads. The descriptor closes itself
 * at exec. In a child that was made by fork alone, a stream must be left alone: closing it there
 * shuts its directions down for the parent, too.
 */
struct _HyphaStream {
  GIOStream parent_instance;

  HyphaStreamEnd *end;
  GInputStream *input;
  GOutputStream *output;
  guint64 id;
  char *service;
  HyphaEnding *ending; /* of a stream upon a bare channel, else NULL */
  guint timeout_ms;    /* atomic */

  GMutex mutex; /* of all below */
  gboolean ended;
  guint64 received;
  guint64 sent;
  GError *error;
  GList *waits; /* of Wait */
};

/* Somebody who waits for the end. */
typedef struct {
  GTask *task;
  GSource *cancelled; /* nullable */
} Wait;

enum {
  PROP_ID = 1,
  PROP_SERVICE,
  PROP_TIMEOUT,
  N_PROPERTIES,
};

static GParamSpec *properties[N_PROPERTIES];

G_DEFINE_FINAL_TYPE (HyphaStream, hypha_stream, G_TYPE_IO_STREAM)

static GInputStream *
hypha_stream_get_input_stream (GIOStream *stream)
{
  return HYPHA_STREAM (stream)->input;
}

static GOutputStream *
hypha_stream_get_output_stream (GIOStream *stream)
{
  return HYPHA_STREAM (stream)->output;
}

static gboolean
hypha_stream_close (GIOStream *stream, GCancellable *cancellable, GError **error)
{
  HyphaStream *self = HYPHA_STREAM (stream);
  gboolean closed =
      G_IO_STREAM_CLASS (hypha_stream_parent_class)->close_fn (stream, cancellable, error);

  /* One error is enough, and closing goes on after it. */
  if (!self->end->funcs->close (self->end, closed ? error : NULL))
    closed = FALSE;
  return closed;
}

/* Closing never waits, so no thread is needed for it. */
static void
hypha_stream_close_async (GIOStream *stream, int priority, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (stream, cancellable, callback, user_data);
  g_autoptr (GError) error = NULL;

  g_task_set_source_tag (task, hypha_stream_close_async);
  g_task_set_check_cancellable (task, FALSE);
  if (hypha_stream_close (stream, cancellable, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, g_steal_pointer (&error));
}

static gboolean
hypha_stream_close_finish (GIOStream *stream, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
hypha_stream_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaStream *self = HYPHA_STREAM (object);

  switch (id) {
  case PROP_ID:
    g_value_set_uint64 (value, self->id);
    break;
  case PROP_SERVICE:
    g_value_set_string (value, self->service);
    break;
  case PROP_TIMEOUT:
    g_value_set_uint (value, hypha_stream_get_timeout (self));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
hypha_stream_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  if (id == PROP_TIMEOUT)
    hypha_stream_set_timeout (HYPHA_STREAM (object), g_value_get_uint (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
hypha_stream_finalize (GObject *object)
{
  HyphaStream *self = HYPHA_STREAM (object);

  g_assert (self->waits == NULL);
  g_clear_object (&self->input);
  g_clear_object (&self->output);
  g_clear_pointer (&self->end, hypha_stream_end_unref);
  g_clear_pointer (&self->ending, hypha_ending_unref);
  g_clear_pointer (&self->service, g_free);
  g_clear_error (&self->error);
  g_mutex_clear (&self->mutex);
  G_OBJECT_CLASS (hypha_stream_parent_class)->finalize (object);
}

static void
hypha_stream_class_init (HyphaStreamClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GIOStreamClass *stream_class = G_IO_STREAM_CLASS (klass);

  object_class->get_property = hypha_stream_get_property;
  object_class->set_property = hypha_stream_set_property;
  object_class->finalize = hypha_stream_finalize;
  stream_class->get_input_stream = hypha_stream_get_input_stream;
  stream_class->get_output_stream = hypha_stream_get_output_stream;
  stream_class->close_fn = hypha_stream_close;
  stream_class->close_async = hypha_stream_close_async;
  stream_class->close_finish = hypha_stream_close_finish;

  /**
   * HyphaStream:id:
   *
   * The number of the stream, by which the node and D-Bus know it.
   */
  properties[PROP_ID] = g_param_spec_uint64 ("id", NULL, NULL, 0, G_MAXUINT64, 0,
                                             G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * HyphaStream:service:
   *
   * The name of the service.
   */
  properties[PROP_SERVICE] =
      g_param_spec_string ("service", NULL, NULL, NULL, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  /**
   * HyphaStream:timeout:
   *
   * The deadline of every single read and write, in milliseconds; 0: none.
   */
  properties[PROP_TIMEOUT] =
      g_param_spec_uint ("timeout", NULL, NULL, 0, G_MAXUINT, 0,
                         G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPERTIES, properties);
}

static void
hypha_stream_init (HyphaStream *self)
{
  g_mutex_init (&self->mutex);
}

/* END is taken; NULL: there is none. CHANNEL: nullable. */
static HyphaStream *
stream_new (HyphaStreamEnd *end, guint64 id, const char *service, HyphaChannel *channel)
{
  HyphaStream *self;

  if (end == NULL)
    return NULL;
  self = g_object_new (HYPHA_TYPE_STREAM, NULL);
  if (channel != NULL)
    self->ending = hypha_ending_new (self, channel);
  self->input = hypha_stream_input_new (end, self->ending);
  self->output = hypha_stream_output_new (end, self->ending);
  self->end = end;
  self->id = id;
  self->service = g_strdup (service);
  return self;
}

/**
 * hypha_stream_new:
 * @fd: one end of a socketpair; taken, also on failure
 * @id: the number of the stream
 * @service: the name of the service
 *
 * For implementations of [iface@Hypha.Peer]: makes a stream of a descriptor. The implementation
 * calls hypha_stream_ended() once it knows how the stream has ended.
 *
 * Returns: (transfer full) (nullable): the stream, or %NULL if @fd is not a socket (then @fd has
 * been closed)
 */
HyphaStream *
hypha_stream_new (int fd, guint64 id, const char *service)
{
  g_return_val_if_fail (fd >= 0, NULL);
  g_return_val_if_fail (service != NULL, NULL);

  return stream_new (hypha_stream_end_new_for_socket (fd), id, service, NULL);
}

HyphaStream *
hypha_stream_new_for_end (HyphaStreamEnd *end, guint64 id, const char *service)
{
  return stream_new (end, id, service, NULL);
}

/**
 * hypha_stream_new_for_channel:
 * @channel: a channel, as [class@Hypha.Listener] gives it; its descriptor is taken out of it
 * @error: return location for an error
 *
 * Makes a stream of a bare channel, for whatever is not Hypha at the other end. Its id is 0, and
 * its service empty.
 *
 * Nobody tells how such a stream ends. It has ended well when end-of-file was read and this end's
 * direction was closed after all was written; a read or a write that fails, and closing before
 * end-of-file, end it with `HYPHA_ERROR_RESET`. So the end comes only to those who read. The bytes
 * sent are those that the kernel has taken.
 *
 * Returns: (transfer full): the stream, or %NULL with @error set
 */
HyphaStream *
hypha_stream_new_for_channel (HyphaChannel *channel, GError **error)
{
  HyphaStream *self;
  int fd;

  g_return_val_if_fail (HYPHA_IS_CHANNEL (channel), NULL);

  fd = hypha_channel_steal_fd (channel);
  self = fd >= 0 ? stream_new (hypha_stream_end_new_for_socket (fd), 0, "", channel) : NULL;
  if (self == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                 _ ("the channel has no connected socket any more"));
  return self;
}

/**
 * hypha_stream_get_id:
 * @self: a stream
 *
 * Gives the number by which the node and D-Bus know the stream.
 *
 * Returns: the number
 */
guint64
hypha_stream_get_id (HyphaStream *self)
{
  g_return_val_if_fail (HYPHA_IS_STREAM (self), 0);

  return self->id;
}

/**
 * hypha_stream_get_service:
 * @self: a stream
 *
 * Gives the name of the service.
 *
 * Returns: the name
 */
const char *
hypha_stream_get_service (HyphaStream *self)
{
  g_return_val_if_fail (HYPHA_IS_STREAM (self), NULL);

  return self->service;
}

/**
 * hypha_stream_get_fd:
 * @self: a stream
 *
 * Gives the descriptor, for those who poll it themselves or hand a copy to a child. It is
 * non-blocking and remains the stream's. A stream of a node in this process has none, and is faster
 * without one, until it is asked for: then it gets one for good.
 *
 * Returns: the descriptor; -1, with the reason in errno, once the stream is closed (`EBADF`), if
 * there are no descriptors left (`EMFILE`), or if the session of a stream of a node in this process
 * has ended and left more to read than fits into a socket (`ENOBUFS`). In the last two cases the
 * stream remains as it was.
 */
int
hypha_stream_get_fd (HyphaStream *self)
{
  g_return_val_if_fail (HYPHA_IS_STREAM (self), -1);

  return self->end->funcs->get_fd (self->end);
}

/**
 * hypha_stream_steal_fd:
 * @self: a stream
 *
 * Takes the descriptor out of the stream, to hand it to another program: nothing is shut down, and
 * this process no longer holds the program's end open. The stream cannot be read or written any
 * more, but still tells how it ends.
 *
 * Who goes on with it here sees to SIGPIPE: write(2) raises that once the other end has gone, and
 * nothing in Hypha ignores it for the program. send(2) knows `MSG_NOSIGNAL`.
 *
 * Returns: the descriptor, non-blocking, which the caller owns; -1 as
 * [method@Hypha.Stream.get_fd] says
 */
int
hypha_stream_steal_fd (HyphaStream *self)
{
  int fd;

  g_return_val_if_fail (HYPHA_IS_STREAM (self), -1);

  fd = self->end->funcs->steal_fd (self->end);
  if (fd >= 0 && self->ending != NULL)
    hypha_ending_left (self->ending);
  return fd;
}

/**
 * hypha_stream_join:
 * @self: a stream of a node in this process
 * @other: another one
 * @error: return location for an error
 *
 * Joins two streams: what is read of one is written to the other from now on, on the threads of the
 * node and with the flow control of both. What one of them brought before, and nobody has read,
 * goes to the other first. The end of a direction goes on to the other stream, as an end: that it
 * came of a reset, [method@Hypha.Stream.wait_end_async] tells, which both still do.
 *
 * Returns: whether they are joined; if not, @error is set, and neither is of any further use
 *
 * Since: ABI 1.2
 */
gboolean
hypha_stream_join (HyphaStream *self, HyphaStream *other, GError **error)
{
  int fd;

  g_return_val_if_fail (HYPHA_IS_STREAM (self), FALSE);
  g_return_val_if_fail (HYPHA_IS_STREAM (other), FALSE);

  if (other->end->funcs->hand_over == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED,
                         _ ("only streams of a node in this process can be joined"));
    return FALSE;
  }
  fd = hypha_stream_steal_fd (self);
  if (fd >= 0 && other->end->funcs->hand_over (other->end, fd))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("two streams cannot be joined: %s"),
               g_strerror (errno));
  return FALSE;
}

/**
 * hypha_stream_set_timeout:
 * @self: a stream
 * @timeout_ms: milliseconds; 0: none
 *
 * Sets the deadline of every single read and write that begins from now on, be it synchronous or
 * not. One that passes ends that operation with `G_IO_ERROR_TIMED_OUT`; the stream remains usable.
 */
void
hypha_stream_set_timeout (HyphaStream *self, guint timeout_ms)
{
  g_return_if_fail (HYPHA_IS_STREAM (self));

  if (hypha_stream_get_timeout (self) == timeout_ms)
    return;
  g_atomic_int_set (&self->timeout_ms, timeout_ms);
  hypha_stream_input_set_timeout (HYPHA_STREAM_INPUT (self->input), timeout_ms);
  hypha_stream_output_set_timeout (HYPHA_STREAM_OUTPUT (self->output), timeout_ms);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_TIMEOUT]);
}

/**
 * hypha_stream_get_timeout:
 * @self: a stream
 *
 * Gives the deadline of every single read and write.
 *
 * Returns: milliseconds; 0: none
 */
guint
hypha_stream_get_timeout (HyphaStream *self)
{
  g_return_val_if_fail (HYPHA_IS_STREAM (self), 0);

  return (guint) g_atomic_int_get (&self->timeout_ms);
}

/**
 * hypha_stream_close_read:
 * @self: a stream
 * @error: return location for an error
 *
 * Closes the direction from the peer, whose program learns that nobody listens any more. A read
 * under way returns end-of-file. The other direction goes on.
 *
 * Returns: whether it worked; if not, @error is set (domain `G_IO_ERROR`)
 */
gboolean
hypha_stream_close_read (HyphaStream *self, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_STREAM (self), FALSE);

  if (g_input_stream_has_pending (self->input)) {
    if (self->ending != NULL)
      hypha_ending_closed (self->ending, TRUE);
    return self->end->funcs->shutdown (self->end, TRUE, FALSE, error);
  }
  return g_input_stream_close (self->input, NULL, error);
}

/**
 * hypha_stream_close_write:
 * @self: a stream
 * @error: return location for an error
 *
 * Closes the direction to the peer, whose program reads end-of-file once it has read all that was
 * written. The other direction goes on. A write under way must end first: `G_IO_ERROR_PENDING`.
 *
 * Returns: whether it worked; if not, @error is set (domain `G_IO_ERROR`)
 */
gboolean
hypha_stream_close_write (HyphaStream *self, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_STREAM (self), FALSE);

  return g_output_stream_close (self->output, NULL, error);
}

/* The end */

static void
wait_free (Wait *wait)
{
  if (wait->cancelled != NULL) {
    g_source_destroy (wait->cancelled);
    g_source_unref (wait->cancelled);
  }
  g_object_unref (wait->task);
  g_free (wait);
}

/* The results do not change any more once the stream has ended. */
static void
answer (HyphaStream *self, GTask *task)
{
  if (self->error != NULL)
    g_task_return_error (task, g_error_copy (self->error));
  else
    g_task_return_boolean (task, TRUE);
}

static gboolean
on_wait_cancelled (GCancellable *cancellable, gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  HyphaStream *self = HYPHA_STREAM (g_task_get_source_object (task));
  Wait *found = NULL;

  g_mutex_lock (&self->mutex);
  for (GList *node = self->waits; node != NULL && found == NULL; node = node->next)
    if (((Wait *) node->data)->task == task)
      found = node->data;
  self->waits = g_list_remove (self->waits, found);
  g_mutex_unlock (&self->mutex);

  if (found != NULL) {
    wait_free (found);
    g_task_return_error_if_cancelled (task);
  }
  return G_SOURCE_REMOVE;
}

/**
 * hypha_stream_wait_end_async:
 * @self: a stream
 * @cancellable: (nullable): to wait no longer
 * @callback: (scope async): called when the stream has ended
 * @user_data: for @callback
 *
 * Waits until both directions have ended. Any number may wait, also when it is over already.
 */
void
hypha_stream_wait_end_async (HyphaStream *self, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = NULL;
  gboolean ended;

  g_return_if_fail (HYPHA_IS_STREAM (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, hypha_stream_wait_end_async);
  if (g_task_return_error_if_cancelled (task))
    return;

  g_mutex_lock (&self->mutex);
  ended = self->ended;
  if (!ended) {
    Wait *wait = g_new0 (Wait, 1);

    wait->task = g_object_ref (task);
    self->waits = g_list_append (self->waits, wait);
    if (cancellable != NULL) {
      wait->cancelled = g_cancellable_source_new (cancellable);
      g_source_set_callback (wait->cancelled, G_SOURCE_FUNC (on_wait_cancelled),
                             g_object_ref (task), g_object_unref);
      g_source_attach (wait->cancelled, g_task_get_context (task));
    }
  }
  g_mutex_unlock (&self->mutex);
  if (ended)
    answer (self, task);
}

/**
 * hypha_stream_wait_end_finish:
 * @self: a stream
 * @result: what the callback was given
 * @received: (out) (optional): how many bytes came from the peer
 * @sent: (out) (optional): how many bytes the peer's node has acknowledged
 * @error: return location for an error
 *
 * Ends what hypha_stream_wait_end_async() began.
 *
 * The error is the one that ended the stream (`HYPHA_ERROR_RESET`, `HYPHA_ERROR_EXPIRED`,
 * `HYPHA_ERROR_RESTARTED` and so on), and the counts are then valid as well; or
 * `G_IO_ERROR_CANCELLED`, and the counts are 0.
 *
 * Returns: %TRUE if both directions were finished; else %FALSE with @error set
 */
gboolean
hypha_stream_wait_end_finish (HyphaStream *self, GAsyncResult *result, guint64 *received,
                              guint64 *sent, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_STREAM (self), FALSE);
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);

  g_mutex_lock (&self->mutex);
  if (received != NULL)
    *received = self->received;
  if (sent != NULL)
    *sent = self->sent;
  g_mutex_unlock (&self->mutex);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * hypha_stream_ended:
 * @self: a stream
 * @received: how many bytes came from the peer
 * @sent: how many bytes the peer's node has acknowledged
 * @error: (nullable): why it ended early, domain `HYPHA_ERROR`; %NULL: both directions were
 * finished
 *
 * For implementations of [iface@Hypha.Peer]: says how the stream has ended. The first call counts.
 */
void
hypha_stream_ended (HyphaStream *self, guint64 received, guint64 sent, const GError *error)
{
  g_autolist (GTask) tasks = NULL;

  g_return_if_fail (HYPHA_IS_STREAM (self));

  g_object_ref (self);
  g_mutex_lock (&self->mutex);
  if (!self->ended) {
    self->ended = TRUE;
    self->received = received;
    self->sent = sent;
    self->error = error != NULL ? g_error_copy (error) : NULL;
  }
  for (GList *node = self->waits; node != NULL; node = node->next) {
    tasks = g_list_prepend (tasks, g_object_ref (((Wait *) node->data)->task));
    wait_free (node->data);
  }
  g_clear_pointer (&self->waits, g_list_free);
  g_mutex_unlock (&self->mutex);

  tasks = g_list_reverse (tasks);
  for (GList *node = tasks; node != NULL; node = node->next)
    answer (self, node->data);
  g_object_unref (self);
}
