/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/exec-private.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define INPUT_MAX (256 * 1024)            /* what waits for the command */
#define CREDIT_LEAST (INPUT_MAX / 4)      /* is given at a time */
#define OUTPUT_MAX (4 * HYPHA_PARCEL_MAX) /* what waits for the caller, about */
#define REQUEST_TIMEOUT_MS 10000
#define QUIET_MS 200    /* of a terminal whose command has exited */
#define LINGER_MS 10000 /* for the caller to close, once all that was for it is on its way */

static GList *execs; /* HyphaAgentExec */

static void update (HyphaAgentExec *self);
static void listen_for_last_words (HyphaAgentExec *self);

/**
 * hypha_agent_exec_count:
 *
 * Returns: how many streams there are
 */
guint
hypha_agent_exec_count (void)
{
  return g_list_length (execs);
}

static void
watched_close (Watched *watched)
{
  g_clear_handle_id (&watched->source, g_source_remove);
  if (watched->fd >= 0)
    close (watched->fd);
  watched->fd = -1;
}

static void
watched_set (Watched *watched, gboolean wanted, GIOCondition condition, GUnixFDSourceFunc func,
             HyphaAgentExec *self)
{
  if (watched->fd >= 0 && wanted && watched->source == 0)
    watched->source = g_unix_fd_add (watched->fd, condition, func, self);
  else if (!wanted)
    g_clear_handle_id (&watched->source, g_source_remove);
}

static void
close_pipes (HyphaAgentExec *self)
{
  for (gsize i = 0; i < N_PIPES; i++)
    watched_close (&self->pipes[i]);
}

static void
exec_free (HyphaAgentExec *self)
{
  execs = g_list_remove (execs, self);
  g_clear_handle_id (&self->timer, g_source_remove);
  g_clear_handle_id (&self->quiet, g_source_remove);
  g_clear_handle_id (&self->in.source, g_source_remove);
  g_clear_handle_id (&self->out.source, g_source_remove);
  close_pipes (self);
  if (self->child)
    hypha_agent_child_end (self->child);
  g_clear_pointer (&self->request, hypha_agent_request_free);
  g_clear_pointer (&self->account, hypha_agent_account_free);
  hypha_parcels_free (self->parcels);
  g_byte_array_unref (self->to_caller);
  g_byte_array_unref (self->input);
  g_io_stream_close (G_IO_STREAM (self->stream), NULL, NULL);
  g_object_unref (self->stream);
  g_free (self->peer);
  g_free (self->peer_name);
  g_free (self);
}

/* ---- how it did ---- */

static gboolean
on_linger (gpointer user_data)
{
  HyphaAgentExec *self = user_data;

  self->timer = 0;
  exec_free (self);
  return G_SOURCE_REMOVE;
}

static void
set_told (HyphaAgentExec *self)
{
  self->told = TRUE;
  g_byte_array_set_size (self->input, 0);
  g_clear_handle_id (&self->quiet, g_source_remove);
  close_pipes (self);
  g_clear_handle_id (&self->timer, g_source_remove);
}

/* A caller may be as slow as it likes to read: only then does it have to close. */
static void
end_output (HyphaAgentExec *self)
{
  hypha_stream_close_write (self->stream, NULL);
  if (self->timer == 0)
    self->timer = g_timeout_add (LINGER_MS, on_linger, self);
}

/* TEXT is cut where it would not fit. */
static void
tell_failure (HyphaAgentExec *self, guint8 status, const char *text)
{
  gsize length = MIN (strlen (text), HYPHA_PARCEL_MAX - 1);
  g_autofree guint8 *data = g_malloc (length + 1);

  data[0] = status;
  memcpy (data + 1, text, length);
  hypha_parcel_append (self->to_caller, HYPHA_EXEC_FAILED, data, length + 1);
  if (self->child)
    hypha_agent_child_end (g_steal_pointer (&self->child));
  set_told (self);
}

static void
tell_error (HyphaAgentExec *self, const GError *error)
{
  g_autofree char *shown = g_strescape (error->message, NULL);

  g_message ("exec of %s: %s", self->peer_name, shown);
  tell_failure (self, HYPHA_EXEC_BROKEN, error->message);
}

/* Once it has exited and what it wrote has been read. */
static void
tell_exit (HyphaAgentExec *self)
{
  if (WIFEXITED (self->status)) {
    hypha_parcel_append_u32 (self->to_caller, HYPHA_EXEC_EXITED,
                             (guint32) WEXITSTATUS (self->status));
  } else {
    g_autofree char *name = hypha_exec_signal_dup_name (WTERMSIG (self->status));

    hypha_parcel_append (self->to_caller, HYPHA_EXEC_KILLED, name, strlen (name));
  }
  hypha_agent_child_release (g_steal_pointer (&self->child));
  set_told (self);
}

static void
on_child_ran (const HyphaAgentReport *why_not, gpointer user_data)
{
  HyphaAgentExec *self = user_data;

  if (why_not) {
    guint8 status;
    g_autofree char *text =
        hypha_agent_report_describe (why_not, self->request, self->account, &status);

    tell_failure (self, status, text);
  } else {
    self->runs = TRUE;
    self->owed = INPUT_MAX;
  }
  update (self);
}

static void
on_child_exited (int status, gpointer user_data)
{
  HyphaAgentExec *self = user_data;

  self->exited = TRUE;
  self->status = status;
  listen_for_last_words (self);
  update (self);
}

const HyphaAgentChildEvents hypha_agent_exec_child_events = { on_child_ran, on_child_exited };

/* ---- the command's side ---- */

static gboolean
on_input_room (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaAgentExec *self = user_data;
  gssize n = write (fd, self->input->data, self->input->len);

  if (n > 0) {
    g_byte_array_remove_range (self->input, 0, (guint) n);
    self->owed += (guint32) n;
  } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
    /* It reads no more. That is its affair, and what comes is dropped. */
    g_byte_array_set_size (self->input, 0);
    self->pipes[TO_COMMAND].source = 0;
    watched_close (&self->pipes[TO_COMMAND]);
    return G_SOURCE_REMOVE;
  }
  update (self);
  return G_SOURCE_CONTINUE;
}

/* A terminal that nobody has open any more says so by an error. */
static gboolean
take_output (HyphaAgentExec *self, Watched *pipe, guint8 type)
{
  guint8 buffer[HYPHA_PARCEL_MAX];
  gssize n = read (pipe->fd, buffer, sizeof buffer);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return TRUE;
  if (n <= 0) {
    pipe->source = 0;
    watched_close (pipe);
    return FALSE;
  }
  hypha_parcel_append (self->to_caller, type, buffer, (gsize) n);
  return TRUE;
}

static gboolean
on_quiet (gpointer user_data)
{
  HyphaAgentExec *self = user_data;
  struct pollfd pfd = { .fd = self->pipes[FROM_OUTPUT].fd, .events = POLLIN };

  /* A caller that is slow keeps it from being read. */
  if (poll (&pfd, 1, 0) == 1 && (pfd.revents & POLLIN))
    return G_SOURCE_CONTINUE;
  self->quiet = 0;
  watched_close (&self->pipes[FROM_OUTPUT]);
  update (self);
  return G_SOURCE_REMOVE;
}

/* What went into the background may have the terminal open for ever: it is closed all the same, but
 * the last words of the command are on their way through the kernel for a while. */
static void
listen_for_last_words (HyphaAgentExec *self)
{
  g_clear_handle_id (&self->quiet, g_source_remove);
  if (self->exited && self->request->pty && self->pipes[FROM_OUTPUT].fd >= 0)
    self->quiet = g_timeout_add (QUIET_MS, on_quiet, self);
}

static gboolean
on_output (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaAgentExec *self = user_data;
  gboolean more = take_output (self, &self->pipes[FROM_OUTPUT], HYPHA_EXEC_OUTPUT);

  listen_for_last_words (self);
  update (self);
  return more;
}

static gboolean
on_error_output (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaAgentExec *self = user_data;
  gboolean more = take_output (self, &self->pipes[FROM_ERROR], HYPHA_EXEC_ERROR_OUTPUT);

  update (self);
  return more;
}

/* ---- the caller's side ---- */

/* What is read after it was told how the command did is dropped: closing a socket with something
 * unread would look like a reset. */
static void
take_parcels (HyphaAgentExec *self)
{
  g_autoptr (GError) error = NULL;
  HyphaParcel parcel;

  while (!self->told && hypha_parcels_next (self->parcels, &parcel, &error)) {
    if (!hypha_agent_exec_take (self, &parcel, &error))
      break;
  }
  if (error)
    tell_error (self, error);
}

static gssize
read_caller (HyphaAgentExec *self)
{
  guint8 dropped[HYPHA_PARCEL_MAX];
  gsize room = sizeof dropped;
  guint8 *to = self->told ? dropped : hypha_parcels_get_room (self->parcels, &room);
  gssize n = recv (self->in.fd, to, room, MSG_DONTWAIT);

  if (n > 0 && !self->told)
    hypha_parcels_added (self->parcels, (gsize) n);
  return n;
}

/* An end before it was told how the command did gives that up: the caller has gone, or the session
 * with its node has. */
static gboolean
on_caller_said (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaAgentExec *self = user_data;
  gssize n = read_caller (self);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n > 0) {
    take_parcels (self);
    update (self);
    return G_SOURCE_CONTINUE;
  }
  if (!self->told && self->child)
    g_message ("exec of %s: given up by the caller, or with its session", self->peer_name);
  self->in.source = 0;
  self->in_ended = TRUE;
  if (!self->told || self->to_caller->len == 0)
    exec_free (self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_caller_room (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaAgentExec *self = user_data;
  gssize n = send (fd, self->to_caller->data, self->to_caller->len, MSG_DONTWAIT | MSG_NOSIGNAL);

  if (n > 0)
    g_byte_array_remove_range (self->to_caller, 0, (guint) n);
  if ((n < 0 && errno != EAGAIN && errno != EINTR) ||
      (self->in_ended && self->to_caller->len == 0)) {
    self->out.source = 0;
    exec_free (self);
    return G_SOURCE_REMOVE;
  }
  update (self);
  return G_SOURCE_CONTINUE;
}

/* ---- all of it ---- */

/* After whatever has happened: who is to be listened to now. */
static void
update (HyphaAgentExec *self)
{
  gboolean takes = self->to_caller->len < OUTPUT_MAX;

  if (self->input_end && self->input->len == 0 && self->request && !self->request->pty)
    watched_close (&self->pipes[TO_COMMAND]);
  if (self->owed >= CREDIT_LEAST && takes && !self->told && !self->input_end &&
      self->pipes[TO_COMMAND].fd >= 0) {
    hypha_parcel_append_u32 (self->to_caller, HYPHA_EXEC_CREDIT, self->owed);
    self->credit += self->owed;
    self->owed = 0;
  }
  if (self->exited && !self->told && self->pipes[FROM_OUTPUT].fd < 0 &&
      self->pipes[FROM_ERROR].fd < 0)
    tell_exit (self);
  watched_set (&self->pipes[TO_COMMAND], self->input->len > 0, G_IO_OUT, on_input_room, self);
  watched_set (&self->pipes[FROM_OUTPUT], self->runs && takes, G_IO_IN, on_output, self);
  watched_set (&self->pipes[FROM_ERROR], self->runs && takes, G_IO_IN, on_error_output, self);
  watched_set (&self->in, !self->in_ended, G_IO_IN, on_caller_said, self);
  watched_set (&self->out, self->to_caller->len > 0, G_IO_OUT, on_caller_room, self);
  if (self->told && self->to_caller->len == 0)
    end_output (self);
}

static gboolean
on_no_request (gpointer user_data)
{
  HyphaAgentExec *self = user_data;
  g_autoptr (GError) error =
      g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                   _ ("no request came within %d seconds: this service is for hyphactl exec"),
                   REQUEST_TIMEOUT_MS / 1000);

  self->timer = 0;
  tell_error (self, error);
  update (self);
  return G_SOURCE_REMOVE;
}

/**
 * hypha_agent_exec_accept:
 * @peer: who opened it
 * @stream: to the service `exec`
 * @user_data: not used
 * @error: return location for an error: %HYPHA_ERROR_BUSY
 *
 * Serves a stream.
 *
 * Returns: %TRUE if it is served
 */
gboolean
hypha_agent_exec_accept (HyphaPeer *peer, HyphaStream *stream, gpointer user_data, GError **error)
{
  HyphaAgentExec *self;
  g_autofree char *name = hypha_peer_dup_name (peer);

  if (hypha_agent_exec_count () >= HYPHA_AGENT_MAX_STREAMS) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("%d streams are served already, and no more are"), HYPHA_AGENT_MAX_STREAMS);
    return FALSE;
  }
  self = g_new0 (HyphaAgentExec, 1);
  self->stream = g_object_ref (stream);
  self->peer = hypha_peer_dup_id (peer);
  self->peer_name = g_strescape (name, NULL);
  self->in.fd = self->out.fd = hypha_stream_get_fd (stream);
  self->parcels = hypha_parcels_new ();
  self->to_caller = g_byte_array_new ();
  self->input = g_byte_array_new ();
  for (gsize i = 0; i < N_PIPES; i++)
    self->pipes[i].fd = -1;
  self->timer = g_timeout_add (REQUEST_TIMEOUT_MS, on_no_request, self);
  execs = g_list_prepend (execs, self);
  update (self);
  return TRUE;
}

/**
 * hypha_agent_exec_stop_all:
 *
 * Tells every caller that the agent ends, as far as that can be told at once, and ends its command.
 */
void
hypha_agent_exec_stop_all (void)
{
  while (execs) {
    HyphaAgentExec *self = execs->data;

    if (!self->told)
      tell_failure (self, HYPHA_EXEC_BROKEN, _ ("hypha-agent was asked to end"));
    send (self->out.fd, self->to_caller->data, self->to_caller->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    exec_free (self);
  }
}
