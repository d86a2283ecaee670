/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-frame.h"

#include <string.h>

#define FIN 0x80
#define RESERVED 0x70
#define MASKED 0x80

void
websocket_decoder_init (WebsocketDecoder *self, gboolean masked)
{
  *self = (WebsocketDecoder){ .masked = masked };
}

/* AT is the place in the mask of the first byte; returns that of the one after the last. */
static guint
unmask (guint8 *data, gsize size, const guint8 mask[4], guint at)
{
  const guint8 turned[4] = { mask[at & 3], mask[(at + 1) & 3], mask[(at + 2) & 3],
                             mask[(at + 3) & 3] };
  guint32 word, key;
  gsize i = 0;

  memcpy (&key, turned, sizeof key);
  for (; i + sizeof word <= size; i += sizeof word) {
    memcpy (&word, data + i, sizeof word);
    word ^= key;
    memcpy (data + i, &word, sizeof word);
  }
  for (; i < size; i++)
    data[i] ^= turned[i & 3];
  return (guint) ((at + size) & 3);
}

static WebsocketVerdict
break_off (WebsocketDecoder *self, const char *why)
{
  self->broken = why;
  self->code = WEBSOCKET_CLOSE_PROTOCOL;
  return WEBSOCKET_BROKEN;
}

/* Goes on with a text, which may be cut anywhere; FALSE: it is not UTF-8. */
static gboolean
check_text (WebsocketDecoder *self, const guint8 *data, gsize size)
{
  for (gsize i = 0; i < size; i++) {
    guint8 byte = data[i];

    if (self->text_left > 0) {
      if (byte < self->text_least || byte > self->text_most)
        return FALSE;
      self->text_left--;
      self->text_least = 0x80;
      self->text_most = 0xbf;
    } else if (byte >= 0x80) {
      if (byte < 0xc2 || byte > 0xf4)
        return FALSE;
      self->text_left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
      /* Neither longer than need be, nor a surrogate, nor beyond U+10FFFF. */
      self->text_least = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
      self->text_most = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    }
  }
  return TRUE;
}

/* How long the header is, as far as is known. */
static guint
header_size (const WebsocketDecoder *self)
{
  guint length = self->got < 2 ? 0 : self->header[1] & ~MASKED;

  return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (self->masked ? 4 : 0);
}

/* Why the first two bytes cannot be; or NULL. */
static const char *
check_start (const WebsocketDecoder *self)
{
  gboolean fin = (self->header[0] & FIN) != 0;
  guint opcode = self->header[0] & 0x0f;

  if ((self->header[0] & RESERVED) != 0)
    return "a reserved bit is set, of an extension that was not agreed on";
  if (((self->header[1] & MASKED) != 0) != self->masked)
    return self->masked ? "a client's frame is not masked" : "a server's frame is masked";
  switch (opcode) {
  case WEBSOCKET_CONTINUATION:
    return self->message == WEBSOCKET_CONTINUATION ? "there is no message to continue" : NULL;
  case WEBSOCKET_TEXT:
  case WEBSOCKET_BINARY:
    return self->message != WEBSOCKET_CONTINUATION ? "a message begins within another" : NULL;
  case WEBSOCKET_CLOSE:
  case WEBSOCKET_PING:
  case WEBSOCKET_PONG:
    if (!fin)
      return "a control frame is in parts";
    return (self->header[1] & ~MASKED) > WEBSOCKET_MAX_CONTROL ? "a control frame is too long"
                                                               : NULL;
  default:
    return "a frame has an unknown opcode";
  }
}

/* Why the length cannot be; or NULL. */
static const char *
begin_payload (WebsocketDecoder *self)
{
  guint length = self->header[1] & ~MASKED;
  guint opcode = self->header[0] & 0x0f;
  guint bytes = length == 126 ? 2 : length == 127 ? 8 : 0;

  self->left = bytes == 0 ? length : 0;
  for (guint i = 0; i < bytes; i++)
    self->left = self->left << 8 | self->header[2 + i];
  if (self->left > G_MAXINT64)
    return "a frame is longer than there can be";
  if ((bytes == 2 && self->left < 126) || (bytes == 8 && self->left <= G_MAXUINT16))
    return "a length is not in its shortest form";
  if (self->masked)
    memcpy (self->mask, self->header + 2 + bytes, sizeof self->mask);
  self->at = 0;
  self->control_size = 0;
  self->in_payload = TRUE;
  if (opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY)
    self->message = opcode;
  return NULL;
}

static WebsocketVerdict
finish_frame (WebsocketDecoder *self, WebsocketPiece *piece)
{
  self->in_payload = FALSE;
  self->got = 0;
  if (piece->last && piece->opcode < WEBSOCKET_CLOSE)
    self->message = WEBSOCKET_CONTINUATION;
  return WEBSOCKET_PIECE;
}

/* SIZE is above 0, or the payload is empty. */
static WebsocketVerdict
take_payload (WebsocketDecoder *self, guint8 **data, gsize *size, WebsocketPiece *piece)
{
  guint opcode = self->header[0] & 0x0f;
  gsize n = (gsize) MIN (self->left, *size);

  if (self->masked)
    self->at = unmask (*data, n, self->mask, self->at);
  self->left -= n;
  *piece = (WebsocketPiece){ .opcode = self->message, .data = *data, .size = n };
  if (opcode >= WEBSOCKET_CLOSE) {
    if (n > 0) /* an empty one may have no data at all */
      memcpy (self->control + self->control_size, *data, n);
    self->control_size += (guint) n;
    *piece = (WebsocketPiece){ opcode, self->control, self->control_size, TRUE };
  }
  *data += n;
  *size -= n;
  piece->last = self->left == 0 && (self->header[0] & FIN) != 0;
  if (piece->opcode == WEBSOCKET_TEXT &&
      (!check_text (self, piece->data, piece->size) || (piece->last && self->text_left > 0))) {
    break_off (self, "a text is not UTF-8");
    self->code = WEBSOCKET_CLOSE_INVALID;
    return WEBSOCKET_BROKEN;
  }
  if (self->left > 0)
    return opcode >= WEBSOCKET_CLOSE ? WEBSOCKET_MORE : WEBSOCKET_PIECE;
  return finish_frame (self, piece);
}

WebsocketVerdict
websocket_decoder_next (WebsocketDecoder *self, guint8 **data, gsize *size, WebsocketPiece *piece)
{
  const char *broken = NULL;

  if (self->broken != NULL)
    return WEBSOCKET_BROKEN;
  while (!self->in_payload) {
    gsize n = MIN (header_size (self) - self->got, *size);

    /* The first two first: they tell what the rest is. */
    if (self->got < 2)
      n = MIN (n, 2 - self->got);
    if (n == 0)
      return WEBSOCKET_MORE;
    memcpy (self->header + self->got, *data, n);
    self->got += (guint) n;
    *data += n;
    *size -= n;
    if (self->got == 2)
      broken = check_start (self);
    if (broken == NULL && self->got >= 2 && self->got == header_size (self))
      broken = begin_payload (self);
    if (broken != NULL)
      return break_off (self, broken);
  }
  return *size == 0 && self->left > 0 ? WEBSOCKET_MORE : take_payload (self, data, size, piece);
}

void
websocket_append_frame (GByteArray *out, WebsocketOpcode opcode, const guint8 *mask,
                        gconstpointer data, gsize size)
{
  guint8 header[WEBSOCKET_MAX_HEADER];
  guint n = 2, length_bytes = size < 126 ? 0 : size <= G_MAXUINT16 ? 2 : 8;

  header[0] = (guint8) (FIN | opcode);
  header[1] = (guint8) ((mask != NULL ? MASKED : 0) | (length_bytes == 0   ? size
                                                       : length_bytes == 2 ? 126
                                                                           : 127));
  for (guint i = length_bytes; i > 0; i--)
    header[n++] = (guint8) ((guint64) size >> (8 * (i - 1)));
  if (mask != NULL) {
    memcpy (header + n, mask, 4);
    n += 4;
  }
  g_byte_array_append (out, header, n);
  if (size == 0)
    return;
  g_byte_array_append (out, data, (guint) size);
  if (mask != NULL)
    unmask (out->data + out->len - size, size, mask, 0);
}

guint
websocket_close_parse (const guint8 *data, gsize size, char **reason)
{
  guint code = size >= 2 ? (guint) data[0] << 8 | data[1] : WEBSOCKET_CLOSE_NONE;
  gboolean known = code >= 1000 && code < 5000 && code != 1004 && code != WEBSOCKET_CLOSE_CUT &&
                   (code <= 1014 || code >= 3000) && (size < 2 || code != WEBSOCKET_CLOSE_NONE);

  *reason = NULL;
  if (size == 1 || !known ||
      (size > 2 && !g_utf8_validate_len ((const char *) data + 2, size - 2, NULL)))
    return 0;
  if (size > 2) {
    g_autofree char *text = g_strndup ((const char *) data + 2, size - 2);

    *reason = g_strescape (text, NULL);
  }
  return code;
}
