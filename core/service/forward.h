/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "node/telling.h"

G_BEGIN_DECLS

/* One local endpoint whose connections go to a service of a peer. Listens as soon as it is opened,
 * and again when that failed. Signal: changed (): something that is told below. Main thread. */
#define HYPHA_TYPE_FORWARD (hypha_forward_get_type ())
G_DECLARE_FINAL_TYPE (HyphaForward, hypha_forward, HYPHA, FORWARD, GObject)

/* A target that each connection names, as whoever connects to the vsock of a machine does. */
#define HYPHA_FORWARD_MUX "*"
/* "kind:*" with "scheme://host:*" to listen on is a mirror: one such forward for each port that the
 * peer listens on. See mirror.h. */

/* More are reset. */
#define HYPHA_FORWARD_MAX_CONNECTIONS 1024

/* PERMANENT: it is of the settings, and tries until it can listen. */
HyphaForward *hypha_forward_new (HyphaNode *node, guint64 serial, const char *local,
                                 const char *peer, const char *target, gboolean permanent,
                                 GError **error);
/* Its reasons are told as often as TELLING lets it, with those of others; TELLING lives as long. */
void hypha_forward_share_telling (HyphaForward *self, HyphaTelling *telling);
void hypha_forward_open (HyphaForward *self); /* now; does nothing while it listens */
/* Completes with a string once it listens, or with why it does not. */
void hypha_forward_await (HyphaForward *self, GTask *task);
/* For good. Connections that wait for the peer are reset, those that are joined go on. */
void hypha_forward_close (HyphaForward *self);

gboolean hypha_forward_is (HyphaForward *self, const char *local, const char *peer,
                           const char *target);
gboolean hypha_forward_is_permanent (HyphaForward *self);
void hypha_forward_set_permanent (HyphaForward *self, gboolean permanent);
guint64 hypha_forward_get_serial (HyphaForward *self); /* names it for as long as the node lives */
const char *hypha_forward_get_given (HyphaForward *self); /* what is to be listened on */
const char *hypha_forward_get_local (HyphaForward *self); /* the same, or what is bound */
const char *hypha_forward_get_peer (HyphaForward *self);
const char *hypha_forward_get_target (HyphaForward *self);
const char *hypha_forward_get_state (HyphaForward *self); /* "opening", "listening", "failed" */
/* Why it failed, or why the last connection did not end well; "": neither. */
const char *hypha_forward_get_reason (HyphaForward *self);
/* Over the connections that have ended. RX: from the peer. */
void hypha_forward_get_counters (HyphaForward *self, guint64 *rx_bytes, guint64 *tx_bytes);
GVariant *hypha_forward_dup_ports (HyphaForward *self); /* aq: of a mirror, those listened on */

G_END_DECLS
