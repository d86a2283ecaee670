/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/link1.h"

#include "daemon/authority.h"
#include "dbus/paths.h"

struct _HyphaLink1 {
  HyphaDBusLink1Skeleton parent_instance;
  HyphaNodeLink *link;
};

static void link1_iface_init (HyphaDBusLink1Iface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaLink1, hypha_link1, HYPHA_DBUS_TYPE_LINK1_SKELETON,
                               G_IMPLEMENT_INTERFACE (HYPHA_DBUS_TYPE_LINK1, link1_iface_init))

/* Read afresh whenever somebody asks; the rest is kept by the skeleton. */
enum { PROP_0, PROP_STATIC_COST, PROP_RTT, PROP_RX_BYTES, PROP_TX_BYTES };

static gboolean
handle_close (HyphaDBusLink1 *object, GDBusMethodInvocation *invocation)
{
  hypha_node_link_close (HYPHA_LINK1 (object)->link);
  hypha_dbus_link1_complete_close (object, invocation);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static void
refresh (HyphaLink1 *self)
{
  g_object_set (self, "cost", hypha_node_link_get_cost (self->link), "state",
                hypha_node_link_get_state (self->link), "active",
                hypha_node_link_get_active (self->link), NULL);
}

/**
 * hypha_link1_new:
 * @link: a link of the node
 *
 * Returns: (transfer full): the interface, to be exported
 */
HyphaLink1 *
hypha_link1_new (HyphaNodeLink *link)
{
  g_autofree char *id = hypha_node_id_to_string (hypha_node_link_get_peer_id (link));
  g_autofree char *peer = hypha_dbus_path (HYPHA_DBUS_PEER, id);
  HyphaLink1 *self = g_object_new (
      HYPHA_TYPE_LINK1, "peer", peer, "transport", hypha_node_link_get_transport (link), "local",
      hypha_node_link_get_local (link), "remote", hypha_node_link_get_remote (link), "encrypted",
      hypha_node_link_get_encrypted (link), NULL);

  self->link = g_object_ref (link);
  g_signal_connect_object (link, "notify", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  refresh (self);
  return self;
}

static void
hypha_link1_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaLink1 *self = HYPHA_LINK1 (object);

  switch (id) {
  case PROP_STATIC_COST:
    g_value_set_uint (value, hypha_node_link_get_static_cost (self->link));
    break;
  case PROP_RTT:
    g_value_set_uint64 (value, hypha_node_link_get_rtt (self->link));
    break;
  case PROP_RX_BYTES:
    g_value_set_uint64 (value, hypha_node_link_get_rx_bytes (self->link));
    break;
  case PROP_TX_BYTES:
    g_value_set_uint64 (value, hypha_node_link_get_tx_bytes (self->link));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

/* The skeleton's properties are writable, so those that stand in for them must be; nobody writes
 * them. */
static void
hypha_link1_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
hypha_link1_finalize (GObject *object)
{
  g_object_unref (HYPHA_LINK1 (object)->link);
  G_OBJECT_CLASS (hypha_link1_parent_class)->finalize (object);
}

static void
link1_iface_init (HyphaDBusLink1Iface *iface)
{
  iface->handle_close = handle_close;
}

static void
hypha_link1_class_init (HyphaLink1Class *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = hypha_link1_get_property;
  object_class->set_property = hypha_link1_set_property;
  object_class->finalize = hypha_link1_finalize;
  hypha_authority_guard (G_DBUS_INTERFACE_SKELETON_CLASS (klass));
  g_object_class_override_property (object_class, PROP_STATIC_COST, "static-cost");
  g_object_class_override_property (object_class, PROP_RTT, "rtt-microseconds");
  g_object_class_override_property (object_class, PROP_RX_BYTES, "rx-bytes");
  g_object_class_override_property (object_class, PROP_TX_BYTES, "tx-bytes");
}

static void
hypha_link1_init (HyphaLink1 *self)
{
}
