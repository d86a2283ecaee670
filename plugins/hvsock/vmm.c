/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 64

struct _Vmm {
  char *path;
  VmmKind kind;
  int fd;
  pthread_t thread;
  pthread_mutex_t lock; /* not GLib's, which ThreadSanitizer does not see */
  pthread_cond_t idle;
  GArray *connections; /* of int: both ends of each, to be ended from outside */
  guint running;       /* threads of connections */
  VmmFault fault;
  guint times;
  guint asked, rude;
};

typedef struct {
  Vmm *vmm;
  int fd;
} Connection;

/* ---- threads ---- */

static pthread_t
start (void *(*run) (void *), void *data)
{
  pthread_t thread;

  g_assert_cmpint (pthread_create (&thread, NULL, run, data), ==, 0);
  return thread;
}

/* With the lock. */
static void
wait_a_moment (Vmm *self)
{
  struct timespec end;

  clock_gettime (CLOCK_REALTIME, &end);
  end.tv_nsec += 10 * 1000000;
  end.tv_sec += end.tv_nsec / 1000000000;
  end.tv_nsec %= 1000000000;
  pthread_cond_timedwait (&self->idle, &self->lock, &end);
}

/* ---- sockets ---- */

static int
unix_socket (const char *path, struct sockaddr_un *address)
{
  memset (address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  g_assert_cmpuint (g_strlcpy (address->sun_path, path, sizeof address->sun_path), <,
                    sizeof address->sun_path);
  return socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* The guest's call to the host. -1: nobody listens at that port. */
static int
call_host (Vmm *self, guint port)
{
  g_autofree char *path = g_strdup_printf ("%s_%u", self->path, port);
  struct sockaddr_un address;
  int fd = unix_socket (path, &address);

  if (connect (fd, (const struct sockaddr *) &address, sizeof address) == 0)
    return fd;
  close (fd);
  return -1;
}

static void
keep (Vmm *self, int fd)
{
  pthread_mutex_lock (&self->lock);
  g_array_append_val (self->connections, fd);
  pthread_mutex_unlock (&self->lock);
}

static void
drop (Vmm *self, int fd)
{
  pthread_mutex_lock (&self->lock);
  for (guint i = 0; i < self->connections->len; i++)
    if (g_array_index (self->connections, int, i) == fd) {
      g_array_remove_index_fast (self->connections, i);
      break;
    }
  close (fd);
  pthread_mutex_unlock (&self->lock);
}

/* ---- what is said first ---- */

/* FALSE: it went away, or is no CONNECT. */
static gboolean
read_request (Vmm *self, int fd, guint *port)
{
  char request[REQUEST_MAX + 1] = { 0 };
  gssize n = recv (fd, request, REQUEST_MAX, 0);
  char *end = n > 0 ? memchr (request, '\n', (gsize) n) : NULL;
  gboolean polite = end != NULL && end == request + n - 1 && g_str_has_prefix (request, "CONNECT ");

  pthread_mutex_lock (&self->lock);
  self->asked += n > 0;
  self->rude += n > 0 && !polite;
  pthread_mutex_unlock (&self->lock);
  if (!polite)
    return FALSE;
  *port = (guint) g_ascii_strtoull (request + strlen ("CONNECT "), NULL, 10);
  return TRUE;
}

static VmmFault
take_fault (Vmm *self)
{
  VmmFault fault = VMM_GOOD;

  pthread_mutex_lock (&self->lock);
  if (self->times > 0) {
    fault = self->fault;
    self->times--;
  }
  pthread_mutex_unlock (&self->lock);
  return fault;
}

/* To whom may have given up meanwhile. */
static void
say (int fd, const char *text)
{
  gssize n = send (fd, text, strlen (text), MSG_NOSIGNAL);

  g_assert_true (n == (gssize) strlen (text) || n < 0);
}

static char *
get_answer (Vmm *self, guint port)
{
  switch (self->kind) {
  case VMM_FIRECRACKER:
    return g_strdup ("OK 3221225471\n");
  case VMM_CLOUD_HYPERVISOR:
    return g_strdup ("OK 1073741824\n");
  default:
    return g_strdup_printf ("OK %u\n", port);
  }
}

/* Whoever speaks before the answer is told so, or not, but never heard. */
static void
note_early (Vmm *self, int fd)
{
  char early[256];

  if (recv (fd, early, sizeof early,
            MSG_DONTWAIT | (self->kind == VMM_VHOST_DEVICE ? 0 : MSG_PEEK)) <= 0)
    return;
  pthread_mutex_lock (&self->lock);
  self->rude++;
  pthread_mutex_unlock (&self->lock);
}

/* Until the other end goes. */
static void
wait_gone (int fd)
{
  char byte;

  while (recv (fd, &byte, 1, 0) > 0)
    ;
}

/* FALSE: that was all. */
static gboolean
answer (Vmm *self, int fd, guint port, VmmFault fault)
{
  g_autofree char *line = get_answer (self, port);
  g_autofree char *more = g_strconcat (line, VMM_GREETING, NULL);

  switch (fault) {
  case VMM_SILENT:
    wait_gone (fd);
    return FALSE;
  case VMM_HANGS_UP:
    return FALSE;
  case VMM_MUMBLES:
    say (fd, "HTTP/1.1 400 Bad Request\n");
    return FALSE;
  case VMM_PADS:
    g_assert_cmpint (send (fd, "OK 1\0no\n", 8, MSG_NOSIGNAL), ==, 8);
    return FALSE;
  case VMM_RAMBLES:
    say (fd, "OK 11111111111111111111111111111111111111111111111111111111111111");
    wait_gone (fd);
    return FALSE;
  case VMM_BREAKS_OFF:
    say (fd, "OK 10");
    return FALSE;
  case VMM_SPLITS:
    for (const char *c = line; *c != '\0'; c++) {
      say (fd, (const char[]){ *c, '\0' });
      g_usleep (500);
    }
    return TRUE;
  case VMM_HURRIES:
    say (fd, more);
    return TRUE;
  default:
    say (fd, line);
    return TRUE;
  }
}

/* ---- what is said then ---- */

/* Moves what there is from FROM to TO. FALSE: FROM has ended, or TO. */
static gboolean
move (int from, int to)
{
  char buffer[64 * 1024];
  gssize n = recv (from, buffer, sizeof buffer, 0);

  if (n <= 0)
    return FALSE;
  for (gssize done = 0; done < n;) {
    gssize m = send (to, buffer + done, (gsize) (n - done), MSG_NOSIGNAL);

    if (m < 0)
      return FALSE;
    done += m;
  }
  return TRUE;
}

static gpointer
move_back (gpointer data)
{
  const int *fds = data;

  while (move (fds[1], fds[0]))
    ;
  /* The end of one direction is the end of both. */
  shutdown (fds[0], SHUT_RDWR);
  shutdown (fds[1], SHUT_RDWR);
  return NULL;
}

static void
relay (int host, int guest)
{
  int fds[2] = { host, guest };
  pthread_t back = start (move_back, fds);

  while (move (host, guest))
    ;
  shutdown (host, SHUT_RDWR);
  shutdown (guest, SHUT_RDWR);
  pthread_join (back, NULL);
}

static gpointer
serve (gpointer data)
{
  g_autofree Connection *connection = data;
  Vmm *self = connection->vmm;
  VmmFault fault;
  int guest = -1;
  guint port;

  keep (self, connection->fd);
  if (read_request (self, connection->fd, &port)) {
    fault = take_fault (self);
    note_early (self, connection->fd);
    if (fault == VMM_GOOD || fault == VMM_SPLITS)
      guest = call_host (self, port);
    if (guest >= 0)
      keep (self, guest);
    if ((guest >= 0 || fault != VMM_GOOD) && answer (self, connection->fd, port, fault)) {
      if (guest >= 0)
        relay (connection->fd, guest);
      else
        wait_gone (connection->fd);
    }
  }
  drop (self, connection->fd);
  if (guest >= 0)
    drop (self, guest);
  pthread_mutex_lock (&self->lock);
  self->running--;
  pthread_cond_signal (&self->idle);
  pthread_mutex_unlock (&self->lock);
  return NULL;
}

static gpointer
run (gpointer data)
{
  Vmm *self = data;
  int fd;

  while ((fd = accept4 (self->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
    Connection *connection = g_new0 (Connection, 1);

    connection->vmm = self;
    connection->fd = fd;
    pthread_mutex_lock (&self->lock);
    self->running++;
    pthread_mutex_unlock (&self->lock);
    pthread_detach (start (serve, connection));
  }
  return NULL;
}

/* ---- the whole ---- */

Vmm *
vmm_new (const char *path, VmmKind kind)
{
  Vmm *self = g_new0 (Vmm, 1);
  struct sockaddr_un address;

  self->path = g_strdup (path);
  self->kind = kind;
  self->connections = g_array_new (FALSE, FALSE, sizeof (int));
  pthread_mutex_init (&self->lock, NULL);
  pthread_cond_init (&self->idle, NULL);
  self->fd = unix_socket (path, &address);
  g_assert_cmpint (bind (self->fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (self->fd, SOMAXCONN), ==, 0);
  self->thread = start (run, self);
  return self;
}

void
vmm_free (Vmm *self)
{
  shutdown (self->fd, SHUT_RDWR);
  pthread_join (self->thread, NULL);
  close (self->fd);
  vmm_reset_all (self);
  g_unlink (self->path);
  g_array_unref (self->connections);
  pthread_mutex_destroy (&self->lock);
  pthread_cond_destroy (&self->idle);
  g_free (self->path);
  g_free (self);
}

void
vmm_set_fault (Vmm *self, VmmFault fault, guint times)
{
  pthread_mutex_lock (&self->lock);
  self->fault = fault;
  self->times = times;
  pthread_mutex_unlock (&self->lock);
}

guint
vmm_count_asked (Vmm *self)
{
  guint asked;

  pthread_mutex_lock (&self->lock);
  asked = self->asked;
  pthread_mutex_unlock (&self->lock);
  return asked;
}

guint
vmm_count_rude (Vmm *self)
{
  guint rude;

  pthread_mutex_lock (&self->lock);
  rude = self->rude;
  pthread_mutex_unlock (&self->lock);
  return rude;
}

void
vmm_reset_all (Vmm *self)
{
  pthread_mutex_lock (&self->lock);
  /* A connection that has only just been accepted may not be in the list yet. */
  while (self->running > 0) {
    for (guint i = 0; i < self->connections->len; i++)
      shutdown (g_array_index (self->connections, int, i), SHUT_RDWR);
    wait_a_moment (self);
  }
  pthread_mutex_unlock (&self->lock);
}
