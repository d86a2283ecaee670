/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-endpoint.h"

#include <glib/gi18n-lib.h>
#include <arpa/inet.h>
#include <string.h>

#include "hypha-error.h"
#include "hypha-node-id.h"
#include "hypha-text.h"

#define MAX_LENGTH 4096
#define MAX_IDLE 86400

/* Checks the value of an option; gives the reason, as the end of a sentence, or NULL if it is good.
 */
typedef char *(*CheckValue) (const char *value);

static char *check_cost (const char *value);
static char *check_id (const char *value);
static char *check_idle (const char *value);
static char *check_mode (const char *value);
static char *check_tls (const char *value);

/* In the order in which they print. */
static const struct {
  const char *name;
  CheckValue check;
} known_options[] = {
  { "cost", check_cost }, { "id", check_id },   { "idle", check_idle },
  { "mode", check_mode }, { "tls", check_tls },
};

struct _HyphaEndpoint {
  gatomicrefcount ref_count;
  char *scheme;
  char *rest;
  char *options[G_N_ELEMENTS (known_options)];
  char *text; /* the printed form: equality and hash go by it */
};

/**
 * hypha_endpoint_get_type:
 *
 * The boxed type of [struct@Hypha.Endpoint].
 *
 * Returns: the type
 */
G_DEFINE_BOXED_TYPE (HyphaEndpoint, hypha_endpoint, hypha_endpoint_ref, hypha_endpoint_unref)

/* Options */

static char *
check_cost (const char *value)
{
  guint32 cost;
  char *why = NULL;

  return hypha_text_parse_u32 (value, G_MAXUINT32, &cost, &why) ? NULL : why;
}

static char *
check_id (const char *value)
{
  g_autoptr (GError) error = NULL;
  HyphaNodeId id;

  return hypha_node_id_parse (value, &id, &error) ? NULL : g_strdup (error->message);
}

/* Seconds; a day is more than any flow needs that still says something. */
static char *
check_idle (const char *value)
{
  guint32 seconds;
  char *why = NULL;

  if (!hypha_text_parse_u32 (value, MAX_IDLE, &seconds, &why))
    return why;
  return seconds > 0 ? NULL : g_strdup_printf (_ ("it is 1 to %d seconds"), MAX_IDLE);
}

static char *
check_mode (const char *value)
{
  g_autofree char *quoted = NULL;

  if (strlen (value) == 3 && strspn (value, "01234567") == 3)
    return NULL;
  quoted = hypha_text_quote (value);
  return g_strdup_printf (_ ("%s is not three octal digits, such as 660"), quoted);
}

static char *
check_tls (const char *value)
{
  g_autofree char *quoted = NULL;

  if (g_str_equal (value, "always") || g_str_equal (value, "never"))
    return NULL;
  quoted = hypha_text_quote (value);
  return g_strdup_printf (_ ("%s is neither 'always' nor 'never'"), quoted);
}

/* Returns the index of the option, or -1 with WHY if nobody knows it. */
static gint
find_option (const char *name, char **why)
{
  g_autofree char *quoted = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (known_options); i++)
    if (g_str_equal (known_options[i].name, name))
      return (gint) i;

  quoted = hypha_text_quote (name);
  *why = g_strdup_printf (_ ("there is no option %s; the options are cost, id, idle, mode and tls"),
                          quoted);
  return -1;
}

static gboolean
check_option (gint index, const char *value, char **why)
{
  g_autofree char *reason = known_options[index].check (value);

  if (reason == NULL)
    return TRUE;
  *why = g_strdup_printf (_ ("option '%s': %s"), known_options[index].name, reason);
  return FALSE;
}

/* Printing */

/* Beside what splits an endpoint: whatever could play tricks with a terminal or a log. */
static gboolean
must_be_encoded (gunichar c)
{
  if (c == '%' || c == '?' || c == '#' || c == ' ')
    return TRUE;
  switch (g_unichar_type (c)) {
  case G_UNICODE_CONTROL:
  case G_UNICODE_FORMAT:
  case G_UNICODE_LINE_SEPARATOR:
  case G_UNICODE_PARAGRAPH_SEPARATOR:
    return TRUE;
  default:
    return FALSE;
  }
}

static void
append_encoded (GString *text, const char *start, const char *end)
{
  for (const char *byte = start; byte < end; byte++)
    g_string_append_printf (text, "%%%02X", (guchar) *byte);
}

static char *
print (const char *scheme, const char *rest, char *const *options)
{
  GString *text = g_string_new (scheme);
  char separator = '?';

  g_string_append_c (text, ':');
  for (const char *p = rest; *p != '\0'; p = g_utf8_next_char (p)) {
    const char *end = g_utf8_next_char (p);

    if (!must_be_encoded (g_utf8_get_char (p)))
      g_string_append_len (text, p, end - p);
    else
      append_encoded (text, p, end);
  }
  for (guint i = 0; i < G_N_ELEMENTS (known_options); i++) {
    if (options[i] == NULL)
      continue;
    g_string_append_printf (text, "%c%s=%s", separator, known_options[i].name, options[i]);
    separator = '&';
  }
  return g_string_free (text, FALSE);
}

/* REST is UTF-8; it and the values of OPTIONS are copied. */
static HyphaEndpoint *
endpoint_new (const char *scheme, const char *rest, char *const *options)
{
  HyphaEndpoint *self = g_new0 (HyphaEndpoint, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->scheme = g_strdup (scheme);
  self->rest = g_strdup (rest);
  for (guint i = 0; i < G_N_ELEMENTS (known_options); i++)
    self->options[i] = g_strdup (options[i]);
  self->text = print (self->scheme, self->rest, self->options);
  return self;
}

/* Parsing. Each part gives NULL or FALSE, and WHY as the end of a sentence about the whole. */

/* What ends with the first colon; or, as ssh's proxies for virtual machines write it, with a slash
 * that comes before. */
static char *
parse_scheme (const char *uri, char **why)
{
  gsize length = *uri == '/' ? strcspn (uri, ":") : strcspn (uri, ":/");
  g_autofree char *quoted = NULL;
  gunichar stray;

  if (uri[length] == '\0') {
    *why = g_strdup (_ ("the scheme is missing; write SCHEME:ADDRESS"));
    return NULL;
  }
  if (length == 0) {
    *why = g_strdup (_ ("the scheme before ':' is empty"));
    return NULL;
  }
  for (const char *p = uri; p < uri + length; p++) {
    if (g_ascii_isalpha (*p) || (p > uri && (g_ascii_isdigit (*p) || strchr ("+-.", *p) != NULL)))
      continue;
    stray = g_utf8_get_char (p);
    if (p == uri && g_ascii_isdigit (*p)) {
      *why = g_strdup (_ ("the scheme begins with a digit; write SCHEME:ADDRESS"));
    } else {
      char character[7] = { 0 };

      g_unichar_to_utf8 (stray, character);
      quoted = hypha_text_quote (character);
      *why = g_strdup_printf (_ ("stray character %s in the scheme"), quoted);
    }
    return NULL;
  }
  return g_strndup (uri, length);
}

/* Decodes one %XX at P into BYTE. */
static gboolean
decode_escape (const char *p, char *byte, char **why)
{
  int high = g_ascii_xdigit_value (p[1]);
  int low = high < 0 ? -1 : g_ascii_xdigit_value (p[2]);

  if (low < 0) {
    /* xgettext:no-c-format */
    *why = g_strdup (_ ("'%' in the address is not followed by two hexadecimal digits"));
    return FALSE;
  }
  if (high == 0 && low == 0) {
    *why = g_strdup (_ ("the address contains %00"));
    return FALSE;
  }
  *byte = (char) (high << 4 | low);
  return TRUE;
}

static char *
parse_rest (const char *encoded, char **why)
{
  g_autoptr (GString) rest = g_string_new (NULL);

  for (const char *p = encoded; *p != '\0';) {
    const char *end = g_utf8_next_char (p);
    char byte;

    if (*p == '%') {
      if (!decode_escape (p, &byte, why))
        return NULL;
      g_string_append_c (rest, byte);
      p += 3;
      continue;
    }
    if (must_be_encoded (g_utf8_get_char (p))) {
      g_autofree char *character = g_strndup (p, (gsize) (end - p));
      g_autofree char *quoted = hypha_text_quote (character);
      g_autoptr (GString) encoding = g_string_new (NULL);

      append_encoded (encoding, p, end);
      *why = g_strdup_printf (_ ("stray character %s in the address; write it as %s"), quoted,
                              encoding->str);
      return NULL;
    }
    g_string_append_len (rest, p, end - p);
    p = end;
  }
  if (rest->len == 0) {
    *why = g_strdup (_ ("the address after the scheme is empty"));
    return NULL;
  }
  if (!g_utf8_validate (rest->str, (gssize) rest->len, NULL)) {
    *why = g_strdup (_ ("the address is not UTF-8 once its %XX are decoded"));
    return NULL;
  }
  return g_strdup (rest->str);
}

static gboolean
parse_options (const char *text, char **options, char **why)
{
  g_auto (GStrv) parts = g_strsplit (text, "&", -1);

  if (*text == '\0') {
    *why = g_strdup (_ ("the options after '?' are empty"));
    return FALSE;
  }
  for (char **part = parts; *part != NULL; part++) {
    char *value = strchr (*part, '=');
    gint index;

    if (**part == '\0') {
      *why = g_strdup (_ ("there is an empty option beside '&'"));
      return FALSE;
    }
    if (value != NULL)
      *value++ = '\0';
    index = find_option (*part, why);
    if (index < 0)
      return FALSE;
    if (value == NULL) {
      *why = g_strdup_printf (_ ("option '%s' has no value; write %s=VALUE"), *part, *part);
      return FALSE;
    }
    if (options[index] != NULL) {
      *why = g_strdup_printf (_ ("option '%s' is given twice"), *part);
      return FALSE;
    }
    if (!check_option (index, value, why))
      return FALSE;
    options[index] = g_strdup (value);
  }
  return TRUE;
}

static HyphaEndpoint *
parse (const char *uri, char **why)
{
  const char *address, *question;
  char *options[G_N_ELEMENTS (known_options) + 1] = { NULL };
  g_autofree char *scheme = NULL;
  g_autofree char *encoded = NULL;
  g_autofree char *rest = NULL;
  HyphaEndpoint *endpoint = NULL;

  if (*uri == '\0') {
    *why = g_strdup (_ ("it is empty; write SCHEME:ADDRESS"));
    return NULL;
  }
  if (strlen (uri) > MAX_LENGTH) {
    *why = g_strdup_printf (_ ("it is longer than %d bytes"), MAX_LENGTH);
    return NULL;
  }
  if (!g_utf8_validate (uri, -1, NULL)) {
    *why = g_strdup (_ ("it is not UTF-8"));
    return NULL;
  }
  scheme = parse_scheme (uri, why);
  if (scheme == NULL)
    return NULL;
  address = uri + strlen (scheme);
  if (*address == ':')
    address++;
  question = strchrnul (address, '?');
  encoded = g_strndup (address, (gsize) (question - address));
  rest = parse_rest (encoded, why);
  if (rest == NULL)
    return NULL;
  if (*question == '\0' || parse_options (question + 1, options, why))
    endpoint = endpoint_new (scheme, rest, options);
  for (guint i = 0; i < G_N_ELEMENTS (known_options); i++)
    g_free (options[i]);
  return endpoint;
}

static void
set_error (GError **error, const char *uri, const char *why)
{
  g_autofree char *quoted = hypha_text_quote (uri);

  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT, _ ("%s is not an endpoint: %s"),
               quoted, why);
}

/**
 * hypha_endpoint_parse:
 * @uri: `SCHEME:REST[?OPTION=VALUE&...]`, UTF-8, at most 4096 bytes
 * @error: return location for an error
 *
 * Splits @uri into scheme, rest and options. What the rest means is known to the transport alone:
 * [method@Hypha.Transport.parse] judges it and gives the canonical form.
 *
 * In the rest, `%`, `#`, space and control characters must be written `%XX`. The options are `id`
 * (a node id), `cost` (an unsigned 32-bit number), `mode` (of the socket file that a transport
 * makes to listen on, in three octal digits) and `tls` (`always` or `never`).
 *
 * Parsing the printed form gives an equal endpoint. The error is `HYPHA_ERROR_INVALID_ENDPOINT`,
 * and names the part that is wrong.
 *
 * Returns: (transfer full): the endpoint, or %NULL with @error set
 */
HyphaEndpoint *
hypha_endpoint_parse (const char *uri, GError **error)
{
  g_autofree char *why = NULL;
  HyphaEndpoint *endpoint;

  g_return_val_if_fail (uri != NULL, NULL);

  endpoint = parse (uri, &why);
  if (endpoint == NULL)
    set_error (error, uri, why);
  return endpoint;
}

/**
 * hypha_endpoint_new:
 * @scheme: the scheme
 * @rest: what follows the scheme's colon, decoded
 * @options_of: (nullable): the endpoint whose options the new one gets
 *
 * Makes an endpoint of its parts: for transports, which print in the canonical form what they
 * parsed, and which name the addresses that the kernel tells. It never fails; what of @rest is not
 * UTF-8 (the path of somebody's Unix socket may be anything) is replaced by U+FFFD, and is then
 * good for showing only.
 *
 * Returns: (transfer full): the endpoint
 */
HyphaEndpoint *
hypha_endpoint_new (const char *scheme, const char *rest, HyphaEndpoint *options_of)
{
  static char *const no_options[G_N_ELEMENTS (known_options)] = { NULL };
  g_autofree char *valid = NULL;

  g_return_val_if_fail (scheme != NULL, NULL);
  g_return_val_if_fail (rest != NULL, NULL);

  valid = g_utf8_make_valid (rest, -1);
  return endpoint_new (scheme, valid, options_of != NULL ? options_of->options : no_options);
}

/**
 * hypha_endpoint_ref:
 * @self: an endpoint
 *
 * Takes a reference; any thread may.
 *
 * Returns: (transfer full): @self
 */
HyphaEndpoint *
hypha_endpoint_ref (HyphaEndpoint *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

/**
 * hypha_endpoint_unref:
 * @self: (transfer full): an endpoint
 *
 * Gives a reference back; any thread may.
 */
void
hypha_endpoint_unref (HyphaEndpoint *self)
{
  g_return_if_fail (self != NULL);

  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (known_options); i++)
    g_free (self->options[i]);
  g_free (self->scheme);
  g_free (self->rest);
  g_free (self->text);
  g_free (self);
}

/**
 * hypha_endpoint_get_scheme:
 * @self: an endpoint
 *
 * Gives what stands before the first colon, in the case in which it was written.
 *
 * Returns: the scheme
 */
const char *
hypha_endpoint_get_scheme (HyphaEndpoint *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->scheme;
}

/**
 * hypha_endpoint_get_rest:
 * @self: an endpoint
 *
 * Gives what stands between the first colon and the options, decoded: `//[::1]:80` of
 * `tcp://[::1]:80`.
 *
 * Returns: the rest; UTF-8, possibly with control characters
 */
const char *
hypha_endpoint_get_rest (HyphaEndpoint *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->rest;
}

/**
 * hypha_endpoint_get_option:
 * @self: an endpoint
 * @name: the name of an option
 *
 * Gives the value of an option; it has been checked.
 *
 * Returns: (nullable): the value, or %NULL if the option is not given
 */
const char *
hypha_endpoint_get_option (HyphaEndpoint *self, const char *name)
{
  g_return_val_if_fail (self != NULL, NULL);
  g_return_val_if_fail (name != NULL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (known_options); i++)
    if (g_str_equal (known_options[i].name, name))
      return self->options[i];
  return NULL;
}

/**
 * hypha_endpoint_with_option:
 * @self: an endpoint
 * @name: the name of an option
 * @value: (nullable): its new value; %NULL takes the option away
 * @error: return location for an error
 *
 * Makes a copy of @self with one option changed. The error is `HYPHA_ERROR_INVALID_ENDPOINT`: no
 * such option, a value that it does not take, or a form longer than 4096 bytes.
 *
 * Returns: (transfer full): the copy, or %NULL with @error set
 */
HyphaEndpoint *
hypha_endpoint_with_option (HyphaEndpoint *self, const char *name, const char *value,
                            GError **error)
{
  char *options[G_N_ELEMENTS (known_options)];
  g_autofree char *why = NULL;
  g_autofree char *copy = NULL;
  g_autoptr (HyphaEndpoint) changed = NULL;
  gint index;

  g_return_val_if_fail (self != NULL, NULL);
  g_return_val_if_fail (name != NULL, NULL);

  index = find_option (name, &why);
  if (index < 0 || (value != NULL && !check_option (index, value, &why))) {
    set_error (error, self->text, why);
    return NULL;
  }
  memcpy (options, self->options, sizeof options);
  options[index] = copy = g_strdup (value);
  changed = endpoint_new (self->scheme, self->rest, options);
  if (strlen (changed->text) > MAX_LENGTH) {
    why = g_strdup_printf (_ ("with option '%s' it is longer than %d bytes"), name, MAX_LENGTH);
    set_error (error, self->text, why);
    return NULL;
  }
  return g_steal_pointer (&changed);
}

/**
 * hypha_endpoint_without_options:
 * @self: an endpoint
 *
 * Gives the bare address of @self.
 *
 * Returns: (transfer full): the endpoint without options; @self itself if it has none
 */
HyphaEndpoint *
hypha_endpoint_without_options (HyphaEndpoint *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (known_options); i++)
    if (self->options[i] != NULL)
      return hypha_endpoint_new (self->scheme, self->rest, NULL);
  return hypha_endpoint_ref (self);
}

/**
 * hypha_endpoint_to_string:
 * @self: an endpoint
 *
 * Prints @self so that [func@Hypha.Endpoint.parse] gives an equal endpoint: options sorted, `%`,
 * `?`, `#`, space and control characters of the rest as `%XX`. It is safe to show.
 *
 * Returns: the printed form, owned by @self
 */
const char *
hypha_endpoint_to_string (HyphaEndpoint *self)
{
  g_return_val_if_fail (self != NULL, NULL);

  return self->text;
}

/**
 * hypha_endpoint_equal:
 * @a: (type Hypha.Endpoint): an endpoint
 * @b: (type Hypha.Endpoint): another
 *
 * Compares scheme, rest and options. Two spellings of one address are equal only once a transport
 * has made them canonical. Fits g_hash_table_new().
 *
 * Returns: whether both are the same
 */
gboolean
hypha_endpoint_equal (gconstpointer a, gconstpointer b)
{
  g_return_val_if_fail (a != NULL && b != NULL, FALSE);

  return g_str_equal (((const HyphaEndpoint *) a)->text, ((const HyphaEndpoint *) b)->text);
}

/**
 * hypha_endpoint_hash:
 * @endpoint: (type Hypha.Endpoint): an endpoint
 *
 * Fits g_hash_table_new().
 *
 * Returns: a hash of @endpoint
 */
guint
hypha_endpoint_hash (gconstpointer endpoint)
{
  g_return_val_if_fail (endpoint != NULL, 0);

  return g_str_hash (((const HyphaEndpoint *) endpoint)->text);
}

/* Host and port */

static gboolean
is_ipv6 (const char *host)
{
  g_autofree char *address = g_strdup (host);
  char *zone = strchr (address, '%');
  struct in6_addr parsed;

  if (zone != NULL) {
    *zone++ = '\0';
    if (*zone == '\0' || strpbrk (zone, "%/[]:@ ") != NULL)
      return FALSE;
  }
  return inet_pton (AF_INET6, address, &parsed) == 1;
}

/* "[HOST]" at TEXT: gives HOST and where the text goes on. */
static char *
split_bracketed (const char *text, const char **end, char **why)
{
  const char *bracket = strchr (text, ']');
  g_autofree char *host = NULL;
  g_autofree char *quoted = NULL;

  if (bracket == NULL) {
    *why = g_strdup (_ ("the host has '[' without ']'"));
    return NULL;
  }
  host = g_strndup (text + 1, (gsize) (bracket - text - 1));
  if (*host == '\0') {
    *why = g_strdup (_ ("the host is empty"));
    return NULL;
  }
  if (!is_ipv6 (host)) {
    quoted = hypha_text_quote (host);
    *why = g_strdup_printf (_ ("the host %s in brackets is not an IPv6 address"), quoted);
    return NULL;
  }
  *end = bracket + 1;
  return g_steal_pointer (&host);
}

static char *
split_bare (const char *text, const char **end, char **why)
{
  gsize length = strcspn (text, ":");
  g_autofree char *host = g_strndup (text, length);
  g_autofree char *quoted = hypha_text_quote (host);

  if (text[length] == ':' && strchr (text + length + 1, ':') != NULL) {
    *why = g_strdup (_ ("the host has more than one ':'; write an IPv6 address in brackets"));
    return NULL;
  }
  if (length == 0) {
    *why = g_strdup (_ ("the host is empty"));
    return NULL;
  }
  for (const char *p = host; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (c == '/' || c == '@' || c == '[' || c == ']' || c == '%' || g_unichar_isspace (c) ||
        g_unichar_iscntrl (c)) {
      *why = g_strdup_printf (_ ("stray character in the host %s"), quoted);
      return NULL;
    }
  }
  *end = text + length;
  return g_steal_pointer (&host);
}

static char *
split_host_port (const char *rest, guint32 max_port, guint32 *port, char **why)
{
  g_autofree char *host = NULL;
  g_autofree char *reason = NULL;
  const char *end = NULL;

  if (!g_str_has_prefix (rest, "//")) {
    *why = g_strdup (_ ("after the scheme's ':' there must be //HOST:PORT"));
    return NULL;
  }
  rest += 2;
  host = *rest == '[' ? split_bracketed (rest, &end, why) : split_bare (rest, &end, why);
  if (host == NULL)
    return NULL;
  if (*end == '\0') {
    *why = g_strdup (_ ("the port is missing; write //HOST:PORT"));
    return NULL;
  }
  if (*end != ':') {
    *why = g_strdup (_ ("stray character between the host and the port"));
    return NULL;
  }
  if (g_str_equal (end + 1, "any")) {
    *port = 0;
  } else if (!hypha_text_parse_u32 (end + 1, max_port, port, &reason)) {
    *why = g_strdup_printf (_ ("the port %s"), reason);
    return NULL;
  }
  return g_steal_pointer (&host);
}

/**
 * hypha_endpoint_split_host_port:
 * @self: an endpoint whose rest is `//HOST:PORT`
 * @max_port: the highest port that the transport knows
 * @host: (out): the host, without the brackets of an IPv6 address
 * @port: (out): the port; 0, also written `any`, leaves the choice to the kernel
 * @error: return location for an error
 *
 * Splits the rest of @self, strictly: both parts must be there, the port is decimal without a
 * leading zero, and an IPv6 address (with or without a zone) stands in brackets. What hosts there
 * are is for the transport to judge.
 *
 * The error is `HYPHA_ERROR_INVALID_ENDPOINT`, and names the part that is wrong. On failure @host
 * and @port are left as they were.
 *
 * Returns: whether the rest has this form
 */
gboolean
hypha_endpoint_split_host_port (HyphaEndpoint *self, guint32 max_port, char **host, guint32 *port,
                                GError **error)
{
  g_autofree char *why = NULL;
  guint32 number = 0;
  char *name;

  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (host != NULL && port != NULL, FALSE);

  name = split_host_port (self->rest, max_port, &number, &why);
  if (name == NULL) {
    set_error (error, self->text, why);
    return FALSE;
  }
  *host = name;
  *port = number;
  return TRUE;
}

/**
 * hypha_endpoint_refuse:
 * @self: an endpoint
 * @error: return location for an error
 * @format: why a transport does not take @self, as printf() takes it
 * @...: what the format needs
 *
 * Sets `HYPHA_ERROR_INVALID_ENDPOINT`: the endpoint and the reason. The reason may quote any part
 * of the endpoint: what cannot be printed, and could play tricks with a terminal, is escaped.
 *
 * Returns: %FALSE, for the caller to return
 */
gboolean
hypha_endpoint_refuse (HyphaEndpoint *self, GError **error, const char *format, ...)
{
  g_autofree char *reason = NULL, *safe = NULL;
  va_list args;

  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (format != NULL, FALSE);

  va_start (args, format);
  reason = g_strdup_vprintf (format, args);
  va_end (args);
  safe = hypha_text_escape (reason);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT, "%s: %s", self->text, safe);
  return FALSE;
}
