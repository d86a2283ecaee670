/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/meeting.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <hypha-api.h>
#include "json-text.h"
#include "program/patience.h"
#include "hypha-fd.h"

#define MAX_GUESTS 256                                  /* that have not said who they are */
#define PATIENCE_MS (hypha_program_patience_get () / 2) /* for that */
#define MAX_LINE 4096
#define MAX_MEMORY (64 * 1024)
#define BATCH 16
#define REST_MS 100 /* where there are too many, or no descriptors left */

struct _HyphaProgramMeeting {
  HyphaProgramMeetingCame came;
  gpointer user_data;
  char *directory;
  char *path;
  int fd;
  guint source; /* of guests, or the end of a rest */
  GPtrArray *guests;
};

typedef struct {
  HyphaProgramMeeting *meeting;
  int fd;
  guint source, timer;
  GString *line;
} Guest;

static void
guest_free (gpointer data)
{
  Guest *self = data;

  g_clear_handle_id (&self->source, g_source_remove);
  g_clear_handle_id (&self->timer, g_source_remove);
  hypha_fd_clear (&self->fd);
  g_string_free (self->line, TRUE);
  g_free (self);
}

static gboolean
on_late (gpointer user_data)
{
  Guest *self = user_data;

  self->timer = 0;
  g_ptr_array_remove (self->meeting->guests, self);
  return G_SOURCE_REMOVE;
}

/* Its line is whole: what follows is the channel's. */
static void
let_in (Guest *self)
{
  HyphaProgramMeeting *meeting = self->meeting;
  JsonNode *node = hypha_json_text_parse (self->line->str, self->line->len, MAX_MEMORY, NULL);
  int fd = g_steal_fd (&self->fd);

  g_ptr_array_remove (meeting->guests, self);
  if (node != NULL && json_node_get_node_type (node) == JSON_NODE_OBJECT)
    meeting->came (json_node_get_object (node), fd, meeting->user_data);
  else
    close (fd);
  g_clear_pointer (&node, json_node_unref);
}

static gboolean
on_readable (int fd, GIOCondition condition, gpointer user_data)
{
  Guest *self = user_data;
  char buffer[MAX_LINE];
  ssize_t got = TEMP_FAILURE_RETRY (recv (fd, buffer, sizeof buffer, MSG_PEEK | MSG_DONTWAIT));
  const char *end;
  gsize part;

  if (got < 0 && errno == EAGAIN)
    return G_SOURCE_CONTINUE;
  end = got > 0 ? memchr (buffer, '\n', (gsize) got) : NULL;
  part = end != NULL ? (gsize) (end - buffer) + 1 : (gsize) MAX (got, 0);
  if (got <= 0 || self->line->len + part > MAX_LINE ||
      recv (fd, buffer, part, MSG_DONTWAIT) != (ssize_t) part) {
    self->source = 0;
    g_ptr_array_remove (self->meeting->guests, self);
    return G_SOURCE_REMOVE;
  }
  g_string_append_len (self->line, buffer, (gssize) part);
  if (end == NULL)
    return G_SOURCE_CONTINUE;
  self->source = 0;
  let_in (self);
  return G_SOURCE_REMOVE;
}

/* Who may come: us, and so our program. */
static gboolean
is_ours (int fd)
{
  struct ucred credentials;
  socklen_t length = sizeof credentials;

  return getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 &&
         credentials.uid == geteuid ();
}

static gboolean on_guests (int listening, GIOCondition condition, gpointer user_data);

static gboolean
on_rested (gpointer user_data)
{
  HyphaProgramMeeting *self = user_data;

  self->source = g_unix_fd_add (self->fd, G_IO_IN, on_guests, self);
  return G_SOURCE_REMOVE;
}

static gboolean
on_guests (int listening, GIOCondition condition, gpointer user_data)
{
  HyphaProgramMeeting *self = user_data;

  for (guint i = 0; i < BATCH; i++) {
    gboolean full = self->guests->len >= MAX_GUESTS;
    int fd = full ? -1 : accept4 (listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    Guest *guest;

    if (full || (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)) {
      self->source = g_timeout_add (REST_MS, on_rested, self);
      return G_SOURCE_REMOVE;
    }
    if (fd < 0)
      break;
    if (!is_ours (fd)) {
      close (fd);
      continue;
    }
    guest = g_new0 (Guest, 1);
    guest->meeting = self;
    guest->fd = fd;
    guest->line = g_string_new (NULL);
    guest->source = g_unix_fd_add (fd, G_IO_IN | G_IO_HUP, on_readable, guest);
    guest->timer = g_timeout_add (PATIENCE_MS, on_late, guest);
    g_ptr_array_add (self->guests, guest);
  }
  return G_SOURCE_CONTINUE;
}

/* In the user's own directory, where there is one: then nothing is left after a restart. */
static char *
make_directory (void)
{
  gboolean raised = getauxval (AT_SECURE) != 0;
  const char *runtime = raised ? NULL : g_getenv ("XDG_RUNTIME_DIR");
  g_autofree char *path = NULL;

  if (runtime != NULL && g_path_is_absolute (runtime)) {
    path = g_build_filename (runtime, "hypha-program-XXXXXX", NULL);
    if (g_mkdtemp_full (path, 0700) != NULL)
      return g_steal_pointer (&path);
    g_free (path);
  }
  path = g_build_filename (raised ? "/tmp" : g_get_tmp_dir (), "hypha-program-XXXXXX", NULL);
  return g_mkdtemp_full (path, 0700) != NULL ? g_steal_pointer (&path) : NULL;
}

static gboolean
bind_path (HyphaProgramMeeting *self)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  if (strlen (self->path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return FALSE;
  }
  memcpy (address.sun_path, self->path, strlen (self->path));
  self->fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return self->fd >= 0 &&
         bind (self->fd, (const struct sockaddr *) &address, sizeof address) == 0 &&
         listen (self->fd, SOMAXCONN) == 0;
}

/* hypha_program_meeting_new:
 * @came: may free the meeting
 *
 * Returns: (transfer full): a socket on which channels are met, or %NULL with
 * %HYPHA_ERROR_UNAVAILABLE */
HyphaProgramMeeting *
hypha_program_meeting_new (HyphaProgramMeetingCame came, gpointer user_data, GError **error)
{
  g_autoptr (HyphaProgramMeeting) self = g_new0 (HyphaProgramMeeting, 1);

  self->fd = -1;
  self->came = came;
  self->user_data = user_data;
  self->guests = g_ptr_array_new_with_free_func (guest_free);
  self->directory = make_directory ();
  self->path =
      self->directory != NULL ? g_build_filename (self->directory, "channels", NULL) : NULL;
  if (self->path == NULL || !bind_path (self)) {
    int code = errno;

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("there is no socket for channels of programs: %s"), g_strerror (code));
    return NULL;
  }
  self->source = g_unix_fd_add (self->fd, G_IO_IN, on_guests, self);
  return g_steal_pointer (&self);
}

void
hypha_program_meeting_free (HyphaProgramMeeting *self)
{
  g_clear_handle_id (&self->source, g_source_remove);
  g_ptr_array_unref (self->guests);
  hypha_fd_clear (&self->fd);
  if (self->path != NULL)
    g_unlink (self->path);
  if (self->directory != NULL)
    g_rmdir (self->directory);
  g_free (self->path);
  g_free (self->directory);
  g_free (self);
}

const char *
hypha_program_meeting_get_path (HyphaProgramMeeting *self)
{
  return self->path;
}
