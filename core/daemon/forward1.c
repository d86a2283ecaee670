/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/forward1.h"

#include <inttypes.h>

#include "daemon/authority.h"
#include "dbus/errors.h"
#include "dbus/paths.h"

struct _HyphaForward1 {
  HyphaDBusForward1Skeleton parent_instance;
  HyphaForward *forward;
  HyphaForwards *forwards;
  HyphaSettings *settings;
};

static void forward1_iface_init (HyphaDBusForward1Iface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaForward1, hypha_forward1, HYPHA_DBUS_TYPE_FORWARD1_SKELETON,
                               G_IMPLEMENT_INTERFACE (HYPHA_DBUS_TYPE_FORWARD1,
                                                      forward1_iface_init))

/* Read afresh whenever somebody asks; the rest is kept by the skeleton. */
enum { PROP_0, PROP_RX_BYTES, PROP_TX_BYTES };

static gboolean
handle_remove (HyphaDBusForward1 *object, GDBusMethodInvocation *invocation)
{
  g_autoptr (HyphaForward1) self = g_object_ref (HYPHA_FORWARD1 (object));
  gboolean saved = hypha_forward_is_permanent (self->forward);
  g_autoptr (GError) error = NULL;

  hypha_forwards_remove (self->forwards, self->forward);
  if (!saved || hypha_settings_save_forwards (self->settings, &error))
    hypha_dbus_forward1_complete_remove (object, invocation);
  else
    hypha_dbus_return_error (invocation, error);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static void
refresh (HyphaForward1 *self)
{
  g_autofree char *reason = g_utf8_make_valid (hypha_forward_get_reason (self->forward), -1);
  g_autoptr (GVariant) ports = hypha_forward_dup_ports (self->forward);

  g_object_set (self, "ports", ports, "local", hypha_forward_get_local (self->forward),
                "persistent", hypha_forward_is_permanent (self->forward), "state",
                hypha_forward_get_state (self->forward), "reason", reason, NULL);
}

/**
 * hypha_forward1_dup_path:
 * @forward: a forward of the node
 *
 * Returns: (transfer full): where its object is
 */
char *
hypha_forward1_dup_path (HyphaForward *forward)
{
  g_autofree char *serial = g_strdup_printf ("%" PRIu64, hypha_forward_get_serial (forward));

  return hypha_dbus_path (HYPHA_DBUS_FORWARD, serial);
}

/**
 * hypha_forward1_new:
 * @forward: a forward of the node
 * @forwards: where it is one of
 * @settings: where it may be kept
 *
 * Returns: (transfer full): the interface, to be exported
 */
HyphaForward1 *
hypha_forward1_new (HyphaForward *forward, HyphaForwards *forwards, HyphaSettings *settings)
{
  HyphaForward1 *self =
      g_object_new (HYPHA_TYPE_FORWARD1, "given", hypha_forward_get_given (forward), "peer",
                    hypha_forward_get_peer (forward), "target", hypha_forward_get_target (forward),
                    "reverse", hypha_forward_is_reverse (forward), NULL);

  self->forward = g_object_ref (forward);
  self->forwards = g_object_ref (forwards);
  self->settings = g_object_ref (settings);
  g_signal_connect_object (forward, "changed", G_CALLBACK (refresh), self, G_CONNECT_SWAPPED);
  refresh (self);
  return self;
}

static void
hypha_forward1_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  HyphaForward1 *self = HYPHA_FORWARD1 (object);
  guint64 received, sent;

  hypha_forward_get_counters (self->forward, &received, &sent);
  switch (id) {
  case PROP_RX_BYTES:
    g_value_set_uint64 (value, received);
    break;
  case PROP_TX_BYTES:
    g_value_set_uint64 (value, sent);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

/* The skeleton's properties are writable, so those that stand in for them must be; nobody writes
 * them. */
static void
hypha_forward1_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
hypha_forward1_dispose (GObject *object)
{
  HyphaForward1 *self = HYPHA_FORWARD1 (object);

  g_clear_object (&self->settings);
  g_clear_object (&self->forwards);
  G_OBJECT_CLASS (hypha_forward1_parent_class)->dispose (object);
}

static void
hypha_forward1_finalize (GObject *object)
{
  g_object_unref (HYPHA_FORWARD1 (object)->forward);
  G_OBJECT_CLASS (hypha_forward1_parent_class)->finalize (object);
}

static void
forward1_iface_init (HyphaDBusForward1Iface *iface)
{
  iface->handle_remove = handle_remove;
}

static void
hypha_forward1_class_init (HyphaForward1Class *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = hypha_forward1_get_property;
  object_class->set_property = hypha_forward1_set_property;
  object_class->dispose = hypha_forward1_dispose;
  object_class->finalize = hypha_forward1_finalize;
  hypha_authority_guard (G_DBUS_INTERFACE_SKELETON_CLASS (klass));
  g_object_class_override_property (object_class, PROP_RX_BYTES, "rx-bytes");
  g_object_class_override_property (object_class, PROP_TX_BYTES, "tx-bytes");
}

static void
hypha_forward1_init (HyphaForward1 *self)
{
}
