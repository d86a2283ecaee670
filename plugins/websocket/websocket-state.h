/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <hypha-plugin.h>

G_BEGIN_DECLS

#define WEBSOCKET_BUFFER (64 * 1024)

/* What few may do at once, of this node's own or of those who come. */
typedef struct {
  guint running;
  GQueue waiting;
} WebsocketGate;

/* What was read from a file with certificates to trust; all are NULL or 0 at first. */
typedef struct {
  char *path;
  struct timespec changed;
  GTlsDatabase *database;
} WebsocketTrust;

/* What the thread has on which everything of this transport moves: one for the process, there while
 * anything is open. */
typedef struct {
  WebsocketGate going, coming;
  WebsocketTrust trust;
  guint8 buffer[WEBSOCKET_BUFFER]; /* for whoever is at work, until he returns */
} WebsocketState;

/* Any thread. */
HyphaLoop *websocket_state_acquire_loop (GError **error);

/* On the loop. */
WebsocketState *websocket_state_get (HyphaLoop *loop);
/* Calls FUNC (with DATA) in MS milliseconds, and again as long as it says so. To destroy by
 * websocket_clear_source. */
GSource *websocket_add_timeout (guint ms, GSourceFunc func, gpointer data);
/* Attaches SOURCE, which is taken, to the default context of this thread. */
GSource *websocket_attach (GSource *source, GSourceFunc func, gpointer data);
void websocket_clear_source (GSource **source);

G_END_DECLS
