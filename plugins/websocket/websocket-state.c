/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-state.h"

static void
clear (gpointer state)
{
  WebsocketState *self = state;

  g_clear_object (&self->trust.database);
  g_free (self->trust.path);
}

HyphaLoop *
websocket_state_acquire_loop (GError **error)
{
  return hypha_loop_acquire ("hypha-websocket", sizeof (WebsocketState), clear, error);
}

WebsocketState *
websocket_state_get (HyphaLoop *loop)
{
  return hypha_loop_get_state (loop);
}

GSource *
websocket_attach (GSource *source, GSourceFunc func, gpointer data)
{
  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, g_main_context_get_thread_default ());
  return source;
}

GSource *
websocket_add_timeout (guint ms, GSourceFunc func, gpointer data)
{
  return websocket_attach (g_timeout_source_new (ms), func, data);
}

void
websocket_clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}
