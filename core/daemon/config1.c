/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/config1.h"

#include <glib/gi18n-lib.h>

#include "daemon/authority.h"
#include "dbus/errors.h"

/* A change waits for the disk, and GDBus hands over all calls that have come at once: so they
 * queue, and are done one by one when nothing else is to do. */
#define MAX_WAITING 256

struct _HyphaConfig1 {
  HyphaDBusConfig1Skeleton parent_instance;
  HyphaSettings *settings;
  GQueue waiting; /* of GDBusMethodInvocation */
  guint source;
};

static void config1_iface_init (HyphaDBusConfig1Iface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaConfig1, hypha_config1, HYPHA_DBUS_TYPE_CONFIG1_SKELETON,
                               G_IMPLEMENT_INTERFACE (HYPHA_DBUS_TYPE_CONFIG1, config1_iface_init))

/* ---- one call ---- */

static void
answer_get (HyphaConfig1 *self, GDBusMethodInvocation *invocation, const char *key)
{
  g_autoptr (GError) error = NULL;
  GVariant *value = hypha_settings_get (self->settings, key, &error);

  if (value)
    hypha_dbus_config1_complete_get (HYPHA_DBUS_CONFIG1 (self), invocation,
                                     g_variant_new_variant (value));
  else
    hypha_dbus_return_error (invocation, error);
}

static void
answer_list (HyphaConfig1 *self, GDBusMethodInvocation *invocation)
{
  g_auto (GStrv) keys = hypha_settings_list_keys (self->settings);
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a(ssvvb)"));
  for (char **key = keys; *key; key++) {
    g_autofree char *summary = hypha_settings_dup_summary (self->settings, *key);
    g_autoptr (GVariant) usual = hypha_settings_dup_default (self->settings, *key);

    g_variant_builder_add (&builder, "(ssvvb)", *key, summary,
                           hypha_settings_get (self->settings, *key, NULL), usual,
                           hypha_settings_is_writable (self->settings, *key));
  }
  hypha_dbus_config1_complete_list (HYPHA_DBUS_CONFIG1 (self), invocation,
                                    g_variant_builder_end (&builder));
}

static void
answer (HyphaConfig1 *self, GDBusMethodInvocation *invocation)
{
  const char *method = g_dbus_method_invocation_get_method_name (invocation);
  GVariant *parameters = g_dbus_method_invocation_get_parameters (invocation);
  g_autoptr (GVariant) value = NULL;
  g_autoptr (GError) error = NULL;
  const char *key;
  gboolean done;

  if (g_str_equal (method, "List")) {
    answer_list (self, invocation);
    return;
  }
  g_variant_get_child (parameters, 0, "&s", &key);
  if (g_str_equal (method, "Get")) {
    answer_get (self, invocation, key);
    return;
  }
  if (g_str_equal (method, "Set")) {
    g_variant_get_child (parameters, 1, "v", &value);
    done = hypha_settings_set (self->settings, key, value, &error);
  } else {
    done = hypha_settings_reset (self->settings, key, &error);
  }
  if (done)
    g_dbus_method_invocation_return_value (invocation, NULL);
  else
    hypha_dbus_return_error (invocation, error);
}

/* ---- their queue ---- */

static gboolean
on_idle (gpointer user_data)
{
  g_autoptr (HyphaConfig1) self = g_object_ref (user_data);

  answer (self, g_queue_pop_head (&self->waiting));
  if (!g_queue_is_empty (&self->waiting))
    return G_SOURCE_CONTINUE;
  self->source = 0;
  return G_SOURCE_REMOVE;
}

static gboolean
enqueue (HyphaConfig1 *self, GDBusMethodInvocation *invocation)
{
  g_autoptr (GError) error = NULL;

  if (g_queue_get_length (&self->waiting) >= MAX_WAITING) {
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("%d changes of the settings are waiting already: wait for their answers"),
                 MAX_WAITING);
    hypha_dbus_return_error (invocation, error);
    return G_DBUS_METHOD_INVOCATION_HANDLED;
  }
  g_queue_push_tail (&self->waiting, invocation);
  if (self->source == 0)
    self->source = g_idle_add (on_idle, self);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

/* Whoever asks after a change is to see it; else there is nothing to wait for. */
static gboolean
handle_list (HyphaDBusConfig1 *object, GDBusMethodInvocation *invocation)
{
  HyphaConfig1 *self = HYPHA_CONFIG1 (object);

  if (!g_queue_is_empty (&self->waiting))
    return enqueue (self, invocation);
  answer (self, invocation);
  return G_DBUS_METHOD_INVOCATION_HANDLED;
}

static gboolean
handle_get (HyphaDBusConfig1 *object, GDBusMethodInvocation *invocation, const char *key)
{
  return handle_list (object, invocation);
}

static gboolean
handle_set (HyphaDBusConfig1 *object, GDBusMethodInvocation *invocation, const char *key,
            GVariant *value)
{
  return enqueue (HYPHA_CONFIG1 (object), invocation);
}

static gboolean
handle_reset (HyphaDBusConfig1 *object, GDBusMethodInvocation *invocation, const char *key)
{
  return enqueue (HYPHA_CONFIG1 (object), invocation);
}

static void
on_changed (HyphaSettings *settings, const char *key, HyphaConfig1 *self)
{
  hypha_dbus_config1_emit_changed (
      HYPHA_DBUS_CONFIG1 (self), key,
      g_variant_new_variant (hypha_settings_get (settings, key, NULL)));
}

/**
 * hypha_config1_new:
 * @settings: settings
 *
 * Returns: (transfer full): the interface, to be exported
 */
HyphaConfig1 *
hypha_config1_new (HyphaSettings *settings)
{
  HyphaConfig1 *self = g_object_new (HYPHA_TYPE_CONFIG1, NULL);

  self->settings = g_object_ref (settings);
  g_signal_connect_object (settings, "changed", G_CALLBACK (on_changed), self, 0);
  return self;
}

static void
hypha_config1_dispose (GObject *object)
{
  HyphaConfig1 *self = HYPHA_CONFIG1 (object);
  GDBusMethodInvocation *invocation;

  g_clear_handle_id (&self->source, g_source_remove);
  while ((invocation = g_queue_pop_head (&self->waiting))) {
    g_autoptr (GError) error =
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, _ ("this node has stopped"));

    hypha_dbus_return_error (invocation, error);
  }
  g_clear_object (&self->settings);
  G_OBJECT_CLASS (hypha_config1_parent_class)->dispose (object);
}

static void
config1_iface_init (HyphaDBusConfig1Iface *iface)
{
  iface->handle_list = handle_list;
  iface->handle_get = handle_get;
  iface->handle_set = handle_set;
  iface->handle_reset = handle_reset;
}

static void
hypha_config1_class_init (HyphaConfig1Class *klass)
{
  G_OBJECT_CLASS (klass)->dispose = hypha_config1_dispose;
  hypha_authority_guard (G_DBUS_INTERFACE_SKELETON_CLASS (klass));
}

static void
hypha_config1_init (HyphaConfig1 *self)
{
  g_queue_init (&self->waiting);
}
