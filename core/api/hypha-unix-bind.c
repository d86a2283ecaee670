/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-unix-bind.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hypha-error.h"

/* ---- who holds an address ---- */

static char *
describe_process (const struct ucred *credentials)
{
  g_autofree char *path = g_strdup_printf ("/proc/%d/comm", (int) credentials->pid);
  g_autofree char *name = NULL;
  g_autofree char *escaped = NULL;

  /* A process of another pid namespace has the number 0 here. */
  if (credentials->pid <= 0)
    return g_strdup_printf (_ ("a process of user %u"), credentials->uid);
  if (!g_file_get_contents (path, &name, NULL, NULL))
    return g_strdup_printf (_ ("process %d"), (int) credentials->pid);
  /* A process chooses its own name. */
  escaped = g_strescape (g_strchomp (name), NULL);
  return g_strdup_printf (_ ("process %d (%s)"), (int) credentials->pid, escaped);
}

static gboolean
is_abstract (GUnixSocketAddress *address)
{
  return g_unix_socket_address_get_address_type (address) == G_UNIX_SOCKET_ADDRESS_ABSTRACT;
}

static socklen_t
get_sockaddr (GUnixSocketAddress *address, struct sockaddr_un *sockaddr)
{
  gssize length = g_socket_address_get_native_size (G_SOCKET_ADDRESS (address));

  memset (sockaddr, 0, sizeof *sockaddr);
  g_socket_address_to_native (G_SOCKET_ADDRESS (address), sockaddr, sizeof *sockaddr, NULL);
  return (socklen_t) length;
}

/* Connects to ADDRESS for a moment. 0: somebody listens, HOLDER says who, if the kernel tells; or
 * errno. */
static int
knock (GUnixSocketAddress *address, char **holder)
{
  struct sockaddr_un sockaddr;
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  socklen_t address_length = get_sockaddr (address, &sockaddr);
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int reason = 0;

  if (fd < 0)
    return errno;
  if (connect (fd, (const struct sockaddr *) &sockaddr, address_length) < 0)
    reason = errno;
  else if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0)
    *holder = describe_process (&credentials);
  close (fd);
  /* Its queue is full; or it is a socket of another type: alive both times. */
  return reason == EAGAIN || reason == EPROTOTYPE ? 0 : reason;
}

static void
set_in_use (const char *display, const char *holder, const char *mend, GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE,
               _ ("cannot listen on %s: %s listens there already; %s"), display,
               holder == NULL ? _ ("somebody") : holder, mend);
}

static void
set_failed (const char *display, int reason, const char *doing, GError **error)
{
  HyphaError code = reason == EACCES || reason == EPERM || reason == EROFS
                        ? HYPHA_ERROR_PERMISSION_DENIED
                        : HYPHA_ERROR_FAILED;

  g_set_error (error, HYPHA_ERROR, code, _ ("cannot listen on %s: %s: %s"), display, doing,
               g_strerror (reason));
}

/* ---- sockets ---- */

/* 0, or errno. */
static int
bind_socket (int fd, GUnixSocketAddress *address)
{
  struct sockaddr_un sockaddr;
  socklen_t length = get_sockaddr (address, &sockaddr);

  return bind (fd, (const struct sockaddr *) &sockaddr, length) < 0 ? errno : 0;
}

static int
new_socket (const char *display, GError **error)
{
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd < 0)
    set_failed (display, errno, _ ("making a socket"), error);
  return fd;
}

static int
bind_abstract (GUnixSocketAddress *address, const char *display, GError **error)
{
  g_autofree char *holder = NULL;
  int fd = new_socket (display, error);
  int reason;

  if (fd < 0)
    return -1;
  reason = bind_socket (fd, address);
  if (reason == 0 && listen (fd, SOMAXCONN) < 0)
    reason = errno;
  if (reason == 0)
    return fd;
  close (fd);
  if (reason == EADDRINUSE) {
    knock (address, &holder);
    set_in_use (display, holder, _ ("end it, or choose another name"), error);
  } else
    set_failed (display, reason, _ ("binding the name"), error);
  return -1;
}

/* ---- socket files ---- */

static int
lock_directory (GUnixSocketAddress *address, const char *display, GError **error)
{
  g_autofree char *directory = g_path_get_dirname (g_unix_socket_address_get_path (address));
  int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int reason;

  if (fd < 0) {
    reason = errno;
    if (reason == ENOENT)
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                   _ ("cannot listen on %s: the directory is not there; make it: mkdir -p '%s'"),
                   display, directory);
    else
      set_failed (display, reason, _ ("opening the directory"), error);
    return -1;
  }
  if (flock (fd, LOCK_EX | LOCK_NB) == 0)
    return fd;
  reason = errno;
  close (fd);
  if (reason == EWOULDBLOCK)
    g_set_error (
        error, G_IO_ERROR, G_IO_ERROR_BUSY,
        _ ("cannot listen on %s: another process holds a lock on the directory '%s'; `fuser "
           "-v` on it shows who"),
        display, directory);
  else
    set_failed (display, reason, _ ("locking the directory"), error);
  return -1;
}

static const char *
describe_type (mode_t mode)
{
  if (S_ISREG (mode))
    return _ ("a file");
  if (S_ISDIR (mode))
    return _ ("a directory");
  if (S_ISLNK (mode))
    return _ ("a symbolic link");
  return _ ("something that is no socket");
}

/* Makes way for a new socket file, if what lies there is one that nobody listens on any longer.
 * Under the lock. */
static gboolean
clear_stale (GUnixSocketAddress *address, const char *display, GError **error)
{
  g_autofree char *holder = NULL;
  struct stat before, after;
  int reason;

  if (lstat (g_unix_socket_address_get_path (address), &before) < 0) {
    if (errno == ENOENT)
      return TRUE;
    set_failed (display, errno, _ ("looking at what is there"), error);
    return FALSE;
  }
  if (!S_ISSOCK (before.st_mode)) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE,
        _ ("cannot listen on %s: %s is there, which is left alone; move it away, or choose "
           "another path"),
        display, describe_type (before.st_mode));
    return FALSE;
  }
  reason = knock (address, &holder);
  if (reason == 0) {
    set_in_use (display, holder, _ ("end it, or choose another path"), error);
    return FALSE;
  }
  if (reason == ENOENT)
    return TRUE;
  if (reason != ECONNREFUSED) {
    set_failed (display, reason, _ ("asking whether anybody listens on the socket that is there"),
                error);
    return FALSE;
  }
  if (lstat (g_unix_socket_address_get_path (address), &after) == 0 &&
      (after.st_ino != before.st_ino || after.st_dev != before.st_dev)) {
    set_in_use (display, NULL, _ ("somebody has just replaced the socket"), error);
    return FALSE;
  }
  if (unlink (g_unix_socket_address_get_path (address)) < 0 && errno != ENOENT) {
    set_failed (display, errno, _ ("removing the socket that a dead process left there"), error);
    return FALSE;
  }
  return TRUE;
}

/* Nobody can connect before listen(), so the mode is right before it matters, whatever the umask.
 */
static gboolean
make_file (int fd, GUnixSocketAddress *address, const char *display, mode_t mode,
           HyphaUnixFile *file, GError **error)
{
  struct stat made;
  int reason = bind_socket (fd, address);

  if (reason == EADDRINUSE) {
    set_in_use (display, NULL, _ ("it came just now; end it, or choose another path"), error);
    return FALSE;
  }
  if (reason != 0) {
    set_failed (display, reason, _ ("making the socket's file"), error);
    return FALSE;
  }
  if (lstat (g_unix_socket_address_get_path (address), &made) < 0 || !S_ISSOCK (made.st_mode)) {
    set_failed (display, ENOENT, _ ("somebody took the socket's file away at once"), error);
    return FALSE;
  }
  *file = (HyphaUnixFile){ made.st_dev, made.st_ino };
  if (fchmodat (AT_FDCWD, g_unix_socket_address_get_path (address), mode, AT_SYMLINK_NOFOLLOW) < 0)
    set_failed (display, errno, _ ("setting the mode of the socket's file"), error);
  else if (listen (fd, SOMAXCONN) < 0)
    set_failed (display, errno, _ ("listening"), error);
  else
    return TRUE;
  hypha_unix_unlink (address, file);
  return FALSE;
}

static int
bind_path (GUnixSocketAddress *address, const char *display, mode_t mode, HyphaUnixFile *file,
           GError **error)
{
  int lock = lock_directory (address, display, error);
  int fd = -1;

  if (lock < 0)
    return -1;
  if (clear_stale (address, display, error))
    fd = new_socket (display, error);
  if (fd >= 0 && !make_file (fd, address, display, mode, file, error)) {
    close (fd);
    fd = -1;
  }
  close (lock);
  return fd;
}

int
hypha_unix_bind (GUnixSocketAddress *address, const char *display, mode_t mode, HyphaUnixFile *file,
                 GError **error)
{
  if (is_abstract (address))
    return bind_abstract (address, display, error);
  return bind_path (address, display, mode, file, error);
}

void
hypha_unix_unlink (GUnixSocketAddress *address, const HyphaUnixFile *file)
{
  struct stat now;

  if (!is_abstract (address) && lstat (g_unix_socket_address_get_path (address), &now) == 0 &&
      now.st_dev == file->device && now.st_ino == file->inode)
    unlink (g_unix_socket_address_get_path (address));
}
