/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <hypha-plugin.h>

G_BEGIN_DECLS

/* The thread on which everything of this transport moves: one for the process, with a main context
 * of its own, which is its default; there while anybody uses it. */
typedef struct _WebsocketLoop WebsocketLoop;

typedef void (*WebsocketLoopFunc) (gpointer data);

/* From any thread. */
WebsocketLoop *websocket_loop_acquire (GError **error);
WebsocketLoop *websocket_loop_ref (WebsocketLoop *self);
void websocket_loop_release (WebsocketLoop *self);
void websocket_loop_call (WebsocketLoop *self, WebsocketLoopFunc func, gpointer data);

/* On the loop: WEBSOCKET_LOOP_BUFFER bytes for whoever is at work, until he returns. */
#define WEBSOCKET_LOOP_BUFFER (64 * 1024)
guint8 *websocket_loop_get_buffer (WebsocketLoop *self);
/* On the loop: what few may do at once, of this node's own (FALSE) or of those who come. */
typedef struct {
  guint running;
  GQueue waiting;
} WebsocketGate;
WebsocketGate *websocket_loop_get_gate (WebsocketLoop *self, gboolean coming);
/* On the loop: what was read from a file with certificates to trust; all are NULL or 0 at first,
 * and freed with the loop. */
typedef struct {
  char *path;
  struct timespec changed;
  GTlsDatabase *database;
} WebsocketTrust;
WebsocketTrust *websocket_loop_get_trust (WebsocketLoop *self);
/* On the loop: calls FUNC (with DATA) in MS milliseconds, and again as long as it says so. To
 * destroy by websocket_clear_source. */
GSource *websocket_loop_add_timeout (guint ms, GSourceFunc func, gpointer data);
/* Attaches SOURCE, which is taken, to the default context of this thread. */
GSource *websocket_attach (GSource *source, GSourceFunc func, gpointer data);
void websocket_clear_source (GSource **source);

G_END_DECLS
