/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/verb.h"

#include <glib/gi18n-lib.h>

const HyphaVerb hypha_verbs[] = {
  { "status", "", N_ ("Show the node and how it is"), hypha_verb_status },
  { "id", "", N_ ("Show the node's id, for others to trust"), hypha_verb_id },
  { "transports", "", N_ ("List what links can be made of"), hypha_verb_transports },
  { "plugins", "", N_ ("List the plug-ins found, and why one is not used"), hypha_verb_plugins },
  { "peers", "", N_ ("List the other nodes"), hypha_verb_peers },
  { "trust", "ID NAME", N_ ("Let a node in, under a name"), hypha_verb_trust },
  { "forget", "PEER", N_ ("Take the trust back, and end its links"), hypha_verb_forget },
  { "links", "[PEER]", N_ ("List links"), hypha_verb_links },
  { "connect", "ENDPOINT", N_ ("Dial, and wait until the link is up"), hypha_verb_connect },
  { "disconnect", "PEER", N_ ("End the session with a peer"), hypha_verb_disconnect },
  { "explain", "PEER", N_ ("Show every way to a peer, its cost, and why one is taken"),
    hypha_verb_explain },
  { "monitor", "", N_ ("Print what happens, as it happens"), hypha_verb_monitor },
  { "ping", "PEER", N_ ("Time a peer's answers"), hypha_verb_ping },
  { "streams", "[PEER]", N_ ("List open streams"), hypha_verb_streams },
  { "services", "", N_ ("List what peers may open streams to"), hypha_verb_services },
  { "open", "PEER SERVICE", N_ ("Join standard input and output to a service"), hypha_verb_open },
  { NULL, NULL, NULL, NULL },
};

/**
 * hypha_verb_find:
 * @name: as it was typed
 *
 * Returns: (transfer none) (nullable): the verb
 */
const HyphaVerb *
hypha_verb_find (const char *name)
{
  for (const HyphaVerb *verb = hypha_verbs; verb->name; verb++) {
    if (g_str_equal (verb->name, name))
      return verb;
  }
  return NULL;
}

static gboolean
check_words (const HyphaVerb *verb, char **words, GError **error)
{
  g_auto (GStrv) wanted = g_strsplit (verb->arguments, " ", -1);
  guint n = g_strv_length (words);
  guint n_wanted = g_strv_length (wanted);

  for (guint i = n; i < n_wanted; i++) {
    if (*wanted[i] == '[')
      continue;
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("%s is missing"), wanted[i]);
    return FALSE;
  }
  if (n > n_wanted) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("there is no place for '%s'"),
                 words[n_wanted]);
    return FALSE;
  }
  for (guint i = 0; i < n; i++) {
    if (*words[i] == '\0') {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("%s is empty"), wanted[i]);
      return FALSE;
    }
  }
  return TRUE;
}

/**
 * hypha_verb_parse:
 * @verb: the verb
 * @ctl: what the run was given; `--json` and the like go there
 * @options: (nullable): options of this verb
 * @argv: what follows the verb
 * @error: return location for an error: %G_OPTION_ERROR
 *
 * Takes a verb's command line apart. `--help` ends the process.
 *
 * Returns: (transfer full) (nullable): the words that are no options
 */
char **
hypha_verb_parse (const HyphaVerb *verb, HyphaCtl *ctl, const GOptionEntry *options, char **argv,
                  GError **error)
{
  g_autoptr (GOptionContext) context = NULL;
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) whole = NULL;
  g_auto (GStrv) words = NULL;
  g_autofree char *usage = g_strdup_printf ("%s %s", verb->name, verb->arguments);
  const GOptionEntry common[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &ctl->json, N_ ("Print JSON"), NULL },
    HYPHA_BUS_OPTIONS (&ctl->bus),
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  const GOptionEntry rest[] = {
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &words, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };

  context = g_option_context_new (usage);
  g_option_context_set_summary (context, _ (verb->summary));
  if (options)
    g_option_context_add_main_entries (context, options, GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, common, GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, rest, NULL);
  g_strv_builder_add (builder, "hyphactl");
  g_strv_builder_addv (builder, (const char **) argv);
  whole = g_strv_builder_end (builder);
  if (!g_option_context_parse_strv (context, &whole, error) || !hypha_bus_check (&ctl->bus, error))
    return NULL;
  if (words == NULL)
    words = g_new0 (char *, 1);
  return check_words (verb, words, error) ? g_steal_pointer (&words) : NULL;
}

/**
 * hypha_verb_check_range:
 * @option: its name
 * @value: what was given
 * @min: the least that makes sense
 * @max: the most
 * @error: return location for an error: %G_OPTION_ERROR
 *
 * Returns: %TRUE if @value is within
 */
gboolean
hypha_verb_check_range (const char *option, int value, int min, int max, GError **error)
{
  if (value >= min && value <= max)
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, _ ("%s %d: it is from %d to %d"),
               option, value, min, max);
  return FALSE;
}
