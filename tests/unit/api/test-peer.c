/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha.h>

/* The interface, upon a peer that is nothing else: what a program sees of any implementation. */

#define TEST_TYPE_PEER (test_peer_get_type ())
G_DECLARE_FINAL_TYPE (TestPeer, test_peer, TEST, PEER, GObject)
struct _TestPeer {
  GObject parent_instance;
};

enum {
  PROP_ID = 1,
  PROP_NAME,
  PROP_TRUSTED,
  PROP_STATE,
  PROP_LINK_COST,
};

static void peer_init (HyphaPeerInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE (TestPeer, test_peer, G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_PEER, peer_init))

static void
test_peer_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  switch (id) {
  case PROP_ID:
    g_value_set_string (value, "an id");
    break;
  case PROP_NAME:
    g_value_set_string (value, "a name");
    break;
  case PROP_TRUSTED:
    g_value_set_boolean (value, TRUE);
    break;
  case PROP_STATE:
    g_value_set_enum (value, HYPHA_PEER_SUSPECT);
    break;
  case PROP_LINK_COST:
    g_value_set_uint (value, 17);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
test_peer_class_init (TestPeerClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = test_peer_get_property;
  g_object_class_override_property (object_class, PROP_ID, "id");
  g_object_class_override_property (object_class, PROP_NAME, "name");
  g_object_class_override_property (object_class, PROP_TRUSTED, "trusted");
  g_object_class_override_property (object_class, PROP_STATE, "state");
  g_object_class_override_property (object_class, PROP_LINK_COST, "link-cost");
}

static void
test_peer_init (TestPeer *self)
{
}

static void
open_stream_async (HyphaPeer *peer, const char *service, guint timeout_ms,
                   GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (peer, cancellable, callback, user_data);

  g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE, "%s %u", service,
                           timeout_ms);
}

static HyphaStream *
open_stream_finish (HyphaPeer *peer, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
disconnect_async (HyphaPeer *peer, GCancellable *cancellable, GAsyncReadyCallback callback,
                  gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (peer, cancellable, callback, user_data);

  g_task_return_boolean (task, TRUE);
}

static gboolean
disconnect_finish (HyphaPeer *peer, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
peer_init (HyphaPeerInterface *iface)
{
  iface->open_stream_async = open_stream_async;
  iface->open_stream_finish = open_stream_finish;
  iface->open_direct_async = open_stream_async;
  iface->open_direct_finish = open_stream_finish;
  iface->disconnect_async = disconnect_async;
  iface->disconnect_finish = disconnect_finish;
}

static void
test_getters_read_the_properties (void)
{
  g_autoptr (TestPeer) test_peer = g_object_new (TEST_TYPE_PEER, NULL);
  HyphaPeer *peer = HYPHA_PEER (test_peer);
  g_autofree char *id = hypha_peer_dup_id (peer);
  g_autofree char *name = hypha_peer_dup_name (peer);

  g_assert_cmpstr (id, ==, "an id");
  g_assert_cmpstr (name, ==, "a name");
  g_assert_true (hypha_peer_get_trusted (peer));
  g_assert_cmpint (hypha_peer_get_state (peer), ==, HYPHA_PEER_SUSPECT);
  g_assert_cmpuint (hypha_peer_get_link_cost (peer), ==, 17);
}

static void
on_result (GObject *source, GAsyncResult *result, gpointer data)
{
  g_set_object ((GAsyncResult **) data, result);
}

static void
test_calls_reach_the_implementation (void)
{
  g_autoptr (TestPeer) test_peer = g_object_new (TEST_TYPE_PEER, NULL);
  HyphaPeer *peer = HYPHA_PEER (test_peer);
  g_autoptr (GAsyncResult) opened = NULL;
  g_autoptr (GAsyncResult) disconnected = NULL;
  g_autoptr (GError) error = NULL;

  hypha_peer_open_stream_async (peer, "echo", 250, NULL, on_result, &opened);
  hypha_peer_disconnect_async (peer, NULL, on_result, &disconnected);
  while (opened == NULL || disconnected == NULL)
    g_main_context_iteration (NULL, TRUE);
  g_assert_null (hypha_peer_open_stream_finish (peer, opened, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE);
  g_assert_cmpstr (error->message, ==, "echo 250");
  g_assert_true (hypha_peer_disconnect_finish (peer, disconnected, NULL));
}

static void
on_link_changed (HyphaPeer *peer, const char *from, const char *to, const char *reason,
                 gpointer data)
{
  *(char **) data = g_strjoin (" ", from, to, reason, NULL);
}

static void
test_link_changed_carries_three_strings (void)
{
  g_autoptr (TestPeer) peer = g_object_new (TEST_TYPE_PEER, NULL);
  g_autofree char *seen = NULL;

  g_signal_connect (peer, "link-changed", G_CALLBACK (on_link_changed), &seen);
  g_signal_emit_by_name (peer, "link-changed", "1", "2", "cheaper");
  g_assert_cmpstr (seen, ==, "1 2 cheaper");
}

static void
test_states_have_words (void)
{
  static const char *const words[] = { "pending", "offline", "connecting", "online", "suspect" };
  g_autoptr (GEnumClass) klass = g_type_class_ref (HYPHA_TYPE_PEER_STATE);

  g_assert_cmpuint (klass->n_values, ==, G_N_ELEMENTS (words));
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    g_assert_cmpstr (hypha_peer_state_to_string ((HyphaPeerState) i), ==, words[i]);
}

/* Other languages know the domain by its name. */
static void
test_error_domain_has_its_name (void)
{
  g_assert_cmpstr (g_quark_to_string (HYPHA_ERROR), ==, "hypha-error-quark");
}

/* The nicks go over D-Bus: each number has one, and no two share one. */
static void
test_errors_have_nicks (void)
{
  g_autoptr (GEnumClass) klass = g_type_class_ref (HYPHA_TYPE_ERROR);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  g_assert_cmpint (klass->minimum, ==, 0);
  g_assert_cmpint (klass->maximum, ==, HYPHA_ERROR_PERMISSION_DENIED);
  g_assert_cmpuint (klass->n_values, ==, HYPHA_ERROR_PERMISSION_DENIED + 1);
  for (gint code = klass->minimum; code <= klass->maximum; code++) {
    GEnumValue *value = g_enum_get_value (klass, code);
    g_autoptr (GString) name = NULL;

    g_assert_nonnull (value);
    g_assert_true (g_hash_table_add (seen, (gpointer) value->value_nick));
    name = g_string_new ("HYPHA_ERROR_");
    g_string_append (name, value->value_nick);
    g_string_replace (name, "-", "_", 0);
    g_string_ascii_up (name);
    g_assert_cmpstr (name->str, ==, value->value_name);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/peer/getters-read-the-properties", test_getters_read_the_properties);
  g_test_add_func ("/peer/calls-reach-the-implementation", test_calls_reach_the_implementation);
  g_test_add_func ("/peer/link-changed-carries-three-strings",
                   test_link_changed_carries_three_strings);
  g_test_add_func ("/peer/states-have-words", test_states_have_words);
  g_test_add_func ("/error/domain-has-its-name", test_error_domain_has_its_name);
  g_test_add_func ("/error/every-code-has-a-nick", test_errors_have_nicks);
  return g_test_run ();
}
