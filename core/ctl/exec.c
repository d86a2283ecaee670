/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <string.h>

#include "client/exec-words.h"
#include "client/standard-streams.h"
#include "ctl/output.h"
#include "ctl/remote.h"
#include "ctl/terminal.h"
#include "ctl/verb.h"

typedef struct {
  char *login, *cwd;
  char **env;
  gboolean shell, tty, no_tty;
  int timeout;
} Options;

static void
options_clear (Options *options)
{
  g_free (options->login);
  g_free (options->cwd);
  g_strfreev (options->env);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

/* ---- the request ---- */

static gboolean
add_env (GVariantDict *request, char **env, GError **error)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{ss}"));
  for (char **word = env; word && *word; word++) {
    const char *equals = strchr (*word, '=');
    g_autofree char *name = equals ? g_strndup (*word, (gsize) (equals - *word)) : NULL;

    if (name == NULL || *name == '\0') {
      g_variant_builder_clear (&builder);
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                   _ ("--env %s: it is NAME=VALUE"), *word);
      return FALSE;
    }
    g_variant_builder_add (&builder, "{ss}", name, equals + 1);
  }
  g_variant_dict_insert_value (request, "env", g_variant_builder_end (&builder));
  return TRUE;
}

static void
add_pty (GVariantDict *request)
{
  g_auto (GVariantDict) pty = G_VARIANT_DICT_INIT (NULL);
  const char *term = g_getenv ("TERM");
  guint16 rows, cols;

  hypha_ctl_terminal_get_size (&rows, &cols);
  g_variant_dict_insert (&pty, "rows", "q", rows);
  g_variant_dict_insert (&pty, "cols", "q", cols);
  if (term && *term)
    g_variant_dict_insert (&pty, "term", "s", term);
  g_variant_dict_insert_value (request, "pty", g_variant_dict_end (&pty));
}

static char *
make_request (const Options *options, char **argv, GError **error)
{
  g_auto (GVariantDict) request = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GVariant) whole = NULL;
  g_autofree char *text = NULL;

  g_variant_dict_insert_value (&request, "argv", g_variant_new_strv ((const char **) argv, -1));
  if (options->env && !add_env (&request, options->env, error))
    return NULL;
  if (options->shell)
    g_variant_dict_insert (&request, "shell", "b", TRUE);
  if (options->login)
    g_variant_dict_insert (&request, "user", "s", options->login);
  if (options->cwd)
    g_variant_dict_insert (&request, "cwd", "s", options->cwd);
  if (options->tty)
    add_pty (&request);
  whole = g_variant_ref_sink (g_variant_dict_end (&request));
  text = hypha_ctl_format_json_line (whole);
  if (strlen (text) <= HYPHA_PARCEL_MAX)
    return g_steal_pointer (&text);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("command, arguments and environment are too long: together they may have %d "
                  "bytes, as JSON"),
               HYPHA_PARCEL_MAX);
  return NULL;
}

/* ---- the verb ---- */

static gboolean
check (const Options *options, GError **error)
{
  if (options->tty && options->no_tty) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                 _ ("--tty and --no-tty exclude one another: give one of them"));
    return FALSE;
  }
  return hypha_verb_check_range ("--timeout", options->timeout, 1, G_MAXINT, error);
}

/* The peer does not tell which of the three it is. */
static void
add_what_mends (GError **error)
{
  g_autoptr (GError) bare = NULL;

  if (!g_error_matches (*error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE))
    return;
  bare = g_steal_pointer (error);
  g_set_error (error, HYPHA_ERROR, bare->code,
               _ ("%s: hypha-agent has to run there, and the settings of its node have to name the "
                  "service exec and this node among its peers"),
               bare->message);
}

gboolean
hypha_verb_exec (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (Options) given = { .timeout = 10000 };
  const GOptionEntry options[] = {
    { "login", 'l', 0, G_OPTION_ARG_STRING, &given.login, N_ ("Run it as this user of the peer"),
      N_ ("USER") },
    { "cwd", 0, 0, G_OPTION_ARG_STRING, &given.cwd,
      N_ ("Run it in this directory of the peer (the user's home)"), N_ ("DIR") },
    { "env", 0, 0, G_OPTION_ARG_STRING_ARRAY, &given.env,
      N_ ("Set a variable of its environment; may be repeated"), N_ ("NAME=VALUE") },
    { "shell", 0, 0, G_OPTION_ARG_NONE, &given.shell,
      N_ ("Hand the words, joined by spaces, to the user's shell"), NULL },
    { "tty", 't', 0, G_OPTION_ARG_NONE, &given.tty, N_ ("Run it on a terminal"), NULL },
    { "no-tty", 'T', 0, G_OPTION_ARG_NONE, &given.no_tty,
      N_ ("Run it without a terminal (this is the default)"), NULL },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &given.timeout,
      N_ ("Milliseconds to wait for the peer to take the stream (10000)"), "MS" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = NULL;
  g_autofree char *request = NULL;
  g_autoptr (HyphaClientPeer) peer = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  char **command;
  int status = HYPHA_EXEC_BROKEN;
  gboolean done;

  ctl->failure = HYPHA_EXEC_BROKEN;
  words = hypha_verb_parse (verb, ctl, options, argv, error);
  if (words == NULL || !check (&given, error))
    return FALSE;
  hypha_client_open_standard_streams ();
  command = words + 1;
  if (g_str_equal (*command, "--"))
    command++;
  if (*command == NULL) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("%s is missing"), _ ("COMMAND"));
    return FALSE;
  }
  request = make_request (&given, command, error);
  if (request == NULL)
    return FALSE;
  peer = hypha_ctl_find_peer (ctl, words[0], error);
  if (peer == NULL)
    return FALSE;
  stream = hypha_ctl_open_stream (peer, HYPHA_EXEC_SERVICE, FALSE, (guint) given.timeout, error);
  if (stream == NULL) {
    add_what_mends (error);
    return FALSE;
  }
  done = hypha_remote_run (stream, request, given.tty, &status, error);
  ctl->failure = ctl->status = status;
  return done;
}
