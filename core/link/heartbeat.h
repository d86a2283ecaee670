/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Is the other end there, does it hear, and how far away is it: pure, times in microseconds. A
 * received byte shows that the peer can send; only a PONG, or an ACK of data that went over this
 * link, shows that it can hear. While something that was sent has not been shown to be heard, it
 * is pinged often and trusted for a short time only; otherwise rarely, and for long. */
#define HYPHA_HEARTBEAT_SAMPLES 16
#define HYPHA_HEARTBEAT_PENDING 16

typedef struct {
  gint64 interval, timeout; /* ping-interval, link-timeout */
  gint64 heard;             /* last byte from the peer */
  gint64 confirmed;         /* last ACK of data that went over this link */
  gint64 received;          /* last frame from the peer that was no ping and no pong */
  gint64 srtt, deviation;   /* of the round trips, smoothed: as they are now, load included */
  guint64 sent, proven;     /* frames sent, and those that the peer is known to have read */
  gint64 busy_since;        /* since when there are more of the former */
  gint64 looked;            /* when take_ping was last called */
  gint64 last_ping;
  guint64 next_token;
  gint64 stuck; /* since when the output has been waiting in vain; -1: it is not */
  struct {
    guint64 token;
    gint64 at;
    guint64 sent;                     /* before it: a PONG shows that they were read */
  } pending[HYPHA_HEARTBEAT_PENDING]; /* oldest first */
  guint n_pending;
  guint64 owed; /* token of the latest ping to be answered */
  gboolean owes;
  struct {
    gint64 at, rtt;
  } samples[HYPHA_HEARTBEAT_SAMPLES];
  guint n_samples, next_sample;
} HyphaHeartbeat;

void hypha_heartbeat_init (HyphaHeartbeat *self, gint64 now, gint64 interval, gint64 timeout,
                           gint64 first_rtt);
void hypha_heartbeat_configure (HyphaHeartbeat *self, gint64 interval, gint64 timeout);
void hypha_heartbeat_heard (HyphaHeartbeat *self, gint64 now);     /* any byte */
void hypha_heartbeat_confirmed (HyphaHeartbeat *self, gint64 now); /* an ACK of data sent here */
void hypha_heartbeat_all_heard (HyphaHeartbeat *self); /* likewise, of the last of all */
/* A frame that is no ping and no pong came; or went out, and wants to be heard. The latter is TRUE
 * if the link was idle: ask hypha_heartbeat_next() anew. */
void hypha_heartbeat_received (HyphaHeartbeat *self, gint64 now);
gboolean hypha_heartbeat_sent (HyphaHeartbeat *self, gint64 now);
void hypha_heartbeat_ping_received (HyphaHeartbeat *self,
                                    guint64 token); /* owes a pong; the latest only */
void hypha_heartbeat_pong_received (HyphaHeartbeat *self, guint64 token, gint64 now);
/* What is written waits for the peer to take it; MOVED: some of it was taken just now. */
void hypha_heartbeat_output (HyphaHeartbeat *self, gboolean waiting, gboolean moved, gint64 now);
/* Of the next ping; without it they count up. Unpredictable, it makes a PONG prove that the ping
 * was read. */
void hypha_heartbeat_set_token (HyphaHeartbeat *self, guint64 token);
/* What is to be sent now: TRUE with the token. Counts as sent. */
gboolean hypha_heartbeat_take_ping (HyphaHeartbeat *self, gint64 now, guint64 *token);
/* Likewise behind something that nobody acknowledges. */
gboolean hypha_heartbeat_wants_ping_along (const HyphaHeartbeat *self, gint64 now);
gboolean hypha_heartbeat_take_ping_along (HyphaHeartbeat *self, gint64 now, guint64 *token);
gboolean hypha_heartbeat_take_pong (HyphaHeartbeat *self, guint64 *token);
gint64 hypha_heartbeat_next (const HyphaHeartbeat *self); /* when to look again */
gboolean hypha_heartbeat_is_suspect (const HyphaHeartbeat *self,
                                     gint64 now); /* the oldest ping is overdue */
gboolean hypha_heartbeat_is_dead (const HyphaHeartbeat *self,
                                  gint64 now); /* nothing for the timeout */
gboolean hypha_heartbeat_is_stuck (const HyphaHeartbeat *self,
                                   gint64 now); /* dead, for nothing was taken for the timeout */
gint64 hypha_heartbeat_rtt (const HyphaHeartbeat *self); /* minimum over the window */
/* static + RTT in ms + penalty (50 for each ping that is overdue), without overflow. */
guint32 hypha_heartbeat_cost (const HyphaHeartbeat *self, guint32 static_cost, gint64 now);

G_END_DECLS
