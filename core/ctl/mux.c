/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>

#include "ctl/forward.h"
#include "ctl/verb.h"

gboolean
hypha_verb_mux (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  gboolean persist = FALSE;
  const GOptionEntry options[] = {
    { "persist", 0, 0, G_OPTION_ARG_NONE, &persist, N_ ("Keep it in the settings, too"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  /* The daemon has another working directory. */
  g_autofree char *local = words != NULL ? g_canonicalize_filename (words[1], NULL) : NULL;

  if (words == NULL)
    return FALSE;
  if (hypha_ctl_add_forward (ctl, local, words[0], "*", persist, error))
    return TRUE;
  hypha_client_clean_error (error);
  return FALSE;
}
