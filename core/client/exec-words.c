/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/exec-words.h"

#include <signal.h>
#include <string.h>

static const struct {
  int number;
  const char *name;
} names[] = {
  { SIGHUP, "HUP" },   { SIGINT, "INT" },   { SIGQUIT, "QUIT" },     { SIGILL, "ILL" },
  { SIGTRAP, "TRAP" }, { SIGABRT, "ABRT" }, { SIGBUS, "BUS" },       { SIGFPE, "FPE" },
  { SIGKILL, "KILL" }, { SIGUSR1, "USR1" }, { SIGSEGV, "SEGV" },     { SIGUSR2, "USR2" },
  { SIGPIPE, "PIPE" }, { SIGALRM, "ALRM" }, { SIGTERM, "TERM" },     { SIGCHLD, "CHLD" },
  { SIGCONT, "CONT" }, { SIGSTOP, "STOP" }, { SIGTSTP, "TSTP" },     { SIGTTIN, "TTIN" },
  { SIGTTOU, "TTOU" }, { SIGURG, "URG" },   { SIGXCPU, "XCPU" },     { SIGXFSZ, "XFSZ" },
  { SIGPROF, "PROF" }, { SIGIO, "IO" },     { SIGVTALRM, "VTALRM" }, { SIGWINCH, "WINCH" },
  { SIGSYS, "SYS" },
};

/**
 * hypha_exec_signal_dup_name:
 * @number: of a signal, here
 *
 * Returns: (transfer full): what it is called everywhere
 */
char *
hypha_exec_signal_dup_name (int number)
{
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    if (names[i].number == number)
      return g_strdup (names[i].name);
  }
  return g_strdup_printf ("%d", number);
}

/**
 * hypha_exec_signal_from_name:
 * @name: (array length=length): as of hypha_exec_signal_dup_name(), from somewhere else; without a
 * NUL
 * @length: of it
 *
 * Returns: its number here, or 0 if there is no such signal
 */
int
hypha_exec_signal_from_name (const void *name, gsize length)
{
  const char *digit = name;
  int number = 0;

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    if (strlen (names[i].name) == length && memcmp (names[i].name, name, length) == 0)
      return names[i].number;
  }
  for (gsize i = 0; i < length; i++) {
    if (!g_ascii_isdigit (digit[i]) || number >= NSIG)
      return 0;
    number = number * 10 + (digit[i] - '0');
  }
  return number < NSIG ? number : 0;
}
