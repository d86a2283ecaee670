/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include "ctl/table.h"
#include "ctl/verb.h"

typedef struct {
  char *service;
  guint64 id, received, sent;
  gboolean mine;
} Stream;

static void
stream_clear (Stream *self)
{
  g_free (self->service);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Stream, stream_clear)

static void
stream_read (Stream *self, GVariant *value)
{
  g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (value);

  if (!g_variant_dict_lookup (&dict, "service", "s", &self->service))
    self->service = g_strdup ("");
  g_variant_dict_lookup (&dict, "id", "t", &self->id);
  g_variant_dict_lookup (&dict, "mine", "b", &self->mine);
  g_variant_dict_lookup (&dict, "received", "t", &self->received);
  g_variant_dict_lookup (&dict, "sent", "t", &self->sent);
}

static gboolean
add_peer (HyphaDBusPeer1 *proxy, HyphaTable *table, GVariantBuilder *all, GError **error)
{
  const char *name = hypha_dbus_peer1_get_name (proxy);
  g_autoptr (GVariant) streams = NULL;

  if (!hypha_dbus_peer1_call_streams_sync (proxy, G_DBUS_CALL_FLAGS_NONE, -1, &streams, NULL,
                                           error)) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  for (gsize i = 0; i < g_variant_n_children (streams); i++) {
    g_autoptr (GVariant) value = g_variant_get_child_value (streams, i);
    g_auto (Stream) stream = { 0 };

    stream_read (&stream, value);
    hypha_table_add (
        table, g_strdup (name), g_strdup_printf ("%" G_GUINT64_FORMAT, stream.id),
        g_strdup (stream.service), g_strdup (stream.mine ? _ ("this node") : _ ("the peer")),
        hypha_ctl_format_bytes (stream.received), hypha_ctl_format_bytes (stream.sent));
    g_variant_builder_add_parsed (
        all,
        "{'peer': <%s>, 'id': <%t>, 'service': <%s>, 'mine': <%b>, 'received': <%t>, 'sent': <%t>}",
        hypha_dbus_peer1_get_id (proxy), stream.id, stream.service, stream.mine, stream.received,
        stream.sent);
  }
  return TRUE;
}

gboolean
hypha_verb_streams (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (GPtrArray) objects = words ? hypha_ctl_list (ctl, HYPHA_DBUS_PEER, error) : NULL;
  g_autoptr (HyphaClientPeer) wanted = NULL;
  g_autoptr (HyphaTable) table = hypha_table_new (
      _ ("PEER"), _ (">ID"), _ ("SERVICE"), _ ("OPENED BY"), _ (">RECEIVED"), _ (">SENT"), NULL);
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}"));

  if (objects == NULL)
    return FALSE;
  if (words[0]) {
    wanted = hypha_ctl_find_peer (ctl, words[0], error);
    if (wanted == NULL || !add_peer (hypha_client_peer_get_proxy (wanted), table, all, error))
      return FALSE;
  }
  for (guint i = 0; !wanted && i < objects->len; i++) {
    HyphaDBusPeer1 *peer = hypha_dbus_object_peek_peer1 (objects->pdata[i]);

    if (peer && !add_peer (peer, table, all, error))
      return FALSE;
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (all));
  else
    hypha_table_print (table);
  return TRUE;
}
