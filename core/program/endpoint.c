/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/endpoint.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define MAX_REST 1024
#define MAX_HOST 256

static gboolean
is_printable (const char *text)
{
  for (; *text != '\0'; text = g_utf8_next_char (text))
    if (!g_unichar_isprint (g_utf8_get_char (text)))
      return FALSE;
  return TRUE;
}

static HyphaEndpoint *
parse_host_port (HyphaProgramManifest *manifest, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (HyphaInetAddress) address = hypha_inet_address_parse (endpoint, error);

  return address != NULL ? hypha_inet_address_to_endpoint (address, manifest->schemes[0], endpoint)
                         : NULL;
}

static gboolean
check_path (HyphaEndpoint *endpoint, GError **error)
{
  const char *rest = hypha_endpoint_get_rest (endpoint);
  g_autofree char *canonical = NULL;

  if (!g_str_has_prefix (rest, "///"))
    return hypha_endpoint_refuse (endpoint, error,
                                  _ ("'//' and an absolute path have to follow the scheme"));
  canonical = g_canonicalize_filename (rest + 2, "/");
  return g_str_equal (canonical, rest + 2) ||
         hypha_endpoint_refuse (endpoint, error,
                                _ ("the path has parts that it does not need: write '%s'"),
                                canonical);
}

/* hypha_program_endpoint_parse:
 * @endpoint: with one of the schemes of the manifest
 *
 * Returns: (transfer full): it, canonical, or %NULL with %HYPHA_ERROR_INVALID_ENDPOINT, which names
 * the wrong part */
HyphaEndpoint *
hypha_program_endpoint_parse (HyphaProgramManifest *manifest, HyphaEndpoint *endpoint,
                              GError **error)
{
  const char *rest = hypha_endpoint_get_rest (endpoint);

  if (manifest->endpoint == HYPHA_PROGRAM_ENDPOINT_HOST_PORT)
    return parse_host_port (manifest, endpoint, error);
  if (*rest == '\0' || strlen (rest) > MAX_REST) {
    hypha_endpoint_refuse (endpoint, error, _ ("what follows the scheme is not 1 to %d bytes"),
                           MAX_REST);
    return NULL;
  }
  if (!is_printable (rest)) {
    hypha_endpoint_refuse (endpoint, error, _ ("it has a character that cannot be printed"));
    return NULL;
  }
  if (manifest->endpoint == HYPHA_PROGRAM_ENDPOINT_PATH && !check_path (endpoint, error))
    return NULL;
  return hypha_endpoint_new (manifest->schemes[0], rest, endpoint);
}

/* hypha_program_endpoint_read:
 * @uri: of the program, in any spelling of its own; without options
 *
 * Returns: (transfer full): an endpoint of this transport, or %NULL with %HYPHA_ERROR_PLUGIN */
HyphaEndpoint *
hypha_program_endpoint_read (HyphaProgramManifest *manifest, const char *uri, GError **error)
{
  g_autoptr (GError) reason = NULL;
  g_autoptr (HyphaEndpoint) given = hypha_endpoint_parse (uri, &reason);
  g_autoptr (HyphaEndpoint) parsed = NULL;

  if (given != NULL &&
      g_strv_contains ((const char *const *) manifest->schemes, hypha_endpoint_get_scheme (given)))
    parsed = hypha_program_endpoint_parse (manifest, given, &reason);
  else if (given != NULL)
    reason =
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT,
                     _ ("%s has a scheme that is not its own"), hypha_endpoint_to_string (given));
  if (parsed != NULL)
    return hypha_endpoint_without_options (parsed);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
               _ ("its program speaks of an endpoint that is none: %s"), reason->message);
  return NULL;
}

const char *
hypha_program_endpoint_check_host (const char *host)
{
  return host != NULL && *host != '\0' && strlen (host) <= MAX_HOST && is_printable (host) ? host
                                                                                           : NULL;
}
