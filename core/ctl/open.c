/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <unistd.h>

#include "ctl/relay.h"
#include "ctl/verb.h"

typedef struct {
  HyphaRelay *relay;
  gboolean ended;
  GError *end; /* NULL: both directions were finished */
  gboolean interrupted;
} Open;

static void
open_clear (Open *self)
{
  g_clear_error (&self->end);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Open, open_clear)

static void
on_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Open *self = user_data;

  hypha_stream_wait_end_finish (HYPHA_STREAM (source), result, NULL, NULL, &self->end);
  self->ended = TRUE;
}

/* TRUE: the stream ended, whichever way. FALSE: this end broke off. */
static gboolean
run (Open *self, GError **error)
{
  for (;;) {
    g_autoptr (GError) output_error = NULL;
    gboolean drained = hypha_relay_is_drained (self->relay, &output_error);

    if (self->interrupted) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("interrupted"));
      return FALSE;
    }
    if (output_error) {
      g_propagate_error (error, g_steal_pointer (&output_error));
      return FALSE;
    }
    if (hypha_relay_has_failed (self->relay, error))
      return FALSE;
    if (self->ended && drained)
      return TRUE;
    g_main_context_iteration (NULL, TRUE);
  }
}

gboolean
hypha_verb_open (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  int timeout = 10000;
  gboolean direct = FALSE;
  const GOptionEntry options[] = {
    { "timeout", 't', 0, G_OPTION_ARG_INT, &timeout,
      N_ ("Milliseconds to wait for the peer to take the stream (10000)"), "MS" },
    { "direct", 0, 0, G_OPTION_ARG_NONE, &direct,
      N_ ("One socket all the way: fast, and it does not move to another link"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_auto (Open) self = { 0 };
  g_autoptr (HyphaClientPeer) peer = NULL;
  g_autoptr (HyphaStream) stream = NULL;

  if (words == NULL || !hypha_verb_check_range ("--timeout", timeout, 1, G_MAXINT, error))
    return FALSE;
  peer = hypha_ctl_find_peer (ctl, words[0], error);
  if (peer == NULL)
    return FALSE;
  stream = hypha_ctl_open_stream (peer, words[1], direct, (guint) timeout, error);
  if (stream == NULL)
    return FALSE;
  hypha_ctl_catch_signals (&self.interrupted);
  hypha_stream_wait_end_async (stream, NULL, on_ended, &self);
  self.relay = hypha_relay_start (STDIN_FILENO, STDOUT_FILENO, hypha_stream_get_fd (stream));
  if (!run (&self, error)) {
    /* Closing the descriptor alone would look to the peer as if everything had been sent. */
    hypha_dbus_peer1_call_close_stream_sync (hypha_client_peer_get_proxy (peer),
                                             hypha_stream_get_id (stream), G_DBUS_CALL_FLAGS_NONE,
                                             -1, NULL, NULL);
    return FALSE;
  }
  if (self.end) {
    g_propagate_error (error, g_steal_pointer (&self.end));
    return FALSE;
  }
  return TRUE;
}
