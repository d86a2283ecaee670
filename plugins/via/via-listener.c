/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-listener.h"

#include <glib/gi18n-lib.h>

#include "via-route.h"

struct _ViaListener {
  HyphaListener parent_instance;
  ViaHub *hub; /* NULL: closed */
  char *node;  /* NULL: any */
};

G_DEFINE_FINAL_TYPE (ViaListener, via_listener, HYPHA_TYPE_LISTENER)

HyphaListener *
via_listener_new (ViaHub *hub, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaEndpoint) bound = hypha_endpoint_without_options (endpoint);
  g_auto (GStrv) route = via_route_parse (endpoint, error);
  ViaListener *self;

  if (route == NULL)
    return NULL;
  for (guint i = 0; i < hub->listeners->len; i++) {
    if (!hypha_endpoint_equal (hypha_listener_get_bound (hub->listeners->pdata[i]), bound))
      continue;
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE,
                 _ ("cannot listen on %s: this node does so already"),
                 hypha_endpoint_to_string (bound));
    return NULL;
  }
  self = g_object_new (VIA_TYPE_LISTENER, "bound", bound, NULL);
  self->node = g_str_equal (route[0], VIA_ANY) ? NULL : g_strdup (route[0]);
  self->hub = via_hub_ref (hub);
  g_ptr_array_add (hub->listeners, self);
  via_hub_listening_changed (hub);
  return HYPHA_LISTENER (self);
}

const char *
via_listener_get_node (ViaListener *self)
{
  return self->node;
}

static void
via_listener_close (HyphaListener *listener)
{
  ViaListener *self = VIA_LISTENER (listener);
  g_autoptr (ViaHub) hub = g_steal_pointer (&self->hub);

  if (hub == NULL)
    return;
  g_ptr_array_remove_fast (hub->listeners, self);
  via_hub_listening_changed (hub);
}

static void
via_listener_finalize (GObject *object)
{
  g_free (VIA_LISTENER (object)->node);
  G_OBJECT_CLASS (via_listener_parent_class)->finalize (object);
}

static void
via_listener_class_init (ViaListenerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = via_listener_finalize;
  HYPHA_LISTENER_CLASS (klass)->close = via_listener_close;
}

static void
via_listener_init (ViaListener *self)
{
}
