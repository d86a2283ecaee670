/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/program.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "daemon/activation.h"
#include "daemon/bus-name.h"
#include "daemon/command-line.h"
#include "daemon/gate.h"
#include "daemon/generation.h"
#include "daemon/manager.h"
#include "daemon/objects.h"
#include "daemon/private-bus.h"
#include "daemon/settings.h"
#include "daemon/stream-results.h"
#include "dbus/errors.h"

#define SYSTEM_CONFIG "/etc/hypha/node.conf"
#define EXIT_USAGE 2
#define GRACE_MS 5000  /* for open streams, when the daemon is asked to end */
#define ASKING_MS 1000 /* for the programs that opened them, to ask how they ended */

typedef struct {
  GMainLoop *loop;
  HyphaSettings *settings;
  GDBusConnection *connection; /* a bus; or else */
  HyphaPrivateBus *private_bus;
  HyphaGate *gate;
  HyphaIdentity *identity;
  HyphaLoader *loader;
  HyphaNode *node;
  HyphaGeneration *generation; /* nullable */
  HyphaServices *services;
  HyphaForwards *forwards;
  HyphaObjects *objects;
  HyphaActivation *activation; /* not owned */
  HyphaManager *manager;       /* while running */
  guint asked_to_end;          /* how often */
  guint asking;                /* timer, while somebody may still ask how his stream ended */
  gint64 patience;
  gboolean failed; /* while running */
} Daemon;

/* The streams have ended; those who opened them may still have to read that. */
static gboolean
on_asking (gpointer user_data)
{
  Daemon *daemon = user_data;

  if (hypha_stream_results_count_unasked (daemon->node) > 0 &&
      g_get_monotonic_time () < daemon->patience)
    return G_SOURCE_CONTINUE;
  daemon->asking = 0;
  g_main_loop_quit (daemon->loop);
  return G_SOURCE_REMOVE;
}

static void
on_drained (HyphaNode *node, gpointer user_data)
{
  Daemon *daemon = user_data;

  if (hypha_stream_results_count_unasked (daemon->node) == 0) {
    g_main_loop_quit (daemon->loop);
    return;
  }
  daemon->patience = g_get_monotonic_time () + ASKING_MS * G_TIME_SPAN_MILLISECOND;
  daemon->asking = g_timeout_add (10, on_asking, daemon);
}

/* Who asks twice does not want to wait for the streams, and who asks three times, for nobody. */
static gboolean
on_end (gpointer user_data)
{
  Daemon *daemon = user_data;

  switch (++daemon->asked_to_end) {
  case 1:
    hypha_manager_stopping (daemon->manager);
    hypha_forwards_stop (daemon->forwards);
    hypha_services_stop (daemon->services);
    hypha_node_drain (daemon->node, GRACE_MS, on_drained, daemon);
    break;
  case 2:
    hypha_node_drain_hurry (daemon->node);
    break;
  default:
    g_main_loop_quit (daemon->loop);
  }
  return G_SOURCE_CONTINUE;
}

static gboolean
on_hangup (gpointer user_data)
{
  Daemon *daemon = user_data;

  hypha_manager_reloading (daemon->manager);
  hypha_settings_reload (daemon->settings);
  hypha_manager_reloaded (daemon->manager);
  return G_SOURCE_CONTINUE;
}

/* Nobody can ask or tell this node anything any more: better a new start with a bus. */
static void
on_bus_closed (GDBusConnection *connection, gboolean remote_vanished, GError *error, Daemon *daemon)
{
  g_warning ("the bus is gone%s%s", error ? ": " : "", error ? error->message : "");
  daemon->failed = TRUE;
  g_main_loop_quit (daemon->loop);
}

/* The system daemon keeps to a key file, for dconf is not for daemons. */
static HyphaSettings *
open_settings (const HyphaCommandLine *line, GError **error)
{
  HyphaSettings *settings;

  if (line->config)
    settings = hypha_settings_new (line->config, TRUE, error);
  else
    settings =
        hypha_settings_new (hypha_bus_is_system (&line->bus) ? SYSTEM_CONFIG : NULL, FALSE, error);
  if (settings)
    hypha_settings_add (settings, (const char *const *) line->listen,
                        (const char *const *) line->peers);
  return settings;
}

/* What is wrong with the settings is told and passed over; what is wrong on the command line was
 * typed just now. A transport may still come: until then the node tells that it is missing. */
static gboolean
check_endpoints (HyphaLoader *loader, const char *option, char **endpoints, GError **error)
{
  for (char **endpoint = endpoints; *endpoint; endpoint++) {
    g_autoptr (GError) local_error = NULL;
    g_autoptr (HyphaEndpoint) parsed =
        hypha_loader_check_link_endpoint (loader, *endpoint, &local_error);

    if (parsed || g_error_matches (local_error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE))
      continue;
    g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "%s %s: ", option,
                                *endpoint);
    return FALSE;
  }
  return TRUE;
}

/* Where there is no bus, a socket takes its place; but whoever named one wants that. */
static gboolean
find_bus (Daemon *daemon, const HyphaBus *bus, GError **error)
{
  g_autofree char *socket = hypha_bus_dup_socket (bus);
  g_autoptr (GError) local_error = NULL;

  daemon->connection = hypha_bus_connect (bus, NULL, &local_error);
  if (daemon->connection)
    return hypha_bus_name_check (daemon->connection, error);
  if (socket == NULL) {
    g_propagate_error (error, g_steal_pointer (&local_error));
    return FALSE;
  }
  g_message ("%s", local_error->message);
  g_message ("serving on the socket %s", socket);
  daemon->private_bus = hypha_private_bus_new (socket, error);
  return daemon->private_bus != NULL;
}

static gboolean
open_to_others (Daemon *daemon, GError **error)
{
  daemon->objects =
      hypha_objects_new (daemon->node, daemon->settings, daemon->services, daemon->forwards);
  if (daemon->private_bus) {
    hypha_private_bus_open (daemon->private_bus, daemon->objects);
    return TRUE;
  }
  daemon->gate = hypha_gate_new (daemon->connection);
  if (!hypha_objects_export (daemon->objects, daemon->connection, error))
    return FALSE;
  g_signal_connect (daemon->connection, "closed", G_CALLBACK (on_bus_closed), daemon);
  return hypha_bus_name_take (daemon->connection, error);
}

/* A clone is another life of this node from now on: it must not go on with what the other one goes
 * on with as well. */
static void
on_generation (gpointer user_data)
{
  Daemon *daemon = user_data;
  g_autoptr (GError) error = NULL;

  g_message ("this machine was cloned, or restored from a snapshot");
  if (!hypha_node_renew (daemon->node, &error))
    g_warning ("%s", error->message);
}

static void
watch_generation (Daemon *daemon)
{
  g_autoptr (GError) error = NULL;

  daemon->generation = hypha_generation_new (on_generation, daemon, &error);
  if (daemon->generation == NULL)
    g_message ("%s", error->message);
}

/* What has its plug-ins built in cannot load others: it is linked statically. */
static HyphaLoader *
make_loader (const HyphaBus *bus, const HyphaPlugin *const *built_in)
{
  g_auto (GStrv) directories = built_in != NULL
                                   ? g_new0 (char *, 1)
                                   : hypha_loader_default_directories (!hypha_bus_is_system (bus));
  HyphaLoader *loader = hypha_loader_new ((const char *const *) directories);

  for (; built_in != NULL && *built_in != NULL; built_in++)
    hypha_loader_add_built_in (loader, *built_in);
  return loader;
}

/* Everything that can be refused comes before anything is opened to others. */
static gboolean
daemon_start (Daemon *daemon, const HyphaCommandLine *line, const HyphaPlugin *const *built_in,
              GError **error)
{
  if (!find_bus (daemon, &line->bus, error))
    return FALSE;
  daemon->identity = hypha_identity_open (line->identity, error);
  if (daemon->identity == NULL)
    return FALSE;
  daemon->loader = make_loader (&line->bus, built_in);
  hypha_settings_feed_loader (daemon->settings, daemon->loader);
  if (!check_endpoints (daemon->loader, "--listen", line->listen, error) ||
      !check_endpoints (daemon->loader, "--peer", line->peers, error))
    return FALSE;
  daemon->node = hypha_node_new (daemon->identity, daemon->loader, 0, error);
  if (daemon->node == NULL)
    return FALSE;
  watch_generation (daemon);
  hypha_activation_hand_over (daemon->activation, daemon->node);
  daemon->services = hypha_services_new (daemon->node);
  daemon->forwards = hypha_forwards_new (daemon->node);
  hypha_services_set_forwards (daemon->services, daemon->forwards);
  hypha_settings_feed (daemon->settings, daemon->node, daemon->services, daemon->forwards);
  return open_to_others (daemon, error);
}

/* Before the objects go: clients are to see that the node ends, and not that it forgets its peers.
 */
static void
leave_bus (Daemon *daemon)
{
  g_signal_handlers_disconnect_by_data (daemon->connection, daemon);
  g_dbus_connection_flush_sync (daemon->connection, NULL, NULL);
  g_dbus_connection_close_sync (daemon->connection, NULL, NULL);
}

static void
daemon_stop (Daemon *daemon)
{
  if (daemon->connection)
    leave_bus (daemon);
  if (daemon->private_bus)
    hypha_private_bus_close (daemon->private_bus);
  g_clear_pointer (&daemon->generation, hypha_generation_free);
  g_clear_object (&daemon->objects);
  g_clear_object (&daemon->settings);
  if (daemon->forwards)
    hypha_forwards_stop (daemon->forwards);
  if (daemon->node)
    hypha_node_stop (daemon->node);
  /* After the streams, or those would look finished. */
  g_clear_object (&daemon->services);
  g_clear_object (&daemon->forwards);
  g_clear_object (&daemon->node);
  g_clear_object (&daemon->loader);
  g_clear_pointer (&daemon->identity, hypha_identity_unref);
  g_clear_pointer (&daemon->gate, hypha_gate_free);
  g_clear_object (&daemon->connection);
  g_clear_pointer (&daemon->private_bus, hypha_private_bus_free);
}

static int
daemon_run (Daemon *daemon, const HyphaCommandLine *line)
{
  g_autofree char *id = NULL;
  guint sources[3];

  daemon->loop = g_main_loop_new (NULL, FALSE);
  sources[0] = g_unix_signal_add (SIGTERM, on_end, daemon);
  sources[1] = g_unix_signal_add (SIGINT, on_end, daemon);
  sources[2] = g_unix_signal_add (SIGHUP, on_hangup, daemon);
  id = hypha_node_id_to_string (hypha_node_get_id (daemon->node));
  g_message ("node %s (%s) is on %s", id, hypha_node_get_name (daemon->node),
             daemon->private_bus ? "a socket of its own" : hypha_bus_describe (&line->bus));
  daemon->manager = hypha_manager_new (daemon->node);
  g_main_loop_run (daemon->loop);
  if (daemon->asked_to_end == 0)
    hypha_manager_stopping (daemon->manager);
  g_clear_pointer (&daemon->manager, hypha_manager_free);
  g_clear_handle_id (&daemon->asking, g_source_remove);
  for (gsize i = 0; i < G_N_ELEMENTS (sources); i++)
    g_source_remove (sources[i]);
  g_clear_pointer (&daemon->loop, g_main_loop_unref);
  return daemon->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A descriptor for each link and each stream: the soft limit is there for programs that use
 * select(), which this one does not. It starts no other programs, which would have to get it back.
 */
static void
raise_descriptor_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
    return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit (RLIMIT_NOFILE, &limit) != 0)
    g_warning ("cannot raise the limit of open files to %llu: %s",
               (unsigned long long) limit.rlim_max, g_strerror (errno));
}

static int
fail (int status, const GError *error)
{
  g_printerr ("hyphad: %s\n", error->message);
  if (status == EXIT_USAGE)
    g_printerr (_ ("hyphad --help shows what it takes.\n"));
  return status;
}

/**
 * hypha_daemon_main:
 * @argc: of main
 * @argv: of main
 * @built_in: (nullable) (array zero-terminated=1): the plug-ins that are part of the program, which
 * then has no others
 *
 * The program hyphad.
 *
 * Returns: its exit status
 */
int
hypha_daemon_main (int argc, char **argv, const HyphaPlugin *const *built_in)
{
  g_auto (HyphaCommandLine) line = { 0 };
  g_autoptr (HyphaActivation) activation = NULL;
  g_autoptr (GError) error = NULL;
  Daemon daemon = { 0 };
  int status;

  setlocale (LC_ALL, "");
  signal (SIGPIPE, SIG_IGN);
  raise_descriptor_limit ();
  activation = hypha_activation_take ();
  daemon.activation = activation;
  g_log_writer_default_set_use_stderr (TRUE);
  hypha_dbus_errors_register ();
  if (!hypha_command_line_parse (&line, &argc, &argv, &error))
    return fail (EXIT_USAGE, error);
  if (line.version) {
    g_print ("hyphad " HYPHA_VERSION "\n");
    return EXIT_SUCCESS;
  }
  daemon.settings = open_settings (&line, &error);
  if (daemon.settings == NULL)
    return fail (EXIT_FAILURE, error);
  if (line.print_config) {
    g_autofree char *text = hypha_settings_print (daemon.settings);

    fputs (text, stdout);
    g_clear_object (&daemon.settings);
    return EXIT_SUCCESS;
  }
  if (daemon_start (&daemon, &line, built_in, &error))
    status = daemon_run (&daemon, &line);
  else
    status = fail (EXIT_FAILURE, error);
  daemon_stop (&daemon);
  return status;
}
