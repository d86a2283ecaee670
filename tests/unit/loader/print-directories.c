/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <unistd.h>
#include "loader/loader.h"

/* Prints where plug-ins would be looked for, one to a line: to be run with other privileges than
 * the test's. */
int
main (void)
{
  g_auto (GStrv) directories = hypha_loader_default_directories (TRUE);

  for (guint i = 0; directories[i] != NULL; i++)
    g_print ("%s\n", directories[i]);
  fflush (stdout);
  /* The leak sanitizer cannot look at a process with raised privileges, and says so by failing. */
  _exit (0);
}
