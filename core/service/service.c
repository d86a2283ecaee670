/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/service.h"

#include <glib/gi18n-lib.h>

#include "link/frame.h"
#include "link/name.h"

void
hypha_service_free (HyphaService *self)
{
  g_free (self->name);
  g_free (self->target);
  g_strfreev (self->peers);
  g_free (self);
}

gboolean
hypha_service_is_handler (HyphaService *self)
{
  return g_str_equal (self->target, "handler");
}

gboolean
hypha_service_check_name (const char *name, HyphaError code, GError **error)
{
  if (hypha_name_is_good (name, HYPHA_SERVICE_MAX))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, (gint) code,
               _ ("a service's name has 1 to %d bytes, without spaces"), HYPHA_SERVICE_MAX);
  return FALSE;
}

static gboolean
check_target (HyphaLoader *loader, const char *target, GError **error)
{
  g_autoptr (GError) reason = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;

  if (g_str_equal (target, "echo") || g_str_equal (target, "discard") ||
      g_str_equal (target, "off") || g_str_equal (target, "handler"))
    return TRUE;
  endpoint = hypha_loader_check_endpoint (loader, target, &reason);
  if (endpoint != NULL)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("'target' is '%s', which is neither echo, discard, off, handler nor an "
                  "endpoint: %s"),
               target, reason->message);
  return FALSE;
}

static gboolean
read_item (HyphaService *self, const char *key, GVariant *value, GError **error)
{
  if (g_str_equal (key, "target") && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)) {
    self->target = g_variant_dup_string (value, NULL);
    return TRUE;
  }
  if (g_str_equal (key, "peers") && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING_ARRAY)) {
    self->peers = g_variant_dup_strv (value, NULL);
    return TRUE;
  }
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("entry '%s' of type %s is not known: there are 'target' (s) and 'peers' (as)"),
               key, g_variant_get_type_string (value));
  return FALSE;
}

HyphaService *
hypha_service_new (HyphaLoader *loader, const char *name, GVariant *items, GError **error)
{
  g_autoptr (HyphaService) self = g_new0 (HyphaService, 1);
  GVariantIter iter;
  const char *key;
  GVariant *value;

  self->name = g_strdup (name);
  if (!hypha_service_check_name (name, HYPHA_ERROR_INVALID_SETTING, error))
    return NULL;
  g_variant_iter_init (&iter, items);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    G_GNUC_UNUSED g_autoptr (GVariant) owned = value;

    if (!read_item (self, key, value, error))
      return NULL;
  }
  /* Then it only says who may use what a program registers. */
  if (self->target == NULL)
    self->target = g_strdup ("handler");
  if (!check_target (loader, self->target, error))
    return NULL;
  return g_steal_pointer (&self);
}

gboolean
hypha_service_admits (HyphaService *self, HyphaNodePeer *peer)
{
  g_autofree char *name = NULL;

  if (self->peers == NULL)
    return TRUE;
  name = hypha_peer_dup_name (HYPHA_PEER (peer));
  return g_strv_contains ((const char *const *) self->peers, name) ||
         g_strv_contains ((const char *const *) self->peers, hypha_node_peer_get_id_text (peer));
}
