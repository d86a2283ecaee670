/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Both ends of many streams at once; see README.md. */

#include "end.h"
#include "many.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

int
main (int argc, char **argv)
{
  g_set_prgname ("bench-many");
  signal (SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp (argv[1], "serve") == 0) {
    many_serve (end_listen (argv[2]));
  } else if (argc == 5 && strcmp (argv[1], "send") == 0) {
    guint n = (guint) MIN (end_number (argv[3]), 10000);
    g_autofree int *fds = g_new (int, n);

    end_open_many (argv[2], fds, n);
    for (;;)
      end_report (many_send (fds, n, MAX (end_number (argv[4]) / n, 1)));
  } else {
    die ("usage: bench-many serve WHERE | send WHERE N BYTES");
  }
  return EXIT_SUCCESS;
}
