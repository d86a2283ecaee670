/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/verb.h"

#include <glib/gi18n-lib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/colour.h"
#include "ctl/output.h"
#include "ctl/text.h"

/* How far a word may be from a verb to be taken for it. */
#define MAX_DISTANCE 2

const HyphaVerb hypha_verbs[] = {
  { "status", "", N_ ("Show the node and how it is"), hypha_verb_status },
  { "id", "", N_ ("Show the node's id, for others to trust"), hypha_verb_id },
  { "config", "list | get KEY | set KEY VALUE | reset KEY", N_ ("Show and change the settings"),
    hypha_verb_config },
  { "transports", "", N_ ("List what links can be made of"), hypha_verb_transports },
  { "plugins", "", N_ ("List the plug-ins found, and why one is not used"), hypha_verb_plugins },
  { "plugin", "new NAME | check FILE", N_ ("Begin a transport of your own, and test one"),
    hypha_verb_plugin },
  { "peers", "", N_ ("List the other nodes"), hypha_verb_peers },
  { "pending", "", N_ ("List those who knocked, and how to let them in"), hypha_verb_pending },
  { "pair", "", N_ ("Trust a node by comparing six digits, here and there"), hypha_verb_pair },
  { "trust", "ID NAME", N_ ("Let a node in, under a name"), hypha_verb_trust },
  { "forget", "PEER", N_ ("Take the trust back, and end its links"), hypha_verb_forget },
  { "guest-config", "", N_ ("Make what a guest needs to be a node that is trusted here"),
    hypha_verb_guest_config },
  { "guest-initrd", "", N_ ("Make an archive for a guest's initrd: a node that is trusted here"),
    hypha_verb_guest_initrd },
  { "links", "[PEER]", N_ ("List links"), hypha_verb_links },
  { "connect", "ENDPOINT", N_ ("Dial, and wait until the link is up"), hypha_verb_connect },
  { "disconnect", "PEER", N_ ("End the session with a peer"), hypha_verb_disconnect },
  { "wait", "[PEER]", N_ ("Wait until a peer is online, or the node is there"), hypha_verb_wait },
  { "explain", "PEER", N_ ("Show every way to a peer, its cost, and why one is taken"),
    hypha_verb_explain },
  { "monitor", "[PEER]", N_ ("Print what happens, as it happens"), hypha_verb_monitor },
  { "ping", "PEER", N_ ("Time a peer's answers"), hypha_verb_ping },
  { "bench", "PEER", N_ ("Measure round trip and throughput"), hypha_verb_bench },
  { "streams", "[PEER]", N_ ("List open streams"), hypha_verb_streams },
  { "services", "", N_ ("List what peers may open streams to"), hypha_verb_services },
  { "open", "PEER SERVICE", N_ ("Join standard input and output to a service"), hypha_verb_open },
  { "forward", "[list] | add LOCAL PEER TARGET | remove LOCAL...",
    N_ ("Make local endpoints lead to services of peers"), hypha_verb_forward },
  { "mux", "PEER PATH",
    N_ ("Make a socket by which any program reaches a peer, as if it were a VM"), hypha_verb_mux },
  { "exec", "PEER COMMAND [ARG...]", N_ ("Run a command at a peer, as ssh does"), hypha_verb_exec },
  { "cp", "SOURCE... DEST", N_ ("Copy files and directories to a peer, or from it"),
    hypha_verb_cp },
  { "mirror", "PEER", N_ ("Make the ports that a peer listens on ports of this machine, too"),
    hypha_verb_mirror },
  { "dial", "ENDPOINT", N_ ("Join standard input and output to what listens there, Hypha or not"),
    hypha_verb_dial },
  { "accept", "ENDPOINT", N_ ("Listen, and join standard input and output to who comes first"),
    hypha_verb_accept },
  { "attach", "[FROM]", N_ ("Join standard input and output to the node, for another node to link"),
    hypha_verb_attach },
  /* For the shells' completion; it takes its words as they are. */
  { "complete", "", NULL, hypha_verb_complete },
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

/* Levenshtein's: letters to change, to add or to take away. */
static guint
distance (const char *a, const char *b)
{
  gsize n = strlen (b);
  g_autofree guint *row = g_new (guint, n + 1);

  for (gsize j = 0; j <= n; j++)
    row[j] = (guint) j;
  for (guint i = 1; *a; a++, i++) {
    guint diagonal = row[0];

    row[0] = i;
    for (gsize j = 1; j <= n; j++) {
      guint above = row[j];

      row[j] = MIN (MIN (above, row[j - 1]) + 1, diagonal + (*a == b[j - 1] ? 0 : 1));
      diagonal = above;
    }
  }
  return row[n];
}

/**
 * hypha_verb_suggest:
 * @typed: what is no verb
 *
 * Returns: (transfer full) (nullable): the verbs that may have been meant, as a list for people
 */
char *
hypha_verb_suggest (const char *typed)
{
  gsize length = strlen (typed);
  g_autoptr (GString) list = g_string_new (NULL);

  for (const HyphaVerb *verb = hypha_verbs; verb->name && length > 0 && length < 32; verb++) {
    if (hypha_verb_is_hidden (verb) ||
        !(g_str_has_prefix (verb->name, typed) || g_str_has_prefix (typed, verb->name) ||
          distance (typed, verb->name) <= MIN (MAX_DISTANCE, length / 2)))
      continue;
    g_string_append_printf (list, "%s%s", list->len > 0 ? ", " : "", verb->name);
  }
  return list->len > 0 ? g_string_free (g_steal_pointer (&list), FALSE) : NULL;
}

/**
 * hypha_verb_is_hidden:
 * @verb: a verb
 *
 * Returns: %TRUE if it is for other programs only, and is not shown
 */
gboolean
hypha_verb_is_hidden (const HyphaVerb *verb)
{
  return verb->summary == NULL;
}

/* What a word of usage is called in the user's language: `[KEY]`, `LOCAL...`. One that is typed as
 * it is, as `list`, stays. */
static char *
dup_word (const char *word)
{
  static const char *const kinds[] = { N_ ("ARG"),      N_ ("COMMAND"), N_ ("DEST"),
                                       N_ ("ENDPOINT"), N_ ("FILE"),    N_ ("ID"),
                                       N_ ("KEY"),      N_ ("LOCAL"),   N_ ("NAME"),
                                       N_ ("PEER"),     N_ ("SERVICE"), N_ ("SOURCE"),
                                       N_ ("TARGET"),   N_ ("VALUE") };
  const char *bracket = *word == '[' ? "[" : "";
  const char *begin = word + strlen (bracket);
  g_autofree char *kind = g_strndup (begin, strcspn (begin, ".]"));

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++) {
    if (g_str_equal (kind, kinds[i]))
      return g_strconcat (bracket, _ (kinds[i]), begin + strlen (kind), NULL);
  }
  return g_strdup (word);
}

/**
 * hypha_verb_dup_usage:
 * @verb: a verb
 *
 * Returns: (transfer full): the words it takes, as people are told
 */
char *
hypha_verb_dup_usage (const HyphaVerb *verb)
{
  g_auto (GStrv) words = g_strsplit (verb->arguments, " ", -1);

  for (guint i = 0; words[i]; i++) {
    char *word = dup_word (words[i]);

    g_free (words[i]);
    words[i] = word;
  }
  return g_strjoinv (" ", words);
}

/**
 * hypha_verb_takes_rest:
 * @verb: a verb
 *
 * Returns: %TRUE if the words from the second on are another program's, its options as well
 */
gboolean
hypha_verb_takes_rest (const HyphaVerb *verb)
{
  return g_str_has_suffix (verb->arguments, "[ARG...]");
}

/**
 * hypha_verb_dup_forms:
 * @verb: a verb
 *
 * Returns: (transfer full): the words that tell the forms of the verb apart, as they are typed;
 * none where there is one form only
 */
char **
hypha_verb_dup_forms (const HyphaVerb *verb)
{
  g_auto (GStrv) forms = g_strsplit (verb->arguments, " | ", -1);
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();

  for (guint i = 0; g_strv_length (forms) > 1 && forms[i]; i++) {
    const char *begin = forms[i] + (*forms[i] == '[');
    g_autofree char *name = g_strndup (begin, strcspn (begin, "] "));

    g_strv_builder_add (names, name);
  }
  return g_strv_builder_end (names);
}

/**
 * hypha_verb_dup_form:
 * @verb: a verb
 * @first: (nullable): the first word that was typed
 * @error: return location for an error: %G_OPTION_ERROR
 *
 * Returns: (transfer full) (nullable): the words of usage that go for what was typed; where there
 * are several forms, the first of them is @first
 */
char **
hypha_verb_dup_form (const HyphaVerb *verb, const char *first, GError **error)
{
  g_auto (GStrv) forms = g_strsplit (verb->arguments, " | ", -1);
  g_auto (GStrv) names = hypha_verb_dup_forms (verb);
  g_autofree char *list = g_strjoinv (first ? ", " : "|", names);

  if (*names == NULL)
    return g_strsplit (verb->arguments, " ", -1);
  for (guint i = 0; names[i]; i++) {
    if (first ? g_str_equal (first, names[i]) : *forms[i] == '[')
      return g_strsplit (forms[i], " ", -1);
  }
  if (first)
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("'%s' is none of %s"), first,
                 list);
  else
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("%s is missing"), list);
  return NULL;
}

/**
 * hypha_verb_get_word:
 * @form: of hypha_verb_dup_form()
 * @number: of a word that was typed
 *
 * Returns: (nullable): the word of usage that goes for it; the last one for all behind it, if it,
 * or the one before it, may be repeated
 */
const char *
hypha_verb_get_word (char **form, guint number)
{
  guint n = g_strv_length (form);

  if (number < n)
    return form[number];
  for (guint i = n; i > 0 && n - i < 2; i--) {
    if (strstr (form[i - 1], "..."))
      return form[n - 1];
  }
  return NULL;
}

static gboolean
check_form (char **form, char **words, GError **error)
{
  guint n = g_strv_length (words);

  for (guint i = n; i < g_strv_length (form); i++) {
    g_autofree char *name = dup_word (form[i]);

    if (*form[i] == '[')
      continue;
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("%s is missing"), name);
    return FALSE;
  }
  for (guint i = 0; i < n; i++) {
    const char *wanted = hypha_verb_get_word (form, i);
    g_autofree char *name = wanted ? dup_word (wanted) : NULL;

    if (wanted &&
        (*words[i] != '\0' || g_str_equal (wanted, "VALUE") || g_str_equal (wanted, "[ARG...]")))
      continue;
    if (wanted)
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("%s is empty"), name);
    else
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("there is no place for '%s'"),
                   words[i]);
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_words (const HyphaVerb *verb, char **words, GError **error)
{
  g_auto (GStrv) form = hypha_verb_dup_form (verb, words[0], error);
  g_auto (GStrv) names = hypha_verb_dup_forms (verb);

  if (form == NULL || check_form (form, words, error))
    return form != NULL;
  if (*names)
    g_prefix_error (error, "%s: ", words[0]);
  return FALSE;
}

static gboolean
on_color (const char *option, const char *value, gpointer data, GError **error)
{
  return hypha_ctl_colour_choose (value, error);
}

/* What every verb takes, before it or behind it. */
static gboolean
parse (GOptionContext *context, HyphaCtl *ctl, const GOptionEntry *options, char ***argv,
       GError **error)
{
  const GOptionEntry common[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &ctl->json, N_ ("Print JSON"), NULL },
    { "color", 0, 0, G_OPTION_ARG_CALLBACK, on_color,
      N_ ("Colours: auto (on a terminal), always or never"), N_ ("WHEN") },
    HYPHA_BUS_OPTIONS (&ctl->bus),
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };

  for (; ctl->options && options && options->long_name && *options->long_name; options++)
    g_array_append_vals (ctl->options, options, 1);
  for (const GOptionEntry *o = common; ctl->options && o->long_name; o++)
    g_array_append_vals (ctl->options, o, 1);
  if (ctl->options) {
    g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "");
    return FALSE;
  }
  g_option_context_add_main_entries (context, common, GETTEXT_PACKAGE);
  if (!g_option_context_parse_strv (context, argv, error))
    return FALSE;
  if (ctl->bus.address && *ctl->bus.address == '\0') {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 _ ("--address is empty: give the address of a bus, as in "
                    "DBUS_SESSION_BUS_ADDRESS, or leave the option out"));
    return FALSE;
  }
  return hypha_bus_check (&ctl->bus, error);
}

/**
 * hypha_verb_parse_common:
 * @ctl: what the run was given; `--json` and the like go there
 * @options: (nullable): options that are known before a verb only
 * @argv: of main
 * @error: return location for an error: %G_OPTION_ERROR
 *
 * Takes apart what comes before the verb.
 *
 * Returns: (transfer full) (nullable): the words from the verb on
 */
char **
hypha_verb_parse_common (HyphaCtl *ctl, const GOptionEntry *options, char **argv, GError **error)
{
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_auto (GStrv) words = g_strdupv (argv);

  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_strict_posix (context, TRUE);
  if (options)
    g_option_context_add_main_entries (context, options, GETTEXT_PACKAGE);
  if (!parse (context, ctl, options, &words, error))
    return NULL;
  if (words[1] && g_str_equal (words[1], "--"))
    return g_strdupv (words + 2);
  return g_strdupv (words + 1);
}

static gboolean
has_negative_number (char **argv)
{
  for (; *argv && !g_str_equal (*argv, "--"); argv++) {
    if ((*argv)[0] == '-' && g_ascii_isdigit ((*argv)[1]))
      return TRUE;
  }
  return FALSE;
}

/* GOption's text, with its second column kept together where a terminal is too narrow for it. */
static void
print_help (GOptionContext *context)
{
  g_autofree char *help = g_option_context_get_help (context, TRUE, NULL);
  g_auto (GStrv) lines = g_strsplit (g_strchomp (help), "\n", -1);

  for (char **line = lines; *line; line++) {
    const char *column = g_strchomp (*line);
    g_autofree char *before = NULL;

    for (const char *c = *line; *c; c++) {
      if (g_str_has_prefix (c, "  ") && c[2] != ' ')
        column = c + 2;
    }
    before = g_strndup (*line, (gsize) (column - *line));
    fputs (before, stdout);
    hypha_ctl_print_wrapped (column, hypha_ctl_text_width (before));
  }
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
  g_autofree char *arguments = hypha_verb_dup_usage (verb);
  g_autofree char *usage = g_strdup_printf ("%s %s", verb->name, arguments);
  g_autoptr (GError) local_error = NULL;
  gboolean help = FALSE;
  const GOptionEntry rest[] = {
    { "help", 'h', 0, G_OPTION_ARG_NONE, &help, N_ ("Show help"), NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &words, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };

  context = g_option_context_new (usage);
  g_option_context_set_summary (context, _ (verb->summary));
  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_strict_posix (context, hypha_verb_takes_rest (verb));
  if (options)
    g_option_context_add_main_entries (context, options, GETTEXT_PACKAGE);
  g_option_context_add_main_entries (context, rest, GETTEXT_PACKAGE);
  g_strv_builder_add (builder, "hyphactl");
  g_strv_builder_addv (builder, (const char **) argv);
  whole = g_strv_builder_end (builder);
  if (!parse (context, ctl, options, &whole, &local_error)) {
    if (g_error_matches (local_error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION) &&
        has_negative_number (argv))
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
                   _ ("%s (a value that begins with '-' goes behind '--')"), local_error->message);
    else
      g_propagate_error (error, g_steal_pointer (&local_error));
    return NULL;
  }
  if (help) {
    print_help (context);
    exit (EXIT_SUCCESS);
  }
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
