/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-dial.h"

#include <glib/gi18n-lib.h>
#include <errno.h>

#include "via-line.h"
#include "via-route.h"
#include "via-talk.h"

/* One that is under way; the data of its task, which it holds until it has answered. */
typedef struct {
  ViaHub *hub;
  GTask *task;
  HyphaEndpoint *endpoint;
  char **route;
  HyphaPeers *peers;
  HyphaPeer *first;
  guint cost; /* of the first hop */
  gint64 deadline;
  GCancellable *opening; /* of the stream, while that is being opened */
  HyphaStream *stream;
  ViaLine *line;
  gulong changed;
  GSource *late, *cancelled;
} Dial;

static void
clear_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

/* Nothing is waited for any more; the task is the caller's. */
static GTask *
stop (Dial *self)
{
  clear_source (&self->late);
  clear_source (&self->cancelled);
  if (self->changed != 0)
    g_signal_handler_disconnect (self->peers, self->changed);
  self->changed = 0;
  if (self->opening != NULL)
    g_cancellable_cancel (self->opening);
  g_clear_object (&self->opening);
  g_clear_pointer (&self->line, via_line_free);
  return g_steal_pointer (&self->task);
}

static void
dial_free (gpointer data)
{
  Dial *self = data;

  g_clear_object (&self->stream);
  g_clear_object (&self->first);
  g_clear_object (&self->peers);
  g_clear_pointer (&self->route, g_strfreev);
  via_hub_unref (self->hub);
  g_free (self);
}

static void
fail (Dial *self, HyphaError code, const char *reason)
{
  const char *display = hypha_endpoint_to_string (self->endpoint);
  g_autoptr (GTask) task = stop (self);

  if (self->stream != NULL)
    hypha_peers_reset (self->peers, self->stream);
  g_task_return_new_error (task, HYPHA_ERROR, (gint) code, _ ("cannot connect to %s: %s"), display,
                           reason);
}

static const char *
why_refused (ViaRefusal refusal)
{
  switch (refusal) {
  case VIA_REFUSAL_REFUSED:
    return _ (
        "the last node takes nothing that is led to it: its setting listen needs 'via://any', "
        "or 'via://' and the name of the node before it");
  case VIA_REFUSAL_BUSY:
    return _ ("a node in the middle carries as much as it may");
  case VIA_REFUSAL_TIMED_OUT:
    return _ ("a node on the way did not answer in time");
  case VIA_REFUSAL_LOOP:
    return _ ("a node would be on the way twice");
  case VIA_REFUSAL_MALFORMED:
    return _ ("a node in the middle does not understand it");
  default:
    return _ ("a node in the middle does not lead there for this node: it knows or trusts no such "
              "node, has no direct link to it, or does not have both among the 'peers' of its "
              "service 'via'");
  }
}

/* ---- the answer ---- */

static char *
join_host (Dial *self, const ViaAnswer *answer)
{
  g_autofree char *first = hypha_peer_dup_id (self->first);
  g_autofree char *others = g_strjoinv ("/", answer->middles);

  return *others == '\0' ? g_steal_pointer (&first) : g_strconcat (first, "/", others, NULL);
}

static void
finish (Dial *self, const ViaAnswer *answer)
{
  g_autofree char *host = join_host (self, answer);
  int fd = hypha_stream_steal_fd (self->stream);
  g_autoptr (GTask) task = NULL;
  HyphaChannel *channel;

  if (fd < 0) {
    fail (self, HYPHA_ERROR_CONNECT, g_strerror (errno));
    return;
  }
  task = stop (self);
  channel = hypha_channel_new (fd, NULL, self->endpoint, HYPHA_CHANNEL_RELAYED);
  hypha_channel_set_host (channel, host);
  /* Nobody in between is cheaper than nothing. */
  hypha_channel_set_link_cost (
      channel,
      self->cost + MAX (answer->cost, VIA_MIDDLE_COST * (g_strv_length (self->route) - 1)));
  g_task_return_pointer (task, channel, g_object_unref);
}

static void
on_answer (ViaLine *line, const char *text, const GError *error, gpointer user_data)
{
  Dial *self = user_data;
  g_auto (ViaAnswer) answer = { 0 };

  if (text == NULL)
    fail (self,
          g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT) ? HYPHA_ERROR_TIMED_OUT
                                                                      : HYPHA_ERROR_CONNECT,
          error->message);
  else if (!via_answer_parse (text, &answer) ||
           (answer.refusal == VIA_REFUSAL_NONE &&
            g_strv_length (answer.middles) + 2 != g_strv_length (self->route)))
    fail (self, HYPHA_ERROR_CONNECT, _ ("the first node answers what is no answer"));
  else if (answer.refusal != VIA_REFUSAL_NONE)
    fail (self,
          answer.refusal == VIA_REFUSAL_TIMED_OUT ? HYPHA_ERROR_TIMED_OUT : HYPHA_ERROR_CONNECT,
          why_refused (answer.refusal));
  else
    finish (self, &answer);
}

/* ---- the question ---- */

static guint
left_ms (Dial *self)
{
  gint64 left = (self->deadline - g_get_monotonic_time ()) / G_TIME_SPAN_MILLISECOND;

  return (guint) CLAMP (left, 1, VIA_MAX_TIMEOUT_MS);
}

static void
fail_opening (Dial *self, const GError *error)
{
  if (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE) ||
      g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED) ||
      g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED)) {
    g_autofree char *name = hypha_peer_dup_name (self->first);
    g_autofree char *reason = g_strdup_printf (
        _ ("%s leads nothing on for this node: its setting services needs an entry 'via' with the "
           "target 'transport', and both this node and the other among its 'peers'"),
        name);

    fail (self, HYPHA_ERROR_CONNECT, reason);
  } else {
    fail (self,
          g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT) ? HYPHA_ERROR_TIMED_OUT
                                                                      : HYPHA_ERROR_CONNECT,
          error->message);
  }
}

static void
on_written (gboolean done, gpointer user_data)
{
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) held = user_data;
  Dial *self = g_task_get_task_data (held);
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = hypha_peers_open_finish (HYPHA_PEERS (source), result, &error);
  const ViaHead head = {
    .type = VIA_HEAD_GO, .timeout_ms = left_ms (self), .cost = self->cost, .route = self->route + 1
  };
  g_autofree char *line = via_head_print (&head);

  g_clear_object (&self->opening);
  if (self->task == NULL) {
    if (stream != NULL)
      hypha_peers_reset (HYPHA_PEERS (source), stream);
    return; /* it was answered meanwhile */
  }
  if (stream == NULL) {
    fail_opening (self, error);
    return;
  }
  self->stream = g_steal_pointer (&stream);
  /* If it does not get there, the end is read. */
  via_line_write (self->stream, line, on_written, NULL);
  self->line = via_line_new (self->stream, VIA_MAX_HEAD, FALSE, on_answer, self);
  via_line_next (self->line, 0);
}

static void
open_stream (Dial *self)
{
  self->opening = g_cancellable_new ();
  hypha_peers_open_async (self->peers, self->first, VIA_SERVICE, left_ms (self), self->opening,
                          on_opened, g_object_ref (self->task));
}

static void
on_changed (HyphaPeers *peers, gpointer user_data)
{
  Dial *self = user_data;

  if (!via_hub_get_link_cost (self->peers, self->first, &self->cost))
    return;
  g_signal_handler_disconnect (self->peers, self->changed);
  self->changed = 0;
  open_stream (self);
}

/* ---- the beginning, and the end ---- */

static gboolean
on_late (gpointer user_data)
{
  Dial *self = user_data;
  g_autofree char *name = hypha_peer_dup_name (self->first);
  g_autofree char *reason =
      self->changed != 0 ? g_strdup_printf (_ ("there was no direct link to %s in time"), name)
                         : g_strdup (_ ("there was no answer in time"));

  fail (self, HYPHA_ERROR_TIMED_OUT, reason);
  return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  Dial *self = user_data;
  g_autoptr (GTask) task = stop (self);

  if (self->stream != NULL)
    hypha_peers_reset (self->peers, self->stream);
  g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                           _ ("connecting to %s was cancelled"),
                           hypha_endpoint_to_string (self->endpoint));
  return G_SOURCE_REMOVE;
}

static Dial *
dial_new (ViaHub *hub, GTask *task, HyphaEndpoint *endpoint)
{
  Dial *self = g_new0 (Dial, 1);

  self->hub = via_hub_ref (hub);
  self->task = task;
  self->endpoint = endpoint;
  g_task_set_task_data (task, self, dial_free);
  return self;
}

/* FALSE: it was refused. */
static gboolean
find_first (Dial *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *id = NULL;
  g_autofree char *reason = NULL;

  self->route = via_route_parse (self->endpoint, &error);
  if (self->route == NULL) {
    g_autoptr (GTask) task = stop (self);

    g_task_return_error (task, g_steal_pointer (&error));
    return FALSE;
  }
  if (g_strv_length (self->route) < 2) {
    fail (self, HYPHA_ERROR_INVALID_ARGUMENT,
          _ ("it is for listening only: to connect, the node that is to be reached has to follow"));
    return FALSE;
  }
  self->first = via_hub_find_peer (self->hub, self->route[0]);
  if (self->first == NULL) {
    reason = g_strdup_printf (_ ("no trusted peer is called '%s'"), self->route[0]);
    fail (self, HYPHA_ERROR_NO_SUCH_PEER, reason);
    return FALSE;
  }
  id = hypha_peers_dup_id (self->peers);
  if (!g_strv_contains ((const char *const *) self->route, id))
    return TRUE;
  fail (self, HYPHA_ERROR_INVALID_ARGUMENT, _ ("this node is on the way itself"));
  return FALSE;
}

void
via_dial (ViaHub *hub, GTask *task, HyphaEndpoint *endpoint, guint timeout_ms,
          GCancellable *cancellable)
{
  Dial *self = dial_new (hub, task, endpoint);
  G_GNUC_UNUSED g_autoptr (GTask) held = g_object_ref (task);
  GMainContext *context = g_main_context_get_thread_default ();

  if (hub->peers == NULL) {
    fail (self, HYPHA_ERROR_UNAVAILABLE,
          _ ("it goes through the peers of a node, and this program has none: ask a node "
             "(hyphactl connect)"));
    return;
  }
  self->peers = g_object_ref (hub->peers);
  self->deadline = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND;
  if (!find_first (self))
    return;
  self->late = g_timeout_source_new (timeout_ms);
  g_source_set_callback (self->late, on_late, self, NULL);
  g_source_attach (self->late, context);
  self->cancelled = g_cancellable_source_new (cancellable);
  g_source_set_callback (self->cancelled, G_SOURCE_FUNC (on_cancelled), self, NULL);
  g_source_attach (self->cancelled, context);
  if (via_hub_get_link_cost (self->peers, self->first, &self->cost))
    open_stream (self);
  else
    self->changed = g_signal_connect (self->peers, "changed", G_CALLBACK (on_changed), self);
}
