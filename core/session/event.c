/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session/session-private.h"

/* Events wait in an array that is emptied when the last one is taken: nothing is allocated for them
 * once the session runs. Those that may come with every frame are told once until they are taken.
 */

static void
push (HyphaSession *self, const HyphaSessionEvent *event)
{
  g_array_append_vals (self->events, event, 1);
}

void
hypha_session_event_stream (HyphaSession *self, HyphaSessionEventType type,
                            HyphaSessionStream *stream, int error, const char *text)
{
  if (type == HYPHA_SESSION_READABLE) {
    if (stream->readable_told)
      return;
    stream->readable_told = TRUE;
  }
  if (type == HYPHA_SESSION_WRITABLE) {
    if (stream->writable_told)
      return;
    stream->writable_told = TRUE;
  }
  push (self, &(HyphaSessionEvent){ .type = type, .stream = stream, .error = error, .text = text });
}

void
hypha_session_event_link (HyphaSession *self, HyphaSessionEventType type, HyphaSessionLink *link,
                          HyphaAway away)
{
  if (type == HYPHA_SESSION_CONFIRMED) {
    if (link->confirmed_told)
      return;
    link->confirmed_told = TRUE;
  }
  push (self, &(HyphaSessionEvent){
                  .type = type, .link = link, .link_data = link->data, .away = away, .error = -1 });
}

void
hypha_session_event_switched (HyphaSession *self, HyphaSessionLink *link, HyphaSessionLink *from,
                              const char *text)
{
  push (self, &(HyphaSessionEvent){ .type = HYPHA_SESSION_SWITCHED,
                                    .link = link,
                                    .link_data = link != NULL ? link->data : NULL,
                                    .from = from,
                                    .from_data = from != NULL ? from->data : NULL,
                                    .error = -1,
                                    .text = text });
}

void
hypha_session_event_over (HyphaSession *self, HyphaError error, const char *text)
{
  push (self,
        &(HyphaSessionEvent){ .type = HYPHA_SESSION_OVER, .error = (int) error, .text = text });
}

/* A link that its owner detached is no longer spoken of; only that the sending went away from it is
 * still told. */
void
hypha_session_forget_link_events (HyphaSession *self, HyphaSessionLink *link)
{
  guint kept = self->next_event;

  for (guint i = self->next_event; i < self->events->len; i++) {
    HyphaSessionEvent event = g_array_index (self->events, HyphaSessionEvent, i);

    if (event.type == HYPHA_SESSION_SWITCHED) {
      if (event.link == link) {
        event.link = NULL;
        event.link_data = NULL;
      }
      if (event.from == link)
        event.from = NULL;
    } else if (event.link == link) {
      continue;
    }
    g_array_index (self->events, HyphaSessionEvent, kept++) = event;
  }
  g_array_set_size (self->events, kept);
}

/* A caller's text, kept until all events that may point to it have been taken. */
const char *
hypha_session_keep_text (HyphaSession *self, const char *text)
{
  return g_string_chunk_insert_const (self->texts, text != NULL ? text : "");
}

static void
bury (HyphaSession *self)
{
  if (self->buried != NULL) {
    g_ptr_array_remove_fast (self->graves, self->buried);
    self->buried = NULL;
  }
  if (self->left != NULL) {
    g_ptr_array_remove_fast (self->leaving, self->left);
    self->left = NULL;
  }
}

/**
 * hypha_session_next_event: (skip)
 * @self: a session
 * @event: (out caller-allocates): what happened
 *
 * Takes the oldest event. What it points to is good until the next call of any function of this
 * session.
 *
 * Returns: %FALSE if there is none
 */
gboolean
hypha_session_next_event (HyphaSession *self, HyphaSessionEvent *event)
{
  bury (self);
  if (self->next_event == self->events->len) {
    g_array_set_size (self->events, 0);
    self->next_event = 0;
    g_string_chunk_clear (self->texts);
    return FALSE;
  }

  *event = g_array_index (self->events, HyphaSessionEvent, self->next_event++);
  switch (event->type) {
  case HYPHA_SESSION_READABLE:
    event->stream->readable_told = FALSE;
    break;
  case HYPHA_SESSION_WRITABLE:
    event->stream->writable_told = FALSE;
    break;
  case HYPHA_SESSION_CONFIRMED:
    event->link->confirmed_told = FALSE;
    event->all = event->link->all_heard;
    break;
  case HYPHA_SESSION_ENDED:
    self->buried = event->stream;
    break;
  case HYPHA_SESSION_LINK_DONE:
    self->left = event->link;
    break;
  default:
    break;
  }
  return TRUE;
}
