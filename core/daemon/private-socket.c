/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/private-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <hypha-api.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

struct _HyphaPrivateSocket {
  char *path;
  int folder; /* locked: whoever has it has the socket in it */
  gboolean bound;
  GSocket *socket;
};

static gboolean fail (GError **error, HyphaError code, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

static gboolean
fail (GError **error, HyphaError code, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  message = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error_literal (error, HYPHA_ERROR, (gint) code, message);
  return FALSE;
}

/* Whoever could write there could put a socket of his own in our place. */
static gboolean
check_folder (const char *folder, int fd, GError **error)
{
  struct stat status;

  if (fstat (fd, &status) < 0)
    return fail (error, HYPHA_ERROR_UNAVAILABLE, _ ("cannot look at the folder %s: %s"), folder,
                 g_strerror (errno));
  if (status.st_uid != geteuid () && status.st_uid != 0)
    return fail (error, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("the folder %s of the socket belongs to user %u: remove it, or chown it"),
                 folder, status.st_uid);
  if (status.st_mode & (S_IWGRP | S_IWOTH))
    return fail (error, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("others may write to the folder %s of the socket: chmod go-w '%s'"), folder,
                 folder);
  return TRUE;
}

static gboolean
open_folder (HyphaPrivateSocket *self, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (self->path);

  if (g_mkdir_with_parents (folder, 0700) < 0)
    return fail (error, HYPHA_ERROR_UNAVAILABLE, _ ("cannot make the folder %s of the socket: %s"),
                 folder, g_strerror (errno));
  self->folder = open (folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (self->folder < 0)
    return fail (error, HYPHA_ERROR_UNAVAILABLE, _ ("cannot open the folder %s of the socket: %s"),
                 folder, g_strerror (errno));
  return check_folder (folder, self->folder, error);
}

static char *
describe_process (GSocket *socket)
{
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  g_autofree char *path = NULL;
  g_autofree char *command = NULL;
  g_autofree char *shown = NULL;

  if (getsockopt (g_socket_get_fd (socket), SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0 ||
      credentials.pid <= 0)
    return g_strdup (_ ("another process"));
  path = g_strdup_printf ("/proc/%d/comm", (int) credentials.pid);
  if (!g_file_get_contents (path, &command, NULL, NULL))
    return g_strdup_printf (_ ("process %d"), (int) credentials.pid);
  shown = g_strescape (g_strchomp (command), NULL);
  return g_strdup_printf (_ ("process %d (%s)"), (int) credentials.pid, shown);
}

static GSocket *
make_socket (GError **error)
{
  g_autoptr (GError) local_error = NULL;
  GSocket *socket = g_socket_new (G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM,
                                  G_SOCKET_PROTOCOL_DEFAULT, &local_error);

  if (socket)
    g_socket_set_blocking (socket, FALSE);
  else
    fail (error, HYPHA_ERROR_UNAVAILABLE, _ ("cannot make a socket: %s"), local_error->message);
  return socket;
}

/* One that nobody listens on any more is left over from a process that was killed. */
static gboolean
check_vacant (HyphaPrivateSocket *self, GSocketAddress *address, gboolean locked, GError **error)
{
  g_autoptr (GSocket) probe = make_socket (error);
  g_autoptr (GError) local_error = NULL;
  g_autofree char *holder = NULL;

  if (probe == NULL)
    return FALSE;
  if (!g_socket_connect (probe, address, NULL, &local_error)) {
    if (!locked)
      holder = g_strdup (_ ("another process"));
  } else {
    holder = describe_process (probe);
  }
  if (holder == NULL)
    return TRUE;
  return fail (error, HYPHA_ERROR_BUSY,
               _ ("the socket %s is held by %s: there is one hyphad on a socket; stop that one, or "
                  "choose another bus with --system, --user or --address"),
               self->path, holder);
}

static gboolean
bind_socket (HyphaPrivateSocket *self, GSocketAddress *address, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  /* A folder at this path is left alone, and told by bind. */
  if (g_unlink (self->path) < 0 && errno != ENOENT)
    return fail (error, HYPHA_ERROR_UNAVAILABLE,
                 _ ("cannot take away what is left of an earlier socket, %s: %s"), self->path,
                 g_strerror (errno));
  self->socket = make_socket (error);
  if (self->socket == NULL)
    return FALSE;
  g_socket_set_listen_backlog (self->socket, BACKLOG);
  if (!g_socket_bind (self->socket, address, FALSE, &local_error))
    return fail (error, HYPHA_ERROR_UNAVAILABLE, _ ("cannot serve on the socket %s: %s"),
                 self->path, local_error->message);
  self->bound = TRUE;
  /* Nobody can connect before it listens. */
  if (g_chmod (self->path, 0600) < 0)
    return fail (error, HYPHA_ERROR_UNAVAILABLE, _ ("cannot keep others from the socket %s: %s"),
                 self->path, g_strerror (errno));
  if (!g_socket_listen (self->socket, &local_error))
    return fail (error, HYPHA_ERROR_UNAVAILABLE, _ ("cannot serve on the socket %s: %s"),
                 self->path, local_error->message);
  return TRUE;
}

static gboolean
check_path (const char *path, GError **error)
{
  struct sockaddr_un *address = NULL;

  if (strlen (path) < sizeof address->sun_path)
    return TRUE;
  return fail (error, HYPHA_ERROR_UNAVAILABLE,
               _ ("the path of the socket %s is too long: it may have %zu bytes"), path,
               sizeof address->sun_path - 1);
}

/**
 * hypha_private_socket_new:
 * @path: (type filename): where
 * @error: return location for an error: %HYPHA_ERROR_BUSY if another process serves there,
 * %HYPHA_ERROR_PERMISSION_DENIED, %HYPHA_ERROR_UNAVAILABLE
 *
 * Makes the folder of @path, for nobody else (0700), if there is none, and listens at @path. What a
 * process that was killed left there is replaced. Who connects has to be looked at all the same:
 * the folder may be older.
 *
 * Returns: (transfer full) (nullable): the socket
 */
HyphaPrivateSocket *
hypha_private_socket_new (const char *path, GError **error)
{
  g_autoptr (HyphaPrivateSocket) self = g_new0 (HyphaPrivateSocket, 1);
  g_autoptr (GSocketAddress) address = NULL;
  gboolean locked;

  self->path = g_strdup (path);
  self->folder = -1;
  if (!check_path (path, error) || !open_folder (self, error))
    return NULL;
  address = g_unix_socket_address_new (path);
  /* Two that start at once would each take the other's socket for a stale one. */
  locked = flock (self->folder, LOCK_EX | LOCK_NB) == 0;
  if (!check_vacant (self, address, locked, error) || !bind_socket (self, address, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * hypha_private_socket_get:
 * @self: a socket
 *
 * Returns: (transfer none): it listens, and does not block
 */
GSocket *
hypha_private_socket_get (HyphaPrivateSocket *self)
{
  return self->socket;
}

/**
 * hypha_private_socket_free:
 * @self: (transfer full): a socket
 *
 * Takes it away. Nothing else is left behind but the folder.
 */
void
hypha_private_socket_free (HyphaPrivateSocket *self)
{
  if (self->bound)
    g_unlink (self->path);
  g_clear_object (&self->socket);
  if (self->folder >= 0)
    close (self->folder);
  g_free (self->path);
  g_free (self);
}
