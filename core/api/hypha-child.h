/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between fork() and execve(), where nothing may allocate or lock. Internal: not installed. */

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <glib.h>

G_BEGIN_DECLS

/* Closes FIRST and all above it, on an old kernel up to the limit of this process, or to a million.
 * FALSE: errno. */
static inline gboolean
hypha_child_close_from (guint first)
{
  struct rlimit limit;

  if (syscall (SYS_close_range, first, ~0U, 0U) == 0)
    return TRUE;
  if (getrlimit (RLIMIT_NOFILE, &limit) != 0)
    return FALSE;
  for (rlim_t fd = first; fd < MIN (limit.rlim_cur, 1 << 20); fd++)
    close ((int) fd);
  return TRUE;
}

/* All signals do what they do by default, and none is blocked: one that has been since before
 * fork() ends the child, as it would what it becomes. */
static inline void
hypha_child_reset_signals (void)
{
  struct sigaction usual = { .sa_handler = SIG_DFL };
  sigset_t none;

  for (int number = 1; number < NSIG; number++)
    sigaction (number, &usual, NULL);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
}

/* The child does what CHILD does with DATA, and nothing after it; until it resets its signals, no
 * handler of this process runs there. Gives its id; -1: errno. */
static inline pid_t
hypha_child_fork (void (*child) (gconstpointer data), gconstpointer data)
{
  sigset_t all, before;
  pid_t pid;

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  pid = fork ();
  if (pid == 0) {
    child (data);
    _exit (127);
  }
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return pid;
}

G_END_DECLS
