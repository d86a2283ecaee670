/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/forward-talk.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <string.h>

#include "api/json-text.h"
#include "service/mirror.h"
#include "service/port-set.h"

/* Of the values of a line: it is short. */
#define MAX_MEMORY (512 * 1024)
/* Of an endpoint, and of a reason. Six bytes are the longest spelling of one. */
#define MAX_TEXT 1024

static gboolean
refuse (GError **error, const char *why)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
               _ ("what the peer says of a forward is wrong: %s"), why);
  return FALSE;
}

static JsonNode *
parse_object (const char *line, gsize length, GError **error)
{
  g_autoptr (GError) reason = NULL;
  g_autoptr (JsonNode) root = hypha_json_text_parse (line, length, MAX_MEMORY, &reason);

  if (root == NULL)
    refuse (error, reason->message);
  else if (!JSON_NODE_HOLDS_OBJECT (root))
    refuse (error, _ ("it is not a JSON object"));
  else
    return g_steal_pointer (&root);
  return NULL;
}

/* What is no UTF-8 becomes it. */
static void
append (GString *line, const char *before, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);

  g_string_append (line, before);
  hypha_json_text_append_string (line, valid);
}

static gboolean
holds (JsonNode *node, GType type)
{
  return node != NULL && JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == type;
}

/* ---- what is asked for ---- */

/**
 * hypha_forward_order_to_line: (skip)
 * @local: what the peer is to listen on
 * @target: the service of this node
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ARGUMENT
 *
 * Returns: (transfer full) (nullable): a line, with its end
 */
char *
hypha_forward_order_to_line (const char *local, const char *target, GError **error)
{
  g_autoptr (GString) line = g_string_new (NULL);

  append (line, "{\"local\":", local);
  append (line, ",\"target\":", target);
  g_string_append (line, "}\n");
  if (line->len <= HYPHA_FORWARD_ORDER_MAX)
    return g_string_free (g_steal_pointer (&line), FALSE);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("the endpoint is too long to be asked of a peer"));
  return NULL;
}

/**
 * hypha_forward_order_parse: (skip)
 * @self: (out): cleared before; to be cleared also where this fails
 * @line: without its end
 * @length: of @line, in bytes
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL
 *
 * Returns: %TRUE if it has both members, and no other
 */
gboolean
hypha_forward_order_parse (HyphaForwardOrder *self, const char *line, gsize length, GError **error)
{
  g_autoptr (JsonNode) root = parse_object (line, length, error);
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  if (root == NULL)
    return FALSE;
  json_object_iter_init (&iter, json_node_get_object (root));
  while (json_object_iter_next (&iter, &name, &value)) {
    char **place = g_str_equal (name, "local")    ? &self->local
                   : g_str_equal (name, "target") ? &self->target
                                                  : NULL;

    if (place == NULL || *place != NULL || !holds (value, G_TYPE_STRING))
      return refuse (error, _ ("there are 'local' and 'target', which are texts, and no others"));
    *place = json_node_dup_string (value);
  }
  return (self->local != NULL && self->target != NULL) ||
         refuse (error, _ ("'local' or 'target' is missing"));
}

/**
 * hypha_forward_order_clear: (skip)
 * @self: an order
 */
void
hypha_forward_order_clear (HyphaForwardOrder *self)
{
  g_clear_pointer (&self->local, g_free);
  g_clear_pointer (&self->target, g_free);
}

/* ---- how it is ---- */

static char *
dup_cut (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  const char *end = valid + MIN (strlen (valid), MAX_TEXT);

  /* Not in the middle of a character. */
  while (end > valid && (*end & 0xc0) == 0x80)
    end--;
  return g_strndup (valid, (gsize) (end - valid));
}

/**
 * hypha_forward_news_to_line: (skip)
 * @state: as of a forward
 * @local: where it listens, or is to
 * @reason: what is wrong; empty: nothing
 * @received: bytes from who asked
 * @sent: bytes to who asked
 * @ports: (nullable): aq: of a mirror, those that are listened on
 *
 * Returns: (transfer full): a line, with its end
 */
char *
hypha_forward_news_to_line (const char *state, const char *local, const char *reason,
                            guint64 received, guint64 sent, GVariant *ports)
{
  GString *line = g_string_new (NULL);
  g_autofree char *short_local = dup_cut (local);
  g_autofree char *short_reason = dup_cut (reason);

  append (line, "{\"state\":", state);
  append (line, ",\"local\":", short_local);
  append (line, ",\"reason\":", short_reason);
  g_string_append_printf (line, ",\"received\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"ports\":[",
                          MIN (received, G_MAXINT64), MIN (sent, G_MAXINT64));
  for (gsize i = 0; ports != NULL && i < g_variant_n_children (ports); i++) {
    guint16 port;

    g_variant_get_child (ports, i, "q", &port);
    g_string_append_printf (line, "%s%u", i > 0 ? "," : "", port);
  }
  g_string_append (line, "]}\n");
  return g_string_free (line, FALSE);
}

static gboolean
read_state (HyphaForwardNews *self, JsonNode *node, GError **error)
{
  static const char *const states[] = { "opening", "listening", "failed" };

  for (gsize i = 0; holds (node, G_TYPE_STRING) && i < G_N_ELEMENTS (states); i++)
    if (g_str_equal (json_node_get_string (node), states[i]))
      self->state = states[i];
  return self->state != NULL || refuse (error, _ ("'state' is no state of a forward"));
}

static gboolean
read_text (char **text, JsonNode *node, const char *name, GError **error)
{
  g_autofree char *why = NULL;

  if (holds (node, G_TYPE_STRING) && strlen (json_node_get_string (node)) <= MAX_TEXT) {
    *text = json_node_dup_string (node);
    return TRUE;
  }
  why = g_strdup_printf (_ ("'%s' is no text of at most %d bytes"), name, MAX_TEXT);
  return refuse (error, why);
}

static gboolean
read_count (guint64 *count, JsonNode *node, const char *name, GError **error)
{
  g_autofree char *why = NULL;

  if (holds (node, G_TYPE_INT64) && json_node_get_int (node) >= 0) {
    *count = (guint64) json_node_get_int (node);
    return TRUE;
  }
  why = g_strdup_printf (_ ("'%s' is no count"), name);
  return refuse (error, why);
}

static gboolean
read_ports (HyphaForwardNews *self, JsonNode *node, GError **error)
{
  JsonArray *array = JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  guint n = array != NULL ? json_array_get_length (array) : 0;
  GVariantBuilder builder;

  if (array == NULL || n > HYPHA_MIRROR_MAX_PORTS)
    return refuse (error, _ ("'ports' is no list of ports"));
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aq"));
  for (guint i = 0; i < n; i++) {
    JsonNode *port = json_array_get_element (array, i);

    if (!holds (port, G_TYPE_INT64) || json_node_get_int (port) < 1 ||
        json_node_get_int (port) > HYPHA_PORT_MAX) {
      g_variant_builder_clear (&builder);
      return refuse (error, _ ("'ports' is no list of ports"));
    }
    g_variant_builder_add (&builder, "q", (guint16) json_node_get_int (port));
  }
  self->ports = g_variant_ref_sink (g_variant_builder_end (&builder));
  return TRUE;
}

static gboolean
read_member (HyphaForwardNews *self, const char *name, JsonNode *node, GError **error)
{
  if (g_str_equal (name, "state"))
    return read_state (self, node, error);
  if (g_str_equal (name, "local"))
    return read_text (&self->local, node, name, error);
  if (g_str_equal (name, "reason"))
    return read_text (&self->reason, node, name, error);
  if (g_str_equal (name, "received"))
    return read_count (&self->received, node, name, error);
  if (g_str_equal (name, "sent"))
    return read_count (&self->sent, node, name, error);
  return !g_str_equal (name, "ports") || read_ports (self, node, error);
}

/**
 * hypha_forward_news_parse: (skip)
 * @self: (out): cleared before; to be cleared also where this fails
 * @line: without its end
 * @length: of @line, in bytes
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL
 *
 * Returns: %TRUE if it tells how a forward is
 */
gboolean
hypha_forward_news_parse (HyphaForwardNews *self, const char *line, gsize length, GError **error)
{
  g_autoptr (JsonNode) root = parse_object (line, length, error);
  JsonObjectIter iter;
  const char *name;
  JsonNode *value;

  if (root == NULL)
    return FALSE;
  /* A name comes once. */
  json_object_iter_init (&iter, json_node_get_object (root));
  while (json_object_iter_next (&iter, &name, &value))
    if (!read_member (self, name, value, error))
      return FALSE;
  return (self->state != NULL && self->local != NULL && self->reason != NULL) ||
         refuse (error, _ ("'state', 'local' or 'reason' is missing"));
}

/**
 * hypha_forward_news_clear: (skip)
 * @self: news
 */
void
hypha_forward_news_clear (HyphaForwardNews *self)
{
  self->state = NULL;
  g_clear_pointer (&self->local, g_free);
  g_clear_pointer (&self->reason, g_free);
  g_clear_pointer (&self->ports, g_variant_unref);
}
