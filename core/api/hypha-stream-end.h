/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What moves the bytes of a HyphaStream: a socket, or what a room above makes of it. Internal: not
 * installed, not exported. */

#include "hypha-stream.h"

G_BEGIN_DECLS

typedef struct _HyphaStreamEnd HyphaStreamEnd;

#define HYPHA_STREAM_END_AGAIN -2

/* Like the functions of GSocket; each may be called on any thread. */
typedef struct {
  /* Reads INTO, or else writes FROM, what can be at once; if nothing, HYPHA_STREAM_END_AGAIN
   * without an error. */
  gssize (*move) (HyphaStreamEnd *self, void *into, const void *from, gsize count,
                  GCancellable *cancellable, GError **error);
  /* For TIMEOUT (us; -1: for ever), then G_IO_ERROR_TIMED_OUT. It may wake too early. */
  gboolean (*wait) (HyphaStreamEnd *self, GIOCondition condition, gint64 timeout,
                    GCancellable *cancellable, GError **error);
  gboolean (*is_ready) (HyphaStreamEnd *self, GIOCondition condition);
  /* Its callback is a GSourceFunc that is given what was set with it. */
  GSource *(*create_source) (HyphaStreamEnd *self, GIOCondition condition,
                             GCancellable *cancellable);
  gboolean (*shutdown) (HyphaStreamEnd *self, gboolean reading, gboolean writing, GError **error);
  gboolean (*close) (HyphaStreamEnd *self, GError **error);
  int (*get_fd) (HyphaStreamEnd *self);
  int (*steal_fd) (HyphaStreamEnd *self); /* and closes */
  /* Goes on with FD (taken, also on failure) in the place of the program, and closes. FALSE: it
   * cannot, for the reason in errno. NULL: none of this kind can. */
  gboolean (*hand_over) (HyphaStreamEnd *self, int fd);
  void (*free) (HyphaStreamEnd *self);
} HyphaStreamEndFuncs;

/* The beginning of every kind. */
struct _HyphaStreamEnd {
  const HyphaStreamEndFuncs *funcs;
  gatomicrefcount ref_count;
};

void hypha_stream_end_init (HyphaStreamEnd *self, const HyphaStreamEndFuncs *funcs);
HyphaStreamEnd *hypha_stream_end_ref (HyphaStreamEnd *self);
void hypha_stream_end_unref (HyphaStreamEnd *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaStreamEnd, hypha_stream_end_unref)

/* The two last functions of such a source, so that it may be the child of another. */
gboolean hypha_stream_end_call_closure (gpointer closure);
#define HYPHA_STREAM_END_SOURCE_CLOSURES             \
  .closure_callback = hypha_stream_end_call_closure, \
  .closure_marshal = (GSourceDummyMarshal) g_cclosure_marshal_generic

/* FD is taken, also on failure. NULL if it is not a socket. */
HyphaStreamEnd *hypha_stream_end_new_for_socket (int fd);

/* A stream upon END, which is taken. */
HyphaStream *hypha_stream_new_for_end (HyphaStreamEnd *end, guint64 id, const char *service);

G_END_DECLS
