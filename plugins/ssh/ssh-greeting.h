/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* What the far command says once a node has taken the channel, as a line of its own or at the end
 * of one: whatever a shell's start-up files print comes before it. */
#define SSH_GREETING "hypha attached\n"
/* Of what comes before it. */
#define SSH_GREETING_MAX_NOISE 16384

typedef enum {
  SSH_GREETING_MORE, /* it has not come yet */
  SSH_GREETING_DONE, /* what follows it is the channel's */
  SSH_GREETING_NONE, /* something else has come, and too much of it */
  SSH_GREETING_OVER, /* nothing will come any more */
} SshGreetingState;

typedef struct {
  char line[512]; /* the end of the line that is coming */
  gsize length;
  char last[512]; /* the line before, for people */
  gsize noise;    /* bytes that were not the greeting */
} SshGreeting;

/* Reads what there is on FD, a non-blocking socket, and nothing behind the greeting. */
SshGreetingState ssh_greeting_read (SshGreeting *self, int fd);
/* What came in its place; NULL: nothing. Not escaped. */
const char *ssh_greeting_get_noise (const SshGreeting *self);

G_END_DECLS
