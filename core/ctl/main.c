/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

#define EXIT_USAGE 2

/* The column of verbs and their words; what is wider has a line of its own. */
#define USAGE_WIDTH 20

static void
list_verbs (void)
{
  fputs (_ ("Verbs:\n"), stdout);
  for (const HyphaVerb *verb = hypha_verbs; verb->name; verb++) {
    g_autofree char *words = hypha_verb_dup_usage (verb);
    g_autofree char *usage = g_strdup_printf ("%s %s", verb->name, words);
    guint width = hypha_ctl_text_width (usage);

    if (hypha_verb_is_hidden (verb))
      continue;
    if (width > USAGE_WIDTH)
      printf ("  %s\n%*s", usage, USAGE_WIDTH + 3, "");
    else
      printf ("  %s%*s", usage, (int) (USAGE_WIDTH + 1 - width), "");
    hypha_ctl_print_wrapped (_ (verb->summary), USAGE_WIDTH + 3);
  }
  fputs (_ ("\nhyphactl VERB --help shows what a verb takes.\n"), stdout);
}

static gboolean
on_help (const char *option, const char *value, gpointer data, GError **error)
{
  char *usage = g_strdup (
      _ ("Usage: hyphactl [--json] [--color WHEN] [--system | --user | --address ADDRESS] "
         "VERB ...\n\n"));

  hypha_ctl_print_wrapped (g_strchomp (usage), 0);
  g_free (usage); /* nothing is cleaned up behind exit */
  putchar ('\n');
  list_verbs ();
  exit (EXIT_SUCCESS);
}

static gboolean
on_version (const char *option, const char *value, gpointer data, GError **error)
{
  puts ("hyphactl " HYPHA_VERSION);
  exit (EXIT_SUCCESS);
}

static int
fail (const HyphaCtl *ctl, const HyphaVerb *verb, const GError *error)
{
  g_autofree char *safe = hypha_ctl_escape (error->message);

  if (error->domain != G_OPTION_ERROR) {
    fprintf (stderr, "hyphactl: %s\n", safe);
    return ctl->failure ? ctl->failure : EXIT_FAILURE;
  }
  fprintf (stderr, "hyphactl%s%s: %s\n", verb ? " " : "", verb ? verb->name : "", safe);
  if (verb) {
    g_autofree char *words = hypha_verb_dup_usage (verb);

    fprintf (stderr, _ ("Usage: hyphactl %s [OPTION...] %s\n"), verb->name, words);
  } else {
    fputs (_ ("hyphactl --help lists the verbs and the options\n"), stderr);
  }
  return ctl->failure ? ctl->failure : EXIT_USAGE;
}

static void
set_unknown (const char *typed, GError **error)
{
  g_autofree char *near = hypha_verb_suggest (typed);

  if (near)
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                 _ ("there is no verb '%s'; there is %s"), typed, near);
  else
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("there is no verb '%s'"), typed);
}

/* A full disk is a failure, too. A reader that has seen enough is none: SIGPIPE ends this process
 * as it ends others, without a word. */
static int
finish_output (int status)
{
  if (fflush (stdout) == 0 && !ferror (stdout))
    return status;
  hypha_ctl_end_by_broken_pipe ();
  fprintf (stderr, _ ("hyphactl: cannot write to standard output: %s\n"), g_strerror (errno));
  return EXIT_FAILURE;
}

/* GOption says of a word that is no text at most that there is one. */
static gboolean
check_text (char **argv, GError **error)
{
  const char *charset;

  g_get_charset (&charset);
  for (; *argv; argv++) {
    g_autofree char *text = g_locale_to_utf8 (*argv, -1, NULL, NULL, NULL);

    if (text)
      continue;
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 _ ("the argument '%s' is not %s, the character set of this locale"), *argv,
                 charset);
    return FALSE;
  }
  return TRUE;
}

static int
run (HyphaCtl *ctl, char **argv)
{
  const GOptionEntry options[] = {
    { "help", 'h', G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, on_help, N_ ("Show this"), NULL },
    { "version", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, on_version,
      N_ ("Print the version"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = NULL;
  g_autoptr (GError) error = NULL;
  const HyphaVerb *verb;

  words =
      check_text (argv + 1, &error) ? hypha_verb_parse_common (ctl, options, argv, &error) : NULL;
  if (words == NULL)
    return fail (ctl, NULL, error);
  if (words[0] == NULL) {
    g_set_error (&error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("a verb is missing"));
    return fail (ctl, NULL, error);
  }
  verb = hypha_verb_find (words[0]);
  if (verb == NULL) {
    set_unknown (words[0], &error);
    return fail (ctl, NULL, error);
  }
  if (!verb->run (verb, ctl, words + 1, &error))
    return fail (ctl, verb, error);
  return finish_output (ctl->status);
}

/* What the library tells of plug-ins while dial and accept look for one: an error says what
 * concerns the endpoint. */
static void
drop (const char *domain, GLogLevelFlags level, const char *message, gpointer user_data)
{
}

int
main (int argc, char **argv)
{
  g_auto (HyphaCtl) ctl = { 0 };

  setlocale (LC_ALL, "");
  if (g_getenv ("G_MESSAGES_DEBUG") == NULL)
    g_log_set_handler (G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE, drop, NULL);
  signal (SIGPIPE, SIG_IGN);
  return run (&ctl, argv);
}
