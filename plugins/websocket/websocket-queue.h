/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Bytes that wait, how many of them are done, and where the last of the program's end. */
typedef struct {
  GByteArray *bytes;
  gsize done;
  gsize data_end;
} WebsocketQueue;

gsize websocket_queue_left (const WebsocketQueue *self);
/* N of those that are left are done. */
void websocket_queue_take (WebsocketQueue *self, gsize n);

G_END_DECLS
