/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <stdio.h>

#include "ctl/guest.h"
#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

/* To people, not into the file: it may be redirected. */
static void
tell (HyphaGuest *guest)
{
  g_autofree char *identity = hypha_ctl_escape (guest->identity);
  g_autofree char *name = hypha_ctl_escape (guest->name);

  fprintf (stderr,
           _ ("%s is trusted here. In the guest, this output is the file FILE, and %s is the file "
              "KEY (mode 0600, its folder 0700) of hyphad --config FILE --identity KEY.\n"),
           name, identity);
  hypha_guest_tell_where_to_listen (guest);
}

gboolean
hypha_verb_guest_config (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (HyphaGuest) guest = HYPHA_GUEST_INIT (ctl);
  const GOptionEntry options[] = {
    HYPHA_GUEST_OPTIONS (&guest),
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_autofree char *config = NULL;

  if (words == NULL || !hypha_guest_check (&guest, error) || !hypha_guest_make (&guest, error) ||
      !hypha_guest_trust (&guest, error))
    return FALSE;
  config = hypha_guest_make_config (&guest);
  if (ctl->json) {
    hypha_ctl_print_json (
        g_variant_new_parsed ("{'id': <%s>, 'name': <%s>, 'identity': <%s>, 'config': <%s>}",
                              guest.id, guest.name, guest.identity, config));
    return TRUE;
  }
  fputs (config, stdout);
  tell (&guest);
  return TRUE;
}
