/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>

#include "ctl/verb.h"

/* How often a node is looked for that is not there: nobody tells when it comes. */
#define LOOK_MS 250

#define FOR_EVER G_MININT

typedef struct {
  HyphaCtl *ctl;
  const char *peer; /* NULL: the node */
  HyphaPeerState state;
  gboolean for_node; /* it need not be there yet */
  gboolean timed_out;
  GCancellable *cancellable; /* cancelled when the time is up */
  GError *last;              /* why it is not done yet */
} Wait;

static void
wait_clear (Wait *self)
{
  g_clear_object (&self->cancellable);
  g_clear_error (&self->last);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Wait, wait_clear)

static const char *
state_name (HyphaPeerState state)
{
  g_autoptr (GEnumClass) states = g_type_class_ref (HYPHA_TYPE_PEER_STATE);

  return g_enum_get_value (states, (int) state)->value_nick;
}

static gboolean
parse_state (const char *text, HyphaPeerState *state, GError **error)
{
  g_autoptr (GEnumClass) states = g_type_class_ref (HYPHA_TYPE_PEER_STATE);
  const GEnumValue *value = g_enum_get_value_by_nick (states, text);

  if (value == NULL) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 _ ("--state %s: it is pending, offline, connecting, online or suspect"), text);
    return FALSE;
  }
  *state = (HyphaPeerState) value->value;
  return TRUE;
}

static gboolean
on_timeout (gpointer user_data)
{
  Wait *self = user_data;

  self->timed_out = TRUE;
  g_cancellable_cancel (self->cancellable);
  return G_SOURCE_REMOVE;
}

static gboolean
on_look (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static void
pause_a_little (Wait *self)
{
  gboolean over = FALSE;
  guint timer = g_timeout_add (LOOK_MS, on_look, &over);

  while (!over && !self->timed_out)
    g_main_context_iteration (NULL, TRUE);
  if (!over)
    g_source_remove (timer);
}

static void
on_client (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static void
look_for_node (Wait *self)
{
  g_autoptr (GAsyncResult) result = NULL;
  HyphaClient *client;

  hypha_client_new_on_bus_async (&self->ctl->bus, self->cancellable, on_client, &result);
  while (result == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_clear_error (&self->last);
  client = hypha_client_new_finish (result, &self->last);
  g_clear_object (&self->ctl->client);
  self->ctl->client = client;
}

/* The connection of the client that was there is no use any more. */
static gboolean
is_lost (HyphaClient *client)
{
  return g_dbus_connection_is_closed (
      g_dbus_proxy_get_connection (G_DBUS_PROXY (hypha_client_get_node (client))));
}

/* TRUE: nothing is left to wait for. */
static gboolean
look (Wait *self)
{
  g_autoptr (HyphaClientPeer) peer = NULL;
  HyphaPeerState state;

  if (self->peer == NULL)
    return TRUE;
  g_clear_error (&self->last);
  peer = hypha_client_find_peer (self->ctl->client, self->peer, &self->last);
  if (peer == NULL)
    return FALSE;
  state = hypha_peer_get_state (HYPHA_PEER (peer));
  if (state == self->state)
    return TRUE;
  self->last = g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED,
                            _ ("%s is %s, not %s: hyphactl explain %s shows every way to it"),
                            self->peer, state_name (state), state_name (self->state), self->peer);
  return FALSE;
}

static gboolean
run (Wait *self, GError **error)
{
  gboolean for_node = self->for_node;

  while (!self->timed_out) {
    if (self->ctl->client == NULL || is_lost (self->ctl->client)) {
      look_for_node (self);
      if (self->ctl->client == NULL && !for_node)
        break;
      if (self->ctl->client == NULL)
        pause_a_little (self);
      continue;
    }
    /* It was there: whoever waits through a restart goes on. */
    for_node = TRUE;
    if (look (self))
      return TRUE;
    if (g_error_matches (self->last, HYPHA_ERROR, HYPHA_ERROR_AMBIGUOUS_PEER))
      break;
    g_main_context_iteration (NULL, TRUE);
  }
  if (!self->timed_out)
    g_propagate_error (error, g_steal_pointer (&self->last));
  else if (self->last == NULL || g_error_matches (self->last, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                 _ ("the time is up, and there is no node: start one with hyphad"));
  else
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT, _ ("the time is up: %s"),
                 self->last->message);
  return FALSE;
}

gboolean
hypha_verb_wait (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (Wait) self = { .ctl = ctl, .cancellable = g_cancellable_new () };
  g_autofree char *state = NULL;
  int timeout = FOR_EVER;
  const GOptionEntry options[] = {
    { "state", 0, 0, G_OPTION_ARG_STRING, &state,
      N_ ("Until the peer is pending, offline, connecting, online (as it is without this) or "
          "suspect"),
      N_ ("STATE") },
    { "timeout", 't', 0, G_OPTION_ARG_INT, &timeout, N_ ("Seconds to wait at most (for ever)"),
      N_ ("SECONDS") },
    { "node", 0, 0, G_OPTION_ARG_NONE, &self.for_node, N_ ("Wait for the node itself, too"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  gboolean done;
  guint timer = 0;

  if (words == NULL || !parse_state (state ? state : "online", &self.state, error) ||
      (timeout != FOR_EVER &&
       !hypha_verb_check_range ("--timeout", timeout, 1, G_MAXINT / 1000, error)))
    return FALSE;
  self.peer = words[0];
  if (self.peer == NULL && !self.for_node) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("PEER or --node is missing"));
    return FALSE;
  }
  if (timeout != FOR_EVER)
    timer = g_timeout_add (1000 * (guint) timeout, on_timeout, &self);
  done = run (&self, error);
  if (timer > 0 && !self.timed_out)
    g_source_remove (timer);
  return done;
}
