/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/forward.h"

#include <glib/gi18n-lib.h>
#include <stdio.h>

#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

/* The transport whose ports are mirrored tells of it where this machine alone reaches itself; the
 * peer's does so there. */
#define DETAIL "localhost"

typedef struct {
  HyphaCtl *ctl;
  const char *peer;
  char *ports; /* NULL: the node's own choice */
  HyphaCtlForwardOptions options;
  char *target;
  char **locals;
} Mirror;

static void
mirror_clear (Mirror *self)
{
  g_free (self->ports);
  g_free (self->target);
  g_strfreev (self->locals);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Mirror, mirror_clear)

static char *
make_local (Mirror *self, const char *host)
{
  return self->ports ? g_strdup_printf ("%s:*?ports=%s", host, self->ports)
                     : g_strdup_printf ("%s:*", host);
}

static gboolean
find_locals (Mirror *self, GError **error)
{
  g_autoptr (GPtrArray) objects = hypha_ctl_list (self->ctl, HYPHA_DBUS_TRANSPORT, error);
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (guint i = 0; objects && self->target == NULL && i < objects->len; i++) {
    HyphaDBusTransport1 *transport = hypha_dbus_object_peek_transport1 (objects->pdata[i]);
    GVariant *details = transport ? hypha_dbus_transport1_get_details (transport) : NULL;
    g_autofree const char **hosts = NULL;

    if (details == NULL || !g_variant_lookup (details, DETAIL, "^a&s", &hosts) || *hosts == NULL)
      continue;
    self->target = g_strdup_printf ("%s:*", hypha_dbus_transport1_get_name (transport));
    for (const char **host = hosts; *host; host++) {
      g_autofree char *local = make_local (self, *host);

      g_strv_builder_add (builder, local);
    }
  }
  self->locals = g_strv_builder_end (builder);
  if (objects && self->target == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT,
                 _ ("no transport of this node has ports to be mirrored: hyphactl plugins shows "
                    "which are there, and why one is not used"));
  return self->target != NULL;
}

static gboolean
add (Mirror *self, const char *local, GError **error)
{
  if (hypha_ctl_call_add_forward (self->ctl, local, self->peer, self->target, &self->options, NULL,
                                  error))
    return TRUE;
  hypha_client_clean_error (error);
  return FALSE;
}

static void
print (Mirror *self)
{
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  for (char **local = self->locals; *local; local++) {
    g_autofree char *safe = hypha_ctl_escape (*local);

    if (!self->ctl->json)
      puts (safe);
    g_variant_builder_add_parsed (all,
                                  "{'local': <%s>, 'peer': <%s>, 'target': <%s>, 'reverse': <%b>}",
                                  *local, self->peer, self->target, self->options.reverse);
  }
  if (self->ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
}

static gboolean
run (Mirror *self, GError **error)
{
  g_autoptr (HyphaClientPeer) peer = hypha_ctl_find_peer (self->ctl, self->peer, error);

  if (peer == NULL || !find_locals (self, error))
    return FALSE;
  for (char **local = self->locals; *local; local++)
    if (!add (self, *local, error))
      return FALSE;
  print (self);
  return TRUE;
}

gboolean
hypha_verb_mirror (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (Mirror) self = { .ctl = ctl };
  const GOptionEntry options[] = {
    { "ports", 0, 0, G_OPTION_ARG_STRING, &self.ports,
      N_ ("Only these, such as 80,8000-8999; without this all from 1024 on"), N_ ("PORTS") },
    { "persist", 0, 0, G_OPTION_ARG_NONE, &self.options.persist,
      N_ ("Keep it in the settings, too"), NULL },
    { "reverse", 0, 0, G_OPTION_ARG_NONE, &self.options.reverse,
      N_ ("Make the ports of this machine ports of the peer, instead"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);

  if (words == NULL)
    return FALSE;
  self.peer = words[0];
  return run (&self, error);
}
