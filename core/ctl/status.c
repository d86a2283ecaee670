/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <stdio.h>

#include "ctl/colour.h"
#include "ctl/output.h"
#include "ctl/pending.h"
#include "ctl/text.h"
#include "ctl/verb.h"

#define TITLE_WIDTH 11

typedef struct {
  HyphaDBusNode1 *node;
  guint online, others;
  guint links;
  GPtrArray *pending; /* HyphaDBusPeer1 */
  GPtrArray *plugins; /* HyphaDBusObject: all of them */
} Status;

static void
status_clear (Status *self)
{
  g_clear_pointer (&self->pending, g_ptr_array_unref);
  g_clear_pointer (&self->plugins, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Status, status_clear)

static gboolean
look (Status *self, HyphaCtl *ctl, GError **error)
{
  g_autoptr (GPtrArray) links = hypha_ctl_list (ctl, HYPHA_DBUS_LINK, error);
  GListModel *peers;

  if (links == NULL)
    return FALSE;
  self->links = links->len;
  self->pending = hypha_ctl_list_pending (ctl, error);
  self->plugins = hypha_ctl_list (ctl, HYPHA_DBUS_PLUGIN, error);
  if (self->pending == NULL || self->plugins == NULL)
    return FALSE;
  peers = hypha_client_get_peers (ctl->client);
  for (guint i = 0; i < g_list_model_get_n_items (peers); i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (peers, i);
    HyphaPeerState state = hypha_peer_get_state (peer);

    if (state == HYPHA_PEER_ONLINE)
      self->online++;
    else if (state != HYPHA_PEER_PENDING)
      self->others++;
  }
  return TRUE;
}

/* A plug-in that is switched off, or cannot work on this machine, is no trouble. */
static gboolean
is_trouble (HyphaDBusPlugin1 *plugin)
{
  static const char *const states[] = { "refused", "failed", "stale", NULL };
  const char *state = plugin ? hypha_dbus_plugin1_get_state (plugin) : NULL;

  return state && g_strv_contains (states, state);
}

static GVariant *
describe_plugins (GPtrArray *plugins)
{
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  for (guint i = 0; i < plugins->len; i++) {
    HyphaDBusPlugin1 *plugin = hypha_dbus_object_peek_plugin1 (plugins->pdata[i]);

    if (is_trouble (plugin))
      g_variant_builder_add_parsed (all, "{'path': <%s>, 'state': <%s>, 'reason': <%s>}",
                                    hypha_dbus_plugin1_get_path (plugin),
                                    hypha_dbus_plugin1_get_state (plugin),
                                    hypha_dbus_plugin1_get_reason (plugin));
  }
  return g_variant_builder_end (all);
}

static void
print_json (Status *self)
{
  HyphaDBusNode1 *node = self->node;

  hypha_ctl_print_json (g_variant_new_parsed (
      "{'id': <%s>, 'name': <%s>, 'version': <%s>, 'features': <%^as>, 'listening': <%^as>,"
      " 'troubles': <%@a{ss}>, 'plugin-troubles': <%@aa{sv}>, 'peers-online': <%u>,"
      " 'peers-pending': <%u>, 'peers-other': <%u>, 'links': <%u>, 'pending': <%@aa{sv}>}",
      hypha_dbus_node1_get_id (node), hypha_dbus_node1_get_name (node),
      hypha_dbus_node1_get_version (node), hypha_dbus_node1_get_features (node),
      hypha_dbus_node1_get_listening (node), hypha_dbus_node1_get_troubles (node),
      describe_plugins (self->plugins), self->online, self->pending->len, self->others, self->links,
      hypha_ctl_describe_pending (self->pending)));
}

/* STATE, one of those that have a colour, colours the title; empty for none. */
static void
print_notice (const char *title, const char *state, const char *text)
{
  g_autofree char *safe = hypha_ctl_escape (text);
  int pad = MAX (1, TITLE_WIDTH - (int) hypha_ctl_text_width (title));

  printf ("%s%s%s%*s", hypha_ctl_colour_begin (state), title, hypha_ctl_colour_end (state), pad,
          "");
  hypha_ctl_print_wrapped (safe, hypha_ctl_text_width (title) + (guint) pad);
}

static void
print_line (const char *title, const char *text)
{
  print_notice (title, "", text);
}

static void
print_troubles (Status *self)
{
  GVariantIter iter;
  const char *endpoint, *reason;

  g_variant_iter_init (&iter, hypha_dbus_node1_get_troubles (self->node));
  while (g_variant_iter_next (&iter, "{&s&s}", &endpoint, &reason)) {
    g_autofree char *text = g_strdup_printf ("%s: %s", endpoint, reason);

    print_notice (_ ("Trouble"), "failed", text);
  }
  for (guint i = 0; i < self->plugins->len; i++) {
    HyphaDBusPlugin1 *plugin = hypha_dbus_object_peek_plugin1 (self->plugins->pdata[i]);
    g_autofree char *text = NULL;

    if (!is_trouble (plugin))
      continue;
    text = g_strdup_printf (_ ("plug-in %s: %s: %s"), hypha_dbus_plugin1_get_path (plugin),
                            hypha_dbus_plugin1_get_state (plugin),
                            hypha_dbus_plugin1_get_reason (plugin));
    print_notice (_ ("Trouble"), "failed", text);
  }
}

static void
print_pending (Status *self)
{
  for (guint i = 0; i < self->pending->len; i++) {
    HyphaDBusPeer1 *peer = self->pending->pdata[i];
    const char *from = hypha_dbus_peer1_get_from (peer);
    g_autofree char *text = g_strdup_printf (
        _ ("'%s' from %s: hyphactl trust %s NAME lets it in"), hypha_dbus_peer1_get_name (peer),
        from && *from ? from : "?", hypha_dbus_peer1_get_id (peer));

    print_notice (_ ("Pending"), "pending", text);
  }
}

static void
print_people (Status *self)
{
  HyphaDBusNode1 *node = self->node;
  const char *const *listening = hypha_dbus_node1_get_listening (node);
  g_autofree char *peers = g_strdup_printf (_ ("%u online, %u not online, %u pending"),
                                            self->online, self->others, self->pending->len);
  g_autofree char *links = g_strdup_printf ("%u", self->links);

  print_line (_ ("Name"), hypha_dbus_node1_get_name (node));
  print_line (_ ("Id"), hypha_dbus_node1_get_id (node));
  print_line (_ ("Version"), hypha_dbus_node1_get_version (node));
  if (*listening == NULL)
    print_line (_ ("Listening"), _ ("nowhere"));
  for (guint i = 0; listening[i]; i++)
    print_line (i == 0 ? _ ("Listening") : "", listening[i]);
  print_line (_ ("Peers"), peers);
  print_line (_ ("Links"), links);
  print_troubles (self);
  print_pending (self);
}

gboolean
hypha_verb_status (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_auto (Status) self = { 0 };

  if (words == NULL)
    return FALSE;
  self.node = hypha_ctl_get_node (ctl, error);
  if (self.node == NULL || !look (&self, ctl, error))
    return FALSE;
  if (ctl->json)
    print_json (&self);
  else
    print_people (&self);
  return TRUE;
}
