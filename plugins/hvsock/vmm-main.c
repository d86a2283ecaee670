/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A machine of vmm.h as a program, for tests of whole daemons: it says that it is there, resets all
 * its connections for each line that it reads, says so, and ends with the last one. */

#include <stdio.h>
#include <stdlib.h>

#include "vmm.h"

static void
say (const char *what)
{
  puts (what);
  fflush (stdout);
}

int
main (int argc, char **argv)
{
  g_autoptr (Vmm) vmm = NULL;
  char line[80];

  if (argc != 2) {
    fputs ("usage: vmm PATH\n", stderr);
    return EXIT_FAILURE;
  }
  vmm = vmm_new (argv[1], VMM_FIRECRACKER);
  say ("ready");
  while (fgets (line, sizeof line, stdin) != NULL) {
    vmm_reset_all (vmm);
    say ("reset");
  }
  return EXIT_SUCCESS;
}
