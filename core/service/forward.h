/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "node/telling.h"
#include "node/trust.h"
#include "service/builtin.h"

G_BEGIN_DECLS

/* One local endpoint whose connections go to a service of a peer; or one of a peer's, which leads
 * to a service of this node. Listens as soon as it is opened, and again when that failed. Signal:
 * changed (): something that is told below. Main thread. */
#define HYPHA_TYPE_FORWARD (hypha_forward_get_type ())
G_DECLARE_FINAL_TYPE (HyphaForward, hypha_forward, HYPHA, FORWARD, GObject)

/* A target that each connection names, as whoever connects to the vsock of a machine does. */
#define HYPHA_FORWARD_MUX "*"
/* "kind:*" with "scheme://host:*" to listen on is a mirror: one such forward for each port that the
 * peer listens on. See mirror.h. */

/* As a peer: this node, and the target is an endpoint. */
#define HYPHA_FORWARD_SELF HYPHA_TRUST_SELF

/* More are reset. */
#define HYPHA_FORWARD_MAX_CONNECTIONS 1024

/* What makes two of them the same. */
typedef struct {
  const char *local, *peer, *target;
  gboolean reverse; /* the peer listens, and the target is a service of this node */
} HyphaForwardPlan;

/* Who wants it; but for the first, it tries until it can listen. */
typedef enum {
  HYPHA_FORWARD_ASKED,    /* somebody, at run time */
  HYPHA_FORWARD_SETTINGS, /* permanent */
  HYPHA_FORWARD_PEER,     /* the peer, for which it is a reverse one */
} HyphaForwardOrigin;

/* BUILTINS: nullable; without them, the peer is another node. */
HyphaForward *hypha_forward_new (HyphaNode *node, HyphaBuiltins *builtins, guint64 serial,
                                 const HyphaForwardPlan *plan, HyphaForwardOrigin origin,
                                 GError **error);
/* What people call its peer, where that is known to be another than it was given. */
void hypha_forward_call_peer (HyphaForward *self, const char *name);
/* Its reasons are told as often as TELLING lets it, with those of others; TELLING lives as long. */
void hypha_forward_share_telling (HyphaForward *self, HyphaTelling *telling);
void hypha_forward_open (HyphaForward *self); /* now; does nothing while it listens */
/* Completes with a string once it listens, or with why it does not. */
void hypha_forward_await (HyphaForward *self, GTask *task);
/* For good. Connections that wait for the peer are reset, those that are joined go on. */
void hypha_forward_close (HyphaForward *self);

gboolean hypha_forward_is (HyphaForward *self, const HyphaForwardPlan *plan);
/* Valid for as long as SELF is. */
HyphaForwardPlan hypha_forward_get_plan (HyphaForward *self);
HyphaForwardOrigin hypha_forward_get_origin (HyphaForward *self);
gboolean hypha_forward_is_permanent (HyphaForward *self);
void hypha_forward_set_permanent (HyphaForward *self, gboolean permanent);
guint64 hypha_forward_get_serial (HyphaForward *self); /* names it for as long as the node lives */
const char *hypha_forward_get_given (HyphaForward *self); /* what is to be listened on */
const char *hypha_forward_get_local (HyphaForward *self); /* the same, or what is bound */
const char *hypha_forward_get_peer (HyphaForward *self);
const char *hypha_forward_get_target (HyphaForward *self);
gboolean hypha_forward_is_reverse (HyphaForward *self);
const char *hypha_forward_get_state (HyphaForward *self); /* "opening", "listening", "failed" */
/* Why it failed, or why the last connection did not end well; "": neither. */
const char *hypha_forward_get_reason (HyphaForward *self);
/* Over the connections that have ended. RX: from the peer. */
void hypha_forward_get_counters (HyphaForward *self, guint64 *rx_bytes, guint64 *tx_bytes);
GVariant *hypha_forward_dup_ports (HyphaForward *self); /* aq: of a mirror, those listened on */

G_END_DECLS
