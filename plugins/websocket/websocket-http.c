/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-http.h"

#include <glib/gi18n-lib.h>
#include <libsoup/soup.h>
#include <string.h>
#include <sys/random.h>

#include "websocket-flow.h"

#define KEY_BYTES 16
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 */
#define PIECE 4096
#define MAX_TOLD 100 /* characters of what a server said */
#define STATUS_UPGRADE_REQUIRED 426

/* ---- reading ---- */

typedef struct {
  GIOStream *stream;
  GByteArray *bytes;
  gsize size; /* of the head, once it is whole */
} Read;

static void
read_free (gpointer data)
{
  Read *self = data;

  g_object_unref (self->stream);
  g_byte_array_unref (self->bytes);
  g_free (self);
}

static void read_on (GTask *task);

/* FROM: what has come since then has not been looked at. */
static gsize
find_end (const GByteArray *bytes, gsize from)
{
  gsize start = from > 3 ? from - 3 : 0;
  const guint8 *found = memmem (bytes->data + start, bytes->len - start, "\r\n\r\n", 4);

  return found != NULL ? (gsize) (found - bytes->data) + 4 : 0;
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Read *self = g_task_get_task_data (task);
  GError *error = NULL;
  gssize n = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);
  gsize before = self->bytes->len - PIECE;

  g_byte_array_set_size (self->bytes, (guint) (before + (gsize) MAX (n, 0)));
  if (n < 0) {
    g_task_return_error (task, error);
    return;
  }
  if (n == 0) {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("it hung up"));
    return;
  }
  self->size = find_end (self->bytes, before);
  if (self->size > 0 && self->size <= WEBSOCKET_MAX_HEAD)
    g_task_return_boolean (task, TRUE);
  else if (self->bytes->len >= WEBSOCKET_MAX_HEAD)
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                             _ ("it sent more than %u bytes that are no head of HTTP"),
                             WEBSOCKET_MAX_HEAD);
  else
    read_on (g_steal_pointer (&task));
}

static void
read_on (GTask *task)
{
  Read *self = g_task_get_task_data (task);
  gsize before = self->bytes->len;

  g_byte_array_set_size (self->bytes, (guint) before + PIECE);
  g_input_stream_read_async (g_io_stream_get_input_stream (self->stream),
                             self->bytes->data + before, PIECE, G_PRIORITY_DEFAULT,
                             g_task_get_cancellable (task), on_read, task);
}

void
websocket_http_read_async (GIOStream *stream, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);
  Read *self = g_new0 (Read, 1);

  g_task_set_source_tag (task, websocket_http_read_async);
  self->stream = g_object_ref (stream);
  self->bytes = g_byte_array_new ();
  g_task_set_task_data (task, self, read_free);
  read_on (task);
}

GByteArray *
websocket_http_read_finish (GAsyncResult *result, gsize *size, GError **error)
{
  Read *self = g_task_get_task_data (G_TASK (result));

  if (!g_task_propagate_boolean (G_TASK (result), error))
    return NULL;
  *size = self->size;
  return g_byte_array_ref (self->bytes);
}

/* ---- both ends ---- */

char *
websocket_http_new_key (void)
{
  guint8 bytes[KEY_BYTES];

  /* It guards against mistakes of caches, not against people. */
  if (getrandom (bytes, sizeof bytes, 0) != sizeof bytes)
    for (guint i = 0; i < sizeof bytes; i++)
      bytes[i] = (guint8) g_random_int_range (0, 256);
  return g_base64_encode (bytes, sizeof bytes);
}

char *
websocket_http_accept_key (const char *key)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA1);
  guint8 digest[20];
  gsize size = sizeof digest;

  g_checksum_update (checksum, (const guchar *) key, -1);
  g_checksum_update (checksum, (const guchar *) GUID, -1);
  g_checksum_get_digest (checksum, digest, &size);
  return g_base64_encode (digest, size);
}

/* A copy that ends with NUL, which libsoup relies on here and there, and has none within; or NULL.
 */
static char *
copy_head (const char *head, gsize size)
{
  return memchr (head, '\0', size) == NULL ? g_strndup (head, size) : NULL;
}

/* Of two that are one too many, both: a proxy on the way may go by the other. */
static gboolean
is_value (SoupMessageHeaders *headers, const char *name, const char *wanted)
{
  const char *value = soup_message_headers_get_list (headers, name);

  return value != NULL && g_ascii_strcasecmp (value, wanted) == 0;
}

static gboolean
has_word (SoupMessageHeaders *headers, const char *name, const char *wanted)
{
  return soup_message_headers_header_contains (headers, name, wanted);
}

/* ---- the client ---- */

char *
websocket_http_make_request (const WebsocketAddress *address, const char *key)
{
  g_autofree char *target = websocket_address_get_target (address);
  g_autofree char *authority = websocket_address_get_authority (address);

  return g_strdup_printf ("GET %s HTTP/1.1\r\n"
                          "Host: %s\r\n"
                          "Upgrade: websocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Key: %s\r\n"
                          "Sec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Protocol: " WEBSOCKET_SUBPROTOCOL "\r\n"
                          "User-Agent: hypha\r\n"
                          "\r\n",
                          target, authority, key);
}

/* What a server may have meant by a status, and what to do. */
static const char *
get_advice (guint status)
{
  switch (status) {
  case 301:
  case 302:
  case 303:
  case 307:
  case 308:
    return _ ("the server sends elsewhere: write the address at which it is");
  case 400:
  case STATUS_UPGRADE_REQUIRED:
    return _ ("what answers there takes this for something else: look at the path, and whether a "
              "proxy on the way passes the headers Upgrade and Connection on");
  case 401:
  case 403:
    return _ ("the web server lets nobody in here: look at its settings for this path");
  case 404:
    return _ ("there is no WebSocket at this path: compare it with that of the listener, and with "
              "the settings of the web server before it");
  case 502:
  case 503:
  case 504:
    return _ ("the web server reaches nobody behind it, or whoever is there is full: does the node "
              "behind it listen?");
  default:
    return _ ("that is no answer of a WebSocket: look at the host, the port and the path");
  }
}

static void
refuse_status (guint status, const char *phrase, SoupMessageHeaders *headers, const char *display,
               GError **error)
{
  const char *location = soup_message_headers_get_one (headers, "Location");
  g_autofree char *said = g_strescape (phrase, NULL);
  g_autofree char *where = location != NULL ? g_strescape (location, NULL) : NULL;

  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT,
               _ ("%s: the server answered %u %.*s%s%.*s; %s"), display, status, MAX_TOLD, said,
               where != NULL ? " " : "", MAX_TOLD, where != NULL ? where : "", get_advice (status));
}

gboolean
websocket_http_check_answer (const char *head, gsize size, const char *key, const char *display,
                             gboolean *hypha, GError **error)
{
  g_autoptr (SoupMessageHeaders) headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_RESPONSE);
  g_autofree char *accept = websocket_http_accept_key (key);
  g_autofree char *text = copy_head (head, size);
  g_autofree char *phrase = NULL;
  const char *protocol, *given;
  guint status = 0;

  if (text == NULL ||
      !soup_headers_parse_response (text, (int) size - 2, headers, NULL, &status, &phrase)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                 _ ("%s: what answers there does not speak HTTP: look at the host and the port"),
                 display);
    return FALSE;
  }
  if (status != SOUP_STATUS_SWITCHING_PROTOCOLS) {
    refuse_status (status, phrase, headers, display, error);
    return FALSE;
  }
  protocol = soup_message_headers_get_list (headers, "Sec-WebSocket-Protocol");
  given = soup_message_headers_get_list (headers, "Sec-WebSocket-Accept");
  if (!is_value (headers, "Upgrade", "websocket") || !has_word (headers, "Connection", "upgrade") ||
      g_strcmp0 (given, accept) != 0 ||
      soup_message_headers_get_list (headers, "Sec-WebSocket-Extensions") != NULL ||
      (protocol != NULL && !g_str_equal (protocol, WEBSOCKET_SUBPROTOCOL))) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_CONNECT,
        _ ("%s: what answers there agrees to what was not asked for: a proxy on the way, or "
           "the server, is broken"),
        display);
    return FALSE;
  }
  *hypha = protocol != NULL;
  return TRUE;
}

/* ---- the server ---- */

static char *
make_refusal (guint status, const char *header, const char *text)
{
  return g_strdup_printf ("HTTP/1.1 %u %s\r\n"
                          "Content-Type: text/plain; charset=utf-8\r\n"
                          "Content-Length: %zu\r\n"
                          "Connection: close\r\n"
                          "%s"
                          "\r\n"
                          "%s",
                          status,
                          status == STATUS_UPGRADE_REQUIRED ? "Upgrade Required"
                                                            : soup_status_get_phrase (status),
                          strlen (text), header, text);
}

char *
websocket_http_answer_full (void)
{
  return make_refusal (SOUP_STATUS_SERVICE_UNAVAILABLE, "Retry-After: 10\r\n",
                       "There are as many connections as there may be.\n");
}

static gboolean
is_key (const char *key)
{
  g_autofree guint8 *bytes = NULL;
  gsize size = 0;

  /* 16 bytes are 24 characters. */
  if (key == NULL || strlen (key) != 24)
    return FALSE;
  bytes = g_base64_decode (key, &size);
  return size == KEY_BYTES;
}

/* What is behind the host in TARGET: whoever takes this end for a proxy writes a whole URI, and a
 * server has to take it (RFC 9112, 3.2.2). NULL: it is none. */
static const char *
skip_host (const char *target)
{
  static const char *const schemes[] = { "http://", "https://", "ws://", "wss://" };

  for (guint i = 0; i < G_N_ELEMENTS (schemes); i++) {
    const char *host = target + strlen (schemes[i]);
    gsize size;

    if (g_ascii_strncasecmp (target, schemes[i], strlen (schemes[i])) != 0)
      continue;
    size = strcspn (host, "/?#");
    if (size == 0 || memchr (host, '@', size) != NULL)
      return NULL;
    return host[size] == '\0' ? "/" : host + size;
  }
  return target;
}

static gboolean
is_path (const char *target, const char *path)
{
  const char *rest = skip_host (target);
  g_autofree char *decoded = rest != NULL ? g_uri_unescape_string (rest, NULL) : NULL;

  return decoded != NULL && g_str_equal (decoded, path);
}

/* One host, and nothing behind the head that somebody on the way takes for a part of the request:
 * here it would be frames. */
static gboolean
is_sound (SoupMessageHeaders *headers)
{
  const char *host = soup_message_headers_get_list (headers, "Host");

  return host != NULL && strchr (host, ',') == NULL &&
         soup_message_headers_get_list (headers, "Transfer-Encoding") == NULL &&
         (soup_message_headers_get_list (headers, "Content-Length") == NULL ||
          is_value (headers, "Content-Length", "0"));
}

/* NULL: it may come. */
static char *
refuse_request (const char *method, SoupMessageHeaders *headers, const char *const *origins)
{
  const char *origin = soup_message_headers_get_list (headers, "Origin");

  if (!g_str_equal (method, "GET") || !has_word (headers, "Connection", "upgrade") ||
      !has_word (headers, "Upgrade", "websocket"))
    return make_refusal (STATUS_UPGRADE_REQUIRED,
                         "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                         "Here is a WebSocket.\n");
  if (!is_value (headers, "Sec-WebSocket-Version", "13"))
    return make_refusal (STATUS_UPGRADE_REQUIRED,
                         "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
                         "Here is a WebSocket of version 13.\n");
  if (!is_sound (headers))
    return make_refusal (SOUP_STATUS_BAD_REQUEST, "",
                         "A WebSocket begins with one host and no body.\n");
  if (!is_key (soup_message_headers_get_list (headers, "Sec-WebSocket-Key")))
    return make_refusal (SOUP_STATUS_BAD_REQUEST, "", "The key of this request is none.\n");
  /* A browser: any page that somebody looks at on this machine could come. */
  if (origin != NULL && !g_strv_contains (origins, origin))
    return make_refusal (SOUP_STATUS_FORBIDDEN, "", "Pages of this origin may not come here.\n");
  return NULL;
}

char *
websocket_http_answer (const char *head, gsize size, const char *path, const char *const *origins,
                       gboolean *good, gboolean *hypha)
{
  g_autoptr (SoupMessageHeaders) headers = soup_message_headers_new (SOUP_MESSAGE_HEADERS_REQUEST);
  g_autofree char *text = copy_head (head, size);
  g_autofree char *method = NULL;
  g_autofree char *target = NULL;
  g_autofree char *accept = NULL;
  SoupHTTPVersion version = SOUP_HTTP_1_0;
  char *refusal;

  *good = *hypha = FALSE;
  if (text == NULL || soup_headers_parse_request (text, (int) size - 2, headers, &method, &target,
                                                  &version) != SOUP_STATUS_OK)
    return make_refusal (SOUP_STATUS_BAD_REQUEST, "", "This is no request of HTTP.\n");
  if (!is_path (target, path))
    return make_refusal (SOUP_STATUS_NOT_FOUND, "", "There is nothing here.\n");
  refusal = version == SOUP_HTTP_1_1 ? refuse_request (method, headers, origins)
                                     : make_refusal (SOUP_STATUS_HTTP_VERSION_NOT_SUPPORTED, "",
                                                     "A WebSocket begins with HTTP/1.1.\n");
  if (refusal != NULL)
    return refusal;
  *good = TRUE;
  *hypha = has_word (headers, "Sec-WebSocket-Protocol", WEBSOCKET_SUBPROTOCOL);
  accept = websocket_http_accept_key (soup_message_headers_get_list (headers, "Sec-WebSocket-Key"));
  return g_strdup_printf ("HTTP/1.1 101 Switching Protocols\r\n"
                          "Upgrade: websocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n"
                          "%s"
                          "\r\n",
                          accept,
                          *hypha ? "Sec-WebSocket-Protocol: " WEBSOCKET_SUBPROTOCOL "\r\n" : "");
}
