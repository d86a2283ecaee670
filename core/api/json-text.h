/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One JSON message as text, read strictly and in bounded memory. Bytes in, values out. */

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* How deep arrays and objects may lie in each other. */
#define HYPHA_JSON_MAX_DEPTH 64
/* How many names an object may have. */
#define HYPHA_JSON_MAX_NAMES 4096

/* What has an escape of its own, and its letter after the backslash. */
#define HYPHA_JSON_ESCAPED "\"\\\b\f\n\r\t"
#define HYPHA_JSON_LETTERS "\"\\bfnrt"

/* TEXT need not end in a NUL. MAX_MEMORY: what the values may take, about. HYPHA_ERROR_PROTOCOL. */
JsonNode *hypha_json_text_parse (const char *text, gsize length, gsize max_memory, GError **error);
/* STRING, with its quotes. FALSE: it is no UTF-8. */
gboolean hypha_json_text_append_string (GString *text, const char *string);
/* In one line. HYPHA_ERROR_INVALID_ARGUMENT: what hypha_json_text_parse() would not take, but for
 * its size. */
char *hypha_json_text_print (JsonNode *node, gsize *length, GError **error);

G_END_DECLS
