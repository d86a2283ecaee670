/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/child.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hypha-api.h>

#define GRACE_MS 2000

struct _HyphaAgentChild {
  const HyphaAgentChildEvents *events;
  gpointer user_data;
  pid_t pid;
  int process; /* pidfd */
  int report;
  guint process_source, report_source;
  gboolean alone;
  gboolean never_ran; /* and ends by itself */
  gboolean exited;
  guint grace; /* timer, from SIGHUP to SIGKILL */
  gboolean killed;
};

static guint children;

/**
 * hypha_agent_child_count:
 *
 * Returns: how many processes there are that are not reaped
 */
guint
hypha_agent_child_count (void)
{
  return children;
}

static void
close_report (HyphaAgentChild *self)
{
  g_clear_handle_id (&self->report_source, g_source_remove);
  if (self->report >= 0)
    close (self->report);
  self->report = -1;
}

/* Only here is it reaped: until then its number is nobody else's, nor is that of its group. */
static void
child_free (HyphaAgentChild *self)
{
  close_report (self);
  g_clear_handle_id (&self->process_source, g_source_remove);
  g_clear_handle_id (&self->grace, g_source_remove);
  if (self->process >= 0)
    close (self->process);
  while (waitpid (self->pid, NULL, 0) < 0 && errno == EINTR)
    ;
  children--;
  g_free (self);
}

/* ---- what happens ---- */

static gboolean
on_report (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaAgentChild *self = user_data;
  HyphaAgentReport why_not;
  gssize n = read (fd, &why_not, sizeof why_not);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  self->report_source = 0;
  close_report (self);
  self->never_ran = n == sizeof why_not;
  if (self->never_ran)
    self->events->ran (&why_not, self->user_data);
  else
    self->events->ran (NULL, self->user_data);
  return G_SOURCE_REMOVE;
}

/* Its status is looked at, and the process stays. */
static gboolean
on_exited (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaAgentChild *self = user_data;
  siginfo_t info = { 0 };
  int status;

  if (waitid (P_PID, (id_t) self->pid, &info, WEXITED | WNOWAIT | WNOHANG) < 0 || info.si_pid == 0)
    return G_SOURCE_CONTINUE;
  self->process_source = 0;
  self->exited = TRUE;
  status =
      info.si_code == CLD_EXITED ? W_EXITCODE (info.si_status, 0) : W_EXITCODE (0, info.si_status);
  if (self->events)
    self->events->exited (status, self->user_data);
  else if (self->killed || self->alone)
    child_free (self);
  return G_SOURCE_REMOVE;
}

/**
 * hypha_agent_child_new:
 * @launch: a process that was just started; its process and report are taken, its fds are not
 * @events: what is told, as long-lived as the program
 * @user_data: for @events
 * @error: return location for an error: %HYPHA_ERROR_FAILED; the process is ended then
 *
 * Returns: (transfer full) (nullable): the process
 */
HyphaAgentChild *
hypha_agent_child_new (const HyphaAgentLaunch *launch, const HyphaAgentChildEvents *events,
                       gpointer user_data, GError **error)
{
  HyphaAgentChild *self = g_new0 (HyphaAgentChild, 1);

  self->events = events;
  self->alone = events->alone;
  self->user_data = user_data;
  self->pid = launch->pid;
  self->report = launch->report;
  self->process = (int) syscall (SYS_pidfd_open, self->pid, 0);
  children++;
  if (self->process < 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("a process cannot be watched: %s"),
                 g_strerror (errno));
    kill (self->pid, SIGKILL);
    child_free (self);
    return NULL;
  }
  self->process_source = g_unix_fd_add (self->process, G_IO_IN, on_exited, self);
  self->report_source = g_unix_fd_add (self->report, G_IO_IN | G_IO_HUP, on_report, self);
  return self;
}

/**
 * hypha_agent_child_signal:
 * @self: a process
 * @number: of a signal
 *
 * Sends it to the process group; to the process alone as long as it has none of its own.
 */
void
hypha_agent_child_signal (HyphaAgentChild *self, int number)
{
  if (kill (-self->pid, number) < 0 && errno == ESRCH)
    kill (self->pid, number);
}

/* ---- its end ---- */

/**
 * hypha_agent_child_release:
 * @self: (transfer full): a process whose exit was told
 *
 * Reaps it. Whatever it left behind goes on.
 */
void
hypha_agent_child_release (HyphaAgentChild *self)
{
  g_assert (self->exited);
  child_free (self);
}

static gboolean
on_grace (gpointer user_data)
{
  HyphaAgentChild *self = user_data;

  self->grace = 0;
  self->killed = TRUE;
  hypha_agent_child_signal (self, SIGKILL);
  if (self->exited)
    child_free (self);
  return G_SOURCE_REMOVE;
}

/**
 * hypha_agent_child_end:
 * @self: (transfer full): a process
 *
 * Ends its process group: first as if its terminal had gone, and after two seconds for certain,
 * also what the process left behind there. Nothing is told any more.
 */
void
hypha_agent_child_end (HyphaAgentChild *self)
{
  close_report (self);
  self->events = NULL;
  self->killed = self->never_ran;
  if (self->exited && (self->never_ran || self->alone)) {
    child_free (self);
    return;
  }
  if (self->never_ran)
    return;
  hypha_agent_child_signal (self, SIGHUP);
  hypha_agent_child_signal (self, SIGCONT);
  self->grace = g_timeout_add (GRACE_MS, on_grace, self);
}
