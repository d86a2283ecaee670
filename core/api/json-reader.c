/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-text.h"

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "hypha-error.h"
#include "hypha-text.h"

/* What json-glib 1.6 takes for these, a little more rather than less; a test measures it. */
#define VALUE_BYTES 112
#define STRING_BYTES 32
#define ARRAY_BYTES 160
#define OBJECT_BYTES 480
#define MEMBER_BYTES 176

/* How many names of an object may have one and the same hash: somebody who looks for such names
 * makes GHashTable compare each with all others. Without looking for them, there are two or three.
 */
#define MAX_ALIKE 32

/* A text that is being read. */
typedef struct {
  const char *start;
  const char *at;
  const char *end;
  guint depth;
  gsize memory; /* what the rest may take */
  gsize max_memory;
  GError **error;
} Reader;

static JsonNode *read_value (Reader *reader);

static gpointer
fail (Reader *reader, const char *what)
{
  g_set_error (reader->error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
               _ ("the message that came is not taken for JSON: after %" PRIu64 " of its %" PRIu64
                  " bytes, %s"),
               (guint64) (reader->at - reader->start), (guint64) (reader->end - reader->start),
               what);
  return NULL;
}

/* FALSE: the values take more than they may. */
static gboolean
charge (Reader *reader, gsize bytes)
{
  g_autofree char *what = NULL;

  if (bytes <= reader->memory) {
    reader->memory -= bytes;
    return TRUE;
  }
  what = g_strdup_printf (
      _ ("its values take more memory than the %" PRIu64 " bytes that max-size allows them"),
      (guint64) reader->max_memory);
  fail (reader, what);
  return FALSE;
}

/* There is no NUL in the text: strchr() never finds its own end here. */
static void
skip_blanks (Reader *reader)
{
  while (reader->at < reader->end && strchr (" \t\r\n", *reader->at) != NULL)
    reader->at++;
}

static gboolean
take (Reader *reader, char c)
{
  if (reader->at == reader->end || *reader->at != c)
    return FALSE;
  reader->at++;
  return TRUE;
}

/* Four hexadecimal digits, or -1. */
static int
read_hex (Reader *reader)
{
  int value = 0;

  if (reader->end - reader->at < 4)
    return -1;
  for (guint i = 0; i < 4; i++) {
    if (!g_ascii_isxdigit (reader->at[i]))
      return -1;
    value = value << 4 | g_ascii_xdigit_value (reader->at[i]);
  }
  reader->at += 4;
  return value;
}

/* What follows a backslash and a u. Zero: there is an error. */
static gunichar
read_code (Reader *reader)
{
  int high = read_hex (reader);
  int low;

  if (high < 0) {
    fail (reader, _ ("\\u is not followed by four hexadecimal digits"));
    return 0;
  }
  if (high == 0) {
    /* A string in C would end there, and so be another one than its sender's. */
    fail (reader, _ ("there is a NUL character in a string"));
    return 0;
  }
  if (high < 0xd800 || high > 0xdfff)
    return (gunichar) high;
  low = high < 0xdc00 && take (reader, '\\') && take (reader, 'u') ? read_hex (reader) : -1;
  if (low < 0xdc00 || low > 0xdfff) {
    fail (reader, _ ("half of a surrogate pair stands alone"));
    return 0;
  }
  return 0x10000 + ((gunichar) (high - 0xd800) << 10) + (gunichar) (low - 0xdc00);
}

/* What follows a backslash, appended to OUT; NULL: there is an error. */
static char *
read_escape (Reader *reader, char *out)
{
  static const char letters[] = HYPHA_JSON_LETTERS, meanings[] = HYPHA_JSON_ESCAPED;
  const char *name = strchr (letters, *reader->at);
  gunichar code;

  if (*reader->at == '/') {
    *out++ = *reader->at++;
    return out;
  }
  if (name != NULL) {
    reader->at++;
    *out++ = meanings[name - letters];
    return out;
  }
  if (!take (reader, 'u'))
    return fail (reader, _ ("a backslash is followed by what has no meaning"));
  code = read_code (reader);
  return code != 0 ? out + g_unichar_to_utf8 (code, out) : NULL;
}

/* No text is longer than its spelling. */
static char *
read_string (Reader *reader)
{
  g_autofree char *text = NULL;
  const char *to;
  char *out;

  if (!take (reader, '"'))
    return fail (reader, _ ("a string is missing"));
  for (to = reader->at; to < reader->end && *to != '"'; to++)
    if (*to == '\\')
      to++;
  if (to >= reader->end)
    return fail (reader, _ ("a string begins that has no end"));
  if (!charge (reader, STRING_BYTES + (gsize) (to - reader->at)))
    return NULL;
  text = out = g_malloc ((gsize) (to - reader->at) + 1);
  while (out != NULL && reader->at < to) {
    if ((guchar) *reader->at < ' ')
      return fail (reader, _ ("there is a control character in a string"));
    if (take (reader, '\\'))
      out = read_escape (reader, out);
    else
      *out++ = *reader->at++;
  }
  if (out == NULL)
    return NULL;
  *out = '\0';
  reader->at = to + 1;
  return g_steal_pointer (&text);
}

static gboolean
skip_digits (Reader *reader)
{
  const char *from = reader->at;

  while (reader->at < reader->end && g_ascii_isdigit (*reader->at))
    reader->at++;
  return reader->at > from;
}

static JsonNode *
read_number (Reader *reader)
{
  const char *from = reader->at;
  g_autofree char *text = NULL;
  gboolean whole = TRUE;
  gint64 integer;
  double number;

  take (reader, '-');
  if (!take (reader, '0') && !skip_digits (reader))
    return fail (reader, _ ("a value is missing"));
  if (take (reader, '.')) {
    whole = FALSE;
    if (!skip_digits (reader))
      return fail (reader, _ ("a number has no digits after its point"));
  }
  if (take (reader, 'e') || take (reader, 'E')) {
    whole = FALSE;
    if (!take (reader, '+'))
      take (reader, '-');
    if (!skip_digits (reader))
      return fail (reader, _ ("a number has no digits in its exponent"));
  }
  text = g_strndup (from, (gsize) (reader->at - from));
  if (whole) {
    errno = 0;
    integer = g_ascii_strtoll (text, NULL, 10);
    return errno == 0 ? json_node_init_int (json_node_alloc (), integer)
                      : fail (reader, _ ("a number does not fit into 64 bits"));
  }
  number = g_ascii_strtod (text, NULL);
  return isfinite (number) ? json_node_init_double (json_node_alloc (), number)
                           : fail (reader, _ ("a number is too large"));
}

static JsonNode *
read_array (Reader *reader)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *array = json_array_new ();

  json_node_take_array (node, array);
  skip_blanks (reader);
  if (take (reader, ']'))
    return g_steal_pointer (&node);
  do {
    JsonNode *element = read_value (reader);

    if (element == NULL)
      return NULL;
    json_node_set_parent (element, node);
    json_array_add_element (array, element);
  } while (take (reader, ','));
  return take (reader, ']') ? g_steal_pointer (&node)
                            : fail (reader, _ ("an array goes on without a comma"));
}

/* Whether OBJECT, whose names have HASHES, may have one more. */
static gboolean
check_name (Reader *reader, JsonObject *object, const char *name, GArray *hashes)
{
  guint hash = g_str_hash (name), alike = 0;
  g_autofree char *what = NULL;

  for (guint i = 0; i < hashes->len; i++)
    alike += g_array_index (hashes, guint, i) == hash;
  g_array_append_val (hashes, hash);
  if (alike > 0 && alike < MAX_ALIKE && json_object_has_member (object, name)) {
    g_autofree char *quoted = hypha_text_quote (name);

    what = g_strdup_printf (_ ("%s is in an object for the second time"), quoted);
  } else if (hashes->len > HYPHA_JSON_MAX_NAMES) {
    what = g_strdup_printf (_ ("an object has more than %d names"), HYPHA_JSON_MAX_NAMES);
  } else if (alike >= MAX_ALIKE) {
    what = g_strdup (_ ("an object has names that are chosen to take long to tell apart"));
  }
  if (what != NULL)
    fail (reader, what);
  return what == NULL;
}

static gboolean
read_member (Reader *reader, JsonNode *node, JsonObject *object, GArray *hashes)
{
  g_autofree char *name = NULL;
  JsonNode *value;

  skip_blanks (reader);
  name = charge (reader, MEMBER_BYTES) ? read_string (reader) : NULL;
  if (name == NULL || !check_name (reader, object, name, hashes))
    return FALSE;
  skip_blanks (reader);
  if (!take (reader, ':')) {
    fail (reader, _ ("a name in an object is not followed by a colon"));
    return FALSE;
  }
  value = read_value (reader);
  if (value == NULL)
    return FALSE;
  json_node_set_parent (value, node);
  json_object_set_member (object, name, value);
  return TRUE;
}

static JsonNode *
read_object (Reader *reader)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  g_autoptr (GArray) hashes = g_array_new (FALSE, FALSE, sizeof (guint));
  JsonObject *object = json_object_new ();

  json_node_take_object (node, object);
  skip_blanks (reader);
  if (take (reader, '}'))
    return g_steal_pointer (&node);
  do {
    if (!read_member (reader, node, object, hashes))
      return NULL;
  } while (take (reader, ','));
  return take (reader, '}') ? g_steal_pointer (&node)
                            : fail (reader, _ ("an object goes on without a comma"));
}

static JsonNode *
read_container (Reader *reader, gboolean is_array)
{
  JsonNode *node;

  if (reader->depth == HYPHA_JSON_MAX_DEPTH) {
    g_autofree char *what = g_strdup_printf (
        _ ("arrays and objects lie deeper in each other than %d times"), HYPHA_JSON_MAX_DEPTH);

    return fail (reader, what);
  }
  if (!charge (reader, is_array ? ARRAY_BYTES : OBJECT_BYTES))
    return NULL;
  reader->at++;
  reader->depth++;
  node = is_array ? read_array (reader) : read_object (reader);
  reader->depth--;
  return node;
}

static gboolean
take_word (Reader *reader, const char *word)
{
  gsize length = strlen (word);

  if ((gsize) (reader->end - reader->at) < length || memcmp (reader->at, word, length) != 0)
    return FALSE;
  reader->at += length;
  return TRUE;
}

/* And the blanks around it. */
static JsonNode *
read_value (Reader *reader)
{
  g_autoptr (JsonNode) node = NULL;

  skip_blanks (reader);
  if (!charge (reader, VALUE_BYTES))
    return NULL;
  if (reader->at < reader->end && (*reader->at == '[' || *reader->at == '{')) {
    node = read_container (reader, *reader->at == '[');
  } else if (reader->at < reader->end && *reader->at == '"') {
    g_autofree char *text = read_string (reader);

    node = text != NULL ? json_node_init_string (json_node_alloc (), text) : NULL;
  } else if (take_word (reader, "true")) {
    node = json_node_init_boolean (json_node_alloc (), TRUE);
  } else if (take_word (reader, "false")) {
    node = json_node_init_boolean (json_node_alloc (), FALSE);
  } else if (take_word (reader, "null")) {
    node = json_node_new (JSON_NODE_NULL);
  } else {
    node = read_number (reader);
  }
  if (node != NULL)
    skip_blanks (reader);
  return g_steal_pointer (&node);
}

/**
 * hypha_json_text_parse:
 * @text: what came; need not end in a NUL
 * @length: its bytes
 * @max_memory: how many bytes its values may take, about
 * @error: return location for an error: %HYPHA_ERROR_PROTOCOL
 *
 * Reads one message as RFC 8259 has it, and no other spelling. Refused besides: what json-glib has
 * no place for (a NUL character, half a surrogate pair, a number that is too large), a name that an
 * object has twice, what lies deeper than %HYPHA_JSON_MAX_DEPTH, and an object with more names than
 * %HYPHA_JSON_MAX_NAMES.
 *
 * Returns: (transfer full): the message, or %NULL
 */
JsonNode *
hypha_json_text_parse (const char *text, gsize length, gsize max_memory, GError **error)
{
  Reader reader = {
    .start = text,
    .at = text,
    .end = text + length,
    .memory = max_memory,
    .max_memory = max_memory,
    .error = error,
  };
  g_autoptr (JsonNode) node = NULL;
  const char *valid;

  if (!g_utf8_validate_len (text, length, &valid)) {
    reader.at = valid;
    return fail (&reader, *valid == '\0' ? _ ("there is a NUL byte") : _ ("there is no UTF-8"));
  }
  node = read_value (&reader);
  if (node != NULL && reader.at != reader.end)
    return fail (&reader, _ ("something follows its value"));
  return g_steal_pointer (&node);
}
