/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <stdio.h>

#include <hypha.h>

#include "ctl/bare.h"
#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

typedef struct {
  HyphaListener *listener;
  HyphaChannel *channel; /* the first that came */
  GError *error;
  gboolean late, interrupted;
} Accept;

/* A socket that has a name in the file system is taken away. */
static void
accept_clear (Accept *self)
{
  if (self->listener)
    hypha_listener_close (self->listener);
  g_clear_object (&self->listener);
  g_clear_object (&self->channel);
  g_clear_error (&self->error);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Accept, accept_clear)

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
  Accept *self = user_data;

  if (self->channel)
    return;
  self->channel = g_object_ref (channel);
  /* One that may lose something would end with it. Of others, nobody takes what they bring. */
  if ((hypha_channel_get_flags (channel) & HYPHA_CHANNEL_LOSSY) == 0)
    hypha_listener_close (listener);
}

static void
on_failed (HyphaListener *listener, const GError *error, gpointer user_data)
{
  Accept *self = user_data;

  if (self->error == NULL)
    self->error = g_error_copy (error);
}

static gboolean
on_late (gpointer user_data)
{
  Accept *self = user_data;

  self->late = TRUE;
  return G_SOURCE_REMOVE;
}

/* Standard output is for what comes. */
static void
print_bound (HyphaCtl *ctl, HyphaListener *listener)
{
  const char *bound = hypha_endpoint_to_string (hypha_listener_get_bound (listener));
  g_autofree char *safe = hypha_ctl_escape (bound);

  if (ctl->json) {
    g_autofree char *line =
        hypha_ctl_format_json_line (g_variant_new_parsed ("{'listening': <%s>}", bound));

    fputs (line, stderr);
  } else {
    fprintf (stderr, _ ("listening on %s\n"), safe);
  }
  fflush (stderr);
}

static gboolean
wait_channel (Accept *self, int timeout, GError **error)
{
  const char *bound = hypha_endpoint_to_string (hypha_listener_get_bound (self->listener));
  guint source = timeout > 0 ? g_timeout_add ((guint) timeout, on_late, self) : 0;

  g_signal_connect (self->listener, "accepted", G_CALLBACK (on_accepted), self);
  g_signal_connect (self->listener, "failed", G_CALLBACK (on_failed), self);
  while (!self->channel && !self->error && !self->late && !self->interrupted)
    g_main_context_iteration (NULL, TRUE);
  g_signal_handlers_disconnect_by_data (self->listener, self);
  if (source > 0 && !self->late)
    g_source_remove (source);
  if (self->channel)
    return TRUE;
  if (self->error)
    g_propagate_error (error, g_steal_pointer (&self->error));
  else if (self->interrupted)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("interrupted"));
  else
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                 _ ("nobody connected to %s within %d ms"), bound, timeout);
  return FALSE;
}

gboolean
hypha_verb_accept (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  int timeout = 0;
  const GOptionEntry options[] = {
    { "timeout", 't', 0, G_OPTION_ARG_INT, &timeout,
      N_ ("Milliseconds to wait for somebody (0: for ever)"), "MS" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  g_auto (Accept) self = { 0 };

  if (words == NULL || !hypha_verb_check_range ("--timeout", timeout, 0, G_MAXINT, error))
    return FALSE;
  hypha_ctl_catch_signals (&self.interrupted);
  hypha_listen_async (words[0], NULL, hypha_ctl_on_done, &result);
  self.listener = hypha_listen_finish (hypha_ctl_wait_for (&result), error);
  if (self.listener == NULL)
    return FALSE;
  print_bound (ctl, self.listener);
  if (!wait_channel (&self, timeout, error))
    return FALSE;
  stream = hypha_stream_new_for_channel (self.channel, error);
  return stream != NULL && hypha_bare_join (stream, &self.interrupted, error);
}
