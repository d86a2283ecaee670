/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/handshake.h"

G_BEGIN_DECLS

/* The five messages of the handshake, byte by byte (README.md has the table): it knows their form,
 * not their meaning. */
typedef enum {
  HYPHA_MESSAGE_HELLO = 1,
  HYPHA_MESSAGE_REPLY,
  HYPHA_MESSAGE_AUTH,
  HYPHA_MESSAGE_ACCEPT,
  HYPHA_MESSAGE_REJECT,
} HyphaMessageType;

#define HYPHA_MESSAGE_HEAD 10 /* "HYPHA/1", type 8, length of the body 16 */
#define HYPHA_MESSAGE_MAX 512 /* with its head */

/* One message; which members count goes by the type. */
typedef struct {
  HyphaMessageType type;
  guint16 version_min, version_max; /* HELLO; REPLY: the one chosen, twice */
  guint64 features;                 /* HELLO, REPLY */
  guint8 link_class;                /* HELLO, REPLY */
  guint8 commitment[32];            /* HELLO */
  guint8 nonce[HYPHA_NONCE_BYTES];  /* REPLY, AUTH */
  HyphaInstance instance;           /* HELLO, REPLY */
  HyphaNodeId id;                   /* HELLO: wanted, or zeros; REPLY, AUTH: one's own */
  HyphaHandshakeNumbers numbers;    /* AUTH, ACCEPT */
  guint32 code;                     /* REJECT */
  guint64 highest;                  /* REJECT */
} HyphaMessage;

/* The size of the message whose first LENGTH bytes are at DATA; 0 if more of them are needed to
 * tell; -1 and *WHY (static, it ends "The other end sent ...") as soon as they can be no message,
 * or none of EXPECTED (bits 1 << type). */
gssize hypha_message_judge (const guint8 *data, gsize length, guint expected, const char **why);
/* DATA is a whole message that was judged. Returns NULL, or why it is malformed (static, as above).
 */
const char *hypha_message_parse (const guint8 *data, gsize length, HyphaMessage *message);
/* Returns the size. REPLY, AUTH and ACCEPT end with a signature: its bytes are counted and left to
 * be filled in. */
gsize hypha_message_write (const HyphaMessage *message, guint8 data[HYPHA_MESSAGE_MAX]);

G_END_DECLS
