/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings-private.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>

#include "session/session.h"

/* What each key does. */

/* Both sides open streams, and every one is promised its part of the session's window. */
#define WINDOW_PER_STREAM (2 * HYPHA_SESSION_WINDOW_MIN)

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
  limits.spin = get_uint (self, "spin");
  hypha_node_set_limits (self->node, &limits);
  return TRUE;
}

static gboolean
apply_heartbeat (HyphaSettings *self, GVariant *value, GError **error)
{
  guint ping_interval = get_uint (self, "ping-interval");
  guint link_timeout = get_uint (self, "link-timeout");

  if (link_timeout >= ping_interval)
    return apply_limits (self, value, error);
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
      _ ("link-timeout (%u ms) is below ping-interval (%u ms): every link would be closed before "
         "its first answer"),
      link_timeout, ping_interval);
  return FALSE;
}

static gboolean
apply_windows (HyphaSettings *self, GVariant *value, GError **error)
{
  guint session_window = get_uint (self, "session-window");
  guint max_streams = get_uint (self, "max-streams");

  if (session_window >= (guint64) max_streams * WINDOW_PER_STREAM)
    return apply_limits (self, value, error);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("session-window (%u) is below max-streams (%u) times %d"), session_window,
               max_streams, WINDOW_PER_STREAM);
  return FALSE;
}

/* As endpoints have it, and names of plug-ins: letters, digits, '+', '-', '.', '_'. */
static gboolean
check_scheme (const char *scheme, GError **error)
{
  gsize length =
      strspn (scheme, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._");

  if (length > 0 && scheme[length] == '\0')
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("'%s' is no scheme: it is letters and digits, such as the part of an endpoint "
                  "before the colon"),
               scheme);
  return FALSE;
}

static gboolean
apply_disabled (HyphaSettings *self, GVariant *value, GError **error)
{
  g_autofree const char **schemes = g_variant_get_strv (value, NULL);

  for (const char **scheme = schemes; *scheme; scheme++) {
    if (!check_scheme (*scheme, error))
      return FALSE;
  }
  hypha_loader_set_disabled (self->loader, schemes);
  return TRUE;
}

static gboolean
apply_options (HyphaSettings *self, GVariant *value, GError **error)
{
  GVariantIter iter;
  const char *scheme;

  g_variant_iter_init (&iter, value);
  while (g_variant_iter_next (&iter, "{&s@a{sv}}", &scheme, NULL)) {
    if (!check_scheme (scheme, error))
      return FALSE;
  }
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
  GVariantIter iter;
  const char *what;

  g_variant_iter_init (&iter, value);
  while (g_variant_iter_next (&iter, "{&su}", &what, NULL)) {
    g_autoptr (HyphaEndpoint) endpoint = NULL;

    if (strchr (what, ':') == NULL) {
      if (!check_scheme (what, error))
        return FALSE;
      continue;
    }
    endpoint = hypha_loader_check_endpoint (self->loader, what, error);
    if (endpoint == NULL) {
      g_prefix_error (error, _ ("link-costs, entry '%s': "), what);
      return FALSE;
    }
  }
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
  { HYPHA_SETTINGS_NODE, apply_heartbeat, { "ping-interval", "link-timeout" } },
  { HYPHA_SETTINGS_NODE, apply_windows, { "max-streams", "session-window" } },
  { HYPHA_SETTINGS_NODE, apply_limits, { "session-timeout" } },
  { HYPHA_SETTINGS_NODE, apply_limits, { "switch-margin" } },
  { HYPHA_SETTINGS_NODE, apply_limits, { "first-byte-timeout" } },
  { HYPHA_SETTINGS_NODE, apply_limits, { "handshake-timeout" } },
  { HYPHA_SETTINGS_NODE, apply_limits, { "max-handshakes" } },
  { HYPHA_SETTINGS_NODE, apply_limits, { "max-handshakes-per-source" } },
  { HYPHA_SETTINGS_NODE, apply_limits, { "max-pending-peers" } },
  { HYPHA_SETTINGS_NODE, apply_limits, { "spin" } },
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
