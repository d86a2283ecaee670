/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/plugin.h"

#include <glib/gi18n-lib.h>
#include "ctl/verb.h"

typedef struct {
  char *directory, *language;
  HyphaCtlCheckOptions check;
} Options;

static void
options_clear (Options *options)
{
  g_free (options->directory);
  g_free (options->language);
  g_free (options->check.contract);
  g_strfreev (options->check.only);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

/* An option of the one form that was given with the other. */
static gboolean
check_options (const Options *options, gboolean is_new, GError **error)
{
  const struct {
    const char *name, *form;
    gboolean given, fits;
  } all[] = {
    { "--directory", "new", options->directory != NULL, is_new },
    { "--language", "new", options->language != NULL, is_new },
    { "--contract", "check", options->check.contract != NULL, !is_new },
    { "--only", "check", options->check.only != NULL, !is_new },
    { "--bytes", "check", options->check.bytes != 0, !is_new },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (all); i++) {
    if (!all[i].given || all[i].fits)
      continue;
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("%s goes with '%s' only"),
                 all[i].name, all[i].form);
    return FALSE;
  }
  if (options->check.bytes >= 0)
    return TRUE;
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                       _ ("--bytes is a number above 0"));
  return FALSE;
}

gboolean
hypha_verb_plugin (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (Options) given = { 0 };
  const GOptionEntry options[] = {
    { "directory", 0, 0, G_OPTION_ARG_FILENAME, &given.directory,
      N_ ("Of new: write the folder into this one (default: where you are)"), N_ ("DIR") },
    { "language", 0, 0, G_OPTION_ARG_STRING, &given.language,
      N_ ("Of new: the language to write in (default: c)"), N_ ("LANGUAGE") },
    { "contract", 0, 0, G_OPTION_ARG_FILENAME, &given.check.contract,
      N_ ("Of check: what the plug-in promises (default: NAME.contract beside it)"), N_ ("FILE") },
    { "only", 0, 0, G_OPTION_ARG_STRING_ARRAY, &given.check.only,
      N_ ("Of check: run the tests of this name, which may have '*' (may be repeated)"),
      N_ ("TEST") },
    { "bytes", 0, 0, G_OPTION_ARG_INT64, &given.check.bytes,
      N_ ("Of check: how much a channel has to carry each way"), N_ ("NUMBER") },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  gboolean is_new;

  if (words == NULL)
    return FALSE;
  is_new = g_str_equal (words[0], "new");
  if (!check_options (&given, is_new, error))
    return FALSE;
  if (is_new)
    return hypha_ctl_new_plugin (ctl, words[1], given.directory,
                                 given.language != NULL ? given.language : HYPHA_CTL_LANGUAGE,
                                 error);
  return hypha_ctl_check_plugin (ctl, words[1], &given.check, error);
}
