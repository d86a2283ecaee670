/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "hypha-macros.h"

G_BEGIN_DECLS

/**
 * HyphaJsonFraming:
 * @HYPHA_JSON_FRAMING_LENGTH: the length of the message in four bytes, the highest first, then the
 * message
 * @HYPHA_JSON_FRAMING_LINES: the message on a line of its own, ended by a line feed
 *
 * How messages are told from each other on a stream.
 */
typedef enum {
  HYPHA_JSON_FRAMING_LENGTH,
  HYPHA_JSON_FRAMING_LINES,
} HyphaJsonFraming;

#define HYPHA_TYPE_JSON_FRAMING (hypha_json_framing_get_type ())
HYPHA_EXTERN
GType hypha_json_framing_get_type (void);

/**
 * HyphaJsonChannelClass:
 *
 * The class of [class@Hypha.JsonChannel], from which nothing derives.
 */
#define HYPHA_TYPE_JSON_CHANNEL (hypha_json_channel_get_type ())
HYPHA_EXTERN
G_DECLARE_FINAL_TYPE (HyphaJsonChannel, hypha_json_channel, HYPHA, JSON_CHANNEL, GObject)

HYPHA_EXTERN
HyphaJsonChannel *hypha_json_channel_new (GIOStream *stream, HyphaJsonFraming framing);

HYPHA_EXTERN
GIOStream *hypha_json_channel_get_stream (HyphaJsonChannel *self);
HYPHA_EXTERN
HyphaJsonFraming hypha_json_channel_get_framing (HyphaJsonChannel *self);
/* Of a message, in bytes, without what tells it from the next one. 16 MiB at first. */
HYPHA_EXTERN
void hypha_json_channel_set_max_size (HyphaJsonChannel *self, guint max_size);
HYPHA_EXTERN
guint hypha_json_channel_get_max_size (HyphaJsonChannel *self);
/* For the whole of a message that is sent or received, in ms; 0: none. HYPHA_ERROR_TIMED_OUT. */
HYPHA_EXTERN
void hypha_json_channel_set_timeout (HyphaJsonChannel *self, guint timeout_ms);
HYPHA_EXTERN
guint hypha_json_channel_get_timeout (HyphaJsonChannel *self);

/* Any number may be under way: messages go out, and come in, in the order of the calls. */
HYPHA_EXTERN
void hypha_json_channel_send_async (HyphaJsonChannel *self, JsonNode *message,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
HYPHA_EXTERN
gboolean hypha_json_channel_send_finish (HyphaJsonChannel *self, GAsyncResult *result,
                                         GError **error);
/* NULL without an error: the other end has closed its direction, between two messages. */
HYPHA_EXTERN
void hypha_json_channel_receive_async (HyphaJsonChannel *self, GCancellable *cancellable,
                                       GAsyncReadyCallback callback, gpointer user_data);
HYPHA_EXTERN
JsonNode *hypha_json_channel_receive_finish (HyphaJsonChannel *self, GAsyncResult *result,
                                             GError **error);
/* Sends, and receives the message that answers it: never NULL without an error. */
HYPHA_EXTERN
void hypha_json_channel_call_async (HyphaJsonChannel *self, JsonNode *request,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data);
HYPHA_EXTERN
JsonNode *hypha_json_channel_call_finish (HyphaJsonChannel *self, GAsyncResult *result,
                                          GError **error);

/* The same, which wait. G_IO_ERROR_PENDING: something asynchronous is under way. */
HYPHA_EXTERN
gboolean hypha_json_channel_send (HyphaJsonChannel *self, JsonNode *message,
                                  GCancellable *cancellable, GError **error);
HYPHA_EXTERN
JsonNode *hypha_json_channel_receive (HyphaJsonChannel *self, GCancellable *cancellable,
                                      GError **error);
HYPHA_EXTERN
JsonNode *hypha_json_channel_call (HyphaJsonChannel *self, JsonNode *request,
                                   GCancellable *cancellable, GError **error);

G_END_DECLS
