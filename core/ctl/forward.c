/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/forward.h"

#include <glib/gi18n-lib.h>
#include <stdio.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "ctl/verb.h"

typedef struct {
  HyphaCtl *ctl;
  char **words;
  HyphaCtlForwardOptions options;
} Forward;

static GVariant *
describe (HyphaDBusForward1 *forward)
{
  return g_variant_new_parsed (
      "{'local': <%s>, 'peer': <%s>, 'target': <%s>, 'state': <%s>, 'reason': <%s>,"
      " 'rx-bytes': <%t>, 'tx-bytes': <%t>, 'persistent': <%b>, 'reverse': <%b>}",
      hypha_dbus_forward1_get_local (forward), hypha_dbus_forward1_get_peer (forward),
      hypha_dbus_forward1_get_target (forward), hypha_dbus_forward1_get_state (forward),
      hypha_dbus_forward1_get_reason (forward), hypha_dbus_forward1_get_rx_bytes (forward),
      hypha_dbus_forward1_get_tx_bytes (forward), hypha_dbus_forward1_get_persistent (forward),
      hypha_dbus_forward1_get_reverse (forward));
}

/* ---- list ---- */

/* Who listens, where it is not this machine. */
static char *
dup_peer (HyphaDBusForward1 *forward)
{
  const char *peer = hypha_dbus_forward1_get_peer (forward);

  return peer != NULL && hypha_dbus_forward1_get_reverse (forward)
             ? g_strdup_printf (_ ("%s (reverse)"), peer)
             : g_strdup (peer);
}

static void
add_row (HyphaTable *table, HyphaDBusForward1 *forward)
{
  hypha_table_add (table, g_strdup (hypha_dbus_forward1_get_local (forward)), dup_peer (forward),
                   g_strdup (hypha_dbus_forward1_get_target (forward)),
                   g_strdup (hypha_dbus_forward1_get_state (forward)),
                   hypha_ctl_format_bytes (hypha_dbus_forward1_get_rx_bytes (forward)),
                   hypha_ctl_format_bytes (hypha_dbus_forward1_get_tx_bytes (forward)),
                   g_strdup (hypha_dbus_forward1_get_reason (forward)));
}

static gboolean
list (Forward *self, GError **error)
{
  g_autoptr (GPtrArray) objects = hypha_ctl_list (self->ctl, HYPHA_DBUS_FORWARD, error);
  g_autoptr (HyphaTable) table =
      hypha_table_new (_ ("LOCAL"), _ ("PEER"), _ ("TARGET"), _ ("=STATE"), _ (">-RECEIVED"),
                       _ (">-SENT"), _ ("+REASON"), NULL);
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  if (objects == NULL)
    return FALSE;
  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusForward1 *forward = hypha_dbus_object_peek_forward1 (objects->pdata[i]);

    if (forward == NULL)
      continue;
    add_row (table, forward);
    g_variant_builder_add_value (all, describe (forward));
  }
  if (self->ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}

/* ---- add ---- */

/* Where it listens; read now, for one that was there already may have changed a moment ago. */
static gboolean
print_added (HyphaCtl *ctl, const char *path, GError **error)
{
  GDBusProxy *node = G_DBUS_PROXY (hypha_client_get_node (ctl->client));
  g_autoptr (HyphaDBusForward1) forward = hypha_dbus_forward1_proxy_new_sync (
      g_dbus_proxy_get_connection (node), G_DBUS_PROXY_FLAGS_DO_NOT_CONNECT_SIGNALS,
      g_dbus_proxy_get_name (node), path, NULL, error);
  const char *local = forward ? hypha_dbus_forward1_get_local (forward) : NULL;
  g_autofree char *safe = local ? hypha_ctl_escape (local) : NULL;

  if (forward == NULL)
    return FALSE;
  if (local == NULL)
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_GONE,
                         _ ("the forward has been removed meanwhile"));
  else if (ctl->json)
    hypha_ctl_print_json (describe (forward));
  else
    puts (safe);
  return local != NULL;
}

gboolean
hypha_ctl_call_add_forward (HyphaCtl *ctl, const char *local, const char *peer, const char *target,
                            const HyphaCtlForwardOptions *options, char **path, GError **error)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (NULL);
  g_autofree char *unused = NULL;

  if (options->persist)
    g_variant_dict_insert (&dict, "persist", "b", TRUE);
  if (options->reverse)
    g_variant_dict_insert (&dict, "reverse", "b", TRUE);
  return hypha_dbus_node1_call_add_forward_sync (
      hypha_client_get_node (ctl->client), local, peer, target, g_variant_dict_end (&dict),
      G_DBUS_CALL_FLAGS_NONE, G_MAXINT, path != NULL ? path : &unused, NULL, error);
}

/* The node looks the peer up when somebody connects; a slip is better told now. */
static gboolean
is_there (HyphaCtl *ctl, const char *peer, GError **error)
{
  g_autoptr (HyphaClientPeer) found = NULL;

  if (g_str_equal (peer, HYPHA_CTL_SELF))
    return hypha_ctl_get_client (ctl, error) != NULL;
  found = hypha_ctl_find_peer (ctl, peer, error);
  return found != NULL;
}

gboolean
hypha_ctl_add_forward (HyphaCtl *ctl, const char *local, const char *peer, const char *target,
                       const HyphaCtlForwardOptions *options, GError **error)
{
  g_autofree char *path = NULL;

  return is_there (ctl, peer, error) &&
         hypha_ctl_call_add_forward (ctl, local, peer, target, options, &path, error) &&
         print_added (ctl, path, error);
}

static gboolean
add (Forward *self, GError **error)
{
  return hypha_ctl_add_forward (self->ctl, self->words[1], self->words[2], self->words[3],
                                &self->options, error);
}

/* ---- remove ---- */

/* Where it listens, if no peer has a say in that: what one tells may be the address of another
 * forward, and so may what one has this node try in vain. */
static const char *
get_sure (HyphaDBusForward1 *forward)
{
  const char *local = hypha_dbus_forward1_get_local (forward);
  gboolean sure = hypha_dbus_forward1_get_reverse (forward)
                      ? g_strcmp0 (local, hypha_dbus_forward1_get_given (forward)) == 0
                      : hypha_dbus_forward1_get_persistent (forward) ||
                            g_strcmp0 (hypha_dbus_forward1_get_state (forward), "listening") == 0;

  return sure ? local : NULL;
}

/* Those of which LOCAL is told by GET: where they listen, or what was given. */
static GPtrArray *
find_all (GPtrArray *objects, const char *local, const char *(*get) (HyphaDBusForward1 *) )
{
  GPtrArray *found = g_ptr_array_new ();

  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusForward1 *forward = hypha_dbus_object_peek_forward1 (objects->pdata[i]);

    if (forward && g_strcmp0 (get (forward), local) == 0)
      g_ptr_array_add (found, forward);
  }
  return found;
}

/* Whether URI is the endpoint of a socket at PATH. */
static gboolean
is_at (const char *uri, const char *path)
{
  g_autoptr (HyphaEndpoint) endpoint = uri ? hypha_endpoint_parse (uri, NULL) : NULL;
  g_autofree char *rest = g_strconcat ("//", path, NULL);

  return endpoint != NULL && g_strcmp0 (hypha_endpoint_get_rest (endpoint), rest) == 0;
}

/* A socket may have been given by its path, of which the node has made an endpoint. */
static GPtrArray *
find_path (GPtrArray *objects, const char *word)
{
  g_autofree char *path = g_canonicalize_filename (word, NULL);
  GPtrArray *found = g_ptr_array_new ();

  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusForward1 *forward = hypha_dbus_object_peek_forward1 (objects->pdata[i]);

    if (forward && is_at (hypha_dbus_forward1_get_given (forward), path))
      g_ptr_array_add (found, forward);
  }
  return found;
}

static void
set_several (GPtrArray *found, const char *local, gboolean listed, GError **error)
{
  g_autoptr (GString) list = g_string_new (NULL);

  for (guint i = 0; i < found->len; i++)
    g_string_append_printf (list, "%s%s %s %s", i > 0 ? ", " : "",
                            hypha_dbus_forward1_get_local (found->pdata[i]),
                            hypha_dbus_forward1_get_peer (found->pdata[i]),
                            hypha_dbus_forward1_get_target (found->pdata[i]));
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
      listed ? _ ("there are several forwards of '%s': %s; take one out of the setting forwards: "
                  "hyphactl config get forwards")
             : _ ("there are several forwards of '%s': %s; give the address that one listens on"),
      local, list->str);
}

static HyphaDBusForward1 *
find (GPtrArray *objects, const char *local, GError **error)
{
  g_autoptr (GPtrArray) sure = find_all (objects, local, get_sure);
  g_autoptr (GPtrArray) listed = find_all (objects, local, hypha_dbus_forward1_get_local);
  g_autoptr (GPtrArray) given = find_all (objects, local, hypha_dbus_forward1_get_given);
  g_autoptr (GPtrArray) at_path = find_path (objects, local);
  GPtrArray *found = sure->len > 0     ? sure
                     : given->len > 0  ? given
                     : listed->len > 0 ? listed
                                       : at_path;

  if (found->len == 1)
    return found->pdata[0];
  if (found->len > 1)
    set_several (found, local, found == sure || found == listed, error);
  else
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("there is no forward of '%s': hyphactl forward lists them"), local);
  return NULL;
}

/* All of them, or none if one is not there. */
static gboolean
remove_them (Forward *self, GError **error)
{
  g_autoptr (GPtrArray) objects = hypha_ctl_list (self->ctl, HYPHA_DBUS_FORWARD, error);
  g_autoptr (GPtrArray) found = g_ptr_array_new ();

  if (objects == NULL)
    return FALSE;
  for (guint i = 1; self->words[i]; i++) {
    HyphaDBusForward1 *forward = find (objects, self->words[i], error);

    if (forward == NULL)
      return FALSE;
    if (!g_ptr_array_find (found, forward, NULL))
      g_ptr_array_add (found, forward);
  }
  for (guint i = 0; i < found->len; i++) {
    if (!hypha_dbus_forward1_call_remove_sync (found->pdata[i], G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                                               error))
      return FALSE;
  }
  return TRUE;
}

/* ---- which of them ---- */

static const struct {
  const char *name;
  gboolean (*run) (Forward *self, GError **error);
} forms[] = {
  { "list", list },
  { "add", add },
  { "remove", remove_them },
};

gboolean
hypha_verb_forward (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  Forward self = { .ctl = ctl };
  const GOptionEntry options[] = {
    { "reverse", 0, 0, G_OPTION_ARG_NONE, &self.options.reverse,
      N_ ("Of add: the peer listens on LOCAL, and TARGET is a service of this node"), NULL },
    { "persist", 0, 0, G_OPTION_ARG_NONE, &self.options.persist,
      N_ ("Of add: keep the forward in the settings, too"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  const char *form = words && words[0] ? words[0] : "list";

  if (words == NULL)
    return FALSE;
  if ((self.options.persist || self.options.reverse) && !g_str_equal (form, "add")) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("%s: %s goes with add only"),
                 form, self.options.persist ? "--persist" : "--reverse");
    return FALSE;
  }
  self.words = words;
  for (gsize i = 0; i < G_N_ELEMENTS (forms); i++) {
    if (!g_str_equal (forms[i].name, form))
      continue;
    if (forms[i].run (&self, error))
      return TRUE;
    hypha_client_clean_error (error);
  }
  return FALSE;
}
