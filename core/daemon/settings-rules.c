/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings-private.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>

/* What each key does. */

/* Every stream is promised this much of the session's window, and both sides open streams. */
#define WINDOW_PER_STREAM (2 * 8192)

static guint
get_uint (HyphaSettings *self, const char *key)
{
  return g_variant_get_uint32 (g_hash_table_lookup (self->good, key));
}

static gboolean
apply_limits (HyphaSettings *self, GVariant *value, GError **error)
{
  HyphaNodeLimits limits;

  hypha_node_limits_init (&limits);
  limits.ping_interval = get_uint (self, "ping-interval");
  limits.link_timeout = get_uint (self, "link-timeout");
  limits.session_timeout = get_uint (self, "session-timeout");
  limits.switch_margin = get_uint (self, "switch-margin");
  limits.first_byte_timeout = get_uint (self, "first-byte-timeout");
  limits.handshake_timeout = get_uint (self, "handshake-timeout");
  limits.max_handshakes = get_uint (self, "max-handshakes");
  limits.max_handshakes_per_source = get_uint (self, "max-handshakes-per-source");
  limits.max_pending_peers = get_uint (self, "max-pending-peers");
  limits.max_streams = get_uint (self, "max-streams");
  limits.session_window = get_uint (self, "session-window");
  if (limits.link_timeout < limits.ping_interval) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
        _ ("link-timeout (%u ms) is below ping-interval (%u ms): every link would be closed before "
           "its first answer"),
        limits.link_timeout, limits.ping_interval);
    return FALSE;
  }
  if (limits.session_window < (guint64) limits.max_streams * WINDOW_PER_STREAM) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("session-window (%" PRIu64 ") is below max-streams (%u) times %d"),
                 limits.session_window, limits.max_streams, WINDOW_PER_STREAM);
    return FALSE;
  }
  hypha_node_set_limits (self->node, &limits);
  return TRUE;
}

static gboolean
apply_disabled (HyphaSettings *self, GVariant *value, GError **error)
{
  g_autofree const char **schemes = g_variant_get_strv (value, NULL);

  hypha_loader_set_disabled (self->loader, schemes);
  return TRUE;
}

static gboolean
apply_options (HyphaSettings *self, GVariant *value, GError **error)
{
  return hypha_loader_set_options (self->loader, value, error);
}

static gboolean
apply_name (HyphaSettings *self, GVariant *value, GError **error)
{
  const char *name = g_variant_get_string (value, NULL);

  return hypha_node_set_name (self->node, *name ? name : g_get_host_name (), error);
}

static gboolean
apply_costs (HyphaSettings *self, GVariant *value, GError **error)
{
  return hypha_node_set_link_costs (self->node, value, error);
}

static gboolean
apply_trusted (HyphaSettings *self, GVariant *value, GError **error)
{
  return hypha_node_set_trusted (self->node, value, error);
}

static gboolean
apply_trust_rules (HyphaSettings *self, GVariant *value, GError **error)
{
  return hypha_node_set_trust_rules (self->node, value, error);
}

static gboolean
apply_services (HyphaSettings *self, GVariant *value, GError **error)
{
  return hypha_services_configure (self->services, value, error);
}

static gboolean
apply_forwards (HyphaSettings *self, GVariant *value, GError **error)
{
  return hypha_forwards_configure (self->forwards, value, error);
}

char **
hypha_settings_join (GVariant *value, char **extra)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree const char **endpoints = g_variant_get_strv (value, NULL);

  g_strv_builder_addv (builder, endpoints);
  for (char **e = extra; e && *e; e++) {
    if (!g_strv_contains (endpoints, *e))
      g_strv_builder_add (builder, *e);
  }
  return g_strv_builder_end (builder);
}

static gboolean
apply_listen (HyphaSettings *self, GVariant *value, GError **error)
{
  g_auto (GStrv) all = hypha_settings_join (value, self->extra_listen);

  return hypha_node_set_listen (self->node, (const char *const *) all, error);
}

static gboolean
apply_peers (HyphaSettings *self, GVariant *value, GError **error)
{
  g_auto (GStrv) all = hypha_settings_join (value, self->extra_peers);

  return hypha_node_set_peers (self->node, (const char *const *) all, error);
}

const HyphaSettingsRule hypha_settings_rules[] = {
  { HYPHA_SETTINGS_LOADER, apply_disabled, { "disabled-transports" } },
  { HYPHA_SETTINGS_LOADER, apply_options, { "transport-options" } },
  { HYPHA_SETTINGS_NODE,
    apply_limits,
    { "ping-interval", "link-timeout", "session-timeout", "switch-margin", "first-byte-timeout",
      "handshake-timeout", "max-handshakes", "max-handshakes-per-source", "max-pending-peers",
      "max-streams", "session-window" } },
  { HYPHA_SETTINGS_NODE, apply_name, { "name" } },
  { HYPHA_SETTINGS_NODE, apply_costs, { "link-costs" } },
  { HYPHA_SETTINGS_NODE, apply_trusted, { "trusted-peers" } },
  { HYPHA_SETTINGS_NODE, apply_trust_rules, { "trust-rules" } },
  { HYPHA_SETTINGS_NODE, apply_services, { "services" } },
  { HYPHA_SETTINGS_NODE, apply_forwards, { "forwards" } },
  { HYPHA_SETTINGS_NODE, apply_listen, { "listen" } },
  { HYPHA_SETTINGS_NODE, apply_peers, { "peers" } },
  { HYPHA_SETTINGS_NODE, NULL, { NULL } },
};

const HyphaSettingsRule *
hypha_settings_find_rule (const char *key)
{
  for (const HyphaSettingsRule *rule = hypha_settings_rules; rule->keys[0]; rule++) {
    for (guint i = 0; i < HYPHA_SETTINGS_MAX_KEYS && rule->keys[i]; i++) {
      if (g_str_equal (rule->keys[i], key))
        return rule;
    }
  }
  return NULL;
}
