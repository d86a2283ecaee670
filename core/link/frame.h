/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>
#include "io/queue.h"

G_BEGIN_DECLS

/* The frame codec: pure. Network byte order: type 8, flags 8, reserved 16 (zero), stream 32,
 * length 32. */
#define HYPHA_FRAME_HEADER 12
#define HYPHA_FRAME_MAX 65536                      /* what "length" may say */
#define HYPHA_FRAME_DATA_MAX (HYPHA_FRAME_MAX - 8) /* bytes in one DATA, behind its offset */
#define HYPHA_SERVICE_MAX \
  255 /* bytes of a service's name: UTF-8, no control characters, not empty */
/* With OPEN and DIRECT, before the service: who dials the fresh channel, and the token it shows. */
#define HYPHA_TICKET_BYTES 33

typedef enum {
  HYPHA_FRAME_OPEN = 1, /* service; DIRECT: a ticket before it */
  HYPHA_FRAME_DATA,     /* offset, bytes; FIN */
  HYPHA_FRAME_ACK,      /* next offset; FIN or RESET: that end was taken */
  HYPHA_FRAME_WINDOW,   /* limit; the first one answers the OPEN */
  HYPHA_FRAME_RESET,    /* code, final size */
  HYPHA_FRAME_STOP,     /* code */
  HYPHA_FRAME_PING,     /* token */
  HYPHA_FRAME_PONG,     /* token */
  HYPHA_FRAME_EPOCH,    /* number, and see below; TAKEN: the peer's, and the link it came on */
  HYPHA_FRAME_RESUME,   /* see below; with ASK and no body: asks for one */
  HYPHA_FRAME_GOAWAY,   /* reason */
  HYPHA_FRAME_CLOSE,    /* code */
} HyphaFrameType;

typedef enum {
  HYPHA_FRAME_FIN = 1 << 0,
  HYPHA_FRAME_RESET_TAKEN = 1 << 1,
  HYPHA_FRAME_ASK = 1 << 2,
  HYPHA_FRAME_DIRECT = 1 << 3,
  HYPHA_FRAME_TAKEN = 1 << 4,
} HyphaFrameFlags;

typedef enum {                             /* codes of RESET and STOP */
               HYPHA_CODE_APPLICATION = 1, /* the program ended it */
               HYPHA_CODE_REFUSED,         /* ends both directions */
               HYPHA_CODE_NO_SUCH_SERVICE, /* likewise */
               HYPHA_CODE_NOT_ALLOWED,     /* likewise */
               HYPHA_CODE_BUSY,            /* likewise */
               HYPHA_CODE_GONE,            /* likewise; never answered */
} HyphaCode;

typedef enum { /* reasons of GOAWAY, codes of CLOSE */
               HYPHA_AWAY_TWIN = 1,
               HYPHA_AWAY_SHUTDOWN,
               HYPHA_AWAY_DISCONNECTED,
               HYPHA_AWAY_ROLLED_BACK,
               HYPHA_AWAY_PROTOCOL,
               HYPHA_AWAY_NOT_TRUSTED,
               HYPHA_AWAY_REQUESTED,
} HyphaAway;

/* A frame that was read; payload points into the reader's buffer. Which members count goes by the
 * type. */
typedef struct {
  HyphaFrameType type;
  HyphaFrameFlags flags;
  guint32 stream;
  guint64 value;      /* offset, limit, final size, token, number */
  guint32 code;       /* RESET, STOP, GOAWAY, CLOSE */
  const guint8 *data; /* DATA: the bytes; OPEN: ticket and service; RESUME: the body; EPOCH: the
                         entries, or with TAKEN the link */
  gsize length;
} HyphaFrame;

/* Reads one frame. Returns its whole size, 0 if more bytes are needed, -1 with
 * HYPHA_ERROR_PROTOCOL: an unknown type or flag, reserved bits, a length that is too large or wrong
 * for the type, bad UTF-8. A header is judged as soon as it is there. */
gssize hypha_frame_parse (const guint8 *data, gsize length, HyphaFrame *frame, GError **error);

/* A frame to send: a head, and perhaps a payload by reference. One with a length and no data is
 * lost: there was no memory for its payload. */
typedef struct {
  guint8 head[HYPHA_FRAME_HEADER + 20];
  guint8 head_length;
  HyphaChunk *chunk; /* owns the payload; NULL: none */
  const guint8 *data;
  gsize length;
} HyphaFrameOut;

/* Fills OUT from FRAME; CHUNK (referenced) is where FRAME's data lies, NULL copies it. */
void hypha_frame_write (const HyphaFrame *frame, HyphaChunk *chunk, HyphaFrameOut *out);
void hypha_frame_out_clear (HyphaFrameOut *out);

/* EPOCH, behind its number: 24 bytes for each one said before that the peer may still go by, in
 * rising order. */
typedef struct {
  guint64 number;
  guint64 link;   /* over which it was said: its fingerprint */
  guint64 frames; /* that were sent after it, of those that concern streams */
} HyphaEpochEntry;

#define HYPHA_EPOCH_MAX_ENTRIES 64

guint hypha_epoch_n_entries (const HyphaFrame *frame);
void hypha_epoch_get (const HyphaFrame *frame, guint index, HyphaEpochEntry *entry);
/* At most HYPHA_EPOCH_MAX_ENTRIES. */
void hypha_epoch_write (guint64 number, const HyphaEpochEntry *entries, guint n,
                        HyphaFrameOut *out);
/* With TAKEN, behind the number: one entry without it, and how many frames were taken. */
void hypha_epoch_write_taken (const HyphaEpochEntry *taken, HyphaFrameOut *out);
void hypha_epoch_get_taken (const HyphaFrame *frame, HyphaEpochEntry *taken);

/* RESUME's body: highest id opened 32, highest id seen 32 (+1 each; 0: none), then 32 bytes a
 * stream in rising order. */
typedef enum {
  HYPHA_RESUME_ACCEPTED = 1 << 0, /* the OPEN was answered (or is one's own) */
  HYPHA_RESUME_FIN = 1 << 1,      /* took FIN */
  HYPHA_RESUME_RESET = 1 << 2,    /* took RESET */
} HyphaResumeFlags;

typedef struct {
  guint32 stream;
  HyphaResumeFlags flags;
  guint64 next; /* the offset expected next */
  guint64 limit;
  guint64 final_size; /* with FIN or RESET */
} HyphaResumeEntry;

typedef struct {
  gint64 opened; /* highest id, -1: none */
  gint64 seen;
  guint n_entries;
  const guint8 *entries; /* packed */
} HyphaResume;

#define HYPHA_RESUME_MAX_ENTRIES ((HYPHA_FRAME_MAX - 8) / 32)

gboolean hypha_resume_parse (const HyphaFrame *frame, HyphaResume *resume,
                             GError **error); /* checks every entry */
void hypha_resume_get (const HyphaResume *resume, guint index, HyphaResumeEntry *entry);
/* ENTRIES in rising order of stream. */
void hypha_resume_write (gint64 opened, gint64 seen, const HyphaResumeEntry *entries, guint n,
                         HyphaFrameOut *out);

G_END_DECLS
