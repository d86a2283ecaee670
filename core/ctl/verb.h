/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

G_BEGIN_DECLS

typedef struct _HyphaVerb HyphaVerb;

/* One thing that hyphactl does; each is in a file of its name. */
struct _HyphaVerb {
  const char *name;
  /* As usage shows them: "PEER [NAME]", "list | get KEY". Those in brackets may be left out; a last
   * one with dots, or the one before it, may be repeated; forms apart by a bar begin with a word
   * that is typed as it is. With "[ARG...]" at the end, whatever follows the first word is not
   * ours. */
  const char *arguments;
  const char *summary; /* NULL: it is not shown to people */
  /* ARGV is what follows the verb. FALSE with an error; one of G_OPTION_ERROR is the user's. */
  gboolean (*run) (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error);
};

extern const HyphaVerb hypha_verbs[]; /* ends with a NULL name */

const HyphaVerb *hypha_verb_find (const char *name);
gboolean hypha_verb_takes_rest (
    const HyphaVerb *verb); /* what follows its first word is not ours */
gboolean hypha_verb_is_hidden (const HyphaVerb *verb);
char *hypha_verb_dup_usage (const HyphaVerb *verb);
/* The words that tell the forms apart; none where there is one only. */
char **hypha_verb_dup_forms (const HyphaVerb *verb);
/* The words of usage for what begins with FIRST (nullable). NULL: an error that names FIRST. */
char **hypha_verb_dup_form (const HyphaVerb *verb, const char *first, GError **error);
const char *hypha_verb_get_word (char **form, guint number); /* NULL: no place for so many */
/* Which verbs may have been meant; NULL: none that is near. */
char *hypha_verb_suggest (const char *typed);
/* What comes before the verb; the words from the verb on. */
char **hypha_verb_parse_common (HyphaCtl *ctl, const GOptionEntry *options, char **argv,
                                GError **error);
/* Takes OPTIONS (nullable) and the options of every verb out of ARGV, and holds the words that are
 * left against what the verb takes; those left out are NULL. NULL: an error that names the word. */
char **hypha_verb_parse (const HyphaVerb *verb, HyphaCtl *ctl, const GOptionEntry *options,
                         char **argv, GError **error);
gboolean hypha_verb_check_range (const char *option, int value, int min, int max, GError **error);

#define HYPHA_VERB(name) \
  gboolean hypha_verb_##name (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)

HYPHA_VERB (status);
HYPHA_VERB (id);
HYPHA_VERB (config);
HYPHA_VERB (transports);
HYPHA_VERB (plugins);
HYPHA_VERB (plugin);
HYPHA_VERB (peers);
HYPHA_VERB (links);
HYPHA_VERB (connect);
HYPHA_VERB (disconnect);
HYPHA_VERB (pending);
HYPHA_VERB (pair);
HYPHA_VERB (wait);
HYPHA_VERB (guest_config);
HYPHA_VERB (guest_initrd);
HYPHA_VERB (complete);
HYPHA_VERB (trust);
HYPHA_VERB (forget);
HYPHA_VERB (explain);
HYPHA_VERB (monitor);
HYPHA_VERB (ping);
HYPHA_VERB (streams);
HYPHA_VERB (services);
HYPHA_VERB (open);
HYPHA_VERB (exec);
HYPHA_VERB (cp);
HYPHA_VERB (forward);
HYPHA_VERB (mux);
HYPHA_VERB (mirror);
HYPHA_VERB (dial);
HYPHA_VERB (accept);
HYPHA_VERB (attach);
HYPHA_VERB (bench);

G_END_DECLS
