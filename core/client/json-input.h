/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages found in bytes that come in pieces. Bytes in, texts out. */

#include "hypha-json-channel.h"

G_BEGIN_DECLS

typedef enum {
  HYPHA_JSON_INPUT_MORE,    /* as many bytes as hypha_json_input_room() gives room for, or fewer */
  HYPHA_JSON_INPUT_MESSAGE, /* it is used up by hypha_json_input_done() */
  HYPHA_JSON_INPUT_WRONG,   /* HYPHA_ERROR_PROTOCOL; where the next message begins is unknown */
} HyphaJsonInputVerdict;

typedef struct {
  HyphaJsonFraming framing;
  GByteArray *bytes; /* nullable; what has come and is not used up */
  gsize looked;      /* lines: there is no end of one among so many bytes */
  gsize used;        /* the bytes of the message that was found */
} HyphaJsonInput;

HyphaJsonInputVerdict hypha_json_input_look (HyphaJsonInput *self, guint max_size,
                                             const char **text, gsize *length, GError **error);
void hypha_json_input_done (HyphaJsonInput *self);
/* Where to read to, after MORE. With lengths it never reaches beyond the message. */
guint8 *hypha_json_input_room (HyphaJsonInput *self, gsize *room);
/* COUNT of ROOM bytes have come. */
void hypha_json_input_came (HyphaJsonInput *self, gsize room, gsize count);
/* Of the message that is not whole yet, with what is before its text. */
gsize hypha_json_input_get_size (HyphaJsonInput *self);
void hypha_json_input_clear (HyphaJsonInput *self);

G_END_DECLS
