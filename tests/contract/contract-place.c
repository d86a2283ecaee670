/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract-place.h"

#include <errno.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_BESIDE 1024 /* files that lie beside a manifest */
#define MOST_FILE (64 * 1024 * 1024)

/* ---- the copy ---- */

/* With its mode, less what would let others write. */
static gboolean
copy (const char *from, const char *directory, GError **error)
{
  g_autofree char *name = g_path_get_basename (from);
  g_autofree char *to = g_build_filename (directory, name, NULL);
  g_autofree char *data = NULL;
  gsize size = 0;
  GStatBuf status;

  if (g_stat (from, &status) == 0 && status.st_size > MOST_FILE) {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s is larger than %d MiB", from,
                 MOST_FILE >> 20);
    return FALSE;
  }
  return g_file_get_contents (from, &data, &size, error) &&
         g_file_set_contents_full (to, data, (gssize) size, G_FILE_SET_CONTENTS_NONE,
                                   (int) (status.st_mode & 0755), error);
}

/* A directory as it is, for it may hold anything. */
static gboolean
take_beside (const char *path, const char *name, const char *directory, GError **error)
{
  g_autofree char *whole = g_canonicalize_filename (path, NULL);
  g_autofree char *link = g_build_filename (directory, name, NULL);

  if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return copy (path, directory, error);
  if (!g_file_test (path, G_FILE_TEST_IS_DIR) || symlink (whole, link) == 0)
    return TRUE;
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s: %s", link,
               g_strerror (errno));
  return FALSE;
}

/* A program of a manifest may need what lies beside it; other plug-ins stay out. */
static gboolean
copy_beside (const char *file, const char *directory, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (file);
  g_autofree char *own = g_path_get_basename (file);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, error);
  const char *name;
  guint n = 0;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    if (g_str_equal (name, own) || g_str_has_suffix (name, ".so") ||
        g_str_has_suffix (name, ".json"))
      continue;
    if (++n > MOST_BESIDE) {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                   "more than %d files lie beside %s: put it into a folder of its own", MOST_BESIDE,
                   file);
      return FALSE;
    }
    if (!take_beside (path, name, directory, error))
      return FALSE;
  }
  return dir != NULL;
}

static void
lead_to (const char *directory)
{
  g_setenv ("TMPDIR", directory, TRUE);
  g_setenv ("XDG_RUNTIME_DIR", directory, TRUE);
}

static char *
make_directory (const char *parent, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (parent, name, NULL);

  if (g_mkdir (path, 0700) == 0)
    return g_steal_pointer (&path);
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno), "%s: %s", path,
               g_strerror (errno));
  return NULL;
}

/* ---- the whole ---- */

char *
contract_place_make (const char *file, char **directory, GError **error)
{
  g_autofree char *name = g_path_get_basename (file);
  g_autofree char *plugin = NULL;
  g_autofree char *tmp = NULL;

  *directory = g_dir_make_tmp ("hypha-XXXXXX", error);
  if (*directory == NULL || (plugin = make_directory (*directory, "plugin", error)) == NULL ||
      (tmp = make_directory (*directory, "tmp", error)) == NULL || !copy (file, plugin, error) ||
      (g_str_has_suffix (name, ".json") && !copy_beside (file, plugin, error)))
    return NULL;
  lead_to (tmp);
  return g_build_filename (plugin, name, NULL);
}

static int
remove_one (const char *path, const struct stat *status, int type, struct FTW *where)
{
  remove (path);
  return 0;
}

void
contract_place_remove (const char *directory)
{
  nftw (directory, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* ---- a process that has one ---- */

static volatile pid_t child;

/* Whoever ends this one means the tests. */
static void
on_signal (int number)
{
  kill (child, number);
}

static G_NORETURN void
end_as (int status)
{
  const struct rlimit no_core = { 0, 0 };

  if (WIFSIGNALED (status)) {
    setrlimit (RLIMIT_CORE, &no_core);
    signal (WTERMSIG (status), SIG_DFL);
    raise (WTERMSIG (status));
  }
  _exit (WIFEXITED (status) ? WEXITSTATUS (status) : EXIT_FAILURE);
}

static G_NORETURN void
wait_and_remove (const char *directory, const sigset_t *before)
{
  static const int forwarded[] = { SIGTERM, SIGINT, SIGHUP };
  const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
  siginfo_t info;
  int status = 0;

  for (guint i = 0; i < G_N_ELEMENTS (forwarded); i++)
    sigaction (forwarded[i], &action, NULL);
  sigprocmask (SIG_SETMASK, before, NULL);
  while (waitid (P_PID, (id_t) child, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
    ;
  /* The tests have ended, and soon their id may be another's. */
  for (guint i = 0; i < G_N_ELEMENTS (forwarded); i++)
    signal (forwarded[i], SIG_IGN);
  waitpid (child, &status, 0);
  contract_place_remove (directory);
  end_as (status);
}

void
contract_place_enter (void)
{
  const char *above = getenv ("TMPDIR");
  g_autofree char *directory = NULL;
  sigset_t all, before;

  if (above == NULL || above[0] == '\0')
    above = "/tmp";
  directory = g_strconcat (above, "/hypha-XXXXXX", NULL);
  if (g_mkdtemp_full (directory, 0700) == NULL) {
    perror (directory);
    exit (EXIT_FAILURE);
  }
  /* Where it was inherited as ignored, nobody would tell how the tests ended. */
  signal (SIGCHLD, SIG_DFL);
  /* None is lost between the two. */
  sigfillset (&all);
  sigprocmask (SIG_SETMASK, &all, &before);
  child = fork ();
  if (child < 0) {
    perror ("fork");
    contract_place_remove (directory);
    exit (EXIT_FAILURE);
  }
  if (child > 0)
    wait_and_remove (directory, &before);
  sigprocmask (SIG_SETMASK, &before, NULL);
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  lead_to (directory);
}
