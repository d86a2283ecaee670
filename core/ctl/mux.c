/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>

#include "ctl/forward.h"
#include "ctl/verb.h"

/* The daemon has another working directory; and it takes text, which that of a file need not be. */
static char *
dup_path (const char *word, GError **error)
{
  g_autofree char *path = g_canonicalize_filename (word, NULL);
  g_autofree char *shown = NULL;

  if (g_utf8_validate (path, -1, NULL))
    return g_steal_pointer (&path);
  shown = g_filename_display_name (path);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("the path '%s' is not UTF-8: choose another place for the socket"), shown);
  return NULL;
}

gboolean
hypha_verb_mux (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  HyphaCtlForwardOptions settings = { FALSE, FALSE };
  const GOptionEntry options[] = {
    { "persist", 0, 0, G_OPTION_ARG_NONE, &settings.persist, N_ ("Keep it in the settings, too"),
      NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_autofree char *local = words != NULL ? dup_path (words[1], error) : NULL;

  if (local == NULL)
    return FALSE;
  if (hypha_ctl_add_forward (ctl, local, words[0], "*", &settings, error))
    return TRUE;
  hypha_client_clean_error (error);
  return FALSE;
}
