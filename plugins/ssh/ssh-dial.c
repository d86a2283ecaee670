/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh-dial.h"

#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <stdatomic.h>
#include <string.h>

#include "ssh-greeting.h"
#include "ssh-program.h"
#include "ssh-reason.h"

/* One attempt, counted by reference. */
typedef struct {
  atomic_uint ref_count;
  GTask *task;        /* its own thread's, and until it is answered: */
  GSource *cancelled; /* one that goes over to another thread is lost now and then (GLib 2.74) */

  /* One thread for every ssh of this process. It starts them, hears them, and sees them end,
   * whatever the program's own threads do: one that waits for the end of a channel need not run a
   * main context for that. Held until the task is answered. */
  HyphaLoop *loop;

  /* The loop's, until it is done. */
  atomic_bool done;
  HyphaChannel *channel;
  GError *error; /* NULL: the channel is there */
  HyphaEndpoint *endpoint;
  char *display;
  SshAddress *address;
  char *ssh, *command;
  gint64 deadline_at; /* us, monotonic */
  guint timeout_ms;
  GCancellable *cancellable;
  SshProgram *program;
  int fd;
  SshGreeting greeting;
  GSource *readable, *deadline;
} Dial;

/**
 * ssh_dial_dup_argv:
 * @program: the ssh to run: a path, or a name to look for in `PATH`
 * @command: what runs at the other machine
 * @address: where
 * @timeout_ms: the deadline
 *
 * Returns: (transfer full): the words of the command line
 */
char **
ssh_dial_dup_argv (const char *program, const char *command, const SshAddress *address,
                   guint timeout_ms)
{
  g_autoptr (GStrvBuilder) words = g_strv_builder_new ();
  /* Before ours: it knows more of what it waits for. */
  guint seconds = MAX (1, (timeout_ms - 1) / 1000);
  g_autofree char *timeout = g_strdup_printf ("ConnectTimeout=%u", seconds);

  g_strv_builder_add_many (words, program, "-T", "-a", "-x", "-e", "none", NULL);
  g_strv_builder_add_many (words, "-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes", NULL);
  g_strv_builder_add_many (words, "-o", "ControlMaster=no", "-o", "RemoteCommand=none", NULL);
  /* Each of them takes our end of the streams away, or shares it with a program of the user's.
   * Whatever has the GLib that we need has an ssh that knows them all (8.7). */
  g_strv_builder_add_many (words, "-o", "SessionType=default", "-o", "StdinNull=no", NULL);
  g_strv_builder_add_many (words, "-o", "ForkAfterAuthentication=no", NULL);
  g_strv_builder_add_many (words, "-o", "PermitLocalCommand=no", NULL);
  g_strv_builder_add_many (words, "-o", timeout, NULL);
  if (address->user != NULL)
    g_strv_builder_add_many (words, "-l", address->user, NULL);
  if (address->port != 0) {
    g_autofree char *port = g_strdup_printf ("%u", address->port);

    g_strv_builder_add_many (words, "-p", port, NULL);
  }
  g_strv_builder_add_many (words, "--", address->host, command, NULL);
  return g_strv_builder_end (words);
}

static void
clear_source (GSource **source)
{
  if (*source != NULL)
    g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

static void
dial_unref (Dial *self)
{
  if (atomic_fetch_sub (&self->ref_count, 1) != 1)
    return;
  hypha_endpoint_unref (self->endpoint);
  ssh_address_free (self->address);
  g_object_unref (self->cancellable);
  g_free (self->display);
  g_free (self->ssh);
  g_free (self->command);
  g_free (self);
}

/* Where the task was made: it must not go anywhere else. */
static gboolean
answer (gpointer user_data)
{
  Dial *self = user_data;
  g_autoptr (GTask) task = NULL;

  /* What the loop did comes before: ThreadSanitizer sees it by this, and not by GLib's locks. */
  if (!atomic_load (&self->done))
    return G_SOURCE_CONTINUE;
  task = g_steal_pointer (&self->task);
  clear_source (&self->cancelled);
  if (self->error != NULL)
    g_task_return_error (task, g_steal_pointer (&self->error));
  else
    g_task_return_pointer (task, g_steal_pointer (&self->channel), g_object_unref);
  hypha_loop_release (self->loop);
  dial_unref (self);
  return G_SOURCE_REMOVE;
}

/* The last of it here. */
static void
finish (Dial *self)
{
  g_autoptr (GSource) source = g_idle_source_new ();
  GMainContext *context = g_task_get_context (self->task);

  clear_source (&self->readable);
  clear_source (&self->deadline);
  if (self->fd >= 0)
    g_close (g_steal_fd (&self->fd), NULL);
  g_clear_pointer (&self->program, ssh_program_unref);
  g_source_set_priority (source, g_task_get_priority (self->task));
  g_source_set_callback (source, answer, self, NULL);
  atomic_store (&self->done, TRUE);
  g_source_attach (source, context);
}

/* ERROR is taken. */
static void
fail (Dial *self, GError *error)
{
  if (self->program != NULL)
    ssh_program_end (self->program);
  self->error = error;
  finish (self);
}

static void
succeed (Dial *self)
{
  self->channel =
      hypha_channel_new (g_steal_fd (&self->fd), NULL, self->endpoint, HYPHA_CHANNEL_NONE);
  hypha_channel_set_host (self->channel, self->address->host);
  ssh_program_serve (self->program, self->channel);
  finish (self);
}

/* What it says, or what the other machine says in place of the greeting; "" or with ": " before. */
static char *
dup_hints (Dial *self)
{
  g_autofree char *words =
      self->program != NULL ? ssh_program_dup_words (self->program) : g_strdup ("");
  const char *noise = ssh_greeting_get_noise (&self->greeting);
  g_autofree char *clean =
      *words == '\0' && noise != NULL ? ssh_reason_dup_clean (noise, strlen (noise)) : NULL;
  const char *hints = clean != NULL ? clean : words;

  return g_strconcat (*hints != '\0' ? ": " : "", hints, NULL);
}

/* FALSE: the attempt is over. */
static gboolean
go_on (Dial *self)
{
  g_autofree char *hints = NULL;

  switch (ssh_greeting_read (&self->greeting, self->fd)) {
  case SSH_GREETING_MORE:
    return TRUE;
  case SSH_GREETING_OVER:
    clear_source (&self->readable); /* why, its own end will tell */
    return TRUE;
  case SSH_GREETING_DONE:
    succeed (self);
    return FALSE;
  case SSH_GREETING_NONE:
    break;
  }
  hints = dup_hints (self);
  fail (self,
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                     _ ("%s: in place of a node's greeting the other machine sends something else; "
                        "does '%s' run there, and do its shell's start-up files print nothing?%s"),
                     self->display, self->command, hints));
  return FALSE;
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  return go_on (user_data) ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* Its last words may be the greeting. */
static void
on_ended (SshProgram *program, gpointer user_data)
{
  Dial *self = user_data;
  g_autofree char *hints = NULL;

  if (!go_on (self))
    return;
  hints = dup_hints (self);
  fail (self, ssh_reason_of_failure (self->display, self->address, self->command,
                                     ssh_program_get_wait_status (program),
                                     *hints != '\0' ? hints + strlen (": ") : ""));
}

static gboolean
on_deadline (gpointer user_data)
{
  Dial *self = user_data;
  g_autofree char *hints = dup_hints (self);

  fail (self,
        g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                     _ ("%s: no node has taken the connection in time%s"), self->display, hints));
  return G_SOURCE_REMOVE;
}

static void
give_up (Dial *self)
{
  fail (self, g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, _ ("%s: connecting was given up"),
                           self->display));
}

static void
give_up_there (gpointer user_data)
{
  Dial *self = user_data;
  HyphaLoop *loop = self->loop;

  if (!atomic_load (&self->done))
    give_up (self);
  dial_unref (self);
  hypha_loop_release (loop);
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  Dial *self = user_data;

  atomic_fetch_add (&self->ref_count, 1);
  hypha_loop_call (hypha_loop_ref (self->loop), give_up_there, self);
  return G_SOURCE_REMOVE;
}

static GSource *
attach (Dial *self, GSource *source, GSourceFunc func)
{
  g_source_set_callback (source, func, self, NULL);
  g_source_attach (source, g_main_context_get_thread_default ());
  return source;
}

static void
begin (gpointer user_data)
{
  Dial *self = user_data;
  g_auto (GStrv) argv =
      ssh_dial_dup_argv (self->ssh, self->command, self->address, self->timeout_ms);
  g_autoptr (GError) error = NULL;

  if (g_cancellable_is_cancelled (self->cancellable)) {
    give_up (self);
    return;
  }
  if (g_get_monotonic_time () >= self->deadline_at) {
    on_deadline (self);
    return;
  }
  self->program =
      ssh_program_start (self->loop, (const char *const *) argv, &self->fd, on_ended, self, &error);
  if (self->program == NULL) {
    fail (self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                             _ ("%s: the program '%s' cannot be run (%s): install OpenSSH's client "
                                "(openssh-client), or say where it is by the option 'ssh' of the "
                                "transport ssh"),
                             self->display, self->ssh, error->message));
    return;
  }
  self->readable =
      attach (self, g_unix_fd_source_new (self->fd, G_IO_IN), G_SOURCE_FUNC (on_readable));
  self->deadline = attach (self, g_timeout_source_new (self->timeout_ms), on_deadline);
  g_source_set_ready_time (self->deadline,
                           self->deadline_at); /* many may have been started before */
}

/**
 * ssh_dial:
 * @task: (transfer full): returns the channel
 * @program: the ssh to run
 * @command: what runs at the other machine
 * @endpoint: where, canonical
 * @timeout_ms: the deadline
 * @cancellable: gives it up
 *
 * Runs ssh, and waits for the greeting of the node at the other machine.
 */
void
ssh_dial (GTask *task, const char *program, const char *command, HyphaEndpoint *endpoint,
          guint timeout_ms, GCancellable *cancellable)
{
  GError *error = NULL;
  SshAddress *address = ssh_address_parse (endpoint, &error);
  HyphaLoop *loop = address != NULL ? hypha_loop_acquire ("hypha-ssh", 0, NULL, &error) : NULL;
  Dial *self;

  if (loop == NULL) {
    g_clear_pointer (&address, ssh_address_free);
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  self = g_new0 (Dial, 1);
  atomic_init (&self->ref_count, 1);
  self->task = task;
  self->loop = loop;
  self->endpoint = hypha_endpoint_ref (endpoint);
  self->display = g_strdup (hypha_endpoint_to_string (endpoint));
  self->address = address;
  self->ssh = g_strdup (program);
  self->command = g_strdup (command);
  self->timeout_ms = timeout_ms;
  self->deadline_at = g_get_monotonic_time () + (gint64) timeout_ms * 1000;
  self->cancellable = g_object_ref (cancellable);
  self->fd = -1;
  self->cancelled = g_cancellable_source_new (cancellable);
  g_source_set_callback (self->cancelled, G_SOURCE_FUNC (on_cancelled), self, NULL);
  g_source_attach (self->cancelled, g_task_get_context (task));
  hypha_loop_call (loop, begin, self);
}
