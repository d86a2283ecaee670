/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>

#include <hypha.h>

#include "ctl/bare.h"
#include "ctl/verb.h"

gboolean
hypha_verb_dial (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  int timeout = 10000;
  const GOptionEntry options[] = {
    { "timeout", 't', 0, G_OPTION_ARG_INT, &timeout,
      N_ ("Milliseconds to wait for the connection (10000)"), "MS" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  gboolean interrupted = FALSE;

  if (words == NULL || !hypha_verb_check_range ("--timeout", timeout, 1, G_MAXINT, error))
    return FALSE;
  hypha_dial_async (words[0], (guint) timeout, NULL, hypha_ctl_on_done, &result);
  stream = hypha_dial_finish (hypha_ctl_wait_for (&result), error);
  if (stream == NULL)
    return FALSE;
  hypha_ctl_catch_signals (&interrupted);
  return hypha_bare_join (stream, &interrupted, error);
}
