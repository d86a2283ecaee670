/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/talk.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <hypha-api.h>
#include "json-text.h"
#include "program/patience.h"

#define CHUNK (16 * 1024)
#define READS 2    /* of a chunk, until others have their turn */
#define DRAINED 64 /* at most of what a program leaves behind */
#define MAX_MEMORY (1024 * 1024)
#define MAX_QUEUED (256 * 1024) /* bytes that the program has not read */
#define MAX_FDS 16              /* at once, and that no message has taken */
/* From the end of its output to the end of the process. */
#define FAREWELL_MS (hypha_program_patience_get () / 10)

struct _HyphaProgramTalk {
  int fd;
  const HyphaProgramTalkEvents *events;
  gpointer user_data;
  guint refs;
  gboolean closed;
  gboolean reading; /* on the stack */
  guint in, out, farewell;
  GByteArray *incoming; /* the beginning of a line */
  GByteArray *outgoing;
  int fds[MAX_FDS]; /* in the order in which they came */
  guint n_fds;
  guint64 count;
  char *flaw; /* told as soon as nobody is in the way */
  guint flaw_source;
};

static void
talk_unref (HyphaProgramTalk *self)
{
  if (--self->refs > 0)
    return;
  g_byte_array_unref (self->incoming);
  g_byte_array_unref (self->outgoing);
  g_free (self->flaw);
  g_free (self);
}

static void
close_fds (HyphaProgramTalk *self)
{
  for (guint i = 0; i < self->n_fds; i++)
    close (self->fds[i]);
  self->n_fds = 0;
}

static void
stop_reading (HyphaProgramTalk *self)
{
  g_clear_handle_id (&self->in, g_source_remove);
}

/* ---- the end ---- */

static void
tell_broken (HyphaProgramTalk *self, const char *why)
{
  stop_reading (self);
  close_fds (self);
  if (!self->closed)
    self->events->broken (why, self->user_data);
}

static gboolean
on_flaw (gpointer user_data)
{
  HyphaProgramTalk *self = user_data;
  g_autofree char *flaw = g_steal_pointer (&self->flaw);

  self->flaw_source = 0;
  tell_broken (self, flaw);
  return G_SOURCE_REMOVE;
}

/* Whoever sends is not told in the middle of it. */
static void
break_later (HyphaProgramTalk *self, const char *why)
{
  if (self->flaw != NULL || self->closed)
    return;
  self->flaw = g_strdup (why);
  self->flaw_source = g_timeout_add (0, on_flaw, self);
}

static gboolean
on_farewell (gpointer user_data)
{
  HyphaProgramTalk *self = user_data;

  self->farewell = 0;
  tell_broken (self, _ ("it has closed its standard output"));
  return G_SOURCE_REMOVE;
}

/* ---- what comes ---- */

static void
take_line (HyphaProgramTalk *self, const char *line, gsize length)
{
  g_autoptr (GError) reason = NULL;
  JsonNode *node = hypha_json_text_parse (line, length, MAX_MEMORY, &reason);
  g_autofree char *why = NULL;

  if (node == NULL)
    why = g_strdup_printf (_ ("it said what is no message (%s)"), reason->message);
  else if (json_node_get_node_type (node) != JSON_NODE_OBJECT)
    why = g_strdup (_ ("it said what is no message (no JSON object)"));
  else
    self->events->message (json_node_get_object (node), self->user_data);
  g_clear_pointer (&node, json_node_unref);
  if (why != NULL)
    tell_broken (self, why);
}

/* All the lines that are whole. FALSE: there is nobody any more. */
static gboolean
take_lines (HyphaProgramTalk *self)
{
  gsize done = 0;

  while (!self->closed && self->in != 0) {
    const guint8 *from = self->incoming->data + done;
    gsize left = self->incoming->len - done;
    const guint8 *end = left > 0 ? memchr (from, '\n', left) : NULL;

    if (end == NULL)
      break;
    done += (gsize) (end - from) + 1;
    /* Its own copy: a message may lead to anything. */
    {
      g_autofree char *line = g_strndup ((const char *) from, (gsize) (end - from));

      self->count++;
      take_line (self, line, (gsize) (end - from));
    }
  }
  if (self->closed || self->in == 0)
    return FALSE;
  g_byte_array_remove_range (self->incoming, 0, (guint) done);
  if (self->incoming->len >= HYPHA_PROGRAM_MAX_LINE)
    tell_broken (self, _ ("it said a line of more than 65536 bytes"));
  else if (self->incoming->len == 0 && self->n_fds > 0)
    tell_broken (self, _ ("it sent a descriptor that belongs to no message"));
  return !self->closed;
}

/* FALSE: more than there may be. */
static gboolean
take_fds (HyphaProgramTalk *self, struct msghdr *message)
{
  gboolean good = (message->msg_flags & MSG_CTRUNC) == 0;

  for (struct cmsghdr *c = CMSG_FIRSTHDR (message); c != NULL; c = CMSG_NXTHDR (message, c)) {
    guint n = (guint) ((c->cmsg_len - CMSG_LEN (0)) / sizeof (int));

    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    for (guint i = 0; i < n; i++) {
      int fd;

      memcpy (&fd, CMSG_DATA (c) + i * sizeof fd, sizeof fd);
      if (self->n_fds < MAX_FDS) {
        self->fds[self->n_fds++] = fd;
      } else {
        close (fd);
        good = FALSE;
      }
    }
  }
  return good;
}

typedef enum { GOT_SOME, GOT_NOTHING, GOT_END } Got;

static Got
read_some (HyphaProgramTalk *self)
{
  guint8 buffer[CHUNK];
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE (MAX_FDS * sizeof (int))];
  } control;
  struct iovec vector = { .iov_base = buffer, .iov_len = sizeof buffer };
  struct msghdr message = {
    .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
  };
  ssize_t got = TEMP_FAILURE_RETRY (recvmsg (self->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));

  if (got < 0)
    return errno == EAGAIN ? GOT_NOTHING : GOT_END;
  if (!take_fds (self, &message)) {
    tell_broken (self, _ ("it sent more descriptors at once than there may be"));
    return GOT_NOTHING;
  }
  if (got == 0)
    return GOT_END;
  g_byte_array_append (self->incoming, buffer, (guint) got);
  return take_lines (self) ? GOT_SOME : GOT_NOTHING;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaProgramTalk *self = user_data;
  Got got = GOT_SOME;

  self->refs++;
  self->reading = TRUE;
  for (guint i = 0; i < READS && got == GOT_SOME && self->in != 0; i++)
    got = read_some (self);
  self->reading = FALSE;
  /* Its process mostly ends now, and how is the better reason. */
  if (got == GOT_END && !self->closed) {
    stop_reading (self);
    self->farewell = g_timeout_add (FAREWELL_MS, on_farewell, self);
  }
  talk_unref (self);
  return G_SOURCE_CONTINUE;
}

/* hypha_program_talk_drain:
 * Takes what a program has said that is no more. */
void
hypha_program_talk_drain (HyphaProgramTalk *self)
{
  if (self->reading)
    return;
  self->refs++;
  for (guint i = 0; i < DRAINED && !self->closed && self->in != 0; i++)
    if (read_some (self) != GOT_SOME)
      break;
  talk_unref (self);
}

/* hypha_program_talk_take_fd:
 * Returns: the descriptor that came with the message, the caller's from now on, or -1 */
int
hypha_program_talk_take_fd (HyphaProgramTalk *self)
{
  int fd;

  if (self->n_fds == 0)
    return -1;
  fd = self->fds[0];
  self->n_fds--;
  memmove (self->fds, self->fds + 1, self->n_fds * sizeof fd);
  return fd;
}

guint64
hypha_program_talk_get_count (HyphaProgramTalk *self)
{
  return self->count;
}

/* ---- what goes ---- */

static gboolean on_writable (int fd, GIOCondition condition, gpointer user_data);

/* TRUE: there is more, or there will be. */
static gboolean
flush (HyphaProgramTalk *self)
{
  while (self->outgoing->len > 0) {
    ssize_t put = TEMP_FAILURE_RETRY (
        send (self->fd, self->outgoing->data, self->outgoing->len, MSG_DONTWAIT | MSG_NOSIGNAL));

    if (put < 0 && errno == EAGAIN)
      return TRUE;
    /* It has gone, which is seen where it is read from. */
    g_byte_array_remove_range (self->outgoing, 0, put < 0 ? self->outgoing->len : (guint) put);
  }
  return FALSE;
}

static gboolean
on_writable (int fd, GIOCondition condition, gpointer user_data)
{
  HyphaProgramTalk *self = user_data;

  if (flush (self))
    return G_SOURCE_CONTINUE;
  self->out = 0;
  return G_SOURCE_REMOVE;
}

/* hypha_program_talk_send:
 * @line: a message, without the end of its line
 *
 * It never blocks: what the program does not read is kept, and a program that does not read at all
 * is told of as broken. */
void
hypha_program_talk_send (HyphaProgramTalk *self, const char *line)
{
  gsize length = strlen (line);

  if (self->outgoing->len + length > MAX_QUEUED) {
    break_later (self, _ ("it does not read what it is asked"));
    return;
  }
  g_byte_array_append (self->outgoing, (const guint8 *) line, (guint) length);
  g_byte_array_append (self->outgoing, (const guint8 *) "\n", 1);
  if (self->out == 0 && flush (self))
    self->out = g_unix_fd_add (self->fd, G_IO_OUT, on_writable, self);
}

/* hypha_program_talk_new:
 * @fd: (transfer full): a stream socket, non-blocking
 * @events: as long-lived as the program that this is; either may free what is made here */
HyphaProgramTalk *
hypha_program_talk_new (int fd, const HyphaProgramTalkEvents *events, gpointer user_data)
{
  HyphaProgramTalk *self = g_new0 (HyphaProgramTalk, 1);

  self->refs = 1;
  self->fd = fd;
  self->events = events;
  self->user_data = user_data;
  self->incoming = g_byte_array_new ();
  self->outgoing = g_byte_array_new ();
  self->in = g_unix_fd_add (fd, G_IO_IN | G_IO_HUP, on_readable, self);
  return self;
}

/* hypha_program_talk_free:
 * Closes the socket: the program sees the end of its input. */
void
hypha_program_talk_free (HyphaProgramTalk *self)
{
  self->closed = TRUE;
  stop_reading (self);
  g_clear_handle_id (&self->out, g_source_remove);
  g_clear_handle_id (&self->farewell, g_source_remove);
  g_clear_handle_id (&self->flaw_source, g_source_remove);
  close_fds (self);
  close (self->fd);
  talk_unref (self);
}
