/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A stream that is no kernel socket's becomes a channel; bytes go through it both ways. */

#include "scenario.h"

#include <gio/gio.h>
#include <hypha-api.h>
#include <sys/socket.h>
#include <unistd.h>

static const char said[] = "there and back";

typedef struct {
  int from;
  gsize read;
  char bytes[sizeof said + 1];
  gboolean ended;
} Reader;

static gboolean
has_ended (gpointer data)
{
  Reader *self = data;
  gssize n;

  while (!self->ended && (n = recv (self->from, self->bytes + self->read,
                                    sizeof self->bytes - self->read, MSG_DONTWAIT)) != -1) {
    self->read += (gsize) n;
    self->ended = n == 0;
  }
  return self->ended;
}

/* All that FROM was sent comes out of TO, and then its end. */
static gboolean
pass (int from, int to, GError **error)
{
  Reader reader = { .from = to };

  if (send (from, said, sizeof said, MSG_NOSIGNAL) != sizeof said || shutdown (from, SHUT_WR) < 0) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "the other end is gone");
    return FALSE;
  }
  if (!scenario_wait (has_ended, &reader, "the bytes", error))
    return FALSE;
  if (reader.read == sizeof said) {
    g_assert_cmpstr (reader.bytes, ==, said);
    return TRUE;
  }
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, "only %zu bytes came", reader.read);
  return FALSE;
}

gboolean
scenario_pumped (const char *folder, GError **error)
{
  g_autoptr (GSocket) socket = NULL;
  g_autoptr (GSocketConnection) stream = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  gboolean passed = FALSE;
  int ends[2], fd;

  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  socket = g_socket_new_from_fd (ends[1], NULL);
  stream = g_socket_connection_factory_create_connection (socket);
  channel = hypha_channel_new_pumped (G_IO_STREAM (stream), NULL, NULL, error);
  if (channel != NULL) {
    fd = hypha_channel_steal_fd (channel);
    passed = pass (fd, ends[0], error) && pass (ends[0], fd, error);
    close (fd);
  }
  close (ends[0]);
  return passed;
}
