/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/launch.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <hypha-api.h>

#include "hypha-child.h"
#include "agent/pty.h"
#include "client/exec-words.h"

#define PATH_OF_ROOT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_OF_USERS "/usr/local/bin:/usr/bin:/bin"

#define REPORT_FD 3

enum { STAGE_SETUP, STAGE_USER, STAGE_DIRECTORY, STAGE_RUN };

/* All that the child needs, made before fork(): there are other threads, so between fork() and
 * execve() nothing may allocate or lock. */
typedef struct {
  char **files; /* what may be the program */
  char **argv;
  char **env;
  const char *directory; /* NULL: the home, if it can be entered */
  const HyphaAgentAccount *account;
  gboolean pty;
  int fds[3];
  int report;
  pid_t parent;
} Plan;

/* ---- before ---- */

/* As of a login, and nothing of the agent's own but what says how to speak and what time it is. */
static char **
make_env (const HyphaAgentRequest *request, const HyphaAgentAccount *account, const char *peer)
{
  static const char *const inherited[] = { "LANG", "TZ" };
  char **env = NULL;

  env = g_environ_setenv (env, "HOME", account->home, TRUE);
  env = g_environ_setenv (env, "USER", account->name, TRUE);
  env = g_environ_setenv (env, "LOGNAME", account->name, TRUE);
  env = g_environ_setenv (env, "SHELL", account->shell, TRUE);
  env = g_environ_setenv (env, "PATH", account->uid == 0 ? PATH_OF_ROOT : PATH_OF_USERS, TRUE);
  env = g_environ_setenv (env, "HYPHA_PEER", peer, TRUE);
  for (gsize i = 0; i < G_N_ELEMENTS (inherited); i++) {
    if (g_getenv (inherited[i]))
      env = g_environ_setenv (env, inherited[i], g_getenv (inherited[i]), TRUE);
  }
  if (request->term)
    env = g_environ_setenv (env, "TERM", request->term, TRUE);
  for (char **word = request->env; word && *word; word++) {
    const char *equals = strchr (*word, '=');
    g_autofree char *name = g_strndup (*word, (gsize) (equals - *word));

    env = g_environ_setenv (env, name, equals + 1, TRUE);
  }
  return env;
}

static char **
make_argv (const HyphaAgentRequest *request, const HyphaAgentAccount *account)
{
  g_autofree char *line = NULL;
  const char *words[] = { account->shell, "-c", NULL, NULL };

  if (!request->shell)
    return g_strdupv (request->argv);
  line = g_strjoinv (" ", request->argv);
  words[2] = line;
  return g_strdupv ((char **) words);
}

/* Where the command's own PATH leads. A name that no folder can have is not put behind each of
 * them, for a request has room for tens of thousands: the kernel says what is wrong with it. */
static char **
make_files (const char *name, char **env)
{
  g_autoptr (GStrvBuilder) files = g_strv_builder_new ();
  g_auto (GStrv) folders = NULL;

  if (strchr (name, '/') || strlen (name) > NAME_MAX) {
    g_strv_builder_add (files, name);
    return g_strv_builder_end (files);
  }
  folders = g_strsplit (g_environ_getenv (env, "PATH"), ":", -1);
  for (char **folder = folders; *folder; folder++) {
    g_autofree char *file = g_build_filename (**folder ? *folder : ".", name, NULL);

    g_strv_builder_add (files, file);
  }
  return g_strv_builder_end (files);
}

static void
plan_clear (Plan *plan)
{
  g_strfreev (plan->files);
  g_strfreev (plan->argv);
  g_strfreev (plan->env);
  for (gsize i = 0; i < G_N_ELEMENTS (plan->fds); i++) {
    if (plan->fds[i] >= 0)
      close (plan->fds[i]);
  }
  if (plan->report >= 0)
    close (plan->report);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Plan, plan_clear)

/* ---- in the child ---- */

static void
give_up (const Plan *plan, int report, int stage)
{
  HyphaAgentReport why = { .stage = stage, .error = errno };

  while (write (report, &why, sizeof why) < 0 && errno == EINTR)
    ;
  _exit (HYPHA_EXEC_NOT_FOUND);
}

/* Groups first, for whoever is no longer root may not choose them. */
static gboolean
become (const HyphaAgentAccount *account)
{
  return !account->become || (setgroups ((size_t) account->n_groups, account->groups) == 0 &&
                              setresgid (account->gid, account->gid, account->gid) == 0 &&
                              setresuid (account->uid, account->uid, account->uid) == 0);
}

/* What is relative is so to the home, as after a login, and not to where the agent is. */
static gboolean
enter (const char *home, const char *directory)
{
  if (directory && *directory == '/')
    return chdir (directory) == 0;
  return (chdir (home) == 0 || (directory == NULL && chdir ("/") == 0)) &&
         (directory == NULL || chdir (directory) == 0);
}

/* As execvp(), which may not be called here. */
static void
execute (const Plan *plan)
{
  int worst = ENOENT;

  for (char **file = plan->files; *file; file++) {
    execve (*file, plan->argv, plan->env);
    if (errno != ENOENT && errno != ENOTDIR)
      worst = errno;
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
      break;
  }
  errno = worst;
}

static void
run_child (gconstpointer data)
{
  const Plan *plan = data;
  int report = plan->report;

  for (int i = 0; i < 3; i++) {
    if (dup2 (plan->fds[i], i) < 0)
      give_up (plan, report, STAGE_SETUP);
  }
  if (report != REPORT_FD) {
    if (dup3 (report, REPORT_FD, O_CLOEXEC) < 0)
      give_up (plan, report, STAGE_SETUP);
    report = REPORT_FD;
  }
  if (!hypha_child_close_from (REPORT_FD + 1) || setsid () < 0 ||
      (plan->pty && ioctl (0, TIOCSCTTY, 0) < 0))
    give_up (plan, report, STAGE_SETUP);
  hypha_child_reset_signals ();
  if (!become (plan->account))
    give_up (plan, report, STAGE_USER);
  /* If the agent is killed, its callers see their commands fail: those should end, then. */
  prctl (PR_SET_PDEATHSIG, SIGHUP, 0, 0, 0);
  if (getppid () != plan->parent)
    _exit (HYPHA_EXEC_NOT_FOUND);
  if (!enter (plan->account->home, plan->directory))
    give_up (plan, report, STAGE_DIRECTORY);
  execute (plan);
  give_up (plan, report, STAGE_RUN);
}

/* ---- fork ---- */

static gboolean
make_pipe (int *ours, int *theirs, gboolean we_write, GError **error)
{
  int ends[2];

  if (pipe2 (ends, O_CLOEXEC) < 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("a pipe cannot be made: %s"),
                 g_strerror (errno));
    return FALSE;
  }
  *ours = ends[we_write];
  *theirs = ends[!we_write];
  if (fcntl (*ours, F_SETFL, O_NONBLOCK) == 0)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("a pipe cannot be made: %s"),
               g_strerror (errno));
  return FALSE;
}

/* One of the user's, who else could not open /dev/stdin and the like. */
static gboolean
make_users_pipe (int *ours, int *theirs, gboolean we_write, const HyphaAgentAccount *account,
                 GError **error)
{
  if (!make_pipe (ours, theirs, we_write, error))
    return FALSE;
  if (!account->become || fchown (*theirs, account->uid, account->gid) == 0)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("a pipe cannot be made: %s"),
               g_strerror (errno));
  return FALSE;
}

/* What it says goes where this process's own complaints go. */
static gboolean
use_stream (int stream, Plan *plan, GError **error)
{
  for (int i = 0; i < 3; i++) {
    plan->fds[i] = fcntl (i == 0 ? stream : STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (plan->fds[i] >= 0)
      continue;
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("a stream cannot be handed on: %s"),
                 g_strerror (errno));
    return FALSE;
  }
  return TRUE;
}

static gboolean
make_fds (const HyphaAgentRequest *request, int stream, Plan *plan, HyphaAgentLaunch *launch,
          GError **error)
{
  const HyphaAgentAccount *account = plan->account;

  if (!make_pipe (&launch->report, &plan->report, FALSE, error))
    return FALSE;
  if (stream >= 0)
    return use_stream (stream, plan, error);
  if (request->pty)
    return hypha_agent_pty_open (request->rows, request->cols, account, launch->fds, plan->fds,
                                 error);
  return make_users_pipe (&launch->fds[0], &plan->fds[0], TRUE, account, error) &&
         make_users_pipe (&launch->fds[1], &plan->fds[1], FALSE, account, error) &&
         make_users_pipe (&launch->fds[2], &plan->fds[2], FALSE, account, error);
}

/**
 * hypha_agent_launch:
 * @request: what to run
 * @account: as whom
 * @peer: the id of the node that asks
 * @stream: for this program itself, started anew: what becomes its standard input, and stays the
 *   caller's; -1: for a command, which gets pipes, or a pty
 * @launch: (out caller-allocates): the process and its descriptors, which the caller owns
 * @error: return location for an error: %HYPHA_ERROR_FAILED, of the machine
 *
 * Starts a process that becomes the command: in a session of its own, with no descriptor but the
 * three, every signal as usual, in a clean environment. Whether it could is reported.
 *
 * Returns: %TRUE if there is a process
 */
gboolean
hypha_agent_launch (const HyphaAgentRequest *request, const HyphaAgentAccount *account,
                    const char *peer, int stream, HyphaAgentLaunch *launch, GError **error)
{
  /* The file may have been replaced since; this is the one that runs. */
  static const char *const itself[] = { "/proc/self/exe", NULL };
  g_auto (Plan) plan = { .fds = { -1, -1, -1 }, .report = -1 };

  *launch = (HyphaAgentLaunch){ .pid = -1, .fds = { -1, -1, -1 }, .report = -1 };
  plan.env = make_env (request, account, peer);
  plan.argv = make_argv (request, account);
  plan.files = stream >= 0 ? g_strdupv ((char **) itself) : make_files (plan.argv[0], plan.env);
  plan.directory = request->cwd;
  plan.account = account;
  plan.pty = request->pty;
  plan.parent = getpid ();
  if (make_fds (request, stream, &plan, launch, error)) {
    launch->pid = hypha_child_fork (run_child, &plan);
    if (launch->pid > 0)
      return TRUE;
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("no process can be started: %s"),
                 g_strerror (errno));
  }
  for (gsize i = 0; i < G_N_ELEMENTS (launch->fds); i++) {
    if (launch->fds[i] >= 0)
      close (launch->fds[i]);
  }
  if (launch->report >= 0)
    close (launch->report);
  return FALSE;
}

/**
 * hypha_agent_report_describe:
 * @self: what the process reported
 * @request: what it should have run
 * @account: as whom
 * @status: (out): what the caller should exit with
 *
 * Returns: (transfer full): a sentence
 */
char *
hypha_agent_report_describe (const HyphaAgentReport *self, const HyphaAgentRequest *request,
                             const HyphaAgentAccount *account, guint8 *status)
{
  const char *why = g_strerror (self->error);
  const char *name = request->shell ? account->shell : request->argv[0];

  *status = HYPHA_EXEC_BROKEN;
  switch (self->stage) {
  case STAGE_USER:
    return g_strdup_printf (_ ("hypha-agent cannot become user %s: %s"), account->name, why);
  case STAGE_DIRECTORY:
    return g_strdup_printf (_ ("the directory %s cannot be entered by user %s: %s"),
                            request->cwd ? request->cwd : account->home, account->name, why);
  case STAGE_RUN:
    if (self->error == ENOENT || self->error == ENOTDIR) {
      *status = HYPHA_EXEC_NOT_FOUND;
      return g_strdup_printf (_ ("%s: no such command"), name);
    }
    *status = HYPHA_EXEC_CANNOT_RUN;
    return g_strdup_printf (_ ("%s cannot be run: %s"), name, why);
  default:
    return g_strdup_printf (_ ("the process for the command cannot be set up: %s"), why);
  }
}
