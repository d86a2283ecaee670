/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/program.h"

int
main (int argc, char **argv)
{
  return hypha_daemon_main (argc, argv, NULL);
}
