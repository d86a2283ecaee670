/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One direction of a JSON channel: who waits for it, each in turn. */

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

typedef struct _HyphaJsonLane HyphaJsonLane;
typedef struct _HyphaJsonTurn HyphaJsonTurn;

/* One message that is to go out, or is waited for. */
struct _HyphaJsonTurn {
  GTask *task;          /* NULL: it is held, or was given up while a reply is on its way */
  GBytes *bytes;        /* to go out */
  gsize done;           /* of them */
  gboolean is_kept;     /* the stream may have some of them without saying so */
  HyphaJsonTurn *reply; /* nullable; the turn, in the other lane, that waits for what answers it */
  gboolean is_reply;
  gboolean held;  /* its request is not out yet */
  JsonNode *node; /* that came */
  GSource *cancelled;
  GSource *timer;
  guint timeout_ms; /* of it */
};

typedef enum {
  HYPHA_JSON_STEP_AGAIN,  /* nothing can be moved now */
  HYPHA_JSON_STEP_DONE,   /* the turn is over, well or with an error of its own */
  HYPHA_JSON_STEP_BROKEN, /* it is over, and so is the lane */
} HyphaJsonStep;

/* What the two directions do differently; SELF is the channel. */
typedef struct {
  /* Moves what can be moved at once for the turn that is the first. */
  HyphaJsonStep (*step) (gpointer self, HyphaJsonTurn *turn, GError **error);
  GSource *(*create_source) (gpointer self);
  /* Whether a message has been moved in part. */
  gboolean (*is_midst) (gpointer self, HyphaJsonTurn *turn);
  GError *(*new_timeout) (gpointer self, HyphaJsonTurn *turn);
  GError *(*new_closed) (gpointer self, const GError *cause);
  /* Answers the turn's task, which is taken. ERROR: nullable. */
  void (*answer) (gpointer self, HyphaJsonTurn *turn, GTask *task, const GError *error);
} HyphaJsonLaneFuncs;

struct _HyphaJsonLane {
  const HyphaJsonLaneFuncs *funcs;
  gpointer channel; /* whose part this is */
  guint timeout_ms;
  GQueue turns;   /* owned */
  GSource *ready; /* nullable; for the first of them */
  GError *broken; /* why nothing more can be moved; NULL as long as it can */
};

/* Takes TURN; it may be over before this returns, unless it is held. */
void hypha_json_lane_add (HyphaJsonLane *self, HyphaJsonTurn *turn);
/* The request of TURN, which is held here, is out: it waits with TASK, which is taken. */
void hypha_json_lane_release (HyphaJsonLane *self, HyphaJsonTurn *turn, GTask *task);
/* The request of TURN, which is held here, is not going out. */
void hypha_json_lane_drop (HyphaJsonLane *self, HyphaJsonTurn *turn);
void hypha_json_lane_clear (HyphaJsonLane *self);

G_END_DECLS
