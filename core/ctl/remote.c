/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/remote.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/exec-words.h"
#include "ctl/output.h"
#include "ctl/terminal.h"
#include "ctl/tilde.h"

#define OUT_MAX HYPHA_PARCEL_MAX /* what waits for the agent before more input is read, about */
#define REASON_TIMEOUT_MS 5000   /* for the node to tell how a stream ended */

typedef struct {
  int fd; /* of the stream */
  gboolean with_terminal;
  HyphaTilde tilde; /* where a person types */
  HyphaParcels *parcels;
  GByteArray *to_agent;
  guint32 credit;
  gboolean input_ended;
  HyphaParcel pending; /* output that is not all written; in the parcels */
  int pending_fd;
  guint in, out, input, output; /* sources */
  gboolean stream_ended;        /* nothing comes any more */
  gboolean told;                /* how the command did, or that it cannot be known */
  int status;
  GError *error;
} Remote;

static void update (Remote *self);

static void
fail (Remote *self, int status, GError *error)
{
  if (self->told) {
    g_error_free (error);
    return;
  }
  self->told = TRUE;
  self->status = status;
  self->error = error;
}

/* ---- signals ---- */

/* GLib knows no SIGQUIT, and a handler may do nothing but this. */
static int signal_pipe[2] = { -1, -1 };

static void
on_signal (int number)
{
  int before = errno;
  guint8 byte = (guint8) number;
  gssize written = write (signal_pipe[1], &byte, 1);

  (void) written; /* where no more fit, thousands wait */
  errno = before;
}

static void
send_size (Remote *self)
{
  guint16 rows, cols;

  hypha_ctl_terminal_get_size (&rows, &cols);
  hypha_parcel_append_u32 (self->to_agent, HYPHA_EXEC_RESIZE, (guint32) rows << 16 | cols);
}

static gboolean
on_signals (int fd, GIOCondition condition, gpointer user_data)
{
  Remote *self = user_data;
  guint8 number;

  while (read (fd, &number, 1) == 1) {
    g_autofree char *name = hypha_exec_signal_dup_name (number);

    if (number == SIGWINCH)
      send_size (self);
    else
      hypha_parcel_append (self->to_agent, HYPHA_EXEC_SIGNAL, name, strlen (name));
  }
  update (self);
  return G_SOURCE_CONTINUE;
}

/* What is ignored, as behind nohup, stays so. */
static gboolean
catch_signals (Remote *self, GError **error)
{
  static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH };

  if (!g_unix_open_pipe (signal_pipe, FD_CLOEXEC, error) ||
      !g_unix_set_fd_nonblocking (signal_pipe[0], TRUE, error) ||
      !g_unix_set_fd_nonblocking (signal_pipe[1], TRUE, error))
    return FALSE;
  g_unix_fd_add (signal_pipe[0], G_IO_IN, on_signals, self);
  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++) {
    struct sigaction now = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct sigaction before;

    sigaction (numbers[i], NULL, &before);
    if (before.sa_handler != SIG_IGN && (numbers[i] != SIGWINCH || self->with_terminal))
      sigaction (numbers[i], &now, NULL);
  }
  return TRUE;
}

/* ---- standard streams, which are shared with others and so never made non-blocking ---- */

static void
send_input (Remote *self, const guint8 *data, gsize length)
{
  if (length > 0)
    hypha_parcel_append (self->to_agent, HYPHA_EXEC_INPUT, data, length);
  self->credit -= (guint32) length;
}

static void
send_typed (Remote *self, const guint8 *data, gsize length)
{
  g_autoptr (GByteArray) passed = g_byte_array_new ();

  if (hypha_tilde_take (&self->tilde, data, length, passed))
    send_input (self, passed->data, passed->len);
  else
    fail (self, HYPHA_EXEC_BROKEN,
          g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_FAILED,
                               _ ("given up: ~. was typed, and the command is ended with it")));
}

/* As much as is there without waiting, and no more than the command asked for (a tilde that is held
 * may come with it): the rest is for whoever reads after this process. */
static gboolean
on_input (int fd, GIOCondition condition, gpointer user_data)
{
  Remote *self = user_data;
  guint8 buffer[HYPHA_PARCEL_MAX - 1];
  gssize n = read (fd, buffer, MIN (sizeof buffer, self->credit - self->tilde.held));

  if (n > 0) {
    if (self->with_terminal && hypha_ctl_terminal_is_there ())
      send_typed (self, buffer, (gsize) n);
    else
      send_input (self, buffer, (gsize) n);
  } else if (n == 0) {
    hypha_parcel_append (self->to_agent, HYPHA_EXEC_INPUT_END, NULL, 0);
    self->input_ended = TRUE;
  } else if (errno != EAGAIN && errno != EINTR) {
    fail (self, HYPHA_EXEC_BROKEN,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot read standard input: %s"),
                       g_strerror (errno)));
  }
  update (self);
  return G_SOURCE_CONTINUE;
}

static gboolean
has_room (int fd)
{
  struct pollfd pfd = { .fd = fd, .events = POLLOUT };

  return poll (&pfd, 1, 0) == 1;
}

/* Whoever read standard output has gone: that ends this process as it ends others. What went to
 * standard error has nobody to be told to. */
static void
drop_output (Remote *self)
{
  int number = errno;

  if (self->pending_fd == STDOUT_FILENO) {
    hypha_ctl_terminal_restore ();
    errno = number;
    hypha_ctl_end_by_broken_pipe ();
    fail (self, HYPHA_EXEC_BROKEN,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot write to standard output: %s"),
                       g_strerror (number)));
  }
  self->pending.length = 0;
}

/* A pipe that has room has so much of it. */
static gboolean
on_output_room (int fd, GIOCondition condition, gpointer user_data)
{
  Remote *self = user_data;

  while (self->pending.length > 0 && has_room (fd)) {
    gssize n = write (fd, self->pending.data, MIN (self->pending.length, PIPE_BUF));

    if (n > 0) {
      self->pending.data += n;
      self->pending.length -= (gsize) n;
    } else if (n < 0 && errno == EAGAIN) {
      break;
    } else if (n < 0 && errno != EINTR) {
      drop_output (self);
    }
  }
  update (self);
  return G_SOURCE_CONTINUE;
}

/* ---- what the agent says ---- */

static void
take_end (Remote *self, const HyphaParcel *parcel)
{
  guint32 number;

  if (parcel->type == HYPHA_EXEC_KILLED) {
    number = (guint32) hypha_exec_signal_from_name (parcel->data, parcel->length);
    self->status = number > 0 ? (int) (128 + number) & 0xff : HYPHA_EXEC_BROKEN;
  } else if (hypha_parcel_read_u32 (parcel, &number)) {
    self->status = (int) (number & 0xff);
  } else {
    self->status = HYPHA_EXEC_BROKEN;
  }
  self->told = TRUE;
}

static void
take_failure (Remote *self, const HyphaParcel *parcel)
{
  g_autofree char *text = parcel->length > 1 ? g_utf8_make_valid ((const char *) parcel->data + 1,
                                                                  (gssize) parcel->length - 1)
                                             : g_strdup (_ ("the command cannot be run"));
  int status = parcel->length > 0 && parcel->data[0] > 0 ? parcel->data[0] : HYPHA_EXEC_BROKEN;

  fail (self, status, g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_FAILED, text));
}

static void
take_parcel (Remote *self, const HyphaParcel *parcel)
{
  guint32 more;

  switch (parcel->type) {
  case HYPHA_EXEC_OUTPUT:
  case HYPHA_EXEC_ERROR_OUTPUT:
    self->pending = *parcel;
    self->pending_fd = parcel->type == HYPHA_EXEC_OUTPUT ? STDOUT_FILENO : STDERR_FILENO;
    break;
  case HYPHA_EXEC_CREDIT:
    if (hypha_parcel_read_u32 (parcel, &more) && more <= G_MAXUINT32 - self->credit)
      self->credit += more;
    break;
  case HYPHA_EXEC_EXITED:
  case HYPHA_EXEC_KILLED:
    take_end (self, parcel);
    break;
  case HYPHA_EXEC_FAILED:
    take_failure (self, parcel);
    break;
  default:
    fail (self, HYPHA_EXEC_BROKEN,
          g_error_new (HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                       _ ("the peer's service exec says something of an unknown kind (%u): is it "
                          "hypha-agent, and not newer than this hyphactl?"),
                       parcel->type));
  }
}

/* One output at a time: the next is looked at when it is written. */
static void
take_parcels (Remote *self)
{
  HyphaParcel parcel;
  GError *error = NULL;

  while (!self->told && self->pending.length == 0 &&
         hypha_parcels_next (self->parcels, &parcel, &error))
    take_parcel (self, &parcel);
  if (error)
    fail (self, HYPHA_EXEC_BROKEN, error);
}

/* ---- the stream ---- */

static void
on_reason (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaStream *stream = HYPHA_STREAM (source);
  GError **reason = user_data;

  if (hypha_stream_wait_end_finish (stream, result, NULL, NULL, reason))
    *reason = g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET, _ ("the peer's hypha-agent has ended"));
}

static gboolean
on_stream_said (int fd, GIOCondition condition, gpointer user_data)
{
  Remote *self = user_data;
  gsize room;
  guint8 *to = hypha_parcels_get_room (self->parcels, &room);
  gssize n = recv (fd, to, room, MSG_DONTWAIT);

  if (n > 0)
    hypha_parcels_added (self->parcels, (gsize) n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    self->stream_ended = TRUE;
  update (self);
  return G_SOURCE_CONTINUE;
}

/* One that takes nothing more may still have something to say. */
static gboolean
on_stream_room (int fd, GIOCondition condition, gpointer user_data)
{
  Remote *self = user_data;
  gssize n = send (fd, self->to_agent->data, self->to_agent->len, MSG_DONTWAIT | MSG_NOSIGNAL);

  if (n > 0)
    g_byte_array_remove_range (self->to_agent, 0, (guint) n);
  else if (n < 0 && errno != EAGAIN && errno != EINTR)
    g_byte_array_set_size (self->to_agent, 0);
  update (self);
  return G_SOURCE_CONTINUE;
}

static void
set_source (guint *source, gboolean wanted, int fd, GIOCondition condition, GUnixFDSourceFunc func,
            Remote *self)
{
  if (wanted && *source == 0)
    *source = g_unix_fd_add (fd, condition, func, self);
  else if (!wanted)
    g_clear_handle_id (source, g_source_remove);
}

/* After whatever has happened: what is next. */
static void
update (Remote *self)
{
  gboolean writes;

  if (self->pending.length == 0)
    g_clear_handle_id (&self->output, g_source_remove);
  take_parcels (self);
  writes = self->pending.length > 0 && !self->told;
  set_source (&self->output, writes, self->pending_fd, G_IO_OUT, on_output_room, self);
  set_source (&self->in, !writes && !self->stream_ended && !self->told, self->fd, G_IO_IN,
              on_stream_said, self);
  set_source (&self->out, self->to_agent->len > 0 && !self->told, self->fd, G_IO_OUT,
              on_stream_room, self);
  set_source (&self->input,
              self->credit > self->tilde.held && !self->input_ended && !self->stream_ended &&
                  !self->told && self->to_agent->len < OUT_MAX,
              STDIN_FILENO, G_IO_IN, on_input, self);
}

static gboolean
on_late (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

/**
 * hypha_remote_find_end:
 * @stream: a stream to hypha-agent that is over, and nothing was told over it
 *
 * Waits for the node to tell why, not for long.
 *
 * Returns: (transfer full): how it ended
 */
GError *
hypha_remote_find_end (HyphaStream *stream)
{
  static GError *reason; /* it may be told late */
  gboolean late = FALSE;
  guint timer = g_timeout_add (REASON_TIMEOUT_MS, on_late, &late);

  hypha_stream_wait_end_async (stream, NULL, on_reason, &reason);
  while (reason == NULL && !late)
    g_main_context_iteration (NULL, TRUE);
  if (late)
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET, _ ("the stream to the peer is over"));
  g_source_remove (timer);
  return g_steal_pointer (&reason);
}

/* The stream is over, and nothing told how the command did. */
static GError *
find_reason (HyphaStream *stream)
{
  g_autoptr (GError) reason = hypha_remote_find_end (stream);

  return g_error_new (HYPHA_ERROR, reason->code, _ ("how the command did is not known: %s"),
                      reason->message);
}

/**
 * hypha_remote_run:
 * @stream: to the service `exec` of a peer
 * @request: what to run, as JSON
 * @with_terminal: it runs on a terminal, which is this one's as far as there is one
 * @status: (out): what this process should exit with
 * @error: return location for an error: why the command did not run, or how it did is not known
 *
 * Has a command run and waits for its end. Once a process.
 *
 * Returns: %TRUE if it ended, whichever way
 */
gboolean
hypha_remote_run (HyphaStream *stream, const char *request, gboolean with_terminal, int *status,
                  GError **error)
{
  static Remote self; /* signals know it until the end of the process */

  *status = HYPHA_EXEC_BROKEN;
  self.fd = hypha_stream_get_fd (stream);
  self.with_terminal = with_terminal;
  self.parcels = hypha_parcels_new ();
  self.to_agent = g_byte_array_new ();
  if (!catch_signals (&self, error))
    return FALSE;
  if (with_terminal)
    hypha_ctl_terminal_make_raw ();
  hypha_parcel_append (self.to_agent, HYPHA_EXEC_REQUEST, request, strlen (request));
  update (&self);
  while (!self.told && !(self.stream_ended && self.pending.length == 0))
    g_main_context_iteration (NULL, TRUE);
  if (!self.told)
    fail (&self, HYPHA_EXEC_BROKEN, find_reason (stream));
  update (&self);
  hypha_ctl_terminal_restore ();
  g_clear_pointer (&self.parcels, hypha_parcels_free);
  *status = self.status;
  if (self.error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&self.error));
  return FALSE;
}
