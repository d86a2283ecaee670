/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/copy.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/copy-request.h"
#include "agent/exec.h"
#include "copy/entry.h"

#define REQUEST_TIMEOUT_MS 10000

struct _HyphaAgentCopy {
  int fd; /* of the stream; -1: only the process has it */
  char *peer, *peer_name;
  guint source, timer;
  GByteArray *said; /* of the request, no more than that: what follows is for the process */
  HyphaAgentRequest *launched;
  HyphaAgentAccount *account;
  HyphaAgentChild *child;
  gboolean runs, exited;
  int status;
  gboolean told; /* that it failed; the rest of what comes is dropped */
};

static GList *copies; /* HyphaAgentCopy */
static char **roots;  /* NULL: none */

static void
copy_free (HyphaAgentCopy *self)
{
  copies = g_list_remove (copies, self);
  g_clear_handle_id (&self->source, g_source_remove);
  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->child)
    hypha_agent_child_end (self->child);
  g_clear_pointer (&self->launched, hypha_agent_request_free);
  g_clear_pointer (&self->account, hypha_agent_account_free);
  if (self->fd >= 0)
    close (self->fd);
  g_byte_array_unref (self->said);
  g_free (self->peer);
  g_free (self->peer_name);
  g_free (self);
}

/**
 * hypha_agent_copy_configure:
 * @entry: a{sv}, of the service in the settings
 *
 * Takes the roots for streams that come from now on.
 *
 * Returns: %TRUE if there are some
 */
gboolean
hypha_agent_copy_configure (GVariant *entry)
{
  g_auto (GStrv) named = NULL;

  g_clear_pointer (&roots, g_strfreev);
  if (!g_variant_lookup (entry, "roots", "^as", &named) || named[0] == NULL)
    return FALSE;
  for (char **root = named; *root; root++) {
    if (**root != '/')
      return FALSE;
  }
  roots = g_steal_pointer (&named);
  return TRUE;
}

/* ---- what cannot be ---- */

static gboolean
on_linger (gpointer user_data)
{
  HyphaAgentCopy *self = user_data;

  self->timer = 0;
  copy_free (self);
  return G_SOURCE_REMOVE;
}

/* Nothing was said before, so there is room for it. */
static void
tell_failure (HyphaAgentCopy *self, const char *sentence)
{
  g_autoptr (GByteArray) parcel = g_byte_array_new ();
  g_autofree char *shown = g_strescape (sentence, NULL);

  g_message ("cp of %s: %s", self->peer_name, shown);
  hypha_parcel_append (parcel, HYPHA_COPY_FAILED, sentence,
                       MIN (strlen (sentence), HYPHA_PARCEL_MAX));
  send (self->fd, parcel->data, parcel->len, MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown (self->fd, SHUT_WR);
  self->told = TRUE;
  g_clear_handle_id (&self->timer, g_source_remove);
  self->timer = g_timeout_add (HYPHA_COPY_LINGER_MS, on_linger, self);
}

static gboolean
on_no_request (gpointer user_data)
{
  HyphaAgentCopy *self = user_data;
  g_autofree char *sentence =
      g_strdup_printf (_ ("no request came within %d seconds: this service is for hyphactl cp"),
                       REQUEST_TIMEOUT_MS / 1000);

  self->timer = 0;
  tell_failure (self, sentence);
  return G_SOURCE_REMOVE;
}

/* ---- its process ---- */

static void
settle (HyphaAgentCopy *self)
{
  if (!self->runs || !self->exited)
    return;
  if (WIFSIGNALED (self->status) && WTERMSIG (self->status) != SIGKILL &&
      WTERMSIG (self->status) != SIGHUP && WTERMSIG (self->status) != SIGTERM)
    g_warning ("cp of %s: its process was ended by signal %d", self->peer_name,
               WTERMSIG (self->status));
  hypha_agent_child_release (g_steal_pointer (&self->child));
  copy_free (self);
}

static gboolean on_said (int fd, GIOCondition condition, gpointer user_data);

static void
on_ran (const HyphaAgentReport *why_not, gpointer user_data)
{
  HyphaAgentCopy *self = user_data;
  g_autofree char *sentence = NULL;
  guint8 status;

  if (why_not == NULL) {
    close (self->fd);
    self->fd = -1;
    self->runs = TRUE;
    settle (self);
    return;
  }
  sentence = hypha_agent_report_describe (why_not, self->launched, self->account, &status);
  hypha_agent_child_end (g_steal_pointer (&self->child));
  tell_failure (self, sentence);
  self->source = g_unix_fd_add (self->fd, G_IO_IN, on_said, self);
}

static void
on_exited (int status, gpointer user_data)
{
  HyphaAgentCopy *self = user_data;

  self->exited = TRUE;
  self->status = status;
  settle (self);
}

static const HyphaAgentChildEvents child_events = { .ran = on_ran,
                                                    .exited = on_exited,
                                                    .alone = TRUE };

static HyphaAgentRequest *
make_launch (HyphaAgentCopy *self, const HyphaAgentCopyRequest *request)
{
  HyphaAgentRequest *launched = g_new0 (HyphaAgentRequest, 1);
  g_autoptr (GStrvBuilder) words = g_strv_builder_new ();
  g_autoptr (GStrvBuilder) env = g_strv_builder_new ();
  g_autofree char *text = g_strndup ((const char *) self->said->data + HYPHA_PARCEL_HEADER,
                                     self->said->len - HYPHA_PARCEL_HEADER);
  g_autofree char *variable = g_strconcat (HYPHA_AGENT_COPY_REQUEST "=", text, NULL);

  g_strv_builder_add_many (words, "hypha-agent", HYPHA_AGENT_COPY_OPTION, NULL);
  g_strv_builder_addv (words, (const char **) roots);
  g_strv_builder_add (env, variable);
  launched->argv = g_strv_builder_end (words);
  launched->env = g_strv_builder_end (env);
  launched->cwd = g_strdup ("/");
  launched->user = g_strdup (request->user);
  return launched;
}

static gboolean
start (HyphaAgentCopy *self, GError **error)
{
  g_autoptr (HyphaAgentCopyRequest) request = hypha_agent_copy_request_parse (
      self->said->data + HYPHA_PARCEL_HEADER, self->said->len - HYPHA_PARCEL_HEADER, error);
  HyphaAgentLaunch launch;

  if (request == NULL)
    return FALSE;
  if (hypha_agent_child_count () >= HYPHA_AGENT_MAX_COMMANDS) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("%d commands and copies run on this node already, and no more may: try again "
                    "when one has ended"),
                 HYPHA_AGENT_MAX_COMMANDS);
    return FALSE;
  }
  if (roots == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_REFUSED,
                 _ ("the service '%s' has been turned off"), HYPHA_COPY_SERVICE);
    return FALSE;
  }
  self->launched = make_launch (self, request);
  self->account = hypha_agent_account_find (request->user, error);
  if (self->account == NULL ||
      !hypha_agent_launch (self->launched, self->account, self->peer, self->fd, &launch, error))
    return FALSE;
  self->child = hypha_agent_child_new (&launch, &child_events, self, error);
  if (self->child == NULL)
    return FALSE;
  g_message ("cp of %s as %s: process %d", self->peer_name, self->account->name, launch.pid);
  return TRUE;
}

/* ---- the request ---- */

/* So much more of it has to come; 0: it is whole. */
static gsize
find_rest (HyphaAgentCopy *self, GError **error)
{
  const guint8 *at = self->said->data;
  gsize length;

  if (self->said->len < HYPHA_PARCEL_HEADER)
    return HYPHA_PARCEL_HEADER - self->said->len;
  length = (gsize) at[1] << 24 | (gsize) at[2] << 16 | (gsize) at[3] << 8 | at[4];
  if (at[0] == HYPHA_COPY_REQUEST && length <= HYPHA_PARCEL_MAX)
    return HYPHA_PARCEL_HEADER + length - self->said->len;
  hypha_copy_refuse (error, _ ("it does not begin with a request"));
  return 0;
}

/* FALSE without an error: more has to come. */
static gboolean
take_request (HyphaAgentCopy *self, const guint8 *data, gsize length, GError **error)
{
  g_autoptr (GError) reason = NULL;

  g_byte_array_append (self->said, data, (guint) length);
  if (find_rest (self, &reason) > 0)
    return FALSE;
  if (reason) {
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
  return start (self, error);
}

static gboolean
on_said (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaAgentCopy *self = user_data;
  guint8 buffer[HYPHA_PARCEL_MAX];
  gsize wanted = self->told ? sizeof buffer : find_rest (self, NULL);
  gssize n = recv (fd, buffer, MIN (wanted, sizeof buffer), MSG_DONTWAIT);
  g_autoptr (GError) error = NULL;

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n <= 0) {
    self->source = 0;
    copy_free (self);
    return G_SOURCE_REMOVE;
  }
  if (self->told)
    return G_SOURCE_CONTINUE;
  if (take_request (self, buffer, (gsize) n, &error)) {
    g_clear_handle_id (&self->timer, g_source_remove);
    self->source = 0;
    return G_SOURCE_REMOVE;
  }
  if (error)
    tell_failure (self, error->message);
  return G_SOURCE_CONTINUE;
}

/**
 * hypha_agent_copy_accept:
 * @peer: who opened it
 * @stream: to the service `cp`
 * @user_data: not used
 * @error: return location for an error: %HYPHA_ERROR_BUSY
 *
 * Serves a stream: hands it to a process of its own, which may wait for a disk as long as it likes,
 * and is whom the caller wants to be here.
 *
 * Returns: %TRUE if it is served
 */
gboolean
hypha_agent_copy_accept (HyphaPeer *peer, HyphaStream *stream, gpointer user_data, GError **error)
{
  HyphaAgentCopy *self;
  g_autofree char *name = hypha_peer_dup_name (peer);
  int fd;

  if (g_list_length (copies) >= HYPHA_AGENT_MAX_COPY_STREAMS) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("%d streams are served already, and no more are"),
                 HYPHA_AGENT_MAX_COPY_STREAMS);
    return FALSE;
  }
  fd = hypha_stream_steal_fd (stream);
  if (fd < 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_GONE, _ ("the stream is over already"));
    return FALSE;
  }
  self = g_new0 (HyphaAgentCopy, 1);
  self->fd = fd;
  self->peer = hypha_peer_dup_id (peer);
  self->peer_name = g_strescape (name, NULL);
  self->said = g_byte_array_new ();
  self->timer = g_timeout_add (REQUEST_TIMEOUT_MS, on_no_request, self);
  self->source = g_unix_fd_add (fd, G_IO_IN, on_said, self);
  copies = g_list_prepend (copies, self);
  return TRUE;
}

/**
 * hypha_agent_copy_stop_all:
 *
 * Ends every copy. Callers see the end of their streams before that of their copies.
 */
void
hypha_agent_copy_stop_all (void)
{
  while (copies)
    copy_free (copies->data);
}
