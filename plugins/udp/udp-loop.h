/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* The thread on which datagrams move: one for the process, on epoll, there while anybody uses it.
 */
typedef struct _UdpLoop UdpLoop;

typedef struct {
  int fd;
  guint32 events;
  gboolean on;
  void (*ready) (gpointer owner, guint32 events);
  gpointer owner;
} UdpWatch;

/* Somebody whom time passes for. */
typedef struct {
  gint64 due; /* monotonic microseconds */
  /* Gives when it wants to be asked again. */
  gint64 (*tick) (gpointer owner, gint64 now);
  gpointer owner;
} UdpTicker;

#define UDP_NEVER G_MAXINT64

/* Any thread. */
UdpLoop *udp_loop_acquire (GError **error);
void udp_loop_release (UdpLoop *self);
/* FUNC runs on the loop, after all that is under way there: there is where it may free what events
 * may still be told of. */
typedef void (*UdpLoopFunc) (gpointer data);
void udp_loop_call (UdpLoop *self, UdpLoopFunc func, gpointer data);

/* On the loop. */
#define UDP_LOOP_BUFFER G_MAXUINT16
guint8 *udp_loop_get_buffer (UdpLoop *self); /* for one datagram, until whoever got it returns */
gboolean udp_loop_watch (UdpLoop *self, UdpWatch *watch, guint32 events);
void udp_loop_unwatch (UdpLoop *self, UdpWatch *watch);
void udp_loop_add_ticker (UdpLoop *self, UdpTicker *ticker);
void udp_loop_remove_ticker (UdpLoop *self, UdpTicker *ticker);
void udp_loop_hurry (UdpLoop *self, UdpTicker *ticker, gint64 due); /* not later than DUE */

G_END_DECLS
