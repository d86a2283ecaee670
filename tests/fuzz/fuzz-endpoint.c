/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"

#include <hypha-api.h>

/* Printing and parsing again is the identity, whatever was parsed. */
static void
check_identity (HyphaEndpoint *endpoint)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) again =
      hypha_endpoint_parse (hypha_endpoint_to_string (endpoint), &error);

  g_assert_no_error (error);
  g_assert_true (hypha_endpoint_equal (endpoint, again));
  g_assert_cmpuint (hypha_endpoint_hash (endpoint), ==, hypha_endpoint_hash (again));
  g_assert_cmpstr (hypha_endpoint_to_string (endpoint), ==, hypha_endpoint_to_string (again));
  g_assert_cmpstr (hypha_endpoint_get_scheme (endpoint), ==, hypha_endpoint_get_scheme (again));
  g_assert_cmpstr (hypha_endpoint_get_rest (endpoint), ==, hypha_endpoint_get_rest (again));
}

static void
check_parts (HyphaEndpoint *endpoint)
{
  g_autoptr (HyphaEndpoint) bare = hypha_endpoint_without_options (endpoint);
  g_autoptr (HyphaEndpoint) dear = hypha_endpoint_with_option (endpoint, "cost", "7", NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *host = NULL;
  guint32 port = G_MAXUINT32;

  check_identity (bare);
  g_assert_null (hypha_endpoint_get_option (bare, "id"));
  if (dear != NULL) { /* it may have become too long */
    check_identity (dear);
    g_assert_cmpstr (hypha_endpoint_get_option (dear, "cost"), ==, "7");
  }
  if (hypha_endpoint_split_host_port (endpoint, 65535, &host, &port, &error)) {
    g_assert_no_error (error);
    g_assert_nonnull (host);
    g_assert_cmpuint (port, <=, 65535);
  } else {
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = size > 0 ? g_strndup ((const char *) data, size) : g_strdup ("");
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_parse (text, &error);

  if (endpoint == NULL) {
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    return 0;
  }
  g_assert_no_error (error);
  check_identity (endpoint);
  check_parts (endpoint);
  return 0;
}
