/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/forward.h"
#include "ctl/text.h"
#include "ctl/verb.h"

/* hyphactl complete WORD...: what the last word may become, one a line, with what it means behind a
 * tab. The shells' scripts in data/completions know nothing but this. */

#define DEADLINE_S 3

typedef struct {
  HyphaCtl *ctl;
  const char *typed; /* the last word */
} Complete;

/* A shell would take a tab or a line break for its own. */
static void
offer (Complete *self, const char *word, const char *meaning)
{
  g_autofree char *safe = hypha_ctl_escape (word);
  g_autofree char *safe_meaning = hypha_ctl_escape (meaning);

  if (g_str_has_prefix (word, self->typed) && g_str_equal (word, safe))
    printf ("%s\t%s\n", safe, safe_meaning);
}

/* ---- words of one kind ---- */

static void
offer_peers (Complete *self)
{
  HyphaClient *client = hypha_ctl_get_client (self->ctl, NULL);
  guint n = client ? g_list_model_get_n_items (hypha_client_get_peers (client)) : 0;

  for (guint i = 0; i < n; i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (hypha_client_get_peers (client), i);
    g_autofree char *id = hypha_peer_dup_id (peer);
    g_autofree char *name = hypha_peer_dup_name (peer);

    if (hypha_peer_get_trusted (peer) && *name)
      offer (self, name, id);
    else
      offer (self, id, name);
  }
}

/* Only who knocked can be meant by a beginning. */
static void
offer_ids (Complete *self)
{
  HyphaClient *client = hypha_ctl_get_client (self->ctl, NULL);
  guint n = client ? g_list_model_get_n_items (hypha_client_get_peers (client)) : 0;

  for (guint i = 0; i < n; i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (hypha_client_get_peers (client), i);
    g_autofree char *id = hypha_peer_dup_id (peer);
    g_autofree char *name = hypha_peer_dup_name (peer);

    offer (self, id, name);
  }
}

/* A peer does not tell what it offers; much of it has the same name here. */
static void
offer_services (Complete *self)
{
  HyphaDBusNode1 *node = hypha_ctl_get_node (self->ctl, NULL);
  GVariant *services = node ? hypha_dbus_node1_get_services (node) : NULL;
  GVariantIter iter;
  const char *name;
  GVariant *about;

  offer (self, "echo", _ ("what is sent comes back"));
  offer (self, "discard", _ ("what is sent is thrown away"));
  if (services == NULL)
    return;
  g_variant_iter_init (&iter, services);
  while (g_variant_iter_loop (&iter, "{&s@a{sv}}", &name, &about)) {
    /* A '*' is for whoever opens the stream to put a port in its place. */
    g_autofree char *begin = g_strndup (name, strcspn (name, "*"));

    if (!g_str_equal (name, "echo") && !g_str_equal (name, "discard"))
      offer (self, begin, _ ("a service of this node, too"));
  }
}

static void
offer_endpoints (Complete *self)
{
  g_autoptr (GPtrArray) objects = hypha_ctl_list (self->ctl, HYPHA_DBUS_TRANSPORT, NULL);

  for (guint i = 0; objects && i < objects->len; i++) {
    HyphaDBusTransport1 *transport = hypha_dbus_object_peek_transport1 (objects->pdata[i]);
    g_autofree char *begin =
        transport ? g_strconcat (hypha_dbus_transport1_get_name (transport), ":", NULL) : NULL;

    if (begin)
      offer (self, begin, hypha_dbus_transport1_get_reason (transport));
  }
}

static void
offer_forwards (Complete *self)
{
  g_autoptr (GPtrArray) objects = hypha_ctl_list (self->ctl, HYPHA_DBUS_FORWARD, NULL);

  for (guint i = 0; objects && i < objects->len; i++) {
    HyphaDBusForward1 *forward = hypha_dbus_object_peek_forward1 (objects->pdata[i]);
    g_autofree char *meaning = forward
                                   ? g_strconcat (hypha_dbus_forward1_get_peer (forward), " ",
                                                  hypha_dbus_forward1_get_target (forward), NULL)
                                   : NULL;

    if (forward)
      offer (self, hypha_dbus_forward1_get_local (forward), meaning);
  }
}

static void
offer_keys (Complete *self)
{
  g_autoptr (HyphaDBusConfig1) config = hypha_ctl_get_config (self->ctl, NULL);
  g_autoptr (GVariant) settings = NULL;
  GVariantIter iter;
  const char *key, *summary;

  if (config == NULL || !hypha_dbus_config1_call_list_sync (config, G_DBUS_CALL_FLAGS_NONE, -1,
                                                            &settings, NULL, NULL))
    return;
  g_variant_iter_init (&iter, settings);
  while (g_variant_iter_loop (&iter, "(&s&svvb)", &key, &summary, NULL, NULL, NULL))
    offer (self, key, summary);
}

static void
offer_states (Complete *self)
{
  g_autoptr (GEnumClass) states = g_type_class_ref (HYPHA_TYPE_PEER_STATE);

  for (guint i = 0; i < states->n_values; i++)
    offer (self, states->values[i].value_nick, "");
}

static void
offer_when (Complete *self)
{
  offer (self, "auto", _ ("on a terminal"));
  offer (self, "always", "");
  offer (self, "never", "");
}

/* The other end's files are not asked for: whoever completes has not said yet that he copies. */
static void
offer_places (Complete *self)
{
  HyphaClient *client = hypha_ctl_get_client (self->ctl, NULL);
  guint n = client ? g_list_model_get_n_items (hypha_client_get_peers (client)) : 0;

  for (guint i = 0; i < n; i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (hypha_client_get_peers (client), i);
    g_autofree char *name = hypha_peer_dup_name (peer);
    g_autofree char *begin = g_strconcat (name, ":", NULL);

    if (hypha_peer_get_trusted (peer) && *name)
      offer (self, begin, _ ("a directory or file there"));
  }
  if (strchr (self->typed, ':') == NULL)
    puts ("\tFILE");
}

/* The words that usage names; several that are local are those that are there. What is not here, a
 * shell cannot help with, but for FILE. */
static const struct {
  const char *kind;
  void (*offer) (Complete *self);
} kinds[] = {
  { "PEER", offer_peers },         { "ID", offer_ids },           { "SERVICE", offer_services },
  { "ENDPOINT", offer_endpoints }, { "KEY", offer_keys },         { "STATE", offer_states },
  { "LOCAL", offer_endpoints },    { "TARGET", offer_services },  { "WHEN", offer_when },
  { "LOCAL...", offer_forwards },  { "SOURCE...", offer_places }, { "DEST", offer_places },
};

static void
offer_kind (Complete *self, const char *kind)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++) {
    if (g_str_equal (kinds[i].kind, kind))
      kinds[i].offer (self);
  }
  /* The shell knows files better. */
  if (g_str_equal (kind, "FILE"))
    puts ("\tFILE");
}

/* ---- where in the command line ---- */

static void
offer_verbs (Complete *self)
{
  for (const HyphaVerb *verb = hypha_verbs; verb->name; verb++) {
    if (!hypha_verb_is_hidden (verb))
      offer (self, verb->name, _ (verb->summary));
  }
}

static void
offer_options (Complete *self, const GArray *options)
{
  for (guint i = 0; i < options->len; i++) {
    const GOptionEntry *option = &g_array_index (options, GOptionEntry, i);
    g_autofree char *word = g_strconcat ("--", option->long_name, NULL);

    offer (self, word, option->description ? _ (option->description) : "");
  }
  offer (self, "--help", _ ("Show help"));
}

/* The option that WORD is, if a value has to follow it in a word of its own. */
static const GOptionEntry *
find_option (const GArray *options, const char *word)
{
  for (guint i = 0; *word == '-' && i < options->len; i++) {
    const GOptionEntry *option = &g_array_index (options, GOptionEntry, i);

    if (option->arg != G_OPTION_ARG_NONE && !(option->flags & G_OPTION_FLAG_NO_ARG) &&
        ((g_str_has_prefix (word, "--") && g_str_equal (word + 2, option->long_name)) ||
         (option->short_name && word[1] == option->short_name && word[2] == '\0')))
      return option;
  }
  return NULL;
}

/* What VERB takes, or without one what comes before it. The verb tells instead of running. */
static GArray *
list_options (const HyphaVerb *verb)
{
  GArray *options = g_array_new (FALSE, FALSE, sizeof (GOptionEntry));
  HyphaCtl asked = { .options = options };
  char *nothing[] = { NULL };
  char *program[] = { (char *) "hyphactl", NULL };
  g_autoptr (GError) error = NULL;

  if (verb)
    verb->run (verb, &asked, nothing, &error);
  else
    g_strfreev (hypha_verb_parse_common (&asked, NULL, program, &error));
  return options;
}

/* The bus that the words before chose is the one to ask. */
static void
take_bus (HyphaCtl *ctl, const GOptionEntry *option, const char *word, const char *value)
{
  if (option && value && g_str_equal (option->long_name, "address")) {
    g_free (ctl->bus.address);
    ctl->bus.address = g_strdup (value);
  } else if (g_str_equal (word, "--system")) {
    ctl->bus.system = TRUE;
  } else if (g_str_equal (word, "--user")) {
    ctl->bus.user = TRUE;
  }
}

/* FIRST: of the words behind the verb; NULL: it is the one to be completed. */
static void
offer_argument (Complete *self, const HyphaVerb *verb, const char *first, guint number)
{
  g_auto (GStrv) names = hypha_verb_dup_forms (verb);
  g_auto (GStrv) form = first || *names == NULL ? hypha_verb_dup_form (verb, first, NULL) : NULL;
  const char *wanted = form ? hypha_verb_get_word (form, number) : NULL;
  g_autofree char *kind = wanted ? g_strdelimit (g_strdup (wanted), "[]", ' ') : NULL;

  for (guint i = 0; first == NULL && names[i]; i++)
    offer (self, names[i], "");
  if (verb->run == hypha_verb_forward && g_strcmp0 (wanted, "PEER") == 0)
    offer (self, HYPHA_CTL_SELF, _ ("this node: it connects to an endpoint"));
  if (kind)
    offer_kind (self, g_strstrip (kind));
}

/* Whatever blocks: a bus, a node that is starting or stuck. */
static void
on_deadline (int signal)
{
  _exit (EXIT_SUCCESS);
}

gboolean
hypha_verb_complete (const HyphaVerb *self_verb, HyphaCtl *ctl, char **argv, GError **error)
{
  guint n = g_strv_length (argv);
  Complete self = { .ctl = ctl, .typed = n > 0 ? argv[n - 1] : "" };
  const HyphaVerb *verb = NULL;
  const GOptionEntry *pending = NULL;
  const char *first = NULL;
  guint n_arguments = 0;
  g_autoptr (GArray) options = list_options (NULL);

  ctl->quiet = TRUE;
  signal (SIGALRM, on_deadline);
  alarm (DEADLINE_S);
  for (guint i = 0; i + 1 < n; i++) {
    const char *word = argv[i];

    if (pending) {
      take_bus (ctl, pending, "", word);
      pending = NULL;
      continue;
    }
    if (verb && hypha_verb_takes_rest (verb) && n_arguments > 0)
      return TRUE;
    pending = find_option (options, word);
    take_bus (ctl, NULL, word, NULL);
    if (pending || *word == '-')
      continue;
    if (verb) {
      first = first ? first : word;
      n_arguments++;
      continue;
    }
    verb = hypha_verb_find (word);
    if (verb == NULL || hypha_verb_is_hidden (verb))
      return TRUE;
    g_array_unref (options);
    options = list_options (verb);
  }
  if (pending)
    offer_kind (&self, pending->arg_description ? pending->arg_description : "");
  else if (*self.typed == '-' && !(verb && hypha_verb_takes_rest (verb) && n_arguments > 0))
    offer_options (&self, options);
  else if (verb)
    offer_argument (&self, verb, first, n_arguments);
  else
    offer_verbs (&self);
  return TRUE;
}
