/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Threads of the library's own. Internal: not installed. */

#include <pthread.h>
#include <signal.h>
#include <glib.h>

G_BEGIN_DECLS

/* It takes no signals: those are for the threads of the program, and a write to a closed socket
 * shall be an error there, not a SIGPIPE. What the thread itself raises by a fault stays as it is.
 * 0, or errno. */
static inline int
hypha_thread_create (pthread_t *thread, void *(*run) (void *), gpointer data)
{
  static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
  sigset_t all, before;
  int reason;

  sigfillset (&all);
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++)
    sigdelset (&all, faults[i]);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  reason = pthread_create (thread, NULL, run, data);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return reason;
}

G_END_DECLS
