/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "websocket-loop.h"

#include <glib/gi18n-lib.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

typedef struct {
  WebsocketLoopFunc func;
  gpointer data;
} Call;

struct _WebsocketLoop {
  guint users; /* under the mutex of all loops */
  pthread_mutex_t mutex;
  GArray *inbox; /* of Call */
  GMainContext *context;
  _Atomic gboolean stopping;
  WebsocketGate gates[2];
  WebsocketTrust trust;
  guint8 buffer[WEBSOCKET_LOOP_BUFFER]; /* the thread's alone, as the gates are */
};

/* Not by GLib: ThreadSanitizer sees these alone, as Debian builds GLib. */
static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static WebsocketLoop *current;

static void
loop_free (WebsocketLoop *self)
{
  g_main_context_unref (self->context);
  g_array_unref (self->inbox);
  pthread_mutex_destroy (&self->mutex);
  g_clear_object (&self->trust.database);
  g_free (self->trust.path);
  g_free (self);
}

static void *
run (void *data)
{
  WebsocketLoop *self = data;

  g_main_context_push_thread_default (self->context);
  while (!atomic_load (&self->stopping))
    g_main_context_iteration (self->context, TRUE);
  /* What was given up on ends at once, but through the context. */
  while (g_main_context_iteration (self->context, FALSE))
    ;
  g_main_context_pop_thread_default (self->context);
  loop_free (self);
  return NULL;
}

static WebsocketLoop *
loop_new (GError **error)
{
  static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
  WebsocketLoop *self = g_new0 (WebsocketLoop, 1);
  sigset_t all, before;
  pthread_attr_t attributes;
  pthread_t thread;
  int reason;

  self->context = g_main_context_new ();
  self->inbox = g_array_new (FALSE, FALSE, sizeof (Call));
  pthread_mutex_init (&self->mutex, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (self->gates); i++)
    g_queue_init (&self->gates[i].waiting);
  /* Signals are for the threads of the program. */
  sigfillset (&all);
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    sigdelset (&all, faults[i]);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  pthread_attr_init (&attributes);
  pthread_attr_setdetachstate (&attributes, PTHREAD_CREATE_DETACHED);
  reason = pthread_create (&thread, &attributes, run, self);
  pthread_attr_destroy (&attributes);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (reason == 0) {
    pthread_setname_np (thread, "hypha-websocket");
    return self;
  }
  loop_free (self);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
               _ ("no thread for WebSockets can be made: %s"), g_strerror (reason));
  return NULL;
}

WebsocketLoop *
websocket_loop_acquire (GError **error)
{
  WebsocketLoop *self;

  pthread_mutex_lock (&all_mutex);
  if (current == NULL)
    current = loop_new (error);
  self = current;
  if (self != NULL)
    self->users++;
  pthread_mutex_unlock (&all_mutex);
  return self;
}

WebsocketLoop *
websocket_loop_ref (WebsocketLoop *self)
{
  pthread_mutex_lock (&all_mutex);
  self->users++;
  pthread_mutex_unlock (&all_mutex);
  return self;
}

void
websocket_loop_release (WebsocketLoop *self)
{
  g_autoptr (GMainContext) context = NULL;

  pthread_mutex_lock (&all_mutex);
  if (--self->users == 0) {
    current = NULL;
    context = g_main_context_ref (self->context);
    atomic_store (&self->stopping, TRUE);
  }
  pthread_mutex_unlock (&all_mutex);
  if (context != NULL)
    g_main_context_wakeup (context);
}

static gboolean
on_calls (gpointer data)
{
  WebsocketLoop *self = data;
  g_autoptr (GArray) calls = NULL;

  pthread_mutex_lock (&self->mutex);
  calls = g_steal_pointer (&self->inbox);
  self->inbox = g_array_new (FALSE, FALSE, sizeof (Call));
  pthread_mutex_unlock (&self->mutex);
  for (guint i = 0; i < calls->len; i++) {
    const Call *call = &g_array_index (calls, Call, i);

    call->func (call->data);
  }
  return G_SOURCE_REMOVE;
}

void
websocket_loop_call (WebsocketLoop *self, WebsocketLoopFunc func, gpointer data)
{
  const Call call = { func, data };

  /* The call may be what ends the loop: it waits for the mutex. */
  pthread_mutex_lock (&self->mutex);
  g_array_append_val (self->inbox, call);
  if (self->inbox->len == 1) {
    g_autoptr (GSource) source = g_idle_source_new ();

    g_source_set_priority (source, G_PRIORITY_DEFAULT);
    g_source_set_callback (source, on_calls, self, NULL);
    g_source_attach (source, self->context);
  }
  pthread_mutex_unlock (&self->mutex);
}

guint8 *
websocket_loop_get_buffer (WebsocketLoop *self)
{
  return self->buffer;
}

WebsocketGate *
websocket_loop_get_gate (WebsocketLoop *self, gboolean coming)
{
  return &self->gates[coming ? 1 : 0];
}

WebsocketTrust *
websocket_loop_get_trust (WebsocketLoop *self)
{
  return &self->trust;
}

GSource *
websocket_attach (GSource *source, GSourceFunc func, gpointer data)
{
  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, g_main_context_get_thread_default ());
  return source;
}

GSource *
websocket_loop_add_timeout (guint ms, GSourceFunc func, gpointer data)
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
