/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsock-socket.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <sys/time.h>
#include <unistd.h>

#include "vsock-probe.h"

/* So much later than the caller's own deadline, which can say more, the kernel gives up. */
#define KERNEL_GRACE_MS 1000

void
vsock_socket_set_buffers (int fd, const VsockBuffers *buffers)
{
  /* The bound first: the kernel cuts the size to it. */
  if (setsockopt (fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE, &buffers->max, sizeof buffers->max) <
      0)
    g_debug ("SO_VM_SOCKETS_BUFFER_MAX_SIZE: %s", g_strerror (errno));
  if (setsockopt (fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &buffers->size, sizeof buffers->size) <
      0)
    g_debug ("SO_VM_SOCKETS_BUFFER_SIZE: %s", g_strerror (errno));
}

/* VERB is "listen on" or "connect to". */
static int
new_socket (const char *verb, const char *display, GError **error)
{
  int fd = socket (AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  g_autofree char *reason = NULL;
  int code = errno;

  if (fd >= 0)
    return fd;
  reason = vsock_explain_family (code, VSOCK_MODULE_PATH);
  g_set_error (error, HYPHA_ERROR,
               code == EMFILE || code == ENFILE ? HYPHA_ERROR_FAILED : HYPHA_ERROR_UNAVAILABLE,
               _ ("cannot %s %s: %s"), verb, display, reason);
  return -1;
}

/* ---- dialling ---- */

/* The kernel would give up after 2 s, and a guest may take longer to come up. */
static void
set_deadline (int fd, guint timeout_ms)
{
  const guint64 ms = (guint64) timeout_ms + KERNEL_GRACE_MS;
  const struct timeval deadline = { .tv_sec = (time_t) (ms / 1000),
                                    .tv_usec = (suseconds_t) (ms % 1000 * 1000) };

  if (setsockopt (fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &deadline, sizeof deadline) < 0)
    g_debug ("SO_VM_SOCKETS_CONNECT_TIMEOUT: %s", g_strerror (errno));
}

/* Without a loopback, the kernel would ask the machine's hypervisor for CID 1. So whoever dials it
 * comes from it, which takes the loopback. */
static gboolean
bind_to_loopback (int fd, const char *display, GError **error)
{
  const VsockAddress loopback = { .cid = VMADDR_CID_LOCAL };
  struct sockaddr_vm sockaddr;

  vsock_address_to_sockaddr (&loopback, &sockaddr);
  if (bind (fd, (const struct sockaddr *) &sockaddr, sizeof sockaddr) == 0)
    return TRUE;
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
      _ ("cannot connect to %s: CID 1 is this machine's vsock loopback, and it has none (%s); "
         "try: sudo modprobe vsock_loopback"),
      display, g_strerror (errno));
  return FALSE;
}

int
vsock_socket_for_dialling (const VsockAddress *address, const char *display, guint timeout_ms,
                           const VsockBuffers *buffers, GError **error)
{
  int fd = new_socket (_ ("connect to"), display, error);

  if (fd < 0)
    return -1;
  if (address->cid == VMADDR_CID_LOCAL && !bind_to_loopback (fd, display, error)) {
    close (fd);
    return -1;
  }
  set_deadline (fd, timeout_ms);
  vsock_socket_set_buffers (fd, buffers);
  return fd;
}

/* ---- listening ---- */

static void
explain_listen (const VsockAddress *address, const char *display, int code, GError **error)
{
  switch (code) {
  case EADDRINUSE:
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_ADDRESS_IN_USE,
        _ ("cannot listen on %s: somebody listens there already (`sudo ss --vsock --listening "
           "--processes` says who); end it, or choose another port"),
        display);
    break;
  case EACCES:
  case EPERM:
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("cannot listen on %s: a port below 1024 takes a privilege "
                    "(CAP_NET_BIND_SERVICE); choose one from 1024 on"),
                 display);
    break;
  case EADDRNOTAVAIL:
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
        _ ("cannot listen on %s: CID %u is not this machine's%s; listen on vsock://any:%u"),
        display, address->cid,
        address->cid == VMADDR_CID_LOCAL
            ? _ (" until it has a loopback (sudo modprobe vsock_loopback)")
            : "",
        address->port);
    break;
  default:
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot listen on %s: %s"), display,
                 g_strerror (code));
  }
}

/* 0, or errno. */
static int
bind_and_listen (int fd, const VsockAddress *address, VsockAddress *bound)
{
  struct sockaddr_vm sockaddr;
  socklen_t length = sizeof sockaddr;

  vsock_address_to_sockaddr (address, &sockaddr);
  if (bind (fd, (const struct sockaddr *) &sockaddr, length) < 0 || listen (fd, SOMAXCONN) < 0 ||
      getsockname (fd, (struct sockaddr *) &sockaddr, &length) < 0)
    return errno;
  vsock_address_from_sockaddr (bound, &sockaddr);
  return 0;
}

int
vsock_socket_listen (const VsockAddress *address, const char *display, const VsockBuffers *buffers,
                     VsockAddress *bound, GError **error)
{
  int fd = new_socket (_ ("listen on"), display, error);
  int code;

  if (fd < 0)
    return -1;
  /* What is accepted takes them over, so that they hold from the first byte on. */
  vsock_socket_set_buffers (fd, buffers);
  code = bind_and_listen (fd, address, bound);
  if (code == 0)
    return fd;
  explain_listen (address, display, code, error);
  close (fd);
  return -1;
}
