/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/node-link-private.h"

typedef enum { STATE_RESUMING, STATE_UP, STATE_CLOSED } State;

struct _HyphaNodeLink {
  GObject parent_instance;
  HyphaLink *link;
  guint64 serial;
  char *scheme;
  State state;
  gboolean active;
  gboolean was_suspect;
  guint was_cost;
  gint64 born;
  HyphaNodeLinkCloser closer; /* NULL once closed */
  gpointer closer_data;
};

enum { PROP_0, PROP_STATE, PROP_ACTIVE, PROP_COST, N_PROPS };
static GParamSpec *props[N_PROPS];

G_DEFINE_FINAL_TYPE (HyphaNodeLink, hypha_node_link, G_TYPE_OBJECT)

static const HyphaLinkStatus *
status (HyphaNodeLink *self)
{
  return hypha_link_get_status (self->link);
}

guint64
hypha_node_link_get_serial (HyphaNodeLink *self)
{
  return self->serial;
}

const HyphaNodeId *
hypha_node_link_get_peer_id (HyphaNodeLink *self)
{
  return hypha_link_get_peer (self->link);
}

const char *
hypha_node_link_get_transport (HyphaNodeLink *self)
{
  return self->scheme;
}

static const char *
endpoint_text (HyphaEndpoint *endpoint)
{
  return endpoint != NULL ? hypha_endpoint_to_string (endpoint) : "";
}

const char *
hypha_node_link_get_local (HyphaNodeLink *self)
{
  return endpoint_text (hypha_channel_get_local (hypha_link_get_channel (self->link)));
}

const char *
hypha_node_link_get_remote (HyphaNodeLink *self)
{
  return endpoint_text (hypha_channel_get_remote (hypha_link_get_channel (self->link)));
}

guint
hypha_node_link_get_cost (HyphaNodeLink *self)
{
  return atomic_load (&status (self)->cost);
}

guint
hypha_node_link_get_static_cost (HyphaNodeLink *self)
{
  return hypha_link_get_static_cost (self->link);
}

guint64
hypha_node_link_get_rtt (HyphaNodeLink *self)
{
  return (guint64) MAX (0, atomic_load (&status (self)->rtt));
}

const char *
hypha_node_link_get_state (HyphaNodeLink *self)
{
  if (self->state == STATE_CLOSED)
    return "closed";
  if (self->state == STATE_RESUMING)
    return "resuming";
  return atomic_load (&status (self)->suspect) ? "suspect" : "up";
}

gboolean
hypha_node_link_get_encrypted (HyphaNodeLink *self)
{
  return hypha_link_get_class (self->link) == HYPHA_LINK_TLS;
}

gboolean
hypha_node_link_get_active (HyphaNodeLink *self)
{
  return self->active;
}

guint64
hypha_node_link_get_rx_bytes (HyphaNodeLink *self)
{
  return atomic_load (&status (self)->rx_bytes);
}

guint64
hypha_node_link_get_tx_bytes (HyphaNodeLink *self)
{
  return atomic_load (&status (self)->tx_bytes);
}

void
hypha_node_link_close (HyphaNodeLink *self)
{
  if (self->closer != NULL)
    self->closer (self, self->closer_data);
}

/* ---- for the room ---- */

HyphaNodeLink *
hypha_node_link_new (HyphaLink *link, guint64 serial, const char *scheme)
{
  HyphaNodeLink *self = g_object_new (HYPHA_TYPE_NODE_LINK, NULL);

  self->link = link;
  self->serial = serial;
  self->scheme = g_strdup (scheme);
  self->born = g_get_monotonic_time ();
  return self;
}

HyphaLink *
hypha_node_link_get_link (HyphaNodeLink *self)
{
  return self->link;
}

static void
set_state (HyphaNodeLink *self, State state)
{
  if (self->state == state)
    return;
  self->state = state;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
}

void
hypha_node_link_set_up (HyphaNodeLink *self)
{
  set_state (self, STATE_UP);
  hypha_node_link_refresh (self);
}

void
hypha_node_link_set_active (HyphaNodeLink *self, gboolean active)
{
  if (self->active == active)
    return;
  self->active = active;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_ACTIVE]);
}

void
hypha_node_link_set_closed (HyphaNodeLink *self)
{
  self->closer = NULL;
  hypha_node_link_set_active (self, FALSE);
  set_state (self, STATE_CLOSED);
}

void
hypha_node_link_refresh (HyphaNodeLink *self)
{
  gboolean suspect = atomic_load (&status (self)->suspect);
  guint cost = hypha_node_link_get_cost (self);

  if (suspect != self->was_suspect) {
    self->was_suspect = suspect;
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_STATE]);
  }
  if (cost != self->was_cost) {
    self->was_cost = cost;
    g_object_notify_by_pspec (G_OBJECT (self), props[PROP_COST]);
  }
}

gboolean
hypha_node_link_is_up (HyphaNodeLink *self)
{
  return self->state == STATE_UP;
}

gboolean
hypha_node_link_is_live (HyphaNodeLink *self)
{
  return self->state == STATE_UP && !atomic_load (&status (self)->suspect);
}

gboolean
hypha_node_link_is_relayed (HyphaNodeLink *self)
{
  return (hypha_channel_get_flags (hypha_link_get_channel (self->link)) & HYPHA_CHANNEL_RELAYED) !=
         0;
}

gint64
hypha_node_link_get_born (HyphaNodeLink *self)
{
  return self->born;
}

gboolean
hypha_node_link_is_twin (HyphaNodeLink *self, HyphaNodeLink *other)
{
  const char *host = hypha_channel_get_host (hypha_link_get_channel (self->link));

  return host != NULL && g_str_equal (self->scheme, other->scheme) &&
         /* Another life of the peer, a clone or after a restart, has links of its own. */
         memcmp (hypha_link_get_peer_instance (self->link),
                 hypha_link_get_peer_instance (other->link), sizeof (HyphaInstance)) == 0 &&
         g_strcmp0 (host, hypha_channel_get_host (hypha_link_get_channel (other->link))) == 0;
}

void
hypha_node_link_set_closer (HyphaNodeLink *self, HyphaNodeLinkCloser closer, gpointer user_data)
{
  self->closer = closer;
  self->closer_data = user_data;
}

static void
hypha_node_link_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaNodeLink *self = HYPHA_NODE_LINK (object);

  switch (id) {
  case PROP_STATE:
    g_value_set_string (value, hypha_node_link_get_state (self));
    break;
  case PROP_ACTIVE:
    g_value_set_boolean (value, self->active);
    break;
  case PROP_COST:
    g_value_set_uint (value, hypha_node_link_get_cost (self));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
hypha_node_link_finalize (GObject *object)
{
  HyphaNodeLink *self = HYPHA_NODE_LINK (object);

  g_clear_pointer (&self->link, hypha_link_free);
  g_free (self->scheme);
  G_OBJECT_CLASS (hypha_node_link_parent_class)->finalize (object);
}

static void
hypha_node_link_class_init (HyphaNodeLinkClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS | G_PARAM_EXPLICIT_NOTIFY;

  object_class->get_property = hypha_node_link_get_property;
  object_class->finalize = hypha_node_link_finalize;
  props[PROP_STATE] = g_param_spec_string ("state", NULL, NULL, NULL, flags);
  props[PROP_ACTIVE] = g_param_spec_boolean ("active", NULL, NULL, FALSE, flags);
  props[PROP_COST] = g_param_spec_uint ("cost", NULL, NULL, 0, G_MAXUINT, 0, flags);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
hypha_node_link_init (HyphaNodeLink *self)
{
}
