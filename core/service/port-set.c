/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/port-set.h"

#include <hypha-api.h>

#include <glib/gi18n-lib.h>
#include <string.h>

#include "api/hypha-text.h"
#include "api/json-text.h"

#define MAX_MEMORY (1024 * 1024) /* of a list's values: much more than its text */

/**
 * hypha_port_set_add: (skip)
 * @self: a set
 * @port: a port; 0 and what is above 65535 is passed over
 */
void
hypha_port_set_add (HyphaPortSet *self, guint port)
{
  if (port > 0 && port <= HYPHA_PORT_MAX)
    self->bits[port / 64] |= G_GUINT64_CONSTANT (1) << port % 64;
}

/**
 * hypha_port_set_has: (skip)
 * @self: a set
 * @port: any number
 *
 * Returns: %TRUE if @port is in it
 */
gboolean
hypha_port_set_has (const HyphaPortSet *self, guint port)
{
  return port <= HYPHA_PORT_MAX && (self->bits[port / 64] >> port % 64 & 1) != 0;
}

/**
 * hypha_port_set_next: (skip)
 * @self: a set
 * @port: the one before; 0 for the first
 *
 * Returns: the least port above @port; 0 if there is none
 */
guint
hypha_port_set_next (const HyphaPortSet *self, guint port)
{
  for (guint next = port + 1; next <= HYPHA_PORT_MAX; next++) {
    if (next % 64 == 0 && self->bits[next / 64] == 0)
      next += 63;
    else if (hypha_port_set_has (self, next))
      return next;
  }
  return 0;
}

/* ---- ranges ---- */

static gboolean
parse_port (const char *text, guint32 *port, GError **error)
{
  g_autofree char *why = NULL;

  if (hypha_text_parse_u32 (text, HYPHA_PORT_MAX, port, &why) && *port > 0)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("a port %s; ports are written as 8080 or 8000-8999, from 1 to 65535, with commas "
                  "between them"),
               why != NULL ? why : _ ("is 0"));
  return FALSE;
}

static gboolean
parse_range (HyphaPortSet *self, const char *text, GError **error)
{
  g_auto (GStrv) ends = g_strsplit (text, "-", 2);
  guint32 first, last;

  if (!parse_port (ends[0] != NULL ? ends[0] : "", &first, error) ||
      !parse_port (ends[0] != NULL && ends[1] != NULL ? ends[1] : text, &last, error))
    return FALSE;
  if (last < first) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("the ports %u-%u end before they begin"), first, last);
    return FALSE;
  }
  for (guint port = first; port <= last; port++)
    hypha_port_set_add (self, port);
  return TRUE;
}

/**
 * hypha_port_set_parse_ranges: (skip)
 * @self: an empty set
 * @text: as people write it: `8080,9000-9100`
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ARGUMENT
 *
 * Returns: %TRUE, or what is wrong with @text
 */
gboolean
hypha_port_set_parse_ranges (HyphaPortSet *self, const char *text, GError **error)
{
  g_auto (GStrv) ranges = g_strsplit (text, ",", -1);

  if (*ranges == NULL)
    return parse_range (self, "", error);
  for (char **range = ranges; *range != NULL; range++)
    if (!parse_range (self, *range, error))
      return FALSE;
  return TRUE;
}

/* ---- lines ---- */

/**
 * hypha_port_set_to_line: (skip)
 * @self: a set
 *
 * Returns: (transfer full): a JSON array of its first %HYPHA_PORT_LIST_MAX ports, as a line
 */
char *
hypha_port_set_to_line (const HyphaPortSet *self)
{
  g_autoptr (GString) line = g_string_new ("[");
  guint n = 0;

  for (guint port = hypha_port_set_next (self, 0); port != 0 && n < HYPHA_PORT_LIST_MAX;
       port = hypha_port_set_next (self, port), n++)
    g_string_append_printf (line, "%s%u", n > 0 ? "," : "", port);
  g_string_append (line, "]\n");
  return g_string_free (g_steal_pointer (&line), FALSE);
}

static gboolean
read_ports (HyphaPortSet *self, JsonNode *node)
{
  JsonArray *array =
      node != NULL && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL;
  const guint n = array != NULL ? json_array_get_length (array) : G_MAXUINT;

  if (n > HYPHA_PORT_LIST_MAX)
    return FALSE;
  for (guint i = 0; i < n; i++) {
    JsonNode *port = json_array_get_element (array, i);

    if (!JSON_NODE_HOLDS_VALUE (port) || json_node_get_value_type (port) != G_TYPE_INT64 ||
        json_node_get_int (port) < 1 || json_node_get_int (port) > HYPHA_PORT_MAX)
      return FALSE;
    hypha_port_set_add (self, (guint) json_node_get_int (port));
  }
  return TRUE;
}

/**
 * hypha_port_set_parse_line: (skip)
 * @self: a set
 * @line: what a peer said
 * @length: bytes of @line, without the end of the line
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL
 *
 * Takes what hypha_port_set_to_line() makes, and the same as other programs write it.
 *
 * Returns: %TRUE with what @line says; %FALSE leaves anything in @self
 */
gboolean
hypha_port_set_parse_line (HyphaPortSet *self, const char *line, gsize length, GError **error)
{
  g_autoptr (JsonNode) node = hypha_json_text_parse (line, length, MAX_MEMORY, NULL);

  memset (self, 0, sizeof *self);
  if (read_ports (self, node))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
               _ ("a list of ports is no JSON array of at most %u numbers from 1 to 65535"),
               HYPHA_PORT_LIST_MAX);
  return FALSE;
}
