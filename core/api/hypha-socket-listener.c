/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypha-socket.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>

#include "hypha-error.h"

/* Others on the main thread have their turn after this many; */
#define BATCH 16
/* and so long the listener rests where the process or the machine is out of descriptors, or nobody
 * is there to take a channel. */
#define REST_MS 100

#define HYPHA_TYPE_SOCKET_LISTENER (hypha_socket_listener_get_type ())
G_DECLARE_FINAL_TYPE (HyphaSocketListener, hypha_socket_listener, HYPHA, SOCKET_LISTENER,
                      HyphaListener)

struct _HyphaSocketListener {
  HyphaListener parent_instance;

  int fd;
  HyphaSocketAdopt adopt;
  gpointer user_data;
  GDestroyNotify closed;
  GMainContext *context;
  GSource *source;    /* readable, or time to go on; NULL also while a handler runs the loop */
  gboolean accepting; /* on the stack */
};

G_DEFINE_FINAL_TYPE (HyphaSocketListener, hypha_socket_listener, HYPHA_TYPE_LISTENER)

static void watch (HyphaSocketListener *self);

static void
set_source (HyphaSocketListener *self, GSource *source)
{
  if (self->source != NULL) {
    g_source_destroy (self->source);
    g_source_unref (self->source);
  }
  self->source = source;
  if (source != NULL)
    g_source_attach (source, self->context);
}

static gboolean
on_rested (gpointer data)
{
  watch (data);
  return G_SOURCE_REMOVE;
}

static void
rest (HyphaSocketListener *self)
{
  GSource *source = g_timeout_source_new (REST_MS);

  g_source_set_callback (source, on_rested, self, NULL);
  set_source (self, source);
}

typedef enum {
  VERDICT_GO_ON,
  VERDICT_WAIT,
  VERDICT_REST,
  VERDICT_FAIL,
} Verdict;

/* accept(2) also reports the troubles of the one connection that it would have returned. */
static Verdict
judge (int code)
{
  switch (code) {
  case EAGAIN:
    return VERDICT_WAIT;
  case EMFILE:
  case ENFILE:
  case ENOBUFS:
  case ENOMEM:
    return VERDICT_REST;
  case EBADF:
  case EFAULT:
  case EINVAL:
  case ENOTSOCK:
  case EOPNOTSUPP:
    return VERDICT_FAIL;
  default:
    return VERDICT_GO_ON;
  }
}

static void
adopt (HyphaSocketListener *self, int fd, const struct sockaddr *remote, socklen_t length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel = self->adopt (fd, remote, length, self->user_data, &error);

  if (channel != NULL)
    hypha_listener_accepted (HYPHA_LISTENER (self), channel);
  else
    g_debug ("a connection to %s was dropped: %s",
             hypha_endpoint_to_string (hypha_listener_get_bound (HYPHA_LISTENER (self))),
             error != NULL ? error->message : "the transport does not say why");
}

static void
fail (HyphaSocketListener *self, int code)
{
  HyphaEndpoint *bound = hypha_listener_get_bound (HYPHA_LISTENER (self));
  g_autoptr (GError) error =
      g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot accept on %s any more: %s"),
                   hypha_endpoint_to_string (bound), g_strerror (code));

  hypha_listener_failed (HYPHA_LISTENER (self), error);
}

/* accept(2) makes a socket before it finds that nobody is there. */
static gboolean
is_awaited (int fd)
{
  struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

  return poll (&poll_fd, 1, 0) > 0;
}

static void
accept_some (HyphaSocketListener *self, int fd)
{
  /* Whoever gets a channel may close the listener, or listen no more. */
  for (guint i = 0; i < BATCH && !hypha_listener_is_closed (HYPHA_LISTENER (self)) &&
                    (i == 0 || is_awaited (fd));
       i++) {
    struct sockaddr_storage remote = { 0 };
    socklen_t length = sizeof remote;
    int accepted, code;
    Verdict verdict;

    if (!hypha_listener_is_heard (HYPHA_LISTENER (self))) {
      rest (self);
      break;
    }
    accepted = accept4 (fd, (struct sockaddr *) &remote, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    code = errno;
    if (accepted >= 0) {
      adopt (self, accepted, (struct sockaddr *) &remote, length);
      continue;
    }
    verdict = judge (code);
    if (verdict == VERDICT_FAIL)
      fail (self, code);
    else if (verdict == VERDICT_REST)
      rest (self);
    if (verdict != VERDICT_GO_ON)
      break;
  }
}

/* A handler that runs the loop gets no other connection meanwhile: as many as somebody cares to
 * make would lie on one stack. */
static gboolean
on_readable (int fd, GIOCondition condition, gpointer data)
{
  g_autoptr (HyphaSocketListener) self = g_object_ref (data);

  if (self->accepting) {
    set_source (self, NULL); /* or that loop would turn and turn */
    return G_SOURCE_REMOVE;
  }
  self->accepting = TRUE;
  accept_some (self, fd);
  self->accepting = FALSE;
  if (self->source == NULL && !hypha_listener_is_closed (HYPHA_LISTENER (self)))
    watch (self);
  return G_SOURCE_CONTINUE;
}

static void
watch (HyphaSocketListener *self)
{
  GSource *source = g_unix_fd_source_new (self->fd, G_IO_IN);

  g_source_set_callback (source, G_SOURCE_FUNC (on_readable), self, NULL);
  /* Or GLib wakes the loop that is running already, before and after. */
  g_source_set_can_recurse (source, TRUE);
  set_source (self, source);
}

static void
hypha_socket_listener_close (HyphaListener *listener)
{
  HyphaSocketListener *self = HYPHA_SOCKET_LISTENER (listener);
  GDestroyNotify closed = g_steal_pointer (&self->closed);

  set_source (self, NULL);
  if (self->fd >= 0)
    g_close (g_steal_fd (&self->fd), NULL);
  if (closed != NULL)
    closed (self->user_data);
}

static void
hypha_socket_listener_finalize (GObject *object)
{
  g_clear_pointer (&HYPHA_SOCKET_LISTENER (object)->context, g_main_context_unref);
  G_OBJECT_CLASS (hypha_socket_listener_parent_class)->finalize (object);
}

static void
hypha_socket_listener_class_init (HyphaSocketListenerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hypha_socket_listener_finalize;
  HYPHA_LISTENER_CLASS (klass)->close = hypha_socket_listener_close;
}

static void
hypha_socket_listener_init (HyphaSocketListener *self)
{
  self->fd = -1;
}

/**
 * hypha_socket_listener_new: (skip)
 * @fd: a listening stream socket; taken
 * @bound: where it listens: canonical, and with the port that the kernel chose
 * @adopt_func: makes channels of what it accepts
 * @user_data: for @adopt_func and @closed
 * @closed: (nullable): called once, with @user_data, after the socket has been closed
 *
 * For transports: makes a listener upon a listening socket, which becomes non-blocking and
 * close-on-exec. It accepts on the thread-default main context, a few connections at a time, and
 * rests for a while when there are no descriptors left, or nobody is connected to
 * [signal@Hypha.Listener::accepted]: what comes meanwhile waits in the kernel's queue. A connection
 * that @adopt_func refuses is dropped.
 *
 * Returns: (transfer full): the listener
 */
HyphaListener *
hypha_socket_listener_new (int fd, HyphaEndpoint *bound, HyphaSocketAdopt adopt_func,
                           gpointer user_data, GDestroyNotify closed)
{
  HyphaSocketListener *self;

  g_return_val_if_fail (fd >= 0, NULL);
  g_return_val_if_fail (bound != NULL, NULL);
  g_return_val_if_fail (adopt_func != NULL, NULL);

  self = g_object_new (HYPHA_TYPE_SOCKET_LISTENER, "bound", bound, NULL);
  self->fd = fd;
  self->adopt = adopt_func;
  self->user_data = user_data;
  self->closed = closed;
  self->context = g_main_context_ref_thread_default ();
  g_unix_set_fd_nonblocking (fd, TRUE, NULL);
  fcntl (fd, F_SETFD, FD_CLOEXEC);
  watch (self);
  return HYPHA_LISTENER (self);
}

static gboolean
set_no_listener (int fd, const char *reason, GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("descriptor %d is not a listening stream socket: %s"), fd, reason);
  return FALSE;
}

/**
 * hypha_socket_get_listening: (skip)
 * @fd: a descriptor, borrowed
 * @address: (out): what it is bound to; the rest is zero
 * @length: (out): how many bytes of @address the kernel filled in
 * @error: return location for an error
 *
 * For transports: tells where a socket listens that somebody else has made. The family in
 * @address says whose it is.
 *
 * Returns: %FALSE with `HYPHA_ERROR_INVALID_ARGUMENT` if @fd is not a stream socket that listens
 */
gboolean
hypha_socket_get_listening (int fd, struct sockaddr_storage *address, socklen_t *length,
                            GError **error)
{
  int type = 0, listening = 0;
  socklen_t size = sizeof type;

  g_return_val_if_fail (address != NULL, FALSE);
  g_return_val_if_fail (length != NULL, FALSE);

  memset (address, 0, sizeof *address);
  *length = sizeof *address;
  if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
    return set_no_listener (fd, g_strerror (errno), error);
  if (type != SOCK_STREAM)
    return set_no_listener (fd, _ ("it is a socket of another type"), error);
  size = sizeof listening;
  if (getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
    return set_no_listener (fd, g_strerror (errno), error);
  if (!listening)
    return set_no_listener (fd, _ ("nobody has called listen on it"), error);
  if (getsockname (fd, (struct sockaddr *) address, length) < 0)
    return set_no_listener (fd, g_strerror (errno), error);
  *length = MIN (*length, (socklen_t) sizeof *address);
  return TRUE;
}
