/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>
#include <string.h>

/* For the test of a plug-in: its transport, called as if nothing had to wait. */

/* keep_result() is the callback of a call, and what it keeps the user data. */
static inline void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static inline void
wait_result (GAsyncResult **result)
{
  while (*result == NULL)
    g_main_context_iteration (NULL, TRUE);
}

static inline HyphaEndpoint *
transport_try_parse (HyphaTransport *transport, const char *uri, GError **error)
{
  g_autoptr (HyphaEndpoint) given = hypha_endpoint_parse (uri, error);

  return given == NULL ? NULL : hypha_transport_parse (transport, given, error);
}

static inline HyphaEndpoint *
transport_parse (HyphaTransport *transport, const char *uri)
{
  g_autoptr (GError) error = NULL;
  HyphaEndpoint *endpoint = transport_try_parse (transport, uri, &error);

  g_assert_no_error (error);
  return endpoint;
}

static inline HyphaListener *
transport_listen (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_transport_listen_async (transport, endpoint, NULL, keep_result, &result);
  wait_result (&result);
  return hypha_transport_listen_finish (transport, result, error);
}

static inline HyphaChannel *
transport_connect (HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
                   GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_transport_connect_async (transport, endpoint, timeout_ms, NULL, keep_result, &result);
  wait_result (&result);
  return hypha_transport_connect_finish (transport, result, error);
}

static inline gboolean
transport_configure (HyphaTransport *transport, const char *options, GError **error)
{
  g_autoptr (GVariant) parsed = g_variant_ref_sink (g_variant_new_parsed (options));

  return hypha_transport_configure (transport, parsed, error);
}

static inline void
transport_must_configure (HyphaTransport *transport, const char *options)
{
  g_autoptr (GError) error = NULL;

  transport_configure (transport, options, &error);
  g_assert_no_error (error);
}

/* Each of CASES is options, and what the error names. */
static inline void
transport_assert_refuses (HyphaTransport *transport, const char *const cases[][2], gsize n)
{
  for (gsize i = 0; i < n; i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (transport_configure (transport, cases[i][0], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, cases[i][1]));
  }
}
