/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-middle.h"

#include <string.h>

#include "via-line.h"
#include "via-listener.h"
#include "via-route.h"
#include "via-sight.h"
#include "via-talk.h"

/* For what a peer says first. */
#define HEAD_TIMEOUT_MS 10000

struct _ViaMiddle {
  ViaHub *hub;
  HyphaPeers *peers;
  GPtrArray *passages; /* of Passage, owned */
  gulong incoming, changed;
};

/* A stream of a peer, from its first line on; and, where it is led on, the one to the next node. */
typedef struct {
  ViaMiddle *middle; /* NULL: it has gone, or this is no business of its any more */
  HyphaPeer *from, *to;
  HyphaStream *in, *out;
  ViaLine *line;
  ViaHead head;
  guint cost; /* of the hop to TO; where it ends here, of the one from FROM */
  gint64 deadline;
  GCancellable *opening;
  gboolean joined;
  guint waits; /* callbacks that are still to come */
} Passage;

/* ---- life of a passage ---- */

static void
passage_free (Passage *self)
{
  g_clear_pointer (&self->line, via_line_free);
  g_clear_object (&self->opening);
  g_clear_object (&self->from);
  g_clear_object (&self->to);
  g_clear_object (&self->in);
  g_clear_object (&self->out);
  via_head_clear (&self->head);
  g_free (self);
}

/* Out of the list. What is still to come back finds that there is nothing left to do. */
static void
drop (Passage *self)
{
  if (self->middle == NULL)
    return;
  g_ptr_array_remove_fast (self->middle->passages, self);
  self->middle = NULL;
  g_clear_pointer (&self->line, via_line_free);
  if (self->opening != NULL)
    g_cancellable_cancel (self->opening);
  if (self->waits == 0)
    passage_free (self);
}

static void
cut (Passage *self)
{
  hypha_peers_reset (self->middle->peers, self->in);
  if (self->out != NULL)
    hypha_peers_reset (self->middle->peers, self->out);
  drop (self);
}

static void
refuse (Passage *self, ViaRefusal refusal)
{
  g_autofree char *line = via_answer_print (&(ViaAnswer){ .refusal = refusal });

  via_line_write (self->in, line, NULL, NULL);
  if (self->out != NULL)
    hypha_peers_reset (self->middle->peers, self->out);
  drop (self);
}

/* FUNC comes behind it, with the passage. */
static void
answer (Passage *self, const ViaAnswer *said, ViaWrittenFunc func)
{
  g_autofree char *line = via_answer_print (said);

  self->waits++;
  via_line_write (self->in, line, func, self);
}

/* A callback has come. FALSE: there is nothing left to do. */
static gboolean
came_back (Passage *self)
{
  self->waits--;
  if (self->middle != NULL)
    return TRUE;
  if (self->waits == 0)
    passage_free (self);
  return FALSE;
}

/* Either stream has ended: what is left of the other ends, too, and as badly. */
static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Passage *self = user_data;
  HyphaStream *other = HYPHA_STREAM (source) == self->in ? self->out : self->in;
  gboolean well = hypha_stream_wait_end_finish (HYPHA_STREAM (source), result, NULL, NULL, NULL);

  if (!came_back (self))
    return;
  if (!self->joined && HYPHA_STREAM (source) != self->in)
    return; /* what it said before may still be read */
  if (!self->joined || self->waits == 0) {
    cut (self); /* the one that is left, if there is one */
  } else if (!well && other != NULL) {
    hypha_peers_reset (self->middle->peers, other);
  }
}

static void
await_end (Passage *self, HyphaStream *stream)
{
  self->waits++;
  hypha_stream_wait_end_async (stream, NULL, on_ended, self);
}

/* ---- how many there are ---- */

static guint
count (ViaMiddle *self, HyphaPeer *peer)
{
  guint n = 0;

  for (guint i = 0; i < self->passages->len; i++) {
    Passage *passage = self->passages->pdata[i];

    n += passage->from == peer || passage->to == peer;
  }
  return n;
}

/* Such as lead on: who has said nothing yet takes no place from others. */
static guint
count_led (ViaMiddle *self)
{
  guint n = 0;

  for (guint i = 0; i < self->passages->len; i++)
    n += ((Passage *) self->passages->pdata[i])->to != NULL;
  return n;
}

/* Of the two, whoever began it. */
static guint
count_between (ViaMiddle *self, HyphaPeer *one, HyphaPeer *other)
{
  guint n = 0;

  for (guint i = 0; i < self->passages->len; i++) {
    Passage *passage = self->passages->pdata[i];

    n += (passage->from == one && passage->to == other) ||
         (passage->from == other && passage->to == one);
  }
  return n;
}

/* Whether this one is more than there may be. Nobody takes more places of another than he leaves
 * free: so each who comes finds one, and those who take all they can get share them. */
static gboolean
is_too_much (Passage *passage)
{
  ViaMiddle *self = passage->middle;
  guint theirs = count (self, passage->to), most = self->hub->max_per_peer;

  return count_led (self) > self->hub->max_passages || count (self, passage->from) > most ||
         theirs > most || count_between (self, passage->from, passage->to) > most - theirs + 1;
}

/* ---- leading on ---- */

static guint
left_ms (Passage *self)
{
  gint64 left = (self->deadline - g_get_monotonic_time ()) / G_TIME_SPAN_MILLISECOND;

  return (guint) CLAMP (left, 1, VIA_MAX_TIMEOUT_MS);
}

static void
on_led (gboolean done, gpointer user_data)
{
  Passage *self = user_data;

  if (!came_back (self))
    return;
  self->joined = TRUE;
  if (!done || !hypha_stream_join (self->in, self->out, NULL))
    cut (self);
}

static void
lead_on (Passage *self, const ViaAnswer *theirs)
{
  g_autofree char *next = hypha_peer_dup_id (self->to);
  g_autoptr (GPtrArray) middles = g_ptr_array_new ();
  ViaAnswer mine = { .cost = MIN (VIA_MIDDLE_COST + self->cost + theirs->cost, VIA_MAX_COST) };

  if (self->head.route[1] != NULL) {
    g_ptr_array_add (middles, next);
    for (char **id = theirs->middles; *id != NULL; id++)
      g_ptr_array_add (middles, *id);
  }
  g_ptr_array_add (middles, NULL);
  mine.middles = (char **) middles->pdata;
  g_clear_pointer (&self->line, via_line_free);
  answer (self, &mine, on_led);
}

static void
on_answer (ViaLine *line, const char *text, const GError *error, gpointer user_data)
{
  Passage *self = user_data;
  g_auto (ViaAnswer) theirs = { 0 };
  guint expected = g_strv_length (self->head.route) - 1;

  if (text == NULL)
    refuse (self, g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT)
                      ? VIA_REFUSAL_TIMED_OUT
                      : VIA_REFUSAL_UNREACHABLE);
  else if (!via_answer_parse (text, &theirs))
    refuse (self, VIA_REFUSAL_UNREACHABLE);
  else if (theirs.refusal != VIA_REFUSAL_NONE)
    refuse (self, theirs.refusal);
  else if (g_strv_length (theirs.middles) + (expected > 0) != expected)
    refuse (self, VIA_REFUSAL_UNREACHABLE);
  else
    lead_on (self, &theirs);
}

static ViaRefusal
refusal_of (const GError *error)
{
  if (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT))
    return VIA_REFUSAL_TIMED_OUT;
  if (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_BUSY))
    return VIA_REFUSAL_BUSY;
  if (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE) ||
      g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED) ||
      g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED))
    return VIA_REFUSAL_REFUSED;
  return VIA_REFUSAL_UNREACHABLE;
}

/* The next node learns whom it has come through. */
static char *
print_head (Passage *self)
{
  g_autofree char *from = hypha_peer_dup_id (self->from);
  g_autoptr (GPtrArray) path = g_ptr_array_new ();
  guint cost = MIN (self->head.cost + VIA_MIDDLE_COST + self->cost, VIA_MAX_COST);

  for (char **id = self->head.path; *id != NULL; id++)
    g_ptr_array_add (path, *id);
  g_ptr_array_add (path, from);
  g_ptr_array_add (path, NULL);
  return via_head_print (&(ViaHead){ .type = VIA_HEAD_GO,
                                     .timeout_ms = left_ms (self),
                                     .cost = cost,
                                     .path = (char **) path->pdata,
                                     .route = self->head.route + 1 });
}

/* If it does not get there, the end is read. */
static void
on_head_written (gboolean done, gpointer user_data)
{
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Passage *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) out = hypha_peers_open_finish (HYPHA_PEERS (source), result, &error);
  g_autofree char *line = NULL;

  g_clear_object (&self->opening);
  if (!came_back (self)) {
    if (out != NULL)
      hypha_peers_reset (HYPHA_PEERS (source), out);
    return;
  }
  if (out == NULL) {
    refuse (self, refusal_of (error));
    return;
  }
  self->out = g_steal_pointer (&out);
  await_end (self, self->out);
  line = print_head (self);
  via_line_write (self->out, line, on_head_written, NULL);
  g_clear_pointer (&self->line, via_line_free);
  self->line = via_line_new (self->out, VIA_MAX_HEAD, FALSE, on_answer, self);
  via_line_next (self->line, left_ms (self));
}

/* Whether ID is on the way already: before this node, or as this node. */
static gboolean
was_there (Passage *self, const char *id)
{
  g_autofree char *own = hypha_peers_dup_id (self->middle->peers);
  g_autofree char *from = hypha_peer_dup_id (self->from);

  return g_str_equal (id, own) || g_str_equal (id, from) ||
         g_strv_contains ((const char *const *) self->head.path, id);
}

/* Whether this node, or who opened the stream, is told to be among those before. */
static gboolean
goes_round (Passage *self)
{
  g_autofree char *own = hypha_peers_dup_id (self->middle->peers);
  g_autofree char *from = hypha_peer_dup_id (self->from);
  const char *const *path = (const char *const *) self->head.path;

  return g_strv_contains (path, own) || g_strv_contains (path, from);
}

static ViaRefusal
judge (Passage *self)
{
  ViaMiddle *middle = self->middle;
  g_autofree char *next = NULL;
  guint to_come = g_strv_length (self->head.route);

  if (!hypha_peers_may_pass (middle->peers, VIA_SERVICE, self->from))
    return VIA_REFUSAL_UNREACHABLE;
  /* Each node in the path but the first was in the middle; so is this one, and all but the last of
   * those to come. */
  if (g_strv_length (self->head.path) + to_come > VIA_MAX_MIDDLES || goes_round (self) ||
      was_there (self, self->head.route[0]))
    return VIA_REFUSAL_LOOP;
  self->to = via_hub_find_peer (middle->hub, self->head.route[0]);
  if (self->to == NULL || !hypha_peers_may_pass (middle->peers, VIA_SERVICE, self->to))
    return VIA_REFUSAL_UNREACHABLE;
  next = hypha_peer_dup_id (self->to);
  if (was_there (self, next))
    return VIA_REFUSAL_LOOP;
  if (!via_hub_get_link_cost (middle->peers, self->to, &self->cost))
    return VIA_REFUSAL_UNREACHABLE;
  return is_too_much (self) ? VIA_REFUSAL_BUSY : VIA_REFUSAL_NONE;
}

static void
go_on (Passage *self)
{
  ViaRefusal refusal = judge (self);

  if (refusal != VIA_REFUSAL_NONE) {
    refuse (self, refusal);
    return;
  }
  self->opening = g_cancellable_new ();
  self->waits++;
  hypha_peers_open_async (self->middle->peers, self->to, VIA_SERVICE, left_ms (self), self->opening,
                          on_opened, self);
}

/* ---- taking ---- */

/* Where it comes from, as it would be dialled. */
static HyphaEndpoint *
remote_of (Passage *self, char **host)
{
  g_autofree char *nearest = via_hub_dup_word (self->from);
  g_autofree char *nearest_id = hypha_peer_dup_id (self->from);
  g_autoptr (GPtrArray) route = g_ptr_array_new ();
  GString *ids = g_string_new (nearest_id);

  g_ptr_array_add (route, nearest);
  for (guint i = g_strv_length (self->head.path); i > 0; i--) {
    g_ptr_array_add (route, self->head.path[i - 1]);
    if (i > 1)
      g_string_append_printf (ids, "/%s", self->head.path[i - 1]);
  }
  g_ptr_array_add (route, NULL);
  *host = g_string_free (ids, FALSE);
  return via_route_to_endpoint ((const char *const *) route->pdata, NULL);
}

static void
on_taken (gboolean done, gpointer user_data)
{
  Passage *self = user_data;
  ViaListener *found;
  g_autoptr (ViaListener) listener = NULL;
  g_autoptr (HyphaEndpoint) remote = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autofree char *host = NULL;
  int fd = -1;

  if (!came_back (self))
    return;
  found = via_hub_find_listener (self->middle->hub, self->from); /* it may have closed meanwhile */
  listener = found != NULL ? g_object_ref (found) : NULL;
  if (done && listener != NULL)
    fd = hypha_stream_steal_fd (self->in);
  if (fd < 0) {
    cut (self);
    return;
  }
  remote = remote_of (self, &host);
  channel = hypha_channel_new (fd, hypha_listener_get_bound (HYPHA_LISTENER (listener)), remote,
                               HYPHA_CHANNEL_RELAYED);
  hypha_channel_set_host (channel, host);
  /* Nobody in between is cheaper than nothing. */
  via_hub_get_link_cost (self->middle->peers, self->from, &self->cost);
  hypha_channel_set_link_cost (
      channel,
      MAX (self->head.cost, self->cost + VIA_MIDDLE_COST * g_strv_length (self->head.path)));
  drop (self);
  hypha_listener_accepted (HYPHA_LISTENER (listener), channel);
}

static void
take (Passage *self)
{
  static char *nobody[] = { NULL };

  /* Somebody else has begun it, and nobody is there twice. */
  if (self->head.path[0] == NULL || goes_round (self))
    refuse (self, VIA_REFUSAL_MALFORMED);
  else if (via_hub_find_listener (self->middle->hub, self->from) == NULL)
    refuse (self, VIA_REFUSAL_REFUSED);
  else
    answer (self, &(ViaAnswer){ .middles = nobody }, on_taken);
}

/* ---- the first line ---- */

static void
see (Passage *self)
{
  ViaMiddle *middle = self->middle;
  g_autoptr (HyphaStream) in = g_object_ref (self->in);
  g_autoptr (HyphaPeer) from = g_object_ref (self->from);
  gboolean listening = self->head.listening;

  if (!hypha_peers_may_pass (middle->peers, VIA_SERVICE, from)) {
    refuse (self, VIA_REFUSAL_UNREACHABLE);
    return;
  }
  drop (self);
  via_sight_tell (middle->hub->sight, from, in, listening);
}

static void
on_head (ViaLine *line, const char *text, const GError *error, gpointer user_data)
{
  Passage *self = user_data;
  ViaMiddle *middle = self->middle;
  g_autoptr (HyphaPeer) from = g_object_ref (self->from);

  if (text == NULL || !via_head_parse (text, &self->head)) {
    if (text != NULL)
      refuse (self, VIA_REFUSAL_MALFORMED);
    else
      cut (self);
    return;
  }
  switch (self->head.type) {
  case VIA_HEAD_SEE:
    see (self);
    break;
  case VIA_HEAD_OFFER:
    g_io_stream_close (G_IO_STREAM (self->in), NULL, NULL);
    drop (self);
    via_sight_offered (middle->hub->sight, from);
    break;
  case VIA_HEAD_GO:
    self->deadline = g_get_monotonic_time () + self->head.timeout_ms * G_TIME_SPAN_MILLISECOND;
    if (self->head.route[0] == NULL)
      take (self);
    else
      go_on (self);
    break;
  }
}

static gboolean
on_incoming (HyphaPeers *peers, HyphaPeer *peer, HyphaStream *stream, ViaMiddle *self)
{
  Passage *passage;

  if (via_hub_find_listener (self->hub, peer) == NULL &&
      !hypha_peers_may_pass (peers, VIA_SERVICE, peer))
    return FALSE;
  /* Twice as many: those over the limit are told so, as long as there are not too many of them. */
  if (self->passages->len >= 2 * self->hub->max_passages ||
      count (self, peer) >= 2 * self->hub->max_per_peer)
    return FALSE;
  passage = g_new0 (Passage, 1);
  passage->middle = self;
  passage->from = g_object_ref (peer);
  passage->in = g_object_ref (stream);
  g_ptr_array_add (self->passages, passage);
  await_end (passage, stream);
  passage->line = via_line_new (stream, VIA_MAX_HEAD, FALSE, on_head, passage);
  via_line_next (passage->line, HEAD_TIMEOUT_MS);
  return TRUE;
}

/* ---- whom the settings let pass may have changed ---- */

static void
on_changed (HyphaPeers *peers, ViaMiddle *self)
{
  for (guint i = self->passages->len; i > 0; i--) {
    Passage *passage = self->passages->pdata[i - 1];

    if (passage->to != NULL && (!hypha_peers_may_pass (peers, VIA_SERVICE, passage->from) ||
                                !hypha_peers_may_pass (peers, VIA_SERVICE, passage->to)))
      cut (passage);
  }
}

/* ---- life ---- */

ViaMiddle *
via_middle_new (ViaHub *hub)
{
  ViaMiddle *self = g_new0 (ViaMiddle, 1);

  self->hub = hub;
  self->peers = g_object_ref (hub->peers);
  self->passages = g_ptr_array_new ();
  self->incoming =
      g_signal_connect (self->peers, "incoming::" VIA_SERVICE, G_CALLBACK (on_incoming), self);
  self->changed = g_signal_connect (self->peers, "changed", G_CALLBACK (on_changed), self);
  return self;
}

void
via_middle_free (ViaMiddle *self)
{
  g_signal_handler_disconnect (self->peers, self->incoming);
  g_signal_handler_disconnect (self->peers, self->changed);
  while (self->passages->len > 0)
    cut (self->passages->pdata[self->passages->len - 1]);
  g_ptr_array_unref (self->passages);
  g_object_unref (self->peers);
  g_free (self);
}
