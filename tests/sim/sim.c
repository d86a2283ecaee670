/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulator's face: runs many seeds in several processes, so that a crash is one more failed
 * seed. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sim-world.h"

#define MAX_JOBS 64
#define MAX_FAILURES 256
#define SECONDS_A_SEED 120

typedef struct {
  guint64 seed;
  char text[256];
} Failure;

/* What the processes share. */
typedef struct {
  _Atomic guint64 next_seed;
  _Atomic guint64 link_faults;
  _Atomic guint64 runs;
  _Atomic guint64 counts[SIM_N_COUNTERS];
  _Atomic guint64 peaks[SIM_N_PEAKS];
  _Atomic guint64 at[MAX_JOBS]; /* the seed each is at */
  _Atomic guint n_failures;
  Failure failures[MAX_FAILURES];
} Board;

typedef struct {
  guint64 first, last; /* up to and without */
  guint64 faults_wanted;
  guint faults;
  guint jobs;
  gboolean tracing;
  gboolean lives;
  gboolean twice;
  gboolean verbose;
  gboolean first_only;
} Options;

static const struct {
  const char *name, *summary;
} fault_names[] = {
#define X(name, text, summary) { text, summary },
  SIM_FAULTS (X)
#undef X
};

static const struct {
  const char *name;
  guint runs; /* within so many it has happened; 0: perhaps not */
} counters[] = {
#define X(name, text, runs) { text, runs },
  SIM_COUNTERS (X)
#undef X
};

static const char *const peak_names[] = {
#define X(name, text) text,
  SIM_PEAKS (X)
#undef X
};

static void
fail (Board *board, guint64 seed, const char *text)
{
  guint i = atomic_fetch_add (&board->n_failures, 1);

  if (i >= MAX_FAILURES)
    return;
  board->failures[i].seed = seed;
  g_strlcpy (board->failures[i].text, text, sizeof board->failures[i].text);
}

static SimWorld *
make_world (const Options *options, guint64 seed)
{
  SimWorld *world = sim_world_new (seed, options->faults);

  world->lives |= options->lives;
  return world;
}

static void
run_seed (Board *board, const Options *options, guint64 seed)
{
  g_autoptr (SimWorld) world = make_world (options, seed);

  world->tracing = options->tracing;
  if (!sim_world_run (world))
    fail (board, seed, world->violation);
  world->counts[SIM_COUNT_LIVES] = world->lives;
  for (guint i = 0; i < SIM_N_COUNTERS; i++)
    atomic_fetch_add (&board->counts[i], world->counts[i]);
  for (guint i = 0; i < SIM_N_PEAKS; i++) {
    guint64 peak = atomic_load (&board->peaks[i]);
    while (peak < world->peaks[i] &&
           !atomic_compare_exchange_weak (&board->peaks[i], &peak, world->peaks[i]))
      ;
  }
  atomic_fetch_add (&board->link_faults, world->counts[SIM_COUNT_LINK_FAULTS]);
  atomic_fetch_add (&board->runs, 1);
  if (options->twice) {
    g_autoptr (SimWorld) again = make_world (options, seed);
    sim_world_run (again);
    if (again->hash != world->hash)
      fail (board, seed, "two runs of this seed differ");
  }
  if (options->tracing || options->verbose)
    g_print ("seed %" G_GUINT64_FORMAT ": hash %016" G_GINT64_MODIFIER "x, %s\n", seed, world->hash,
             world->violation ? world->violation : "fine");
}

/* A rollback has a verdict of its own. Only when the last words of the other life came after the
 * nonce had gone out does it look like a broken peer, and that is rare. */
static gboolean
rollbacks_are_told (Board *board)
{
  guint64 found = atomic_load (&board->counts[SIM_COUNT_ROLLBACK_FOUND]);
  guint64 broken = atomic_load (&board->counts[SIM_COUNT_BROKEN]);

  return broken <= 2 + found / 2000;
}

static gboolean
is_enough (Board *board, const Options *options)
{
  guint n = atomic_load (&board->n_failures);

  return n >= MAX_FAILURES || (options->first_only && (n > 0 || !rollbacks_are_told (board)));
}

static int
work (Board *board, const Options *options, guint job)
{
  for (;;) {
    guint64 seed = atomic_fetch_add (&board->next_seed, 1);
    if (seed >= options->last || is_enough (board, options))
      break;
    if (options->faults_wanted && atomic_load (&board->link_faults) >= options->faults_wanted)
      break;
    atomic_store (&board->at[job], seed);
    alarm (SECONDS_A_SEED);
    run_seed (board, options, seed);
  }
  return EXIT_SUCCESS;
}

static pid_t
start_job (Board *board, const Options *options, guint job)
{
  pid_t pid = fork ();

  if (pid == 0)
    exit (work (board, options, job));
  if (pid < 0)
    g_error ("fork: %s", g_strerror (errno));
  return pid;
}

/* A process that died is a seed that failed; another one goes on behind it. */
static void
supervise (Board *board, const Options *options)
{
  pid_t pids[MAX_JOBS] = { 0 };
  guint running = options->jobs;

  for (guint i = 0; i < options->jobs; i++)
    pids[i] = start_job (board, options, i);
  while (running > 0) {
    int status = 0;
    pid_t pid = wait (&status);
    guint job = 0;

    if (pid < 0)
      continue;
    while (job < options->jobs && pids[job] != pid)
      job++;
    if (job == options->jobs)
      continue;
    if (WIFEXITED (status) && WEXITSTATUS (status) == EXIT_SUCCESS) {
      running--;
      continue;
    }
    {
      g_autofree char *text = WIFSIGNALED (status)
                                  ? g_strdup_printf ("died of signal %d (%s)", WTERMSIG (status),
                                                     g_strsignal (WTERMSIG (status)))
                                  : g_strdup_printf ("died with status %d", WEXITSTATUS (status));
      fail (board, atomic_load (&board->at[job]), text);
    }
    if (is_enough (board, options))
      running--;
    else
      pids[job] = start_job (board, options, job);
  }
}

/* Options. */

static guint
parse_faults (const char *text)
{
  g_auto (GStrv) names = g_strsplit (text, ",", -1);
  guint faults = 0;

  for (guint i = 0; names[i]; i++) {
    guint j = 0;
    while (j < G_N_ELEMENTS (fault_names) && !g_str_equal (fault_names[j].name, names[i]))
      j++;
    if (j == G_N_ELEMENTS (fault_names)) {
      g_printerr ("sim: there is no fault \"%s\"; there are:\n", names[i]);
      for (j = 0; j < G_N_ELEMENTS (fault_names); j++)
        g_printerr ("  %-10s %s\n", fault_names[j].name, fault_names[j].summary);
      exit (2);
    }
    faults |= 1u << j;
  }
  return faults;
}

/* Without TEXT, VALUE stays as it is. */
static gboolean
parse_number (const char *name, const char *text, guint64 least, guint64 most, guint64 *value,
              GError **error)
{
  if (!text || g_ascii_string_to_unsigned (text, 10, least, most, value, NULL))
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               "--%s takes a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
               ", not \"%s\"",
               name, least, most, text);
  return FALSE;
}

static gboolean
parse_range (const char *text, guint64 *first, guint64 *last, GError **error)
{
  g_auto (GStrv) ends = g_strsplit (text, ":", -1);

  if (g_strv_length (ends) == 2 &&
      g_ascii_string_to_unsigned (ends[0], 10, 0, G_MAXUINT64 - 1, first, NULL) &&
      g_ascii_string_to_unsigned (ends[1], 10, *first + 1, G_MAXUINT64, last, NULL))
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               "--seeds takes A:B, two numbers of which B is the higher, not \"%s\"", text);
  return FALSE;
}

static gboolean
parse_options (Options *options, int *argc, char ***argv, GError **error)
{
  g_autofree char *seeds = NULL, *seed = NULL, *faults = NULL, *jobs = NULL;
  g_autofree char *only = NULL, *without = NULL;
  guint64 n_jobs = MIN (g_get_num_processors (), MAX_JOBS);
  const GOptionEntry entries[] = {
    { "seeds", 0, 0, G_OPTION_ARG_STRING, &seeds, "Run seeds A up to and without B", "A:B" },
    { "seed", 0, 0, G_OPTION_ARG_STRING, &seed, "Run this one, here", "N" },
    { "faults", 0, 0, G_OPTION_ARG_STRING, &faults, "Run until so many link faults were made",
      "N" },
    { "trace", 0, 0, G_OPTION_ARG_NONE, &options->tracing, "Print all that happens", NULL },
    { "twice", 0, 0, G_OPTION_ARG_NONE, &options->twice, "Run each seed twice and compare", NULL },
    { "lives", 0, 0, G_OPTION_ARG_NONE, &options->lives,
      "Rollbacks, and clones of the same instance, all the time in every run", NULL },
    { "first", 0, 0, G_OPTION_ARG_NONE, &options->first_only, "Stop at the first failure", NULL },
    { "verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, "One line for each seed", NULL },
    { "jobs", 'j', 0, G_OPTION_ARG_STRING, &jobs, "Processes (default: processors)", "N" },
    { "only", 0, 0, G_OPTION_ARG_STRING, &only, "These faults only", "FAULT,..." },
    { "no", 0, 0, G_OPTION_ARG_STRING, &without, "All but these faults", "FAULT,..." },
    G_OPTION_ENTRY_NULL
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("- sessions under faults");

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc > 1) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 "\"%s\" is no option; --help lists them", (*argv)[1]);
    return FALSE;
  }
  options->first = 0;
  options->last = faults ? G_MAXUINT64 : 2000;
  if (!parse_number ("faults", faults, 1, G_MAXUINT64, &options->faults_wanted, error) ||
      !parse_number ("jobs", jobs, 1, MAX_JOBS, &n_jobs, error) ||
      !parse_number ("seed", seed, 0, G_MAXUINT64 - 1, &options->first, error) ||
      (seeds && !parse_range (seeds, &options->first, &options->last, error)))
    return FALSE;
  options->jobs = (guint) n_jobs;
  if (seed) {
    options->last = options->first + 1;
    options->jobs = 0;
  }
  options->faults = (1u << SIM_N_FAULTS) - 1;
  if (only)
    options->faults = parse_faults (only);
  if (without)
    options->faults &= ~parse_faults (without);
  return TRUE;
}

/* Did all happen that has to in so many runs with all faults? Returns how much did not. */
static guint
tell_what_never_happened (Board *board, const Options *options)
{
  guint64 runs = atomic_load (&board->runs);
  guint n = 0;

  if (options->lives || options->faults != (1u << SIM_N_FAULTS) - 1)
    return 0;
  for (guint i = 0; i < SIM_N_COUNTERS; i++)
    if (counters[i].runs > 0 && runs >= counters[i].runs && atomic_load (&board->counts[i]) == 0) {
      g_print ("FAILED: never happened, in %" G_GUINT64_FORMAT " runs: %s\n", runs,
               counters[i].name);
      n++;
    }
  return n;
}

static void
print_summary (Board *board, const Options *options, const char *arguments)
{
  guint n = MIN (atomic_load (&board->n_failures), MAX_FAILURES);

  g_print ("%" G_GUINT64_FORMAT " runs, %" G_GUINT64_FORMAT " link faults, %u failures\n",
           atomic_load (&board->runs), atomic_load (&board->link_faults), n);
  for (guint i = 0; i < SIM_N_COUNTERS; i++)
    g_print ("  %-33s %12" G_GUINT64_FORMAT "\n", counters[i].name,
             atomic_load (&board->counts[i]));
  for (guint i = 0; i < SIM_N_PEAKS; i++)
    g_print ("  %-33s %12" G_GUINT64_FORMAT "\n", peak_names[i], atomic_load (&board->peaks[i]));
  for (guint i = 0; i < n; i++)
    g_print ("seed %" G_GUINT64_FORMAT " FAILED: %s\n  replay: sim --seed %" G_GUINT64_FORMAT
             " --trace%s\n",
             board->failures[i].seed, board->failures[i].text, board->failures[i].seed, arguments);
}

int
main (int argc, char **argv)
{
  Options options = { 0 };
  const struct rlimit no_core = { 0 };
  g_autoptr (GString) arguments = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  Board *board =
      mmap (NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  guint failures;

  for (int i = 1; i < argc; i++)
    if (g_str_equal (argv[i], "--lives"))
      g_string_append (arguments, " --lives");
    else if (i + 1 < argc && (g_str_equal (argv[i], "--only") || g_str_equal (argv[i], "--no")))
      g_string_append_printf (arguments, " %s %s", argv[i], argv[i + 1]);
  if (board == MAP_FAILED)
    g_error ("mmap: %s", g_strerror (errno));
  if (!parse_options (&options, &argc, &argv, &error)) {
    g_printerr ("sim: %s\n", error->message);
    return 2;
  }
  setrlimit (RLIMIT_CORE, &no_core);
  atomic_store (&board->next_seed, options.first);
  if (options.jobs == 0)
    run_seed (board, &options, options.first);
  else
    supervise (board, &options);
  if (!options.tracing)
    print_summary (board, &options, arguments->str);
  failures = atomic_load (&board->n_failures);
  if (!rollbacks_are_told (board)) {
    g_print ("FAILED: too many rollbacks looked like a broken peer\n");
    failures++;
  }
  if (options.jobs > 0)
    failures += tell_what_never_happened (board, &options);
  munmap (board, sizeof *board);
  return failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
