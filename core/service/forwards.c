/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/forwards.h"

#include <glib/gi18n-lib.h>

#include "service/mirror.h"

struct _HyphaForwards {
  GObject parent_instance;
  HyphaNode *node;
  HyphaBuiltins *builtins; /* for those to this node itself */
  GListStore *list;
  guint64 last_serial;
  gboolean stopped;
};

enum { REMOVED, N_SIGNALS };
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (HyphaForwards, hypha_forwards, G_TYPE_OBJECT)

static guint
count (HyphaForwards *self)
{
  return g_list_model_get_n_items (G_LIST_MODEL (self->list));
}

/* Not owned: the list's. */
static HyphaForward *
get (HyphaForwards *self, guint position)
{
  g_autoptr (HyphaForward) forward = g_list_model_get_item (G_LIST_MODEL (self->list), position);

  return forward;
}

static HyphaForward *
find (HyphaForwards *self, const HyphaForwardPlan *plan)
{
  for (guint i = 0; i < count (self); i++)
    if (hypha_forward_is (get (self, i), plan))
      return get (self, i);
  return NULL;
}

static gboolean
check_room (guint n, HyphaError code, GError **error)
{
  if (n < HYPHA_FORWARDS_MAX)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, (gint) code,
               _ ("there are %u forwards, and no more may be: remove one"), n);
  return FALSE;
}

/* ---- plug-ins come and go ---- */

static void
on_transport_added (HyphaLoader *loader, HyphaModule *module, HyphaForwards *self)
{
  for (guint i = 0; i < count (self); i++)
    hypha_forward_open (get (self, i));
}

/* ---- of the settings ---- */

static gboolean
read_item (HyphaForwardPlan *plan, const char *key, GVariant *value, GError **error)
{
  const char **place = NULL;

  if (g_str_equal (key, "local"))
    place = &plan->local;
  else if (g_str_equal (key, "peer"))
    place = &plan->peer;
  else if (g_str_equal (key, "target"))
    place = &plan->target;
  if (place != NULL && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)) {
    *place = g_variant_get_string (value, NULL);
    return TRUE;
  }
  if (g_str_equal (key, "reverse") && g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN)) {
    plan->reverse = g_variant_get_boolean (value);
    return TRUE;
  }
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
               _ ("'%s' of type %s is not known: there are 'local', 'peer' and 'target' (s), and "
                  "'reverse' (b)"),
               key, g_variant_get_type_string (value));
  return FALSE;
}

/* PLAN: of ITEMS. */
static gboolean
read_entry (GVariant *items, HyphaForwardPlan *plan, GError **error)
{
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, items);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    G_GNUC_UNUSED g_autoptr (GVariant) owned = value;

    if (!read_item (plan, key, value, error))
      return FALSE;
  }
  if (plan->local == NULL || plan->peer == NULL || plan->target == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                         _ ("'local', 'peer' and 'target' are needed, all three"));
    return FALSE;
  }
  return TRUE;
}

static HyphaForward *
make (HyphaForwards *self, const HyphaForwardPlan *plan, HyphaForwardOrigin origin, GError **error)
{
  return hypha_forward_new (self->node, self->builtins, ++self->last_serial, plan, origin, error);
}

static HyphaForward *
forward_for (HyphaForwards *self, GVariant *items, GError **error)
{
  HyphaForwardPlan plan = { NULL, NULL, NULL, FALSE };
  HyphaForward *there;

  if (!read_entry (items, &plan, error))
    return NULL;
  there = find (self, &plan);
  return there != NULL ? g_object_ref (there) : make (self, &plan, HYPHA_FORWARD_SETTINGS, error);
}

static gboolean
is_same (gconstpointer a, gconstpointer b)
{
  const HyphaForwardPlan plan = hypha_forward_get_plan ((HyphaForward *) b);

  return hypha_forward_is ((HyphaForward *) a, &plan);
}

static GPtrArray *
read_all (HyphaForwards *self, GVariant *forwards, GError **error)
{
  g_autoptr (GPtrArray) wanted = g_ptr_array_new_with_free_func (g_object_unref);

  for (gsize i = 0; i < g_variant_n_children (forwards); i++) {
    g_autoptr (GVariant) items = g_variant_get_child_value (forwards, i);
    g_autoptr (GError) reason = NULL;
    g_autoptr (HyphaForward) forward = NULL;

    if (check_room (wanted->len, HYPHA_ERROR_INVALID_SETTING, &reason))
      forward = forward_for (self, items, &reason);
    if (forward == NULL) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, _ ("forwards, entry %u: %s"),
                   (guint) i + 1, reason->message);
      return NULL;
    }
    if (!g_ptr_array_find_with_equal_func (wanted, forward, is_same, NULL))
      g_ptr_array_add (wanted, g_steal_pointer (&forward));
  }
  return g_steal_pointer (&wanted);
}

gboolean
hypha_forwards_configure (HyphaForwards *self, GVariant *forwards, GError **error)
{
  g_autoptr (GPtrArray) wanted = NULL;

  if (!g_variant_is_of_type (forwards, G_VARIANT_TYPE ("aa{sv}"))) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("forwards has to be of type aa{sv}, not %s"),
                 g_variant_get_type_string (forwards));
    return FALSE;
  }
  if (self->stopped)
    return TRUE;
  wanted = read_all (self, forwards, error);
  if (wanted == NULL)
    return FALSE;
  /* First those that go: another may want the endpoint. */
  for (guint i = count (self); i > 0; i--)
    if (hypha_forward_is_permanent (get (self, i - 1)) &&
        !g_ptr_array_find (wanted, get (self, i - 1), NULL))
      hypha_forwards_remove (self, get (self, i - 1));
  for (guint i = 0; i < wanted->len; i++) {
    hypha_forward_set_permanent (wanted->pdata[i], TRUE);
    if (!g_list_store_find (self->list, wanted->pdata[i], NULL))
      g_list_store_append (self->list, wanted->pdata[i]);
    hypha_forward_open (wanted->pdata[i]);
  }
  return TRUE;
}

GVariant *
hypha_forwards_dup (HyphaForwards *self)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aa{sv}"));
  for (guint i = 0; i < count (self); i++) {
    const HyphaForwardPlan plan = hypha_forward_get_plan (get (self, i));

    if (hypha_forward_is_permanent (get (self, i)))
      g_variant_builder_add_parsed (
          &builder,
          plan.reverse ? "{'local': <%s>, 'peer': <%s>, 'target': <%s>, 'reverse': <true>}"
                       : "{'local': <%s>, 'peer': <%s>, 'target': <%s>}",
          plan.local, plan.peer, plan.target);
  }
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

/* ---- at run time ---- */

static void
on_awaited (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaForwards *self = HYPHA_FORWARDS (source);
  g_autoptr (GTask) task = user_data;
  HyphaForward *forward = g_task_get_task_data (task);
  g_autoptr (GError) error = NULL;
  g_autofree char *bound = g_task_propagate_pointer (G_TASK (result), &error);
  gboolean listed = g_list_store_find (self->list, forward, NULL);
  const HyphaForwardPlan plan = hypha_forward_get_plan (forward);
  HyphaForward *there = find (self, &plan);

  if (self->stopped && error == NULL)
    g_set_error_literal (&error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED,
                         _ ("this node has stopped"));
  /* Asked for twice at once: of a mirror, both could be. */
  else if (bound != NULL && there != NULL && there != forward) {
    hypha_forward_close (forward);
    g_task_return_pointer (task, g_object_ref (there), g_object_unref);
    return;
  } else if (bound != NULL && !listed && check_room (count (self), HYPHA_ERROR_BUSY, &error)) {
    g_list_store_append (self->list, forward);
    listed = TRUE;
  }
  if (error != NULL) {
    if (!listed)
      hypha_forward_close (forward);
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  g_task_return_pointer (task, g_object_ref (forward), g_object_unref);
}

/* An endpoint whose transport is not here would never be listened on: say so now. Of a reverse one,
 * that is for the peer to say. */
static gboolean
check_transport (HyphaForwards *self, const HyphaForwardPlan *plan, GError **error)
{
  g_autofree char *sample = hypha_mirror_dup_sample (plan->local, plan->target);
  g_autoptr (HyphaEndpoint) endpoint = NULL;

  if (plan->reverse)
    return TRUE;
  endpoint = hypha_loader_parse_endpoint (hypha_node_get_loader (self->node), sample, NULL, error);
  return endpoint != NULL;
}

void
hypha_forwards_add_async (HyphaForwards *self, const HyphaForwardPlan *plan,
                          GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_autoptr (GTask) inner = NULL;
  g_autoptr (GError) error = NULL;
  HyphaForward *there = find (self, plan);
  HyphaForward *forward = there != NULL ? g_object_ref (there) : NULL;

  g_task_set_source_tag (task, hypha_forwards_add_async);
  if (self->stopped) {
    g_clear_object (&forward);
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED,
                             _ ("this node has stopped"));
    return;
  }
  if (forward == NULL && check_room (count (self), HYPHA_ERROR_BUSY, &error) &&
      check_transport (self, plan, &error))
    forward = make (self, plan, HYPHA_FORWARD_ASKED, &error);
  if (forward == NULL) {
    g_task_return_error (task, g_steal_pointer (&error));
    return;
  }
  g_task_set_task_data (task, forward, g_object_unref);
  inner = g_task_new (self, NULL, on_awaited, g_steal_pointer (&task));
  g_task_set_source_tag (inner, hypha_forward_await);
  hypha_forward_await (forward, inner);
}

HyphaForward *
hypha_forwards_add_finish (HyphaForwards *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

HyphaForward *
hypha_forwards_add_for_peer (HyphaForwards *self, const char *local, const char *id,
                             const char *name, const char *target, GError **error)
{
  const HyphaForwardPlan plan = { local, id, target, FALSE };
  HyphaForward *forward = NULL;

  if (self->stopped) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, _ ("this node has stopped"));
    return NULL;
  }
  if (check_room (count (self), HYPHA_ERROR_BUSY, error))
    forward = make (self, &plan, HYPHA_FORWARD_PEER, error);
  if (forward == NULL)
    return NULL;
  hypha_forward_call_peer (forward, name);
  g_list_store_append (self->list, forward);
  return forward;
}

void
hypha_forwards_remove (HyphaForwards *self, HyphaForward *forward)
{
  G_GNUC_UNUSED g_autoptr (HyphaForward) held = g_object_ref (forward);
  guint position;

  hypha_forward_close (forward);
  if (!g_list_store_find (self->list, forward, &position))
    return;
  g_list_store_remove (self->list, position);
  g_signal_emit (self, signals[REMOVED], 0, forward);
}

/* ---- life ---- */

/* What is to go to a peer, or to this node itself, does not go to whoever pairs and calls itself
 * so.
 */
static gboolean
on_spoken_for (HyphaNode *node, const char *name, HyphaForwards *self)
{
  for (guint i = 0; i < count (self); i++)
    if (g_str_equal (hypha_forward_get_peer (get (self, i)), name))
      return TRUE;
  return FALSE;
}

GListModel *
hypha_forwards_get_list (HyphaForwards *self)
{
  return G_LIST_MODEL (self->list);
}

HyphaForwards *
hypha_forwards_new (HyphaNode *node)
{
  HyphaForwards *self = g_object_new (HYPHA_TYPE_FORWARDS, NULL);
  HyphaLoader *loader = hypha_node_get_loader (node);

  self->node = g_object_ref (node);
  self->builtins = hypha_builtins_new ();
  g_signal_connect (loader, "transport-added", G_CALLBACK (on_transport_added), self);
  g_signal_connect_object (node, "spoken-for", G_CALLBACK (on_spoken_for), self, 0);
  return self;
}

void
hypha_forwards_stop (HyphaForwards *self)
{
  if (self->stopped)
    return;
  self->stopped = TRUE;
  if (self->node != NULL)
    g_signal_handlers_disconnect_by_data (hypha_node_get_loader (self->node), self);
  while (count (self) > 0)
    hypha_forwards_remove (self, get (self, count (self) - 1));
}

static void
hypha_forwards_dispose (GObject *object)
{
  HyphaForwards *self = HYPHA_FORWARDS (object);

  hypha_forwards_stop (self);
  g_clear_pointer (&self->builtins, hypha_builtins_unref);
  g_clear_object (&self->node);
  G_OBJECT_CLASS (hypha_forwards_parent_class)->dispose (object);
}

static void
hypha_forwards_finalize (GObject *object)
{
  g_object_unref (HYPHA_FORWARDS (object)->list);
  G_OBJECT_CLASS (hypha_forwards_parent_class)->finalize (object);
}

static void
hypha_forwards_class_init (HyphaForwardsClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = hypha_forwards_dispose;
  object_class->finalize = hypha_forwards_finalize;
  signals[REMOVED] = g_signal_new ("removed", HYPHA_TYPE_FORWARDS, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                   NULL, G_TYPE_NONE, 1, HYPHA_TYPE_FORWARD);
}

static void
hypha_forwards_init (HyphaForwards *self)
{
  self->list = g_list_store_new (HYPHA_TYPE_FORWARD);
}
