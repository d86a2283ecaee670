/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

#define MAX_SECONDS 120
#define MAX_ANSWER 256
#define DIGITS 6

typedef struct {
  HyphaCtl *ctl;
  HyphaDBusNode1 *node;
  int seconds;
  char *yes_if; /* NULL: somebody is asked */
  char *id;     /* NULL: nobody shook hands yet */
  char *code;
  gboolean interrupted, timed_out;
  gboolean answered;
  GString *answer; /* what was typed so far */
} Pair;

static void
pair_clear (Pair *self)
{
  g_free (self->yes_if);
  g_free (self->id);
  g_free (self->code);
  if (self->answer)
    g_string_free (self->answer, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Pair, pair_clear)

/* ---- what is told ---- */

static void
tell_begin (Pair *self)
{
  const char *id = hypha_dbus_node1_get_id (self->node);

  if (self->ctl->json) {
    hypha_ctl_print_json_line (g_variant_new_parsed (
        "{'event': <'waiting'>, 'id': <%s>, 'seconds': <%u>}", id, (guint) self->seconds));
    return;
  }
  printf (_ ("This node is %s.\n"
             "Within %d seconds, run hyphactl pair on the other node, too, and connect the two: "
             "hyphactl connect ENDPOINT\n"),
          id, self->seconds);
  fflush (stdout);
}

static void
tell_code (Pair *self)
{
  g_autofree char *id = hypha_ctl_escape (self->id);
  g_autofree char *code = hypha_ctl_escape (self->code);

  if (self->ctl->json) {
    hypha_ctl_print_json_line (g_variant_new_parsed (
        "{'event': <'code'>, 'id': <%s>, 'code': <%s>}", self->id, self->code));
    return;
  }
  printf (_ ("The other node is %s.\nDigits: %s\n"), id, code);
  fflush (stdout);
}

/* The peer as it is now; the answer to a call may overtake its object. */
static HyphaDBusPeer1 *
find_peer (Pair *self)
{
  g_autofree char *path = hypha_dbus_path (HYPHA_DBUS_PEER, self->id);
  g_autoptr (GDBusObject) object =
      g_dbus_object_manager_get_object (hypha_client_get_objects (self->ctl->client), path);

  return object ? hypha_dbus_object_get_peer1 (HYPHA_DBUS_OBJECT (object)) : NULL;
}

/* The name is the node's choice: it need not be what the other calls itself. */
static void
tell_end (Pair *self)
{
  g_autoptr (HyphaDBusPeer1) peer = find_peer (self);
  const char *name = peer ? hypha_dbus_peer1_get_name (peer) : NULL;
  gboolean online = peer && g_strcmp0 (hypha_dbus_peer1_get_state (peer), "online") == 0;
  g_autofree char *safe = hypha_ctl_escape (name && *name ? name : self->id);

  if (self->ctl->json)
    hypha_ctl_print_json_line (
        g_variant_new_parsed ("{'event': <'paired'>, 'id': <%s>, 'name': <%s>, 'online': <%b>}",
                              self->id, name ? name : "", online));
  else if (online)
    printf (_ ("Paired: it is trusted here as %s.\n"), safe);
  else
    printf (_ ("It is trusted here as %s. The other side has not confirmed yet.\n"), safe);
}

/* ---- what happens ---- */

/* One handshake a window yields digits; whatever comes after it is not what is being compared. */
static void
on_code (HyphaDBusNode1 *node, const char *id, const char *code, Pair *self)
{
  if (self->id)
    return;
  self->id = g_strdup (id);
  self->code = g_strdup (code);
}

static gboolean
on_interrupt (gpointer user_data)
{
  Pair *self = user_data;

  self->interrupted = TRUE;
  return G_SOURCE_CONTINUE;
}

static gboolean
on_timeout (gpointer user_data)
{
  Pair *self = user_data;

  self->timed_out = TRUE;
  return G_SOURCE_CONTINUE;
}

/* A line, or the end of what there is. */
static gboolean
on_input (int fd, GIOCondition condition, gpointer user_data)
{
  Pair *self = user_data;
  char c;
  gssize n = read (fd, &c, 1);

  if (n == 1 && c != '\n' && self->answer->len < MAX_ANSWER) {
    g_string_append_c (self->answer, c);
    return G_SOURCE_CONTINUE;
  }
  self->answered = TRUE;
  return G_SOURCE_REMOVE;
}

/* FALSE: the time is up, somebody broke it off, or the node is gone. */
static gboolean
goes_on (Pair *self, GError **error)
{
  GDBusProxy *proxy = G_DBUS_PROXY (self->node);
  g_autofree char *owner = g_dbus_proxy_get_name_owner (proxy);

  if (self->interrupted)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                 _ ("interrupted: the pairing is given up"));
  else if (self->timed_out && self->id)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                 _ ("no answer within %d seconds: the pairing is given up; hyphactl pair begins "
                    "anew"),
                 self->seconds);
  else if (self->timed_out)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                 _ ("nobody shook hands within %d seconds: run hyphactl pair on both nodes, and "
                    "hyphactl connect ENDPOINT on one of them"),
                 self->seconds);
  else if (g_dbus_connection_is_closed (g_dbus_proxy_get_connection (proxy)) ||
           (g_dbus_proxy_get_name (proxy) && owner == NULL))
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_RESTARTED,
                 _ ("the node has ended, and the pairing with it: hyphactl pair begins anew"));
  else
    return TRUE;
  return FALSE;
}

/* Until either holds. */
static gboolean
wait_until (Pair *self, const gboolean *done, char *const *or_there, GError **error)
{
  while (!(done && *done) && !(or_there && *or_there)) {
    if (!goes_on (self, error))
      return FALSE;
    g_main_context_iteration (NULL, TRUE);
  }
  return TRUE;
}

/* Digits are compared without what people put between them. */
static gboolean
same_digits (const char *a, const char *b)
{
  for (;; a++, b++) {
    a += strspn (a, " -\t\r");
    b += strspn (b, " -\t\r");
    if (*a != *b)
      return FALSE;
    if (*a == '\0')
      return TRUE;
  }
}

/* A person says yes; a program has to say the digits that the other side shows, for a program that
 * always says yes compares nothing. */
static gboolean
ask (Pair *self, gboolean *same, GError **error)
{
  gboolean terminal = isatty (STDIN_FILENO);
  guint source;

  if (terminal) {
    fputs (_ ("Same on the other side? [y/N] "), stderr);
    fflush (stderr);
  }
  self->answer = g_string_new (NULL);
  source = g_unix_fd_add (STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, on_input, self);
  if (!wait_until (self, &self->answered, NULL, error)) {
    g_source_remove (source);
    if (terminal)
      fputc ('\n', stderr);
    return FALSE;
  }
  g_strstrip (self->answer->str);
  if (terminal)
    *same = g_ascii_strcasecmp (self->answer->str, "y") == 0 ||
            g_ascii_strcasecmp (self->answer->str, "yes") == 0 ||
            g_ascii_strcasecmp (self->answer->str, _ ("y")) == 0 ||
            g_ascii_strcasecmp (self->answer->str, _ ("yes")) == 0;
  else
    *same = same_digits (self->answer->str, self->code);
  return TRUE;
}

static gboolean
confirm (Pair *self, gboolean same, GError **error)
{
  if (!hypha_dbus_node1_call_confirm_pairing_sync (
          self->node, self->id, same, G_DBUS_CALL_FLAGS_NONE, -1, NULL, same ? error : NULL)) {
    if (same)
      hypha_client_clean_error (error);
    return FALSE;
  }
  return TRUE;
}

/* Until the other side has confirmed, too, and has a link: only then its name is known for sure. */
static void
wait_for_peer (Pair *self)
{
  for (;;) {
    g_autoptr (HyphaDBusPeer1) peer = find_peer (self);

    if ((peer && g_strcmp0 (hypha_dbus_peer1_get_state (peer), "online") == 0) ||
        !goes_on (self, NULL))
      return;
    g_main_context_iteration (NULL, TRUE);
  }
}

static gboolean
run (Pair *self, GError **error)
{
  gboolean same;

  if (!hypha_dbus_node1_call_pair_sync (self->node, (guint) self->seconds, G_DBUS_CALL_FLAGS_NONE,
                                        -1, NULL, error)) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  g_timeout_add_seconds ((guint) self->seconds, on_timeout, self);
  tell_begin (self);
  if (!wait_until (self, NULL, &self->id, error))
    return FALSE;
  tell_code (self);
  if (self->yes_if)
    same = same_digits (self->yes_if, self->code);
  else if (!ask (self, &same, error))
    return FALSE;
  if (same)
    return confirm (self, TRUE, error);
  confirm (self, FALSE, NULL);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED,
               _ ("not confirmed, so the pairing is given up. If the digits differ, somebody may "
                  "sit between the two nodes; else hyphactl pair begins anew"));
  return FALSE;
}

static gboolean
check_code (const char *code, GError **error)
{
  guint digits = 0;

  for (const char *c = code; c && *c; c++)
    digits += g_ascii_isdigit (*c) ? 1 : 0;
  if (code == NULL || (digits == DIGITS && strspn (code, "0123456789 -") == strlen (code)))
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               _ ("--yes-if %s: it is the six digits that the other side shows"), code);
  return FALSE;
}

gboolean
hypha_verb_pair (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (Pair) self = { .ctl = ctl, .seconds = 60 };
  const GOptionEntry options[] = {
    { "seconds", 's', 0, G_OPTION_ARG_INT, &self.seconds,
      N_ ("How long there is to shake hands and to compare, 1 to 120 (60)"), N_ ("SECONDS") },
    { "yes-if", 0, 0, G_OPTION_ARG_STRING, &self.yes_if,
      N_ ("Do not ask: confirm if the digits are CODE, else give up"), N_ ("CODE") },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  gboolean done;

  if (words == NULL || !hypha_verb_check_range ("--seconds", self.seconds, 1, MAX_SECONDS, error) ||
      !check_code (self.yes_if, error))
    return FALSE;
  self.node = hypha_ctl_get_node (ctl, error);
  if (self.node == NULL)
    return FALSE;
  g_signal_connect (self.node, "pairing-code", G_CALLBACK (on_code), &self);
  g_unix_signal_add (SIGINT, on_interrupt, &self);
  g_unix_signal_add (SIGTERM, on_interrupt, &self);
  g_unix_signal_add (SIGHUP, on_interrupt, &self);
  done = run (&self, error);
  g_signal_handlers_disconnect_by_data (self.node, &self);
  if (done) {
    wait_for_peer (&self);
    tell_end (&self);
  } else {
    hypha_dbus_node1_call_pair_sync (self.node, 0, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
  }
  return done;
}
