/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The frames of RFC 6455: bytes in, pieces out. No socket, no clock. */

#include <glib.h>

G_BEGIN_DECLS

#define WEBSOCKET_MAX_HEADER 14
#define WEBSOCKET_MAX_CONTROL 125 /* bytes in a ping, a pong or a close */

typedef enum {
  WEBSOCKET_CONTINUATION = 0,
  WEBSOCKET_TEXT = 1,
  WEBSOCKET_BINARY = 2,
  WEBSOCKET_CLOSE = 8,
  WEBSOCKET_PING = 9,
  WEBSOCKET_PONG = 10,
} WebsocketOpcode;

/* Codes of a close frame, as far as they are said here. */
enum {
  WEBSOCKET_CLOSE_NORMAL = 1000,
  WEBSOCKET_CLOSE_GOING_AWAY = 1001,
  WEBSOCKET_CLOSE_PROTOCOL = 1002,
  WEBSOCKET_CLOSE_NONE = 1005, /* never sent: the frame had no code */
  WEBSOCKET_CLOSE_CUT = 1006,  /* never sent: there was no close frame */
  WEBSOCKET_CLOSE_INVALID = 1007,
};

/* What a decoder has found. Of a message, a piece: as much as was there, so that nothing has to be
 * kept, however long it is. Of a ping, a pong or a close, all of it. */
typedef struct {
  WebsocketOpcode opcode; /* TEXT or BINARY also for what continues such a message */
  const guint8 *data;     /* unmasked; good until the next call */
  gsize size;
  gboolean last; /* the message ends with this piece */
} WebsocketPiece;

typedef enum {
  WEBSOCKET_MORE,   /* wants more bytes */
  WEBSOCKET_PIECE,  /* there is a piece */
  WEBSOCKET_BROKEN, /* the other end broke the protocol; nothing is decoded any more */
} WebsocketVerdict;

typedef struct {
  gboolean masked; /* a client sends here, and masks */
  guint8 header[WEBSOCKET_MAX_HEADER];
  guint got; /* bytes of the header */
  gboolean in_payload;
  guint64 left; /* bytes of the payload to come */
  guint8 mask[4];
  guint at;                     /* in the mask */
  WebsocketOpcode message;      /* that is not over yet; CONTINUATION: none */
  guint text_left;              /* bytes of a character of a text to come */
  guint8 text_least, text_most; /* that the next of them may be */
  guint8 control[WEBSOCKET_MAX_CONTROL];
  guint control_size;
  const char *broken; /* why, for people who debug: not translated */
  guint code;         /* with which to close then */
} WebsocketDecoder;

void websocket_decoder_init (WebsocketDecoder *self, gboolean masked);
/* Takes bytes from the beginning of DATA, unmasking them in place, and moves DATA and SIZE on. */
WebsocketVerdict websocket_decoder_next (WebsocketDecoder *self, guint8 **data, gsize *size,
                                         WebsocketPiece *piece);

/* Appends a whole frame to OUT; MASK (of a client; nullable) is 4 bytes that nobody foresees. */
void websocket_append_frame (GByteArray *out, WebsocketOpcode opcode, const guint8 *mask,
                             gconstpointer data, gsize size);

/* What a close frame says: NONE for one without a code, 0 for one that is broken. REASON (nullable)
 * is free to read by people: escaped, ASCII; to free. */
guint websocket_close_parse (const guint8 *data, gsize size, char **reason);

G_END_DECLS
