/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/listen-patterns.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "api/hypha-text.h"
#include "node/place.h"
#include "service/mirror.h"

/* A port of a mirror. */
#define STAR ":*"

/* PATTERN as it is compared, if its transport is here, and the endpoint that has its OPTIONS. */
static HyphaPlace *
read_pattern (const char *pattern, HyphaLoader *loader, HyphaEndpoint **options, GError **error)
{
  g_autoptr (HyphaPlace) place = hypha_place_parse (pattern, error);
  HyphaTransport *transport;

  if (place == NULL)
    return NULL;
  if (hypha_place_has_uid (place)) {
    g_set_error_literal (
        error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
        _ ("nobody is asked for a user id where this node listens: leave uid out"));
    return NULL;
  }
  if (options != NULL)
    *options = hypha_endpoint_ref (hypha_place_get_endpoint (place));
  transport = hypha_loader_lookup (
      loader, hypha_endpoint_get_scheme (hypha_place_get_endpoint (place)), NULL);
  if (transport != NULL && !hypha_place_spell (place, transport, error))
    return NULL;
  return g_steal_pointer (&place);
}

/**
 * hypha_listen_patterns_check: (skip)
 * @patterns: what the setting has
 * @loader: of the node
 * @error: return location for an error: %HYPHA_ERROR_INVALID_SETTING
 *
 * Returns: %TRUE if there is at least one, and each is one
 */
gboolean
hypha_listen_patterns_check (const char *const *patterns, HyphaLoader *loader, GError **error)
{
  if (*patterns == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                         _ ("'listen' is empty: it names what peers may have this node listen on"));
    return FALSE;
  }
  for (; *patterns != NULL; patterns++) {
    g_autoptr (GError) reason = NULL;
    g_autoptr (HyphaPlace) place = read_pattern (*patterns, loader, NULL, &reason);
    g_autofree char *quoted = NULL;

    if (place != NULL)
      continue;
    quoted = hypha_text_quote (*patterns);
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, _ ("'listen' has %s: %s"), quoted,
                 reason->message);
    return FALSE;
  }
  return TRUE;
}

/* ---- what is asked for ---- */

static HyphaEndpoint *
refuse (const char *local, const char *why, GError **error)
{
  g_autofree char *quoted = hypha_text_quote (local);

  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT,
               _ ("%s is nothing that a peer may have listened on: %s"), quoted, why);
  return NULL;
}

/* What a pattern would compare well, and the transport or the kernel takes for something else. */
static gboolean
is_tricky (const char *rest)
{
  g_auto (GStrv) parts = g_strsplit (rest, "/", -1);

  for (char **part = parts; *part != NULL; part++)
    if (g_str_equal (*part, ".") || g_str_equal (*part, ".."))
      return TRUE;
  return strchr (rest, '*') != NULL;
}

/* What is before the port of ENDPOINT, where that has hosts. */
static char *
dup_host (HyphaEndpoint *endpoint)
{
  const char *rest = hypha_endpoint_get_rest (endpoint);
  const char *colon = strrchr (rest, ':');

  return colon != NULL && g_str_has_prefix (rest, "//") && rest[2] != '/'
             ? g_strndup (rest + 2, (gsize) (colon - rest) - 2)
             : NULL;
}

/* Whether somebody is asked for what it means. "any" stands for itself. */
static gboolean
is_name (const char *host)
{
  return *host != '[' && strspn (host, "0123456789.") != strlen (host) &&
         !g_str_equal (host, "any");
}

/* A '*' stands for no name: whoever answers for it chooses where it leads. */
static gboolean
covers (HyphaPlace *place, HyphaEndpoint *endpoint)
{
  g_autofree char *host = dup_host (endpoint);
  g_autofree char *pattern = dup_host (hypha_place_get_endpoint (place));

  if (host != NULL && is_name (host) && g_strcmp0 (host, pattern) != 0)
    return FALSE;
  return hypha_place_covers (place, endpoint);
}

/* LOCAL as its transport spells it, without options; of a mirror, with '*' for the port again. */
static HyphaEndpoint *
spell (HyphaLoader *loader, const char *local, const char *target, GError **error)
{
  g_autofree char *sample = hypha_mirror_dup_sample (local, target);
  gboolean mirror = !g_str_equal (sample, local);
  g_autoptr (HyphaEndpoint) endpoint = hypha_loader_parse_endpoint (loader, sample, NULL, error);
  g_autoptr (HyphaEndpoint) bare = NULL;
  g_autofree char *rest = NULL;
  const char *colon;

  if (endpoint == NULL)
    return NULL;
  bare = hypha_endpoint_without_options (endpoint);
  if (!hypha_endpoint_equal (bare, endpoint))
    return refuse (local, _ ("the options are for the pattern in 'listen' to give"), error);
  if (is_tricky (hypha_endpoint_get_rest (bare)))
    return refuse (local, _ ("it is no plain address"), error);
  if (!mirror)
    return g_steal_pointer (&bare);
  colon = strrchr (hypha_endpoint_get_rest (bare), ':');
  if (colon == NULL)
    return refuse (local, _ ("it has no port"), error);
  rest = g_strdup_printf ("%.*s" STAR, (int) (colon - hypha_endpoint_get_rest (bare)),
                          hypha_endpoint_get_rest (bare));
  return hypha_endpoint_new (hypha_endpoint_get_scheme (bare), rest, NULL);
}

/* Of a mirror, its filter stays: it only takes away. Whether it is one, the mirror says. */
static char *
with_options (HyphaEndpoint *endpoint, HyphaEndpoint *options, const char *local)
{
  g_autoptr (HyphaEndpoint) whole = hypha_endpoint_new (
      hypha_endpoint_get_scheme (endpoint), hypha_endpoint_get_rest (endpoint), options);
  const char *filter = strchr (local, '?');

  return g_strconcat (hypha_endpoint_to_string (whole), filter, NULL);
}

/**
 * hypha_listen_patterns_find: (skip)
 * @patterns: that were checked
 * @loader: of the node
 * @local: what a peer wants to have listened on
 * @target: where it is to lead: it tells a mirror
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ENDPOINT,
 * %HYPHA_ERROR_PERMISSION_DENIED, or why there is no transport
 *
 * Returns: (transfer full) (nullable): what is to be listened on
 */
char *
hypha_listen_patterns_find (const char *const *patterns, HyphaLoader *loader, const char *local,
                            const char *target, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = spell (loader, local, target, error);
  g_autofree char *quoted = NULL;

  if (endpoint == NULL)
    return NULL;
  for (; *patterns != NULL; patterns++) {
    g_autoptr (HyphaEndpoint) options = NULL;
    g_autoptr (HyphaPlace) place = read_pattern (*patterns, loader, &options, NULL);

    if (place != NULL && covers (place, endpoint))
      return with_options (endpoint, options, local);
  }
  quoted = hypha_text_quote (local);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
               _ ("%s fits no pattern of 'listen' in the setting services"), quoted);
  return NULL;
}
