/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* The thread on which packets move: one for the process, on epoll, there while anybody uses it. */
typedef struct _QuicLoop QuicLoop;

typedef struct {
  int fd;
  guint32 events;
  gboolean on;
  void (*ready) (gpointer owner, guint32 events);
  gpointer owner;
} QuicWatch;

/* Somebody whom time passes for. Those that are due run after everybody who is ready, so that what
 * came in one batch is answered in one. */
typedef struct {
  guint64 due; /* as quic_now() */
  guint place; /* 0: it is not among those who wait */
  void (*fire) (gpointer owner, guint64 now);
  gpointer owner;
} QuicTimer;

#define QUIC_NEVER G_MAXUINT64

/* Monotonic, in nanoseconds. */
guint64 quic_now (void);

/* Any thread. */
QuicLoop *quic_loop_acquire (GError **error);
void quic_loop_release (QuicLoop *self);
/* FUNC runs on the loop, after all that is under way there: there is where it may free what events
 * may still be told of. */
typedef void (*QuicLoopFunc) (gpointer data);
void quic_loop_call (QuicLoop *self, QuicLoopFunc func, gpointer data);

/* Before FD is closed on another thread than the loop's: no copy of it, in a child that has not got
 * as far as its program, tells of it any more. Its watch is taken back on the loop, later. */
void quic_loop_forget (QuicLoop *self, int fd);

/* On the loop. */
gboolean quic_loop_watch (QuicLoop *self, QuicWatch *watch, guint32 events);
void quic_loop_unwatch (QuicLoop *self, QuicWatch *watch);
void quic_loop_set_timer (QuicLoop *self, QuicTimer *timer, guint64 due);

/* Buffers for whoever runs: good until he returns. */
#define QUIC_LOOP_BATCH 8
#define QUIC_LOOP_BUFFER G_MAXUINT16
guint8 *quic_loop_get_input (QuicLoop *self, guint i); /* QUIC_LOOP_BATCH of them */
guint8 *quic_loop_get_output (QuicLoop *self);
/* For quic-routes alone, which has one for all: NULL at first, and at last. */
gpointer *quic_loop_get_routes (QuicLoop *self);

G_END_DECLS
