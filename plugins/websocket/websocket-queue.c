/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-queue.h"

#define MAX_DONE 65536 /* that are kept */

gsize
websocket_queue_left (const WebsocketQueue *self)
{
  return self->bytes->len - self->done;
}

void
websocket_queue_take (WebsocketQueue *self, gsize n)
{
  self->done += n;
  if (self->done == self->bytes->len) {
    /* An idle connection keeps no memory. */
    g_byte_array_unref (self->bytes);
    *self = (WebsocketQueue){ .bytes = g_byte_array_new () };
  } else if (self->done >= MAX_DONE) {
    g_byte_array_remove_range (self->bytes, 0, (guint) self->done);
    self->data_end -= MIN (self->data_end, self->done);
    self->done = 0;
  }
}
