/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/pty.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <hypha-api.h>

static gboolean
fail (GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("no terminal can be made: %s"),
               g_strerror (errno));
  return FALSE;
}

/* Whoever types here writes UTF-8: erasing takes whole characters. */
static void
set_utf8 (int terminal)
{
  struct termios modes;

  if (tcgetattr (terminal, &modes) != 0)
    return;
  modes.c_iflag |= IUTF8;
  tcsetattr (terminal, TCSANOW, &modes);
}

static int
open_terminal (int master, GError **error)
{
  char name[64];
  int terminal = -1;

  if (grantpt (master) != 0 || unlockpt (master) != 0 ||
      ptsname_r (master, name, sizeof name) != 0) {
    fail (error);
    return -1;
  }
  terminal = open (name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0)
    fail (error);
  return terminal;
}

/**
 * hypha_agent_pty_open:
 * @rows: lines that the caller's terminal has; 0: unknown
 * @cols: columns
 * @account: whose terminal it becomes
 * @ours: (out): this process's ends
 * @theirs: (out): the command's
 * @error: return location for an error: %HYPHA_ERROR_FAILED
 *
 * Makes a terminal. What was made is in @ours and @theirs even if this fails.
 *
 * Returns: %TRUE if it is there
 */
gboolean
hypha_agent_pty_open (guint16 rows, guint16 cols, const HyphaAgentAccount *account, int ours[3],
                      int theirs[3], GError **error)
{
  ours[1] = posix_openpt (O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (ours[1] < 0)
    return fail (error);
  ours[0] = fcntl (ours[1], F_DUPFD_CLOEXEC, 0);
  if (ours[0] < 0)
    return fail (error);
  theirs[0] = open_terminal (ours[1], error);
  if (theirs[0] < 0)
    return FALSE;
  for (int i = 1; i < 3; i++) {
    theirs[i] = fcntl (theirs[0], F_DUPFD_CLOEXEC, 0);
    if (theirs[i] < 0)
      return fail (error);
  }
  if (account->become && fchown (theirs[0], account->uid, (gid_t) -1) != 0)
    return fail (error);
  set_utf8 (theirs[0]);
  hypha_agent_pty_resize (ours[1], rows, cols);
  return TRUE;
}

/**
 * hypha_agent_pty_resize:
 * @master: of a terminal
 * @rows: lines
 * @cols: columns
 *
 * Changes its size, which the kernel tells the programs there.
 */
void
hypha_agent_pty_resize (int master, guint16 rows, guint16 cols)
{
  struct winsize size = { .ws_row = rows, .ws_col = cols };

  ioctl (master, TIOCSWINSZ, &size);
}

/**
 * hypha_agent_pty_get_end:
 * @master: of a terminal
 *
 * Returns: the character that means the end of input, or 0 if none does now
 */
char
hypha_agent_pty_get_end (int master)
{
  struct termios modes;

  if (tcgetattr (master, &modes) != 0 || !(modes.c_lflag & ICANON))
    return 0;
  return (char) modes.c_cc[VEOF];
}
