/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/request.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "service/service.h"

#define VERB "CONNECT "

static gboolean
refuse (GError **error, const char *why)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
               _ ("a connection to the mux was closed: %s; it has to begin with CONNECT and a port "
                  "or a service, in a line of its own"),
               why);
  return FALSE;
}

/* FALSE: nothing more is to be had now. */
static gboolean
read_some (HyphaRequest *self, int fd, GError **error)
{
  char *next = self->line + self->length;
  gsize room = sizeof self->line - 1 - self->length;
  gssize there, n;
  char *end;

  if (room == 0)
    return refuse (error, _ ("its first line is too long"));
  do
    there = recv (fd, next, room, MSG_PEEK);
  while (there < 0 && errno == EINTR);
  if (there < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return FALSE;
  if (there <= 0)
    return refuse (error, there == 0 ? _ ("it ended before its first line") : g_strerror (errno));
  end = memchr (next, '\n', (gsize) there);
  n = recv (fd, next, end != NULL ? (gsize) (end - next) + 1 : (gsize) there, 0);
  if (n <= 0)
    return refuse (error, g_strerror (errno));
  self->length += (gsize) n;
  return TRUE;
}

static gboolean
is_whole (const HyphaRequest *self)
{
  return self->length > 0 && self->line[self->length - 1] == '\n';
}

HyphaRequestState
hypha_request_read (HyphaRequest *self, int fd, GError **error)
{
  g_autoptr (GError) local = NULL;

  while (!is_whole (self) && read_some (self, fd, &local))
    ;
  if (local != NULL) {
    g_propagate_error (error, g_steal_pointer (&local));
    return HYPHA_REQUEST_FAILED;
  }
  return is_whole (self) ? HYPHA_REQUEST_DONE : HYPHA_REQUEST_MORE;
}

char *
hypha_request_dup_service (const HyphaRequest *self, GError **error)
{
  g_autofree char *name = NULL;
  gsize before = strlen (VERB);

  if (self->length <= before || strncmp (self->line, VERB, before) != 0) {
    refuse (error, _ ("its first line is another"));
    return NULL;
  }
  name = g_strndup (self->line + before, self->length - before - 1);
  if (strlen (name) != self->length - before - 1 ||
      !hypha_service_check_name (name, HYPHA_ERROR_INVALID_ARGUMENT, NULL)) {
    refuse (error, _ ("what it names cannot be a service"));
    return NULL;
  }
  if (strspn (name, "0123456789") == strlen (name))
    return g_strconcat ("port:", name, NULL);
  return g_steal_pointer (&name);
}
