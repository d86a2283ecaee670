/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/command-line.h"

#include <glib/gi18n-lib.h>

#define SYSTEM_IDENTITY "/var/lib/hypha/identity.pem"
/* In a folder of its own: that of the sockets is open to all. */
#define SYSTEM_BOOT_IDENTITY "/run/hypha/identity/identity.pem"

/* For people who know them from Mycelium, where transports are fixed. */
#define TCP_LISTEN "tcp://[::]:"
#define VSOCK_LISTEN "vsock://any:"

#define NO_PORT (-1)

/* As GOption leaves it. */
typedef struct {
  char **listen, **peer, **peers, **rest;
  int tcp_port, vsock_port;
  gboolean identity_per_boot;
} Raw;

static void
raw_clear (Raw *raw)
{
  g_strfreev (raw->listen);
  g_strfreev (raw->peer);
  g_strfreev (raw->peers);
  g_strfreev (raw->rest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Raw, raw_clear)

static gboolean
check_port (const char *option, int port, GError **error)
{
  if (port == NO_PORT || (port >= 0 && port <= G_MAXUINT16))
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, _ ("%s %d: a port is 0 to %d"),
               option, port, G_MAXUINT16);
  return FALSE;
}

static gboolean
check_not_empty (const char *option, const char *word, GError **error)
{
  if (word == NULL || *word != '\0')
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, _ ("what follows %s is empty"),
               option);
  return FALSE;
}

static gboolean
check_none_empty (const char *option, char **words, GError **error)
{
  for (; words && *words; words++) {
    if (!check_not_empty (option, *words, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
check_words (const HyphaCommandLine *self, const Raw *raw, GError **error)
{
  return check_not_empty ("--config", self->config, error) &&
         check_not_empty ("--identity", self->identity, error) &&
         check_not_empty ("--address", self->bus.address, error) &&
         check_none_empty ("--listen", raw->listen, error) &&
         check_none_empty ("--peer", raw->peer, error) &&
         check_none_empty ("--peers", raw->peers, error) &&
         check_none_empty ("--peers", raw->rest, error);
}

/* GOption says of a word that is no text at most that there is one, and never shows it safely. */
static void
name_what_is_no_text (char **argv, GError **error)
{
  const char *charset;

  if ((*error)->domain != G_CONVERT_ERROR && g_utf8_validate ((*error)->message, -1, NULL))
    return;
  g_get_charset (&charset);
  for (char **word = argv; *word; word++) {
    g_autofree char *text = g_locale_to_utf8 (*word, -1, NULL, NULL, NULL);
    g_autofree char *shown = NULL;

    if (text)
      continue;
    shown = g_strescape (*word, NULL);
    g_clear_error (error);
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 _ ("the argument '%s' is not %s, the character set of this locale"), shown,
                 charset);
    return;
  }
}

static void
add_all (GStrvBuilder *builder, char **more)
{
  if (more)
    g_strv_builder_addv (builder, (const char **) more);
}

static void
add_port (GStrvBuilder *builder, const char *endpoint, int port)
{
  g_autofree char *whole = g_strdup_printf ("%s%d", endpoint, port);

  if (port != NO_PORT)
    g_strv_builder_add (builder, whole);
}

static gboolean
take (HyphaCommandLine *self, const Raw *raw, GError **error)
{
  g_autoptr (GStrvBuilder) listen = g_strv_builder_new ();
  g_autoptr (GStrvBuilder) peers = g_strv_builder_new ();

  if (raw->rest && raw->peers == NULL) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                 _ ("hyphad takes no argument '%s'; endpoints follow --listen, --peer or --peers"),
                 raw->rest[0]);
    return FALSE;
  }
  if (!check_words (self, raw, error) || !check_port ("--tcp-listen-port", raw->tcp_port, error) ||
      !check_port ("--vsock-listen-port", raw->vsock_port, error))
    return FALSE;
  add_all (listen, raw->listen);
  add_port (listen, TCP_LISTEN, raw->tcp_port);
  add_port (listen, VSOCK_LISTEN, raw->vsock_port);
  add_all (peers, raw->peer);
  add_all (peers, raw->peers);
  add_all (peers, raw->rest);
  self->listen = g_strv_builder_end (listen);
  self->peers = g_strv_builder_end (peers);
  return TRUE;
}

static char *
default_identity (const HyphaCommandLine *self)
{
  return hypha_bus_is_system (&self->bus)
             ? g_strdup (SYSTEM_IDENTITY)
             : g_build_filename (g_get_user_state_dir (), "hypha", "identity.pem", NULL);
}

/* What is gone when the machine boots, or the user's last session has ended. */
static char *
boot_identity (const HyphaCommandLine *self, GError **error)
{
  const char *folder = g_getenv ("XDG_RUNTIME_DIR");

  if (hypha_bus_is_system (&self->bus))
    return g_strdup (SYSTEM_BOOT_IDENTITY);
  if (folder != NULL && *folder == '/')
    return g_build_filename (folder, "hypha", "identity.pem", NULL);
  g_set_error_literal (
      error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
      _ ("--identity-per-boot needs a folder that does not outlive the session, and "
         "XDG_RUNTIME_DIR names none"));
  return NULL;
}

static gboolean
choose_identity (HyphaCommandLine *self, gboolean per_boot, GError **error)
{
  if (per_boot && self->identity != NULL) {
    g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                         _ ("--identity and --identity-per-boot are two ways to say where the key "
                            "is; choose one"));
    return FALSE;
  }
  if (per_boot)
    self->identity = boot_identity (self, error);
  else if (self->identity == NULL)
    self->identity = default_identity (self);
  return self->identity != NULL;
}

/**
 * hypha_command_line_parse:
 * @self: filled in; to be cleared in any case
 * @argc: (inout): of main
 * @argv: (inout): of main
 * @error: return location for an error: %G_OPTION_ERROR
 *
 * Takes the command line apart. `--help` ends the process.
 *
 * Returns: %TRUE if it could be understood
 */
gboolean
hypha_command_line_parse (HyphaCommandLine *self, int *argc, char ***argv, GError **error)
{
  g_auto (Raw) raw = { .tcp_port = NO_PORT, .vsock_port = NO_PORT };
  const GOptionEntry entries[] = {
    { "config", 'c', 0, G_OPTION_ARG_FILENAME, &self->config,
      N_ ("Take the settings from the key file FILE, not from GSettings"), "FILE" },
    { "listen", 'l', 0, G_OPTION_ARG_STRING_ARRAY, &raw.listen,
      N_ ("Listen on ENDPOINT, too; may be repeated"), "ENDPOINT" },
    { "peer", 'p', 0, G_OPTION_ARG_STRING_ARRAY, &raw.peer,
      N_ ("Dial ENDPOINT, too; may be repeated"), "ENDPOINT" },
    { "identity", 'i', 0, G_OPTION_ARG_FILENAME, &self->identity,
      N_ ("The private key; made if it is not there"), "FILE" },
    { "identity-per-boot", 0, 0, G_OPTION_ARG_NONE, &raw.identity_per_boot,
      N_ ("Make a new key at each boot: for images of which there are many copies"), NULL },
    { "print-config", 0, 0, G_OPTION_ARG_NONE, &self->print_config,
      N_ ("Check the settings, print them as a key file, and end"), NULL },
    { "tcp-listen-port", 0, 0, G_OPTION_ARG_INT, &raw.tcp_port,
      N_ ("The same as --listen tcp://[::]:PORT"), "PORT" },
    { "vsock-listen-port", 0, 0, G_OPTION_ARG_INT, &raw.vsock_port,
      N_ ("The same as --listen vsock://any:PORT"), "PORT" },
    { "peers", 0, 0, G_OPTION_ARG_STRING_ARRAY, &raw.peers,
      N_ ("The same as --peer for each of them"), "ENDPOINT..." },
    HYPHA_BUS_OPTIONS (&self->bus),
    { "version", 0, 0, G_OPTION_ARG_NONE, &self->version, N_ ("Print the version, and end"), NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &raw.rest, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) local_error = NULL;

  g_option_context_set_summary (context,
                                _ ("Keeps the links of this node and serves org.hypha.Node1."));
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  if (!g_option_context_parse (context, argc, argv, &local_error)) {
    name_what_is_no_text (*argv, &local_error);
    g_propagate_error (error, g_steal_pointer (&local_error));
    return FALSE;
  }
  return take (self, &raw, error) && hypha_bus_check (&self->bus, error) &&
         choose_identity (self, raw.identity_per_boot, error);
}

/**
 * hypha_command_line_clear:
 * @self: a command line
 *
 * Frees what is in it.
 */
void
hypha_command_line_clear (HyphaCommandLine *self)
{
  hypha_bus_clear (&self->bus);
  g_clear_pointer (&self->config, g_free);
  g_clear_pointer (&self->identity, g_free);
  g_clear_pointer (&self->listen, g_strfreev);
  g_clear_pointer (&self->peers, g_strfreev);
}
