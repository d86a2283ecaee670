/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/program.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "agent/child.h"
#include "agent/copy.h"
#include "agent/exec.h"
#include "client/standard-streams.h"

#define EXIT_USAGE 2

typedef struct {
  HyphaBus bus;
  gboolean version;
} CommandLine;

static gboolean
parse (CommandLine *line, int *argc, char ***argv, GError **error)
{
  const GOptionEntry entries[] = {
    HYPHA_BUS_OPTIONS (&line->bus),
    { "version", 0, 0, G_OPTION_ARG_NONE, &line->version, N_ ("Print the version, and end"), NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);

  g_option_context_set_summary (context,
                                _ ("Runs commands and copies files for the peers that the node's "
                                   "settings name."));
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc > 1) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("there is no place for '%s'"),
                 (*argv)[1]);
    return FALSE;
  }
  return hypha_bus_check (&line->bus, error);
}

static void
on_closed (GDBusConnection *connection, gboolean remote_vanished, GError *reason, GMainLoop *loop)
{
  g_main_loop_quit (loop);
}

static gboolean
on_end (gpointer user_data)
{
  g_main_loop_quit (user_data);
  return G_SOURCE_CONTINUE;
}

/* Commands have their time to end; no new ones come. */
static void
stop (HyphaAgent *agent)
{
  hypha_agent_free (agent);
  hypha_agent_exec_stop_all ();
  hypha_agent_copy_stop_all ();
  while (hypha_agent_child_count () > 0)
    g_main_context_iteration (NULL, TRUE);
}

static int
run (HyphaClient *client, GError **error)
{
  GDBusConnection *connection =
      g_dbus_proxy_get_connection (G_DBUS_PROXY (hypha_client_get_node (client)));
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  HyphaAgent *agent = hypha_agent_new (client, error);
  gulong closed;

  if (agent == NULL)
    return EXIT_FAILURE;
  g_unix_signal_add (SIGTERM, on_end, loop);
  g_unix_signal_add (SIGINT, on_end, loop);
  closed = g_signal_connect (connection, "closed", G_CALLBACK (on_closed), loop);
  if (!g_dbus_connection_is_closed (connection))
    g_main_loop_run (loop);
  g_signal_handler_disconnect (connection, closed);
  stop (agent);
  if (!g_dbus_connection_is_closed (connection))
    return EXIT_SUCCESS;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
               _ ("the connection to the node is gone"));
  return EXIT_FAILURE;
}

static int
fail (int status, const GError *error)
{
  g_printerr ("hypha-agent: %s\n", error->message);
  if (status == EXIT_USAGE)
    g_printerr (_ ("hypha-agent --help shows what it takes.\n"));
  return status;
}

/**
 * hypha_agent_main:
 * @argc: of main
 * @argv: of main
 *
 * The program hypha-agent.
 *
 * Returns: its exit status
 */
int
hypha_agent_main (int argc, char **argv)
{
  CommandLine line = { 0 };
  g_auto (HyphaBus) bus = { 0 };
  g_autoptr (HyphaClient) client = NULL;
  g_autoptr (GError) error = NULL;
  int status = EXIT_FAILURE;

  hypha_client_open_standard_streams ();
  setlocale (LC_ALL, "");
  signal (SIGPIPE, SIG_IGN);
  g_log_writer_default_set_use_stderr (TRUE);
  if (argc > 1 && g_str_equal (argv[1], HYPHA_AGENT_COPY_OPTION))
    return hypha_agent_copy_serve ((const char *const *) argv + 2);
  if (!parse (&line, &argc, &argv, &error))
    return fail (EXIT_USAGE, error);
  bus = line.bus;
  if (line.version) {
    g_print ("hypha-agent " HYPHA_VERSION "\n");
    return EXIT_SUCCESS;
  }
  client = hypha_client_new_on_bus (&bus, NULL, &error);
  if (client)
    status = run (client, &error);
  return error ? fail (status, error) : status;
}
