/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy/wire.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "hypha-error.h"

#define WORTH_WHILE HYPHA_PARCEL_MAX
#define TICK_MS 200

struct _HyphaCopyWire {
  int fd;
  const HyphaCopyWireEvents *events;
  gpointer user_data;
  HyphaParcels *in;
  GByteArray *out;
  gsize sent;    /* of what is in it */
  guint64 heard; /* parcels */
};

/**
 * hypha_copy_wire_new:
 * @fd: a connected socket, which outlives this
 * @events: what is told, as long-lived as the program
 * @user_data: for @events
 *
 * Returns: (transfer full): nothing has been said yet
 */
HyphaCopyWire *
hypha_copy_wire_new (int fd, const HyphaCopyWireEvents *events, gpointer user_data)
{
  HyphaCopyWire *self = g_new0 (HyphaCopyWire, 1);

  self->fd = fd;
  self->events = events;
  self->user_data = user_data;
  self->in = hypha_parcels_new ();
  self->out = g_byte_array_new ();
  return self;
}

/**
 * hypha_copy_wire_free:
 * @self: (transfer full): a wire
 *
 * Frees it. The socket stays open.
 */
void
hypha_copy_wire_free (HyphaCopyWire *self)
{
  hypha_parcels_free (self->in);
  g_byte_array_unref (self->out);
  g_free (self);
}

/**
 * hypha_copy_wire_get_out:
 * @self: a wire
 *
 * Returns: (transfer none): where parcels are written, before hypha_copy_wire_push()
 */
GByteArray *
hypha_copy_wire_get_out (HyphaCopyWire *self)
{
  return self->out;
}

static gboolean
set_over (GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET,
               _ ("the stream was over before the copy was"));
  return FALSE;
}

static short
wait_for (HyphaCopyWire *self, short events)
{
  struct pollfd pfd = { .fd = self->fd, .events = events };

  if (poll (&pfd, 1, self->events->tick ? TICK_MS : -1) < 0)
    pfd.revents = 0;
  if (self->events->tick)
    self->events->tick (self->user_data);
  return pfd.revents;
}

/* FALSE without an error: nothing is there now. */
static gboolean
read_some (HyphaCopyWire *self, GError **error)
{
  gsize room;
  guint8 *to = hypha_parcels_get_room (self->in, &room);
  gssize n = recv (self->fd, to, room, MSG_DONTWAIT);

  if (n > 0)
    hypha_parcels_added (self->in, (gsize) n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    return set_over (error);
  return n > 0;
}

static gboolean
tell_heard (HyphaCopyWire *self, GError **error)
{
  HyphaParcel parcel;
  g_autoptr (GError) reason = NULL;

  while (hypha_parcels_next (self->in, &parcel, &reason)) {
    self->heard++;
    if (!self->events->heard (&parcel, self->user_data, error))
      return FALSE;
  }
  if (reason == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

/* Everything that is there. */
static gboolean
listen_now (HyphaCopyWire *self, GError **error)
{
  g_autoptr (GError) reason = NULL;

  while (read_some (self, &reason)) {
    if (!tell_heard (self, error))
      return FALSE;
  }
  if (reason == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

/**
 * hypha_copy_wire_flush:
 * @self: a wire
 * @error: return location for an error: %HYPHA_ERROR_RESET, the stream is over; or what @heard said
 *
 * Sends everything that was written.
 *
 * Returns: %TRUE when it is on its way
 */
gboolean
hypha_copy_wire_flush (HyphaCopyWire *self, GError **error)
{
  gboolean listens = self->events->heard != NULL;

  while (self->sent < self->out->len) {
    gssize n;

    if (listens && !listen_now (self, error))
      return FALSE;
    n = send (self->fd, self->out->data + self->sent, self->out->len - self->sent,
              MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
      self->sent += (gsize) n;
    else if (errno == EAGAIN)
      wait_for (self, listens ? POLLIN | POLLOUT : POLLOUT);
    else if (errno != EINTR)
      return listens && !listen_now (self, error) ? FALSE : set_over (error);
  }
  g_byte_array_set_size (self->out, 0);
  self->sent = 0;
  if (self->events->tick)
    self->events->tick (self->user_data);
  return TRUE;
}

/**
 * hypha_copy_wire_push:
 * @self: a wire
 * @error: return location for an error, as of hypha_copy_wire_flush()
 *
 * Sends what was written, if it is much.
 *
 * Returns: %TRUE unless it is over
 */
gboolean
hypha_copy_wire_push (HyphaCopyWire *self, GError **error)
{
  return self->out->len < WORTH_WHILE || hypha_copy_wire_flush (self, error);
}

/**
 * hypha_copy_wire_hear:
 * @self: a wire, with @heard
 * @error: return location for an error, as of hypha_copy_wire_flush()
 *
 * Sends everything and waits until something comes, which is told.
 *
 * Returns: %TRUE unless it is over
 */
gboolean
hypha_copy_wire_hear (HyphaCopyWire *self, GError **error)
{
  guint64 before = self->heard;

  if (!hypha_copy_wire_flush (self, error))
    return FALSE;
  /* What has just come may be all that ever comes. */
  if (self->heard != before)
    return TRUE;
  while (!(wait_for (self, POLLIN) & (POLLIN | POLLHUP | POLLERR)))
    ;
  return listen_now (self, error);
}

/**
 * hypha_copy_wire_next:
 * @self: a wire, without @heard
 * @parcel: (out caller-allocates): what came
 * @error: return location for an error: %HYPHA_ERROR_RESET, %HYPHA_ERROR_PROTOCOL
 *
 * Sends everything and waits for the next parcel.
 *
 * Returns: %TRUE unless it is over
 */
gboolean
hypha_copy_wire_next (HyphaCopyWire *self, HyphaParcel *parcel, GError **error)
{
  if (!hypha_copy_wire_push (self, error))
    return FALSE;
  for (;;) {
    g_autoptr (GError) reason = NULL;

    if (hypha_parcels_next (self->in, parcel, &reason))
      return TRUE;
    if (reason == NULL && hypha_copy_wire_flush (self, &reason) && !read_some (self, &reason) &&
        reason == NULL)
      wait_for (self, POLLIN);
    if (reason == NULL)
      continue;
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
}

/**
 * hypha_copy_wire_is_over:
 * @self: a wire
 *
 * For who does something else for long.
 *
 * Returns: %TRUE if the other end has closed
 */
gboolean
hypha_copy_wire_is_over (HyphaCopyWire *self)
{
  struct pollfd pfd = { .fd = self->fd, .events = POLLRDHUP };

  if (self->events->tick)
    self->events->tick (self->user_data);
  return poll (&pfd, 1, 0) == 1 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/**
 * hypha_copy_wire_finish:
 * @self: a wire
 *
 * What is read after the last word is dropped: closing a socket with something unread would look
 * like a reset, and take the last word along.
 */
void
hypha_copy_wire_finish (HyphaCopyWire *self)
{
  guint8 dropped[HYPHA_PARCEL_MAX];
  gint64 end = g_get_monotonic_time () + HYPHA_COPY_LINGER_MS * G_TIME_SPAN_MILLISECOND;
  gint64 left;

  shutdown (self->fd, SHUT_WR);
  while ((left = end - g_get_monotonic_time ()) > 0) {
    struct pollfd pfd = { .fd = self->fd, .events = POLLIN };
    gssize n;

    poll (&pfd, 1, (int) (left / G_TIME_SPAN_MILLISECOND) + 1);
    n = recv (self->fd, dropped, sizeof dropped, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
      return;
  }
}

/**
 * hypha_copy_wire_fail:
 * @self: a wire
 * @sentence: why
 *
 * Says, as far as it can be said, that nothing more is done. What was to be sent before comes
 * first, for the other end may have the first half of it.
 */
void
hypha_copy_wire_fail (HyphaCopyWire *self, const char *sentence)
{
  static const HyphaCopyWireEvents deaf = { 0 };

  self->events = &deaf;
  hypha_parcel_append (self->out, HYPHA_COPY_FAILED, sentence,
                       MIN (strlen (sentence), HYPHA_PARCEL_MAX));
  hypha_copy_wire_flush (self, NULL);
}

/* ---- signals ---- */

static int ended_by_signal = -1;
static volatile sig_atomic_t came;

static void
on_signal (int number)
{
  int before = errno;

  came = number;
  shutdown (ended_by_signal, SHUT_RDWR);
  errno = before;
}

/**
 * hypha_copy_wire_end_by_signal:
 * @socket: a connected socket
 *
 * Whoever copies when this process is asked to end sees the end of the stream, and takes away
 * what is half. A second signal ends the process at once. Signals that are ignored stay so.
 */
void
hypha_copy_wire_end_by_signal (int socket)
{
  static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
  const struct sigaction action = { .sa_handler = on_signal,
                                    .sa_flags = SA_RESTART | (int) SA_RESETHAND };
  struct sigaction before;

  ended_by_signal = socket;
  for (gsize i = 0; i < G_N_ELEMENTS (signals); i++) {
    if (sigaction (signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
      sigaction (signals[i], &action, NULL);
  }
}

/**
 * hypha_copy_wire_get_signal:
 *
 * Returns: which signal asked this process to end; 0 if none did
 */
int
hypha_copy_wire_get_signal (void)
{
  return came;
}
