/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/process.h"

#include <glib/gi18n-lib.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <hypha-api.h>
#include "hypha-child.h"
#include "hypha-fd.h"
#include "program/log.h"
#include "program/patience.h"

/* From the end of its input to SIGTERM, and from there to SIGKILL. */
#define GRACE_MS (hypha_program_patience_get () / 10)
#define NOT_RUN 127

/* Where the child keeps what it tells of a failure. */
#define REPORT_FD 3

struct _HyphaProgramProcess {
  pid_t pid;
  int process; /* pidfd */
  int report;  /* an errno, if the program could not be run */
  guint source;
  HyphaProgramLog *log;
  HyphaProgramProcessEnded ended; /* NULL: nobody asks any more */
  gpointer user_data;
  guint grace;
  int next_signal;
};

/* All that the child needs, made before the fork: after it nothing may be allocated. */
typedef struct {
  const char *path;
  char **argv;
  char **environment;
  int stream, log, report;
  pid_t parent;
} Plan;

/* What a program may know of ours: not the sockets, watchdogs and buses of a daemon. */
static char **
make_environment (const char *name)
{
  static const char *const kept[] = { "HOME",     "LANG",        "LANGUAGE", "LC_ALL",
                                      "LC_CTYPE", "LC_MESSAGES", "LOGNAME",  "PATH",
                                      "TMPDIR",   "TZ",          "USER",     "XDG_RUNTIME_DIR" };
  char **environment = g_new0 (char *, 1);
  gboolean raised = getauxval (AT_SECURE) != 0; /* then ours is of whoever started us */

  for (guint i = 0; !raised && i < G_N_ELEMENTS (kept); i++) {
    const char *value = g_getenv (kept[i]);

    if (value != NULL)
      environment = g_environ_setenv (environment, kept[i], value, TRUE);
  }
  if (g_environ_getenv (environment, "PATH") == NULL)
    environment = g_environ_setenv (environment, "PATH", "/usr/local/bin:/usr/bin:/bin", TRUE);
  return g_environ_setenv (environment, "HYPHA_PLUGIN", name, TRUE);
}

/* ---- the child: nothing here may allocate or lock ---- */

static void
give_up (int report)
{
  int code = errno;

  while (write (report, &code, sizeof code) < 0 && errno == EINTR)
    ;
  _exit (NOT_RUN);
}

/* A daemon may be one that the kernel spares when memory runs out; this is not. */
static void
become_mortal (void)
{
  int fd = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

  if (fd >= 0 && write (fd, "0", 1) < 0)
    errno = 0;
  hypha_fd_clear (&fd);
}

static void
run_child (gconstpointer data)
{
  const Plan *plan = data;
  /* Above what they are to become. */
  int stream = fcntl (plan->stream, F_DUPFD, 10), log = fcntl (plan->log, F_DUPFD, 10);
  int report = fcntl (plan->report, F_DUPFD_CLOEXEC, 10);

  if (report < 0)
    give_up (plan->report);
  if (stream < 0 || log < 0 || dup2 (stream, STDIN_FILENO) < 0 ||
      dup2 (stream, STDOUT_FILENO) < 0 || dup2 (log, STDERR_FILENO) < 0 ||
      dup3 (report, REPORT_FD, O_CLOEXEC) < 0)
    give_up (report);
  if (!hypha_child_close_from (REPORT_FD + 1) || setsid () < 0 || chdir ("/") < 0)
    give_up (REPORT_FD);
  hypha_child_reset_signals ();
  become_mortal ();
  /* Nothing is left of it that could hang, should we be killed. */
  prctl (PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid () != plan->parent)
    _exit (NOT_RUN);
  execve (plan->path, plan->argv, plan->environment);
  give_up (REPORT_FD);
}

/* ---- its end ---- */

static void
program_free (HyphaProgramProcess *self)
{
  g_clear_handle_id (&self->source, g_source_remove);
  g_clear_handle_id (&self->grace, g_source_remove);
  g_clear_pointer (&self->log, hypha_program_log_free);
  hypha_fd_clear (&self->process);
  hypha_fd_clear (&self->report);
  g_free (self);
}

/* The group, and the process itself as long as it has none. */
static void
send_signal (HyphaProgramProcess *self, int number)
{
  if (kill (-self->pid, number) < 0)
    kill (self->pid, number);
}

static char *
describe_end (HyphaProgramProcess *self, const siginfo_t *info)
{
  int code = 0;

  if (TEMP_FAILURE_RETRY (read (self->report, &code, sizeof code)) == sizeof code)
    return g_strdup_printf (_ ("it could not be run: %s"), g_strerror (code));
  if (info->si_pid == 0)
    return g_strdup (_ ("it ended, and somebody else was told how"));
  if (info->si_code == CLD_EXITED)
    return g_strdup_printf (_ ("it ended with status %d"), info->si_status);
  return g_strdup_printf (_ ("it was ended by signal %d (%s)"), info->si_status,
                          g_strsignal (info->si_status));
}

/* FALSE: it has not ended. INFO is empty if somebody else has heard how. */
static gboolean
has_ended (HyphaProgramProcess *self, siginfo_t *info)
{
  if (waitid (P_PID, (id_t) self->pid, info, WEXITED | WNOWAIT | WNOHANG) == 0)
    return info->si_pid != 0;
  /* Within another program, that has every child buried: its number may be another's by now. */
  self->pid = errno == ECHILD ? 0 : self->pid;
  return self->pid == 0;
}

static gboolean
on_exited (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaProgramProcess *self = user_data;
  siginfo_t info = { 0 };
  g_autofree char *how = NULL;

  if (!has_ended (self, &info))
    return G_SOURCE_CONTINUE;
  how = describe_end (self, &info);
  /* What it has left behind, as long as the number is its own. */
  if (self->pid != 0) {
    kill (-self->pid, SIGKILL);
    while (waitpid (self->pid, NULL, 0) < 0 && errno == EINTR)
      ;
  }
  self->source = 0;
  if (self->ended != NULL) {
    g_clear_pointer (&self->log, hypha_program_log_free);
    self->ended (how, self->user_data);
  }
  program_free (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_grace (gpointer user_data)
{
  HyphaProgramProcess *self = user_data;

  send_signal (self, self->next_signal);
  if (self->next_signal == SIGTERM) {
    self->next_signal = SIGKILL;
    return G_SOURCE_CONTINUE;
  }
  self->grace = 0;
  return G_SOURCE_REMOVE;
}

/* hypha_program_process_end:
 * @self: (transfer full): a process that has not ended yet; its socket has been closed, or is now
 * @at_once: do not wait for it to see that
 *
 * Ends the process: within two seconds, whatever it does. Nothing is told any more. */
void
hypha_program_process_end (HyphaProgramProcess *self, gboolean at_once)
{
  self->ended = NULL;
  self->next_signal = SIGTERM;
  if (at_once)
    send_signal (self, SIGKILL);
  else
    self->grace = g_timeout_add (GRACE_MS, on_grace, self);
}

int
hypha_program_process_get_pid (HyphaProgramProcess *self)
{
  return self->pid;
}

/* ---- its beginning ---- */

static gboolean
set_error (GError **error, const char *path)
{
  int code = errno;
  g_autofree char *display = g_filename_display_name (path);

  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("%s cannot be started: %s"), display,
               g_strerror (code));
  return FALSE;
}

static HyphaProgramProcess *
fork_program (const char *name, Plan *plan, const int logs[2], const int reports[2], GError **error)
{
  HyphaProgramProcess *self = g_new0 (HyphaProgramProcess, 1);

  self->process = self->report = -1;
  self->pid = hypha_child_fork (run_child, plan);
  self->process = self->pid > 0 ? (int) syscall (SYS_pidfd_open, self->pid, 0) : -1;
  if (self->process < 0) {
    set_error (error, plan->path);
    if (self->pid > 0) {
      kill (self->pid, SIGKILL);
      while (waitpid (self->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    }
    g_free (self);
    return NULL;
  }
  self->report = fcntl (reports[0], F_DUPFD_CLOEXEC, 0);
  self->log = hypha_program_log_new (fcntl (logs[0], F_DUPFD_CLOEXEC, 0), name);
  self->source = g_unix_fd_add (self->process, G_IO_IN, on_exited, self);
  return self;
}

static void
close_both (int fds[2])
{
  hypha_fd_clear (&fds[0]);
  hypha_fd_clear (&fds[1]);
}

/* hypha_program_process_start:
 * @name: of the plug-in
 * @path: what is run
 * @argv: with which words; the first one says what it is called
 * @ended: (scope notified): called once, unless hypha_program_process_end() was
 * @fd: (out): our end of the socket that its standard input and output are, non-blocking
 *
 * Starts a process: in a session of its own, in /, with an environment that has little of ours, no
 * descriptor but the three, every signal as usual. It is killed with us.
 *
 * Returns: (transfer full): the process, which frees itself after @ended, or %NULL with
 * %HYPHA_ERROR_UNAVAILABLE */
HyphaProgramProcess *
hypha_program_process_start (const char *name, const char *path, const char *const *argv,
                             HyphaProgramProcessEnded ended, gpointer user_data, int *fd,
                             GError **error)
{
  g_auto (GStrv) environment = make_environment (name);
  int streams[2] = { -1, -1 }, logs[2] = { -1, -1 }, reports[2] = { -1, -1 };
  HyphaProgramProcess *self = NULL;

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, streams) < 0 ||
      pipe2 (logs, O_CLOEXEC) < 0 || pipe2 (reports, O_CLOEXEC) < 0 ||
      fcntl (streams[0], F_SETFL, O_NONBLOCK) < 0 || fcntl (logs[0], F_SETFL, O_NONBLOCK) < 0 ||
      fcntl (reports[0], F_SETFL, O_NONBLOCK) < 0) {
    set_error (error, path);
  } else {
    Plan plan = { .path = path,
                  .argv = (char **) argv,
                  .environment = environment,
                  .stream = streams[1],
                  .log = logs[1],
                  .report = reports[1],
                  .parent = getpid () };

    self = fork_program (name, &plan, logs, reports, error);
  }
  if (self != NULL) {
    self->ended = ended;
    self->user_data = user_data;
    *fd = streams[0];
    streams[0] = -1;
  }
  close_both (streams);
  close_both (logs);
  close_both (reports);
  return self;
}
