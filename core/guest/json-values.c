/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The values that core/api makes of JSON, and the agent and the node look at, as json-glib has
 * them: Debian has no json-glib to link statically, and of its parser, its writer and the rest
 * nothing is used here. A value has one owner. */
#include <json-glib/json-glib.h>

struct _JsonArray {
  GPtrArray *elements; /* of JsonNode */
};

struct _JsonObject {
  GPtrArray *names;
  GPtrArray *values; /* of JsonNode, each at the place of its name */
};

struct _JsonNode {
  JsonNodeType kind;
  GType type; /* of a value */
  gint64 integer;
  double number;
  char *text;
  JsonArray *array;
  JsonObject *object;
};

/* ---- arrays and objects ---- */

static void
free_node (gpointer node)
{
  json_node_unref (node);
}

JsonArray *
json_array_new (void)
{
  JsonArray *self = g_new (JsonArray, 1);

  self->elements = g_ptr_array_new_with_free_func (free_node);
  return self;
}

void
json_array_unref (JsonArray *self)
{
  g_ptr_array_unref (self->elements);
  g_free (self);
}

void
json_array_add_element (JsonArray *self, JsonNode *node)
{
  g_ptr_array_add (self->elements, node);
}

guint
json_array_get_length (JsonArray *self)
{
  return self->elements->len;
}

JsonNode *
json_array_get_element (JsonArray *self, guint position)
{
  g_return_val_if_fail (position < self->elements->len, NULL);
  return self->elements->pdata[position];
}

JsonObject *
json_object_new (void)
{
  JsonObject *self = g_new (JsonObject, 1);

  self->names = g_ptr_array_new_with_free_func (g_free);
  self->values = g_ptr_array_new_with_free_func (free_node);
  return self;
}

void
json_object_unref (JsonObject *self)
{
  g_ptr_array_unref (self->names);
  g_ptr_array_unref (self->values);
  g_free (self);
}

gboolean
json_object_has_member (JsonObject *self, const char *name)
{
  return g_ptr_array_find_with_equal_func (self->names, name, g_str_equal, NULL);
}

/* A name comes once: who reads JSON has looked. */
void
json_object_set_member (JsonObject *self, const char *name, JsonNode *node)
{
  g_ptr_array_add (self->names, g_strdup (name));
  g_ptr_array_add (self->values, node);
}

void
json_object_iter_init (JsonObjectIter *iter, JsonObject *self)
{
  iter->priv_pointer[0] = self;
  iter->priv_int[0] = 0;
}

gboolean
json_object_iter_next (JsonObjectIter *iter, const char **name, JsonNode **node)
{
  JsonObject *self = iter->priv_pointer[0];
  guint position = (guint) iter->priv_int[0]++;

  if (position >= self->names->len)
    return FALSE;
  *name = self->names->pdata[position];
  *node = self->values->pdata[position];
  return TRUE;
}

/* ---- nodes ---- */

JsonNode *
json_node_alloc (void)
{
  return json_node_new (JSON_NODE_NULL);
}

JsonNode *
json_node_new (JsonNodeType kind)
{
  JsonNode *self = g_new0 (JsonNode, 1);

  self->kind = kind;
  self->type = G_TYPE_INVALID;
  return self;
}

void
json_node_unref (JsonNode *self)
{
  g_free (self->text);
  g_clear_pointer (&self->array, json_array_unref);
  g_clear_pointer (&self->object, json_object_unref);
  g_free (self);
}

void
json_node_set_parent (JsonNode *self, JsonNode *parent)
{
}

static JsonNode *
become (JsonNode *self, GType type)
{
  self->kind = JSON_NODE_VALUE;
  self->type = type;
  return self;
}

JsonNode *
json_node_init_int (JsonNode *self, gint64 value)
{
  self->integer = value;
  return become (self, G_TYPE_INT64);
}

JsonNode *
json_node_init_double (JsonNode *self, double value)
{
  self->number = value;
  return become (self, G_TYPE_DOUBLE);
}

JsonNode *
json_node_init_boolean (JsonNode *self, gboolean value)
{
  self->integer = value;
  return become (self, G_TYPE_BOOLEAN);
}

JsonNode *
json_node_init_string (JsonNode *self, const char *value)
{
  self->text = g_strdup (value);
  return become (self, G_TYPE_STRING);
}

void
json_node_take_array (JsonNode *self, JsonArray *array)
{
  self->array = array;
}

void
json_node_take_object (JsonNode *self, JsonObject *object)
{
  self->object = object;
}

JsonNodeType
json_node_get_node_type (JsonNode *self)
{
  return self->kind;
}

GType
json_node_get_value_type (JsonNode *self)
{
  return self->type;
}

gint64
json_node_get_int (JsonNode *self)
{
  return self->integer;
}

gboolean
json_node_get_boolean (JsonNode *self)
{
  return self->integer != 0;
}

const char *
json_node_get_string (JsonNode *self)
{
  return self->text;
}

char *
json_node_dup_string (JsonNode *self)
{
  return g_strdup (self->text);
}

JsonArray *
json_node_get_array (JsonNode *self)
{
  return self->array;
}

JsonObject *
json_node_get_object (JsonNode *self)
{
  return self->object;
}
