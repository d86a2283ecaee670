/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sending and receiving do differently. */
#include "client/json-channel-private.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>

#include "client/json-text.h"
#include "hypha-error.h"

/* What the values of a message may take: so much for each byte of max-size, and this. */
#define MEMORY_FACTOR 8
#define MEMORY_BYTES 65536

/* ---- sending ---- */

static gboolean
is_midst_out (gpointer channel, HyphaJsonTurn *turn)
{
  return turn->done > 0 || turn->is_kept;
}

static HyphaJsonStep
step_out (gpointer channel, HyphaJsonTurn *turn, GError **error)
{
  HyphaJsonChannel *self = channel;
  GOutputStream *sink = g_io_stream_get_output_stream (self->moved);
  gsize size;
  const guint8 *data = g_bytes_get_data (turn->bytes, &size);

  while (turn->done < size) {
    g_autoptr (GError) local = NULL;
    gssize count = g_pollable_output_stream_write_nonblocking (
        G_POLLABLE_OUTPUT_STREAM (sink), data + turn->done, size - turn->done, NULL, &local);

    if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
      turn->is_kept = self->may_keep;
      return HYPHA_JSON_STEP_AGAIN;
    }
    if (count < 0) {
      g_propagate_prefixed_error (error, g_steal_pointer (&local),
                                  _ ("the message could not be sent: "));
      return is_midst_out (self, turn) ? HYPHA_JSON_STEP_BROKEN : HYPHA_JSON_STEP_DONE;
    }
    turn->done += (gsize) count;
  }
  return HYPHA_JSON_STEP_DONE;
}

static GSource *
create_source_out (gpointer channel)
{
  HyphaJsonChannel *self = channel;

  return g_pollable_output_stream_create_source (
      G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (self->moved)), NULL);
}

static GError *
new_timeout_out (gpointer channel, HyphaJsonTurn *turn)
{
  return g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                      _ ("the message could not be sent within %u ms: the other end has taken "
                         "%" PRIu64 " of its %" PRIu64 " bytes"),
                      turn->timeout_ms, (guint64) turn->done,
                      (guint64) g_bytes_get_size (turn->bytes));
}

static GError *
new_closed_out (gpointer channel, const GError *cause)
{
  return g_error_new (
      G_IO_ERROR, G_IO_ERROR_CLOSED,
      _ ("nothing more can be sent on this channel, for a message was broken off: %s"),
      cause->message);
}

static void
answer_out (gpointer channel, HyphaJsonTurn *turn, GTask *task, const GError *error)
{
  HyphaJsonChannel *self = channel;
  g_autoptr (GTask) owned = task;

  if (error == NULL && turn->reply != NULL) {
    hypha_json_lane_release (&self->in, turn->reply, g_steal_pointer (&owned));
    return;
  }
  if (turn->reply != NULL)
    hypha_json_lane_drop (&self->in, turn->reply);
  if (error != NULL)
    g_task_return_error (task, g_error_copy (error));
  else
    g_task_return_boolean (task, TRUE);
}

const HyphaJsonLaneFuncs hypha_json_out_funcs = {
  .step = step_out,
  .create_source = create_source_out,
  .is_midst = is_midst_out,
  .new_timeout = new_timeout_out,
  .new_closed = new_closed_out,
  .answer = answer_out,
};

/* ---- receiving ---- */

static gboolean
is_midst_in (gpointer channel, HyphaJsonTurn *turn)
{
  HyphaJsonChannel *self = channel;

  return hypha_json_input_get_size (&self->input) > 0;
}

/* Nothing more comes. A pump's errors look like an end. */
static HyphaJsonStep
end_in (HyphaJsonChannel *self, HyphaJsonTurn *turn, GError **error)
{
  g_autoptr (GError) reason = self->pumped != NULL ? hypha_channel_dup_error (self->pumped) : NULL;

  if (reason != NULL)
    g_propagate_prefixed_error (error, g_steal_pointer (&reason),
                                _ ("no message could be received: "));
  else if (is_midst_in (self, turn))
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_RESET,
        _ ("the other end has ended the stream within a message, after %" PRIu64 " bytes of it"),
        (guint64) hypha_json_input_get_size (&self->input));
  else if (turn->is_reply)
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_RESET,
                         _ ("the other end has ended the stream and did not reply"));
  return is_midst_in (self, turn) ? HYPHA_JSON_STEP_BROKEN : HYPHA_JSON_STEP_DONE;
}

static HyphaJsonStep
read_in (HyphaJsonChannel *self, HyphaJsonTurn *turn, gboolean *more, GError **error)
{
  GInputStream *source = g_io_stream_get_input_stream (self->moved);
  g_autoptr (GError) local = NULL;
  gsize room;
  guint8 *into = hypha_json_input_room (&self->input, &room);
  gssize count = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (source), into,
                                                           room, NULL, &local);

  hypha_json_input_came (&self->input, room, (gsize) MAX (count, 0));
  *more = count > 0;
  if (count >= 0)
    return *more ? HYPHA_JSON_STEP_AGAIN : end_in (self, turn, error);
  if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
    return HYPHA_JSON_STEP_AGAIN;
  g_propagate_prefixed_error (error, g_steal_pointer (&local),
                              _ ("no message could be received: "));
  return is_midst_in (self, turn) ? HYPHA_JSON_STEP_BROKEN : HYPHA_JSON_STEP_DONE;
}

static HyphaJsonStep
step_in (gpointer channel, HyphaJsonTurn *turn, GError **error)
{
  HyphaJsonChannel *self = channel;
  gboolean more = TRUE;
  HyphaJsonStep step = HYPHA_JSON_STEP_AGAIN;

  while (more) {
    const char *text;
    gsize length;

    switch (hypha_json_input_look (&self->input, self->max_size, &text, &length, error)) {
    case HYPHA_JSON_INPUT_MESSAGE:
      turn->node = hypha_json_text_parse (
          text, length, (gsize) self->max_size * MEMORY_FACTOR + MEMORY_BYTES, error);
      hypha_json_input_done (&self->input);
      return HYPHA_JSON_STEP_DONE;
    case HYPHA_JSON_INPUT_WRONG:
      return HYPHA_JSON_STEP_BROKEN;
    case HYPHA_JSON_INPUT_MORE:
      step = read_in (self, turn, &more, error);
    }
  }
  return step;
}

static GSource *
create_source_in (gpointer channel)
{
  HyphaJsonChannel *self = channel;

  return g_pollable_input_stream_create_source (
      G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (self->moved)), NULL);
}

static GError *
new_timeout_in (gpointer channel, HyphaJsonTurn *turn)
{
  HyphaJsonChannel *self = channel;

  if (is_midst_in (self, turn))
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                        _ ("no whole message has come within %u ms, but %" PRIu64 " bytes of one"),
                        turn->timeout_ms, (guint64) hypha_json_input_get_size (&self->input));
  return g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                      turn->is_reply ? _ ("no reply has come within %u ms")
                                     : _ ("no message has come within %u ms"),
                      turn->timeout_ms);
}

static GError *
new_closed_in (gpointer channel, const GError *cause)
{
  return g_error_new (G_IO_ERROR, G_IO_ERROR_CLOSED,
                      _ ("nothing more can be received on this channel, for it is unknown what "
                         "would come next: %s"),
                      cause->message);
}

static void
answer_in (gpointer channel, HyphaJsonTurn *turn, GTask *task, const GError *error)
{
  HyphaJsonChannel *self = channel;

  if (self->in.broken != NULL)
    hypha_json_input_clear (&self->input);
  if (error != NULL)
    g_task_return_error (task, g_error_copy (error));
  else
    g_task_return_pointer (task, g_steal_pointer (&turn->node), (GDestroyNotify) json_node_unref);
  g_object_unref (task);
}

const HyphaJsonLaneFuncs hypha_json_in_funcs = {
  .step = step_in,
  .create_source = create_source_in,
  .is_midst = is_midst_in,
  .new_timeout = new_timeout_in,
  .new_closed = new_closed_in,
  .answer = answer_in,
};
