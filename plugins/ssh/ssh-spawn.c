/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh-spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* By vfork(), and not by what GLib has: that copies the page tables of a large process for each ssh
 * where something is to be done before exec, and makes all others wait for it meanwhile. */

/* Beside its parent, whose memory this is, until exec: system calls and nothing else. */
typedef struct {
  const char *path;
  char *const *argv;
  int streams, words; /* none of them is a standard one */
  volatile int failure;
} Birth;

/* What this process does on a signal is not the other's, but for what it ignores; SIGPIPE it does
 * for its own reasons. */
static void
forget_signals (void)
{
  const struct sigaction plain = { .sa_handler = SIG_DFL };
  struct sigaction found;
  sigset_t none;

  for (int i = 1; i < NSIG; i++)
    if (sigaction (i, NULL, &found) == 0 && (i == SIGPIPE || found.sa_handler != SIG_IGN))
      sigaction (i, &plain, NULL);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
}

static G_NORETURN void
be_born (Birth *birth)
{
  /* That nobody reads its output any more it may find out much later. */
  prctl (PR_SET_PDEATHSIG, SIGTERM);
  /* No terminal: neither to ask there, nor to be interrupted with its parent, which says good-bye
   * through it. */
  setsid ();
  if (dup2 (birth->streams, STDIN_FILENO) >= 0 && dup2 (birth->streams, STDOUT_FILENO) >= 0 &&
      dup2 (birth->words, STDERR_FILENO) >= 0) {
    /* Others may have opened something without close-on-exec; what is Hypha's has it. */
    syscall (SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
    forget_signals ();
    execve (birth->path, birth->argv, environ);
  }
  birth->failure = errno;
  _exit (127);
}

static pid_t
give_birth (Birth *birth)
{
  sigset_t all, before;
  pid_t pid;

  /* No handler of ours may run over there. */
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  pid = vfork ();
  if (pid == 0)
    be_born (birth);
  if (pid < 0)
    birth->failure = errno;
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  return pid;
}

/**
 * ssh_spawn:
 * @argv: a path, or a name to look for in `PATH`, and its arguments
 * @streams: becomes its standard input and output; borrowed
 * @words: becomes its standard error; borrowed
 * @error: return location for an error: why it could not be started
 *
 * Returns: its process id, or -1
 */
GPid
ssh_spawn (const char *const *argv, int streams, int words, GError **error)
{
  g_autofree char *path = g_find_program_in_path (argv[0]);
  Birth birth = { .path = path,
                  .argv = (char *const *) argv,
                  .streams = fcntl (streams, F_DUPFD_CLOEXEC, 3),
                  .words = fcntl (words, F_DUPFD_CLOEXEC, 3) };
  pid_t pid = -1;

  if (path == NULL)
    birth.failure = ENOENT;
  else if (birth.streams < 0 || birth.words < 0)
    birth.failure = errno;
  else
    pid = give_birth (&birth);
  if (birth.streams >= 0)
    g_close (birth.streams, NULL);
  if (birth.words >= 0)
    g_close (birth.words, NULL);
  if (birth.failure == 0)
    return pid;
  if (pid > 0)
    waitpid (pid, NULL, 0);
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, g_strerror (birth.failure));
  return -1;
}
