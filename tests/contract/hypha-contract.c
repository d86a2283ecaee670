/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract-place.h"
#include "contract-plugin.h"
#include "contract.h"

/* hypha-contract FILE: runs the contract over a plug-in, each test in a process of its own, so that
 * a crash is the verdict of one test. It speaks TAP. */

#define EXIT_USAGE 2
#define TEST_TIMEOUT_S 60
#define BYTES_PER_S (8 * 1024 * 1024) /* the slowest that is still waited for */
#define OUTPUT_MS 500                 /* for what is under way of a process that has ended */
#define STRAYS_MS 2000                /* for what it started to be gone when it is killed */
#define MOST_OUTPUT (64 * 1024)       /* the end of it is kept */

typedef struct {
  char *file; /* the copy */
  char *contract;
  char *directory; /* private, of the copy and all that the tests make */
  int timeout_s;
  GPid running; /* 0: none */
  guint failed;
} Run;

/* ---- what a test leaves ---- */

/* Of a process, by /proc. */
static pid_t
get_parent (const char *pid)
{
  g_autofree char *path = g_build_filename ("/proc", pid, "stat", NULL);
  g_autofree char *text = NULL;
  const char *name_end = NULL;
  int parent = 0;

  if (g_ascii_isdigit (*pid) && g_file_get_contents (path, &text, NULL, NULL))
    name_end = strrchr (text, ')');
  return name_end != NULL && sscanf (name_end, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* What a test started and left, in whatever group or session it is, is this process' own child now.
 */
static void
end_strays (void)
{
  gint64 end = g_get_monotonic_time () + STRAYS_MS * G_TIME_SPAN_MILLISECOND;
  pid_t ended;

  for (;;) {
    g_autoptr (GDir) all = NULL;
    const char *pid;

    while ((ended = waitpid (-1, NULL, WNOHANG)) > 0)
      continue;
    if (ended < 0 || g_get_monotonic_time () > end || (all = g_dir_open ("/proc", 0, NULL)) == NULL)
      return;
    while ((pid = g_dir_read_name (all)) != NULL)
      if (get_parent (pid) == getpid ())
        kill (atoi (pid), SIGKILL);
    g_usleep (1000);
  }
}

/* ---- a process ---- */

typedef struct {
  GMainLoop *loop;
  GString *output;
  gboolean late;
  GPid pid;
  int status;
  guint pending; /* its end, and that of its output */
  guint reading; /* sources; 0: none */
  guint patience;
} Child;

/* In the child, before it is another program. A core dump, even by a pipe, does nobody good here.
 */
static void
prepare_child (gpointer user_data)
{
  const struct rlimit no_core = { 1, 1 };

  setpgid (0, 0);
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  setrlimit (RLIMIT_CORE, &no_core);
}

static void
finish_part (Child *child)
{
  if (--child->pending == 0)
    g_main_loop_quit (child->loop);
}

static gboolean
on_output (int fd, GIOCondition condition, gpointer user_data)
{
  Child *child = user_data;
  char buffer[4096];
  gssize n = read (fd, buffer, sizeof buffer);

  if (n <= 0) {
    child->reading = 0;
    finish_part (child);
    return G_SOURCE_REMOVE;
  }
  g_string_append_len (child->output, buffer, n);
  if (child->output->len > MOST_OUTPUT)
    g_string_erase (child->output, 0, (gssize) child->output->len - MOST_OUTPUT / 2);
  return G_SOURCE_CONTINUE;
}

/* Somebody has it still who went out of the process' group. */
static gboolean
on_output_late (gpointer user_data)
{
  Child *child = user_data;

  if (child->reading != 0) {
    g_source_remove (child->reading);
    child->reading = 0;
    finish_part (child);
  }
  return G_SOURCE_CONTINUE;
}

static void
on_ended (GPid pid, int status, gpointer user_data)
{
  Child *child = user_data;

  child->status = status;
  /* Whatever it started ends with it, and so does the output. */
  kill (-pid, SIGKILL);
  g_source_remove (child->patience);
  child->patience = g_timeout_add (OUTPUT_MS, on_output_late, child);
  finish_part (child);
}

static gboolean
on_late (gpointer user_data)
{
  Child *child = user_data;

  child->late = TRUE;
  kill (-child->pid, SIGKILL);
  return G_SOURCE_CONTINUE;
}

/* What this program says when it is called with WORDS besides. */
static gboolean
run_child (Run *run, const char *word, const char *test, Child *child, GError **error)
{
  const char *argv[] = { "/proc/self/exe", word, test, run->file, run->contract, NULL };
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  int out;

  *child = (Child){ .loop = loop, .output = g_string_new (NULL), .pending = 2 };
  if (!g_spawn_async_with_pipes (NULL, (char **) argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                                 prepare_child, NULL, &child->pid, NULL, &out, NULL, error))
    return FALSE;
  run->running = child->pid;
  child->reading = g_unix_fd_add (out, G_IO_IN | G_IO_HUP | G_IO_ERR, on_output, child);
  g_child_watch_add (child->pid, on_ended, child);
  child->patience = g_timeout_add_seconds ((guint) run->timeout_s, on_late, child);
  g_main_loop_run (loop);
  g_source_remove (child->patience);
  run->running = 0;
  close (out);
  end_strays ();
  return TRUE;
}

/* ---- a verdict ---- */

static void
print_comment (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (char **line = lines; *line != NULL; line++) {
    g_autofree char *safe = g_utf8_make_valid (*line, -1);

    if (*g_strstrip (safe) != '\0')
      printf ("# %s\n", safe);
  }
}

/* "hypha:ERROR:../x/contract-close.c:12:test_last: assertion failed": not where it was built. */
static const char *
skip_place (const char *reason)
{
  const char *error = strstr (reason, "ERROR:");
  const char *colon = error == NULL ? NULL : strrchr (error, '/');

  return colon != NULL ? colon + 1 : reason;
}

/* What the process printed of the test: its comments and why it failed. */
static void
print_failure (const Child *child, const char *promise)
{
  g_auto (GStrv) lines = g_strsplit (child->output->str, "\n", -1);
  g_autofree char *held = g_strconcat ("held to: ", promise, NULL);

  print_comment (held);
  for (char **line = lines; *line != NULL; line++) {
    if (g_str_has_prefix (*line, "# ") && !g_str_has_prefix (*line, "# Start of ") &&
        !g_str_has_prefix (*line, "# End of ") && !g_str_has_prefix (*line, "# random seed"))
      print_comment (*line + 2);
    else if (g_str_has_prefix (*line, "Bail out! "))
      print_comment (skip_place (*line + strlen ("Bail out! ")));
  }
  if (child->late)
    print_comment ("it did not end in time, and was killed");
  else if (WIFSIGNALED (child->status) && strstr (child->output->str, "Bail out!") == NULL) {
    g_autofree char *what =
        g_strdup_printf ("the process was killed by signal %d (%s)", WTERMSIG (child->status),
                         g_strsignal (WTERMSIG (child->status)));

    print_comment (what);
  } else if (WIFEXITED (child->status) && WEXITSTATUS (child->status) == CONTRACT_PLUGIN_REFUSED)
    print_comment (child->output->str);
}

/* The line of TAP in what it printed; NULL: it got nowhere. */
static const char *
find_line (const Child *child, const char *begin)
{
  const char *found = g_str_has_prefix (child->output->str, begin) ? child->output->str : NULL;
  g_autofree char *later = g_strconcat ("\n", begin, NULL);

  if (found == NULL && (found = strstr (child->output->str, later)) != NULL)
    found++;
  return found;
}

static void
print_verdict (Run *run, guint number, const char *name, const char *promise, const Child *child)
{
  const char *ok = find_line (child, "ok 1 ");
  const char *skip = ok == NULL ? NULL : strstr (ok, "# SKIP");
  gboolean good =
      ok != NULL && !child->late && WIFEXITED (child->status) && WEXITSTATUS (child->status) == 0;

  if (skip != NULL && memchr (ok, '\n', (gsize) (skip - ok)) != NULL)
    skip = NULL;
  if (!good) {
    printf ("not ok %u - %s\n", number, name);
    print_failure (child, promise);
    run->failed++;
  } else if (skip != NULL) {
    printf ("ok %u - %s %.*s\n", number, name, (int) strcspn (skip, "\n"), skip);
  } else {
    printf ("ok %u - %s\n", number, name);
  }
  fflush (stdout);
}

/* ---- all of them ---- */

static const char *
find_promise (const char *name)
{
  const char *promise = NULL;
  const char *found;

  for (guint i = 0; (found = contract_get_test (i, NULL, &promise)) != NULL; i++)
    if (g_str_equal (found, name))
      return promise;
  return NULL;
}

static gboolean
is_wanted (const char *name, char **only)
{
  if (only == NULL)
    return TRUE;
  for (; *only != NULL; only++)
    if (g_pattern_match_simple (*only, name))
      return TRUE;
  return FALSE;
}

/* A pattern that no test has is a mistake. */
static gboolean
check_only (char **only, GError **error)
{
  for (; only != NULL && *only != NULL; only++) {
    const char *one[] = { *only, NULL };
    const char *name, *promise;
    guint i = 0;

    while ((name = contract_get_test (i, NULL, &promise)) != NULL &&
           !is_wanted (name, (char **) one))
      i++;
    if (name != NULL)
      continue;
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "no test is called '%s'", *only);
    return FALSE;
  }
  return TRUE;
}

/* Looks what it is: names of the tests (to free), or NULL once all is said. */
static char **
describe (Run *run, char **only, GError **error)
{
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();
  g_auto (GStrv) lines = NULL;
  Child child;

  if (!run_child (run, "--describe", "-", &child, error))
    return NULL;
  lines = g_strsplit (child.output->str, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    if (find_promise (*line) != NULL && is_wanted (*line, only))
      g_strv_builder_add (names, *line);
  if (!child.late && WIFEXITED (child.status) && WEXITSTATUS (child.status) == 0) {
    g_string_free (child.output, TRUE);
    return g_strv_builder_end (names);
  }
  if (WIFEXITED (child.status) && WEXITSTATUS (child.status) == CONTRACT_PLUGIN_UNAVAILABLE) {
    g_autofree char *why = g_strstrip (g_string_free (child.output, FALSE));

    printf ("1..0 # SKIP %s\n", g_strdelimit (why, "\n", ' '));
    return NULL;
  }
  puts ("1..1");
  print_verdict (run, 1, "load/is-ready", "the loader takes it, and it works here", &child);
  g_string_free (child.output, TRUE);
  return NULL;
}

static int
run_all (Run *run, char **only)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) names = describe (run, only, &error);

  if (names == NULL && error == NULL)
    return run->failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
  if (names != NULL && names[0] == NULL)
    g_set_error_literal (&error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                         "none of the tests that are wanted is for this transport");
  else if (names != NULL)
    printf ("1..%u\nok 1 - load/is-ready\n", 1 + g_strv_length (names));
  for (guint i = 0; names != NULL && names[i] != NULL; i++) {
    Child child;

    if (!run_child (run, "--test", names[i], &child, &error))
      break;
    print_verdict (run, 2 + i, names[i], find_promise (names[i]), &child);
    g_string_free (child.output, TRUE);
  }
  if (error != NULL)
    printf ("Bail out! %s\n", error->message);
  return run->failed > 0 || error != NULL ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- what is tested ---- */

static gboolean
prepare (Run *run, const char *file, const char *contract, GError **error)
{
  g_autofree char *name = g_path_get_basename (file);
  g_autofree char *stem = g_strndup (file, strlen (file) - strlen (strrchr (name, '.') ?: ""));
  g_autofree char *usual = g_strconcat (stem, ".contract", NULL);

  run->file = contract_place_make (file, &run->directory, error);
  if (run->file == NULL)
    return FALSE;
  if (contract == NULL && g_file_test (usual, G_FILE_TEST_EXISTS))
    contract = usual;
  run->contract = contract == NULL ? NULL : g_canonicalize_filename (contract, NULL);
  if (contract == NULL)
    printf ("# there is no %s: what only its author knows is not held\n", usual);
  return TRUE;
}

/* ---- the command line ---- */

static gboolean
on_signal (gpointer user_data)
{
  Run *run = user_data;

  if (run->running != 0)
    kill (-run->running, SIGKILL);
  end_strays ();
  contract_place_remove (run->directory);
  _exit (EXIT_FAILURE);
}

/* Nobody reads any more what this says. */
static gboolean
on_unheard (int fd, GIOCondition condition, gpointer user_data)
{
  return on_signal (user_data);
}

static int
list (void)
{
  const char *name, *promise;

  for (guint i = 0; (name = contract_get_test (i, NULL, &promise)) != NULL; i++)
    printf ("%s\t%s\n", name, promise);
  return EXIT_SUCCESS;
}

/* "--describe - FILE [CONTRACT]", "--test TEST FILE [CONTRACT]": this program's own. */
static int
be_child (int argc, char **argv)
{
  const char *contract = argc > 4 ? argv[4] : NULL;

  /* In the order in which it was printed. */
  dup2 (STDOUT_FILENO, STDERR_FILENO);
  if (g_str_equal (argv[1], "--describe"))
    return contract_plugin_describe (argv[3], contract);
  return contract_plugin_test (argv[3], contract, argv[2]);
}

int
main (int argc, char **argv)
{
  g_autofree char *contract = NULL;
  g_auto (GStrv) only = NULL;
  gboolean listing = FALSE;
  gint64 bytes = 0;
  Run run = { .timeout_s = TEST_TIMEOUT_S };
  const GOptionEntry options[] = {
    { "contract", 0, 0, G_OPTION_ARG_FILENAME, &contract,
      "What the plug-in promises (default: NAME.contract beside it)", "FILE" },
    { "only", 0, 0, G_OPTION_ARG_STRING_ARRAY, &only, "Run the tests that are called so", "TEST" },
    { "bytes", 0, 0, G_OPTION_ARG_INT64, &bytes, "How much a channel has to carry each way", "N" },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &run.timeout_s, "How long a test may take", "SECONDS" },
    { "list", 0, 0, G_OPTION_ARG_NONE, &listing, "Print the tests and what they hold", NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = NULL;
  g_autoptr (GError) error = NULL;
  int status;

  if (argc >= 4 && (g_str_equal (argv[1], "--describe") || g_str_equal (argv[1], "--test")))
    return be_child (argc, argv);
  context = g_option_context_new ("FILE - run the contract of transports over a plug-in");
  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) ||
      (!listing && (argc != 2 || bytes < 0 || run.timeout_s < 1))) {
    fprintf (stderr, "hypha-contract: %s\n",
             error != NULL ? error->message : "what is wanted is one FILE, NAME.so");
    return EXIT_USAGE;
  }
  if (listing)
    return list ();
  if (!check_only (only, &error)) {
    fprintf (stderr, "hypha-contract: %s\n", error->message);
    return EXIT_USAGE;
  }
  if (bytes > 0) {
    g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, bytes);

    g_setenv ("HYPHA_CONTRACT_BYTES", number, TRUE);
    run.timeout_s += (int) MIN (bytes / BYTES_PER_S, 24 * 3600);
  }
  /* So that what is lost is not hidden by what is cached. */
  g_setenv ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", FALSE);
  if (!prepare (&run, argv[1], contract, &error)) {
    fprintf (stderr, "hypha-contract: %s\n", error->message);
    status = EXIT_FAILURE;
  } else {
    g_unix_signal_add (SIGINT, on_signal, &run);
    g_unix_signal_add (SIGTERM, on_signal, &run);
    g_unix_signal_add (SIGHUP, on_signal, &run);
    g_unix_fd_add (STDOUT_FILENO, G_IO_ERR, on_unheard, &run);
    signal (SIGPIPE, SIG_IGN);
    prctl (PR_SET_CHILD_SUBREAPER, 1);
    status = run_all (&run, only);
  }
  if (run.directory != NULL)
    contract_place_remove (run.directory);
  g_free (run.directory);
  g_free (run.file);
  g_free (run.contract);
  return status;
}
