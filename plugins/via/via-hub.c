/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-hub.h"

#include "via-listener.h"
#include "via-route.h"
#include "via-sight.h"
#include "via-talk.h"

ViaHub *
via_hub_new (void)
{
  ViaHub *self = g_new0 (ViaHub, 1);

  g_ref_count_init (&self->ref_count);
  self->listeners = g_ptr_array_new ();
  return self;
}

ViaHub *
via_hub_ref (ViaHub *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
via_hub_unref (ViaHub *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  g_ptr_array_unref (self->listeners);
  g_free (self);
}

HyphaPeer *
via_hub_find_peer (ViaHub *self, const char *node)
{
  GListModel *list = self->peers != NULL ? hypha_peers_get_list (self->peers) : NULL;
  gboolean is_id = via_route_is_id (node);

  for (guint i = 0; list != NULL && i < g_list_model_get_n_items (list); i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (list, i);
    g_autofree char *text = is_id ? hypha_peer_dup_id (peer) : hypha_peer_dup_name (peer);

    if (hypha_peer_get_trusted (peer) && g_str_equal (text, node))
      return g_steal_pointer (&peer);
  }
  return NULL;
}

gboolean
via_hub_get_link_cost (HyphaPeers *peers, HyphaPeer *peer, guint *cost)
{
  gboolean direct = hypha_peers_get_link_cost (peers, peer, cost);

  if (direct && cost != NULL)
    *cost = MIN (*cost, VIA_MAX_COST);
  return direct;
}

ViaListener *
via_hub_find_listener (ViaHub *self, HyphaPeer *peer)
{
  g_autofree char *id = hypha_peer_dup_id (peer);
  g_autofree char *name = hypha_peer_dup_name (peer);
  ViaListener *any = NULL;

  for (guint i = 0; i < self->listeners->len; i++) {
    const char *node = via_listener_get_node (self->listeners->pdata[i]);

    if (node == NULL)
      any = self->listeners->pdata[i];
    else if (g_str_equal (node, id) || g_str_equal (node, name))
      return self->listeners->pdata[i];
  }
  return any;
}

void
via_hub_listening_changed (ViaHub *self)
{
  if (self->sight != NULL)
    via_sight_update (self->sight);
}

gboolean
via_hub_takes_part (ViaHub *self)
{
  GListModel *list = self->peers != NULL ? hypha_peers_get_list (self->peers) : NULL;

  if (list != NULL && self->listeners->len > 0)
    return TRUE;
  for (guint i = 0; list != NULL && i < g_list_model_get_n_items (list); i++) {
    g_autoptr (HyphaPeer) peer = g_list_model_get_item (list, i);

    if (hypha_peers_may_pass (self->peers, VIA_SERVICE, peer))
      return TRUE;
  }
  return FALSE;
}

char *
via_hub_dup_word (HyphaPeer *peer)
{
  g_autofree char *name = hypha_peer_dup_name (peer);

  return via_route_is_node (name) && !g_str_equal (name, VIA_ANY) ? g_steal_pointer (&name)
                                                                  : hypha_peer_dup_id (peer);
}
