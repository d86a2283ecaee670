/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* A running ssh: its standard input and output are one end of a socketpair whose other end is ours.
 * It holds itself until it has ended; ours shows its end only after that was told. */
typedef struct _SshProgram SshProgram;

typedef void (*SshProgramFunc) (SshProgram *self, gpointer user_data);

/* All of this on LOOP only, which is held until it has ended. OURS is to be closed; ENDED is called
 * once, or never after ssh_program_end(). NULL: it could not be started. */
SshProgram *ssh_program_start (HyphaLoop *loop, const char *const *argv, int *ours,
                               SshProgramFunc ended, gpointer user_data, GError **error);
SshProgram *ssh_program_ref (SshProgram *self);
void ssh_program_unref (SshProgram *self);
/* Nobody wants it any more: it is terminated, and killed if that does not help. */
void ssh_program_end (SshProgram *self);
/* OURS is CHANNEL's now, which can tell why it ended. Once that is
 * closed the program has a moment to send the rest; then as ssh_program_end(). */
void ssh_program_serve (SshProgram *self, HyphaChannel *channel);

int ssh_program_get_wait_status (SshProgram *self); /* once it has ended */
/* The last it said on standard error, as one line, escaped; "": nothing. */
char *ssh_program_dup_words (SshProgram *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (SshProgram, ssh_program_unref)

G_END_DECLS
