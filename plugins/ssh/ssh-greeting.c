/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh-greeting.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Keeps the end of what is longer than there is room: the greeting is there. */
static void
append (SshGreeting *self, const char *bytes, gsize length)
{
  const gsize room = sizeof self->line - 1;
  gsize keep;

  if (length >= room) {
    bytes += length - room;
    length = room;
  }
  keep = MIN (self->length, room - length);
  memmove (self->line, self->line + self->length - keep, keep);
  memcpy (self->line + keep, bytes, length);
  self->length = keep + length;
  self->line[self->length] = '\0';
}

/* A whole line, or part of one. */
static SshGreetingState
take (SshGreeting *self, const char *bytes, gsize length)
{
  const gsize greeting = strlen (SSH_GREETING);

  append (self, bytes, length);
  if (self->length >= greeting &&
      memcmp (self->line + self->length - greeting, SSH_GREETING, greeting) == 0)
    return SSH_GREETING_DONE;
  if (bytes[length - 1] == '\n') {
    if (self->length > 1)
      g_strlcpy (self->last, self->line, self->length);
    self->length = 0;
  }
  self->noise += length;
  return self->noise > SSH_GREETING_MAX_NOISE ? SSH_GREETING_NONE : SSH_GREETING_MORE;
}

/**
 * ssh_greeting_read:
 * @self: what has come so far
 * @fd: a non-blocking socket
 *
 * Looks before it takes: what follows the greeting belongs to somebody else.
 *
 * Returns: whether the greeting has come
 */
SshGreetingState
ssh_greeting_read (SshGreeting *self, int fd)
{
  SshGreetingState state = SSH_GREETING_MORE;

  while (state == SSH_GREETING_MORE) {
    char bytes[1024];
    gssize n = recv (fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    const char *end = n > 0 ? memchr (bytes, '\n', (gsize) n) : NULL;

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      break;
    if (n <= 0)
      return SSH_GREETING_OVER;
    if (end != NULL)
      n = end - bytes + 1;
    n = recv (fd, bytes, (gsize) n, MSG_DONTWAIT);
    if (n > 0)
      state = take (self, bytes, (gsize) n);
  }
  return state;
}

/**
 * ssh_greeting_get_noise:
 * @self: what has come
 *
 * Returns: (nullable) (transfer none): the last line that was not the greeting; not escaped
 */
const char *
ssh_greeting_get_noise (const SshGreeting *self)
{
  if (self->length > 0)
    return self->line;
  return self->last[0] != '\0' ? self->last : NULL;
}
