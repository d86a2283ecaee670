/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <errno.h>
#include <gio/gunixfdlist.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ctl/relay.h"
#include "ctl/verb.h"

/* From here on the bytes are the node's: whoever waits for it knows where they begin. */
#define GREETING "hypha attached\n"

/* Where it comes from if nobody says. */
#define DEFAULT_SCHEME "stdio"
#define DEFAULT_HOST "localhost"

typedef struct {
  gboolean interrupted;
  gboolean hung_up; /* the node has closed it, both ways */
} Attach;

/* In a session of sshd, the address of the client; of a link-local one not by which interface. */
static char *
dup_host (void)
{
  const char *connection = g_getenv ("SSH_CONNECTION");
  g_auto (GStrv) words = g_strsplit_set (connection != NULL ? connection : "", " %", 2);
  g_autoptr (GInetAddress) address =
      words[0] != NULL ? g_inet_address_new_from_string (words[0]) : NULL;
  g_autofree char *text = address != NULL ? g_inet_address_to_string (address) : NULL;

  if (text == NULL)
    return g_strdup (DEFAULT_HOST);
  return g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV6
             ? g_strdup_printf ("[%s]", text)
             : g_steal_pointer (&text);
}

/* WORD: a scheme, or a whole endpoint, or nothing. */
static char *
dup_from (const char *word)
{
  g_autofree char *host = dup_host ();

  if (word != NULL && strchr (word, ':') != NULL)
    return g_strdup (word);
  return g_strdup_printf ("%s://%s", word != NULL ? word : DEFAULT_SCHEME, host);
}

/* It lasts as long as a link does, and a bus has only so many places for one user; nor is it to be
 * woken by all that goes on at the node. */
static void
leave_bus (HyphaCtl *ctl, HyphaDBusNode1 *node)
{
  g_autoptr (GDBusConnection) connection =
      g_object_ref (g_dbus_proxy_get_connection (G_DBUS_PROXY (node)));

  g_clear_object (&ctl->client);
  g_dbus_connection_close_sync (connection, NULL, NULL);
}

/* -1: an error. */
static int
ask_node (HyphaCtl *ctl, const char *from, GError **error)
{
  HyphaDBusNode1 *node;
  g_autoptr (GVariant) handle = NULL;
  g_autoptr (GUnixFDList) fds = NULL;

  ctl->quiet = TRUE;
  node = hypha_ctl_get_node (ctl, error);
  if (node == NULL)
    return -1;
  if (!hypha_dbus_node1_call_attach_sync (node, from, g_variant_new ("a{sv}", NULL),
                                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, &handle, &fds, NULL,
                                          error)) {
    hypha_client_clean_error (error);
    return -1;
  }
  leave_bus (ctl, node);
  return g_unix_fd_list_get (fds, g_variant_get_handle (handle), error);
}

static gboolean
greet (GError **error)
{
  const char *rest = GREETING;

  while (*rest != '\0') {
    gssize n = write (STDOUT_FILENO, rest, strlen (rest));

    if (n < 0 && errno == EAGAIN) {
      struct pollfd pollfd = { .fd = STDOUT_FILENO, .events = POLLOUT };

      poll (&pollfd, 1, -1);
    } else if (n < 0 && errno != EINTR) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                   _ ("cannot write to standard output: %s"), g_strerror (errno));
      return FALSE;
    }
    rest += MAX (n, 0);
  }
  return TRUE;
}

static gboolean
on_hung_up (int fd, GIOCondition condition, gpointer user_data)
{
  ((Attach *) user_data)->hung_up = TRUE;
  return G_SOURCE_REMOVE;
}

/* A node that has gone takes nothing more: what comes from standard input is not waited for then,
 * for the other end learns of it by the end of this process. */
static gboolean
run (Attach *self, HyphaRelay *relay, GError **error)
{
  for (;;) {
    g_autoptr (GError) output_error = NULL;
    gboolean drained = hypha_relay_is_drained (relay, &output_error);

    if (self->interrupted) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("interrupted"));
      return FALSE;
    }
    if (output_error) {
      g_propagate_error (error, g_steal_pointer (&output_error));
      return FALSE;
    }
    if (hypha_relay_has_failed (relay, error) || hypha_relay_is_broken (relay, error))
      return FALSE;
    if (hypha_relay_has_ended (relay) || (drained && self->hung_up))
      return TRUE;
    g_main_context_iteration (NULL, TRUE);
  }
}

gboolean
hypha_verb_attach (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autofree char *from = NULL;
  Attach self = { FALSE, FALSE };
  int fd;

  if (words == NULL)
    return FALSE;
  from = dup_from (words[0]);
  fd = ask_node (ctl, from, error);
  if (fd < 0 || !greet (error))
    return FALSE;
  hypha_ctl_catch_signals (&self.interrupted);
  g_unix_set_fd_nonblocking (fd, TRUE, NULL);
  g_unix_fd_add (fd, G_IO_HUP, on_hung_up, &self);
  return run (&self, hypha_relay_start (STDIN_FILENO, STDOUT_FILENO, fd), error);
}
