/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* certificate PATH: writes PATH.crt and PATH.key, for tests of whole programs. */
#include <stdio.h>

#include "certificate.h"

int
main (int argc, char *argv[])
{
  g_autoptr (GError) error = NULL;

  if (argc == 2 && certificate_write (argv[1], &error))
    return 0;
  fprintf (stderr, "certificate PATH: %s\n", error != NULL ? error->message : "?");
  return 1;
}
