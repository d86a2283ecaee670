/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-source.h"

#include "via-line.h"
#include "via-talk.h"

#define ANSWER_MS 10000
/* Whatever the peer sends, no more than one list is read in this time. */
#define PACE_MS 500
/* A list costs handshakes: of those that were read, so many are taken at once, */
#define MOST_TAKEN 8
/* and one more in this time, the last that was read. */
#define TAKE_MS 8000
#define FIRST_WAIT_S 2
#define LONGEST_WAIT_S 64
/* Whoever does not tell now is not expected to; but he may only have had no room. */
#define LONGEST_REFUSAL_S 1024

struct _ViaSource {
  grefcount ref_count;
  HyphaPeers *peers;
  HyphaPeer *peer;
  gboolean listening;
  ViaSourceFunc func; /* NULL: stopped */
  gpointer user_data;
  GCancellable *opening;
  HyphaStream *stream;
  ViaLine *line;
  GPtrArray *list;
  GPtrArray *next; /* what is to be taken for it; NULL: nothing */
  guint may_take;
  GSource *taking;  /* while MAY_TAKE is not all */
  GSource *timer;   /* before it asks again, or hears again */
  guint wait;       /* s */
  gboolean refused; /* an offer is worth more than waiting */
};

static void ask (ViaSource *self);

static void
source_unref (ViaSource *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  g_ptr_array_unref (self->list);
  g_clear_pointer (&self->next, g_ptr_array_unref);
  g_object_unref (self->peer);
  g_object_unref (self->peers);
  g_free (self);
}

static void
clear_timer (GSource **timer)
{
  if (*timer != NULL)
    g_source_destroy (*timer);
  g_clear_pointer (timer, g_source_unref);
}

static void
set_timer (ViaSource *self, GSource **timer, guint ms, GSourceFunc func)
{
  clear_timer (timer);
  *timer = g_timeout_source_new (ms);
  g_source_set_callback (*timer, func, self, NULL);
  g_source_attach (*timer, g_main_context_get_thread_default ());
}

static void
let_go (ViaSource *self)
{
  clear_timer (&self->timer);
  if (self->opening != NULL)
    g_cancellable_cancel (self->opening);
  g_clear_object (&self->opening);
  g_clear_pointer (&self->line, via_line_free);
  if (self->stream != NULL)
    hypha_peers_reset (self->peers, self->stream);
  g_clear_object (&self->stream);
}

/* The last thing that is done: whoever is told may stop it. */
static void
take_next (ViaSource *self)
{
  g_ptr_array_unref (self->list);
  self->list = g_steal_pointer (&self->next);
  self->func (self->user_data);
}

static gboolean
on_may_take (gpointer user_data)
{
  ViaSource *self = user_data;

  if (self->next != NULL)
    take_next (self);
  else if (++self->may_take == MOST_TAKEN)
    clear_timer (&self->taking);
  return G_SOURCE_CONTINUE;
}

/* Takes LIST, now or when its turn has come. */
static void
set_list (ViaSource *self, GPtrArray *list)
{
  g_clear_pointer (&self->next, g_ptr_array_unref);
  if (self->list->len == 0 && list->len == 0) {
    g_ptr_array_unref (list);
    return;
  }
  self->next = list;
  if (self->may_take == 0)
    return;
  self->may_take--;
  if (self->taking == NULL)
    set_timer (self, &self->taking, TAKE_MS, on_may_take);
  take_next (self);
}

static gboolean
on_time (gpointer user_data)
{
  ask (user_data);
  return G_SOURCE_REMOVE;
}

/* Nothing is heard any more: it is asked again after a while, at most LONGEST. */
static void
lose (ViaSource *self, guint longest)
{
  guint wait = MIN (self->wait, longest);

  let_go (self);
  set_timer (self, &self->timer, wait * 1000, on_time);
  self->wait = MIN (wait * 2, longest);
  set_list (self, g_ptr_array_new ());
}

static void
refused (ViaSource *self)
{
  self->refused = TRUE;
  lose (self, LONGEST_REFUSAL_S);
}

static gboolean
on_pace (gpointer user_data)
{
  ViaSource *self = user_data;

  clear_timer (&self->timer);
  via_line_next (self->line, 0);
  return G_SOURCE_REMOVE;
}

/* Neither the node itself nor whoever tells has a place in what is told; and there is one way to
 * each, the first that is told, however many he knows: for each is dialled. */
static GPtrArray *
tidy (ViaSource *self, GPtrArray *told)
{
  g_autofree char *own = hypha_peers_dup_id (self->peers);
  g_autofree char *theirs = hypha_peer_dup_id (self->peer);
  g_autoptr (GHashTable) targets = g_hash_table_new (g_str_hash, g_str_equal);
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) via_seen_free);

  for (guint i = 0; i < told->len; i++) {
    ViaSeen *seen = told->pdata[i];

    if (via_seen_has (seen, own) || via_seen_has (seen, theirs) ||
        !g_hash_table_add (targets, (gpointer) via_seen_get_target (seen)))
      continue;
    g_ptr_array_add (list, seen);
    told->pdata[i] = NULL;
  }
  return list;
}

static void
on_line (ViaLine *line, const char *text, const GError *error, gpointer user_data)
{
  ViaSource *self = user_data;
  g_autoptr (GPtrArray) list = text != NULL ? via_list_parse (text) : NULL;

  if (text != NULL && g_str_has_prefix (text, "no ")) {
    refused (self);
  } else if (list == NULL) {
    lose (self, LONGEST_WAIT_S);
  } else {
    self->wait = FIRST_WAIT_S;
    set_timer (self, &self->timer, PACE_MS, on_pace);
    set_list (self, tidy (self, list));
  }
}

/* If it does not get there, the end is read. */
static void
on_written (gboolean done, gpointer user_data)
{
}

/* One attempt; another may have begun before it comes back. */
typedef struct {
  ViaSource *source;
  GCancellable *cancellable;
} Opening;

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Opening *opening = user_data;
  g_autoptr (GCancellable) cancellable = opening->cancellable;
  ViaSource *self = opening->source;
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = hypha_peers_open_finish (HYPHA_PEERS (source), result, &error);
  const ViaHead head = { .type = VIA_HEAD_SEE, .listening = self->listening };
  g_autofree char *line = via_head_print (&head);

  if (g_cancellable_is_cancelled (cancellable)) {
    if (stream != NULL)
      hypha_peers_reset (self->peers, stream);
    g_clear_object (&stream);
    source_unref (self);
    return;
  }
  g_clear_object (&self->opening);
  self->stream = stream;
  if (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE) ||
      g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED) ||
      g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED)) {
    refused (self);
  } else if (stream == NULL) {
    lose (self, LONGEST_WAIT_S);
  } else {
    via_line_write (stream, line, on_written, NULL);
    self->line = via_line_new (stream, VIA_MAX_LIST, TRUE, on_line, self);
    via_line_next (self->line, ANSWER_MS);
  }
  source_unref (self);
}

static void
ask (ViaSource *self)
{
  Opening *opening = g_new (Opening, 1);

  let_go (self);
  self->refused = FALSE;
  self->opening = g_cancellable_new ();
  g_ref_count_inc (&self->ref_count);
  *opening = (Opening){ self, g_object_ref (self->opening) };
  hypha_peers_open_async (self->peers, self->peer, VIA_SERVICE, ANSWER_MS, self->opening, on_opened,
                          opening);
}

ViaSource *
via_source_new (HyphaPeers *peers, HyphaPeer *peer, gboolean listening, ViaSourceFunc func,
                gpointer user_data)
{
  ViaSource *self = g_new0 (ViaSource, 1);

  g_ref_count_init (&self->ref_count);
  self->peers = g_object_ref (peers);
  self->peer = g_object_ref (peer);
  self->listening = listening;
  self->func = func;
  self->user_data = user_data;
  self->list = g_ptr_array_new ();
  self->wait = FIRST_WAIT_S;
  self->may_take = MOST_TAKEN;
  ask (self);
  return self;
}

void
via_source_stop (ViaSource *self)
{
  self->func = NULL;
  clear_timer (&self->taking);
  let_go (self);
  source_unref (self);
}

HyphaPeer *
via_source_get_peer (ViaSource *self)
{
  return self->peer;
}

GPtrArray *
via_source_get_list (ViaSource *self)
{
  return self->list;
}

void
via_source_set_listening (ViaSource *self, gboolean listening)
{
  if (self->listening == listening)
    return;
  self->listening = listening;
  ask (self);
}

void
via_source_ask_again (ViaSource *self)
{
  if (!self->refused)
    return;
  self->refused = FALSE;
  set_timer (self, &self->timer, PACE_MS, on_time);
}
