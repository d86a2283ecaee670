/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/generation.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <hypha-api.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hypha-source.h>

#define KERNELS_GROUP 1 /* the other one is udev's */
#define MESSAGE_MAX 8192
#define MANY 64 /* others have their turn */

struct _HyphaGeneration {
  int fd;
  GSource *source;
  HyphaGenerationFunc changed;
  gpointer user_data;
  gboolean lost; /* some of it; told of */
};

/**
 * hypha_generation_is_told:
 * @message: (array length=length): a uevent: what happened to whom, and then what is known of it
 * @length: its bytes
 *
 * Returns: whether the kernel says by it that this machine is another one now
 */
gboolean
hypha_generation_is_told (const char *message, gsize length)
{
  const char *const end = message + length;
  const char *word = message;

  while (word < end) {
    gsize n = strnlen (word, (gsize) (end - word));

    if (word > message && n == strlen ("NEW_VMGENID=1") && memcmp (word, "NEW_VMGENID=1", n) == 0)
      return TRUE;
    word += n + 1;
  }
  return FALSE;
}

/* Once: it may go on like that. */
static void
tell_of_loss (HyphaGeneration *self)
{
  if (!self->lost)
    g_warning ("the kernel tells more than this node can hear, and it may not hear that its "
               "machine was cloned or restored: org.hypha.Node1.Renew does by hand what it would");
  self->lost = TRUE;
}

/* In the kernel's name speaks, beside it, only who may do anything in this network namespace. */
static gboolean
read_one (HyphaGeneration *self, gboolean *told)
{
  char message[MESSAGE_MAX];
  struct sockaddr_nl from = { 0 };
  socklen_t length = sizeof from;
  gssize n = recvfrom (self->fd, message, sizeof message, MSG_DONTWAIT, (struct sockaddr *) &from,
                       &length);

  if (n < 0 && errno == ENOBUFS) {
    tell_of_loss (self);
    return TRUE;
  }
  if (n < 0)
    return errno == EINTR;
  *told = from.nl_family == AF_NETLINK && from.nl_pid == 0 &&
          hypha_generation_is_told (message, (gsize) n);
  return TRUE;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer data)
{
  HyphaGeneration *self = data;
  gboolean told = FALSE;

  for (guint i = 0; i < MANY && !told && read_one (self, &told); i++)
    ;
  if (told)
    self->changed (self->user_data);
  return G_SOURCE_CONTINUE;
}

/* Devices come by the hundred when a machine boots, and what does not fit into the socket is lost:
 * nothing is to lie there but what has changed, as the generation has. */
static gboolean
hear_changes_alone (int fd)
{
  struct sock_filter code[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, 0),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, 0x6368616e /* "chan" */, 0, 3),
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, 4),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, 0x6765402f /* "ge@/" */, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, G_MAXUINT32),
    BPF_STMT (BPF_RET | BPF_K, 0),
  };
  const struct sock_fprog program = { .len = G_N_ELEMENTS (code), .filter = code };

  return setsockopt (fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/**
 * hypha_generation_new:
 * @changed: called when the machine is another one
 * @user_data: for @changed
 * @error: return location for an error
 *
 * Kernels tell since Linux 6.9, where the VMM gives the machine a device for it (in QEMU: `-device
 * vmgenid`).
 *
 * Returns: (transfer full) (nullable): the watch, or %NULL with %HYPHA_ERROR_UNAVAILABLE
 */
HyphaGeneration *
hypha_generation_new (HyphaGenerationFunc changed, gpointer user_data, GError **error)
{
  const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNELS_GROUP };
  int fd = socket (AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  HyphaGeneration *self;

  if (fd < 0 || !hear_changes_alone (fd) ||
      bind (fd, (const struct sockaddr *) &address, sizeof address) < 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("cannot hear whether this machine is restored or cloned: %s"),
                 g_strerror (errno));
    if (fd >= 0)
      close (fd);
    return NULL;
  }
  self = g_new0 (HyphaGeneration, 1);
  self->fd = fd;
  self->changed = changed;
  self->user_data = user_data;
  self->source = g_unix_fd_source_new (fd, G_IO_IN);
  g_source_set_callback (self->source, G_SOURCE_FUNC (on_readable), self, NULL);
  g_source_attach (self->source, NULL);
  return self;
}

/**
 * hypha_generation_free:
 * @self: (transfer full): the watch
 */
void
hypha_generation_free (HyphaGeneration *self)
{
  hypha_clear_source (&self->source);
  close (self->fd);
  g_free (self);
}

/**
 * hypha_generation_get_fd:
 * @self: the watch
 *
 * Returns: its socket, which remains its own
 */
int
hypha_generation_get_fd (HyphaGeneration *self)
{
  return self->fd;
}
