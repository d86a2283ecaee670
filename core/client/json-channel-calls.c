/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/json-channel-private.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>

#include "client/json-text.h"
#include "hypha-error.h"

/* A message as it is on the stream. */
static GBytes *
frame (HyphaJsonChannel *self, JsonNode *message, GError **error)
{
  gsize length = 0;
  g_autofree char *text = hypha_json_text_print (message, &length, error);
  guint8 head[4] = { length >> 24 & 0xff, length >> 16 & 0xff, length >> 8 & 0xff, length & 0xff };
  GByteArray *bytes;

  if (text == NULL)
    return NULL;
  if (length > self->max_size) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("the message has %" PRIu64 " bytes, and at most %u are sent (max-size)"),
                 (guint64) length, self->max_size);
    return NULL;
  }
  bytes = g_byte_array_sized_new ((guint) (length + sizeof head));
  if (self->input.framing == HYPHA_JSON_FRAMING_LENGTH)
    g_byte_array_append (bytes, head, sizeof head);
  g_byte_array_append (bytes, (const guint8 *) text, (guint) length);
  if (self->input.framing == HYPHA_JSON_FRAMING_LINES)
    g_byte_array_append (bytes, (const guint8 *) "\n", 1);
  return g_byte_array_free_to_bytes (bytes);
}

/* A message that was taken off the stream is not lost because somebody cancels too late. */
static GTask *
new_task (HyphaJsonChannel *self, gpointer tag, GCancellable *cancellable,
          GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (self, cancellable, callback, user_data);

  g_task_set_source_tag (task, tag);
  g_task_set_check_cancellable (task, FALSE);
  return task;
}

/* TASK is taken. */
static void
begin_send (HyphaJsonChannel *self, JsonNode *message, GTask *task, gboolean is_call)
{
  g_autoptr (GTask) owned = task;
  g_autoptr (GBytes) bytes = NULL;
  HyphaJsonTurn *turn;
  GError *error = NULL;

  if (g_task_return_error_if_cancelled (task))
    return;
  bytes = frame (self, message, &error);
  if (error == NULL && is_call && self->in.broken != NULL)
    error = self->in.funcs->new_closed (self, self->in.broken);
  if (error != NULL) {
    g_task_return_error (task, error);
    return;
  }
  turn = g_new0 (HyphaJsonTurn, 1);
  turn->task = g_steal_pointer (&owned);
  turn->bytes = g_steal_pointer (&bytes);
  if (is_call) {
    turn->reply = g_new0 (HyphaJsonTurn, 1);
    turn->reply->is_reply = turn->reply->held = TRUE;
    hypha_json_lane_add (&self->in, turn->reply);
  }
  hypha_json_lane_add (&self->out, turn);
}

/**
 * hypha_json_channel_send_async:
 * @self: a channel
 * @message: what is to be sent; it is written down before this returns
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when the stream has taken all of it
 * @user_data: for @callback
 *
 * Sends a message, after those that are being sent already. Given up before its first byte (over
 * TLS: before it had to wait for the stream), it is as if it had never been there; later, nothing
 * more can be sent.
 */
void
hypha_json_channel_send_async (HyphaJsonChannel *self, JsonNode *message, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_JSON_CHANNEL (self));
  g_return_if_fail (message != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  begin_send (self, message,
              new_task (self, hypha_json_channel_send_async, cancellable, callback, user_data),
              FALSE);
}

/**
 * hypha_json_channel_send_finish:
 * @self: a channel
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_json_channel_send_async() began.
 *
 * The error is `HYPHA_ERROR_INVALID_ARGUMENT` (longer than
 * [property@Hypha.JsonChannel:max-size], deeper than 64, not UTF-8, or with a number that is none;
 * nothing was sent), `HYPHA_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`, `G_IO_ERROR_CLOSED` (an
 * earlier message was broken off), or one of the stream.
 *
 * Returns: whether it was sent
 */
gboolean
hypha_json_channel_send_finish (HyphaJsonChannel *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  g_return_val_if_fail (g_async_result_is_tagged (result, hypha_json_channel_send_async), FALSE);

  return g_task_propagate_boolean (G_TASK (result), error);
}

/**
 * hypha_json_channel_receive_async:
 * @self: a channel
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when there is a message
 * @user_data: for @callback
 *
 * Receives a message, after those who wait for one already. Given up before anything has come of
 * it, it is as if nobody had waited; later, nothing more can be received.
 */
void
hypha_json_channel_receive_async (HyphaJsonChannel *self, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = NULL;
  HyphaJsonTurn *turn;

  g_return_if_fail (HYPHA_IS_JSON_CHANNEL (self));
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  task = new_task (self, hypha_json_channel_receive_async, cancellable, callback, user_data);
  if (g_task_return_error_if_cancelled (task))
    return;
  turn = g_new0 (HyphaJsonTurn, 1);
  turn->task = g_steal_pointer (&task);
  hypha_json_lane_add (&self->in, turn);
}

/**
 * hypha_json_channel_receive_finish:
 * @self: a channel
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_json_channel_receive_async() began.
 *
 * The error is `HYPHA_ERROR_PROTOCOL` (too long, or not JSON: the description of the class says
 * when the next message can be received), `HYPHA_ERROR_RESET` (the stream ended within a message),
 * `HYPHA_ERROR_TIMED_OUT`, `G_IO_ERROR_CANCELLED`, `G_IO_ERROR_CLOSED` (it is unknown what would
 * come next), or one of the stream.
 *
 * Returns: (transfer full) (nullable): the message; %NULL without @error set when the other end has
 * ended its direction of the stream, after a message or before the first
 */
JsonNode *
hypha_json_channel_receive_finish (HyphaJsonChannel *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, hypha_json_channel_receive_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/**
 * hypha_json_channel_call_async:
 * @self: a channel
 * @request: what is to be sent; it is written down before this returns
 * @cancellable: (nullable): to give up
 * @callback: (scope async): called when there is a reply
 * @user_data: for @callback
 *
 * Sends a message, and receives the one that answers it: of all who wait for a message when this
 * begins, it is the last. Given up when its request is out, nothing more can be received once those
 * before it have theirs.
 */
void
hypha_json_channel_call_async (HyphaJsonChannel *self, JsonNode *request, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (HYPHA_IS_JSON_CHANNEL (self));
  g_return_if_fail (request != NULL);
  g_return_if_fail (cancellable == NULL || G_IS_CANCELLABLE (cancellable));

  begin_send (self, request,
              new_task (self, hypha_json_channel_call_async, cancellable, callback, user_data),
              TRUE);
}

/**
 * hypha_json_channel_call_finish:
 * @self: a channel
 * @result: what the callback was given
 * @error: return location for an error
 *
 * Ends what hypha_json_channel_call_async() began.
 *
 * The errors are those of [method@Hypha.JsonChannel.send_finish] and of
 * [method@Hypha.JsonChannel.receive_finish]; a stream that ends before the reply is
 * `HYPHA_ERROR_RESET`.
 *
 * Returns: (transfer full): the reply, or %NULL with @error set
 */
JsonNode *
hypha_json_channel_call_finish (HyphaJsonChannel *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  g_return_val_if_fail (g_async_result_is_tagged (result, hypha_json_channel_call_async), NULL);

  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- the same, which wait ---- */

static void
on_result (GObject *channel, GAsyncResult *result, gpointer data)
{
  *(GAsyncResult **) data = g_object_ref (result);
}

/* In a context of its own: nothing else of this thread is served meanwhile. So what is under way in
 * another would never end. NULL: a direction is in use. */
static GMainContext *
begin_wait (HyphaJsonChannel *self, gboolean out, gboolean in, GError **error)
{
  GMainContext *context;

  if ((out && !g_queue_is_empty (&self->out.turns)) ||
      (in && !g_queue_is_empty (&self->in.turns))) {
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_PENDING,
                         _ ("the channel has something asynchronous under way"));
    return NULL;
  }
  context = g_main_context_new ();
  g_main_context_push_thread_default (context);
  return context;
}

/* CONTEXT is taken. */
static void
end_wait (GMainContext *context, GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (context, TRUE);
  g_main_context_pop_thread_default (context);
  g_main_context_unref (context);
}

/**
 * hypha_json_channel_send:
 * @self: a channel
 * @message: what is to be sent
 * @cancellable: (nullable): to give up
 * @error: return location for an error
 *
 * Sends a message, and waits until the stream has taken all of it. The errors are those of
 * [method@Hypha.JsonChannel.send_finish]; and `G_IO_ERROR_PENDING`, while something asynchronous is
 * being sent.
 *
 * Returns: whether it was sent
 */
gboolean
hypha_json_channel_send (HyphaJsonChannel *self, JsonNode *message, GCancellable *cancellable,
                         GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  GMainContext *context;

  g_return_val_if_fail (HYPHA_IS_JSON_CHANNEL (self), FALSE);
  g_return_val_if_fail (message != NULL, FALSE);

  context = begin_wait (self, TRUE, FALSE, error);
  if (context == NULL)
    return FALSE;
  hypha_json_channel_send_async (self, message, cancellable, on_result, &result);
  end_wait (context, &result);
  return hypha_json_channel_send_finish (self, result, error);
}

/**
 * hypha_json_channel_receive:
 * @self: a channel
 * @cancellable: (nullable): to give up
 * @error: return location for an error
 *
 * Waits for a message. The errors are those of [method@Hypha.JsonChannel.receive_finish]; and
 * `G_IO_ERROR_PENDING`, while something asynchronous waits for a message.
 *
 * Returns: (transfer full) (nullable): the message; %NULL without @error set when the other end has
 * ended its direction of the stream, after a message or before the first
 */
JsonNode *
hypha_json_channel_receive (HyphaJsonChannel *self, GCancellable *cancellable, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  GMainContext *context;

  g_return_val_if_fail (HYPHA_IS_JSON_CHANNEL (self), NULL);

  context = begin_wait (self, FALSE, TRUE, error);
  if (context == NULL)
    return NULL;
  hypha_json_channel_receive_async (self, cancellable, on_result, &result);
  end_wait (context, &result);
  return hypha_json_channel_receive_finish (self, result, error);
}

/**
 * hypha_json_channel_call:
 * @self: a channel
 * @request: what is to be sent
 * @cancellable: (nullable): to give up
 * @error: return location for an error
 *
 * Sends a message, and waits for the one that answers it. The errors are those of
 * [method@Hypha.JsonChannel.call_finish]; and `G_IO_ERROR_PENDING`, while something asynchronous is
 * under way.
 *
 * Returns: (transfer full): the reply, or %NULL with @error set
 */
JsonNode *
hypha_json_channel_call (HyphaJsonChannel *self, JsonNode *request, GCancellable *cancellable,
                         GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;
  GMainContext *context;

  g_return_val_if_fail (HYPHA_IS_JSON_CHANNEL (self), NULL);
  g_return_val_if_fail (request != NULL, NULL);

  context = begin_wait (self, TRUE, TRUE, error);
  if (context == NULL)
    return NULL;
  hypha_json_channel_call_async (self, request, cancellable, on_result, &result);
  end_wait (context, &result);
  return hypha_json_channel_call_finish (self, result, error);
}
