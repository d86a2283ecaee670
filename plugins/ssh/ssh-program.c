/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh-program.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh-reason.h"
#include "ssh-spawn.h"

/* For what was written before the channel was closed, as other channels have it. */
#define DRAIN_MS 2000
/* From asking to forcing. */
#define TERM_MS 1000
/* How much of what it says is kept. */
#define MAX_WORDS 1000

/* Why the channel ended, for whoever reads its end, on whatever thread. */
typedef struct {
  atomic_uint ref_count;
  GError *_Atomic error; /* set once */
} Ending;

struct _SshProgram {
  grefcount ref_count; /* one is the running program's, which holds the loop, too */
  HyphaLoop *loop;
  GPid pid;
  int wait_status; /* once it is over */
  int words_fd;    /* its standard error */
  int theirs;      /* what its input and output are, held until its end is told */
  GSource *words, *closed, *timer, *child;
  char said[MAX_WORDS + 1];
  gsize said_length;
  SshProgramFunc ended;
  gpointer user_data;
  Ending *ending; /* NULL: there is no channel */
  gboolean terminated, over;
};

static void
clear_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
ending_unref (gpointer data)
{
  Ending *self = data;
  g_autoptr (GError) error = NULL;

  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  error = atomic_load (&self->error);
  g_free (self);
}

static GError *
ending_dup_error (gpointer data)
{
  Ending *ending = data;
  const GError *error = atomic_load (&ending->error);

  return error != NULL ? g_error_copy (error) : NULL;
}

static GSource *
attach (GSource *source, GSourceFunc func, gpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();

  g_source_set_callback (source, func, data, NULL);
  g_source_attach (source, context);
  return source;
}

SshProgram *
ssh_program_ref (SshProgram *self)
{
  g_ref_count_inc (&self->ref_count);
  return self;
}

void
ssh_program_unref (SshProgram *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  g_clear_pointer (&self->ending, ending_unref);
  g_free (self);
}

/* ---- what it says ---- */

static void
keep_words (SshProgram *self, const char *bytes, gsize length)
{
  gsize keep = MIN (self->said_length, MAX_WORDS - MIN (length, MAX_WORDS));

  if (length > MAX_WORDS) {
    bytes += length - MAX_WORDS;
    length = MAX_WORDS;
  }
  memmove (self->said, self->said + self->said_length - keep, keep);
  memcpy (self->said + keep, bytes, length);
  self->said_length = keep + length;
}

/* FALSE: there is no more to come. At most so much at a time: it may say things for ever. */
static gboolean
read_words (SshProgram *self)
{
  char bytes[4096];

  for (guint i = 0; i < 16; i++) {
    gssize n = read (self->words_fd, bytes, sizeof bytes);

    if (n > 0)
      keep_words (self, bytes, (gsize) n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
      return FALSE;
    else if (errno == EAGAIN)
      break;
  }
  return TRUE;
}

static gboolean
on_words (int fd, GIOCondition condition, gpointer user_data)
{
  return read_words (user_data) ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* ---- its end ---- */

static gboolean
on_timer (gpointer user_data)
{
  SshProgram *self = user_data;

  clear_source (&self->timer);
  ssh_program_end (self);
  return G_SOURCE_REMOVE;
}

static void
end_after (SshProgram *self, guint delay_ms)
{
  clear_source (&self->timer);
  self->timer = attach (g_timeout_source_new (delay_ms), on_timer, self);
}

/* The first time it is asked, and told from then on. */
void
ssh_program_end (SshProgram *self)
{
  self->ended = NULL;
  if (self->over)
    return;
  kill (self->pid, self->terminated ? SIGKILL : SIGTERM);
  if (!self->terminated)
    end_after (self, TERM_MS);
  self->terminated = TRUE;
}

/* Both directions of the channel are closed: a half of it is no more than that. */
static gboolean
on_closed (int fd, GIOCondition condition, gpointer user_data)
{
  SshProgram *self = user_data;

  clear_source (&self->closed);
  end_after (self, DRAIN_MS);
  return G_SOURCE_REMOVE;
}

/* The descriptor shows the end once the reason is there. */
static void
tell_channel (SshProgram *self)
{
  int status = ssh_program_get_wait_status (self);
  g_autofree char *words = NULL;

  if (self->ending == NULL || self->terminated || g_spawn_check_wait_status (status, NULL))
    return;
  words = ssh_program_dup_words (self);
  atomic_store (&self->ending->error, ssh_reason_of_end (status, words));
}

static void
on_ended (GPid pid, int wait_status, gpointer user_data)
{
  g_autoptr (SshProgram) self = user_data;

  self->wait_status = wait_status;
  self->over = TRUE;
  clear_source (&self->child);
  clear_source (&self->words);
  clear_source (&self->closed);
  clear_source (&self->timer);
  read_words (self);
  g_close (g_steal_fd (&self->words_fd), NULL);
  if (self->ended != NULL)
    self->ended (self, self->user_data);
  tell_channel (self);
  /* Somebody it has started may have it still. */
  shutdown (self->theirs, SHUT_RDWR);
  g_close (g_steal_fd (&self->theirs), NULL);
  hypha_loop_release (self->loop);
}

int
ssh_program_get_wait_status (SshProgram *self)
{
  return self->wait_status;
}

/**
 * ssh_program_dup_words:
 * @self: a program
 *
 * Returns: (transfer full): the end of what it has said on standard error so far, its lines joined
 * to one and escaped
 */
char *
ssh_program_dup_words (SshProgram *self)
{
  const char *begin = self->said;

  /* Of the first of them, the beginning may be missing. */
  self->said[self->said_length] = '\0';
  if (self->said_length == MAX_WORDS && strchr (self->said, '\n') != NULL)
    begin = strchr (self->said, '\n') + 1;
  return ssh_reason_dup_clean (begin, (gsize) (self->said + self->said_length - begin));
}

/* ---- its beginning ---- */

static gboolean
open_pairs (int fds[2], int words[2], GError **error)
{
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0) {
    if (pipe2 (words, O_CLOEXEC) == 0)
      return TRUE;
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, g_strerror (errno));
    g_close (fds[0], NULL);
    g_close (fds[1], NULL);
    return FALSE;
  }
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, g_strerror (errno));
  return FALSE;
}

/**
 * ssh_program_start:
 * @loop: the thread that this is
 * @argv: the program and its arguments
 * @ours: (out): a non-blocking stream socket that leads to its standard input and output
 * @ended: called once it has ended
 * @user_data: for @ended
 * @error: return location for an error: why it could not be started
 *
 * Returns: (transfer full): the program, or %NULL
 */
SshProgram *
ssh_program_start (HyphaLoop *loop, const char *const *argv, int *ours, SshProgramFunc ended,
                   gpointer user_data, GError **error)
{
  SshProgram *self;
  int fds[2], words[2];
  GPid pid;

  if (!open_pairs (fds, words, error))
    return NULL;
  pid = ssh_spawn (argv, fds[1], words[1], error);
  g_close (words[1], NULL);
  if (pid < 0) {
    g_close (fds[0], NULL);
    g_close (fds[1], NULL);
    g_close (words[0], NULL);
    return NULL;
  }
  self = g_new0 (SshProgram, 1);
  self->loop = hypha_loop_ref (loop);
  g_ref_count_init (&self->ref_count);
  self->pid = pid;
  self->theirs = fds[1];
  self->words_fd = words[0];
  self->ended = ended;
  self->user_data = user_data;
  g_unix_set_fd_nonblocking (self->words_fd, TRUE, NULL);
  g_unix_set_fd_nonblocking (fds[0], TRUE, NULL);
  self->words =
      attach (g_unix_fd_source_new (self->words_fd, G_IO_IN), G_SOURCE_FUNC (on_words), self);
  self->child =
      attach (g_child_watch_source_new (pid), G_SOURCE_FUNC (on_ended), ssh_program_ref (self));
  *ours = fds[0];
  return self;
}

/**
 * ssh_program_serve:
 * @self: a program that runs
 * @channel: what has our end of it
 *
 * From now on the program lasts as long as @channel does, and tells it how it ended.
 */
void
ssh_program_serve (SshProgram *self, HyphaChannel *channel)
{
  self->ended = NULL;
  self->ending = g_new0 (Ending, 1);
  atomic_init (&self->ending->ref_count, 2); /* the channel's, too */
  hypha_channel_set_dup_error (channel, ending_dup_error, self->ending, ending_unref);
  /* Within ENDED there is nothing left to watch. */
  if (!self->over)
    self->closed =
        attach (g_unix_fd_source_new (self->theirs, G_IO_HUP), G_SOURCE_FUNC (on_closed), self);
}
