/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/forwards.h"

#include <glib/gi18n-lib.h>

#include "service/mirror.h"

struct _HyphaForwards {
  GObject parent_instance;
  HyphaNode *node;
  GListStore *list;
  guint64 last_serial;
  gboolean stopped;
};

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
find (HyphaForwards *self, const char *local, const char *peer, const char *target)
{
  for (guint i = 0; i < count (self); i++)
    if (hypha_forward_is (get (self, i), local, peer, target))
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

typedef struct {
  const char *local, *peer, *target; /* of the GVariant */
} Entry;

static gboolean
read_entry (GVariant *items, Entry *entry, GError **error)
{
  GVariantIter iter;
  const char *key;
  GVariant *value;

  g_variant_iter_init (&iter, items);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    G_GNUC_UNUSED g_autoptr (GVariant) owned = value;
    const char **place = NULL;

    if (g_str_equal (key, "local"))
      place = &entry->local;
    else if (g_str_equal (key, "peer"))
      place = &entry->peer;
    else if (g_str_equal (key, "target"))
      place = &entry->target;
    if (place == NULL || !g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                   _ ("'%s' of type %s is not known: there are 'local', 'peer' and 'target' (s)"),
                   key, g_variant_get_type_string (value));
      return FALSE;
    }
    *place = g_variant_get_string (value, NULL);
  }
  if (entry->local == NULL || entry->peer == NULL || entry->target == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                         _ ("'local', 'peer' and 'target' are needed, all three"));
    return FALSE;
  }
  return TRUE;
}

static HyphaForward *
forward_for (HyphaForwards *self, GVariant *items, GError **error)
{
  Entry entry = { NULL, NULL, NULL };
  HyphaForward *there;

  if (!read_entry (items, &entry, error))
    return NULL;
  there = find (self, entry.local, entry.peer, entry.target);
  return there != NULL ? g_object_ref (there)
                       : hypha_forward_new (self->node, ++self->last_serial, entry.local,
                                            entry.peer, entry.target, TRUE, error);
}

static gboolean
is_same (gconstpointer a, gconstpointer b)
{
  return hypha_forward_is ((HyphaForward *) a, hypha_forward_get_given ((HyphaForward *) b),
                           hypha_forward_get_peer ((HyphaForward *) b),
                           hypha_forward_get_target ((HyphaForward *) b));
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
    HyphaForward *forward = get (self, i);

    if (hypha_forward_is_permanent (forward))
      g_variant_builder_add_parsed (&builder, "{'local': <%s>, 'peer': <%s>, 'target': <%s>}",
                                    hypha_forward_get_given (forward),
                                    hypha_forward_get_peer (forward),
                                    hypha_forward_get_target (forward));
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
  HyphaForward *there = find (self, hypha_forward_get_given (forward),
                              hypha_forward_get_peer (forward), hypha_forward_get_target (forward));

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

void
hypha_forwards_add_async (HyphaForwards *self, const char *local, const char *peer,
                          const char *target, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);
  g_autoptr (GTask) inner = NULL;
  g_autoptr (GError) error = NULL;
  HyphaForward *there = find (self, local, peer, target);
  HyphaForward *forward = there != NULL ? g_object_ref (there) : NULL;

  g_task_set_source_tag (task, hypha_forwards_add_async);
  if (self->stopped) {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED,
                             _ ("this node has stopped"));
    return;
  }
  /* An endpoint whose transport is not here would never be listened on: say so now. */
  if (forward == NULL && check_room (count (self), HYPHA_ERROR_BUSY, &error)) {
    g_autofree char *sample = hypha_mirror_dup_sample (local, target);
    g_autoptr (HyphaEndpoint) endpoint =
        hypha_loader_parse_endpoint (hypha_node_get_loader (self->node), sample, NULL, &error);

    if (endpoint != NULL)
      forward =
          hypha_forward_new (self->node, ++self->last_serial, local, peer, target, FALSE, &error);
  }
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

void
hypha_forwards_remove (HyphaForwards *self, HyphaForward *forward)
{
  guint position;

  hypha_forward_close (forward);
  if (g_list_store_find (self->list, forward, &position))
    g_list_store_remove (self->list, position);
}

/* ---- life ---- */

/* What is to go to a peer does not go to whoever pairs and calls itself so. */
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
}

static void
hypha_forwards_init (HyphaForwards *self)
{
  self->list = g_list_store_new (HYPHA_TYPE_FORWARD);
}
