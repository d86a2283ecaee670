/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

typedef struct {
  GObject parent;
  char *broken;
} Fixture;

static GObjectClass *fixture_parent_class;

static const char *const *
fixture_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { FIXTURE_SCHEME, FIXTURE_SCHEME "-CONNECT", NULL };

  return schemes;
}

static HyphaEndpoint *
fixture_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  const char *rest = hypha_endpoint_get_rest (endpoint);

  if (g_str_has_prefix (rest, "//"))
    return hypha_endpoint_new (FIXTURE_SCHEME, rest, endpoint);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT, "\"%s\" must begin with //", rest);
  return NULL;
}

static gboolean
fixture_configure (HyphaTransport *transport, GVariant *options, GError **error)
{
  Fixture *self = (Fixture *) transport;
  g_autoptr (GVariant) wrong = g_variant_lookup_value (options, "wrong", NULL);

  if (wrong != NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                         "there is no option \"wrong\"");
    return FALSE;
  }
  g_clear_pointer (&self->broken, g_free);
  g_variant_lookup (options, "broken", "s", &self->broken);
  return TRUE;
}

static gboolean
fixture_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  Fixture *self = (Fixture *) transport;

  g_variant_dict_insert (details, "fixture", "s", FIXTURE_TYPE);
  if (self->broken == NULL)
    return TRUE;
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, self->broken);
  return FALSE;
}

static guint
fixture_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return 42;
}

static void
fixture_connect_async (HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
                       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_task_report_new_error (transport, callback, user_data, fixture_connect_async, HYPHA_ERROR,
                           HYPHA_ERROR_NOT_SUPPORTED, "a fixture does not connect");
}

static HyphaChannel *
fixture_connect_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
fixture_listen_async (HyphaTransport *transport, HyphaEndpoint *endpoint, GCancellable *cancellable,
                      GAsyncReadyCallback callback, gpointer user_data)
{
  g_task_report_new_error (transport, callback, user_data, fixture_listen_async, HYPHA_ERROR,
                           HYPHA_ERROR_NOT_SUPPORTED, "a fixture does not listen");
}

static HyphaListener *
fixture_listen_finish (HyphaTransport *transport, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
fixture_finalize (GObject *object)
{
  g_free (((Fixture *) object)->broken);
  fixture_parent_class->finalize (object);
}

static void
fixture_class_init (gpointer klass, gpointer data)
{
  fixture_parent_class = g_type_class_peek_parent (klass);
  G_OBJECT_CLASS (klass)->finalize = fixture_finalize;
}

static void
fixture_transport_init (gpointer interface, gpointer data)
{
  HyphaTransportInterface *iface = interface;

  iface->get_schemes = fixture_get_schemes;
  iface->parse = fixture_parse;
  iface->configure = fixture_configure;
  iface->probe = fixture_probe;
  iface->get_link_cost = fixture_get_link_cost;
  iface->connect_async = fixture_connect_async;
  iface->connect_finish = fixture_connect_finish;
  iface->listen_async = fixture_listen_async;
  iface->listen_finish = fixture_listen_finish;
}

static GType
fixture_get_type (void)
{
  static gsize once;

  if (g_once_init_enter (&once)) {
    const GTypeInfo info = { .class_size = sizeof (GObjectClass),
                             .class_init = fixture_class_init,
                             .instance_size = sizeof (Fixture) };
    const GInterfaceInfo transport = { .interface_init = fixture_transport_init };
    GType type = g_type_register_static (G_TYPE_OBJECT, "HyphaFixture" FIXTURE_TYPE, &info, 0);

    g_type_add_interface_static (type, HYPHA_TYPE_TRANSPORT, &transport);
    g_once_init_leave (&once, type);
  }
  return once;
}

HyphaTransport *
fixture_create (GError **error)
{
  return g_object_new (fixture_get_type (), NULL);
}
