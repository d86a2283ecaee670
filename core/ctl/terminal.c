/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ROWS 24
#define COLS 80

static struct termios before;
static volatile sig_atomic_t raw;

/**
 * hypha_ctl_terminal_is_there:
 *
 * Returns: %TRUE if somebody types what comes on standard input
 */
gboolean
hypha_ctl_terminal_is_there (void)
{
  return isatty (STDIN_FILENO);
}

/**
 * hypha_ctl_terminal_restore:
 *
 * Makes the terminal as it was. May be called at any time, in a handler of a signal, too.
 */
void
hypha_ctl_terminal_restore (void)
{
  if (raw)
    tcsetattr (STDIN_FILENO, TCSADRAIN, &before);
  raw = 0;
}

/* The handler is gone then, so the process ends as it would have. */
static void
on_fatal (int number)
{
  hypha_ctl_terminal_restore ();
  raise (number);
}

/**
 * hypha_ctl_terminal_make_raw:
 *
 * Lets every key through as it is typed, if standard input is a terminal.
 */
void
hypha_ctl_terminal_make_raw (void)
{
  static const int fatal[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGXCPU };
  struct sigaction restore = { .sa_handler = on_fatal, .sa_flags = (int) SA_RESETHAND };
  struct termios modes;

  if (tcgetattr (STDIN_FILENO, &before) != 0)
    return;
  atexit (hypha_ctl_terminal_restore);
  for (gsize i = 0; i < G_N_ELEMENTS (fatal); i++)
    sigaction (fatal[i], &restore, NULL);
  modes = before;
  cfmakeraw (&modes);
  raw = 1;
  tcsetattr (STDIN_FILENO, TCSADRAIN, &modes);
}

/**
 * hypha_ctl_terminal_get_size:
 * @rows: (out): lines
 * @cols: (out): columns
 *
 * Tells how large the terminal is that standard input, output or error is.
 */
void
hypha_ctl_terminal_get_size (guint16 *rows, guint16 *cols)
{
  struct winsize size;

  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (ioctl (fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
      continue;
    *rows = size.ws_row;
    *cols = size.ws_col;
    return;
  }
  *rows = ROWS;
  *cols = COLS;
}
