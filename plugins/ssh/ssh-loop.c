/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh-loop.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct {
  GMainContext *context;
  atomic_bool over;
} Loop;

/* A call on its way to another thread. */
typedef struct {
  GSourceFunc func;
  gpointer data;
} Call;

/* Not GLib's, which ThreadSanitizer does not see. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Loop *current; /* under it */
static guint holders; /* of that */

static gpointer
run (gpointer data)
{
  Loop *loop = data;

  g_main_context_push_thread_default (loop->context);
  while (!atomic_load (&loop->over))
    g_main_context_iteration (loop->context, TRUE);
  g_main_context_pop_thread_default (loop->context);
  g_main_context_unref (loop->context);
  g_free (loop);
  return NULL;
}

static Loop *
start (GError **error)
{
  Loop *loop = g_new0 (Loop, 1);
  GThread *thread;

  loop->context = g_main_context_new ();
  thread = g_thread_try_new ("hypha-ssh", run, loop, error);
  if (thread == NULL) {
    g_main_context_unref (loop->context);
    g_free (loop);
    return NULL;
  }
  g_thread_unref (thread); /* nobody waits for its end, not even the next one */
  return loop;
}

gboolean
ssh_loop_hold (GError **error)
{
  gboolean held;

  pthread_mutex_lock (&mutex);
  if (current == NULL)
    current = start (error);
  held = current != NULL;
  holders += held;
  pthread_mutex_unlock (&mutex);
  return held;
}

void
ssh_loop_release (void)
{
  pthread_mutex_lock (&mutex);
  if (--holders == 0) {
    Loop *loop = g_steal_pointer (&current);
    g_autoptr (GMainContext) context = g_main_context_ref (loop->context);

    atomic_store (&loop->over, TRUE); /* from now on it may be freed */
    g_main_context_wakeup (context);
  }
  pthread_mutex_unlock (&mutex);
}

/* What was done before the call was sent comes before what it does, and the mutex says so. */
static gboolean
arrive (gpointer data)
{
  Call *call = data, here;

  pthread_mutex_lock (&mutex);
  here = *call;
  pthread_mutex_unlock (&mutex);
  g_free (call);
  return here.func (here.data);
}

/* Under the mutex. */
static void
send_call (GMainContext *context, int priority, GSourceFunc func, gpointer data)
{
  GSource *source = g_idle_source_new ();
  Call *call = g_new (Call, 1);

  *call = (Call){ func, data };
  g_source_set_priority (source, priority);
  g_source_set_callback (source, arrive, call, NULL);
  g_source_attach (source, context);
  g_source_unref (source);
}

void
ssh_loop_post (GSourceFunc func, gpointer data)
{
  pthread_mutex_lock (&mutex);
  send_call (current->context, G_PRIORITY_DEFAULT, func, data);
  pthread_mutex_unlock (&mutex);
}

void
ssh_loop_post_back (GTask *task, GSourceFunc func, gpointer data)
{
  pthread_mutex_lock (&mutex);
  send_call (g_task_get_context (task), g_task_get_priority (task), func, data);
  pthread_mutex_unlock (&mutex);
}
