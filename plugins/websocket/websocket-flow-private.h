/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What websocket-flow.c and websocket-flow-input.c have in common. */

#include <pthread.h>
#include <stdatomic.h>

#include "websocket-flow.h"
#include "websocket-frame.h"
#include "websocket-queue.h"

G_BEGIN_DECLS

#define WEBSOCKET_MAX_ORDER 32 /* bytes of an order to this end */

struct _WebsocketFlow {
  _Atomic guint ref_count;
  pthread_mutex_t mutex;
  GError *error; /* under the mutex */

  /* The loop's alone. */
  HyphaLoop *loop;
  GSocket *socket;
  GIOStream *stream; /* upon it */
  int fd;            /* -1: closed */
  char *name;
  gboolean client, hypha;
  HyphaLoopFunc over;
  gpointer over_data;
  WebsocketDecoder decoder;
  WebsocketQueue out; /* frames */
  WebsocketQueue in;  /* bytes for the descriptor */

  guint64 credit;    /* what may still be sent */
  guint64 allowance; /* what may still come */
  guint64 delivered; /* of which the other end has not been told */
  char order[WEBSOCKET_MAX_ORDER + 1];
  guint order_size;

  gboolean in_ended;    /* nothing comes for the descriptor any more */
  gboolean in_shut;     /* and it has been told */
  gboolean reader_gone; /* nobody takes what comes */
  gboolean cut;         /* and something is left that he should have taken */
  gboolean out_ended;   /* nothing comes from the descriptor any more */
  gboolean close_sent;  /* or waits in OUT */
  gboolean close_received;
  gboolean stream_over; /* it is closed */
  gboolean moved;       /* something came for the program since the deadline was set */

  gboolean heard; /* since the last tick */
  gboolean asked; /* a ping was sent then */

  HyphaLoopWatch pair; /* of the descriptor */
  gboolean hung_up;    /* which was told */
  gboolean plain;      /* the stream is the socket itself, and this is its: */
  HyphaLoopWatch wire; /* or else, of TLS, be it the proxy's: */
  GSource *readable, *writable;
  HyphaLoopTimer ticker, deadline;
  guint ping_ms;
};

/* Takes ERROR; the first stays. */
void websocket_flow_keep_error (WebsocketFlow *self, GError *error);
/* The other end broke the protocol, in the way of WHY: cuts it off, with CODE or that of such. */
void websocket_flow_fail_by_code (WebsocketFlow *self, guint code, const char *why);
void websocket_flow_fail_by_protocol (WebsocketFlow *self, const char *why);
/* What goes out, as soon as it can. */
void websocket_flow_append (WebsocketFlow *self, WebsocketOpcode opcode, gconstpointer data,
                            gsize size);
void websocket_flow_send_close (WebsocketFlow *self, guint code);

/* Takes what has come from the other end; changes DATA. */
void websocket_flow_feed (WebsocketFlow *self, guint8 *data, gsize size);
/* Hands it to the program. How many of the bytes were taken; whoever will never take any takes all.
 */
gsize websocket_flow_send_down (WebsocketFlow *self, const guint8 *data, gsize size);

G_END_DECLS
