/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What nodes say to each other on the streams of the service: lines of words. Whatever comes from
 * outside is checked here: a line that is not well-formed is none. Every list of nodes is
 * NULL-terminated. */

#define VIA_SERVICE "via"
#define VIA_MAX_HEAD 1024
#define VIA_MAX_SEEN 256
/* So many nodes, each with its cost and with those before it. */
#define VIA_MAX_LIST (64 * 1024)
#define VIA_MAX_TIMEOUT_MS 60000
#define VIA_MAX_COST 1000000

typedef enum {
  VIA_HEAD_GO,    /* lead this stream on, or take it */
  VIA_HEAD_SEE,   /* tell whom I may see through you */
  VIA_HEAD_OFFER, /* you may see others through me now: ask */
} ViaHeadType;

/* The first line of whoever opens a stream. */
typedef struct {
  ViaHeadType type;
  guint timeout_ms;   /* of GO: for how long the answer is waited for */
  guint cost;         /* of the hops so far, this one too, and of the middles before */
  char **path;        /* ids of those it has come through, who began it first; not who opened it */
  char **route;       /* names or ids of those to come; empty: it is for you */
  gboolean listening; /* of SEE: and I may be shown to others */
} ViaHead;

char *via_head_print (const ViaHead *head); /* with the end of the line */
gboolean via_head_parse (const char *line, ViaHead *head);
void via_head_clear (ViaHead *head);

/* Why not; coarse, for whoever asks is not to learn what others have allowed. */
typedef enum {
  VIA_REFUSAL_NONE,
  VIA_REFUSAL_UNREACHABLE, /* it is not there, or not for you */
  VIA_REFUSAL_REFUSED,     /* it takes nothing */
  VIA_REFUSAL_BUSY,
  VIA_REFUSAL_TIMED_OUT,
  VIA_REFUSAL_LOOP, /* a node would be there twice */
  VIA_REFUSAL_MALFORMED,
} ViaRefusal;

/* The answer to GO. */
typedef struct {
  ViaRefusal refusal;
  guint cost;     /* of what comes after whoever answers, and of himself, if he is in the middle */
  char **middles; /* ids of those in the middle after him */
} ViaAnswer;

char *via_answer_print (const ViaAnswer *answer);
gboolean via_answer_parse (const char *line, ViaAnswer *answer);
void via_answer_clear (ViaAnswer *answer);

/* One that may be seen: the answer to SEE is a line of them, and another for each change. */
typedef struct {
  guint cost;   /* from whoever tells */
  char **route; /* ids: those in the middle after him, and the node itself at the end */
} ViaSeen;

void via_seen_free (ViaSeen *seen); /* NULL: nothing */
const char *via_seen_get_target (const ViaSeen *seen);
guint via_seen_n_middles (const ViaSeen *seen); /* after whoever tells */
gboolean via_seen_has (const ViaSeen *seen, const char *id);
char *via_list_print (GPtrArray *list);       /* of ViaSeen */
GPtrArray *via_list_parse (const char *line); /* NULL: malformed */

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ViaHead, via_head_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (ViaAnswer, via_answer_clear)

G_END_DECLS
